"""What a search's page shows: the search, its candidates and how far it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skledger.tracking.dead_runs import Unended, unended
from skledger.tracking.entities import Run, RunStatus
from skledger.tracking.frames import all_runs
from skledger.tracking.names import now_ms
from skledger.tracking.searches import (
    CANDIDATE_TAG,
    FIT_TAG,
    MEAN,
    best_first,
    candidate_count,
    number_of,
    part_of_fit,
    rung_of,
    scorers,
    searched_params,
)

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = ["MOST", "Search", "counts_of", "read_search", "state_of_search"]

#: How many candidates a page looks at: of more, the best.
MOST = 5000
_PARENT_TAG = "mlflow.parentRunId"
_MARK = f"tags.`{CANDIDATE_TAG}` IS NOT NULL"


@dataclass(slots=True)
class Search:
    """A search and its candidates.

    Parameters
    ----------
    run : Run
        The run it is booked in; of a run of the user's with several fits, what belongs to it.
    fit : int
        Which fit of the user's run it is, from 1; 0 in a run of its own.
    fits : list of int
        All fits of that run that were searches.
    counts : dict of str to int
        How many candidates it has, by status.
    candidates : list of Run
        The best of them, at most `MOST`, the best first.
    params : list of str
        What it varied.
    scorers : list of str
        The names of its scorers, the one that decides first.
    expected : int or None
        How many candidates there will be, where its params tell.
    """

    run: Run
    fit: int = 0
    fits: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    candidates: list[Run] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    scorers: list[str] = field(default_factory=list)
    expected: int | None = None

    @property
    def total(self) -> int:
        """How many candidates there are."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """How many have ended, well or not."""
        return self.total - self.counts.get(RunStatus.RUNNING, 0)

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.run.info.status == RunStatus.RUNNING

    @property
    def unended(self) -> Unended | None:
        """What to say of a search that goes on by its record, though nobody works on it."""
        return unended(self.run)

    @property
    def halving(self) -> bool:
        """Whether its candidates are of several rungs."""
        return any(rung_of(each) is not None for each in self.candidates)

    @property
    def word(self) -> str:
        """What its best candidate is: only a search that has finished has chosen one."""
        if self.running:
            return "best so far"
        return "chosen" if self.run.info.status == RunStatus.FINISHED else "best"

    @property
    def best(self) -> Run | None:
        """The candidate that the search chose; while it goes on, the best so far."""
        chosen = self.run.data.tags.get("skledger.best_run")
        for each in self.candidates:
            if each.info.run_id == chosen:
                return each
        first = self.candidates[0] if self.candidates else None
        return first if first is not None and self.score(first) is not None else None

    def score(self, candidate: Run, scorer: str | None = None) -> float | None:
        """Return a candidate's mean score, or None while it has none."""
        name = scorer or (self.scorers[0] if self.scorers else "score")
        value = candidate.data.metrics.get(MEAN + name)
        return None if value is None or math.isnan(value) else value

    @property
    def left_ms(self) -> int | None:
        """How much longer it will take if it goes on so; None when nobody can tell."""
        if self.unended:
            return None
        if not (self.running and self.expected and 0 < self.done < self.expected):
            return None
        elapsed = now_ms() - self.run.info.start_time
        return round(elapsed * (self.expected - self.done) / self.done)


def counts_of(store: Store, run: Run, fit: int = 0) -> dict[str, int]:
    """Return how many candidates a search has, by status."""
    found = store.count_runs([run.info.experiment_id], _condition(run, fit))
    return {status: count for (_, status), count in found.items()}


def state_of_search(run: Run, counts: Mapping[str, int]) -> str:
    """Return a text that changes when there is something new to see."""
    info = run.info
    told = ",".join(f"{status}{count}" for status, count in sorted(counts.items()))
    left = bool(unended(run))
    return f"{info.status}-{info.end_time}-{info.lifecycle_stage}-{left}-{told}"


def read_search(store: Store, run: Run, fit: int | None = None, most: int = MOST) -> Search:
    """Return a search with its candidates.

    Parameters
    ----------
    store : Store
        Where it is.
    run : Run
        The run it is booked in.
    fit : int, optional
        Which fit of a run of the user's; by default the last one, which may be going on.
    most : int
        How many of the best candidates are needed.
    """
    experiment = [run.info.experiment_id]
    counted = store.count_runs(experiment, _condition(run), tag=FIT_TAG)
    if not counted:
        return _described(_of_other_tools(store, run))
    fits = sorted({number_of(each) for each, _ in counted})
    fit = fit if fit in fits else fits[-1]
    search = Search(part_of_fit(run, fit), fit, [each for each in fits if each])
    search.counts = counts_of(store, run, fit)
    mine = _condition(run, fit)
    if search.total <= most:
        found = all_runs(store, experiment, mine)
    else:
        sample = _one_that_ended(store, run, mine)
        # The later rungs come first, which no order of a store says.
        most = MOST if any(rung_of(each) is not None for each in sample) else most
        scorer = next(iter(scorers(run, sample)), "score")
        order = [f"metrics.`{MEAN}{scorer}` DESC", "start_time ASC"]
        found = all_runs(store, experiment, mine, max_results=most, order_by=order)
    search.candidates = best_first(found, search.run)
    return _described(search)


def _of_other_tools(store: Store, run: Run) -> Search:
    """Return a search that MLflow logged: its candidates have no mark, but a mean score."""
    search = Search(run)
    found = all_runs(store, [run.info.experiment_id], _children(run), max_results=MOST)
    candidates = [each for each in found if any(key.startswith(MEAN) for key in each.data.metrics)]
    for each in candidates:
        search.counts[each.info.status] = search.counts.get(each.info.status, 0) + 1
    first = next(iter(scorers(run, candidates)), "score")

    def last(candidate: Run) -> float:
        score = search.score(candidate, first)
        return math.inf if score is None else -score

    search.candidates = sorted(candidates, key=last)
    return search


def _described(search: Search) -> Search:
    """Add what the candidates say together."""
    search.params = searched_params(search.run, search.candidates)
    search.scorers = scorers(search.run, search.candidates)
    wanted = candidate_count(search.run.data.params)
    # What a run of the user's was given may be of something else.
    search.expected = wanted if wanted is not None and wanted >= search.total else None
    return search


def _children(run: Run) -> str:
    run_id = run.info.run_id.replace("'", "''")
    return f"tags.`{_PARENT_TAG}` = '{run_id}'"


def _condition(run: Run, fit: int | None = None) -> str:
    mine = f"{_children(run)} AND {_MARK}"
    return f"{mine} AND tags.`{FIT_TAG}` = '{fit}'" if fit else mine


def _one_that_ended(store: Store, run: Run, condition: str) -> Sequence[Run]:
    """Return a candidate that has scores: those under way have none that could be named."""
    ended = f"{condition} AND attributes.status = 'FINISHED'"
    return store.search_runs([run.info.experiment_id], ended, max_results=1)
