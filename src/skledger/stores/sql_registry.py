"""The registered models of a store in a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from skledger.errors import SkledgerError
from skledger.stores import tables
from skledger.stores.checks import check_max_results
from skledger.stores.paging import read_token, write_token
from skledger.stores.registry_checks import (
    DELETED_STAGE,
    LATEST,
    check_registry_changes,
    check_stages,
    no_alias,
    no_registered_model,
    no_version,
    parse_version,
    taken_model_name,
    without_prompts,
)
from skledger.stores.relocation import Relocation
from skledger.stores.sql_conditions import Like
from skledger.stores.sql_engine import Database
from skledger.stores.sql_registry_reading import (
    find_alias,
    load_registered_models,
    load_versions,
    select_names,
    select_versions,
)
from skledger.stores.sql_registry_writing import write_registry_changes
from skledger.tracking.entities import PagedList
from skledger.tracking.filters import parse_filter, parse_order_by
from skledger.tracking.registry_entities import (
    ModelVersion,
    RegisteredModel,
    RegisteredModelChange,
    RegistryChange,
)

__all__ = ["RegistryPart"]


class RegistryPart:
    """The methods of a store in a database that are about registered models."""

    uri: str
    _database: Database
    _like: Like
    _now: Relocation

    def _try(
        self,
        write: Callable[[], None],
        explain: Callable[[IntegrityError], SkledgerError | None],
    ) -> None:
        raise NotImplementedError

    def write_registry(self, *changes: RegistryChange) -> list[ModelVersion]:
        """Write changes in one transaction, or nothing; return the versions that they made."""
        check_registry_changes(changes)
        made: list[ModelVersion] = []

        def write() -> None:
            with self._database.writing() as connection:
                made[:] = write_registry_changes(connection, self.uri, changes)

        self._try(write, lambda _error: self._taken(changes))
        return made

    def _taken(self, changes: Sequence[RegistryChange]) -> SkledgerError | None:
        """Return the error for a name that is taken; None when another attempt may succeed."""
        names: list[str] = []
        for each in changes:
            if isinstance(each, RegisteredModelChange):
                names += [each.name] if each.create and not each.exist_ok else []
                names += [] if each.new_name is None else [each.new_name]
        with self._database.reading() as connection:
            found = load_registered_models(connection, names)
        return taken_model_name(found[0].name) if found else None

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model."""
        with self._database.reading() as connection:
            found = load_registered_models(connection, [str(name)])
        if not found:
            raise no_registered_model(name, self.uri)
        return found[0]

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return the registered models that match, by their names unless ordered otherwise."""
        limit, offset = check_max_results(max_results), read_token(page_token)
        conditions, prompts = without_prompts(parse_filter(filter_string, "registered_model"))
        orderings = parse_order_by(order_by, "registered_model")
        query = select_names(conditions, orderings, self._like, prompts=prompts)
        with self._database.reading() as connection:
            names = connection.scalars(query.limit(limit + 1).offset(offset)).all()
            found = load_registered_models(connection, names[:limit])
        return PagedList(found, write_token(offset + limit) if len(names) > limit else None)

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version of a registered model."""
        number = parse_version(name, version)
        with self._database.reading() as connection:
            found = load_versions(connection, [(name, number)])
        if not found:
            raise no_version(name, number, self.uri)
        return found[0]

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return the versions that match, those that changed last first unless ordered."""
        limit, offset = check_max_results(max_results), read_token(page_token)
        conditions, prompts = without_prompts(parse_filter(filter_string, "model_version"))
        orderings = parse_order_by(order_by, "model_version")
        query = select_versions(conditions, orderings, self._like, prompts=prompts)
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(limit + 1).offset(offset)).fetchall()
            found = load_versions(connection, [(row[0], row[1]) for row in rows[:limit]])
        return PagedList(found, write_token(offset + limit) if len(rows) > limit else None)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias stands for; ``latest`` is the last one."""
        if alias.lower() == LATEST:
            latest = self.get_latest_versions(name)
            if latest:
                return latest[-1]
        with self._database.reading() as connection:
            number = find_alias(connection, name, alias)
            found = [] if number is None else load_versions(connection, [(name, number)])
        if not found:
            self.get_registered_model(name)
            raise no_alias(name, alias, self.uri)
        return found[0]

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """Return the last version of each stage, in the order of their numbers."""
        wanted = check_stages(stages)
        latest = self.get_registered_model(name).latest_versions
        return [each for each in latest if each.current_stage in wanted]

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return where the files of a version are."""
        number = parse_version(name, version)
        columns: Any = tables.model_versions.c
        query = select(columns.storage_location, columns.source).where(
            columns.name == name,
            columns.version == number,
            columns.current_stage != DELETED_STAGE,
        )
        with self._database.reading() as connection:
            found = connection.execute(query).first()
        if found is None:
            raise no_version(name, number, self.uri)
        return self._now.path(found[0] or found[1] or "")
