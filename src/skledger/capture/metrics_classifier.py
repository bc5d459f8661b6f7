"""Accuracy, precision, recall, F1 and log loss, from counts rather than from the labels.

The values are those of scikit-learn's functions of the same names (``zero_division`` at its
default, which counts an undefined ratio as 0), without their input checks and warnings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.metrics_labels import Labels

__all__ = ["class_metrics", "confusion", "log_loss", "multilabel_metrics", "one_column_per_class"]

Floats = NDArray[np.float64]

#: Up to here the whole confusion matrix is counted; above, only its margins and diagonal.
_MATRIX_CLASSES = 200


def confusion(labels: Labels, weight: Floats | None) -> Floats:
    """Count true classes (rows) against predicted ones (columns).

    Parameters
    ----------
    labels : Labels
        With predictions.
    weight : ndarray of shape (n_samples,) or None
        Sample weights, added up instead of rows.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Sums of weights.
    """
    assert labels.predicted is not None
    n_classes = len(labels.classes)
    cells = labels.true * n_classes + labels.predicted
    counted = np.bincount(cells, weight, minlength=n_classes * n_classes)
    return counted.reshape(n_classes, n_classes).astype(np.float64, copy=False)


def class_metrics(labels: Labels, weight: Floats | None, pos_label: Any = None) -> dict[str, float]:
    """Compute accuracy, and precision, recall and F1 over classes.

    Parameters
    ----------
    labels : Labels
        With predictions.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.
    pos_label : object, optional
        When given, precision, recall and F1 are those of this class of a binary problem;
        otherwise the classes' values averaged by how frequent the class is.

    Returns
    -------
    dict
        Metrics by name, without prefix.

    Raises
    ------
    ValueError
        When there is no such positive label; the message says which there are. Accuracy
        is computed all the same by a call without ``pos_label``.
    """
    hits, predicted, true = _counts(labels, weight)
    metrics: dict[str, float] = {}
    total = float(true.sum())
    if total:
        metrics["accuracy_score"] = float(hits.sum()) / total
    if pos_label is None:
        if not total:
            # Weights that cancel: scikit-learn then averages evenly over the labels that occur.
            present = _present(labels)
            hits, predicted, true = hits[present], predicted[present], true[present]
        return metrics | _averaged(hits, predicted, true)
    place = _positive(labels, pos_label)
    if place is None:
        return metrics | dict.fromkeys(("precision_score", "recall_score", "f1_score"), 0.0)
    one = slice(place, place + 1)
    return metrics | _averaged(hits[one], predicted[one], true[one])


def multilabel_metrics(y_true: Any, y_pred: Any, weight: Floats | None) -> dict[str, float]:
    """Compute subset accuracy, and precision, recall and F1 over the labels of each row.

    Parameters
    ----------
    y_true, y_pred : ndarray or sparse matrix of shape (n_samples, n_labels)
        Indicators; anything but 0 counts as set.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.

    Returns
    -------
    dict
        Metrics by name, without prefix.
    """
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"targets have shape {y_true.shape} and predictions {y_pred.shape}; both must have "
            "one column for each label"
        )
    rows = np.ones(y_true.shape[0]) if weight is None else weight
    if hasattr(y_true, "tocsr") or hasattr(y_pred, "tocsr"):
        exact, hits, predicted, true = _sparse_counts(y_true, y_pred, rows)
    else:
        truth, guess = y_true != 0, y_pred != 0
        exact = (y_true == y_pred).all(axis=1)
        hits, predicted, true = rows @ (truth & guess), rows @ guess, rows @ truth
    metrics = _averaged(hits, predicted, true)
    if rows.sum():
        metrics["accuracy_score"] = float(np.average(exact, weights=rows))
    return metrics


def one_column_per_class(labels: Labels, n_columns: int) -> NDArray[np.intp] | None:
    """Give true classes as columns when each column has its class in the target.

    scikit-learn's log loss and ROC AUC read the classes off the target, so they refuse a
    target in which one of the classes is missing.
    """
    present = labels.true_counts > 0
    if n_columns < 2 or int(present.sum()) != n_columns:
        return None
    if len(labels.classes) == n_columns:
        return labels.true
    renumbered: NDArray[np.intp] = np.cumsum(present)[labels.true] - 1
    return renumbered


def log_loss(
    probabilities: NDArray[np.floating], codes: NDArray[np.intp], weight: Floats | None
) -> float | None:
    """Mean negative log of the probability given to the true class.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Clipped to the precision of their type, away from 0 and 1.
    codes : ndarray of shape (n_samples,)
        True classes as columns.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.

    Returns
    -------
    float or None
        In nats. None when these are no probabilities, or the weights add up to nothing.
    """
    # Written so that a NaN anywhere fails the comparison.
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):
        return None
    chosen = probabilities[np.arange(len(codes)), codes]
    eps = np.finfo(chosen.dtype).eps
    losses = -np.log(np.clip(chosen, eps, 1 - eps).astype(np.float64, copy=False))
    if weight is None:
        return float(losses.mean())
    total = float(weight.sum())
    return float(losses @ weight) / total if total else None


def _counts(labels: Labels, weight: Floats | None) -> tuple[Floats, Floats, Floats]:
    """Weight per class of what is predicted rightly, predicted at all, and truly there."""
    n_classes = len(labels.classes)
    if n_classes <= _MATRIX_CLASSES:
        matrix = confusion(labels, weight)
        return matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    assert labels.predicted is not None
    right = labels.true == labels.predicted
    right_weight = None if weight is None else weight[right]
    counted = (
        np.bincount(labels.true[right], right_weight, minlength=n_classes),
        np.bincount(labels.predicted, weight, minlength=n_classes),
        np.bincount(labels.true, weight, minlength=n_classes),
    )
    hits, predicted, true = (one.astype(np.float64, copy=False) for one in counted)
    return hits, predicted, true


def _averaged(hits: Floats, predicted: Floats, true: Floats) -> dict[str, float]:
    """Average the classes' ratios by true weight; evenly when that adds up to nothing."""
    total = float(true.sum())
    shares = true / total if total else np.full(len(true), 1.0 / len(true))
    return {
        "precision_score": float(_ratio(hits, predicted) @ shares),
        "recall_score": float(_ratio(hits, true) @ shares),
        "f1_score": float(_ratio(2.0 * hits, predicted + true) @ shares),
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole != 0)


def _positive(labels: Labels, pos_label: Any) -> int | None:
    """Find the positive class; None when the data holds only one class, and another."""
    names = labels.classes[_present(labels)].tolist()
    if len(names) > 2:
        raise ValueError(
            f"pos_label={pos_label!r} was given, but the target has {len(names)} classes; "
            "precision, recall and F1 of one class need a binary target: leave pos_label out"
        )
    if pos_label in names:
        return int(labels.classes.tolist().index(pos_label))
    if len(names) == 2:
        raise ValueError(
            f"pos_label={pos_label!r} is not among the labels {names!r}; give one of them"
        )
    return None


def _present(labels: Labels) -> NDArray[np.bool_]:
    """Which classes occur among the true or the predicted labels."""
    assert labels.predicted is not None
    predicted = np.bincount(labels.predicted, minlength=len(labels.classes))
    present: NDArray[np.bool_] = (labels.true_counts + predicted) > 0
    return present


def _sparse_counts(
    y_true: Any, y_pred: Any, rows: Floats
) -> tuple[NDArray[np.bool_], Floats, Floats, Floats]:
    """Count a multilabel target without making it dense."""
    from scipy.sparse import csr_matrix

    truth, guess = (csr_matrix(one, dtype=np.float64) for one in (y_true, y_pred))
    differing = truth - guess
    differing.eliminate_zeros()
    exact = np.diff(differing.indptr) == 0
    truth, guess = truth != 0, guess != 0
    both, guess, truth = (one.astype(np.float64) for one in (truth.multiply(guess), guess, truth))
    return exact, both.T @ rows, guess.T @ rows, truth.T @ rows
