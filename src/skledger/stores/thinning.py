"""Curves with fewer points, that look the same on a screen."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["kept_places"]


def kept_places(values: Sequence[float], most: int) -> Sequence[int]:
    """Return the places of at most so many values, in order.

    They are the first, the last, and the lowest and the highest of each stretch between them.
    """
    if len(values) <= most:
        return range(len(values))
    last, stretches = len(values) - 1, max(1, (most - 2) // 2)
    kept = [0]
    for number in range(stretches):
        start = 1 + number * (last - 1) // stretches
        end = 1 + (number + 1) * (last - 1) // stretches
        part = values[start:end]
        finite = part if all(map(math.isfinite, part)) else [*filter(math.isfinite, part)]
        if finite:
            ends = {part.index(min(finite)), part.index(max(finite))}
            kept += [start + at for at in sorted(ends)]
        else:
            kept += range(start, min(start + 1, end))
    return [*kept, last]
