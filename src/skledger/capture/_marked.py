"""Panels for scores: over numbers, over logarithms, and over named values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skledger.capture import _lettering
from skledger.capture._grid import titled
from skledger.capture._panel import INK, Panel, fitted, left_margin, span, ticks
from skledger.capture._sheet import Box, Colour, Sheet
from skledger.capture.search_values import told_apart

__all__ = [
    "Marked",
    "Marks",
    "Scale",
    "apart",
    "axis_marks",
    "bounded",
    "decades",
    "named_panel",
    "numbered_panel",
    "opacity",
    "placed",
    "right_margin",
    "scores_span",
    "ticked",
]

Numbers = npt.NDArray[np.float64]
Picture = dict[str, Any]
Scale = tuple[float, float]
Marks = list[tuple[float, str]]

_LONGEST_LABEL = 200.0  # pixels, of a named value below an axis
_LARGEST = 1e299  # what lies beyond is drawn there, where a panel still has room for ticks


class Marked(Panel):
    """A panel that may have ticks of its own on the x axis, or there only whole numbers."""

    def __init__(
        self,
        sheet: Sheet,
        box: Box,
        x: Scale,
        y: Scale,
        marks: Marks | None = None,
        whole: bool = False,
    ) -> None:
        super().__init__(sheet, box, x, y)
        self.marks, self.whole = marks, whole

    def _x_ticks(self) -> Marks:
        if self.marks is not None:
            return self.marks
        marks = super()._x_ticks()
        return _whole_ones(marks) if self.whole else marks

    def whiskers(self, x: Numbers, y: Numbers, reach: Numbers, colour: Colour) -> None:
        """Draw how far each point may lie above and below."""
        for at, low, high in zip(
            self.across(x), self.up(y - reach), self.up(y + reach), strict=True
        ):
            if np.isfinite([low, high]).all():
                self.sheet.line([at, at], [low, high], colour, within=self.box)

    def dots(self, x: Numbers, y: Numbers, colour: Colour, radius: float, opacity: float) -> None:
        """Draw points."""
        place = self.across(x), self.up(y)
        self.sheet.dots(*place, colour, radius=radius, opacity=opacity, within=self.box)

    def ring(self, x: float, y: float) -> None:
        """Draw a ring around a point."""
        turn = np.linspace(0, 2 * np.pi, 41)
        at = float(self.across(x)) + 8 * np.cos(turn), float(self.up(y)) + 8 * np.sin(turn)
        self.sheet.line(*at, INK, thick=2)

    def line(
        self, x: npt.ArrayLike, y: npt.ArrayLike, colour: Colour, dashes: Sequence[int] = ()
    ) -> None:
        """Draw a line."""
        place = self.across(x), self.up(y)
        self.sheet.line(*place, colour, thick=2, dashes=dashes or None, within=self.box)


def numbered_panel(
    picture: Picture,
    note: str,
    x: Numbers,
    scale: Scale,
    axes: tuple[str, str],
    under: Callable[[Marked], None] | None = None,
) -> Marked:
    """Return a panel for numbers `x`, placed by `placed`, its frame drawn.

    What `under` draws lies under the grid.
    """
    left = left_margin(scale)
    across = span(x)
    sheet = titled(picture, note, round(left + 560 + right_margin(across)), 460)
    marks = decades(across, most=9) if picture.get("log") else None
    panel = Marked(sheet, (left, 58, 560, 330), across, scale, marks, whole=_is_whole(x))
    if under is not None:
        under(panel)
    panel.frame(*axes)
    return panel


def named_panel(
    picture: Picture, note: str, labels: list[str], scale: Scale, axes: tuple[str, str]
) -> Marked:
    """Return a panel with a column for each of the names below it, its frame drawn."""
    left = left_margin(scale)
    labels = apart(labels, 11, _LONGEST_LABEL)
    step = min(110, max(16, 560 // len(labels)))
    wide = max(540, step * len(labels))
    upright = fitted(labels, 11, 1e9) > wide / len(labels) - 10
    below = 44 + (fitted(labels, 11, _LONGEST_LABEL) if upright else 14)
    sheet = titled(picture, note, round(left) + wide + 24, round(below) + 402)
    box = (left, round(below), wide, 330)
    panel = Marked(sheet, box, (-0.5, len(labels) - 0.5), scale, [])
    panel.frame("", axes[1])
    sheet.text(left + wide / 2, 14, axes[0], size=12, across="centre", room=wide)
    for index, label in enumerate(labels):
        x = float(panel.across(index))
        if upright:
            room = _LONGEST_LABEL
            sheet.text(x + 4, below - 7, label, across="right", room=room, upwards=True)
        else:
            sheet.text(x, below - 17, label, across="centre")
    return panel


def apart(labels: list[str], size: int, room: float) -> list[str]:
    """Shorten labels to `room` (pixels) such that those that differ still do."""
    return told_apart(labels, lambda label: _lettering.shorten(label, size, room))


def _whole_ones(marks: Marks) -> Marks:
    """Return those of some ticks that are whole numbers."""
    whole = [(at, text) for at, text in marks if abs(at - round(at)) <= 1e-9 * max(1.0, abs(at))]
    return [
        (at, f"{round(at):,}".replace("-", "\N{MINUS SIGN}") if abs(at) < 1e6 else text)
        for at, text in whole
    ]


def _is_whole(values: Numbers) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 0 and bool((known == np.rint(known)).all())


def axis_marks(scale: Scale, values: Numbers, log: bool) -> Marks:
    """Return ticks for values placed on an axis: decades, or whole numbers for whole numbers."""
    if log:
        return decades(scale, 8)
    marks = ticks(scale, 8)
    return _whole_ones(marks) if _is_whole(values) else marks


def ticked(scale: Scale, most: int) -> Scale:
    """Return the scale, wider as far as it needs to be to have two ticks."""
    low, high = scale
    for _ in range(40):
        if len(ticks((low, high), most)) > 1:
            break
        air = 0.05 * (high - low)
        low, high = low - air, high + air
    return low, high


def placed(values: Numbers, picture: Picture) -> Numbers:
    """Return where on its axis a value lies: its logarithm on a logarithmic one."""
    if not picture.get("log"):
        return bounded(values)
    return np.log10(np.where(values > 0, values, np.nan))


def right_margin(scale: Scale) -> float:
    """Return the room at the right that the last tick of an x axis may take."""
    return max(24.0, fitted([text for _, text in ticks(scale, most=12)], 11, 110) / 2 + 4)


def bounded(values: Numbers) -> Numbers:
    """Return the values, those that are too large or too small to calculate with replaced."""
    kept = np.clip(values, -_LARGEST, _LARGEST)
    return np.where(np.abs(kept) < 1 / _LARGEST, 0.0, kept)


def decades(scale: Scale, most: int) -> Marks:
    """Return ticks at powers of ten for a scale of logarithms."""
    first, last = math.ceil(scale[0]), math.floor(scale[1])
    every = max(1, -(-(last - first + 1) // most))
    marks = []
    for power in range(first, last + 1, every):
        text = f"{10**power:,}" if 0 <= power < 6 else f"{10.0**power:.{max(0, -power)}f}"
        marks.append((float(power), text if -5 < power < 6 else f"1e{power}"))
    return [(power, text.replace("-", "\N{MINUS SIGN}")) for power, text in marks]


def scores_span(scores: Numbers, *reach: Numbers, far: float = 10.0) -> tuple[Scale, int]:
    """Return the scale for scores, and how many lie below it.

    A few candidates that diverged would press all others into a line. What lies `far` times as
    far below the better three quarters as they spread is left to the edge of the scale.
    """
    finite, *around = (bounded(array[np.isfinite(array)]) for array in (scores, *reach))
    if not len(finite):
        return (0.0, 1.0), 0
    quarter = float(np.sort(finite)[len(finite) // 4])
    floor = quarter - far * (float(finite.max()) - quarter)
    low_ones = int((finite < floor).sum())
    if low_ones and floor < quarter:
        return span(*(array[array >= floor] for array in (finite, *around))), low_ones
    return span(finite, *around), 0


def opacity(n: int) -> float:
    return float(np.clip(12 / np.sqrt(max(n, 1)), 0.2, 0.8))
