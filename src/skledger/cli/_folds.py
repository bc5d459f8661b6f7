"""The scores of a cross-validation's folds, and the points of a curve, as tables."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from skledger.cli._fitting import GAP, Column, fitted_table
from skledger.cli._portrait import Portrait
from skledger.cli._printing import cell, console, number_text, one_line, spread_text

__all__ = ["curve_keys", "curve_table", "fold_keys", "fold_tables"]

_CURVES = ("learning_curve", "validation_curve")
_PARTS = ("mean_train_score", "std_train_score", "mean_test_score", "std_test_score")


def fold_keys(portrait: Portrait) -> list[str]:
    """Return the metrics that have a value for each fold, those of the test data first."""
    steps, metrics = portrait.steps, portrait.run.data.metrics
    return [
        key
        for part in ("test_", "train_")
        for key in sorted(steps)
        if key.startswith(part) and (f"mean_{key}" in metrics or _is_by_fold(portrait))
        if max(each.step for each in portrait.history[key]) > 0
    ]


def _is_by_fold(portrait: Portrait) -> bool:
    """Tell whether a run has folds whose mean is not booked yet."""
    tags = portrait.run.data.tags
    return "skledger.function" in tags or "skledger.candidate" in tags


def fold_tables(portrait: Portrait, most: int | None, indent: int) -> Iterator[Table]:
    """Return the scores of the folds, their mean and standard deviation.

    Parameters
    ----------
    portrait : Portrait
        The run.
    most : int or None
        How many folds; None: all.
    indent : int
        How far from the terminal's edge it will stand. What does not fit beside each other makes
        several tables.
    """
    keys = fold_keys(portrait)
    if not keys:
        return
    metrics = portrait.run.data.metrics
    values = {key: {each.step: each.value for each in portrait.history[key]} for key in keys}
    folds = sorted({step for each in values.values() for step in each})
    heads = [cell(fold) for fold in folds[:most]]
    if folds[len(heads) :]:
        heads.append(cell(f"and {len(folds) - len(heads)} more", "dim"))
    # Without all of its folds a cross-validation has neither.
    whole = [part for part in ("mean", "std") if any(f"{part}_{key}" in metrics for key in keys)]
    heads += [cell(part, "bold") for part in whole]
    columns: dict[str, list[Text]] = {}
    for key in keys:
        shown = [cell(number_text(values[key].get(fold))) for fold in folds[:most]]
        shown += [cell("")] * (len(heads) - len(whole) - len(shown))
        shown += [cell(number_text(metrics.get(f"{part}_{key}")), "bold") for part in whole]
        columns[key] = shown
    for group in _groups(columns, indent + max(map(len, heads))):
        lines = [[head, *(columns[key][at] for key in group)] for at, head in enumerate(heads)]
        yield fitted_table([Column("fold"), *(Column(key, right=True) for key in group)], lines)


def _groups(columns: dict[str, list[Text]], taken: int) -> Iterator[list[str]]:
    """Return the names of the columns that fit beside each other."""
    group: list[str] = []
    used = taken
    for key, texts in columns.items():
        width = GAP + max(cell_len(key), *(each.cell_len for each in texts))
        if group and used + width > console().width:
            yield group
            group, used = [], taken
        group.append(key)
        used += width
    if group:
        yield group


def curve_keys(portrait: Portrait) -> list[str]:
    """Return the metrics that have a value for each point of a curve."""
    if portrait.run.data.tags.get("skledger.function") not in _CURVES:
        return []
    return [key for key in _PARTS if key in portrait.history]


def curve_table(portrait: Portrait, most: int | None, indent: int) -> Table:
    """Return the points of a learning curve or a validation curve.

    Parameters
    ----------
    portrait : Portrait
        The run.
    most : int or None
        How many points; None: all.
    indent : int
        How far from the terminal's edge it will stand.
    """
    values = {
        key: {each.step: each.value for each in portrait.history[key]}
        for key in curve_keys(portrait)
    }
    steps = sorted({step for each in values.values() for step in each})
    title, names = _ticks(portrait, steps)
    lines = []
    for step in steps[:most]:
        texts = [one_line(names[step], 36)]
        for part in ("train_score", "test_score"):
            mean, std = (values.get(f"{each}_{part}", {}).get(step) for each in ("mean", "std"))
            texts.append(cell(spread_text(mean, std)))
        lines.append(texts)
    if len(steps) > len(lines):
        lines.append([cell(f"and {len(steps) - len(lines)} more", "dim"), cell(""), cell("")])
    heads = [Column(title), Column("train_score", True), Column("test_score", True)]
    return fitted_table(heads, lines, indent)


def _ticks(portrait: Portrait, steps: Sequence[int]) -> tuple[str, dict[int, str]]:
    """Return what a curve goes along, and how its points are called."""
    function = portrait.run.data.tags["skledger.function"]
    params = portrait.run.data.params
    if function == "learning_curve":
        return "training rows", {step: str(step) for step in steps}
    name = params.get(f"{function}__param_name") or params.get("param_name", "value")
    given = params.get(f"{function}__param_range") or params.get("param_range", "")
    try:
        listed = list(ast.literal_eval(given))
    except (ValueError, SyntaxError, TypeError):
        listed = []
    known = len(listed) > max(steps, default=0)
    return name, {step: str(listed[step] if known else step) for step in steps}
