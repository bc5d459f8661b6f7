"""Experiments, runs and models as the JSON of MLflow's REST API, and back.

Numbers: JSON has no NaN, and the API takes and gives it as the text ``"NaN"``. Infinity is taken
as text too, but kept as the greatest float; what that means is the same as in a database, see
`skledger.stores.sql_numbers`. The metrics of a logged model are given back with 0 for NaN, so a
tag of the model (`NAN_TAG`) names those that are NaN; readers never see it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from skledger.errors import InvalidParameterError
from skledger.stores.sql_numbers import decode_model_number, decode_number, encode_number
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    LifecycleStage,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
    ViewType,
)
from skledger.tracking.filters import Ordering, format_filter, parse_filter

__all__ = [
    "NAN_TAG",
    "VIEWS",
    "as_input",
    "as_metric",
    "as_model_status",
    "as_ordering",
    "as_pairs",
    "identity_of",
    "model_name",
    "nan_note",
    "read_experiment",
    "read_metric",
    "read_model",
    "read_run",
    "read_tags",
    "with_plain_times",
]

#: The tag of a logged model that tells which of its metrics are NaN.
NAN_TAG = "skledger.nan_metrics"
#: The tag of a logged model that tells its name, when that has characters a server refuses.
MODEL_NAME_TAG = "skledger.model_name"
_REFUSED_IN_NAMES = str.maketrans(dict.fromkeys("/:.%\"'", "_"))

VIEWS = {
    ViewType.ACTIVE_ONLY: "ACTIVE_ONLY",
    ViewType.DELETED_ONLY: "DELETED_ONLY",
    ViewType.ALL: "ALL",
}
#: The states of a logged model by their names in the API.
_MODEL_STATUS = {
    "LOGGED_MODEL_STATUS_UNSPECIFIED": "UNSPECIFIED",
    "LOGGED_MODEL_PENDING": "PENDING",
    "LOGGED_MODEL_READY": "READY",
    "LOGGED_MODEL_UPLOAD_FAILED": "FAILED",
}
_MODEL_STATUS_NAMES = {ours: theirs for theirs, ours in _MODEL_STATUS.items()}


# To JSON


def as_pairs(items: Mapping[str, str] | Iterable[Param | RunTag]) -> list[dict[str, str]]:
    """Return params or tags, which may be a mapping or entities."""
    pairs = items.items() if isinstance(items, Mapping) else ((e.key, e.value) for e in items)
    return [{"key": key, "value": value} for key, value in pairs]


def as_metric(metric: Metric, model_id: str | None = None) -> dict[str, Any]:
    """Return a metric of a run, and of one of its models when it is named."""
    value, is_nan = encode_number(metric.value)
    told: dict[str, Any] = {
        "key": metric.key,
        "value": "NaN" if is_nan else value,
        "timestamp": metric.timestamp,
        "step": metric.step,
    }
    if model_id is not None:
        told["model_id"] = model_id
        if metric.dataset_name is not None:
            told["dataset_name"] = metric.dataset_name
            told["dataset_digest"] = metric.dataset_digest
    return told


def as_input(item: DatasetInput) -> dict[str, Any]:
    """Return a data set and how it was used."""
    told = {name: value for name, value in item.dataset if value is not None}
    return {"tags": as_pairs(item.tags), "dataset": told}


def as_ordering(ordering: Ordering) -> dict[str, Any]:
    """Return what logged models are sorted by."""
    name = ordering.key if ordering.kind == "attribute" else f"{ordering.kind}s.{ordering.key}"
    told: dict[str, Any] = {"field_name": name, "ascending": ordering.ascending}
    if ordering.dataset_name:
        told["dataset_name"] = ordering.dataset_name
    if ordering.dataset_digest:
        told["dataset_digest"] = ordering.dataset_digest
    return told


def as_model_status(status: str) -> str:
    """Return the state of a logged model as the API names it."""
    return _MODEL_STATUS_NAMES[status]


def nan_note(metrics: Iterable[Metric], held: str = "") -> dict[str, str]:
    """Return the tag that tells which metrics of a model are NaN, if any is.

    Parameters
    ----------
    metrics : iterable of Metric
        Those that come to the model.
    held : str, default=""
        The tag that it has.
    """
    found = [[each.key, each.timestamp, each.step] for each in metrics if math.isnan(each.value)]
    if not found:
        return {}
    known = [list(each) for each in sorted(_read_note(held))]
    new = [each for each in found if each not in known]
    return {NAN_TAG: json.dumps(known + new, separators=(",", ":")) if new else held}


def model_name(name: str) -> tuple[str, dict[str, str]]:
    """Return a name for a model that a server takes, and the tag that tells the real one."""
    taken = name.translate(_REFUSED_IN_NAMES)
    return taken, {} if taken == name else {MODEL_NAME_TAG: name}


def identity_of(metric: Mapping[str, Any]) -> tuple[str, int, int, float | str]:
    """Return what makes a metric the same as another, as the server goes by."""
    value = float(metric.get("value", 0.0))
    return (
        metric["key"],
        int(metric.get("timestamp", 0)),
        int(metric.get("step", 0)),
        "NaN" if math.isnan(value) else value,
    )


# From JSON


def read_experiment(told: Mapping[str, Any]) -> Experiment:
    """Return an experiment."""
    return Experiment(
        str(told["experiment_id"]),
        told.get("name", ""),
        told.get("artifact_location", ""),
        told.get("lifecycle_stage", LifecycleStage.ACTIVE),
        read_tags(told.get("tags", ())),
        _time(told.get("creation_time")),
        _time(told.get("last_update_time")),
    )


def read_run(told: Mapping[str, Any]) -> Run:
    """Return a run with everything it holds."""
    data = told.get("data", {})
    inputs = told.get("inputs", {}).get("dataset_inputs", ())
    outputs = told.get("outputs", {}).get("model_outputs", ())
    return Run(
        _read_info(told["info"]),
        RunData(
            {each["key"]: read_metric(each).value for each in data.get("metrics", ())},
            read_tags(data.get("params", ())),
            read_tags(data.get("tags", ())),
        ),
        RunInputs([_read_input(each) for each in inputs]),
        RunOutputs(
            [LoggedModelOutput(each["model_id"], int(each.get("step", 0))) for each in outputs]
        ),
    )


def read_metric(told: Mapping[str, Any]) -> Metric:
    """Return a metric of a run."""
    return Metric(
        told["key"],
        _number(told),
        int(told.get("timestamp", 0)),
        int(told.get("step", 0)),
    )


def read_model(told: Mapping[str, Any]) -> LoggedModel:
    """Return a logged model."""
    info, data = told["info"], told.get("data", {})
    tags = read_tags(info.get("tags", ()))
    nan = _read_note(tags.pop(NAN_TAG, "[]"))
    return LoggedModel(
        model_id=info["model_id"],
        experiment_id=str(info["experiment_id"]),
        name=tags.pop(MODEL_NAME_TAG, info.get("name", "")),
        artifact_location=info.get("artifact_uri", ""),
        creation_timestamp=int(info.get("creation_timestamp_ms", 0)),
        last_updated_timestamp=int(info.get("last_updated_timestamp_ms", 0)),
        source_run_id=info.get("source_run_id") or None,
        status=_MODEL_STATUS.get(info.get("status", ""), "UNSPECIFIED"),
        model_type=info.get("model_type", ""),
        tags=tags,
        params=read_tags(data.get("params", ())),
        metrics=tuple(_read_model_metric(each, nan, info) for each in data.get("metrics", ())),
    )


def read_tags(told: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return tags or params."""
    return {each["key"]: each.get("value", "") for each in told}


def _number(told: Mapping[str, Any]) -> float:
    value = float(told.get("value", 0.0))
    return decode_number(value, math.isnan(value))


def _read_note(text: str) -> set[tuple[Any, ...]]:
    try:
        return {tuple(each) for each in json.loads(text)}
    except (ValueError, TypeError):
        return set()


def _read_model_metric(
    told: Mapping[str, Any], nan: set[tuple[Any, ...]], info: Mapping[str, Any]
) -> Metric:
    timestamp, step = int(told.get("timestamp", 0)), int(told.get("step", 0))
    if (told["key"], timestamp, step) in nan:
        value = math.nan
    else:
        value = float(told.get("value", 0.0))
        value = value if math.isnan(value) else decode_model_number(value)
    return Metric(
        told["key"],
        value,
        timestamp,
        step,
        info["model_id"],
        told.get("dataset_name") or None,
        told.get("dataset_digest") or None,
        told.get("run_id") or info.get("source_run_id") or None,
    )


def _read_info(told: Mapping[str, Any]) -> RunInfo:
    return RunInfo(
        told.get("run_id") or told["run_uuid"],
        str(told.get("experiment_id", "")),
        told.get("run_name", ""),
        told.get("user_id", ""),
        told.get("status", RunStatus.RUNNING),
        int(told.get("start_time", 0)),
        _time(told.get("end_time")) or None,
        told.get("lifecycle_stage", LifecycleStage.ACTIVE),
        told.get("artifact_uri", ""),
    )


def _read_input(told: Mapping[str, Any]) -> DatasetInput:
    item = told.get("dataset", {})
    return DatasetInput(
        Dataset(
            item.get("name", ""),
            item.get("digest", ""),
            item.get("source_type", ""),
            item.get("source", ""),
            item.get("schema"),
            item.get("profile"),
        ),
        tuple(RunTag(each["key"], each.get("value", "")) for each in told.get("tags", ())),
    )


def _time(value: Any) -> int | None:
    return None if value is None else int(value)


def with_plain_times(text: str, entity: str) -> str:
    """Return a filter with times as MLflow's servers take them: in milliseconds."""
    try:
        conditions = parse_filter(text, entity)
    except InvalidParameterError:
        return text  # the server's own grammar counts
    times = any(each.kind == "attribute" and isinstance(each.value, int) for each in conditions)
    return format_filter(conditions, entity) if times else text
