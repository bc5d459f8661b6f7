"""The values a search tried for one param: as numbers where they are, as short texts otherwise."""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise, product
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.pictures import label_text

__all__ = ["Column", "axis_of", "column_of", "labels_of", "told_apart"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

_FACTOR = 100 * (1 - 1e-9)  # numbers that span as much are shown on a logarithmic axis
_FEW = 20  # numbers that somebody may have chosen one by one
_LEAST = 1e-290  # what is smaller is stored as zero
_MAX_MIXED = 20  # numbers beside other values that are shown as categories
_MAX_COMPARED = 30  # estimators of one class that are told apart by their params
_MAX_ALIKE = 20  # objects with the same text that are told apart by numbers
_MAX_TEXTS = 300  # different objects that are written out, for that is slow
_MAX_ITEMS = 20  # of an array that is written out


class _Brief(reprlib.Repr):
    """Texts of bounded length that cost little."""

    def repr_instance(self, x: Any, level: int) -> str:
        """Return the text of what is no built-in collection."""
        if hasattr(x, "get_params"):
            return type(x).__name__
        if getattr(x, "size", 0) > _MAX_ITEMS:
            return f"{type(x).__name__}{getattr(x, 'shape', '')}"
        return super().repr_instance(x, level)


_brief = _Brief()
_brief.maxstring = _brief.maxother = 60
_brief.maxlist = _brief.maxtuple = _brief.maxset = _brief.maxdict = 16
_brief.maxlevel = 3


@dataclass(slots=True)
class Column:
    """The values of one param over the candidates that set it.

    Attributes
    ----------
    name : str
        Of the param.
    places : ndarray of shape (n,)
        The candidates, ascending.
    codes : ndarray of shape (n,)
        Which of the different values each has.
    values : ndarray of shape (n,)
        The numbers; NaN throughout when the values are categories.
    numeric : bool
        Whether they are numbers, their codes ascending with them.
    distinct : sequence of float or str
        The different values, in the order of their codes.
    skipped : int
        Candidates whose value is left out.
    """

    name: str
    places: Places
    codes: Places
    values: Floats
    numeric: bool
    distinct: Sequence[float | str]
    skipped: int = 0

    @property
    def n_values(self) -> int:
        """How many different values there are."""
        return len(self.distinct)

    @property
    def labels(self) -> list[str]:
        """The text of each different value."""
        return self.labels_at(range(self.n_values))

    def labels_at(self, codes: Iterable[int]) -> list[str]:
        """Return the texts of the values with these codes, different ones for each."""
        return _labels([self.distinct[one] for one in codes])

    @property
    def log(self) -> bool:
        """Whether these are positive numbers that span two decades or more.

        Of many numbers the middle one must also lie nearer to the middle of a logarithmic axis:
        among a thousand numbers drawn evenly from 0 to 1 a few are always close to 0.
        """
        if not self.numeric or not self.distinct:
            return False
        low, middle, high = (float(self.distinct[one]) for one in (0, self.n_values // 2, -1))
        if low <= _LEAST or high / low < _FACTOR:
            return False
        evenly = middle / high - 0.5
        steeply = math.log(middle / low) / math.log(high / low) - 0.5
        return self.n_values <= _FEW or abs(steeply) < abs(evenly)

    def only(self, kept: Places) -> Column:
        """Return the column with these codes alone (ascending)."""
        new = np.full(self.n_values, -1, dtype=np.intp)
        new[kept] = np.arange(len(kept))
        codes = new[self.codes]
        stay = codes >= 0
        return Column(
            self.name,
            self.places[stay],
            codes[stay],
            self.values[stay],
            self.numeric,
            [self.distinct[one] for one in kept.tolist()],
            self.skipped + int((~stay).sum()),
        )


def column_of(name: str, values: Sequence[Any], places: Places | None = None) -> Column:
    """Look at the values of one param.

    Parameters
    ----------
    name : str
        Of the param.
    values : sequence
        One value for each candidate that sets it: anything.
    places : ndarray of shape (n_values,), optional
        Which candidates these are; all when it is not given.

    Returns
    -------
    Column
        Of numbers if all are finite numbers. Otherwise of categories, numbers among them
        ascending and first, the others in the order they occur; but of the numbers alone when
        there are more than 20 of them.
    """
    if places is None:
        places = np.arange(len(values))
    if all(_is_number(kind) for kind in set(map(type, values))):
        with suppress(OverflowError):  # a whole number beyond all floats
            numbers = np.array(values, dtype=np.float64)
            if np.isfinite(numbers).all():
                return _numeric(name, numbers, places)
    return _mixed(name, values, places)


def axis_of(column: Column, at: Places, most: int) -> tuple[Places, list[str]]:
    """Give a column an axis of named places.

    Parameters
    ----------
    column : Column
        The values.
    at : ndarray of int
        Which of them.
    most : int
        How many places to have at most: more numbers are put into ranges.

    Returns
    -------
    places : ndarray of int
        Where on the axis each of them lies.
    labels : list of str
        The labels of the places.
    """
    used, codes = np.unique(column.codes[at], return_inverse=True)
    if not column.numeric or len(used) <= most:
        return codes, column.labels_at(used.tolist())
    values = column.values[at]
    scale = np.log10(values) if column.log else values
    low, high = float(scale.min()), float(scale.max())
    # Halves, because the difference of two huge numbers may be infinite.
    part = (scale / 2 - low / 2) / (high / 2 - low / 2)
    bins = np.minimum((np.nan_to_num(part) * most).astype(np.intp), most - 1)
    edges = low * (1 - np.linspace(0, 1, most + 1)) + high * np.linspace(0, 1, most + 1)
    ends = _round((10.0**edges if column.log else edges).tolist())
    return bins, [f"{first} to {last}" for first, last in pairwise(ends)]


def _round(numbers: list[float]) -> list[str]:
    """Return numbers with the digits that tell them apart, at least two."""
    for digits in range(2, 18):
        # No powers of ten where so many digits need none.
        texts = [f"{float(f'{number:.{digits}g}'):.{max(6, digits)}g}" for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            break
    return texts


def labels_of(values: Sequence[Any]) -> list[str]:
    """Return a short text of each of the values of a param."""
    return _labels(_keys(values))


def told_apart(texts: Sequence[str], cut: Callable[[str], str]) -> list[str]:
    """Shorten texts such that those that differ still do.

    Parameters
    ----------
    texts : sequence of str
        The texts.
    cut : callable
        Shortens one text as far as needed, and leaves one alone that is short enough.

    Returns
    -------
    list of str
        What `cut` makes of them. Texts that it would make equal are shortened around the place
        where they differ, or get a number where that does not help.
    """
    shown = {text: cut(text) for text in texts}
    alike: dict[str, list[str]] = {}
    for text, short in shown.items():
        alike.setdefault(short, []).append(text)
    for members in alike.values():
        if len(members) > 1:
            shown.update(zip(members, _around(members, cut), strict=True))
    times = Counter(shown.values())
    for number, (text, short) in enumerate(list(shown.items()), start=1):
        if times[short] > 1:
            shown[text] = cut(f"{number}: {text}")
    return [shown[text] for text in texts]


def _around(texts: list[str], cut: Callable[[str], str]) -> list[str]:
    """Shorten texts where they agree, as little as makes them fit; or else as `cut` does."""
    same, same_end = _shared(texts), _shared([text[::-1] for text in texts])
    for end, head, before in product((same_end, 0), (10, 5, 2), (12, 6, 0)):
        start = max(head, same - before)
        found = []
        for text in texts:
            stop = max(start, len(text) - same_end)
            rest = text[start:stop] + (text[stop:] if end else "\N{HORIZONTAL ELLIPSIS}")
            glue = "\N{HORIZONTAL ELLIPSIS}" if start > head else ""
            found.append(text[:head] + glue + rest)
        if len(set(found)) == len(found) and all(cut(one) == one for one in found):
            return found
    return [cut(text) for text in texts]


def _shared(texts: list[str]) -> int:
    """Return how many letters all the texts begin with."""
    letters = zip(*texts, strict=False)
    return next(
        (place for place, each in enumerate(letters) if len(set(each)) > 1), min(map(len, texts))
    )


def _labels(keys: Sequence[float | str]) -> list[str]:
    numbers = {key: f"{key:g}" for key in keys if isinstance(key, float)}
    if len(set(numbers.values())) < len(numbers):
        numbers = {key: _exactly(key) for key in numbers}
    taken = set(numbers.values())
    texts = []
    for key in keys:
        if isinstance(key, float):
            texts.append(numbers[key])
        else:  # 1 and "1" are two values
            texts.append(repr(key) if key in taken else key)
    return told_apart(texts, label_text)


def _exactly(number: float) -> str:
    whole = number == round(number) and abs(number) < 1e15
    return f"{number:.0f}" if whole else repr(number)


def _is_number(kind: type) -> bool:
    return issubclass(kind, Real) and not issubclass(kind, bool | np.bool_)


def _numeric(name: str, numbers: Floats, places: Places, skipped: int = 0) -> Column:
    distinct, codes = np.unique(numbers, return_inverse=True)
    return Column(name, places, codes, numbers, True, distinct.tolist(), skipped)


def _mixed(name: str, values: Sequence[Any], places: Places) -> Column:
    keys = _keys(values)
    seen = dict.fromkeys(keys)
    numbers = sorted(key for key in seen if isinstance(key, float))
    if len(numbers) > _MAX_MIXED:
        held = [place for place, key in enumerate(keys) if isinstance(key, float)]
        alone = np.array([keys[place] for place in held], dtype=np.float64)
        return _numeric(name, alone, places[held], len(keys) - len(held))
    others = [key for key in seen if not isinstance(key, float)]
    distinct: list[float | str] = [*numbers, *others]
    code = {key: place for place, key in enumerate(distinct)}
    codes = np.array([code[key] for key in keys], dtype=np.intp)
    return Column(name, places, codes, np.full(len(keys), np.nan), False, distinct)


def _keys(values: Sequence[Any]) -> list[float | str]:
    """Return what tells values apart: floats for numbers, and texts for all others."""
    known: dict[int, str] = {}
    alike: dict[str, list[Any]] = {}
    estimators: dict[int, Any] = {}
    keys: list[Any] = []
    for value in values:
        kind = type(value)
        if kind is str:
            keys.append(value)
        elif _is_number(kind):
            keys.append(_number_key(value))
        elif hasattr(value, "get_params") and not isinstance(value, type):
            estimators[id(value)] = value
            keys.append(id(value))
        else:
            # The values outlive this loop, so an identity stands for one of them only.
            if id(value) not in known:
                many = len(known) >= _MAX_TEXTS
                known[id(value)] = kind.__name__ if many else _numbered(value, alike)
            keys.append(known[id(value)])
    if estimators:
        texts = _estimator_texts(estimators)
        return [texts[key] if type(key) is int else key for key in keys]
    return keys


def _numbered(value: Any, alike: dict[str, list[Any]]) -> str:
    """Return the text of a value, with a number if another one has the same text."""
    text = _text(value)
    others = alike.setdefault(text, [])
    found = next((place for place, other in enumerate(others) if _equal(value, other)), None)
    if found is None:
        found = len(others) % _MAX_ALIKE  # of very many, the others count as the first
        if len(others) < _MAX_ALIKE:
            others.append(value)
    return f"{text} #{found + 1}" if found else text


def _equal(one: Any, other: Any) -> bool:
    with suppress(Exception):
        return one is other or bool(np.all(one == other))
    return False


def _number_key(value: Any) -> float | str:
    with suppress(OverflowError):
        number = float(value)
        if math.isfinite(number):
            return number
    return _text(value)


def _text(value: Any) -> str:
    """Return a short text of a value, whatever it is."""
    try:
        if isinstance(value, str):
            return str(value)
        if callable(value) and hasattr(value, "__name__"):
            return str(value.__name__)
        return _brief.repr(value)
    except Exception:  # noqa: BLE001 - a repr is anybody's code
        return type(value).__name__


def _estimator_texts(estimators: dict[int, Any]) -> dict[int, str]:
    """Name estimators by their classes, those of one class by the params that differ, too.

    The text that scikit-learn makes of an estimator takes a millisecond and many words.
    """
    groups: dict[type, list[int]] = {}
    for key, estimator in estimators.items():
        groups.setdefault(type(estimator), []).append(key)
    texts = {key: type(estimator).__name__ for key, estimator in estimators.items()}
    for kind, members in groups.items():
        if 1 < len(members) <= _MAX_COMPARED:
            with suppress(Exception):
                differing = _differing(kind, [estimators[key] for key in members])
                texts.update(
                    (key, f"{texts[key]}({text})")
                    for key, text in zip(members, differing, strict=True)
                    if text
                )
    return texts


def _differing(kind: type, estimators: list[Any]) -> list[str]:
    """Return for each estimator the text of the params in which they differ.

    Of several such params those that have their default go without saying. Where what differs is
    inside of what an estimator holds, the params in there are compared, too.
    """
    for deep in (False, True):
        texts = [
            {name: _value_text(value) for name, value in one.get_params(deep=deep).items()}
            for one in estimators
        ]
        every = dict.fromkeys(name for one in texts for name in one)
        names = [name for name in every if len({one.get(name) for one in texts}) > 1]
        usual = _defaults(kind) if len(names) > 1 else {}
        found = [
            ", ".join(
                f"{name}={one[name]}"
                for name in names
                if one.get(name) not in (None, usual.get(name))
            )
            for one in texts
        ]
        if len(set(found)) == len(found):
            break
    return found


def _defaults(kind: type) -> dict[str, str]:
    """Return the texts of the defaults of an estimator's params."""
    from inspect import signature

    return {name: _value_text(one.default) for name, one in signature(kind).parameters.items()}


def _value_text(value: Any) -> str:
    return type(value).__name__ if hasattr(value, "get_params") else _text(value)
