"""Entities as the JSON of MLflow's REST API: what is empty is left out, as protobuf does.

Numbers: NaN is the text ``"NaN"``; infinity is the greatest float, which is what MLflow's servers
make of it, and what `skledger.stores.rest_json` reads as infinity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skledger.stores.sql_numbers import encode_number
from skledger.tracking.entities import (
    DatasetInput,
    Experiment,
    FileInfo,
    LoggedModel,
    Metric,
    Run,
    RunInfo,
)
from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

__all__ = [
    "MODEL_STATUS",
    "experiment",
    "file",
    "listed",
    "metric",
    "model",
    "model_version",
    "pairs",
    "registered_model",
    "run",
    "run_info",
]

_GREATEST = 1.7976931348623157e308
#: The states of a logged model as the API names them.
MODEL_STATUS = {
    "UNSPECIFIED": "LOGGED_MODEL_STATUS_UNSPECIFIED",
    "PENDING": "LOGGED_MODEL_PENDING",
    "READY": "LOGGED_MODEL_READY",
    "FAILED": "LOGGED_MODEL_UPLOAD_FAILED",
}


def pairs(items: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags or params."""
    return [{"key": key, "value": value} for key, value in items.items()]


def experiment(item: Experiment) -> dict[str, Any]:
    """Return an experiment."""
    told: dict[str, Any] = {
        "experiment_id": item.experiment_id,
        "name": item.name,
        "artifact_location": item.artifact_location,
        "lifecycle_stage": item.lifecycle_stage,
    }
    if item.last_update_time is not None:
        told["last_update_time"] = item.last_update_time
    if item.creation_time is not None:
        told["creation_time"] = item.creation_time
    if item.tags:
        told["tags"] = pairs(item.tags)
    told["workspace"] = "default"
    return told


def run_info(item: RunInfo) -> dict[str, Any]:
    """Return what a run is."""
    told: dict[str, Any] = {
        "run_uuid": item.run_id,
        "experiment_id": item.experiment_id,
        "run_name": item.run_name,
        "user_id": item.user_id,
        "status": item.status,
        "start_time": item.start_time,
    }
    if item.end_time is not None:
        told["end_time"] = item.end_time
    told["artifact_uri"] = item.artifact_uri
    told["lifecycle_stage"] = item.lifecycle_stage
    told["run_id"] = item.run_id
    return told


def run(item: Run, latest: Mapping[str, Metric], used_models: Sequence[str] = ()) -> dict[str, Any]:
    """Return a run with everything it holds.

    Parameters
    ----------
    item : Run
        The run.
    latest : mapping of str to Metric
        Its metrics, with their steps and times.
    used_models : sequence of str, optional
        The identifiers of the models that it used.
    """
    data: dict[str, Any] = {}
    if latest:
        data["metrics"] = [metric(each) for each in latest.values()]
    if item.data.params:
        data["params"] = pairs(item.data.params)
    if item.data.tags:
        data["tags"] = pairs(item.data.tags)
    inputs: dict[str, Any] = {}
    if item.inputs.dataset_inputs:
        inputs["dataset_inputs"] = [_dataset_input(each) for each in item.inputs.dataset_inputs]
    if used_models:
        inputs["model_inputs"] = [{"model_id": each} for each in used_models]
    outputs: dict[str, Any] = {}
    if item.outputs.model_outputs:
        outputs["model_outputs"] = [
            {"model_id": each.model_id, "step": each.step} for each in item.outputs.model_outputs
        ]
    return {"info": run_info(item.info), "data": data, "inputs": inputs, "outputs": outputs}


def metric(item: Metric, **more: str) -> dict[str, Any]:
    """Return a metric; `more` are further fields."""
    value: float | str = item.value
    if not -_GREATEST < item.value < _GREATEST:  # NaN as well
        stored, is_nan = encode_number(item.value)
        value = "NaN" if is_nan else stored
    told = {"key": item.key, "value": value, "timestamp": item.timestamp, "step": item.step}
    return {**told, **more} if more else told


def model(item: LoggedModel) -> dict[str, Any]:
    """Return a logged model."""
    info: dict[str, Any] = {
        "model_id": item.model_id,
        "experiment_id": item.experiment_id,
        "name": item.name,
        "creation_timestamp_ms": item.creation_timestamp,
        "last_updated_timestamp_ms": item.last_updated_timestamp,
        "artifact_uri": item.artifact_location,
        "status": MODEL_STATUS.get(item.status, MODEL_STATUS["UNSPECIFIED"]),
        "model_type": item.model_type,
    }
    if item.source_run_id:
        info["source_run_id"] = item.source_run_id
    if item.tags:
        info["tags"] = pairs(item.tags)
    data: dict[str, Any] = {}
    if item.params:
        data["params"] = pairs(item.params)
    if item.metrics:
        data["metrics"] = [_of_model(each, item) for each in item.metrics]
    return {"info": info, "data": data} if data else {"info": info}


def _of_model(item: Metric, of: LoggedModel) -> dict[str, Any]:
    """Return a metric of a model: also where it was measured."""
    told = metric(item, model_id=of.model_id, run_id=item.run_id or of.source_run_id or "")
    if item.dataset_name is not None and item.dataset_digest is not None:
        told |= {"dataset_name": item.dataset_name, "dataset_digest": item.dataset_digest}
    return told


def registered_model(item: RegisteredModel) -> dict[str, Any]:
    """Return a registered model."""
    told: dict[str, Any] = {"name": item.name, "creation_timestamp": item.creation_timestamp}
    if item.last_updated_timestamp is not None:
        told["last_updated_timestamp"] = item.last_updated_timestamp
    if item.description:
        told["description"] = item.description
    if item.latest_versions:
        told["latest_versions"] = [model_version(each) for each in item.latest_versions]
    if item.tags:
        told["tags"] = pairs(item.tags)
    if item.aliases:
        told["aliases"] = [
            {"alias": alias, "version": version} for alias, version in item.aliases.items()
        ]
    return told


def model_version(item: ModelVersion) -> dict[str, Any]:
    """Return a version of a registered model."""
    told: dict[str, Any] = {
        "name": item.name,
        "version": item.version,
        "creation_timestamp": item.creation_timestamp,
    }
    if item.last_updated_timestamp is not None:
        told["last_updated_timestamp"] = item.last_updated_timestamp
    if item.user_id:
        told["user_id"] = item.user_id
    told["current_stage"] = item.current_stage
    told["description"] = item.description or ""
    told["source"] = item.source or ""
    told["run_id"] = item.run_id or ""
    told["status"] = item.status
    if item.status_message:
        told["status_message"] = item.status_message
    if item.tags:
        told["tags"] = pairs(item.tags)
    told["run_link"] = item.run_link or ""
    if item.aliases:
        told["aliases"] = list(item.aliases)
    return told


def file(item: FileInfo, path: str) -> dict[str, Any]:
    """Return a file or a folder, under a path of one's own."""
    told: dict[str, Any] = {"path": path, "is_dir": item.is_dir}
    if item.file_size is not None:
        told["file_size"] = item.file_size
    return told


def _dataset_input(item: DatasetInput) -> dict[str, Any]:
    dataset = {name: value for name, value in item.dataset if value is not None}
    told: dict[str, Any] = {"dataset": dataset}
    if item.tags:
        told = {"tags": [{"key": tag.key, "value": tag.value} for tag in item.tags], **told}
    return told


def listed(name: str, items: Iterable[Any], token: str | None = None) -> dict[str, Any]:
    """Return a page: what is empty is left out, as is the token of the last page."""
    found = list(items)
    told: dict[str, Any] = {name: found} if found else {}
    if token:
        told["next_page_token"] = token
    return told
