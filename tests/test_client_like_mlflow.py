"""The same calls on MLflow's client and on ours give the same: fields, errors, columns.

Each library has a SQLite database of its own. What differs by its nature (identifiers, times,
folders) is compared by its form.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import skledger

mlflow = pytest.importorskip("mlflow")

#: MLflow has fields for what is not part of this library: workspaces, traces.
NOT_OURS = {
    "workspace",
    "trace_location",
    "effective_trace_archival_retention",
    "model_inputs",
    "status_message",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """MLflow's database, made once: its tables take seconds."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    # It takes the folder that is current now for its artifacts.
    with contextlib.chdir(folder):
        mlflow.MlflowClient(uri).search_experiments()
    return uri


@pytest.fixture
def both(database, request, monkeypatch):
    """The two libraries, each with its client, and a new experiment in use."""
    # MLflow tells child processes what is in use; the tests that follow are none of those.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    mlflow.set_tracking_uri(database)
    skledger.set_tracking_uri("sqlite:///ours.db")
    sides = []
    for api in (mlflow, skledger):
        client = api.MlflowClient()
        experiment_id = client.create_experiment(request.node.name, tags={"team": "blue"})
        api.set_experiment(experiment_id=experiment_id)
        sides.append(SimpleNamespace(api=api, client=client, id=experiment_id))
    yield sides
    while mlflow.active_run():
        mlflow.end_run()


def outcome(call, side):
    """Return what a call gives, in comparable form; or the kind of its error."""
    try:
        return plain(call(side))
    except Exception as error:
        return f"error {getattr(error, 'error_code', None)}"


IDENTIFIERS = {
    "run_id",
    "experiment_id",
    "model_id",
    "artifact_uri",
    "artifact_location",
    "digest",
    "source_run_id",
}


def plain(value, key=""):
    """Return a value without what differs by its nature."""
    if key in IDENTIFIERS and isinstance(value, str):
        return re.sub(r"[0-9a-f]{32}|\d+|/[^\s]*", "*", value) if key != "digest" else len(value)
    if key == "user_id":
        return "*"
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if ("time" in key) and isinstance(value, int):
        return value if value < 1000 else "now"
    if isinstance(value, bool | int | float | str | type(None)):
        return value
    if isinstance(value, pd.DataFrame):
        return sorted(value.columns), len(value)
    if key == "tags" and isinstance(value, list | tuple):
        return sorted((each.key, each.value) for each in value)
    if isinstance(value, dict):
        return {name: plain(each, name) for name, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return {
        name: plain(each, name)
        for name, each in sorted(dict(value).items())
        if name not in NOT_OURS
    }


def same(both, call):
    """Assert that a call gives the same on both sides; return it."""
    theirs, ours = (outcome(call, side) for side in both)
    assert ours == theirs
    return ours


@pytest.fixture
def runs(both):
    """A run on each side, with the same in it, whose identifier is `side.run`."""
    for side in both:
        run = side.client.create_run(side.id, start_time=5, tags={"t": "x"}, run_name="first")
        side.run = run.info.run_id
        side.client.log_metric(side.run, "m", 0.5, timestamp=7, step=1)
        side.client.log_metric(side.run, "m", float("nan"), timestamp=8, step=2)
        side.client.log_param(side.run, "p", 1)
    return both


EXPERIMENT_CALLS = {
    "get": lambda s: s.client.get_experiment(s.id),
    "get by name": lambda s: s.client.get_experiment_by_name(s.client.get_experiment(s.id).name),
    "get none": lambda s: s.client.get_experiment("999"),
    "by no name": lambda s: s.client.get_experiment_by_name("nobody"),
    "create again": lambda s: s.client.create_experiment(s.client.get_experiment(s.id).name),
    "create without a name": lambda s: s.client.create_experiment(""),
    "create None": lambda s: s.client.create_experiment(None),
    "set tag": lambda s: s.client.set_experiment_tag(s.id, "n", 3),
    "tagged": lambda s: s.client.get_experiment(s.id),
    "delete tag": lambda s: s.client.delete_experiment_tag(s.id, "n"),
    "delete tag again": lambda s: s.client.delete_experiment_tag(s.id, "n"),
    "rename": lambda s: s.client.rename_experiment(s.id, "renamed"),
    "renamed": lambda s: s.client.get_experiment(s.id),
    "rename none": lambda s: s.client.rename_experiment("999", "x"),
    "search": lambda s: s.client.search_experiments(filter_string="name = 'renamed'"),
    "search by a tag": lambda s: s.client.search_experiments(filter_string="tags.team = 'green'"),
    "search wrongly": lambda s: s.client.search_experiments(filter_string="nope = 1"),
    "search none": lambda s: s.client.search_experiments(max_results=0),
    "fluent search": lambda s: s.api.search_experiments(filter_string="name LIKE 'rename%'"),
    "fluent tags": lambda s: s.api.set_experiment_tags({"a": 1, "b": "c"}),
    "fluent get": lambda s: s.api.get_experiment(s.id),
    "delete": lambda s: s.client.delete_experiment(s.id),
    "deleted": lambda s: s.client.get_experiment(s.id),
    "deleted by name": lambda s: s.client.get_experiment_by_name("renamed"),
    "delete again": lambda s: s.client.delete_experiment(s.id),
    "delete none": lambda s: s.client.delete_experiment("999"),
    "run in deleted": lambda s: s.client.create_run(s.id),
    "use deleted": lambda s: s.api.set_experiment("renamed"),
    "restore": lambda s: s.client.restore_experiment(s.id),
    "restored": lambda s: s.client.get_experiment(s.id),
    "restore again": lambda s: s.client.restore_experiment(s.id),
    "use by both": lambda s: s.api.set_experiment("renamed", s.id),
    "use by neither": lambda s: s.api.set_experiment(),
    "use": lambda s: s.api.set_experiment("renamed"),
}


def test_experiments(both):
    """Each call, one after the other."""
    for name, call in EXPERIMENT_CALLS.items():
        theirs, ours = (outcome(call, side) for side in both)
        assert ours == theirs, name


RUN_CALLS = {
    "get": lambda s: s.client.get_run(s.run),
    "get none": lambda s: s.client.get_run("0" * 32),
    "history": lambda s: [
        (m.key, m.value if m.step == 1 else "nan", m.timestamp, m.step)
        for m in s.client.get_metric_history(s.run, "m")
    ],
    "no history": lambda s: s.client.get_metric_history(s.run, "none"),
    "param again": lambda s: s.client.log_param(s.run, "p", 1),
    "param changed": lambda s: s.client.log_param(s.run, "p", 2),
    "no number": lambda s: s.client.log_metric(s.run, "m", "high"),
    "None": lambda s: s.client.log_metric(s.run, "m", None),
    "step is text": lambda s: s.client.log_metric(s.run, "m", 1, step="x"),
    "no key": lambda s: s.client.log_param(s.run, "", 1),
    "to none": lambda s: s.client.log_metric("0" * 32, "m", 1),
    "set tag": lambda s: s.client.set_tag(s.run, "k", 5),
    "delete tag": lambda s: s.client.delete_tag(s.run, "t"),
    "delete tag again": lambda s: s.client.delete_tag(s.run, "t"),
    "batch": lambda s: s.client.log_batch(
        s.run,
        [s.api.entities.Metric("b", 1.5, 9, 2)],
        [s.api.entities.Param("q", "x")],
        [s.api.entities.RunTag("r", "y")],
    ),
    "batched": lambda s: s.client.get_run(s.run),
    "rename": lambda s: s.client.update_run(s.run, name="second"),
    "search": lambda s: s.client.search_runs([s.id], "metrics.b > 1 and params.q = 'x'"),
    "search nothing": lambda s: s.client.search_runs([s.id], "metrics.b > 2"),
    "search one": lambda s: s.client.search_runs(s.id),
    "search none": lambda s: s.client.search_runs([]),
    "search wrongly": lambda s: s.client.search_runs([s.id], "metrics.b >"),
    "order wrongly": lambda s: s.client.search_runs([s.id], order_by=["nope"]),
    "wrong page": lambda s: s.client.search_runs([s.id], page_token="?"),
    "end": lambda s: s.client.set_terminated(s.run, "FAILED", 99),
    "ended": lambda s: s.client.get_run(s.run),
    "update": lambda s: s.client.update_run(s.run, "RUNNING"),
    "updated": lambda s: s.client.get_run(s.run).info,
    "parent": lambda s: s.client.get_parent_run(s.run),
    "delete": lambda s: s.client.delete_run(s.run),
    "deleted": lambda s: s.client.get_run(s.run).info.lifecycle_stage,
    "deleted again": lambda s: s.client.delete_run(s.run),
    "take up deleted": lambda s: type(s.api.start_run(s.run)).__name__ * 0,
    "restore": lambda s: s.client.restore_run(s.run),
    "restored": lambda s: s.client.get_run(s.run),
    "restore again": lambda s: s.client.restore_run(s.run),
    "delete none": lambda s: s.client.delete_run("0" * 32),
    "create in none": lambda s: s.client.create_run("999"),
}
#: Where ours is more helpful, on purpose, or says the same in another code.
OURS = {
    "take up deleted": "error INVALID_PARAMETER_VALUE",
}


def test_runs(runs):
    """Each call, one after the other."""
    for name, call in RUN_CALLS.items():
        theirs, ours = (outcome(call, side) for side in runs)
        assert ours == OURS.get(name, theirs), name


def artifact(name, data):
    def call(side):
        side.client.log_dict(side.run, data, name)
        side.client.log_text(side.run, "text", "a/b.txt")
        return side.client.list_artifacts(side.run), side.client.list_artifacts(side.run, "a")

    return call


ARTIFACT_CALLS = {
    "json": artifact("d.json", {"a": [1, None]}),
    "yaml": artifact("d.yaml", {"a": [1, None]}),
    "list none": lambda s: s.client.list_artifacts(s.run, "none"),
    "list file": lambda s: s.client.list_artifacts(s.run, "a/b.txt"),
    "list outside": lambda s: s.client.list_artifacts(s.run, "../x"),
    "download": lambda s: open(s.client.download_artifacts(s.run, "a/b.txt")).read(),
    "download none": lambda s: s.client.download_artifacts(s.run, "none"),
    "by uri": lambda s: s.api.artifacts.load_dict(f"runs:/{s.run}/d.json"),
    "by uri, yaml": lambda s: s.api.artifacts.load_text(f"runs:/{s.run}/d.yaml"),
    "list by uri": lambda s: [
        each.path for each in s.api.artifacts.list_artifacts(f"runs:/{s.run}/a")
    ],
    "list by run": lambda s: s.api.artifacts.list_artifacts(run_id=s.run, artifact_path="a"),
    "which": lambda s: s.api.artifacts.download_artifacts(),
    "table": lambda s: s.client.log_table(s.run, {"a": [1, 2], "b": ["x", {"y": 1}]}, "t.json"),
    "more": lambda s: s.client.log_table(s.run, pd.DataFrame({"a": [3], "b": ["z"]}), "t.json"),
    "rows": lambda s: s.client.load_table(s.id, "t.json").to_dict("list"),
    "no table": lambda s: s.client.log_table(s.run, 3, "t.json"),
    "text": lambda s: s.api.artifacts.load_text(f"runs:/{s.run}/t.json"),
    "tags": lambda s: s.client.get_run(s.run).data.tags,
    "image": lambda s: s.client.log_image(s.run, np.zeros((2, 3, 3), np.uint8), "i.png"),
    "image size": lambda s: list(s.api.artifacts.load_image(f"runs:/{s.run}/i.png").size),
    "images": lambda s: s.client.log_image(
        s.run, np.zeros((2, 3, 3), np.uint8), key="a/b", step=3, timestamp=7
    ),
    "image names": lambda s: sorted(
        re.sub(r"\+[0-9a-f-]{36}", "", each.path)
        for each in s.client.list_artifacts(s.run, "images")
    ),
}


@pytest.mark.filterwarnings("ignore")
def test_artifacts(runs):
    """Each call, one after the other."""
    for name, call in ARTIFACT_CALLS.items():
        theirs, ours = (outcome(call, side) for side in runs)
        assert ours == theirs, name


@pytest.mark.filterwarnings("ignore")
def test_inputs(both):
    """A data set of pandas and one of NumPy are described in the same words."""
    frame = pd.DataFrame(
        {
            "long": [1, 2, 3],
            "double": [1.0, None, 2.0],
            "text": ["x", "y", "z"],
            "date": pd.to_datetime(["2020-01-01"] * 3),
            "truth": [True, False, True],
            "kind": pd.Categorical(["u", "v", "u"]),
        }
    )

    def call(side):
        with side.api.start_run() as run:
            data = side.api.data
            side.api.log_input(
                data.from_pandas(frame, source="/x/train.csv", name="train", targets="text"),
                context="training",
                tags={"k": "v"},
            )
            side.api.log_inputs(
                [
                    data.from_numpy(np.zeros((3, 2)), targets=np.zeros(3, int), name="arrays"),
                    data.from_numpy({"x": np.zeros(3)}, source="s3://b/x.npy", name="named"),
                    data.from_pandas(frame[["long"]], source="https://h/x.csv", name="web"),
                ],
                ["test", None, "eval"],
                [None, {"k": "w"}, None],
            )
        inputs = side.client.get_run(run.info.run_id).inputs.dataset_inputs
        return sorted(inputs, key=lambda each: each.dataset.name)

    ours = same(both, call)
    assert len(ours) == 4


def test_the_frame_of_runs_has_the_same_columns_and_types(both):
    """search_runs, with what runs do not have, and of no runs."""
    frames = []
    for side in both:
        with side.api.start_run(run_name="a"):
            side.api.log_metrics({"m": 1, "n": float("nan")})
            side.api.log_param("p", "x")
        with side.api.start_run(run_name="b", description="note"):
            side.api.log_metric("other", 2.5)
        side.api.start_run(run_name="open")
        frames.append(side.api.search_runs([side.id], order_by=["attributes.run_name"]))
        assert len(side.api.search_runs([side.id], max_results=1)) == 1
        side.api.end_run()
    theirs, ours = frames
    # Ours notes more of where a run comes from, and who works on it.
    extra = {name for name in ours if name.startswith("tags.")} - set(theirs)
    assert set(theirs) == set(ours) - extra
    for name in theirs:
        assert ours[name].isna().tolist() == theirs[name].isna().tolist(), name
        assert ours[name].dtype.kind == theirs[name].dtype.kind, name
    assert str(ours["start_time"].dt.tz) == str(theirs["start_time"].dt.tz)
    assert ours["status"].tolist() == theirs["status"].tolist()
    empty = [side.api.search_runs([side.id], "metrics.m > 5") for side in both]
    assert list(empty[0].columns) == list(empty[1].columns)


def test_nested_runs_and_their_ends(both):
    """Parents, names, notes, states after an exception, and the run before."""

    def call(side):
        api = side.api
        found = []
        with api.start_run(run_name="outer", description="note", tags={"a": 1}) as outer:
            with api.start_run(nested=True, run_name="inner") as inner:
                found.append(api.active_run().info.run_id == inner.info.run_id)
            try:
                with api.start_run(nested=True, run_name="failing") as failing:
                    raise ValueError
            except ValueError:
                found.append(api.get_run(failing.info.run_id).info.status)
            found.append(api.get_parent_run(inner.info.run_id).info.run_name)
        found.append(api.last_active_run().info.run_name)
        tags = api.get_run(outer.info.run_id).data.tags
        found.append({key: tags[key] for key in ("a", "mlflow.note.content", "mlflow.runName")})
        with api.start_run(run_id=outer.info.run_id):
            api.log_metric("again", 1)
        found.append(api.get_run(outer.info.run_id).info.status)
        api.delete_run(inner.info.run_id)
        found.append(len(api.search_runs([side.id])))
        return found

    same(both, call)


def signature_of(function):
    import inspect

    return [
        (name, each.default if not callable(each.default) else "...")
        for name, each in inspect.signature(function).parameters.items()
        if name not in ("self", "trace_location", "workspace_store_uri")
    ]


CLIENT_METHODS = [
    name
    for name in vars(skledger.TrackingClient)
    | {name: None for part in skledger.TrackingClient.__mro__ for name in vars(part)}
    if not name.startswith("_") and callable(getattr(mlflow.MlflowClient, name, None))
]


@pytest.mark.parametrize("name", sorted(CLIENT_METHODS))
def test_methods_of_the_client_have_mlflows_arguments(name):
    """Names, order and defaults: a call that MLflow takes is taken."""
    theirs = signature_of(getattr(mlflow.MlflowClient, name))
    ours = signature_of(getattr(skledger.TrackingClient, name))
    assert ours[: len(theirs)] == theirs


FUNCTIONS = [
    name
    for name in skledger.__all__
    if callable(getattr(mlflow, name, None)) and not isinstance(getattr(mlflow, name), type)
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_mlflows_arguments(name):
    """Names and defaults, and the order of those that MLflow's users write by position."""
    theirs = dict(signature_of(getattr(mlflow, name)))
    ours = dict(signature_of(getattr(skledger, name)))
    missing = set(theirs) - set(ours) - {"kwargs"}
    assert not missing
    if name != "autolog":
        assert {key: ours[key] for key in theirs} == theirs
        assert list(ours)[: len(theirs)] == list(theirs)


FRAMES = {
    "numbers": pd.DataFrame({"b": [1.5, np.nan], "a": [1, 2]}),
    "texts": pd.DataFrame({"t": ["x", "ü"], "gap": ["x", None], "n": [1, 2]}),
    "kinds": pd.DataFrame(
        {
            "flag": [True, False],
            "time": pd.to_datetime(["2020-01-01", None]),
            "kind": pd.Categorical(["x", "y"]),
            "whole": pd.array([1, None], dtype="Int64"),
            "string": pd.array(["x", "y"], dtype="string"),
            "list": [[1], [2]],
        }
    ),
    "names": pd.DataFrame([[1, 2.5], [3, 4.5]], columns=[7, 3]),
    "index": pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
    "empty": pd.DataFrame({"a": np.zeros(0), "t": np.zeros(0, dtype=object)}),
    "long": pd.DataFrame({"a": np.arange(12_000)}),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_digests_of_tables(kind):
    """The same table, logged by both, is one data set."""
    frame = FRAMES[kind]
    assert skledger.data.from_pandas(frame).digest == mlflow.data.from_pandas(frame).digest


@pytest.mark.parametrize(
    ("features", "targets"),
    [
        (np.arange(6.0).reshape(2, 3), None),
        (np.arange(6).reshape(2, 3), np.array([0, 1])),
        ({"b": np.zeros(3), "a": np.ones((3, 2), dtype="float32")}, {"y": np.array(["x", "y"])}),
        (np.arange(24_000).reshape(2, -1), None),
        (np.asfortranarray(np.arange(6.0).reshape(2, 3)), None),
    ],
    ids=["floats", "targets", "by name", "long", "by columns"],
)
def test_digests_of_arrays(features, targets):
    """Of features and targets, by their first values and their shapes."""
    ours = skledger.data.from_numpy(features, targets=targets).digest
    assert ours == mlflow.data.from_numpy(features, targets=targets).digest
