"""Small files: read whole, written once, listed by folder."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from skledger.errors import StoreError
from skledger.stores.files_yaml import load

__all__ = [
    "META",
    "list_files",
    "list_folders",
    "read",
    "read_if_there",
    "read_meta",
    "reporting",
    "say_once",
    "write_new",
]

#: The file that describes what a folder is. A folder without it is not whole yet.
META = "meta.yaml"

_BLOCK = 1 << 16
_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_said: set[str] = set()


def read(path: str) -> bytes:
    """Return the content of a file."""
    descriptor = os.open(path, _READ)
    try:
        data = block = os.read(descriptor, _BLOCK)
        while len(block) == _BLOCK:
            block = os.read(descriptor, _BLOCK)
            data += block
        return data
    finally:
        os.close(descriptor)


def read_if_there(path: str) -> bytes | None:
    """Return the content of a file; None when there is none of that name."""
    try:
        return read(path)
    except _NOT_THERE:
        return None


def write_new(path: str, data: bytes) -> None:
    """Write a file that is not there yet."""
    descriptor = os.open(path, _NEW, 0o666)
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        raise
    finally:
        os.close(descriptor)


def list_folders(path: str) -> list[str]:
    """Return the names of the folders in a folder; none when it is not there."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except _NOT_THERE:
        return []


def list_files(path: str, below: str = "") -> Iterator[tuple[str, str]]:
    """Yield the relative and the full path of each file in a folder and the folders in it."""
    try:
        with os.scandir(path) as entries:
            found = list(entries)
    except _NOT_THERE:
        return
    for entry in found:
        if entry.is_dir():
            yield from list_files(entry.path, f"{below}{entry.name}/")
        else:
            yield below + entry.name, entry.path


def read_meta(folder: str) -> dict[str, object] | None:
    """Return what the description of a folder says; None when it has none.

    Raises
    ------
    StoreError
        When the description cannot be read as such.
    """
    path = f"{folder}/{META}"
    for attempt in range(5):
        data = read_if_there(path)
        if data is None:
            return None
        try:
            return load(data)
        except ValueError as error:
            reason = str(error)
        # Others rewrite the file in its place: what is young may be only half of it.
        if attempt == 4 or not _is_young(path):
            break
        time.sleep(0.01)
    raise StoreError(
        f"{path} is damaged: {reason}; restore it from a copy, or remove its folder if it is lost"
    )


def say_once(message: str) -> None:
    """Log a warning, the first time that there is reason for it."""
    if message not in _said:
        _said.add(message)
        logging.getLogger("skledger").warning("skledger: %s", message)


@contextmanager
def reporting(doing: str, place: str) -> Iterator[None]:
    """Turn what the operating system refuses into a `StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        path = error.filename if isinstance(error.filename, str) else place
        raise StoreError(
            f"cannot {doing} {place}: {error.strerror or error} ({path}); {_advice(error)}"
        ) from error


def _advice(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make the folder writable, or name another tracking URI"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on the disk"
    if isinstance(error, (*_NOT_THERE, FileExistsError)):
        return "expected a folder of runs: something else is in its place, or it was removed"
    return "check the disk and the folder"


def _is_young(path: str) -> bool:
    try:
        return abs(time.time() - os.stat(path).st_mtime) < 2  # noqa: PTH116
    except OSError:
        return True
