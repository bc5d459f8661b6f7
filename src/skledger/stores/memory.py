"""A store in memory: for tests, users' own included. It behaves as the one in a database."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    ParamConflictError,
)
from skledger.stores.checks import (
    check_changes,
    check_experiment_name,
    check_max_results,
    check_tags,
    check_view_type,
    parse_experiment_id,
)
from skledger.stores.matching import matches, sort
from skledger.stores.paging import read_token, write_token
from skledger.stores.temporary import TemporaryFolder
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    LifecycleStage,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    PagedList,
    Run,
    RunChange,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
    ViewType,
)
from skledger.tracking.filters import parse_filter, parse_order_by

__all__ = ["MemoryStore"]

T = TypeVar("T")


@dataclass(slots=True)
class _Record:
    """What is known of one run."""

    info: RunInfo
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    latest: dict[str, Metric] = field(default_factory=dict)
    history: dict[str, tuple[Metric, ...]] = field(default_factory=dict)
    inputs: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    models: dict[str, None] = field(default_factory=dict)

    def copy(self) -> _Record:
        """Return a record that can change while this one stays."""
        return _Record(
            self.info,
            dict(self.params),
            dict(self.tags),
            dict(self.latest),
            dict(self.history),
            {key: dict(tags) for key, tags in self.inputs.items()},
            dict(self.models),
        )


class MemoryStore:
    """A store in memory. See `skledger.stores.base.Store` for what its methods do.

    Parameters
    ----------
    artifact_root : str, optional
        The folder for artifacts; by default a temporary one, which goes with the store.

    Attributes
    ----------
    uri : str
        Always ``memory:``.
    artifact_root : str
        As above.
    """

    uri = "memory:"

    def __init__(self, artifact_root: str | None = None) -> None:
        self._folder = TemporaryFolder() if artifact_root is None else None
        root = artifact_root if self._folder is None else self._folder.path
        self.artifact_root = os.path.abspath(root or "")  # noqa: PTH100
        self._lock = threading.RLock()
        self._experiments: dict[str, Experiment] = {}
        self._runs: dict[str, _Record] = {}
        self._models: dict[str, LoggedModel] = {}
        self._datasets: dict[tuple[str, str, str], Dataset] = {}
        self.create_experiment("Default")
        _stores.add(self)

    def close(self) -> None:
        """Remove the temporary folder of artifacts; the next one makes it anew.

        The records stay as long as the store.
        """
        if self._folder is not None:
            self._folder.remove()

    # Experiments

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an experiment and return its identifier; `AlreadyExistsError` when taken."""
        check_experiment_name(name)
        check_tags(tags or {})
        now = time.time_ns() // 1_000_000
        with self._lock:
            if self.get_experiment_by_name(name) is not None:
                raise AlreadyExistsError(
                    f"there is an experiment named {name!r} already (it may be deleted): "
                    "choose another name or use that one"
                )
            number = str(len(self._experiments))
            location = artifact_location or f"{self.artifact_root}/{number}"
            if "://" not in location and not location.startswith("file:"):
                location = os.path.abspath(location)  # noqa: PTH100
            self._experiments[number] = Experiment(
                number, name, location, LifecycleStage.ACTIVE, dict(tags or {}), now, now
            )
        return number

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return the experiment, deleted or not."""
        found = self._experiments.get(str(parse_experiment_id(experiment_id)))
        if found is None:
            raise NotFoundError(f"there is no experiment {experiment_id!r} in {self.uri}")
        return replace(found, tags=dict(found.tags))

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, deleted or not, or None."""
        check_experiment_name(name)
        with self._lock:
            for each in self._experiments.values():
                if each.name == name:
                    return replace(each, tags=dict(each.tags))
        return None

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return experiments, the newest first unless ordered."""
        limit, offset = check_max_results(max_results), read_token(page_token)
        conditions = parse_filter(filter_string, "experiment")
        orderings = parse_order_by(order_by, "experiment")
        stages = check_view_type(view_type)
        if any(c.key == "experiment_id" and "LIKE" in c.operator for c in conditions):
            raise InvalidParameterError("an experiment_id is compared with =, != or IN")
        with self._lock:
            found = [
                replace(each, tags=dict(each.tags))
                for each in self._experiments.values()
                if each.lifecycle_stage in stages and matches(each, conditions)
            ]
        found.sort(key=lambda each: int(each.experiment_id), reverse=True)
        if not orderings:
            found.sort(key=lambda each: each.creation_time or 0, reverse=True)
        return _page(sort(found, orderings), limit, offset)

    # Runs

    def write(self, *changes: RunChange) -> None:
        """Write all the changes in one transaction, or nothing."""
        check_changes(changes)
        with self._lock:
            draft = _Draft(self._runs, self._models, self._datasets)
            for change in changes:
                if change.create is not None:
                    self.get_experiment(change.create.experiment_id)
                    draft.create(change.create)
            for change in changes:
                draft.apply(change)
            self._runs.update(draft.runs)
            self._models = draft.models
            self._datasets = draft.datasets

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds."""
        with self._lock:
            return self._as_run(self._record(run_id))

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """Return the runs of the experiments that match, the newest first unless ordered."""
        limit, offset = check_max_results(max_results), read_token(page_token)
        orderings = parse_order_by(order_by, "run")
        found = self._matching(experiment_ids, filter_string, view_type)
        found.sort(key=lambda run: (-run.info.start_time, run.info.run_id))
        return _page(sort(found, orderings), limit, offset)

    def count_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        tag: str = "",
    ) -> dict[tuple[str | None, str], int]:
        """Return how many runs match, by the value of a tag (None without it) and by status."""
        found = self._matching(experiment_ids, filter_string, view_type)
        return dict(Counter((run.data.tags.get(tag), run.info.status) for run in found))

    def _matching(
        self, experiment_ids: Sequence[str], filter_string: str, view_type: int
    ) -> list[Run]:
        conditions = parse_filter(filter_string, "run")
        wanted = {str(parse_experiment_id(each)) for each in experiment_ids}
        stages = check_view_type(view_type)
        with self._lock:
            found = [
                self._as_run(record)
                for record in self._runs.values()
                if record.info.experiment_id in wanted and record.info.lifecycle_stage in stages
            ]
        return [run for run in found if matches(run, conditions)]

    def running_runs(
        self, tag: str | None = None, max_results: int = 1000, after: str = ""
    ) -> list[Run]:
        """Return runs that are RUNNING, deleted ones included, in the order of their identifiers.

        Only those that have the tag, when one is named. `after` is the last identifier of the page
        before.
        """
        limit = check_max_results(max_results)
        with self._lock:
            found = [
                run_id
                for run_id, record in sorted(self._runs.items())
                if run_id > after
                and record.info.status == RunStatus.RUNNING
                and (tag is None or tag in record.tags)
            ]
            return [self._as_run(self._runs[run_id]) for run_id in found[:limit]]

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs, or their children, last started, ended or got the value of a metric.

        In ms; values from the future do not count, and runs that nobody knows are left out.
        """
        now = time.time_ns() // 1_000_000
        with self._lock:
            signs = {
                run_id: _last_sign(self._runs[run_id], now)
                for run_id in run_ids
                if run_id in self._runs
            }
            for record in self._runs.values():
                parent = record.tags.get("mlflow.parentRunId", "")
                if parent in signs:
                    signs[parent] = max(signs[parent], _last_sign_of_child(record, now))
        return signs

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every value of a metric, in the order of step and time."""
        with self._lock:
            found = self._record(run_id).history.get(key, ())
        return sorted(found, key=_place)

    # Logged models

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        found = self._models.get(model_id)
        if found is None:
            raise NotFoundError(f"there is no logged model {model_id!r} in {self.uri}")
        return replace(found, params=dict(found.params), tags=dict(found.tags))

    def search_logged_models(self, run_id: str, name: str | None = None) -> list[LoggedModel]:
        """Return the models a run made, in the order they were made; `name` selects."""
        with self._lock:
            found = [self.get_logged_model(each) for each in self._record(run_id).models]
        found.sort(key=lambda model: model.creation_timestamp)
        return [model for model in found if name is None or model.name == name]

    # The inside

    def _record(self, run_id: str) -> _Record:
        found = self._runs.get(run_id)
        if found is None:
            raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
        return found

    def _as_run(self, record: _Record) -> Run:
        experiment_id = record.info.experiment_id
        return Run(
            record.info,
            RunData(
                {key: metric.value for key, metric in record.latest.items()},
                dict(record.params),
                dict(record.tags),
            ),
            RunInputs(
                [
                    DatasetInput(
                        self._datasets[(experiment_id, *key)],
                        tuple(RunTag(name, value) for name, value in tags.items()),
                    )
                    for key, tags in record.inputs.items()
                ]
            ),
            RunOutputs([LoggedModelOutput(each) for each in record.models]),
        )


class _Draft:
    """The state that a write leads to; it takes the place of the old one only when all fits."""

    def __init__(
        self,
        runs: Mapping[str, _Record],
        models: Mapping[str, LoggedModel],
        datasets: Mapping[tuple[str, str, str], Dataset],
    ) -> None:
        self._old_runs = runs
        self.runs: dict[str, _Record] = {}
        self.models = dict(models)
        self.datasets = dict(datasets)

    def create(self, info: RunInfo) -> None:
        if info.run_id in self._old_runs or info.run_id in self.runs:
            raise AlreadyExistsError(f"there is a run {info.run_id!r} already: use another id")
        self.runs[info.run_id] = _Record(info)

    def apply(self, change: RunChange) -> None:
        record = self._record(change.run_id)
        self._set_fields(record, change)
        self._set_tags(record, change)
        for param in change.params:
            old = record.params.setdefault(param.key, param.value)
            if old != param.value:
                raise ParamConflictError(
                    f"param {param.key!r} of run {change.run_id} is {old!r} and cannot become "
                    f"{param.value!r}: a param never changes; book it under another key or in "
                    "another run"
                )
        for metric in change.metrics:
            _add_metric(record, metric)
        experiment_id = record.info.experiment_id
        for item in change.inputs:
            dataset = item.dataset
            key = (dataset.name, dataset.digest)
            self.datasets.setdefault((experiment_id, *key), dataset)
            record.inputs.setdefault(key, {}).update({tag.key: tag.value for tag in item.tags})
        self._set_models(record, change)

    def _record(self, run_id: str) -> _Record:
        if run_id not in self.runs:
            if run_id not in self._old_runs:
                raise NotFoundError(
                    f"there is no run {run_id!r}: create it first, or check its identifier"
                )
            self.runs[run_id] = self._old_runs[run_id].copy()
        return self.runs[run_id]

    @staticmethod
    def _set_fields(record: _Record, change: RunChange) -> None:
        for name in ("status", "end_time", "run_name", "lifecycle_stage"):
            value = getattr(change, name)
            if value is not None:
                record.info = replace(record.info, **{name: value})

    @staticmethod
    def _set_tags(record: _Record, change: RunChange) -> None:
        for key in change.deleted_tags:
            record.tags.pop(key, None)
        record.tags.update({tag.key: tag.value for tag in change.tags})
        if change.run_name is not None:
            record.tags["mlflow.runName"] = change.run_name

    def _set_models(self, record: _Record, change: RunChange) -> None:
        for model_id in change.deleted_models:
            self.models.pop(model_id, None)
            record.models.pop(model_id, None)
        for model in change.models:
            if model.model_id in self.models:
                raise AlreadyExistsError(f"there is a logged model {model.model_id!r} already")
            self.models[model.model_id] = replace(
                model,
                experiment_id=record.info.experiment_id,
                source_run_id=model.source_run_id or change.run_id,
                params=dict(model.params),
                tags=dict(model.tags),
            )
            record.models[model.model_id] = None


def _last_sign(record: _Record, now: int) -> int:
    """Return when a run started or got the value of a metric, whichever is later."""
    times = [metric.timestamp for metric in record.latest.values() if metric.timestamp <= now]
    return max(record.info.start_time, *times, 0)


def _last_sign_of_child(record: _Record, now: int) -> int:
    """Return the end of a run that has ended; else what is the last that was booked of it."""
    end = record.info.end_time or record.info.start_time
    return max(end, _last_sign(record, now)) if record.info.status == RunStatus.RUNNING else end


def _add_metric(record: _Record, metric: Metric) -> None:
    metric = replace(metric, value=float(metric.value))
    known = record.history.get(metric.key, ())
    if not any(_identity(metric) == _identity(each) for each in known):
        record.history[metric.key] = (*known, metric)
    latest = record.latest.get(metric.key)
    if latest is None or _place(metric) > _place(latest):
        record.latest[metric.key] = metric


def _place(metric: Metric) -> tuple[int, int, float]:
    """Return what MLflow goes by: step, time, and value, where NaN counts as 0."""
    value = metric.value
    return metric.step, metric.timestamp, 0.0 if math.isnan(value) else value


def _identity(metric: Metric) -> tuple[int, int, float, bool]:
    return (*_place(metric), math.isnan(metric.value))


def _page(items: list[T], limit: int, offset: int) -> PagedList[T]:
    more = len(items) > offset + limit
    return PagedList(items[offset : offset + limit], write_token(offset + limit) if more else None)


_stores: weakref.WeakSet[MemoryStore] = weakref.WeakSet()


def _renew_locks() -> None:
    """Give the child of a fork locks that no thread of the parent holds."""
    for store in list(_stores):
        store._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
