"""Containment: what fails on our side never reaches the user's training.

Three things that every room shares: `contain`, which turns an exception of ours into one log
line; `switch`, which every hook asks first; and `thread`, which knows whether a hooked call is
already under way, because estimators fit estimators and only the outermost call counts.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = [
    "Switch",
    "contain",
    "failure_text",
    "log_failures",
    "logger",
    "muted",
    "report",
    "say",
    "switch",
    "thread",
]

#: Failures of one fit that its log line names; it counts the rest.
SHOWN_FAILURES = 3
#: Different lines that are counted before counting starts anew.
MANY_TEXTS = 1000

logger = logging.getLogger("skledger")

#: Every exception that was contained is also appended here, when it is a list. The test suite
#: puts one, so that a swallowed error fails the test which caused it.
swallowed: list[BaseException] | None = None


class contain:  # noqa: N801 - reads as a statement: ``with contain("the params"):``
    """Turn an exception of ours into one log line.

    ``BaseException`` (``KeyboardInterrupt``, ``SystemExit``) passes: those are the user's.

    Parameters
    ----------
    what : str
        What is lost when the block fails, as the object of "could not book ...".

    Attributes
    ----------
    failed : bool
        Whether the block was left by an exception.
    """

    __slots__ = ("failed", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.failed = False

    def __enter__(self) -> contain:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.failed = True
        report(self.what, error)
        return True


def report(what: str, error: BaseException) -> None:
    """Write the log line for a failure of ours; the traceback goes to DEBUG.

    Inside a fit the failures are kept, for the fit writes one line for all of them.
    """
    if swallowed is not None:
        swallowed.append(error)
    say(logging.DEBUG, "skledger: where it failed to book %s:", what, exc_info=error)
    failure = f"{what}: {type(error).__name__}: {_first_line(error)}"
    if thread.failures is None:
        log_failures([failure])
    else:
        thread.failures.append(failure)


def _first_line(error: BaseException) -> str:
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - a user's exception may have a broken __str__
        return "(it has no text)"
    return lines[0] if lines else ""


def say(level: int, message: str, *args: Any, **options: Any) -> None:
    """Log a message; a handler of the user's that fails costs nothing but the line."""
    try:
        logger.log(level, message, *args, **options)
    except Exception:  # noqa: BLE001 - such as a closed stderr
        pass


def log_failures(failures: list[str]) -> None:
    """Write one line for what went wrong in one place; the same again only now and then."""
    if not failures:
        return
    text = failure_text(failures)
    if len(_counts) > MANY_TEXTS:
        _counts.clear()
    count = _counts[text] = _counts.get(text, 0) + 1
    if count == 1:
        say(logging.WARNING, "skledger: could not book %s", text)
    elif count in (10, 100, 1000, 10_000):
        say(logging.WARNING, "skledger: %d times: could not book %s", count, text)


#: How often each line was wanted. Without a lock: a count that is one too low does no harm.
_counts: dict[str, int] = {}


def failure_text(failures: list[str]) -> str:
    """Return the first failures, and how many more there were."""
    more = len(failures) - SHOWN_FAILURES
    shown = "; ".join(failures[:SHOWN_FAILURES])
    return f"{shown}; and {more} more" if more > 0 else shown


class Switch:
    """What is true for the whole process: whether hooks listen, and which threads fit.

    Attributes
    ----------
    enabled : bool
        Every hook asks this first; installed is not enabled.
    started : int
        Outermost fits so far.
    answers : dict of int to callable
        By thread, while we compute a score in it, what gives the known answers of an estimator:
        ``answers[thread](wrapped, instance, args, kwargs)`` returns one in a tuple, or None. Not in
        `thread`, because every call of a hooked method looks here, and finds it empty.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.started = 0
        self.answers: dict[int, Callable[..., tuple[Any] | None]] = {}
        # By thread, so that a fit whose end was interrupted is not counted for ever.
        self._fitting: set[int] = set()

    @property
    def fits(self) -> int:
        """Outermost fits under way. The background writer waits while there are some."""
        return len(self._fitting)

    def fit_started(self) -> None:
        """Count the fit of this thread in."""
        self._fitting.add(threading.get_ident())
        self.started += 1

    def fit_ended(self) -> None:
        """Count the fit of this thread out."""
        self._fitting.discard(threading.get_ident())

    def after_fork(self) -> None:
        """Make a child that was forked by a running fit passive: the parent books that fit."""
        self._fitting.clear()
        self.answers.clear()
        if thread.depth:
            self.enabled = False


class _Thread(threading.local):
    """What is true for one thread.

    Attributes
    ----------
    depth : int
        Hooked calls under way; greater than 0 inside a fit that is being booked.
    warned : list or None
        Collects the warnings that the outermost fit raises.
    failures : list of str or None
        Collects what could not be booked of the outermost fit, for one log line.
    muted : bool
        Whether our own work is under way, whose warnings are nobody's business.
    tasks : object or None
        Who is told of the tasks of cross-validation that this call sends out.
    nest : tuple or None
        What a search that is fitted now belongs to: who is told of the outer tasks, and the task.
    place : object or None
        Where the call is booked, for what the user logs inside it.
    births : int
        Estimator classes being created in this thread.
    asking : bool
        Whether a fitted estimator or a metric is being asked: what they ask in turn is their part.
    """

    depth: int = 0
    failures: list[str] | None = None
    muted: bool = False
    births: int = 0
    asking: bool = False
    warned: list[Any] | None = None
    place: Any = None
    tasks: Any = None
    nest: tuple[Any, Any] | None = None

    def save(self) -> tuple[Any, ...]:
        """Return the state that a call inside this one takes over, for `restore`."""
        place, tasks, nest = self.place, self.tasks, self.nest
        return self.depth, self.warned, self.failures, self.muted, place, tasks, nest

    def restore(self, state: tuple[Any, ...]) -> None:
        """Take a state that was saved, in this thread or in another."""
        self.depth, self.warned, self.failures, self.muted = state[:4]
        self.place, self.tasks, self.nest = state[4:]


switch = Switch()
thread = _Thread()


class muted:  # noqa: N801 - reads as a statement: ``with muted():``
    """Keep the warnings of our own work from the user.

    Not by ``warnings.catch_warnings``: that empties the registries of all modules, so that
    warnings which were shown once are shown again. The hooks of the warnings module drop them.
    """

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = thread.muted
        thread.muted = True

    def __exit__(self, *exception: object) -> None:
        thread.muted = self._before


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=switch.after_fork)
