"""What a cross-validation is asked and what it gives back, as records."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from skledger._guard import contain
from skledger.capture.metrics import Evaluation, evaluate
from skledger.capture.metrics_labels import target_array
from skledger.capture.metrics_regressor import as_columns, regression_metrics

__all__ = [
    "Step",
    "argument_texts",
    "curve_steps",
    "evaluate_predictions",
    "number_of_splits",
    "score_of_predictions",
    "targets_of",
    "time_steps",
]

#: The arguments that say what was done, beside the estimator and the data.
ARGUMENTS = (
    "cv",
    "scoring",
    "method",
    "train_sizes",
    "param_name",
    "param_range",
    "exploit_incremental_learning",
    "n_permutations",
    "random_state",
    "error_score",
)

#: One value of a metric at a step.
Step = tuple[str, float, int]


def argument_texts(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments of a cross-validation as text.

    Parameters
    ----------
    arguments : mapping
        All arguments of the call by name.
    """
    texts = {}
    for name in ARGUMENTS:
        if name in arguments:
            with contain(f"the argument {name!r}"):
                texts[name] = _text(arguments[name], of_splits=name == "cv")
    return texts


def _text(value: Any, *, of_splits: bool = False) -> str:
    """Return what a value is, in words that are the same tomorrow: no address of an object."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(each)}" for key, each in value.items()) + "}"
    if of_splits and isinstance(value, Sequence) and not isinstance(value, str):
        return f"{len(value)} splits"
    if isinstance(value, functools.partial):
        return _text(value.func)
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    if hasattr(value, "__next__") or repr(value) == object.__repr__(value):
        return type(value).__name__
    return str(value.tolist()) if hasattr(value, "tolist") else str(value)


def curve_steps(ticks: Sequence[int], train_scores: Any, test_scores: Any) -> list[Step]:
    """Return the means and standard deviations of a curve.

    Parameters
    ----------
    ticks : sequence of int
        The step of each row.
    train_scores, test_scores : ndarray of shape (n_ticks, n_folds)
        As scikit-learn returns them.
    """
    return [*_means("train_score", ticks, train_scores), *_means("test_score", ticks, test_scores)]


def time_steps(ticks: Sequence[int], fit_times: Any = None, score_times: Any = None) -> list[Step]:
    """Return the means and standard deviations of the times of a curve, in s.

    Parameters
    ----------
    ticks : sequence of int
        The step of each row.
    fit_times, score_times : ndarray of shape (n_ticks, n_folds), optional
        As scikit-learn returns them.
    """
    times = {"fit_time": fit_times, "score_time": score_times}
    return [
        step
        for name, values in times.items()
        if values is not None
        for step in _means(name, ticks, values)
    ]


def _means(name: str, ticks: Sequence[int], values: Any) -> list[Step]:
    import numpy as np

    with np.errstate(all="ignore"):
        means, deviations = np.mean(values, axis=1), np.std(values, axis=1)
    return [
        (f"{kind}_{name}", float(value), int(tick))
        for tick, *both in zip(ticks, means, deviations, strict=True)
        for kind, value in zip(("mean", "std"), both, strict=True)
        if not math.isnan(value)
    ]


class _Predicted:
    """Stands for the estimators of all folds, which have predicted every row once."""

    def __init__(self, estimator: Any, predictions: Any, y: Any, method: str) -> None:
        import numpy as np

        self._estimator = estimator
        if method == "predict":
            self.predict = lambda X: predictions
        elif method == "predict_proba" and not isinstance(predictions, list):
            self.classes_ = np.unique(np.asarray(y))
            self.predict_proba = lambda X: predictions
            self.predict = lambda X: self.classes_.take(np.argmax(predictions, axis=1))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags

        return get_tags(self._estimator)


def evaluate_predictions(
    estimator: Any, predictions: Any, y: Any, method: str, pos_label: Any = None
) -> Evaluation:
    """Measure predictions that were made for rows that the estimator had not seen.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator, not fitted.
    predictions : array-like of shape (n_samples, ...)
        What ``cross_val_predict`` returned.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
        Targets.
    method : str
        What the estimators were asked: ``predict`` and ``predict_proba`` can be measured.
    pos_label : object, optional
        The positive class of a binary target.

    Returns
    -------
    Evaluation
        Metrics and pictures, all with ``cv_`` before their names.
    """
    predicted = _Predicted(estimator, predictions, y, method)
    return evaluate(predicted, None, y, pos_label=pos_label, prefix="cv_")


def targets_of(y: Any) -> Any:
    """Return the targets as an array, None where there are none."""
    return None if y is None else target_array(y)


def score_of_predictions(estimator: Any, predictions: Any, targets: Any, rows: Any) -> float | None:
    """Return the score of one fold's predictions: accuracy of a classifier, R2 of a regressor.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator, not fitted.
    predictions : array-like of shape (n_rows,) or (n_rows, n_outputs)
        For the rows of the fold.
    targets : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        For every row, as `targets_of` gives them.
    rows : ndarray of int of shape (n_rows,)
        The rows of the fold.

    Returns
    -------
    float or None
        None where there is no such score.
    """
    import numpy as np
    from sklearn.base import is_classifier, is_regressor

    if targets is None or not hasattr(predictions, "shape"):
        return None
    y_true, y_pred = targets[rows], target_array(predictions)
    if is_classifier(estimator) and y_true.shape == y_pred.shape:
        hits = y_true == y_pred
        return float(np.mean(hits if hits.ndim == 1 else hits.all(axis=1)))
    if is_regressor(estimator):
        return regression_metrics(as_columns(y_true), as_columns(y_pred), None).get("r2_score")
    return None


def number_of_splits(estimator: Any, arguments: Mapping[str, Any]) -> int | None:
    """Return how many splits a cross-validation makes, as far as its arguments tell.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator.
    arguments : mapping
        All arguments of the call by name.
    """
    from sklearn.base import is_classifier
    from sklearn.model_selection import check_cv

    cv, y = arguments.get("cv"), arguments.get("y")
    if hasattr(cv, "__next__"):
        return None  # it has been used up
    splitter = check_cv(cv, y, classifier=is_classifier(estimator))
    return int(splitter.get_n_splits(arguments.get("X"), y, arguments.get("groups")))
