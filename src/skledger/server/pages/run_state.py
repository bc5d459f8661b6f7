"""The state of a run as pages tell it: one that says RUNNING does not run without its process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from skledger.server.pages import formatting
from skledger.tracking.dead_runs import PROCESS_DIED, STALE, unended
from skledger.tracking.entities import RunStatus

if TYPE_CHECKING:
    from skledger.tracking.entities import Run

__all__ = ["GONE", "lasted", "state"]

#: The state of a run whose process has ended, while nobody has ended the run.
GONE = "GONE"
_UNKNOWN = Markup(
    '<span class="muted" title="Its process is gone; when, is not known">unknown</span>'
)

_AT_LEAST = Markup("<span>at least {}</span>")


def state(run: Run) -> str:
    """Return the status of a run, or `GONE`."""
    return GONE if unended(run) else run.info.status


def lasted(run: Run) -> Markup:
    """Return how long a run took, or takes already; without its process it does not go on."""
    info = run.info
    if info.end_time is None and info.status == RunStatus.RUNNING and unended(run):
        return _UNKNOWN
    if run.data.tags.get("skledger.error.type") in (PROCESS_DIED, STALE) and info.end_time:
        # It ended after its last sign of life; nobody knows when.
        known = info.end_time - info.start_time
        return _AT_LEAST.format(formatting.duration(0, known)) if known > 0 else _UNKNOWN
    return formatting.duration(info.start_time, info.end_time)
