"""Searches that were fitted in other processes, as their results tell of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skledger._guard import contain
from skledger.capture.candidates import is_pipeline, is_search
from skledger.ledger.fits import FitLedger

if TYPE_CHECKING:
    from skledger.hooks.events import FitCall
    from skledger.tracking.entities import RunInfo

__all__ = ["PastSearches", "searches_in"]


def searches_in(estimator: Any) -> Iterator[Any]:
    """Yield the search that an estimator is, or those that are steps of a pipeline."""
    if is_pipeline(estimator):
        for step in estimator.steps:
            yield from searches_in(step[1])
    elif hasattr(estimator, "get_params") and is_search(estimator):
        yield estimator


class PastSearches:
    """The searches that tasks have brought home, until they are booked.

    Parameters
    ----------
    ledger : FitLedger
        Books them.
    call : FitCall
        The cross-validation that sent the tasks.
    parent_of : callable
        Returns the run of a task.
    """

    def __init__(
        self, ledger: FitLedger, call: FitCall, parent_of: Callable[[Any], RunInfo | None]
    ) -> None:
        # Nobody watches the progress of what is over.
        self._ledger = FitLedger(replace(ledger.config, progress=False))
        self._call = replace(
            call,
            method="fit",
            X=None,
            y=None,
            listener=self._ledger,
            note=None,
            tasks=None,
            arguments={},
        )
        self._parent_of = parent_of
        self._waiting: deque[tuple[Any, Any, float, float]] = deque()

    def add(
        self, task: Any, result: Mapping[str, Any], started: float | None, ended: float
    ) -> None:
        """Queue what a task fitted."""
        if result.get("fit_error") is None and "estimator" in result:
            times = ended if started is None else started, ended
            self._waiting.append((task, result["estimator"], *times))

    def book(self) -> None:
        """Book what has come."""
        while self._waiting:
            task, fitted, started, ended = self._waiting.popleft()
            for search in searches_in(fitted):
                with contain(f"the {type(search).__name__} of a fold"):
                    self._book(search, self._parent_of(task), started, ended)

    def _book(self, search: Any, parent: RunInfo | None, started: float, ended: float) -> None:
        if parent is None or not hasattr(search, "cv_results_"):
            return
        began = round(1000 * started)
        call = replace(
            self._call, estimator=search, started=began, seconds=ended - started, warned=[]
        )
        note = self._ledger.note(call, parent)
        # It was noted as what begins now.
        note.place.info = replace(note.place.info, start_time=began)
        call.started = began
        self._ledger.fit_ended(call, note)
