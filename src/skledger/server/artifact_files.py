"""Files as a tracking server gives and takes them: piece by piece, whatever their size."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from typing import BinaryIO

from skledger.errors import InvalidParameterError, NotFoundError, SkledgerError, StoreError

__all__ = [
    "FileUpload",
    "ServedFile",
    "TemporaryUpload",
    "Upload",
    "is_folder",
    "open_local",
    "scan_local",
]

#: Files that are still coming.
#: Whether the system opens a file by its folder, which is open already.
_BY_PARTS = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_CLOSED_LATER = getattr(os, "O_CLOEXEC", 0)
#: A pipe that nobody writes to is not waited for.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | _CLOSED_LATER
#: Folders that are only passed need not be readable.
_ON_THE_WAY = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _CLOSED_LATER
#: What a system says of a file that is not there, or is none that can be read.
_NOT_THERE = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)
)


class ServedFile:
    """A file that is open for reading.

    Parameters
    ----------
    file : binary file
        That can be sought.
    name : str
        Its name.
    modified : float, optional
        When it was last changed, in s since the epoch.

    Attributes
    ----------
    size : int
        In bytes.
    """

    def __init__(self, file: BinaryIO, name: str, modified: float | None = None) -> None:
        self.name, self.modified = name, modified
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)

    def __enter__(self) -> ServedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; all that are left by default, none at the end."""
        return self._file.read(size)

    def read_range(self, start: int, size: int) -> bytes:
        """Return bytes from a position, as many as there are."""
        self._file.seek(start)
        return self._file.read(size)

    def seek(self, start: int) -> None:
        """Go to a position."""
        self._file.seek(start)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def open_local(top: str, path: str, asked: str) -> ServedFile:
    """Open a file below a folder; a link on the way is not followed.

    Parameters
    ----------
    top : str
        The folder.
    path : str
        The file's path below it.
    asked : str
        The path by which it was asked for.

    Raises
    ------
    NotFoundError
        When there is no such file, or it is a folder or a device.
    InvalidParameterError
        When a part of its path is a link.
    """
    with _refusing(asked, "read"):
        try:
            descriptor = _open_below(top, path, _READ)
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise _missing(asked) from error
            raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise _missing(asked)
    return ServedFile(os.fdopen(descriptor, "rb"), asked.rpartition("/")[2], found.st_mtime)


@contextlib.contextmanager
def scan_local(top: str, path: str, asked: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Give the entries of a folder below another, none when it is not there; as `open_local`."""
    with _refusing(asked, "list"):
        try:
            folder = _open_folder(top, path)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            folder = None
    if folder is None:
        yield iter(())
        return
    try:
        with os.scandir(folder) as entries:
            yield entries
    finally:
        if isinstance(folder, int):
            os.close(folder)


def is_folder(top: str, path: str) -> bool:
    """Whether there is a folder; no link is followed."""
    try:
        folder = _open_folder(top, path)
    except OSError:
        return False
    if isinstance(folder, int):
        os.close(folder)
    return True


def _open_folder(top: str, path: str) -> int | str:
    """Return a folder in a form in which its entries can be read."""
    if _BY_PARTS:
        return _open_below(top, path, os.O_RDONLY | os.O_DIRECTORY)
    folder = _without_links(top, path)  # pragma: no cover - Windows
    if not stat.S_ISDIR(os.stat(folder).st_mode):  # pragma: no cover  # noqa: PTH116
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    return folder  # pragma: no cover


def _open_below(top: str, path: str, flags: int) -> int:
    """Open what is at a path below a folder, one part after the other.

    Who can write there may put a link in the place of a part at any moment, so that a path that
    was looked at first might lead elsewhere by the time it is opened.
    """
    if not _BY_PARTS:  # pragma: no cover - Windows
        return os.open(_without_links(top, path), flags)
    parts = path.split("/") if path else []
    descriptor = os.open(top, _ON_THE_WAY if parts else flags)
    for at, part in enumerate(parts, 1):
        wanted = flags if at == len(parts) else _ON_THE_WAY
        try:
            inner = os.open(part, wanted | os.O_NOFOLLOW, dir_fd=descriptor)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(part, descriptor):
                raise _LinkError from error
            raise
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _without_links(top: str, path: str) -> str:  # pragma: no cover - Windows
    """Return the path of what is below a folder; none of its parts is a link."""
    target = top
    for part in path.split("/") if path else []:
        target = os.path.join(target, part)  # noqa: PTH118
        if os.path.islink(target):  # noqa: PTH114
            raise _LinkError
    return target


class _LinkError(OSError):
    """A part of a path is a link."""


@contextlib.contextmanager
def _refusing(path: str, doing: str) -> Iterator[None]:
    """Turn the errors of the system at reading into ours."""
    try:
        yield
    except _LinkError as error:
        raise InvalidParameterError(
            f"artifact path {path!r}: a link is on the way, and links are not followed here"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot {doing} {path!r}: {error.strerror or error}") from error


class Upload:
    """A file that comes piece by piece, and is there when it is whole.

    Parameters
    ----------
    path : str
        Which.
    temporary : str
        Where the pieces go first.
    """

    def __init__(self, path: str, temporary: str) -> None:
        self._path, self._temporary = path, temporary
        with _told(path):
            self._descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
            )

    def write(self, chunk: bytes) -> None:
        """Take the next piece."""
        with _told(self._path):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def commit(self) -> None:
        """Put the whole file into its place."""
        self._close()
        try:
            self._finish()
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove what came so far; nothing when the file is in its place."""
        self._close()
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)  # noqa: PTH108

    def _finish(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class FileUpload(Upload):
    """A file of this machine; `target` has no links any more, and its folder is there."""

    def __init__(self, target: str, path: str) -> None:
        self._target = target
        folder = target.rpartition(os.sep)[0]
        # Not the name with an ending: it may be as long as the file system takes.
        super().__init__(path, f"{folder}{os.sep}.{uuid.uuid4().hex}.tmp")

    def _finish(self) -> None:
        with _told(self._path):
            os.replace(self._temporary, self._target)  # noqa: PTH105


class TemporaryUpload(Upload):
    """A file that is sent elsewhere when it is whole; `send` is given its path here."""

    def __init__(self, path: str, send: Callable[[str], None]) -> None:
        self._send = send
        place = f"{tempfile.gettempdir()}{os.sep}skledger-{uuid.uuid4().hex}.tmp"
        super().__init__(path, place)

    def _finish(self) -> None:
        self._send(self._temporary)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn the errors of the system into ours."""
    try:
        yield
    except SkledgerError:
        raise
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise InvalidParameterError(
            f"there cannot be a file {path!r}: a folder has that name, or a file that of its folder"
        ) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidParameterError(
                f"the name of the file {path[:80]!r} is too long"
            ) from error
        raise StoreError(f"cannot write {path!r}: {error.strerror or error}") from error


def _missing(path: str) -> NotFoundError:
    return NotFoundError(f"No such artifact: '{path}'")
