"""Searches that were fitted in other processes, as their results tell of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skledger._guard import contain
from skledger.capture.candidates import is_pipeline, is_search
from skledger.capture.results import PastCandidate, read_results
from skledger.ledger.fits import FitLedger
from skledger.ledger.notes import FitNote
from skledger.ledger.searches import SearchNote
from skledger.ledger.units import Unit

if TYPE_CHECKING:
    from skledger.hooks.events import FitCall
    from skledger.tracking.entities import RunInfo

__all__ = ["PastSearches", "add_candidates", "as_search", "searches_in"]


def searches_in(estimator: Any) -> Iterator[Any]:
    """Yield the search that an estimator is, or those that are steps of a pipeline."""
    if is_pipeline(estimator):
        for step in estimator.steps:
            yield from searches_in(step[1])
    elif hasattr(estimator, "get_params") and is_search(estimator):
        yield estimator


def add_candidates(note: SearchNote, candidates: Iterable[PastCandidate]) -> None:
    """Make children of a search's run of what its table tells.

    Parameters
    ----------
    note : SearchNote
        The search.
    candidates : iterable of PastCandidate
        What `skledger.capture.results.Results.past_candidates` read.
    """
    for past in candidates:
        params = note.units.texts.of(past.params, past.rung)
        unit = Unit(past.number, params, len(past.folds), past.folds, is_past=True)
        note.children.add(unit)
    note.units.is_numbered = True


def as_search(ledger: FitLedger, call: FitCall, note: FitNote) -> FitNote:
    """Return the note of a search, for a fit that has turned out to be one.

    Parameters
    ----------
    ledger : FitLedger
        Books it.
    call : FitCall
        The fit, which has ended; its estimator has a table of candidates.
    note : FitNote
        What was noted of it as of any estimator.
    """
    search = SearchNote(note.place, note.records, note.data, note.is_part)
    search.begin(_quiet(ledger), call)
    return search


def _quiet(ledger: FitLedger) -> FitLedger:
    # Nobody watches the progress of what is over.
    return FitLedger(replace(ledger.config, progress=False))


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
        self._ledger = _quiet(ledger)
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
            started = ended if started is None else started
            # What was fitted was scored, too, before the task was over.
            ended = min(ended, started + result.get("fit_time", ended - started))
            self._waiting.append((task, result["estimator"], started, ended))

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
        # Times are kept to the millisecond; a part must not end after the whole.
        seconds = min(ended - started, (round(1000 * ended) - began) / 1000)
        call = replace(self._call, estimator=search, started=began, seconds=seconds, warned=[])
        note = self._ledger.note(call, parent)
        # It was noted as what begins now.
        note.place.info = replace(note.place.info, start_time=began)
        call.started = began
        if isinstance(note, SearchNote):
            with contain("the candidates of a search in a worker"):
                add_candidates(note, read_results(search).past_candidates(started, ended))
        self._ledger.fit_ended(call, note)
