"""The drawer of calibration curves."""

from __future__ import annotations

from skledger.capture._grid import titled
from skledger.capture._panel import GREY, Panel
from skledger.capture._sheet import Sheet
from skledger.capture.plots import _BLUE, Picture, _count, _nothing, _pairs, _three, drawer

__all__: list[str] = []


@drawer("calibration_curve")
def _calibration_curve(picture: Picture) -> Sheet:
    x, y = _pairs(picture, "x", "y")
    notes = [f"Brier score {_three(picture.get('brier'))}"]
    if picture.get("positive"):
        notes.append(f"positive: {picture['positive']}")
    if _count(picture, "sampled"):
        notes.append(f"from a sample of {_count(picture, 'sampled'):,} rows")
    note = " · ".join(notes)
    if not len(x):
        return _nothing(picture, note)
    sheet = titled(picture, note, 520, 530)
    panel = Panel(sheet, (68, 56, 410, 410), (-0.02, 1.02), (-0.02, 1.02))
    panel.frame("Mean predicted probability", "Share of positives")
    sheet.line(panel.across([0, 1]), panel.up([0, 1]), GREY, dashes=(5, 4))
    sheet.line(panel.across(x), panel.up(y), _BLUE, thick=2, within=panel.box)
    # Of a model that gives one probability only, there is no line.
    sheet.dots(panel.across(x), panel.up(y), _BLUE, radius=4, opacity=1.0, within=panel.box)
    return sheet
