"""Whether an array was made of a prediction, by the values of some rows.

A fingerprint is a copy of at most 512 rows, evenly spread, of at most 16 columns. An array of as
many rows was made of the prediction when, on these rows, it is one of: the values, or a column of
them, in whatever type or container; the values rounded to up to four decimals, cut to whole numbers
or in single precision; the column with the largest value (``argmax``); the predicted labels under
other names; two values, parted by a threshold on a column; a column after `exp` and the like, or
kept within bounds.

Arrays that carry too little to tell are made of nothing: constants fit everything, and five labels
are right by chance once in thirty. What an array carries is counted in bits: the logarithm of how
many arrays there are that have as many of each value. Different numbers in each row carry the most,
but nothing at all when only the partition counts, since each is the same but for its names.

What agrees in few rows of many is compared once more in as many as fit into 64 KB: labels that were
mended by hand, or those of another form of the same model, differ in some rows only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np

from skledger.capture.transforms import is_made_of

__all__ = [
    "ROUNDED",
    "SAME",
    "THRESHOLD",
    "TRANSFORMED",
    "Fingerprint",
    "Sample",
    "finer_rows",
    "finer_step",
    "is_column",
    "sample_of",
    "sampled",
    "some_rows",
]

ROWS = 512
COLUMNS = 16
#: Rows by which most columns are ruled out.
FEW = 8
#: Room for the rows of the second look, in bytes.
ROOM = 65_536
#: Bits that equal values must carry, and values that only fit after something was done to them.
ENOUGH_EQUAL = 8.0
ENOUGH_DERIVED = 10.0
#: Decimals that people round to.
DECIMALS = 5
#: How an array was made of a prediction: the values themselves, or labels under any names ...
SAME = "values"
#: ... or something after which pictures and checks are those of another model.
ROUNDED, THRESHOLD, TRANSFORMED = "rounded", "threshold", "transformed"
SINGLE = "single"


def sampled(array: Any, step: int | None = None) -> tuple[int, Any] | None:
    """Return the number of rows of a NumPy array, and a copy of some; None for other shapes.

    Parameters
    ----------
    array : ndarray
        The array.
    step : int, optional
        Every so many rows; by default so many that at most 512 are left.
    """
    shape = array.shape
    if not 1 <= len(shape) <= 2 or not shape[0]:
        return None
    n_rows: int = shape[0]
    step = -(-n_rows // ROWS) if step is None else step
    if step > 1:
        array = array[::step]
    if len(shape) == 2 and shape[1] > COLUMNS:
        array = array[:, :COLUMNS]
    return n_rows, array.copy()


def finer_step(n_rows: int, rows: Any) -> int | None:
    """Return the step of a second look at a prediction; None when the first has seen all of it."""
    if n_rows <= ROWS:
        return None
    room: int = max(ROWS, ROOM // max(rows.nbytes // len(rows), 1))
    return -(-n_rows // room)


def finer_rows(given: Any, step: int) -> Any:
    """Return the rows of the second look; None of what has none."""
    found = some_rows(given, step)
    return None if found is None else found[1]


def sample_of(given: Any) -> Sample | None:
    """Return a sample of an argument: an array, a list, a series or a data frame."""
    found = some_rows(given)
    return None if found is None else Sample(*found)


def some_rows(given: Any, step: int | None = None) -> tuple[int, Any] | None:
    """Return what `sampled` does, of a list, a series or a data frame, too."""
    if isinstance(given, np.ndarray):
        return sampled(given, step)
    shape = getattr(given, "shape", None)
    n_rows = shape[0] if shape else len(given) if isinstance(given, list | tuple) else 0
    if not n_rows or (shape is not None and len(shape) == 2 and shape[1] > COLUMNS):
        return None
    rows = slice(None, None, -(-n_rows // ROWS) if step is None else step)
    given = getattr(given, "iloc", given)[rows]
    try:
        array = given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    found = sampled(array, 1) if isinstance(array, np.ndarray) else None
    return None if found is None else (n_rows, found[1])


def is_column(sample: Sample, data: Any) -> bool:
    """Tell whether the numbers of a sample are a column of data of as many rows.

    Parameters
    ----------
    sample : Sample
        Some rows of an argument.
    data : array-like of shape (n_samples, n_features)
        The data.
    """
    shape: tuple[int, ...] = getattr(data, "shape", ())
    numbers = sample.numbers
    if numbers is None or numbers.shape[1] != 1 or len(shape) != 2 or shape[0] != sample.n_rows:
        return False
    table = getattr(data, "iloc", data)
    wanted, step = numbers[:, 0], -(-shape[0] // ROWS)
    first = _plain(table[: FEW * step : step])
    for column in np.flatnonzero(np.all(first == wanted[:FEW, np.newaxis], axis=0)):
        # One column at a time: there are seldom two.
        if np.array_equal(_plain(table[::step, [column]]).ravel(), wanted):
            return True
    return False


def _plain(rows: Any) -> Any:
    return rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)


class Sample:
    """Some rows of an argument, and what they carry.

    Parameters
    ----------
    n_rows : int
        How many rows there are in all.
    rows : ndarray of shape (n,) or (n, n_columns)
        Some of them.

    Attributes
    ----------
    numbers : ndarray of shape (n, n_columns) or None
        The rows as numbers, where they are.
    keys : list of int
        Stands for the values of each column; empty unless they are numbers.
    """

    def __init__(self, n_rows: int, rows: Any) -> None:
        self.n_rows = n_rows
        self._table = _table(rows)
        self.numbers = numbers = _numbers(self._table)
        self.keys = [] if numbers is None else _keys(numbers)

    @cached_property
    def _told(self) -> tuple[float, int | None, float, list[bool] | None]:
        """Work out what the columns tell; a second look mostly does without."""
        table = self._table
        bits, of_partition, partition, parted = 0.0, 0.0, None, None
        for column in range(table.shape[1]):
            codes = _codes(table[:, column])
            bits, of_partition = _bits(codes)
            if table.shape[1] == 1:
                partition = _key(codes)
                if max(codes) == 1:
                    parted = [bool(code) for code in codes]
            if bits >= ENOUGH_DERIVED:
                break
        return bits, partition, of_partition, parted

    @property
    def bits(self) -> float:
        """What a column tells."""
        return self._told[0]

    @property
    def partition(self) -> int | None:
        """Of a single column, stands for which rows have the same value."""
        return self._told[1]

    @property
    def partition_bits(self) -> float:
        """What the partition tells."""
        return self._told[2]

    @property
    def parted(self) -> list[bool] | None:
        """Of two values, which rows have the second."""
        return self._told[3]

    def roundings(self) -> Iterator[tuple[str, Callable[[Any], Any]]]:
        """Yield what was perhaps done to numbers to make these, by its name."""
        numbers = self.numbers
        if numbers is None:
            return
        for decimals in range(DECIMALS):
            if np.array_equal(np.round(numbers, decimals), numbers, equal_nan=True):
                yield f"round {decimals}", partial(np.round, decimals=decimals)
                if not decimals:
                    yield "cut", np.trunc
                return
        with np.errstate(all="ignore"):
            if np.array_equal(_single(numbers), numbers, equal_nan=True):
                yield SINGLE, _single


class Fingerprint:
    """What some rows of a prediction are compared by, worked out when that is wanted.

    Parameters
    ----------
    rows : ndarray of shape (n,) or (n, n_columns)
        A copy of some rows, as `sampled` gives it.
    """

    def __init__(self, rows: Any) -> None:
        self._table = rows
        self._derived: dict[str, set[int]] | None = None
        self._orders: list[tuple[list[int], list[float]]] = []
        self._partition: int | None = None
        self._has_labels = True

    def fits(self, sample: Sample, *, is_enough: bool = False) -> str:
        """Tell how a sample, of as many rows in all, was made of this prediction; "" if it was not.

        Parameters
        ----------
        sample : Sample
            Some rows of an argument.
        is_enough : bool, default=False
            Whether it is known already that they carry enough to tell: this is a second look.
        """
        derived = self._derived
        if derived is None:
            derived = self._derive()
        if not is_enough and sample.bits < ENOUGH_EQUAL:
            return ""
        if sample.keys and derived["same"].issuperset(sample.keys):
            return SAME
        if sample.partition == self._partition and (
            is_enough or sample.partition_bits >= ENOUGH_DERIVED
        ):
            # Labels may have any names; numbers that are others were made of the prediction.
            return SAME if self._has_labels else TRANSFORMED
        if self._orders and (is_enough or sample.bits >= ENOUGH_DERIVED):
            return self._derived_by(sample)
        return ""

    def _derived_by(self, sample: Sample) -> str:
        """Tell what was done to numbers to make a sample."""
        rounded = self._fits_rounded(sample) if sample.keys else ""
        if rounded:
            return SAME if rounded == SINGLE else ROUNDED
        if sample.parted is not None and self._is_parted(sample.parted, sample.bits):
            return THRESHOLD
        numbers = sample.numbers
        if numbers is not None and all(
            any(is_made_of(each, mine) for mine in self._table.T) for each in numbers.T
        ):
            return TRANSFORMED
        return ""

    def _derive(self) -> dict[str, set[int]]:
        """Work out what an argument is compared with."""
        self._table = table = _table(self._table)
        numbers = _numbers(table)
        derived = {"same": set() if numbers is None else set(_keys(numbers))}
        if numbers is not None:
            self._table = numbers
        if table.shape[1] == 1:
            self._partition = _key(_codes(table[:, 0]))
            # Whole numbers are labels, or counts: there is nothing to round.
            if numbers is not None and not np.array_equal(numbers, np.trunc(numbers)):
                self._orders = _orders(numbers)
                self._has_labels = False
        elif numbers is not None:
            # A row of nothing but NaN has no largest value, and no harm is done by its first.
            self._partition = _key(_codes(np.argmax(numbers, axis=1)))
            self._orders = _orders(numbers)
        self._derived = derived
        return derived

    def _fits_rounded(self, sample: Sample) -> str:
        derived = self._derived or {}
        for name, made in sample.roundings():
            keys = derived.get(name)
            if keys is None:
                with np.errstate(all="ignore"):
                    keys = derived[name] = set(_keys(made(self._table) + 0.0))
            if keys.issuperset(sample.keys):
                return name
        return ""

    def _is_parted(self, parted: list[bool], bits: float) -> bool:
        """Tell whether a threshold on one of the columns parts its rows so."""
        # There are as many thresholds as rows, so that much comes by itself.
        if bits - math.log2(len(parted) + 1) < ENOUGH_EQUAL:
            return False
        above = sum(parted)
        for order, values in self._orders:
            for side in (True, False):
                size = above if side else len(parted) - above
                # The cheapest look first: nearly all that do not fit end here.
                if (
                    parted[order[-1]] is side
                    and values[-size] > values[-size - 1]
                    and all(parted[row] is side for row in order[-size:])
                ):
                    return True
        return False


def _table(rows: Any) -> Any:
    return rows.reshape(-1, 1) if rows.ndim == 1 else rows


def _numbers(table: Any) -> Any:
    """Return a table of numbers in double precision; None when it holds something else."""
    kind = table.dtype.kind
    if kind == "O":
        # Numbers in a column of objects are numbers; texts of digits are not.
        if not all(isinstance(each, int | float | np.number) for each in table[0]):
            return None
        try:
            return table.astype(np.float64) + 0.0
        except (TypeError, ValueError):
            return None
    # Adding zero makes one of both zeros.
    return table.astype(np.float64) + 0.0 if kind in "biuf" else None


def _single(numbers: Any) -> Any:
    return numbers.astype(np.float32).astype(np.float64)


def _keys(numbers: Any) -> list[int]:
    """Return what stands for the values of each column."""
    return [hash(column.tobytes()) for column in np.ascontiguousarray(numbers.T)]


def _codes(column: Any) -> list[int]:
    """Return the values of a column as numbers, in the order in which they come up."""
    seen: dict[Any, int] = {}
    try:
        return [seen.setdefault(value, len(seen)) for value in column.tolist()]
    except TypeError:  # what cannot be hashed is no label
        return [0] * len(column)


def _key(codes: list[int]) -> int:
    return hash(tuple(codes))


def _bits(codes: list[int]) -> tuple[float, float]:
    """Return what it tells which rows have which value, and which have the same, in bits.

    That is how many columns have as many of each: n! / (c1! c2! ...); and how many of them are
    the same under other names: the number of values, factorial.
    """
    counts = Counter(codes).values()
    of_values = math.lgamma(len(codes) + 1) - sum(math.lgamma(count + 1) for count in counts)
    of_partition = of_values - math.lgamma(len(counts) + 1)
    return of_values / math.log(2), of_partition / math.log(2)


def _orders(numbers: Any) -> list[tuple[list[int], list[float]]]:
    """Return for each column its rows by value, and the values in that order."""
    found = []
    for column in numbers.T:
        order = np.argsort(column, kind="stable")
        found.append((order.tolist(), column[order].tolist()))
    return found
