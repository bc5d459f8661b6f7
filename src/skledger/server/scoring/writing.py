"""Predictions as JSON: whole numbers stay whole, dates are ISO, bytes are base64."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from skledger.models.infer import as_pandas
from skledger.server.scoring.json import dumps

__all__ = ["predictions_json", "rows_of"]


def predictions_json(predictions: Any) -> bytes:
    """Return the answer to a request.

    Parameters
    ----------
    predictions : array, sparse matrix, DataFrame, Series, list, tuple, dict or scalar
        What the model returned.

    Returns
    -------
    bytes
        ``{"predictions": ...}``; a data frame is a list of records.
    """
    return dumps({"predictions": _listed(predictions)}, _plain)


def rows_of(predictions: Any) -> int:
    """Return how many rows were predicted."""
    shape = getattr(predictions, "shape", None)
    if shape:
        return int(shape[0])
    if isinstance(predictions, list | tuple) and predictions:
        return (
            rows_of(predictions[0]) if getattr(predictions[0], "shape", None) else len(predictions)
        )
    return 1


def _listed(value: Any) -> Any:
    """Return a value as arrays, lists, dictionaries and scalars."""
    value = as_pandas(value)
    if hasattr(value, "toarray"):  # sparse
        value = value.toarray()
    if hasattr(value, "columns") and hasattr(value, "dtypes"):
        return _records(value)
    if hasattr(value, "dtype"):
        return _column(value) if hasattr(value, "to_numpy") else _array(value)
    if isinstance(value, Mapping):
        return {str(name): _listed(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(each) for each in value]
    return value


def _records(frame: Any) -> list[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    columns = [_as_list(_column(frame.iloc[:, at])) for at in range(len(names))]
    if not columns:
        return [{} for _ in range(len(frame))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _as_list(column: Any) -> Any:
    return column.tolist() if hasattr(column, "tolist") else column


def _column(column: Any) -> Any:
    """Return a column; what is missing in a nullable or categorical one becomes None."""
    dtype = column.dtype
    if getattr(dtype, "kind", "O") in "biuf" and not hasattr(dtype, "numpy_dtype"):
        return column.to_numpy()
    return [_plain_or_same(each) for each in column.tolist()]


def _array(values: Any) -> Any:
    kind = values.dtype.kind
    if kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype("float64")
    if kind in "biuf":
        return values
    if kind == "M":  # to nanoseconds, which are then dates of pandas
        import pandas as pd

        flat = [_plain(each) for each in pd.to_datetime(values.ravel())]
        return _folded(flat, values.shape)
    return values.tolist()


def _folded(flat: list[Any], shape: tuple[int, ...]) -> Any:
    """Return a flat list in the shape of an array."""
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return flat
    size = len(flat) // shape[0] if shape[0] else 0
    return [_folded(flat[at * size : (at + 1) * size], shape[1:]) for at in range(shape[0])]


def _plain_or_same(value: Any) -> Any:
    if isinstance(value, str | int | float) or value is None:
        return value
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return what JSON lacks as what it has."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "isoformat"):  # dates, times and spans of time
        return value.isoformat()
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    listed = _listed(value)
    return listed if listed is not value else str(value)
