"""Runs for tests of pages, booked without fitting anything."""

from __future__ import annotations

import itertools
import time

from skledger.stores.opening import open_store
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    Metric,
    RunChange,
    RunInfo,
    RunTag,
    as_params,
    as_tags,
)

_numbers = itertools.count(1)


def new_store(folder):
    """An empty store in a folder."""
    return open_store(f"sqlite:///{folder}/pages.db")


def book(
    store,
    experiment_id,
    name,
    params=None,
    metrics=None,
    tags=None,
    status="FINISHED",
    parent=None,
    start=None,
    seconds=1.5,
    data=None,
):
    """Book a run and return its identifier; later ones start later."""
    number = next(_numbers)
    run_id = f"{number:032x}"
    start = start or int(time.time() * 1000) - 3_600_000 + number * 1000
    end = None if status == "RUNNING" else start + int(seconds * 1000)
    tags = {"mlflow.user": "ann", "mlflow.source.name": "/home/ann/train.py", **(tags or {})}
    if parent:
        tags["mlflow.parentRunId"] = parent
    where = f"{store.get_experiment(experiment_id).artifact_location}/{run_id}/artifacts"
    info = RunInfo(run_id, experiment_id, name, "ann", status, start, end, "active", where)
    inputs = ()
    if data:
        used = Dataset(data, "0123abcd", "code", "{}")
        inputs = (DatasetInput(used, (RunTag("mlflow.data.context", "train"),)),)
    store.write(
        RunChange(
            run_id,
            create=info,
            params=as_params(params or {}),
            metrics=tuple(Metric(k, v, start, 0) for k, v in (metrics or {}).items()),
            tags=as_tags(tags),
            inputs=inputs,
        )
    )
    return run_id


def book_search(store, experiment_id, name="search", candidates=4, **options):
    """Book a search with its candidates; returns the identifiers, the parent's first."""
    metrics = {"best_cv_score": 0.9, "training_score": 0.95}
    tags = {"estimator_name": "GridSearchCV"}
    parent = book(store, experiment_id, name, {"cv": "3"}, metrics, tags, **options)
    children = [
        book(
            store,
            experiment_id,
            f"candidate-{index}",
            {"alpha": 10.0**index, "solver": "auto"},
            {"mean_test_score": 0.8 + index / 50},
            {"estimator_name": "Ridge"},
            parent=parent,
        )
        for index in range(candidates)
    ]
    return [parent, *children]
