"""Filters and orders as SQL."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    exists,
    func,
    not_,
    or_,
    select,
)

from skledger.errors import InvalidParameterError
from skledger.stores import tables
from skledger.stores.checks import check_view_type
from skledger.stores.sql_numbers import encode_number
from skledger.stores.sql_reading import INFO_COLUMNS
from skledger.tracking.filters import Comparison, Ordering

__all__ = ["Like", "select_counts", "select_experiments", "select_runs"]

#: Takes a column, a pattern and whether case counts.
Like = Callable[[ColumnElement[Any], str, bool], ColumnElement[bool]]

_RUN_COLUMNS = {
    "run_id": tables.runs.c.run_uuid,
    "run_name": tables.runs.c.name,
    "status": tables.runs.c.status,
    "start_time": tables.runs.c.start_time,
    "end_time": tables.runs.c.end_time,
    "user_id": tables.runs.c.user_id,
    "artifact_uri": tables.runs.c.artifact_uri,
}
_EXPERIMENT_COLUMNS = {
    "experiment_id": tables.experiments.c.experiment_id,
    "name": tables.experiments.c.name,
    "creation_time": tables.experiments.c.creation_time,
    "last_update_time": tables.experiments.c.last_update_time,
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def select_runs(
    experiment_ids: Sequence[int],
    view_type: int,
    conditions: Sequence[Comparison],
    orderings: Sequence[Ordering],
    like: Like,
) -> Select[Any]:
    """Return the query for the rows of the runs that match, in order, without limits."""
    runs = tables.runs
    query = select(*INFO_COLUMNS).where(
        runs.c.experiment_id.in_(experiment_ids),
        runs.c.lifecycle_stage.in_(check_view_type(view_type)),
        *(_run_condition(each, like) for each in conditions),
    )
    source: FromClause = runs
    order: list[ColumnElement[Any]] = []
    for ordering in orderings:
        source, keys = _run_order(source, ordering)
        order += keys
    return query.select_from(source).order_by(
        *order, runs.c.start_time.desc(), runs.c.run_uuid.asc()
    )


def select_counts(
    experiment_ids: Sequence[int],
    view_type: int,
    conditions: Sequence[Comparison],
    tag: str,
    like: Like,
) -> Select[Any]:
    """Return the query that counts the runs that match, by the value of a tag and by status."""
    runs, noted = tables.runs, tables.tags.alias()
    here = and_(noted.c.run_uuid == runs.c.run_uuid, noted.c.key == tag)
    keys = noted.c.value, runs.c.status
    query = select_runs(experiment_ids, view_type, conditions, (), like)
    return (
        query.with_only_columns(*keys, func.count())
        .select_from(runs.outerjoin(noted, here))
        .order_by(None)
        .group_by(*keys)
    )


def select_experiments(
    view_type: int,
    conditions: Sequence[Comparison],
    orderings: Sequence[Ordering],
    like: Like,
) -> Select[Any]:
    """Return the query for the experiments that match, in order, without limits."""
    table = tables.experiments.c
    query = select(
        table.experiment_id,
        table.name,
        table.artifact_location,
        table.lifecycle_stage,
        table.creation_time,
        table.last_update_time,
    ).where(
        table.lifecycle_stage.in_(check_view_type(view_type)),
        *(_experiment_condition(each, like) for each in conditions),
    )
    order: list[ColumnElement[Any]] = []
    for each in orderings:
        order += _last_when_null(_EXPERIMENT_COLUMNS[each.key], each.ascending)
    if not order:
        order = [table.creation_time.desc()]
    return query.order_by(*order, table.experiment_id.desc())


def _run_condition(each: Comparison, like: Like) -> ColumnElement[bool]:
    run_id = tables.runs.c.run_uuid
    if each.kind == "attribute":
        return _compare(_RUN_COLUMNS[each.key], each.operator, each.value, like)
    if each.kind == "dataset":
        return _dataset_condition(each, like)
    table = {
        "metric": tables.latest_metrics,
        "param": tables.params,
        "tag": tables.tags,
    }[each.kind].alias()
    here: list[ColumnElement[bool]] = [table.c.run_uuid == run_id, table.c.key == each.key]
    if each.operator in ("IS NULL", "IS NOT NULL"):
        held = exists().where(*here)
        return not_(held) if each.operator == "IS NULL" else held
    if each.kind == "metric":
        here.append(_metric_condition(table.c, each))
    else:
        here.append(_compare(table.c.value, each.operator, each.value, like))
    return exists().where(*here)


def _metric_condition(columns: Any, each: Comparison) -> ColumnElement[bool]:
    """Compare as floats do: NaN differs from everything and compares with nothing."""
    value = each.value
    assert isinstance(value, int | float)
    number = encode_number(value)[0] if isinstance(value, float) else value
    compared = _operate(columns.value, each.operator, number)
    if each.operator == "!=":
        return or_(columns.is_nan.is_(True), compared)
    return and_(columns.is_nan.is_(False), compared)


def _dataset_condition(each: Comparison, like: Like) -> ColumnElement[bool]:
    link, dataset, tag = (
        table.alias() for table in (tables.inputs, tables.datasets, tables.input_tags)
    )
    here = [
        link.c.destination_type == "RUN",
        link.c.destination_id == tables.runs.c.run_uuid,
        link.c.source_type == "DATASET",
    ]
    if each.key == "context":
        here += [tag.c.input_uuid == link.c.input_uuid, tag.c.name == "mlflow.data.context"]
        column: ColumnElement[Any] = tag.c.value
    else:
        here.append(dataset.c.dataset_uuid == link.c.source_id)
        column = dataset.c[each.key]
    return exists().where(*here, _compare(column, each.operator, each.value, like))


def _experiment_condition(each: Comparison, like: Like) -> ColumnElement[bool]:
    if each.kind == "attribute":
        column: ColumnElement[Any] = _EXPERIMENT_COLUMNS[each.key]
        value = each.value
        if each.key == "experiment_id":
            if "LIKE" in each.operator:
                raise InvalidParameterError("an experiment_id is compared with =, != or IN")
            texts = value if isinstance(value, tuple) else (value,)
            # What is no number is the identifier of no experiment.
            numbers = [int(text) if str(text).isdecimal() else -1 for text in texts if text]
            if isinstance(value, tuple):
                return column.not_in(numbers) if "NOT" in each.operator else column.in_(numbers)
            if value is not None:
                return _operate(column, each.operator, numbers[0] if numbers else -1)
        return _compare(column, each.operator, value, like)
    table = tables.experiment_tags.alias()
    here = [
        table.c.experiment_id == tables.experiments.c.experiment_id,
        table.c.key == each.key,
    ]
    if each.operator in ("IS NULL", "IS NOT NULL"):
        held = exists().where(*here)
        return not_(held) if each.operator == "IS NULL" else held
    return exists().where(*here, _compare(table.c.value, each.operator, each.value, like))


def _compare(
    column: ColumnElement[Any], operation: str, value: Any, like: Like
) -> ColumnElement[bool]:
    plain: dict[str, Callable[[], ColumnElement[bool]]] = {
        "IS NULL": lambda: column.is_(None),
        "IS NOT NULL": lambda: column.is_not(None),
        "IN": lambda: column.in_(value),
        "NOT IN": lambda: column.not_in(value),
        "LIKE": lambda: like(column, value, True),
        "NOT LIKE": lambda: not_(like(column, value, True)),
        "ILIKE": lambda: like(column, value, False),
        "NOT ILIKE": lambda: not_(like(column, value, False)),
    }
    if operation in plain:
        return plain[operation]()
    return _operate(column, operation, value)


def _operate(column: ColumnElement[Any], operation: str, value: Any) -> ColumnElement[bool]:
    compared: ColumnElement[bool] = _OPERATORS[operation](column, value)
    return compared


def _run_order(
    source: FromClause, ordering: Ordering
) -> tuple[FromClause, list[ColumnElement[Any]]]:
    """Return what to join for an order, and what to order by."""
    if ordering.kind == "attribute":
        return source, _last_when_null(_RUN_COLUMNS[ordering.key], ordering.ascending)
    table = {
        "metric": tables.latest_metrics,
        "param": tables.params,
        "tag": tables.tags,
    }[ordering.kind].alias()
    joined = source.outerjoin(
        table,
        and_(table.c.run_uuid == tables.runs.c.run_uuid, table.c.key == ordering.key),
    )
    value = table.c.value
    if ordering.kind != "metric":
        return joined, _last_when_null(value, ordering.ascending)
    # Numbers, then NaN, then what has no value, in both directions.
    group = case((value.is_(None), 2), (table.c.is_nan.is_(True), 1), else_=0)
    return joined, [group, value if ordering.ascending else value.desc()]


def _last_when_null(column: ColumnElement[Any], ascending: bool) -> list[ColumnElement[Any]]:
    missing = case((column.is_(None), 1), else_=0)
    return [missing, column.asc() if ascending else column.desc()]
