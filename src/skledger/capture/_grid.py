"""A field of coloured cells with named rows and columns: matrices and heat maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skledger.capture._panel import GREY, INK, fitted, number
from skledger.capture._sheet import Box, Colour, Sheet

__all__ = ["MOST_CELLS", "Grid", "diverging", "ramp", "titled"]

Numbers = npt.NDArray[np.float64]

MOST_CELLS = 1200  # on a side: a cell needs a pixel


class Grid:
    """A sheet with a field of cells, their rows and columns named.

    Parameters
    ----------
    picture : dict
        For its title.
    rows, columns : list of str
        A name for each row and column.
    wide, high : int
        Size of a cell in pixels.
    note : str
        What to say below the title.
    scaled : bool
        Whether to leave room for a colour scale.
    """

    def __init__(
        self,
        picture: dict[str, Any],
        *,
        rows: list[str],
        columns: list[str],
        wide: int,
        high: int,
        note: str,
        scaled: bool,
    ) -> None:
        self.wide, self.high = wide, high
        self.n_rows, self.n_columns = len(rows), len(columns)
        left = 40 + fitted(rows, 11, 150)
        upright = fitted(columns, 11, 1e9) > wide - 6
        bottom = 40 + (fitted(columns, 11, 150) if upright else 12)
        across, up = wide * self.n_columns, high * self.n_rows
        head = 66 if note else 48
        needed = left + across + (110 if scaled else 28)
        whole = max(360, round(needed))
        self.sheet = titled(picture, note, whole, round(bottom + up + head))
        self.box: Box = (round(left + (whole - needed) / 2), round(bottom), across, up)
        self._margin = round((whole - needed) / 2)
        self._label(rows, columns, upright)

    def _label(self, rows: list[str], columns: list[str], upright: bool) -> None:
        left, bottom, _, up = self.box
        for index in range(0, self.n_rows, _every(self.high)):
            y = bottom + up - (index + 0.5) * self.high - 4
            self.sheet.text(left - 6, y, rows[index], across="right", room=150)
        for index in range(0, self.n_columns, _every(self.wide)):
            x = left + (index + 0.5) * self.wide
            if upright:
                self.sheet.text(
                    x + 4, bottom - 6, columns[index], across="right", room=150, upwards=True
                )
            else:
                self.sheet.text(x, bottom - 16, columns[index], across="centre")

    def name(self, columns: str, rows: str) -> None:
        """Write what the columns and the rows stand for."""
        left, bottom, across, up = self.box
        self.sheet.text(left + across / 2, 12, columns, size=12, across="centre")
        self.sheet.text(
            self._margin + 18, bottom + up / 2, rows, size=12, across="centre", upwards=True
        )

    def fill(self, colours: Numbers) -> None:
        """Colour the cells; `colours` has the shape (n_rows, n_columns, 3)."""
        left, bottom, across, up = self.box
        self.sheet.field(np.where(np.isfinite(colours), colours, 0.8), self.box)
        if min(self.wide, self.high) >= 12:  # thin lines between cells that are large enough
            for column in range(1, self.n_columns):
                x = left + column * self.wide
                self.sheet.line([x, x], [bottom, bottom + up], (1.0, 1.0, 1.0))
            for row in range(1, self.n_rows):
                y = bottom + row * self.high
                self.sheet.line([left, left + across], [y, y], (1.0, 1.0, 1.0))
        right, top = left + across, bottom + up
        self.sheet.line([left, right, right, left, left], [bottom, bottom, top, top, bottom], GREY)

    def write(self, values: Numbers, depth: Numbers, below: list[str] | None = None) -> None:
        """Write the value of each cell, dark on light and white on deep colours."""
        left, bottom, _, up = self.box
        texts = [number(value) for value in values.ravel().tolist()]
        size = 14 if self.wide >= 60 else 11
        longest = fitted(texts, size, 1e9)
        size = max(7, min(size, int(size * (self.wide - 4) / max(longest, 1.0))))
        twice = below is not None and self.wide >= 48
        for index, (text, deep) in enumerate(zip(texts, depth.ravel().tolist(), strict=True)):
            row, column = divmod(index, values.shape[1])
            x = left + (column + 0.5) * self.wide
            y = bottom + up - (row + 0.5) * self.high - 0.37 * size + (6 if twice else 0)
            colour: Colour = (1.0, 1.0, 1.0) if deep > 0.6 else INK
            self.sheet.text(
                x, y, text, size=size, colour=colour, across="centre", room=self.wide - 2
            )
            if twice and below is not None:
                self.sheet.text(x, y - 15, below[index], size=10, colour=colour, across="centre")

    def scale(self, colours: Numbers, marks: list[tuple[float, str]], label: str = "") -> None:
        """Draw the colour scale at the right, its texts at heights (`marks`) from 0 to 1."""
        left, bottom, across, up = self.box
        high = min(up, 260)
        x, y = left + across + 18, bottom + (up - high) / 2
        self.sheet.field(colours, (x, y, 18, high))
        self.sheet.line([x, x + 18, x + 18, x, x], [y, y, y + high, y + high, y], GREY)
        for height, text in marks:
            self.sheet.text(x + 23, y + high * height - 4, text, size=10, room=62)
        self.sheet.text(
            x + 68, y + high / 2, label, size=11, across="centre", upwards=True, room=up + 60
        )


def ramp(colour: Colour, depth: Numbers) -> Numbers:
    """Return the colours from white (0) to `colour` (1); their shape is that of `depth` and 3."""
    return np.asarray(1.0 - depth[..., np.newaxis] * (1.0 - np.array(colour)))


def diverging(part: Numbers, negative: Colour, positive: Colour) -> Numbers:
    """Return the colours for values from -1 over 0 (white) to 1; see `ramp` for the shape."""
    deep = np.abs(part)
    return np.where(part[..., np.newaxis] < 0, ramp(negative, deep), ramp(positive, deep))


def _every(cell: int) -> int:
    """Return how many cells share one label so that labels do not touch."""
    return next((every for every in (1, 2, 5, 10, 20, 50) if every * cell >= 14), 100)


def titled(picture: dict[str, Any], note: str, width: int, height: int) -> Sheet:
    """Return a sheet with the title and a note below it."""
    sheet = Sheet(width, height)
    title = picture.get("title") or str(picture["kind"]).replace("_", " ")
    sheet.text(width / 2, height - 28, title, size=14, across="centre", room=width - 24, bold=True)
    sheet.text(width / 2, height - 47, note, size=11, colour=GREY, across="centre", room=width - 24)
    return sheet
