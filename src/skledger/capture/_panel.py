"""The frame around data on a sheet: a scale for each axis, ticks, grid and labels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from skledger.capture import _lettering
from skledger.capture._sheet import Box, Colour, Sheet

__all__ = ["GREY", "INK", "PALE", "Panel", "fitted", "left_margin", "number", "span", "ticks"]

Numbers = npt.NDArray[np.float64]
Span = tuple[float, float]

INK: Colour = (0.15, 0.15, 0.15)
GREY: Colour = (0.45, 0.45, 0.45)
PALE: Colour = (0.91, 0.91, 0.91)

_LARGEST = 1e300  # what lies beyond is drawn at the edge: differences stay finite
_TICK = 11  # size of the letters at ticks
_LABEL = 12  # and of those that name an axis


class Panel:
    """A framed area of a sheet with a linear scale on both axes.

    Parameters
    ----------
    sheet : Sheet
        What to draw on.
    box : tuple of float
        Left, bottom, width and height of the area in pixels.
    x, y : tuple of float
        The least and greatest value of each axis.
    """

    def __init__(self, sheet: Sheet, box: Box, x: Span, y: Span) -> None:
        self.sheet, self.box, self.x, self.y = sheet, box, x, y

    def across(self, values: npt.ArrayLike) -> Numbers:
        """Return where on the sheet `values` of the x axis lie, in pixels."""
        return self.box[0] + _share(values, self.x) * self.box[2]

    def up(self, values: npt.ArrayLike) -> Numbers:
        """Return where on the sheet `values` of the y axis lie, in pixels."""
        return self.box[1] + _share(values, self.y) * self.box[3]

    def frame(self, x_label: str = "", y_label: str = "", y_ticks: bool = True) -> None:
        """Draw grid, frame, ticks and labels; draw the data after it."""
        left, bottom, wide, high = self.box
        for value, text in self._x_ticks():
            x = float(self.across(value))
            self.sheet.line([x, x], [bottom, bottom + high], PALE)
            self.sheet.text(x, bottom - 17, text, size=_TICK, across="centre")
        for value, text in ticks(self.y, most=max(2, int(high // 45))):
            y = float(self.up(value))
            self.sheet.line([left, left + wide], [y, y], PALE)
            if y_ticks:
                self.sheet.text(left - 7, y - 4, text, size=_TICK, across="right")
        right, top = left + wide, bottom + high
        self.sheet.line(
            [left, right, right, left, left], [bottom, bottom, top, top, bottom], (0.6, 0.6, 0.6)
        )
        self.sheet.text(
            left + wide / 2, bottom - 38, x_label, size=_LABEL, across="centre", room=wide
        )
        if y_label:
            middle = bottom + high / 2
            self.sheet.text(
                17, middle, y_label, size=_LABEL, across="centre", room=high + 60, upwards=True
            )

    def _x_ticks(self) -> list[tuple[float, str]]:
        """Return as many ticks for the x axis as stand beside each other with a gap."""
        wide = self.box[2]
        most = max(2, int(wide // 45))
        while True:
            marks = ticks(self.x, most)
            room = wide / most - 12
            if most <= 2 or fitted([text for _, text in marks], _TICK, wide) <= room:
                return marks
            most -= 1


def span(*arrays: Numbers, include: float | None = None) -> Span:
    """Return the least and the greatest finite value of `arrays`, with a little air around them."""
    values = np.concatenate([array[np.isfinite(array)] for array in arrays])
    if include is not None:
        values = np.append(values, include)
    if not len(values):
        return 0.0, 1.0
    low, high = np.clip([values.min(), values.max()], -_LARGEST, _LARGEST).tolist()
    air = 0.04 * (high - low)
    # Ticks closer than the values' own precision could not be told apart.
    if air <= 1e-10 * max(abs(low), abs(high)):
        air = 0.5 * abs(low) * 1e-3 or 0.5
    return low - air, high + air


def ticks(scale: Span, most: int) -> list[tuple[float, str]]:
    """Return at most `most` round values within `scale`, each with its text."""
    low, high = scale
    rough = (high - low) / most
    if not rough > 0 or not math.isfinite(rough):
        return []
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    values = [index * step for index in range(first, last + 1)]
    return [(value, _tick_text(value, step, max(abs(low), abs(high)))) for value in values]


def number(value: float) -> str:
    """Return a number as short as it can be read: counts whole, others to three digits."""
    if math.isnan(value):
        return "\N{EN DASH}"
    if math.isinf(value):
        text = "-\N{INFINITY}" if value < 0 else "\N{INFINITY}"
    elif value == 0:
        text = "0"
    elif value == round(value) and abs(value) < 1e6:
        text = f"{value:,.0f}"
    elif 1e3 <= abs(value) < 1e15:
        size = max(index for index in range(1, 5) if abs(value) >= 999.5 * 1000 ** (index - 1))
        text = f"{value / 1000**size:.3g}{' kMGT'[size]}"
    else:
        text = f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def fitted(labels: list[str], size: int, room: float) -> float:
    """Return the width in pixels the longest of `labels` takes, at most `room`."""
    return min(room, max((_lettering.width(label, size) for label in labels), default=0.0))


def left_margin(scale: Span) -> float:
    """Return the room the y axis' label and the texts of its ticks take."""
    return round(38 + fitted([text for _, text in ticks(scale, most=9)], _TICK, 110))


def _share(values: npt.ArrayLike, scale: Span) -> Numbers:
    low, high = scale
    kept = np.clip(np.asarray(values, float), -_LARGEST, _LARGEST)
    # Far outside is as good as farther: pixels stay within what the renderer can count.
    return np.asarray(np.clip((kept - low) / (high - low), -9, 10), float)


def _tick_text(value: float, step: float, largest: float) -> str:
    """Return the text of one tick, with the digits that tell it from its neighbours."""
    if value == 0:
        return "0"
    # 2.5 and 0.25 need one digit more than their power of ten says.
    digits = math.floor(math.log10(step))
    digits -= round(step / 10.0**digits, 3) not in (1, 2, 5, 10)
    power = 0 if largest < 1e6 else 3 * int(math.log10(largest) // 3)
    if power < 15 and digits - power >= -5:
        unit = {0: "", 6: "M", 9: "G", 12: "T"}[power]
        text = f"{value / 10**power:,.{max(0, power - digits)}f}{unit}"
    else:
        text = f"{value:.{max(0, math.floor(math.log10(abs(value))) - digits)}e}"
        mantissa, exponent = text.split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "\N{MINUS SIGN}")
