"""What the API tells and the contract of a store does not: asked of the store where it can tell.

A database answers in one go (`skledger.stores.sql_serving`). Of other stores the same is put
together from the methods that all have, which takes longer, or is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from skledger.server.api.errors import ApiError
from skledger.stores.base import Store
from skledger.stores.thinning import kept_places
from skledger.tracking.entities import (
    LoggedModel,
    Metric,
    ModelChange,
    PagedList,
    Run,
    RunChange,
    RunInfo,
)

__all__ = [
    "change_model",
    "create_model",
    "delete_model",
    "link_models",
    "metric_page",
    "page_of_runs",
    "run_info",
    "run_with_metrics",
    "thinned_history",
    "used_models",
]


def run_info(store: Store, run_id: str) -> RunInfo:
    """Return what a run is."""
    ask = getattr(store, "run_info", None)
    found: RunInfo = store.get_run(run_id).info if ask is None else ask(run_id)
    return found


def run_with_metrics(store: Store, run_id: str) -> tuple[Run, Mapping[str, Metric]]:
    """Return a run, and its metrics with their steps and times."""
    ask = getattr(store, "run_with_metrics", None)
    if ask is not None:
        found: tuple[Run, Mapping[str, Metric]] = ask(run_id)
        return found
    run = store.get_run(run_id)
    return run, _latest(store, run)


def page_of_runs(
    store: Store, asked: Sequence[Any]
) -> tuple[PagedList[Run], Mapping[str, Mapping[str, Metric]]]:
    """Return a page of runs, and the metrics of each with their steps and times.

    Parameters
    ----------
    store : Store
        Where to search.
    asked : sequence
        The arguments of `Store.search_runs`.
    """
    ask = getattr(store, "page_of_runs", None)
    latest: dict[str, Mapping[str, Metric]] = {}
    if ask is not None:
        return ask(*asked, latest=latest), latest
    found = store.search_runs(*asked)
    for run in found:
        latest[run.info.run_id] = _latest(store, run)
    return found, latest


def metric_page(
    store: Store, run_id: str, key: str, max_results: int, start: int = 0
) -> Sequence[Metric]:
    """Return some of the values of a metric, in the order of step and time."""
    ask = getattr(store, "metric_page", None)
    found: Sequence[Metric] = () if ask is None else ask(run_id, key, max_results, start)
    if not found:  # the store's own way tells whether there is such a run
        found = store.get_metric_history(run_id, key)[start : start + max_results]
    return found


def thinned_history(store: Store, run_id: str, key: str, most: int) -> tuple[int, Sequence[Metric]]:
    """Return how many values a metric has, and at most so many that show its curve."""
    ask = getattr(store, "thinned_history", None)
    if ask is not None:
        found: tuple[int, Sequence[Metric]] = ask(run_id, key, most)
        return found
    values = store.get_metric_history(run_id, key)
    places = kept_places([each.value for each in values], most)
    return len(values), [values[at] for at in places]


def used_models(store: Store, run_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the identifiers of the models that runs used, as far as the store keeps them."""
    ask = getattr(store, "used_models", None)
    found: Mapping[str, Sequence[str]] = {} if ask is None else ask(run_ids)
    return found


def link_models(store: Store, run: Run, links: Mapping[str, int], kind: str) -> None:
    """Link models from a run that made or used them; nothing where they are linked already."""
    ask = getattr(store, "link_models", None)
    if ask is not None:
        ask(run.info.run_id, links, kind)
        return
    known = {each.model_id for each in run.outputs.model_outputs}
    foreign = [] if kind == "input" else [each for each in links if each not in known]
    foreign = [
        each for each in foreign if store.get_logged_model(each).source_run_id != run.info.run_id
    ]
    if foreign:
        raise ApiError(
            "NOT_IMPLEMENTED",
            f"model {foreign[0]!r} was not made by run {run.info.run_id!r}, and {store.uri} keeps "
            "no links to models of other runs: use a store in a database",
        )


def create_model(store: Store, model: LoggedModel) -> None:
    """Book a model, which may belong to no run."""
    if model.source_run_id is not None:
        store.write(RunChange(model.source_run_id, models=(model,)))
    else:
        _loose(store)(model.experiment_id, models=(model,))


def change_model(store: Store, model: LoggedModel, change: ModelChange) -> None:
    """Change a model, which may belong to no run."""
    if model.source_run_id is not None:
        store.write(RunChange(model.source_run_id, model_changes=(change,)))
    else:
        _loose(store)(model.experiment_id, changes=(change,))


def delete_model(store: Store, model: LoggedModel) -> None:
    """Remove a model from the records; its files stay."""
    if model.source_run_id is not None:
        store.write(RunChange(model.source_run_id, deleted_models=(model.model_id,)))
    else:
        _loose(store)(model.experiment_id, deleted=(model.model_id,))


def _loose(store: Store) -> Any:
    ask = getattr(store, "write_models", None)
    if ask is None:
        raise ApiError(
            "NOT_IMPLEMENTED",
            f"{store.uri} keeps models of runs only: log the model within a run, or use a store "
            "in a database",
        )
    return ask


def _latest(store: Store, run: Run) -> dict[str, Metric]:
    found = {}
    for key in run.data.metrics:
        history = store.get_metric_history(run.info.run_id, key)
        if history:
            found[key] = max(history, key=_rank)
    return found


def _rank(metric: Metric) -> tuple[int, int, float]:
    """Return what the latest value is found by, as a database does: NaN counts as 0."""
    return metric.step, metric.timestamp, 0.0 if math.isnan(metric.value) else metric.value
