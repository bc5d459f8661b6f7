"""Numbers that SQL cannot hold, as they are stored.

NaN is 0 with `is_nan` set, as MLflow writes it. Infinity is the greatest float, as MLflow writes
it (a true infinity breaks the run page of MLflow's UI), and reads as infinity here; so that no
finite value ever reads as infinity, the greatest float itself is written as the float next to it.
The metrics of a logged model have no `is_nan`: there NaN is NULL.
"""

from __future__ import annotations

import math
import sys

__all__ = ["decode_number", "encode_number"]

_GREATEST = sys.float_info.max
_NEXT = math.nextafter(_GREATEST, 0.0)


def encode_number(value: float) -> tuple[float, bool]:
    """Return the number as stored, and whether it is NaN."""
    value = float(value)
    if -_GREATEST < value < _GREATEST:
        return value, False
    if math.isnan(value):
        return 0.0, True
    return math.copysign(_GREATEST if math.isinf(value) else _NEXT, value), False


def decode_number(value: float | None, is_nan: object = False) -> float:
    """Return the number that was stored."""
    if is_nan or value is None:
        return math.nan
    if -_GREATEST < value < _GREATEST:
        return value
    return math.copysign(math.inf, value)
