"""What users of a server that others reach are told of the machine it runs on: no paths of it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from skledger.server.artifact_paths import is_local, local_path
from skledger.server.process.listening import is_loopback
from skledger.tracking.addresses import local_path_of

if TYPE_CHECKING:
    from skledger.server.state import ServerState

__all__ = ["is_hidden", "is_shared", "without_places"]

_loopback = cache(is_loopback)


def is_shared(state: ServerState) -> bool:
    """Whether a server has users on other machines, or ones who sign in."""
    settings = state.settings
    return settings.auth_file is not None or not _loopback(settings.host)


def is_hidden(state: ServerState, location: str) -> bool:
    """Whether the location of files is a folder of a machine that its users are not at."""
    return is_shared(state) and is_local(location)


def without_places(state: ServerState, text: str) -> str:
    """Return what a user is told, without the places of records and files of a team's server."""
    if not is_shared(state):
        return text
    destination = state.artifacts.destination or ""
    files = local_path(destination) if destination and is_local(destination) else destination
    path = str(local_path_of(state.store.uri) or state.store.uri.partition("///")[2])
    # The longest first: one may be in the folder of another.
    for each in sorted({state.store.uri, path, destination, files}, key=len, reverse=True):
        if "/" in each and len(each) > 1:  # a plain word stands for other things, too
            text = text.replace(each, "this server")
    return text
