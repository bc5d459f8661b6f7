"""Reading the rows of runs, the history of metrics, and models."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, bindparam, select
from sqlalchemy.exc import DBAPIError

from skledger.errors import NotFoundError
from skledger.stores import tables
from skledger.stores.checks import MODEL_STATUS_NAMES
from skledger.stores.sql_numbers import decode_model_number, decode_number
from skledger.stores.sql_rows import in_chunks
from skledger.stores.thinning import kept_places
from skledger.tracking.entities import (
    LifecycleStage,
    LoggedModel,
    Metric,
    RunInfo,
)

__all__ = [
    "INFO_COLUMNS",
    "find_models_of_run",
    "load_metric_history",
    "load_metric_page",
    "load_models",
    "load_thinned_history",
    "run_info",
]

_runs = tables.runs.c
_GREATEST = sys.float_info.max

#: The columns that `run_info` reads, in its order.
INFO_COLUMNS: tuple[ColumnElement[Any], ...] = (
    _runs.run_uuid,
    _runs.experiment_id,
    _runs.name,
    _runs.user_id,
    _runs.status,
    _runs.start_time,
    _runs.end_time,
    _runs.lifecycle_stage,
    _runs.artifact_uri,
)


def run_info(row: Sequence[Any]) -> RunInfo:
    """Return the row of a run as an entity."""
    run_id, experiment_id, name, user, status, start, end, stage, uri = row
    return RunInfo(
        run_id,
        str(experiment_id),
        name or "",
        user or "",
        status,
        start or 0,
        end,
        stage,
        uri or "",
    )


def load_metric_history(connection: Connection, run_id: str, key: str) -> list[Metric]:
    """Return every value of a metric, in the order of step and time."""
    rows = connection.execute(_HISTORY, {"run": run_id, "key": key})
    return [
        Metric(key, decode_number(value, is_nan), timestamp, step)
        for value, is_nan, timestamp, step in rows
    ]


def load_metric_page(
    connection: Connection, run_id: str, key: str, limit: int, offset: int
) -> list[Metric]:
    """Return some of the values of a metric, in the order of step and time."""
    query = _HISTORY.limit(limit).offset(offset)
    rows = connection.execute(query, {"run": run_id, "key": key})
    return [
        Metric(key, decode_number(value, is_nan), timestamp, step)
        for value, is_nan, timestamp, step in rows
    ]


def load_thinned_history(
    connection: Connection, run_id: str, key: str, most: int
) -> tuple[int, list[Metric]]:
    """Return how many values a metric has, and at most so many of them that show its curve."""
    rows = _plain_rows(connection, _HISTORY, {"run": run_id, "key": key})
    numbers = [
        value if not is_nan and -_GREATEST < value < _GREATEST else decode_number(value, is_nan)
        for value, is_nan, _, _ in rows
    ]
    return len(rows), [
        Metric(key, numbers[at], rows[at][2], rows[at][3]) for at in kept_places(numbers, most)
    ]


def load_models(connection: Connection, model_ids: Sequence[str]) -> list[LoggedModel]:
    """Return the logged models that exist, in the order they were made."""
    models: dict[str, LoggedModel] = {}
    metrics: dict[str, list[Metric]] = {}
    for chunk in in_chunks(model_ids):
        for row in _rows(connection, _MODELS, chunk):
            models[row[0]] = _model(row)
        for model_id, key, text in _rows(connection, _MODEL_PARAMS, chunk):
            models[model_id].params[key] = text
        for model_id, key, text in _rows(connection, _MODEL_TAGS, chunk):
            models[model_id].tags[key] = text
        for row in _rows(connection, _MODEL_METRICS, chunk):
            metrics.setdefault(row[0], []).append(_model_metric(*row))
    for model_id, found in metrics.items():
        # The entity is frozen for its readers; this one is not handed out yet.
        object.__setattr__(models[model_id], "metrics", tuple(found))
    return sorted(models.values(), key=lambda model: model.creation_timestamp)


def _model_metric(
    model_id: str,
    key: str,
    value: float | None,
    timestamp: int,
    step: int,
    run_id: str,
    dataset_name: str | None,
    dataset_digest: str | None,
) -> Metric:
    number = decode_model_number(value)
    return Metric(key, number, timestamp, step, model_id, dataset_name, dataset_digest, run_id)


def find_models_of_run(connection: Connection, run_id: str) -> list[str]:
    """Return the identifiers of the models a run made.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    linked = list(connection.scalars(_LINKED_MODELS, {"run": run_id}))
    if linked:
        return linked
    # A model that MLflow only initialised names its run, but the run does not link it yet.
    named = list(connection.scalars(_NAMED_MODELS, {"run": run_id}))
    if not named and connection.scalar(_RUN_EXISTS, {"run": run_id}) is None:
        raise NotFoundError(f"there is no run {run_id!r}: check its identifier")
    return named


def _rows(connection: Connection, query: Select[Any], ids: Sequence[str]) -> Iterable[Any]:
    return connection.execute(query, {"ids": ids}).fetchall()


def _plain_rows(
    connection: Connection, query: Select[Any], values: Mapping[str, str]
) -> Sequence[Any]:
    """Return rows as the driver has them: SQLAlchemy's own cost more than reading them."""
    result = connection.execute(query, values)
    cursor: Any = result.cursor
    driver_error = connection.dialect.loaded_dbapi.Error
    try:
        rows: Sequence[Any] = cursor.fetchall()
    except driver_error as error:
        # As SQLAlchemy would, had it fetched.
        raise DBAPIError.instance(
            str(query), None, error, driver_error, dialect=connection.dialect
        ) from error
    finally:
        result.close()
    return rows


def _model(row: Sequence[Any]) -> LoggedModel:
    model_id, experiment_id, name, location, created, updated, status, kind, run_id = row
    return LoggedModel(
        model_id=model_id,
        experiment_id=str(experiment_id),
        name=name,
        artifact_location=location,
        creation_timestamp=created,
        last_updated_timestamp=updated,
        source_run_id=run_id,
        status=MODEL_STATUS_NAMES.get(status, "UNSPECIFIED"),
        model_type=kind or "",
    )


_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_metrics, _inputs = tables.metrics.c, tables.inputs.c
_models, _model_metrics = tables.logged_models.c, tables.logged_model_metrics.c
_model_params, _model_tags = tables.logged_model_params.c, tables.logged_model_tags.c

_HISTORY = (
    select(_metrics.value, _metrics.is_nan, _metrics.timestamp, _metrics.step)
    .where(_metrics.run_uuid == bindparam("run"), _metrics.key == bindparam("key"))
    .order_by(_metrics.step, _metrics.timestamp, _metrics.value)
)
_OF_MODEL = (_inputs.source_type == "RUN_OUTPUT", _inputs.destination_type == "MODEL_OUTPUT")
_LINKED_MODELS = select(_inputs.destination_id).where(
    *_OF_MODEL, _inputs.source_id == bindparam("run")
)
_NAMED_MODELS = select(_models.model_id).where(_models.source_run_id == bindparam("run"))
_RUN_EXISTS = select(_runs.run_uuid).where(_runs.run_uuid == bindparam("run"))
_MODELS = (
    select(
        _models.model_id,
        _models.experiment_id,
        _models.name,
        _models.artifact_location,
        _models.creation_timestamp_ms,
        _models.last_updated_timestamp_ms,
        _models.status,
        _models.model_type,
        _models.source_run_id,
    )
    .where(_models.model_id.in_(_IDS), _models.lifecycle_stage != LifecycleStage.DELETED)
    .order_by(_models.creation_timestamp_ms)
)


def _of_live_model(query: Select[Any], model_id: ColumnElement[str]) -> Select[Any]:
    return query.join(tables.logged_models, _models.model_id == model_id).where(
        model_id.in_(_IDS), _models.lifecycle_stage != LifecycleStage.DELETED
    )


_MODEL_PARAMS = _of_live_model(
    select(_model_params.model_id, _model_params.param_key, _model_params.param_value),
    _model_params.model_id,
)
_MODEL_TAGS = _of_live_model(
    select(_model_tags.model_id, _model_tags.tag_key, _model_tags.tag_value), _model_tags.model_id
)
_MODEL_METRICS = _of_live_model(
    select(
        _model_metrics.model_id,
        _model_metrics.metric_name,
        _model_metrics.metric_value,
        _model_metrics.metric_timestamp_ms,
        _model_metrics.metric_step,
        _model_metrics.run_id,
        _model_metrics.dataset_name,
        _model_metrics.dataset_digest,
    ),
    _model_metrics.model_id,
)
