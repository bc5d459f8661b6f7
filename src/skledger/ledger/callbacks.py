"""Iterations as they happen, by scikit-learn's callbacks (1.9 or later)."""

from __future__ import annotations

import logging
import operator
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from skledger._guard import contain, say, thread
from skledger.capture.metrics_score import call
from skledger.errors import InvalidParameterError, SkledgerError
from skledger.ledger.records import storable_key
from skledger.tracking import runs
from skledger.tracking.entities import Metric, RunChange
from skledger.tracking.names import now_ms
from skledger.tracking.session import get_store

__all__ = ["RunCallback"]

#: Values are written when so many seconds have gone by since the last were.
WRITE_EVERY = 0.2
#: What scikit-learn's searches call the task that trains on one split; of many at a time, the
#: curves of one run would be a tangle.
_ONE_SPLIT = "candidate-split-evaluation"


@dataclass(slots=True)
class _Fit:
    """A fit under way."""

    scorer: Any
    step: int = 0
    queue: list[Metric] = field(default_factory=list)
    written: float = -WRITE_EVERY
    is_lost: bool = False


class RunCallback:
    """Book a score after each iteration, while training goes on.

    ::

        model = LogisticRegression().set_callbacks(skledger.RunCallback(data=(X_val, y_val)))
        model.fit(X, y)

    The values go to the run of the fit that is being booked, else to your active run: as
    ``iteration_train_<score>`` and, with `data`, ``iteration_validation_<score>``, a step for each
    iteration. It is visible, RUNNING, from the first on. In a search, only the refit of the best is
    booked in this way, in a cross-validation nothing.

    Parameters
    ----------
    scoring : str, callable, list or dict, optional
        As in scikit-learn; the estimator's ``score`` by default.
    data : tuple of (array-like of shape (n_samples, n_features), array-like of shape (n_samples,))
        Validation data, optional.
    train : bool, default=True
        Whether to score the training data.

    Raises
    ------
    SkledgerError
        When the installed scikit-learn has no callbacks.
    InvalidParameterError
        When `data` is not a pair, or there is nothing to score.

    Notes
    -----
    Which estimators call it, and when, is up to scikit-learn. What estimators keep of their
    iterations anyway, such as ``loss_curve_``, is booked after every fit without a callback.
    Pickled, it is a callback that does nothing, so that a stored model needs neither this package
    nor `data`.
    """

    def __init__(
        self, scoring: Any = None, *, data: tuple[Any, Any] | None = None, train: bool = True
    ) -> None:
        if find_spec("sklearn.callback") is None:
            raise SkledgerError(
                f"RunCallback needs scikit-learn 1.9 or later, which has callbacks; this is "
                f"{version('scikit-learn')}. What estimators keep of their iterations is booked "
                "after the fit without it."
            )
        if data is not None and not (isinstance(data, Sequence) and len(data) == 2):
            raise InvalidParameterError(
                f"data is a pair of validation data, (X, y), not {type(data).__name__}."
            )
        if data is None and not train:
            raise InvalidParameterError(
                "there is nothing to score: give data=(X, y), or leave train=True."
            )
        self.scoring = scoring
        self.data = data
        self.train = train
        self._fits: dict[Any, _Fit] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # It is pickled with its estimator. A stored model should need neither us nor the
        # validation data, and in other processes there is no run: what comes out is a callback
        # that does nothing, made of what every Python has.
        silent = {
            "setup": dict,
            "teardown": dict,
            "on_fit_task_begin": operator.is_,
            "on_fit_task_end": operator.is_,
        }
        return SimpleNamespace, (), silent

    def __copy__(self) -> RunCallback:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> RunCallback:
        return self

    def setup(self, estimator: Any, context: Any) -> None:
        """Prepare for a fit; called by scikit-learn."""
        with contain(f"the iterations of {type(estimator).__name__}"):
            from sklearn.metrics import check_scoring

            self._fits[context.root_uuid] = _Fit(check_scoring(estimator, scoring=self.scoring))

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing; called by scikit-learn."""

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        fitted_estimator: Any = None,
    ) -> None:
        """Score an iteration; called by scikit-learn."""
        # The whole fit is a task, too, and is booked without us.
        if fitted_estimator is None or context.parent is None or not _is_wanted(context):
            return
        with contain(f"the iterations of {type(estimator).__name__}"):
            fit = self._fits.get(context.root_uuid)
            if fit is not None and not fit.is_lost:
                self._score(fit, fitted_estimator, X, y)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Write what is left; called by scikit-learn."""
        with contain(f"the iterations of {type(estimator).__name__}"):
            fit = self._fits.pop(context.root_uuid, None)
            if fit is not None:
                with self._lock:
                    _write(fit)

    def _score(self, fit: _Fit, model: Any, X: Any, y: Any) -> None:
        sets = {"train": (X, y) if self.train and X is not None else None, "validation": self.data}
        values = {
            f"iteration_{kind}_{name}": value
            for kind, data in sets.items()
            if data is not None
            for name, value in self._scores(fit.scorer, model, data).items()
        }
        now = now_ms()
        with self._lock:
            fit.queue += [
                Metric(storable_key(k), float(v), now, fit.step) for k, v in values.items()
            ]
            fit.step += 1
            if time.monotonic() - fit.written >= WRITE_EVERY:
                _write(fit)

    def _scores(self, scorer: Any, model: Any, data: tuple[Any, Any]) -> Mapping[str, float]:
        found = call(scorer, model, *data)
        if isinstance(found, Mapping):
            return found
        name = self.scoring if isinstance(self.scoring, str) else "score"
        return {name: found}


def _is_wanted(context: Any) -> bool:
    """Tell whether a task is an iteration of the one fit that its run is about."""
    if getattr(context, "source_task_name", None) is not None:  # a fit as a whole, of a step
        return False
    while context is not None:
        if getattr(context, "source_task_name", None) == _ONE_SPLIT:
            return False
        context = context.parent
    # Nor is one split of a cross-validation.
    return thread.nest is None or thread.nest[1] is None


def _write(fit: _Fit) -> None:
    """Write what is queued to the run of the fit under way, else to the user's."""
    if not fit.queue:
        return
    metrics, fit.queue, fit.written = tuple(fit.queue), [], time.monotonic()
    place = thread.place
    if place is not None:
        place.announce()
        place.add_steps(metrics)
        return
    active = runs.active_run()
    if active is None:
        fit.is_lost = True
        say(
            logging.WARNING,
            "skledger: there is no run for the iterations of a fit: call skledger.autolog(), or "
            "open one with skledger.start_run()",
        )
        return
    get_store().write(RunChange(active.info.run_id, metrics=metrics))
