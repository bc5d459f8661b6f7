"""What measuring a model may cost: all rows where that is cheap, else a random sample of them.

Most models predict in a fraction of the time they were trained in. Neighbours and kernel machines
take longer, some a thousand times. So a few rows are predicted first, with a clock, and when the
whole would take longer than it may, as many rows are used as it does allow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.dataset import shape_of
from skledger.capture.metrics_score import (
    call,
    final_model,
    predicts_the_likeliest,
    score_metric,
)

__all__ = [
    "SAMPLED_ROWS",
    "SEED",
    "Allowance",
    "Budget",
    "affordable_rows",
    "rows_of",
    "sample_of",
    "untimed_rows",
]

#: Seconds that are always allowed.
ALLOWED = 1.0
#: Seconds that are always allowed for all predictions that are made for pictures after a ``score``.
HELD_OUT = 0.5
#: The share of the duration of the fit that is allowed when that is more.
SHARE = 0.5
#: Rows that are measured when a sample was asked for.
SAMPLED_ROWS = 1000
#: Rows that are predicted first; each further attempt takes `GROWTH` times as many.
FIRST_ROWS = 100
GROWTH = 10
#: Samples are drawn with this seed.
SEED = 0

#: Up to so many rows nobody reads a clock: what these modules hold predicts fast, or what it does
#: not in a second is small. A first prediction has its price, too.
_UNTIMED = (
    (("sklearn.linear_model.", "sklearn.tree.", "sklearn.naive_bayes", "sklearn.dummy"), 100_000),
    (("sklearn.discriminant_analysis", "sklearn.neural_network."), 20_000),
    (("sklearn.ensemble.",), 10_000),
    (("sklearn.",), 1_000),
)
_UNTIMED_FOREIGN = 200


@dataclass(frozen=True, slots=True)
class Budget:
    """How much time the predictions for metrics and pictures may take.

    Parameters
    ----------
    fit_seconds : float
        How long the fit took.
    mode : {"auto", "full", "sampled"}
        All rows unless that is too expensive, all rows, or a sample of `SAMPLED_ROWS`.
    """

    fit_seconds: float
    mode: str = "auto"

    @property
    def seconds(self) -> float:
        """What is allowed."""
        return max(ALLOWED, SHARE * self.fit_seconds)

    def sample(
        self, estimator: Any, kind: str, X: Any, y: Any
    ) -> tuple[Any, Any, NDArray[np.intp]] | None:
        """Return the rows that may be measured, and which they are; None for all.

        Parameters
        ----------
        estimator : estimator
            Fitted.
        kind : str
            ``classifier``, ``regressor``, or anything else for what can only score.
        X, y : array-like of shape (n_samples, ...)
            The data.
        """
        is_scored_only = kind not in ("classifier", "regressor")
        if not is_scored_only and not hasattr(estimator, "predict"):
            return None
        likeliest = kind == "classifier" and predicts_the_likeliest(estimator)

        def ask(some: Any) -> Any:
            if is_scored_only:
                return call(estimator.score, some)
            return call(estimator.predict_proba if likeliest else estimator.predict, some)

        def passes() -> int:
            if is_scored_only:
                return 1
            also_proba = kind == "classifier" and not likeliest
            return (
                1
                + (also_proba and hasattr(estimator, "predict_proba"))
                + (score_metric(estimator, weighted=False) is None and hasattr(estimator, "score"))
            )

        rows = affordable_rows(self, estimator, X, ask, passes)
        return None if rows is None else (rows_of(X, rows), rows_of(y, rows), rows)


def affordable_rows(
    budget: Budget,
    estimator: Any,
    X: Any,
    predict: Callable[[Any], Any],
    passes: Callable[[], int],
    clock: Callable[[], float] = time.perf_counter,
) -> NDArray[np.intp] | None:
    """Return the rows that may be measured.

    Parameters
    ----------
    budget : Budget
        What is allowed.
    estimator : estimator
        Fitted.
    X : array-like of shape (n_samples, n_features)
        The data.
    predict : callable
        Does to some rows what is going to be done to all; called for growing samples while
        that leaves open what the whole would take.
    passes : callable
        Returns how many such calls there will be.
    clock : callable
        Returns seconds.

    Returns
    -------
    ndarray of shape (n_rows,) or None
        Ascending; None for all of them.
    """
    n_rows = shape_of(X)[0]
    if n_rows is None or budget.mode == "full" or n_rows <= FIRST_ROWS:
        return None
    if budget.mode == "sampled":
        return sample_of(n_rows, SAMPLED_ROWS)
    if n_rows <= untimed_rows(estimator):
        return None
    try:
        affordable = _timed(budget.seconds, n_rows, X, predict, passes(), clock)
    except Exception:  # noqa: BLE001 - it cannot predict some rows; whether all, the caller sees
        return None
    return None if affordable is None else sample_of(n_rows, affordable)


def _timed(
    allowed: float,
    n_rows: int,
    X: Any,
    predict: Callable[[Any], Any],
    passes: int,
    clock: Callable[[], float],
) -> int | None:
    """Return how many rows can be predicted in the time that is allowed; None for all."""
    order = np.random.default_rng(SEED + 1)
    size, spent = FIRST_ROWS, 0.0
    before: tuple[int, float] | None = None
    while True:
        part = rows_of(X, np.sort(order.choice(n_rows, size, replace=False)))
        start = clock()
        predict(part)
        seconds = clock() - start
        spent += seconds
        # A call has a price of its own, which the second of two sizes takes out of the first.
        per_row = seconds / size
        if before is not None and seconds > before[1]:
            per_row = (seconds - before[1]) / (size - before[0])
        left = (allowed - spent) / passes
        if seconds + per_row * (n_rows - size) <= left:
            return None
        larger = min(GROWTH * size, n_rows // 2)
        # Certain enough, or too expensive to look any closer.
        if before is not None or larger <= size or seconds * larger / size > left / 2:
            break
        before, size = (size, seconds), larger
    rows = int(size + (left - seconds) / per_row) if per_row > 0 else n_rows
    # Fewer than were predicted already would say nothing.
    return None if rows >= n_rows else max(rows, FIRST_ROWS)


def untimed_rows(estimator: Any) -> int:
    """Return up to how many rows an estimator is just asked."""
    model, pipeline = final_model(estimator)
    module = type(model).__module__
    for prefixes, rows in _UNTIMED:
        if module.startswith(prefixes):
            # What stands before it in a pipeline may take longer.
            return rows if pipeline is None else min(rows, _UNTIMED[-1][1])
    return _UNTIMED_FOREIGN


def sample_of(n_rows: int, count: int) -> NDArray[np.intp] | None:
    """Return the rows of a random sample of known seed, ascending; None when it is all rows.

    Parameters
    ----------
    n_rows : int
        How many there are.
    count : int
        How many are wanted.
    """
    if count >= n_rows:
        return None
    return np.sort(np.random.default_rng(SEED).choice(n_rows, count, replace=False))


def rows_of(data: Any, rows: NDArray[np.intp]) -> Any:
    """Return some rows of data of any kind that scikit-learn takes.

    Parameters
    ----------
    data : array-like, DataFrame, sparse matrix or list
        The data.
    rows : ndarray of int of shape (n_rows,)
        Which.
    """
    if isinstance(data, np.ndarray):
        return data[rows]
    if isinstance(data, list | tuple):
        return [data[row] for row in rows.tolist()]
    from sklearn.utils import _safe_indexing

    return _safe_indexing(data.tocsr() if hasattr(data, "tocsr") else data, rows)


class Allowance:
    """The time that predictions for nothing but pictures of held-out data may take, after one fit.

    It is for all data sets together: a loop of scores on new data sets asks the model once more
    for each only until it is used up. What a prediction took tells what the next one takes, so a
    model is timed on a few rows only while nothing is known of it, and at most once a data set.

    Parameters
    ----------
    fit_seconds : float
        How long the fit took.
    price : tuple of (int, float), optional
        A prediction that was made already (`Evaluation.price`): of how many rows, in how many
        seconds. With it no few rows are asked for first, unless the data are much larger.
    clock : callable
        Returns seconds.

    Attributes
    ----------
    left : float
        Seconds that are left. Threads that predict at the same time may overdraw it by little:
        what a prediction is going to take is taken off before it begins.
    """

    __slots__ = ("_clock", "_price", "left")

    def __init__(
        self,
        fit_seconds: float = 0.0,
        price: tuple[int, float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.left = max(HELD_OUT, SHARE * fit_seconds)
        # Of the largest prediction so far. One tuple, so that other threads see both numbers.
        self._price = price or (0, 0.0)
        self._clock = clock

    def predict(self, estimator: Any, X: Any) -> Any:
        """Return the predictions for data, where there is time for them.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``predict``.
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        array-like or None
            None when it would take too long.
        """
        if not self.allows(estimator, X):
            return None
        n_rows = shape_of(X)[0] or 0
        expected = self._expected(n_rows)
        self.left -= expected
        try:
            return self._timed(estimator, X, n_rows)
        finally:
            self.left += expected

    def allows(self, estimator: Any, X: Any) -> bool:
        """Tell whether there is time to predict all rows; the parameters are those of `predict`."""
        if self.left <= 0:
            return False
        n_rows = shape_of(X)[0]
        if n_rows is None:
            return True
        known = self._price[0]
        size = max(GROWTH * known, FIRST_ROWS)
        # Far fewer rows than these say little: a call has a price of its own, too.
        if n_rows > size:
            if not known and n_rows <= untimed_rows(estimator):
                return True
            if not known or self._expected(n_rows) > self.left >= self._expected(size):
                self._look(estimator, X, n_rows, size)
        return self._expected(n_rows) <= self.left

    def _look(self, estimator: Any, X: Any, n_rows: int, size: int) -> None:
        """Predict some of the rows, to know what all would take."""
        rows = np.random.default_rng(SEED + 1).choice(n_rows, size, replace=False)
        # One that cannot predict some rows can perhaps predict all.
        with suppress(Exception):
            self._timed(estimator, rows_of(X, np.sort(rows)), size)

    def _timed(self, estimator: Any, X: Any, n_rows: int) -> Any:
        start = self._clock()
        try:
            predicted = call(estimator.predict, X)
        finally:
            seconds = self._clock() - start
            self.left -= seconds
        if n_rows >= max(self._price[0], FIRST_ROWS):
            self._price = n_rows, seconds
        return predicted

    def _expected(self, n_rows: int) -> float:
        """Return how many seconds that many rows take, or more; 0 when nothing is known."""
        rows, seconds = self._price
        return seconds * max(n_rows / rows, 1.0) if rows else 0.0
