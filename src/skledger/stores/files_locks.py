"""Locks between processes, and between threads: one file each, held by the operating system.

A lock goes with the process that held it, however it ends; the files stay and are empty.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from zlib import crc32

from skledger.errors import StoreError
from skledger.stores.files_layout import experiment_of, make_own_folder
from skledger.stores.files_medium import say_once

__all__ = ["lock_of", "locked", "locks_in"]

#: How long a lock is waited for, in s. One is held for milliseconds.
PATIENCE = 10.0
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def lock_of(folder: str) -> str:
    """Return the path of the lock for writing to a run or a model, one of sixteen."""
    name = folder.rpartition("/")[2]
    return locks_in(experiment_of(folder))[crc32(name.encode()) & 15]


def locks_in(experiment: str) -> list[str]:
    """Return the paths of all locks of the runs and models of an experiment."""
    return [f"{experiment}/.skledger/locks/{number:x}" for number in range(16)]


@contextmanager
def locked(paths: Iterable[str]) -> Iterator[None]:
    """Hold locks; in one order, so that nobody waits for each other.

    Raises
    ------
    StoreError
        When somebody holds one for too long.
    """
    held: list[int] = []
    try:
        for path in sorted(set(paths)):
            held.append(_open(path))
            _wait_for(held[-1], path)
        yield
    finally:
        for descriptor in held:
            _release(descriptor)
            os.close(descriptor)


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        make_own_folder(os.path.dirname(path))  # noqa: PTH120
        return os.open(path, flags, 0o666)


def _wait_for(descriptor: int, path: str) -> None:
    end, pause = time.monotonic() + PATIENCE, 0.0002
    while not _take(descriptor, path):
        if time.monotonic() > end:
            raise StoreError(
                f"{path} has been locked by another process for {PATIENCE:g} s; see whether one "
                "that writes to this folder is stopped, and end it"
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _take(descriptor: int, path: str) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(descriptor: int) -> None:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        except OSError:
            pass

else:
    import fcntl

    def _take(descriptor: int, path: str) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say_once(
                f"the file system of {path} knows no locks ({error.strerror}): let only one "
                "process at a time write to the same run"
            )
        return True

    def _release(descriptor: int) -> None:
        try:
            # Closing is not enough: a child that was forked off meanwhile holds the file open.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError:
            pass
