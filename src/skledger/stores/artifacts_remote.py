"""Files of runs and models on other machines: what all kinds of them share."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, cast

from skledger.errors import MissingFileError, NotFoundError, StoreError
from skledger.stores.artifacts import ArtifactStore, check_artifact_path, is_temporary
from skledger.stores.temporary import folder_of_process
from skledger.tracking.entities import FileInfo

__all__ = ["RemoteArtifacts", "open_remote"]

#: What is opened stays in memory up to this size, in bytes, and in a temporary file beyond.
_IN_MEMORY = 8 << 20
#: How many files of a folder are sent at once.
_AT_ONCE = 8


def open_remote(uri: str, server: str | None) -> ArtifactStore:
    """Return the files at a location that is not of this machine.

    Parameters
    ----------
    uri : str
        See `skledger.stores.artifacts.artifact_store`.
    server : str or None
        The address of the tracking server in use.
    """
    scheme = uri.partition(":")[0]
    if scheme in ("http", "https", "mlflow-artifacts"):
        from skledger.stores.rest_artifacts import open_served

        return open_served(uri, server)
    from skledger.stores.artifacts_fsspec import FsspecArtifacts

    return FsspecArtifacts(uri)


class RemoteArtifacts:
    """Files under one root elsewhere. See `skledger.stores.artifacts.ArtifactStore`.

    What is opened or asked for as a local path is downloaded each time: what is there now counts.

    Parameters
    ----------
    uri : str
        Where the root is.

    Attributes
    ----------
    uri : str
        As given.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    # What each kind does in its own way

    def _send_bytes(self, path: str, data: bytes) -> None:
        raise NotImplementedError

    def _send_file(self, path: str, source: str, size: int) -> None:
        raise NotImplementedError

    def _fetch(self, path: str, sink: IO[bytes]) -> None:
        """Write a file to the sink; `NotFoundError` when there is no such file."""
        raise NotImplementedError

    def _entries(self, path: str) -> Iterator[FileInfo]:
        """Yield what is in a folder, by names; nothing when it is not there."""
        raise NotImplementedError

    # What they share

    def put_bytes(self, path: str, data: bytes | bytearray | memoryview) -> None:
        """Write a file: wholly or not at all."""
        check_artifact_path(path)
        self._send_bytes(path, bytes(data))

    def put_file(self, path: str, source: str | os.PathLike[str]) -> None:
        """Copy a local file, without holding it in memory."""
        check_artifact_path(path)
        file = Path(source)
        if not file.is_file():
            raise MissingFileError(f"there is no file {str(file)!r} to copy to {path!r}")
        self._send_file(path, str(file), file.stat().st_size)

    def put_folder(self, path: str, source: str | os.PathLike[str]) -> None:
        """Copy all files of a local folder into the folder `path`; an empty path is the root."""
        folder = Path(source)
        if not folder.is_dir():
            raise MissingFileError(f"there is no folder {str(folder)!r} to copy to {path!r}")
        if path:
            check_artifact_path(path)
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        names = [str(PurePosixPath(path, file.relative_to(folder).as_posix())) for file in files]
        # A `fit` may wait for the files of its model, and each is a request to far away.
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="skledger-files") as pool:
            for _ in pool.map(self.put_file, names, files):
                pass

    def list(self, path: str = "") -> list[str]:
        """Return the paths of the files and folders in a folder, sorted; none when it is not."""
        return [each.path for each in self.list_infos(path)]

    def list_infos(self, path: str = "") -> Sequence[FileInfo]:
        """Return what is in a folder with sizes, sorted by path, in one request."""
        if path:
            check_artifact_path(path)
        found = {}
        for each in self._entries(path):
            name = PurePosixPath(each.path).name
            # The names are another machine's: none may lead out of the folder.
            if name and name != ".." and "\\" not in name and "\0" not in name:
                whole = str(PurePosixPath(path, name))
                found[whole] = FileInfo(whole, each.is_dir, each.file_size)
        return [found[each] for each in sorted(found)]

    def open(self, path: str) -> BinaryIO:
        """Download a file, and open the copy for reading."""
        check_artifact_path(path)
        sink = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the caller closes it
        try:
            self._fetch(path, cast(IO[bytes], sink))
        except BaseException:
            sink.close()
            raise
        sink.seek(0)
        return cast(BinaryIO, sink)

    def local_path(self, path: str = "") -> str:
        """Download a file or a folder and return where; it is removed when the process ends."""
        if path:
            check_artifact_path(path)
        root = Path(folder_of_process().path, hashlib.sha256(self.uri.encode()).hexdigest()[:16])
        target = root / path
        try:
            infos = self.list_infos(path)
            if infos or not path:
                target.mkdir(parents=True, exist_ok=True)
                self._download_folder(root, target, infos)
            else:
                self._download(path, target)
        except OSError as error:
            raise StoreError(
                f"cannot keep a copy of {self.uri} in {root}: {error.strerror or error}; check "
                "that the folder for temporary files can be written to and has room"
            ) from error
        return str(target)

    def _download_folder(self, root: Path, folder: Path, infos: Sequence[FileInfo]) -> None:
        """Bring a local folder to what is listed; files that are not are removed from it."""
        for info in infos:
            target = root / info.path
            if info.is_dir:
                target.mkdir(parents=True, exist_ok=True)
                self._download_folder(root, target, self.list_infos(info.path))
            else:
                self._download(info.path, target)
        listed = {root / info.path for info in infos}
        for each in folder.iterdir():
            if each in listed or is_temporary(each.name):
                continue
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)

    def _download(self, path: str, target: Path) -> None:
        """Bring one file; whoever has an older copy of it open keeps that."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("xb") as sink:
                self._fetch(path, sink)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _missing(self, path: str) -> NotFoundError:
        return NotFoundError(f"there is no artifact {path!r} in {self.uri}")
