"""Writing registered models and versions to a database, in one transaction of the caller's.

Whoever makes or changes a version holds the row of its registered model until the end of the
transaction, so that numbers are given one after the other; SQLite has one writer at a time anyway.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from skledger.stores import tables
from skledger.stores.registry_checks import (
    DELETED_STAGE,
    no_registered_model,
    no_version,
    parse_version,
    stage_of,
    touches,
)
from skledger.stores.sql_registry_reading import load_versions
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionChange,
    ModelVersionStage,
    ModelVersionStatus,
    NewModelVersion,
    RegisteredModelChange,
    RegistryChange,
)

__all__ = ["write_registry_changes"]

_models, _versions = tables.registered_models, tables.model_versions
_model_tags, _version_tags = tables.registered_model_tags, tables.model_version_tags
_aliases = tables.registered_model_aliases


def write_registry_changes(
    connection: Connection, uri: str, changes: Iterable[RegistryChange]
) -> list[ModelVersion]:
    """Write changes that were checked; return the versions that they made.

    Raises
    ------
    NotFoundError
        After which the caller rolls back.
    sqlalchemy.exc.IntegrityError
        When a name is taken.
    """
    writing = _Writing(connection, uri)
    for change in changes:
        if isinstance(change, RegisteredModelChange):
            writing.change_model(change)
        else:
            writing.change_version(change)
    return load_versions(connection, writing.made)


class _Writing:
    """One write."""

    def __init__(self, connection: Connection, uri: str) -> None:
        self._connection, self._uri = connection, uri
        self._now = time.time_ns() // 1_000_000
        #: The names and numbers of new versions.
        self.made: list[tuple[str, int]] = []

    # Registered models

    def change_model(self, change: RegisteredModelChange) -> None:
        """Make a registered model, change it or remove it."""
        name = change.name
        is_there = self._is_there(name)
        if change.create and is_there and change.exist_ok:
            return
        if change.create:
            self._run(
                _models.insert().values(
                    name=name, creation_time=self._now, last_updated_time=self._now
                )
            )
        elif not is_there:
            raise no_registered_model(name, self._uri)
        if change.delete:
            self._delete_model(name)
            return
        self._set_tags(_model_tags, {"name": name}, change)
        self._set_aliases(change)
        values: dict[str, Any] = {"last_updated_time": self._now} if touches(change) else {}
        if change.description is not None:
            values["description"] = change.description or None
        if values:
            self._run(_models.update().where(_models.c.name == name).values(values))
        if change.new_name not in (None, name):
            self._rename(name, str(change.new_name))

    def _is_there(self, name: str) -> bool:
        """Whether there is such a model, whose row is held from now on."""
        query = select(_models.c.name).where(_models.c.name == name).with_for_update()
        return self._connection.scalar(query) is not None

    def _delete_model(self, name: str) -> None:
        for table in (_version_tags, _versions, _aliases, _model_tags, _models):
            self._run(table.delete().where(table.c.name == name))

    def _rename(self, name: str, new: str) -> None:
        # What belongs to the model follows it, by the keys of the tables.
        self._run(_models.update().where(_models.c.name == name).values(name=new))
        self._run(
            _versions.update().where(_versions.c.name == new).values(last_updated_time=self._now)
        )
        self.made = [(new if each == name else each, number) for each, number in self.made]

    def _set_aliases(self, change: RegisteredModelChange) -> None:
        gone = [*change.deleted_aliases, *(each.alias for each in change.aliases)]
        here = _aliases.c.name == change.name
        for alias in dict.fromkeys(gone):
            self._run(_aliases.delete().where(here, _aliases.c.alias == alias))
        for alias, number in {
            each.alias: parse_version(change.name, each.version) for each in change.aliases
        }.items():
            self._stage(change.name, number)
            values = {"name": change.name, "alias": alias, "version": number}
            self._run(_aliases.insert().values(values))

    # Versions

    def change_version(self, change: ModelVersionChange) -> None:
        """Make a version, change it or remove it."""
        name = change.name
        if not self._is_there(name):
            raise no_registered_model(name, self._uri)
        if change.create is not None:
            number = self._create_version(name, change.create)
        else:
            number = parse_version(name, change.version)
            self._stage(name, number)
        if change.delete:
            self._delete_version(name, number)
        else:
            self._update_version(change, number)
        if touches(change):
            here = _models.c.name == name
            self._run(_models.update().where(here).values(last_updated_time=self._now))

    def _create_version(self, name: str, new: NewModelVersion) -> int:
        last = select(func.max(_versions.c.version)).where(_versions.c.name == name)
        number = (self._connection.scalar(last) or 0) + 1
        self._run(
            _versions.insert().values(
                name=name,
                version=number,
                creation_time=new.creation_timestamp or self._now,
                last_updated_time=self._now,
                user_id=new.user_id,
                current_stage=ModelVersionStage.NONE,
                source=new.source,
                storage_location=new.location or new.source,
                run_id=new.run_id,
                run_link=new.run_link,
                status=ModelVersionStatus.READY,
            )
        )
        self.made.append((name, number))
        return number

    def _stage(self, name: str, number: int) -> str:
        """Return the stage of a version; `NotFoundError` when there is none."""
        query = select(_versions.c.current_stage).where(_at(_versions, name, number))
        found = self._connection.execute(query.with_for_update()).first()
        if found is None or found[0] == DELETED_STAGE:
            raise no_version(name, number, self._uri)
        return str(found[0])

    def _update_version(self, change: ModelVersionChange, number: int) -> None:
        name = change.name
        self._set_tags(_version_tags, {"name": name, "version": number}, change)
        values: dict[str, Any] = {"last_updated_time": self._now} if touches(change) else {}
        if change.description is not None:
            values["description"] = change.description or None
        if change.stage is not None:
            values["current_stage"] = stage = stage_of(change.stage)
            if change.archive_existing:
                self._archive(name, stage, number)
        if values:
            self._run(_versions.update().where(_at(_versions, name, number)).values(values))

    def _archive(self, name: str, stage: str, number: int) -> None:
        others = and_(
            _versions.c.name == name,
            _versions.c.current_stage == stage,
            _versions.c.version != number,
        )
        archived = {
            "current_stage": ModelVersionStage.ARCHIVED,
            "last_updated_time": self._now,
        }
        self._run(_versions.update().where(others).values(archived))

    def _delete_version(self, name: str, number: int) -> None:
        # Only the number stays, so that it is not given again; MLflow keeps the rows, too.
        for table in (_version_tags, _aliases):
            self._run(table.delete().where(_at(table, name, number)))
        nothing = {
            "current_stage": DELETED_STAGE,
            "description": None,
            "user_id": None,
            "source": "",
            "storage_location": "",
            "run_id": None,
            "run_link": None,
            "last_updated_time": self._now,
        }
        self._run(_versions.update().where(_at(_versions, name, number)).values(nothing))
        self.made = [each for each in self.made if each != (name, number)]

    # What they share

    def _set_tags(self, table: Any, place: dict[str, Any], change: RegistryChange) -> None:
        here = [table.c[name] == value for name, value in place.items()]
        tags = {tag.key: tag.value for tag in change.tags}
        for key in dict.fromkeys((*change.deleted_tags, *tags)):
            self._run(table.delete().where(*here, table.c.key == key))
        for key, value in tags.items():
            self._run(table.insert().values({**place, "key": key, "value": value}))

    def _run(self, statement: Any) -> None:
        self._connection.execute(statement)


def _at(table: Any, name: str, number: int) -> ColumnElement[bool]:
    return and_(table.c.name == name, table.c.version == number)
