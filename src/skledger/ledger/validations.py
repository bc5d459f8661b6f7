"""A cross-validation: one run, its folds as steps and, where asked for, as child runs."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from skledger._guard import contain
from skledger._sigterm import ending_on_sigterm
from skledger._writer import writer
from skledger.capture.candidates import Fold, ParamTexts, is_search, read_fold, summarise
from skledger.capture.params import params_as_text
from skledger.capture.validation import (
    argument_texts,
    curve_steps,
    evaluate_predictions,
    mean_and_std,
    scores_of_rows,
)
from skledger.ledger.children import INTERVAL, Children
from skledger.ledger.notes import FitNote
from skledger.ledger.place import OwnRun
from skledger.ledger.progress import open_progress
from skledger.ledger.searches import ending_after
from skledger.ledger.units import Ending, Unit, failure_of
from skledger.tracking.entities import Metric, RunInfo
from skledger.tracking.names import now_ms

if TYPE_CHECKING:
    from skledger.hooks.events import FitCall
    from skledger.ledger.fits import FitLedger

__all__ = ["FoldUnits", "ValidationNote", "params_of"]

#: The functions whose tasks are their folds, one each.
BY_FOLD = ("cross_validate", "cross_val_score")


def params_of(call: FitCall) -> dict[str, str]:
    """Return the params of the estimator, and what the function was asked.

    Where the estimator has a param of the same name (a search has a ``cv``), the function's is
    ``<function>__<name>``.
    """
    params = params_as_text(call.estimator.get_params(deep=True))
    for name, text in argument_texts(call.arguments).items():
        params[name if name not in params else f"{call.method}__{name}"] = text
    return params


class FoldUnits:
    """The tasks of a cross-validation, each a child; see `skledger.ledger.units.Units`."""

    prefix = "fold-"
    tag = "skledger.fold"
    is_numbered = True
    is_ranked = False

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self._texts = ParamTexts(estimator)

    def place_of(self, task: Any) -> tuple[int, int] | None:
        """Return the number of the task; permutations are too many, and of no interest each."""
        return None if task.kind == "_permutation_test_score" else (task.index, 0)

    def new(self, number: int, task: Any) -> Unit:
        """Return the fold."""
        return Unit(number, self._texts.of(task.params or {}), 1)

    def number_of(self, round_: object) -> int | None:
        """Return None: a round is all folds."""
        return None

    def total(self) -> int | None:
        """Return None: nobody waits for it."""
        return None


class ValidationNote(FitNote):
    """What was noted before a cross-validation, and its folds as they come."""

    __slots__ = (
        "_armed",
        "_arrived",
        "_call",
        "_children",
        "_folds",
        "_ledger",
        "_lock",
        "_rows",
        "_searches",
        "_watch",
        "wants_estimators",
    )

    def begin(self, ledger: FitLedger, call: FitCall) -> None:
        """Listen for folds."""
        self._ledger, self._call = ledger, call
        self._arrived: deque[Fold] = deque()
        self._searches: deque[tuple[Any, Any, float | None, float]] = deque()
        self._folds: list[Fold] = []
        self._rows: dict[int, Any] = {}
        self._armed = False
        self._lock = threading.RLock()
        self._children: Children | None = None
        if ledger.config.log_cross_validation == "folds":
            self._child_runs()
        by_fold = call.method in BY_FOLD
        asked = bool(call.arguments.get("return_estimator"))
        self.wants_estimators = by_fold and not asked and is_search(call.estimator)
        call.tasks = self
        self._watch = ending_on_sigterm(partial(ledger.book_death, self))
        self._watch.__enter__()

    def forget(self) -> None:
        """Let the process end as it likes."""
        self._watch.__exit__(None, None, None)

    def _child_runs(self) -> Children:
        with self._lock:
            if self._children is None:
                units = FoldUnits(self._call.estimator)
                quiet = open_progress("", False)
                tags = self._ledger.config.extra_tags
                self._children = Children(self.place, units, tags, quiet)
            return self._children

    # -- what comes, from any thread ------------------------------------------------------------

    def task_done(self, task: Any, result: Any, started: float | None, ended: float) -> None:
        """Queue a fold."""
        search = result.get("estimator") if self.wants_estimators else None
        if search is not None:
            self._child_runs()
            self._searches.append((task, search, started, ended))
        if self._children is not None:
            self._children.task_done(task, result, started, ended)
        if task.test is not None:
            self._rows[task.index] = task.test
        if self._call.method in BY_FOLD:
            self._arrived.append(read_fold(task.index, result, started, ended))
            if not self._armed:
                self._armed = True
                writer.alarm(INTERVAL, self._flush_late)

    def tasks_failed(self, tasks: Sequence[Any], error: BaseException) -> None:
        """Pass it on."""
        if self._children is not None:
            self._children.tasks_failed(tasks, error)

    def round_ended(self, round_: object, count: int) -> None:
        """Leave it: all is known when the call returns."""

    def run_for(self, task: Any) -> RunInfo | None:
        """Return the run of a fold, in which a search is fitted."""
        return self._child_runs().run_for(task)

    def _flush_late(self) -> None:
        with contain("the folds so far"), self._lock:
            self._armed = False
            self._book_searches()
            # A run of the user's gets its names when all is known; a short call, one write.
            if isinstance(self.place, OwnRun) and self.place.is_announced:
                self.place.add_steps(_steps(self._take()))

    def _book_searches(self) -> None:
        """Book the searches that were fitted in other processes, as they tell of themselves."""
        while self._searches:
            task, search, started, ended = self._searches.popleft()
            with contain("a search in a fold"):
                parent = self.run_for(task)
                began = ended if started is None else started
                call = replace(
                    self._call,
                    estimator=search,
                    method="fit",
                    X=None,
                    y=None,
                    started=round(1000 * began),
                    seconds=ended - began,
                    error=None,
                    warned=[],
                    tasks=None,
                    result=None,
                )
                self._ledger.book(call, self._ledger.note(call, parent))

    def _take(self) -> list[Fold]:
        """Return the folds that have come since the last time."""
        fresh = []
        while self._arrived:
            fresh.append(self._arrived.popleft())
        self._folds += fresh
        return fresh

    # -- the end --------------------------------------------------------------------------------

    def finish(self, ledger: FitLedger, call: FitCall) -> None:
        """Book what the function found."""
        with self._lock:
            self._book_searches()
            self._take()
            folds = sorted(self._folds, key=lambda fold: fold.index)
        if self._children is not None:
            with contain("the runs of the folds"):
                self._children.end(ending_after(call.error))
        with contain(f"the results of {call.method}"):
            if call.method in BY_FOLD:
                self._book_folds(folds, whole=call.error is None)
            elif call.error is None:
                _BOOKINGS[call.method](self, call)

    def save_models(self, ledger: FitLedger, call: FitCall) -> None:
        """Store nothing: the models of folds are thrown away by the function, too."""

    def end_early(self, ending: Ending) -> None:
        """Book the folds so far: the process is about to go."""
        if self._children is not None:
            self._children.end(ending)

    def last_end(self) -> float:
        """Return when the last fold ended."""
        return max((fold.ended for fold in self._folds), default=0.0)

    def _book_folds(self, folds: list[Fold], *, whole: bool) -> None:
        from skledger.capture.validation_pictures import folds_picture

        records = self.records
        records.steps += _steps(folds)
        if not whole:
            return
        (summary,) = summarise([folds])
        records.metrics.update(summary.metrics)
        records.add_params({"n_splits": str(len(folds))})
        failed = failure_of(summary)
        if failed is not None:
            records.status = failed.status
            records.set_tags(failed.tags)
        scores: dict[str, list[float]] = {}
        for fold in folds:
            for key, value in fold.scores.items():
                scores.setdefault(key, []).append(value)
        records.pictures.update(folds_picture(scores))

    def _book_predictions(self, call: FitCall) -> None:
        method = call.arguments.get("method", "predict")
        measured = evaluate_predictions(call.estimator, call.result, call.y, method)
        self.records.metrics.update(measured.metrics)
        self.records.pictures.update(measured.pictures)
        self.records.add_params({"n_splits": str(len(self._rows))})
        if method == "predict":
            rows = [self._rows[index] for index in sorted(self._rows)]
            scores = scores_of_rows(call.estimator, call.result, call.y, rows)
            self._add_steps([("test_score", score, at) for at, score in enumerate(scores)])
            if scores:
                self.records.metrics.update(mean_and_std("test_score", scores))

    def _book_learning_curve(self, call: FitCall) -> None:
        from skledger.capture.validation_pictures import learning_curve_picture

        sizes, train, test = call.result[:3]
        self._add_steps(curve_steps(sizes.tolist(), train, test))
        self.records.pictures.update(learning_curve_picture(sizes, train, test, _metric(call)))

    def _book_validation_curve(self, call: FitCall) -> None:
        from skledger.capture.validation_pictures import validation_curve_picture

        train, test = call.result
        name, values = call.arguments["param_name"], list(call.arguments["param_range"])
        self._add_steps(curve_steps(range(len(values)), train, test))
        picture = validation_curve_picture(name, values, train, test, _metric(call))
        self.records.pictures.update(picture)

    def _book_permutations(self, call: FitCall) -> None:
        import numpy as np

        from skledger.capture.validation_pictures import permutation_picture

        score, permuted, pvalue = call.result
        found = {"score": score, "pvalue": pvalue}
        if len(permuted):
            found["mean_permutation_score"] = np.mean(permuted)
            found["std_permutation_score"] = np.std(permuted)
        numbers = {name: float(value) for name, value in found.items()}
        self.records.metrics.update({k: v for k, v in numbers.items() if not math.isnan(v)})
        scores = enumerate(permuted.tolist())
        self._add_steps([("permutation_score", v, at) for at, v in scores if not math.isnan(v)])
        picture = permutation_picture(score, permuted, pvalue, _metric(call))
        self.records.pictures.update(picture)

    def _add_steps(self, steps: Sequence[tuple[str, float, int]]) -> None:
        now = now_ms()
        self.records.steps += [Metric(key, value, now, step) for key, value, step in steps]


_BOOKINGS = {
    "cross_val_predict": ValidationNote._book_predictions,
    "learning_curve": ValidationNote._book_learning_curve,
    "validation_curve": ValidationNote._book_validation_curve,
    "permutation_test_score": ValidationNote._book_permutations,
}


def _steps(folds: Sequence[Fold]) -> list[Metric]:
    """Return the scores of folds, each a step."""
    return [
        Metric(key, value, round(1000 * fold.ended), fold.index)
        for fold in folds
        for key, value in fold.known_scores()
    ]


def _metric(call: FitCall) -> str:
    """Return what the score is, in a word."""
    scoring = call.arguments.get("scoring")
    return scoring if isinstance(scoring, str) else "score"
