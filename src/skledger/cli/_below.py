"""What stands under one run: candidates, folds, searches, the user's nested runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skledger.cli._finding import PARENT_TAG, all_experiments
from skledger.cli._ranking import Counts, children_of, count_children, total
from skledger.tracking.entities import Run, ViewType
from skledger.tracking.searches import CANDIDATE_TAG, FIT_TAG, number_of, part_of_fit
from skledger.tracking.session import get_store

__all__ = ["Below", "Branch", "Search", "look_below"]

_ARE_CANDIDATES = f"tags.`{CANDIDATE_TAG}` IS NOT NULL"
_ARE_OTHERS = f"tags.`{CANDIDATE_TAG}` IS NULL"


@dataclass(slots=True)
class Branch:
    """A run that is no candidate, and what stands under it.

    Parameters
    ----------
    run : Run
        The run.
    candidates : int
        How many candidates it has.
    branches : list of Branch
        Its other children.
    hidden : int
        How many of those are left out.
    """

    run: Run
    candidates: int = 0
    branches: list[Branch] = field(default_factory=list)
    hidden: int = 0


@dataclass(slots=True)
class Search:
    """A search, and the best of its candidates.

    Parameters
    ----------
    run : Run
        The run it is booked in; of a run of the user's with several fits, what belongs to it.
    fit : int
        Which fit of the user's run it is, from 1; 0 in a run of its own.
    counts : Counts
        How many candidates it has, by status.
    candidates : list of Run
        The best of them.
    errors : dict of str to int
        Of those that failed, how many did by each type of error.
    """

    run: Run
    fit: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    candidates: list[Run] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The class of the search; empty while that is not booked."""
        return self.run.data.tags.get("estimator_name", "")


@dataclass(slots=True)
class Below:
    """What stands under a run.

    Parameters
    ----------
    counts : Counts
        How many children it has, by status.
    searches : list of Search
        The searches that candidates of it are of, in the order in which they began.
    branches : list of Branch
        Its other children.
    hidden : int
        How many of those are left out.
    """

    counts: Counts
    searches: list[Search] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    hidden: int = 0


def look_below(run: Run, most: int | None) -> Below | None:
    """Return what stands under a run; None when nothing does.

    Parameters
    ----------
    run : Run
        The run.
    most : int or None
        How many candidates of each search, and children of each run, are needed; None: all.
    """
    ids = [each.experiment_id for each in all_experiments(ViewType.ALL)]
    mine = f"tags.`{PARENT_TAG}` = '{run.info.run_id}'"
    below = Below(count_children(ids, mine).get(run.info.run_id, {}))
    if not below.counts:
        return None
    below.searches = _searches(run, ids, f"{mine} AND {_ARE_CANDIDATES}", most)
    if total(below.counts) > sum(total(each.counts) for each in below.searches):
        top = Branch(run)
        _find_branches(top, ids, most)
        below.branches, below.hidden = top.branches, top.hidden
    return below


def _searches(run: Run, ids: Sequence[str], mine: str, most: int | None) -> list[Search]:
    """Return the searches of a run; in one of the user's there may be several."""
    fits = {fit or "" for fit, _ in get_store().count_runs(ids, mine, tag=FIT_TAG)}
    found = []
    for fit in sorted(fits, key=lambda each: (number_of(each), each)):
        quoted = fit.replace("'", "''")
        its = f"tags.`{FIT_TAG}` = '{quoted}'" if fit else f"tags.`{FIT_TAG}` IS NULL"
        search = Search(part_of_fit(run, number_of(fit)), number_of(fit))
        _find_candidates(search, ids, mine, its, most)
        found.append(search)
    return found


def _find_candidates(
    search: Search, ids: Sequence[str], mine: str, its: str, most: int | None
) -> None:
    counts = search.counts
    found = get_store().count_runs(ids, f"{mine} AND {its}", tag="skledger.error.type")
    for (error, status), count in found.items():
        counts[status] = counts.get(status, 0) + count
        if status == "FAILED":
            # The type stands without its module where it was raised in this process.
            kind = (error or "unknown").rpartition(".")[2]
            search.errors[kind] = search.errors.get(kind, 0) + count
    run_id = search.run.info.run_id
    condition = f"{_ARE_CANDIDATES} AND {its}"
    every = children_of(ids, [search.run], {run_id: counts}, most, condition)
    search.candidates = every[run_id][:most]


def _find_branches(top: Branch, ids: Sequence[str], most: int | None) -> None:
    """Find what is no candidate, and what is below that."""
    candidates = count_children(ids, _ARE_CANDIDATES)
    others = count_children(ids, _ARE_OTHERS)
    generation, seen = [top], {top.run.info.run_id}
    while generation:
        runs = [each.run for each in generation]
        found = children_of(ids, runs, others, most, _ARE_OTHERS)
        for parent in generation:
            _hang(parent, found[parent.run.info.run_id], candidates, others, most)
        # Tags are the user's: a circle of parents must not go round for ever.
        grown = [branch for parent in generation for branch in parent.branches]
        generation = [
            branch
            for branch in grown
            if branch.run.info.run_id in others and branch.run.info.run_id not in seen
        ]
        seen.update(branch.run.info.run_id for branch in generation)


def _hang(
    parent: Branch,
    children: Sequence[Run],
    candidates: Mapping[str, Counts],
    others: Mapping[str, Counts],
    most: int | None,
) -> None:
    parent.branches = [
        Branch(run, total(candidates.get(run.info.run_id))) for run in children[:most]
    ]
    parent.hidden = total(others[parent.run.info.run_id]) - len(parent.branches)
