"""What an estimator did at each of its iterations, as metrics with steps.

Estimators leave a curve in an attribute (``loss_curve_``), or can say what they would have
predicted after each stage. A metric is called as the attribute, without its underscore. A step is
the number of the iteration, from 0.
"""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger._guard import muted
from skledger.capture.budget import rows_of, sample_of
from skledger.capture.metrics_labels import target_array
from skledger.capture.metrics_score import final_model

__all__ = ["MAX_POINTS", "Step", "counts", "curves", "iterations", "staged_scores"]

#: A point of a curve: the metric, its value, its step.
Step = tuple[str, float, int]

#: Attributes that hold one number for each iteration.
_CURVES = (
    "loss_curve_",
    "validation_scores_",
    "train_score_",
    "validation_score_",
    "oob_improvement_",
    "oob_scores_",
    "estimator_errors_",
    "lower_bounds_",
    "loglike_",
    "error_",
    "scores_",
)
#: Curves that tell of each stage by itself, not of the model as it was then.
_OF_ONE_STAGE = ("estimator_errors", "oob_improvement")
#: Attributes that hold one number in all.
_COUNTS = ("n_iter_", "oob_score_")
#: Where the best iteration is: LightGBM and CatBoost count from 1 and 0, xgboost from 0.
_BEST = ("best_iteration_", "best_iteration")
#: Of a longer curve so many points are kept, evenly spread, the first and the last among them.
MAX_POINTS = 1000
#: Rows that are predicted after each stage, stages that are scored, and seconds that may take:
#: the larger of a fixed time and a share of the fit's.
STAGED_ROWS = 200
STAGED_POINTS = 50
STAGED_SECONDS, STAGED_SHARE = 0.01, 0.05


def iterations(
    estimator: Any,
    X: Any,
    y: Any,
    fit_seconds: float,
    seen: MutableMapping[str, int] | None = None,
) -> list[Step]:
    """Return what is known of an estimator's iterations: its curves, or its staged scores.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like of shape (n_samples, n_features) or None
        The training data; None when it must not be asked to predict.
    y : array-like of shape (n_samples,) or None
        Targets.
    fit_seconds : float
        How long the fit took.
    seen : mutable mapping of str to int, optional
        As in `curves`.

    Returns
    -------
    list of tuple (str, float, int)
        Metric, value and step.
    """
    found = curves(estimator, seen)
    if X is not None and all(name in _OF_ONE_STAGE for name, _, _ in found):
        found += staged_scores(estimator, X, y, fit_seconds)
    return found


def curves(estimator: Any, seen: MutableMapping[str, int] | None = None) -> list[Step]:
    """Return the curves that an estimator keeps.

    Parameters
    ----------
    estimator : estimator
        Fitted; of pipelines and searches, the model inside.
    seen : mutable mapping of str to int, optional
        How many points of each curve are booked already, as training goes on; it is brought up
        to date.

    Returns
    -------
    list of tuple (str, float, int)
        Metric, value and step.
    """
    model, _ = final_model(estimator)
    attributes = getattr(model, "__dict__", {})
    found: list[Step] = []
    for name in _CURVES:
        if name in attributes:
            found += _points(name[:-1], attributes[name], seen)
    for name, values in _evaluations(model):
        found += _points(name, values, seen)
    return found


def counts(estimator: Any) -> dict[str, float]:
    """Return the numbers of iterations, and the out-of-bag score.

    Parameters
    ----------
    estimator : estimator
        Fitted; of pipelines and searches, the model inside.

    Returns
    -------
    dict of str to float
        ``n_iter`` (of several, such as one for each class, the largest), ``best_iteration``
        and ``oob_score``.
    """
    model, _ = final_model(estimator)
    found: dict[str, float] = {}
    for name in _COUNTS:
        # Some are properties.
        value = getattr(model, name, None)
        if isinstance(value, np.ndarray | list) and name == "n_iter_" and len(value):
            value = np.max(value)
        if isinstance(value, numbers.Real) and math.isfinite(value):
            found[name[:-1]] = float(value)
    if isinstance(getattr(model, "evals_result_", None), Mapping):
        for name in _BEST:
            best = getattr(model, name, None)
            if isinstance(best, numbers.Real) and (best or name == "best_iteration"):
                found["best_iteration"] = float(best)
    return found


def _points(name: str, values: Any, seen: MutableMapping[str, int] | None) -> list[Step]:
    """Return a curve's points that were not seen; nothing where it is no curve."""
    if isinstance(values, list) and values and not isinstance(values[0], numbers.Real):
        return []
    if not isinstance(values, list | np.ndarray) or not len(values):
        return []
    curve = np.asarray(values)
    if curve.ndim != 1 or curve.dtype.kind not in "biuf":
        return []
    begin = 0
    if seen is not None:
        begin = seen.get(name, 0)
        # Shorter than it was: training has begun anew.
        begin = begin if begin <= len(curve) else 0
        seen[name] = len(curve)
    steps = begin + _spread(len(curve) - begin, MAX_POINTS)
    picked = curve[steps].tolist()
    return [
        (name, float(value), step)
        for value, step in zip(picked, steps.tolist(), strict=True)
        if math.isfinite(value)
    ]


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """Return at most so many positions among `count`, the first and the last among them."""
    if count <= most:
        return np.arange(count, dtype=np.intp)
    return np.linspace(0, count - 1, most).round().astype(np.intp)


def _evaluations(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the curves of the gradient boosting libraries: ``<data set>-<metric>``."""
    results = getattr(model, "evals_result_", None)
    if not isinstance(results, Mapping):
        return
    for data, metrics in results.items():
        if isinstance(metrics, Mapping):
            for metric, values in metrics.items():
                yield f"{data}-{metric}", values


def staged_scores(estimator: Any, X: Any, y: Any, fit_seconds: float) -> list[Step]:
    """Return the score that an estimator has after each of its stages, on a sample of the rows.

    Only asked where it keeps no curve itself. At most `STAGED_ROWS` rows are predicted, and the
    curve ends early when that takes more than a twentieth of the fit's time (0.01 s are allowed).

    Parameters
    ----------
    estimator : estimator
        Fitted, perhaps with ``staged_predict``.
    X : array-like of shape (n_samples, n_features)
        The training data.
    y : array-like of shape (n_samples,)
        Targets.
    fit_seconds : float
        How long the fit took.

    Returns
    -------
    list of tuple (str, float, int)
        ``staged_score``: accuracy or R2, at most `STAGED_POINTS` of them.
    """
    estimator, pipeline = final_model(estimator)
    # In a pipeline, the model is not given the rows as they are.
    if y is None or pipeline is not None or not hasattr(estimator, "staged_predict"):
        return []
    targets = target_array(y)
    if getattr(targets, "ndim", 0) != 1:
        return []
    rows = sample_of(len(targets), STAGED_ROWS)
    if rows is not None:
        X, targets = rows_of(X, rows), targets[rows]
    allowed = max(STAGED_SECONDS, STAGED_SHARE * fit_seconds)
    score = _score_of(estimator, targets)
    number = _number_of_stages(estimator)
    wanted = None if number is None else set(_spread(number, STAGED_POINTS).tolist())
    found: list[Step] = []
    with np.errstate(all="ignore"), muted():
        start = time.perf_counter()
        for step, predicted in enumerate(estimator.staged_predict(X)):
            if wanted is None or step in wanted:
                found.append(("staged_score", score(predicted), step))
            if time.perf_counter() - start > allowed:
                break
    return found


def _score_of(estimator: Any, targets: NDArray[Any]) -> Any:
    from sklearn.base import is_classifier

    if is_classifier(estimator):
        return lambda predicted: float(np.mean(np.asarray(predicted) == targets))
    deviations = targets - np.mean(targets)
    spread = float(deviations @ deviations)

    def r2(predicted: Any) -> float:
        errors = targets - np.asarray(predicted)
        return 1 - float(errors @ errors) / spread if spread else 0.0

    return r2


def _number_of_stages(estimator: Any) -> int | None:
    for name in ("n_iter_", "n_estimators_"):
        value = getattr(estimator, name, None)
        if isinstance(value, numbers.Integral):
            return int(value)
    stages = getattr(estimator, "estimators_", None)
    return len(stages) if isinstance(stages, list | np.ndarray) else None
