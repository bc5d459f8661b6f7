"""Which runs a listing shows, and which stand under which."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skledger.cli._finding import ID_LENGTH, PARENT_TAG, all_experiments
from skledger.cli._printing import clock, finite
from skledger.cli._ranking import Counts, children_of, count_children, in_list, total
from skledger.tracking.entities import Experiment, Run, ViewType
from skledger.tracking.filters import parse_order_by
from skledger.tracking.frames import find_runs

__all__ = ["Listing", "Row", "as_dictionary", "select_rows"]

#: Selects the runs that have no parent.
_ALONE = f"tags.`{PARENT_TAG}` IS NULL"
#: Names of parents that one query asks for.
_AT_ONCE = 500


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
    below : Counts
        How many children it has, by status.
    parent : str
        The name of its parent, when that does not stand above it.
    """

    run: Run | None
    depth: int = 0
    experiment: str = ""
    hidden: int = 0
    counted: bool = False
    below: Counts = field(default_factory=dict)
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The lines of a listing, and what it leaves out.

    Parameters
    ----------
    rows : list of Row
        The lines.
    more : int
        How many runs the limit left out.
    children : int
        How many children match the filter as well, or might be sorted in, but are not shown.
    """

    rows: list[Row]
    more: int = 0
    children: int = 0


def select_rows(
    experiments: Sequence[Experiment],
    filter_string: str,
    order_by: Sequence[str],
    limit: int | None,
    children: int | None,
) -> Listing:
    """Return the lines of a listing.

    Parameters
    ----------
    experiments : sequence of Experiment
        Where to look.
    filter_string : str
        The runs that match are listed; children among them when no other run does, or when
        children are asked for.
    order_by : sequence of str
        As `search_runs` takes it. Children are sorted among the others when no other run has
        what is sorted by, or when children are asked for.
    limit : int or None
        How many runs, None: all; children that stand under their parents do not count.
    children : int or None
        How many under each parent; None: all.
    """
    names = {each.experiment_id: each.name for each in experiments}
    question = _Question(list(names), filter_string.strip(), list(order_by), limit)
    counts = count_children(question.experiment_ids)
    if not question.is_plain:
        return _matches(question, names, counts, with_children=children != 0)
    tops = question.find(_ALONE)
    below = {} if children == 0 else _descendants(question.experiment_ids, tops, counts, children)
    shown = sys.maxsize if children is None else children
    rows = [row for run in tops for row in _lines(run, below, counts, names, shown, 0)]
    return Listing(rows, total(counts.get("")) - len(tops))


@dataclass(frozen=True, slots=True)
class _Question:
    """What is searched for."""

    experiment_ids: Sequence[str]
    filter_string: str
    order_by: Sequence[str]
    limit: int | None

    @property
    def is_plain(self) -> bool:
        """Whether it is neither filtered nor sorted."""
        return not (self.filter_string or self.order_by)

    def find(self, condition: str = "") -> list[Run]:
        """Return the runs that match, and match the condition, too."""
        both = " AND ".join(each for each in (self.filter_string, condition) if each)
        most = sys.maxsize if self.limit is None else self.limit
        return find_runs(self.experiment_ids, both, max_results=most, order_by=self.order_by)

    def is_answered(self, runs: Sequence[Run]) -> bool:
        """Tell whether those that match have what is sorted by; what has it not comes last."""
        if not runs or not self.order_by:
            return bool(runs)
        first = parse_order_by(self.order_by)[0]
        held = {"metric": "metrics", "param": "params", "tag": "tags"}.get(first.kind)
        return held is None or first.key in getattr(runs[0].data, held)


def _matches(
    question: _Question, names: Mapping[str, str], counts: Mapping[str, Counts], with_children: bool
) -> Listing:
    """Return the runs that match, those without a parent unless only children answer."""
    found = [] if with_children else question.find(_ALONE)
    is_tops = question.is_answered(found)
    if not is_tops:
        every = question.find()
        is_tops = bool(found) and not question.is_answered(every)
        found = found if is_tops else every
    if question.filter_string:
        matching = count_children(question.experiment_ids, question.filter_string)
    else:
        matching = counts
    children = sum(total(each) for parent, each in matching.items() if parent)
    more = total(matching.get("")) + (0 if is_tops else children) - len(found)
    parents = {} if is_tops else _parent_names(found)
    rows = [
        Row(
            run,
            experiment=names[run.info.experiment_id],
            counted=True,
            below=counts.get(run.info.run_id, {}),
            parent=parents.get(run.data.tags.get(PARENT_TAG, ""), ""),
        )
        for run in found
    ]
    return Listing(rows, more, children if is_tops else 0)


def _parent_names(runs: Sequence[Run]) -> dict[str, str]:
    """Return the names of the parents by their identifiers."""
    wanted = list(dict.fromkeys(run.data.tags.get(PARENT_TAG, "") for run in runs))
    names = {run_id: run_id[:ID_LENGTH] for run_id in wanted}
    everywhere = [each.experiment_id for each in all_experiments(ViewType.ALL)]
    for start in range(0, len(wanted), _AT_ONCE):
        some = f"run_id IN {in_list(wanted[start : start + _AT_ONCE])}"
        for run in find_runs(everywhere, some, ViewType.ALL):
            names[run.info.run_id] = run.info.run_name
    return names


def _descendants(
    ids: Sequence[str], tops: Sequence[Run], counts: Mapping[str, Counts], most: int | None
) -> dict[str, list[Run]]:
    """Return the children of each run, the best first, and theirs."""
    below: dict[str, list[Run]] = {}
    generation = [run for run in tops if run.info.run_id in counts]
    while generation:
        below |= children_of(ids, generation, counts, most)
        found = [run for parent in generation for run in below[parent.info.run_id][:most]]
        # Tags are the user's: a circle of parents must not go round for ever.
        generation = [
            run for run in found if run.info.run_id in counts and run.info.run_id not in below
        ]
    return below


def _lines(
    run: Run,
    below: dict[str, list[Run]],
    counts: Mapping[str, Counts],
    names: Mapping[str, str],
    most: int,
    depth: int,
) -> Iterator[Row]:
    experiment, here = names[run.info.experiment_id], counts.get(run.info.run_id, {})
    yield Row(run, depth, experiment, counted=depth == 0, below=here)
    mine = below.pop(run.info.run_id, [])[:most]
    for child in mine:
        yield from _lines(child, below, counts, names, most, depth + 1)
    hidden = total(here) - len(mine)
    if mine and hidden > 0:
        yield Row(None, depth + 1, experiment, hidden=hidden)


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
        "children": total(row.below),
        "metrics": {key: finite(value) for key, value in sorted(data.metrics.items())},
        "params": dict(sorted(data.params.items())),
        "tags": dict(sorted(data.tags.items())),
    }
