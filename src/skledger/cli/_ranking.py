"""The children of runs: how many there are, and which of them come first."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from skledger.cli._finding import PARENT_TAG
from skledger.tracking.entities import Run
from skledger.tracking.frames import find_runs
from skledger.tracking.searches import MEAN, best_first, rung_of, scorers
from skledger.tracking.session import get_store

__all__ = [
    "Counts",
    "children_of",
    "count_children",
    "in_list",
    "total",
]

#: How many runs there are, by status.
Counts = Mapping[str, int]

#: Of a run with more children than these only those wanted are read, in the store's order.
_MANY = 1000
#: Parents that one query asks for the children of.
_PARENTS_AT_ONCE = 200


def count_children(experiment_ids: Sequence[str], filter_string: str = "") -> Mapping[str, Counts]:
    """Return how many children every run has, by status; under ``""`` the runs without a parent.

    Parameters
    ----------
    experiment_ids : sequence of str
        Where to look.
    filter_string : str
        Count only what matches.
    """
    counts: dict[str, dict[str, int]] = {}
    found = get_store().count_runs(experiment_ids, filter_string, tag=PARENT_TAG)
    for (parent, status), count in found.items():
        counts.setdefault(parent or "", {})[status] = count
    return counts


def total(counts: Counts | None) -> int:
    """Return how many runs there are."""
    return sum((counts or {}).values())


def in_list(run_ids: Iterable[str]) -> str:
    """Return identifiers, which may be any text, as a filter has them."""
    quoted = (run_id.replace("'", "''") for run_id in run_ids)
    return "(" + ", ".join(f"'{each}'" for each in quoted) + ")"


def children_of(
    experiment_ids: Sequence[str],
    parents: Sequence[Run],
    counts: Mapping[str, Counts],
    most: int | None = None,
    condition: str = "",
) -> dict[str, list[Run]]:
    """Return the children of each run, the best first.

    Parameters
    ----------
    experiment_ids : sequence of str
        Where to look.
    parents : sequence of Run
        Whose children.
    counts : mapping of str to Counts
        How many each has; see `count_children`.
    most : int or None
        How many of each are needed at the least; None: all.
    condition : str
        What the children must match, as a filter.
    """
    found: dict[str, list[Run]] = {}
    behind = f" AND {condition}" if condition else ""
    few = [each for each in parents if most is None or total(counts[each.info.run_id]) <= _MANY]
    for start in range(0, len(few), _PARENTS_AT_ONCE):
        some = in_list(each.info.run_id for each in few[start : start + _PARENTS_AT_ONCE])
        for run in find_runs(
            experiment_ids, f"tags.`{PARENT_TAG}` IN {some}{behind}", max_results=sys.maxsize
        ):
            found.setdefault(run.data.tags[PARENT_TAG], []).append(run)
    for parent in parents:
        run_id = parent.info.run_id
        if parent not in few:
            found[run_id] = _first(experiment_ids, parent, most or _MANY, behind)
        found[run_id] = best_first(found.get(run_id, ()), parent)
    return found


def _first(experiment_ids: Sequence[str], parent: Run, most: int, behind: str) -> list[Run]:
    """Return the best of very many children as the store sorts them."""
    mine = f"tags.`{PARENT_TAG}` = '{parent.info.run_id}'{behind}"
    sample = find_runs(experiment_ids, mine, max_results=1)
    scorer = next(iter(scorers(parent, sample)), "score")
    order = [f"metrics.`{MEAN}{scorer}` DESC", "start_time ASC"]
    if not any(rung_of(run) is not None for run in sample):
        return find_runs(experiment_ids, mine, max_results=most, order_by=order)
    found: list[Run] = []
    # The text of a number has no order but by its length.
    for digits in ("___", "__", "_"):
        found += find_runs(
            experiment_ids,
            f"{mine} AND params.iter LIKE '{digits}'",
            max_results=most - len(found),
            order_by=["params.iter DESC", *order],
        )
        if len(found) >= most:
            break
    return found
