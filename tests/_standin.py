"""A stand-in for the store of a tracking server: it chooses identifiers, and it fails on demand.

What it is asked to write it takes in steps, as a server that is sent several requests does, and
each step may fail: before it was done, or after, when only the answer is lost.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace
from uuid import uuid4

from skledger.errors import (
    AlreadyExistsError,
    NotFoundError,
    ParamConflictError,
    StoreUnavailableError,
)
from skledger.stores.artifacts import LocalArtifacts
from skledger.stores.memory import MemoryStore
from skledger.tracking.entities import RunChange, RunTag, ViewType

RUN_TAG, MODEL_TAG = "skledger.run_id", "skledger.model_id"


class Standin:
    """The store of a server.

    Attributes
    ----------
    fault : callable
        Called with the name of each step, before and after it; raises what shall go wrong.
    metrics : Counter
        How often each value was added to a run.
    files : Counter
        How often each file was put.
    """

    uri = "http://standin"

    def __init__(self, root):
        self.store = MemoryStore(str(root))
        self.root = root
        self.runs, self.models = {}, {}
        self.metrics, self.files, self.steps = Counter(), Counter(), Counter()
        self.fault = lambda step: None
        self.lock = threading.RLock()
        self.asked = 0

    # Faults

    def step(self, name, action):
        self.asked += 1
        self.fault(f"before {name}")
        with self.lock:
            self.steps[name] += 1
            result = action()
        self.fault(f"after {name}")
        return result

    def is_away(self, error=None):
        """Let it not answer from now on."""

        def fault(step):
            raise error or StoreUnavailableError("nobody answers")

        self.fault = fault

    def is_back(self):
        """Let it answer again."""
        self.fault = lambda step: None

    def fails_at_random(self, share, seed=0):
        """Let a share of the steps fail, before or after they are done."""
        chance = random.Random(seed)

        def fault(step):
            if chance.random() < share:
                after = 0.01 if chance.random() < 0.5 else None
                raise StoreUnavailableError(f"no luck {step}", after)

        self.fault = fault

    # What it is called

    def run_id(self, run_id):
        found = self.runs.get(run_id, run_id)
        self.store.get_run(found)
        return found

    def model_id(self, model_id):
        found = self.models.get(model_id, model_id)
        self.store.get_logged_model(found)
        return found

    def server_run_id(self, run_id):
        return self.run_id(run_id)

    def server_model_id(self, model_id):
        return self.model_id(model_id)

    # Writing

    def write(self, *changes, retry=False):
        for change in changes:
            for name in ("create", "data", "models", "changes", "end"):
                getattr(self, f"_{name}")(change, retry)

    def _create(self, change, retry):
        info = change.create
        if info is None:
            return
        if change.run_id in self.runs:
            if not retry:
                raise AlreadyExistsError("it is there")
            return

        def create():
            theirs = uuid4().hex
            place = f"{self.root}/{info.experiment_id}/{theirs}/artifacts"
            made = replace(info, run_id=theirs, artifact_uri=place, status="RUNNING", end_time=None)
            tags = (RunTag(RUN_TAG, change.run_id),)
            self.store.write(RunChange(theirs, create=made, tags=tags))
            self.runs[change.run_id] = theirs

        self.step("create", create)

    def _data(self, change, retry):
        theirs = self.run_id(change.run_id)

        def data():
            metrics = change.metrics
            if retry:
                metrics = [m for m in metrics if m not in self._history(theirs, m.key)]
            tags = tuple(
                replace(tag, value=self.runs.get(tag.value, tag.value))
                if tag.key in ("mlflow.parentRunId", "skledger.best_run")
                else tag
                for tag in change.tags
            )
            self.store.write(
                RunChange(
                    theirs,
                    params=change.params,
                    metrics=tuple(metrics),
                    tags=tags,
                    deleted_tags=change.deleted_tags,
                    inputs=change.inputs,
                )
            )
            self.metrics.update((change.run_id, m.key, m.step, m.timestamp) for m in metrics)

        self.step("data", data)

    def _history(self, run_id, key):
        return self.store.get_metric_history(run_id, key)

    def _models(self, change, retry):
        theirs = self.run_id(change.run_id)
        for model in change.models:
            if model.model_id in self.models:
                assert retry
                continue

            def create(model=model):
                name = f"m-{uuid4().hex}"
                place = f"{self.root}/models/{name}/artifacts"
                tags = {**model.tags, MODEL_TAG: model.model_id}
                made = replace(
                    model, model_id=name, artifact_location=place, tags=tags, source_run_id=theirs
                )
                self.store.write(RunChange(theirs, models=(made,)))
                self.models[model.model_id] = name

            self.step("model", create)
        for model_id in change.deleted_models:
            if model_id in self.models:
                gone = (self.models.pop(model_id),)
                self.step(
                    "no model", lambda: self.store.write(RunChange(theirs, deleted_models=gone))
                )

    def _changes(self, change, retry):
        theirs = self.run_id(change.run_id)
        for each in change.model_changes:
            told = replace(each, model_id=self.model_id(each.model_id))
            self.step(
                "model change",
                lambda told=told: self.store.write(RunChange(theirs, model_changes=(told,))),
            )

    def _end(self, change, retry):
        status = change.status or (change.create.status if change.create else None)
        end_time = change.end_time or (change.create.end_time if change.create else None)
        fields = RunChange(
            self.run_id(change.run_id),
            status=status,
            end_time=end_time,
            run_name=change.run_name,
            lifecycle_stage=change.lifecycle_stage,
        )
        if fields != RunChange(fields.run_id):
            self.step("end", lambda: self.store.write(fields))

    # Files

    def artifacts(self, place):
        return _Files(self, place)

    # The rest

    def create_experiment(self, name, artifact_location=None, tags=None):
        location = artifact_location or f"{self.root}/{len(self.store._experiments)}"
        return self.step("experiment", lambda: self.store.create_experiment(name, location, tags))

    def get_run(self, run_id):
        return self.step("get run", lambda: self.store.get_run(self.run_id(run_id)))

    def get_metric_history(self, run_id, key):
        return self.step("history", lambda: self._history(self.run_id(run_id), key))

    def get_logged_model(self, model_id):
        return self.step("get model", lambda: self.store.get_logged_model(self.model_id(model_id)))

    def search_logged_models(self, run_id, name=None):
        return self.step(
            "models", lambda: self.store.search_logged_models(self.run_id(run_id), name)
        )

    def close(self):
        pass

    def __getattr__(self, name):
        inner = getattr(self.store, name)
        return lambda *args, **kwargs: self.step(name, lambda: inner(*args, **kwargs))

    def all_runs(self, experiment_id="0"):
        """Return what it has, whatever goes wrong."""
        return list(self.store.search_runs([experiment_id], view_type=ViewType.ALL))


class _Files:
    """Artifacts on the server; each one put counts."""

    def __init__(self, server, place):
        self.server, self.place = server, place
        self.inner = LocalArtifacts(place)

    def put_bytes(self, path, data):
        self.server.step("file", lambda: self._put(path, lambda: self.inner.put_bytes(path, data)))

    def put_file(self, path, source):
        self.server.step("file", lambda: self._put(path, lambda: self.inner.put_file(path, source)))

    def _put(self, path, action):
        action()
        self.server.files[f"{self.place}/{path}"] += 1


__all__ = ["MODEL_TAG", "RUN_TAG", "NotFoundError", "ParamConflictError", "Standin"]
