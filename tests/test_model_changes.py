"""Logged models change after they were made, the same in every store."""

from __future__ import annotations

import json
import math
import sqlite3
import time
import uuid
from dataclasses import replace

import pytest
from _mlflow_server import mlflow_server  # noqa: F401 - a fixture
from _standin import MODEL_TAG, Standin

from skledger.errors import (
    InvalidParameterError,
    NotFoundError,
    ParamConflictError,
    StoreUnavailableError,
)
from skledger.stores import outbox_courier
from skledger.stores.opening import open_store
from skledger.stores.outbox import OutboxStore
from skledger.stores.outbox_codec import encode_change
from skledger.stores.outbox_groups import grouped, halves, pieces, strides
from skledger.stores.outbox_queue import CHANGE, Entry
from skledger.stores.rest import RestStore
from skledger.stores.rest_api import Api
from skledger.tracking.entities import (
    LoggedModel,
    Metric,
    ModelChange,
    Param,
    RunChange,
    RunInfo,
    RunTag,
    as_params,
    as_tags,
)

STORES = ["sqlite", "memory", "postgres", "mysql", "file", "server", "outbox"]
#: An outbox does not know what only its server knows, so it cannot refuse at once.
KNOWING = [each for each in STORES if each != "outbox"]


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    opened = opened_store(request, tmp_path)
    yield opened
    opened.close()


def opened_store(request, tmp_path):
    """Open an empty store; one of a server has an experiment of its own."""
    if request.param == "server":
        return RestStore(request.getfixturevalue("mlflow_server").uri)
    if request.param == "outbox":
        server = Standin(tmp_path / "server")
        server.is_away()  # all is read from what waits
        return OutboxStore("http://standin", lambda: server, tmp_path / "box", server.artifacts)
    if request.param in ("postgres", "mysql"):
        return open_store(request.getfixturevalue(request.param).new_database())
    uris = {
        "sqlite": f"sqlite:///{tmp_path}/x.db",
        "memory": "memory:",
        "file": f"{tmp_path}/runs",
    }
    return open_store(uris[request.param])


def create(store, *models, experiment_id=None, **content):
    """Create a run with models, and return its identifier."""
    run_id = uuid.uuid4().hex
    if experiment_id is None:
        experiment_id = store.experiment_for_runs(uuid.uuid4().hex).experiment_id
    place = f"/somewhere/{run_id}/artifacts"
    info = RunInfo(run_id, experiment_id, "a run", "me", "RUNNING", 1000, None, "active", place)
    made = tuple(replace(each, source_run_id=run_id) for each in models)
    store.write(RunChange(run_id, create=info, models=made, **content))
    return run_id


def model(name="model", **content):
    content = {"status": "PENDING"} | content
    return LoggedModel(f"m-{uuid.uuid4().hex}", "0", name, "/somewhere/models", 1, 1, **content)


def own_tags(found):
    return {key: value for key, value in found.tags.items() if key != MODEL_TAG}


def values(metrics):
    return sorted((each.key, each.step, each.timestamp, repr(each.value)) for each in metrics)


def test_a_model_changes(store):
    """Params, metrics and tags are added, deleted tags go first, the state is the new one."""
    made = model(
        params={"a": "1"}, tags={"old": "1", "kept": "1"}, metrics=(Metric("m", 0.5, 10, 0),)
    )
    run_id = create(store, made)
    before = store.get_logged_model(made.model_id)
    change = ModelChange(
        made.model_id,
        status="READY",
        metrics=(Metric("m", 0.7, 20, 1), Metric("n", math.inf, 20), Metric("x", math.nan, 20)),
        params=as_params({"b": 2, "a": 1}),
        tags=as_tags({"new": "ä", "old": "3"}),
        deleted_tags=("old", "kept", "never"),
    )
    store.write(RunChange(run_id, model_changes=(change,)))
    found = store.get_logged_model(made.model_id)
    assert found.status == "READY"
    assert found.params == {"a": "1", "b": "2"}
    assert own_tags(found) == {"new": "ä", "old": "3"}
    assert values(found.metrics) == values([*made.metrics, *change.metrics])
    assert found.last_updated_timestamp > max(before.last_updated_timestamp, 1)
    assert (found.name, found.creation_timestamp) == (before.name, before.creation_timestamp)
    assert [each.params for each in store.search_logged_models(run_id)] == [found.params]
    assert len(store.get_run(run_id).outputs.model_outputs) == 1


def test_changes_add_up(store):
    """One after the other, in one write or in several, in the order in which they came."""
    made = model()
    run_id = create(store, made)
    store.write(
        RunChange(run_id, model_changes=(ModelChange(made.model_id, tags=as_tags({"t": 1})),)),
        RunChange(
            run_id,
            model_changes=(
                ModelChange(made.model_id, deleted_tags=("t",), metrics=(Metric("m", 1, 1),)),
                ModelChange(made.model_id, tags=as_tags({"u": 1}), metrics=(Metric("m", 2, 2),)),
            ),
        ),
    )
    store.write(RunChange(run_id, model_changes=(ModelChange(made.model_id, status="FAILED"),)))
    found = store.get_logged_model(made.model_id)
    assert own_tags(found) == {"u": "1"}
    assert values(found.metrics) == values([Metric("m", 1.0, 1), Metric("m", 2.0, 2)])
    assert found.status == "FAILED"


def test_the_same_metric_counts_once(store):
    """An exact repeat changes nothing; a NaN is equal to itself."""
    made = model(metrics=(Metric("m", 1.5, 3, 2),))
    run_id = create(store, made)
    repeated = (Metric("m", 1.5, 3, 2), Metric("x", math.nan, 3))
    for _ in range(2):
        change = ModelChange(made.model_id, metrics=repeated)
        store.write(RunChange(run_id, model_changes=(change,)))
    assert values(store.get_logged_model(made.model_id).metrics) == values(repeated)


def test_another_run_changes_a_model(store):
    """What measures a model may be another run than the one that made it."""
    made = model()
    first = create(store, made)
    other = create(store)
    metric = Metric("acc", 0.9, 5)
    change = ModelChange(made.model_id, metrics=(metric,), tags=as_tags({"by": "other"}))
    store.write(RunChange(other, metrics=(metric,), model_changes=(change,)))
    found = store.get_logged_model(made.model_id)
    assert values(found.metrics) == values([metric])
    assert own_tags(found) == {"by": "other"}
    assert store.get_run(other).data.metrics == {"acc": 0.9}
    assert store.get_run(first).data.metrics == {}
    assert store.get_metric_history(other, "acc") == [metric]


def test_a_model_is_made_and_changed_in_one_write(store):
    """Changes come after all that the write makes, whichever change makes it."""
    made, run_id = model(params={"a": "1"}, tags={"t": "1"}), create(store)
    change = ModelChange(
        made.model_id, "READY", (Metric("m", 1, 1),), as_params({"b": 2}), (), ("t",)
    )
    made = replace(made, source_run_id=run_id)
    store.write(RunChange(run_id, model_changes=(change,)), RunChange(run_id, models=(made,)))
    found = store.get_logged_model(made.model_id)
    assert (found.status, found.params, own_tags(found)) == ("READY", {"a": "1", "b": "2"}, {})
    assert values(found.metrics) == values([Metric("m", 1.0, 1)])


@pytest.mark.parametrize("store", KNOWING, indirect=True)
def test_a_model_that_is_not_there_does_not_change(store):
    """Nothing of the write is booked then, whether the model never was or has gone."""
    made = model()
    run_id = create(store, made)
    metric = (Metric("m", 1, 1),)
    gone = RunChange(run_id, deleted_models=(made.model_id,))
    for missing in (f"m-{uuid.uuid4().hex}", "nobody"):
        change = ModelChange(missing, metrics=metric)
        with pytest.raises(NotFoundError, match=missing):
            store.write(RunChange(run_id, metrics=metric, model_changes=(change,)))
    change = ModelChange(made.model_id, metrics=metric)
    with pytest.raises(NotFoundError, match=made.model_id):
        store.write(gone, RunChange(run_id, metrics=metric, model_changes=(change,)))
    assert store.get_run(run_id).data.metrics == {}
    assert store.get_logged_model(made.model_id).metrics == ()
    store.write(gone)
    with pytest.raises(NotFoundError, match=made.model_id):
        store.write(RunChange(run_id, metrics=metric, model_changes=(change,)))
    assert store.get_run(run_id).data.metrics == {}


def test_a_param_of_a_model_never_changes(store):
    """Another value is refused with all of the write; the same once more is no change."""
    made = model(params={"a": "1"})
    run_id = create(store, made)
    told = store.get_logged_model(made.model_id).model_id
    wrong = (
        (ModelChange(made.model_id, params=as_params({"c": 3, "a": 2})),),
        (
            ModelChange(made.model_id, params=as_params({"d": 1})),
            ModelChange(made.model_id, params=as_params({"d": 2})),
        ),
    )
    for changes in wrong:
        with pytest.raises(ParamConflictError, match=f"{made.model_id}|{told}"):
            store.write(RunChange(run_id, tags=as_tags({"t": 1}), model_changes=changes))
    new = model(params={"a": "1"}, source_run_id=run_id)
    change = ModelChange(new.model_id, params=as_params({"a": 2}))
    with pytest.raises(ParamConflictError):
        store.write(RunChange(run_id, models=(new,), model_changes=(change,)))
    assert store.get_logged_model(made.model_id).params == {"a": "1"}
    assert "t" not in store.get_run(run_id).data.tags
    same = ModelChange(made.model_id, params=as_params({"a": 1, "e": 5}))
    store.write(RunChange(run_id, model_changes=(same, same)))
    assert store.get_logged_model(made.model_id).params == {"a": "1", "e": "5"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"status": "DONE"}, "DONE"),
        ({"params": as_params({"k" * 251: 1})}, "250"),
        ({"params": (Param("k", 5),)}, "must be text"),
        ({"tags": (RunTag("", "x"),)}, "empty"),
        ({"tags": (RunTag("k", "\ud800"),)}, "surrogate"),
        ({"metrics": (Metric("m", "high", 1),)}, "real number"),
        ({"model_id": ""}, "empty"),
    ],
)
def test_what_cannot_be_stored_is_refused(store, content, says):
    """What no store takes is an error that says why, before anything is written."""
    change = ModelChange(**({"model_id": "m-1"} | content))
    with pytest.raises(InvalidParameterError, match=says):
        store.write(RunChange("r", model_changes=(change,)))


def test_changed_models_are_searched(store):
    """A search goes by what models are now, in order and by pages, in its experiments only."""
    name = uuid.uuid4().hex
    experiment_id = store.experiment_for_runs(name).experiment_id
    made = [replace(model(f"model{n}"), creation_timestamp=n) for n in range(5)]
    run_id = create(store, *made, experiment_id=experiment_id)
    create(store, model("elsewhere"))
    changes = tuple(
        ModelChange(each.model_id, metrics=(Metric("acc", n / 10, 1),), tags=as_tags({"n": n % 2}))
        for n, each in enumerate(made)
    )
    store.write(RunChange(run_id, model_changes=changes))

    def search(*arguments):
        try:
            return [each.name for each in store.search_models([experiment_id], *arguments)]
        except StoreUnavailableError:  # an experiment of this name may be at the server
            return [each.name for each in here(store, [experiment_id], *arguments)]

    assert search("metrics.acc > 0.25") in (["model4", "model3"], ["model3", "model4"])
    assert search("tags.n = '1'", 10, ["metrics.acc"]) == ["model1", "model3"]
    order = [{"field_name": "metrics.acc", "ascending": False}]
    assert search("", 10, order) == [f"model{n}" for n in (4, 3, 2, 1, 0)]
    assert search("name = 'model2'") == ["model2"]
    assert search("source_run_id = '" + run_id + "' and tags.n = '0'", 10, ["name DESC"]) == [
        "model4",
        "model2",
        "model0",
    ]


def here(store, *arguments):
    """Search an outbox whose server has nothing, and does not answer."""
    store._their_experiments = lambda ids: []
    return store.search_models(*arguments)


@pytest.mark.parametrize("store", KNOWING, indirect=True)
def test_models_are_searched_in_pages(store):
    """Pages follow each other without a gap, and the last one has no token."""
    experiment_id = store.experiment_for_runs(uuid.uuid4().hex).experiment_id
    create(store, *(model(f"model{n}") for n in range(7)), experiment_id=experiment_id)
    found, token, pages = [], None, 0
    while True:
        page = store.search_models([experiment_id], "", 3, ["name"], token)
        found += [each.name for each in page]
        token, pages = page.token, pages + 1
        if token is None:
            break
    assert found == [f"model{n}" for n in range(7)]
    assert pages == 3
    with pytest.raises(InvalidParameterError):
        store.search_models([experiment_id], "metrics.acc >")
    with pytest.raises(InvalidParameterError, match="max_results"):
        store.search_models([experiment_id], max_results=0)


# On a server


@pytest.fixture
def rest(mlflow_server):  # noqa: F811
    opened = RestStore(mlflow_server.uri)
    yield opened
    opened.close()


@pytest.fixture
def client(mlflow_server):  # noqa: F811
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=mlflow_server.uri)


def whole_change(model_id):
    """A change of everything that a model has."""
    return ModelChange(
        model_id,
        status="READY",
        metrics=(Metric("acc", 0.5, 7, 1), Metric("acc", 0.6, 8, 2), Metric("nan", math.nan, 8)),
        params=as_params({f"p{n}": n for n in range(150)}),
        tags=as_tags({f"t{n}": n for n in range(150)} | {"a/b c": "ö"}),
        deleted_tags=("old", "gone too"),
    )


def state(client, rest, run_id, model_id):
    """Everything that the server says of a run and a model."""
    theirs, run = rest.server_model_id(model_id), rest.server_run_id(run_id)
    return (
        json.dumps(client.get_logged_model(theirs).to_dictionary(), default=vars, sort_keys=True),
        json.dumps(client.get_run(run).to_dictionary(), default=vars, sort_keys=True),
        [repr(vars(m)) for key in ("acc", "nan") for m in client.get_metric_history(run, key)],
    )


def test_a_change_that_is_written_again_changes_nothing(rest, client):
    """With `retry`, the server has the same afterwards, the time of the last change included."""
    made = model(tags={"old": "1", "gone too": "1"})
    run_id = create(rest, made)
    change = whole_change(made.model_id)
    change = RunChange(run_id, metrics=change.metrics, model_changes=(change,))
    rest.write(change)
    before = state(client, rest, run_id, made.model_id)
    found = client.get_logged_model(rest.server_model_id(made.model_id))
    assert len(found.params) == 150
    assert not {"old", "gone too"} & set(found.tags)
    # What is measured of a model is sent once, and is once in the run.
    assert [len(client.get_metric_history(rest.server_run_id(run_id), k)) for k in ("acc", "nan")]
    assert len(before[2]) == 3
    time.sleep(0.01)
    rest.write(change, retry=True)
    other = RestStore(rest.uri)
    other.write(change, retry=True)
    assert state(client, rest, run_id, made.model_id) == before


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_change_that_broke_off_is_completed(rest, client, monkeypatch, is_lost):
    """Whichever request fails, before or after the server took it, repeating adds what lacks."""
    made = model(tags={"old": "1"})
    run_id = create(rest, made)
    change = whole_change(made.model_id)
    change = RunChange(run_id, metrics=change.metrics, model_changes=(change,))
    left = 0

    def failing(method):
        original = getattr(Api, method)

        def call(self, *arguments, **options):
            nonlocal left
            left -= 1
            if left == 0 and not is_lost:
                raise StoreUnavailableError("no")
            answer = original(self, *arguments, **options)
            if left == 0:
                raise StoreUnavailableError("the answer is lost")
            return answer

        return call

    for method in ("get", "post", "patch", "delete"):
        monkeypatch.setattr(Api, method, failing(method))
    failures = 0
    for left in range(1, 40):  # noqa: B020 - counted down by the calls
        try:
            rest.write(change, retry=True)
            break
        except StoreUnavailableError:
            failures += 1
    assert failures > 5
    monkeypatch.undo()
    found = rest.get_logged_model(made.model_id)
    expected = change.model_changes[0]
    assert found.params == {each.key: each.value for each in expected.params}
    assert own_tags(found) == {each.key: each.value for each in expected.tags}
    assert values(found.metrics) == values(expected.metrics)
    assert found.status == "READY"
    run = rest.server_run_id(run_id)
    assert [len(client.get_metric_history(run, key)) for key in ("acc", "nan")] == [2, 1]


def test_metrics_of_a_fit_are_once_on_a_server(rest, client, binary, monkeypatch, tmp_path):
    """A fit's metrics are the model's and the run's: at one time, so the run has each once."""
    from sklearn.linear_model import LogisticRegression

    import skledger

    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outbox"))
    skledger.set_tracking_uri(rest.uri)
    name = uuid.uuid4().hex
    skledger.set_experiment(name)
    with skledger.autolog():
        LogisticRegression().fit(*binary)
    assert skledger.flush(30)
    experiment_id = client.get_experiment_by_name(name).experiment_id
    (run,) = client.search_runs([experiment_id])
    (found,) = client.search_logged_models([experiment_id])
    assert "training_accuracy_score" in {each.key for each in found.metrics}
    for key in run.data.metrics:
        assert len(client.get_metric_history(run.info.run_id, key)) == 1, key


def test_a_tag_that_a_server_cannot_remove(rest):
    """Its requests have no room for a slash; that is said before anything is written."""
    made = model(tags={"a/b": "1"})
    run_id = create(rest, made)
    change = ModelChange(made.model_id, tags=as_tags({"t": 1}), deleted_tags=("a/b",))
    with pytest.raises(InvalidParameterError, match="no room for a '/'"):
        rest.write(RunChange(run_id, model_changes=(change,)))
    assert own_tags(rest.get_logged_model(made.model_id)) == {"a/b": "1"}
    rest.write(RunChange(run_id, model_changes=(replace(change, deleted_tags=("c/d",)),)))
    assert own_tags(rest.get_logged_model(made.model_id)) == {"a/b": "1", "t": "1"}


# In an outbox


@pytest.fixture
def server(tmp_path):
    return Standin(tmp_path / "server")


@pytest.fixture
def open_box(tmp_path, server, monkeypatch):
    """Open the outbox of the stand-in, as often as wanted; each as another process would."""
    monkeypatch.setattr(outbox_courier, "GATHER", 0.01)
    monkeypatch.setattr(outbox_courier, "SHORTEST_PAUSE", 0.02)
    monkeypatch.setattr(outbox_courier, "SHORTEST_LOOK", 0.05)
    opened = []

    def open_():
        store = OutboxStore("http://standin", lambda: server, tmp_path / "box", server.artifacts)
        opened.append(store)
        return store

    yield open_
    server.is_back()
    for store in opened:
        store.close()


def end(store, run_id):
    store.write(RunChange(run_id, status="FINISHED", end_time=2000))


def on_server(server, made):
    return server.store.get_logged_model(server.models[made.model_id])


@pytest.mark.parametrize("seed", range(3))
def test_changes_are_delivered_once_in_effect(open_box, server, seed):
    """Whatever fails on the way, the server has in the end what was read here before."""
    server.fails_at_random(0.3, seed)
    box = open_box()
    made = model(params={"a": "1"}, tags={"t": "1"})
    run_id = create(box, made, experiment_id="0")
    for step in range(30):
        metric = Metric("loss", 1 / (step + 1), step, step)
        change = ModelChange(made.model_id, metrics=(metric,), tags=as_tags({"step": step}))
        box.write(RunChange(run_id, metrics=(metric,), model_changes=(change,)))
    change = ModelChange(made.model_id, "READY", params=as_params({"b": 2}), deleted_tags=("t",))
    box.write(RunChange(run_id, model_changes=(change,)))
    before = box.get_logged_model(made.model_id)
    assert len(before.metrics) == 30
    end(box, run_id)
    for _ in range(60):
        if box.flush(1):
            break
    server.is_back()
    assert box.flush(10)
    found = on_server(server, made)
    assert values(found.metrics) == values(before.metrics)
    assert (found.status, found.params) == ("READY", {"a": "1", "b": "2"})
    assert own_tags(found) == own_tags(before) == {"step": "29"}
    assert set(server.metrics.values()) == {1}


def test_a_change_by_a_run_that_ends_first_is_read_on(open_box, server):
    """A model of a run that goes on is read from here, with what others have changed of it."""
    box = open_box()
    made = model()
    first = create(box, made, experiment_id="0")
    other = create(box, experiment_id="0")
    change = ModelChange(made.model_id, metrics=(Metric("acc", 0.9, 5),), tags=as_tags({"t": 1}))
    box.write(RunChange(other, model_changes=(change,)))
    end(box, other)
    assert box.flush(10)
    for _ in range(100):
        if other not in box._queue.runs_here():
            break
        time.sleep(0.02)
    assert first in box._queue.runs_here()
    found = box.get_logged_model(made.model_id)
    assert (own_tags(found), len(found.metrics)) == ({"t": "1"}, 1)
    assert open_box().get_logged_model(made.model_id) == found
    end(box, first)
    assert box.flush(10)
    for _ in range(200):
        if not box._queue.database.number("SELECT COUNT(*) FROM entries"):
            break
        time.sleep(0.02)
    assert box._queue.database.number("SELECT COUNT(*) FROM entries") == 0
    assert own_tags(box.get_logged_model(made.model_id)) == {"t": "1"}


def test_what_waits_for_a_model_of_the_server_shows_at_once(open_box, server):
    """By its identifier there, and by the one that was chosen here; in the list of its run, too."""
    box = open_box()
    made = model()
    run_id = create(box, made, experiment_id="0")
    end(box, run_id)
    assert box.flush(10)
    for _ in range(100):
        if not box._queue.runs_here():
            break
        time.sleep(0.02)
    theirs = server.models[made.model_id]
    original, server.write = server.write, None  # it answers, but takes nothing
    for name, key in ((theirs, "a"), (made.model_id, "b")):
        box.write(RunChange(run_id, model_changes=(ModelChange(name, tags=as_tags({key: 1})),)))
    assert own_tags(box.get_logged_model(made.model_id)) == {"a": "1", "b": "1"}
    (listed,) = box.search_logged_models(run_id)
    assert own_tags(listed) == {"a": "1", "b": "1"}
    server.write = original


def test_a_change_that_is_refused_is_set_aside_alone(open_box, server):
    """The rest of what came with it, and what came after it, is sent."""
    box = open_box()
    made = model(params={"a": "1"})
    run_id = create(box, made, experiment_id="0")
    box.flush(10)
    missing = ModelChange(f"m-{uuid.uuid4().hex}", metrics=(Metric("m", 1, 1), Metric("n", 1, 1)))
    good = ModelChange(made.model_id, tags=as_tags({"t": 1}))
    box.write(RunChange(run_id, metrics=(Metric("m", 1, 1),), model_changes=(missing, good)))
    # Somebody else has booked this param at the server.
    theirs = server.models[made.model_id]
    taken = ModelChange(theirs, params=as_params({"x": "theirs"}))
    server.store.write(RunChange(server.runs[run_id], model_changes=(taken,)))
    change = ModelChange(made.model_id, "READY", params=as_params({"w": 1, "x": "ours", "y": 1}))
    box.write(RunChange(run_id, tags=as_tags({"late": 1}), model_changes=(change,)))
    end(box, run_id)
    assert box.flush(10)
    found = on_server(server, made)
    assert found.params == {"a": "1", "w": "1", "x": "theirs", "y": "1"}
    assert (found.status, own_tags(found)) == ("READY", {"t": "1"})
    run = server.store.get_run(server.runs[run_id])
    assert (run.data.metrics, run.data.tags["late"]) == ({"m": 1.0}, "1")
    refused = box.left().refused
    assert [each.summary for each in refused] == ["a change of a model"] * 2
    assert "no logged model" in refused[0].error
    assert "'x'" in refused[1].error


def test_models_of_both_sides_are_found_once(open_box, server):
    """What waits stands among what the server has, in order, over all pages."""
    box = open_box()
    old = [replace(model(f"m{n}"), creation_timestamp=n) for n in range(4)]
    first = create(box, *old, experiment_id="0")
    end(box, first)
    assert box.flush(10)
    for _ in range(100):
        if not box._queue.runs_here():
            break
        time.sleep(0.02)
    new = [replace(model(f"m{n + 0.5}"), creation_timestamp=n) for n in range(4)]
    second = create(box, *new, experiment_id="0")
    change = ModelChange(new[0].model_id, metrics=(Metric("acc", 1, 1),))
    box.write(RunChange(second, model_changes=(change,)))
    assert box.flush(10)  # the server has them as well, but they are read from here
    expected = ["m0", "m0.5", "m1", "m1.5", "m2", "m2.5", "m3", "m3.5"]
    for length in (1, 3, 100):
        found, token = [], None
        while True:
            page = box.search_models(["0"], "", length, ["name"], token)
            found += page
            token = page.token
            if token is None:
                break
        assert [each.name for each in found] == expected
    assert [each.name for each in box.search_models(["0"], "metrics.acc = 1")] == ["m0.5"]
    assert [each.name for each in box.search_models(["0"])][:2] in (["m3", "m3.5"], ["m3.5", "m3"])


def test_an_older_outbox_is_read(open_box, server):
    """One that was made before models could change has the table for it from then on."""
    server.is_away()
    box = open_box()
    made = model()
    run_id = create(box, made, experiment_id="0")
    box.close()
    with sqlite3.connect(box.folder / "queue.db") as connection:
        connection.execute("DROP TABLE model_changes")
        connection.execute("DROP TABLE awaited")  # which came after it
    connection.close()
    box = open_box()
    change = ModelChange(made.model_id, tags=as_tags({"t": 1}))
    box.write(RunChange(run_id, model_changes=(change,)))
    assert own_tags(box.get_logged_model(made.model_id)) == {"t": "1"}


def test_many_changes_are_sent_as_few():
    """Changes of a run's models are one for each model, unless they contradict each other."""
    changes = [
        RunChange("r", model_changes=(ModelChange(f"m-{n % 2}", metrics=(Metric("m", n, n),)),))
        for n in range(10)
    ]
    entries = [Entry(n, "r", CHANGE, encode_change(each), 0) for n, each in enumerate(changes)]
    (group,) = grouped(entries)
    assert [len(each.metrics) for each in group.change.model_changes] == [5, 5]
    params = [
        RunChange("r", model_changes=(ModelChange("m-1", params=as_params({"a": n})),))
        for n in range(2)
    ]
    entries = [Entry(n, "r", CHANGE, encode_change(each), 0) for n, each in enumerate(params)]
    assert len(grouped(entries)) == 2


def test_a_change_is_sent_in_pieces_that_are_all_of_it():
    """A model is changed after it was made, and every part is sent, down to single values."""
    change = RunChange(
        "r",
        status="FINISHED",
        models=(model(),),
        model_changes=(whole_change("m-1"), ModelChange("m-2", "READY")),
    )
    for parts in (list(pieces(change)), list(strides(change))):
        names = [name for name, _ in parts]
        assert names[-3:] == ["change of m-1", "change of m-2", "end"]
        assert len(set(names)) == len(names)
    left, single = [RunChange("r", model_changes=(change.model_changes[0],))], []
    while left:
        part = left.pop(0)
        both = halves(part)
        if both is None:
            single.append(part.model_changes[0])
        else:
            left[:0] = both
    assert sum(each.status is not None for each in single) == 1
    assert single[-1] == ModelChange("m-1", "READY")
    found = [each for part in single for each in (*part.params, *part.metrics, *part.tags)]
    whole = change.model_changes[0]
    assert len(found) == len(whole.params) + len(whole.metrics) + len(whole.tags)
