"""Whether an array was made of a prediction, by the values of some rows.

A fingerprint is a copy of at most 512 rows, evenly spread, of at most 16 columns. An array of as
many rows was made of the prediction when, on these rows, it is one of: the values, or a column of
them, in whatever type or container; the values rounded to up to four decimals, cut to whole numbers
or in single precision; the column with the largest value (``argmax``); the predicted labels under
other names; two values, parted by a threshold on a column.

Arrays that carry too little to tell are made of nothing: constants fit everything, and five labels
are right by chance once in thirty. What an array carries is counted in bits: the logarithm of how
many arrays there are that have as many of each value. Different numbers in each row carry the most,
but nothing at all when only the partition counts, since each is the same but for its names.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

__all__ = ["Fingerprint", "Sample", "sample_of", "sampled", "some_rows"]

ROWS = 512
COLUMNS = 16
#: Bits that equal values must carry, and values that only fit after something was done to them.
ENOUGH_EQUAL = 8.0
ENOUGH_DERIVED = 10.0
#: Decimals that people round to.
DECIMALS = 5


def sampled(array: Any) -> tuple[int, Any] | None:
    """Return the number of rows of a NumPy array, and a copy of some; None for other shapes."""
    shape = array.shape
    if not 1 <= len(shape) <= 2 or not shape[0]:
        return None
    n_rows: int = shape[0]
    if n_rows > ROWS:
        array = array[:: -(-n_rows // ROWS)]
    if len(shape) == 2 and shape[1] > COLUMNS:
        array = array[:, :COLUMNS]
    return n_rows, array.copy()


def sample_of(given: Any) -> Sample | None:
    """Return a sample of an argument: an array, a list, a series or a data frame."""
    found = some_rows(given)
    return None if found is None else Sample(*found)


def some_rows(given: Any) -> tuple[int, Any] | None:
    """Return what `sampled` does, of a list, a series or a data frame, too."""
    if isinstance(given, np.ndarray):
        return sampled(given)
    shape = getattr(given, "shape", None)
    n_rows = shape[0] if shape else len(given) if isinstance(given, list | tuple) else 0
    if not n_rows or (shape is not None and len(shape) == 2 and shape[1] > COLUMNS):
        return None
    rows = slice(None, None, -(-n_rows // ROWS))
    given = getattr(given, "iloc", given)[rows]
    try:
        array = given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    found = sampled(array) if isinstance(array, np.ndarray) else None
    return None if found is None else (n_rows, found[1])


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
    partition : int or None
        Of a single column, stands for which rows have the same value.
    bits : float
        What a column tells.
    partition_bits : float
        What the partition tells.
    parted : list of bool or None
        Of two values, which rows have the second.
    """

    def __init__(self, n_rows: int, rows: Any) -> None:
        self.n_rows = n_rows
        table = _table(rows)
        numbers = _numbers(table)
        self.numbers = numbers
        self.keys = [] if numbers is None else _keys(numbers)
        self.bits = self.partition_bits = 0.0
        self.partition: int | None = None
        self.parted: list[bool] | None = None
        for column in range(table.shape[1]):
            codes = _codes(table[:, column])
            self.bits, of_partition = _bits(codes)
            if table.shape[1] == 1:
                self.partition, self.partition_bits = _key(codes), of_partition
                if max(codes) == 1:
                    self.parted = [bool(code) for code in codes]
            if self.bits >= ENOUGH_DERIVED:
                break

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
                yield "single", _single


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

    def fits(self, sample: Sample) -> bool:
        """Tell whether a sample, of as many rows in all, was made of this prediction."""
        if sample.bits < ENOUGH_EQUAL:
            return False
        derived = self._derived
        if derived is None:
            derived = self._derive()
        if sample.keys and derived["same"].issuperset(sample.keys):
            return True
        if sample.partition == self._partition and sample.partition_bits >= ENOUGH_DERIVED:
            return True
        if sample.bits < ENOUGH_DERIVED:
            return False
        if self._orders and sample.keys and self._fits_rounded(sample):
            return True
        return sample.parted is not None and self._is_parted(sample.parted, sample.bits)

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
        elif numbers is not None:
            # A row of nothing but NaN has no largest value, and no harm is done by its first.
            self._partition = _key(_codes(np.argmax(numbers, axis=1)))
            self._orders = _orders(numbers)
        self._derived = derived
        return derived

    def _fits_rounded(self, sample: Sample) -> bool:
        derived = self._derived or {}
        for name, made in sample.roundings():
            keys = derived.get(name)
            if keys is None:
                with np.errstate(all="ignore"):
                    keys = derived[name] = set(_keys(made(self._table) + 0.0))
            if keys.issuperset(sample.keys):
                return True
        return False

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
