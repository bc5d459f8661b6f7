"""The candidates of a search as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from skledger.cli._finding import ID_LENGTH
from skledger.cli._fitting import Column, fitted_table
from skledger.cli._printing import cell, console, one_line, seconds_text, spread_text
from skledger.cli._process import status_text
from skledger.tracking.entities import Run
from skledger.tracking.searches import CANDIDATE_TAG, scorers, searched_params

__all__ = ["candidates_table"]

#: What a halving search gives its candidates.
_RUNG = ("iter", "n_resources")
_PARAM_WIDTHS = (36, 14, 8)
_VALUE_WIDTH = 60
#: On terminals narrower than this the steps of a pipeline are left out of the params' names.
_NARROW = 110


def candidates_table(search: Run, candidates: Sequence[Run], indent: int = 0) -> Table:
    """Return a table with a line for each candidate.

    Parameters
    ----------
    search : Run
        Their parent.
    candidates : sequence of Run
        In this order.
    indent : int, default=0
        How far from the terminal's edge it will stand.
    """
    columns = list(_columns(search, candidates))
    lines = [list(line) for line in zip(*(texts for _, texts in columns), strict=True)]
    return fitted_table([column for column, _ in columns], lines, indent)


def _columns(search: Run, candidates: Sequence[Run]) -> Iterator[tuple[Column, list[Text]]]:
    """Return each column with its texts."""

    def texts(of: str, key: str) -> list[Text]:
        held = [getattr(run.data, of).get(key, "") for run in candidates]
        return [one_line(value, _VALUE_WIDTH) for value in held]

    yield Column("run"), [cell(run.info.run_id[:ID_LENGTH], "cyan") for run in candidates]
    yield Column("candidate", True, 10), texts("tags", CANDIDATE_TAG)
    if len({run.data.tags.get("estimator_name") for run in candidates}) > 1:
        yield Column("estimator", False, 6, _PARAM_WIDTHS), texts("tags", "estimator_name")
    params = searched_params(search, candidates)
    for place, (key, title) in enumerate(zip(params, _titles(params), strict=True)):
        expendable = min(4 + place, 9)
        yield Column(title, False, expendable, _PARAM_WIDTHS), texts("params", key)
    if any(_RUNG[1] in run.data.params for run in candidates):
        for key in _RUNG:
            if key not in params:
                yield Column(key, True, 7), texts("params", key)
    names = scorers(search, candidates)
    for place, name in enumerate(names):
        key = f"test_{name}"
        yield Column(key, True, 9 if place else 2), [_score(run, key) for run in candidates]
    for key in (f"train_{name}" for name in names):
        if any(f"mean_{key}" in run.data.metrics for run in candidates):
            yield Column(key, True, 11), [_score(run, key) for run in candidates]
    times = [run.data.metrics.get("mean_fit_time") for run in candidates]
    yield Column("fit time", True, 8), [cell(seconds_text(each)) for each in times]
    yield Column("status", False, 6), [_status(run) for run in candidates]


def _score(run: Run, key: str) -> Text:
    """Return a mean and its standard deviation."""
    metrics = run.data.metrics
    return cell(spread_text(metrics.get(f"mean_{key}"), metrics.get(f"std_{key}")))


def _status(run: Run) -> Text:
    """Return the status; where there is room, with the type of the error."""
    wide = not console().is_terminal or console().width >= _NARROW
    kind = run.data.tags.get("skledger.error.type", "").rpartition(".")[2] if wide else ""
    status = status_text(run, short=not wide)
    return status.append_text(cell(f" {kind}")) if kind else status


def _titles(params: Sequence[str]) -> list[str]:
    """Return the names of params; on a narrow terminal without the steps they belong to."""
    if not console().is_terminal or console().width >= _NARROW:
        return list(params)
    last = [key.rpartition("__")[2] for key in params]
    counts = Counter(last)
    return [each if counts[each] == 1 else key for key, each in zip(params, last, strict=True)]
