"""The children of runs: how many there are, and which of them come first."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from skledger.cli._finding import PARENT_TAG
from skledger.tracking.entities import Run
from skledger.tracking.frames import find_runs
from skledger.tracking.session import get_store

__all__ = [
    "CANDIDATE_TAG",
    "FITS_TAG",
    "FIT_TAG",
    "Counts",
    "best_first",
    "children_of",
    "count_children",
    "in_list",
    "number_of",
    "scorers",
    "total",
]

#: How many runs there are, by status.
Counts = Mapping[str, int]

CANDIDATE_TAG = "skledger.candidate"
FOLD_TAG = "skledger.fold"
#: Which fit of the user's run a candidate is of.
FIT_TAG = "skledger.fit"
#: How many fits a run of the user's holds.
FITS_TAG = "skledger.fits"
MEAN = "mean_test_"
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
    if not any(_rung(run) is not None for run in sample):
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


def scorers(parent: Run, children: Iterable[Run]) -> list[str]:
    """Return the names of the scorers of a search, the one that decides first.

    Parameters
    ----------
    parent : Run
        The search.
    children : iterable of Run
        Its candidates.
    """
    keys = {key for run in children for key in run.data.metrics if key.startswith(MEAN)}
    names = sorted(key.removeprefix(MEAN) for key in keys)
    deciding = parent.data.params.get("refit", "")
    return sorted(names, key=lambda name: name != deciding)


class _Place(NamedTuple):
    """What children are sorted by: the later rungs of a halving search first."""

    kind: int
    rung: int
    score: float
    number: int
    start: int


def best_first(children: Iterable[Run], parent: Run) -> list[Run]:
    """Return children in order: folds and runs of the user's as they came, candidates by score."""
    every = list(children)
    scorer = next(iter(scorers(parent, every)), "score")

    def place(run: Run) -> _Place:
        tags, start = run.data.tags, run.info.start_time
        if CANDIDATE_TAG not in tags:
            return _Place(0, 0, 0.0, number_of(tags.get(FOLD_TAG)), start)
        score = run.data.metrics.get(f"{MEAN}{scorer}", math.nan)
        last = math.inf if math.isnan(score) else -score
        return _Place(1, -(_rung(run) or 0), last, number_of(tags[CANDIDATE_TAG]), start)

    return sorted(every, key=place)


def number_of(text: str | None) -> int:
    """Return the number a text holds, 0 when there is none."""
    return int(text) if text and text.isascii() and text.isdigit() else 0


def _rung(run: Run) -> int | None:
    """Return the rung of a candidate of a halving search."""
    params = run.data.params
    return number_of(params["iter"]) if {"iter", "n_resources"} <= params.keys() else None
