"""What a hook says: a call began, a task of it is done, it ended. It knows nobody who listens."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from skledger.capture.sources import UNKNOWN_DATASET, Fit, Source
from skledger.capture.warned import RaisedWarning

__all__ = [
    "UNKNOWN_DATASET",
    "FitCall",
    "Listener",
    "Measured",
    "Source",
    "Task",
    "TaskListener",
    "bind_data",
    "parameter_names",
]


@dataclass(frozen=True, slots=True)
class Task:
    """What scikit-learn sends to a worker: one estimator, trained and scored on one split.

    Parameters
    ----------
    round : object
        Stands for the call of ``joblib.Parallel`` that sent it.
    index : int
        Its place among the tasks of that call.
    kind : str
        scikit-learn's name of the work, such as ``_fit_and_score``.
    estimator : BaseEstimator
        The estimator that is trained, in this process or, as a copy, in another.
    params : mapping or None
        The params it is given before training.
    candidate, split : tuple of (int, int) or None
        Which one of how many, where the sender says so.
    test : ndarray or None
        The rows it is tested on.
    """

    round: object
    index: int
    kind: str
    estimator: Any
    params: Mapping[str, Any] | None = None
    candidate: tuple[int, int] | None = None
    split: tuple[int, int] | None = None
    test: Any = None


class TaskListener(Protocol):
    """Who is told of the tasks inside a call; by any thread, so each method must be quick."""

    #: Whether tasks in other processes shall bring home what they fitted; here, it was seen.
    wants_estimators: bool

    def task_done(self, task: Task, result: Any, started: float | None, ended: float) -> None:
        """Take what a task returned; times in s since the epoch, the start where it is known."""
        ...

    def tasks_failed(self, tasks: Sequence[Task], error: BaseException) -> None:
        """Take note that one of these tasks raised."""
        ...

    def round_ended(self, round_: object, count: int) -> None:
        """Take note that a call of ``joblib.Parallel`` has sent `count` tasks and all are done."""
        ...


@dataclass(slots=True)
class FitCall:
    """One call that trains: ``fit`` and its kin, or ``cross_validate`` and its kin.

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
    outer : tuple or None
        For a search inside another call: who is told of that call's tasks, and the task (None
        outside of tasks).
    tasks : TaskListener or None
        Set by the listener: who is told of the tasks of cross-validation inside this call.
    nest : object or None
        Set by the listener: what a search inside this call, outside of tasks, belongs to.
    place : object or None
        Set by the listener: where the call is booked, for what the user logs inside it.
    result : object
        What the call returned.
    arguments : dict
        Of a cross-validation all arguments by name, defaults included.
    data_name : str or None
        What the user calls `X`.
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
    outer: tuple[Any, Task | None] | None = None
    tasks: TaskListener | None = None
    nest: Any = None
    place: Any = None
    result: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)
    data_name: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One outermost call of a function of ``sklearn.metrics``, or of ``score``, that returned.

    Parameters
    ----------
    function : str
        Its name; ``score`` of a method.
    estimator : BaseEstimator or None
        Whose ``score`` it was.
    arguments : dict
        What was given, by the names of the parameters; defaults are not in it.
    names : dict
        The user's variable behind an argument, where there is one.
    value : object
        What was returned: the user's own object. It is neither changed nor kept.
    source : Source or None
        The prediction that was measured; None when it is nobody's, or nobody knows whose.
    how : str
        How it was found: ``score``, as `skledger.capture.provenance.find` tells, or ``active run``
        (there is none, and a run is open).
    rows : object
        The data of a ``score``.
    """

    function: str
    estimator: Any | None
    arguments: dict[str, Any]
    names: dict[str, str]
    value: Any
    source: Source | None
    how: str
    rows: Any = None


class Listener(Protocol):
    """Who is told of calls."""

    def fit_started(self, call: FitCall) -> object | None:
        """Take note before the call, for `fit_ended`; None leaves the call alone."""
        ...

    def fit_ended(self, call: FitCall, note: Any) -> None:
        """Take note after the call, whether it returned or raised."""
        ...

    def validation_started(self, call: FitCall) -> object | None:
        """Take note before a cross-validation; None leaves it alone, and what it fits too."""
        ...

    def validation_ended(self, call: FitCall, note: Any) -> None:
        """Take note after the cross-validation, whether it returned or raised."""
        ...

    def fit_of(self, estimator: Any) -> Fit | None:
        """Return what an estimator's fit is booked as; a look-up, for each prediction."""
        ...

    def measured(self, event: Measured) -> None:
        """Take what a metric or a score gave.

        What measures no model's prediction, while no run is open, is not told.
        """
        ...


# By function, not by its code: all functions that one decorator wraps share their code.
_parameters: WeakKeyDictionary[Callable[..., Any], tuple[str, ...]] = WeakKeyDictionary()


def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
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
    names = parameter_names(function) or ("X", "y")
    given = dict(zip(names, args, strict=False))
    given.update(kwargs)
    X = given.get("X", given.get(names[0]))
    y = given.get("y", given.get("Y"))
    return X, y, given.get("sample_weight")
