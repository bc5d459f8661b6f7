"""Experiments in a database."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from skledger.stores import tables
from skledger.stores.experiments import (
    absolute_location,
    no_experiment,
    refuse_rename_of_deleted,
)
from skledger.stores.sql_rows import in_chunks
from skledger.tracking.entities import Experiment, LifecycleStage

__all__ = ["change_experiment", "insert_experiment", "location_below", "with_tags"]


def location_below(artifact_root: str, experiment_id: object) -> str:
    """Return where an experiment has its artifacts unless it is told otherwise."""
    return f"{artifact_root.rstrip('/')}/{experiment_id}"


def insert_experiment(
    connection: Connection,
    name: str,
    artifact_location: str | None,
    tags: Mapping[str, str],
    artifact_root: str,
) -> str:
    """Create an experiment and return its identifier.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        When the name is taken.
    """
    table = tables.experiments
    now = _now()
    row = {
        "name": name,
        "lifecycle_stage": LifecycleStage.ACTIVE,
        "creation_time": now,
        "last_update_time": now,
    }
    made = connection.execute(table.insert().values(row)).inserted_primary_key
    experiment_id = made[0] if made else None
    location = artifact_location or location_below(artifact_root, experiment_id)
    connection.execute(
        table.update()
        .where(table.c.experiment_id == experiment_id)
        .values(artifact_location=absolute_location(location))
    )
    _insert_tags(connection, experiment_id, tags)
    return str(experiment_id)


def change_experiment(
    connection: Connection,
    uri: str,
    experiment_id: int,
    *,
    name: str | None,
    lifecycle_stage: str | None,
    tags: Mapping[str, str],
    deleted_tags: Sequence[str],
) -> None:
    """Change an experiment; see `Store.update_experiment`.

    Raises
    ------
    NotFoundError, InvalidParameterError
        When there is none, or a deleted one would be renamed.
    sqlalchemy.exc.IntegrityError
        When the name is taken.
    """
    table = tables.experiments
    found = connection.execute(
        select(table.c.lifecycle_stage, table.c.last_update_time)
        .where(table.c.experiment_id == experiment_id)
        .with_for_update()
    ).first()
    if found is None:
        raise no_experiment(experiment_id, uri)
    stage, changed = found
    refuse_rename_of_deleted(str(experiment_id), stage, name, lifecycle_stage)
    values: dict[str, Any] = {} if name is None else {"name": name}
    now = _now()
    if lifecycle_stage not in (None, stage):
        values["lifecycle_stage"] = lifecycle_stage
        if lifecycle_stage == LifecycleStage.DELETED:
            now = _delete_runs(connection, experiment_id, now)
        else:
            _restore_runs(connection, experiment_id, changed)
    if values:
        connection.execute(
            table.update()
            .where(table.c.experiment_id == experiment_id)
            .values(last_update_time=now, **values)
        )
    _delete_tags(connection, experiment_id, [*deleted_tags, *tags])
    _insert_tags(connection, experiment_id, tags)


def with_tags(connection: Connection, rows: Sequence[Any]) -> list[Experiment]:
    """Return the rows of experiments as entities, with their tags."""
    found = {
        row[0]: Experiment(
            experiment_id=str(row[0]),
            name=row[1],
            artifact_location=row[2] or "",
            lifecycle_stage=row[3],
            creation_time=row[4],
            last_update_time=row[5],
        )
        for row in rows
    }
    table = tables.experiment_tags.c
    query = select(table.experiment_id, table.key, table.value)
    for chunk in in_chunks(list(found)):
        for number, key, value in connection.execute(query.where(table.experiment_id.in_(chunk))):
            found[number].tags[key] = value or ""
    return list(found.values())


def _delete_runs(connection: Connection, experiment_id: int, now: int) -> int:
    """Delete the runs that are there, at a time when none was before, and return that time.

    It tells later which ones were deleted with the experiment.
    """
    runs = tables.runs
    here = runs.c.experiment_id == experiment_id
    last = connection.scalar(select(func.max(runs.c.deleted_time)).where(here))
    now = max(now, (last or 0) + 1)
    active = runs.c.lifecycle_stage == LifecycleStage.ACTIVE
    connection.execute(
        runs.update()
        .where(here, active)
        .values(lifecycle_stage=LifecycleStage.DELETED, deleted_time=now)
    )
    return now


def _restore_runs(connection: Connection, experiment_id: int, deleted: int | None) -> None:
    """Bring back the runs that were not deleted before the experiment was."""
    runs = tables.runs
    connection.execute(
        runs.update()
        .where(
            runs.c.experiment_id == experiment_id,
            runs.c.lifecycle_stage == LifecycleStage.DELETED,
            runs.c.deleted_time >= (deleted or 0),
        )
        .values(lifecycle_stage=LifecycleStage.ACTIVE, deleted_time=None)
    )


def _insert_tags(connection: Connection, experiment_id: Any, tags: Mapping[str, str]) -> None:
    if tags:
        notes = [
            {"experiment_id": experiment_id, "key": key, "value": value}
            for key, value in tags.items()
        ]
        connection.execute(tables.experiment_tags.insert(), notes)


def _delete_tags(connection: Connection, experiment_id: int, keys: Sequence[str]) -> None:
    table = tables.experiment_tags
    for chunk in in_chunks(keys):
        connection.execute(
            table.delete().where(table.c.experiment_id == experiment_id, table.c.key.in_(chunk))
        )


def _now() -> int:
    return time.time_ns() // 1_000_000
