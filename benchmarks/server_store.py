"""Stores with many runs for the benchmark of the server: one for skledger, a copy for MLflow."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from shared import environment, progress

EXPERIMENT = "1"
#: What is written by the requests that are timed, so that what is read stays as it is.
WRITTEN = "2"
START = 1_700_000_000_000
#: One in ten groups is a search: a run with the others below it.
GROUP, SEARCH_EVERY = 100, 10
METRICS = (
    *("training_score", "training_f1_score", "training_precision_score", "training_recall_score"),
    *("training_log_loss", "training_roc_auc", "test_score", "fit_seconds"),
)
PARAMS = ("alpha", "max_depth", "n_estimators", "random_state", "tol")
#: How many runs one write has.
BATCH = 2000


def fill(uri: str, count: int, artifacts: str | None = None) -> None:
    """Book the runs, by the store's own writing."""
    from skledger.stores.opening import open_store

    store = open_store(uri, artifacts)
    try:
        assert store.create_experiment("benchmark") == EXPERIMENT
        assert store.create_experiment("written") == WRITTEN
        runs = _changes(count)
        while changes := list(islice(runs, BATCH)):
            store.write(*changes)
    finally:
        store.close()


def _changes(count: int) -> Iterator[Any]:
    """Yield the runs, the newest last: 5 params, 8 metrics and 3 tags each."""
    from skledger.tracking.entities import Metric, Param, RunChange, RunInfo, as_tags

    chance = random.Random(0)
    parent = ""
    for number in range(count):
        run_id = uuid.UUID(int=chance.getrandbits(128)).hex
        group, place = divmod(number, GROUP)
        if place == 0:
            parent = run_id if group % SEARCH_EVERY == 0 else ""
        name, moment = f"run-{number}", START + number * 1000
        folder = f"mlflow-artifacts:/{EXPERIMENT}/{run_id}/artifacts"
        tags = {"mlflow.runName": name, "mlflow.source.name": "train.py"}
        if parent and place:
            tags["mlflow.parentRunId"] = parent
        else:
            tags["estimator_name"] = "RandomForestClassifier"
        yield RunChange(
            run_id,
            create=RunInfo(
                run_id, EXPERIMENT, name, "me", "RUNNING", moment, None, "active", folder
            ),
            status="FINISHED",
            end_time=moment + 500,
            params=tuple(Param(key, str(chance.randrange(10))) for key in PARAMS),
            metrics=tuple(Metric(key, chance.random(), moment + 100) for key in METRICS),
            tags=as_tags(tags),
        )


def sqlite_file(folder: Path, count: int, kept: Path | None) -> Path:
    """Return a database with this many runs, in `folder`; `kept` has it from an earlier time."""
    path = folder / f"runs-{count}.db"
    stored = None if kept is None else kept / path.name
    if stored is not None and stored.exists():
        shutil.copyfile(stored, path)
        return path
    progress(f"making {count:,} runs")
    fill(f"sqlite:///{path}", count, "mlflow-artifacts:/")
    _settle(path)
    if stored is not None:
        stored.parent.mkdir(parents=True, exist_ok=True)
        # Under its name only when it is whole.
        shutil.copyfile(path, part := stored.with_suffix(".part"))
        part.replace(stored)
    return path


def for_mlflow(path: Path) -> Path:
    """Return a copy of a database file, migrated as MLflow asks for."""
    copy = path.with_name(f"mlflow-{path.name}")
    shutil.copyfile(path, copy)
    upgrade(f"sqlite:///{copy}", path.parent)
    _settle(copy)
    return copy


def upgrade(uri: str, folder: Path) -> None:
    """Bring a database to the schema of the MLflow that is installed."""
    progress("migrating the copy for MLflow")
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"`mlflow db upgrade` failed: {done.stderr.decode()[-2000:]}")


def _settle(path: Path) -> None:
    """Fold the write-ahead log into the file: a copy of the file is all of it then."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
