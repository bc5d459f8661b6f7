"""Filters and orders in Python, with the answers that SQL gives."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from functools import cache, cmp_to_key
from typing import Any

from skledger.tracking.entities import Experiment, Run
from skledger.tracking.filters import Comparison, Ordering

__all__ = ["matches", "sort"]

Entity = Run | Experiment

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


def sort(entities: list[Any], orderings: Sequence[Ordering]) -> list[Any]:
    """Return the entities in order; what ties keeps its place."""

    def compare(left: Entity, right: Entity) -> int:
        for each in orderings:
            first, second = _rank(left, each), _rank(right, each)
            if first[0] != second[0]:
                return first[0] - second[0]
            if first[1] != second[1]:
                return -1 if (first[1] < second[1]) == each.ascending else 1
        return 0

    return sorted(entities, key=cmp_to_key(compare)) if orderings else entities


def _values(entity: Entity, kind: str, key: str) -> list[Any]:
    """Return what the entity has under a key: nothing, one value, or one per data set."""
    if isinstance(entity, Experiment):
        found: Any = entity.tags.get(key) if kind == "tag" else getattr(entity, key)
    elif kind == "attribute":
        found = getattr(entity.info, key)
    elif kind == "dataset":
        items = entity.inputs.dataset_inputs
        if key == "context":
            return [t.value for item in items for t in item.tags if t.key == "mlflow.data.context"]
        return [getattr(item.dataset, key) for item in items]
    else:
        holders: dict[str, Any] = {
            "metric": entity.data.metrics,
            "param": entity.data.params,
            "tag": entity.data.tags,
        }
        found = holders[kind].get(key)
    return [] if found is None else [found]


def _holds(entity: Entity, each: Comparison) -> bool:
    found = _values(entity, each.kind, each.key)
    if each.operator == "IS NULL":
        return not found
    if each.operator == "IS NOT NULL":
        return bool(found)
    return any(_compare(value, each.operator, each.value) for value in found)


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


def _rank(entity: Entity, ordering: Ordering) -> tuple[int, Any]:
    """Return the group (values, NaN, nothing: in both directions) and the value in it."""
    found = _values(entity, ordering.kind, ordering.key)
    if not found:
        return 2, 0
    value = found[0]
    if isinstance(value, float) and math.isnan(value):
        return 1, 0
    if isinstance(entity, Experiment) and ordering.key == "experiment_id":
        return 0, int(value)
    return 0, value
