"""The status of a run, and whether the process that works on it is still there."""

from __future__ import annotations

from rich.text import Text

from skledger.cli._printing import STATUS_STYLES, cell
from skledger.tracking.entities import Run, RunStatus
from skledger.tracking.processes import process_lives
from skledger.tracking.runs import PROCESS_TAG

__all__ = ["process_gone", "status_text"]


def status_text(run: Run, short: bool = False) -> Text:
    """Return the status of a run in its colour.

    Parameters
    ----------
    run : Run
        The run.
    short : bool, default=False
        Say in one character that the process of a run that is RUNNING is gone.
    """
    status = run.info.status
    if process_gone(run):
        return cell(f"{status}?" if short else f"{status} (process gone)", "bold magenta")
    return cell(status, STATUS_STYLES.get(status, ""))


def process_gone(run: Run) -> bool:
    """Tell whether a run is RUNNING though its process, on this machine, has ended.

    Of a process on another machine nothing is known; the same holds when it is not told which.
    """
    if run.info.status != RunStatus.RUNNING:
        return False
    return process_lives(run.data.tags.get(PROCESS_TAG, "")) is False
