"""The status of a run, and whether the process that works on it is still there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from rich.text import Text

from skledger.cli._printing import STATUS_STYLES, cell
from skledger.tracking.entities import Run, RunStatus
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
    parts = run.data.tags.get(PROCESS_TAG, "").rsplit("/", 2)
    if len(parts) != 3 or parts[0] != socket.gethostname() or not parts[1].isdecimal():
        return False
    return not _alive(int(parts[1]), parts[2])


def _alive(pid: int, start: str) -> bool:
    """Tell whether a process lives; see `process_identity` for its start."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = stat.rpartition(")")[2].split()
        # A zombie has ended: only its parent has not asked about it yet.
        return state not in "ZX" and start in ("", fields[18])
    except (OSError, ValueError, IndexError):
        return _exists(pid)


def _exists(pid: int) -> bool:
    """Ask the system about a process that ``/proc`` does not show."""
    if os.name != "posix":
        return True  # there, a signal of 0 would do something
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's process
        return True
    return True
