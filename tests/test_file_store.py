"""A folder of files: MLflow's directory layout, with MLflow in turns and with many processes."""

from __future__ import annotations

import errno
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    ParamConflictError,
    StoreError,
)
from skledger.stores import files_locks, files_medium
from skledger.stores.files import FileStore
from skledger.stores.files_names import key_of, other_name, usual_name
from skledger.stores.files_yaml import dump, load
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    LoggedModel,
    Metric,
    ModelChange,
    RunChange,
    RunInfo,
    RunTag,
    ViewType,
    as_params,
    as_tags,
)

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

NUMBERS = {"acc": 0.5, "nan": math.nan, "up": math.inf, "down": -math.inf, "tiny": 5e-324}
NO_KILL = not hasattr(signal, "SIGKILL")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "mlruns"


@pytest.fixture
def store(root):
    return FileStore(root)


@pytest.fixture
def mlflow_client(root):
    """MLflow's own client on the same folder."""
    mlflow = pytest.importorskip("mlflow")
    return mlflow.MlflowClient(root.as_uri())


def info(run_id, experiment_id="0", **changes):
    fields = {
        "run_name": "a run",
        "user_id": "me",
        "status": "RUNNING",
        "start_time": 1000,
        "end_time": None,
        "lifecycle_stage": "active",
        "artifact_uri": f"/somewhere/{run_id}/artifacts",
    } | changes
    return RunInfo(run_id=run_id, experiment_id=experiment_id, **fields)


def create(store, experiment_id="0", *, fields=None, **content):
    run_id = uuid.uuid4().hex
    store.write(RunChange(run_id, create=info(run_id, experiment_id, **(fields or {})), **content))
    return run_id


def model(run_id, name="model", **content):
    return LoggedModel(
        "m-" + uuid.uuid4().hex, "0", name, "/somewhere/models", 1, 2, run_id, **content
    )


def dataset(name="iris", context="train", **fields):
    described = {"schema": '{"a": "b: c"}', "profile": "{}"} | fields
    return DatasetInput(
        Dataset(name, "0123abcd", "code", '{"tags": "' + "x " * 60 + '"}', **described),
        (RunTag("mlflow.data.context", context),),
    )


def tree(root):
    """Return what is in a folder for readers: every file and its content."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".skledger" not in str(path)
    }


# The layout


def test_the_layout_is_mlflows(root, store):
    """Params, tags and metrics are files named by their keys, whose text is the value."""
    made = model("", params={"C": "1"}, tags={"t": "x"}, metrics=(Metric("acc", 0.5, 3, 1),))
    run_id = create(
        store,
        params=as_params({"C": 1, "clf/C": "two\nlines"}),
        tags=as_tags({"note": "größer", "empty": ""}),
        metrics=(Metric("acc", 0.5, 10, 1), Metric("acc", math.nan, 11, 2)),
        inputs=(dataset(),),
        models=(made,),
    )
    run = root / "0" / run_id
    assert {path.name for path in run.iterdir()} == {
        "meta.yaml", "artifacts", "metrics", "params", "tags", "inputs", "outputs",
    }  # fmt: skip
    assert (run / "params" / "C").read_bytes() == b"1"
    assert (run / "params" / "clf" / "C").read_bytes() == b"two\nlines"
    assert (run / "tags" / "note").read_bytes() == "größer".encode()
    assert (run / "tags" / "empty").read_bytes() == b""
    assert (run / "metrics" / "acc").read_bytes() == b"10 0.5 1\n11 nan 2\n"
    meta = yaml.safe_load((run / "meta.yaml").read_bytes())
    assert (meta["run_id"], meta["experiment_id"], meta["status"]) == (run_id, "0", 1)
    assert (meta["start_time"], meta["end_time"]) == (1000, None)
    folder = root / "0" / "models" / made.model_id
    assert (folder / "metrics" / "acc").read_text() == f"3 0.5 1 {run_id}\n"
    assert (folder / "params" / "C").read_text() == "1"
    assert [path.name for path in (run / "outputs").iterdir()] == [made.model_id]
    (described,) = (root / "0" / "datasets").iterdir()
    assert yaml.safe_load((described / "meta.yaml").read_bytes())["name"] == "iris"
    assert yaml.safe_load((root / "0" / "meta.yaml").read_bytes())["name"] == "Default"
    assert (root / ".trash").is_dir()


def test_artifacts_lie_in_the_folder_of_their_run(root, store):
    """The default location is the experiment's folder; another root is taken when it is named."""
    assert store.get_experiment("0").artifact_location == f"{root}/0"
    assert store.uri == root.as_uri()
    number = store.create_experiment("x", artifact_location="relative")
    assert store.get_experiment(number).artifact_location == f"{root.parent}/relative"
    elsewhere = FileStore(root, artifact_root="s3://bucket/deep/")
    number = elsewhere.create_experiment("y")
    assert elsewhere.get_experiment(number).artifact_location == f"s3://bucket/deep/{number}"


def test_artifacts_may_come_first(root, store):
    """Files that were written into the folder of a run or model before its record stay there."""
    run_id = uuid.uuid4().hex
    made = model(run_id)
    for folder in (root / "0" / run_id, root / "0" / "models" / made.model_id):
        (folder / "artifacts").mkdir(parents=True)
        (folder / "artifacts" / "file").write_text("here")
    with pytest.raises(NotFoundError):
        store.get_run(run_id)
    assert store.search_runs(["0"]) == []
    store.write(RunChange(run_id, create=info(run_id), params=as_params({"C": 1}), models=(made,)))
    assert store.get_run(run_id).data.params == {"C": "1"}
    assert store.get_logged_model(made.model_id).name == "model"
    assert (root / "0" / run_id / "artifacts" / "file").read_text() == "here"
    assert (root / "0" / "models" / made.model_id / "artifacts" / "file").read_text() == "here"
    with pytest.raises(AlreadyExistsError):
        store.write(RunChange(run_id, create=info(run_id)))
    assert store.get_run(run_id).data.params == {"C": "1"}


def test_artifacts_before_the_first_experiment(root):
    """A folder that was removed while it was in use is made anew, around what came first."""
    store = FileStore(root)
    shutil.rmtree(root)
    (root / "0" / "models" / "m-1" / "artifacts").mkdir(parents=True)
    with pytest.raises(NotFoundError, match="experiment"):
        create(store)
    assert store.experiment_for_runs(None).name == "Default"
    assert store.get_run(create(store)).info.run_name == "a run"
    shutil.rmtree(root)
    assert store.experiment_for_runs("mine").name == "mine"
    assert sorted(each.name for each in store.search_experiments()) == ["Default", "mine"]


def test_removed_models_leave_their_artifacts_to_the_caller(root, store):
    """A model that is removed is no record any more; only files that are not ours stay."""
    first, second = model("", "first"), model("", "second")
    run_id = create(store, models=(first, second))
    artifact = root / "0" / "models" / first.model_id / "artifacts" / "model.pkl"
    artifact.write_bytes(b"")
    store.write(RunChange(run_id, deleted_models=(first.model_id, second.model_id)))
    assert store.search_logged_models(run_id) == []
    assert store.get_run(run_id).outputs.model_outputs == []
    assert artifact.exists()
    with pytest.raises(NotFoundError):
        store.get_logged_model(first.model_id)
    assert [path.name for path in artifact.parent.parent.iterdir()] == ["artifacts"]


def test_a_moved_folder_still_finds_its_artifacts(root, store, tmp_path):
    """Records name the old place; what lies in the folder itself is found in the new one."""
    run_id = uuid.uuid4().hex
    made = LoggedModel(
        "m-1f", "0", "model", f"{root}/0/models/m-1f/artifacts", 1, 2, run_id, params={"a": "b"}
    )
    uri = f"file://{root}/0/{run_id}/artifacts"
    store.write(RunChange(run_id, create=info(run_id, artifact_uri=uri), models=(made,)))
    elsewhere = create(store)
    root.rename(tmp_path / "moved")
    again = FileStore(tmp_path / "moved")
    new = f"{tmp_path}/moved/0"
    assert again.get_run(run_id).info.artifact_uri == f"{new}/{run_id}/artifacts"
    assert again.get_logged_model("m-1f").artifact_location == f"{new}/models/m-1f/artifacts"
    assert again.get_experiment("0").artifact_location == new
    assert again.get_run(elsewhere).info.artifact_uri == f"/somewhere/{elsewhere}/artifacts"
    shutil.copytree(tmp_path / "moved", root)
    assert FileStore(root).get_run(run_id).info.artifact_uri == uri


# Keys and values

KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=250),
    st.text("a/.\u01c30fä%", min_size=1, max_size=12),
)


@settings(max_examples=500, deadline=None)
@given(KEYS)
def test_every_key_is_a_file_name_that_reads_back(key):
    """Names are relative paths in MLflow's characters, of parts a file system takes."""
    for name in (usual_name(key), other_name(key)):
        assert key_of(name) == key
        assert all(each.isalnum() or each in "_-. :/" for each in name if each != "\u01c3") or any(
            not each.isascii() for each in name
        )
        assert os.path.normpath(name) == name
        assert not name.startswith(("/", ".."))
        assert all(0 < len(part.encode()) < 256 for part in name.split("/"))
    assert usual_name(key) != other_name(key)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(KEYS, st.floats(width=64), max_size=6))
def test_whatever_is_booked_comes_back(tmp_path_factory, values):
    """Any key and any number read back as they were, in one write or one by one."""
    store = FileStore(tmp_path_factory.mktemp("any"))
    metrics = [Metric(key, value, 1) for key, value in values.items()]
    at_once = create(store, metrics=tuple(metrics), params=as_params(values), tags=as_tags(values))
    bit_by_bit = create(store)
    for each in metrics:
        text = str(each.value)
        store.write(
            RunChange(
                bit_by_bit,
                metrics=(each,),
                params=as_params({each.key: text}),
                tags=as_tags({each.key: text}),
            )
        )
    wanted = {key: str(value) for key, value in values.items()}
    for run_id in (at_once, bit_by_bit):
        data = store.get_run(run_id).data
        assert {key: str(value) for key, value in data.metrics.items()} == wanted
        assert data.params == data.tags == wanted
        for key in values:
            assert [each.key for each in store.get_metric_history(run_id, key)] == [key]


def test_a_key_may_be_the_folder_of_another(store):
    """`a` and `a/b` are two keys, whichever comes first, and each is found by filters."""
    first = create(store, params=as_params({"a": 1, "a/b": 2}), tags=as_tags({"x/y/z": 1}))
    second = create(store, params=as_params({"a/b": 2, "a": 1}), tags=as_tags({"x/y": 2}))
    store.write(
        RunChange(first, tags=as_tags({"x/y": 2})), RunChange(second, tags=as_tags({"x/y/z": 1}))
    )
    for run_id in (first, second):
        assert store.get_run(run_id).data.params == {"a": "1", "a/b": "2"}
        assert store.get_run(run_id).data.tags == {"x/y/z": "1", "x/y": "2"}
        with pytest.raises(ParamConflictError):
            store.write(RunChange(run_id, params=as_params({"a": 3})))
        with pytest.raises(ParamConflictError):
            store.write(RunChange(run_id, params=as_params({"a/b": 3})))
    for text in ("params.a = '1'", "params.`a/b` = '2'", "tags.`x/y/z` = '1'", "tags.`x/y` = '2'"):
        assert len(store.search_runs(["0"], text)) == 2, text
    store.write(RunChange(first, deleted_tags=("x/y",)), RunChange(second, deleted_tags=("x/y/z",)))
    assert store.get_run(first).data.tags == {"x/y/z": "1"}
    assert store.get_run(second).data.tags == {"x/y": "2"}


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"\A[a-z_]{1,8}\Z"),
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
            st.sampled_from(["a: b", "a #b", "'x'", '"', "- a", "x:", "true", "1", "null", " a "]),
            st.integers(-(2**63), 2**63),
            st.none(),
        ),
        min_size=1,
    )
)
def test_descriptions_are_yaml(values):
    """What we write any YAML reader takes, and we read what a YAML library writes."""
    written = dump(values)
    assert yaml.safe_load(written) == load(written) == values
    for options in ({}, {"allow_unicode": True}, {"width": 20}):
        theirs = yaml.safe_dump(values, **options).encode()
        assert load(theirs) == yaml.safe_load(theirs)


# MLflow on the same folder


def test_mlflow_reads_what_we_write(root, store, mlflow_client):
    """Experiments, runs with all they hold, data sets and models are the same to MLflow."""
    number = store.create_experiment("größer: #1", tags={"team/a": "x", "50%": "half"})
    made = model(
        "", params={"C": "1", "a=b": "2"}, tags={"t": "x"},
        metrics=(Metric("acc", 0.5, 3), Metric("nan", math.nan, 3, 1)),
    )  # fmt: skip
    run_id = create(
        store,
        number,
        fields={"status": "FINISHED", "end_time": 2000, "run_name": "ours: a 'name' #1"},
        params=as_params({"C": 1, "clf/C": "two\r\nlines\n", "empty": ""}),
        tags=as_tags({"mlflow.runName": "ours", "note": "größer"}),
        metrics=tuple(Metric(key, value, 3, 1) for key, value in NUMBERS.items()),
        inputs=(dataset(), dataset("other", "test", schema=None)),
        models=(made,),
    )
    client = mlflow_client
    experiment = client.get_experiment_by_name("größer: #1")
    assert (experiment.experiment_id, experiment.lifecycle_stage) == (number, "active")
    assert experiment.artifact_location == f"{root}/{number}"
    assert experiment.tags == {"team/a": "x", "50\u01c325\u01c3": "half"}
    run = client.get_run(run_id)
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 1000, 2000)
    assert run.info.run_name == "ours: a 'name' #1"
    assert run.info.artifact_uri == f"/somewhere/{run_id}/artifacts"
    assert run.data.params == {"C": "1", "clf/C": "two\r\nlines\n", "empty": ""}
    assert run.data.tags == {"mlflow.runName": "ours", "note": "größer"}
    assert str(run.data.metrics) == str({key: NUMBERS[key] for key in run.data.metrics})
    assert set(run.data.metrics) == set(NUMBERS)
    (point,) = client.get_metric_history(run_id, "acc")
    assert (point.value, point.timestamp, point.step) == (0.5, 3, 1)
    items = {item.dataset.name: item for item in run.inputs.dataset_inputs}
    assert {each.key: each.value for each in items["iris"].tags} == {"mlflow.data.context": "train"}
    assert items["iris"].dataset.schema == '{"a": "b: c"}'
    assert items["other"].dataset.schema is None
    assert [each.model_id for each in run.outputs.model_outputs] == [made.model_id]
    found = client.get_logged_model(made.model_id)
    assert (found.name, str(found.status), found.source_run_id) == ("model", "READY", run_id)
    assert found.params == {"C": "1", "a\u01c33d\u01c3b": "2"}
    assert found.tags == {"t": "x"}
    assert {each.key: str(each.value) for each in found.metrics} == {"acc": "0.5", "nan": "nan"}
    assert [each.model_id for each in client.search_logged_models([number])] == [made.model_id]
    for text in (
        "metrics.acc = 0.5",
        "params.C = '1'",
        "tags.note LIKE 'gr%'",
        "dataset.name = 'iris'",
    ):
        assert [each.info.run_id for each in client.search_runs([number], text)] == [run_id], text
        assert [each.info.run_id for each in store.search_runs([number], text)] == [run_id], text


def test_we_read_what_mlflow_writes(root, mlflow_client, monkeypatch):
    """Whatever MLflow's client has logged to a folder of its own is the same to us."""
    import mlflow
    import pandas as pd
    from mlflow.entities import Metric as TheirMetric
    from sklearn.linear_model import Ridge

    client = mlflow_client
    number = client.create_experiment("größer: #1", tags={"a/b": "1", "long": "x y " * 60})
    run_id = client.create_run(number, run_name="it's: theirs #1").info.run_id
    for step, value in enumerate((1.5, math.nan, math.inf, -math.inf)):
        client.log_metric(run_id, "deep/loss", value, timestamp=1000 + step, step=step)
    client.log_metric(run_id, "back", 2.0, timestamp=5, step=-3)
    client.log_batch(run_id, [TheirMetric("big", 1e300, 1, 0), TheirMetric("third", 1 / 3, 1, 0)])
    params = {"empty": "", "a b": "x", "a:b": "größer", "deep/er/C": "two\r\nlines\n", "ä": "1"}
    for key, value in params.items():
        client.log_param(run_id, key, value)
    client.set_tag(run_id, "t", "first")
    client.set_tag(run_id, "t", "second")
    client.set_terminated(run_id, "FAILED", end_time=99)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it, and it must not stay
    mlflow.set_tracking_uri(root.as_uri())
    try:
        with mlflow.start_run(experiment_id=number) as active:
            data = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2.0]}), name="dd")
            mlflow.log_input(data, context="training")
            made = mlflow.sklearn.log_model(
                Ridge().fit([[1.0], [2.0]], [1.0, 2.0]), name="model",
                params={"z": 1, "y/z": 2}, pip_requirements=["scikit-learn"],
            )  # fmt: skip
            mlflow.log_metric("mm", 3.0, model_id=made.model_id, dataset=data)
            mlflow.log_metric("mm", 4.0, step=2, model_id=made.model_id)
    finally:
        mlflow.set_tracking_uri(None)

    store = FileStore(root)
    experiment = store.get_experiment_by_name("größer: #1")
    assert (experiment.experiment_id, experiment.tags["a/b"]) == (number, "1")
    assert experiment.tags["long"] == "x y " * 60
    run = store.get_run(run_id)
    assert (run.info.run_name, run.info.status, run.info.end_time) == (
        "it's: theirs #1", "FAILED", 99,
    )  # fmt: skip
    assert run.data.params == params
    assert run.data.tags["t"] == "second"
    assert run.data.metrics == {"deep/loss": -math.inf, "back": 2.0, "big": 1e300, "third": 1 / 3}
    history = store.get_metric_history(run_id, "deep/loss")
    assert [str(each.value) for each in history] == ["1.5", "nan", "inf", "-inf"]
    assert [(each.step, each.timestamp) for each in history] == [(n, 1000 + n) for n in range(4)]
    run = store.get_run(active.info.run_id)
    assert run.data.metrics == {"mm": 4.0}
    (item,) = run.inputs.dataset_inputs
    assert (item.dataset.name, item.tags) == ("dd", (RunTag("mlflow.data.context", "training"),))
    assert item.dataset.profile == '{"num_rows": 2, "num_elements": 2}'
    assert [each.model_id for each in run.outputs.model_outputs] == [made.model_id]
    (found,) = store.search_logged_models(run.info.run_id)
    assert (found.name, found.status, found.source_run_id) == ("model", "READY", run.info.run_id)
    assert found.params == {"z": "1", "y/z": "2"}
    assert [(each.key, each.value, each.step) for each in found.metrics] == [
        ("mm", 3.0, 0), ("mm", 4.0, 2),
    ]  # fmt: skip
    assert (Path(found.artifact_location.removeprefix("file://")) / "MLmodel").exists()
    assert {each.info.run_id for each in store.search_runs([number])} == {
        run_id, active.info.run_id,
    }  # fmt: skip
    pending = client.create_logged_model(number, name="begun", source_run_id=run_id)
    assert [each.status for each in store.search_logged_models(run_id)] == ["PENDING"]
    client.delete_logged_model(pending.model_id)
    with pytest.raises(NotFoundError):
        store.get_logged_model(pending.model_id)


def test_the_data_that_models_were_measured_on_in_turns(root, store, mlflow_client):
    """MLflow reads our data sets and we read its own; a name that it could not read is coded."""
    run_id = create(store)
    made = model(run_id)
    store.write(RunChange(run_id, models=(made,)))
    ours = {"plain": "d1", "with space": "d 2", "100%20": "d3", "größe": "d4", "50 %": "d5"}
    metrics = tuple(
        Metric("ours", float(at), at, dataset_name=name, dataset_digest=digest)
        for at, (name, digest) in enumerate(ours.items())
    )
    store.write(RunChange(run_id, model_changes=(ModelChange(made.model_id, metrics=metrics),)))
    for at, name in enumerate(("plain", "größe", "100%")):
        mlflow_client.log_metric(
            run_id, "theirs", at, timestamp=at, model_id=made.model_id,
            dataset_name=name, dataset_digest="d9",
        )  # fmt: skip
    found = {
        (each.key, each.dataset_name): each
        for each in store.get_logged_model(made.model_id).metrics
    }
    assert {name: found["ours", name].dataset_digest for name in ours} == ours
    assert {key[1] for key in found} - ours.keys() == {"100%"}
    assert {each.run_id for each in found.values()} == {run_id}
    theirs = mlflow_client.get_logged_model(made.model_id).metrics
    read = {each.dataset_name: each.dataset_digest for each in theirs if each.key == "ours"}
    assert read == {"plain": "d1", "with%20space": "d%202", "100%2520": "d3", "größe": "d4",
                    "50%20%": "d5"}  # fmt: skip
    asked = [{"dataset_name": "größe", "dataset_digest": "d4"}]
    assert mlflow_client.search_logged_models(["0"], datasets=asked)[0].model_id == made.model_id
    assert store.search_models(["0"], datasets=[("größe", "d4")])[0].model_id == made.model_id
    assert not store.search_models(["0"], datasets=[("größe", "d5")])


def test_mlflow_and_we_write_to_one_run_in_turns(root, store, mlflow_client):
    """Each goes on where the other stopped; what is booked by one binds the other."""
    import mlflow

    client = mlflow_client
    run_id = create(store, params=as_params({"C": 1}), metrics=(Metric("m", 1.0, 1, 0),))
    client.log_metric(run_id, "m", 2.0, timestamp=2, step=1)
    client.log_param(run_id, "theirs", "x")
    client.set_tag(run_id, "who", "they")
    store.write(
        RunChange(run_id, metrics=(Metric("m", 3.0, 3, 2),), tags=as_tags({"who": "we"})),
        RunChange(run_id, run_name="new", inputs=(dataset(),)),
    )
    client.log_metric(run_id, "m", 4.0, timestamp=4, step=3)
    assert [each.value for each in store.get_metric_history(run_id, "m")] == [1.0, 2.0, 3.0, 4.0]
    assert [each.value for each in client.get_metric_history(run_id, "m")] == [1.0, 2.0, 3.0, 4.0]
    assert client.get_run(run_id).data.tags == {"who": "we", "mlflow.runName": "new"}
    assert client.get_run(run_id).info.run_name == "new"
    with pytest.raises(ParamConflictError, match="'theirs'"):
        store.write(RunChange(run_id, params=as_params({"theirs": "y"})))
    with pytest.raises(mlflow.exceptions.MlflowException):
        client.log_param(run_id, "C", "2")
    client.set_terminated(run_id, "FINISHED", end_time=77)
    assert (store.get_run(run_id).info.status, store.get_run(run_id).info.end_time) == (
        "FINISHED", 77,
    )  # fmt: skip
    client.delete_tag(run_id, "who")
    store.write(RunChange(run_id, deleted_tags=("mlflow.runName",)))
    assert store.get_run(run_id).data.tags == client.get_run(run_id).data.tags == {}
    theirs = client.create_run("0").info.run_id
    store.write(RunChange(theirs, status="KILLED", end_time=5, params=as_params({"p": 1})))
    assert client.get_run(theirs).info.status == "KILLED"
    meta = yaml.safe_load((root / "0" / theirs / "meta.yaml").read_bytes())
    assert meta["source_type"] == 4  # what is not ours stays
    data = mlflow.data.from_numpy(__import__("numpy").zeros((2, 2)), name="zeros")
    from mlflow.entities import DatasetInput as TheirInput

    ours = Dataset(data.name, data.digest, "code", "{}")
    client.log_inputs(theirs, [TheirInput(data._to_mlflow_entity(), [])])
    store.write(RunChange(theirs, inputs=(DatasetInput(ours, (RunTag("a", "b"),)),)))
    (item,) = client.get_run(theirs).inputs.dataset_inputs
    assert [(tag.key, tag.value) for tag in item.tags] == [("a", "b")]


def test_deleting_and_restoring_in_turns(root, store, mlflow_client):
    """What one deletes the other sees deleted and brings back: runs, and experiments with them."""
    client = mlflow_client
    number = store.create_experiment("x")
    alone, together = create(store, number), create(store, number)
    store.write(RunChange(alone, lifecycle_stage="deleted"))
    assert client.get_run(alone).info.lifecycle_stage == "deleted"
    assert [each.info.run_id for each in client.search_runs([number])] == [together]

    store.update_experiment(number, lifecycle_stage="deleted")
    assert (root / ".trash" / number / "meta.yaml").exists()
    assert client.get_experiment(number).lifecycle_stage == "deleted"
    assert client.get_run(together).info.lifecycle_stage == "deleted"
    assert store.get_run(together).info.lifecycle_stage == "deleted"
    assert store.search_runs([number]) == []
    assert len(store.search_runs([number], view_type=ViewType.ALL)) == 2
    with pytest.raises(AlreadyExistsError):
        store.create_experiment("x")
    store.update_experiment(number, lifecycle_stage="active")
    assert store.get_run(alone).info.lifecycle_stage == "deleted"
    assert client.get_run(together).info.lifecycle_stage == "active"

    client.delete_experiment(number)
    assert store.get_experiment(number).lifecycle_stage == "deleted"
    with pytest.raises(InvalidParameterError, match="deleted"):
        store.update_experiment(number, name="y")
    store.update_experiment(number, lifecycle_stage="active", name="y", tags={"a": "b"})
    assert client.get_experiment_by_name("y").tags == {"a": "b"}
    assert client.get_run(together).info.lifecycle_stage == "active"
    client.restore_run(alone)
    assert store.get_run(alone).info.lifecycle_stage == "active"
    client.delete_run(together)
    store.write(RunChange(together, lifecycle_stage="active"))
    assert client.get_run(together).info.lifecycle_stage == "active"
    store.update_experiment(number, lifecycle_stage="deleted")
    client.restore_experiment(number)
    assert len(client.search_runs([number])) == len(store.search_runs([number])) == 2
    client.rename_experiment(number, "z")
    assert store.get_experiment_by_name("z").experiment_id == number


def test_odd_keys_do_not_lock_mlflow_out(store, mlflow_client):
    """MLflow refuses an experiment with a key it does not know; ours are written as it takes them."""
    odd = ["50%", "a=b", "..", "/a", "a//b", "a/", "tab\t", "x" * 250, "ä" * 250, "a\\b", "[0]"]
    run_id = create(
        store,
        params=as_params({key: key[:20] for key in odd}),
        tags=as_tags({key: key[:20] for key in odd}),
        metrics=tuple(Metric(key, 1.0, 1) for key in odd),
    )
    assert set(store.get_run(run_id).data.params) == set(odd)
    (run,) = mlflow_client.search_runs(["0"])
    for held in (run.data.params, run.data.tags, run.data.metrics):
        assert {key_of(key) for key in held} == set(odd)


# Nothing by halves


def failing(monkeypatch, name, count, lasting):
    """Let a call of the operating system fail after it went well `count` times: once, or always."""
    original, left = getattr(os, name), [count]

    def call(path, *arguments, **options):
        left[0] -= 1
        if left[0] < 0 if lasting else left[0] == -1:
            raise OSError(errno.ENOSPC, "no space", str(path))
        return original(path, *arguments, **options)

    monkeypatch.setattr(files_medium.os, name, call)


@pytest.mark.parametrize(
    ("call", "lasting"),
    [
        ("write", True),
        ("mkdir", True),
        ("link", True),
        ("open", True),
        ("rename", False),
        ("replace", False),
    ],
)
def test_a_write_that_fails_leaves_nothing(root, store, monkeypatch, call, lasting):
    """Whichever call fails, the folder is as before for every reader, and a retry succeeds."""
    gone = model("", "gone")
    run_id = create(
        store,
        params=as_params({"p": 1}),
        tags=as_tags({"t": "old", "away": "x"}),
        metrics=(Metric("m", 1.0, 1),),
        models=(gone,),
    )
    new, first = uuid.uuid4().hex, uuid.uuid4().hex
    (root / "0" / first / "artifacts").mkdir(parents=True)
    changes = (
        RunChange(
            run_id,
            status="FINISHED",
            params=as_params({"q/r": 2}),
            tags=as_tags({"t": "new", "u": "x"}),
            deleted_tags=("away",),
            metrics=(Metric("m", 2.0, 2), Metric("n", 1.0, 1)),
            inputs=(dataset(),),
            models=(model(""),),
            deleted_models=(gone.model_id,),
        ),
        RunChange(new, create=info(new), params=as_params({"a": 1})),
        RunChange(first, create=info(first), params=as_params({"a": 1})),
    )
    before = tree(root)
    failures = 0
    for count in range(200):
        with monkeypatch.context() as patched:
            failing(patched, call, count, lasting)
            try:
                store.write(*changes)
                break
            except StoreError as error:
                assert "no space" in str(error) and "make room" in str(error)
                failures += 1
        after = tree(root)
        unseen = {path for path in after if path.startswith(f"0/{first}/")}  # no run without meta
        assert {path: data for path, data in after.items() if path not in unseen} == before
        assert f"0/{first}/meta.yaml" not in after
        assert [each.info.run_id for each in store.search_runs(["0"])] == [run_id]
    assert failures > 1
    assert len(store.search_runs(["0"])) == 3
    run = store.get_run(run_id)
    assert run.data.tags == {"t": "new", "u": "x"}
    assert [each.value for each in store.get_metric_history(run_id, "m")] == [1.0, 2.0]
    assert [each.name for each in store.search_logged_models(run_id)] == ["model"]
    if call != "open":  # without it nothing can be tidied up
        assert not os.listdir(root / "0" / ".skledger" / "staging")


PRELUDE = """
import sys, uuid
from skledger.errors import ParamConflictError, StoreError
from skledger.stores.files import FileStore
from skledger.tracking.entities import *

def change(name, size=5):
    run_id = uuid.uuid4().hex
    info = RunInfo(run_id, "0", name, "me", "RUNNING", 1, None, "active", "/x/" + run_id)
    return RunChange(
        run_id, create=info, status="FINISHED", end_time=2,
        params=as_params({f"p{i}": i for i in range(size)}),
        metrics=tuple(Metric(f"m{i}", i, 1) for i in range(size)),
        tags=as_tags({f"t{i}": i for i in range(size)}),
    )
"""


def start(code, *arguments, **options):
    program = PRELUDE + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], **options)


@pytest.mark.skipif(NO_KILL, reason="needs SIGKILL")
def test_a_killed_writer_leaves_whole_runs(root):
    """kill -9 in the middle of writing: each run that is there has all it was written with."""
    code = """
    store = FileStore(sys.argv[1])
    held = change("held", 0)
    store.write(held)
    print(held.run_id, flush=True)
    number = 0
    while True:
        store.write(change("run", 20))
        number += 1
        store.write(RunChange(held.run_id, metrics=(Metric("m", number, number, number),),
                              tags=as_tags({"t": number})))
        print("booked", flush=True)
    """
    FileStore(root)
    booked = 0
    for attempt in range(6):
        process = start(code, root, stdout=subprocess.PIPE, text=True)
        held = process.stdout.readline().strip()
        time.sleep(0.05 + 0.037 * attempt)
        process.send_signal(signal.SIGKILL)
        mine = process.stdout.read().count("booked")
        booked += mine
        process.wait(10)
        process.stdout.close()
        store = FileStore(root)
        runs = store.search_runs(["0"], "attributes.run_name = 'run'", max_results=50_000)
        assert booked <= len(runs) <= booked + attempt + 1
        for run in runs:
            assert run.info.status == "FINISHED"
            assert len(run.data.params) == len(run.data.metrics) == len(run.data.tags) == 20
        history = [each.step for each in store.get_metric_history(held, "m")]
        assert history in (list(range(1, mine + 1)), list(range(1, mine + 2)))
    assert booked > 0


def test_leftovers_are_passed_over_and_removed_after_a_day(root, store):
    """What a killed process leaves half made is no run, and does not stay for ever."""
    staging = root / "0" / ".skledger" / "staging"
    run_id = create(store)
    for name, age in (("young", 60), ("old", 100_000)):
        (staging / name / "params").mkdir(parents=True)
        shutil.copy(root / "0" / run_id / "meta.yaml", staging / name / "meta.yaml")
        (staging / f"{name}-file").write_text("x")
        for path in (staging / name, staging / f"{name}-file"):
            os.utime(path, (time.time() - age,) * 2)
    (root / "0" / uuid.uuid4().hex / "params").mkdir(parents=True)  # a copy that was stopped
    again = FileStore(root)
    assert [each.info.run_id for each in again.search_runs(["0"])] == [run_id]
    create(again)
    assert sorted(os.listdir(staging)) == ["young", "young-file"]


def test_readers_see_runs_whole(root, store):
    """While runs are written, every search finds each of them with all it holds."""
    process = start(
        """
        store = FileStore(sys.argv[1])
        for _ in range(60):
            store.write(change("run", 10))
        """,
        root,
    )
    seen = 0
    while process.poll() is None:
        runs = store.search_runs(["0"])
        assert len(runs) >= seen
        seen = len(runs)
        for run in runs:
            held = run.data
            assert len(held.params) == len(held.metrics) == len(held.tags) == 10
    assert process.returncode == 0
    assert len(store.search_runs(["0"])) == 60


def test_a_line_that_is_being_written_does_not_count_yet(root, store, caplog):
    """A metric's last line counts with its end; a line that is no value is passed over, once said."""
    run_id = create(store, metrics=(Metric("m", 1.0, 1, 1),))
    path = root / "0" / run_id / "metrics" / "m"
    with path.open("ab") as file:
        file.write(b"2 2.0 1")
    assert store.get_run(run_id).data.metrics == {"m": 1.0}
    store.write(RunChange(run_id, metrics=(Metric("m", 3.0, 3, 3),)))
    assert path.read_bytes() == b"1 1.0 1\n2 2.0 1\n3 3.0 3\n"
    with path.open("ab") as file:
        file.write(b"nonsense\n")
    with caplog.at_level(logging.WARNING, "skledger"):
        for _ in range(3):
            assert store.get_run(run_id).data.metrics == {"m": 3.0}
    assert len(caplog.records) == 1
    assert str(path) in caplog.text


def test_long_histories(root, store):
    """The latest value of a metric of thousands of steps is right, however it grows or shrinks."""
    run_id = create(store)
    path = root / "0" / run_id / "metrics" / "m"
    for first in range(0, 3000, 1000):
        points = (Metric("m", float(n), n, n) for n in range(first, first + 1000))
        store.write(RunChange(run_id, metrics=tuple(points)))
        assert store.get_run(run_id).data.metrics == {"m": first + 999.0}
    store.write(RunChange(run_id, metrics=(Metric("m", -1.0, 1, 1),)))  # late, of an early step
    assert store.get_run(run_id).data.metrics == {"m": 2999.0}
    assert len(store.get_metric_history(run_id, "m")) == 3001
    path.write_text("".join(f"{n} 7.0 {n}\n" for n in range(1500)))
    assert store.get_run(run_id).data.metrics == {"m": 7.0}
    replacement = path.with_name("other")
    replacement.write_text("".join(f"{n} 8.0 {n}\n" for n in range(5000)))
    replacement.replace(path)
    assert store.get_run(run_id).data.metrics == {"m": 8.0}


# Many processes


@pytest.mark.slow
def test_eight_processes_fit_in_a_fresh_folder(root):
    """Eight processes with autologging that begin together in a new folder lose no run."""
    code = """
    import sys
    import skledger
    from sklearn.linear_model import Ridge

    skledger.set_tracking_uri(sys.argv[1])
    skledger.autolog()
    sys.stdin.readline()  # all start together
    for number in range(50):
        Ridge(alpha=int(sys.argv[2]) * 100 + number).fit([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0])
    """
    program = textwrap.dedent(code)
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", program, root.as_uri(), str(who)], stdin=subprocess.PIPE
        )
        for who in range(8)
    ]
    time.sleep(1.0)
    for process in crowd:
        process.stdin.write(b"\n")
        process.stdin.close()
    assert [process.wait(240) for process in crowd] == [0] * 8
    store = FileStore(root)
    runs = store.search_runs(["0"])
    assert sorted(int(run.data.params["alpha"]) for run in runs) == sorted(
        who * 100 + number for who in range(8) for number in range(50)
    )
    assert all(run.info.status == "FINISHED" and run.data.metrics for run in runs)
    assert all(len(store.search_logged_models(run.info.run_id)) == 1 for run in runs)
    assert [each.name for each in store.search_experiments()] == ["Default"]
    assert store.running_runs() == []


def test_eight_processes_make_experiments(root):
    """Processes that make experiments at once get one of each name, and one number each."""
    code = """
    store = FileStore(sys.argv[1])
    sys.stdin.readline()
    print(*(store.experiment_for_runs(f"e{n}").experiment_id for n in range(5)))
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    crowd = [start(code, root, **pipes) for _ in range(8)]
    said = {process.communicate("\n", timeout=60)[0] for process in crowd}
    assert len(said) == 1
    assert len(set(said.pop().split())) == 5
    names = [each.name for each in FileStore(root).search_experiments()]
    assert sorted(names) == ["Default", *(f"e{n}" for n in range(5))]


def test_metrics_and_params_of_one_run_from_many_processes(root, store):
    """No value of a metric is lost, and of many values for one param exactly one is taken."""
    run_id = create(store)
    code = """
    store, who = FileStore(sys.argv[1]), int(sys.argv[3])
    sys.stdin.readline()
    won = 0
    for step in range(25):
        number = who + 4 * step
        store.write(RunChange(sys.argv[2], metrics=(Metric("m", number, 1, number),)))
        try:
            store.write(RunChange(sys.argv[2], params=as_params({f"p{step}": who})))
            won += 1
        except ParamConflictError:
            pass
    print(won)
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    crowd = [start(code, root, run_id, who, **pipes) for who in range(4)]
    assert sum(int(process.communicate("\n", timeout=60)[0]) for process in crowd) == 25
    assert [each.step for each in store.get_metric_history(run_id, "m")] == list(range(100))
    run = store.get_run(run_id)
    assert run.data.metrics == {"m": 99.0}
    assert set(run.data.params) == {f"p{step}" for step in range(25)}


def test_threads_and_a_fork_write_to_one_run(store):
    """Threads write to one run while a fork does too, and neither waits for a lost lock."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    run_id = create(store)

    def write(who):
        for number in range(20):
            step = who * 100 + number
            store.write(RunChange(run_id, metrics=(Metric("m", 1.0, 1, step),)))

    threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    children = []
    for who in (3, 4):
        child = os.fork()
        if child == 0:
            try:
                write(who)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    for thread in threads:
        thread.join()
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0, 0]
    assert len(store.get_metric_history(run_id, "m")) == 100


def test_a_lock_that_is_held_for_too_long_is_a_store_error(root, store, monkeypatch):
    """Who waits for a stopped process is told so, after a while; new runs do not wait."""
    run_id = create(store)
    monkeypatch.setattr(files_locks, "PATIENCE", 0.2)
    with files_locks.locked(files_locks.locks_in(f"{root}/0")):
        with pytest.raises(StoreError, match="locked by another process"):
            store.write(RunChange(run_id, tags=as_tags({"a": 1})))
        assert create(store)
    store.write(RunChange(run_id, tags=as_tags({"a": 1})))


def test_running_runs_are_found_by_their_marks(root, store, mlflow_client):
    """Runs of ours that are RUNNING are found without asking every run; others, by asking."""
    tags = as_tags({"skledger.process": "here"})
    one, two = create(store, tags=tags), create(store, tags=tags)
    plain = create(store)
    ended = create(store, fields={"status": "FINISHED"}, tags=tags)
    theirs = mlflow_client.create_run("0", tags={"x": "y"}).info.run_id

    def running(tag):
        return {each.info.run_id for each in store.running_runs(tag)}

    assert running("skledger.process") == {one, two}
    assert running(None) == {one, two, plain, theirs}
    assert running("x") == {theirs}
    store.write(RunChange(one, status="FINISHED"), RunChange(ended, status="RUNNING"))
    assert running("skledger.process") == {two, ended}
    mlflow_client.set_terminated(two)
    assert running("skledger.process") == {ended}
    pages = [store.running_runs(None, 1)]
    while pages[-1]:
        pages.append(store.running_runs(None, 1, pages[-1][-1].info.run_id))
    found = [run.info.run_id for page in pages for run in page]
    assert found == sorted({plain, theirs, ended})


# Folders that are not as they should be


def test_a_file_in_the_place_of_the_folder(tmp_path):
    """A store cannot be where a file is, and the error says so."""
    (tmp_path / "mlruns").write_text("")
    for path in (tmp_path / "mlruns", tmp_path / "mlruns" / "below"):
        with pytest.raises(StoreError, match="mlruns.*something else is in its place"):
            FileStore(path)


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"[1, 2]", b"a: b: c", b"status: 99\n"])
def test_a_damaged_run_hides_no_other(root, store, caplog, damage):
    """A run whose description is damaged is passed over with one line; asked for, it is an error."""
    good, bad = create(store), create(store)
    path = root / "0" / bad / "meta.yaml"
    path.write_bytes(damage)
    os.utime(path, (1, 1))
    with caplog.at_level(logging.WARNING, "skledger"):
        for _ in range(3):
            assert [each.info.run_id for each in store.search_runs(["0"])] == [good]
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    with pytest.raises(StoreError, match=f"{bad}/meta.yaml is damaged"):
        store.get_run(bad)


def test_a_damaged_experiment_hides_no_other(root, store, caplog):
    """The same goes for experiments, and what is no experiment is none."""
    number = store.create_experiment("x")
    path = root / number / "meta.yaml"
    path.write_bytes(b"experiment_id: '1'\n")
    os.utime(path, (1, 1))
    (root / "notes").mkdir()
    (root / "12").mkdir()
    (root / "stray.txt").write_text("")
    with caplog.at_level(logging.WARNING, "skledger"):
        for _ in range(3):
            assert [each.name for each in store.search_experiments()] == ["Default"]
    assert len(caplog.records) == 1
    with pytest.raises(StoreError, match="damaged.*name"):
        store.get_experiment(number)
    assert int(store.create_experiment("y")) == 13


def test_a_description_that_is_being_rewritten_is_read_again(root, store):
    """Others rewrite files in their place: half of one is not taken for damage at once."""
    run_id = create(store)
    path = root / "0" / run_id / "meta.yaml"
    whole = path.read_bytes()
    path.write_bytes(b"")
    timer = threading.Timer(0.015, path.write_bytes, (whole,))
    timer.start()
    assert store.get_run(run_id).info.run_id == run_id
    timer.join()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_folder_reads_and_refuses_writes(root, store):
    """A folder that cannot be written to is read; writing is a StoreError that says what to do."""
    run_id = create(store, metrics=(Metric("m", 1.0, 1),))
    undo = make_read_only(root)
    try:
        again = FileStore(root)
        assert again.get_run(run_id).data.metrics == {"m": 1.0}
        assert len(again.search_runs(["0"], "metrics.m = 1")) == 1
        assert again.experiment_for_runs(None).name == "Default"
        for write in (
            lambda: create(again),
            lambda: again.write(RunChange(run_id, tags=as_tags({"a": 1}))),
            lambda: again.create_experiment("x"),
            lambda: again.update_experiment("0", name="x"),
        ):
            with pytest.raises(StoreError, match="cannot write to .*mlruns.*writable"):
                write()
        with pytest.raises(StoreError, match="cannot open .*writable"):
            FileStore(root / "0" / "below")
    finally:
        undo()
    store.write(RunChange(run_id, tags=as_tags({"a": 1})))


def make_read_only(root):
    """Let nothing in a folder be written, for root too; return how to undo it."""
    if os.geteuid() == 0:
        done = subprocess.run(["chattr", "-R", "+i", root], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("root may write to everything here")
        return lambda: subprocess.run(["chattr", "-R", "-i", root], check=True)
    subprocess.run(["chmod", "-R", "a-w", root], check=True)
    return lambda: subprocess.run(["chmod", "-R", "u+w", root], check=True)


@pytest.mark.parametrize("name", ["../0", "a/b", "tags", ".", "", "models", "meta.yaml", "x\0"])
def test_identifiers_stay_in_their_folders(store, name):
    """What is no name of a run or model is not found, and cannot be made."""
    with pytest.raises(NotFoundError):
        store.get_run(name)
    with pytest.raises(NotFoundError):
        store.get_logged_model(name)
    with pytest.raises(InvalidParameterError):
        store.write(RunChange(name, create=info(name)))


# Searching


def test_a_search_reads_only_what_it_looks_at(root, store, monkeypatch):
    """A filter on one metric opens two files of each run that does not match."""
    for number in range(50):
        create(
            store,
            params=as_params({f"p{n}": n for n in range(20)}),
            metrics=tuple(Metric(f"m{n}", number, 1) for n in range(10)),
        )
    opened = []
    original = os.open

    def counting(path, *arguments, **options):
        opened.append(path)
        return original(path, *arguments, **options)

    monkeypatch.setattr(files_medium.os, "open", counting)
    assert len(store.search_runs(["0"], "metrics.m3 > 48")) == 1
    assert len(opened) < 2 * 50 + 50


def test_two_stores_see_each_other_at_once(root, store):
    """Nothing is remembered that another process may have changed."""
    other = FileStore(root)
    run_id = create(store, metrics=(Metric("m", 1.0, 1),), tags=as_tags({"t": 1}))
    for number in range(20):
        store.write(
            RunChange(
                run_id,
                metrics=(Metric("m", number, 2, number),),
                tags=as_tags({"t": number}),
                status=("RUNNING", "FINISHED")[number % 2],
            )
        )
        run = other.get_run(run_id)
        assert (run.data.metrics, run.data.tags) == ({"m": number}, {"t": str(number)})
        assert len(other.search_runs(["0"], f"metrics.m = {number} AND tags.t = '{number}'")) == 1
        assert run.info.status == ("RUNNING", "FINISHED")[number % 2]
    shutil.rmtree(root / "0" / run_id)
    with pytest.raises(NotFoundError):
        other.get_run(run_id)
    assert other.search_runs(["0"]) == []
