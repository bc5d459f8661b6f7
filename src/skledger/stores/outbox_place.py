"""Where an outbox is on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["base_folder", "folder_of", "outbox_folders", "plain_uri"]

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
