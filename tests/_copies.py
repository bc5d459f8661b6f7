"""What the tests of copying share: experiments with everything in them, and how to compare them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from dataclasses import replace

import skledger
from skledger.stores.artifacts import artifact_store, files_below
from skledger.stores.opening import open_store
from skledger.tracking import session
from skledger.tracking.copying import COPIED_TAG, COPYING_TAG
from skledger.tracking.copying_places import open_files
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    LoggedModel,
    Metric,
    RunChange,
    RunInfo,
    RunTag,
    ViewType,
    as_params,
    as_tags,
)
from skledger.tracking.model_uris import DIGESTS_TAG

PARENT, BEST = "mlflow.parentRunId", "skledger.best_run"

#: A program that copies from its first argument to its second.
COPY = """
import json, sys
from skledger.tracking import copying
print("begun", flush=True)
copying.copy(*sys.argv[1:3], experiments=json.loads(sys.argv[3]))
"""


def open_kind(kind, folder, name):
    """Open a store of a kind in a folder."""
    uri = {
        "sqlite": f"sqlite:///{folder / name}.db",
        "files": str(folder / name),
        "memory": "memory:",
    }[kind]
    return open_store(uri)


# What is copied


def new_run(store, name="run", *, experiment_id="0", start=1000, files=None, **fields):
    """Write a run, as somebody has written it; return its identifier."""
    run_id = fields.pop("run_id", None) or uuid.uuid4().hex
    root = store.get_experiment(experiment_id).artifact_location
    info = RunInfo(
        run_id, experiment_id, name, "ann", "FINISHED", start, start + 500, "active",
        f"{root}/{run_id}/artifacts",
    )  # fmt: skip
    tags = {"mlflow.runName": name, **fields.pop("tags", {})}
    store.write(RunChange(run_id, create=info, tags=as_tags(tags), **fields))
    for path, content in (files or {}).items():
        artifact_store(info.artifact_uri).put_bytes(path, content)
    return run_id


def new_model(store, run_id, files, *, name="model", **fields):
    """Write a logged model with its files; return its identifier."""
    model_id = f"m-{uuid.uuid4().hex}"
    run = store.get_run(run_id)
    root = store.get_experiment(run.info.experiment_id).artifact_location
    location = f"{root}/models/{model_id}/artifacts"
    for path, content in files(model_id).items():
        artifact_store(location).put_bytes(path, content)
    model = LoggedModel(
        model_id, run.info.experiment_id, name, location, 1500, 1600, run_id, **fields
    )
    store.write(RunChange(run_id, models=(model,)))
    return model_id


def fill(store, prefix=""):
    """Write experiments with everything that there is; return their names."""
    note = {"mlflow.note.content": "# Rot *und* weiß", "t": ""}
    wine = store.create_experiment(f"{prefix}wine", tags=note)
    numbers = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2, -1.7e308]
    metrics = tuple(Metric("odd", value, 2000 + at, at) for at, value in enumerate(numbers))
    history = tuple(Metric("loss", 1 / (1 + at), 3000 + at, at // 3) for at in range(300))
    inputs = tuple(
        DatasetInput(
            Dataset(name, "0123abcd", "code", '{"a": 1}', "{}", None),
            (RunTag("mlflow.data.context", context),),
        )
        for name, context in (("train", "train"), ("test", "eval"))
    )
    parent = new_run(
        store,
        "search",
        experiment_id=wine,
        # Two that a model has, too.
        metrics=(*metrics, *history, Metric("acc", 0.5, 5), Metric("nan", math.nan, 5)),
        params=as_params({"C": 1.0, "größe": "ß" * 6000, "empty": ""}),
        tags={"mlflow.note.content": "a note", "long": "x" * 8000, "mlflow.user": "ann"},
        inputs=inputs,
        files={"plots/roc.png": b"\x89PNG\r\n" * 999, "a b/ü+&.txt": b"", "top.json": b"{}"},
    )
    children = [
        new_run(store, f"child-{at}", experiment_id=wine, start=2000 + at, tags={PARENT: parent})
        for at in range(3)
    ]
    store.write(RunChange(parent, tags=as_tags({BEST: children[1]})))
    new_model(
        store,
        parent,
        lambda model_id: {
            "MLmodel": f"flavors: {{}}\nmodel_id: {model_id}\nrun_id: {parent}\n".encode(),
            "model.pkl": b"\x80\x04" + os.urandom(999),
            "code/own.py": b"x = 1\n",
        },
        params={"C": "1.0"},
        tags={"mlflow.user": "ann", "large": "y" * 20_000},
        metrics=(
            Metric("acc", 0.5, 7, dataset_name="train", dataset_digest="0123abcd"),
            Metric("nan", math.nan, 7),
        ),
        model_type="classifier",
    )
    failed = new_run(store, "failed", start=5000, tags={"skledger.error.type": "ValueError"})
    store.write(RunChange(failed, status="FAILED", end_time=5001))
    deleted = new_run(store, "deleted", start=6000, files={"kept.txt": b"even of deleted runs"})
    store.write(RunChange(deleted, lifecycle_stage="deleted"))
    gone = store.create_experiment(f"{prefix}gone")
    files = {"kept/too.txt": b"in the bin"}
    new_run(store, "of a deleted experiment", experiment_id=gone, start=7000, files=files)
    store.update_experiment(gone, lifecycle_stage="deleted")
    return ["Default", f"{prefix}wine", f"{prefix}gone"]


# What has arrived


def runs_of(store, name):
    experiment = store.get_experiment_by_name(name)
    return list(
        store.search_runs(
            [experiment.experiment_id], "", ViewType.ALL, 1000, ["attributes.start_time ASC"]
        )
    )


def files_at(store, location):
    artifacts = open_files(store, location)
    found = {}
    for path in (info.path for info in files_below(artifacts)):
        with artifacts.open(path) as stream:
            found[path] = hashlib.sha256(stream.read()).hexdigest()
    return found


def picture(store, name):
    """Return all that a store holds of an experiment, without identifiers and places."""
    experiment = store.get_experiment_by_name(name)
    names = {run.info.run_id: run.info.run_name for run in runs_of(store, name)}
    tags = {k: v for k, v in experiment.tags.items() if k != COPYING_TAG}
    runs = {each: picture_of_run(store, each, names) for each in names}
    assert len(set(names.values())) == len(names), "a run is there twice"
    return (
        experiment.lifecycle_stage,
        tags,
        {names[run_id]: content for run_id, content in runs.items()},
    )


OF_THE_COPY = (COPIED_TAG, COPYING_TAG, "skledger.run_id", "skledger.model_id")


def picture_of_run(store, run_id, names):
    run = store.get_run(run_id)
    tags = {k: v for k, v in run.data.tags.items() if k not in OF_THE_COPY}
    for key in (PARENT, BEST):
        if key in tags:
            tags[key] = names.get(tags[key], tags[key])
    history = {
        # SQLite knows one zero only.
        key: [
            (m.step, m.timestamp, repr(m.value + 0.0))
            for m in store.get_metric_history(run_id, key)
        ]
        for key in run.data.metrics
    }
    info = run.info
    return {
        "info": (info.status, info.start_time, info.end_time, info.user_id, info.lifecycle_stage),
        "params": run.data.params,
        "tags": tags,
        "latest": {key: repr(value) for key, value in run.data.metrics.items()},
        "history": {key: sorted(values) for key, values in history.items()},
        "inputs": sorted(
            [(item.dataset.to_dictionary(), [(t.key, t.value) for t in item.tags])
             for item in run.inputs.dataset_inputs],
            key=str,
        ),
        "outputs": len(run.outputs.model_outputs),
        "files": files_at(store, info.artifact_uri),
        "models": [picture_of_model(store, each, run) for each in store.search_logged_models(run_id)],
    }  # fmt: skip


def picture_of_model(store, model, run):
    tags = {k: v for k, v in model.tags.items() if k not in (*OF_THE_COPY, DIGESTS_TAG)}
    files = files_at(store, model.artifact_location)
    descriptor = files.pop("MLmodel", None)
    if descriptor is not None:
        with open_files(store, model.artifact_location).open("MLmodel") as stream:
            text = stream.read().decode()
        assert f"model_id: {model.model_id}\n" in text.replace('"', "")
        assert f"run_id: {run.info.run_id}\n" in text.replace('"', "")
        booked = json.loads(model.tags.get(DIGESTS_TAG, "{}"))
        assert not booked or booked == {**files, "MLmodel": descriptor}
    assert model.source_run_id == run.info.run_id
    # A server books them with the run, at the time that they have there.
    metrics = sorted((m.key, m.step, repr(m.value)) for m in model.metrics)
    return (model.name, model.status, model.model_type, model.params, tags, metrics, files)


def assert_same(source, destination, names):
    for name in names:
        there, here = picture(destination, name), picture(source, name)
        assert there[:2] == here[:2]
        assert set(there[2]) == set(here[2])
        for run, content in here[2].items():
            different = {k: (there[2][run][k], content[k]) for k in content}
            unlike = {k: v for k, v in different.items() if v[0] != v[1]}
            assert not unlike, f"{run}: {unlike}"


def every_tag(store, key):
    ids = [each.experiment_id for each in store.search_experiments(ViewType.ALL)]
    runs = store.search_runs(ids, "", ViewType.ALL)
    return [run.data.tags[key] for run in runs if key in run.data.tags]


# Stores that make it hard


class Renaming:
    """A destination that chooses identifiers itself, as a server does, and knows ours as aliases."""

    def __init__(self, store):
        self._store = store
        self.names = {}

    def __getattr__(self, name):
        return getattr(self._store, name)

    def _own(self, identifier):
        return self.names.get(identifier, identifier)

    def write(self, *changes):
        self._store.write(*map(self._translated, changes))

    def _translated(self, change):
        create, run_id = change.create, self._own(change.run_id)
        if create is not None:
            run_id = self.names[change.run_id] = uuid.uuid4().hex
            uri = create.artifact_uri.replace(change.run_id, run_id)
            create = replace(create, run_id=run_id, artifact_uri=uri)
        models = []
        for model in change.models:
            model_id = self.names[model.model_id] = f"m-{uuid.uuid4().hex}"
            location = model.artifact_location.replace(model.model_id, model_id)
            models.append(replace(model, model_id=model_id, artifact_location=location))
        deleted = tuple(map(self._own, change.deleted_models))
        changed = tuple(
            replace(each, model_id=self._own(each.model_id)) for each in change.model_changes
        )
        return replace(
            change,
            run_id=run_id,
            create=create,
            models=tuple(models),
            deleted_models=deleted,
            model_changes=changed,
        )

    def get_run(self, run_id):
        return self._store.get_run(self._own(run_id))

    def get_logged_model(self, model_id):
        return self._store.get_logged_model(self._own(model_id))


class Failing:
    """A store that fails, or is interrupted, at its n-th call of some methods."""

    def __init__(
        self,
        store,
        after,
        error,
        methods=("write", "get_run", "get_metric_history"),
        times=math.inf,
        *,
        late=False,
    ):
        self._store, self._left, self._error = store, after, error
        self._methods, self._times, self._late = methods, times, late

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if name not in self._methods:
            return found

        def call(*args, **kwargs):
            if self._left == 0 and self._times:
                self._times -= 1
                if self._late:  # the answer is lost, not the request
                    found(*args, **kwargs)
                raise self._error
            self._left = max(0, self._left - 1)
            return found(*args, **kwargs)

        return call


def check_what_is_whole(source, destination):
    """Every run that says it is a copy holds what the original does."""
    for name in [each.name for each in destination.search_experiments(ViewType.ALL)]:
        there = runs_of(destination, name)
        names = {run.info.run_id: run.info.run_name for run in there}
        originals = {run.info.run_id: run.info.run_name for run in runs_of(source, name)}
        for run in there:
            marked = run.data.tags.get(COPIED_TAG)
            assert marked is not None or COPYING_TAG in run.data.tags
            if COPYING_TAG in run.data.tags:
                assert run.info.status in ("RUNNING", "FINISHED", "FAILED")
                continue
            original = picture_of_run(source, marked.partition("#")[2], originals)
            made = picture_of_run(destination, run.info.run_id, names)
            for each in (original, made):  # an experiment in the bin brings its runs there
                each["info"] = each["info"][:4]
            assert made == original


# Models


def fit_something(uri):
    """Book a search with autologging; return its run."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    skledger.set_tracking_uri(uri)
    skledger.set_experiment("iris")
    skledger.autolog()
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(LogisticRegression(max_iter=200), {"C": [0.1, 1.0]}, cv=2).fit(X, y)
    skledger.autolog(disable=True)
    skledger.flush()
    return skledger.last_active_run(), search, X


def skledger_store():
    return session.get_store()
