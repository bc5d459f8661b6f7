"""Filters and orders in Python, with the answers that SQL gives."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from skledger.stores.checks import MODEL_STATUS
from skledger.tracking.entities import Experiment, LoggedModel, Run
from skledger.tracking.filters import Comparison, Ordering
from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

__all__ = ["matches", "sort"]

Entity = Run | Experiment | LoggedModel | RegisteredModel | ModelVersion
T = TypeVar("T", Run, Experiment, LoggedModel, RegisteredModel, ModelVersion)

_NAME_TAG = "mlflow.runName"
_CONTEXT_TAG = "mlflow.data.context"
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(entity: Entity, conditions: Sequence[Comparison]) -> bool:
    """Whether all the conditions hold."""
    return all(_holds(entity, each) for each in conditions)


def sort(entities: list[T], orderings: Sequence[Ordering]) -> list[T]:
    """Return the entities in order; what ties keeps its place."""
    for each in reversed(orderings):
        numbered: list[tuple[Any, T]] = []
        strange: list[T] = []
        missing: list[T] = []
        for entity in entities:
            value = _sort_key(entity, each)
            if value is None:
                missing.append(entity)
            elif isinstance(value, float) and math.isnan(value):
                strange.append(entity)
            else:
                numbered.append((value, entity))
        numbered.sort(key=operator.itemgetter(0), reverse=not each.ascending)
        entities = [entity for _, entity in numbered] + strange
        # An experiment that old databases have no time of is the oldest; all else comes last.
        oldest = each.ascending and missing and isinstance(missing[0], Experiment)
        entities = missing + entities if oldest else entities + missing
    return entities


def _holds(entity: Entity, each: Comparison) -> bool:
    found = _values(entity, each.kind, each.key)
    if each.operator == "IS NULL":
        return not found
    if each.operator == "IS NOT NULL":
        return bool(found)
    return any(_compare(value, each.operator, each.value) for value in found)


def _values(entity: Entity, kind: str, key: str) -> list[Any]:
    """Return what the entity has under a key: nothing, one value, or several."""
    if isinstance(entity, Run):
        return _of_run(entity, kind, key)
    if isinstance(entity, LoggedModel) and kind == "metric":
        return [metric.value for metric in entity.metrics if metric.key == key]
    if kind == "attribute":
        return _one(_attribute(entity, key))
    if isinstance(entity, LoggedModel) and kind == "param":
        return _one(entity.params.get(key))
    return _one(entity.tags.get(key))


def _of_run(run: Run, kind: str, key: str) -> list[Any]:
    if kind == "attribute":
        if key == "run_name":
            # As MLflow: the tag is the name, while orders go by the attribute.
            return _one(run.data.tags.get(_NAME_TAG, run.info.run_name))
        return _one(getattr(run.info, key))
    if kind == "dataset":
        items = run.inputs.dataset_inputs
        if key == "context":
            return [tag.value for item in items for tag in item.tags if tag.key == _CONTEXT_TAG]
        return [getattr(item.dataset, key) for item in items]
    held: dict[str, dict[str, Any]] = {
        "metric": run.data.metrics,
        "param": run.data.params,
        "tag": run.data.tags,
    }
    return _one(held[kind].get(key))


def _attribute(entity: Experiment | LoggedModel | RegisteredModel | ModelVersion, key: str) -> Any:
    if key == "model_type":
        return getattr(entity, key) or None  # databases hold nothing for it
    if isinstance(entity, ModelVersion) and key in ("version_number", "source_path"):
        return int(entity.version) if key == "version_number" else entity.source
    return getattr(entity, key)


def _one(value: Any) -> list[Any]:
    return [] if value is None else [value]


def _compare(value: Any, operation: str, wanted: Any) -> bool:
    if operation in _OPERATORS:
        return _OPERATORS[operation](value, wanted)
    negated = operation.startswith("NOT ")
    operation = operation.removeprefix("NOT ")
    if operation == "IN":
        found = value in wanted
    else:
        found = _pattern(wanted, operation == "LIKE").match(value) is not None
    return found != negated


@cache
def _pattern(text: str, same_case: bool) -> re.Pattern[str]:
    """Return a LIKE pattern as a regular expression: % is anything, _ is one character."""
    parts = {"%": ".*", "_": "."}
    expression = "".join(parts.get(character) or re.escape(character) for character in text)
    flags = re.DOTALL if same_case else re.DOTALL | re.IGNORECASE | re.ASCII
    return re.compile(rf"{expression}\Z", flags)


def _sort_key(entity: Entity, ordering: Ordering) -> Any:
    """Return the value to sort by; None when there is none."""
    key = ordering.key
    if ordering.kind == "attribute":
        if isinstance(entity, Run):
            return getattr(entity.info, key)
        value = _attribute(entity, key)
        if key == "experiment_id":
            return int(value)
        return MODEL_STATUS[value] if key == "status" else value
    if isinstance(entity, LoggedModel):
        # The data set of a metric is not part of the entity, so none is on the one asked for.
        on_dataset = ordering.dataset_name or ordering.dataset_digest
        own = [] if on_dataset else [each for each in entity.metrics if each.key == key]
        latest = max(own, key=lambda each: (each.timestamp, each.step), default=None)
        return None if latest is None else latest.value
    found = _values(entity, ordering.kind, key)
    return found[0] if found else None
