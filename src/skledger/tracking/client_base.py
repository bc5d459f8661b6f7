"""What the parts of the client share: the store that they work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.tracking.session import get_store, store_to_read

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = ["ClientPart", "ids_of"]


class ClientPart:
    """One part of the client's methods.

    Attributes
    ----------
    tracking_uri : str
        Where this client reads and writes.
    """

    tracking_uri: str
    _registry_uri: str

    def _store(self) -> Store:
        """Return the store to write to."""
        return get_store(self.tracking_uri)

    def _registry(self) -> Store:
        """Return the store of registered models."""
        return get_store(self._registry_uri)

    def _reading(self) -> Store:
        """Return the store to read from, with everything in it that is known by now."""
        return store_to_read(self.tracking_uri)


def ids_of(experiment_ids: Any) -> list[str]:
    """Return identifiers of experiments; one alone is as good as a list of it."""
    if isinstance(experiment_ids, str | int):
        return [str(experiment_ids)]
    try:
        return [str(each) for each in experiment_ids]
    except TypeError as error:
        raise InvalidParameterError(
            f"experiment_ids is a list of identifiers such as ['0'], not {experiment_ids!r}."
        ) from error
