"""A few values of data, spread evenly over it: all that a digest and a profile look at.

Only the sample is copied. A sparse matrix stays sparse, a memory map is read at the rows of the
sample alone, and nothing here refers to the data when it is done.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

__all__ = ["MOST_COLUMNS", "SAMPLED_VALUES", "Sample", "bytes_of", "evenly", "sample_of"]

#: Data of up to so many values are looked at whole; of larger ones about so many values are.
SAMPLED_VALUES = 8192
#: Rows of a sample, at least (wide data) and at most (narrow data).
FEWEST_ROWS, MOST_ROWS = 16, 512
#: Values of a sample whose columns are of several types: each column then takes its time.
MIXED_VALUES = 2048
#: The most columns of a frame that a digest looks at,
MOST_COLUMNS = 512
#: and of one whose columns are of several types, or of those that are no plain numbers.
MOST_SINGLE_COLUMNS = 64
#: Of a long text the first so many characters count, and how long it is.
MOST_TEXT = 1000

#: Types whose texts tell their values, and nothing else, such as an address.
_PLAIN = frozenset({int, float, bool, complex, bytes, type(None)})
_TELLING = ("datetime", "decimal", "fractions", "uuid", "numpy", "pandas")


@dataclass(slots=True)
class Sample:
    """What a digest and a profile look at.

    Parameters
    ----------
    kind : str
        ``array``, ``frame``, ``list``, or ``sparse`` with its format.
    shape : tuple of int
        The shape of all the data.
    dtype : str
        The type of the values; empty of a frame, whose columns have one each.
    rows : int
        How many rows were looked at; of a sparse matrix, values are chosen instead.
    values : list of ndarray or bytes
        The values that were looked at.
    missing : int
        How many of these are missing.
    nbytes : int or None
        The size of all the data in memory, where that is known without a pass over it.
    nnz : int or None
        Of a sparse matrix, how many values it stores.
    frame : DataFrame or None
        Of a frame, the rows that were looked at.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str
    rows: int
    values: list[Any]
    missing: int = 0
    nbytes: int | None = None
    nnz: int | None = None
    frame: Any = None


def sample_of(data: Any) -> Sample | None:
    """Return a sample of data.

    Parameters
    ----------
    data : array, memory map, DataFrame or Series (pandas, polars), sparse matrix, list or tuple
        The data; they are not changed.

    Returns
    -------
    Sample or None
        None of any other type: a look at it might compute or download something.
    """
    import numpy as np

    if isinstance(data, np.ndarray):
        return _of_array(np.asarray(data))  # of a subclass, the plain view
    if isinstance(data, list | tuple):
        return _of_list(data)
    package = type(data).__module__.partition(".")[0]
    if package == "scipy":
        return _of_sparse(data) if hasattr(data, "format") else None
    return _of_polars(data) if package == "polars" else _of_pandas(data)


def evenly(length: int, count: int) -> Any:
    """Return so many places, spread evenly from the first to the last of `length`."""
    import numpy as np

    return np.linspace(0, length - 1, min(count, length)).astype(np.intp)


def _rows_of(n_rows: int, row_size: int, values: int = SAMPLED_VALUES) -> Any:
    """Return which rows to look at; None is all of them."""
    if n_rows * row_size <= SAMPLED_VALUES or n_rows <= FEWEST_ROWS:
        return None
    return evenly(n_rows, min(max(values // max(row_size, 1), FEWEST_ROWS), MOST_ROWS))


# -- arrays -------------------------------------------------------------------------------------


def _of_array(array: Any) -> Sample:
    shape, dtype = array.shape, str(array.dtype)
    if not shape or not array.size:
        return Sample("array", shape, dtype, shape[0] if shape else 0, [], nbytes=array.nbytes)
    some = array
    for axis in range(array.ndim - 1, 0, -1):  # a step along an axis makes a view, no copy
        step = min(-(-math.prod(some.shape[1:]) // MOST_COLUMNS), some.shape[axis])
        if step > 1:
            some = some[(slice(None),) * axis + (slice(None, None, step),)]
    rows = _rows_of(len(some), math.prod(some.shape[1:]))
    if rows is not None:
        some = some[rows]
    return Sample(
        "array", shape, dtype, len(some), [some], _missing_in(some), nbytes=int(array.nbytes)
    )


def _missing_in(values: Any) -> int:
    """Return how many values are missing: NaN, NaT or None."""
    import numpy as np

    kind = values.dtype.kind
    if kind in "fc":
        return int(np.count_nonzero(np.isnan(values)))
    if kind in "mM":
        return int(np.count_nonzero(np.isnat(values)))
    if kind == "O":
        return sum(_is_missing(each) for each in values.ravel().tolist() if type(each) is not str)
    return 0


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


# -- sparse matrices ----------------------------------------------------------------------------


def _of_sparse(matrix: Any) -> Sample:
    """Sample the arrays that the format keeps, never the zeros between."""
    import numpy as np

    names = ("data", "indices", "indptr", "row", "col", "offsets")
    held = [(name, getattr(matrix, name, None)) for name in names]
    if matrix.format == "lil":
        return _of_lists_of_lists(matrix)
    if matrix.format == "dok":
        return _of_keys(matrix)
    arrays = {name: array for name, array in held if isinstance(array, np.ndarray)}
    values = [_some(array.reshape(-1)) for array in arrays.values()]
    return Sample(
        f"sparse-{matrix.format}",
        tuple(map(int, matrix.shape)),
        str(matrix.dtype),
        int(matrix.shape[0]),
        values,
        _missing_in(values[0]) if values else 0,
        nbytes=sum(int(array.nbytes) for array in arrays.values()),
        nnz=int(matrix.nnz),
    )


def _some(flat: Any) -> Any:
    return flat if len(flat) <= SAMPLED_VALUES // 2 else flat[evenly(len(flat), 2048)]


def _of_keys(matrix: Any) -> Sample:
    entries = list(islice(matrix.items(), 256))
    text = repr([(tuple(map(int, key)), value.item()) for key, value in entries]).encode()
    shape, dtype = tuple(map(int, matrix.shape)), str(matrix.dtype)
    return Sample("sparse-dok", shape, dtype, shape[0], [text], nnz=len(matrix.keys()))


def _of_lists_of_lists(matrix: Any) -> Sample:
    rows = evenly(matrix.shape[0], 64).tolist()
    texts = [
        repr((list(matrix.rows[row][:MOST_ROWS]), [float(each) for each in kept])).encode()
        for row in rows
        for kept in [matrix.data[row][:MOST_ROWS]]
    ]
    return Sample("sparse-lil", matrix.shape, str(matrix.dtype), len(rows), texts)


# -- frames -------------------------------------------------------------------------------------


def _of_pandas(data: Any) -> Sample | None:
    if "pandas" in sys.modules:
        import pandas as pd

        if isinstance(data, pd.DataFrame):
            return _of_frame(data)
        if isinstance(data, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
            return _of_series(data)
    return None


def _of_frame(frame: Any) -> Sample:
    import numpy as np

    n_rows, n_columns = frame.shape
    dtypes = list(frame.dtypes)
    types = set(map(type, dtypes))  # few in any frame, while each categorical column has its own
    is_numpy = all(issubclass(each, np.dtype) for each in types)
    plain = is_numpy and type(np.dtype(object)) not in types
    kinds = set(dict(zip(map(id, dtypes), dtypes, strict=True)).values()) if plain else set()
    is_uniform = len(kinds) == 1
    is_numeric = plain and all(each.kind in "biuf" for each in kinds)
    at_once = is_uniform or is_numeric
    step = -(-n_columns // (MOST_COLUMNS if at_once else MOST_SINGLE_COLUMNS)) or 1
    if at_once:
        rows = _rows_of(n_rows, n_columns)
        some = frame if rows is None else frame.iloc[rows]
        # Of numbers beyond 2**53 the last digits do not count.
        whole = some.to_numpy() if is_uniform else some.to_numpy(dtype=np.float64)
        arrays, looked_at = [whole[:, ::step]], len(some)
    else:
        rows = _rows_of(n_rows, -(-n_columns // step), MIXED_VALUES)
        arrays = [_of_column(frame.iloc[:, at].array, rows) for at in range(0, n_columns, step)]
        looked_at = n_rows if rows is None else len(rows)
        some = _described(frame, rows, types)
    told = dtypes if at_once else dtypes[::step]
    if is_uniform:
        nbytes = n_rows * n_columns * dtypes[0].itemsize
    else:
        nbytes = n_rows * sum(each.itemsize for each in dtypes) if plain else None
    return Sample(
        "frame",
        (n_rows, n_columns),
        "",
        looked_at,
        [
            _texts_of(told, functools.cache(str) if at_once else str),
            _texts_of(frame.columns, _label),
            *arrays,
        ],
        sum(map(_missing_in, arrays)),
        nbytes=nbytes,
        frame=some,
    )


def _of_column(values: Any, rows: Any) -> Any:
    """Return what is looked at of one column, from pandas' array of it, which takes no time."""
    import numpy as np

    index = getattr(values, "sp_index", None)
    if index is None:
        return (values if rows is None else values[rows]).to_numpy()
    # pandas takes a fifth of a millisecond for the rows of a single sparse column.
    wanted = np.arange(len(values)) if rows is None else rows
    stored = index.indices if hasattr(index, "indices") else index.to_int_index().indices
    found = np.full(len(wanted), values.fill_value, dtype=values.dtype.subtype)
    if len(stored):
        places = np.minimum(np.searchsorted(stored, wanted), len(stored) - 1)
        is_stored = stored[places] == wanted
        found[is_stored] = values.sp_values[places[is_stored]]
    return found


def _described(frame: Any, rows: Any, types: Iterable[type]) -> Any:
    """Return the rows from which a schema is made; None where that would take long."""
    is_sparse = any(hasattr(each, "fill_value") for each in types)
    if frame.shape[1] > (MOST_SINGLE_COLUMNS if is_sparse else MOST_COLUMNS):
        return None
    return frame if rows is None else frame.iloc[rows]


def _label(name: Any) -> str:
    return name if type(name) is str else f"\1{type(name).__name__} {name}"


def _texts_of(parts: Sequence[Any], text: Callable[[Any], str]) -> bytes:
    """Return what stands for many names: all, or some with how many there are."""
    chosen = parts
    if len(parts) > MOST_COLUMNS:
        places = evenly(len(parts), 256)
        # An index of texts takes its time for a single one.
        chosen = parts[places] if hasattr(parts, "take") else [parts[at] for at in places]
    told = "\0".join(text(each) for each in chosen)
    return f"{len(parts)} {told}".encode("utf-8", "backslashreplace")


def _of_series(series: Any) -> Sample:
    rows = _rows_of(len(series), 1)
    if rows is None:
        some = series
    else:
        some = series.iloc[rows] if hasattr(series, "iloc") else series.take(rows)
    values = some.to_numpy() if hasattr(some, "to_numpy") else some
    # Of a plain type this is a number, of others it may be a pass over all values.
    nbytes = int(series.nbytes) if series.dtype.kind in "biufcmM" else None
    dtype, missing = str(series.dtype), _missing_in(values)
    return Sample("series", (len(series),), dtype, len(some), [values], missing, nbytes)


def _of_polars(data: Any) -> Sample | None:
    if not hasattr(data, "height") and not hasattr(data, "to_frame"):
        return None  # a plan of something that is not computed yet
    is_series = not hasattr(data, "height")
    frame = data.to_frame() if is_series else data  # shares the values
    n_rows, n_columns = frame.shape
    dtypes = frame.dtypes
    step = -(-n_columns // MOST_SINGLE_COLUMNS) or 1
    few = frame if step == 1 else frame[:, ::step]  # shares the values
    rows = _rows_of(n_rows, few.width)
    some = few if rows is None else few[rows.tolist()]
    arrays = [_of_polars_column(each) for each in some.get_columns()]
    return Sample(
        "series" if is_series else "frame",
        (n_rows,) if is_series else (n_rows, n_columns),
        str(dtypes[0]) if is_series else "",
        len(some),
        [_texts_of(dtypes, str), _texts_of(frame.columns, _label), *arrays],
        sum(each.null_count() for each in some.get_columns()),
        frame=None if is_series or n_columns > MOST_COLUMNS else _rows_of_polars(frame, some, rows),
    )


def _rows_of_polars(frame: Any, some: Any, rows: Any) -> Any:
    """Return the rows from which a schema is made, of all columns."""
    if some.width == frame.width:
        return some
    return frame if rows is None else frame[rows.tolist()]


def _of_polars_column(column: Any) -> Any:
    import numpy as np

    if column.dtype.is_numeric() and not column.null_count():
        return column.to_numpy()
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_list()
    return values


# -- lists --------------------------------------------------------------------------------------


def _of_list(data: Sequence[Any]) -> Sample:
    """Sample the rows of a list; numbers as the array that scikit-learn makes of them."""
    import numpy as np

    n_rows = len(data)
    first = data[0] if n_rows else None
    width = len(first) if isinstance(first, list | tuple | np.ndarray) else 1
    rows = _rows_of(n_rows, width)
    some = list(data) if rows is None else [data[row] for row in rows.tolist()]
    try:
        array = np.asarray(some) if type(first) is not str else None
    except ValueError:  # rows of different lengths
        array = None
    if array is not None and array.dtype.kind in "biufc":
        shape = (n_rows, *array.shape[1:])
        return Sample("list", shape, str(array.dtype), len(some), [array], _missing_in(array))
    missing = sum(map(_is_missing, some))
    kind = "str" if type(first) is str else "object"
    return Sample("list", (n_rows,), kind, len(some), [_joined(some)], missing)


# -- objects ------------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    """Return a text that is the same in every process for the same value, and is not long."""
    if type(value) is str:
        return value if len(value) <= MOST_TEXT else f"{value[:MOST_TEXT]}...{len(value)}"
    if isinstance(value, list | tuple):
        inner = ",".join(text_of(each) for each in islice(value, MOST_ROWS))
        return f"{type(value).__name__} {len(value)}: {inner}"
    kind = type(value)
    # Behind a sign that texts do not begin with: the number 1 is not the text "1".
    if kind in _PLAIN:
        return f"\1{value!r}"[:MOST_TEXT]
    if kind.__module__.partition(".")[0] in _TELLING:
        return f"\1{kind.__name__} {str(value)[:MOST_TEXT]}"
    return f"\1{kind.__qualname__}"


def bytes_of(values: Any) -> bytes:
    """Return the bytes that stand for a sampled part."""
    if isinstance(values, bytes):
        return values
    if values.dtype.kind not in "OT":  # both hold addresses
        return bytes(values.tobytes())
    return _joined(values.ravel().tolist())


def _joined(values: Sequence[Any]) -> bytes:
    return "\0".join(map(text_of, values)).encode("utf-8", "backslashreplace")
