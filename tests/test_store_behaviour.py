"""What every store does, whatever it is made of."""

from __future__ import annotations

import math
import os
import threading
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    ParamConflictError,
    StoreError,
)
from skledger.stores.artifacts import LocalArtifacts, artifact_store
from skledger.stores.opening import check_uri, open_store
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

STORES = ["sqlite", "memory", "postgres", "mysql", "file"]


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    opened = open_store(new_uri(request, tmp_path))
    yield opened
    opened.close()


def new_uri(request, tmp_path):
    """Return the URI of a place where nothing is, for the store of the fixture's param."""
    if request.param in ("postgres", "mysql"):
        return request.getfixturevalue(request.param).new_database()
    return {
        "sqlite": f"sqlite:///{tmp_path}/skledger.db",
        "memory": "memory:",
        "file": f"{tmp_path}/runs",
    }[request.param]


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


def create(store, experiment_id="0", *, start_time=1000, name="a run", **content):
    run_id = uuid.uuid4().hex
    made = info(run_id, experiment_id, start_time=start_time, run_name=name)
    store.write(RunChange(run_id, create=made, **content))
    return run_id


def model(run_id, name="model", created=1, **content):
    return LoggedModel(
        "m-" + uuid.uuid4().hex, "0", name, "/somewhere/models", created, created, run_id, **content
    )


def names(runs):
    return [run.info.run_name for run in runs]


def test_a_new_store_has_the_default_experiment(store):
    """Experiment 0 is there, named Default, with an artifact location of its own."""
    experiment = store.get_experiment("0")
    assert experiment.name == "Default"
    assert experiment.lifecycle_stage == "active"
    assert os.path.isabs(experiment.artifact_location)
    assert experiment.artifact_location.endswith("/0")
    assert [each.name for each in store.search_experiments()] == ["Default"]


def test_experiments_are_counted_and_found(store):
    """Identifiers count from 1; an experiment is found by identifier and by name, with its tags."""
    assert store.create_experiment("one", tags={"team": "ä"}) == "1"
    assert store.create_experiment("two", artifact_location="/elsewhere") == "2"
    assert store.get_experiment("1").tags == {"team": "ä"}
    assert store.get_experiment("1").artifact_location.endswith("-artifacts/1") or "/1" in str(
        store.get_experiment("1").artifact_location
    )
    assert store.get_experiment_by_name("two").experiment_id == "2"
    assert store.get_experiment("2").artifact_location == "/elsewhere"
    assert store.get_experiment_by_name("three") is None


def test_an_experiment_name_is_taken_once(store):
    """The second experiment of a name is refused, and names that are no names too."""
    store.create_experiment("one")
    with pytest.raises(AlreadyExistsError, match="'one'"):
        store.create_experiment("one")
    for name in ("", None, "x" * 300, "\ud800"):
        with pytest.raises(InvalidParameterError, match="name of an experiment"):
            store.create_experiment(name)


@pytest.mark.parametrize("missing", ["7", "x", "-1", "1" * 30])
def test_an_unknown_experiment_is_not_found(store, missing):
    """An identifier nobody knows is a NotFoundError, number or not."""
    with pytest.raises(NotFoundError, match="no experiment"):
        store.get_experiment(missing)


def test_experiments_are_searched(store):
    """Filters, orders and pages work on experiments; the newest come first."""
    for each in ("a1", "b1", "a2"):
        time.sleep(0.002)  # those of one millisecond come in the order of their identifiers
        store.create_experiment(each, tags={"first": each[0]})

    def found(*args, **kwargs):
        return [each.name for each in store.search_experiments(*args, **kwargs)]

    assert found() == ["a2", "b1", "a1", "Default"]
    assert found(filter_string="name LIKE 'a%'", order_by=["name"]) == ["a1", "a2"]
    assert found(filter_string="name ILIKE 'A%' and tags.first != 'b'") == ["a2", "a1"]
    assert found(filter_string="tags.first IS NULL") == ["Default"]
    assert found(filter_string="experiment_id = '2'") == ["b1"]
    assert found(filter_string="experiment_id IN ('1', '3', 'x')") == ["a2", "a1"]
    assert found(filter_string="creation_time > 0 and last_update_time > 0", order_by=["name DESC"])
    assert found(view_type=ViewType.DELETED_ONLY) == []
    page = store.search_experiments(max_results=3)
    assert len(page) == 3
    rest = store.search_experiments(max_results=3, page_token=page.token)
    assert ([each.name for each in rest], rest.token) == (["Default"], None)


def test_an_experiment_is_renamed(store):
    """A new name that is free is taken, and the time of the change is noted."""
    number = store.create_experiment("one", tags={"a": "1"})
    store.create_experiment("two")
    before = store.get_experiment(number)
    store.update_experiment(number, name="three")
    after = store.get_experiment(number)
    assert (after.name, after.tags) == ("three", {"a": "1"})
    assert after.artifact_location == before.artifact_location
    assert after.last_update_time >= before.last_update_time
    assert store.get_experiment_by_name("one") is None
    assert store.get_experiment_by_name("three") == after
    store.update_experiment(number, name="three")
    with pytest.raises(AlreadyExistsError, match="'two'"):
        store.update_experiment(number, name="two", tags={"a": "2"})
    with pytest.raises(InvalidParameterError, match="name of an experiment"):
        store.update_experiment(number, name="")
    assert store.get_experiment(number) == store.get_experiment_by_name("three")
    assert store.get_experiment(number).tags == {"a": "1"}


def test_tags_of_an_experiment_change_and_go(store):
    """Tags are set and removed; deleted ones go before others are set."""
    number = store.create_experiment("one", tags={"a": "1", "b": "1", "c": "1"})
    store.update_experiment(number, tags={"a": "2", "c": "3"}, deleted_tags=("b", "c", "zz"))
    assert store.get_experiment(number).tags == {"a": "2", "c": "3"}
    store.update_experiment(number)
    assert store.get_experiment(number).tags == {"a": "2", "c": "3"}
    with pytest.raises(InvalidParameterError, match="5000"):
        store.update_experiment(number, tags={"a": "x" * 5001})
    assert store.get_experiment("0").tags == {}


def test_an_experiment_goes_and_comes_back_with_its_runs(store):
    """Deleting takes the active runs along; restoring brings back those, and only those."""
    number = store.create_experiment("one")
    kept, gone = create(store, number, name="kept"), create(store, number, name="gone")
    other = create(store, name="of another")
    store.write(RunChange(gone, lifecycle_stage="deleted"))
    for _ in range(2):  # again is nothing new
        store.update_experiment(number, lifecycle_stage="deleted")
    assert store.get_experiment(number).lifecycle_stage == "deleted"
    assert [each.name for each in store.search_experiments()] == ["Default"]
    assert [each.name for each in store.search_experiments(ViewType.DELETED_ONLY)] == ["one"]
    assert store.search_runs([number]) == []
    assert store.get_run(kept).info.lifecycle_stage == "deleted"
    assert store.get_run(other).info.lifecycle_stage == "active"
    store.update_experiment(number, tags={"still": "tagged"})
    with pytest.raises(InvalidParameterError, match="restore it"):
        store.update_experiment(number, name="two")
    for _ in range(2):
        store.update_experiment(number, lifecycle_stage="active")
    assert names(store.search_runs([number])) == ["kept"]
    assert store.get_run(gone).info.lifecycle_stage == "deleted"
    assert store.get_experiment(number).tags == {"still": "tagged"}
    store.update_experiment(number, name="two", lifecycle_stage="deleted", tags={"x": "y"})
    store.update_experiment(number, name="three", lifecycle_stage="active")
    assert store.get_experiment(number).name == "three"
    assert names(store.search_runs([number])) == ["kept"]


def test_an_experiment_that_is_not_there_is_not_changed(store):
    """An identifier nobody knows is a NotFoundError, a stage nobody knows a wrong parameter."""
    for missing in ("7", "x"):
        with pytest.raises(NotFoundError, match=missing):
            store.update_experiment(missing, tags={"a": "b"})
    with pytest.raises(InvalidParameterError, match="'active' or 'deleted'.*'gone'"):
        store.update_experiment("0", lifecycle_stage="gone")


def test_the_experiment_for_runs(store):
    """It is the default one, or the one of a name, made when it is new."""
    assert store.experiment_for_runs(None) == store.get_experiment("0")
    made = store.experiment_for_runs("new")
    assert made == store.get_experiment_by_name("new")
    assert store.experiment_for_runs("new") == made
    assert store.experiment_for_runs("Default").experiment_id == "0"
    store.update_experiment(made.experiment_id, lifecycle_stage="deleted")
    assert store.experiment_for_runs("new").lifecycle_stage == "deleted"
    with pytest.raises(InvalidParameterError, match="name of an experiment"):
        store.experiment_for_runs("")


def test_threads_agree_on_a_new_experiment(store):
    """Threads that ask for the same new experiment at once get the same one."""
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(store.experiment_for_runs("new").experiment_id)
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_run_holds_what_was_written(store):
    """One write creates a run with all it holds, and it reads back whole."""
    dataset = Dataset("iris", "0123abcd", "code", "{}", "a schema", "a profile")
    run_id = uuid.uuid4().hex
    made = model(run_id, params={"C": "1"}, tags={"t": "x"}, metrics=(Metric("acc", 0.5, 3),))
    store.write(
        RunChange(
            run_id,
            create=info(run_id),
            status="FINISHED",
            end_time=2000,
            params=as_params({"C": 1, "kernel": "rbf"}),
            metrics=(Metric("acc", 0.5, 3), Metric("loss", 2, 3, 4)),
            tags=as_tags({"mlflow.runName": "a run", "note": "größer 🎉"}),
            inputs=(DatasetInput(dataset, (RunTag("mlflow.data.context", "train"),)),),
            models=(made,),
        )
    )
    run = store.get_run(run_id)
    assert run.info == info(run_id, status="FINISHED", end_time=2000)
    assert run.data.params == {"C": "1", "kernel": "rbf"}
    assert run.data.metrics == {"acc": 0.5, "loss": 2.0}
    assert run.data.tags == {"mlflow.runName": "a run", "note": "größer 🎉"}
    assert run.inputs.dataset_inputs == [
        DatasetInput(dataset, (RunTag("mlflow.data.context", "train"),))
    ]
    assert [each.model_id for each in run.outputs.model_outputs] == [made.model_id]
    assert store.get_logged_model(made.model_id) == made
    assert store.search_logged_models(run_id) == [made]
    assert store.search_runs(["0"]) == [run]
    assert store.get_metric_history(run_id, "loss") == [Metric("loss", 2.0, 3, 4)]


def test_a_run_is_found_or_is_an_error(store):
    """An identifier nobody knows is a NotFoundError in every method."""
    for call in (
        lambda: store.get_run("nobody"),
        lambda: store.write(RunChange("nobody", status="FAILED")),
        lambda: store.get_metric_history("nobody", "m"),
        lambda: store.search_logged_models("nobody"),
        lambda: store.get_logged_model("m-nobody"),
    ):
        with pytest.raises(NotFoundError, match="nobody"):
            call()
    with pytest.raises(NotFoundError, match="'9'"):
        create(store, "9")


def test_a_run_is_created_once(store):
    """A second run, or a second model, of the same identifier is refused."""
    run_id = create(store)
    with pytest.raises(AlreadyExistsError, match=run_id):
        store.write(RunChange(run_id, create=info(run_id)))
    made = model(run_id)
    store.write(RunChange(run_id, models=(made,)))
    with pytest.raises(AlreadyExistsError, match=made.model_id):
        store.write(RunChange(run_id, models=(made,)))


def test_a_write_is_all_or_nothing(store):
    """When one change of a write cannot be taken, none of them is."""
    run_id = create(store, params=as_params({"C": 1}))
    other = uuid.uuid4().hex
    with pytest.raises(ParamConflictError):
        store.write(
            RunChange(other, create=info(other)),
            RunChange(run_id, tags=as_tags({"t": 1}), metrics=(Metric("m", 1, 1),)),
            RunChange(run_id, params=as_params({"C": 2})),
        )
    with pytest.raises(NotFoundError):
        store.get_run(other)
    assert store.get_run(run_id).data.tags == {}
    assert store.get_run(run_id).data.metrics == {}


def test_a_param_never_changes(store):
    """The same value again is fine; another one is an error that names key and both values."""
    run_id = create(store, params=as_params({"C": 1}))
    store.write(RunChange(run_id, params=as_params({"C": 1, "new": 2})))
    with pytest.raises(ParamConflictError, match=r"'C'.*'1'.*'2'"):
        store.write(RunChange(run_id, params=as_params({"C": 2})))
    with pytest.raises(ParamConflictError, match=r"'D'.*'1'.*'2'"):
        store.write(RunChange(run_id, params=(*as_params({"D": 1}), *as_params({"D": 2}))))
    assert store.get_run(run_id).data.params == {"C": "1", "new": "2"}


def test_tags_change_and_go(store):
    """A tag is overwritten; deleted tags go before others are set."""
    run_id = create(store, tags=as_tags({"a": 1, "b": 1, "c": 1}))
    store.write(RunChange(run_id, tags=as_tags({"a": 2, "c": 3}), deleted_tags=("b", "c", "zz")))
    assert store.get_run(run_id).data.tags == {"a": "2", "c": "3"}


def test_fields_of_a_run_change(store):
    """Status, end time, name and stage are set; what is None stays; the name is a tag too."""
    run_id = create(store, tags=as_tags({"mlflow.runName": "a run"}))
    store.write(RunChange(run_id, status="FINISHED", end_time=5))
    store.write(RunChange(run_id, run_name="better"))
    run = store.get_run(run_id)
    assert (run.info.status, run.info.end_time, run.info.run_name) == ("FINISHED", 5, "better")
    assert run.data.tags == {"mlflow.runName": "better"}
    store.write(RunChange(run_id, lifecycle_stage="deleted"))
    assert store.get_run(run_id).info.lifecycle_stage == "deleted"
    assert store.search_runs(["0"]) == []
    assert len(store.search_runs(["0"], view_type=ViewType.DELETED_ONLY)) == 1
    assert len(store.search_runs(["0"], view_type=ViewType.ALL)) == 1
    store.write(RunChange(run_id, lifecycle_stage="active"))
    assert len(store.search_runs(["0"])) == 1


def test_metrics_keep_their_history(store):
    """History is complete and ordered, exact repeats count once, the greatest step is the last."""
    run_id = create(store, metrics=(Metric("m", 1, 10, 1), Metric("m", 5, 20, 0)))
    store.write(RunChange(run_id, metrics=(Metric("m", 3, 10, 2), Metric("m", 1, 10, 1))))
    store.write(RunChange(run_id, metrics=(Metric("m", 9, 99, 1), Metric("m", 2, 10, 2))))
    assert store.get_run(run_id).data.metrics == {"m": 3.0}
    assert [
        (each.step, each.timestamp, each.value) for each in store.get_metric_history(run_id, "m")
    ] == [
        (0, 20, 5.0),
        (1, 10, 1.0),
        (1, 99, 9.0),
        (2, 10, 2.0),
        (2, 10, 3.0),
    ]
    assert store.get_metric_history(run_id, "other") == []


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, 1e308, -0.0, 5e-323, 1.7976931348623155e308]
)
def test_numbers_come_back_exactly(store, value):
    """Infinities and the ends of the floats are the same after a round trip."""
    run_id = create(store, metrics=(Metric("m", value, 1),))
    store.write(RunChange(run_id, models=(model(run_id, metrics=(Metric("m", value, 1),)),)))
    assert store.get_run(run_id).data.metrics["m"] == value
    assert store.get_metric_history(run_id, "m")[0].value == value
    assert store.search_logged_models(run_id)[0].metrics[0].value == value


def test_the_greatest_float_stays_finite(store):
    """What is not infinite never reads as infinity; one unit in the last place may be lost."""
    run_id = create(store, metrics=(Metric("m", 1.7976931348623157e308, 1),))
    found = store.get_run(run_id).data.metrics["m"]
    assert 1.797693134862315e308 < found < math.inf


def test_nan_comes_back_as_nan(store):
    """NaN is NaN in the run, in the history and in a model's metrics, never 0."""
    metric = Metric("m", math.nan, 1)
    run_id = create(store, metrics=(metric, metric))
    store.write(RunChange(run_id, models=(model(run_id, metrics=(metric,)),)))
    assert math.isnan(store.get_run(run_id).data.metrics["m"])
    assert [math.isnan(each.value) for each in store.get_metric_history(run_id, "m")] == [True]
    assert math.isnan(store.search_logged_models(run_id)[0].metrics[0].value)


def test_models_are_found_by_name_and_go(store):
    """Models come in the order they were made, `name` selects, and a deleted one is gone."""
    run_id = create(store)
    second, first = model(run_id, "best", 2), model(run_id, "model", 1, status="FAILED")
    store.write(RunChange(run_id, models=(second, first)))
    assert store.search_logged_models(run_id) == [first, second]
    assert store.search_logged_models(run_id, "best") == [second]
    store.write(RunChange(run_id, deleted_models=(first.model_id,)))
    assert store.search_logged_models(run_id) == [second]
    assert [m.model_id for m in store.get_run(run_id).outputs.model_outputs] == [second.model_id]
    with pytest.raises(NotFoundError):
        store.get_logged_model(first.model_id)


def test_metrics_of_models_tell_what_they_were_measured_on(store):
    """The data set and the run of each number come back, of models that are made and that change;
    a run's own metrics have no room for them."""
    on_train = Metric("acc", 0.9, 5, dataset_name="train", dataset_digest="d1")
    on_test = Metric("acc", math.nan, 6, dataset_name="my test data, 100%20", dataset_digest="a b")
    nowhere = Metric("size", 3.0, 5)
    run_id, other = create(store), create(store)
    made = model(run_id, metrics=(on_train, nowhere))
    store.write(RunChange(run_id, metrics=(on_train,), models=(made,)))
    store.write(RunChange(other, model_changes=(ModelChange(made.model_id, metrics=(on_test,)),)))
    for found in (store.get_logged_model(made.model_id), *store.search_logged_models(run_id)):
        told = {(each.key, each.timestamp): each for each in found.metrics}
        assert told["acc", 5] == on_train and told["size", 5] == nowhere
        assert told["acc", 5].run_id == told["size", 5].run_id == run_id
        test = told["acc", 6]
        assert (test.dataset_name, test.dataset_digest) == ("my test data, 100%20", "a b")
        assert test.run_id == other and math.isnan(test.value)
        assert {each.model_id for each in found.metrics} == {made.model_id}
    assert store.get_metric_history(run_id, "acc") == [Metric("acc", 0.9, 5)]


def test_models_are_searched_by_the_data_they_were_measured_on(store):
    """Metrics on other data sets neither count nor order; a digest may be named, or any count."""
    run_id = create(store)

    def measured(name, **values):
        metrics = [
            Metric("acc", value, at, dataset_name=data.rstrip("2"), dataset_digest=data)
            for at, (data, value) in enumerate(values.items())
        ]
        return model(run_id, name, metrics=(*metrics, Metric("acc", 0.0, 99)))

    store.write(
        RunChange(
            run_id,
            models=(
                measured("a", train=0.9, test=0.5),
                measured("b", train=0.8, test=0.7),
                measured("c", train=0.7, test2=0.6),
                measured("d"),
            ),
        )
    )

    def found(text="", *datasets, **order):
        order = {"field_name": "metrics.acc", "ascending": False} | order
        return "".join(names_of(store.search_models(["0"], text, 10, [order], None, datasets)))

    test = {"dataset_name": "test"}
    assert found(**test) == "bcad"
    assert found(**test, dataset_digest="test").startswith("ba")
    assert set(found("", ("test", ""))) == set("abc")
    assert set(found("", ("test", "test2"))) == {"c"}
    assert set(found("", ("test", "test2"), ("train", "nothing"))) == {"c"}
    assert found("metrics.acc > 0.55", ("test", ""), **test) == "bc"
    assert found("metrics.acc > 0.55 and name != 'b'", ("test", "")) == "c"
    assert found("", ("holdout", "")) == ""


def names_of(models):
    return [each.name for each in models]


@pytest.mark.parametrize(
    ("name", "digest", "says"),
    [
        ("train", None, "dataset_digest"),
        (None, "d1", "dataset_name"),
        ("train", "", "dataset_digest"),
        ("n" * 501, "d1", "501 characters, 500"),
        ("train", "d" * 37, "37 characters, 36"),
    ],
)
def test_half_a_data_set_of_a_metric_is_refused(store, name, digest, says):
    """Name and digest go together, within the lengths of a data set's."""
    run_id = create(store)
    metric = Metric("acc", 1.0, 5, dataset_name=name, dataset_digest=digest)
    for content in (
        {"models": (model(run_id, metrics=(metric,)),)},
        {"model_changes": (ModelChange("m-1", metrics=(metric,)),)},
    ):
        with pytest.raises(InvalidParameterError, match=says):
            store.write(RunChange(run_id, **content))


def test_a_data_set_is_described_once_per_experiment(store):
    """Runs share a data set; adding it again to a run only adds tags."""
    dataset = Dataset("iris", "d1", "code", "{}")
    one = create(store, inputs=(DatasetInput(dataset),))
    two = create(store, inputs=(DatasetInput(dataset), DatasetInput(dataset)))
    store.write(RunChange(one, inputs=(DatasetInput(dataset, (RunTag("k", "v"),)),)))
    assert store.get_run(one).inputs.dataset_inputs == [DatasetInput(dataset, (RunTag("k", "v"),))]
    assert store.get_run(two).inputs.dataset_inputs == [DatasetInput(dataset)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"params": as_params({"k" * 251: 1})}, "251 characters, 250"),
        ({"params": as_params({"k": "v" * 6001})}, "'k' has 6001 characters, 6000"),
        ({"tags": as_tags({"k": "v" * 8001})}, "'k' has 8001 characters, 8000"),
        ({"metrics": (Metric("k" * 251, 1, 1),)}, "250"),
        ({"metrics": (Metric("m", "high", 1),)}, "real number"),
        ({"metrics": (Metric("m", 1, 1, 2**63),)}, "64 bits"),
        ({"tags": as_tags({"": 1})}, "empty"),
        ({"tags": as_tags({"k": "\ud800"})}, "surrogate"),
        ({"params": as_params({"\udfff": 1})}, "surrogate"),
        ({"status": "DONE"}, "DONE"),
        ({"run_name": "n" * 251}, "250"),
    ],
)
def test_what_cannot_be_stored_is_refused(store, content, says):
    """Keys, values and numbers beyond the limits are errors that name the limit."""
    run_id = create(store)
    with pytest.raises(InvalidParameterError, match=says):
        store.write(RunChange(run_id, **content))


def test_runs_are_searched_by_times_durations_and_estimators(store):
    """Times are written as people write them, durations are seconds."""
    day = 86_400_000
    for number, kind in enumerate(("Ridge", "SVC", "SVC")):
        tags = as_tags({"estimator_name": kind})
        run_id = create(store, start_time=number * day, name=str(number), tags=tags)
        if number < 2:
            store.write(RunChange(run_id, end_time=number * day + 1100 + number * 60_000))
    for text, expected in {
        "start_time >= '1970-01-02'": "12",
        "start_time > '1970-01-02T02:00:00+02:00'": "2",
        "estimator = 'SVC'": "12",
        "duration = 1.1": "0",
        "duration > 60": "1",
        "duration < 1e999 and estimator LIKE 'R%'": "0",
        "duration IS NULL": "2",
    }.items():
        assert "".join(sorted(names(store.search_runs(["0"], text)))) == expected


def test_runs_are_searched_in_pages(store):
    """Pages follow each other without gaps; the newest run first, then by identifier."""
    for start in (3, 1, 2, 2, 2):
        create(store, start_time=start, name=str(start))
    found, token = [], None
    while True:
        page = store.search_runs(["0"], max_results=2, page_token=token)
        found += page
        token = page.token
        if token is None:
            break
    assert names(found) == ["3", "2", "2", "2", "1"]
    ties = [run.info.run_id for run in found[1:4]]
    assert ties == sorted(ties)
    with pytest.raises(InvalidParameterError, match="page token"):
        store.search_runs(["0"], page_token="öö")
    with pytest.raises(InvalidParameterError, match="max_results"):
        store.search_runs(["0"], max_results=0)


def test_runs_that_come_and_go_between_pages(store):
    """A run that is there all the time is on one page, and on no other."""
    started = [5, 5, 5, 4, 3, 3, 2, 1, 1, 1]
    there = [create(store, start_time=start) for start in started]
    runs = store.search_runs(["0"], max_results=3)
    found, token = list(runs), runs.token
    gone = {found[0].info.run_id, there[4]}
    while token:
        create(store, start_time=9)
        for run_id in gone:
            store.write(RunChange(run_id, lifecycle_stage="deleted"))
        gone = set()
        runs = store.search_runs(["0"], max_results=3, page_token=token)
        found, token = found + list(runs), runs.token
    seen = [run.info.run_id for run in found]
    assert len(seen) == len(set(seen))
    assert set(there) - {there[4]} <= set(seen)


def test_a_search_stays_in_its_experiments(store):
    """Only runs of the experiments asked for are found."""
    other = store.create_experiment("other")
    create(store, name="here")
    create(store, other, name="there")
    assert names(store.search_runs([other])) == ["there"]
    assert len(store.search_runs(["0", other])) == 2
    assert store.search_runs([]) == []


def test_runs_are_counted_by_a_tag_and_by_status(store):
    """Those that match, and only those; without the tag its value is None."""
    other = store.create_experiment("other")
    create(store)
    for value in ("a", "a", "b"):
        create(store, tags=as_tags({"team": value, "x": 1}))
    failed = create(store, other, tags=as_tags({"team": "a"}), metrics=(Metric("m", 1, 10),))
    store.write(RunChange(failed, status="FAILED"))
    every = {(None, "RUNNING"): 1, ("a", "RUNNING"): 2, ("b", "RUNNING"): 1}
    assert store.count_runs(["0"], tag="team") == every
    assert store.count_runs(["0", other], tag="team") == {**every, ("a", "FAILED"): 1}
    assert store.count_runs(["0", other]) == {(None, "RUNNING"): 4, (None, "FAILED"): 1}
    assert store.count_runs(["0", other], "metrics.m > 0 and tags.team = 'a'", tag="team") == {
        ("a", "FAILED"): 1
    }
    store.write(RunChange(failed, lifecycle_stage="deleted"))
    assert store.count_runs([other]) == store.count_runs([]) == {}
    assert store.count_runs([other], "", ViewType.ALL) == {(None, "FAILED"): 1}
    with pytest.raises(InvalidParameterError, match="cannot read the filter"):
        store.count_runs(["0"], "metrics.m >> 1")


def test_running_runs_are_found_by_their_tag(store):
    """Runs that are RUNNING come in pages by identifier, with all they hold, deleted ones too."""
    other = store.create_experiment("other")
    tagged = sorted(
        create(store, tags=as_tags({"who": n}), params=as_params({"n": n})) for n in "abc"
    )
    tagged = sorted([*tagged, create(store, other, tags=as_tags({"who": "d"}))])
    plain = create(store, tags=as_tags({"whom": "e"}))
    ended = create(store, tags=as_tags({"who": "f"}))
    store.write(RunChange(ended, status="KILLED"), RunChange(tagged[0], lifecycle_stage="deleted"))

    def ids(*args, **kwargs):
        return [run.info.run_id for run in store.running_runs(*args, **kwargs)]

    assert ids("who") == tagged
    assert ids("whom") == [plain]
    assert ids("nothing") == []
    assert ids() == sorted([*tagged, plain])
    assert ids("who", 2) == tagged[:2]
    assert ids("who", 2, tagged[1]) == tagged[2:]
    assert ids(max_results=1, after=sorted([*tagged, plain])[0]) == sorted([*tagged, plain])[1:2]
    assert store.running_runs("who") == [store.get_run(each) for each in tagged]
    with pytest.raises(InvalidParameterError, match="max_results"):
        store.running_runs("who", 0)


def test_the_last_sign_of_a_run(store):
    """Its start, a metric (not of the future), and what its children did; unknown runs are none."""

    def child(of, **content):
        return create(store, start_time=2000, tags=as_tags({"mlflow.parentRunId": of}), **content)

    quiet, early = create(store), create(store, metrics=(Metric("m", 1, 10),))
    busy = create(
        store, metrics=(Metric("m", 1, 1500), Metric("n", 1, 1700), Metric("n", 2, 2**60))
    )
    alone = create(store, metrics=(Metric("m", 1, 1500), Metric("n", 1, 1400)))
    parent, grand = create(store), create(store)
    child(parent)
    ended = child(parent)
    store.write(RunChange(ended, status="FINISHED", end_time=3000))
    child(grand, metrics=(Metric("m", 1, 2500),))
    child("0" * 32)
    runs = [quiet, early, busy, alone, parent, grand]
    signs = store.last_signs([*runs, "0" * 32])
    assert [signs.pop(each) for each in runs] == [1000, 1000, 1500, 1500, 3000, 2500]
    assert signs == {}
    assert store.last_signs([]) == {}
    assert len(store.last_signs([quiet] * 3)) == 1


SEARCHES = [
    ("metrics.acc < 1", "fda"),
    ("metrics.acc > 0.1", "fca"),
    ("metrics.acc != 0.5", "fdcb"),
    ("metrics.acc = 0", ""),
    ("metrics.acc >= 0.5 and params.C != '0'", "fc"),
    ("metrics.acc IS NULL", "e"),
    ("params.C IS NULL", "e"),
    ("params.C IS NOT NULL", "fdcba"),
    ("params.C IN ('0', '2', 'x')", "ca"),
    ("params.C NOT IN ('0', '2')", "fdb"),
    ("tags.k LIKE 'a'", ""),
    ("tags.k ILIKE 'a'", "a"),
    ("tags.k NOT ILIKE 'a'", "fdcb"),
    ("tags.k LIKE '_'", "fdcba"),
    ("tags.`a b` LIKE '[x]%*'", "fdcba"),
    ("tags.`a b` LIKE 'x%'", ""),
    ("status IN ('FINISHED','FAILED')", "f"),
    ("status != 'FINISHED'", "edcba"),
    ("end_time IS NULL", "edcba"),
    ("start_time >= 1002 and start_time < 1004.5", "edc"),
    ("run_name IN ('a', 'b')", "ba"),
    ("attributes.`Run name` = 'a'", "a"),
    ("dataset.name LIKE 'd%' and dataset.digest = 'dig1'", "f"),
    ("dataset.context = 'train'", "f"),
    ("dataset.name != 'ds'", ""),
    ("user_id LIKE '%'", "fedcba"),
    ("run_id = 'x'", ""),
]
ORDERS = [
    (["metrics.acc"], "dafcbe"),
    (["metrics.acc DESC"], "cfadbe"),
    (["params.C desc"], "fdcbae"),
    (["tags.k"], "abcdfe"),
    (["start_time ASC"], "abcdef"),
    (["status"], "fedcba"),
    (["end_time"], "fedcba"),
    (["end_time DESC"], "fedcba"),
    (["attribute.status DESC", "created"], "abcdef"),
]


def fill(store):
    """Write the runs a to f that SEARCHES and ORDERS are about."""
    values = {"a": 0.5, "b": math.nan, "c": math.inf, "d": -math.inf, "e": None, "f": 0.9}
    for number, (name, value) in enumerate(values.items()):
        content = {}
        if value is not None:
            content["metrics"] = (Metric("acc", value, 1),)
            content["params"] = as_params({"C": number})
            content["tags"] = as_tags({"k": name.upper(), "a b": "[x]?y*"})
        if name == "f":
            train = (RunTag("mlflow.data.context", "train"),)
            content["inputs"] = (DatasetInput(Dataset("ds", "dig1", "code", "{}"), train),)
            content |= {"status": "FINISHED", "end_time": 5000}
        create(store, start_time=1000 + number, name=name, **content)


def test_filters_and_orders(store):
    """Filters select and orders sort as MLflow does: NaN after numbers, nothing after NaN."""
    fill(store)
    for text, expected in SEARCHES:
        assert "".join(names(store.search_runs(["0"], text))) == expected, text
    for order, expected in ORDERS:
        assert "".join(names(store.search_runs(["0"], order_by=order))) == expected, order


def test_params_are_sorted_as_numbers(store):
    """Numbers by their value, then other texts, then what has none; in both directions."""
    values = ["10", "9", "-1.5e-05", "1e3", "None", "0x1", "1-2", "rbf", "1.2.3", "3000", "", "1e"]
    for value in values:
        create(store, name=value, params=as_params({"a b": value}))
    create(store, name="without")
    texts = sorted({"None", "0x1", "1-2", "rbf", "1.2.3", "", "1e"}, key=str.encode)
    found = names(store.search_runs(["0"], order_by=["params.`a b` AS NUMBER"]))
    assert found[:5] == ["-1.5e-05", "9", "10", "1e3", "3000"]
    assert sorted(found[5:-1], key=str.encode) == texts and found[-1] == "without"
    found = names(store.search_runs(["0"], order_by=["params.`a b` as number DESC"]))
    assert found[:5] == ["3000", "1e3", "10", "9", "-1.5e-05"] and found[-1] == "without"
    page = store.search_runs(["0"], max_results=2, order_by=["params.`a b` AS NUMBER"])
    rest = store.search_runs(
        ["0"], max_results=2, order_by=["params.`a b` AS NUMBER"], page_token=page.token
    )
    assert names([*page, *rest]) == ["-1.5e-05", "9", "10", "1e3"]


def test_runs_are_sorted_by_what_is_worked_out(store):
    """How long they took, the first of their data sets by name, and their experiment's name."""
    other = store.create_experiment("Alpha")
    for name, at, end, data in (
        ("a", "0", 500, "wine"),
        ("b", other, 150, "iris"),
        ("c", "0", None, None),
        ("d", other, 900, "wine"),
    ):
        inputs = (DatasetInput(Dataset(data, "1", "code", "{}")),) if data else ()
        create(store, at, inputs=inputs, name=name, start_time=100, end_time=end)

    def found(order):
        return "".join(names(store.search_runs(["0", other], order_by=[order, "run_name"])))

    assert found("duration") == "badc" and found("attributes.duration DESC") == "dabc"
    assert found("dataset_name") == "badc" and found("dataset_name DESC") == "adbc"
    assert found("experiment_name") == "bdac" and found("experiment_name DESC") == "acbd"


def test_experiments_are_sorted_by_their_runs(store):
    """By how many active ones they have, and by the start of the last of these."""
    many, late, none = (store.create_experiment(each) for each in ("many", "late", "none"))
    for start in (10, 20, 30):
        create(store, many, start_time=start)
    create(store, late, start_time=99)
    create(store, none, start_time=999, lifecycle_stage="deleted")

    def found(order):
        listed = store.search_experiments(order_by=[order])
        return [each.name for each in listed if each.name != "Default"]

    assert found("runs DESC") == ["many", "late", "none"]
    assert found("runs") == ["none", "late", "many"]
    assert found("last_run DESC") == ["late", "many", "none"]


def test_thousands_of_runs_in_one_write(store):
    """A search writes all its children at once."""
    ids = [uuid.uuid4().hex for _ in range(1500)]
    dataset = DatasetInput(Dataset("d", "d", "code", "{}"))
    store.write(
        *(
            RunChange(
                each,
                create=info(each),
                params=as_params({"a": number}),
                metrics=(Metric("m", number, 1),),
                inputs=(dataset,),
            )
            for number, each in enumerate(ids)
        )
    )
    store.write(*(RunChange(each, metrics=(Metric("m", -1, 2),)) for each in ids))
    found = store.search_runs(["0"], max_results=2000)
    assert {run.info.run_id for run in found} == set(ids)
    assert all(run.data.metrics == {"m": -1.0} and run.inputs.dataset_inputs for run in found)


def test_threads_share_a_store(store):
    """Threads write and read at once; no run is lost."""
    failures = []

    def work():
        try:
            for number in range(20):
                run_id = create(store, params=as_params({"a": 1}))
                store.write(RunChange(run_id, metrics=(Metric("m", number, number),)))
                assert store.get_run(run_id).data.metrics == {"m": float(number)}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.search_runs(["0"])) == 160


TEXT = st.text(min_size=1, max_size=40)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    params=st.dictionaries(TEXT, st.text(max_size=60), max_size=4),
    tags=st.dictionaries(TEXT, st.text(max_size=60), max_size=4),
    metrics=st.dictionaries(
        TEXT, st.floats(max_value=1e308, min_value=-1e308) | st.sampled_from([math.inf, math.nan])
    ),
)
def test_any_text_and_number_comes_back(store, params, tags, metrics):
    """Keys, values and numbers of any kind are the same after a round trip.

    Only the sign of a zero is lost in a database, as in MLflow's, and PostgreSQL, which holds
    every character but NUL, holds the sign for it.
    """
    if store.uri.startswith("postgresql"):
        params, tags, metrics = (
            {key.replace("\0", "␀"): each for key, each in values.items()}
            for values in (params, tags, metrics)
        )
        params = {key: value.replace("\0", "␀") for key, value in params.items()}
        tags = {key: value.replace("\0", "␀") for key, value in tags.items()}
    run_id = create(
        store,
        params=as_params(params),
        tags=as_tags(tags),
        metrics=tuple(Metric(key, value, 1) for key, value in metrics.items()),
    )
    data = store.get_run(run_id).data
    assert data.params == params
    assert data.tags == tags
    assert {key: repr(value + 0.0) for key, value in data.metrics.items()} == {
        key: repr(value + 0.0) for key, value in metrics.items()
    }
    for key, value in tags.items():
        if "`" not in key and "'" not in value:
            assert run_id in {
                run.info.run_id for run in store.search_runs(["0"], f"tags.`{key}` = '{value}'")
            }


@pytest.mark.parametrize(
    "uri",
    [
        "",
        " ",
        "x.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "sqlite:////q?x/x.db?timeout=5&uri=true",
        "ftp://h",
        "file://elsewhere/x",
        "databricks",
        "databricks://profile",
        "databricks-uc",
        "uc:http://h",
        "mssql+pyodbc://me:secret@h/d",
        "http://",
        "http://h:port",
        "https:h",
        "postgresql://me:secret@h",
        "mysql:h/d",
        "a\0b",
        "127.0.0.1:5000",
        "localhost:5000",
        "tracking.example.org:80/prefix",
        None,
        7,
    ],
)
def test_other_uris_are_refused(uri):
    """A URI that names no store is an error that says what is expected, without a password."""
    for call in (open_store, check_uri):
        with pytest.raises(InvalidParameterError, match="tracking URI .*|expected") as it:
            call(uri)
        assert "secret" not in str(it.value)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("sqlite:///x.db", "sqlite"),
        ("memory:", "memory"),
        ("mlruns", "files"),
        ("./a:b", "files"),
        ("/abs/ä?x", "files"),
        ("file:///abs/a%20b", "files"),
        ("HTTP://h", "http"),
        ("https://me:secret@h:8080/base", "http"),
        ("postgresql://me:p%40ss@h:5432/d", "server"),
        ("postgresql+psycopg2://h/d?sslmode=require", "server"),
        ("postgresql:///?service=mine", "server"),
        ("postgres://h/d", "server"),
        ("mysql+pymysql://me:a@b@h/d", "server"),
    ],
)
def test_uris_are_known_without_opening(uri, kind):
    """What a URI names is told by its form alone; folders are absolute and decoded."""
    place = check_uri(uri)
    assert place.kind == kind
    if kind == "files":
        assert os.path.isabs(place.name)
        assert "%" not in place.name


@pytest.mark.parametrize(
    "name", ["q?x", "what?", "a=b?c", "a b", "ä ö 漢", "#1", "50%", "%41", "a&b=c", "x?y=1"]
)
def test_a_path_is_taken_as_it_is(tmp_path, name):
    """Question marks, blanks, percent signs and the like in the name of a folder are nothing."""
    folder = tmp_path / name
    store = open_store(f"sqlite:///{folder}/skledger.db")
    run_id = create(store)
    assert (folder / "skledger.db").is_file()
    assert store.uri == f"sqlite:///{folder}/skledger.db"
    location = store.get_experiment("0").artifact_location
    artifact_store(location).put_bytes("a.txt", b"a")
    assert (folder / "skledger-artifacts" / "0" / "a.txt").read_bytes() == b"a"
    store.close()
    again = open_store(store.uri)
    assert again.get_run(run_id).info.run_id == run_id
    again.close()
    assert os.listdir(tmp_path) == [name]


def test_a_path_that_is_no_text_is_explained(tmp_path):
    """Bytes that are not UTF-8 in a path are a StoreError that can be printed; nothing is made."""
    with pytest.raises(StoreError, match="no text in UTF-8.*another name") as it:
        open_store(f"sqlite:///{tmp_path}/b\udcffd/skledger.db")
    str(it.value).encode()
    assert os.listdir(tmp_path) == []


def test_a_relative_uri_becomes_absolute(tmp_path, monkeypatch):
    """The store's URI and artifact root do not depend on the working directory."""
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///deep/er/skledger.db")
    assert store.uri == f"sqlite:///{tmp_path}/deep/er/skledger.db"
    assert store.get_experiment("0").artifact_location == f"{tmp_path}/deep/er/skledger-artifacts/0"
    store.close()
    again = open_store(store.uri, artifact_root="/elsewhere")
    assert again.create_experiment("e") == "1"
    assert again.get_experiment("1").artifact_location == "/elsewhere/1"


def test_a_store_opens_again_after_closing(tmp_path):
    """close() releases what is held; the next use opens it again."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    run_id = create(store)
    store.close()
    assert not (tmp_path / "x.db-wal").exists()
    assert store.get_run(run_id).info.run_id == run_id


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """What is no database, or someone else's, is a StoreError and stays as it is."""
    text = tmp_path / "notes.txt"
    text.write_text("no database " * 200)
    for path, says in ((text, "not a database"), (tmp_path, "folder"), (text / "x.db", "folder")):
        with pytest.raises(StoreError, match=says):
            open_store(f"sqlite:///{path}")
    assert text.read_text() == "no database " * 200


def test_memory_leaves_nothing_behind():
    """The artifact root of a memory store goes with it."""
    store = open_store("memory:")
    root = store.artifact_root
    assert os.path.isdir(root)
    del store
    assert not os.path.exists(root)


def test_a_closed_memory_store_works_again():
    """Closing removes the temporary artifacts; records stay, and new artifacts are taken."""
    store = open_store("memory:")
    run_id = create(store)
    files = artifact_store(store.get_experiment("0").artifact_location)
    for _ in range(2):
        files.put_bytes("a.txt", b"a")
        assert os.path.isfile(files.local_path("a.txt"))
        store.close()
        assert not os.path.exists(store.artifact_root)
    assert store.get_run(run_id).info.run_id == run_id
    create(store)


def test_memory_of_autologging_lasts_until_the_pictures_are_drawn(run_python, tmp_path):
    """At the end of the process pictures still have their place; then nothing is left."""
    code = """
    import skledger
    from sklearn.linear_model import LogisticRegression
    skledger.set_tracking_uri("memory:")
    skledger.autolog()
    for _ in range(2):
        LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    """
    done = run_python(code, env={"TMPDIR": str(tmp_path), "PYTHONWARNINGS": "default"})
    assert done.stderr == ""
    assert [each for each in os.listdir(tmp_path) if each.startswith("skledger-")] == []


def test_a_memory_store_that_nobody_closes_leaves_no_folder(run_python, tmp_path):
    """A store that lives until the end of the process takes its empty folder along."""
    code = """
    from skledger.stores.opening import open_store
    store = open_store("memory:")
    """
    run_python(code, env={"TMPDIR": str(tmp_path)})
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_folder_to_its_parent():
    """A child that closes its copy of a memory store does not remove the parent's artifacts."""
    store = open_store("memory:")
    child = os.fork()
    if not child:
        store.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.path.isdir(store.artifact_root)


class TestArtifacts:
    """Files in local folders."""

    def test_files_come_back(self, tmp_path):
        """Bytes, files and folders are stored, listed and opened by relative paths."""
        files = LocalArtifacts(tmp_path / "root")
        files.put_bytes("a/b.txt", b"hello")
        files.put_bytes("a/b.txt", memoryview(b"again"))
        source = tmp_path / "source"
        (source / "deep").mkdir(parents=True)
        (source / "deep" / "ä.bin").write_bytes(b"1")
        files.put_folder("folder", source)
        files.put_folder("", source)
        files.put_file("copy.bin", source / "deep" / "ä.bin")
        assert files.list() == ["a", "copy.bin", "deep", "folder"]
        assert files.list("folder/deep") == ["folder/deep/ä.bin"]
        assert files.list("nothing") == []
        with files.open("a/b.txt") as file:
            assert file.read() == b"again"
        assert files.local_path("a/b.txt") == str(tmp_path / "root/a/b.txt")
        assert [p.name for p in (tmp_path / "root/a").iterdir()] == ["b.txt"]

    @pytest.mark.parametrize(
        "path", ["", "/etc/x", "../x", "a/../../x", "a\\b", "C:/x", "C:x", "\0", None]
    )
    def test_paths_stay_inside(self, tmp_path, path):
        """A path that leaves the root is refused."""
        with pytest.raises(InvalidParameterError, match="relative path"):
            LocalArtifacts(tmp_path).put_bytes(path, b"")

    def test_missing_files_are_not_found(self, tmp_path):
        """What is not there is a NotFoundError; a folder that cannot be made a StoreError."""
        files = LocalArtifacts(tmp_path)
        for call in (
            lambda: files.open("x"),
            lambda: files.local_path("x"),
            lambda: files.put_file("x", tmp_path / "no"),
            lambda: files.put_folder("x", tmp_path / "no"),
        ):
            with pytest.raises(NotFoundError):
                call()
        files.put_bytes("file", b"")
        with pytest.raises(StoreError, match="cannot write"):
            files.put_bytes("file/below", b"")

    def test_locations(self, tmp_path):
        """Plain paths and file URIs name a folder; what names no place is refused."""
        assert artifact_store(str(tmp_path)).uri == str(tmp_path)
        assert artifact_store("file:///a%20b/%C3%A4").uri == "/a b/ä"
        assert artifact_store("file:/a").uri == "/a"
        for uri in ("relative/path", "file://host/x", ""):
            with pytest.raises(InvalidParameterError, match="artifact location"):
                artifact_store(uri)
