"""A search: its candidates as child runs, and what the search itself comes to."""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from skledger._guard import contain
from skledger._sigterm import ending_on_sigterm
from skledger.capture.candidates import ParamTexts, searched_by
from skledger.capture.params import params_as_text
from skledger.capture.results import Results, read_results
from skledger.ledger.children import Children
from skledger.ledger.notes import FitNote
from skledger.ledger.progress import open_progress
from skledger.ledger.records import error_tags, text_of_error
from skledger.ledger.units import Ending, Unit
from skledger.tracking.runs import status_after

if TYPE_CHECKING:
    from skledger.hooks.events import FitCall
    from skledger.ledger.fits import FitLedger

__all__ = ["SearchNote", "SearchUnits"]

CSV_FILE = "cv_results.csv"
BEST_RUN_TAG = "skledger.best_run"


class SearchUnits:
    """The candidates of a search; see `skledger.ledger.units.Units`.

    scikit-learn's own searches say with each task which candidate it is of. Others call
    ``cross_validate`` for each candidate: there, a round of tasks is a candidate.

    Parameters
    ----------
    search : BaseEstimator
        The search.
    """

    prefix = ""
    tag = "skledger.candidate"
    is_ranked = True

    def __init__(self, search: Any) -> None:
        self.estimator = searched_by(search)
        self.texts = ParamTexts(self.estimator)
        self.is_numbered = False
        refit = getattr(search, "refit", None)
        self.scorer = refit if isinstance(refit, str) else None
        self._search = search
        self._rounds: dict[object, tuple[int, dict[str, str]]] = {}
        self._others: dict[object, bool] = {}
        self._total = 0
        self._lock = threading.Lock()

    def place_of(self, task: Any) -> tuple[int, int] | None:
        """Return the candidate and the split."""
        if task.kind != "_fit_and_score" or type(task.estimator) is not type(self.estimator):
            return None
        if task.candidate is None:
            # Nor is what a step of the estimator cross-validates while it is trained.
            return None if self.is_numbered else (self._round(task.round, 1)[0], task.index)
        if self._is_of_another(task):
            return None
        self.is_numbered = True
        first, _ = self._round(task.round, task.candidate[1])
        split = task.split[0] if task.split is not None else 0
        return first + task.candidate[0], split

    def _is_of_another(self, task: Any) -> bool:
        """Tell whether a round is of a search inside the estimator, which is being refitted.

        What that one searches is a part of the estimator, and so has fewer params.
        """
        found = self._others.get(task.round)
        if found is None:
            names = (set(each.get_params(deep=True)) for each in (task.estimator, self.estimator))
            found = self._others[task.round] = next(names) != next(names)
        return found

    def _round(self, round_: object, size: int) -> tuple[int, dict[str, str]]:
        """Return the number of the first candidate of a round, and the params of all in it."""
        found = self._rounds.get(round_)
        if found is None:
            with self._lock:
                found = self._rounds.get(round_)
                if found is None:
                    found = self._total, self._rung()
                    self._rounds[round_] = found
                    self._total += size
        return found

    def _rung(self) -> dict[str, str]:
        """Return what a halving search gives the candidates of the rung under way."""
        resources = getattr(self._search, "n_resources_", None)
        if not isinstance(resources, list) or not resources:
            return {}
        return {"iter": str(len(resources) - 1), "n_resources": str(resources[-1])}

    def new(self, number: int, task: Any) -> Unit:
        """Return a candidate with its params."""
        rung = self._rounds[task.round][1]
        if task.candidate is None:
            return Unit(number, self.texts.of_estimator(task.estimator), None)
        params = self.texts.of(task.params or {}, rung)
        folds = task.split[1] if task.split else None
        return Unit(number, params, folds, rung=int(rung.get("iter", 0)))

    def number_of(self, round_: object) -> int | None:
        """Return the candidate of a round that is one."""
        found = self._rounds.get(round_)
        return None if self.is_numbered or found is None else found[0]

    def total(self) -> int | None:
        """Return how many candidates there will be, as far as that is known."""
        search, known = self._search, self._total
        if hasattr(search, "n_resources_"):
            return _halving_total(search, known)
        for name in ("n_iter", "n_trials"):
            wanted = getattr(search, name, None)
            if isinstance(wanted, int) and wanted > known:
                return wanted
        return known if self.is_numbered else None


def _halving_total(search: Any, known: int) -> int:
    """Return the candidates of all rungs of a halving search: each keeps one in `factor`."""
    rungs, left = len(search.n_resources_), getattr(search, "n_iterations_", 0)
    candidates = list(getattr(search, "n_candidates_", ()))
    if not candidates:
        return known
    size, total = int(candidates[-1]), int(sum(candidates))
    for _ in range(rungs, left):
        size = math.ceil(size / search.factor)
        total += size
    return max(known, total)


class SearchNote(FitNote):
    """What was noted before a search, and its candidates as they come."""

    __slots__ = ("children", "ending", "is_left_open", "units", "watch")

    children: Children
    #: What becomes of candidates that are not done when the search ends.
    ending: Ending | None
    #: Whether there may be candidates whose end is not written.
    is_left_open: bool
    units: SearchUnits
    watch: ending_on_sigterm

    def begin(self, ledger: FitLedger, call: FitCall) -> None:
        """Listen for candidates."""
        config, search = ledger.config, call.estimator
        self.ending, self.is_left_open = ending_after(KeyboardInterrupt()), True
        self.units = SearchUnits(search)
        title = f"{type(search).__name__}: {type(self.units.estimator).__name__}"
        self.children = Children(
            self.place,
            self.units,
            config.extra_tags,
            open_progress(title, config.progress),
            config.max_tuning_runs,
            self.records.inputs,
        )
        call.tasks = self.children
        self.watch = ending_on_sigterm(partial(ledger.book_death, self))
        self.watch.__enter__()

    def forget(self) -> None:
        """Let the process end as it likes, but leave no candidate RUNNING.

        The user may have interrupted our booking, or the store may have failed for a moment.
        """
        self.watch.__exit__(None, None, None)
        if self.is_left_open:
            with contain("the end of the candidates"):
                self.children.end(self.ending)
            self.children.close()

    def finish(self, ledger: FitLedger, call: FitCall) -> None:
        """Book the candidates that are left, and what the search found."""
        if call.error is not None:
            self.ending = ending_after(call.error)
            with contain("the candidates of the search") as attempt:
                self.children.end(self.ending)
            self.is_left_open = attempt.failed
            self.children.close(call.error)
            return
        self.ending = None
        results = read_results(call.estimator)
        with contain("the candidates of the search") as attempt:
            self._end_children(results, call.started / 1000)
        self.is_left_open = attempt.failed
        self.children.close()
        with contain("the best of the search"):
            self._book_best(results)
        if results.table is None:
            return
        with contain("the table of results"):
            from skledger.capture.cv_table import cv_results_csv

            self.records.files[CSV_FILE] = cv_results_csv(results.table)
        with contain("the pictures of the search"):
            self._book_pictures(results)

    def _end_children(self, results: Results, started: float) -> None:
        if not self.children.count():
            from skledger.ledger.past_searches import add_candidates

            add_candidates(self, results.past_candidates(started))
        self.children.end(None, results)

    def _book_best(self, results: Results) -> None:
        records = self.records
        best = params_as_text(results.best_params)
        records.add_params({f"best_{key}": value for key, value in best.items()})
        if results.best_score is not None:
            records.metrics["best_cv_score"] = results.best_score
        if results.best_index is not None:
            run_id = self.children.run_id(results.best_index)
            if run_id is not None:
                records.set_tags({BEST_RUN_TAG: run_id})

    def _book_pictures(self, results: Results) -> None:
        from skledger.capture.search_pictures import search_pictures

        scores = results.column(f"mean_test_{results.scorer}")
        errors = results.column(f"std_test_{results.scorer}")
        if results.params is None or scores is None:
            return
        rows = results.last_rows()
        resources = results.column("n_resources")
        self.records.pictures.update(
            search_pictures(
                [results.params[row] for row in rows],
                [scores[row] for row in rows],
                None if errors is None else [errors[row] for row in rows],
                metric=results.scorer,
                chosen=rows.index(results.best_index) if results.best_index in rows else None,
                resources=None if resources is None else [resources[row] for row in rows],
            )
        )

    def save_models(self, ledger: FitLedger, call: FitCall) -> None:
        """Store the search, and its best estimator alone."""
        if self.is_part:
            return
        self.save_model_of(ledger, call.estimator)
        best = getattr(call.estimator, "best_estimator_", None)
        if best is not None:
            self.records.best_model = ledger.save_model(best, self, "best_estimator")

    def end_early(self, ending: Ending) -> None:
        """Book the candidates so far: the process is about to go."""
        self.children.end(ending)
        self.children.close()

    def last_end(self) -> float:
        """Return when the last candidate ended."""
        return self.children.last_end


def ending_after(error: BaseException | None) -> Ending | None:
    """Return what becomes of the parts of a call that ended with an exception."""
    if error is None:
        return None
    message = f"the call it is part of ended before it: {text_of_error(error)}".rstrip(": ")
    return Ending(status_after(error), error_tags(type(error).__qualname__, message))
