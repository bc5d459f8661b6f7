"""Who may ask what: hosts, origins, users, sizes and times of bodies, headers of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skledger.server.security.access import Access
from skledger.server.security.bodies import Bodies
from skledger.server.security.headers import Headers
from skledger.server.security.origins import Origins

if TYPE_CHECKING:
    from skledger.server.process.job import ASGIApp
    from skledger.server.settings import ServerSettings

__all__ = ["secured"]


def secured(app: ASGIApp, settings: ServerSettings) -> ASGIApp:
    """Return an application that only passes on what may be asked.

    What refuses soonest stands first: nothing of a body is read for somebody who may not ask.
    """
    return Headers(Origins(Access(Bodies(app, settings), settings), settings))
