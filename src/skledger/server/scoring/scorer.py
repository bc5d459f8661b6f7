"""A model that answers requests: bytes in, bytes out. It knows nothing of HTTP."""

from __future__ import annotations

import inspect
import io
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from skledger._guard import say
from skledger.errors import InvalidParameterError, ModelError
from skledger.models.asking import BY_PARAM, METHODS, as_texts, methods_of
from skledger.models.model import Model
from skledger.models.python_model import LoadedPythonModel
from skledger.models.python_model_loading import load_any_model
from skledger.server.scoring.csv import read_csv
from skledger.server.scoring.inputs import Inputs
from skledger.server.scoring.reading import FieldError, read_json
from skledger.server.scoring.writing import predictions_json, rows_of

__all__ = ["Answer", "ModelFailureError", "Scorer", "load_scorer"]


class ModelFailureError(ModelError):
    """The model failed, and not for what it was given."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Parameters
    ----------
    content : bytes
        JSON.
    rows : int
        How many rows were predicted.
    """

    content: bytes
    rows: int


@dataclass
class Scorer:
    """A model, and how requests become what it takes.

    Parameters
    ----------
    estimator : object
        The model: an estimator, or a `LoadedPythonModel`.
    model : Model
        What its ``MLmodel`` says.
    """

    estimator: Any
    model: Model
    inputs: Inputs = field(init=False)

    def __post_init__(self) -> None:
        signature = self.model.signature
        names = getattr(self.estimator, "feature_names_in_", None)
        self.inputs = Inputs(
            None if signature is None else signature.inputs,
            None if names is None else list(names),
        )
        self.method: str = self._usual()
        self._arguments = {name: self._settings_of(name) for name in self.methods}

    def _usual(self) -> str:
        flavor = self.model.flavors.get("python_function")
        named = flavor.get("predict_fn") if isinstance(flavor, Mapping) else None
        if named in METHODS and hasattr(self.estimator, named):
            return str(named)
        if not self.methods:
            raise ModelError(
                f"the model is a {type(self.estimator).__name__}, which has none of the methods "
                f"{', '.join(METHODS)}; there is nothing to ask it for."
            )
        return self.methods[0]

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """What this model can be asked for."""
        return methods_of(self.estimator)

    @property
    def kind(self) -> str:
        """The name of the model's class."""
        if isinstance(self.estimator, LoadedPythonModel):
            return self.estimator.kind
        return type(self.estimator).__name__

    def _settings_of(self, method: str) -> frozenset[str]:
        try:
            return frozenset(inspect.signature(getattr(self.estimator, method)).parameters)
        except (TypeError, ValueError):
            return frozenset()

    # -- requests ----------------------------------------------------------------------------------

    def answer_json(self, content: bytes | bytearray, method: str | None = None) -> Answer:
        """Answer a request in JSON.

        Parameters
        ----------
        content : bytes
            The body.
        method : str, optional
            One of `methods`; the body's ``params`` may name one, too.

        Raises
        ------
        InvalidParameterError
            The request cannot be taken; the text says why.
        ModelFailureError
            The model failed.
        """
        data, params = read_json(content, self.inputs)
        return self._answer(data, params, method)

    def answer_csv(
        self, content: bytes | bytearray, method: str | None = None, encoding: str = "utf-8"
    ) -> Answer:
        """Answer a request in CSV; see `answer_json`."""
        return self._answer(read_csv(io.BytesIO(content), self.inputs, encoding), {}, method)

    def _answer(self, data: Any, params: dict[str, Any], method: str | None) -> Answer:
        predictions = self.predict(data, params, method)
        return Answer(predictions_json(predictions), rows_of(predictions))

    def predict(
        self, data: Any, params: Mapping[str, Any] | None = None, method: str | None = None
    ) -> Any:
        """Return what a method of the model says to data that is in the form it takes."""
        settings = dict(params or {})
        name = method or self._method_of(settings)
        if name not in self.methods:
            raise FieldError(
                f"params.{BY_PARAM}",
                f"{name!r} is nothing that this {self.kind} can be asked for; "
                f"expected one of {', '.join(self.methods)}",
            )
        settings = self._complete(settings, name)
        try:
            return getattr(self.estimator, name)(as_texts(self.estimator, data), **settings)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            # What estimators raise for data that they cannot take, and for mistakes of their own.
            say(logging.WARNING, "skledger: the model refused a request", exc_info=error)
            raise InvalidParameterError(
                f"the model cannot take this data: {type(error).__name__}: {error}"
            ) from error
        except Exception as error:
            raise ModelFailureError(f"the model failed: {type(error).__name__}: {error}") from error

    def _method_of(self, settings: dict[str, Any]) -> str:
        if BY_PARAM in self._arguments[self.method]:
            return self.method  # it is a setting of the model's own
        named = {each.name: each.default for each in self.model.get_params_schema() or ()}
        return str(settings.pop(BY_PARAM, named.get(BY_PARAM, self.method)))

    def _complete(self, settings: dict[str, Any], method: str) -> dict[str, Any]:
        """Return the settings that the method takes, defaults of the signature included."""
        schema = self.model.get_params_schema()
        if schema is None and not settings:
            return {}
        known = {each.name for each in schema or ()}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise FieldError(
                f"params.{unknown[0]}",
                f"the signature of the model names {', '.join(sorted(known)) or 'no params'}"
                f"; besides there is {BY_PARAM}",
            )
        from skledger.models.enforcing import enforce_params

        try:
            complete = enforce_params(settings, schema)
        except InvalidParameterError as error:
            raise FieldError("params", error.message) from error
        if isinstance(self.estimator, LoadedPythonModel):
            return {"params": complete}
        return {key: each for key, each in complete.items() if key in self._arguments[method]}


def load_scorer(
    folder: Path,
    *,
    digests: Mapping[str, str] | None,
    refusal: str | None = None,
    trusted: Iterable[str] = (),
    allow_pickle: bool = True,
    mmap_mode: str | None = None,
) -> Scorer:
    """Load the model of a folder for answering requests; see `load_sklearn_model`.

    Raises
    ------
    ModelIntegrityError
        A file is not the one that was booked.
    ModelError
        It cannot be loaded here, or can be asked for nothing.
    """
    estimator, described = load_any_model(
        folder,
        digests=digests,
        refusal=refusal,
        trusted=trusted,
        allow_pickle=allow_pickle,
        mmap_mode=mmap_mode,
    )
    return Scorer(estimator, Model.from_dict(described))
