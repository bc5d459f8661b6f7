"""The table of runs, fitted to the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from skledger.cli._family import Row
from skledger.cli._finding import ID_LENGTH
from skledger.cli._fitting import Column, fit_table
from skledger.cli._own_metrics import own_metrics
from skledger.cli._printing import (
    cell,
    clock,
    console,
    duration_text,
    moment_text,
    number_text,
)
from skledger.cli._process import process_gone, status_text
from skledger.cli._ranking import total
from skledger.tracking.entities import Run
from skledger.tracking.names import now_ms

__all__ = ["runs_table"]

#: A terminal shows names up to so many columns. On a narrow one they are cut to the second figure
#: before a column is left out, and to the third when nothing else can be.
_NAME_WIDTHS = (36, 16, 10)
_ESTIMATOR_WIDTHS = (36, 16, 12)
_METRIC_WIDTHS = (36, 14, 14)
#: On terminals narrower than this a status is one word.
_NARROW = 100
#: The metrics that say most, in this order; then come those that the user logged.
_TELLING = ("best_cv_score", "mean_test_score", "training_score")

#: A column, and what stands in it.
_Cells = tuple[Column, Callable[[Row, Run], Text]]


def runs_table(rows: Sequence[Row], metrics: Sequence[str] = ()) -> tuple[Table, list[str]]:
    """Return the table; on a terminal that is narrow it has fewer columns, and names are cut.

    Behind it stand the titles of the columns that are left out.

    Parameters
    ----------
    rows : sequence of Row
        Its lines.
    metrics : sequence of str
        Metrics that get a column before others.
    """
    columns = _columns(rows, metrics)
    return fit_table([column for column, _ in columns], [_line(row, columns) for row in rows])


def _line(row: Row, columns: Sequence[_Cells]) -> list[Text]:
    if row.run is not None:
        return [text(row, row.run) for _, text in columns]
    note = cell(f"{'  ' * row.depth}and {row.hidden:,} more", "dim")
    return [note if text is _name else cell("") for _, text in columns]


def _columns(rows: Sequence[Row], metrics: Sequence[str]) -> list[_Cells]:
    fitted = any(row.run is not None and _estimator(row.run) for row in rows)
    estimator = Column("estimator", expendable=1 if fitted else 13, widths=_ESTIMATOR_WIDTHS)
    columns: list[_Cells] = [
        (Column("run"), lambda row, run: cell(run.info.run_id[:ID_LENGTH], "cyan")),
        (Column("name", widths=_NAME_WIDTHS), _name),
        (Column("status"), lambda row, run: status_text(run, console().width < _NARROW)),
        (Column("when", True, 10), lambda row, run: cell(_when(run.info.start_time))),
        (Column("duration", True, 11), lambda row, run: cell(duration_text(_duration(run)))),
        (estimator, lambda row, run: cell(_estimator(run))),
    ]
    if any(row.below for row in rows):
        columns.append((Column("children", True, 7), _children))
    if len({row.experiment for row in rows}) > 1:
        experiment = Column("experiment", expendable=8, widths=_NAME_WIDTHS)
        columns.insert(2, (experiment, lambda row, run: cell(row.experiment)))
    if any(row.parent for row in rows):
        parent = Column("parent", expendable=3, widths=_NAME_WIDTHS)
        columns.insert(2, (parent, lambda row, run: cell(row.parent)))
    return columns + _metric_columns(rows, metrics)


def _metric_columns(rows: Sequence[Row], metrics: Sequence[str]) -> list[_Cells]:
    """Return the metrics: those named, the telling ones, then all that the users logged."""
    runs = [row.run for row in rows if row.run is not None]
    counts = Counter(key for run in runs for key in run.data.metrics)
    own = [key for key, _ in Counter(key for run in runs for key in own_metrics(run)).most_common()]
    keys = [key for key in dict.fromkeys((*metrics, *_TELLING, *own)) if key in counts]
    # What the user named stays as long as it can; else what most runs have.
    main = [key for key in keys if key in metrics] or sorted(keys, key=lambda key: -counts[key])[:1]
    further = [key for key in keys if key not in (*main, *_TELLING)]
    columns: list[_Cells] = []
    for key in keys:
        expendable = 2 if key in main else 9 if key in _TELLING else 12
        if key in further[:1]:
            expendable = 8
        columns.append((Column(key, True, expendable, _METRIC_WIDTHS), _metric(key)))
    return columns


def _children(row: Row, run: Run) -> Text:
    """Return how many children a run has; where there is room, those that go on or went wrong."""
    if not row.below:
        return cell("")
    going = {} if process_gone(run) else {"RUNNING": "running"}
    words = [
        f"{row.below[status]:,} {word}"
        for status, word in {**going, "FAILED": "failed", "KILLED": "killed"}.items()
        if row.below.get(status)
    ]
    wide = not console().is_terminal or console().width >= _NARROW
    return cell(", ".join([f"{total(row.below):,}", *(words if wide else ())]))


def _name(row: Row, run: Run) -> Text:
    return cell("  " * row.depth + run.info.run_name)


def _metric(key: str) -> Callable[[Row, Run], Text]:
    return lambda row, run: cell(number_text(run.data.metrics.get(key)))


def _when(start_time: int) -> str:
    return moment_text(start_time) if console().is_terminal else clock(start_time)


def _duration(run: Run) -> int | None:
    """Return how long a run took, or takes so far, in ms; None when nobody knows its end."""
    end = run.info.end_time
    if end is None and process_gone(run):
        return None
    return (now_ms() if end is None else end) - run.info.start_time


def _estimator(run: Run) -> str:
    """Return the class that was fitted; of a run with several, the first and how many more."""
    name = run.data.tags.get("estimator_name", "")
    fits = run.data.tags.get("skledger.fits", "1")
    return f"{name} +{int(fits) - 1}" if name and fits.isdecimal() and int(fits) > 1 else name
