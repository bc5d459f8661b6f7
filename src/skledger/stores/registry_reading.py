"""Reading registered models where all of them are looked at, as in memory and in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from skledger.stores.checks import check_max_results
from skledger.stores.paging import page_of
from skledger.stores.registry_checks import (
    LATEST,
    check_stages,
    no_alias,
    no_registered_model,
    no_version,
    parse_version,
    without_prompts,
)
from skledger.stores.registry_draft import (
    ModelRecord,
    VersionRecord,
    latest_of,
    models_in_order,
    versions_in_order,
)
from skledger.tracking.entities import PagedList
from skledger.tracking.filters import Comparison, parse_filter, parse_order_by
from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

__all__ = ["RegistryReading"]

T = TypeVar("T")


class RegistryReading:
    """The methods of a store that read registered models."""

    uri: str

    def _registered(self, name: str) -> ModelRecord | None:
        """Return a registered model as it is now; it is not changed any more."""
        raise NotImplementedError

    def _all_registered(self) -> Iterable[ModelRecord]:
        """Return all of them."""
        raise NotImplementedError

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model."""
        return self._existing(name).whole()

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return the registered models that match, by their names unless ordered otherwise."""
        limit = check_max_results(max_results)
        conditions, prompts = without_prompts(parse_filter(filter_string, "registered_model"))
        orderings = parse_order_by(order_by, "registered_model")
        records = {each.model.name: each for each in self._all_registered()}
        models = (each.model for each in records.values())
        found = models_in_order(models, conditions, orderings, prompts=prompts)
        page = page_of(found, limit, page_token)
        page[:] = [records[each.name].whole() for each in page]
        return page

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version of a registered model."""
        record, found = self._version(name, version)
        return record.shown(found)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return the versions that match, those that changed last first unless ordered."""
        limit = check_max_results(max_results)
        conditions, prompts = without_prompts(parse_filter(filter_string, "model_version"))
        orderings = parse_order_by(order_by, "model_version")
        versions = [each for record in self._named(conditions) for each in record.all()]
        found = versions_in_order(versions, conditions, orderings, prompts=prompts)
        return page_of(found, limit, page_token)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias stands for; ``latest`` is the last one."""
        record = self._existing(name)
        number = record.model.aliases.get(alias)
        if alias.lower() == LATEST:
            number = str(max((int(each.version) for each in record.all()), default=0))
        found = None if number is None else record.find(int(number))
        if found is None:
            raise no_alias(name, alias, self.uri)
        return record.shown(found)

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """Return the last version of each stage, in the order of their numbers."""
        return latest_of(self._existing(name).all(), check_stages(stages))

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return where the files of a version are."""
        found = self._version(name, version)[1]
        return found.location or found.version.source or ""

    def _existing(self, name: str) -> ModelRecord:
        found = self._registered(name)
        if found is None:
            raise no_registered_model(name, self.uri)
        return found

    def _version(self, name: str, version: str | int) -> tuple[ModelRecord, VersionRecord]:
        number = parse_version(name, version)
        record = self._registered(name)
        found = None if record is None else record.find(number)
        if record is None or found is None:
            raise no_version(name, number, self.uri)
        return record, found

    def _named(self, conditions: Sequence[Comparison]) -> Iterable[ModelRecord]:
        """Return the registered models whose versions may match: often one is named."""
        for each in conditions:
            if (each.kind, each.key, each.operator) == ("attribute", "name", "="):
                found = self._registered(str(each.value))
                return [] if found is None else [found]
        return self._all_registered()
