"""The stores of a copy: opened for it, told apart, and their files."""

from __future__ import annotations

import os

from skledger.errors import InvalidParameterError
from skledger.stores.artifacts import ArtifactStore, artifact_store
from skledger.stores.base import Store
from skledger.tracking.addresses import local_path_of, without_credentials

__all__ = ["is_same_place", "is_server", "open_files", "open_for_copy"]


def is_server(uri: str) -> bool:
    """Whether a tracking URI is the address of a server."""
    return uri.startswith(("http:", "https:"))


def open_for_copy(store: Store | str) -> Store:
    """Open a store to copy from or to.

    Parameters
    ----------
    store : Store or str
        A tracking URI, or a store that is open.

    Returns
    -------
    Store
        Of a tracking server, one that asks the server itself: what a script books waits in a
        queue, and whether it has arrived could not be compared.

    Raises
    ------
    InvalidParameterError
        When it is such a queue.
    """
    if isinstance(store, str):
        if is_server(store):
            from skledger.stores.rest import RestStore

            return RestStore(store)
        from skledger.stores.opening import open_store

        return open_store(store)
    if is_server(store.uri):
        from skledger.stores.outbox import OutboxStore

        if isinstance(store, OutboxStore):
            raise InvalidParameterError(
                f"{store!r} is a queue before a tracking server: give the URI of the server to "
                f"copy, {store.uri!r}."
            )
    return store


def is_same_place(one: Store, other: Store) -> bool:
    """Whether two stores are the same, however they were named."""
    if one is other:
        return True
    places = {_place_of(one.uri), _place_of(other.uri)}
    return len(places) == 1 and places != {"memory:"}


def _place_of(uri: str) -> str:
    path = local_path_of(uri)
    # Links lead to one place.
    return without_credentials(uri).rstrip("/") if path is None else os.path.realpath(path)


def open_files(store: Store, location: str) -> ArtifactStore:
    """Return the files at an artifact location that a store names."""
    if is_server(store.uri):
        return artifact_store(location, store.uri)
    return artifact_store(location)
