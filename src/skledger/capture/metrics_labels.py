"""Targets as arrays, and class labels as positions: the ground all class metrics stand on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "class_order", "column_codes", "is_indicator", "read_labels", "target_array"]

#: Kinds of numpy types that scikit-learn takes as class labels. Bytes are refused there.
_NUMBERS = "biuf"
_TEXT = "UT"


@dataclass(slots=True)
class Labels:
    """True and predicted labels as positions in one sorted list of classes.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        All labels, ascending. It may hold labels that occur in neither array.
    true, predicted : ndarray of shape (n_samples,)
        Positions in ``classes``; ``predicted`` is None where there is no prediction.
    true_counts : ndarray of shape (n_classes,)
        How many rows truly belong to each class, without weights.
    """

    classes: NDArray[Any]
    true: NDArray[np.intp]
    predicted: NDArray[np.intp] | None
    true_counts: NDArray[np.intp]


def target_array(y: Any) -> Any:
    """Give a target as an array; a single column becomes one-dimensional.

    Parameters
    ----------
    y : array-like or sparse matrix of shape (n_samples,) or (n_samples, n_outputs)
        Targets or predictions.

    Returns
    -------
    ndarray or sparse matrix
        Sparse targets (multilabel) are given back as they are.
    """
    if hasattr(y, "tocsr"):
        return y
    if hasattr(y, "iloc") and getattr(y, "ndim", 1) == 2 and y.shape[1] == 1:
        y = y.iloc[:, 0]
    array = np.asarray(y)
    # Older pandas gives its nullable columns as objects, although they hold plain numbers.
    numeric = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    if array.dtype.kind == "O" and numeric is not None and numeric.kind in _NUMBERS:
        with contextlib.suppress(TypeError, ValueError):
            array = array.astype(numeric)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return array


def is_indicator(values: Any) -> bool:
    """Tell whether a two-dimensional target is a multilabel indicator, as scikit-learn does."""
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in _NUMBERS:
        return False
    if hasattr(values, "tocsr"):
        labels = np.unique(values.tocsr().data)
        few = len(labels) < 2 or (len(labels) == 2 and 0 in labels)
        return few and bool((labels == np.trunc(labels)).all())
    if values.size == 0:
        return False
    low, high = values.min(), values.max()
    if values.dtype.kind == "f" and not (low == np.trunc(low) and high == np.trunc(high)):
        return False
    return bool(((values == low) | (values == high)).all())


def read_labels(y_true: Any, y_pred: Any, classes: Any) -> Labels | None:
    """Encode one-dimensional labels, by the estimator's classes where they fit.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        True labels.
    y_pred : ndarray of shape (n_samples,) or None
        Predicted labels.
    classes : array-like of shape (n_classes,) or None
        The estimator's ``classes_``.

    Returns
    -------
    Labels or None
        None for what scikit-learn's classification metrics refuse: continuous values, bytes,
        objects, text mixed with numbers, no rows at all.
    """
    arrays = [y_true] if y_pred is None else [y_true, y_pred]
    if any(array.ndim != 1 or not len(array) for array in arrays):
        return None
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(
            f"{len(y_true)} true labels but {len(y_pred)} predicted ones; "
            "predict() must give one label for each row"
        )
    family = _family(y_true)
    if family is None or any(_family(array) != family for array in arrays):
        return None
    known = _usable_classes(classes, family)
    codes = None if known is None else _encode_all(arrays, known, family)
    if known is None or codes is None:
        known = _union(arrays, family)
        codes = None if known is None else _encode_all(arrays, known, family)
    if known is None or codes is None:
        return None
    counts = np.bincount(codes[0], minlength=len(known))
    return Labels(known, codes[0], codes[1] if len(codes) > 1 else None, counts)


def class_order(classes: Any) -> NDArray[np.intp] | None:
    """Give the order that sorts an estimator's classes; None when they are sorted already."""
    names = np.asarray(classes).tolist()
    if all(left < right for left, right in pairwise(names)):
        return None
    return np.asarray(sorted(range(len(names)), key=names.__getitem__), dtype=np.intp)


def column_codes(labels: Labels, columns: Any) -> NDArray[np.intp] | None:
    """Give each row's true class as a position among the columns of ``predict_proba``.

    Parameters
    ----------
    labels : Labels
        The encoded target.
    columns : ndarray of shape (n_columns,)
        The classes of the columns, ascending.

    Returns
    -------
    ndarray of shape (n_samples,) or None
        -1 for a row whose class has no column; None when the two cannot be compared.
    """
    if columns is labels.classes or np.array_equal(columns, labels.classes):
        return labels.true
    position = {label: place for place, label in enumerate(columns.tolist())}
    table = [position.get(label, -1) for label in labels.classes.tolist()]
    if max(table) < 0:
        return None
    return np.asarray(table, dtype=np.intp)[labels.true]


def _family(values: NDArray[Any]) -> str | None:
    """Sort labels into numbers, text, or None for neither."""
    kind = values.dtype.kind
    if kind in _NUMBERS:
        return "number"
    if kind in _TEXT or (kind == "O" and len(values) and isinstance(values[0], str)):
        return "text"
    return None


def _usable_classes(classes: Any, family: str) -> NDArray[Any] | None:
    """Give ``classes_`` as a sorted array when labels of this family can be looked up in it."""
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or _family(classes) != family:
        return None
    if family == "number":
        if classes.dtype.kind == "f" and not _integral(classes):
            return None
        return classes if (classes[1:] > classes[:-1]).all() else np.unique(classes)
    order = class_order(classes)
    return classes if order is None else classes[order]


def _integral(values: NDArray[Any]) -> bool:
    """Tell whether floats stand for whole numbers; others are no class labels to scikit-learn."""
    return bool((values == np.trunc(values)).all() and np.isfinite(values).all())


def _encode_all(
    arrays: list[NDArray[Any]], classes: NDArray[Any], family: str
) -> list[NDArray[np.intp]] | None:
    """Encode every array, or None as soon as one holds a label that is not in ``classes``."""
    encode = _encode_numbers if family == "number" else _encode_text
    codes: list[NDArray[np.intp]] = []
    for array in arrays:
        encoded = encode(array, classes)
        if encoded is None:
            return None
        codes.append(encoded)
    return codes


def _encode_numbers(values: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp] | None:
    last = len(classes) - 1
    whole = values.dtype.kind in "biu" and classes.dtype.kind in "biu"
    codes: NDArray[np.intp]
    if whole and classes[0] == 0 and classes[last] == last:
        # Sorted, distinct, from 0 to K - 1: the labels are the positions.
        codes = values.astype(np.intp)
        return codes if codes.min() >= 0 and codes.max() <= last else None
    codes = np.searchsorted(classes, values)
    np.minimum(codes, last, out=codes)
    return codes if (classes[codes] == values).all() else None


def _encode_text(values: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp] | None:
    # A dictionary, not a binary search: hashing is several times cheaper than comparing text.
    position = {label: place for place, label in enumerate(classes.tolist())}
    try:
        return np.fromiter(map(position.__getitem__, values.tolist()), np.intp, len(values))
    except (KeyError, TypeError):
        return None


def _union(arrays: list[NDArray[Any]], family: str) -> NDArray[Any] | None:
    """Give all labels that occur, ascending; None when they are no class labels."""
    if family == "number":
        found = np.unique(np.concatenate([np.unique(array) for array in arrays]))
        return None if found.dtype.kind == "f" and not _integral(found) else found
    names: set[Any] = set()
    try:
        names.update(*(array.tolist() for array in arrays))
    except TypeError:
        return None
    if not all(isinstance(name, str) for name in names):
        return None
    return np.asarray(sorted(names), dtype=object)
