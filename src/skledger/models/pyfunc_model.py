"""A model behind its signature: what goes in is checked first."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, ModelError
from skledger.models.asking import BY_PARAM, as_texts, method_named, methods_of
from skledger.models.model import Model
from skledger.models.python_model import LoadedPythonModel
from skledger.models.python_model_descriptor import LOADER
from skledger.models.python_model_loading import load_any_model

if TYPE_CHECKING:
    from skledger.types.schema import ParamSchema, Schema

__all__ = ["PyFuncModel", "load_pyfunc_model"]

_FLAVOR = "python_function"
_LOADERS: tuple[str, ...] = ("mlflow.sklearn", "skledger.sklearn", LOADER)


class PyFuncModel:
    """A model behind its signature.

    Parameters
    ----------
    estimator : object
        The model itself: an estimator, or a `LoadedPythonModel`.
    model : Model
        What is written about it.
    folder : Path
        Where it was loaded from.

    Attributes
    ----------
    metadata : Model
        What is written about it: signature, run, flavours.
    predict_fn : str
        The method that `predict` calls.
    """

    def __init__(self, estimator: Any, model: Model, folder: Path) -> None:
        self._estimator = estimator
        self._folder = folder
        self.metadata = model
        self.predict_fn = method_named(estimator, model.flavors[_FLAVOR].get("predict_fn"))

    def __repr__(self) -> str:
        told = {
            "artifact_path": self.metadata.artifact_path,
            "flavor": self.loader_module,
            "run_id": self.metadata.run_id,
        }
        lines = (f"  {name}: {value}\n" for name, value in told.items() if value)
        return "skledger.pyfunc.loaded_model:\n" + "".join(lines)

    @property
    def loader_module(self) -> str:
        """The module that knows how to load the model."""
        return str(self.metadata.flavors[_FLAVOR]["loader_module"])

    @property
    def model_id(self) -> str | None:
        """The identifier of the model."""
        return self.metadata.model_id

    @property
    def input_schema(self) -> Schema | None:
        """What the model takes, when it has a signature."""
        return self.metadata.get_input_schema()

    @property
    def params_schema(self) -> ParamSchema | None:
        """What may be passed along with the data."""
        return self.metadata.get_params_schema()

    @property
    def input_example(self) -> Any:
        """The example that is stored with the model, or None."""
        return self.metadata.load_input_example(self._folder)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the model's predictions.

        Parameters
        ----------
        data : DataFrame, Series, array, sparse matrix, dict or list
            What the signature asks for. Without a signature it is passed on as it is.
        params : mapping, optional
            Settings that the signature names, such as ``return_std``; each is passed on when the
            model's method has an argument of that name. ``predict_method`` names another method
            to predict with, such as ``predict_proba``.

        Returns
        -------
        array, DataFrame or list
            What the model returned.

        Raises
        ------
        InvalidParameterError
            The data does not fit the signature; the text lists what is missing, what has another
            type and what the model does not know.
        """
        signature = self.metadata.signature
        if signature is not None and signature.inputs is not None:
            from skledger.models.enforcing import enforce_schema

            data = as_texts(self._estimator, enforce_schema(data, signature.inputs))
        if isinstance(self._estimator, LoadedPythonModel):
            return self._estimator.predict(data, self._complete(params))
        settings = dict(params) if isinstance(params, Mapping) else params
        method = getattr(self._estimator, self._chosen(settings))
        return method(data, **self._settings(method, settings))

    def _chosen(self, settings: Any) -> str:
        """Return the method to predict with; it is no setting of the method then."""
        if BY_PARAM in inspect.signature(getattr(self._estimator, self.predict_fn)).parameters:
            return self.predict_fn  # the model's own
        named = {each.name: each.default for each in self.params_schema or ()}
        chosen = named.get(BY_PARAM, self.predict_fn)
        if isinstance(settings, dict):
            chosen = settings.pop(BY_PARAM, chosen)
        if chosen == self.predict_fn:
            return self.predict_fn
        able = methods_of(self._estimator)
        if chosen not in able:
            raise InvalidParameterError(
                f"{BY_PARAM} is {chosen!r}; this {type(self._estimator).__name__} has "
                f"{', '.join(able)}."
            )
        return str(chosen)

    def _settings(self, method: Any, params: Mapping[str, Any] | None) -> dict[str, Any]:
        complete = self._complete(params)
        if not complete:
            return {}
        accepted = inspect.signature(method).parameters
        return {name: value for name, value in complete.items() if name in accepted}

    def _complete(self, params: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return the params with the defaults of the signature; None without any."""
        if not params and self.params_schema is None:
            return None
        from skledger.models.enforcing import enforce_params

        return enforce_params(params, self.params_schema)

    @property
    def model_config(self) -> dict[str, Any]:
        """The settings of a `PythonModel`, as its context has them; else none."""
        if isinstance(self._estimator, LoadedPythonModel):
            return self._estimator.context.model_config
        return {}

    def get_raw_model(self) -> Any:
        """Return the model itself, which checks nothing."""
        if isinstance(self._estimator, LoadedPythonModel):
            return self._estimator.python_model
        return self._estimator

    def for_mlflow(self) -> PyFuncModel:
        """Return the model for `mlflow.pyfunc`, which looks at the signature itself."""
        plain = replace(self.metadata, signature_dict=None)
        model = PyFuncModel(self._estimator, plain, self._folder)
        # MLflow calls the method by the name that it finds in MLmodel.
        setattr(model, self.predict_fn, model.predict)
        return model

    def unwrap_python_model(self) -> Any:
        """Return the user's own `PythonModel`, with whatever methods it has.

        Raises
        ------
        ModelError
            For a scikit-learn model, which is none; `get_raw_model` returns the estimator.
        """
        if isinstance(self._estimator, LoadedPythonModel):
            return self._estimator.python_model
        raise ModelError(
            f"this model is a {type(self._estimator).__name__}, not a PythonModel; "
            "get_raw_model() returns it."
        )


def load_pyfunc_model(
    path: str | os.PathLike[str],
    *,
    digests: Mapping[str, str] | None,
    refusal: str | None = None,
    trusted: Iterable[str | type] = (),
    allow_pickle: bool = True,
    mmap_mode: str | None = None,
    model_config: Mapping[str, Any] | None = None,
) -> PyFuncModel:
    """Load the model of a folder, with its signature; see `load_any_model`.

    Raises
    ------
    ModelError
        When it is neither a scikit-learn model that predicts nor a `PythonModel`.
    """
    estimator, described = load_any_model(
        path,
        digests=digests,
        refusal=refusal,
        trusted=trusted,
        allow_pickle=allow_pickle,
        mmap_mode=mmap_mode,
        model_config=model_config,
    )
    flavor = described["flavors"].get(_FLAVOR)
    if not isinstance(flavor, dict):
        raise ModelError(
            f"the model in {os.fspath(path)!r} has no predict method to call: it is a "
            f"{type(estimator).__name__}. Load it with skledger.sklearn.load_model."
        )
    if flavor.get("loader_module") not in _LOADERS:
        raise ModelError(
            f"the model in {os.fspath(path)!r} is loaded by {flavor.get('loader_module')!r}; "
            f"expected one of {', '.join(_LOADERS)}. Load it with mlflow.pyfunc.load_model."
        )
    return PyFuncModel(estimator, Model.from_dict(described), Path(path))
