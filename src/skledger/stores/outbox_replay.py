"""A run as it is after the changes that wait in an outbox: replayed, not asked for."""

from __future__ import annotations

import math
from dataclasses import replace

from skledger.errors import ParamConflictError
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    Run,
    RunChange,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)

__all__ = ["Replay"]

_FIELDS = ("status", "end_time", "run_name", "lifecycle_stage")
_NAME_TAG = "mlflow.runName"


class Replay:
    """A run that changes are applied to, one after the other.

    What a change does is what it does in a store in memory; a metric is added in the same time
    however many values it has.

    Parameters
    ----------
    run : Run
        The run before the first change.
    is_snapshot : bool, default=False
        Whether it is the server's, which knows more of it.

    Attributes
    ----------
    info : RunInfo
        What the run is by now.
    params, tags : dict
        What it holds by now.
    models : dict of str to LoggedModel
        The models that the changes made.
    """

    def __init__(self, run: Run, *, is_snapshot: bool = False) -> None:
        self.is_snapshot = is_snapshot
        self.info = run.info
        self.params = dict(run.data.params)
        self.tags = dict(run.data.tags)
        self.models: dict[str, LoggedModel] = {}
        self._outputs = {each.model_id: each for each in run.outputs.model_outputs}
        self._metrics = dict(run.data.metrics)
        self._latest: dict[str, Metric] = {}
        self._history: dict[str, dict[tuple[int, int, float, bool], Metric]] = {}
        self._inputs: dict[tuple[str, str], tuple[Dataset, dict[str, str]]] = {}
        for item in run.inputs.dataset_inputs:
            self._use(item)

    @classmethod
    def of_new(cls, info: RunInfo) -> Replay:
        """Return a run that has just been created."""
        return cls(Run(info, RunData()))

    def refuse_conflicts(self, change: RunChange) -> None:
        """Raise `ParamConflictError` when a change gives a param another value."""
        fresh: dict[str, str] = {}
        for param in change.params:
            held = self.params.get(param.key)
            if held is None:
                held = fresh.setdefault(param.key, param.value)
            if held != param.value:
                raise ParamConflictError(
                    f"param {param.key!r} of run {change.run_id} is {held!r} and cannot become "
                    f"{param.value!r}: a param never changes; book it under another key or in "
                    "another run"
                )

    def apply(self, change: RunChange) -> None:
        """Take a change over; the first value of a param stays."""
        news = {name: value for name in _FIELDS if (value := getattr(change, name)) is not None}
        if news:
            self.info = replace(self.info, **news)
        for key in change.deleted_tags:
            self.tags.pop(key, None)
        self.tags.update({tag.key: tag.value for tag in change.tags})
        if change.run_name is not None:
            self.tags[_NAME_TAG] = change.run_name
        for param in change.params:
            self.params.setdefault(param.key, param.value)
        for metric in change.metrics:
            self._measure(metric)
        for item in change.inputs:
            self._use(item)
        for model_id in change.deleted_models:
            self.models.pop(model_id, None)
            self._outputs.pop(model_id, None)
        for model in change.models:
            self.models[model.model_id] = replace(
                model,
                experiment_id=self.info.experiment_id,
                source_run_id=model.source_run_id or change.run_id,
            )
            self._outputs[model.model_id] = LoggedModelOutput(model.model_id)

    def _use(self, item: DatasetInput) -> None:
        dataset = item.dataset
        _, tags = self._inputs.setdefault((dataset.name, dataset.digest), (dataset, {}))
        tags.update({tag.key: tag.value for tag in item.tags})

    def _measure(self, metric: Metric) -> None:
        rank = _rank(metric)
        latest = self._latest.get(metric.key)
        if latest is None or rank > _rank(latest):
            self._latest[metric.key] = metric
            self._metrics[metric.key] = metric.value
        history = self._history.setdefault(metric.key, {})
        history.setdefault((*rank, math.isnan(metric.value)), metric)

    def run(self) -> Run:
        """Return the run as it is now."""
        return Run(
            self.info,
            RunData(dict(self._metrics), dict(self.params), dict(self.tags)),
            RunInputs(
                [
                    DatasetInput(dataset, tuple(RunTag(*each) for each in tags.items()))
                    for dataset, tags in self._inputs.values()
                ]
            ),
            RunOutputs(list(self._outputs.values())),
        )

    def history(self, key: str, earlier: list[Metric] | None = None) -> list[Metric]:
        """Return the values of a metric in the order of step and time, each once.

        Parameters
        ----------
        key : str
            The metric.
        earlier : list of Metric, optional
            What is known from elsewhere.
        """
        known = {(*_rank(each), math.isnan(each.value)): each for each in earlier or ()}
        return sorted({**known, **self._history.get(key, {})}.values(), key=_rank)

    def last_sign(self, now: int) -> int:
        """Return when the run started, ended or got the value of a metric last, in ms."""
        times = [each.timestamp for each in self._latest.values() if each.timestamp <= now]
        if self.info.end_time is not None and RunStatus.is_terminated(self.info.status):
            times.append(self.info.end_time)
        return max(self.info.start_time, *times, 0)


def _rank(metric: Metric) -> tuple[int, int, float]:
    """Return what decides which value is the last: step, time and value; NaN counts as 0."""
    value = metric.value
    return metric.step, metric.timestamp, 0.0 if math.isnan(value) else value
