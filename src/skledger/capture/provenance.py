"""Whose prediction an array is: weak links from arrays to the runs of the models they came from.

An argument of a metric belongs to a prediction when it is the very array, a view of it, or shares
memory with it; and only when none of that is so, by its values (`fingerprints`). Wherever several
runs come into question, nobody is chosen. An array that was written to since the model gave it away
(``p += q``, ``p[:] = q``) is that prediction no more: some of its rows are compared with a copy.

Predictions of estimators that have no run are remembered, too, as nobody's: what was made of one of
them may have the same values as the prediction of a model that has a run.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np

from skledger._guard import contain
from skledger.capture.fingerprints import (
    Fingerprint,
    Sample,
    sample_of,
    sampled,
    some_rows,
)

if TYPE_CHECKING:
    from skledger.hooks.events import Source

__all__ = ["find", "forget_all", "has_any", "link", "remember"]

#: Predictions that are remembered by their values and their memory; each takes at most 64 KB.
KEPT = 64
KEPT_OF_NOBODY = 16
#: What a data set is called when it is not known which of several it is.
UNKNOWN_DATASET = "unknown_dataset"
#: Arguments that are what a prediction is compared with: a prediction only when nothing else is.
TRUTHS = ("y_true", "labels_true", "y")
#: Arguments that are the data themselves.
DATA = ("X",)
#: Arguments that are never a prediction.
NEVER = frozenset({"sample_weight", "target_names", "multioutput"})
#: How much work may go into telling whether two arrays share memory.
MEMORY_WORK = 1000
#: Elements of a list that are looked at: predictions of several outputs.
ELEMENTS = 16
DEPTH = 8

Link = ReferenceType[Any]
#: Why nothing was found, and how something was.
NONE, AMBIGUOUS = "none", "ambiguous"


class _Remembered:
    """A prediction: whose it is, where it lives, how many rows it has, and a copy of some."""

    __slots__ = ("_values", "link", "n_rows", "rows", "source")

    def __init__(self, source: Source | None, link: Link | None, n_rows: int, rows: Any):
        self.source = source
        self.link = link
        self.n_rows = n_rows
        self.rows = rows
        self._values: Fingerprint | None = None

    def is_unchanged(self, array: Any) -> bool:
        """Tell whether the rows that were copied are still the same in the array itself."""
        rows = self.rows
        if rows is None:
            return True
        found = sampled(array) if isinstance(array, np.ndarray) else some_rows(array)
        if found is None or found[1].dtype != rows.dtype or found[1].shape != rows.shape:
            return False
        if rows.dtype.hasobject:
            return bool(np.all((found[1] == rows) | (found[1] != found[1])))
        # NaN, too, is equal to itself.
        return bool(found[1].tobytes() == rows.tobytes())

    def fits(self, sample: Sample) -> bool:
        """Tell whether an argument was made of it, by its values."""
        if self.n_rows != sample.n_rows or self.rows is None:
            return False
        if self._values is None:  # most predictions are never asked
            self._values = Fingerprint(self.rows)
        return self._values.fits(sample)


_lock = threading.RLock()
_by_id: dict[int, tuple[Link, Source | None, _Remembered | None]] = {}
_recent: deque[_Remembered] = deque(maxlen=KEPT)
_nobodys: deque[_Remembered] = deque(maxlen=KEPT_OF_NOBODY)


def remember(array: Any, source: Source | None, *, values: bool = True) -> None:
    """Remember whose prediction an array is, without keeping it alive.

    Parameters
    ----------
    array : array-like, or list of arrays
        What a model returned, or what a fit left, such as ``labels_``.
    source : Source or None
        Where it came from; None for an estimator that has no run.
    values : bool, default=True
        Whether it is known by its values, too.
    """
    if type(array) is list and array and isinstance(array[0], np.ndarray):
        for each in array[:ELEMENTS]:  # one for each output
            remember(each, source, values=values)
        return
    is_array = isinstance(array, np.ndarray)
    found = None
    if values:
        found = sampled(array) if is_array else some_rows(array)
    one = None
    if found is not None or is_array:
        n_rows, rows = found or (0, None)
        one = _Remembered(source, None, n_rows, rows)
    known = link(array, source, one)
    if one is not None:
        one.link = known if is_array else None
        with _lock:
            (_nobodys if source is None else _recent).append(one)


def link(array: Any, source: Source | None, values: _Remembered | None = None) -> Link | None:
    """Remember an object by its identity, until it is gone; None when nothing would tell.

    Parameters
    ----------
    array : object
        The object.
    source : Source or None
        Where it came from.
    values : _Remembered, optional
        What it was like then; without it, nobody notices when it is written to.
    """
    place = id(array)

    def forget(gone: Link) -> None:
        # Without the lock: this runs wherever Python collects. Another may live there by now.
        found = _by_id.get(place)
        if found is not None and found[0] is gone:
            _by_id.pop(place, None)

    try:
        made = ref(array, forget)
    except TypeError:
        return None
    _by_id[place] = made, source, values
    return made


def has_any() -> bool:
    """Tell whether there is any prediction of a model that has a run."""
    return bool(_recent)


def forget_all() -> None:
    """Forget every prediction."""
    with _lock:
        _by_id.clear()
        _recent.clear()
        _nobodys.clear()


def _after_fork() -> None:
    """Start anew in a child: what it measures is its own, and a thread may have held the lock."""
    global _lock
    _lock = threading.RLock()
    forget_all()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


def find(arguments: Mapping[str, Any]) -> tuple[Source | None, str]:
    """Return whose prediction is among the arguments of a metric, and how that was found.

    Parameters
    ----------
    arguments : mapping
        The arguments that were given, by name.

    Returns
    -------
    source : Source or None
    how : {"identity", "view", "memory", "values", "ambiguous", "none"}
        Without a source, one of the last two.
    """
    truths: list[Any] = []
    others: list[Any] = []
    data: list[Any] = []
    for name, value in arguments.items():
        if _is_array_like(value) and name not in NEVER:
            (truths if name in TRUTHS else data if name in DATA else others).append(value)
    # What is measured against itself proves nothing.
    others = [each for each in others if not any(each is truth for truth in truths)] or others
    found = _linked(others) or _by_values(others if others else truths)
    # People change the places of truth and prediction, and compare two models.
    found += [each for each in _linked(truths) if each[0] is not None or not found]
    return _choose(found or _linked(data))


Found = tuple["Source | None", str]


def _choose(found: list[Found]) -> tuple[Source | None, str]:
    """Return the one source that all that was found agrees on."""
    if not found:
        return None, NONE
    runs = {None if source is None else source.run_id for source, _ in found}
    if len(runs) > 1:
        return None, AMBIGUOUS
    source, how = found[0]
    if source is None:
        return None, NONE
    if len({each.data_key for each, _ in found if each is not None}) > 1:
        source = replace(source, dataset=UNKNOWN_DATASET, data=None)
    return source, how


def _is_array_like(value: Any) -> bool:
    """Tell what may be a prediction, by its looks."""
    if isinstance(value, np.ndarray | list | tuple):
        return True
    return hasattr(value, "shape") and hasattr(value, "__len__")


def _linked(values: Iterable[Any]) -> list[Found]:
    """Return whose predictions some arguments are, by identity, base or memory."""
    found = []
    for value in values:
        for each in _parts(value):
            one = _linked_one(each)
            if one is not None:
                found.append(one)
    return found


def _parts(value: Any) -> Iterator[Any]:
    """Yield an argument; of a list of arrays, the arrays."""
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], np.ndarray):
            yield from value[:ELEMENTS]
        return
    yield value


def _linked_one(value: Any) -> Found | None:
    known = _by_id.get(id(value))
    if known is not None and known[0]() is value:
        return _unchanged(known, value, "identity")
    if not _by_id:
        return None
    array = value if isinstance(value, np.ndarray) else _array_of(value)
    if array is None:
        return None
    base = array
    for _ in range(DEPTH):
        known = _by_id.get(id(base))
        if known is not None and known[0]() is base:
            return _unchanged(known, base, "view")
        base = getattr(base, "base", None)
        if base is None:
            break
    # What owns its memory shares it with no older array.
    return None if array.base is None else _sharing(array)


def _unchanged(
    known: tuple[Link, Source | None, _Remembered | None], value: Any, how: str
) -> Found | None:
    """Return whose prediction an object is; None when it has been written to since."""
    return (known[1], how) if known[2] is None or known[2].is_unchanged(value) else None


def _array_of(value: Any) -> Any:
    """Return the array inside of a series or of a data frame, where that makes no copy."""
    if getattr(value, "ndim", 0) == 2 and hasattr(value, "iloc"):
        if not value.shape[1]:
            return None
        value = value.iloc[:, 0]
    if isinstance(getattr(value, "dtype", None), np.dtype) and hasattr(value, "to_numpy"):
        return value.to_numpy()
    return None


def _sharing(array: Any) -> Found | None:
    """Return whose prediction an array shares memory with."""
    for each in reversed(_snapshot()):
        other = None if each.link is None else each.link()
        if other is not None and np.may_share_memory(array, other):
            try:
                if np.shares_memory(array, other, max_work=MEMORY_WORK):  # type: ignore[arg-type]
                    return (each.source, "memory") if each.is_unchanged(other) else None
            except Exception:  # noqa: BLE001 - too hard to tell
                continue
    return None


def _snapshot() -> list[_Remembered]:
    with _lock:
        return [*_nobodys, *_recent]


def _by_values(values: Iterable[Any]) -> list[Found]:
    """Return whose predictions some arguments were made of, by their values."""
    if not _recent:
        return []
    sizes = {each.n_rows for each in _snapshot() if each.rows is not None}
    found: list[Found] = []
    for value in values:
        if _length(value) not in sizes:
            continue
        with contain("where an argument of a metric came from"):
            sample = sample_of(value)
            if sample is not None:
                found += _fitting(sample)
    return found


def _fitting(sample: Sample) -> list[Found]:
    found: list[Found] = []
    for each in reversed(_snapshot()):
        if each.fits(sample):
            found.append((each.source, "values"))
    return found


def _length(value: Any) -> int:
    shape = getattr(value, "shape", None)
    return int(shape[0]) if shape else len(value) if isinstance(value, list | tuple) else 0
