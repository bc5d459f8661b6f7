"""Which runs a listing shows, and which stand under which."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from skledger.cli._finding import PARENT_TAG
from skledger.cli._printing import clock, finite
from skledger.tracking.entities import Experiment, Run
from skledger.tracking.frames import find_runs

__all__ = ["Row", "as_dictionary", "count_rows", "select_rows"]

#: Parents that one query asks for the children of.
_PARENTS_AT_ONCE = 200
#: Selects the runs that have no parent.
_ALONE = f"tags.`{PARENT_TAG}` IS NULL"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a listing.

    Parameters
    ----------
    run : Run or None
        The run; None for a line that says how many children are left out.
    depth : int
        How many parents are above it.
    experiment : str
        The name of its experiment.
    hidden : int
        How many children are left out here.
    counted : bool
        Whether the line counts towards the limit.
    """

    run: Run | None
    depth: int = 0
    experiment: str = ""
    hidden: int = 0
    counted: bool = False


def select_rows(
    experiments: Sequence[Experiment],
    filter_string: str,
    order_by: Sequence[str],
    limit: int | None,
    children: int | None,
) -> list[Row]:
    """Return the lines of a listing.

    Parameters
    ----------
    experiments : sequence of Experiment
        Where to look.
    filter_string : str
        With a filter or an order the runs that match are listed, children or not.
    order_by : sequence of str
        As `search_runs` takes it.
    limit : int or None
        How many runs, None: all; children that stand under their parents do not count.
    children : int or None
        How many under each parent; None: all.
    """
    ids = [each.experiment_id for each in experiments]
    names = {each.experiment_id: each.name for each in experiments}
    plain = _is_plain(filter_string, order_by)
    wanted = _ALONE if plain else filter_string
    limit = sys.maxsize if limit is None else limit
    tops = find_runs(ids, wanted, max_results=limit, order_by=list(order_by) or None)
    if not plain:
        return [Row(run, 0, names[run.info.experiment_id], counted=True) for run in tops]
    below = _descendants(ids, tops) if children != 0 else {}
    return [row for run in tops for row in _lines(run, below, names, children, 0)]


def count_rows(
    experiments: Sequence[Experiment], filter_string: str, order_by: Sequence[str], most: int
) -> int:
    """Return how many runs `select_rows` would count without a limit, but `most` at the most."""
    wanted = _ALONE if _is_plain(filter_string, order_by) else filter_string
    return len(find_runs([each.experiment_id for each in experiments], wanted, max_results=most))


def _is_plain(filter_string: str, order_by: Sequence[str]) -> bool:
    """Tell whether children stand under their parents: neither filtered nor sorted."""
    return not (filter_string.strip() or order_by)


def _descendants(ids: Sequence[str], tops: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the children of each run, the oldest first, and theirs."""
    below: dict[str, list[Run]] = {}
    generation = [run.info.run_id for run in tops]
    while generation:
        found: list[Run] = []
        for start in range(0, len(generation), _PARENTS_AT_ONCE):
            some = generation[start : start + _PARENTS_AT_ONCE]
            parents = ", ".join(f"'{run_id}'" for run_id in some)
            found += find_runs(
                ids, f"tags.`{PARENT_TAG}` IN ({parents})", order_by=["start_time ASC"]
            )
        for run in found:
            below.setdefault(run.data.tags[PARENT_TAG], []).append(run)
        # Tags are the user's: a circle of parents must not go round for ever.
        generation = [run.info.run_id for run in found if run.info.run_id not in below]
    return below


def _lines(
    run: Run, below: dict[str, list[Run]], names: dict[str, str], children: int | None, depth: int
) -> Iterator[Row]:
    experiment = names[run.info.experiment_id]
    yield Row(run, depth, experiment, counted=depth == 0)
    mine = below.pop(run.info.run_id, [])
    shown = len(mine) if children is None else children
    for child in mine[:shown]:
        yield from _lines(child, below, names, children, depth + 1)
    if len(mine) > shown:
        yield Row(None, depth + 1, experiment, hidden=len(mine) - shown)


def as_dictionary(row: Row) -> dict[str, Any]:
    """Return what a machine wants to know of a line; times as local ISO 8601, duration in s."""
    assert row.run is not None
    info, data = row.run.info, row.run.data
    seconds = None if info.end_time is None else (info.end_time - info.start_time) / 1000
    return {
        "run_id": info.run_id,
        "run_name": info.run_name,
        "experiment": row.experiment,
        "status": info.status,
        "start_time": clock(info.start_time, "milliseconds"),
        "end_time": clock(info.end_time, "milliseconds") or None,
        "duration_seconds": seconds,
        "estimator": data.tags.get("estimator_name"),
        "parent_run_id": data.tags.get(PARENT_TAG),
        "metrics": {key: finite(value) for key, value in sorted(data.metrics.items())},
        "params": dict(sorted(data.params.items())),
        "tags": dict(sorted(data.tags.items())),
    }
