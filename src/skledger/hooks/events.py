"""What a hook says: a call began, a call ended. It knows nobody who listens."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from skledger.capture.warned import RaisedWarning

__all__ = ["FitCall", "Listener", "bind_data"]


@dataclass(slots=True)
class FitCall:
    """One outermost call of ``fit``, ``fit_transform``, ``fit_predict`` or ``partial_fit``.

    Parameters
    ----------
    estimator : BaseEstimator
        The user's own object.
    method : str
        The name of the method that was called.
    X, y, sample_weight : object
        The training data as passed, None where the call had none.
    started : int
        Start of the call, in ms since the epoch.
    listener : Listener
        Who is told; the one of the beginning is told of the end, too.
    note : object
        What the listener returned at the beginning.
    seconds : float
        Duration of the user's own call, in seconds.
    error : BaseException or None
        What the call raised.
    warned : list of RaisedWarning
        The warnings the call raised, in order.
    """

    estimator: Any
    method: str
    X: Any
    y: Any
    sample_weight: Any
    started: int
    listener: Listener
    note: Any = None
    seconds: float = 0.0
    error: BaseException | None = None
    warned: list[RaisedWarning] = field(default_factory=list)


class Listener(Protocol):
    """Who is told. Both methods contain their own failures."""

    def fit_started(self, call: FitCall) -> object:
        """Take note before the call; what is returned is handed to `fit_ended`."""
        ...

    def fit_ended(self, call: FitCall, note: Any) -> None:
        """Take note after the call, whether it returned or raised."""
        ...


# By function, not by its code: all functions that one decorator wraps share their code.
_parameters: WeakKeyDictionary[Callable[..., Any], tuple[str, ...]] = WeakKeyDictionary()


def _parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the positional parameters after ``self``, once per function."""
    # Bound to an instance, or (through the class) with the instance already taken off by wrapt.
    plain: Any = getattr(function, "__func__", None) or getattr(function, "__wrapped__", function)
    try:
        names = _parameters.get(plain)
    except TypeError:
        return _read_names(plain)
    if names is None:
        names = _parameters[plain] = _read_names(plain)
    return names


def _read_names(plain: Callable[..., Any]) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(plain).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(each.name for each in parameters if each.kind in kinds)[1:]


def bind_data(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """Find the data, the target and the weights among the arguments of a call.

    Parameters
    ----------
    function : callable
        The method as it was written; its first parameter is the data.
    args, kwargs : tuple, dict
        The arguments of the call, without ``self``.

    Returns
    -------
    tuple
        ``(X, y, sample_weight)``; None for what was not passed.
    """
    names = _parameter_names(function) or ("X", "y")
    given = dict(zip(names, args, strict=False))
    given.update(kwargs)
    X = given.get("X", given.get(names[0]))
    y = given.get("y", given.get("Y"))
    return X, y, given.get("sample_weight")
