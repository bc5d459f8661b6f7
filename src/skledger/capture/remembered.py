"""A prediction that is remembered: whose it is, and a copy of some of its rows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

import numpy as np

from skledger.capture.fingerprints import (
    Fingerprint,
    Sample,
    finer_rows,
    finer_step,
    sampled,
    some_rows,
)

if TYPE_CHECKING:
    from skledger.capture.sources import Source

__all__ = ["Link", "Remembered", "remembered", "root_of"]

Link = ReferenceType[Any]
#: How much larger the memory may be that a prediction is a part of.
MUCH_LARGER = 4


class Remembered:
    """A prediction.

    Parameters
    ----------
    source : Source or None
        Whose it is; None is an estimator that has no run.
    n_rows : int
        How many rows it has.
    rows : ndarray or None
        A copy of some of them; None when it is not known by its values.
    finer : ndarray or None
        A copy of more of them, where these are not all.
    step : int or None
        Every so many rows are in `finer`.

    Attributes
    ----------
    link : weakref.ref or None
        The array.
    """

    # Without a dict, and without the locks of `cached_property`: each prediction makes one.
    __slots__ = ("_finer_values", "_values", "finer", "link", "n_rows", "rows", "source", "step")

    def __init__(
        self,
        source: Source | None,
        n_rows: int,
        rows: Any,
        finer: Any = None,
        step: int | None = None,
    ) -> None:
        self.source = source
        self.n_rows = n_rows
        self.rows = rows
        self.finer = finer
        self.step = step
        self.link: Link | None = None
        self._values: Fingerprint | None = None
        self._finer_values: Fingerprint | None = None

    @property
    def value(self) -> int:
        """Stands for the rows."""
        rows = self.rows
        return hash(repr(rows.tolist()) if rows.dtype.hasobject else rows.tobytes())

    def is_unchanged(self, array: Any) -> bool:
        """Tell whether the rows that were copied are still the same in the array itself."""
        rows = self.rows if self.finer is None else self.finer
        if rows is None:
            return True
        if isinstance(array, np.ndarray) and array.ndim > 2:
            array = array.ravel(order="K")
        found = some_rows(array, self.step)
        if found is None or found[1].dtype != rows.dtype or found[1].shape != rows.shape:
            return False
        if rows.dtype.hasobject:
            return bool(np.all((found[1] == rows) | (found[1] != found[1])))
        # NaN, too, is equal to itself.
        return bool(found[1].tobytes() == rows.tobytes())

    def fits(self, sample: Sample) -> str:
        """Tell how an argument was made of it, by its values; "" when it was not."""
        if self.n_rows != sample.n_rows or self.rows is None:
            return ""
        if self._values is None:  # most predictions are never asked
            self._values = Fingerprint(self.rows)
        return self._values.fits(sample)

    def fits_finer(self, sample: Sample) -> str:
        """Tell the same by a second look at more rows."""
        if self._finer_values is None:
            self._finer_values = Fingerprint(self.finer)
        return self._finer_values.fits(sample, is_enough=True)


def remembered(array: Any, source: Source | None, *, values: bool) -> Remembered | None:
    """Return what is remembered of a prediction, None of what is neither array nor table.

    Parameters
    ----------
    array : array-like
        The prediction.
    source : Source or None
        Whose it is.
    values : bool
        Whether it is known by its values.
    """
    is_array = isinstance(array, np.ndarray)
    if is_array and array.ndim > 2:
        array = array.ravel(order="K")
    found = (sampled(array) if is_array else some_rows(array)) if values else None
    if found is None:
        return Remembered(source, 0, None) if is_array else None
    n_rows, rows = found
    step = finer_step(n_rows, rows)
    finer = None if step is None else finer_rows(array, step)
    return Remembered(source, n_rows, rows, finer, step)


def root_of(array: Any) -> Any:
    """Return what owns the memory of an answer, where the model made it for this answer alone."""
    # Whatever else holds it may be the user's data, or a part of the model.
    if array.base is None or _holders(array) != _ALONE:
        return None
    root = array.base
    is_fit = type(root) is np.ndarray and root.nbytes <= MUCH_LARGER * array.nbytes
    return root if is_fit else None


def _holders(array: Any) -> int:
    return sys.getrefcount(array.base)


_ALONE = _holders(np.empty((2, 2))[0])
