"""The table of runs, fitted to the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from skledger.cli._family import Row
from skledger.cli._finding import ID_LENGTH
from skledger.cli._printing import (
    STATUS_STYLES,
    cell,
    clock,
    console,
    duration_text,
    moment_text,
    number_text,
)
from skledger.tracking.entities import Run
from skledger.tracking.names import now_ms

__all__ = ["runs_table"]

#: The longest name that a terminal shows in full, in characters; and one that is narrow.
_NAME_WIDTH, _SHORT_NAME_WIDTH = 36, 28
_NARROW = 100
_METRIC_COLUMNS = 3
#: The metrics that say most, in this order; then come those that the user logged.
_TELLING = ("best_cv_score", "mean_test_score", "training_score")
#: Metrics of autologging that say less than the user's own.
_COMMON = ("training_", "n_samples", "n_features", "fit_seconds", "mean_", "std_", "rank_", "split")


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    text: Callable[[Row, Run], Text]
    right: bool = False
    #: Columns with a greater number go first when the terminal is too narrow; 0 stays.
    expendable: int = 0


def runs_table(rows: Sequence[Row], metrics: Sequence[str] = ()) -> Table:
    """Return the table; on a terminal that is narrow it has fewer columns.

    Parameters
    ----------
    rows : sequence of Row
        Its lines.
    metrics : sequence of str
        Metrics that must have a column.
    """
    where = console()
    columns = _columns(rows, metrics)
    while True:
        table = _build(rows, columns)
        worst = max(columns, key=lambda each: each.expendable)
        if worst.expendable == 0 or not where.is_terminal:
            return table
        if where.measure(table, options=where.options.update(width=10_000)).maximum <= where.width:
            return table
        columns.remove(worst)


def _build(rows: Sequence[Row], columns: Sequence[_Column]) -> Table:
    where = console()
    longest = None
    if where.is_terminal:
        longest = _SHORT_NAME_WIDTH if where.width < _NARROW else _NAME_WIDTH
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        is_name = column.title == "name"
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=longest if is_name else None,
            min_width=len(column.title) if is_name else None,
        )
    for row in rows:
        if row.run is None:
            note = f"{'  ' * row.depth}and {row.hidden} more"
            table.add_row("", cell(note, "dim"))
        else:
            table.add_row(*(column.text(row, row.run) for column in columns))
    return table


def _columns(rows: Sequence[Row], metrics: Sequence[str]) -> list[_Column]:
    columns = [
        _Column("run", lambda row, run: cell(run.info.run_id[:ID_LENGTH], "cyan")),
        _Column("name", lambda row, run: cell("  " * row.depth + run.info.run_name)),
        _Column("status", _status),
        _Column("when", lambda row, run: cell(_when(run.info.start_time)), True, 2),
        _Column("duration", lambda row, run: cell(duration_text(_duration(run))), True, 9),
        _Column("estimator", lambda row, run: cell(_estimator(run)), False, 10),
    ]
    if len({row.experiment for row in rows}) > 1:
        columns.insert(2, _Column("experiment", lambda row, run: cell(row.experiment), False, 8))
    for place, key in enumerate(_metrics(rows, metrics)):
        columns.append(
            _Column(
                key,
                lambda row, run, key=key: cell(number_text(run.data.metrics.get(key))),  # type: ignore[misc]
                True,
                # What the user named stays; of the others the last goes first, the first late.
                1 if key in metrics else (3, 11, 12)[place],
            )
        )
    return columns


def _metrics(rows: Sequence[Row], named: Sequence[str]) -> list[str]:
    """Return the metrics to show: those named, the telling ones, the user's, then any."""
    counts = Counter(key for row in rows if row.run is not None for key in row.run.data.metrics)
    own = [key for key, _ in counts.most_common() if not key.startswith(_COMMON)]
    candidates = (*named, *(key for key in _TELLING if key in counts), *own, "fit_seconds")
    unique = [key for key in dict.fromkeys(candidates) if key in counts or key in named]
    return unique[: max(_METRIC_COLUMNS, len(named))]


def _status(row: Row, run: Run) -> Text:
    return cell(run.info.status, STATUS_STYLES.get(run.info.status, ""))


def _when(start_time: int) -> str:
    return moment_text(start_time) if console().is_terminal else clock(start_time)


def _duration(run: Run) -> int:
    end = run.info.end_time
    return (now_ms() if end is None else end) - run.info.start_time


def _estimator(run: Run) -> str:
    """Return the class that was fitted; of a run with several, the first and how many more."""
    name = run.data.tags.get("estimator_name", "")
    fits = run.data.tags.get("skledger.fits", "1")
    return f"{name} +{int(fits) - 1}" if name and fits.isdecimal() and int(fits) > 1 else name
