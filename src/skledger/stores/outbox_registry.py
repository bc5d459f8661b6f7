"""The registered models of an outbox's server, and registrations that wait for it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from skledger.errors import StoreUnavailableError
from skledger.stores.outbox_asking import within
from skledger.stores.registry_checks import check_registry_changes
from skledger.tracking.entities import PagedList, RunTag
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionChange,
    NewModelVersion,
    RegisteredModel,
    RegisteredModelChange,
    RegistryChange,
)

if TYPE_CHECKING:
    from skledger.stores.outbox_courier import Courier
    from skledger.stores.outbox_forwarder import Remote
    from skledger.stores.outbox_queue import Queue

__all__ = ["Registration", "RegistryPart"]

T = TypeVar("T")

#: How long a registration waits for what goes before it, and then for the server, in seconds.
SENDING, ANSWERING = 30.0, 60.0
#: As `skledger.stores.rest_registry` reads it.
_TAG = "skledger.registration"


@dataclass(frozen=True, slots=True)
class Registration:
    """A version that waits to be registered.

    Parameters
    ----------
    name : str
        Its registered model, which is made when it is new.
    source, run_id : str
        As of a `NewModelVersion`.
    tags : mapping
        Of the version.
    """

    name: str
    source: str
    run_id: str | None
    tags: Mapping[str, str]

    @classmethod
    def of(cls, name: str, source: str, run_id: str | None) -> Registration:
        """Return a registration that is known again when it is sent a second time."""
        return cls(name, source, run_id, {_TAG: uuid.uuid4().hex})

    def encode(self) -> str:
        """Return it as text."""
        return json.dumps([self.name, self.source, self.run_id, dict(self.tags)])

    @classmethod
    def decode(cls, text: str) -> Registration:
        """Return what `encode` made a text of."""
        return cls(*json.loads(text))

    def changes(self) -> tuple[RegistryChange, RegistryChange]:
        """Return what makes the version."""
        tags = tuple(RunTag(key, value) for key, value in self.tags.items())
        new = NewModelVersion(self.source, run_id=self.run_id)
        return (
            RegisteredModelChange(self.name, create=True, exist_ok=True),
            ModelVersionChange(self.name, create=new, tags=tags),
        )


class RegistryPart:
    """The methods of an outbox that are about registered models: the server has them all."""

    uri: str
    _queue: Queue
    _courier: Courier

    def _ask(self, call: Callable[[Remote], T]) -> T:
        raise NotImplementedError

    def _server(self) -> Remote:
        raise NotImplementedError

    def write_registry(self, *changes: RegistryChange) -> list[ModelVersion]:
        """Write changes, which the server must answer; return the versions that they made.

        Runs and models that wait here are sent before a version is made of them.

        Raises
        ------
        StoreUnavailableError
            When the server is away.
        """
        check_registry_changes(changes)
        makes = any(isinstance(each, ModelVersionChange) and each.create for each in changes)
        if makes and self._queue.count_left() and not self._courier.flush(SENDING):
            raise StoreUnavailableError(
                f"{self.uri} has not got all that waits for it here, so no version can be made of "
                "it yet: register the model when the server answers (`skledger sync` tells)"
            )
        call = lambda: self._server().write_registry(*changes)  # noqa: E731
        return within(ANSWERING, call, self.uri)

    def queue_registration(self, name: str, source: str, run_id: str | None) -> None:
        """Register a version as soon as the server has what was booked before; nobody waits."""
        registration = Registration.of(name, source, run_id)
        check_registry_changes(registration.changes())
        self._queue.append_registration(registration.encode())
        self._courier.wake()

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model."""
        return self._ask(lambda remote: remote.get_registered_model(name))

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return the registered models that match, by their names unless ordered otherwise."""
        return self._ask(
            lambda remote: remote.search_registered_models(
                filter_string, max_results, order_by, page_token
            )
        )

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version of a registered model."""
        return self._ask(lambda remote: remote.get_model_version(name, version))

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return the versions that match, those that changed last first unless ordered."""
        return self._ask(
            lambda remote: remote.search_model_versions(
                filter_string, max_results, order_by, page_token
            )
        )

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias stands for; ``latest`` is the last one."""
        return self._ask(lambda remote: remote.get_model_version_by_alias(name, alias))

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """Return the last version of each stage, in the order of their numbers."""
        return self._ask(lambda remote: remote.get_latest_versions(name, stages))

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return where the files of a version are."""
        return self._ask(lambda remote: remote.get_model_version_download_uri(name, version))
