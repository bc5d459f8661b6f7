"""A model behind its signature: what goes in is checked first."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.errors import ModelError
from skledger.models.loading import load_described_model
from skledger.models.model import Model

if TYPE_CHECKING:
    from skledger.types.schema import ParamSchema, Schema

__all__ = ["PyFuncModel", "load_pyfunc_model"]

_FLAVOR = "python_function"
_LOADERS = ("mlflow.sklearn", "skledger.sklearn")


class PyFuncModel:
    """A model behind its signature.

    Parameters
    ----------
    estimator : object
        The model itself.
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
        self.predict_fn: str = model.flavors[_FLAVOR].get("predict_fn") or "predict"

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
            model's method has an argument of that name.

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

            data = enforce_schema(data, signature.inputs)
        method = getattr(self._estimator, self.predict_fn)
        return method(data, **self._settings(method, params))

    def _settings(self, method: Any, params: Mapping[str, Any] | None) -> dict[str, Any]:
        if not params and self.params_schema is None:
            return {}
        from skledger.models.enforcing import enforce_params

        accepted = inspect.signature(method).parameters
        complete = enforce_params(params, self.params_schema)
        return {name: value for name, value in complete.items() if name in accepted}

    def get_raw_model(self) -> Any:
        """Return the model itself, which checks nothing."""
        return self._estimator

    def unwrap_python_model(self) -> Any:
        """Return the user's own ``PythonModel``, which a scikit-learn model has not.

        Raises
        ------
        ModelError
            Always; `get_raw_model` returns the estimator.
        """
        raise ModelError(
            f"this model is a {type(self._estimator).__name__}, not a PythonModel; "
            "get_raw_model() returns it."
        )


def load_pyfunc_model(
    path: str | os.PathLike[str],
    *,
    digests: Mapping[str, str] | None,
    refusal: str | None = None,
    trusted: Iterable[str] = (),
) -> PyFuncModel:
    """Load the model of a folder, with its signature; see `load_sklearn_model`.

    Raises
    ------
    ModelError
        When it is no scikit-learn model that predicts.
    """
    estimator, described = load_described_model(
        path, digests=digests, refusal=refusal, trusted=trusted
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
