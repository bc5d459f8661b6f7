"""A cross-validation: one run, its folds as steps and, where asked for, as child runs."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from skledger._guard import contain
from skledger._sigterm import ending_on_sigterm
from skledger._writer import writer
from skledger.capture.candidates import Fold, ParamTexts, Summary, read_fold, summarise
from skledger.capture.homecoming import comes_home
from skledger.capture.params import params_as_text
from skledger.capture.validation import (
    Step,
    argument_texts,
    curve_steps,
    evaluate_predictions,
    number_of_splits,
    score_of_predictions,
    targets_of,
    time_steps,
)
from skledger.ledger import after_fit
from skledger.ledger.children import INTERVAL, Children
from skledger.ledger.notes import FitNote
from skledger.ledger.past_searches import PastSearches, searches_in
from skledger.ledger.place import OwnRun
from skledger.ledger.progress import open_progress
from skledger.ledger.records import storable_key
from skledger.ledger.searches import ending_after
from skledger.ledger.units import Ending, Unit, failure_of
from skledger.tracking.entities import Metric, RunInfo
from skledger.tracking.names import now_ms

if TYPE_CHECKING:
    from skledger.hooks.events import FitCall
    from skledger.ledger.fits import FitLedger

__all__ = ["FoldUnits", "ValidationNote", "params_of"]

#: The functions whose tasks are their folds, one each.
BY_FOLD = ("cross_validate", "cross_val_score", "cross_val_predict")
#: Of those, the ones whose tasks bring scores.
SCORED = ("cross_validate", "cross_val_score")


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
    scorer: str | None = None

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
        "_alarm",
        "_arrived",
        "_call",
        "_children",
        "_failure",
        "_folds",
        "_has_ended",
        "_ledger",
        "_lock",
        "_searches",
        "_seen",
        "_targets",
        "_watch",
        "_written",
        "wants_estimators",
    )

    def begin(self, ledger: FitLedger, call: FitCall) -> None:
        """Listen for folds."""
        self._ledger, self._call = ledger, call
        self._arrived: deque[Fold] = deque()
        self._folds: list[Fold] = []
        self._written = 0  # of those
        self._failure: tuple[int, str] | None = None  # of the first task that failed
        self._targets: Any = None
        self._alarm: object = None
        self._has_ended = False
        self._lock = threading.RLock()
        self._children: Children | None = None
        self._seen: set[tuple[object, int]] = set()
        self._searches: PastSearches | None = None
        self.wants_estimators = False
        with contain("the runs of the folds"):
            if ledger.config.log_cross_validation == "folds":
                self._child_runs()
            self._await_searches(ledger, call)
        call.tasks = self
        self._watch = ending_on_sigterm(partial(ledger.book_death, self))
        self._watch.__enter__()

    def _await_searches(self, ledger: FitLedger, call: FitCall) -> None:
        """Have the searches of tasks in other processes brought home, if there are some."""
        if call.method in SCORED and any(searches_in(call.estimator)):
            self._searches = PastSearches(ledger, call, self.run_for)
            if not call.arguments.get("return_estimator"):
                self.wants_estimators = comes_home(call.estimator)

    def forget(self) -> None:
        """Let the process end as it likes; a Ctrl-C while we booked leaves no fold RUNNING."""
        self._watch.__exit__(None, None, None)
        self._end_children(None)
        writer.cancel(self._alarm)
        self._searches = self._targets = None  # a circle would keep what they hold

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
        told = result if isinstance(result, Mapping) else self._measured(task, result)
        searches = self._searches
        if searches is not None and (task.round, task.index) not in self._seen:
            self._child_runs()
            searches.add(task, told, started, ended)
        if self._children is not None:
            self._children.task_done(task, told, started, ended)
        error = told.get("fit_error")
        if error is not None and (self._failure is None or task.index < self._failure[0]):
            self._failure = task.index, error
        if self._call.method in BY_FOLD:
            self._arrived.append(read_fold(task.index, told, started, ended))
            if self._alarm is None:
                self._alarm = writer.alarm(INTERVAL, self._flush_late)

    def _measured(self, task: Any, result: Any) -> Mapping[str, Any]:
        """Return the score of the predictions that a task brought."""
        call = self._call
        if task.kind == "_fit_and_predict" and call.arguments.get("method") == "predict":
            with contain("the score of a fold's predictions"):
                if self._targets is None:
                    self._targets = targets_of(call.y)
                score = score_of_predictions(call.estimator, result, self._targets, task.test)
                return {} if score is None else {"test_scores": score}
        return {}

    def tasks_failed(self, tasks: Sequence[Any], error: BaseException) -> None:
        """Pass it on."""
        if self._children is not None:
            self._children.tasks_failed(tasks, error)

    def round_ended(self, round_: object, count: int) -> None:
        """Leave it: all is known when the call returns."""

    def run_for(self, task: Any) -> RunInfo | None:
        """Return the run of a fold, in which a search is fitted."""
        if self._has_ended:  # of a thread that an interrupt left behind
            return None
        self._seen.add((task.round, task.index))
        return self._child_runs().run_for(task)

    def _flush_late(self) -> None:
        with contain("the folds so far"), self._lock:
            self._alarm = None
            if self._has_ended:
                return
            if self._searches is not None:
                self._searches.book()
            # A run of the user's gets its names when all is known; a short call, one write.
            if not isinstance(self.place, OwnRun):
                return
            if self.place.is_announced:
                self._take()
                self.place.add_steps(_steps(self._folds[self._written :]))
                self._written = len(self._folds)
            else:  # it will be soon, and the next fold may be far
                self._alarm = writer.alarm(INTERVAL, self._flush_late)

    def _take(self) -> None:
        while self._arrived:
            self._folds.append(self._arrived.popleft())

    # -- the end --------------------------------------------------------------------------------

    def finish(self, ledger: FitLedger, call: FitCall) -> None:
        """Book what the function found."""
        self._end_children(ending_after(call.error))
        with contain(f"the results of {call.method}"):
            if call.method in BY_FOLD:
                self._book_folds(whole=call.error is None)
            if call.error is None:
                if call.method in _BOOKINGS:
                    _BOOKINGS[call.method](self, call)
                self._book_failure()

    def _end_children(self, ending: Ending | None) -> None:
        """End the runs of the folds, once, with all that has come."""
        with self._lock:
            if self._has_ended:
                return
            if self._searches is not None:
                self._searches.book()
            self._take()
            if self._children is not None:
                with contain("the runs of the folds"):
                    self._children.end(ending)
            self._has_ended = True

    def save_models(self, ledger: FitLedger, call: FitCall) -> None:
        """Store nothing: the models of folds are thrown away by the function, too."""

    def link(self, call: FitCall) -> None:
        """Link the predictions; there is no model."""
        if call.method == "cross_val_predict":
            after_fit.link_predictions(call, self)

    def end_early(self, ending: Ending) -> None:
        """Book the folds so far: the process is about to go."""
        self._end_children(ending)
        with contain("the folds so far"):
            self._book_folds(whole=False)

    def last_end(self) -> float:
        """Return when the last fold ended."""
        return max((fold.ended for fold in self._folds), default=0.0)

    def _book_folds(self, *, whole: bool) -> None:
        from skledger.capture.validation_pictures import folds_picture

        self.records.steps += _steps(self._folds[self._written :])
        if not whole:
            return
        folds = sorted(self._folds, key=lambda fold: fold.index)
        (summary,) = summarise([folds])
        self.records.metrics.update(summary.metrics)
        self._add_param("n_splits", len(folds))
        self._fail(failure_of(summary))
        scores: dict[str, list[float]] = {}
        for fold in folds:
            for key, value in fold.scores.items():
                known = value if fold.error is None else math.nan
                scores.setdefault(key, [math.nan] * len(folds))[fold.index] = known
        self.records.pictures.update(folds_picture(scores))

    def _book_failure(self) -> None:
        """A call that went on without some fits has failed in part, whatever it returned."""
        if self._failure is not None:
            self._fail(failure_of(Summary(error=self._failure[1])))

    def _fail(self, ending: Ending | None) -> None:
        if ending is not None:
            self.records.status = ending.status
            self.records.set_tags(ending.tags)

    def _book_predictions(self, call: FitCall) -> None:
        measured = evaluate_predictions(
            call.estimator,
            call.result,
            call.y,
            call.arguments.get("method", "predict"),
            pos_label=self._ledger.config.pos_label,
        )
        self.records.metrics.update(measured.metrics)
        self.records.pictures.update(measured.pictures)

    def _book_learning_curve(self, call: FitCall) -> None:
        from skledger.capture.validation_pictures import learning_curve_picture

        sizes, train, test, *times = call.result
        self._book_curve(curve_steps(sizes.tolist(), train, test), test)
        self._add_steps(time_steps(sizes.tolist(), *times))
        self.records.pictures.update(learning_curve_picture(sizes, train, test, _metric(call)))

    def _book_validation_curve(self, call: FitCall) -> None:
        from skledger.capture.validation_pictures import validation_curve_picture

        train, test = call.result
        name, values = call.arguments["param_name"], list(call.arguments["param_range"])
        self._book_curve(curve_steps(range(len(values)), train, test), test)
        picture = validation_curve_picture(name, values, train, test, _metric(call))
        self.records.pictures.update(picture)

    def _book_curve(self, steps: Sequence[Step], test_scores: Any) -> None:
        import numpy as np

        self._add_steps(steps)
        self._add_param("n_splits", test_scores.shape[1])
        if np.isnan(test_scores).any():
            self._fail(failure_of(Summary(error="ValueError: test_score is not a number")))

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
        n_splits = number_of_splits(call.estimator, call.arguments)
        if n_splits is not None:
            self._add_param("n_splits", n_splits)
        picture = permutation_picture(score, permuted, pvalue, _metric(call))
        self.records.pictures.update(picture)

    def _add_param(self, name: str, value: int) -> None:
        """Add what is known of the call at its end; the estimator's params keep their names."""
        taken = name in self.records.params
        self.records.add_params({f"{self._call.method}__{name}" if taken else name: str(value)})

    def _add_steps(self, steps: Iterable[Step]) -> None:
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
        Metric(storable_key(key), value, round(1000 * fold.ended), fold.index)
        for fold in folds
        for key, value in fold.known_scores()
    ]


def _metric(call: FitCall) -> str:
    """Return what the score is, in a word."""
    scoring = call.arguments.get("scoring")
    return scoring if isinstance(scoring, str) else "score"
