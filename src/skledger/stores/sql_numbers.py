"""Numbers that SQL cannot hold, as they are stored.

NaN is 0 with `is_nan` set, as MLflow writes it. Infinity is the greatest float, as MLflow writes
it (a true infinity breaks the run page of MLflow's UI), and reads as infinity here; so that no
finite value ever reads as infinity, the greatest float itself is written as the float next to it.
The metrics of a logged model have no `is_nan`. MLflow writes 0 for NaN there and fails on NULL,
so NaN is the smallest float above 0, and that float itself is written as the one after it.
"""

from __future__ import annotations

import math
import sys

__all__ = ["decode_model_number", "decode_number", "encode_model_number", "encode_number"]

_GREATEST = sys.float_info.max
_SMALLEST = math.ulp(0.0)
_NEXT = math.nextafter(_GREATEST, 0.0)


def encode_number(value: float) -> tuple[float, bool]:
    """Return the number as stored, and whether it is NaN."""
    value = float(value)
    if -_GREATEST < value < _GREATEST:
        return value, False
    if math.isnan(value):
        return 0.0, True
    return math.copysign(_GREATEST if math.isinf(value) else _NEXT, value), False


def encode_model_number(value: float) -> float:
    """Return the number as stored with a logged model."""
    stored, is_nan = encode_number(value)
    if is_nan:
        return _SMALLEST
    return 2 * _SMALLEST if stored == _SMALLEST else stored


def decode_model_number(value: float | None) -> float:
    """Return the number that was stored with a logged model."""
    return math.nan if value is None or value == _SMALLEST else decode_number(value)


def decode_number(value: float, is_nan: object = False) -> float:
    """Return the number that was stored."""
    if is_nan:
        return math.nan
    if -_GREATEST < value < _GREATEST:
        return value
    return math.copysign(math.inf, value)
