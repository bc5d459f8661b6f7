"""Reading registered models and versions from a database, and finding them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, not_, select, tuple_

from skledger.stores import tables
from skledger.stores.registry_checks import DELETED_STAGE, PROMPT_TAG
from skledger.stores.sql_conditions import Like, compare, held
from skledger.stores.sql_rows import in_chunks
from skledger.tracking.filters import Comparison, Ordering
from skledger.tracking.registry_entities import ModelVersion, ModelVersionStage, RegisteredModel

__all__ = ["find_alias", "load_registered_models", "load_versions", "select_names",
           "select_versions"]  # fmt: skip

#: A version by its model's name and its number.
Place = tuple[str, int]

_models, _versions = tables.registered_models.c, tables.model_versions.c
_model_tags, _version_tags = tables.registered_model_tags.c, tables.model_version_tags.c
_aliases = tables.registered_model_aliases.c
_COLUMNS: dict[str, ColumnElement[Any]] = {
    "name": _models.name,
    "creation_timestamp": _models.creation_time,
    "last_updated_timestamp": _models.last_updated_time,
}
_VERSION_COLUMNS: dict[str, ColumnElement[Any]] = {
    "name": _versions.name,
    "version_number": _versions.version,
    "run_id": _versions.run_id,
    "source_path": _versions.source,
    "creation_timestamp": _versions.creation_time,
    "last_updated_timestamp": _versions.last_updated_time,
}
#: Places that one statement names: two values each, and old SQLite takes 999.
_CHUNK = 400
_VERSIONS = select(
    _versions.name,
    _versions.version,
    _versions.creation_time,
    _versions.last_updated_time,
    _versions.description,
    _versions.user_id,
    _versions.current_stage,
    _versions.source,
    _versions.run_id,
    _versions.status,
    _versions.status_message,
    _versions.run_link,
)


def load_registered_models(connection: Connection, names: Sequence[str]) -> list[RegisteredModel]:
    """Return registered models in the order given; those that nobody knows are left out."""
    found: dict[str, RegisteredModel] = {}
    latest: list[Place] = []
    for chunk in in_chunks(list(names)):
        query = select(
            _models.name,
            _models.creation_time,
            _models.last_updated_time,
            _models.description,
        ).where(_models.name.in_(chunk))
        for name, created, updated, description in connection.execute(query):
            found[name] = RegisteredModel(name, created or 0, updated, description or None)
        tags = select(_model_tags.name, _model_tags.key, _model_tags.value)
        for name, key, value in connection.execute(tags.where(_model_tags.name.in_(chunk))):
            found[name].tags[key] = value or ""
        aliases = select(_aliases.name, _aliases.alias, _aliases.version).order_by(_aliases.alias)
        for name, alias, version in connection.execute(aliases.where(_aliases.name.in_(chunk))):
            found[name].aliases[alias] = str(version)
        last = select(_versions.name, func.max(_versions.version)).where(
            _versions.name.in_(chunk), _versions.current_stage != DELETED_STAGE
        )
        rows = connection.execute(last.group_by(_versions.name, _versions.current_stage))
        latest += [(name, number) for name, number in rows]
    for version in load_versions(connection, sorted(latest)):
        found[version.name].latest_versions.append(version)
    return [found[name] for name in names if name in found]


def load_versions(connection: Connection, places: Sequence[Place]) -> list[ModelVersion]:
    """Return versions in the order given; those that nobody knows, or deleted, are left out."""
    found: dict[Place, ModelVersion] = {}
    for at in range(0, len(places), _CHUNK):
        chunk = places[at : at + _CHUNK]
        query = _VERSIONS.where(
            tuple_(_versions.name, _versions.version).in_(chunk),
            _versions.current_stage != DELETED_STAGE,
        )
        for row in connection.execute(query):
            found[row[0], row[1]] = _version(row)
        _load_notes(connection, found, chunk)
    return [found[place] for place in places if place in found]


def _load_notes(
    connection: Connection, found: dict[Place, ModelVersion], chunk: Sequence[Place]
) -> None:
    """Add the tags and the aliases of some versions."""
    tags = select(
        _version_tags.name, _version_tags.version, _version_tags.key, _version_tags.value
    ).where(tuple_(_version_tags.name, _version_tags.version).in_(chunk))
    for name, number, key, value in connection.execute(tags):
        if (name, number) in found:
            found[name, number].tags[key] = value or ""
    aliases = (
        select(_aliases.name, _aliases.version, _aliases.alias)
        .where(tuple_(_aliases.name, _aliases.version).in_(chunk))
        .order_by(_aliases.alias)
    )
    for name, number, alias in connection.execute(aliases):
        if (name, number) in found:
            found[name, number].aliases.append(alias)


def _version(row: Sequence[Any]) -> ModelVersion:
    name, number, created, updated, description, user, stage, source, run, status, message, link = (
        row
    )
    return ModelVersion(
        name,
        str(number),
        created or 0,
        updated,
        description=description or None,
        user_id=user or None,
        current_stage=stage or ModelVersionStage.NONE,
        source=source,
        run_id=run or None,
        status=status or "",
        status_message=message or None,
        run_link=link or None,
    )


def find_alias(connection: Connection, name: str, alias: str) -> int | None:
    """Return the number that an alias stands for, or None."""
    query = select(_aliases.version).where(_aliases.name == name, _aliases.alias == alias)
    number: int | None = connection.scalar(query)
    return number


# Searches


def select_names(
    conditions: Iterable[Comparison], orderings: Sequence[Ordering], like: Like, *, prompts: bool
) -> Select[Any]:
    """Return the query for the names of the registered models that match, in order."""
    query = select(_models.name).where(*(_model_condition(each, like) for each in conditions))
    if not prompts:
        tag = tables.registered_model_tags.alias().c
        query = query.where(not_(_is_prompt(tag, [tag.name == _models.name])))
    order = [key for each in orderings for key in _order(_COLUMNS[each.key], each)]
    return query.order_by(*order, _models.name.asc())


def select_versions(
    conditions: Iterable[Comparison], orderings: Sequence[Ordering], like: Like, *, prompts: bool
) -> Select[Any]:
    """Return the query for the places of the versions that match, in order."""
    query = select(_versions.name, _versions.version).where(
        _versions.current_stage != DELETED_STAGE,
        *(_version_condition(each, like) for each in conditions),
    )
    if not prompts:
        tag = tables.model_version_tags.alias().c
        here = [tag.name == _versions.name, tag.version == _versions.version]
        query = query.where(not_(_is_prompt(tag, here)))
    order = [key for each in orderings for key in _order(_VERSION_COLUMNS[each.key], each)]
    last = order or [_versions.last_updated_time.desc()]
    return query.order_by(*last, _versions.name.asc(), _versions.version.desc())


def _is_prompt(tag: Any, here: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    return exists().where(*here, tag.key == PROMPT_TAG, tag.value == "true")


def _model_condition(each: Comparison, like: Like) -> ColumnElement[bool]:
    if each.kind == "attribute":
        return compare(_COLUMNS[each.key], each, like)
    tag = tables.registered_model_tags.alias().c
    here = [tag.name == _models.name, tag.key == each.key]
    return held(here, each, lambda: compare(tag.value, each, like))


def _version_condition(each: Comparison, like: Like) -> ColumnElement[bool]:
    if each.kind == "attribute":
        return compare(_VERSION_COLUMNS[each.key], each, like)
    tag = tables.model_version_tags.alias().c
    here = [
        tag.name == _versions.name,
        tag.version == _versions.version,
        tag.key == each.key,
    ]
    return held(here, each, lambda: compare(tag.value, each, like))


def _order(column: ColumnElement[Any], ordering: Ordering) -> list[ColumnElement[Any]]:
    missing = case((column.is_(None), 1), else_=0)
    return [missing, column.asc() if ordering.ascending else column.desc()]
