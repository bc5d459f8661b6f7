"""Drawers of learning and validation curves, permutation tests and the scores of folds."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from skledger.capture._grid import titled
from skledger.capture._marked import (
    Marked,
    Scale,
    bounded,
    named_panel,
    numbered_panel,
    placed,
    right_margin,
    scores_span,
    ticked,
)
from skledger.capture._panel import GREY, Panel, fitted, left_margin, number, span, ticks
from skledger.capture._sheet import Box, Colour, Sheet
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

_MOST_NAMED = 60  # values of a param under an axis
_MOST_METRICS = 12
_PAIR = (_ORANGE, _BLUE)  # training and test, told apart by dashes as well
_DASHES = ((6, 3), ())
_PALE: Colour = (0.99, 0.93, 0.88)


@drawer("learning_curve")
def _learning_curve(picture: Picture) -> Sheet:
    return _two_curves(picture, "training rows")


@drawer("validation_curve")
def _validation_curve(picture: Picture) -> Sheet:
    return _two_curves(picture, str(picture.get("param") or "value"))


def _two_curves(picture: Picture, x_name: str) -> Sheet:
    """Draw mean and deviation of the scores in training and in cross-validation."""
    x = placed(_numbers(picture, "x"), picture)
    curves = []
    for key in ("train", "test"):
        part = _needed(picture, key)
        curves.append((_numbers(part, "mean"), _numbers(part, "std")))
    n = min(len(x), *(len(each) for curve in curves for each in curve))
    if picture.get("labels"):
        n = min(n, _MOST_NAMED)
    x = x[:n]
    curves = [(mean[:n], np.nan_to_num(std[:n])) for mean, std in curves]
    means = np.concatenate([mean for mean, _ in curves])
    note = ""
    if _count(picture, "left_out"):
        note = f"{n:,} of {n + _count(picture, 'left_out'):,} values"
    if not np.isfinite(means).any():
        return _nothing(picture, note)
    reach = np.concatenate([std for _, std in curves])
    scale, low_ones = scores_span(means, means + reach, means - reach, far=100.0)
    if low_ones:
        note = " · ".join([*filter(None, [note]), f"{low_ones:,} below the axis"])
    axes = (x_name, str(picture.get("metric") or "score"))
    if picture.get("labels"):
        panel = named_panel(picture, "", _names(picture, "labels", n), scale, axes)
        for (mean, std), colour, aside in zip(curves, _PAIR, (-0.07, 0.07), strict=True):
            panel.dots(x + aside, mean, colour, 4, 1.0)
            panel.whiskers(x + aside, mean, std, colour)
    else:
        panel = numbered_panel(
            picture, "", x, scale, axes, under=lambda empty: _shade(empty, x, curves)
        )
        for (mean, std), colour, dashes in zip(curves, _PAIR, _DASHES, strict=True):
            known = np.isfinite(x) & np.isfinite(mean)
            panel.line(x[known], mean[known], colour, dashes)
            panel.dots(x[known], mean[known], colour, 4 if n <= 50 else 2, 1.0)
            if known.sum() == 1:
                panel.whiskers(x[known], mean[known], std[known], colour)
    _legend(panel, _count(picture, "folds"), note)
    return panel.sheet


def _shade(panel: Marked, x: Numbers, curves: list[tuple[Numbers, Numbers]]) -> None:
    """Shade what lies within a standard deviation of the means."""
    left, bottom, wide, high = (round(side) for side in panel.box)
    pixels = np.ones((high, wide, 3))
    floor = np.arange(high)[::-1, np.newaxis]  # of each row of pixels, the first on top
    for (mean, std), colour in zip(curves, _PAIR, strict=True):
        known = np.isfinite(x) & np.isfinite(mean)
        if known.sum() < 2:
            continue
        at = panel.across(x[known]) - left
        places = np.arange(wide) + 0.5
        low, above = (
            np.interp(places, at, panel.up(edge[known]) - bottom, left=np.nan, right=np.nan)
            for edge in (mean - std, mean + std)
        )
        covered = np.clip(np.minimum(above, floor + 1) - np.maximum(low, floor), 0, 1)
        share = 0.2 * np.nan_to_num(covered)[..., np.newaxis]
        pixels = pixels * (1 - share) + np.array(colour) * share
    panel.sheet.field(pixels, (left, bottom, wide, high))


def _legend(panel: Marked, folds: int, note: str) -> None:
    """Say in a line above the panel which curve is which."""
    left, y = panel.box[0], panel.box[1] + panel.box[3] + 12
    for text, colour, dashes in zip(("training", "test"), _PAIR, _DASHES, strict=True):
        panel.sheet.line([left, left + 26], [y + 4, y + 4], colour, thick=2, dashes=dashes or None)
        panel.sheet.text(left + 32, y, text)
        left += 32 + fitted([text], 11, 100) + 22
    parts = ["mean \N{PLUS-MINUS SIGN} std" + (f" over {folds:,} folds" if folds else ""), note]
    room = panel.box[0] + panel.box[2] - left
    panel.sheet.text(left, y, " · ".join(filter(None, parts)), colour=GREY, room=room)


@drawer("permutation_test")
def _permutation_test(picture: Picture) -> Sheet:
    histogram = {"edges": [], "counts": [], **(picture.get("histogram") or {})}
    edges, counts = _numbers(histogram, "edges"), _numbers(histogram, "counts")
    score, pvalue = _numbers({"both": [picture.get("score"), picture.get("pvalue")]}, "both")
    total = _count(picture, "n")
    note = f"p = {number(float(pvalue))} · {total:,} permutations of the targets"
    if len(edges) != len(counts) + 1 or not np.isfinite(edges).all():
        edges, counts = np.empty(0), np.empty(0)
    if not len(counts) and not np.isfinite(score):
        return _nothing(picture, note)
    most = max(1.0, float(np.nanmax(counts, initial=0.0)))
    scale = (0.0, 1.06 * most)
    left = left_margin(scale)
    across = span(bounded(edges), bounded(np.array([score])))
    sheet = titled(picture, note, round(left + 560 + right_margin(across)), 440)
    panel = Panel(sheet, (left, 58, 560, 290), across, scale)
    panel.frame(str(picture.get("metric") or "score"), "permutations")
    at, tops = panel.across(edges).tolist(), panel.up(np.nan_to_num(counts)).tolist()
    bars = [
        (low, 58, max(1.0, high - low - 1), top - 58)
        for low, high, top in zip(at[:-1], at[1:], tops, strict=True)
        if top > 58
    ]
    sheet.boxes(bars, _BLUE, within=panel.box)
    if np.isfinite(score):
        x = float(panel.across(score))
        sheet.line([x, x], [58, 352], _ORANGE, thick=2)
        text = f"true targets: {number(float(score))}"
        half = fitted([text], 11, 300) / 2
        sheet.text(min(max(x, left + half), left + 560 - half), 358, text, across="centre")
    return sheet


@drawer("cv_scores")
def _cv_scores(picture: Picture) -> Sheet:
    every: list[Picture] = list(_needed(picture, "metrics"))
    metrics = every[:_MOST_METRICS]
    left_out = _count(picture, "left_out") + len(every) - len(metrics)
    note = "dashed: the mean of all folds, shaded: \N{PLUS-MINUS SIGN} std"
    note += f" · {left_out:,} more metrics not shown" if left_out else ""
    scores = [_numbers(metric, "scores") for metric in metrics]
    if not any(np.isfinite(each).any() for each in scores):
        return _nothing(picture, note)
    columns = 1 if len(metrics) <= 3 else 2
    rows = -(-len(metrics) // columns)
    wide, high = (560, 260) if len(metrics) == 1 else (560 if columns == 1 else 420, 140)
    # No axis has a label at its left.
    scales = [_fold_scale(*each, high) for each in zip(metrics, scores, strict=True)]
    margin = round(max(map(left_margin, scales))) - 18
    sheet = titled(picture, note, columns * (wide + margin + 16) + 8, rows * (high + 62) + 76)
    for index, scale in enumerate(scales):
        row, column = divmod(index, columns)
        left = margin + column * (wide + margin + 16)
        bottom = 44 + (rows - 1 - row) * (high + 62)
        _fold_panel(sheet, (left, bottom, wide, high), scale, metrics[index], scores[index])
    return sheet


def _fold_scale(metric: Picture, scores: Numbers, high: int) -> Scale:
    """Return a scale on which no point touches the frame, with two ticks at least."""
    mean, std = _mean_std(metric)
    low, above = span(bounded(scores), bounded(np.array([mean - std, mean + std])))
    air = 8 / high * (above - low)
    return ticked((low - air, above + air), max(2, high // 45))


def _mean_std(metric: Picture) -> Numbers:
    return _numbers({"both": [metric.get("mean"), metric.get("std")]}, "both")


def _fold_panel(sheet: Sheet, box: Box, scale: Scale, metric: Picture, scores: Numbers) -> None:
    """Draw the scores of one metric."""
    left, bottom, wide, high = box
    folds = _numbers({"folds": [], **metric}, "folds")
    if len(folds) != len(scores):
        folds = np.arange(float(len(scores)))
    mean, std = _mean_std(metric)
    across = (-0.5, max(float(np.nanmax(folds, initial=0.0)), 0.0) + 0.5)
    marks = ticks(across, int(wide // 40))
    whole = [(at, f"{at:,.0f}") for at, _ in marks if at == round(at)]
    panel = Marked(sheet, box, across, scale, whole)
    if np.isfinite([mean - std, mean + std]).all():
        low, above = panel.up([mean - std, mean + std]).tolist()
        sheet.boxes([(left, low, wide, max(above - low, 1.0))], _PALE, within=box)
    panel.frame("fold" if bottom == 44 else "")
    if np.isfinite(mean):
        panel.line(across, [mean, mean], _ORANGE, (6, 3))
    panel.dots(folds, scores, _BLUE, 4 if len(scores) <= 100 else 2, 0.9)
    n = max(_count(metric, "n"), len(scores))
    drawn = f" ({len(scores):,} of {n:,} folds)" if n > len(scores) else ""
    failed = int((~np.isfinite(scores)).sum())
    drawn += f" ({failed:,} failed)" if failed else ""
    text = _mean_text(float(mean), float(std)) + drawn
    sheet.text(left + wide, bottom + high + 8, text, across="right", colour=GREY)
    room = wide - fitted([text], 11, wide) - 16
    sheet.text(left, bottom + high + 8, metric.get("name") or "score", size=12, room=room)


def _mean_text(mean: float, std: float) -> str:
    """Return a mean with as many decimals as its deviation has two digits."""
    if 1e-8 < std < 10 and abs(mean) < 1e6:
        decimals = 1 - math.floor(math.log10(std))
        texts = f"{mean:,.{decimals}f}", f"{std:.{decimals}f}"
    else:
        texts = number(mean), number(std)
    return " \N{PLUS-MINUS SIGN} ".join(texts).replace("-", "\N{MINUS SIGN}")
