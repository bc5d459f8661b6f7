"""The children of a run as a table, the best first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skledger.server.pages.run_frame import child_filter, name_of
from skledger.tracking.searches import (
    CANDIDATE_TAG,
    MEAN,
    RUNG,
    best_first,
    rung_of,
    scorers,
    searched_params,
)

if TYPE_CHECKING:
    from skledger.stores.base import Store
    from skledger.tracking.entities import Run

__all__ = ["MOST", "Child", "Children", "children_of", "children_rows"]

#: How many children are read at most; more are in the run table.
MOST = 1000
_STD = "std_test_"
_MOST_PARAMS, _MOST_METRICS = 8, 5


@dataclass(frozen=True, slots=True)
class Child:
    """A row: a child, its params and its numbers with their spread."""

    run: Run
    name: str
    params: Sequence[str | None]
    scores: Sequence[tuple[float | None, float | None]]
    best: bool


@dataclass(frozen=True, slots=True)
class Children:
    """The table."""

    params: Sequence[str]
    metrics: Sequence[str]
    rows: Sequence[Child]
    candidates: bool
    halving: bool = False

    @property
    def titles(self) -> list[str]:
        """The headings of the metrics."""
        return list(self.metrics)


def children_of(store: Store, parent: Run, most: int = MOST) -> Children:
    """Return the children of a run, candidates by their score, others as they came.

    Parameters
    ----------
    store : Store
        Where they are.
    parent : Run
        Whose.
    most : int
        How many rows are wanted.
    """
    mine = child_filter(parent.info.run_id)
    where = [parent.info.experiment_id]
    sample = store.search_runs(where, mine, max_results=20, order_by=["start_time ASC"])
    names = scorers(parent, sample)
    order = ["start_time ASC"]
    halving = any(rung_of(each) is not None for each in sample)
    if names:
        order = [f"metrics.`{MEAN}{names[0]}` DESC", *order]
    read = MOST if halving else most
    runs = list(sample)
    if len(sample) == 20 or names:
        runs = list(store.search_runs(where, mine, max_results=read, order_by=order))
    return _table(parent, best_first(runs, parent)[:most])


def _table(parent: Run, runs: Sequence[Run]) -> Children:
    names = scorers(parent, runs)
    halving = any(rung_of(each) is not None for each in runs)
    params = _telling(parent, runs)
    if halving:
        # What its order comes from.
        params = [*RUNG, *(each for each in params if each not in RUNG)]
    metrics = [f"{MEAN}{each}" for each in names] or _common(runs)
    best = parent.data.tags.get("skledger.best_run")
    rows = [
        Child(
            run,
            name_of(run),
            [run.data.params.get(key) for key in params],
            [
                (run.data.metrics.get(key), _spread(run, key))
                if key.startswith(MEAN)
                else (run.data.metrics.get(key), None)
                for key in metrics
            ],
            run.info.run_id == best,
        )
        for run in runs
    ]
    return Children(params, metrics, rows, bool(names), halving)


def _spread(run: Run, key: str) -> float | None:
    """Return the standard deviation beside a mean; what is only rounding is 0."""
    mean = run.data.metrics.get(key)
    std = run.data.metrics.get(key.replace(MEAN, _STD, 1))
    if mean is None or std is None:
        return std
    return 0.0 if abs(std) < 1e-12 * abs(mean) else std


def _telling(parent: Run, runs: Sequence[Run]) -> list[str]:
    """Return the params to show: what was searched in, else those in which the runs differ."""
    named = searched_params(parent, runs)
    if not any(CANDIDATE_TAG in run.data.tags for run in runs):
        lengths = {key: max(len(run.data.params.get(key, "")) for run in runs) for key in named}
        named = [key for key in named if lengths[key] <= 40] or named
    return named[:_MOST_PARAMS]


def _common(runs: Sequence[Run]) -> list[str]:
    """Return metrics that most runs have, without the bookkeeping of the fit."""
    counts: dict[str, int] = {}
    for run in runs:
        for key in run.data.metrics:
            counts[key] = counts.get(key, 0) + 1
    dull = ("fit_seconds", "n_samples", "n_features", "n_iter", "std_", "mean_fit", "mean_score_")
    usable = [key for key, n in counts.items() if 2 * n >= len(runs) and not key.startswith(dull)]
    return sorted(usable, key=lambda key: (key.startswith("training_"), key))[:_MOST_METRICS]


def children_rows(store: Store, parent: Run) -> Iterable[Sequence[object]]:
    """Yield the children as rows of a CSV file, with all their params and metrics."""
    runs: list[Run] = []
    token: str | None = None
    while True:
        found = store.search_runs(
            [parent.info.experiment_id], child_filter(parent.info.run_id), page_token=token
        )
        runs += found
        token = found.token
        if not token:
            break
    runs = best_first(runs, parent)
    params = sorted({key for run in runs for key in run.data.params})
    metrics = sorted({key for run in runs for key in run.data.metrics})
    yield ("run_id", "run_name", "status", "start_time", "end_time", *params, *metrics)
    for run in runs:
        info = run.info
        yield (
            info.run_id,
            info.run_name,
            info.status,
            info.start_time,
            info.end_time,
            *(run.data.params.get(key) for key in params),
            *(run.data.metrics.get(key) for key in metrics),
        )
