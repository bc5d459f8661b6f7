"""What a hook says: a call began, a call ended. It knows nobody who listens."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

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


_parameters: dict[Any, tuple[str, ...]] = {}


def _parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the positional parameters after ``self``, once per function."""
    plain = getattr(function, "__func__", function)
    key = getattr(plain, "__code__", plain)
    names = _parameters.get(key)
    if names is None:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(plain).parameters.values()
        names = tuple(each.name for each in parameters if each.kind in kinds)
        if names[:1] == ("self",):
            names = names[1:]
        _parameters[key] = names
    return names


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
    names = _parameter_names(function)
    given = dict(zip(names, args, strict=False))
    given.update(kwargs)
    data_name = names[0] if names else "X"
    X = given.get("X", given.get(data_name))
    y = given.get("y", given.get("Y"))
    return X, y, given.get("sample_weight")
