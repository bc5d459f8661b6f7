"""Models of the user's own making: what they derive from, and how they are called."""

from __future__ import annotations

import inspect
import logging
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from skledger._guard import say

__all__ = [
    "FunctionModel",
    "LoadedPythonModel",
    "PythonModel",
    "PythonModelContext",
    "takes_context",
]


class _Hints(NamedTuple):
    """What a `predict` says it takes and returns; MLflow asks for both."""

    input: Any = None
    output: Any = None


class PythonModel:
    """A model of your own: derive from it, and write `predict`.

    Log an instance with `skledger.pyfunc.log_model`. Whatever it holds is stored with it; large
    files go into ``artifacts`` and are opened in `load_context`.

    Examples
    --------
    >>> import skledger.pyfunc
    >>> class Doubled(skledger.pyfunc.PythonModel):
    ...     def predict(self, model_input, params=None):
    ...         return [2 * each for each in model_input]
    >>> Doubled().predict([1, 2])
    [2, 4]
    """

    # What a pickle names: the public place, whatever becomes of this file.
    __module__ = "skledger.pyfunc"

    def load_context(self, context: PythonModelContext) -> None:
        """Open what the model needs; called once, when it is loaded.

        Parameters
        ----------
        context : PythonModelContext
            The paths of the artifacts, and the settings.
        """

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Return predictions; without an argument `context` it is called without one.

        Parameters
        ----------
        context : PythonModelContext
            The same as `load_context` was given.
        model_input : DataFrame, array, list or dict
            What the signature asks for; without a signature, what the caller passed.
        params : dict, optional
            Settings that the signature names.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no method predict(self, context, model_input, params=None)."
        )

    def predict_stream(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Raise NotImplementedError; predictions come all at once. MLflow looks for it."""
        raise NotImplementedError("this model returns its predictions all at once: use predict.")

    @property
    def predict_type_hints(self) -> Any:
        """What `predict` says it takes and returns; MLflow asks for it."""
        return _hints(self.predict, int(takes_context(self.predict)))


class PythonModelContext:
    """What a `PythonModel` finds when it is loaded.

    Parameters
    ----------
    artifacts : mapping of str to str
        The path of each artifact on this machine.
    model_config : mapping, optional
        The settings that it was stored with, or those that `load_model` was given instead.
    """

    __module__ = "skledger.pyfunc"

    def __init__(
        self, artifacts: Mapping[str, str], model_config: Mapping[str, Any] | None = None
    ) -> None:
        self._artifacts = dict(artifacts)
        self._model_config = dict(model_config or {})

    def __repr__(self) -> str:
        return f"PythonModelContext({sorted(self._artifacts)}, {self._model_config!r})"

    @property
    def artifacts(self) -> dict[str, str]:
        """The path of each artifact, by its name."""
        return self._artifacts

    @property
    def model_config(self) -> dict[str, Any]:
        """The settings, by their names."""
        return self._model_config


class FunctionModel(PythonModel):
    """A plain function as a model.

    Parameters
    ----------
    func : callable
        Takes the data, and ``params`` when it has such an argument.
    """

    __module__ = "skledger.pyfunc"
    # The name that MLflow has for its own; `skledger.pyfunc` finds ours by it.
    __qualname__ = "_FunctionPythonModel"

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def predict(self, model_input: Any, params: Any = None) -> Any:  # type: ignore[override]
        """Return what the function returns."""
        if "params" in inspect.signature(self.func).parameters:
            return self.func(model_input, params=params)
        return self.func(model_input)

    @property
    def predict_type_hints(self) -> Any:
        """What the function says it takes and returns."""
        return _hints(self.func, 0)


FunctionModel.__name__ = "_FunctionPythonModel"
_FunctionPythonModel = FunctionModel


def takes_context(predict: Callable[..., Any]) -> bool:
    """Tell whether a `predict` is called with the context, by MLflow's rule.

    It has an argument of that name, or just two besides ``params``.
    """
    names = inspect.signature(predict).parameters
    return "context" in names or len([each for each in names if each != "params"]) == 2


def _hints(function: Callable[..., Any], position: int) -> _Hints:
    try:
        hints = typing.get_type_hints(function)
        names = list(inspect.signature(function).parameters)
    except Exception:  # noqa: BLE001 - hints may name what is not there, or be anything
        return _Hints()
    named = names[position] if position < len(names) else None
    return _Hints(hints.get(named or ""), hints.get("return"))


class LoadedPythonModel:
    """A `PythonModel` that was loaded, behind a plain ``predict(data, params)``.

    Parameters
    ----------
    python_model : PythonModel
        The user's own, ours or MLflow's; its `load_context` was called.
    context : PythonModelContext
        What it was called with.
    """

    def __init__(self, python_model: Any, context: PythonModelContext) -> None:
        self.python_model = python_model
        self.context = context
        arguments = inspect.signature(python_model.predict).parameters
        self._takes_params = "params" in arguments
        self._takes_context = takes_context(python_model.predict)
        self._hint = getattr(python_model, "predict_type_hints", _Hints()).input
        self._said = False

    @property
    def kind(self) -> str:
        """The name of the user's class, or of the function."""
        own = type(self.python_model).__name__
        if own == FunctionModel.__name__:
            return str(getattr(self.python_model.func, "__name__", own))
        return own

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the predictions of the user's model."""
        settings: dict[str, Any] = {}
        if self._takes_params:
            settings["params"] = None if params is None else dict(params)
        elif params and not self._said:
            self._said = True
            say(
                logging.WARNING,
                "skledger: %s.predict has no argument `params`, so %s is left out.",
                self.kind,
                dict(params),
            )
        given = (self.context,) if self._takes_context else ()
        return self.python_model.predict(*given, _as_hinted(data, self._hint), **settings)


_SCALARS = (str, int, float, bool)


def _as_hinted(data: Any, hint: Any) -> Any:
    """Return a data frame as the list that a `predict` says it takes, as MLflow does."""
    if typing.get_origin(hint) is not list or not hasattr(data, "iloc"):
        return data
    (of,) = typing.get_args(hint) or (None,)
    if of is dict or typing.get_origin(of) is dict:
        return data.to_dict(orient="records")
    if of not in _SCALARS:
        return data
    if of is str and len(data) and len(data.columns) > 1:
        texts = [at for at, each in enumerate(data.iloc[0]) if isinstance(each, str)]
        return data.iloc[:, texts[0]].tolist() if texts else data
    return data.iloc[:, 0].tolist() if len(data.columns) == 1 else data
