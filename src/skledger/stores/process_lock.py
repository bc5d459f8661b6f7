"""A lock on this machine that one process holds, and that is free when the process is gone."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from skledger.errors import StoreError

__all__ = ["ProcessLock"]


class ProcessLock:
    """A lock that one process holds while it works for all; it goes with the process.

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
