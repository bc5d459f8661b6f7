"""Pictures drawn from stored numbers."""

from __future__ import annotations

import gc
import io
import json
import logging
import math
import subprocess
import sys
import threading
import tracemalloc
import warnings

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skledger.capture import _lettering, _panel, plots
from skledger.capture._sheet import Sheet
from skledger.capture.plots import DRAWERS, draw, drawer
from skledger.errors import InvalidParameterError

LONG = "columns__onehot__a_name_nobody_would_want_to_type_{}"


def confusion(n, label="{}", **more):
    matrix = np.diag(np.arange(90, 90 + n)) + np.eye(n, k=1, dtype=int) * 7
    labels = [label.format(index) for index in range(n)]
    return {
        "kind": "confusion_matrix",
        "title": "Confusion matrix",
        "labels": labels,
        "matrix": matrix.tolist(),
        **more,
    }


def curves(kind, n, points=50, **more):
    x = np.linspace(0, 1, points)
    return {
        "kind": kind,
        "title": "Curves",
        "curves": [
            {
                "label": LONG.format(i),
                "x": x.tolist(),
                "y": (x ** (1 / (i + 2))).tolist(),
                "area": 0.9,
            }
            for i in range(n)
        ],
        **more,
    }


def residuals(predicted, residual, edges=(), counts=(), **more):
    return {
        "kind": "residuals",
        "title": "Residuals",
        "predicted": list(predicted),
        "residual": list(residual),
        "histogram": {"edges": list(edges), "counts": list(counts)},
        "n": len(predicted),
        **more,
    }


def actual(values, predicted, **more):
    return {
        "kind": "predicted_vs_actual",
        "title": "Predicted against actual",
        "actual": list(values),
        "predicted": list(predicted),
        "n": len(values),
        **more,
    }


def bars(values, name="x{}", **more):
    return {
        "kind": "bars",
        "title": "Feature importances",
        "names": [name.format(index) for index in range(len(values))],
        "values": list(values),
        "n_features": len(values),
        "left_out": 0,
        **more,
    }


def heatmap(values, **more):
    return {
        "kind": "heatmap",
        "title": "Coefficients",
        "rows": [f"class {index}" for index in range(len(values))],
        "columns": [LONG.format(index) for index in range(len(values[0]) if values else 0)],
        "values": values,
        "left_out": 0,
        **more,
    }


def by_value(x, y, best=((), (), ()), **more):
    return {
        "kind": "score_by_value",
        "title": "Mean test accuracy by C",
        "metric": "accuracy",
        "param": "C",
        "x": list(x),
        "y": list(y),
        "best": dict(zip(("x", "y", "std"), map(list, best), strict=True)),
        "n": len(x),
        **more,
    }


def score_field(values, row="{}", **more):
    return {
        "kind": "score_heatmap",
        "title": "Best mean test accuracy by C and gamma",
        "metric": "accuracy",
        "row_name": "gamma",
        "column_name": "C",
        "rows": [row.format(index) for index in range(len(values))],
        "columns": [row.format(index) for index in range(len(values[0]) if values else 0)],
        "values": values,
        **more,
    }


def parallel(*columns, score=(), **more):
    """Return candidates; a column of texts is one of categories."""
    given = []
    for index, values in enumerate(columns):
        labels = sorted({value for value in values if isinstance(value, str)})
        axis = {"name": f"param {index}", "values": list(values)}
        if labels:
            axis["values"] = [None if one is None else labels.index(one) for one in values]
            axis["labels"] = labels
        given.append(axis)
    given.append({"name": "mean test accuracy", "values": list(score)})
    return {"kind": "parallel_coordinates", "title": "Candidates", "columns": given, **more}


def scored_curve(kind, x, train, test, spread=0.1, **more):
    def curve(mean):
        return {"mean": list(mean), "std": [spread] * len(mean)}

    both = {"train": curve(train), "test": curve(test), "metric": "accuracy"}
    return {"kind": kind, "title": "Curve", "x": list(x), "folds": 5, **both, **more}


def permutations(score, edges=(), counts=(), pvalue=0.01, **more):
    histogram = {"edges": list(edges), "counts": list(counts)}
    both = {"score": score, "pvalue": pvalue, "histogram": histogram}
    return {"kind": "permutation_test", "title": "Permutation test", **both, **more}


def folds(*metrics, name="test_{}", **more):
    given = [
        {
            "name": name.format(index),
            "scores": list(scores),
            "mean": scores[0] if scores else None,
            "std": 0.01 if scores else None,
            "n": len(scores),
        }
        for index, scores in enumerate(metrics)
    ]
    return {"kind": "cv_scores", "title": "Scores by fold", "metrics": given, **more}


def calibration(x, y, brier=0.125, **more):
    return {
        "kind": "calibration_curve",
        "title": "X_test calibration",
        "positive": "1",
        "x": list(x),
        "y": list(y),
        "counts": [7] * len(x),
        "brier": brier,
        **more,
    }


NOISE = np.random.default_rng(0).normal(0, 5, 300)
PICTURES = {
    "matrix of none": confusion(0),
    "matrix of one": confusion(1),
    "matrix of two": confusion(2, left_out=3),
    "matrix of three, long": confusion(3, LONG),
    "matrix of ten": confusion(10),
    "matrix of fifteen, long": confusion(15, LONG),
    "matrix of thirty, long": confusion(30, LONG),
    "matrix of a hundred": confusion(100),
    "matrix of two hundred, long": confusion(200, LONG, left_out=1234),
    "matrix of huge counts": {**confusion(2), "matrix": [[123456789, 1], [0.25, 10**12]]},
    "matrix of nothing known": {**confusion(2), "matrix": [[None, None], [None, None]]},
    "matrix of zeros": {**confusion(3), "matrix": [[0] * 3] * 3},
    "matrix without names": {**confusion(20), "labels": []},
    "matrix not square": {**confusion(2), "matrix": [[1, 2, 3], [4, 5, 6]]},
    "matrix of negative weights": {**confusion(2), "matrix": [[-3, 1], [2, -1e308]]},
    "odd letters": {
        **confusion(4),
        "title": "漢字 $x_1$ \\alpha 😀",
        "labels": ["漢字", "$x_1$ $", "a\nb\x00\t", "e\u0301\u200d\ufe0f\ud800 עברית"],
    },
    "long title": {**confusion(2), "title": "very " * 200 + "long"},
    "roc of none": curves("roc_curve", 0),
    "roc of one": curves("roc_curve", 1),
    "roc of four": curves("roc_curve", 4, sampled=10_000),
    "roc of eleven": curves("roc_curve", 11, classes=100, sampled=10_000),
    "roc of thirty": curves("roc_curve", 30),
    "roc of one point": curves("roc_curve", 2, points=1),
    "roc of no points": curves("roc_curve", 2, points=0),
    "roc of nothing known": {
        "kind": "roc_curve",
        "title": "x",
        "curves": [{"label": "a", "x": [None, None], "y": [None, 1], "area": None}],
    },
    "roc beyond the square": {
        "kind": "roc_curve",
        "title": "x",
        "curves": [{"label": "a", "x": [0, 1e308, 1], "y": [-1e308, 0.5, 1e30], "area": 1e9}],
    },
    "precision recall of one": curves("precision_recall_curve", 1),
    "precision recall of eleven": curves("precision_recall_curve", 11, classes=11),
    "precision recall of one point": curves("precision_recall_curve", 1, points=1),
    "calibration": calibration(np.linspace(0.05, 0.95, 10), np.linspace(0, 1, 10) ** 2),
    "calibration, none": calibration([], [], None),
    "calibration, one point": calibration([0.5], [1.0], 0.25, sampled=2_000_000),
    "calibration, long": calibration([0.2, 0.9], [0.0, 1.0], positive=LONG * 4),
    "calibration, without the rest": {"kind": "calibration_curve", "x": [0, 1], "y": [1, 0]},
    "calibration, nothing known": calibration([None, math.nan], [0.5, None], math.nan),
    "calibration beyond the square": calibration([-1e308, 0.5, 1e308], [1e308, 0.5, -9], 1e308),
    "predicted": actual(NOISE, NOISE + 1, n=23_000),
    "predicted, one point": actual([3.0], [2.0]),
    "predicted, constant": actual([7] * 9, [7] * 9),
    "predicted, none": actual([], []),
    "predicted, nothing known": actual([None, math.nan], [1, math.inf]),
    "predicted, huge": actual([1e308, -1e308, 0], [-1e308, 1e308, 5e-324]),
    "predicted, tiny differences": actual([1e9, 1e9 + 1e-6], [1e9, 1e9]),
    "predicted, millions": actual(1e6 * np.abs(NOISE), 1.1e6 * np.abs(NOISE)),
    "residuals": residuals(NOISE, -NOISE, [-20, -5, 0, 5, 20], [3, 99, 101, None], n=5000),
    "residuals, none": residuals([], []),
    "residuals, constant": residuals([1] * 5, [0] * 5, [-0.5, 0.5], [5]),
    "residuals, no histogram": {**residuals([1, 2], [3, 4]), "histogram": None},
    "residuals, huge": residuals([1e308, -1e308], [-1e308, 1e308], [-1e308, 0, 1e308], [1, 1e300]),
    "residuals, offset": residuals([1e-9] * 5, [1e-12] * 5, [1e-12, 1.1e-12], [5]),
    "bars, none": bars([]),
    "bars, three": bars([0.6, 0.3, 0.1]),
    "bars, thirty": bars(NOISE[:30], LONG, n_features=230, left_out=200),
    "bars, too many": bars(NOISE, LONG),
    "bars, zeros": bars([0, 0]),
    "bars, nothing known": bars([None, math.nan]),
    "bars, huge": bars([1e308, -1e308, math.inf, 1e-300]),
    "heat map, none": heatmap([]),
    "heat map, one": heatmap([[1.5]]),
    "heat map, three by thirty": heatmap(NOISE[:90].reshape(3, 30).tolist(), left_out=10),
    "heat map, thirty by three": heatmap(NOISE[:90].reshape(30, 3).tolist()),
    "heat map, zeros": heatmap([[0, 0], [0, 0]]),
    "heat map, nothing known": heatmap([[None, math.nan], [math.inf, None]]),
    "heat map, huge": heatmap([[1e308, -1e308], [5e-324, 0]]),
    "heat map, wider than the sheet": heatmap([[0.5] * 1500] * 2),
    "by value, none": by_value([], []),
    "by value, one": by_value([1], [0.5], ([1], [0.5], [0.1])),
    "by value, one, log": by_value([10], [0.5], ([10], [0.5], [None]), log=True),
    "by value, log": by_value(
        np.logspace(-7, 9, 300), NOISE, ([1e-7, 1e9], [20, 9], [3, 4]), log=True, failed=4
    ),
    "by value, log of what has none": by_value([0, -1, 5], [1, 2, 3], log=True),
    "by value, constant": by_value([3] * 9, [0.25] * 9, ([3], [0.25], [0])),
    "by value, nothing known": by_value([None, 1], [1, math.nan]),
    "by value, huge": by_value(
        [1e308, -1e308, 5e-324], [-1e308, 1e308, 0], ([0], [1e308], [1e308])
    ),
    "by value, diverged": by_value(range(300), [-1e30, *NOISE[1:]], n=10_000, skipped=7, ranges=20),
    "by value, long names": by_value(
        [0, 1, 2] * 9, range(27), ([0, 1, 2], [24, 25, 26], [1, 2, None]), labels=[LONG] * 3
    )
    | {"param": LONG * 4, "metric": LONG * 4},
    "by value, forty names": by_value(range(40), NOISE[:40], labels=["SVC(C=10.0)"] * 40),
    "by value, two hundred names": by_value(range(200), NOISE[:200], labels=["a"] * 200),
    "score field, none": score_field([]),
    "score field, one": score_field([[0.5]]),
    "score field, five": score_field(NOISE[:25].reshape(5, 5).tolist(), params=4, left_out=12),
    "score field, forty, long": score_field(np.outer(NOISE[:40], NOISE[:40]).tolist(), LONG),
    "score field, two by forty": score_field(NOISE[:80].reshape(2, 40).tolist(), "1.5e-05 to {}"),
    "score field, forty by two": score_field(NOISE[:80].reshape(40, 2).tolist(), LONG),
    "score field, hundred": score_field(np.outer(NOISE[:100], NOISE[:100]).tolist()),
    "score field, holes": score_field([[None, 0.9], [0.8, None]], LONG),
    "score field, nothing known": score_field([[None, math.nan]]),
    "score field, constant": score_field([[0.5, 0.5]] * 3),
    "score field, huge": score_field([[1e308, -1e308], [5e-324, 0]]),
    "parallel, none": parallel([]),
    "parallel, no axes": {"kind": "parallel_coordinates", "columns": []},
    "parallel, the score alone": parallel(score=[0.5, 0.6]),
    "parallel, one": parallel([1.0], score=[0.5]),
    "parallel, thousand": parallel(
        *np.random.default_rng(0).random((8, 1000)).tolist(),
        score=np.linspace(0, 1, 1000),
        left_out=9000,
        params_left_out=3,
    ),
    "parallel, twenty axes": parallel(*NOISE.reshape(20, 15).tolist(), score=NOISE[:15]),
    "parallel, names": parallel(
        [LONG.format(index) for index in range(40)], ["a", "b", None, "c"] * 10, score=NOISE[:40]
    ),
    "parallel, nothing known": parallel([None, None], ["a", None], score=[None, math.nan]),
    "parallel, huge": parallel([1e308, -1e308, 0], [5, 5, 5], score=[-1e308, 1e308, 0]),
    "learning curve": scored_curve("learning_curve", [10, 50, 100], [1, 0.9, 0.9], [0, 0.7, 0.8]),
    "learning curve, none": scored_curve("learning_curve", [], [], []),
    "learning curve, one": scored_curve("learning_curve", [10], [1], [0.5]),
    "learning curve, failed": scored_curve("learning_curve", [1, 2, 3], [None] * 3, [0, None, 1]),
    "learning curve, diverged": scored_curve(
        "learning_curve", range(1, 9), [0.9] * 8, [-1e9, *[0.5] * 7], left_out=100
    ),
    "learning curve, huge": scored_curve(
        "learning_curve", [1, 1e308], [1e308, -1e308], [0, 5e-324], spread=1e308
    ),
    "validation curve, log": scored_curve(
        "validation_curve", np.logspace(-9, 9, 40), NOISE[:40], NOISE[40:80], log=True, param=LONG
    ),
    "validation curve, names": scored_curve(
        "validation_curve", range(3), [1, 2, 3], [0, None, 2], labels=["a", LONG, "None"]
    ),
    "validation curve, many names": scored_curve(
        "validation_curve", range(99), NOISE[:99], NOISE[:99], labels=[LONG] * 99
    ),
    "validation curve, without deviations": scored_curve(
        "validation_curve", [1, 2], [1, 2], [0, 1], spread=None
    ),
    "permutations": permutations(0.9, np.linspace(0.4, 0.6, 11), range(10), n=1000),
    "permutations, none": permutations(None, pvalue=None),
    "permutations, the score alone": permutations(0.5),
    "permutations, without the score": permutations(None, [0, 1], [5]),
    "permutations, the same": permutations(0.5, [0.4995, 0.5005], [100]),
    "permutations, huge": permutations(1e308, [-1e308, 0, 1e308], [1, 10**12]),
    "permutations, nothing known": permutations(0.5, [None, 1], [None]),
    "folds, none": folds(),
    "folds of nothing": folds([]),
    "folds, one": folds([0.5]),
    "folds, ten": folds(NOISE[:10].tolist()),
    "folds, failed": folds([0.5, None, 0.7], [None, math.nan]),
    "folds, many metrics": folds(*NOISE.reshape(20, 15).tolist(), name=LONG, left_out=3),
    "folds, many folds": folds(NOISE.tolist(), NOISE.tolist(), [0.5]),
    "folds, huge": folds([1e308, -1e308], [5e-324, 0]),
}


@pytest.fixture(autouse=True)
def _nothing_is_said(caplog):
    """No picture may warn or log."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def opened(png):
    """Return the pixels of a PNG, after PIL has checked all of it."""
    Image.open(io.BytesIO(png)).verify()
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image).astype(int)


def texts_of(monkeypatch, picture):
    """Return what is written on a picture, with each text's box and its sheet."""
    written = []
    original = Sheet.text

    def text(sheet, x, y, text, **how):
        original(sheet, x, y, text, **how)
        size, bold = how.get("size", 11), how.get("bold", False)
        line = _lettering.clean(text)
        if how.get("room") is not None:
            line = _lettering.shorten(line, size, how["room"], bold)
        if line:
            long = _lettering.width(line, size, bold)
            back = {"left": 0, "centre": long / 2, "right": long}[how.get("across", "left")]
            # Height of the letters without what hangs below the baseline.
            box = (x, y - back, x, y - back + long) if how.get("upwards") else None
            box = box or (x - back, y, x - back + long, y)
            grow = 0.72 * size
            if how.get("upwards"):
                box = (box[0] - grow, box[1], box[2], box[3])
            else:
                box = (box[0], box[1], box[2], box[3] + grow)
            written.append((line, box, sheet))

    monkeypatch.setattr(Sheet, "text", text)
    draw(picture)
    monkeypatch.setattr(Sheet, "text", original)
    return written


def assert_legible(written):
    """Every text lies within its sheet, and none on another."""
    boxes = np.array([box for _, box, _ in written])
    sheet = written[0][2]
    for (line, *_), (left, bottom, right, top) in zip(written, boxes, strict=True):
        inside = left >= 0 and bottom >= 0 and right <= sheet.width and top <= sheet.height
        assert inside, f"{line!r} is clipped"
    left, bottom, right, top = boxes.T
    touch = (
        (left[:, None] < right - 0.5)
        & (right[:, None] - 0.5 > left)
        & (bottom[:, None] < top - 0.5)
        & (top[:, None] - 0.5 > bottom)
    )
    np.fill_diagonal(touch, False)
    pairs = [(written[i][0], written[j][0]) for i, j in np.argwhere(touch)]
    assert not pairs, f"texts lie on each other: {pairs[:5]}"


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_drawn(name):
    """Whatever the numbers, the result is a PNG of a reasonable size, without a warning."""
    picture = json.loads(json.dumps(PICTURES[name]))
    height, width, _ = opened(draw(picture)).shape
    assert 200 <= width <= 1500
    assert 100 <= height <= 1500


@pytest.mark.parametrize("name", PICTURES)
def test_texts_are_legible(name, monkeypatch):
    """No text is clipped at the sheet's edge and none lies on another."""
    assert_legible(texts_of(monkeypatch, PICTURES[name]))


def test_each_kind_has_a_case():
    """Every kind that is registered is among the cases of this file."""
    assert {picture["kind"] for picture in PICTURES.values()} == set(DRAWERS)


def test_same_numbers_same_bytes():
    """A picture drawn again is the same file."""
    for picture in (PICTURES["matrix of ten"], PICTURES["roc of four"], PICTURES["residuals"]):
        assert draw(picture) == draw(picture)


def test_drawing_leaves_the_numbers_alone():
    """The dict is not changed."""
    for picture in PICTURES.values():
        before = json.dumps(picture)
        draw(picture)
        assert json.dumps(picture) == before


@pytest.mark.parametrize(
    ("picture", "note"),
    [
        (actual([1, 2], [1, 2], n=23_000), "2 of 23,000 points"),
        (actual([1, 2], [1, 2]), "2 points"),
        (residuals(range(1000), range(1000), n=23_000), "1,000 of 23,000 points"),
        (confusion(2, left_out=40), "40 more classes not shown"),
        (bars([1, 2], n_features=30, left_out=28), "2 of 30 features, 28 left out"),
        (bars(range(100)), "60 of 100 features, 40 left out"),
        (curves("roc_curve", 1, sampled=5000), "from a sample of 5,000 rows"),
        (calibration([0.5], [0.5], sampled=5000), "from a sample of 5,000 rows"),
        (curves("roc_curve", 11, classes=100), "the 10 of 100 classes with the smallest AUC"),
        (heatmap([[1]], left_out=9), "9 more not shown"),
        (heatmap([[1] * 1300]), "100 more not shown"),
        (curves("roc_curve", 30), "and 9 more"),
        (confusion(0), "nothing to draw"),
        (by_value([1, 2], [3, 4], n=900), "2 of 900 candidates"),
        (by_value([1], [1], failed=3, skipped=2), "3 failed · 2 with other values"),
        (by_value(range(9), [-1e9, *range(8)]), "1 below the axis"),
        (score_field([[1, 2]], left_out=5), "5 more not shown"),
        (score_field([[1, 2]], params=5), "the two params with the largest effect"),
        (parallel([1], score=[1], left_out=99), "1 of 100 candidates"),
        (parallel([1], score=[1], params_left_out=2), "2 more params not shown"),
        (scored_curve("learning_curve", [1, 2], [1, 1], [0, 0], left_out=8), "2 of 10 values"),
        (folds([1], left_out=4), "4 more metrics not shown"),
        (folds([1, None]), "1 failed"),
    ],
)
def test_says_what_is_left_out(picture, note, monkeypatch):
    """A picture of a part of the numbers says so."""
    assert any(note in line for line, *_ in texts_of(monkeypatch, picture))


def test_areas_are_written(monkeypatch):
    """Each curve's area stands beside its name, under AUC or AP."""
    for kind, area in (("roc_curve", "AUC"), ("precision_recall_curve", "AP")):
        alone = [line for line, *_ in texts_of(monkeypatch, curves(kind, 1))]
        assert any(f"{area} = 0.900" in line for line in alone)
        several = [line for line, *_ in texts_of(monkeypatch, curves(kind, 3))]
        assert area in several
        assert several.count("0.900") == 3


@pytest.mark.parametrize(
    ("brier", "text"), [(0.125, "0.125"), (0, "0.000"), (None, "–"), (math.nan, "–")]
)
def test_calibration_tells_class_and_brier_score(brier, text, monkeypatch):
    """One that is not known is not shown as a perfect one."""
    lines = [line for line, *_ in texts_of(monkeypatch, calibration([0.5], [0.5], brier))]
    assert f"Brier score {text} · positive: 1" in lines


def test_a_single_probability_can_be_seen():
    """One point makes no line, and is drawn nevertheless."""
    drawn = opened(draw(calibration([0.5], [0.25]))).reshape(-1, 3)
    empty = opened(draw(calibration([0.5], [7.0]))).reshape(-1, 3)
    blue = (0, 114, 178)
    assert (drawn == blue).all(axis=1).sum() >= 30 + (empty == blue).all(axis=1).sum()


def test_cells_are_annotated_up_to_fifteen_classes(monkeypatch):
    """Counts are written while they can be read, and a scale of shares is drawn beyond."""
    assert "104" in [line for line, *_ in texts_of(monkeypatch, confusion(15))]
    many = [line for line, *_ in texts_of(monkeypatch, confusion(100, "c{}"))]
    assert "104" not in many
    assert {"1%", "100%"} <= set(many)
    assert 10 <= sum(line.startswith("c") for line in many) <= 60


def test_one_error_among_a_hundred_classes_can_be_seen():
    """One wrong row in 500 leaves a mark, in another colour than the right ones."""
    matrix = np.diag(np.full(100, 499))
    blank = opened(draw({**confusion(100), "matrix": matrix.tolist()}))
    matrix[20, 70] = 1
    marked = opened(draw({**confusion(100), "matrix": matrix.tolist()}))
    changed = np.abs(marked - blank).sum(axis=2)
    assert changed.max() > 30
    red, _, blue = marked[np.unravel_index(changed.argmax(), changed.shape)]
    assert red > blue


def test_bars_are_ordered_and_coloured_by_sign(monkeypatch):
    """The largest bar is on top whatever its sign, and negative ones are orange."""
    picture = bars([0.1, -3.0, 2.0], name="name{}")
    heights = {line: box[1] for line, box, _ in texts_of(monkeypatch, picture)}
    assert heights["name1"] > heights["name2"] > heights["name0"]
    pixels = opened(draw(picture)).reshape(-1, 3)
    assert (pixels == (213, 94, 0)).all(axis=1).sum() > 500
    assert (pixels == (0, 114, 178)).all(axis=1).sum() > 500


def test_markup_is_written_as_it_stands(monkeypatch):
    """A label that looks like mathtext or LaTeX is drawn letter by letter."""
    plain = _lettering.outline("$x_1$", 11)[0]
    assert len(plain) == 5
    lines = [line for line, *_ in texts_of(monkeypatch, confusion(2, "$\\frac{{{}}}{{0}}$"))]
    assert "$\\frac{1}{0}$" in lines


def test_long_names_keep_both_ends():
    """A long name loses its middle, for names often differ at their end only."""
    short = _lettering.shorten(LONG.format(17), 11, 120)
    assert short.startswith("colu")
    assert short.endswith("_17")
    assert "…" in short
    assert _lettering.width(short, 11) <= 120
    assert _lettering.shorten("short", 11, 120) == "short"


def test_a_letter_no_font_has_becomes_a_box():
    """A letter without a glyph takes room; an invisible mark takes none."""
    assert _lettering.width("\U000f0000", 11) > 3
    assert _lettering.width("\ufe0f", 11) == 0


def test_other_installed_fonts_lend_their_letters(monkeypatch):
    """What the usual font lacks comes from a font the user's rcParams name."""
    letter = "\u27e0"  # in STIX, which comes with matplotlib, and also in DejaVu
    usual = _lettering._usual_font(False)
    monkeypatch.setattr(_lettering, "_MORE_FAMILIES", ("STIXGeneral",))
    _lettering._more_fonts.cache_clear()
    try:
        assert any("STIXGeneral" in file for file in _lettering._more_fonts())
        lent = next(
            code
            for code in range(0x1D400, 0x1D7FF)
            if _lettering._font_with(chr(code), False) not in (None, usual)
        )
        assert len(_lettering._letter.__wrapped__(chr(lent), 11, False)[0])
        assert _lettering._font_with(letter, False) == usual
    finally:
        _lettering._more_fonts.cache_clear()


def test_the_users_settings_neither_change_nor_show():
    """Wild rcParams alter nothing in a picture, and a picture alters no rcParams."""
    wild = {
        "text.usetex": True,
        "path.sketch": (5, 100, 2),
        "axes.facecolor": "black",
        "savefig.facecolor": "black",
        "figure.dpi": 300,
        "savefig.dpi": 300,
        "font.family": ["no such font"],
        "font.size": 30,
        "font.style": "italic",
        "axes.grid": True,
        "lines.linewidth": 12,
        "axes.prop_cycle": matplotlib.cycler(color=["pink"]),
        "figure.constrained_layout.use": True,
        "image.cmap": "jet",
    }
    chosen = [PICTURES[name] for name in ("matrix of ten", "roc of eleven", "residuals")]
    usual = [draw(picture) for picture in chosen]
    with matplotlib.rc_context(wild):
        before = settings_of_the_user()
        _lettering._letter.cache_clear()
        _lettering._usual_font.cache_clear()
        assert [draw(picture) for picture in chosen] == usual
        assert settings_of_the_user() == before


def settings_of_the_user():
    """Return the rcParams but for the backend, which reading would choose."""
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}


def run(code):
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_pyplot_is_never_imported():
    """Importing the module imports no matplotlib, drawing imports neither pyplot nor a figure."""
    chosen = [PICTURES[name] for name in ("matrix of ten", "residuals", "roc of four")]
    code = f"""
import json, sys
import skledger.capture.plots as plots
assert not any(name.startswith("matplotlib") for name in sys.modules)
for picture in json.loads({json.dumps(chosen)!r}):
    plots.draw(picture)
import matplotlib
print("matplotlib.pyplot" in sys.modules, "matplotlib.figure" in sys.modules)
"""
    assert run(code) == "False False"


def test_without_matplotlib_says_what_to_install():
    """A missing matplotlib is an ImportError that names the remedy."""
    code = f"""
import sys
sys.modules["matplotlib"] = None
from skledger.capture.plots import draw
try:
    draw({PICTURES["bars, three"]!r})
except ImportError as error:
    print(error)
"""
    assert "pip install matplotlib" in run(code)


def test_unknown_kind_names_the_known_ones():
    """An unknown kind is refused with the list of the known."""
    for kind in ("pie", None, ["bars"]):
        with pytest.raises(
            InvalidParameterError, match=f"known kinds: {', '.join(sorted(DRAWERS))}"
        ):
            draw({"kind": kind})


@pytest.mark.parametrize(
    "picture",
    [
        {"kind": "confusion_matrix", "labels": []},
        {"kind": "confusion_matrix", "matrix": [1, 2]},
        {"kind": "confusion_matrix", "matrix": [[1], [2, 3]]},
        {"kind": "bars", "names": ["a"], "values": ["many"]},
        {"kind": "bars", "names": ["a"], "values": [10**400]},
        {"kind": "residuals", "predicted": [1, 2], "residual": [1]},
        {"kind": "roc_curve"},
        {"kind": "roc_curve", "curves": [{"x": [0, 1]}]},
    ],
)
def test_numbers_that_cannot_be_drawn_are_refused(picture):
    """Missing numbers, wrong shapes and what is no number are named in the error."""
    with pytest.raises(InvalidParameterError, match="picture"):
        draw(picture)


def test_a_kind_can_be_added(monkeypatch):
    """A function registered for a new kind draws it."""
    monkeypatch.setattr(plots, "DRAWERS", dict(DRAWERS))

    @drawer("dot")
    def dot(picture):
        sheet = Sheet(30, 20)
        sheet.boxes([(10, 5, 4, 6)], (1.0, 0.0, 0.0))
        return sheet

    pixels = opened(draw({"kind": "dot"}))
    assert pixels.shape == (20, 30, 3)
    assert ((pixels == (255, 0, 0)).all(axis=2)).sum() == 24
    assert (pixels[9:15, 10:14] == (255, 0, 0)).all()  # the lower left corner is the origin


def test_first_row_of_a_field_is_on_top():
    """A grid of colours is laid out like a matrix, not upside down."""
    sheet = Sheet(40, 40)
    colours = np.zeros((2, 2, 3))
    colours[0, 1] = (1, 0, 0)
    colours[1, 0] = (0, 0, 1)
    sheet.field(colours, (0, 0, 40, 40))
    pixels = opened(sheet.png())
    assert pixels[5, 35].tolist() == [255, 0, 0]
    assert pixels[35, 5].tolist() == [0, 0, 255]


def test_threads_draw_at_once_while_the_user_plots():
    """Two threads draw the right pictures while the main thread works with pyplot."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    names = ["matrix of ten", "roc of four", "residuals", "bars, thirty", "odd letters"]
    expected = {name: draw(PICTURES[name]) for name in names}
    _lettering._letter.cache_clear()
    wrong, done = [], threading.Event()

    def work(order):
        try:
            for name in order * 4:
                if draw(PICTURES[name]) != expected[name]:
                    wrong.append(name)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(order,)) for order in (names, names[::-1])]
    for thread in threads:
        thread.start()
    figure, axes = pyplot.subplots()
    while not done.is_set():
        axes.plot([1, 2, 3])
        figure.canvas.draw()
        if not any(thread.is_alive() for thread in threads):
            done.set()
    open_figures = pyplot.get_fignums()
    pyplot.close(figure)
    assert wrong == []
    assert open_figures == [*before, figure.number]


def test_memory_does_not_grow():
    """A hundred more pictures leave neither memory nor objects behind."""
    chosen = [PICTURES[name] for name in ("matrix of ten", "roc of four", "bars, thirty")]
    for picture in chosen * 2:
        draw(picture)
    gc.collect()
    tracemalloc.start()
    try:
        objects = len(gc.get_objects())
        for picture in chosen * 12:
            draw(picture)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 300_000
        assert len(gc.get_objects()) - objects < 300
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (12, "12"),
        (-1234, "−1,234"),
        (999_999, "999,999"),
        (1_234_567, "1.23M"),
        (0.12345, "0.123"),
        (999_999.5, "1M"),
        (2e12, "2T"),
        (1e300, "1e+300"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_are_short(value, text):
    """Counts stay whole, everything else has three digits."""
    assert _panel.number(value) == text


@pytest.mark.parametrize(
    ("scale", "texts"),
    [
        ((-0.02, 1.02), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((0.0, 9e6), ["0", "2M", "4M", "6M", "8M"]),
        ((-3, 3), ["−3", "−2", "−1", "0", "1", "2", "3"]),
        ((0, 1e-8), ["0", "2e-9", "4e-9", "6e-9", "8e-9", "1.0e-8"]),
    ],
)
def test_ticks_are_round(scale, texts):
    """Ticks stand at round numbers, with no more digits than they need."""
    assert [text for _, text in _panel.ticks(scale, 7)] == [t.replace("-", "−") for t in texts]


numbers = st.one_of(st.none(), st.floats(), st.integers(-(10**9), 10**9), st.floats(-2, 2))
words = st.text(max_size=60)


@st.composite
def searched(make, kind, row, names, n, m):
    """Give the numbers of a picture of a search or of a cross-validation."""
    labels = make(st.sampled_from([{}, {"log": True}, {"labels": names(m)}]))
    axis = {"metric": make(words), "param": make(words), **labels}
    if kind == "score_by_value":
        best = {"x": row(m), "y": row(m), "std": row(m)}
        return {**axis, "x": row(n), "y": row(n), "best": best, "failed": m, "skipped": n}
    if kind == "score_heatmap":
        field = {"rows": names(n), "columns": names(m), "values": [row(m) for _ in range(n)]}
        return {**field, "row_name": make(words), "column_name": make(words), "params": m}
    if kind == "parallel_coordinates":
        axes = [{"name": make(words), "values": row(n), **labels} for _ in range(m)]
        return {"columns": [*axes, {"name": make(words), "values": row(n)}]}
    if kind == "permutation_test":
        histogram = {"edges": row(m + 1), "counts": row(m)}
        return {"score": make(numbers), "pvalue": make(numbers), "histogram": histogram}
    if kind == "cv_scores":
        told = {"mean": make(numbers), "std": make(numbers), "n": m}
        return {"metrics": [{"name": make(words), "scores": row(n), **told} for _ in range(m)]}
    curves = {key: {"mean": row(n), "std": row(n)} for key in ("train", "test")}
    return {**axis, "x": row(n), **curves, "folds": m}


@st.composite
def pictures(make):
    """Give any picture of the right form, whatever its numbers."""
    kind = make(st.sampled_from(sorted(DRAWERS)))
    picture = {"kind": kind, "title": make(words), "n": make(st.integers(0, 10**7))}
    picture["left_out"] = make(st.integers(0, 10**6))
    n, m = make(st.integers(0, 20)), make(st.integers(1, 20))

    def row(length):
        return make(st.lists(numbers, min_size=length, max_size=length))

    def names(length):
        return make(st.lists(words, min_size=length, max_size=length))

    if kind == "confusion_matrix":
        return {**picture, "labels": names(n), "matrix": [row(n) for _ in range(n)]}
    if kind == "heatmap":
        values = [row(m) for _ in range(n)]
        return {**picture, "rows": names(n), "columns": names(m), "values": values}
    if kind == "bars":
        return {**picture, "names": names(n), "values": row(n), "n_features": n}
    if kind == "predicted_vs_actual":
        return {**picture, "actual": row(n), "predicted": row(n)}
    if kind == "residuals":
        histogram = {"edges": row(m + 1), "counts": row(m)}
        return {**picture, "predicted": row(n), "residual": row(n), "histogram": histogram}
    if kind == "calibration_curve":
        told = {"positive": make(words), "brier": make(numbers), "sampled": m}
        return {**picture, "x": row(n), "y": row(n), "counts": row(n), **told}
    if kind not in ("roc_curve", "precision_recall_curve"):
        return {**picture, **make(searched(kind, row, names, n, m))}
    lines = [
        {"label": make(words), "x": row(n), "y": row(n), "area": make(numbers)}
        for _ in range(make(st.integers(0, 4)))
    ]
    return {**picture, "curves": lines, "classes": m, "sampled": n}


@settings(max_examples=250, deadline=None, database=None)
@given(pictures())
def test_any_numbers_can_be_drawn(picture):
    """No numbers and no names make a drawer fail or warn, and its texts stay legible."""
    with pytest.MonkeyPatch.context() as patch:
        assert_legible(texts_of(patch, picture))
    opened(draw(picture))
