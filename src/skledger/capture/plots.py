"""Pictures drawn from stored numbers.

What a run keeps is the numbers (a JSON dict with a ``"kind"``); the PNG can be drawn from them
at any time, and is, on a background thread.

To add a kind of picture, write a function that takes the dict and returns a
:class:`~skledger.capture._sheet.Sheet`, and register it under the name its dicts carry::

    @drawer("learning_curve")
    def _learning_curve(picture):
        sheet = Sheet(640, 480)
        ...
        return sheet

A drawer takes whatever the numbers may be (none at all, one, NaN, huge) without failing or warning,
keeps to colours that a colour-blind reader can tell apart, says when something was left out, and
has a case in ``tests/test_plots.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from skledger.capture import _lettering
from skledger.capture._grid import MOST_CELLS, Grid, diverging, ramp, titled
from skledger.capture._panel import GREY, PALE, Panel, fitted, left_margin, number, span, ticks
from skledger.capture._sheet import Colour, Sheet
from skledger.errors import InvalidParameterError

__all__ = ["DRAWERS", "draw", "drawer"]

Numbers = npt.NDArray[np.float64]
Picture = dict[str, Any]
Drawer = Callable[[Picture], Sheet]

#: The function that draws each kind of picture.
DRAWERS: dict[str, Drawer] = {}

# Okabe and Ito's colours, made to be told apart by colour-blind readers, without the yellow.
_BLUE: Colour = (0.0, 0.447, 0.698)
_ORANGE: Colour = (0.835, 0.369, 0.0)
_COLOURS: tuple[Colour, ...] = (
    _BLUE,
    _ORANGE,
    (0.0, 0.62, 0.451),
    (0.8, 0.475, 0.655),
    (0.902, 0.624, 0.0),
    (0.337, 0.706, 0.914),
    (0.25, 0.25, 0.25),
)
_MOST_BARS = 60
_MOST_NAMED = 21  # curves; the legend has no room for more
_MOST_ANNOTATED = 15  # classes; more, and colour alone must speak


def draw(picture: Picture) -> bytes:
    """Draw a picture from its stored numbers.

    Parameters
    ----------
    picture : dict
        The numbers, with their ``"kind"``: one of :data:`DRAWERS`. ``None`` stands for NaN.

    Returns
    -------
    bytes
        A PNG file.

    Raises
    ------
    InvalidParameterError
        If the kind is unknown, or its numbers are missing or are no numbers.
    ImportError
        If matplotlib is not installed.
    """
    kind = picture.get("kind")
    if not isinstance(kind, str) or kind not in DRAWERS:
        known = ", ".join(sorted(DRAWERS))
        raise InvalidParameterError(
            f"no picture of kind {kind!r} can be drawn; known kinds: {known}. "
            "Register a function for it with skledger.capture.plots.drawer"
        )
    try:
        import matplotlib.backends.backend_agg  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"matplotlib is needed to draw a {kind} and could not be imported ({error}); "
            "install it with 'pip install matplotlib'"
        ) from error
    # NaN and infinity are expected here; numpy's warnings about them would reach the user.
    with np.errstate(all="ignore"):
        return DRAWERS[kind](picture).png()


def drawer(kind: str) -> Callable[[Drawer], Drawer]:
    """Register the decorated function as the one that draws pictures of this `kind`."""

    def register(function: Drawer) -> Drawer:
        DRAWERS[kind] = function
        return function

    return register


@drawer("confusion_matrix")
def _confusion_matrix(picture: Picture) -> Sheet:
    counts = _numbers(picture, "matrix", dimensions=2)
    totals = np.nansum(np.abs(counts), axis=1, keepdims=True)[:MOST_CELLS]
    left_out = _count(picture, "left_out") + max(0, max(counts.shape) - MOST_CELLS)
    note = f"{left_out:,} more classes not shown" if left_out else ""
    if not counts.size:
        return _nothing(picture, note)
    counts = counts[:MOST_CELLS, :MOST_CELLS]
    size = max(counts.shape)
    many = size > _MOST_ANNOTATED
    cell = max(1, 600 // size) if many else min(100, max(36, 440 // size))
    labels = _names(picture, "labels", size)
    rows, columns = labels[: counts.shape[0]], labels[: counts.shape[1]]
    grid = Grid(picture, rows=rows, columns=columns, wide=cell, high=cell, note=note, scaled=many)
    grid.name("Predicted", "True")
    share = np.clip(np.abs(counts) / np.where(totals > 0, totals, 1.0), 0, 1)
    # The root lets an error of one percent be seen beside a diagonal of a hundred.
    root = 1 / 3 if many else 1 / 2
    depth = share**root
    right = np.eye(*counts.shape)[..., np.newaxis] > 0
    grid.fill(np.where(right, ramp(_BLUE, depth), ramp(_ORANGE, depth)))
    if many:
        bar = np.linspace(1, 0, 128)[:, np.newaxis]
        marks = [(part**root, f"{part:.0%}") for part in (0, 0.01, 0.05, 0.2, 0.5, 1)]
        both = np.concatenate([ramp(_BLUE, bar), ramp(_ORANGE, bar)], axis=1)
        grid.scale(both, marks, "share of the true class; blue: right, orange: wrong")
    else:
        grid.write(counts, depth, [_percent(part) for part in share.ravel().tolist()])
    return grid.sheet


@drawer("heatmap")
def _heatmap(picture: Picture) -> Sheet:
    values = _numbers(picture, "values", dimensions=2)
    left_out = _count(picture, "left_out") + sum(max(0, n - MOST_CELLS) for n in values.shape)
    note = f"{left_out:,} more not shown" if left_out else ""
    if not values.size:
        return _nothing(picture, note)
    values = values[:MOST_CELLS, :MOST_CELLS]
    n_rows, n_columns = values.shape
    wide = min(60, max(1, 720 // n_columns))
    high = min(60, max(1, 560 // n_rows), max(16, wide))
    rows, columns = _names(picture, "rows", n_rows), _names(picture, "columns", n_columns)
    grid = Grid(picture, rows=rows, columns=columns, wide=wide, high=high, note=note, scaled=True)
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0
    part = np.clip(values / largest, -1, 1)
    grid.fill(diverging(part, _ORANGE, _BLUE))
    if wide >= 36 and high >= 16:
        grid.write(values, np.abs(part))
    bar = diverging(np.linspace(1, -1, 128)[:, np.newaxis], _ORANGE, _BLUE)
    grid.scale(bar, [(0, number(-largest)), (0.5, "0"), (1, number(largest))])
    return grid.sheet


@drawer("roc_curve")
def _roc_curve(picture: Picture) -> Sheet:
    return _curves(picture, ("False positive rate", "True positive rate"), "AUC")


@drawer("precision_recall_curve")
def _precision_recall_curve(picture: Picture) -> Sheet:
    return _curves(picture, ("Recall", "Precision"), "AP")


def _curves(picture: Picture, axes: tuple[str, str], area: str) -> Sheet:
    """Draw curves within the unit square, with a legend at its right when there are several."""
    curves: list[Picture] = list(_needed(picture, "curves"))
    notes = []
    if len(curves) == 1:
        notes.append(_area_text(curves[0], area))
    classes = _count(picture, "classes")
    if classes > len(curves) > 1:  # then the first curve is the average of all
        notes.append(f"the {len(curves) - 1} of {classes:,} classes with the smallest {area}")
    if _count(picture, "sampled"):
        notes.append(f"from a sample of {_count(picture, 'sampled'):,} rows")
    note = " · ".join(notes)
    if not curves:
        return _nothing(picture, note)
    sheet = titled(picture, note, 780 if len(curves) > 1 else 520, 530)
    panel = Panel(sheet, (68, 56, 410, 410), (-0.02, 1.02), (-0.02, 1.02))
    panel.frame(*axes)
    if area == "AUC":  # what guessing would give
        sheet.line(panel.across([0, 1]), panel.up([0, 1]), GREY, dashes=(5, 4))
    for index, curve in enumerate(curves):
        x, y = _pairs(curve, "x", "y")
        if area == "AP":
            x, y = _steps(x, y)
        colour, dashes = _stroke(index)
        sheet.line(panel.across(x), panel.up(y), colour, thick=2, dashes=dashes, within=panel.box)
    if len(curves) > 1:
        _legend(sheet, curves, area)
    return sheet


def _legend(sheet: Sheet, curves: list[Picture], area: str) -> None:
    """Name the curves at the right of the square, each with its area."""
    sheet.text(766, 470, area, size=11, colour=GREY, across="right")
    for index, curve in enumerate(curves[:_MOST_NAMED]):
        y = 450 - 18 * index
        colour, dashes = _stroke(index)
        sheet.line([494, 518], [y + 4, y + 4], colour, thick=2, dashes=dashes)
        sheet.text(526, y, curve.get("label", ""), room=186)
        sheet.text(766, y, _three(curve.get("area")), across="right")
    if len(curves) > _MOST_NAMED:
        more = f"and {len(curves) - _MOST_NAMED} more"
        sheet.text(526, 450 - 18 * _MOST_NAMED, more, colour=GREY)


def _stroke(index: int) -> tuple[Colour, tuple[int, int] | None]:
    """Return the colour and the dashes of a curve, different for each of the first 21."""
    dashes = (None, (6, 3), (2, 2))[index // len(_COLOURS) % 3]
    return _COLOURS[index % len(_COLOURS)], dashes


def _steps(recall: Numbers, precision: Numbers) -> tuple[Numbers, Numbers]:
    """Return the curve as the steps whose area the average precision is.

    AP = sum of (R_n - R_(n-1)) P_n: between two recalls the precision of the higher one holds.
    """
    if len(recall) > 1 and recall[0] > recall[-1]:
        recall, precision = recall[::-1], precision[::-1]
    return np.repeat(recall, 2)[:-1], np.repeat(precision, 2)[1:]


@drawer("predicted_vs_actual")
def _predicted_vs_actual(picture: Picture) -> Sheet:
    actual, predicted = _pairs(picture, "actual", "predicted")
    note = _points_note(len(actual), _count(picture, "n"))
    if not len(actual):
        return _nothing(picture, note)
    scale = span(actual, predicted)
    left = left_margin(scale)
    sheet = titled(picture, note, round(left) + 440, 530)
    panel = Panel(sheet, (left, 56, 410, 410), scale, scale)
    panel.frame("Actual", "Predicted")
    _cloud(panel, actual, predicted)
    sheet.line(panel.across(scale), panel.up(scale), GREY, dashes=(5, 4))
    return sheet


@drawer("residuals")
def _residuals(picture: Picture) -> Sheet:
    predicted, residual = _pairs(picture, "predicted", "residual")
    histogram = picture.get("histogram") or {}
    edges = _numbers({"edges": [], **histogram}, "edges")
    counts = _numbers({"counts": [], **histogram}, "counts")
    note = _points_note(len(predicted), _count(picture, "n"))
    if not len(predicted):
        return _nothing(picture, note)
    scale = span(residual, edges, include=0.0)
    left = left_margin(scale)
    sheet = titled(picture, note, round(left) + 604, 480)
    panel = Panel(sheet, (left, 56, 430, 360), span(predicted), scale)
    panel.frame("Predicted", "Residual (actual \N{MINUS SIGN} predicted)")
    _cloud(panel, predicted, residual)
    sheet.line([left, left + 430], [float(panel.up(0))] * 2, GREY, dashes=(5, 4))
    if len(edges) == len(counts) + 1 and np.isfinite(edges).all():
        beside = left + 454
        most = max(1.0, float(np.nanmax(counts, initial=0.0)))
        side = Panel(sheet, (beside, 56, 130, 360), (0.0, 1.06 * most), scale)
        side.frame("Count", y_ticks=False)
        at, long = side.up(edges).tolist(), side.across(np.nan_to_num(counts)) - beside
        bars = [
            (beside, below, wide, max(1.0, above - below - 1))
            for below, above, wide in zip(at[:-1], at[1:], long.tolist(), strict=True)
            if wide > 0
        ]
        sheet.boxes(bars, _BLUE, within=side.box)
    return sheet


@drawer("bars")
def _bars(picture: Picture) -> Sheet:
    values = _numbers(picture, "values")
    names = _names(picture, "names", len(values))
    # Largest on top whatever its sign; what is not a number comes last.
    order = np.argsort(-np.abs(values), kind="stable")[:_MOST_BARS].tolist()
    left_out = _count(picture, "left_out") + len(values) - len(order)
    total = max(_count(picture, "n_features"), len(order) + left_out)
    note = f"{len(order)} of {total:,} features, {left_out:,} left out" if left_out else ""
    if not order:
        return _nothing(picture, note)
    left = 20 + fitted(names, 11, 220)
    sheet = titled(picture, note, round(left) + 440, 22 * len(order) + 100)
    scale = span(values, include=0.0)
    panel = Panel(sheet, (left, 40, 360, 22 * len(order)), scale, (len(order), 0.0))
    zero = float(panel.across(0))
    for value, text in ticks(scale, most=5):
        x = float(panel.across(value))
        sheet.line([x, x], [40, 40 + panel.box[3]], PALE)
        sheet.text(x, 22, text, size=11, across="centre")
    for position, index in enumerate(order):
        y, value = 40 + panel.box[3] - 22 * (position + 1), float(values[index])
        sheet.text(left - 6, y + 7, names[index], across="right", room=220)
        sheet.text(left + 368, y + 7, number(value), size=10, colour=GREY)
        if np.isfinite(value):
            x = float(panel.across(value))
            bar = (min(x, zero), y + 3, max(1.0, abs(x - zero)), 16)
            sheet.boxes([bar], _ORANGE if value < 0 else _BLUE, within=panel.box)
    sheet.line([zero, zero], [40, 40 + panel.box[3]], GREY)
    return sheet


def _cloud(panel: Panel, x: Numbers, y: Numbers) -> None:
    """Draw points, the more of them the fainter."""
    opacity = float(np.clip(12 / np.sqrt(len(x)), 0.2, 0.8))
    panel.sheet.dots(
        panel.across(x), panel.up(y), _BLUE, radius=3, opacity=opacity, within=panel.box
    )


def _nothing(picture: Picture, note: str) -> Sheet:
    sheet = titled(picture, note, 480, 200)
    sheet.text(
        240, 90, "nothing to draw: there are no numbers", size=12, colour=GREY, across="centre"
    )
    return sheet


def _points_note(drawn: int, total: int) -> str:
    return f"{drawn:,} of {total:,} points" if total > drawn else f"{drawn:,} points"


def _area_text(curve: Picture, area: str) -> str:
    return (
        f"{_lettering.clean(curve.get('label', ''))}  {area} = {_three(curve.get('area'))}".strip()
    )


def _percent(part: float) -> str:
    """Return a share in whole percents; 0% and 100% only where it is exactly so."""
    if not 0 < part < 1:
        return "" if np.isnan(part) else f"{part:.0%}"
    return "<1%" if part < 0.01 else ">99%" if part > 0.99 else f"{part:.0%}"


def _three(value: float | None) -> str:
    """Return an area, which has three decimals if it is one at all."""
    if value is None or not abs(value) <= 10:
        return number(np.nan if value is None else value)
    return f"{value:.3f}"


def _needed(picture: Picture, key: str) -> Any:
    if picture.get(key) is None:
        raise InvalidParameterError(
            f"a picture needs {key!r}, and has only {sorted(picture)}; store it with the picture"
        )
    return picture[key]


def _numbers(picture: Picture, key: str, dimensions: int = 1) -> Numbers:
    """Return the numbers under `key`; ``None`` among them is NaN."""
    given = _needed(picture, key)
    try:
        numbers = np.array(given, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidParameterError(
            f"the {key!r} of a picture must be numbers in {dimensions} dimension(s): {error}"
        ) from error
    if not numbers.size:
        return np.empty((0,) * dimensions)
    if numbers.ndim != dimensions:
        raise InvalidParameterError(
            f"the {key!r} of a picture must have {dimensions} dimension(s), not {numbers.ndim}"
        )
    return numbers


def _pairs(picture: Picture, first: str, second: str) -> tuple[Numbers, Numbers]:
    """Return two arrays of equal length, without the positions where one is not finite."""
    one, other = _numbers(picture, first), _numbers(picture, second)
    if len(one) != len(other):
        raise InvalidParameterError(
            f"{first!r} and {second!r} of a picture must be equally long, "
            f"not {len(one)} and {len(other)}"
        )
    finite = np.isfinite(one) & np.isfinite(other)
    return one[finite], other[finite]


def _names(picture: Picture, key: str, wanted: int) -> list[str]:
    """Return `wanted` names, numbering those that are not given."""
    given = [_lettering.clean(name) for name in picture.get(key) or []][:wanted]
    return given + [str(index) for index in range(len(given), wanted)]


def _count(picture: Picture, key: str) -> int:
    return int(picture.get(key) or 0)


# More drawers, which need the functions above.
from skledger.capture import plots_measured, plots_search, plots_validation  # noqa: E402, F401
