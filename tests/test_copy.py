"""Copying experiments between stores: everything arrives, nothing twice, whatever interrupts it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from _copies import (
    BEST,
    COPY,
    PARENT,
    Failing,
    Renaming,
    assert_same,
    check_what_is_whole,
    every_tag,
    files_at,
    fill,
    fit_something,
    new_model,
    new_run,
    open_kind,
    picture,
    runs_of,
    skledger_store,
)

import skledger
from skledger.errors import (
    InvalidParameterError,
    NotFoundError,
    SkledgerError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores.artifacts import artifact_store
from skledger.stores.opening import open_store
from skledger.tracking import copying, session
from skledger.tracking.copying import COPIED_TAG, COPYING_TAG, copy
from skledger.tracking.copying_files import rewritten
from skledger.tracking.entities import (
    Metric,
    RunChange,
    as_params,
    as_tags,
)
from skledger.tracking.model_uris import DIGESTS_TAG

KINDS = ("sqlite", "memory", "files")


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


# Everything, between any two stores


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("origin", KINDS)
def test_everything_arrives(opened, origin, to):
    """Experiments, runs, histories, data sets, models, files: the copy holds what the source has."""
    source, destination = opened(origin, "here"), opened(to, "there")
    names = fill(source)
    before = [picture(source, name) for name in names]
    report = copy(source, destination)
    assert not report.failures
    assert_same(source, destination, names)
    assert [picture(source, name) for name in names] == before
    assert (report.copied, report.there, report.models, report.files) == (7, 0, 1, 8)
    assert report.metrics == 309
    assert sorted(report.experiments) == sorted(names)
    assert sorted(report.made) == ["gone", "wine"]
    assert not every_tag(destination, COPYING_TAG)
    assert len(every_tag(destination, COPIED_TAG)) == 7


def test_identifiers_stay_where_they_are_free(opened):
    """A run, and a model, is called the same at the destination."""
    source, destination = opened("sqlite", "here"), opened("sqlite", "there")
    fill(source)
    report = copy(source, destination)
    assert all(old == new for old, new in report.runs.items())
    (parent,) = [run for run in runs_of(source, "wine") if run.info.run_name == "search"]
    (model,) = source.search_logged_models(parent.info.run_id)
    made = destination.get_logged_model(model.model_id)
    assert made.source_run_id == parent.info.run_id
    times = (model.creation_timestamp, model.last_updated_timestamp)
    assert (made.creation_timestamp, made.last_updated_timestamp) == times
    assert {each.timestamp for each in made.metrics} == {7}


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_copy_adds_nothing(opened, kind):
    """What is there is recognised; only what is new comes along."""
    source, destination = opened(kind, "here"), opened(kind, "there")
    names = fill(source)
    copy(source, destination)
    again = copy(source, destination)
    assert (again.copied, again.there, again.files) == (0, 7, 0)
    new = new_run(source, "new", start=9000, metrics=(Metric("m", 1.0, 1),))
    third = copy(source, destination)
    assert (third.copied, third.there) == (1, 7)
    assert third.runs[new] == new
    assert_same(source, destination, names)


def test_what_was_changed_at_the_destination_stays(opened):
    """A run that is whole is never touched again, nor restored when it was deleted there."""
    source, destination = opened("memory", "here"), opened("sqlite", "there")
    first, second = new_run(source, "a"), new_run(source, "b")
    copy(source, destination)
    destination.write(
        RunChange(first, tags=as_tags({"mlflow.note.content": "mine"})),
        RunChange(second, lifecycle_stage="deleted"),
    )
    assert copy(source, destination).there == 2
    assert destination.get_run(first).data.tags["mlflow.note.content"] == "mine"
    assert destination.get_run(second).info.lifecycle_stage == "deleted"


def test_a_copy_is_not_copied_back(opened):
    """A run that came from the destination is there already."""
    home, away = opened("sqlite", "home"), opened("sqlite", "away")
    new_run(home, "a")
    copy(home, away)
    back = copy(away, home)
    assert (back.copied, back.there) == (0, 1)
    further = opened("memory", "further")
    copy(away, further)
    assert copy(home, further).there == 1


# What is chosen


def test_experiments_by_name(opened):
    """Only those that are named are copied; an unknown name is told with those there are."""
    source, destination = opened("memory", "here"), opened("memory", "there")
    fill(source)
    report = copy(source, destination, experiments=["wine"])
    assert (report.experiments, report.copied) == (["wine"], 4)
    assert destination.get_experiment_by_name("gone") is None
    with pytest.raises(NotFoundError, match=r"no experiment named 'win'.* 'Default', .*'wine'"):
        copy(source, destination, experiments=["win"])


def test_runs_by_identifier_bring_those_below(opened):
    """A search comes with its candidates, a candidate alone; unknown ones are an error."""
    source, destination = opened("memory", "here"), opened("memory", "there")
    fill(source)
    runs = {run.info.run_name: run.info.run_id for run in runs_of(source, "wine")}
    alone = copy(source, destination, runs=[runs["child-0"]])
    assert (alone.copied, alone.experiments) == (1, ["wine"])
    assert destination.get_run(runs["child-0"]).data.tags[PARENT] == runs["search"]
    below = copy(source, destination, runs=[runs["search"]])
    assert (below.copied, below.there) == (3, 1)
    assert_same(source, destination, ["wine"])
    with pytest.raises(NotFoundError):
        copy(source, destination, runs=["0" * 32])
    with pytest.raises(InvalidParameterError, match="none of the experiments"):
        copy(source, destination, experiments=["Default"], runs=[runs["search"]])


def test_an_experiment_of_that_name_takes_them_in(opened):
    """Runs join those that are there; its own tags stay, what it lacks is added."""
    source, destination = opened("memory", "here"), opened("sqlite", "there")
    experiment_id = source.create_experiment("x", tags={"both": "here", "new": "1"})
    new_run(source, "a", experiment_id=experiment_id)
    there = destination.create_experiment("x", tags={"both": "there"})
    new_run(destination, "b", experiment_id=there)
    report = copy(source, destination, experiments=["x"])
    assert (report.copied, report.made) == (1, [])
    assert destination.get_experiment(there).tags == {"both": "there", "new": "1"}
    assert {run.info.run_name for run in runs_of(destination, "x")} == {"a", "b"}


def test_an_experiment_that_is_deleted_there(opened):
    """Its runs are not smuggled into the bin: the report says so, and the others are copied."""
    source, destination = opened("memory", "here"), opened("sqlite", "there")
    new_run(source, "a", experiment_id=source.create_experiment("x"))
    new_run(source, "b")
    there = destination.create_experiment("x")
    destination.update_experiment(there, lifecycle_stage="deleted")
    report = copy(source, destination)
    assert report.copied == 1
    (failure,) = report.failures
    assert "'x' is deleted at the destination" in failure
    assert destination.get_experiment(there).lifecycle_stage == "deleted"


def test_runs_of_a_deleted_experiment_come_back_with_it(opened):
    """Restored at the destination, it has its runs; what is new goes into the bin, too."""
    source, destination = opened("memory", "here"), opened("sqlite", "there")
    fill(source)
    copy(source, destination)
    gone = source.get_experiment_by_name("gone").experiment_id
    new_run(source, "late", experiment_id=gone, start=8000)
    assert copy(source, destination).copied == 1
    there = destination.get_experiment_by_name("gone")
    assert there.lifecycle_stage == "deleted"
    destination.update_experiment(there.experiment_id, lifecycle_stage="active")
    runs = runs_of(destination, "gone")
    assert [run.info.lifecycle_stage for run in runs] == ["active", "active"]
    assert COPYING_TAG not in destination.get_experiment(there.experiment_id).tags


# Other identifiers


def test_a_destination_that_chooses_identifiers(opened):
    """Parents, best runs and the descriptions of models name what is called otherwise there."""
    source, destination = opened("sqlite", "here"), Renaming(opened("memory", "there"))
    names = fill(source)
    report = copy(source, destination)
    assert not report.failures
    assert not any(old == new for old, new in report.runs.items())
    assert_same(source, destination, names)  # parents and best runs by their names
    runs = {run.info.run_name: run for run in runs_of(destination, "wine")}
    assert runs["child-0"].data.tags[PARENT] == runs["search"].info.run_id
    assert runs["search"].data.tags[BEST] == runs["child-1"].info.run_id
    # Another process knows nothing of aliases, but that they are copies.
    again = copy(source, destination._store)
    assert (again.copied, again.there) == (0, 7)
    new_run(source, "late", start=9000, tags={PARENT: report_id(report, runs, "search")})
    late = copy(source, Renaming(destination._store))
    assert late.copied == 1
    (made,) = [run for run in runs_of(destination, "Default") if run.info.run_name == "late"]
    assert made.data.tags[PARENT] == runs["search"].info.run_id


def report_id(report, runs, name):
    """Return what a run is called at the source."""
    return next(old for old, new in report.runs.items() if new == runs[name].info.run_id)


def test_an_identifier_that_is_taken_by_another_run(opened):
    """The copy gets a new one; what was there stays."""
    source, destination = opened("memory", "here"), opened("sqlite", "there")
    run_id = new_run(source, "mine", start=1)
    new_run(destination, "theirs", start=2, run_id=run_id)
    report = copy(source, destination)
    assert report.copied == 1
    assert report.runs[run_id] != run_id
    assert destination.get_run(run_id).info.run_name == "theirs"
    assert destination.get_run(report.runs[run_id]).info.run_name == "mine"
    assert copy(source, destination).there == 1


def test_a_model_whose_identifier_is_taken(opened):
    """Its description and its digest are those of the new one, and it loads."""
    source, destination = opened("memory", "here"), opened("sqlite", "there")
    run_id = new_run(source, "a")
    content = {}

    def files(model_id):
        content["MLmodel"] = f"model_id: {model_id}\nrun_id: {run_id}\n".encode()
        return content

    model_id = new_model(source, run_id, files)
    booked = {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}
    model = source.get_logged_model(model_id)
    source.write(RunChange(run_id, deleted_models=(model_id,)))
    source.write(
        RunChange(run_id, models=(replace(model, tags={DIGESTS_TAG: json.dumps(booked)}),))
    )
    other = new_run(destination, "other")
    destination.write(RunChange(other, models=(replace(model, source_run_id=other),)))
    assert not copy(source, destination).failures
    (made,) = destination.search_logged_models(run_id)
    assert made.model_id != model_id
    assert json.loads(made.tags[DIGESTS_TAG]) == files_at(destination, made.artifact_location)
    assert json.loads(made.tags[DIGESTS_TAG]) != booked


def test_only_identifiers_are_rewritten():
    """An MLmodel keeps every other byte, whoever has written it."""
    text = (
        b"artifact_path: model\r\nmodel_id: \"m-1\"\nmodel_uuid: m-1\nrun_id: 'aa'  \n"
        b"metadata:\n  run_id: aa\nutc_time_created: 'aa'\n"
    )
    changed = rewritten(text, {"aa": "bb", "m-1": "m-2"})
    assert changed == (
        b"artifact_path: model\r\nmodel_id: \"m-2\"\nmodel_uuid: m-2\nrun_id: 'bb'  \n"
        b"metadata:\n  run_id: aa\nutc_time_created: 'aa'\n"
    )
    assert rewritten(text, {"cc": "dd"}) == text


# Models load


@pytest.mark.parametrize("renaming", [False, True], ids=["same names", "other names"])
def test_models_load_from_the_copy_with_their_digests(tmp_path, renaming):
    """`skledger.sklearn.load_model` verifies and loads the copy, also when the source is gone."""
    run, search, X = fit_something(f"sqlite:///{tmp_path}/here.db")
    there = open_store(f"sqlite:///{tmp_path}/there.db")
    report = copy(skledger_store(), Renaming(there) if renaming else there)
    assert not report.failures
    assert not report.notes
    shutil.rmtree(tmp_path / "here-artifacts")
    session.set_tracking_uri(there.uri)
    run_id = report.runs[run.info.run_id]
    assert (run_id == run.info.run_id) is not renaming
    model = skledger.sklearn.load_model(f"runs:/{run_id}/model")
    assert (model.predict(X) == search.predict(X)).all()
    best = there.get_run(run_id).data.tags[BEST]
    assert there.get_run(best).data.tags[PARENT] == run_id
    for booked in there.search_logged_models(run_id):
        skledger.sklearn.load_model(booked.model_uri)


def test_a_tampered_model_is_not_made_trustworthy(opened):
    """A description that is not the one that was booked keeps its digest, and goes on failing."""
    source, destination = opened("memory", "here"), Renaming(opened("memory", "there"))
    run_id = new_run(source, "a")
    model_id = new_model(
        source,
        run_id,
        lambda model_id: {"MLmodel": f"model_id: {model_id}\n".encode()},
        tags={DIGESTS_TAG: json.dumps({"MLmodel": "0" * 64})},
    )
    report = copy(source, destination)
    (model,) = destination.search_logged_models(report.runs[run_id])
    assert model.model_id != model_id
    assert json.loads(model.tags[DIGESTS_TAG]) == {"MLmodel": "0" * 64}


def test_files_that_are_gone_at_the_source_are_told(opened):
    """The records are copied all the same, and the report names what was not found."""
    source, destination = opened("sqlite", "here"), opened("sqlite", "there")
    run_id = new_run(source, "a")
    model_id = new_model(
        source,
        run_id,
        lambda _: {"model.pkl": b"1"},
        tags={DIGESTS_TAG: json.dumps({"model.pkl": hashlib.sha256(b"1").hexdigest()})},
    )
    shutil.rmtree(source.get_logged_model(model_id).artifact_location)
    report = copy(source, destination)
    assert report.copied == 1
    (note,) = report.notes
    assert "model.pkl" in note
    assert model_id in note


# Interruptions


@pytest.mark.parametrize("renaming", [False, True], ids=["same names", "other names"])
def test_interrupted_anywhere_it_goes_on(opened, renaming):
    """After any call it may end; what is marked as whole is whole, and the next copy goes on."""
    source = opened("memory", "here")
    names = fill(source)
    inner = opened("memory", "there")
    stops = 0
    for after in range(0, 400, 3):
        destination = Renaming(inner) if renaming else inner
        failing = Failing(destination, 3 + after % 29, KeyboardInterrupt())
        try:
            copy(source, failing)
        except KeyboardInterrupt:
            stops += 1
            check_what_is_whole(source, inner)
        else:
            break
    assert stops > 3
    assert_same(source, inner, names)
    assert not every_tag(inner, COPYING_TAG)
    assert len(every_tag(inner, COPIED_TAG)) == 7


def test_a_store_that_goes_away_says_how_to_go_on(opened):
    """The error tells how far it came; the same call goes on from there."""
    source, destination = opened("memory", "here"), opened("memory", "there")
    names = fill(source)
    error = StoreError("The server does not answer.")
    with pytest.raises(StoreError, match=r"does not answer.* stopped: [1-6] runs .*begun again"):
        copy(source, Failing(destination, 20, error, ("write",)))
    assert not copy(source, destination).failures
    assert_same(source, destination, names)


def test_one_run_that_cannot_be_copied_does_not_keep_the_others_back(opened, monkeypatch):
    """It is named with the reason, is not marked as whole, and is tried again the next time."""
    source, destination = opened("memory", "here"), opened("memory", "there")
    bad = new_run(source, "bad", params=as_params({"p": 1}))
    new_run(source, "good", start=2000)
    write = destination.write

    def refusing(*changes):
        if any(change.params for change in changes):
            raise InvalidParameterError("the value of param 'p' is too long")
        write(*changes)

    monkeypatch.setattr(destination, "write", refusing)
    report = copy(source, destination)
    assert report.copied == 1
    (failure,) = report.failures
    assert re.fullmatch(rf"bad \({bad}\): the value of param 'p' is too long", failure)
    assert COPIED_TAG not in destination.get_run(bad).data.tags
    monkeypatch.undo()
    again = copy(source, destination)
    assert (again.copied, again.there) == (1, 1)
    assert_same(source, destination, ["Default"])


def test_what_arrives_otherwise_is_noticed(opened, monkeypatch):
    """A store that loses a value, or a place that changes a file, does not pass for a copy."""
    source, destination = opened("memory", "here"), opened("memory", "there")
    run_id = new_run(source, "a", metrics=(Metric("m", 1.0, 1), Metric("m", 2.0, 2)))
    write = destination.write
    monkeypatch.setattr(
        destination,
        "write",
        lambda *changes: write(*(replace(each, metrics=each.metrics[:1]) for each in changes)),
    )
    (failure,) = copy(source, destination).failures
    assert "values of metrics: 1 of 2" in failure
    monkeypatch.undo()

    source.write(RunChange(run_id, tags=as_tags({"again": 1})))
    artifact_store(source.get_run(run_id).info.artifact_uri).put_bytes("f.bin", b"123")
    from skledger.stores.artifacts import LocalArtifacts

    monkeypatch.setattr(
        LocalArtifacts, "put_file", lambda self, path, _: self.put_bytes(path, b"12")
    )
    (failure,) = copy(source, destination).failures
    assert "'f.bin' did not arrive" in failure
    assert COPIED_TAG not in destination.get_run(run_id).data.tags
    monkeypatch.undo()
    assert copy(source, destination).copied == 1
    assert_same(source, destination, ["Default"])


def test_a_run_that_goes_on_is_completed_later(opened):
    """A copy of a RUNNING run is not whole: the next one takes what came after."""
    source, destination = opened("memory", "here"), opened("sqlite", "there")
    run_id = new_run(source, "long", metrics=(Metric("m", 1.0, 1),))
    source.write(RunChange(run_id, status="RUNNING"))
    report = copy(source, destination)
    assert (report.copied, report.running) == (1, 1)
    assert destination.get_run(run_id).info.status == "RUNNING"
    source.write(RunChange(run_id, status="FINISHED", end_time=9, metrics=(Metric("m", 2.0, 2),)))
    report = copy(source, destination)
    assert (report.copied, report.running) == (1, 0)
    assert_same(source, destination, ["Default"])
    assert copy(source, destination).there == 1


def test_a_half_copied_run_looks_like_one_somebody_works_on(opened):
    """It is RUNNING, names the process that copies it, and another process keeps its hands off."""
    source, destination = opened("memory", "here"), opened("memory", "there")
    run_id = new_run(source, "a", params=as_params({"p": 1}))
    with pytest.raises(KeyboardInterrupt):
        copy(source, Failing(destination, 2, KeyboardInterrupt(), ("write",)))
    half = destination.get_run(run_id)
    assert half.info.status == "RUNNING"
    assert half.data.tags[COPYING_TAG] == f"memory:#{run_id}"
    from skledger.tracking.processes import identity_of

    other = identity_of(os.getppid())
    destination.write(RunChange(run_id, tags=as_tags({"skledger.process": other})))
    (failure,) = copy(source, destination).failures
    assert f"being copied by the process {os.getppid()}" in failure


@pytest.mark.parametrize("kind", ["sqlite", "files"])
@pytest.mark.slow
def test_killed_it_goes_on(opened, kind):
    """`kill -9` at any moment: the next copy completes it, and nothing is there twice."""
    source, destination = opened("sqlite", "here"), opened(kind, "there")
    for at in range(40):
        new_run(
            source,
            f"run-{at}",
            start=at,
            metrics=tuple(Metric("m", step / 7, step, step) for step in range(50)),
            files={f"f{number}.bin": os.urandom(20_000) for number in range(3)},
        )
    killed = 0
    for attempt in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", COPY, source.uri, destination.uri, "null"],
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05 + 0.03 * attempt)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        check_what_is_whole(source, destination)
        if len(every_tag(destination, COPIED_TAG)) == 40:
            break
    assert killed
    copy(source, destination)
    assert_same(source, destination, ["Default"])
    assert len(runs_of(destination, "Default")) == 40


def test_mlflow_reads_the_copy(tmp_path, opened):
    """A database that was copied to is one of MLflow's; so is one that is copied from."""
    mlflow = pytest.importorskip("mlflow")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    run, search, X = fit_something(f"sqlite:///{tmp_path}/here.db")
    there = opened("sqlite", "there")
    copy(skledger_store(), there)
    there.close()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/there.db")
    found = client.get_run(run.info.run_id)
    assert found.data.params == run.data.params
    assert found.data.tags[COPIED_TAG] == f"sqlite:///{tmp_path}/here.db#{run.info.run_id}"
    experiment = client.get_experiment_by_name("iris")
    children = client.search_runs(
        [experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    assert len(children) == 2
    history = client.get_metric_history(children[0].info.run_id, "test_score")
    assert len(history) == 2
    paths = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert "cv_results.csv" in paths
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/there.db")
    model = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert (model.predict(X) == search.predict(X)).all()
    with mlflow.start_run(run_name="theirs") as theirs:
        mlflow.log_metric("m", math.nan, step=3)
        mlflow.log_text("hello", "a/b.txt")
    back = opened("memory", "back")
    report = copy(open_store(f"sqlite:///{tmp_path}/there.db"), back, runs=[theirs.info.run_id])
    assert (report.copied, report.files) == (1, 1)
    assert math.isnan(back.get_run(theirs.info.run_id).data.metrics["m"])


@pytest.mark.parametrize("late", [False, True], ids=["not done", "done"])
def test_interrupted_at_each_write(opened, late):
    """Whether the last write was done or not, the next copy completes all, and adds nothing."""
    source = opened("memory", "here")
    names = fill(source)
    for after in range(200):
        inner = opened("memory", "there")
        failing = Failing(inner, after, KeyboardInterrupt(), ("write",), late=late)
        try:
            copy(source, failing)
        except KeyboardInterrupt:
            copy(source, inner)
            assert_same(source, inner, names)
            assert not every_tag(inner, COPYING_TAG)
        else:
            break
    assert after > 20


@pytest.mark.parametrize("late", [False, True], ids=["not done", "done"])
def test_a_moment_without_the_server_does_not_end_the_copy(opened, monkeypatch, late):
    """What broke off is looked at, and goes on, after a pause; only a long absence ends it."""
    monkeypatch.setattr(copying, "_PAUSES", (0.0, 0.0))
    source = opened("memory", "here")
    names = fill(source)
    away = StoreUnavailableError("away")
    for after in range(1, 40):
        inner = opened("memory", "there")
        failing = Failing(Renaming(inner), after, away, ("write",), 1, late=late)
        with contextlib.suppress(StoreUnavailableError):
            assert not copy(source, failing).failures
        assert not copy(source, inner).failures
        assert_same(source, inner, names)
        assert len(every_tag(inner, COPIED_TAG)) == 7
        assert not every_tag(inner, COPYING_TAG)
    with pytest.raises(StoreUnavailableError, match="begun again"):
        copy(source, Failing(opened("memory", "x"), 9, away, ("write",)))


# Never a password


def test_no_password_gets_into_a_tag_or_message(opened):
    """What a run is a copy of is told without the user's secrets."""

    class Secret:
        uri = "postgresql://ann:geheim@db.example.org:5432/runs?sslpassword=geheim"

        def __init__(self, store):
            self._store = store

        def __getattr__(self, name):
            return getattr(self._store, name)

    source, destination = Secret(opened("memory", "here")), opened("memory", "there")
    run_id = new_run(source, "a")
    new_model(source, run_id, lambda _: {"f": b""})
    report = copy(source, destination)
    assert destination.get_run(run_id).data.tags[COPIED_TAG] == (
        f"postgresql://db.example.org:5432/runs#{run_id}"
    )
    (model,) = destination.search_logged_models(run_id)
    assert "geheim" not in f"{report} {model}"
    with pytest.raises(NotFoundError) as caught:
        copy(source, destination, experiments=["nope"])
    assert "geheim" not in str(caught.value)


def test_the_same_store_twice_is_refused(opened, tmp_path):
    """A store is not copied to itself, however it is named."""
    store = opened("sqlite", "here")
    with pytest.raises(InvalidParameterError, match="are the same store"):
        copy(store, store)
    with pytest.raises(InvalidParameterError, match="are the same store"):
        copy(store, open_store(f"sqlite:///{tmp_path}/here.db"))
    (tmp_path / "link.db").symlink_to(tmp_path / "here.db")
    with pytest.raises(InvalidParameterError, match="are the same store"):
        copy(store, open_store(f"sqlite:///{tmp_path}/link.db"))


def test_progress_counts_runs_and_files(opened):
    """It goes up to the number of runs, and tells how much has arrived."""
    source, destination = opened("memory", "here"), opened("memory", "there")
    fill(source)
    told = []
    report = copy(source, destination, progress=told.append)
    assert (told[-1].total, told[-1].done) == (7, 7)
    assert (told[-1].files, told[-1].size) == (report.files, report.size)
    assert [each.done for each in told] == sorted(each.done for each in told)


def test_two_at_once_are_refused(opened):
    """A copy that a clock begins while the last one goes on would copy every run a second time."""
    source, destination = opened("sqlite", "a"), opened("sqlite", "b")
    fill(source)
    told = []

    def meanwhile(_):
        if not told:
            with pytest.raises(SkledgerError, match="Another process is copying"):
                copy(source, destination)
            told.append(copy(source, destination, dry_run=True))

    report = copy(source, destination, progress=meanwhile)
    assert told and report.copied
    assert copy(source, destination).copied == 0
