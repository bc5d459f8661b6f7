"""What every handler of the tracking server works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skledger.server.artifact_access import ServedArtifacts
    from skledger.server.settings import ServerSettings
    from skledger.stores.base import Store

__all__ = ["ServerState"]


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a request is answered from; an application has it as ``app.state.skledger``.

    Parameters
    ----------
    store : Store
        Where the records are.
    artifacts : ServedArtifacts
        The files of runs and models.
    settings : ServerSettings
        How the server was started.
    """

    store: Store
    artifacts: ServedArtifacts
    settings: ServerSettings
