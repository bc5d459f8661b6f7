"""Logged models through the client and the fluent functions, and MLflow on the same records."""

from __future__ import annotations

import json
import math
import uuid

import numpy as np
import pytest
from _mlflow_server import mlflow_server  # noqa: F401 - a fixture
from sklearn.linear_model import Ridge

import skledger
from skledger.entities import LoggedModelOutput, LoggedModelStatus, Metric
from skledger.errors import InvalidParameterError, NotFoundError, ParamConflictError
from skledger.stores.artifacts import artifact_store
from skledger.tracking.session import get_store

URIS = ["sqlite:///models.db", "memory:", "a folder"]


@pytest.fixture(params=URIS)
def client(request):
    skledger.set_tracking_uri(request.param)
    return skledger.MlflowClient()


@pytest.fixture
def run_id(client):
    return client.create_run("0").info.run_id


def measured(model):
    return {(each.key, each.value, each.step) for each in model.metrics}


# The client


def test_a_model_is_made_and_finished(client, run_id):
    """It is PENDING with a name of its own at first, linked from its run, and READY at last."""
    made = client.create_logged_model("0", source_run_id=run_id)
    assert (made.status, made.source_run_id, made.experiment_id) == ("PENDING", run_id, "0")
    assert made.name
    assert made.artifact_location.endswith(f"models/{made.model_id}/artifacts")
    assert client.finalize_logged_model(made.model_id, "READY").status == "READY"
    failed = client.finalize_logged_model(made.model_id, LoggedModelStatus.FAILED)
    assert failed.last_updated_timestamp >= made.last_updated_timestamp
    assert client.get_logged_model(made.model_id).status == "FAILED"
    outputs = client.get_run(run_id).outputs.model_outputs
    assert [each.model_id for each in outputs] == [made.model_id]
    with pytest.raises(InvalidParameterError, match="DONE"):
        client.finalize_logged_model(made.model_id, "DONE")


def test_what_a_model_holds(client, run_id):
    """Params and tags are text; tags change and go, params stay as they are."""
    made = client.create_logged_model(
        "0", "net", run_id, tags={"a": 1}, params={"C": 0.1}, model_type="classifier"
    )
    client.set_logged_model_tags(made.model_id, {"a": 2, "b": None})
    client.log_model_params(made.model_id, {"depth": 3, "C": 0.1})
    found = client.get_logged_model(made.model_id)
    assert (found.name, found.model_type) == ("net", "classifier")
    assert found.params == {"C": "0.1", "depth": "3"}
    assert found.tags == {"a": "2", "b": "None"}
    client.delete_logged_model_tag(made.model_id, "a")
    assert client.get_logged_model(made.model_id).tags == {"b": "None"}
    with pytest.raises(NotFoundError, match="'a'"):
        client.delete_logged_model_tag(made.model_id, "a")
    with pytest.raises(ParamConflictError, match="depth"):
        client.log_model_params(made.model_id, {"depth": 4})


def test_models_that_cannot_be(client, run_id):
    """Each error says what is missing, and what to do."""
    with pytest.raises(InvalidParameterError, match="source_run_id"):
        client.create_logged_model("0", "model")
    with pytest.raises(InvalidParameterError, match="the experiment 0"):
        client.create_logged_model("7", "model", run_id)
    with pytest.raises(InvalidParameterError, match="name of a model"):
        client.create_logged_model("0", "", run_id)
    for call in (
        lambda: client.create_logged_model("0", "model", uuid.uuid4().hex),
        lambda: client.set_logged_model_tags("m-nobody", {"a": 1}),
        lambda: client.finalize_logged_model("m-nobody", "READY"),
        lambda: client.log_metric(run_id, "acc", 0.5, model_id="m-nobody"),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert client.get_run(run_id).data.metrics == {}


def test_outputs_are_of_the_run_that_made_them(client, run_id):
    """What a run made is linked already; a model of another run is refused with a reason."""
    made = client.create_logged_model("0", source_run_id=run_id)
    client.log_outputs(run_id, [LoggedModelOutput(made.model_id)])
    assert len(client.get_run(run_id).outputs.model_outputs) == 1
    other = client.create_run("0").info.run_id
    with pytest.raises(InvalidParameterError, match="was made by the run"):
        client.log_outputs(other, [LoggedModelOutput(made.model_id)])
    with pytest.raises(NotFoundError):
        client.log_outputs(run_id, [LoggedModelOutput("m-nobody")])


# Fluent


def test_a_metric_of_a_model_is_one_write(client, monkeypatch):
    """It is booked of the run and of the model, all of it or nothing."""
    writes = []
    store = get_store()
    original = store.write
    with skledger.start_run() as run:
        model = skledger.initialize_logged_model("net")
        monkeypatch.setattr(store, "write", lambda *c: (writes.append(c), original(*c)))
        skledger.log_metric("acc", 0.5, step=3, model_id=model.model_id)
        skledger.log_metrics({"f1": math.nan}, model_id=model.model_id, timestamp=7)
        assert len(writes) == 2
        with pytest.raises(NotFoundError):
            skledger.log_metric("other", 1.0, model_id="m-nobody")
    client.log_metric(run.info.run_id, "late", 1.0, model_id=model.model_id)
    found = skledger.get_logged_model(model.model_id)
    assert {("acc", 0.5, 3), ("late", 1.0, 0)} < measured(found)
    (f1,) = [each for each in found.metrics if each.key == "f1"]
    assert (math.isnan(f1.value), f1.timestamp) == (True, 7)
    run = skledger.get_run(run.info.run_id)
    assert set(run.data.metrics) == {"acc", "f1", "late"}
    history = client.get_metric_history(run.info.run_id, "acc")
    assert [(each.value, each.step) for each in history] == [(0.5, 3)]


def test_a_metric_of_a_model_tells_its_data(client):
    """As a data set that becomes an input of the run, by name and digest, or with each metric."""
    train = skledger.data.from_numpy(np.arange(3.0), name="my train")
    with skledger.start_run() as run:
        model = skledger.initialize_logged_model("net")
        skledger.log_input(train, "training")
        skledger.log_metrics({"acc": 0.9}, model_id=model.model_id, dataset=train)
        skledger.log_metric("loss", 0.1, model_id=model.model_id, dataset=train.to_entity())
        skledger.log_metric("of the run", 0.1, dataset=train)
    run_id = run.info.run_id
    data = {"dataset_name": "test", "dataset_digest": "d1"}
    client.log_metric(run_id, "f1", 0.7, model_id=model.model_id, **data)
    metrics = [Metric("auc", 0.6, 3, 1, model.model_id, "test", "d2"), Metric("plain", 1.0, 3)]
    client.log_batch(run_id, metrics)
    found = skledger.get_logged_model(model.model_id)
    assert {each.key: (each.dataset_name, each.dataset_digest) for each in found.metrics} == {
        "acc": ("my train", train.digest),
        "loss": ("my train", train.digest),
        "f1": ("test", "d1"),
        "auc": ("test", "d2"),
    }
    (used,) = client.get_run(run_id).inputs.dataset_inputs
    assert (used.dataset.name, used.tags[0].value) == ("my train", "training")
    for asked, count in ((data, 1), ({"dataset_name": "test"}, 1), ({"dataset_name": "other"}, 0)):
        listed = skledger.search_logged_models(datasets=[asked], output_format="list")
        assert len(listed) == count


def test_half_a_data_set_is_refused(client, run_id):
    """Name and digest go together; what is no data set at all is named."""
    with pytest.raises(InvalidParameterError, match="go together"):
        client.log_metric(run_id, "m", 1.0, dataset_name="test")
    with pytest.raises(InvalidParameterError, match="go together"):
        client.log_batch(run_id, [Metric("m", 1.0, 1, dataset_digest="d1")])
    with pytest.raises(InvalidParameterError, match="ndarray"):
        skledger.log_metric("m", 1.0, run_id=run_id, dataset=np.arange(3))


def test_fluent_functions_on_models(client):
    """They do what the client's methods do, for the active run."""
    assert skledger.last_logged_model() is None
    with skledger.start_run() as run:
        model = skledger.initialize_logged_model("net", tags={"a": 1}, params={"C": 1})
        assert skledger.last_logged_model().model_id == model.model_id
        skledger.log_outputs([LoggedModelOutput(model.model_id)])
    assert model.source_run_id == run.info.run_id
    assert model.tags["mlflow.user"]
    skledger.log_model_params({"depth": 3}, model.model_id)
    skledger.set_logged_model_tags(model.model_id, {"b": 2})
    skledger.delete_logged_model_tag(model.model_id, "a")
    assert skledger.finalize_logged_model(model.model_id, "READY").status == "READY"
    found = skledger.get_logged_model(model.model_id)
    assert found.params == {"C": "1", "depth": "3"}
    assert {key: value for key, value in found.tags.items() if "." not in key} == {"b": "2"}
    (listed,) = skledger.search_logged_models(output_format="list")
    assert listed == found
    skledger.delete_logged_model(model.model_id)
    assert skledger.search_logged_models(output_format="list") == []


def test_a_model_needs_a_run(client):
    """Without an active run, the error says to start one; a run may be named instead."""
    for make in (skledger.initialize_logged_model, skledger.create_external_model):
        with pytest.raises(InvalidParameterError, match="start a run first"):
            make("net")
    run_id = client.create_run("0").info.run_id
    assert skledger.initialize_logged_model(source_run_id=run_id).source_run_id == run_id


def test_a_model_whose_files_are_elsewhere(client):
    """It is READY at once; its MLmodel says that it is external."""
    with skledger.start_run():
        model = skledger.create_external_model("agent", params={"k": 1}, model_type="agent")
    assert (model.status, model.model_type, model.params) == ("READY", "agent", {"k": "1"})
    assert model.tags["mlflow.model.isExternal"] == "true"
    with artifact_store(model.artifact_location).open("MLmodel") as stream:
        told = json.load(stream)
    assert (told["model_id"], told["run_id"]) == (model.model_id, model.source_run_id)
    assert skledger.models.get_model_info(model.model_uri).model_id == model.model_id


def test_the_active_model(client, monkeypatch):
    """Metrics are booked of it, too, until its block ends; without a block, until it is cleared."""
    assert skledger.get_active_model_id() is None
    with skledger.start_run():
        first = skledger.create_external_model("first")
        with skledger.set_active_model(model_id=first.model_id) as active:
            assert (active.model_id, active.name) == (first.model_id, "first")
            skledger.log_metric("acc", 0.5)
            skledger.log_model_params({"C": 1})
            with skledger.set_active_model(name="second") as second:
                skledger.log_metrics({"acc": 0.7})
            assert skledger.get_active_model_id() == first.model_id
        assert skledger.get_active_model_id() is None
        skledger.log_metric("acc", 0.9)
        assert skledger.set_active_model(name="second").model_id == second.model_id
        skledger.clear_active_model()
    assert measured(skledger.get_logged_model(first.model_id)) == {("acc", 0.5, 0)}
    assert measured(skledger.get_logged_model(second.model_id)) == {("acc", 0.7, 0)}
    assert skledger.get_logged_model(first.model_id).params == {"C": "1"}
    with pytest.raises(InvalidParameterError, match="name or a model_id"):
        skledger.set_active_model()
    with pytest.raises(InvalidParameterError, match="'first'"):
        skledger.set_active_model(name="other", model_id=first.model_id)
    with pytest.raises(InvalidParameterError, match="set_active_model first"):
        skledger.log_model_params({"a": 1})
    monkeypatch.setattr(skledger.tracking.active_models, "_thread", type("T", (), {"active": None}))
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", first.model_id)
    assert skledger.get_active_model_id() == first.model_id
    skledger.clear_active_model()
    assert skledger.get_active_model_id() is None


def test_the_last_model_is_that_of_the_last_fit(autolog, multiclass):
    """Whatever logged it: a fit, or a call."""
    from sklearn.tree import DecisionTreeClassifier

    fitted = DecisionTreeClassifier().fit(*multiclass)
    skledger.flush()
    first = skledger.last_logged_model()
    assert first.source_run_id == skledger.last_active_run().info.run_id
    with skledger.start_run():
        info = skledger.sklearn.log_model(fitted, name="again")
    assert skledger.last_logged_model().model_id == info.model_id


# MLflow on the same records


@pytest.fixture(params=["sqlite", "folder", "server"])
def place(request, tmp_path, monkeypatch):
    """A tracking URI, MLflow's client for it, and a flush: what MLflow reads must have arrived."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outbox"))
    uri = {"sqlite": f"sqlite:///{tmp_path}/x.db", "folder": str(tmp_path / "runs")}.get(
        request.param
    ) or request.getfixturevalue("mlflow_server").uri
    skledger.set_tracking_uri(uri)
    skledger.set_experiment(uuid.uuid4().hex)
    return uri, mlflow.MlflowClient(tracking_uri=uri)


def as_mlflow_calls(uri, model):
    """Return a model with the identifiers of a server, which are others in this process."""
    if uri.startswith("http"):
        from skledger.stores.rest import RestStore

        return RestStore(uri).get_logged_model(model.model_id)
    return skledger.get_logged_model(model.model_id)


def of_tag(model):
    return {key: value for key, value in model.tags.items() if "." not in key}


def test_mlflow_and_we_change_models_in_turns(place):
    """MLflow reads a model that was changed here, and here is read what MLflow has changed."""
    uri, theirs = place
    with skledger.start_run() as run:
        model = skledger.initialize_logged_model("net", tags={"a": 1, "b": 1}, params={"C": 1})
        skledger.log_metric("acc", 0.5, step=1, model_id=model.model_id)
        skledger.log_model_params({"depth": 3}, model.model_id)
        skledger.set_logged_model_tags(model.model_id, {"c": "ä"})
        skledger.delete_logged_model_tag(model.model_id, "a")
        skledger.finalize_logged_model(model.model_id, "READY")
    assert skledger.flush(30)
    ours = as_mlflow_calls(uri, model)
    found = theirs.get_logged_model(ours.model_id)
    assert str(found.status.value) == "READY"
    assert found.params == {"C": "1", "depth": "3"}
    assert of_tag(found) == {"b": "1", "c": "ä"}
    assert [(m.key, m.value, m.step, m.run_id) for m in found.metrics] == [
        ("acc", 0.5, 1, ours.source_run_id)
    ]
    history = theirs.get_metric_history(ours.source_run_id, "acc")
    assert [(each.value, each.step) for each in history] == [(0.5, 1)]

    theirs.set_logged_model_tags(found.model_id, {"d": "1"})
    theirs.delete_logged_model_tag(found.model_id, "b")
    theirs.log_model_params(found.model_id, {"late": "1"})
    theirs.log_metric(ours.source_run_id, "acc", 0.7, step=2, model_id=found.model_id)
    theirs.finalize_logged_model(found.model_id, "FAILED")
    again = skledger.get_logged_model(model.model_id)
    assert (again.status, again.params) == ("FAILED", {"C": "1", "depth": "3", "late": "1"})
    assert of_tag(again) == {"c": "ä", "d": "1"}
    # MLflow's own server on files shows the last value only; there are none of these here.
    assert measured(again) == {("acc", 0.5, 1), ("acc", 0.7, 2)}
    skledger.log_metric("acc", 0.9, step=3, run_id=run.info.run_id, model_id=model.model_id)
    skledger.set_logged_model_tags(model.model_id, {"d": "2"})
    assert skledger.flush(30)
    found = theirs.get_logged_model(ours.model_id)
    assert 0.9 in {each.value for each in found.metrics}
    assert of_tag(found) == {"c": "ä", "d": "2"}


def test_mlflow_reads_an_external_model(place):
    """With its tags, params and its MLmodel."""
    uri, theirs = place
    mlflow = pytest.importorskip("mlflow")
    with skledger.start_run():
        model = skledger.create_external_model("agent", params={"k": 1})
    assert skledger.flush(30)
    found = theirs.get_logged_model(as_mlflow_calls(uri, model).model_id)
    assert (str(found.status.value), found.params) == ("READY", {"k": "1"})
    mlflow.set_tracking_uri(uri)
    try:
        told = mlflow.models.Model.load(f"models:/{found.model_id}")
    finally:
        mlflow.set_tracking_uri(None)
    assert (told.model_id, told.run_id) == (found.model_id, found.source_run_id)
    assert told.metadata["mlflow.model.isExternal"] is True


def test_a_model_of_mlflow_without_a_run(tmp_path):
    """It is read and found here; changing it says that it belongs to no run."""
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/x.db"
    theirs = mlflow.MlflowClient(tracking_uri=uri)
    number = theirs.create_experiment("theirs")
    made = theirs.create_logged_model(number, "alone")
    ours = skledger.MlflowClient(uri)
    assert ours.get_logged_model(made.model_id).source_run_id is None
    assert [each.name for each in ours.search_logged_models([number])] == ["alone"]
    for call in (
        lambda: ours.set_logged_model_tags(made.model_id, {"a": 1}),
        lambda: ours.delete_logged_model(made.model_id),
    ):
        with pytest.raises(InvalidParameterError, match="belongs to no run"):
            call()
    run_id = ours.create_run(number).info.run_id
    ours.log_metric(run_id, "acc", 0.5, model_id=made.model_id)
    assert measured(ours.get_logged_model(made.model_id)) == {("acc", 0.5, 0)}


@pytest.mark.parametrize(
    "order",
    [["name"], ["creation_timestamp DESC"], ["last_updated_timestamp"], ["metrics.acc DESC"]],
)
def test_a_server_is_asked_for_every_order(mlflow_server, monkeypatch, tmp_path, order):  # noqa: F811
    """An order of ours is one that the server takes."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outbox"))
    skledger.set_tracking_uri(mlflow_server.uri)
    skledger.set_experiment(uuid.uuid4().hex)
    with skledger.start_run():
        for number in range(3):
            model = skledger.create_external_model(f"model{number}")
            skledger.log_metric("acc", number, model_id=model.model_id)
    assert skledger.flush(30)
    found = skledger.search_logged_models(order_by=order, output_format="list")
    names = [each.name for each in found]
    assert names == sorted(names, reverse=order[0].endswith("DESC"))
    (best,) = skledger.search_logged_models(filter_string="metrics.acc > 1", output_format="list")
    assert best.name == "model2"


def test_logged_models_print_in_a_few_lines():
    """Alone, in lists and in notebooks; the digests of their files are for machines."""
    with skledger.autolog(log_models=True):
        Ridge().fit([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0])
    model = skledger.last_logged_model()
    assert repr(model).startswith(f"<LoggedModel 'model' model_id='{model.model_id}', training_")
    assert len(repr(model)) < 300
    assert str(model).splitlines()[:3] == [
        "LoggedModel 'model'",
        f"  model_uri    models:/{model.model_id}",
        "  status       READY",
    ]
    found = skledger.search_logged_models(output_format="list")
    assert repr(found).splitlines()[0].split() == [
        "name",
        "status",
        "created",
        "metrics",
        "model_id",
    ]
    assert "skledger.digests" not in repr(model) + str(model) + repr(found) + model._repr_html_()
