"""What a store in memory holds of a run, and how a write changes it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from skledger.errors import AlreadyExistsError, NotFoundError, ParamConflictError
from skledger.stores.model_changes import changed, no_model, signed
from skledger.tracking.entities import (
    Dataset,
    Experiment,
    LifecycleStage,
    LoggedModel,
    Metric,
    RunChange,
    RunInfo,
    RunStatus,
)

__all__ = ["Draft", "Record", "last_sign", "last_sign_of_child", "place", "set_stage_of_runs"]


@dataclass(slots=True)
class Record:
    """What is known of one run."""

    info: RunInfo
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    latest: dict[str, Metric] = field(default_factory=dict)
    history: dict[str, tuple[Metric, ...]] = field(default_factory=dict)
    inputs: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    models: dict[str, None] = field(default_factory=dict)
    deleted_time: int | None = None

    def copy(self) -> Record:
        """Return a record that can change while this one stays."""
        return Record(
            self.info,
            dict(self.params),
            dict(self.tags),
            dict(self.latest),
            dict(self.history),
            {key: dict(tags) for key, tags in self.inputs.items()},
            dict(self.models),
            self.deleted_time,
        )

    def set_stage(self, stage: str, moment: int) -> None:
        """Delete the run, or bring it back, at a moment in ms."""
        self.info = replace(self.info, lifecycle_stage=stage)
        self.deleted_time = moment if stage == LifecycleStage.DELETED else None


class Draft:
    """The state that a write leads to; it takes the place of the old one only when all fits.

    Parameters
    ----------
    runs, models, datasets : mapping
        The old state, by identifier; data sets by experiment, name and digest.
    """

    def __init__(
        self,
        runs: Mapping[str, Record],
        models: Mapping[str, LoggedModel],
        datasets: Mapping[tuple[str, str, str], Dataset],
    ) -> None:
        self._old_runs = runs
        self.runs: dict[str, Record] = {}
        self.models = dict(models)
        self.datasets = dict(datasets)

    def create(self, info: RunInfo) -> None:
        """Add a run; `AlreadyExistsError` when there is one of that identifier."""
        if info.run_id in self._old_runs or info.run_id in self.runs:
            raise AlreadyExistsError(f"there is a run {info.run_id!r} already: use another id")
        self.runs[info.run_id] = Record(info)

    def apply(self, change: RunChange) -> None:
        """Change a run that is there."""
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

    def change_models(self, change: RunChange) -> None:
        """Change models that are there, after all that the write makes and removes."""
        now = time.time_ns() // 1_000_000
        for each in change.model_changes:
            model = self.models.get(each.model_id)
            if model is None:
                raise no_model(each.model_id)
            self.models[each.model_id] = signed(changed(model, each, now, run_id=change.run_id))

    def _record(self, run_id: str) -> Record:
        if run_id not in self.runs:
            if run_id not in self._old_runs:
                raise NotFoundError(
                    f"there is no run {run_id!r}: create it first, or check its identifier"
                )
            self.runs[run_id] = self._old_runs[run_id].copy()
        return self.runs[run_id]

    @staticmethod
    def _set_fields(record: Record, change: RunChange) -> None:
        for name in ("status", "end_time", "run_name"):
            value = getattr(change, name)
            if value is not None:
                record.info = replace(record.info, **{name: value})
        if change.lifecycle_stage is not None:
            record.set_stage(change.lifecycle_stage, time.time_ns() // 1_000_000)

    @staticmethod
    def _set_tags(record: Record, change: RunChange) -> None:
        for key in change.deleted_tags:
            record.tags.pop(key, None)
        record.tags.update({tag.key: tag.value for tag in change.tags})
        if change.run_name is not None:
            record.tags["mlflow.runName"] = change.run_name

    def _set_models(self, record: Record, change: RunChange) -> None:
        for model_id in change.deleted_models:
            self.models.pop(model_id, None)
            record.models.pop(model_id, None)
        for model in change.models:
            if model.model_id in self.models:
                raise AlreadyExistsError(f"there is a logged model {model.model_id!r} already")
            made = replace(
                model,
                experiment_id=record.info.experiment_id,
                source_run_id=model.source_run_id or change.run_id,
                params=dict(model.params),
                tags=dict(model.tags),
                metrics=tuple(replace(each, run_id=change.run_id) for each in model.metrics),
            )
            self.models[model.model_id] = signed(made)
            record.models[model.model_id] = None


def set_stage_of_runs(records: Iterable[Record], experiment: Experiment, stage: str) -> int:
    """Delete the active runs of an experiment, or bring back those that were deleted with it.

    Returns the moment in ms, which is one when no run was deleted before: it tells later which
    ones come back.
    """
    here = [each for each in records if each.info.experiment_id == experiment.experiment_id]
    now = time.time_ns() // 1_000_000
    if stage == LifecycleStage.DELETED:
        now = max(now, max((each.deleted_time or 0 for each in here), default=0) + 1)
    for each in here:
        before = each.deleted_time is not None and each.deleted_time < (
            experiment.last_update_time or 0
        )
        if each.info.lifecycle_stage != stage and not before:
            each.set_stage(stage, now)
    return now


def last_sign(record: Record, now: int) -> int:
    """Return when a run started or got the value of a metric, whichever is later."""
    times = [metric.timestamp for metric in record.latest.values() if metric.timestamp <= now]
    return max(record.info.start_time, *times, 0)


def last_sign_of_child(record: Record, now: int) -> int:
    """Return the end of a run that has ended; else what is the last that was booked of it."""
    end = record.info.end_time or record.info.start_time
    return max(end, last_sign(record, now)) if record.info.status == RunStatus.RUNNING else end


def _add_metric(record: Record, metric: Metric) -> None:
    # What a run was measured on is not kept: MLflow's tables have room for it with models only.
    metric = Metric(metric.key, float(metric.value), metric.timestamp, metric.step)
    known = record.history.get(metric.key, ())
    if not any(_identity(metric) == _identity(each) for each in known):
        record.history[metric.key] = (*known, metric)
    latest = record.latest.get(metric.key)
    if latest is None or place(metric) > place(latest):
        record.latest[metric.key] = metric


def place(metric: Metric) -> tuple[int, int, float]:
    """Return what MLflow goes by: step, time, and value, where NaN counts as 0."""
    value = metric.value
    return metric.step, metric.timestamp, 0.0 if math.isnan(value) else value


def _identity(metric: Metric) -> tuple[int, int, float, bool]:
    return (*place(metric), math.isnan(metric.value))
