"""One database, MLflow and skledger in turns."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import subprocess
import sys
import uuid

import pytest

from skledger.errors import StoreError
from skledger.stores.opening import open_store
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    LoggedModel,
    Metric,
    RunChange,
    RunInfo,
    RunTag,
    as_params,
    as_tags,
)

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
mlflow = pytest.importorskip("mlflow")
logging.getLogger("alembic").setLevel(logging.ERROR)

NUMBERS = {"acc": 0.5, "nan": math.nan, "up": math.inf, "down": -math.inf}


def write_run(store, name="ours", experiment_id="0"):
    run_id = uuid.uuid4().hex
    model = LoggedModel(
        f"m-{uuid.uuid4().hex}", experiment_id, "model", "/somewhere", 1, 2, run_id,
        params={"C": "1"}, tags={"t": "x"},
        metrics=(Metric("acc", 0.5, 3), Metric("nan", math.nan, 3)),
    )  # fmt: skip
    store.write(
        RunChange(
            run_id,
            create=RunInfo(
                run_id, experiment_id, name, "me", "RUNNING", 1000, None, "active", f"/x/{run_id}"
            ),
            status="FINISHED",
            end_time=2000,
            params=as_params({"C": 1, "kernel": "rbf"}),
            metrics=tuple(Metric(key, value, 3) for key, value in NUMBERS.items()),
            tags=as_tags({"mlflow.runName": name, "note": "größer"}),
            inputs=(
                DatasetInput(
                    Dataset("iris", "0123abcd", "code", "{}", "{}", "{}"),
                    (RunTag("mlflow.data.context", "train"),),
                ),
            ),
            models=(model,),
        )
    )
    return run_id, model


def check_ours(client, run_id, model):
    """MLflow reads everything of a run that we wrote."""
    run = client.get_run(run_id)
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 1000, 2000)
    assert run.info.run_name == "ours"
    assert run.info.artifact_uri == f"/x/{run_id}"
    assert run.data.params == {"C": "1", "kernel": "rbf"}
    assert run.data.tags == {"mlflow.runName": "ours", "note": "größer"}
    assert run.data.metrics["acc"] == 0.5
    assert math.isnan(run.data.metrics["nan"])
    assert run.data.metrics["up"] > 1e308 > -1e308 > run.data.metrics["down"]
    assert client.get_metric_history(run_id, "acc")[0].timestamp == 3
    (item,) = run.inputs.dataset_inputs
    assert (item.dataset.name, item.dataset.digest) == ("iris", "0123abcd")
    assert {tag.key: tag.value for tag in item.tags} == {"mlflow.data.context": "train"}
    assert [each.model_id for each in run.outputs.model_outputs] == [model.model_id]
    found = client.get_logged_model(model.model_id)
    assert (found.name, str(found.status), found.source_run_id) == ("model", "READY", run_id)
    assert (found.params, found.tags) == ({"C": "1"}, {"t": "x"})
    assert {each.key: each.value for each in found.metrics}["acc"] == 0.5
    assert found.to_proto().data.metrics  # what MLflow's server sends
    assert [m.model_id for m in client.search_logged_models(["0"])] == [model.model_id]


def test_mlflow_and_skledger_in_turns(tmp_path):
    """MLflow migrates and reads our database, writes to it, and we go on, with nothing lost."""
    uri = f"sqlite:///{tmp_path}/skledger.db"
    store = open_store(uri)
    run_id, model = write_run(store)
    ours = store.get_run(run_id)

    client = mlflow.MlflowClient(uri)
    check_ours(client, run_id, model)
    assert client.get_experiment("0").artifact_location == f"{tmp_path}/skledger-artifacts/0"
    theirs = client.create_run("0", run_name="theirs", tags={"k": "v"}).info.run_id
    for key, value in NUMBERS.items():
        client.log_metric(theirs, key, value, step=2)
    client.log_param(theirs, "C", "2")
    client.log_metric(run_id, "acc", 0.75, step=9)
    experiment_id = client.create_experiment("of mlflow")

    # The store that was open all along, and one that opens what MLflow made of the database.
    for each in (store, open_store(uri)):
        run = each.get_run(theirs)
        assert run.data.params["C"] == "2"
        assert run.data.tags["mlflow.runName"] == "theirs"
        assert repr(run.data.metrics) == repr(NUMBERS)
        assert each.get_run(run_id).data.metrics["acc"] == 0.75
        assert each.get_run(run_id).inputs == ours.inputs
        assert repr(each.search_logged_models(run_id)) == repr([model])
        again, _ = write_run(each, "again", experiment_id)
        assert client.get_run(again).data.params == ours.data.params
        each.write(RunChange(theirs, tags=as_tags({"k": "w"}), params=as_params({"D": 3})))
        assert client.get_run(theirs).data.tags["k"] == "w"
    assert store.create_experiment("of skledger") == "2"
    assert client.get_experiment_by_name("of skledger").experiment_id == "2"
    assert len(mlflow.MlflowClient(uri).search_runs([experiment_id])) == 2
    store.close()


def test_a_database_that_mlflow_made(tmp_path):
    """A database of MLflow's own revision opens, reads and takes runs that MLflow reads."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    theirs = client.create_run("0", run_name="theirs").info.run_id
    client.log_metric(theirs, "acc", 0.5)
    store = open_store(uri)
    assert store.get_run(theirs).data.metrics == {"acc": 0.5}
    run_id, model = write_run(store)
    check_ours(client, run_id, model)
    client.delete_run(run_id)
    assert store.get_run(run_id).info.lifecycle_stage == "deleted"
    store.write(RunChange(run_id, lifecycle_stage="active"))
    assert client.get_run(run_id).info.lifecycle_stage == "active"


FILTERS = [
    ("", ["metrics.acc"]),
    ("", ["metrics.acc DESC"]),
    ("", ["params.C DESC", "start_time ASC"]),
    ("", ["tags.k"]),
    ("", ["end_time DESC"]),
    ("", ["status", "run_name DESC"]),
    ("metrics.acc < 1", None),
    ("metrics.acc > 0.1 and params.C != '2'", None),
    ("metrics.acc != 0.5", None),
    ("metrics.acc = 0", None),
    ("params.C ILIKE '%' and tags.k LIKE 'A'", None),
    ("tags.k LIKE 'a'", None),
    ("tags.k ILIKE 'a' ", None),
    ("tags.k != 'A'", None),
    ("tags.k IS NULL", None),
    ("params.C IS NOT NULL", None),
    ("tags.\"a b\" = 'x'", None),
    ("tags.`a b` LIKE '_'", None),
    ("attributes.start_time >= 1002 AND status = 'RUNNING'", ["start_time ASC"]),
    ("attr.created > 1002", None),
    ("run_name != 'a'", None),
    ("end_time < 9999", None),
    ("dataset.name = 'ds' and dataset.context = 'train'", None),
    ("dataset.digest NOT IN ('d9', 'd8')", None),
    ("run_id NOT IN ('x')", None),
    ("user_id LIKE '%'", None),
]


def test_searches_have_the_same_answers(tmp_path):
    """Filters and orders find the same runs in the same order as MLflow on the same database."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    store = open_store(uri)
    values = {"a": 0.5, "b": math.nan, "c": math.inf, "d": -math.inf, "e": None, "f": 0.9}
    for number, (name, value) in enumerate(values.items()):
        run = client.create_run("0", run_name=name, start_time=1000 + number // 2).info.run_id
        if value is None:
            continue
        change = RunChange(
            run,
            metrics=(Metric("acc", value, 1),),
            params=as_params({"C": number % 3}),
            tags=as_tags({"k": name.upper(), "a b": "x"}),
            inputs=(
                DatasetInput(
                    Dataset("ds", f"d{number}", "code", "{}"),
                    (RunTag("mlflow.data.context", "train"),),
                ),
            ),
            **({"status": "FINISHED", "end_time": 5000} if name in "cf" else {}),
        )
        store.write(change)
    for text, order in FILTERS:
        theirs = [run.info.run_name for run in client.search_runs(["0"], text, order_by=order)]
        ours = [run.info.run_name for run in store.search_runs(["0"], text, order_by=order)]
        assert ours == theirs, (text, order)


@pytest.mark.slow
def test_a_new_database_is_exactly_mlflows(tmp_path):
    """Tables, columns, keys and indexes of a new database are those of MLflow's revision."""
    made, theirs = tmp_path / "made.db", tmp_path / "theirs.db"
    open_store(f"sqlite:///{made}").close()
    upgrade(theirs, "bda7b8c39065")
    assert describe(made) == describe(theirs)


@pytest.mark.parametrize(
    ("revision", "works"),
    [("7f2a7d5fae7d", False), ("bda7b8c39065", True), ("c3d6457b6d8a", True), ("head", True)],
)
def test_revisions(tmp_path, revision, works):
    """Revisions without logged models are refused with the way out; later ones work."""
    path = tmp_path / "theirs.db"
    upgrade(path, revision)
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (0, 'Default', 'active')"
    )
    connection.commit()
    connection.close()
    if works:
        store = open_store(f"sqlite:///{path}")
        run_id, _ = write_run(store)
        assert store.get_run(run_id).data.params == {"C": "1", "kernel": "rbf"}
    else:
        with pytest.raises(StoreError, match=rf"{revision}.*mlflow db upgrade sqlite:///{path}"):
            open_store(f"sqlite:///{path}")


def test_a_revision_that_wants_more_is_refused(tmp_path):
    """A later revision with a column that must be written is refused, not half filled."""
    path = tmp_path / "x.db"
    open_store(f"sqlite:///{path}").close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    connection.commit()
    open_store(f"sqlite:///{path}").close()
    connection.execute("DROP TABLE input_tags")
    connection.execute("CREATE TABLE input_tags (input_uuid, name, value, more TEXT NOT NULL)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="'ffffffffffff'.*input_tags.more.*upgrade skledger"):
        open_store(f"sqlite:///{path}")


def upgrade(path, revision):
    """Make a database of MLflow's schema at a revision, by MLflow's own means."""
    program = """
import sys
from alembic import command
from sqlalchemy import create_engine
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
uri = "sqlite:///" + sys.argv[1]
Base.metadata.create_all(create_engine(uri))
command.upgrade(_get_alembic_config(uri), sys.argv[2])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), revision], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def describe(path):
    """Return what SQLite knows of each table: columns, foreign keys and indexes."""
    connection = sqlite3.connect(path)
    found = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
        columns = {
            (name, kind, required, default, key)
            for _, name, kind, required, default, key in connection.execute(
                f"PRAGMA table_info({table})"
            )
        }
        links = sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({table})"))
        indexes = set()
        for _, name, unique, origin, _ in connection.execute(f"PRAGMA index_list({table})"):
            parts = tuple(row[2] for row in connection.execute(f"PRAGMA index_info({name})"))
            if not name.startswith("skledger_"):  # ours, beside those of MLflow
                indexes.add((name if origin == "c" else origin, unique, parts))
        found[table] = (columns, [tuple(map(str.upper, map(str, link))) for link in links], indexes)
    connection.close()
    return found
