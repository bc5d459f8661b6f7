"""``classification_report`` with all digits, at little cost.

scikit-learn sorts the labels of all rows several times over; of text that takes seconds. A report
only needs to know how often which label was predicted for which, so it is given each pair once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.metrics_labels import Labels, read_labels

__all__ = ["full_report"]


def full_report(
    y_true: Any,
    y_pred: Any,
    *,
    labels: NDArray[Any] | None = None,
    sample_weight: NDArray[Any] | None = None,
    target_names: list[str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Return what scikit-learn's ``classification_report`` gives with ``output_dict=True``.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_samples,) or (n_samples, n_classes)
        True and predicted labels.
    labels : ndarray of shape (n_labels,), optional
        Those that are reported.
    sample_weight : ndarray of shape (n_samples,), optional
        The weights of the rows.
    target_names : list of str, optional
        What the labels are called, in the order of `labels`, or else ascending.
    **options
        Further arguments, such as ``zero_division``.

    Returns
    -------
    dict
        The report.
    """
    from sklearn.metrics import classification_report

    given: dict[str, Any] = {"labels": labels, "target_names": target_names}
    coded = _coded(y_true, y_pred, labels)
    if coded is not None:
        found, positions = coded
        if target_names is None:
            names = found.classes if labels is None else labels
            given["target_names"] = ["%s" % each for each in names]  # noqa: UP031 - as they do
        given["labels"] = positions
        if sample_weight is None:
            # Sums of ones are exact in any order; those of weights are not.
            y_true, y_pred, sample_weight = _counted(found)
        else:
            y_true, y_pred = found.true, found.predicted
    report: dict[str, Any] = classification_report(
        y_true, y_pred, sample_weight=sample_weight, output_dict=True, **given, **options
    )
    return report


def _coded(
    y_true: NDArray[Any], y_pred: NDArray[Any], labels: NDArray[Any] | None
) -> tuple[Labels, NDArray[np.intp] | None] | None:
    """Return labels as positions; None for what is better left to scikit-learn."""
    arrays = [each for each in (y_true, y_pred, labels) if each is not None]
    is_text = all(each.dtype.kind in "UTO" for each in arrays)
    is_whole = all(each.dtype.kind in "biu" for each in arrays) and y_true.dtype == y_pred.dtype
    if not (is_text or is_whole) or len(y_true) != len(y_pred):
        return None
    if is_text:
        # What is text already is not made anew each time somebody looks.
        y_true, y_pred = y_true.astype(object), y_pred.astype(object)
    found = read_labels(y_true, y_pred, None)
    if found is None or labels is None:
        return None if found is None else (found, None)
    # Labels that do not occur have positions of their own behind the others.
    place = {label: number for number, label in enumerate(found.classes.tolist())}
    wanted = labels.tolist()
    if labels.ndim != 1 or not set(wanted) & place.keys():
        return None
    return found, np.array([place.setdefault(each, len(place)) for each in wanted], dtype=np.intp)


def _counted(found: Labels) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return each pair of a true and a predicted label once, and how often it occurs."""
    assert found.predicted is not None
    n_classes = len(found.classes)
    pairs = found.true * n_classes + found.predicted
    if n_classes**2 <= 4 * len(pairs):
        counts = np.bincount(pairs, minlength=n_classes**2)
        occurring = np.flatnonzero(counts)
        counts = counts[occurring]
    else:
        occurring, counts = np.unique(pairs, return_counts=True)
    return occurring // n_classes, occurring % n_classes, counts.astype(np.float64)
