"""A likeness of an estimator, from which its diagram is drawn later.

The diagram is drawn in the background, when the user may have fitted or changed the estimator
again. A copy by ``clone`` or by unpickling the stored model would run code of the user's, and
unpickling a class of ``__main__`` replaces the methods of the class itself. So what is kept are
new objects of the same classes, never initialised, with the attributes that a diagram shows; what
may be large is left out, so nothing of the user's data is held.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["likeness"]

#: Values that never change and are small.
PLAIN = (bool, int, float, complex, str, bytes, type(None), type, slice, np.generic)
#: Arrays of at most so many bytes are kept: names of columns, classes.
SMALL = 1 << 14
#: Sequences and dicts of at most so many items are looked into, and kept when all are small.
FEW = 200
#: Lists of more fitted estimators are an ensemble's members, which no diagram shows: a forest's
#: hundred trees would cost more than its pickle.
FEW_MEMBERS = 8


def likeness(estimator: Any) -> Any:
    """Return an object that a diagram shows as it shows the estimator now.

    Parameters
    ----------
    estimator : BaseEstimator
        Fitted or not.

    Returns
    -------
    BaseEstimator
        Of the same class, with the same params and small attributes. It can do nothing else.

    Raises
    ------
    TypeError
        When an object of the class cannot be made without its ``__init__``.
    """
    twin = object.__new__(type(estimator))
    params = type(estimator)._get_param_names()
    for name, value in vars(estimator).items():
        if name in params or _is_small(value):
            twin.__dict__[name] = _as_it_is(value)
    return twin


def _as_it_is(value: Any) -> Any:
    """Return a value as it is now: estimators in it (the steps of a pipeline) are replaced."""
    if _is_estimator(value):
        return likeness(value)
    if type(value) in (list, tuple) and len(value) <= FEW:
        return type(value)([_as_it_is(item) for item in value])
    return value


def _is_small(value: Any, depth: int = 3) -> bool:
    """Tell whether a value holds little: names of columns, classes, a short vocabulary."""
    if isinstance(value, np.ndarray):
        return value.nbytes <= SMALL
    if isinstance(value, list | tuple | dict):
        if not depth or len(value) > FEW:
            return False
        items = value.values() if isinstance(value, dict) else value
        if len(value) > FEW_MEMBERS and any(_is_estimator(item) for item in items):
            return False
        return all(_is_small(item, depth - 1) for item in items)
    return isinstance(value, PLAIN) or _is_estimator(value)


def _is_estimator(value: Any) -> bool:
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(value, base.BaseEstimator)
