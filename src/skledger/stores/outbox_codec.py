"""What waits in an outbox, as JSON: no code runs when it is read back."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    ModelChange,
    Param,
    Run,
    RunChange,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunTag,
)

__all__ = [
    "NewExperiment",
    "decode_change",
    "decode_run",
    "describe",
    "encode_change",
    "encode_run",
]

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_PLAIN = ("status", "end_time", "run_name", "lifecycle_stage")
_INFO = tuple(each.name for each in fields(RunInfo))
_DATASET = tuple(each.name for each in fields(Dataset))
_MODEL = tuple(each.name for each in fields(LoggedModel) if each.name != "metrics")


@dataclass(frozen=True, slots=True)
class NewExperiment:
    """An experiment that was created while the server was away."""

    name: str
    artifact_location: str | None
    tags: dict[str, str]

    def encode(self) -> str:
        """Return it as text."""
        return _encode([self.name, self.artifact_location, self.tags])

    @classmethod
    def decode(cls, text: str) -> NewExperiment:
        """Return what `encode` made a text of."""
        return cls(*json.loads(text))


def encode_change(change: RunChange) -> str:
    """Return a change as text; called before ``fit`` returns."""
    told: dict[str, Any] = {"run_id": change.run_id}
    if change.create is not None:
        told["create"] = _info(change.create)
    for name in _PLAIN:
        value = getattr(change, name)
        if value is not None:
            told[name] = value
    if change.metrics:
        told["metrics"] = _metrics(change.metrics)
    if change.params:
        told["params"] = [(each.key, each.value) for each in change.params]
    if change.tags:
        told["tags"] = [(each.key, each.value) for each in change.tags]
    if change.deleted_tags:
        told["deleted_tags"] = change.deleted_tags
    if change.inputs:
        told["inputs"] = [_input(each) for each in change.inputs]
    if change.models:
        told["models"] = [
            {
                **{name: getattr(each, name) for name in _MODEL},
                "metrics": _model_metrics(each.metrics),
            }
            for each in change.models
        ]
    if change.deleted_models:
        told["deleted_models"] = change.deleted_models
    if change.model_changes:
        told["model_changes"] = [_model_change(each) for each in change.model_changes]
    return _encode(told)


def decode_change(text: str) -> RunChange:
    """Return what `encode_change` made a text of."""
    told = json.loads(text)
    create = told.get("create")
    return RunChange(
        told["run_id"],
        create=None if create is None else RunInfo(**create),
        **{name: told.get(name) for name in _PLAIN},
        metrics=_read_metrics(told.get("metrics", ())),
        params=tuple(Param(*each) for each in told.get("params", ())),
        tags=tuple(RunTag(*each) for each in told.get("tags", ())),
        deleted_tags=tuple(told.get("deleted_tags", ())),
        inputs=_read_inputs(told.get("inputs", ())),
        models=tuple(
            LoggedModel(**{**each, "metrics": _read_metrics(each["metrics"])})
            for each in told.get("models", ())
        ),
        deleted_models=tuple(told.get("deleted_models", ())),
        model_changes=tuple(_read_model_change(*each) for each in told.get("model_changes", ())),
    )


def describe(change: RunChange) -> str:
    """Return what a change does, in a few words."""
    told = ["the run"] if change.create is not None else []
    for name in ("params", "metrics", "tags", "inputs", "models"):
        values = getattr(change, name)
        if len(values) == 1:
            key = getattr(values[0], "key", getattr(values[0], "name", ""))
            told.append(f"{name[:-1]} {key}".strip())
        elif values:
            told.append(f"{len(values)} {name}")
    if change.deleted_tags or change.deleted_models:
        told.append("removals")
    if change.model_changes:
        count = len(change.model_changes)
        told.append(f"changes of {count} models" if count > 1 else "a change of a model")
    if any(getattr(change, name) is not None for name in _PLAIN):
        told.append("its state")
    return ", ".join(told) or "nothing"


def encode_run(run: Run) -> str:
    """Return a run as the server told it as text."""
    return _encode(
        {
            "info": _info(run.info),
            "data": [run.data.metrics, run.data.params, run.data.tags],
            "inputs": [_input(each) for each in run.inputs.dataset_inputs],
            "outputs": [(each.model_id, each.step) for each in run.outputs.model_outputs],
        }
    )


def decode_run(text: str) -> Run:
    """Return what `encode_run` made a text of."""
    told = json.loads(text)
    return Run(
        RunInfo(**told["info"]),
        RunData(*told["data"]),
        RunInputs(list(_read_inputs(told["inputs"]))),
        RunOutputs([LoggedModelOutput(*each) for each in told["outputs"]]),
    )


def _info(info: RunInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in _INFO}


def _metrics(metrics: tuple[Metric, ...]) -> list[tuple[str, float, int, int]]:
    # NaN and the infinities pass: Python's JSON has them.
    return [(m.key, float(m.value), int(m.timestamp), int(m.step)) for m in metrics]


def _model_metrics(metrics: tuple[Metric, ...]) -> list[tuple[Any, ...]]:
    """Return metrics with the data they were measured on, where that is known."""
    return [
        told if each.dataset_name is None else (*told, None, each.dataset_name, each.dataset_digest)
        for told, each in zip(_metrics(metrics), metrics, strict=True)
    ]


def _read_metrics(told: Any) -> tuple[Metric, ...]:
    return tuple(Metric(*each) for each in told)


def _model_change(change: ModelChange) -> list[Any]:
    return [
        change.model_id,
        change.status,
        _model_metrics(change.metrics),
        [(each.key, each.value) for each in change.params],
        [(each.key, each.value) for each in change.tags],
        change.deleted_tags,
    ]


def _read_model_change(
    model_id: str, status: str | None, metrics: Any, params: Any, tags: Any, deleted_tags: Any
) -> ModelChange:
    return ModelChange(
        model_id,
        status,
        _read_metrics(metrics),
        tuple(Param(*each) for each in params),
        tuple(RunTag(*each) for each in tags),
        tuple(deleted_tags),
    )


def _input(item: DatasetInput) -> list[Any]:
    dataset = [getattr(item.dataset, name) for name in _DATASET]
    return [dataset, [(tag.key, tag.value) for tag in item.tags]]


def _read_inputs(told: Any) -> tuple[DatasetInput, ...]:
    return tuple(
        DatasetInput(Dataset(*dataset), tuple(RunTag(*tag) for tag in tags))
        for dataset, tags in told
    )
