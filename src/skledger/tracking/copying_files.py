"""Copying the files of a run or a model, each compared by its SHA-256 when it has arrived."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from skledger.errors import (
    InvalidParameterError,
    NotFoundError,
    SkledgerError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores.artifacts import ArtifactStore, LocalArtifacts, files_below

__all__ = ["DESCRIPTOR", "FileCopier", "rewritten"]

#: The file that describes a model, and names its run and itself.
DESCRIPTOR = "MLmodel"
_NAMES_ITSELF = rb"(?m)^((?:run_id|model_id|model_uuid):[ \t]*[\"']?)([\w-]+)([\"']?[ \t]*\r?)$"
_PIECE = 1 << 20


class FileCopier:
    """Copies the files under one root to another.

    Parameters
    ----------
    source, destination : ArtifactStore
        The two roots.
    ids : mapping
        Identifiers of runs and models that are others at the destination.
    resumed : bool
        Whether some files may be there already; they are looked at and not sent again.
    copied : callable
        Called with the size of each file that has arrived, in bytes.

    Attributes
    ----------
    before, after : dict of str to str
        The SHA-256 of each file at the source and at the destination, in hexadecimal, by path.
    notes : list of str
        What is not as one would expect.
    refused : list of str
        What the destination does not take, and why; the other files are there.
    """

    def __init__(
        self,
        source: ArtifactStore,
        destination: ArtifactStore,
        ids: Mapping[str, str],
        *,
        resumed: bool,
        copied: Callable[[int], None],
    ) -> None:
        self._source, self._destination = source, destination
        self._ids, self._resumed, self._copied = ids, resumed, copied
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}
        self.notes: list[str] = []
        self.refused: list[str] = []

    def run(self) -> None:
        """Copy every file.

        Raises
        ------
        SkledgerError
            When a file cannot be read or written, or has not arrived as it was sent.
        """
        for path in self._paths():
            try:
                self._copy(path)
            except InvalidParameterError as error:
                self.refused.append(f"the file {path!r}: {error.message}")
        renamed = set(self.after) - set(_paths(self._destination)) if self.after else ()
        for path in sorted(renamed):
            # It was found under its name, or the copy would have ended there.
            self.notes.append(f"{path!r} is listed under another name in {self._destination.uri}")

    def _paths(self) -> Iterator[str]:
        try:
            yield from _paths(self._source)
        except StoreUnavailableError:
            raise
        except StoreError as error:  # one folder that cannot be read; others may
            raise SkledgerError(error.message) from error

    def _copy(self, path: str) -> None:
        with _at_hand(self._source, path) as local:
            digest, size = _digest_of(local)
            self.before[path] = digest
            content = None
            if self._ids and path.rpartition("/")[2] == DESCRIPTOR:
                content = rewritten(local.read_bytes(), self._ids)
                digest, size = hashlib.sha256(content).hexdigest(), len(content)
            if not self._resumed or self._digest_there(path) != digest:
                if content is None:
                    self._destination.put_file(path, local)
                else:
                    self._destination.put_bytes(path, content)
                self._check(path, digest)
        self.after[path] = digest
        self._copied(size)

    def _check(self, path: str, digest: str) -> None:
        found = self._digest_there(path)
        if found != digest:
            told = "it is not there" if found is None else f"its SHA-256 is {found}"
            raise SkledgerError(
                f"The file {path!r} did not arrive in {self._destination.uri} as it was sent: "
                f"{told}, expected {digest}. Copy again; if it stays so, check that place."
            )

    def _digest_there(self, path: str) -> str | None:
        try:
            with self._destination.open(path) as stream:
                return _digest_of_stream(stream)[0]
        except NotFoundError:
            return None


def rewritten(descriptor: bytes, ids: Mapping[str, str]) -> bytes:
    """Return an ``MLmodel`` that names other identifiers; all else in it stays as it is."""

    def replaced(match: re.Match[bytes]) -> bytes:
        old = match[2].decode()
        return match[1] + ids.get(old, old).encode() + match[3]

    return re.sub(_NAMES_ITSELF, replaced, descriptor)


def _paths(artifacts: ArtifactStore) -> Iterator[str]:
    return (info.path for info in files_below(artifacts))


class _at_hand:  # noqa: N801 - reads as a statement
    """Have a file on this machine while it is copied."""

    def __init__(self, artifacts: ArtifactStore, path: str) -> None:
        self._artifacts, self._path = artifacts, path
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Path:
        if isinstance(self._artifacts, LocalArtifacts):
            return Path(self._artifacts.local_path(self._path))
        self._folder = tempfile.TemporaryDirectory(prefix="skledger-copy-")
        local = Path(self._folder.name, "file")
        try:
            with self._artifacts.open(self._path) as source, local.open("wb") as target:
                while piece := source.read(_PIECE):
                    target.write(piece)
        except BaseException:
            self._folder.cleanup()
            raise
        return local

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()


def _digest_of(file: Path) -> tuple[str, int]:
    try:
        with file.open("rb") as stream:
            return _digest_of_stream(stream)
    except OSError as error:
        raise SkledgerError(f"The file {file} cannot be read: {error.strerror}.") from error


def _digest_of_stream(stream: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while piece := stream.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size
