"""What people do to predicted numbers before they measure them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

__all__ = ["is_made_of"]

#: What people do to predictions of a target that was transformed for training.
TRANSFORMS: tuple[tuple[Callable[[float], float], Callable[[Any], Any]], ...] = (
    (math.exp, np.exp),
    (math.expm1, np.expm1),
    (lambda value: math.pow(10, value), partial(np.power, 10.0)),
    (lambda value: math.pow(2, value), np.exp2),
    (lambda value: value * value, np.square),
    (math.sqrt, np.sqrt),
    (math.log, np.log),
    (math.log1p, np.log1p),
    (lambda value: -value, np.negative),
    (abs, np.abs),
)
#: Rows by which most transforms are ruled out.
FIRST = 3


def is_made_of(made: Any, column: Any) -> bool:
    """Tell whether numbers are others after a well-known function, or within bounds.

    Parameters
    ----------
    made : ndarray of shape (n,)
        The numbers.
    column : ndarray of shape (n,)
        Those of a prediction.
    """
    first, wanted = column[:FIRST].tolist(), made[:FIRST].tolist()
    for quick, transform in TRANSFORMS:
        try:
            if not all(map(_is_close, map(quick, first), wanted)):
                continue
        except (ValueError, OverflowError):
            continue
        with np.errstate(all="ignore"):
            if np.allclose(transform(column), made, rtol=1e-9, atol=1e-12):
                return True
    low, high = made.min(), made.max()
    # Most of it has to be as it was.
    kept = np.count_nonzero((column > low) & (column < high))
    return bool(2 * kept > len(made) and np.array_equal(np.clip(column, low, high), made))


def _is_close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
