"""Copying to and from tracking servers and database servers."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import subprocess
import sys
import time
import uuid

import httpx
import pytest
from _commands import invoke
from _copies import (
    BEST,
    COPY,
    assert_same,
    every_tag,
    files_at,
    fill,
    fit_something,
    new_run,
    open_kind,
    runs_of,
    skledger_store,
)
from _mlflow_server import free_port
from _mlflow_server import mlflow_server as mlflow_server_

import skledger
from skledger.stores.opening import open_store
from skledger.stores.rest import RestStore
from skledger.tracking.copying import COPIED_TAG, COPYING_TAG, copy
from skledger.tracking.entities import LoggedModel, Metric, RunChange
from skledger.tracking.names import new_model_id


@pytest.fixture
def opened(tmp_path):
    """Open stores of the kinds that are asked for; they are closed with the test."""
    stores = []

    def opened(kind, name):
        stores.append(open_kind(kind, tmp_path, name))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


# A tracking server


mlflow_server = mlflow_server_


@pytest.fixture
def server(mlflow_server):
    """A store on a real MLflow server."""
    store = RestStore(mlflow_server.uri)
    yield store
    store.close()


@pytest.mark.parametrize("origin", ["sqlite", "files"])
def test_to_a_server_and_back(opened, server, origin):
    """Everything is there under the server's identifiers, and comes home as it was."""
    source = opened(origin, "here")
    names = fill(source, f"{uuid.uuid4().hex[:6]}-")[1:]
    report = copy(source, server, names)
    assert not report.failures
    assert report.copied == 5
    assert_same(source, server, names)
    again = copy(source, server, names)
    assert (again.copied, again.there) == (0, 5)
    assert copy(server, source, names).there == 5
    home = opened("sqlite", "home")
    back = copy(server, home, names)
    assert not back.failures
    assert_same(source, home, names)
    assert all(old == new for old, new in back.runs.items())


def test_files_that_a_server_does_not_take_as_they_are(opened, server):
    """One that it refuses is named, and the run is not whole; one that it renames is noted."""
    source = opened("memory", "here")
    name = uuid.uuid4().hex
    files = {"a#b.txt": b"1", "c.txt": b"2"}
    bad = new_run(source, "bad", experiment_id=source.create_experiment(name), files=files)
    report = copy(source, server, [name])
    (failure,) = report.failures
    assert "does not take the file 'a#b.txt'" in failure
    made = server.get_run(report.runs[bad])
    assert COPYING_TAG in made.data.tags
    assert COPIED_TAG not in made.data.tags
    assert set(files_at(server, made.info.artifact_uri)) == {"c.txt"}

    name = uuid.uuid4().hex
    new_run(
        source, experiment_id=source.create_experiment(name), start=2, files={"50%20more": b"3"}
    )
    report = copy(source, server, [name])
    assert (report.copied, report.failures) == (1, [])
    assert "'50%20more' is listed under another name" in report.notes[0]


def test_models_load_from_a_server(tmp_path, mlflow_server):
    """By skledger, which verifies the digests, and by MLflow."""
    mlflow = pytest.importorskip("mlflow")
    run, search, X = fit_something(f"sqlite:///{tmp_path}/here.db")
    name = f"iris-{uuid.uuid4().hex[:6]}"
    experiment = skledger_store().get_experiment_by_name("iris")
    skledger_store().update_experiment(experiment.experiment_id, name=name)
    report = copy(skledger_store().uri, mlflow_server.uri, [name])
    assert (report.failures, report.notes) == ([], [])
    run_id = report.runs[run.info.run_id]
    assert run_id != run.info.run_id
    skledger.set_tracking_uri(mlflow_server.uri)
    for uri in (f"runs:/{run_id}/model", f"runs:/{run.info.run_id}/model"):
        model = skledger.sklearn.load_model(uri)
        assert (model.predict(X) == search.predict(X)).all()
    mlflow.set_tracking_uri(mlflow_server.uri)
    client = mlflow.MlflowClient()
    found = client.get_run(run_id)
    model = mlflow.sklearn.load_model(f"runs:/{run_id}/model")
    assert (model.predict(X) == search.predict(X)).all()
    logged = client.get_logged_model(found.outputs.model_outputs[0].model_id)
    info = mlflow.models.get_model_info(f"models:/{logged.model_id}")
    assert (info.model_id, info.run_id) == (logged.model_id, run_id)
    assert found.data.tags[BEST] in report.runs.values()
    children = client.search_runs(
        [found.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"
    )
    assert {each.info.run_id for each in children} == set(report.runs.values()) - {run_id}


def test_killed_on_the_way_to_a_server(opened, server):
    """The server has every record once, however often the copy was killed."""
    source = opened("sqlite", "here")
    names = fill(source, f"{uuid.uuid4().hex[:6]}-")[1:]
    command = [sys.executable, "-c", COPY, source.uri, server.uri, json.dumps(names)]
    killed = 0
    for attempt in range(8):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.4 + 0.2 * attempt)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert killed
    assert not copy(source, server, names).failures
    assert_same(source, server, names)


def test_broken_off_after_any_request(opened, server, monkeypatch):
    """The server has the same, whichever of its requests was the last before the process died."""
    source = opened("memory", "here")
    send, left = httpx.Client.send, 0

    def send_or_die(self, request, **options):
        nonlocal left
        answer = send(self, request, **options)
        if request.method != "GET" and not request.url.path.endswith("/search"):
            left -= 1
            if not left:  # the answer is lost, not the request
                raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(httpx.Client, "send", send_or_die)
    for at in range(1, 30):
        name = uuid.uuid4().hex
        experiment = source.create_experiment(name)
        tags = {"skledger.process": "elsewhere/1/2", "a": "b"}
        new_run(source, "whole", experiment_id=experiment, files={"a.txt": b"a"})
        deleted = new_run(source, "deleted", experiment_id=experiment, start=2000, tags=tags)
        source.write(RunChange(deleted, lifecycle_stage="deleted"))
        left = at
        try:
            copy(source, server, [name])
        except KeyboardInterrupt:
            assert not copy(source, server, [name]).failures
        assert_same(source, server, [name])
        assert copy(source, server, [name]).there == 2
        if left > 0:
            break
    assert 10 < at < 29


def test_the_command_copies_to_a_server(opened, mlflow_server, tmp_path):
    """By the server's address; from it, too, and a run by its whole identifier."""
    source = opened("sqlite", "here")
    names = fill(source, f"{uuid.uuid4().hex[:6]}-")[1:]
    options = [each for name in names for each in ("--experiment", name)]
    output = invoke(
        "copy", "--from", tmp_path / "here.db", "--to", mlflow_server.uri, *options
    ).output
    assert f"Copied 5 runs of 2 experiments to {mlflow_server.uri}" in output
    told = json.loads(
        invoke(
            "copy", "--from", tmp_path / "here.db", "--to", mlflow_server.uri, *options, "--json"
        ).output
    )
    assert (told["copied"], told["there"]) == (0, 5)
    search = next(r.info.run_id for r in runs_of(source, names[0]) if r.info.run_name == "search")
    there = told["runs"][search]
    output = invoke(
        "copy", "--from", mlflow_server.uri, "--to", tmp_path / "home", "--run", there
    ).output
    assert "Copied 4 runs of 1 experiment to file://" in output
    assert_same(source, open_kind("files", tmp_path, "home"), names[:1])


def test_a_server_that_is_away(opened, tmp_path):
    """One message and exit code 1, within seconds."""
    fill(opened("sqlite", "here"))
    begun = time.monotonic()
    result = invoke(
        "copy", "--from", tmp_path / "here.db", "--to", f"http://127.0.0.1:{free_port()}", code=1
    )
    assert time.monotonic() - begun < 15
    assert "Traceback" not in result.output
    assert "127.0.0.1" in result.output


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_database_servers(opened, request, kind):
    """PostgreSQL and MySQL, there and back; no password is told."""
    database = request.getfixturevalue(kind)
    source, destination = opened("sqlite", "here"), open_store(database.new_database())
    names = fill(source)
    assert not copy(source, destination).failures
    assert_same(source, destination, names)
    home = opened("files", "home")
    report = copy(destination, home)
    assert not report.failures
    assert_same(source, home, names)
    assert "@" not in report.source
    assert every_tag(home, COPIED_TAG)[0].startswith(f"{report.source}#")
    destination.close()


def test_a_metric_that_mlflow_changed_for_its_model_is_not_added(opened, server):
    """MLflow keeps NaN as 0 of the model; a server would book that 0 with the run as well."""
    source = opened("sqlite", "here")
    name = uuid.uuid4().hex
    experiment_id = source.create_experiment(name)
    run_id = new_run(source, experiment_id=experiment_id)
    model = LoggedModel(
        new_model_id(), experiment_id, "model", "/nowhere", 5, 5, run_id,
        metrics=(Metric("m", 0.0, 5, 0), Metric("n", 0.0, 5, 0)),
    )  # fmt: skip
    metrics = (Metric("m", math.nan, 5, 0), Metric("n", 0.0, 5, 0))
    source.write(RunChange(run_id, metrics=metrics, models=(model,)))
    report = copy(source, server, [name])
    assert not report.failures
    (copied,) = report.runs.values()
    (only,) = server.get_metric_history(copied, "m")
    assert math.isnan(only.value)
    assert [each.value for each in server.get_metric_history(copied, "n")] == [0.0]


def test_killed_before_a_deleted_experiment_was_deleted_again(opened, server, monkeypatch):
    """The last request but one was answered: the copy that goes on deletes it."""
    source = opened("sqlite", "here")
    (name,) = fill(source, f"{uuid.uuid4().hex[:6]}-")[2:]
    update = RestStore.update_experiment

    def killed(self, experiment_id, **changes):
        if changes.get("lifecycle_stage") == "deleted":
            raise KeyboardInterrupt
        update(self, experiment_id, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(RestStore, "update_experiment", killed)
        with pytest.raises(KeyboardInterrupt):
            copy(source, server, [name])
    assert server.get_experiment_by_name(name).lifecycle_stage == "active"
    copy(source, server, [name])
    assert_same(source, server, [name])


def test_an_experiment_that_was_restored_at_the_server_stays(opened, server, monkeypatch):
    """What somebody changes in a copy stays, also when the copy is made again."""
    source = opened("sqlite", "here")
    (name,) = fill(source, f"{uuid.uuid4().hex[:6]}-")[2:]
    copy(source, server, [name])
    experiment_id = server.get_experiment_by_name(name).experiment_id
    assert copy(source, server, [name]).copied == 0
    monkeypatch.setattr("skledger.tracking.copying_experiments._RESTORED_AFTER", -60_000)
    server.update_experiment(experiment_id, lifecycle_stage="active")
    copy(source, server, [name])
    assert server.get_experiment(experiment_id).lifecycle_stage == "active"
