"""The numbers behind pictures of what was measured: on held-out data, and of single metrics.

They have the forms of :mod:`skledger.capture.pictures`, and one more, by ``"kind"``:

``calibration_curve``
    ``x``, ``y`` and ``counts``: in ten equal parts of the unit interval the mean probability, the
    share of positive rows, and how many rows there are; empty parts are left out. ``positive`` is
    the class, ``brier`` the mean squared difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.metrics_labels import class_order, column_codes, read_labels
from skledger.capture.metrics_regressor import as_columns
from skledger.capture.pictures import (
    confusion_picture,
    curve_pictures,
    label_text,
    regression_pictures,
    short,
)
from skledger.capture.sources import TRUTHS

__all__ = ["SCORED", "Held", "data_pictures", "is_score", "picture_of_value"]

Floats = NDArray[np.float64]
Pictures = dict[str, dict[str, Any]]

#: Metrics of probabilities and other scores, not of labels.
SCORED = frozenset(
    {
        "average_precision_score",
        "brier_score_loss",
        "confusion_matrix_at_thresholds",
        "d2_brier_score",
        "d2_log_loss_score",
        "det_curve",
        "log_loss",
        "precision_recall_curve",
        "roc_auc_score",
        "roc_curve",
        "top_k_accuracy_score",
    }
)
#: Metrics that give a value for each class when they are told not to average.
PER_CLASS = frozenset(
    {
        "average_precision_score",
        "f1_score",
        "fbeta_score",
        "jaccard_score",
        "precision_score",
        "recall_score",
        "roc_auc_score",
    }
)
#: Arguments that are one value for each row, and no prediction.
BESIDES = ("sample_weight", "labels", "target_names", "multioutput")
BINS = 10
MOST_BARS = 60


@dataclass(frozen=True, slots=True)
class Held:
    """What one call of a metric was given, as copies.

    Parameters
    ----------
    function : str
        The metric.
    arrays : dict of str to ndarray
        The arrays among its arguments, by name.
    kind : str or None
        ``classifier``, ``regressor`` or something else; None when that is not known.
    classes : ndarray or None
        The classes of the model.
    pos_label : object
        The class that counts as positive, where the call says so.
    n_rows : int
        How many rows there were; the arrays may have fewer.
    """

    function: str
    arrays: Mapping[str, NDArray[Any]]
    kind: str | None
    classes: Any = None
    pos_label: Any = None
    n_rows: int = 0

    @property
    def truth(self) -> NDArray[Any] | None:
        """The targets."""
        return next((self.arrays[name] for name in TRUTHS if name in self.arrays), None)

    @property
    def prediction(self) -> NDArray[Any] | None:
        """What they are compared with."""
        skipped = (*TRUTHS, *BESIDES)
        return next((v for k, v in self.arrays.items() if k not in skipped), None)

    @property
    def weight(self) -> Floats | None:
        """The weights of the rows."""
        given = self.arrays.get("sample_weight")
        return None if given is None else given.astype(np.float64)


def is_score(function: str) -> bool:
    """Tell whether a metric is one of probabilities and other scores, not of labels."""
    return function in SCORED


def data_pictures(held: Held, caption: str) -> Pictures:
    """Give the pictures of a model's predictions for a data set, the same as for training data.

    Parameters
    ----------
    held : Held
        Targets and predictions.
    caption : str
        What the titles begin with.

    Returns
    -------
    dict
        By name, without that of the data; empty when the numbers give none.
    """
    truth, prediction = held.truth, held.prediction
    if truth is None or prediction is None or not len(truth) or len(truth) != len(prediction):
        return {}
    with np.errstate(all="ignore"):
        if held.kind == "regressor":
            pictures = _of_regressor(truth, prediction, caption)
        elif held.kind not in ("classifier", None) or truth.ndim != 1:
            pictures = {}
        elif is_score(held.function):
            pictures = _of_scores(held, truth, prediction, caption)
        else:
            pictures = _of_labels(held, truth, prediction, caption)
    if held.n_rows > len(truth):
        for each in pictures.values():
            each.setdefault("sampled", len(truth))
    return pictures


def _of_regressor(truth: NDArray[Any], prediction: NDArray[Any], caption: str) -> Pictures:
    y_true, y_pred = as_columns(truth), as_columns(prediction)
    return regression_pictures(y_true, y_pred, caption) if y_true.shape == y_pred.shape else {}


def _of_labels(held: Held, truth: NDArray[Any], prediction: NDArray[Any], caption: str) -> Pictures:
    if prediction.ndim != 1:
        return {}
    labels = read_labels(truth, prediction, held.classes)
    if labels is None or (held.kind is None and labels.classes.dtype.kind == "f"):
        return {}
    return confusion_picture(labels, held.weight, caption)


def _of_scores(held: Held, truth: NDArray[Any], prediction: NDArray[Any], caption: str) -> Pictures:
    if prediction.dtype.kind != "f" or not np.isfinite(prediction).all():
        return {}
    if prediction.ndim == 2 and prediction.shape[1] == 1:
        prediction = prediction[:, 0]
    if prediction.ndim == 1:
        return _of_one_score(held, truth, prediction, caption)
    labels = read_labels(truth, None, held.classes)
    columns = held.arrays.get("labels", held.classes)
    if labels is None:
        return {}
    if columns is None or len(columns) != prediction.shape[1]:
        columns = labels.classes
    columns = np.asarray(columns)
    if len(columns) != prediction.shape[1]:
        return {}
    order = class_order(columns)
    if order is not None:
        columns, prediction = columns[order], prediction[:, order]
    codes = column_codes(labels, columns)
    if codes is None:
        return {}
    found = curve_pictures(prediction, codes, columns, weight=held.weight, caption=caption)
    if len(columns) == 2:
        positive = label_text(columns[1])
        found |= _calibration(prediction[:, 1], codes == 1, positive, caption)
    return found


def _of_one_score(
    held: Held, truth: NDArray[Any], prediction: NDArray[Any], caption: str
) -> Pictures:
    labels = read_labels(truth, None, None)
    if labels is None or len(labels.classes) != 2:
        return {}
    positive = 1
    if held.pos_label is not None:
        (found,) = np.nonzero(labels.classes == held.pos_label)
        if len(found) != 1:
            return {}
        positive = int(found[0])
    hits = labels.true == positive
    names = labels.classes[[1 - positive, positive]]
    scores = np.column_stack((-prediction, prediction))
    codes = hits.astype(np.intp)
    pictures = curve_pictures(scores, codes, names, weight=held.weight, caption=caption)
    return pictures | _calibration(prediction, hits, label_text(names[1]), caption)


def _calibration(
    probability: NDArray[Any], hits: NDArray[np.bool_], positive: str, caption: str
) -> Pictures:
    if probability.min() < 0 or probability.max() > 1:
        return {}  # a distance, no probability
    probability = probability.astype(np.float64)
    bins = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    kept = counts > 0
    mean = np.bincount(bins, probability, BINS)[kept] / counts[kept]
    share = np.bincount(bins, hits, BINS)[kept] / counts[kept]
    title = f"{caption} calibration".strip()
    picture = {
        "kind": "calibration_curve",
        "title": title[:1].upper() + title[1:],
        "positive": positive,
        "x": short(mean),
        "y": short(share),
        "counts": counts[kept].tolist(),
        "brier": round(float(np.mean((probability - hits) ** 2)), 6),
    }
    return {"calibration": picture}


# -- the picture of a single metric ---------------------------------------------------------------


def picture_of_value(
    held: Held, document: Any, curve: Mapping[str, Any], title: str
) -> dict[str, Any] | None:
    """Give the numbers behind the picture of what a metric returned, where there is one.

    Parameters
    ----------
    held : Held
        What it was given.
    document : object
        What it returned, as JSON.
    curve : mapping
        Of a curve its parts.
    title : str
        The title.
    """
    if held.function == "confusion_matrix" and isinstance(document, list):
        labels = _labels_of(held)
        if len(labels) != len(document):
            labels = [str(each) for each in range(len(document))]
        return {"kind": "confusion_matrix", "title": title, "labels": labels, "matrix": document}
    if held.function == "roc_curve":
        return _curve_picture("roc_curve", curve["fpr"], curve["tpr"], title)
    if held.function == "precision_recall_curve":
        x, y = curve["recall"][::-1], curve["precision"][::-1]
        return _curve_picture("precision_recall_curve", x, y, title)
    if held.function in PER_CLASS and _is_of_numbers(document):
        labels = _labels_of(held)
        if len(labels) != len(document) or len(labels) > MOST_BARS:
            return None
        return {"kind": "bars", "title": title, "names": labels, "values": document}
    return None


def _is_of_numbers(document: Any) -> bool:
    return isinstance(document, list) and all(isinstance(each, float) for each in document)


def _labels_of(held: Held) -> list[str]:
    """Return the labels that a metric of classes is about, in its order."""
    given = held.arrays.get("labels")
    if given is None:
        truth, prediction = held.truth, held.prediction
        if truth is None or prediction is None or truth.ndim != 1:
            return []
        both = prediction if prediction.ndim == 1 and prediction.dtype.kind != "f" else None
        labels = read_labels(truth, both, None)
        if labels is None:
            return []
        given = labels.classes
    return [label_text(each) for each in given.tolist()]


def _curve_picture(kind: str, x: list[Any], y: list[Any], title: str) -> dict[str, Any] | None:
    if not _is_of_numbers(x) or not _is_of_numbers(y) or len(x) != len(y) or len(x) < 2:
        return None
    widths, heights = np.diff(x), np.asarray(y)
    # Average precision is a sum of steps, the area under a ROC curve one of trapezoids.
    tops = (heights[1:] + heights[:-1]) / 2 if kind == "roc_curve" else heights[1:]
    area = round(float(np.dot(widths, tops)), 6)
    return {"kind": kind, "title": title, "curves": [{"label": "", "x": x, "y": y, "area": area}]}
