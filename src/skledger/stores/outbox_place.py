"""Where an outbox is on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from skledger.stores.rest_settings import who_asks

__all__ = ["base_folder", "folder_of", "outbox_folders", "plain_uri", "who_text"]

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
    """Return the folder of the outbox of a server, for whoever asks it now.

    Its name is made with a salt, so that it tells nothing of a token. Where the base folder is
    shared by machines, such as a home on NFS, each has its own.
    """
    base = base_folder()
    told = plain_uri(uri)
    who = who_asks(uri)
    if any(who):
        mark = "\n".join(who).encode(errors="surrogatepass")
        told += "\n" + hashlib.blake2b(mark, key=_salt(str(base))).hexdigest()
    name = hashlib.sha256(told.encode()).hexdigest()[:16]
    return base / (f"{name}-{socket.gethostname()}" if _is_shared(base) else name)


def who_text(uri: str) -> str:
    """Return as whom a server is asked now, in words without a secret; empty for nobody."""
    username, token = who_asks(uri)
    return f"as {username!r}" if username else "with another token" if token else ""


@cache
def _salt(base: str) -> bytes:
    """Return the salt of the outboxes below a folder, made when there is none."""
    file = Path(base, "salt")
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_name(f"salt-{os.urandom(8).hex()}")
        if not file.exists():
            try:
                with os.fdopen(
                    os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
                ) as out:
                    out.write(os.urandom(32))
                with suppress(FileExistsError):
                    os.link(new, file)  # whole or not at all, and the first one counts
            finally:
                new.unlink(missing_ok=True)
        return file.read_bytes()[:64]
    return b""  # nothing can be kept there, either


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
