"""Drawers of what a search and a cross-validation tell; `plots` says what a drawer is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from skledger.capture._grid import Grid, ramp, titled
from skledger.capture._marked import (
    Marked,
    Scale,
    decades,
    named_panel,
    numbered_panel,
    opacity,
    placed,
    scores_span,
)
from skledger.capture._panel import GREY, INK, fitted, span, ticks
from skledger.capture._sheet import Sheet
from skledger.capture.plots import (
    _BLUE,
    _ORANGE,
    Picture,
    _count,
    _names,
    _needed,
    _nothing,
    _numbers,
    _pairs,
    drawer,
)

__all__: list[str] = []

Numbers = npt.NDArray[np.float64]

_MOST_COLUMNS = 10  # of parallel coordinates
_MOST_CELLS = 60  # on a side of a heat map
_MOST_NAMED = 60  # values of a param under an axis


@drawer("score_by_value")
def _score_by_value(picture: Picture) -> Sheet:
    x, y = _pairs(picture, "x", "y")
    best = {"x": [], "y": [], "std": [], **(picture.get("best") or {})}
    at, top, reach = (_numbers(best, key) for key in ("x", "y", "std"))
    note = _search_note(picture, len(y))
    if not len(y):
        return _nothing(picture, note)
    scale, low_ones = scores_span(y, top + reach, top - reach)
    if low_ones:
        note += f" · {low_ones:,} below the axis, at its edge"
    panel = _by_param(picture, x, scale, note)
    y, top = np.maximum(y, scale[0]), np.maximum(top, scale[0])
    if picture.get("labels"):
        spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(x))
        panel.dots(x + spread, y, _BLUE, 3, opacity(len(x)))
        for place, score in zip(at.tolist(), top.tolist(), strict=True):
            panel.line([place - 0.32, place + 0.32], [score, score], _ORANGE)
    else:
        x, at = placed(x, picture), placed(at, picture)
        panel.dots(x, y, _BLUE, 3, opacity(len(x)))
        panel.line(at, top, _ORANGE)
        panel.dots(at, top, _ORANGE, 4, 1.0)
    panel.whiskers(at, top, reach, _ORANGE)
    return panel.sheet


def _search_note(picture: Picture, drawn: int) -> str:
    total = max(_count(picture, "n"), drawn)
    shown = f"{drawn:,} of {total:,}" if drawn < total else f"{total:,}"
    notes = [f"{shown} candidate" + "s" * (total != 1)]
    for key, text in (("failed", "failed"), ("skipped", "with other values")):
        if _count(picture, key):
            notes.append(f"{_count(picture, key):,} {text}")
    ranges = _count(picture, "ranges")
    notes.append("orange: the best " + (f"in {ranges} ranges" if ranges else "at each value"))
    return " · ".join(notes) + ", \N{PLUS-MINUS SIGN} std over folds"


def _by_param(picture: Picture, x: Numbers, scale: Scale, note: str) -> Marked:
    """Return a panel with the values of a param on its x axis."""
    axes = str(picture.get("param") or ""), f"mean test {picture.get('metric') or 'score'}"
    if not picture.get("labels"):
        return numbered_panel(picture, note, placed(x, picture), scale, axes)
    labels = _names(picture, "labels", len(picture["labels"]))[:_MOST_NAMED]
    return named_panel(picture, note, labels, scale, axes)


@drawer("score_heatmap")
def _score_heatmap(picture: Picture) -> Sheet:
    scores = _numbers(picture, "values", dimensions=2)
    if not np.isfinite(scores).any():
        return _nothing(picture, "")
    left_out = _count(picture, "left_out") + sum(max(0, n - _MOST_CELLS) for n in scores.shape)
    scores = scores[:_MOST_CELLS, :_MOST_CELLS]
    n_rows, n_columns = scores.shape
    (low, high), _ = scores_span(scores.ravel())
    depth = np.clip((scores - low) / (high - low), 0, 1)
    notes = ["orange: the best"]
    if not np.isfinite(scores).all():
        notes.append("grey: no candidate")
    if _count(picture, "params") > 2:
        notes.append("the two params with the largest effect")
    if left_out:
        notes.append(f"{left_out:,} more not shown")
    wide, high_cell = min(110, max(14, 560 // n_columns)), min(56, max(14, 400 // n_rows))
    grid = Grid(
        picture,
        rows=_names(picture, "rows", n_rows),
        columns=_names(picture, "columns", n_columns),
        wide=wide,
        high=high_cell,
        note=" · ".join(notes),
        scaled=True,
    )
    grid.name(str(picture.get("column_name") or ""), str(picture.get("row_name") or ""))
    grid.fill(ramp(_BLUE, depth))
    if wide >= 36 and high_cell >= 16:
        grid.write(scores, depth)
    marks = [((value - low) / (high - low), text) for value, text in ticks((low, high), 6)]
    grid.scale(ramp(_BLUE, np.linspace(1, 0, 128)[:, np.newaxis]), marks)
    best = int(np.argmax(np.where(np.isfinite(scores), scores, -np.inf)))
    row, column = divmod(best, n_columns)
    left, bottom, _, up = grid.box
    x, y = left + column * wide, bottom + up - row * high_cell
    corners = [x, x + wide, x + wide, x, x], [y, y, y - high_cell, y - high_cell, y]
    grid.sheet.line(*corners, _ORANGE, thick=3)
    return grid.sheet


@drawer("parallel_coordinates")
def _parallel_coordinates(picture: Picture) -> Sheet:
    every: list[Picture] = list(_needed(picture, "columns"))
    # The last is the score.
    columns = [*every[:-1][: _MOST_COLUMNS - 1], *every[-1:]]
    lines = [_numbers(column, "values") for column in columns]
    n = min(map(len, lines), default=0)
    note = _parallel_note(picture, n, len(every) - len(columns))
    if not n:
        return _nothing(picture, note)
    apart = min(230, max(120, 900 // max(1, len(columns) - 1)))
    sheet = titled(picture, note, 140 + apart * (len(columns) - 1) + 90, 500)
    axes = [
        _Axis(sheet, 140 + apart * index, apart, column, line, last=column is columns[-1])
        for index, (column, line) in enumerate(zip(columns, lines, strict=True))
    ]
    heights = np.array([axis.height(line[:n]) for axis, line in zip(axes, lines, strict=True)])
    x = np.array([axis.x for axis in axes])
    share = np.clip((heights[-1] - _Axis.bottom) / _Axis.high, 0, 1)
    colours = ramp(_BLUE, 0.12 + 0.88 * share**2).tolist()
    order = np.argsort(heights[-1], kind="stable").tolist()
    for index in order[:-1]:
        sheet.line(x, heights[:, index], tuple(colours[index]), thick=1.3)
    scored = np.isfinite(lines[-1][order[-1]])
    sheet.line(x, heights[:, order[-1]], _ORANGE if scored else GREY, thick=3)
    for axis in axes:
        axis.draw()
    return sheet


def _parallel_note(picture: Picture, n: int, columns_left_out: int) -> str:
    total = n + _count(picture, "left_out")
    shown = f"{n:,} of {total:,}" if total > n else f"{n:,}"
    notes = [f"{shown} candidate" + "s" * (total != 1), "orange: the best, darker: better"]
    params = _count(picture, "params_left_out") + columns_left_out
    if params:
        notes.append(f"{params:,} more params not shown")
    return " · ".join(notes)


class _Axis:
    """One of the parallel axes."""

    bottom, high = 62, 350

    def __init__(
        self, sheet: Sheet, x: float, apart: float, column: Picture, values: Numbers, last: bool
    ) -> None:
        self.sheet, self.x, self.apart, self.last = sheet, float(x), apart, last
        self.column = column
        self.missing = bool(np.isnan(values).any())
        labels = column.get("labels")
        if labels:
            shown = _names(column, "labels", len(labels))
            every = max(1, -(-14 * len(shown) // self.high))
            self.scale: Scale = (-0.5, len(shown) - 0.5)
            self.marks = [(float(place), shown[place]) for place in range(0, len(shown), every)]
        elif last:
            self.scale, _ = scores_span(values)
            self.marks = ticks(self.scale, 8)
        else:
            self.scale = span(placed(values, column))
            log = bool(column.get("log"))
            self.marks = decades(self.scale, 8) if log else ticks(self.scale, 8)

    def height(self, values: Numbers) -> Numbers:
        """Return the heights of the values; what is none of them lies below the axis."""
        low, high = self.scale
        share = np.clip((placed(values, self.column) - low) / (high - low), 0, 1)
        return np.where(np.isfinite(share), self.bottom + share * self.high, self.bottom - 28)

    def draw(self) -> None:
        """Draw the axis with its name and labels above the lines, on white."""
        top = self.bottom + self.high
        self.sheet.line([self.x, self.x], [self.bottom, top], INK, thick=1.5)
        room = min(self.apart - 12, 2 * min(self.x, self.sheet.width - self.x) - 8)
        name = self.column.get("name") or ""
        self.sheet.text(self.x, top + 10, name, size=12, across="centre", room=room)
        marks = [(float(self._up(value)), text) for value, text in self.marks]
        if self.missing:
            marks.append((self.bottom - 28.0, "failed" if self.last else "not set"))
        for y, text in marks:
            self._mark(y, text)

    def _up(self, value: float) -> float:
        low, high = self.scale
        return self.bottom + (value - low) / (high - low) * self.high

    def _mark(self, y: float, text: str) -> None:
        room = 78 if self.last else min(self.apart, self.x) - 18
        long = fitted([text], 11, room)
        side = 8 if self.last else -8
        box = (self.x + side - (0 if self.last else long) - 2, y - 6, long + 4, 13)
        self.sheet.boxes([box], (1.0, 1.0, 1.0))
        self.sheet.line([self.x - 4, self.x + 4], [y, y], INK)
        self.sheet.text(
            self.x + side, y - 4, text, across="left" if self.last else "right", room=room
        )
