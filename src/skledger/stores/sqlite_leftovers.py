"""What a removed database leaves beside it: ``-wal`` and ``-shm``, its log and the index of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["clear_leftovers"]

#: How long to wait for another process that does the same, in seconds.
PATIENCE = 2.0


def clear_leftovers(path: Path) -> None:
    """Make way for a database that is not there yet; one that is there is left alone.

    SQLite drops the log of a database that is gone, but shares the index of it with whoever still
    has the old one open (a thread, another process), and then reads one by the index of the other.

    Parameters
    ----------
    path : Path
        Where the database will be. An empty file is made, by which other processes that come for
        the same see that it was done.
    """
    if path.exists():
        return
    file = Path(os.path.realpath(path))  # SQLite puts its files where a link leads
    with suppress(OSError), _one_at_a_time(file.parent):
        if file.exists():
            return
        for suffix in ("-wal", "-shm", "-journal"):
            file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder; `OSError` when there is none to be had."""
    try:
        import fcntl
    except ImportError as error:  # Windows: what is open cannot be removed
        raise OSError from error
    descriptor = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
        yield
    finally:
        os.close(descriptor)  # which lets the lock go
