"""Names that the user gives to data, and numbers that tell data sets apart.

Both belong to live objects and go with them: nothing here keeps data alive.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any, TypeVar

from skledger.capture.weakly import WeakById
from skledger.errors import InvalidParameterError

__all__ = ["given_name", "key_of", "name_data"]

T = TypeVar("T")

#: Data that cannot be referenced weakly (lists) are known by where and how long they are; so many.
MANY_PLAIN = 256
#: Longest name of data; it becomes a part of the names of metrics.
MAX_NAME_LENGTH = 100

_names: WeakById[str] = WeakById()
_keys: WeakById[int] = WeakById()
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
        _names.put(X, name)
    except TypeError:
        raise InvalidParameterError(
            f"a {type(X).__name__} cannot be named, because Python tells nobody when one is gone. "
            "Name an array or a data frame that holds the data (numpy.asarray makes one), and "
            "give that to the model."
        ) from None
    return X


def given_name(X: Any) -> str | None:
    """Return the name that the user gave to data, None where he gave none."""
    return _names.get(X)


def key_of(X: Any) -> int:
    """Return the number of data: the same while the object lives, another for every other."""
    known = _keys.get(X)
    if known is not None:
        return known
    number = next(_numbers)
    try:
        _keys.put(X, number)
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


def _is_name(text: str) -> bool:
    allowed = all(each.isalnum() or each in "_-. " for each in text)
    return allowed and 0 < len(text.strip()) == len(text) <= MAX_NAME_LENGTH
