"""Training data: its shape, and a copy of it where training may write to it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DataBefore", "before_fit", "may_write_to_data", "shape_of"]

#: Data above this size, in bytes, is never copied; copying this much takes some 10 ms.
COPY_LIMIT = 32 * 1024 * 1024
#: Rows that a fingerprint reads.
SAMPLED_ROWS = 256


def shape_of(X: Any) -> tuple[int | None, int | None]:
    """Return ``(n_samples, n_features)`` of array-like data; None for what cannot be told."""
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple) and shape and all(isinstance(n, int) for n in shape):
        return shape[0], (shape[1] if len(shape) > 1 else None)
    try:
        n_samples = len(X)
    except TypeError:
        return None, None
    first = X[0] if isinstance(X, list | tuple) and n_samples else None
    wide = isinstance(first, list | tuple) or getattr(first, "ndim", 0) == 1
    return n_samples, (len(first) if first is not None and wide else None)


def may_write_to_data(estimator: Any, params: Mapping[str, Any]) -> bool:
    """Tell whether a fit could change the arrays it is given.

    scikit-learn's own estimators do not, unless ``copy=False`` (or ``copy_X``, ``overwrite_...``)
    says so; code that is not scikit-learn's, ``FunctionTransformer`` included, may.
    """
    for key, value in params.items():
        name = key.rpartition("__")[2]
        if (name.startswith("copy") and value is False) or (
            name.startswith("overwrite") and value is True
        ):
            return True
        if hasattr(value, "fit") and _is_foreign(value):
            return True
    return _is_foreign(estimator)


def _is_foreign(estimator: Any) -> bool:
    cls = estimator if isinstance(estimator, type) else type(estimator)
    return not cls.__module__.startswith("sklearn.") or cls.__name__ == "FunctionTransformer"


@dataclass(slots=True)
class DataBefore:
    """The training data as it was before the fit.

    Parameters
    ----------
    X, y : object
        The data itself, or a copy.
    fingerprint : bytes or None
        Of data that may change and is too large to copy.
    """

    X: Any
    y: Any
    fingerprint: bytes | None = None

    def is_unchanged(self) -> bool:
        """Tell whether `X` and `y` are still what they were."""
        return self.fingerprint is None or self.fingerprint == _fingerprint(self.X, self.y)


def before_fit(estimator: Any, params: Mapping[str, Any], X: Any, y: Any) -> DataBefore:
    """Keep the training data as it is now, at the cost of a copy only where that is needed.

    Parameters
    ----------
    estimator : BaseEstimator
        What is about to be fitted.
    params : mapping
        Its ``get_params(deep=True)``.
    X, y : array-like, DataFrame, sparse matrix or None
        What was passed to ``fit``.
    """
    if not may_write_to_data(estimator, params):
        return DataBefore(X, y)
    if (_size_of(X) or 0) + (_size_of(y) or 0) <= COPY_LIMIT:
        return DataBefore(_copy(X), _copy(y))
    return DataBefore(X, y, _fingerprint(X, y))


def _copy(data: Any) -> Any:
    if isinstance(data, list):
        return [row.copy() if isinstance(row, list) else row for row in data]
    return data.copy() if hasattr(data, "copy") and _size_of(data) is not None else data


def _fingerprint(*parts: Any) -> bytes:
    """Return a digest of some thousand values spread evenly over the data."""
    digest = hashlib.blake2b(digest_size=16)
    for data in parts:
        values = getattr(data, "data", data) if hasattr(data, "indptr") else data
        if hasattr(values, "iloc"):
            rows = range(0, len(values), max(1, len(values) // SAMPLED_ROWS))
            digest.update(repr(values.iloc[list(rows)].to_numpy().tolist()).encode())
        elif hasattr(values, "dtype") and bool(getattr(values, "ndim", None)):
            sample = values[:: max(1, len(values) // SAMPLED_ROWS)]
            digest.update(
                repr(sample.tolist()).encode() if sample.dtype == object else sample.tobytes()
            )
    return digest.digest()


def _size_of(data: Any) -> int | None:
    """Return the bytes of array data, None when it cannot be told cheaply."""
    if "pandas" in sys.modules and hasattr(data, "memory_usage"):
        usage = data.memory_usage(index=False)
        return int(usage.sum() if hasattr(usage, "sum") else usage)
    nbytes = getattr(data, "nbytes", None)
    if nbytes is None and hasattr(data, "data"):  # sparse matrices keep their values in .data
        nbytes = getattr(data.data, "nbytes", None)
    return int(nbytes) if isinstance(nbytes, int) else None
