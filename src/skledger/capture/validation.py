"""What a cross-validation is asked and what it gives back, as records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from skledger.capture.metrics import Evaluation, evaluate
from skledger.capture.metrics_labels import target_array
from skledger.capture.metrics_regressor import as_columns, regression_metrics

__all__ = [
    "Step",
    "argument_texts",
    "curve_steps",
    "evaluate_predictions",
    "mean_and_std",
    "scores_of_rows",
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
    return {name: _text(arguments[name]) for name in ARGUMENTS if name in arguments}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(each)}" for key, each in value.items()) + "}"
    if hasattr(value, "__next__"):
        return type(value).__name__
    if isinstance(value, list | tuple) and any(isinstance(each, tuple) for each in value):
        return f"{len(value)} splits"
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
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
    import numpy as np

    steps: list[Step] = []
    for part, scores in (("train", train_scores), ("test", test_scores)):
        with np.errstate(all="ignore"):
            means, deviations = np.mean(scores, axis=1), np.std(scores, axis=1)
        for tick, mean, deviation in zip(ticks, means, deviations, strict=True):
            for name, value in (("mean", mean), ("std", deviation)):
                if not math.isnan(value):
                    steps.append((f"{name}_{part}_score", float(value), int(tick)))
    return steps


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


def evaluate_predictions(estimator: Any, predictions: Any, y: Any, method: str) -> Evaluation:
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

    Returns
    -------
    Evaluation
        Metrics and pictures, all with ``cv_`` before their names.
    """
    return evaluate(_Predicted(estimator, predictions, y, method), None, y, prefix="cv_")


def scores_of_rows(estimator: Any, predictions: Any, y: Any, rows: Sequence[Any]) -> list[float]:
    """Return the score of each fold's predictions: accuracy of a classifier, R2 of a regressor.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator, not fitted.
    predictions, y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        For every row.
    rows : sequence of ndarray of int
        The rows of each fold.

    Returns
    -------
    list of float
        Empty where there is no such score.
    """
    import numpy as np
    from sklearn.base import is_classifier, is_regressor

    if y is None or not hasattr(predictions, "shape"):
        return []
    y_true, y_pred = target_array(y), target_array(predictions)
    if is_classifier(estimator) and y_true.ndim == 1:
        hits = y_true == y_pred
        return [float(np.mean(hits[each])) for each in rows]
    if is_regressor(estimator):
        true, given = as_columns(y_true), as_columns(y_pred)
        found = [regression_metrics(true[each], given[each], None) for each in rows]
        return [each["r2_score"] for each in found if "r2_score" in each]
    return []


def mean_and_std(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return ``mean_<name>`` and ``std_<name>``, where they are numbers."""
    import numpy as np

    found = {f"mean_{name}": float(np.mean(values)), f"std_{name}": float(np.std(values))}
    return {key: value for key, value in found.items() if not math.isnan(value)}
