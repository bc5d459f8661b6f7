"""The values a search tried for one param: as numbers where they are, as short texts otherwise."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.pictures import label_text

__all__ = ["Column", "column_of", "labels_of"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

_DECADES = 2.0  # numbers that span more are shown on a logarithmic axis
_FEW = 20  # numbers that somebody may have chosen one by one
_LEAST = 1e-290  # what is smaller is stored as zero
_MAX_MIXED = 20  # numbers beside other values that are shown as categories
_MAX_COMPARED = 30  # estimators of one class that are told apart by their params

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
_brief.maxlist = _brief.maxtuple = _brief.maxset = _brief.maxdict = 8
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
        return [_label(key) for key in self.distinct]

    @property
    def log(self) -> bool:
        """Whether these are positive numbers that span more than two decades.

        Of many numbers the middle one must also lie nearer to the middle of a logarithmic axis:
        among a thousand numbers drawn evenly from 0 to 1 a few are always close to 0.
        """
        if not self.numeric or not self.distinct:
            return False
        low, middle, high = (float(self.distinct[one]) for one in (0, self.n_values // 2, -1))
        if low <= _LEAST or math.log10(high) - math.log10(low) <= _DECADES:
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


def labels_of(values: Sequence[Any]) -> list[str]:
    """Return a short text of each of the values of a param."""
    return [_label(key) for key in _keys(values)]


def _label(key: float | str) -> str:
    return f"{key:g}" if isinstance(key, float) else label_text(key)


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
    known: dict[int, float | str] = {}
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
                known[id(value)] = _text(value) if len(known) < _MAX_TEXTS else kind.__name__
            keys.append(known[id(value)])
    if estimators:
        texts = _estimator_texts(estimators)
        return [texts[key] if type(key) is int else key for key in keys]
    return keys


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
    for members in groups.values():
        if 1 < len(members) <= _MAX_COMPARED:
            with suppress(Exception):
                given = [estimators[key].get_params(deep=False) for key in members]
                differing = _differing(given)
                texts.update(
                    (key, f"{texts[key]}({text})")
                    for key, text in zip(members, differing, strict=True)
                    if text
                )
    return texts


def _differing(given: list[dict[str, Any]]) -> list[str]:
    """Return for each set of params the text of those in which the sets differ."""
    texts = [{name: _value_text(value) for name, value in one.items()} for one in given]
    names = [name for name in texts[0] if len({one.get(name) for one in texts}) > 1]
    return [", ".join(f"{name}={one.get(name)}" for name in names) for one in texts]


def _value_text(value: Any) -> str:
    return type(value).__name__ if hasattr(value, "get_params") else _text(value)
