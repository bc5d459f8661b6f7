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
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skledger._guard import contain
from skledger.capture.fingerprints import SAME, Sample, finer_rows, is_column, sample_of
from skledger.capture.remembered import Link, Remembered, remembered, root_of
from skledger.capture.sources import TRUTHS, UNKNOWN_DATASET, n_rows_of
from skledger.capture.weakly import WeakById

if TYPE_CHECKING:
    from skledger.capture.sources import Source

__all__ = ["AMBIGUOUS", "EXCHANGED", "NONE", "find", "forget_all", "has_any", "link", "remember"]

#: Predictions that are remembered by their values and their memory; each takes about 64 KB at most.
KEPT = 64
KEPT_OF_NOBODY = 16
#: Earlier ones of which only a hash is left: enough to know that somebody else predicted the same.
DOUBTS = 10_000
#: Arguments that are what a prediction is compared with: a prediction only when nothing else is.
TRUTH_ARGUMENTS = (*TRUTHS, "y")
#: Arguments that are the data themselves.
DATA = ("X",)
#: Arguments that are never a prediction.
NEVER = frozenset({"sample_weight", "target_names", "multioutput"})
#: How much work may go into telling whether two arrays share memory.
MEMORY_WORK = 1000
#: Elements of a list that are looked at: predictions of several outputs.
ELEMENTS = 16
DEPTH = 8

#: Why nothing was found; and a prediction that stands where the truth should be.
NONE, AMBIGUOUS, EXCHANGED = "none", "ambiguous", "exchanged"

_lock = threading.RLock()
_known: WeakById[tuple[Source | None, Remembered | None]] = WeakById()
_recent: deque[Remembered] = deque()
_nobodys: deque[Remembered] = deque()
#: The runs of predictions that are not remembered any more; None is nobody's or those of several.
_doubts: OrderedDict[int, str | None] = OrderedDict()


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
    one = remembered(array, source, values=values)
    known = link(array, source, one)
    if one is None:
        return
    if isinstance(array, np.ndarray):
        one.link = known
        root = root_of(array)
        # A view of a view is, for NumPy, one of what owns the memory.
        if root is not None:
            link(root, source, remembered(root, source, values=values))
    with _lock:
        _append(one)


def _append(one: Remembered) -> None:
    kept, most = (_nobodys, KEPT_OF_NOBODY) if one.source is None else (_recent, KEPT)
    kept.append(one)
    if len(kept) > most:
        gone = kept.popleft()
        if gone.rows is not None:
            value, run_id = gone.value, None if gone.source is None else gone.source.run_id
            _doubts[value] = run_id if _doubts.get(value, run_id) == run_id else None
            if len(_doubts) > DOUBTS:
                _doubts.popitem(last=False)


def link(array: Any, source: Source | None, values: Remembered | None = None) -> Link | None:
    """Remember an object by its identity, until it is gone; None when nothing would tell.

    Parameters
    ----------
    array : object
        The object.
    source : Source or None
        Where it came from.
    values : Remembered, optional
        What it was like then; without it, nobody notices when it is written to.
    """
    try:
        return _known.put(array, (source, values))
    except TypeError:
        return None


def has_any() -> bool:
    """Tell whether there is any prediction of a model that has a run."""
    return bool(_recent)


def forget_all() -> None:
    """Forget every prediction."""
    with _lock:
        _known.clear()
        _recent.clear()
        _nobodys.clear()
        _doubts.clear()


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
    how : str
        ``identity``, ``view`` or ``memory``; by values ``values``, ``rounded``, ``threshold`` or
        ``transformed``; ``exchanged`` when it stands where the truth should be. Without a source,
        ``ambiguous`` or ``none``.
    """
    truths: list[Any] = []
    others: list[Any] = []
    data: list[Any] = []
    for name, value in arguments.items():
        if _is_array_like(value) and name not in NEVER:
            among = truths if name in TRUTH_ARGUMENTS else data if name in DATA else others
            among.append(value)
    # What is measured against itself proves nothing.
    others = [each for each in others if not any(each is truth for truth in truths)] or others
    found = _linked(others) or _by_values(others if others else truths)
    # What was only encoded is no prediction where there is one.
    found = [each for each in found if not _is_prepared(each)] or found
    # People change the places of truth and prediction, and compare two models.
    there = [each for each in _linked(truths) if not _is_prepared(each)]
    if not found and others and there:
        return _choose([(source, EXCHANGED) for source, _ in there])
    found += [each for each in there if each[0] is not None or not found]
    return _choose(found or _linked(data))


Found = tuple["Source | None", str]


def _is_prepared(found: Found) -> bool:
    return found[0] is not None and found[0].method == "transform"


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
    known = _known.get(value)
    if known is not None:
        return _unchanged(known, value, "identity")
    if not _known:
        return None
    array = value if isinstance(value, np.ndarray) else _array_of(value)
    if array is None:
        return None
    base = array
    for _ in range(DEPTH):
        known = _known.get(base)
        if known is not None:
            return _unchanged(known, base, "view")
        base = getattr(base, "base", None)
        if base is None:
            break
    # What owns its memory shares it with no older array.
    return None if array.base is None else _sharing(array)


def _unchanged(
    known: tuple[Source | None, Remembered | None], value: Any, how: str
) -> Found | None:
    """Return whose prediction an object is; None when it has been written to since."""
    return (known[0], how) if known[1] is None or known[1].is_unchanged(value) else None


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


def _snapshot() -> list[Remembered]:
    with _lock:
        return [*_nobodys, *_recent]


def _by_values(values: Iterable[Any]) -> list[Found]:
    """Return whose predictions some arguments were made of, by their values."""
    if not _recent:
        return []
    sizes = {each.n_rows for each in _snapshot() if each.rows is not None}
    found: list[Found] = []
    for value in values:
        if n_rows_of(value) in sizes:
            with contain("where an argument of a metric came from"):
                sample = sample_of(value)
                if sample is not None:
                    found += _fitting(value, sample)
    return sorted(found, key=lambda each: each[1] != SAME)


def _fitting(value: Any, sample: Sample) -> list[Found]:
    """Return whose predictions an argument was made of; nobody's, too, where that may be."""
    found: list[Found] = []
    finer: dict[int, Sample] = {}
    is_given: dict[int, bool] = {}
    for each in reversed(_snapshot()):
        how = each.fits(sample)
        if how and each.step is not None:
            if each.step not in finer:
                finer[each.step] = Sample(sample.n_rows, finer_rows(value, each.step))
            how = each.fits_finer(finer[each.step])
        if not how:
            continue
        source = each.source
        found.append((source, how))
        if source is None:
            continue
        if _doubts.get(each.value, source.run_id) != source.run_id:
            found.append((None, how))
        if source.data_key not in is_given:
            data = None if source.data is None else source.data()
            is_given[source.data_key] = data is not None and is_column(sample, data)
        if is_given[source.data_key]:  # a rule as good as the model
            found.append((None, how))
    return found
