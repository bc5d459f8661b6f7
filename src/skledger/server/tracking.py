"""The tracking server as a job of its processes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

from skledger.server.app import TrackingApp, create_app
from skledger.server.dead_runs import ending_dead_runs
from skledger.server.settings import ServerSettings

__all__ = ["TrackingServer"]

#: So long a download or an upload that is under way may take after the server was told to stop.
_GRACE = 30.0


@dataclass(frozen=True, slots=True)
class TrackingServer:
    """A tracking server, as every worker is told it.

    Parameters
    ----------
    settings : ServerSettings
        How it was started.
    workers : int
        How many processes answer.
    grace : float
        So long requests that are under way may take after it was told to stop, in seconds.
    """

    settings: ServerSettings
    workers: int = 1
    grace: float = _GRACE

    @property
    def shared_size(self) -> int:
        """Workers share nothing but the store."""
        return 0

    def told(self) -> dict[str, Any]:
        """Return what `from_told` makes it of, in types that JSON has."""
        return asdict(self)

    @classmethod
    def from_told(cls, told: dict[str, Any]) -> Self:
        """Return what another process has told."""
        return cls(ServerSettings.from_told(told["settings"]), told["workers"], told["grace"])

    @contextlib.contextmanager
    def application(self, worker: int, shared: int | None) -> Iterator[TrackingApp]:
        """Give what answers requests, over a store of its own; see `Job`."""
        _log_with_times()
        app = create_app(self.settings)
        try:
            # One of the workers is enough; another takes its place when it dies.
            is_ours = worker == 0 and not self.settings.read_only
            with ending_dead_runs(app.state.store) if is_ours else contextlib.nullcontext():
                yield app
        finally:
            app.close()


def _log_with_times() -> None:
    """Have what the server writes down begin with the time, unless somebody set that up."""
    log = logging.getLogger("skledger.server")
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S%z"))
        log.addHandler(handler)
