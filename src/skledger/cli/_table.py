"""The table of runs, fitted to the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from skledger.cli._family import Row
from skledger.cli._finding import ID_LENGTH
from skledger.cli._printing import (
    cell,
    clock,
    console,
    duration_text,
    moment_text,
    number_text,
)
from skledger.cli._process import process_gone, status_text
from skledger.tracking.entities import Run
from skledger.tracking.names import now_ms

__all__ = ["runs_table"]

#: A terminal shows names up to so many columns. On a narrow one they are cut to the second figure
#: before a column is left out, and to the third when nothing else can be.
_NAME_WIDTHS = (36, 16, 10)
_ESTIMATOR_WIDTHS = (36, 16, 12)
_METRIC_WIDTHS = (36, 14, 14)
_GAP = 2
#: On terminals narrower than this a status is one word.
_NARROW = 100
#: Columns that are as expendable as this go before any is cut short.
_ESSENTIAL = 8
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
    #: The widest it gets on a terminal, what it keeps for other columns' sake, and the least.
    widths: tuple[int, int, int] | None = None

    def bounds(self, natural: int) -> tuple[int, int, int]:
        """Return those widths for contents of that width."""
        if self.widths is None:
            return natural, natural, natural
        widest, kept, least = self.widths
        return min(natural, widest), min(natural, kept), min(natural, least)


def runs_table(rows: Sequence[Row], metrics: Sequence[str] = ()) -> Table:
    """Return the table; on a terminal that is narrow it has fewer columns, and names are cut.

    Parameters
    ----------
    rows : sequence of Row
        Its lines.
    metrics : sequence of str
        Metrics that get a column before others.
    """
    columns = _columns(rows, metrics)
    lines = [_line(row, columns) for row in rows]
    where = console()
    widths = _fitted(columns, lines, where.width) if where.is_terminal else {}
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    shown = [place for place in range(len(columns)) if place in widths or not where.is_terminal]
    for place in shown:
        column = columns[place]
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=widths.get(place),
        )
    for line in lines:
        table.add_row(*(line[place] for place in shown))
    return table


def _line(row: Row, columns: Sequence[_Column]) -> list[Text]:
    if row.run is not None:
        return [column.text(row, row.run) for column in columns]
    note = cell(f"{'  ' * row.depth}and {row.hidden} more", "dim")
    return [note if column.text is _name else cell("") for column in columns]


def _fitted(
    columns: Sequence[_Column], lines: Sequence[Sequence[Text]], room: int
) -> dict[int, int]:
    """Return the widths of the columns that fit, by their places."""
    bounds = {
        place: column.bounds(max(cell_len(column.title), *(line[place].cell_len for line in lines)))
        for place, column in enumerate(columns)
    }

    def free(size: int) -> int:
        return room + _GAP - sum(each[size] + _GAP for each in bounds.values())

    # First what can be done without goes; then the rest is cut; then more of it goes.
    for least, size in ((_ESSENTIAL, 1), (1, 2)):
        going = [place for place in bounds if columns[place].expendable >= least]
        going.sort(key=lambda place: (columns[place].expendable, place))
        while going and free(size) < 0:
            del bounds[going.pop()]
    size = 1 if free(1) >= 0 else 2
    extra = max(0, free(size))
    fitted = {}
    # What room is left goes to the last columns first: the name's end says least.
    for place, each in reversed(bounds.items()):
        more = min(extra, each[0] - each[size])
        fitted[place] = each[size] + more
        extra -= more
    return fitted


def _columns(rows: Sequence[Row], metrics: Sequence[str]) -> list[_Column]:
    fitted = any(row.run is not None and _estimator(row.run) for row in rows)
    columns = [
        _Column("run", lambda row, run: cell(run.info.run_id[:ID_LENGTH], "cyan")),
        _Column("name", _name, widths=_NAME_WIDTHS),
        _Column("status", lambda row, run: status_text(run, console().width < _NARROW)),
        _Column("when", lambda row, run: cell(_when(run.info.start_time)), True, 10),
        _Column("duration", lambda row, run: cell(duration_text(_duration(run))), True, 11),
        _Column(
            "estimator",
            lambda row, run: cell(_estimator(run)),
            expendable=1 if fitted else 13,
            widths=_ESTIMATOR_WIDTHS,
        ),
    ]
    if len({row.experiment for row in rows}) > 1:
        experiment = _Column("experiment", _experiment, False, 8, _NAME_WIDTHS)
        columns.insert(2, experiment)
    counts = Counter(key for row in rows if row.run is not None for key in row.run.data.metrics)
    keys = _metrics(counts, metrics)
    # What the user named stays as long as it can; else what most runs have.
    main = [key for key in keys if key in metrics] or sorted(keys, key=lambda key: -counts[key])[:1]
    for place, key in enumerate(keys):
        expendable = 2 if key in main else (9, 9, 12)[min(place, 2)]
        columns.append(_Column(key, _metric(key), True, expendable, _METRIC_WIDTHS))
    return columns


def _name(row: Row, run: Run) -> Text:
    return cell("  " * row.depth + run.info.run_name)


def _experiment(row: Row, run: Run) -> Text:
    return cell(row.experiment)


def _metric(key: str) -> Callable[[Row, Run], Text]:
    return lambda row, run: cell(number_text(run.data.metrics.get(key)))


def _metrics(counts: Counter[str], named: Sequence[str]) -> list[str]:
    """Return the metrics to show: those named, the telling ones, the user's, then any."""
    own = [key for key, _ in counts.most_common() if not key.startswith(_COMMON)]
    candidates = (*named, *(key for key in _TELLING if key in counts), *own, "fit_seconds")
    unique = [key for key in dict.fromkeys(candidates) if key in counts]
    return unique[: max(_METRIC_COLUMNS, len(named))]


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
