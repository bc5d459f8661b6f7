"""A store on a tracking server: a real MLflow server, and servers that are not well."""

from __future__ import annotations

import math
import ssl
import threading
import time
import uuid
from dataclasses import replace

import pytest
from _http_servers import HttpServer, LosingProxy, in_drops, never
from _mlflow_server import free_port, mlflow_server  # noqa: F401 - a fixture

from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    ParamConflictError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores import artifacts
from skledger.stores.rest import RestStore
from skledger.stores.rest_api import Api
from skledger.stores.rest_batches import in_batches
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

SETTINGS = ("USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS", "SERVER_CERT_PATH", "CLIENT_CERT_PATH")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """No user, no certificate, no server in use."""
    for name in SETTINGS:
        monkeypatch.delenv(f"SKLEDGER_TRACKING_{name}", raising=False)
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setattr(artifacts, "current_server", None)


@pytest.fixture
def store(mlflow_server):  # noqa: F811
    opened = RestStore(mlflow_server.uri)
    yield opened
    opened.close()


@pytest.fixture
def experiment(store):
    return store.create_experiment(uuid.uuid4().hex)


@pytest.fixture
def client(mlflow_server):  # noqa: F811
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=mlflow_server.uri)


def info(run_id, experiment_id, **changes):
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


def new_id():
    return uuid.uuid4().hex


def create(store, experiment_id, *, start_time=1000, name="a run", **content):
    run_id = new_id()
    made = info(run_id, experiment_id, start_time=start_time, run_name=name)
    store.write(RunChange(run_id, create=made, **content))
    return run_id


def model(run_id, experiment_id, name="model", **content):
    return LoggedModel(f"m-{new_id()}", experiment_id, name, "/somewhere", 1, 1, run_id, **content)


def whole_change(experiment_id, run_id=None):
    """A run with everything that a run can hold."""
    run_id = run_id or new_id()
    made = model(
        run_id,
        experiment_id,
        params={f"p{n}": str(n) for n in range(120)},
        tags={"t": "x"},
        metrics=(Metric("acc", 0.5, 3), Metric("nan", math.nan, 3)),
    )
    return RunChange(
        run_id,
        create=info(run_id, experiment_id),
        status="FINISHED",
        end_time=2000,
        params=as_params({"C": 1, "kernel": "rbf", "empty": ""}),
        metrics=(Metric("acc", 0.5, 3), Metric("loss", 2, 3, 4), Metric("nan", math.nan, 3)),
        tags=as_tags({"mlflow.runName": "a run", "note": "größer 🎉"}),
        inputs=(
            DatasetInput(
                Dataset("iris", "0123abcd", "code", "{}", "a schema", "a profile"),
                (RunTag("mlflow.data.context", "train"),),
            ),
        ),
        models=(made,),
    )


def without_ours(tags):
    return {key: value for key, value in tags.items() if key != "skledger.run_id"}


# With a real server


def test_a_run_holds_what_was_written(store, experiment):
    """One write creates a run with all it holds; the server's identifier stands in what is read."""
    change = whole_change(experiment)
    store.write(change)
    run = store.get_run(change.run_id)
    assert run.info.run_id == store.server_run_id(change.run_id)
    assert run.info == replace(
        info(run.info.run_id, experiment, status="FINISHED", end_time=2000),
        artifact_uri=run.info.artifact_uri,
    )
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert run.data.params == {"C": "1", "kernel": "rbf", "empty": ""}
    assert math.isnan(run.data.metrics.pop("nan"))
    assert run.data.metrics == {"acc": 0.5, "loss": 2.0}
    assert without_ours(run.data.tags) == {"mlflow.runName": "a run", "note": "größer 🎉"}
    assert run.inputs.dataset_inputs == list(change.inputs)
    (found,) = store.search_logged_models(change.run_id)
    assert [each.model_id for each in run.outputs.model_outputs] == [found.model_id]
    assert found.model_id == store.server_model_id(change.models[0].model_id)
    assert str(dict(found)) == str(dict(store.get_logged_model(change.models[0].model_id)))
    assert (found.name, found.status, found.source_run_id) == ("model", "READY", run.info.run_id)
    assert found.params == change.models[0].params
    assert found.tags == {"t": "x", "skledger.model_id": change.models[0].model_id}
    assert found.metrics[0] == Metric("acc", 0.5, 3)
    assert math.isnan(found.metrics[1].value)
    assert store.search_logged_models(change.run_id, "other") == []
    assert store.get_metric_history(change.run_id, "loss") == [Metric("loss", 2.0, 3, 4)]
    assert len(store.search_runs([experiment])) == 1


def test_mlflow_reads_what_we_wrote(store, experiment, client):
    """MLflow's own client finds the run, its data, its data set and its model, whole and ready."""
    change = whole_change(experiment)
    store.write(change)
    run = client.get_run(store.server_run_id(change.run_id))
    assert (run.info.status, run.info.end_time, run.info.run_name) == ("FINISHED", 2000, "a run")
    assert run.data.params == {"C": "1", "kernel": "rbf", "empty": ""}
    assert math.isnan(run.data.metrics["nan"])
    assert run.data.metrics["loss"] == 2.0
    assert run.data.tags["note"] == "größer 🎉"
    assert run.inputs.dataset_inputs[0].dataset.digest == "0123abcd"
    found = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert (found.name, str(found.status), found.params["p119"]) == ("model", "READY", "119")
    assert {each.key: each.value for each in found.metrics}["acc"] == 0.5


def test_we_read_what_mlflow_wrote(store, client):
    """A run of MLflow's client reads as it is, and takes what we add, as MLflow then sees."""
    experiment = client.create_experiment(new_id(), tags={"team": "ä"})
    run = client.create_run(experiment, run_name="theirs", tags={"a": "b"})
    run_id = run.info.run_id
    client.log_param(run_id, "C", 1)
    client.log_metric(run_id, "nan", math.nan, timestamp=5)
    client.log_metric(run_id, "m", 1.0, timestamp=5, step=2)
    found = store.get_run(run_id)
    assert (found.info.run_id, found.info.run_name) == (run_id, "theirs")
    assert found.data.params == {"C": "1"}
    assert math.isnan(found.data.metrics["nan"])
    assert found.data.tags["a"] == "b"
    assert store.get_experiment(experiment).tags == {"team": "ä"}
    store.write(
        RunChange(run_id, status="FAILED", end_time=9, tags=as_tags({"a": "c"}), run_name="ours")
    )
    run = client.get_run(run_id)
    assert (run.info.status, run.info.end_time, run.info.run_name) == ("FAILED", 9, "ours")
    assert run.data.tags["a"] == "c"


def test_a_server_keeps_what_models_were_measured_on(store, experiment, client):
    """We and MLflow see the data sets of each other's metrics, and search by them."""

    def on(name, value, at):
        return Metric("acc", value, at, dataset_name=name, dataset_digest=f"of {name}")

    run_id = create(store, experiment)
    made = model(run_id, experiment, metrics=(on("train", 0.9, 1), Metric("size", 3.0, 1)))
    store.write(RunChange(run_id, models=(made,), metrics=(on("train", 0.9, 1),)))
    change = ModelChange(made.model_id, metrics=(on("my test", 0.7, 2),))
    store.write(RunChange(run_id, model_changes=(change,), metrics=change.metrics))
    theirs, their_run = store.server_model_id(made.model_id), store.server_run_id(run_id)
    client.log_metric(
        their_run, "acc", 0.5, timestamp=3, model_id=theirs,
        dataset_name="holdout", dataset_digest="d3",
    )  # fmt: skip
    names = {("acc", "train"), ("acc", "my test"), ("acc", "holdout"), ("size", None)}
    for metrics in (
        store.get_logged_model(made.model_id).metrics,
        client.get_logged_model(theirs).metrics,
    ):
        assert {(each.key, each.dataset_name) for each in metrics} == names
        assert {each.run_id for each in metrics} == {their_run}
        assert {each.model_id for each in metrics} == {theirs}
    assert [each.value for each in store.get_metric_history(run_id, "acc")] == [0.9, 0.7, 0.5]
    for data in (("my test", "of my test"), ("holdout", "d3")):
        (found,) = store.search_models([experiment], datasets=[data])
        assert found.model_id == theirs
    assert not store.search_models([experiment], datasets=[("my test", "d3")])


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e308, 5e-323, 1.7976931348623155e308])
def test_numbers_come_back_exactly(store, experiment, value):
    """Infinities and the ends of the floats are the same after a round trip, models' as well."""
    run_id = new_id()
    metric = Metric("m", value, 1)
    made = model(run_id, experiment, metrics=(metric,))
    store.write(
        RunChange(run_id, create=info(run_id, experiment), metrics=(metric,), models=(made,))
    )
    assert store.get_run(run_id).data.metrics["m"] == value
    assert store.get_metric_history(run_id, "m") == [metric]
    assert store.search_logged_models(run_id)[0].metrics[0].value == value


def test_the_greatest_float_stays_finite(store, experiment):
    """What is not infinite never reads as infinity; one unit in the last place may be lost."""
    run_id = create(store, experiment, metrics=(Metric("m", 1.7976931348623157e308, 1),))
    assert 1.797693134862315e308 < store.get_run(run_id).data.metrics["m"] < math.inf


def test_metrics_keep_their_history(store, experiment):
    """History is complete and ordered, and the greatest step is the last."""
    run_id = create(store, experiment, metrics=(Metric("m", 1, 10, 1), Metric("m", 5, 20, 0)))
    store.write(RunChange(run_id, metrics=(Metric("m", 3, 10, 2), Metric("m", 2, 10, 2))))
    assert store.get_run(run_id).data.metrics == {"m": 3.0}
    history = [(each.step, each.value) for each in store.get_metric_history(run_id, "m")]
    assert history == [(0, 5.0), (1, 1.0), (2, 2.0), (2, 3.0)]
    assert store.get_metric_history(run_id, "other") == []


def test_much_goes_in_several_requests(store, experiment):
    """More params, tags and metrics than one request takes are all booked."""
    run_id = create(
        store,
        experiment,
        params=as_params({f"p{n}": "ü" * 6000 for n in range(120)}),
        tags=as_tags({f"t{n}": n for n in range(120)}),
        metrics=tuple(Metric(f"m{n % 7}", n, n, n) for n in range(1100)),
    )
    data = store.get_run(run_id).data
    assert len(data.params) == 120
    assert len(without_ours(data.tags)) == 121  # and the name
    assert sum(len(store.get_metric_history(run_id, f"m{n}")) for n in range(7)) == 1100


def test_a_batch_keeps_the_limits():
    """At most 100 params, 100 tags, 1000 metrics, 1000 together and a million bytes; in order."""
    params = [{"key": str(n), "value": "v" * 6000} for n in range(350)]
    tags = [{"key": str(n), "value": ""} for n in range(250)]
    metrics = [{"key": str(n), "value": 1.0} for n in range(3000)]
    batches = list(in_batches(params, tags, metrics))
    for batch in batches:
        assert len(batch.get("params", ())) <= 100
        assert len(batch.get("tags", ())) <= 100
        assert sum(map(len, batch.values())) <= 1000
        assert len(str(batch)) < 1_000_000
    for kind, items in (("params", params), ("tags", tags), ("metrics", metrics)):
        assert [item for batch in batches for item in batch.get(kind, ())] == items
    assert list(in_batches()) == []


def test_a_param_never_changes(store, experiment):
    """The same value again is fine, another one a ParamConflictError; the rest is not booked."""
    run_id = create(store, experiment, params=as_params({"C": 1}))
    store.write(RunChange(run_id, params=as_params({"C": 1, "new": 2})))
    with pytest.raises(ParamConflictError, match=r"'C'.*'1'.*'2'"):
        store.write(
            RunChange(run_id, params=as_params({"C": 2}), tags=as_tags({"t": 1}), status="FAILED")
        )
    with pytest.raises(ParamConflictError, match=r"'D'.*'1'.*'2'"):
        store.write(RunChange(run_id, params=(*as_params({"D": 1}), *as_params({"D": 2}))))
    run = store.get_run(run_id)
    assert run.data.params == {"C": "1", "new": "2"}
    assert "t" not in run.data.tags
    assert run.info.status == "RUNNING"


def test_tags_change_and_go(store, experiment):
    """A tag is overwritten; deleted tags go before others are set, and need not be there."""
    run_id = create(store, experiment, tags=as_tags({"a": 1, "b": 1, "c": 1}))
    store.write(RunChange(run_id, tags=as_tags({"a": 2, "c": 3}), deleted_tags=("b", "c", "zz")))
    tags = without_ours(store.get_run(run_id).data.tags)
    assert tags == {"a": "2", "c": "3", "mlflow.runName": "a run"}


def test_a_deleted_run_takes_nothing_until_it_is_restored(store, experiment):
    """Deleting and restoring work; a deleted run is read, and what is written is a NotFoundError."""
    run_id = create(store, experiment, params=as_params({"C": 1}))
    store.write(RunChange(run_id, lifecycle_stage="deleted", tags=as_tags({"last": 1})))
    assert store.get_run(run_id).info.lifecycle_stage == "deleted"
    assert store.get_run(run_id).data.tags["last"] == "1"
    assert store.search_runs([experiment]) == []
    assert len(store.search_runs([experiment], view_type=ViewType.DELETED_ONLY)) == 1
    with pytest.raises(NotFoundError, match="deleted"):
        store.write(RunChange(run_id, status="FAILED"))
    store.write(RunChange(run_id, lifecycle_stage="active", status="FAILED"))
    assert store.search_runs([experiment])[0].info.status == "FAILED"


def test_a_run_that_was_over_and_deleted_is_created_so(store, experiment):
    """The state, the end and the stage that a run is created with are the server's too."""
    run_id = new_id()
    made = info(run_id, experiment, status="KILLED", end_time=7, lifecycle_stage="deleted")
    store.write(RunChange(run_id, create=made, params=as_params({"C": 1})))
    found = store.get_run(run_id)
    assert (found.info.status, found.info.end_time, found.info.lifecycle_stage) == (
        "KILLED",
        7,
        "deleted",
    )
    assert found.data.params == {"C": "1"}


def test_what_is_unknown_is_not_found(store, experiment):
    """An identifier nobody knows is a NotFoundError in every method, and nothing is booked."""
    for missing in ("nobody", new_id(), "../../x", "m-nobody", f"m-{new_id()}", "a b?#'%"):
        for call in (store.get_run, store.search_logged_models, store.get_logged_model):
            with pytest.raises(NotFoundError):
                call(missing)
        with pytest.raises(NotFoundError):
            store.get_metric_history(missing, "m")
    other = new_id()
    with pytest.raises(NotFoundError):
        store.write(
            RunChange(other, create=info(other, experiment)), RunChange(new_id(), status="FAILED")
        )
    assert store.search_runs([experiment]) == []
    with pytest.raises(NotFoundError):
        create(store, "987654")
    for missing in ("x", "987654"):
        with pytest.raises(NotFoundError, match="no experiment"):
            store.get_experiment(missing)
    assert store.get_experiment_by_name(new_id()) is None


def test_a_run_is_created_once(store, experiment):
    """A second run, or a second model, of the same identifier is refused."""
    run_id = create(store, experiment)
    with pytest.raises(AlreadyExistsError, match=run_id):
        store.write(RunChange(run_id, create=info(run_id, experiment)))
    made = model(run_id, experiment)
    store.write(RunChange(run_id, models=(made,)))
    with pytest.raises(AlreadyExistsError, match=made.model_id):
        store.write(RunChange(run_id, models=(made,)))


def test_models_go(store, experiment):
    """A deleted model is found nowhere, also among the outputs of its run; again is no error."""
    run_id = create(store, experiment)
    old, new = model(run_id, experiment), model(run_id, experiment, status="FAILED")
    store.write(RunChange(run_id, models=(old,)))
    store.write(RunChange(run_id, models=(new,), deleted_models=(old.model_id,)))
    store.write(RunChange(run_id, deleted_models=(old.model_id, f"m-{new_id()}")))
    kept = store.server_model_id(new.model_id)
    assert [each.model_id for each in store.search_logged_models(run_id)] == [kept]
    assert store.search_logged_models(run_id)[0].status == "FAILED"
    outputs = store.get_run(run_id).outputs.model_outputs
    assert [each.model_id for each in outputs] == [kept]
    with pytest.raises(NotFoundError):
        store.get_logged_model(old.model_id)


def test_our_identifiers_are_understood_by_other_processes(store, mlflow_server, experiment):  # noqa: F811
    """A store that did not write a run knows it by our identifier, the server's, and in filters."""
    change = whole_change(experiment)
    store.write(change)
    other = RestStore(mlflow_server.uri)
    theirs = store.server_run_id(change.run_id)
    assert other.get_run(change.run_id).info.run_id == theirs
    assert other.get_run(theirs).info.run_id == theirs
    other = RestStore(mlflow_server.uri)
    where = f"attributes.run_id IN ('{change.run_id}', '{new_id()}')"
    assert [run.info.run_id for run in other.search_runs([experiment], where)] == [theirs]
    where = f"tags.`skledger.run_id` = '{change.run_id}' and run_id = \"{change.run_id}\""
    assert [run.info.run_id for run in other.search_runs([experiment], where)] == [theirs]
    other = RestStore(mlflow_server.uri)
    other.write(RunChange(change.run_id, tags=as_tags({"late": 1})))
    assert store.get_run(change.run_id).data.tags["late"] == "1"
    made = other.get_logged_model(change.models[0].model_id)
    assert made.model_id == store.server_model_id(change.models[0].model_id)


def test_tags_that_name_a_run_name_the_servers(store, experiment, client):
    """Parents and the best candidate are linked, whatever the order of the changes."""
    parent, child, late = new_id(), new_id(), new_id()
    store.write(
        RunChange(
            child,
            create=info(child, experiment),
            tags=as_tags({"mlflow.parentRunId": parent, "note": parent}),
        ),
        RunChange(
            parent,
            create=info(parent, experiment),
            tags=as_tags({"skledger.best_run": child}),
        ),
    )
    create(store, experiment, tags=as_tags({"mlflow.parentRunId": parent}))
    store.write(
        RunChange(
            late, create=info(late, experiment), tags=as_tags({"mlflow.parentRunId": "f" * 32})
        )
    )
    theirs = store.server_run_id(parent)
    found = client.get_run(store.server_run_id(child)).data.tags
    assert (found["mlflow.parentRunId"], found["note"]) == (theirs, parent)
    assert store.get_run(parent).data.tags["skledger.best_run"] == store.server_run_id(child)
    where = f"tags.mlflow.parentRunId = '{parent}'"
    assert len(store.search_runs([experiment], where)) == 2
    assert store.get_run(late).data.tags["mlflow.parentRunId"] == "f" * 32


def test_experiments(store):
    """They are made, found, renamed, tagged, deleted with their runs and restored."""
    name = new_id()
    made = store.create_experiment(name, "mlflow-artifacts:/here", {"team": "ä", "old": "1"})
    assert store.get_experiment(made).artifact_location == "mlflow-artifacts:/here"
    assert store.get_experiment_by_name(name).tags == {"team": "ä", "old": "1"}
    with pytest.raises(AlreadyExistsError, match=name):
        store.create_experiment(name)
    run_id = create(store, made)
    store.update_experiment(made, name=f"{name}2", tags={"x": "1"}, deleted_tags=["old", "none"])
    found = store.get_experiment(made)
    assert (found.name, found.tags) == (f"{name}2", {"team": "ä", "x": "1"})
    for taken in ("Default", f"{name}2"):
        other = store.create_experiment(new_id())
        with pytest.raises(AlreadyExistsError, match=taken):
            store.update_experiment(other, name=taken, tags={"y": "1"})
        assert store.get_experiment(other).tags == {}
    store.update_experiment(made, lifecycle_stage="deleted")
    store.update_experiment(made, lifecycle_stage="deleted")
    assert store.get_experiment(made).lifecycle_stage == "deleted"
    assert store.get_run(run_id).info.lifecycle_stage == "deleted"
    with pytest.raises(InvalidParameterError, match="deleted"):
        store.update_experiment(made, name=new_id())
    store.update_experiment(made, lifecycle_stage="active", name=name)
    assert store.get_experiment(made).name == name
    assert store.get_run(run_id).info.lifecycle_stage == "active"
    with pytest.raises(NotFoundError):
        store.update_experiment("987654", name=new_id())
    with pytest.raises(InvalidParameterError, match="gone"):
        store.update_experiment(made, lifecycle_stage="gone")
    for bad in ("", None, "x" * 300):
        with pytest.raises(InvalidParameterError, match="name of an experiment"):
            store.create_experiment(bad)


def test_experiments_are_searched(store):
    """Filters, orders, views and pages are the server's."""
    name = new_id()
    made = [store.create_experiment(f"{name}{n}") for n in range(3)]
    where = f"name LIKE '{name}%'"
    found = store.search_experiments(filter_string=where, order_by=["name DESC"], max_results=2)
    assert [each.experiment_id for each in found] == [made[2], made[1]]
    rest = store.search_experiments(
        filter_string=where, order_by=["name DESC"], max_results=2, page_token=found.token
    )
    assert ([each.experiment_id for each in rest], rest.token) == ([made[0]], None)
    assert store.search_experiments(ViewType.DELETED_ONLY, filter_string=where) == []
    since = f"{where} and creation_time > '2020-01-01'"
    assert len(store.search_experiments(filter_string=since)) == 3


def test_the_experiment_for_runs_is_made_when_new(store):
    """By its name, once; without one it is Default."""
    name = new_id()
    assert store.experiment_for_runs(None).name == "Default"
    made = store.experiment_for_runs(name)
    assert made.name == name
    assert store.experiment_for_runs(name) == made


def test_runs_are_searched_in_pages(store, experiment):
    """Pages follow each other without gaps, also when they are longer than the server's."""
    for start in (3, 1, 2, 2):
        create(store, experiment, start_time=start, name=str(start))
    found, token = [], None
    while True:
        page = store.search_runs([experiment], max_results=3, page_token=token)
        found += page
        token = page.token
        if token is None:
            break
    assert [run.info.run_name for run in found] == ["3", "2", "2", "1"]
    assert len(store.search_runs([experiment], max_results=60_000)) == 4
    assert store.search_runs([]) == []
    for token in ("zzz", "öö"):
        with pytest.raises(InvalidParameterError, match="page token"):
            store.search_runs([experiment], page_token=token)
    for bad in (lambda: store.search_runs([experiment], "metrics.m >> 1"),):
        with pytest.raises(InvalidParameterError):
            bad()
    with pytest.raises(InvalidParameterError, match="max_results"):
        store.search_runs([experiment], max_results=0)


@pytest.mark.parametrize(
    ("filter_string", "expected"),
    [
        ("tags.team IN ('a', 'c')", "02456"),
        ("tags.team NOT IN ('a', 'c')", "13"),
        ("tags.team NOT LIKE 'a%'", "1356"),
        ("metrics.m IS NULL", "6"),
        ("metrics.m IS NOT NULL and tags.team IN ('b')", "13"),
        ("params.p = 'it''s \"so\"'", "5"),
        ("metrics.m > 2 and tags.team IN ('a', 'b')", "34"),
        ("tags.team IN ('z')", ""),
        ("start_time > '1970-01-01T00:00:00.004Z' and estimator != 'Ridge'", "56"),
        ("duration >= 4 and estimator = 'Ridge'", "4"),
        ("duration < 1.5 and start_time >= '1970-01-01'", "01"),
        ("duration IS NULL", "6"),
    ],
)
def test_what_the_server_does_not_search_is_looked_at_here(
    store, experiment, monkeypatch, filter_string, expected
):
    """All of our grammar, in pages without gaps, whatever the pages of the server are."""
    monkeypatch.setattr("skledger.stores.rest_searching._PAGE", 2)
    for number, team in enumerate(["a", "b", "a", "b", "a", "c", "c"]):
        create(
            store,
            experiment,
            name=str(number),
            start_time=number,
            tags=as_tags({"team": team, "estimator_name": "SVC" if number > 4 else "Ridge"}),
            end_time=None if number == 6 else 1001 * number + 1,
            params=as_params({"p": 'it\'s "so"'} if number == 5 else {}),
            metrics=() if number == 6 else (Metric("m", float(number), 1, 0),),
        )
    for size in (1, 2, 3, 100):
        found, token = [], None
        while True:
            page = store.search_runs([experiment], filter_string, 1, size, None, token)
            assert len(page) <= size
            found += page
            token = page.token
            if token is None:
                break
        assert "".join(sorted(run.info.run_name for run in found)) == expected
    with pytest.raises(InvalidParameterError, match="page token"):
        store.search_runs([experiment], "tags.team IN ('a')", page_token="zzz")


def test_runs_are_counted(store, experiment):
    """By the value of a tag and by status, as in every store."""
    for value in ("a", "a", "b"):
        create(store, experiment, tags=as_tags({"team": value}))
    failed = create(store, experiment)
    store.write(RunChange(failed, status="FAILED"))
    assert store.count_runs([experiment], tag="team") == {
        ("a", "RUNNING"): 2,
        ("b", "RUNNING"): 1,
        (None, "FAILED"): 1,
    }
    assert store.count_runs([experiment], "tags.team = 'b'") == {(None, "RUNNING"): 1}


def test_running_runs_are_found_by_their_tag(store, experiment):
    """In pages by identifier, from all experiments; deleted ones and those that ended are not."""
    key = f"who.{new_id()}"
    tagged = [create(store, experiment, tags=as_tags({key: n})) for n in ("a", "", "c")]
    ended, deleted = (create(store, experiment, tags=as_tags({key: n})) for n in "de")
    store.write(RunChange(ended, status="KILLED"), RunChange(deleted, lifecycle_stage="deleted"))
    ids = sorted(store.server_run_id(each) for each in tagged)

    def found(*args):
        return [run.info.run_id for run in store.running_runs(*args)]

    assert found(key) == ids
    assert found(key, 2) == ids[:2]
    assert found(key, 2, ids[1]) == ids[2:]
    assert found("nothing") == []
    assert set(ids) <= set(found())


def test_the_last_sign_of_a_run(store, experiment):
    """Its start, a metric (not of the future), and what its children did; unknown runs are none."""
    future = (time.time_ns() // 1_000_000) + 10_000_000
    run_id = create(store, experiment, metrics=(Metric("m", 1, 5000), Metric("future", 1, future)))
    quiet = create(store, experiment, start_time=77)
    create(store, experiment, start_time=9000, tags=as_tags({"mlflow.parentRunId": quiet}))
    assert store.last_signs([run_id, quiet, new_id(), "no'body"]) == {run_id: 5000, quiet: 9000}
    assert store.last_signs([]) == {}


def test_a_data_set_is_described_once(store, experiment):
    """The same data set again in one write, or in another run, is one."""
    item = DatasetInput(Dataset("iris", "d1", "code", "{}"))
    one = create(store, experiment, inputs=(item, item))
    two = create(store, experiment, inputs=(item,))
    assert store.get_run(one).inputs.dataset_inputs == [item]
    assert store.get_run(two).inputs.dataset_inputs == [item]


def test_writing_again_adds_nothing(store, mlflow_server, experiment):  # noqa: F811
    """With `retry` a write that was whole changes nothing, in this process or another."""
    change = whole_change(experiment)
    change = replace(change, metrics=(*change.metrics, *(Metric("s", n, n, n) for n in range(9))))
    more = RunChange(change.run_id, metrics=(Metric("s", 1.5, 3, 3),), lifecycle_stage="deleted")
    store.write(change)
    store.write(more)
    before = str(dict(store.get_run(change.run_id)))
    for again in (store, RestStore(mlflow_server.uri)):
        again.write(more, retry=True)
        store.write(RunChange(change.run_id, lifecycle_stage="active"))
        again.write(change, retry=True)
        again.write(more, retry=True)
        assert str(dict(again.get_run(change.run_id))) == before
        assert len(again.get_metric_history(change.run_id, "s")) == 10
        assert len(again.search_runs([experiment], view_type=ViewType.ALL)) == 1
        assert len(again.search_logged_models(change.run_id)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_doubled_on_a_bad_line(store, mlflow_server, experiment, seed):  # noqa: F811
    """Through 500s, 429s, closed connections and lost answers, retried writes arrive just once."""
    parent = new_id()
    changes = [
        RunChange(parent, create=info(parent, experiment), params=as_params({"a": 1})),
        *(
            replace(change, tags=(*change.tags, RunTag("mlflow.parentRunId", parent)))
            for change in (whole_change(experiment) for _ in range(2))
        ),
        RunChange(parent, status="FINISHED", end_time=5, metrics=(Metric("m", 1, 1),)),
    ]
    with LosingProxy(mlflow_server.uri, seed) as proxy:
        for change in changes:
            # A process of its own for each: nothing is remembered but by the server.
            through = RestStore(proxy.uri)
            retry = False
            for _ in range(400):
                try:
                    through.write(change, retry=retry)
                    break
                except StoreUnavailableError:
                    retry = True
            else:
                raise AssertionError("never arrived")
            through.close()
        assert {"500", "503", "429", "closed", "lost"} & {each[0] for each in proxy.mishaps}
    assert len(store.search_runs([experiment])) == 3
    for change in changes[1:3]:
        run = store.get_run(change.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.params == {"C": "1", "kernel": "rbf", "empty": ""}
        assert run.data.tags["mlflow.parentRunId"] == store.server_run_id(parent)
        assert run.inputs.dataset_inputs == list(change.inputs)
        for key in ("acc", "loss", "nan"):
            assert len(store.get_metric_history(change.run_id, key)) == 1
        (made,) = store.search_logged_models(change.run_id)
        assert (made.status, len(made.params), len(made.metrics)) == ("READY", 120, 2)
        assert [each.model_id for each in run.outputs.model_outputs] == [made.model_id]
    assert store.get_run(parent).info.status == "FINISHED"


def test_a_store_is_used_from_many_threads(store, experiment):
    """Eight threads write and read at once, through one store."""
    failures = []

    def work(n):
        try:
            for step in range(5):
                run_id = create(store, experiment, params=as_params({"n": n, "step": step}))
                assert store.get_run(run_id).data.params == {"n": str(n), "step": str(step)}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.search_runs([experiment])) == 40


def test_a_fork_has_connections_of_its_own(mlflow_server, run_python):  # noqa: F811
    """Parent and child go on with the same store object, at once."""
    run_python(
        f"""
        import os
        from skledger.stores.rest import RestStore
        store = RestStore({mlflow_server.uri!r})
        store.get_experiment("0")
        child = os.fork()
        for _ in range(30):
            assert store.get_experiment("0").name == "Default"
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """
    )


def test_what_cannot_be_stored_is_refused_before_anything_is_sent():
    """Limits are checked without a server."""
    store = RestStore("http://localhost:1")
    run_id = new_id()
    for content in (
        {"params": as_params({"k": "v" * 6001})},
        {"tags": as_tags({"": 1})},
        {"metrics": (Metric("m", "high", 1),)},
        {"status": "DONE"},
    ):
        with pytest.raises(InvalidParameterError):
            store.write(RunChange(run_id, create=info(run_id, "0"), **content))


# With servers that are not well


@pytest.fixture
def server():
    """A server that answers as the test says."""
    opened = []

    def serve(answer, context=None):
        made = HttpServer(answer, context)
        opened.append(made)
        return made.__enter__()

    yield serve
    for each in opened:
        each.__exit__()


def error(code, message="what happened"):
    return {"error_code": code, "message": message}


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (404, error("RESOURCE_DOES_NOT_EXIST"), NotFoundError, "what happened"),
        (400, error("RESOURCE_ALREADY_EXISTS", "already"), AlreadyExistsError, "already"),
        (400, error("INVALID_PARAMETER_VALUE"), InvalidParameterError, "what happened"),
        (500, error("INVALID_STATE"), InvalidParameterError, "what happened"),
        (500, error("INTERNAL_ERROR", "oops"), StoreUnavailableError, "500: oops"),
        (502, b"<html>", StoreUnavailableError, "502"),
        (503, b"", StoreUnavailableError, "503"),
        (408, b"", StoreUnavailableError, "408"),
        (429, b"", StoreUnavailableError, "429"),
        (404, b"<html>", StoreError, "does not know"),
        (404, error("ENDPOINT_NOT_FOUND"), StoreError, "version 3"),
        (413, b"", InvalidParameterError, "too large"),
        (401, b"You are not authenticated", StoreError, "SKLEDGER_TRACKING_USERNAME"),
        (403, error("PERMISSION_DENIED"), StoreError, "permission"),
        (302, b"", StoreError, "https://elsewhere"),
        (200, b"<html>a page</html>", StoreError, "MLflow tracking server"),
        (200, b"[1]", StoreError, "MLflow tracking server"),
    ],
)
def test_answers_that_are_errors(server, status, body, kind, says):
    """Each is an exception of ours that says what was asked, what came, and what to do."""
    there = server(lambda h: h.reply(status, body, {"Location": "https://elsewhere"}))
    store = RestStore(there.uri)
    for call in (store.search_runs, store.create_experiment):
        with pytest.raises(kind, match=says) as caught:
            call("0")
        assert isinstance(caught.value, StoreUnavailableError) == (kind is StoreUnavailableError)


def test_a_server_says_how_long_to_wait(server):
    """Retry-After is in seconds or a date; nonsense is nothing, and a year is cut to a day."""
    for told, least, most in (
        ("7", 7, 7),
        ("1.5", 1.5, 1.5),
        ("-3", 0, 0),
        ("nan", None, None),
        ("soon", None, None),
        ("31536000", 86400, 86400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ):
        there = server(lambda h, told=told: h.reply(429, b"", {"Retry-After": told}))
        with pytest.raises(StoreUnavailableError) as caught:
            RestStore(there.uri).create_experiment("x")
        found = caught.value.retry_after
        assert found is None if least is None else least <= found <= most


def test_reads_are_repeated_and_writes_are_not(server):
    """A read survives two mishaps in a row; a write is sent once, and says that it failed."""
    told = {"experiment": {"experiment_id": "0", "name": "Default"}}
    mishaps = []

    def answer(handler):
        mishaps.append(1)
        if len(mishaps) % 3 == 1:
            handler.hang_up()
        elif len(mishaps) % 3 == 2:
            handler.reply(503)
        else:
            handler.reply(200, told)

    there = server(answer)
    store = RestStore(there.uri)
    for _ in range(3):
        assert store.get_experiment("0").name == "Default"
    before = len(there.seen)
    with pytest.raises(StoreUnavailableError):
        store.create_experiment("x")
    assert len(there.seen) == before + 1


@pytest.mark.parametrize("answer", [never, in_drops])
def test_a_server_that_never_answers_does_not_hold_up(server, answer):
    """A read ends within five seconds, whether nothing comes or a byte now and then."""
    there = server(answer)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="within 5 s"):
        RestStore(there.uri).get_experiment("0")
    assert time.monotonic() - begun < 6
    begun = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="within 0.5 s"):
        Api(there.uri, read_timeout=0.5).get("experiments/get")
    assert time.monotonic() - begun < 1


def test_nobody_listens_or_no_such_host():
    """No connection is an error at once, which names the address and no password."""
    begun = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"no connection to http://localhost:\d+ "):
        RestStore(f"http://me:secret@localhost:{free_port()}").get_experiment("0")
    with pytest.raises(StoreUnavailableError, match="no connection") as caught:
        RestStore("http://me:secret@no-such-host.invalid/x").get_experiment("0")
    assert "secret" not in str(caught.value)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "uri",
    ["http://", "http:///x", "ftp://host", "http://host:port", "http://h?x=1", "http://h#x", "x"],
)
def test_an_address_that_is_none_is_refused(uri):
    """At once, without a word of what was given before an @."""
    with pytest.raises(InvalidParameterError) as caught:
        RestStore(uri.replace("host", "me:secret@host"))
    assert "secret" not in str(caught.value)


def ok(handler):
    handler.reply(200, {"experiment": {"experiment_id": "0", "name": "Default"}})


def authorization(there):
    return there.seen[-1][2].get("Authorization")


def test_who_asks(server, monkeypatch):
    """User and password go before a token, ours before MLflow's, the environment before the URI."""
    there = server(ok)
    store = RestStore(there.uri)
    assert store.get_experiment("0") and authorization(there) is None
    store = RestStore(there.uri.replace("localhost", "u%40x:p%3A@localhost"))
    assert store.uri == there.uri
    assert store.get_experiment("0") and authorization(there) == "Basic dUB4OnA6"  # u@x:p:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "theirs")
    other = RestStore(there.uri.replace("localhost", "127.0.0.1"))
    assert other.get_experiment("0") and authorization(there) == "Bearer theirs"
    monkeypatch.setenv("SKLEDGER_TRACKING_TOKEN", "ours")
    assert other.get_experiment("0") and authorization(there) == "Bearer ours"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    assert other.get_experiment("0") and authorization(there) == "Bearer ours"
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert other.get_experiment("0") and authorization(there) == "Basic bWU6c2VjcmV0"


def test_a_server_may_be_below_a_path(server):
    """The path of the address stands before that of each request."""
    there = server(ok)
    assert RestStore(f"{there.uri}/ml/flow/").get_experiment("0").name == "Default"
    assert there.seen[0][1].startswith("/ml/flow/api/2.0/mlflow/experiments/get?")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody signed, with its key, in one file."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        made.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(path)


def test_whom_to_trust(server, certificate, monkeypatch):
    """A certificate of nobody is refused, unless it is named or anyone is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    store = RestStore(server(ok, context).uri)
    with pytest.raises(StoreError, match="SKLEDGER_TRACKING_SERVER_CERT_PATH"):
        store.get_experiment("0")
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    assert store.get_experiment("0").name == "Default"
    monkeypatch.setenv("SKLEDGER_TRACKING_INSECURE_TLS", "maybe")
    with pytest.raises(InvalidParameterError, match="'maybe'"):
        store.get_experiment("0")
    monkeypatch.setenv("SKLEDGER_TRACKING_INSECURE_TLS", "false")
    monkeypatch.setenv("SKLEDGER_TRACKING_SERVER_CERT_PATH", certificate)
    assert store.get_experiment("0").name == "Default"
    monkeypatch.setenv("SKLEDGER_TRACKING_SERVER_CERT_PATH", "/nothing/here")
    with pytest.raises(InvalidParameterError, match="/nothing/here"):
        store.get_experiment("0")


def test_a_server_that_wants_a_certificate_of_the_client(server, certificate, monkeypatch):
    """It is sent when it is named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    monkeypatch.setenv("SKLEDGER_TRACKING_SERVER_CERT_PATH", certificate)
    store = RestStore(server(ok, context).uri)
    with pytest.raises(StoreUnavailableError):
        store.get_experiment("0")
    monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", certificate)
    assert store.get_experiment("0").name == "Default"


def test_nothing_of_it_is_loaded_for_a_file(run_python):
    """Neither httpx nor fsspec is imported where no address is used."""
    run_python(
        """
        import sys
        import skledger
        skledger.autolog()
        from sklearn.linear_model import Ridge
        Ridge().fit([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0])
        run = skledger.search_runs(output_format="list")[0]
        skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
        loaded = [name for name in ("httpx", "fsspec") if name in sys.modules]
        assert not loaded, loaded
        """
    )
