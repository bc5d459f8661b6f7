"""Many small changes to a folder of files, as near to one as files come.

Everything is written under a temporary name first; that is where a disk is full or a folder cannot
be written to. Then each file is renamed to its place, and the folder of a new run or model as a
whole. Where artifacts have made that folder already, its files are written to their places and its
description comes last, for without one it is nothing to any reader. When a step fails, those
before it are taken back.

What a process leaves that is killed in the middle: files in ``staging``, which nobody reads and
which are removed after a day; a folder without a description; and of a write of several changes
the first ones. A file is never half written, and a new run is there with all it holds or not at
all. Nothing is flushed to the disk: what was written survives the process, not a power cut.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

from skledger.stores.files_layout import make_own_folder, staging
from skledger.stores.files_medium import META, read, write_new

__all__ = ["FolderAppearedError", "Steps", "tidy"]

Undo = Callable[[], object]
_DAY = 86_400
_ARTIFACTS = "artifacts"
_APPEND = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)


class FolderAppearedError(FileExistsError):
    """Something came into the folder of a new run since it was looked for: look again."""


class Steps:
    """Changes to files, prepared first and then made.

    Parameters
    ----------
    experiment : str
        The folder of an experiment, in whose ``staging`` they are prepared.
    """

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._temporary = f"{staging(experiment)}/{os.getpid()}-{uuid.uuid4().hex}"
        self._used: list[str] = []
        self._filled: list[str] = []
        self._steps: list[Callable[[], Undo]] = []

    def put(self, path: str, data: bytes, *, new: bool = False) -> None:
        """Prepare a file that takes the place of the one that is there, or that is `new`."""
        temporary = self._next()
        self._start(write_new, temporary, data)
        self._steps.append(partial(_move, temporary, path, None if new else self._next()))

    def append(self, path: str, data: bytes) -> None:
        """Prepare lines at the end of a file that is there."""
        self._steps.append(partial(_append, path, data))

    def remove(self, path: str, below: str) -> None:
        """Prepare that a file goes, with folders that this empties, up to the one `below` it is."""
        self._steps.append(partial(_remove, path, below, self._next()))

    def set_aside(self, path: str) -> None:
        """Prepare that a file or folder goes."""
        self._start(os.mkdir, aside := self._next())
        self._steps.append(partial(_rename, path, f"{aside}/kept"))

    def rename(self, old: str, new: str) -> None:
        """Prepare a new name for a folder."""
        self._steps.append(partial(_rename, old, new))

    def make(
        self, folder: str, files: Mapping[str, bytes], folders: Iterable[str], *, merge: bool
    ) -> None:
        """Prepare a folder with a description and other files.

        Parameters
        ----------
        folder : str
            Its path.
        files : mapping of str to bytes
            What is in it, by relative paths.
        folders : iterable of str
            The folders in it, parents first.
        merge : bool
            Whether the folder is there already, with artifacts in it. Then all is written to its
            place, and the description comes last: without it the folder is nothing to anybody.
        """
        if merge:
            self._fill(folder, files, folders)
            return
        temporary = self._next()
        self._start(os.mkdir, temporary)
        for name in folders:
            os.mkdir(f"{temporary}/{name}")  # noqa: PTH102
        for name, data in files.items():
            _write_below(f"{temporary}/{name}", data)
        self._steps.append(partial(_publish, temporary, folder))

    def _fill(self, folder: str, files: Mapping[str, bytes], folders: Iterable[str]) -> None:
        names = list(folders)
        description = f"{folder}/{META}.new"
        leftovers = [f"{folder}/{name}" for name in names if "/" not in name and name != _ARTIFACTS]
        self._filled += [description, *leftovers]
        for path in (description, *leftovers):
            if os.path.lexists(path):
                _wipe(path)  # somebody was killed here
        for name in names:
            with suppress(FileExistsError):
                os.mkdir(f"{folder}/{name}")  # noqa: PTH102
        for name, data in files.items():
            _write_below(description if name == META else f"{folder}/{name}", data)
        self._steps.append(partial(_move, description, f"{folder}/{META}", None))

    def commit(self) -> None:
        """Make the changes; when one fails, take back those before it and raise."""
        done: list[Undo] = []
        try:
            for step in self._steps:
                done.append(step())
        except BaseException:
            for undo in reversed(done):
                with suppress(OSError):
                    undo()
            raise
        self._filled.clear()

    def discard(self) -> None:
        """Remove what is left of the preparations."""
        for path in (*self._used, *self._filled):
            _wipe(path)

    def _start(self, make: Callable[..., None], *arguments: object) -> None:
        """Make something in the folder of what is not whole, which may be missing."""
        try:
            make(*arguments)
        except FileNotFoundError:
            make_own_folder(staging(self._experiment))
            make(*arguments)

    def _next(self) -> str:
        name = f"{self._temporary}-{len(self._used)}"
        self._used.append(name)
        return name


def tidy(experiment: str) -> None:
    """Remove what processes left behind that were killed while they wrote, long ago."""
    with suppress(OSError), os.scandir(staging(experiment)) as entries:
        for entry in entries:
            if entry.stat(follow_symlinks=False).st_mtime < time.time() - _DAY:
                _wipe(entry.path)


def _wipe(path: str) -> None:
    """Remove a file or a folder, if it is there."""
    try:
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        pass
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def _write_below(path: str, data: bytes) -> None:
    try:
        write_new(path, data)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        write_new(path, data)


def _move(temporary: str, path: str, aside: str | None) -> Undo:
    """Move a file to its place; the old one, if there is, is kept aside for the way back.

    To go back must not need room on the disk, for that may be what is missing.
    """
    undo: Undo = partial(os.unlink, path)
    if aside is not None:
        try:
            os.link(path, aside)
            undo = partial(os.replace, aside, path)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            undo = partial(_restore, aside, path, read(path))  # the file system knows no links
    _into_folder(os.replace, temporary, path)
    return undo


def _into_folder(move: Callable[[str, str], None], source: str, path: str) -> None:
    """Move something into a folder, which is made when it is missing."""
    try:
        move(source, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        move(source, path)


def _restore(temporary: str, path: str, data: bytes) -> None:
    write_new(temporary, data)
    os.replace(temporary, path)  # noqa: PTH105


def _append(path: str, data: bytes) -> Undo:
    descriptor = os.open(path, _APPEND)
    try:
        size = os.fstat(descriptor).st_size
        os.lseek(descriptor, max(size - 1, 0), os.SEEK_SET)
        if size and os.read(descriptor, 1) != b"\n":
            data = b"\n" + data  # what was left without its end must not swallow this
        if os.write(descriptor, data) < len(data):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(descriptor)
    return partial(_shorten, path, size + len(data), size)


def _shorten(path: str, before: int, after: int) -> None:
    if os.stat(path).st_size == before:  # noqa: PTH116 - else another has written since
        os.truncate(path, after)


def _remove(path: str, below: str, aside: str) -> Undo:
    os.rename(path, aside)  # noqa: PTH104
    folder = os.path.dirname(path)  # noqa: PTH120
    with suppress(OSError):
        while len(folder) > len(below):
            os.rmdir(folder)  # noqa: PTH106
            folder = os.path.dirname(folder)  # noqa: PTH120
    return partial(_into_folder, os.rename, aside, path)


def _rename(old: str, new: str) -> Undo:
    os.rename(old, new)  # noqa: PTH104
    return partial(os.rename, new, old)


def _publish(temporary: str, folder: str) -> Undo:
    try:
        try:
            os.rename(temporary, folder)  # noqa: PTH104
        except FileNotFoundError:
            os.mkdir(os.path.dirname(folder))  # noqa: PTH102, PTH120 - that of models
            os.rename(temporary, folder)  # noqa: PTH104
    except OSError as error:
        if os.path.isdir(folder):  # noqa: PTH112
            raise FolderAppearedError(errno.EEXIST, os.strerror(errno.EEXIST), folder) from error
        raise
    return partial(os.rename, folder, temporary)
