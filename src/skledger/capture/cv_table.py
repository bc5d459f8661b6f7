"""The table of a search's candidates, as a CSV file: what pandas would write, without pandas."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sized
from contextlib import suppress
from typing import Any

import numpy as np

__all__ = ["cv_results_csv"]

#: Types whose text is made quickly, and is not worth keeping.
_PLAIN = (str, int, float, bool, complex)


def cv_results_csv(results: Mapping[str, Any]) -> bytes:
    """Write ``cv_results_`` as a table with one row for each candidate.

    Parameters
    ----------
    results : mapping of str to array-like of shape (n_candidates,)
        ``cv_results_`` of a search.

    Returns
    -------
    bytes
        The CSV file (UTF-8) that ``pandas.DataFrame.from_dict(results).to_csv(index=False)``
        gives: columns in their order, and empty cells for what is masked, None or NaN. A column
        that is no sequence, is not as long as the others or has no text is left out.
    """
    texts = _Texts()
    columns: dict[str, list[Any]] = {}
    for name, column in results.items():
        # Third parties put here what they like; the other columns are worth having.
        with suppress(Exception):
            columns[str(name)] = _cells(column, texts)
    n_rows = _length(results, columns)
    columns = {name: cells for name, cells in columns.items() if len(cells) == n_rows}
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)
    table.writerows(zip(*columns.values(), strict=True))
    # A lone surrogate has no UTF-8.
    return file.getvalue().encode("utf-8", "backslashreplace")


def _length(results: Mapping[str, Any], columns: dict[str, list[Any]]) -> int:
    """Return the number of candidates: that of ``params``, or of most columns."""
    params = results.get("params")
    if isinstance(params, Sized) and "params" in columns:
        return len(params)
    lengths = Counter(map(len, columns.values())).most_common(1)
    return lengths[0][0] if lengths else 0


def _cells(column: Any, texts: _Texts) -> list[Any]:
    """Return what the csv module is to write in each row of a column; None is an empty cell."""
    if isinstance(column, str | bytes | Mapping):
        raise TypeError("a column of a table is a sequence")
    if isinstance(column, np.ndarray) and column.ndim != 1:
        raise ValueError("a column of a table has one dimension")
    masked: list[bool] = []
    if isinstance(column, np.ma.MaskedArray):
        empty = np.ma.getmaskarray(column)
        masked = empty.tolist()
        # pandas has no integers beside empty cells.
        whole = column.dtype.kind in "iu" and empty.any()
        column = column.data.astype(np.float64) if whole else column.data
    is_float = isinstance(column, np.ndarray) and column.dtype == np.float64
    cells = column.tolist() if is_float else list(column)
    if masked:
        cells = [None if gone else cell for cell, gone in zip(cells, masked, strict=True)]
    return [texts.of(cell) for cell in cells]


class _Texts:
    """The text of each cell; that of an object that occurs in many cells is made once.

    The text of an estimator takes a millisecond, and a search over estimators has each of them in
    two cells of every candidate that uses it.
    """

    def __init__(self) -> None:
        # With the objects themselves, so that no other object gets the identity of one.
        self._known: dict[int, tuple[Any, str]] = {}

    def of(self, cell: Any) -> Any:
        """Return what to write for one cell."""
        kind = type(cell)
        if kind is float:
            return cell if cell == cell else None  # noqa: PLR0124 - NaN is not itself
        if cell is None or cell is np.ma.masked or kind in _PLAIN:
            return None if cell is np.ma.masked else cell
        if isinstance(cell, np.generic):
            return None if cell != cell else str(cell)  # noqa: PLR0124
        if kind is dict:
            items = (f"{key!r}: {self._kept(value, repr)}" for key, value in cell.items())
            return "{" + ", ".join(items) + "}"
        return self._kept(cell, str)

    def _kept(self, value: Any, text_of: Any) -> str:
        """Return the text of an object; ``str`` and ``repr`` differ only for plain types."""
        if isinstance(value, (*_PLAIN, np.generic)) or value is None:
            return str(text_of(value))
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = (value, text_of(value))
        return known[1]
