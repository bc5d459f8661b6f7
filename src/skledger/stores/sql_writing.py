"""Writing many changes as a handful of statements.

A run that is created here cannot conflict with anything, so it costs inserts only, each sent once
with the rows of all changes. Only runs that exist already are looked at first. Nothing here is of
one database's dialect: what another one writes as an "upsert" is a delete and an insert.
"""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, Select, bindparam, func, select
from sqlalchemy.exc import DBAPIError

from skledger.errors import NotFoundError, ParamConflictError
from skledger.stores import tables
from skledger.stores.checks import MODEL_STATUS
from skledger.stores.sql_numbers import encode_model_number, encode_number
from skledger.stores.sql_statements import statements
from skledger.tracking.entities import (
    Dataset,
    LifecycleStage,
    LoggedModel,
    Metric,
    RunChange,
    RunInfo,
)

__all__ = ["in_chunks", "write_changes"]

#: Rows that one INSERT takes. Each statement gives other threads a turn, and waits for its own; the
#: longest row has ten values, and old SQLite takes 999.
INSERTED = (64, 8)
#: How many identifiers one statement names; old SQLite takes 999 at most.
CHUNK = 500
RUN_NAME_TAG = "mlflow.runName"

Row = tuple[Any, ...]

_SOME_RUNS: BindParameter[str] = bindparam("runs", expanding=True)
_SOME_KEYS: BindParameter[str] = bindparam("keys", expanding=True)
_runs, _params, _latest = tables.runs.c, tables.params.c, tables.latest_metrics.c
# On databases with many writers the row's lock keeps two changes of a run apart.
_FIND_RUNS = (
    select(_runs.run_uuid, _runs.experiment_id)
    .where(_runs.run_uuid.in_(_SOME_RUNS))
    .with_for_update()
)
_FIND_PARAMS = select(_params.run_uuid, _params.key, _params.value).where(
    _params.run_uuid.in_(_SOME_RUNS), _params.key.in_(_SOME_KEYS)
)
_FIND_LATEST = select(
    _latest.run_uuid,
    _latest.key,
    _latest.step,
    func.coalesce(_latest.timestamp, 0),
    _latest.value,
    _latest.is_nan,
).where(_latest.run_uuid.in_(_SOME_RUNS), _latest.key.in_(_SOME_KEYS))


def in_chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    """Cut a sequence so that each piece fits one statement."""
    return (items[at : at + CHUNK] for at in range(0, len(items), CHUNK))


@dataclass(slots=True)
class _RunBatch:
    """What all the changes of one run come to."""

    run_id: str
    create: RunInfo | None = None
    experiment_id: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str | None] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    latest: dict[str, Row] = field(default_factory=dict)


class _Rows(dict[str, list[Row]]):
    """The rows to send, by the name of their statement, in the order of `_STATEMENTS`."""

    def __missing__(self, name: str) -> list[Row]:
        rows: list[Row] = []
        self[name] = rows
        return rows


def write_changes(connection: Connection, changes: Sequence[RunChange]) -> None:
    """Write the changes; the caller commits, and has checked them.

    Raises
    ------
    NotFoundError, ParamConflictError
        After which the caller rolls back.
    sqlalchemy.exc.IntegrityError
        When a run or model that is created exists, or its experiment does not.
    """
    batches: dict[str, _RunBatch] = {}
    for change in changes:
        _gather(batches.setdefault(change.run_id, _RunBatch(change.run_id)), change)
    existing = {each.run_id: each for each in batches.values() if each.create is None}
    rows = _Rows()
    if existing:
        _look_up(connection, existing)
    for batch in batches.values():
        if batch.create is None:
            _rows_of_existing(rows, batch)
        else:
            _rows_of_new(rows, batch)
    models: dict[str, tuple[str, LoggedModel]] = {}
    for change in changes:
        for model_id in change.deleted_models:
            models.pop(model_id, None)
            _rows_of_deleted_model(rows, model_id)
        for model in change.models:
            models[model.model_id] = (change.run_id, model)
    for run_id, model in models.values():
        _rows_of_model(rows, run_id, batches[run_id].experiment_id, model)
    _add_inputs(connection, rows, batches, changes)
    _send(connection, rows)


def _gather(batch: _RunBatch, change: RunChange) -> None:
    if change.create is not None:
        batch.create = change.create
        batch.experiment_id = int(change.create.experiment_id)
    for name in ("status", "end_time", "lifecycle_stage"):
        value = getattr(change, name)
        if value is not None:
            batch.fields[name] = value
    for key in change.deleted_tags:
        batch.tags[key] = None
    for tag in change.tags:
        batch.tags[tag.key] = tag.value
    if change.run_name is not None:
        batch.fields["run_name"] = change.run_name
        batch.tags[RUN_NAME_TAG] = change.run_name
    for param in change.params:
        _add_param(batch.params, change.run_id, param.key, param.value)
    if change.metrics:
        batch.metrics.extend(change.metrics)


def _add_param(known: dict[str, str], run_id: str, key: str, value: str) -> None:
    old = known.setdefault(key, value)
    if old != value:
        raise ParamConflictError(
            f"param {key!r} of run {run_id} is {old!r} and cannot become {value!r}: a param never "
            "changes; book it under another key or in another run"
        )


def _look_up(connection: Connection, existing: dict[str, _RunBatch]) -> None:
    """Find what exists of the runs: their experiment, params and the latest metrics."""
    known = set()
    for chunk in in_chunks(list(existing)):
        for run_id, experiment_id in connection.execute(_FIND_RUNS, {"runs": chunk}):
            existing[run_id].experiment_id = experiment_id
            known.add(run_id)
    if len(known) < len(existing):
        missing = min(set(existing) - known)
        raise NotFoundError(
            f"there is no run {missing!r}: create it first, or check its identifier"
        )
    with_params = {run_id: batch.params for run_id, batch in existing.items() if batch.params}
    for run_id, key, old in _rows_by_key(connection, _FIND_PARAMS, with_params):
        params = existing[run_id].params
        if key in params:
            # The same value again is fine and needs no row; another one is a conflict.
            _add_param({key: old}, run_id, key, params.pop(key))
    with_metrics = {
        run_id: {metric.key: None for metric in batch.metrics}
        for run_id, batch in existing.items()
        if batch.metrics
    }
    for run_id, key, *rank in _rows_by_key(connection, _FIND_LATEST, with_metrics):
        existing[run_id].latest[key] = tuple(rank)


def _rows_by_key(
    connection: Connection, query: Select[Any], keys_of: Mapping[str, Mapping[str, Any]]
) -> Iterator[Row]:
    """Yield the rows of some keys of some runs (and of more keys than were asked for)."""
    for chunk in in_chunks(list(keys_of)):
        keys = list(dict.fromkeys(key for run_id in chunk for key in keys_of[run_id]))
        for some_keys in in_chunks(keys):
            found = connection.execute(query, {"runs": chunk, "keys": some_keys})
            yield from (tuple(row) for row in found)


def _rows_of_new(rows: _Rows, batch: _RunBatch) -> None:
    info = batch.create
    assert info is not None
    fields = batch.fields
    run_id = batch.run_id
    stage = fields.get("lifecycle_stage", info.lifecycle_stage)
    rows["run"].append(
        (
            run_id,
            fields.get("run_name", info.run_name),
            info.user_id,
            fields.get("status", info.status),
            info.start_time,
            fields.get("end_time", info.end_time),
            stage,
            info.artifact_uri,
            batch.experiment_id,
            _deleted_time(stage),
        )
    )
    rows["param"].extend([(run_id, key, value) for key, value in batch.params.items()])
    rows["tag"].extend(
        [(run_id, key, value) for key, value in batch.tags.items() if value is not None]
    )
    _rows_of_metrics(rows, batch)


def _rows_of_existing(rows: _Rows, batch: _RunBatch) -> None:
    fields = batch.fields
    run_id = batch.run_id
    if fields.keys() - {"lifecycle_stage"}:
        rows["update run"].append(
            (fields.get("status"), fields.get("end_time"), fields.get("run_name"), run_id)
        )
    if "lifecycle_stage" in fields:
        stage = fields["lifecycle_stage"]
        rows["stage run"].append((stage, _deleted_time(stage), run_id))
    rows["param"].extend([(run_id, key, value) for key, value in batch.params.items()])
    rows["delete tag"].extend([(run_id, key) for key in batch.tags])
    rows["tag"].extend(
        [(run_id, key, value) for key, value in batch.tags.items() if value is not None]
    )
    _rows_of_metrics(rows, batch)


def _rows_of_metrics(rows: _Rows, batch: _RunBatch) -> None:
    """Append the history, and one row per key whose latest value changes."""
    if not batch.metrics:
        return
    run_id, latest = batch.run_id, batch.latest
    changed: dict[str, None] = {}
    history: dict[Row, None] = {}
    # A key that is new to the run has no rows that would be in the way.
    known = set(latest)
    for metric in batch.metrics:
        key = metric.key
        value, is_nan = encode_number(metric.value)
        history[(run_id, key, value, metric.timestamp, metric.step, is_nan)] = None
        # MLflow's rule: the greatest step, then the latest time, then the greatest value.
        rank = (metric.step, metric.timestamp, value)
        if key not in latest or rank > latest[key][:3]:
            latest[key] = (*rank, is_nan)
            changed[key] = None
    if known:
        rows["delete metric"].extend(row for row in history if row[1] in known)
        rows["delete latest"].extend([(run_id, key) for key in changed if key in known])
    rows["metric"].extend(history)
    for key in changed:
        step, timestamp, value, is_nan = latest[key]
        rows["latest"].append((run_id, key, value, timestamp, step, is_nan))


def _rows_of_model(rows: _Rows, run_id: str, experiment_id: int, model: LoggedModel) -> None:
    model_id = model.model_id
    rows["model"].append(
        (
            model_id,
            experiment_id,
            model.name,
            model.artifact_location,
            model.creation_timestamp,
            model.last_updated_timestamp,
            MODEL_STATUS[model.status],
            LifecycleStage.ACTIVE,
            model.model_type or None,
            model.source_run_id or run_id,
        )
    )
    rows["model param"].extend(
        [(model_id, experiment_id, key, value) for key, value in model.params.items()]
    )
    rows["model tag"].extend(
        [(model_id, experiment_id, key, value) for key, value in model.tags.items()]
    )
    found: dict[Row, Row] = {}
    for metric in model.metrics:
        value = encode_model_number(metric.value)
        place = (model_id, metric.key, metric.timestamp, metric.step)
        found[place] = (*place, value, experiment_id, run_id)
    rows["model metric"].extend(found.values())
    rows["input"].append((uuid.uuid4().hex, "RUN_OUTPUT", run_id, "MODEL_OUTPUT", model_id))


def _rows_of_deleted_model(rows: _Rows, model_id: str) -> None:
    rows["unlink model"].append((model_id,))
    for each in ("metrics", "params", "tags"):
        rows[f"delete model {each}"].append((model_id,))
    rows["delete model"].append((model_id,))


def _add_inputs(
    connection: Connection,
    rows: _Rows,
    batches: dict[str, _RunBatch],
    changes: Sequence[RunChange],
) -> None:
    """Append the data sets, each described once per experiment, and their links."""
    identifiers: dict[Row, str] = {}
    links: dict[tuple[str, str], str | None] = {}
    for change in changes:
        batch = batches[change.run_id]
        for item in change.inputs:
            dataset = item.dataset
            place = (batch.experiment_id, dataset.name, dataset.digest)
            dataset_id = identifiers.get(place)
            if dataset_id is None:
                dataset_id = _find_dataset(connection, rows, place, dataset)
                identifiers[place] = dataset_id
            link = (dataset_id, change.run_id)
            if link not in links:
                known = None if batch.create is not None else _find_link(connection, link)
                links[link] = known or uuid.uuid4().hex
                if known is None:
                    rows["input"].append((links[link], "DATASET", dataset_id, "RUN", change.run_id))
            for tag in item.tags:
                rows["delete input tag"].append((links[link], tag.key))
                rows["input tag"].append((links[link], tag.key, tag.value))


def _find_dataset(connection: Connection, rows: _Rows, place: Row, dataset: Dataset) -> str:
    found = connection.exec_driver_sql(
        statements(connection.dialect)["find dataset"], place
    ).scalar()
    if found is not None:
        return str(found)
    dataset_id = uuid.uuid4().hex
    rows["dataset"].append(
        (
            dataset_id,
            *place,
            dataset.source_type,
            dataset.source,
            dataset.schema,
            dataset.profile,
        )
    )
    return dataset_id


def _find_link(connection: Connection, link: tuple[str, str]) -> str | None:
    query = statements(connection.dialect)["find link"]
    found = connection.exec_driver_sql(query, ("DATASET", link[0], "RUN", link[1])).scalar()
    return None if found is None else str(found)


def _deleted_time(stage: str) -> int | None:
    return time.time_ns() // 1_000_000 if stage == LifecycleStage.DELETED else None


def _send(connection: Connection, rows: _Rows) -> None:
    """Send the rows by the driver's own cursor: what SQLAlchemy adds costs as much as a row."""
    dialect = connection.dialect
    driver_error = dialect.loaded_dbapi.Error
    cursor = connection.connection.cursor()
    statement = ""
    try:
        for name, statement in statements(dialect).items():
            found = rows.get(name)
            if found and statement.startswith("INSERT"):
                _insert(dialect, cursor, statement, found)
            elif found:
                dialect.do_executemany(cursor, statement, found)
    except driver_error as error:
        # As SQLAlchemy would: its IntegrityError for the driver's, and so on.
        raise DBAPIError.instance(statement, None, error, driver_error, dialect=dialect) from error
    finally:
        cursor.close()


def _insert(dialect: Dialect, cursor: Any, statement: str, rows: Sequence[Row]) -> None:
    """Insert rows by as few statements as it takes."""
    if len(rows) >= INSERTED[0] and isinstance(rows[0][1], str):
        # In the order of the tables' keys (key, run), which is the order on the disk: a quarter
        # faster than by run.
        rows = sorted(rows, key=itemgetter(1, 0))
    at = 0
    for size in INSERTED:
        while len(rows) - at >= size:
            values = tuple(chain.from_iterable(rows[at : at + size]))
            dialect.do_execute(cursor, _of_many_rows(statement, size), values)
            at += size
    if at < len(rows):
        dialect.do_executemany(cursor, statement, rows[at:])


@functools.cache
def _of_many_rows(statement: str, size: int) -> str:
    """Return an INSERT of one row as one of several."""
    head, values, row = statement.partition(" VALUES ")
    return head + values + ", ".join([row] * size)
