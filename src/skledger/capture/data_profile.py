"""Data in a few words: a digest, how much it is, what is missing, which classes there are."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from skledger.capture.data_sample import Sample, bytes_of, evenly, sample_of

__all__ = ["DataProfile", "class_counts", "profile_of"]

#: Targets with more different values than this have no classes.
MOST_CLASSES = 50
#: A first look at so many targets tells whether they are classes; so many are counted at most.
FIRST_LOOK, MOST_COUNTED = 512, 2048
#: The longest name of a class, in characters.
MOST_NAME = 100


@dataclass(slots=True)
class DataProfile:
    """What is told of data.

    Parameters
    ----------
    digest : str
        8 hexadecimal digits that stand for features and targets.
    features_digest : str
        The same of the features alone.
    profile : dict
        Sizes, missing values and classes.
    features, targets : Sample
        What was looked at; targets None where there are none, or they are of no known type.
    """

    digest: str
    features_digest: str
    profile: dict[str, Any]
    features: Sample
    targets: Sample | None


def profile_of(X: Any, y: Any = None) -> DataProfile | None:
    """Describe data, from a sample where they are large.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The features.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        The targets.

    Returns
    -------
    DataProfile or None
        None where `X` is of a type that nobody looks into; see `sample_of`.
    """
    features = sample_of(X)
    if features is None:
        return None
    targets = None if y is None else sample_of(y)
    state = hashlib.sha1(usedforsecurity=False)
    _add(state, features)
    alone = state.hexdigest()[:8]
    if targets is not None:
        _add(state, targets)
    profile = _sizes(features, targets)
    profile["n_rows"] = features.shape[0] if features.shape else 0
    if len(features.shape) > 1:
        profile["n_features"] = features.shape[1]
    profile["n_missing"] = features.missing
    if features.rows < profile["n_rows"]:
        profile["n_rows_sampled"] = features.rows
    if targets is not None:
        profile.update(_classes(y))
    return DataProfile(state.hexdigest()[:8], alone, profile, features, targets)


def _add(state: Any, sample: Sample) -> None:
    # An array and a list of the same numbers are the same data.
    kind = "array" if sample.kind == "list" else sample.kind
    state.update(f"|{kind} {sample.shape} {sample.dtype} {sample.nnz}|".encode())
    for values in sample.values:
        state.update(bytes_of(values))


def _sizes(features: Sample, targets: Sample | None) -> dict[str, Any]:
    """Return the sizes by MLflow's names: of a frame its rows, of anything else its shape."""
    sizes: dict[str, Any] = {}
    if features.kind == "frame":
        sizes["num_rows"] = features.shape[0]
        sizes["num_elements"] = features.shape[0] * features.shape[1]
        if features.nbytes is not None:
            sizes["features_nbytes"] = features.nbytes
    else:
        _add_size(sizes, "features", features)
    if targets is not None:
        _add_size(sizes, "targets", targets)
    return sizes


def _add_size(sizes: dict[str, Any], name: str, sample: Sample) -> None:
    size = 1
    for length in sample.shape:
        size *= length
    sizes[f"{name}_shape"] = list(sample.shape)
    sizes[f"{name}_size"] = size
    if sample.nbytes is not None:
        sizes[f"{name}_nbytes"] = sample.nbytes
    if sample.nnz is not None:
        sizes[f"{name}_nnz"] = sample.nnz


def _classes(y: Any) -> dict[str, Any]:
    counts, looked_at = class_counts(y)
    if counts is None:
        return {}
    if looked_at is None:
        return {"class_counts": counts}
    return {"class_counts": counts, "class_counts_of_rows": looked_at}


def class_counts(y: Any) -> tuple[dict[str, int] | None, int | None]:
    """Count the classes of targets.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        The targets.

    Returns
    -------
    counts : dict of str to int, or None
        None where the targets are no classes: they are many, or fractions, or a matrix.
    looked_at : int or None
        How many targets were counted, when these are not all.
    """
    n = len(y)
    if getattr(y, "ndim", 1) != 1 or not n:
        return None, None
    few = _values_at(y, n, FIRST_LOOK)
    if few is None or not _are_classes(few):
        return None, None
    looked_at = None if n <= MOST_COUNTED else MOST_COUNTED
    found = _count(few if n <= FIRST_LOOK else _values_at(y, n, MOST_COUNTED))
    if len(found) > MOST_CLASSES:
        return None, None
    return {str(label)[:MOST_NAME]: count for label, count in found}, looked_at


def _values_at(y: Any, n: int, most: int) -> Any:
    """Return up to so many targets as an array of one dimension; None where there is none."""
    import numpy as np

    if hasattr(y, "iloc") and y.dtype.kind in "biuf" and hasattr(y.dtype, "itemsize"):
        y = y.to_numpy()  # shares the values
    if isinstance(y, list | tuple):
        values = np.asarray(y if n <= most else [y[at] for at in evenly(n, most).tolist()])
    elif n <= most:
        values = y if isinstance(y, np.ndarray) else np.asarray(y)
    elif hasattr(y, "iloc"):
        values = y.iloc[evenly(n, most)].to_numpy()
    elif isinstance(y, np.ndarray):
        values = y[evenly(n, most)]
    else:
        sample = y.gather(evenly(n, most)) if hasattr(y, "gather") else y[evenly(n, most)]
        values = np.asarray(sample)
    return values if values.ndim == 1 else None


def _are_classes(values: Any) -> bool:
    kind = values.dtype.kind
    if kind not in "biufOSUT":
        return False
    plain = _plain(values)
    # Most targets that are no classes show it at once.
    if len(set(plain[: MOST_CLASSES + 10])) > MOST_CLASSES:
        return False
    if kind == "f" and not all(each.is_integer() for each in plain):
        return False
    return len(set(plain)) <= MOST_CLASSES


def _count(values: Any) -> list[tuple[Any, int]]:
    """Return each value and how often it is there, in order."""
    # For so few values that is several times faster than to sort an array.
    return sorted(Counter(_plain(values)).items())


def _plain(values: Any) -> list[Any]:
    """Return values that can be counted and put in order."""
    return list(map(str, values.tolist())) if values.dtype.kind in "OT" else values.tolist()
