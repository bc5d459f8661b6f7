"""The numbers behind the pictures of a training: small, and ready to be written as JSON.

Each function gives dicts by name, without the prefix of the evaluation. The forms, by
``"kind"``:

``confusion_matrix``
    ``labels`` and ``matrix`` (rows true, columns predicted; sums of weights). With more than
    200 classes the most frequent 200, and ``left_out``, the number of the others.
``roc_curve``, ``precision_recall_curve``
    ``curves``: each with ``label``, ``x``, ``y`` (x ascending, at most 200 points) and
    ``area``. The x and y are false and true positive rate, or recall and precision, where a
    precision holds from the previous recall up to its own. Two classes: the greater one's
    curve. More: ``macro average`` first, then each class against the rest; of more than 10
    only the 5 of the smallest area, and ``classes`` says how many there are. ``sampled`` is
    the number of rows, where not all were used.
``predicted_vs_actual``
    ``actual``, ``predicted`` (at most 1000 rows, evenly strided) and ``n``, the number of rows.
``residuals``
    ``predicted``, ``residual`` (actual minus predicted) likewise, ``n``, and ``histogram`` of
    all residuals with ``edges`` and ``counts``.
``bars``, ``heatmap``
    See :mod:`skledger.capture.pictures_features`.

All have a ``title``. Numbers have six significant digits; what is not finite is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.curves import (
    Ranking,
    average_precision,
    macro_average,
    pr_line,
    rank,
    roc_area,
    roc_line,
    thin,
)
from skledger.capture.metrics_classifier import confusion
from skledger.capture.metrics_labels import Labels

__all__ = [
    "MAX_CELLS",
    "confusion_picture",
    "curve_pictures",
    "label_text",
    "regression_pictures",
    "short",
]

Floats = NDArray[np.float64]
Pictures = dict[str, dict[str, Any]]

#: Curves of more probabilities than this (rows times classes) are taken from a sample of rows.
MAX_CELLS = 2_000_000

_MAX_LABELS = 200
_MAX_CURVES = 10
_WORST_CURVES = 5
_MAX_MARKS = 1000
_MAX_BINS = 50
_MAX_TEXT = 60


def confusion_picture(labels: Labels, weight: Floats | None, caption: str = "") -> Pictures:
    """Give the confusion matrix over the labels that occur.

    Parameters
    ----------
    labels : Labels
        True and predicted classes.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.
    caption : str
        What the title begins with.

    Returns
    -------
    dict
        ``confusion_matrix``.
    """
    assert labels.predicted is not None
    seen = labels.true_counts + np.bincount(labels.predicted, minlength=len(labels.classes))
    chosen = np.flatnonzero(seen)
    left_out = max(0, len(chosen) - _MAX_LABELS)
    if left_out:
        chosen = np.sort(np.argsort(-seen, kind="stable")[:_MAX_LABELS])
    if len(chosen) < len(labels.classes):
        place = np.full(len(labels.classes), -1, dtype=np.intp)
        place[chosen] = np.arange(len(chosen))
        true, predicted = place[labels.true], place[labels.predicted]
        if left_out:
            both = (true >= 0) & (predicted >= 0)
            true, predicted = true[both], predicted[both]
            weight = None if weight is None else weight[both]
        labels = Labels(labels.classes[chosen], true, predicted, labels.true_counts[chosen])
    matrix = confusion(labels, weight)
    whole = weight is None or bool((matrix == np.rint(matrix)).all())
    picture: dict[str, Any] = {
        "kind": "confusion_matrix",
        "title": _title(caption, "confusion matrix"),
        "labels": [label_text(name) for name in labels.classes.tolist()],
        "matrix": matrix.astype(np.int64).tolist() if whole else short(matrix),
    }
    if left_out:
        picture["left_out"] = left_out
    return {"confusion_matrix": picture}


def curve_pictures(
    probabilities: NDArray[np.floating],
    codes: NDArray[np.intp],
    columns: NDArray[Any],
    *,
    weight: Floats | None = None,
    rankings: Sequence[Ranking] = (),
    area: float | None = None,
    caption: str = "",
) -> Pictures:
    """Give ROC and precision-recall curves.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Predicted probabilities, a column for each class.
    codes : ndarray of shape (n_samples,)
        True classes as columns; -1 for none of them.
    columns : ndarray of shape (n_classes,)
        The classes, ascending.
    weight : ndarray of shape (n_samples,), optional
        Sample weights.
    rankings : sequence of Ranking
        Those that computing ROC AUC has left: one for each column, or one for the greater of
        two classes. When empty they are computed here.
    area : float, optional
        ROC AUC of all rows when there are two classes.
    caption : str
        What the titles begin with.

    Returns
    -------
    dict
        ``roc_curve`` and ``precision_recall_curve``; empty when no class has both members
        and others, or a probability is not finite.
    """
    sampled = 0
    if probabilities.size > MAX_CELLS:
        step = -(-probabilities.size // MAX_CELLS)
        probabilities, codes = probabilities[::step], codes[::step]
        weight = None if weight is None else weight[::step]
        rankings, sampled = [], len(codes)
    binary = len(columns) == 2
    classes = [1] if binary else range(len(columns))
    if not rankings:
        if not np.isfinite(probabilities).all():
            return {}
        occurring = set(np.unique(codes).tolist())
        rankings = [
            rank(np.ascontiguousarray(probabilities[:, one]), codes == one, weight)
            if one in occurring
            else Ranking(np.empty(0), np.empty(0))
            for one in classes
        ]
    names = [label_text(columns[one]) for one in classes]
    usable = [pair for pair in zip(names, rankings, strict=True) if pair[1].defined]
    if not usable:
        return {}
    extra = {"sampled": sampled} if sampled else {}
    roc = {"kind": "roc_curve", "title": _title(caption, "ROC curve")}
    precision = {
        "kind": "precision_recall_curve",
        "title": _title(caption, "precision-recall curve"),
    }
    roc |= _curves(usable, "roc", binary, area if binary else None) | extra
    precision |= _curves(usable, "pr", binary) | extra
    return {"roc_curve": roc, "precision_recall_curve": precision}


def regression_pictures(y_true: Floats, y_pred: Floats, caption: str = "") -> Pictures:
    """Give predictions against targets, and the residuals, of the first output.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_samples, n_outputs)
        Targets and predictions.
    caption : str
        What the titles begin with.

    Returns
    -------
    dict
        ``predicted_vs_actual`` and ``residuals``.
    """
    n_samples, n_outputs = y_true.shape
    actual, predicted = y_true[:, 0], y_pred[:, 0]
    residual = actual - predicted
    step = max(1, -(-n_samples // _MAX_MARKS))
    extra: dict[str, Any] = {"n": n_samples}
    of_output = ""
    if n_outputs > 1:
        extra["outputs"] = n_outputs
        of_output = f" (output 1 of {n_outputs})"
    marks = short(predicted[::step])
    edges, counts = _histogram(residual)
    return {
        "predicted_vs_actual": {
            "kind": "predicted_vs_actual",
            "title": _title(caption, f"predicted vs. actual{of_output}"),
            "actual": short(actual[::step]),
            "predicted": marks,
            **extra,
        },
        "residuals": {
            "kind": "residuals",
            "title": _title(caption, f"residuals{of_output}"),
            "predicted": marks,
            "residual": short(residual[::step]),
            "histogram": {"edges": edges, "counts": counts},
            **extra,
        },
    }


def short(values: NDArray[Any]) -> list[Any]:
    """Give numbers as lists, with six significant digits and None for what is not finite."""
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    clean = numbers if finite.all() else np.where(finite, numbers, 0.0)
    size = np.abs(clean)
    with np.errstate(all="ignore"):
        digits = 5 - np.floor(np.log10(np.where(size > 1e-290, size, 1.0))).astype(np.int64)
        # Only powers of ten with positive exponents, which are exact up to 10**22.
        up = np.power(10.0, np.maximum(digits, 0))
        down = np.power(10.0, np.maximum(-digits, 0))
        rounded = np.where(size > 1e-290, np.rint(clean / down * up) / up * down, 0.0)
    if clean is not numbers:
        rounded = rounded.astype(object)
        rounded[~finite] = None
    listed: list[Any] = rounded.tolist()
    return listed


def label_text(label: Any) -> str:
    """Give a class's or a feature's name as text of bounded length."""
    text = str(label)
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _title(caption: str, what: str) -> str:
    title = f"{caption} {what}".strip()
    return title[:1].upper() + title[1:]


def _curves(
    usable: list[tuple[str, Ranking]], kind: str, binary: bool, area: float | None = None
) -> dict[str, Any]:
    """Give the ``curves`` of a picture, and how many classes there are if not all are in it."""
    stepped = kind == "pr"
    lines = [pr_line(one) if stepped else roc_line(one) for _, one in usable]
    if binary and area is not None:
        areas = [area]
    else:
        areas = [(average_precision(one) if stepped else roc_area(one)) or 0.0 for _, one in usable]
    shown = list(range(len(usable)))
    many = len(usable) > _MAX_CURVES
    if many:
        shown = sorted(shown, key=areas.__getitem__)[:_WORST_CURVES]
    curves = [_curve(usable[one][0], lines[one], areas[one], stepped) for one in shown]
    if not binary:
        macro = macro_average(lines, stepped=stepped)
        curves.insert(0, _curve("macro average", macro, float(np.mean(areas)), stepped))
    return {"curves": curves, "classes": len(usable)} if many else {"curves": curves}


def _curve(label: str, line: tuple[Floats, Floats], area: float, stepped: bool) -> dict[str, Any]:
    kept = thin(*line, stepped=stepped)
    x, y = (one[kept].round(6).tolist() for one in line)
    return {"label": label, "x": x, "y": y, "area": round(area, 6)}


def _histogram(residual: Floats) -> tuple[list[Any], list[int]]:
    """Count residuals in bins of equal width."""
    residual = residual[np.isfinite(residual)]
    if not len(residual):
        return [], []
    n_bins = int(min(_MAX_BINS, max(5, np.sqrt(len(residual)))))
    with np.errstate(all="ignore"):
        low, high = float(residual.min()), float(residual.max())
        # Spread too small to be divided, or too large to be subtracted: one bin, or none.
        if not np.isfinite(high - low):
            return [], []
        width = (high - low) / n_bins
        if low + width == low or high - width == high:
            half = max(abs(low), abs(high), 1.0) / 2
            return short(np.asarray([low - half, high + half])), [len(residual)]
        bins = ((residual - low) / width).astype(np.intp)
    counts = np.bincount(np.minimum(bins, n_bins - 1), minlength=n_bins)
    return short(np.linspace(low, high, n_bins + 1)), counts.tolist()
