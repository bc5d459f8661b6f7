"""The conditions of a filter as SQL."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    FromClause,
    String,
    and_,
    case,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from skledger.stores import tables
from skledger.stores.checks import MODEL_STATUS_NAMES
from skledger.stores.sql_numbers import encode_model_number, encode_number
from skledger.tracking.filters import Comparison, duration_milliseconds

__all__ = [
    "EXPERIMENT_COLUMNS",
    "MODEL_COLUMNS",
    "NAN_OF_MODEL",
    "RUN_COLUMNS",
    "Like",
    "compare",
    "experiment_condition",
    "held",
    "leads_to_runs",
    "model_condition",
    "on_datasets",
    "run_condition",
]

#: Takes a column, a pattern and whether case counts.
Like = Callable[[ColumnElement[Any], str, bool], ColumnElement[bool]]

#: Attributes by the names of the grammar.
RUN_COLUMNS = {
    "run_id": tables.runs.c.run_uuid,
    "run_name": tables.runs.c.name,
    "status": tables.runs.c.status,
    "start_time": tables.runs.c.start_time,
    "end_time": tables.runs.c.end_time,
    "user_id": tables.runs.c.user_id,
    "artifact_uri": tables.runs.c.artifact_uri,
}
EXPERIMENT_COLUMNS = {
    name: tables.experiments.c[name]
    for name in ("experiment_id", "name", "creation_time", "last_update_time")
}
_models = tables.logged_models.c
MODEL_COLUMNS: dict[str, ColumnElement[Any]] = {
    "model_id": _models.model_id,
    "name": _models.name,
    "model_type": _models.model_type,
    "status": _models.status,
    "source_run_id": _models.source_run_id,
    "experiment_id": _models.experiment_id,
    "artifact_location": _models.artifact_location,
    "creation_timestamp": _models.creation_timestamp_ms,
    "last_updated_timestamp": _models.last_updated_timestamp_ms,
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: How the metrics of logged models hold NaN.
NAN_OF_MODEL = encode_model_number(math.nan)
_NAME_TAG = "mlflow.runName"
_PARENT_TAG = "mlflow.parentRunId"
_CONTEXT_TAG = "mlflow.data.context"


class _exactly(FunctionElement[str]):  # noqa: N801 - it is used as a function
    """A text that is compared letter by letter, also where a database would ignore case."""

    inherit_cache = True
    type = String()


@compiles(_exactly)
def _as_it_is(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(_exactly, "mysql")
@compiles(_exactly, "mariadb")
def _as_bytes(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS BINARY)"


# Runs


def run_condition(each: Comparison, like: Like) -> ColumnElement[bool]:
    """Return a condition on the rows of `runs`."""
    run_id = tables.runs.c.run_uuid
    if each.kind == "attribute" and each.key == "duration":
        return _duration_condition(each, like)
    if each.kind == "attribute":
        return compare(_run_attribute(each.key), each, like)
    if each.kind == "dataset":
        return _dataset_condition(each, like)
    if leads_to_runs(each) and each.kind == "tag":
        return _has_parent(each, like)
    table = {
        "metric": tables.latest_metrics,
        "param": tables.params,
        "tag": tables.tags,
    }[each.kind].alias()
    here = [table.c.run_uuid == run_id, table.c.key == each.key]
    if each.kind == "metric":
        return held(here, each, lambda: _metric_condition(table.c, each))
    return held(here, each, lambda: compare(table.c.value, each, like))


def leads_to_runs(each: Comparison) -> bool:
    """Whether an index leads from the value to the few runs that have it."""
    named = each.kind == "attribute" and each.key == "run_id"
    below = each.kind == "tag" and each.key == _PARENT_TAG
    return (named or below) and each.operator in ("=", "IN")


def _run_attribute(key: str) -> ColumnElement[Any]:
    if key != "run_name":
        return RUN_COLUMNS[key]
    # As MLflow: the tag is the name. Only a run without the tag has none but its column's.
    tag = tables.tags.alias()
    named = select(tag.c.value).where(
        tag.c.run_uuid == tables.runs.c.run_uuid, tag.c.key == _NAME_TAG
    )
    return func.coalesce(named.scalar_subquery(), tables.runs.c.name, type_=String())


def _duration_condition(each: Comparison, like: Like) -> ColumnElement[bool]:
    """Compare how long runs took; of those that go on it is nothing."""
    runs = tables.runs.c
    lasted = type_coerce(runs.end_time - runs.start_time, Float())
    value = each.value if each.value is None else duration_milliseconds(_float(each))
    return compare(lasted, Comparison(each.kind, each.key, each.operator, value), like)


def _has_parent(each: Comparison, like: Like) -> ColumnElement[bool]:
    """Select children from the side of the parent: a partial index on that tag leads to them."""
    tag = tables.tags.alias()
    # The key is written out, as no planner uses the index for a value it does not see.
    here = tag.c.key == literal_column(f"'{_PARENT_TAG}'")
    children = select(tag.c.run_uuid).where(here, compare(tag.c.value, each, like))
    return tables.runs.c.run_uuid.in_(children)


def _metric_condition(columns: Any, each: Comparison) -> ColumnElement[bool]:
    """Compare as floats do: NaN differs from everything and compares with nothing."""
    compared = _operate(columns.value, each.operator, encode_number(_float(each))[0])
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
        here += [tag.c.input_uuid == link.c.input_uuid, tag.c.name == _CONTEXT_TAG]
        column: ColumnElement[Any] = tag.c.value
    else:
        here.append(dataset.c.dataset_uuid == link.c.source_id)
        column = dataset.c[each.key]
    return exists().where(*here, compare(column, each, like))


# Experiments


def experiment_condition(each: Comparison, like: Like) -> ColumnElement[bool]:
    """Return a condition on the rows of `experiments`."""
    if each.kind == "attribute":
        if each.key == "experiment_id":
            return compare(EXPERIMENT_COLUMNS[each.key], _with_numbers(each), like)
        return compare(EXPERIMENT_COLUMNS[each.key], each, like)
    table = tables.experiment_tags.alias()
    here = [
        table.c.experiment_id == tables.experiments.c.experiment_id,
        table.c.key == each.key,
    ]
    return held(here, each, lambda: compare(table.c.value, each, like))


# Logged models


def model_condition(
    each: Comparison, like: Like, datasets: Sequence[tuple[str, str]]
) -> ColumnElement[bool]:
    """Return a condition on the rows of `logged_models`; metrics count on these data sets."""
    if each.kind == "attribute":
        column = MODEL_COLUMNS[each.key]
        if each.key == "experiment_id":
            return compare(column, _with_numbers(each), like)
        if each.key == "status":
            column = case(MODEL_STATUS_NAMES, value=column, else_=MODEL_STATUS_NAMES[0])
        return compare(column, each, like)
    model_id = tables.logged_models.c.model_id
    if each.kind == "metric":
        metric = tables.logged_model_metrics.alias()
        here = [metric.c.model_id == model_id, metric.c.metric_name == each.key]
        if datasets:
            here.append(on_datasets(metric, datasets))
        return held(here, each, lambda: _model_metric_condition(metric.c.metric_value, each))
    of_kind = {"param": tables.logged_model_params, "tag": tables.logged_model_tags}
    table = of_kind[each.kind].alias()
    here = [table.c.model_id == model_id, table.c[f"{each.kind}_key"] == each.key]
    return held(here, each, lambda: compare(table.c[f"{each.kind}_value"], each, like))


def on_datasets(metric: FromClause, datasets: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    """Return the condition that a metric is one of these data sets, by name and maybe digest."""
    return or_(
        *(
            and_(metric.c.dataset_name == name, metric.c.dataset_digest == digest)
            if digest
            else metric.c.dataset_name == name
            for name, digest in datasets
        )
    )


def _model_metric_condition(column: ColumnElement[Any], each: Comparison) -> ColumnElement[bool]:
    compared = _operate(column, each.operator, encode_model_number(_float(each)))
    if each.operator == "!=":
        return or_(column.is_(None), compared)
    return and_(column != NAN_OF_MODEL, compared)


# What they share


def held(
    here: Sequence[ColumnElement[bool]],
    each: Comparison,
    compared: Callable[[], ColumnElement[bool]],
) -> ColumnElement[bool]:
    """Return the condition that there is a row, and that its value compares."""
    if each.operator == "IS NULL":
        return not_(exists().where(*here))
    if each.operator == "IS NOT NULL":
        return exists().where(*here)
    return exists().where(*here, compared())


def _float(each: Comparison) -> float:
    assert isinstance(each.value, int | float)
    return float(each.value)


def _with_numbers(each: Comparison) -> Comparison:
    """Return a comparison of identifiers as one of the numbers they are."""
    value: Any = each.value
    if isinstance(value, tuple):
        value = tuple(_number(text) for text in value)
    elif value is not None:
        value = _number(value)
    return Comparison(each.kind, each.key, each.operator, value)


def _number(text: str) -> int:
    """Return the number of an identifier; what is none belongs to nothing."""
    fits = text.isascii() and text.isdecimal() and len(text) <= 18
    return int(text) if fits else -1


def compare(column: ColumnElement[Any], each: Comparison, like: Like) -> ColumnElement[bool]:
    """Return the comparison of a column with a value."""
    value: Any = each.value
    plain: dict[str, Callable[[], ColumnElement[bool]]] = {
        "IS NULL": lambda: column.is_(None),
        "IS NOT NULL": lambda: column.is_not(None),
        "IN": lambda: _exact(column).in_(value),
        "NOT IN": lambda: _exact(column).not_in(value),
        "LIKE": lambda: like(column, value, True),
        "NOT LIKE": lambda: not_(like(column, value, True)),
        "ILIKE": lambda: like(column, value, False),
        "NOT ILIKE": lambda: not_(like(column, value, False)),
    }
    if each.operator in plain:
        return plain[each.operator]()
    return _operate(_exact(column), each.operator, value)


def _exact(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Let case count in a text; identifiers stay as they are, for the sake of their index."""
    if column is RUN_COLUMNS["run_id"] or not isinstance(column.type, String):
        return column
    return _exactly(column)


def _operate(column: ColumnElement[Any], operation: str, value: Any) -> ColumnElement[bool]:
    compared: ColumnElement[bool] = _OPERATORS[operation](column, value)
    return compared
