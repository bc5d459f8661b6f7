"""Drawers of what a search and a cross-validation tell; `plots` says what a drawer is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from skledger.capture import _lettering
from skledger.capture._grid import Grid, ramp, titled
from skledger.capture._marked import (
    Marked,
    Scale,
    apart,
    axis_marks,
    named_panel,
    numbered_panel,
    opacity,
    placed,
    scores_span,
)
from skledger.capture._panel import GREY, INK, fitted, number, span, ticks
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
    drawer,
)

__all__: list[str] = []

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_FAILED = 0.6  # the grey of cells where all failed
_EARLY = (0.8, 0.8, 0.8)  # lines of earlier rungs
_MOST_COLUMNS = 10  # of parallel coordinates
_MOST_CELLS = 60  # on a side of a heat map
_MOST_NAMED = 60  # values of a param under an axis


@drawer("score_by_value")
def _score_by_value(picture: Picture) -> Sheet:
    x, y, early, chosen = _marks(picture)
    best = {"x": [], "y": [], "std": [], **(picture.get("best") or {})}
    at, top, reach = (_numbers(best, key) for key in ("x", "y", "std"))
    note = _search_note(picture, len(y), chosen is not None)
    if not len(y):
        return _nothing(picture, note)
    scale, low_ones = scores_span(y, top + reach, top - reach)
    if low_ones:
        note += f" · {low_ones:,} below the axis, at its edge"
    panel = _by_param(picture, x, scale, note)
    y, top = np.maximum(y, scale[0]), np.maximum(top, scale[0])
    if picture.get("labels"):
        x = x + np.random.default_rng(0).uniform(-0.22, 0.22, len(x))
        _dots(panel, x, y, early)
        for place, score in zip(at.tolist(), top.tolist(), strict=True):
            panel.line([place - 0.32, place + 0.32], [score, score], _ORANGE)
    else:
        x, at = placed(x, picture), placed(at, picture)
        _dots(panel, x, y, early)
        panel.line(at, top, _ORANGE)
        panel.dots(at, top, _ORANGE, 4, 1.0)
    panel.whiskers(at, top, reach, _ORANGE)
    if chosen is not None:
        panel.ring(float(x[chosen]), float(y[chosen]))
    return panel.sheet


def _marks(picture: Picture) -> tuple[Numbers, Numbers, Flags, int | None]:
    """Return x and y, which of them are of earlier rungs, and the place of the chosen one."""
    x, y = _numbers(picture, "x"), _numbers(picture, "y")
    n = min(len(x), len(y))
    known = np.isfinite(x[:n]) & np.isfinite(y[:n])
    chosen = _chosen(picture, n)
    if chosen is not None:
        chosen = int(known[:chosen].sum()) if known[chosen] else None
    return x[:n][known], y[:n][known], _early(picture, n)[known], chosen


def _chosen(picture: Picture, n: int) -> int | None:
    """Return the place of the candidate that the search chose, if it is one of `n`."""
    place = picture.get("chosen")
    return place if isinstance(place, int) and 0 <= place < n else None


def _early(picture: Picture, n: int) -> Flags:
    """Tell which candidates were given less than the most."""
    rungs = np.array(picture.get("rungs") or [], dtype=float)
    return rungs < rungs.max() if len(rungs) == n > 0 else np.zeros(n, dtype=bool)


def _dots(panel: Marked, x: Numbers, y: Numbers, early: Flags) -> None:
    for which, colour in ((early, GREY), (~early, _BLUE)):
        panel.dots(x[which], y[which], colour, 3, opacity(len(x)))


def _search_note(picture: Picture, drawn: int, ringed: bool) -> str:
    total = max(_count(picture, "n"), drawn)
    shown = f"{drawn:,} of {total:,}" if drawn < total else f"{total:,}"
    notes = [f"{shown} candidate" + "s" * (total != 1)]
    for key, text in (("failed", "failed"), ("skipped", "with other values")):
        if _count(picture, key):
            notes.append(f"{_count(picture, key):,} {text}")
    ranges = _count(picture, "ranges")
    where = f"in {ranges} ranges" if ranges else "at each value"
    resources = _resources(picture)
    if resources:
        notes += [f"grey: n_resources {_listed(resources[:-1])}", f"blue: {resources[-1]}"]
        notes.append(f"orange: its best {where}, \N{PLUS-MINUS SIGN} std")
    else:
        notes.append(f"orange: the best {where}, \N{PLUS-MINUS SIGN} std over folds")
    if ringed:
        notes.append(f"ring: {_mark(picture)}")
    return " · ".join(notes)


def _mark(picture: Picture) -> str:
    """Say what the candidate is that the search chose."""
    mark = picture.get("mark", "best")
    return "the chosen one" if mark == "chosen" else f"the {mark}"


def _resources(picture: Picture) -> list[str]:
    """Return how much the candidates of each rung were given; nothing if all the same."""
    return [number(float(one)) for one in picture.get("resources") or []]


def _listed(texts: list[str]) -> str:
    return ", ".join(texts) if len(texts) <= 4 else f"{texts[0]} to {texts[-1]}"


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
    failed = _failed(picture, scores)
    best = _best_cell(picture, scores)
    # Wide enough for the title and the note.
    wide = min(max(110, 440 // n_columns), max(14, 560 // n_columns))
    high_cell = min(56, max(14, 400 // n_rows))
    grid = Grid(
        _titled_to_fit(picture, wide * n_columns + 120),
        rows=apart(_names(picture, "rows", n_rows), 11, 150),
        columns=apart(_names(picture, "columns", n_columns), 11, 150),
        wide=wide,
        high=high_cell,
        note=_field_note(picture, best is not None, np.isnan(scores) & ~failed, failed, left_out),
        scaled=True,
    )
    names = [str(picture.get(key) or "") for key in ("column_name", "row_name")]
    grid.name(*_axis_names(names, 80 + min(wide * n_columns, high_cell * n_rows)))
    grid.fill(np.where(failed[..., np.newaxis], _FAILED, ramp(_BLUE, depth)))
    if wide >= 36 and high_cell >= 16:
        grid.write(scores, depth, _given(picture, scores) if high_cell >= 32 else None)
    marks = [((value - low) / (high - low), text) for value, text in ticks((low, high), 6)]
    grid.scale(ramp(_BLUE, np.linspace(1, 0, 128)[:, np.newaxis]), marks)
    if best is not None:
        row, column = best
        left, bottom, _, up = grid.box
        x, y = left + column * wide, bottom + up - row * high_cell
        corners = [x, x + wide, x + wide, x, x], [y, y, y - high_cell, y - high_cell, y]
        grid.sheet.line(*corners, _ORANGE, thick=3)
    return grid.sheet


def _failed(picture: Picture, scores: Numbers) -> Flags:
    """Tell in which cells there were candidates, and all failed."""
    failed = np.zeros(scores.shape, dtype=bool)
    for row, column in picture.get("failed") or []:
        if row < len(scores) and column < scores.shape[1]:
            failed[row, column] = True
    return failed & ~np.isfinite(scores)


def _best_cell(picture: Picture, scores: Numbers) -> tuple[int, int] | None:
    """Return the cell of the candidate that the search chose; it may lie elsewhere."""
    if "mark" not in picture:  # stored before it was told
        place = divmod(int(np.nanargmax(scores)), scores.shape[1])
    elif "chosen" in picture:
        place = picture["chosen"][0], picture["chosen"][1]
    else:
        return None
    return place if place[0] < len(scores) and place[1] < scores.shape[1] else None


def _given(picture: Picture, scores: Numbers) -> list[str] | None:
    """Return for each cell how much its candidate was given, if that differs."""
    resources = _resources(picture)
    if not resources:
        return None
    rungs = _numbers(picture, "rungs", dimensions=2)[: len(scores), : scores.shape[1]].ravel()
    return ["" if np.isnan(one) else f"at {resources[int(one)]}" for one in rungs.tolist()]


def _titled_to_fit(picture: Picture, room: float) -> Picture:
    """Leave the params out of a title that is too long: they are written at the axes."""
    title = str(picture.get("title") or "")
    if _lettering.width(_lettering.clean(title), 14, bold=True) <= room:
        return picture
    return {**picture, "title": f"Best mean test {picture.get('metric') or 'score'}"}


def _field_note(picture: Picture, marked: bool, empty: Flags, failed: Flags, more: int) -> str:
    notes = []
    if marked:
        # Of a cell the best is shown, whichever the search chose.
        held = "the cell of " if picture.get("mark") == "chosen" else ""
        notes.append(f"orange: {held}{_mark(picture)}")
    elif picture.get("mark"):
        notes.append(f"{_mark(picture)} is not among these")
    if empty.any():
        notes.append(f"{'light ' * bool(failed.any())}grey: no candidate")
    if failed.any():
        notes.append(f"{'dark ' * bool(empty.any())}grey: failed")
    if _resources(picture):
        notes.append(f"each candidate at its last n_resources ({_listed(_resources(picture))})")
    if _count(picture, "params") > 2:
        notes.append(f"the two params with the largest effect, of {_count(picture, 'params')}")
    if more:
        notes.append(f"{more:,} more not shown")
    return " · ".join(notes)


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
    gaps = max(1, len(columns) - 1)
    step = 360 if gaps == 1 else min(230, max(120, 900 // gaps))
    sheet = titled(picture, note, 140 + step * (len(columns) - 1) + 90, 500)
    names = _axis_names([str(column.get("name") or "") for column in columns], step - 12)
    axes = [
        _Axis(sheet, 140 + step * index, step, column, line, name, last=column is columns[-1])
        for index, (column, line, name) in enumerate(zip(columns, lines, names, strict=True))
    ]
    heights = np.array([axis.height(line[:n]) for axis, line in zip(axes, lines, strict=True)])
    x = np.array([axis.x for axis in axes])
    share = np.clip((heights[-1] - _Axis.bottom) / _Axis.high, 0, 1)
    early = _early(picture, n)
    depth = (0.12 + 0.88 * share**2)[:, np.newaxis]
    colours = np.where(early[:, np.newaxis], _EARLY, ramp(_BLUE, depth[:, 0])).tolist()
    best = _best_line(picture, lines[-1][:n])
    order = np.lexsort((heights[-1], ~early))  # earlier rungs below the others
    for index in order[order != best].tolist():
        sheet.line(x, heights[:, index], tuple(colours[index]), thick=1.3)
    if best is not None:
        sheet.line(x, heights[:, best], _ORANGE, thick=3)
    for axis in axes:
        axis.draw()
    return sheet


def _best_line(picture: Picture, scores: Numbers) -> int | None:
    """Return the place of the candidate that the search chose."""
    if "mark" in picture:
        return _chosen(picture, len(scores))
    return int(np.nanargmax(scores)) if np.isfinite(scores).any() else None


def _axis_names(names: list[str], room: float) -> list[str]:
    """Return the names of the axes: without the way to the param where there is no room for it."""
    ends = [name.rpartition("__")[2] for name in names]
    brief = [
        end if end and ends.count(end) == 1 and fitted([name], 12, 1e9) > room else name
        for name, end in zip(names, ends, strict=True)
    ]
    return apart(brief, 12, room)


def _parallel_note(picture: Picture, n: int, columns_left_out: int) -> str:
    total = n + _count(picture, "left_out")
    shown = f"{n:,} of {total:,}" if total > n else f"{n:,}"
    notes = [f"{shown} candidate" + "s" * (total != 1)]
    told = bool(picture.get("mark", "best"))
    notes.append(f"orange: {_mark(picture)}, darker: better" if told else "darker: better")
    resources = _resources(picture)
    if resources:
        notes.append(f"grey: n_resources {_listed(resources[:-1])}, others: {resources[-1]}")
    params = _count(picture, "params_left_out") + columns_left_out
    if params:
        notes.append(f"{params:,} more params not shown")
    return " · ".join(notes)


class _Axis:
    """One of the parallel axes."""

    bottom, high = 62, 350

    def __init__(
        self,
        sheet: Sheet,
        x: float,
        step: float,
        column: Picture,
        values: Numbers,
        name: str,
        *,
        last: bool,
    ) -> None:
        self.sheet, self.x, self.step, self.last = sheet, float(x), step, last
        self.column, self.name = column, name
        self.missing = bool(np.isnan(values).any())
        labels = column.get("labels")
        if labels:
            shown = apart(_names(column, "labels", len(labels)), 11, self._room())
            every = max(1, -(-14 * len(shown) // self.high))
            self.scale: Scale = (-0.5, len(shown) - 0.5)
            self.marks = [(float(place), shown[place]) for place in range(0, len(shown), every)]
        elif last:
            self.scale, _ = scores_span(values)
            self.marks = ticks(self.scale, 8)
        else:
            self.scale = span(placed(values, column))
            self.marks = axis_marks(self.scale, values, bool(column.get("log")))

    def _room(self) -> float:
        return 78 if self.last else min(self.step, self.x) - 18

    def height(self, values: Numbers) -> Numbers:
        """Return the heights of the values; what is none of them lies below the axis."""
        low, high = self.scale
        share = np.clip((placed(values, self.column) - low) / (high - low), 0, 1)
        return np.where(np.isfinite(share), self.bottom + share * self.high, self.bottom - 28)

    def draw(self) -> None:
        """Draw the axis with its name and labels above the lines, on white."""
        top = self.bottom + self.high
        self.sheet.line([self.x, self.x], [self.bottom, top], INK, thick=1.5)
        room = min(self.step - 12, 2 * min(self.x, self.sheet.width - self.x) - 8)
        self.sheet.text(self.x, top + 10, self.name, size=12, across="centre", room=room)
        marks = [(float(self._up(value)), text) for value, text in self.marks]
        if self.missing:
            marks.append((self.bottom - 28.0, "failed" if self.last else "not set"))
        for y, text in marks:
            self._mark(y, text)

    def _up(self, value: float) -> float:
        low, high = self.scale
        return self.bottom + (value - low) / (high - low) * self.high

    def _mark(self, y: float, text: str) -> None:
        room = self._room()
        long = fitted([text], 11, room)
        side = 8 if self.last else -8
        box = (self.x + side - (0 if self.last else long) - 2, y - 6, long + 4, 13)
        self.sheet.boxes([box], (1.0, 1.0, 1.0))
        self.sheet.line([self.x - 4, self.x + 4], [y, y], INK)
        self.sheet.text(
            self.x + side, y - 4, text, across="left" if self.last else "right", room=room
        )
