"""Writing many changes as a handful of statements.

A run that is created here cannot conflict with anything, so it costs inserts only, each sent once
with the rows of all changes. Only runs that exist already are looked at first. Nothing here is of
one database's dialect: what another one writes as an "upsert" is a delete and an insert.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, select

from skledger.errors import NotFoundError, ParamConflictError
from skledger.stores import tables
from skledger.stores.sql_models import add_models
from skledger.stores.sql_numbers import encode_number
from skledger.stores.sql_rows import Row, Rows, find, in_chunks, send
from skledger.tracking.entities import (
    Dataset,
    LifecycleStage,
    Metric,
    RunChange,
    RunInfo,
)

__all__ = ["write_changes"]

RUN_NAME_TAG = "mlflow.runName"

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
    rows = Rows()
    if existing:
        _look_up(connection, existing)
    for batch in batches.values():
        if batch.create is None:
            _rows_of_existing(rows, batch)
        else:
            _rows_of_new(rows, batch)
    if any(each.models or each.deleted_models or each.model_changes for each in changes):
        experiments = {run_id: batch.experiment_id for run_id, batch in batches.items()}
        add_models(connection, rows, experiments, changes)
    _add_inputs(connection, rows, batches, changes)
    send(connection, rows)


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


def _rows_of_new(rows: Rows, batch: _RunBatch) -> None:
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


def _rows_of_existing(rows: Rows, batch: _RunBatch) -> None:
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


def _rows_of_metrics(rows: Rows, batch: _RunBatch) -> None:
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


def _add_inputs(
    connection: Connection,
    rows: Rows,
    batches: dict[str, _RunBatch],
    changes: Sequence[RunChange],
) -> None:
    """Append the data sets, each described once per experiment, and their links."""
    identifiers: dict[Row, str] = {}
    links: dict[tuple[str, str], str] = {}
    known_links: set[str] = set()
    tags: dict[tuple[str, str], str] = {}
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
                else:
                    known_links.add(known)
            for tag in item.tags:
                tags[links[link], tag.key] = tag.value
    if tags:
        # A link that is made here has no tags that would be in the way.
        rows["delete input tag"].extend(key for key in tags if key[0] in known_links)
        rows["input tag"].extend((*key, value) for key, value in tags.items())


def _find_dataset(connection: Connection, rows: Rows, place: Row, dataset: Dataset) -> str:
    found = find(connection, "find dataset", place)
    if found is not None:
        return found
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
    return find(connection, "find link", ("DATASET", link[0], "RUN", link[1]))


def _deleted_time(stage: str) -> int | None:
    return time.time_ns() // 1_000_000 if stage == LifecycleStage.DELETED else None
