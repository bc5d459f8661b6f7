"""Lists in a request: tags, params, metrics, data sets and links, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skledger.errors import InvalidParameterError
from skledger.server.api.decoding import (
    NUMBER,
    TEXT,
    WHOLE,
    Field,
    Read,
    read_key,
    read_new_key,
    read_number,
    read_text,
    read_whole,
    refusal,
)
from skledger.tracking.entities import (
    MAX_PARAM_LENGTH,
    MAX_TAG_LENGTH,
    Dataset,
    DatasetInput,
    Metric,
    Param,
    RunTag,
)
from skledger.tracking.metric import measured_on

__all__ = [
    "Logged",
    "check_both",
    "datasets",
    "metrics",
    "model_links",
    "objects",
    "pair_of",
    "params",
    "tags",
]


@dataclass(frozen=True, slots=True)
class Logged:
    """Metrics of a run, and which of them belong to models as well."""

    metrics: tuple[Metric, ...] = ()
    of_models: Mapping[str, list[Metric]] = field(default_factory=dict)


def objects(
    name: str, read_item: Callable[[Mapping[str, Any]], Any], schema: Mapping[str, Any]
) -> Field:
    """Return a field of several objects."""

    def read(name: str, sent: Any) -> tuple[Any, ...]:
        return tuple(read_item(each) for each in _objects(name, sent))

    return Field(name, read, {"type": "array", "items": dict(schema)}, ())


def tags(most: int = MAX_TAG_LENGTH, read_key: Read = read_new_key) -> Field:
    """Return the field of tags; a value that is too long is cut, as MLflow's servers do."""

    def read(name: str, sent: Any) -> tuple[RunTag, ...]:
        return tuple(RunTag(*_pair(name, each, most, read_key)) for each in _objects(name, sent))

    return Field("tags", read, _array("key", "value"), ())


def params(most: int = MAX_PARAM_LENGTH, read_key: Read = read_new_key) -> Field:
    """Return the field of params; a value that is too long is cut, as MLflow's servers do."""

    def read(name: str, sent: Any) -> tuple[Param, ...]:
        return tuple(Param(*_pair(name, each, most, read_key)) for each in _objects(name, sent))

    return Field("params", read, _array("key", "value"), ())


def pair_of(args: Mapping[str, Any]) -> RunTag:
    """Return the tag that the fields ``key`` and ``value`` make."""
    return RunTag(args["key"], args["value"])


def metrics() -> Field:
    """Return the field of metrics, as a batch has it."""
    schema = {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["key", "value", "timestamp"],
            "properties": {
                "key": TEXT,
                "value": NUMBER,
                "timestamp": WHOLE,
                "step": WHOLE,
                "model_id": TEXT,
                "dataset_name": TEXT,
                "dataset_digest": TEXT,
            },
        },
    }
    return Field("metrics", _read_metrics, schema, Logged())


def datasets() -> Field:
    """Return the field of the data sets that a run used."""
    told = dict.fromkeys(Dataset.__dataclass_fields__, TEXT)
    schema = {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["dataset"],
            "properties": {
                "tags": _array("key", "value"),
                "dataset": {
                    "type": "object",
                    "required": ["name", "digest", "source_type", "source"],
                    "properties": told,
                },
            },
        },
    }
    return Field("datasets", _read_datasets, schema, ())


def model_links(name: str = "models") -> Field:
    """Return the field of models that a run made or used: their identifiers and steps."""

    def read(name: str, sent: Any) -> dict[str, int]:
        return {
            _required_text(name, each, "model_id"): read_whole("step", _value(each, "step", 0))
            for each in _objects(name, sent)
        }

    properties = {"model_id": TEXT, "step": WHOLE}
    item = {"type": "object", "required": ["model_id"], "properties": properties}
    return Field(name, read, {"type": "array", "items": item}, {})


def _read_metrics(name: str, sent: Any) -> Logged:
    found = []
    of_models: dict[str, list[Metric]] = {}
    for each in _objects(name, sent):
        metric = read_metric(name, each)
        found.append(metric)
        model_id = each.get("model_id")
        data = [_optional_text(each, key) or None for key in ("dataset_name", "dataset_digest")]
        check_both(*data)
        if model_id:
            of_models.setdefault(read_text("model_id", model_id), []).extend(
                measured_on([metric], *data)
            )
    return Logged(tuple(found), of_models)


def check_both(name: str | None, digest: str | None) -> None:
    """Refuse half a data set, as MLflow's servers do."""
    if (name is None) != (digest is None):
        raise InvalidParameterError(
            "dataset_name and dataset_digest go together: send both, or none of them; got "
            f"{name!r} and {digest!r}"
        )


def read_metric(name: str, sent: Mapping[str, Any]) -> Metric:
    """Return a metric."""
    if sent.get("value") is None:
        raise _missing(name, "value")
    return Metric(
        _key(name, sent, read_new_key),
        read_number("value", sent["value"]),
        read_whole("timestamp", _value(sent, "timestamp", 0)),
        read_whole("step", _value(sent, "step", 0)),
    )


def _read_datasets(name: str, sent: Any) -> tuple[DatasetInput, ...]:
    found = []
    for each in _objects(name, sent):
        told = each.get("dataset")
        if not isinstance(told, Mapping):
            raise _missing(name, "dataset")
        dataset = Dataset(
            _required_text(name, told, "name"),
            _required_text(name, told, "digest"),
            _required_text(name, told, "source_type"),
            read_text("source", _value(told, "source", "")),
            _optional_text(told, "schema"),
            _optional_text(told, "profile"),
        )
        notes = _objects("tags", _value(each, "tags", []))
        found.append(DatasetInput(dataset, tuple(RunTag(*_pair(name, n, 500)) for n in notes)))
    return tuple(found)


def _objects(name: str, sent: Any) -> list[Mapping[str, Any]]:
    if not isinstance(sent, list):
        raise refusal(name, sent, "a list of objects")
    for each in sent:
        if not isinstance(each, Mapping):
            raise refusal(name, each, "an object in each place of the list")
    return sent


def _pair(
    name: str, sent: Mapping[str, Any], most: int, read_key: Read = read_key
) -> tuple[str, str]:
    key, value = _key(name, sent, read_key), sent.get("value", "")
    if type(value) is not str:
        value = read_text("value", "" if value is None else value)
    return key, value if len(value) <= most else f"{value[: most - 3]}..."


def _key(name: str, sent: Mapping[str, Any], read: Read) -> str:
    found = sent.get("key")
    if found is None:
        raise _missing(name, "key")
    return str(read(f"key of {name}", found))


def _required_text(name: str, sent: Mapping[str, Any], key: str) -> str:
    found = sent.get(key)
    if found is None:
        raise _missing(name, key)
    return read_text(f"{key} of {name}", found)


def _optional_text(sent: Mapping[str, Any], key: str) -> str | None:
    found = sent.get(key)
    return None if found is None else read_text(key, found)


def _value(sent: Mapping[str, Any], key: str, default: Any) -> Any:
    found = sent.get(key)
    return default if found is None else found


def _array(*names: str) -> dict[str, Any]:
    properties = dict.fromkeys(names, TEXT)
    item = {"type": "object", "required": [names[0]], "properties": properties}
    return {"type": "array", "items": item}


def _missing(name: str, key: str) -> InvalidParameterError:
    return InvalidParameterError(f"Missing value for required parameter '{name}[].{key}': send it")
