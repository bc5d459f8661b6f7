"""The client: experiments, runs, artifacts and models by their identifiers, at any tracking URI."""

from __future__ import annotations

import io
import json
import math
import os
import warnings

import numpy as np
import pandas as pd
import pytest

import skledger
from skledger import MlflowClient
from skledger.entities import (
    FileInfo,
    LoggedModel,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    ParamConflictError,
    SkledgerError,
)
from skledger.tracking.entities import RunChange
from skledger.tracking.session import get_store


@pytest.fixture(params=["sqlite:///client.db", "memory:", "a folder"])
def client(request):
    """A client of a database, of a store in memory, and of a folder of files."""
    return MlflowClient(request.param)


@pytest.fixture
def run_id(client):
    """A run that is RUNNING in the default experiment."""
    return client.create_run("0").info.run_id


# Where


def test_a_client_keeps_its_tracking_uri(tmp_path):
    """What it was made with, or what was in use then; neither changes the other."""
    skledger.set_tracking_uri("sqlite:///one.db")
    first = MlflowClient()
    other = MlflowClient(tracking_uri=tmp_path / "folder")
    skledger.set_tracking_uri("sqlite:///two.db")
    assert first.tracking_uri == f"sqlite:///{tmp_path / 'one.db'}"
    assert other.tracking_uri == str(tmp_path / "folder")
    run = first.create_run("0")
    assert first.get_run(run.info.run_id).info.run_id == run.info.run_id
    with pytest.raises(NotFoundError):
        skledger.get_run(run.info.run_id)
    assert "one.db" in repr(first)


def test_the_names_of_mlflow_lead_to_the_client():
    """The same class under each of its names; a script imports any of them."""
    import skledger as mlflow
    from skledger.client import MlflowClient as of_client
    from skledger.tracking import MlflowClient as of_tracking
    from skledger.tracking.client import MlflowClient as of_module

    assert of_client is of_tracking is of_module is mlflow.MlflowClient
    assert mlflow.tracking.MlflowClient is mlflow.TrackingClient
    assert mlflow.tracking.get_tracking_uri() == mlflow.get_tracking_uri()
    assert mlflow.MlflowException is mlflow.exceptions.MlflowException is SkledgerError
    assert mlflow.entities.ViewType.ACTIVE_ONLY == 1
    with pytest.raises(mlflow.exceptions.MlflowException) as raised:
        mlflow.MlflowClient().get_run("0" * 32)
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_the_registry_uri_is_kept():
    """It is the tracking URI until one is set."""
    assert skledger.get_registry_uri() == skledger.get_tracking_uri()
    assert not skledger.is_tracking_uri_set()
    skledger.set_registry_uri("sqlite:////somewhere/registry.db")
    assert skledger.get_registry_uri() == "sqlite:////somewhere/registry.db"
    skledger.set_registry_uri("")
    skledger.set_tracking_uri("memory:")
    assert skledger.get_registry_uri() == "memory:"
    assert skledger.is_tracking_uri_set()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sqlite:///a.db", "sqlite:///{}/a.db"),
        ("sqlite:////x/a.db", "sqlite:////x/a.db"),
        ("mlruns", "{}/mlruns"),
        ("./ml runs", "{}/ml runs"),
        ("/x/mlruns", "/x/mlruns"),
        ("file:./mlruns", "file://{}/mlruns"),
        ("file:///x/mlruns", "file:///x/mlruns"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("memory:", "memory:"),
    ],
)
def test_a_tracking_uri_means_the_same_in_every_folder(given, kept, tmp_path):
    """What is relative is of the folder in which it was set; nothing is opened."""
    skledger.set_tracking_uri(given)
    assert skledger.get_tracking_uri() == kept.format(tmp_path)


# Experiments


def test_an_experiment_from_its_birth_to_its_end(client):
    """Create, read, rename, tag, delete and restore."""
    made = client.create_experiment("one", tags={"team": 1, "mlflow.note.content": "why"})
    experiment = client.get_experiment(made)
    assert experiment.name == "one"
    assert experiment.tags == {"team": "1", "mlflow.note.content": "why"}
    assert client.get_experiment_by_name("one") == experiment
    assert client.get_experiment_by_name("none") is None
    client.rename_experiment(made, "first")
    client.set_experiment_tag(made, "team", "blue")
    client.set_experiment_tags(made, {"a": 1, "b": None})
    client.delete_experiment_tag(made, "a")
    changed = client.get_experiment(made)
    assert changed.name == "first"
    assert changed.tags == {"team": "blue", "mlflow.note.content": "why", "b": "None"}
    assert changed.last_update_time >= experiment.last_update_time
    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    client.restore_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "active"


def test_what_cannot_be_done_to_an_experiment(client):
    """Each refusal is of its kind and names what was given."""
    made = client.create_experiment("one")
    client.create_experiment("two")
    with pytest.raises(AlreadyExistsError, match="'one'"):
        client.create_experiment("one")
    with pytest.raises(AlreadyExistsError, match="'two'"):
        client.rename_experiment(made, "two")
    with pytest.raises(NotFoundError, match="999"):
        client.rename_experiment("999", "three")
    with pytest.raises(NotFoundError, match="no tag 'k'"):
        client.delete_experiment_tag(made, "k")
    with pytest.raises(NotFoundError, match="no deleted experiment"):
        client.restore_experiment(made)
    client.delete_experiment(made)
    with pytest.raises(NotFoundError, match="deleted already"):
        client.delete_experiment(made)
    with pytest.raises(InvalidParameterError):
        client.rename_experiment(made, "three")
    with pytest.raises(InvalidParameterError, match="deleted"):
        client.create_run(made)
    for name in ("", None, 3):
        with pytest.raises(InvalidParameterError):
            client.create_experiment(name)


def test_a_deleted_experiment_takes_its_runs_along(client):
    """And brings back those that were deleted with it, not those deleted before."""
    made = client.create_experiment("one")
    kept, gone = (client.create_run(made).info.run_id for _ in range(2))
    client.delete_run(gone)
    client.delete_experiment(made)
    assert [client.get_run(each).info.lifecycle_stage for each in (kept, gone)] == ["deleted"] * 2
    client.restore_experiment(made)
    assert client.get_run(kept).info.lifecycle_stage == "active"
    assert client.get_run(gone).info.lifecycle_stage == "deleted"


def test_experiments_are_searched_page_by_page(client):
    """Filter, order, view and token."""
    for number in range(5):
        client.create_experiment(f"e{number}", tags={"odd": number % 2})
    page = client.search_experiments(max_results=2, order_by=["name DESC"])
    assert [each.name for each in page] == ["e4", "e3"]
    page = client.search_experiments(max_results=2, order_by=["name DESC"], page_token=page.token)
    assert [each.name for each in page] == ["e2", "e1"]
    odd = client.search_experiments(filter_string="tags.odd = '1'", order_by=["name"])
    assert [each.name for each in odd] == ["e1", "e3"]
    client.delete_experiment(odd[0].experiment_id)
    assert [e.name for e in client.search_experiments(ViewType.DELETED_ONLY)] == ["e1"]
    assert len(client.search_experiments(ViewType.ALL)) == 6


def test_an_artifact_location_may_be_relative(client, tmp_path):
    """It is of the folder in which the experiment was created."""
    made = client.create_experiment("houses", artifact_location="./houses_artifacts")
    assert client.get_experiment(made).artifact_location == str(tmp_path / "houses_artifacts")
    run = client.create_run(made)
    client.log_text(run.info.run_id, "x", "a.txt")
    assert (tmp_path / "houses_artifacts" / run.info.run_id / "artifacts" / "a.txt").is_file()


# Runs


def test_a_run_from_its_birth_to_its_end(client):
    """Create, log, rename, end, delete and restore."""
    run = client.create_run("0", start_time=5, tags={"a": 1}, run_name="first")
    run_id = run.info.run_id
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("RUNNING", 5, None)
    assert run.data.tags == {"a": "1", "mlflow.runName": "first"}
    assert client.log_param(run_id, "C", 1.0) == 1.0
    client.log_metric(run_id, "acc", 0.5, timestamp=7, step=3)
    client.set_tag(run_id, "team", "blue")
    client.delete_tag(run_id, "a")
    client.update_run(run_id, name="second")
    client.set_terminated(run_id, "FAILED", 9)
    run = client.get_run(run_id)
    assert run.info.run_name == "second"
    assert (run.info.status, run.info.end_time) == ("FAILED", 9)
    assert run.data.params == {"C": "1.0"}
    assert run.data.tags == {"team": "blue", "mlflow.runName": "second"}
    assert client.get_metric_history(run_id, "acc") == [Metric("acc", 0.5, 7, 3)]
    client.update_run(run_id, "RUNNING")
    assert client.get_run(run_id).info.status == "RUNNING"
    client.set_terminated(run_id)
    assert client.get_run(run_id).info.status == "FINISHED"
    client.delete_run(run_id)
    assert client.search_runs(["0"]) == []
    client.restore_run(run_id)
    assert client.search_runs(["0"])[0].info.run_id == run_id


def test_what_cannot_be_done_to_a_run(client, run_id):
    """Each refusal is of its kind and names what was given."""
    nobody = "0" * 32
    for method in (client.get_run, client.delete_run, client.restore_run, client.set_terminated):
        with pytest.raises(NotFoundError, match=nobody):
            method(nobody)
    client.log_param(run_id, "p", 1)
    with pytest.raises(ParamConflictError, match="'1'.*'2'"):
        client.log_param(run_id, "p", 2)
    with pytest.raises(InvalidParameterError, match="DONE"):
        client.set_terminated(run_id, "DONE")
    with pytest.raises(InvalidParameterError, match="one real number"):
        client.log_metric(run_id, "m", "high")
    with pytest.raises(InvalidParameterError, match="step"):
        client.log_metric(run_id, "m", 1, step="first")
    with pytest.raises(NotFoundError, match="no tag 't'"):
        client.delete_tag(run_id, "t")
    with pytest.raises(NotFoundError):
        client.create_run("999")


def test_a_batch_is_one_write(client, run_id):
    """All of it or nothing; NaN and the infinities are exact."""
    values = [0.1, math.nan, math.inf, -math.inf, 5e-324, -1e308]
    client.log_batch(
        run_id,
        metrics=[Metric("m", value, 10 + step, step) for step, value in enumerate(values)],
        params=[Param("p", "1"), Param("q", None)],
        tags=[RunTag("t", "x")],
    )
    with pytest.raises(ParamConflictError):
        client.log_batch(run_id, [Metric("n", 1.0, 1, 0)], [Param("p", "2")])
    run = client.get_run(run_id)
    assert "n" not in run.data.metrics
    assert run.data.params == {"p": "1", "q": "None"}
    history = client.get_metric_history(run_id, "m")
    assert repr([each.value for each in history]) == repr(values)
    assert [each.step for each in history] == list(range(6))
    assert client.get_metric_history(run_id, "none") == []


def test_runs_are_searched_page_by_page(client):
    """Filter, order, view and token; one experiment may stand alone."""
    for number in range(5):
        run = client.create_run("0", start_time=number)
        client.log_metric(run.info.run_id, "m", number)
    page = client.search_runs(["0"], "metrics.m > 0", max_results=3, order_by=["metrics.m ASC"])
    assert [run.data.metrics["m"] for run in page] == [1, 2, 3]
    page = client.search_runs(
        ["0"], "metrics.m > 0", max_results=3, order_by=["metrics.m ASC"], page_token=page.token
    )
    assert [run.data.metrics["m"] for run in page] == [4]
    assert page.token is None
    assert len(client.search_runs("0")) == 5
    assert client.search_runs([]) == []
    client.delete_run(page[0].info.run_id)
    assert len(client.search_runs(["0"], run_view_type=ViewType.DELETED_ONLY)) == 1
    with pytest.raises(InvalidParameterError):
        client.search_runs(["0"], "metrics.m >")
    with pytest.raises(InvalidParameterError, match="list of identifiers"):
        client.search_runs(None)


def test_a_parent_is_found(client):
    """Of a child; None of a run that is alone."""
    skledger.set_tracking_uri(client.tracking_uri)
    with skledger.start_run() as parent, skledger.start_run(nested=True) as child:
        pass
    assert client.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id
    assert skledger.get_parent_run(parent.info.run_id) is None


# Artifacts


def test_artifacts_of_a_run_are_listed_and_fetched(client, run_id, tmp_path):
    """Files with their sizes, folders without; a path or a copy of them."""
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "a.txt").write_text("a")
    (tmp_path / "d" / "e" / "b.txt").write_text("bb")
    client.log_artifact(run_id, tmp_path / "d" / "a.txt", "sub")
    client.log_artifact(run_id, "d", "whole")
    client.log_artifacts(run_id, "d")
    client.log_text(run_id, "hé", "t.txt")
    client.log_dict(run_id, {"k": [1]}, "t.json")
    client.log_stream(run_id, io.BytesIO(b"raw"), "t.bin")
    client.log_text(run_id, "", "u.tmp")
    listed = client.list_artifacts(run_id)
    assert listed == [
        FileInfo("a.txt", False, 1),
        FileInfo("e", True, None),
        FileInfo("sub", True, None),
        FileInfo("t.bin", False, 3),
        FileInfo("t.json", False, len('{\n  "k": [\n    1\n  ]\n}')),
        FileInfo("t.txt", False, 3),
        FileInfo("u.tmp", False, 0),
        FileInfo("whole", True, None),
    ]
    assert client.list_artifacts(run_id, "whole/d/e") == [FileInfo("whole/d/e/b.txt", False, 2)]
    assert client.list_artifacts(run_id, "t.txt") == []
    assert client.list_artifacts(run_id, "none") == []
    path = client.download_artifacts(run_id, "whole")
    assert sorted(os.listdir(path)) == ["d"]
    copied = client.download_artifacts(run_id, "whole/d", dst_path="here")
    assert copied == str(tmp_path / "here" / "d")
    assert (tmp_path / "here" / "d" / "e" / "b.txt").read_text() == "bb"
    everything = client.download_artifacts(run_id, "", dst_path=str(tmp_path / "all"))
    assert (tmp_path / "all" / "sub" / "a.txt").is_file()
    assert everything == str(tmp_path / "all")
    with pytest.raises(NotFoundError, match="none"):
        client.download_artifacts(run_id, "none")
    with pytest.raises(InvalidParameterError, match=r"\.\."):
        client.list_artifacts(run_id, "../..")
    with pytest.raises(NotFoundError, match="nowhere"):
        client.log_artifacts(run_id, "nowhere")


def test_artifacts_are_reached_by_their_uris(tmp_path):
    """skledger.artifacts: runs:/, a path, a file URI, or a run and a path."""
    import skledger as mlflow

    with mlflow.start_run() as run:
        mlflow.log_dict({"a": [1, 2.5, None]}, "f/d.json")
        mlflow.log_dict({1: "x", "n": np.float64(0.5)}, "f/d.yaml")
        mlflow.log_text("text", "f/t t.txt")
        mlflow.log_artifact(__file__, "code")
        uri = mlflow.get_artifact_uri("f/d.json")
    run_id = run.info.run_id
    load = mlflow.artifacts.load_dict
    assert load(uri) == load(f"runs:/{run_id}/f/d.json") == load(f"file://{uri}")
    assert load(uri) == {"a": [1, 2.5, None]}
    assert load(f"runs:/{run_id}/f/d.yaml") in ({1: "x", "n": 0.5}, {"1": "x", "n": 0.5})
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/f/t t.txt") == "text"
    assert mlflow.artifacts.load_text(f"file://{run.info.artifact_uri}/f/t%20t.txt") == "text"
    paths = [each.path for each in mlflow.artifacts.list_artifacts(f"runs:/{run_id}/f")]
    assert paths == ["f/d.json", "f/d.yaml", "f/t t.txt"]
    assert [e.path for e in mlflow.artifacts.list_artifacts(run_id=run_id)] == ["code", "f"]
    by_path = mlflow.artifacts.list_artifacts(f"{run.info.artifact_uri}/f")
    assert [each.path for each in by_path] == ["d.json", "d.yaml", "t t.txt"]
    download = mlflow.artifacts.download_artifacts
    assert open(download(f"runs:/{run_id}/f/d.json")).read() == open(uri).read()
    assert download(run_id=run_id, artifact_path="f", dst_path="x") == str(tmp_path / "x" / "f")
    assert download(run.info.artifact_uri, dst_path="y") == str(tmp_path / "y" / "artifacts")
    with pytest.raises(InvalidParameterError, match="either"):
        download()
    with pytest.raises(InvalidParameterError, match="neither JSON nor YAML"):
        load(f"runs:/{run_id}/f/t t.txt")
    with pytest.raises(NotFoundError):
        mlflow.artifacts.load_text(f"runs:/{run_id}/none.txt")
    with pytest.raises(NotFoundError, match="no registered model 'iris'"):
        download("models:/iris/1")


def test_tables_grow_and_are_read_over_all_runs():
    """log_table adds rows; load_table brings the rows of the runs together, with their columns."""
    with skledger.start_run() as first:
        skledger.log_table({"a": [1, 2], "b": ["x", {"y": 1}]}, "t.json")
        skledger.log_table(pd.DataFrame({"a": [3], "b": ["z"]}), "t.json")
        skledger.log_param("p", 1)
    with skledger.start_run() as second:
        skledger.log_table({"a": 4, "b": None}, artifact_file="t.json")
    with skledger.start_run():
        pass
    table = skledger.load_table("t.json", extra_columns=["run_id", "params.p"])
    table = table.sort_values("a").reset_index(drop=True)
    assert table["a"].tolist() == [1, 2, 3, 4]
    assert table["b"].tolist()[:3] == ["x", {"y": 1}, "z"]
    assert table["run_id"].tolist() == [first.info.run_id] * 3 + [second.info.run_id]
    assert table["params.p"].tolist()[:3] == ["1"] * 3
    only = skledger.load_table("t.json", run_ids=[second.info.run_id])
    assert only["a"].tolist() == [4]
    tags = skledger.get_run(first.info.run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "t.json", "type": "table"}]
    with pytest.raises(NotFoundError, match="'u.json'"):
        skledger.load_table("u.json")
    with pytest.raises(InvalidParameterError, match="'nope'"):
        skledger.load_table("t.json", extra_columns=["nope"])
    with skledger.start_run():
        with pytest.raises(InvalidParameterError, match="int"):
            skledger.log_table(3, "t.json")
        with pytest.raises(InvalidParameterError, match=r"\.parquet"):
            skledger.log_table({"a": [1]}, "t.csv")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5), dtype=np.uint8),
        np.full((4, 5, 1), 200),
        np.ones((4, 5, 3)),
        np.eye(5, dtype=bool)[:4],
        [[0.0, 0.5, 1.0, 0.2, 0.1]] * 4,
    ],
)
def test_arrays_are_logged_as_images(image):
    """Whole numbers to 255, fractions to 1, truth values; one, three or four channels."""
    from PIL import Image

    with skledger.start_run() as run:
        skledger.log_image(image, "i.png")
    found = skledger.artifacts.load_image(f"runs:/{run.info.run_id}/i.png")
    assert isinstance(found, Image.Image)
    assert found.size == (5, 4)
    top = np.asarray(found).max() / 255
    assert top == pytest.approx(
        np.max(image) / (255 if np.asarray(image).dtype.kind in "iu" else 1)
    )


def test_images_of_steps_and_of_pillow(client, run_id):
    """A key makes a series of steps, under the names that MLflow shows."""
    from PIL import Image

    client.log_image(run_id, Image.new("RGB", (3, 2), "red"), "pil.jpg")
    client.log_image(run_id, np.zeros((2, 3)), key="dog/cat", step=3, timestamp=7)
    names = [each.path for each in client.list_artifacts(run_id, "images")]
    assert len(names) == 2
    assert all(name.startswith("images/dog~cat+step+3+timestamp+7+") for name in names)
    assert names[0].endswith(".webp") or names[1].endswith(".webp")
    assert client.get_run(run_id).data.tags["mlflow.loggedImages"] == "True"
    with pytest.raises(InvalidParameterError, match="either"):
        client.log_image(run_id, np.zeros((2, 2)))
    with pytest.raises(InvalidParameterError, match="shape"):
        client.log_image(run_id, np.zeros((2, 2, 7)), "a.png")
    with pytest.raises(InvalidParameterError, match="from 0 to 300"):
        client.log_image(run_id, np.array([[0, 300]]), "a.png")
    with pytest.warns(UserWarning, match="clipped"):
        client.log_image(run_id, np.array([[0.0, 3.0]]), "a.png")
    with pytest.raises(InvalidParameterError, match=r"\.png"):
        client.log_image(run_id, np.zeros((2, 2)), "a.nonsense")


# Inputs


def test_data_sets_are_booked_without_the_data(tmp_path):
    """Name, digest, schema, profile, source, context and tags."""
    frame = pd.DataFrame(
        {"a": [1, 2, 3], "b": [1.0, None, 2.0], "c": ["x", "y", "z"], "d": [True, False, True]}
    )
    data = skledger.data.from_pandas(frame, source="train.csv", name="train", targets="c")
    arrays = skledger.data.from_numpy(np.arange(6.0).reshape(3, 2), targets=np.array([0, 1, 0]))
    with skledger.start_run() as run:
        skledger.log_input(data, context="training", tags={"k": 1})
        skledger.log_inputs([arrays], contexts=["test"])
    first, second = skledger.get_run(run.info.run_id).inputs.dataset_inputs
    if first.dataset.name != "train":
        first, second = second, first
    assert {tag.key: tag.value for tag in first.tags} == {
        "mlflow.data.context": "training",
        "k": "1",
    }
    assert first.dataset.digest == data.digest
    assert (first.dataset.source_type, first.dataset.source) == ("local", '{"uri": "train.csv"}')
    columns = json.loads(first.dataset.schema)["mlflow_colspec"]
    assert [(c["name"], c["type"], c["required"]) for c in columns] == [
        ("a", "long", True),
        ("b", "double", False),
        ("c", "string", True),
        ("d", "boolean", True),
    ]
    assert json.loads(first.dataset.profile) == {"num_rows": 3, "num_elements": 12}
    assert second.dataset.source_type == "code"
    assert "mlflow.source.name" in json.loads(second.dataset.source)["tags"]
    tensors = json.loads(second.dataset.schema)["mlflow_tensorspec"]
    assert json.loads(tensors["features"])[0]["tensor-spec"] == {
        "dtype": "float64",
        "shape": [-1, 2],
    }
    assert json.loads(second.dataset.profile)["targets_shape"] == [3]
    frame.to_csv(tmp_path / "train.csv")
    assert skledger.data.get_source(first).load() == str(tmp_path / "train.csv")
    with pytest.raises(SkledgerError, match="made by code"):
        skledger.data.get_source(second.dataset).load()


def test_a_digest_stands_for_the_data():
    """The same data has the same digest, a value or a name of a column that differs another."""
    frame = pd.DataFrame({"a": [1, 2], "b": [[1], [2]]})
    digest = skledger.data.from_pandas(frame).digest
    assert digest == skledger.data.from_pandas(frame.copy(), name="x").digest
    assert digest != skledger.data.from_pandas(frame.assign(a=[1, 3])).digest
    assert digest != skledger.data.from_pandas(frame.rename(columns={"a": "c"})).digest
    array = skledger.data.from_numpy(np.zeros(3)).digest
    assert array != skledger.data.from_numpy(np.zeros((3, 1))).digest
    assert array != skledger.data.from_numpy(np.zeros(3), targets=np.zeros(3)).digest
    assert skledger.data.from_numpy({"x": np.zeros(3)}, digest="mine").digest == "mine"


def test_what_is_no_data_set_is_refused():
    """With what to write instead."""
    with skledger.start_run():
        with pytest.raises(InvalidParameterError, match="from_pandas"):
            skledger.log_input(pd.DataFrame())
        with pytest.raises(InvalidParameterError, match="'z' is no column"):
            skledger.data.from_pandas(pd.DataFrame({"a": [1]}), targets="z")
        with pytest.raises(InvalidParameterError, match="one for each"):
            skledger.log_inputs([skledger.data.from_numpy(np.zeros(1))], contexts=["a", "b"])


# Logged models


def test_logged_models_are_found(client, run_id):
    """By identifier, by a filter and in an order; as a table and as a list; until deleted."""
    skledger.set_tracking_uri(client.tracking_uri)
    for number in range(3):
        model = LoggedModel(
            f"m-{number:032}",
            "0",
            f"model{number}",
            "/nowhere",
            number,
            number,
            run_id,
            params={"C": str(number)},
            metrics=(Metric("acc", number / 2, 1, 0),),
        )
        get_store().write(RunChange(run_id, models=(model,)))
    assert client.get_logged_model("m-" + "1".zfill(32)).name == "model1"
    found = client.search_logged_models(["0"], "metrics.acc > 0.1")
    assert [each.name for each in found] == ["model2", "model1"]
    order = [{"field_name": "metrics.acc", "ascending": True}]
    page = client.search_logged_models(["0"], order_by=order, max_results=2)
    assert [each.name for each in page] == ["model0", "model1"]
    page = client.search_logged_models(["0"], order_by=order, page_token=page.token)
    assert [each.name for each in page] == ["model2"]
    table = skledger.search_logged_models()
    assert {"model_id", "name", "params", "metrics", "source_run_id"} <= set(table)
    assert table["name"].tolist() == ["model2", "model1", "model0"]
    assert skledger.search_logged_models(output_format="list")[0].model_uri.startswith("models:/m-")
    client.delete_logged_model(found[0].model_id)
    assert len(skledger.search_logged_models()) == 2
    with pytest.raises(NotFoundError):
        skledger.get_logged_model(found[0].model_id)
    with pytest.raises(InvalidParameterError, match="list"):
        client.search_logged_models("0")


# Names that are no more


def test_what_mlflow_removed_and_tutorials_use_works_and_warns(client, run_id):
    """list_experiments, list_run_infos and run_uuid name their successor."""
    skledger.set_tracking_uri(client.tracking_uri)
    with pytest.warns(FutureWarning, match="search_runs"):
        infos = client.list_run_infos(experiment_id="0")
    assert [info.run_id for info in infos] == [run_id]
    with pytest.warns(FutureWarning, match="run_id"):
        assert infos[0].run_uuid == run_id
    with pytest.warns(FutureWarning, match="search_experiments"):
        assert [each.name for each in client.list_experiments()] == ["Default"]
    with pytest.warns(FutureWarning, match="search_experiments") as warned:
        assert skledger.list_experiments()[0].experiment_id == "0"
    assert warned[0].filename == __file__
    with pytest.warns(FutureWarning, match="search_runs"):
        assert skledger.list_run_infos("0")[0].run_id == run_id
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        described = dict(client.get_experiment("0"))
        assert described["name"] == "Default"
        assert vars(client.get_experiment("0"))["name"] == "Default"
        assert dict(infos[0])["run_id"] == run_id


def test_other_names_of_mlflow_say_what_to_use(client):
    """Methods and functions that are gone, and the modules of other frameworks."""
    with pytest.raises(AttributeError, match="get_registered_model"):
        client.get_registered_model_details("iris")
    with pytest.raises(AttributeError, match=r"use log_batch"):
        client.log_metrics("x", {})
    with pytest.raises(AttributeError, match="no method 'nonsense'"):
        client.nonsense()
    with pytest.raises(AttributeError, match="use log_metrics"):
        skledger.evaluate()
    with pytest.raises(AttributeError, match="library for scikit-learn.*XGBClassifier"):
        skledger.xgboost.autolog()
    for line, message in (
        ("import skledger.keras", "library for scikit-learn"),
        ("from skledger import statsmodels", "log_artifact"),
        ("import skledger.nonsense", "No module named 'skledger.nonsense'"),
    ):
        with pytest.raises(ModuleNotFoundError, match=message):
            exec(line)
    assert not hasattr(skledger, "xgboost")


def test_a_temporary_folder_goes_with_its_block(tmp_path):
    """mlflow.utils.file_utils.TempDir, as scripts use it."""
    from skledger.utils.file_utils import TempDir
    from skledger.utils.mlflow_tags import MLFLOW_RUN_NAME

    with TempDir() as folder:
        path = folder.path("a.txt")
        with open(path, "w") as file:
            file.write("x")
        assert os.path.exists(path)
    assert not os.path.exists(path)
    with TempDir(chdr=True) as folder:
        assert os.getcwd() == folder.path()
    assert os.getcwd() == str(tmp_path)
    assert MLFLOW_RUN_NAME == "mlflow.runName"


def test_states_have_names_and_numbers():
    """As MLflow's, where scripts convert them."""
    assert RunStatus.to_string(RunStatus.FINISHED) == RunStatus.to_string(3) == "FINISHED"
    assert RunStatus.from_string("FAILED") == "FAILED"
    assert RunStatus.is_terminated("KILLED")
    assert set(RunStatus.all_status()) == set(RunStatus.ALL)
    assert ViewType.from_string("all") == ViewType.ALL
    assert ViewType.to_string(ViewType.DELETED_ONLY) == "deleted_only"
    for wrong in (lambda: RunStatus.from_string("x"), lambda: ViewType.from_string("x")):
        with pytest.raises(ValueError, match="'x'"):
            wrong()
