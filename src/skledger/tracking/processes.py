"""Processes: how a run names the one that works on it, and whether that one still lives."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path

__all__ = ["identity_of", "process_lives", "process_text"]

#: The number of the first PID namespace of every Linux (``PROC_PID_INIT_INO``), which needs no
#: mention.
_FIRST_NAMESPACE = "4026531836"
#: More than any host name or number of a process has, in characters: a tag may hold anything.
_LONGEST_HOST, _LONGEST_NUMBER = 255, 19


def identity_of(pid: int) -> str:
    """Return ``host/pid/start`` of a process of this machine.

    Parameters
    ----------
    pid : int
        Its number.

    Returns
    -------
    str
        The host is its name; in a container, or wherever else numbers of processes mean something
        else than on the machine itself, ``name+namespace``. The start is in clock ticks since boot,
        as ``/proc/<pid>/stat`` has it (field 22, see ``proc(5)``), empty where there is no
        ``/proc``; it tells a process from a later one that was given the same number.
    """
    state_and_start = _state_and_start(pid)
    return f"{_this_host()}/{pid}/{state_and_start[1] if state_and_start else ''}"


def process_lives(identity: str) -> bool | None:
    """Tell whether a process lives.

    Parameters
    ----------
    identity : str
        See `identity_of`.

    Returns
    -------
    bool or None
        None when nobody here can tell: it was on another machine, in a container (or this is
        one), or the text is none of ours.
    """
    host, pid, start = _parts(identity)
    if host != _this_host() or not _is_number(pid):
        return None
    return _lives(int(pid), start)


def process_text(identity: str) -> str:
    """Return an identity in words: ``process 4711 on host``."""
    host, pid, _ = _parts(identity)
    if not host or not _is_number(pid):
        return "an unknown process"
    return f"process {pid} on {host.partition('+')[0][:_LONGEST_HOST]}"


def _parts(identity: str) -> tuple[str, str, str]:
    # From the right: nobody can tell what a host is called.
    parts = identity.rsplit("/", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else ("", "", "")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER


def _this_host() -> str:
    namespace = _namespace(os.getpid())
    return socket.gethostname() + (f"+{namespace}" if namespace else "")


@functools.lru_cache(maxsize=4)
def _namespace(_pid: int) -> str:
    """Return what tells a PID namespace from others of that host name; nothing for the first."""
    try:
        link = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - "pid:[4026531836]" is no path
    except OSError:
        return ""
    number = link.rpartition("[")[2].rstrip("]")
    return "" if number == _FIRST_NAMESPACE else number


def _lives(pid: int, start: str) -> bool:
    found = _state_and_start(pid)
    if found is None:
        return _exists(pid)
    # A zombie has ended: only its parent has not asked about it yet.
    return found[0] not in "ZX" and start in ("", found[1])


def _state_and_start(pid: int) -> tuple[str, str] | None:
    """Return what ``/proc`` tells of a process; None when it shows none of that number."""
    if not _proc_is_ours(os.getpid()):
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The second field is the program's name in brackets, which may hold anything.
        state, *fields = stat.rpartition(")")[2].split()
        return state, fields[18]
    except (OSError, ValueError, IndexError):
        return None


@functools.lru_cache(maxsize=4)
def _proc_is_ours(pid: int) -> bool:
    """Tell whether the numbers in ``/proc`` are those of this process's own namespace."""
    try:
        return os.readlink("/proc/self") == str(pid)  # noqa: PTH115 - a number is no path
    except OSError:
        return False


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
