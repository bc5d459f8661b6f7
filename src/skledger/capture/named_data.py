"""Names that the user gives to data, and numbers that tell data sets apart.

Both belong to live objects and go with them: nothing here keeps data alive.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any, TypeVar
from weakref import ReferenceType, ref

from skledger.errors import InvalidParameterError

__all__ = ["given_name", "key_of", "name_data"]

T = TypeVar("T")

#: Data that cannot be referenced weakly (lists) are known by where and how long they are; so many.
MANY_PLAIN = 256
#: Longest name of data; it becomes a part of the names of metrics.
MAX_NAME_LENGTH = 100

_names: dict[int, tuple[ReferenceType[Any], str]] = {}
_keys: dict[int, tuple[ReferenceType[Any], int]] = {}
_plain: OrderedDict[tuple[int, int], int] = OrderedDict()
_numbers = itertools.count(1)


def name_data(X: T, name: str) -> T:
    """Name data, so that what is measured on them is booked under this name.

    Without it, data are called what the variable is called that holds them when a model predicts.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        An array, data frame or sparse matrix. It is not kept alive.
    name : str
        Its name, such as ``"holdout"``. Naming it again renames it.

    Returns
    -------
    object
        The very `X`.

    Raises
    ------
    InvalidParameterError
        When `X` is a list or another object that Python cannot reference weakly (nothing would
        tell that it is gone, and its name might pass to another), or the name cannot be part of
        the name of a metric.

    Examples
    --------
    >>> import numpy as np
    >>> import skledger
    >>> X_test = skledger.name_data(np.zeros((3, 2)), "holdout")
    """
    if not isinstance(name, str) or not _is_name(name):
        raise InvalidParameterError(
            f"the name of data is a text of 1 to {MAX_NAME_LENGTH} letters, digits, spaces and "
            f"'_', '-', '.', not {name!r}."
        )
    try:
        link = _link(_names, X)
    except TypeError:
        raise InvalidParameterError(
            f"a {type(X).__name__} cannot be named, because Python tells nobody when one is gone. "
            "Name an array or a data frame that holds the data (numpy.asarray makes one), and "
            "give that to the model."
        ) from None
    _names[id(X)] = (link, name)
    return X


def given_name(X: Any) -> str | None:
    """Return the name that the user gave to data, None where he gave none."""
    found = _names.get(id(X))
    return found[1] if found is not None and found[0]() is X else None


def key_of(X: Any) -> int:
    """Return the number of data: the same while the object lives, another for every other."""
    known = _keys.get(id(X))
    if known is not None and known[0]() is X:
        return known[1]
    number = next(_numbers)
    try:
        _keys[id(X)] = (_link(_keys, X), number)
    except TypeError:
        return _key_of_plain(X, number)
    return number


def _key_of_plain(X: Any, number: int) -> int:
    """Return the number of an object whose end nobody is told of."""
    where = id(X), len(X) if hasattr(X, "__len__") else 0
    number = _plain.setdefault(where, number)
    while len(_plain) > MANY_PLAIN:
        _plain.popitem(last=False)
    return number


def _link(known: dict[int, Any], X: Any) -> ReferenceType[Any]:
    """Return a weak reference to an object that strikes it off a list when it is gone."""
    place = id(X)

    def forget(link: ReferenceType[Any]) -> None:
        # Without a lock: this runs wherever Python collects. Another may live there by now.
        found = known.get(place)
        if found is not None and found[0] is link:
            known.pop(place, None)

    return ref(X, forget)


def _is_name(text: str) -> bool:
    allowed = all(each.isalnum() or each in "_-. " for each in text)
    return allowed and 0 < len(text.strip()) == len(text) <= MAX_NAME_LENGTH
