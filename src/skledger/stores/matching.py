"""Filters and orders in Python, with the answers that SQL gives."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from skledger.stores.checks import MODEL_STATUS
from skledger.tracking.entities import Experiment, LifecycleStage, LoggedModel, Metric, Run, RunInfo
from skledger.tracking.filters import Comparison, Ordering, duration_milliseconds
from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

__all__ = ["Beside", "count_of_runs", "matches", "matches_on", "sort"]

Entity = Run | Experiment | LoggedModel | RegisteredModel | ModelVersion
T = TypeVar("T", Run, Experiment, LoggedModel, RegisteredModel, ModelVersion)

#: Takes an experiment's identifier and a key of `_BESIDE`.
Beside = Callable[[str, str], Any]
#: What experiments, and runs, are sorted by although they do not hold it.
_BESIDE = ("experiment_name", "runs", "last_run")
#: A number as JSON writes it, as SQL takes it too.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
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


def matches_on(
    model: LoggedModel, conditions: Sequence[Comparison], datasets: Sequence[tuple[str, str]]
) -> bool:
    """Whether all the conditions hold of a logged model, whose metrics count on these data sets.

    Without a condition on a metric it must have some metric on one of them; without data sets all
    its metrics count.
    """
    if not datasets:
        return matches(model, conditions)
    own = tuple(each for each in model.metrics if _is_on(each, datasets))
    if not own and not any(each.kind == "metric" for each in conditions):
        return False
    return matches(replace(model, metrics=own), conditions)


def _is_on(metric: Metric, datasets: Sequence[tuple[str, str]]) -> bool:
    return any(
        metric.dataset_name == name and (not digest or metric.dataset_digest == digest)
        for name, digest in datasets
    )


def sort(entities: list[T], orderings: Sequence[Ordering], beside: Beside | None = None) -> list[T]:
    """Return the entities in order; what ties keeps its place.

    Parameters
    ----------
    entities : list
        What is sorted.
    orderings : sequence of Ordering
        By what, the first the most.
    beside : callable, optional
        Takes an experiment's identifier and the name of an attribute that is not part of the
        entities (``experiment_name``, ``runs``, ``last_run``), and returns its value.
    """
    for each in reversed(orderings):
        if each.by_number:
            entities = _by_number(entities, each)
            continue
        numbered: list[tuple[Any, T]] = []
        strange: list[T] = []
        missing: list[T] = []
        for entity in entities:
            value = _sort_key(entity, each, beside)
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


def count_of_runs(runs: Iterable[RunInfo], experiment_id: str, key: str) -> int | None:
    """Return what an experiment is sorted by that only its runs tell."""
    mine = [
        run.start_time
        for run in runs
        if run.experiment_id == experiment_id and run.lifecycle_stage == LifecycleStage.ACTIVE
    ]
    return len(mine) if key == "runs" else max(mine, default=None)


def _by_number(entities: list[T], ordering: Ordering) -> list[T]:
    """Return entities by their texts: numbers by value, then other texts, then those without."""
    numbers: list[tuple[float, str, T]] = []
    texts: list[tuple[str, T]] = []
    missing: list[T] = []
    for entity in entities:
        value = _sort_key(entity, ordering, None)
        if value is None:
            missing.append(entity)
        elif _NUMBER.fullmatch(value):
            numbers.append((float(value), value, entity))
        else:
            texts.append((value, entity))
    down = not ordering.ascending
    numbers.sort(key=operator.itemgetter(0, 1), reverse=down)
    texts.sort(key=operator.itemgetter(0), reverse=down)
    return [each for *_, each in numbers] + [each for _, each in texts] + missing


def _holds(entity: Entity, each: Comparison) -> bool:
    found = _values(entity, each.kind, each.key)
    if each.operator == "IS NULL":
        return not found
    if each.operator == "IS NOT NULL":
        return bool(found)
    wanted: Any = each.value
    if (each.kind, each.key) == ("attribute", "duration"):
        wanted = duration_milliseconds(wanted)
    return any(_compare(value, each.operator, wanted) for value in found)


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
        return _one(_of_info(run, key))
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


def _sort_key(entity: Entity, ordering: Ordering, beside: Beside | None) -> Any:
    """Return the value to sort by; None when there is none."""
    key = ordering.key
    if ordering.kind == "attribute":
        if isinstance(entity, Run | Experiment) and key in _BESIDE:
            at = entity.info.experiment_id if isinstance(entity, Run) else entity.experiment_id
            return None if beside is None else beside(at, key)
        if isinstance(entity, Run):
            return _of_info(entity, key)
        value = _attribute(entity, key)
        if key == "experiment_id":
            return int(value)
        return MODEL_STATUS[value] if key == "status" else value
    if isinstance(entity, LoggedModel):
        own = [
            each
            for each in entity.metrics
            if each.key == key
            and ordering.dataset_name in ("", each.dataset_name)
            and ordering.dataset_digest in ("", each.dataset_digest)
        ]
        latest = max(own, key=lambda each: (each.timestamp, each.step), default=None)
        return None if latest is None else latest.value
    found = _values(entity, ordering.kind, key)
    return found[0] if found else None


def _of_info(run: Run, key: str) -> Any:
    if key == "duration":
        end = run.info.end_time
        return None if end is None else end - run.info.start_time
    if key == "dataset_name":
        return min((each.dataset.name for each in run.inputs.dataset_inputs), default=None)
    return getattr(run.info, key)
