"""Files that belong to runs and models."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from skledger.errors import InvalidParameterError, MissingFileError, NotFoundError, StoreError
from skledger.tracking.entities import FileInfo

__all__ = [
    "ArtifactStore",
    "LocalArtifacts",
    "artifact_store",
    "check_artifact_path",
    "current_server",
    "files_below",
    "is_temporary",
    "local_folder",
]

#: Names of what is being written, and of what is being replaced. Nobody else's file has one.
_TEMPORARY = re.compile(r"\.(?:.*\.)?[0-9a-f]{32}(?:\.old)?\.tmp", re.DOTALL)

#: The address of the tracking server in use, which serves what is at ``mlflow-artifacts:/...``;
#: opening a store on a server sets it.
current_server: str | None = None


class ArtifactStore(Protocol):
    """Files under one root. Paths are relative and use ``/``, whatever the platform.

    A path that leaves the root is an `InvalidParameterError`, a file that is not there a
    `NotFoundError`, and a medium that fails a `StoreError`.
    """

    #: Where the root is: a plain absolute path, or a URI.
    uri: str

    def put_bytes(self, path: str, data: bytes | bytearray | memoryview) -> None:
        """Write a file: wholly or not at all."""
        ...

    def put_file(self, path: str, source: str | os.PathLike[str]) -> None:
        """Copy a local file."""
        ...

    def put_folder(self, path: str, source: str | os.PathLike[str]) -> None:
        """Copy all files of a local folder into the folder `path`; an empty path is the root."""
        ...

    def list(self, path: str = "") -> list[str]:
        """Return the paths of the files and folders in a folder, sorted; none when it is not."""
        ...

    def list_infos(self, path: str = "") -> Sequence[FileInfo]:
        """Return the same with kinds and sizes."""
        ...

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        ...

    def local_path(self, path: str = "") -> str:
        """Return a path on this machine for a file or folder."""
        ...


def artifact_store(uri: str, server: str | None = None) -> ArtifactStore:
    """Return the files at an artifact location.

    Parameters
    ----------
    uri : str
        An absolute path or a ``file:`` URI; ``mlflow-artifacts:/...`` or the address of artifacts
        on a tracking server; ``s3://``, ``gs://``, ``abfs://`` or what else fsspec knows.
    server : str, optional
        The address of the tracking server, for what is on one; by default the one in use.

    Raises
    ------
    InvalidParameterError
        For anything else.
    StoreError
        When the library for this kind of location is not installed.
    """
    if os.path.isabs(uri):  # noqa: PTH117 - hot, and `uri` is text
        return LocalArtifacts(uri)
    if uri.startswith("file:"):
        parts = urlsplit(uri)
        path = unquote(parts.path)
        if parts.netloc not in ("", "localhost") or not path.startswith("/"):
            raise InvalidParameterError(
                f"artifact location {uri!r} is not on this machine: expected file:///a/folder"
            )
        if os.name == "nt":  # pragma: no cover
            path = path.lstrip("/")
        return LocalArtifacts(path)
    if "://" in uri or uri.startswith("mlflow-artifacts:"):
        from skledger.stores.artifacts_remote import open_remote

        return open_remote(uri, server or current_server)
    raise InvalidParameterError(
        f"artifact location {uri!r} is not known: expected an absolute path, file:///a/folder or "
        "the URI of a remote location such as s3://bucket/folder"
    )


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is one that is still coming."""
    return _TEMPORARY.fullmatch(name) is not None


def check_artifact_path(path: object) -> None:
    """Refuse a path that is not relative, or leaves the root it is relative to."""
    if (
        not isinstance(path, str)
        or not path
        or path[0] == "/"
        or "\\" in path
        or path[1:2] == ":"
        or "\0" in path
        or ".." in path.split("/")
    ):
        raise InvalidParameterError(
            f"artifact path {path!r}: expected a relative path with '/' between its parts, "
            "without '..', drive or backslash, such as 'plots/roc.png'"
        )


def files_below(artifacts: ArtifactStore) -> Iterator[FileInfo]:
    """Yield every file under a root; each folder is listed once."""
    folders = [""]
    while folders:
        for info in artifacts.list_infos(folders.pop()):
            if info.is_dir:
                folders.append(info.path)
            else:
                yield info


def local_folder(uri: str) -> Path:
    """Return the folder of this machine that an artifact location names."""
    return Path(artifact_store(uri).local_path())


class LocalArtifacts:
    """Files in a local folder, which is created by the first file.

    Parameters
    ----------
    root : path-like
        The folder.

    Attributes
    ----------
    uri : str
        The folder, absolute.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.uri = os.path.abspath(root)  # noqa: PTH100 - a link is not followed

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def put_bytes(self, path: str, data: bytes | bytearray | memoryview) -> None:
        """Write a file: wholly or not at all.

        Five system calls when the folder is there: open, write, close, rename, and what the
        interpreter adds. The file is not flushed to the disk: it survives the process, as the
        record in the database does, not a power cut.
        """
        target = self._resolve(path)
        temporary = self._temporary(target)
        try:
            descriptor = self._create(temporary)
            try:
                rest = memoryview(data).cast("B")
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)
            os.replace(temporary, target)  # noqa: PTH105 - hot
        except OSError as error:
            self._discard(temporary)
            raise self._failed("write", target, error) from error

    def put_file(self, path: str, source: str | os.PathLike[str]) -> None:
        """Copy a local file: wholly or not at all."""
        if not os.path.isfile(source):  # noqa: PTH113
            raise MissingFileError(f"there is no file {os.fspath(source)!r} to copy to {path!r}")
        target = self._resolve(path)
        temporary = self._temporary(target)
        try:
            os.close(self._create(temporary))
            shutil.copyfile(source, temporary)
            os.replace(temporary, target)  # noqa: PTH105
        except OSError as error:
            self._discard(temporary)
            raise self._failed("write", target, error) from error

    def put_folder(self, path: str, source: str | os.PathLike[str]) -> None:
        """Copy all files of a local folder into the folder `path`; an empty path is the root."""
        folder = Path(source)
        if not folder.is_dir():
            raise MissingFileError(f"there is no folder {str(folder)!r} to copy to {path!r}")
        if path:
            self._resolve(path)
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put_file(str(PurePosixPath(path, file.relative_to(folder).as_posix())), file)

    def list(self, path: str = "") -> list[str]:
        """Return the paths of the files and folders in a folder, sorted; none when it is not."""
        return [each.path for each in self.list_infos(path)]

    def list_infos(self, path: str = "") -> Sequence[FileInfo]:
        """Return the same with kinds and sizes; what is being written is left out."""
        folder = self._resolve(path) if path else self.uri
        found = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_temporary(entry.name):
                        continue
                    name = f"{path.rstrip('/')}/{entry.name}" if path else entry.name
                    try:
                        is_dir = entry.is_dir()
                        size = None if is_dir else entry.stat().st_size
                    except FileNotFoundError:  # it was there a moment ago
                        continue
                    found.append(FileInfo(name, is_dir, size))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._failed("list", folder, error) from error
        return sorted(found, key=lambda info: info.path)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        target = self._resolve(path)
        try:
            return open(target, "rb")  # noqa: PTH123 - the caller closes it
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFoundError(f"there is no artifact {path!r} in {self.uri}") from error
        except OSError as error:
            raise self._failed("read", target, error) from error

    def local_path(self, path: str = "") -> str:
        """Return the path of a file or folder; `NotFoundError` when there is none."""
        target = self._resolve(path) if path else self.uri
        if path and not os.path.exists(target):  # noqa: PTH110
            raise NotFoundError(f"there is no artifact {path!r} in {self.uri}")
        return target

    def _resolve(self, path: str) -> str:
        """Return the full path of an artifact, having made sure that it is inside the root."""
        check_artifact_path(path)
        return f"{self.uri}/{path}"

    @staticmethod
    def _temporary(target: str) -> str:
        # Not the name with an ending: it may be as long as the file system takes.
        return f"{target.rpartition('/')[0]}/.{uuid.uuid4().hex}.tmp"

    @staticmethod
    def _create(file: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            return os.open(file, flags, 0o666)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(file), exist_ok=True)  # noqa: PTH103, PTH120
            return os.open(file, flags, 0o666)

    @staticmethod
    def _discard(file: str) -> None:
        try:
            os.unlink(file)  # noqa: PTH108
        except OSError:
            pass

    @staticmethod
    def _failed(doing: str, target: str, error: OSError) -> StoreError:
        return StoreError(
            f"cannot {doing} {target}: {error.strerror or error}; check that the folder can be "
            "written to and that the disk has room"
        )
