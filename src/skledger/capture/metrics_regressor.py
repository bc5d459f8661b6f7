"""Mean squared error, its root, mean absolute error and R2 from one array of errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_columns", "regression_metrics"]

Floats = NDArray[np.float64]


def as_columns(values: Any) -> Floats:
    """Give targets or predictions as floats of shape (n_samples, n_outputs)."""
    array = np.asarray(values.toarray() if hasattr(values, "toarray") else values, np.float64)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def regression_metrics(y_true: Floats, y_pred: Floats, weight: Floats | None) -> dict[str, float]:
    """Compute the four regression metrics, each the plain mean over outputs.

    All is computed in double precision, also for single precision predictions.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_samples, n_outputs)
        Targets and predictions.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.

    Returns
    -------
    dict
        Metrics by name, without prefix. R2 of a single row is NaN, as in scikit-learn.
        Empty where scikit-learn refuses: values that are not finite, weights of sum 0.
    """
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"targets have shape {y_true.shape} and predictions {y_pred.shape}; "
            "predict() must give one value for each row and output"
        )
    errors = y_true - y_pred
    total = len(errors) if weight is None else float(weight.sum())
    if not total or not (np.isfinite(y_true).all() and np.isfinite(y_pred).all()):
        return {}
    squares = errors * errors
    squared, spread, absolute = (
        _sums(one, weight) for one in (squares, _deviations(y_true, weight), np.abs(errors))
    )
    mean_squared = squared / total
    return {
        "mean_squared_error": float(mean_squared.mean()),
        "root_mean_squared_error": float(np.sqrt(mean_squared).mean()),
        "mean_absolute_error": float((absolute / total).mean()),
        "r2_score": _r2(squared, spread) if len(errors) > 1 else float("nan"),
    }


def _sums(values: Floats, weight: Floats | None) -> Floats:
    summed: Floats = values.sum(axis=0) if weight is None else weight @ values
    return summed


def _deviations(y_true: Floats, weight: Floats | None) -> Floats:
    """Squared distance of each target from the mean of its output."""
    mean = y_true.mean(axis=0) if weight is None else np.average(y_true, 0, weight)
    away: Floats = y_true - mean
    return away * away


def _r2(squared: Floats, spread: Floats) -> float:
    """Share of the spread explained; 1 for a perfect fit and else 0 where there is no spread."""
    scores = np.where(squared == 0, 1.0, 0.0)
    explained = (squared != 0) & (spread != 0)
    scores[explained] = 1.0 - squared[explained] / spread[explained]
    return float(scores.mean())
