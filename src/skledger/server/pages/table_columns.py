"""Columns of a run table: which there are, which differ, what stands in their cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from skledger.server.pages import formatting
from skledger.server.pages.choosing import brief, is_number
from skledger.server.pages.rendering import experiment_url
from skledger.server.pages.run_state import lasted
from skledger.server.pages.table_usual import datasets, seen, usual_keys, with_sorted
from skledger.tracking.entities import Run, RunStatus
from skledger.tracking.filters import Ordering

__all__ = ["RUN_NAME", "Column", "all_columns", "cell", "chosen", "column", "plain"]

#: What the first column, the names of runs, is sorted by.
RUN_NAME = ("attribute", "run_name")
#: Columns of the run itself: their words, and by what they are sorted.
_OWN: dict[str, tuple[str, tuple[str, str]]] = {
    "status": ("Status", ("attribute", "status")),
    "start_time": ("Started", ("attribute", "start_time")),
    "duration": ("Duration", ("attribute", "duration")),
    "end_time": ("Ended", ("attribute", "end_time")),
    "estimator": ("Estimator", ("tag", "estimator_name")),
    "dataset": ("Data", ("attribute", "dataset_name")),
    "user": ("User", ("attribute", "user_id")),
    "source": ("Source", ("tag", "mlflow.source.name")),
    "commit": ("Commit", ("tag", "mlflow.source.git.commit")),
    "experiment": ("Experiment", ("attribute", "experiment_name")),
    "run_id": ("Run ID", ("attribute", "run_id")),
}
_KINDS = {"params": "param", "metrics": "metric", "tags": "tag"}
_INTERNAL = ("mlflow.", "skledger.")
#: Tags that have a column of their own.
_SHOWN_TAGS = ("estimator_name", "estimator_class")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a run table.

    Parameters
    ----------
    key : str
        As in the address: ``params.alpha``, ``metrics.r2``, ``tags.team`` or a field of the run.
    group : {"run", "params", "metrics", "tags"}
    label : str
        Its words.
    order : tuple of (str, str)
        The kind and key that it is sorted by.
    numbers : bool, default=False
        Whether these texts are numbers.
    decimals : int or None, default=None
        How many digits stand behind the point, for numbers that line up.
    """

    key: str
    group: str
    label: str
    order: tuple[str, str]
    numbers: bool = False
    decimals: int | None = None

    @property
    def num(self) -> bool:
        """Whether it is of numbers."""
        return self.numbers or self.group == "metrics" or self.key == "duration"


def column(key: str) -> Column | None:
    """Return the column of a key, or None when there is no such."""
    if key in _OWN:
        label, order = _OWN[key]
        return Column(key, "run", label, order)
    group, _, name = key.partition(".")
    if group not in _KINDS or not name:
        return None
    return Column(key, group, name, (_KINDS[group], name))


def all_columns(runs: Sequence[Run], several: bool) -> list[Column]:
    """Return every column that these runs have; those of other pages are not looked for."""
    keys = [key for key in _OWN if several or key != "experiment"]
    for group in ("metrics", "params"):
        keys += [f"{group}.{key}" for key in sorted(seen(runs, group))]
    keys += [
        f"tags.{key}"
        for key in sorted(seen(runs, "tags"))
        if not key.startswith(_INTERNAL) and key not in _SHOWN_TAGS
    ]
    return [found for key in keys if (found := column(key)) is not None]


def chosen(
    keys: Sequence[str],
    runs: Sequence[Run],
    several: bool,
    order: Ordering | None,
    usual: Sequence[Run] | None = None,
    below: Sequence[Run] = (),
) -> list[Column]:
    """Return the columns to show: the chosen ones, or those in which runs differ.

    Parameters
    ----------
    keys : sequence of str
        The chosen ones; none for those in which runs differ.
    runs : sequence of Run
        What the table shows.
    several : bool
        Whether the runs are of several experiments.
    order : Ordering or None
        What the table is sorted by, which is always among the columns.
    usual : sequence of Run, optional
        The runs that decide on the columns; by default all that are shown.
    below : sequence of Run, optional
        Runs that were opened below others: they add columns, in front of those of the others.
    """
    if not keys:
        keys = usual_keys(runs if usual is None else usual, several, below)
        if order is not None:
            keys = with_sorted(keys, f"{order.kind}s.{order.key}")
    found = [each for key in dict.fromkeys(keys) if (each := column(key)) is not None]
    sorted_by = None if order is None else (order.kind, order.key)
    if sorted_by and sorted_by != RUN_NAME and not any(each.order == sorted_by for each in found):
        found += [each for each in all_columns(runs, several) if each.order == sorted_by][:1]
    return [replace(each, **_form(each, runs)) for each in found]


def _form(shown: Column, runs: Sequence[Run]) -> dict[str, Any]:
    """Return how the values of a column are written so that they line up."""
    if shown.group == "params":
        held = [run.data.params.get(shown.label) for run in runs]
        return {
            "numbers": bool(any(held)) and all(each is None or is_number(each) for each in held)
        }
    if shown.group != "metrics":
        return {}
    values = [run.data.metrics[shown.label] for run in runs if shown.label in run.data.metrics]
    return {"decimals": formatting.decimals(values)}


#: Columns that are a field of the run by the same name.
_FIELDS = frozenset(("run_id", "run_name", "status", "start_time", "end_time"))
_TAG_COLUMNS = {
    "estimator": "estimator_name",
    "source": "mlflow.source.name",
    "commit": "mlflow.source.git.commit",
}


def plain(run: Run, key: str, experiments: dict[str, str]) -> object:
    """Return what a run has in a column, for CSV; None when nothing."""
    info = run.info
    group, _, name = key.partition(".")
    if group in _KINDS and name:
        return getattr(run.data, group).get(name)
    if key in _TAG_COLUMNS:
        return run.data.tags.get(_TAG_COLUMNS[key])
    if key == "duration":
        return None if info.end_time is None else info.end_time - info.start_time
    own = {
        "dataset": datasets(run) or None,
        "user": info.user_id,
        "experiment": experiments.get(info.experiment_id, info.experiment_id),
    }
    if key in own:
        return own[key]
    return getattr(info, key) if key in _FIELDS else None


def cell(run: Run, shown: Column, experiments: dict[str, str]) -> Markup:
    """Return the content of a cell."""
    key, info = shown.key, run.info
    if key in ("start_time", "end_time"):
        return formatting.time(getattr(info, key))
    if key == "duration" and (info.end_time is not None or info.status == RunStatus.RUNNING):
        return lasted(run)
    value = plain(run, key, experiments)
    if value is None or value == "":
        return formatting.NOTHING
    if isinstance(value, float):
        return formatting.number(value, shown.decimals)
    if shown.group == "params":
        short = brief(str(value))
        if short != value:
            return Markup('<span title="{}">{}</span>').format(value, short)
    return _SPECIAL.get(key, _text)(str(value), run)


def _text(value: str, run: Run) -> Markup:
    return formatting.shortened(value, 40)


def _experiment(value: str, run: Run) -> Markup:
    address = experiment_url(run.info.experiment_id)
    return Markup('<a href="{}">{}</a>').format(address, formatting.shortened(value, 40))


def _digits(value: str, run: Run) -> Markup:
    return Markup('<code title="{}">{}</code>').format(value, value[:8])


def _file_name(value: str, run: Run) -> Markup:
    name = value.replace("\\", "/").rpartition("/")[2]
    return Markup('<span title="{}">{}</span>').format(value, name)


_SPECIAL: dict[str, Callable[[str, Run], Markup]] = {
    "experiment": _experiment,
    "run_id": _digits,
    "commit": _digits,
    "source": _file_name,
}
