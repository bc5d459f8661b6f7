"""The registered models of a store in memory."""

from __future__ import annotations

import threading

from skledger.stores.registry_checks import check_registry_changes
from skledger.stores.registry_draft import ModelRecord, RegistryDraft
from skledger.stores.registry_reading import RegistryReading
from skledger.tracking.registry_entities import ModelVersion, RegistryChange

__all__ = ["RegistryPart"]


class RegistryPart(RegistryReading):
    """The methods of a store in memory that are about registered models."""

    _lock: threading.RLock
    _registry: dict[str, ModelRecord]

    def write_registry(self, *changes: RegistryChange) -> list[ModelVersion]:
        """Write all the changes, or nothing; return the versions that they made."""
        check_registry_changes(changes)
        with self._lock:
            # What is in the registry is replaced, never changed: readers need no lock.
            draft = RegistryDraft(self.uri, self._registered)
            made = draft.apply(changes)
            changed = {**self._registry, **draft.models}
            self._registry = {name: each for name, each in changed.items() if each is not None}
        return made

    def _registered(self, name: str) -> ModelRecord | None:
        found = self._registry.get(name)
        return None if found is None else ModelRecord(found.model, dict(found.versions))

    def _all_registered(self) -> list[ModelRecord]:
        return list(self._registry.values())
