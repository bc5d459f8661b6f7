"""Where an outbox is on this machine, and who may forward it."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from skledger.errors import StoreError

__all__ = ["ForwardLock", "base_folder", "folder_of", "outbox_folders", "plain_uri"]

#: File systems that several machines share: the write-ahead log of SQLite is for one machine only.
_SHARED = {
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "gfs2",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
}


def plain_uri(uri: str) -> str:
    """Return the address of a server without user, password and what follows the path."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme.lower()}://{host}{parts.path.rstrip('/')}"


def base_folder() -> Path:
    """Return the folder of all outboxes: ``SKLEDGER_OUTBOX``, or one for state in the home."""
    chosen = os.environ.get("SKLEDGER_OUTBOX")
    if chosen:
        return Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    root = Path(state) if state and Path(state).is_absolute() else Path.home() / ".local/state"
    return root / "skledger" / "outbox"


def folder_of(uri: str) -> Path:
    """Return the folder of the outbox of a server.

    Where the base folder is shared by machines, such as a home on NFS, each has its own.
    """
    base = base_folder()
    name = hashlib.sha256(plain_uri(uri).encode()).hexdigest()[:16]
    return base / (f"{name}-{socket.gethostname()}" if _is_shared(base) else name)


def outbox_folders() -> list[Path]:
    """Return the folders of the outboxes of this machine."""
    base = base_folder()
    host = f"-{socket.gethostname()}" if _is_shared(base) else ""
    return sorted(
        each.parent
        for each in base.glob("*/queue.db")
        if each.parent.name.endswith(host) and len(each.parent.name) == 16 + len(host)
    )


def _is_shared(folder: Path) -> bool:
    """Tell whether a folder is on a file system that other machines see, too."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux: the folders of a user's own machine are its own
        return False
    real = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind in _SHARED


class ForwardLock:
    """A lock that one process holds while it forwards; it goes with the process.

    Parameters
    ----------
    path : Path
        The file that stands for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    @property
    def held(self) -> bool:
        """Whether it is ours."""
        return self._file is not None

    def acquire(self) -> bool:
        """Take the lock if it is free; tell whether it is ours now.

        `StoreError` when its folder cannot be written to.
        """
        if self._file is None:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = self._path.open("ab")
            except OSError as error:
                raise StoreError(
                    f"cannot write to {self._path.parent}: {error.strerror or error}; set "
                    "SKLEDGER_OUTBOX to another folder"
                ) from error
            if not _try_lock(file):
                file.close()
                return False
            self._file = file
        return True

    def release(self) -> None:
        """Let the lock go.

        A forked child does the same, for it has inherited the open file: the parent keeps the lock.
        """
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _try_lock(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows
        return _try_lock_on_windows(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _try_lock_on_windows(file: IO[bytes]) -> bool:  # pragma: no cover
    import importlib

    msvcrt = importlib.import_module("msvcrt")
    try:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
