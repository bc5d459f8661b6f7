"""Folders of files as ZIP archives, piece by piece."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, TYPE_CHECKING, cast

from skledger.server.artifact_paths import checked_path

if TYPE_CHECKING:
    from skledger.server.artifact_access import ServedArtifacts

__all__ = ["Part", "zipped"]

_CHUNK = 1 << 20
#: The years that archives know.
_YEARS = range(1980, 2108)


@dataclass(frozen=True, slots=True)
class Part:
    """A folder, or a file, that is to be in an archive.

    Parameters
    ----------
    uri : str
        The location of a run or model.
    path : str
        The path below it; empty for all of its files.
    folder : str
        In which folder of the archive it is; empty for its root.
    """

    uri: str
    path: str = ""
    folder: str = ""


def zipped(artifacts: ServedArtifacts, parts: Sequence[Part]) -> Iterator[bytes]:
    """Return the pieces of an archive, which is kept nowhere whole.

    Parameters
    ----------
    artifacts : ServedArtifacts
        Reads the files.
    parts : sequence of Part
        What is in it.

    Raises
    ------
    NotFoundError
        When one of the parts is not there, before the first piece is asked for.
    """
    begun = []
    for part in parts:
        path = checked_path(part.path)
        files = _files(artifacts, part.uri, path)
        first = next(files, None)
        if first is not None and first == path:
            artifacts.open(part.uri, path).close()
        begun.append((part, path, files if first is None else chain((first,), files)))
    return _pieces(artifacts, begun)


def _pieces(
    artifacts: ServedArtifacts, parts: Iterable[tuple[Part, str, Iterator[str]]]
) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(cast(IO[bytes], sink), "w", compresslevel=1) as archive:
        for part, path, files in parts:
            above = path.rpartition("/")[0]
            for each in files:
                name = each.removeprefix(above).lstrip("/") if above else each
                name = f"{part.folder}/{name}" if part.folder else name
                yield from _member(archive, sink, artifacts, part.uri, each, name)
    yield from sink.taken()


def _member(
    archive: zipfile.ZipFile,
    sink: _Sink,
    artifacts: ServedArtifacts,
    uri: str,
    path: str,
    name: str,
) -> Iterator[bytes]:
    """Yield the pieces of one file."""
    with artifacts.open(uri, path) as file:
        # Names in archives are in UTF-8, which has no half letters.
        info = zipfile.ZipInfo(name.encode(errors="replace").decode(), _moment(file.modified))
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=file.size >= 1 << 31) as member:
            while chunk := file.read(_CHUNK):
                member.write(chunk)
                yield from sink.taken()
    yield from sink.taken()


def _moment(modified: float | None) -> tuple[int, int, int, int, int, int]:
    """Return when a file was written, as archives have it: in local time, without a zone."""
    first = (1980, 1, 1, 0, 0, 0)
    if modified is None:
        return first
    try:
        local = time.localtime(modified)
    except (OverflowError, OSError, ValueError):
        return first
    if local.tm_year not in _YEARS:
        return first
    return (*local[:5], min(local.tm_sec, 59))


def _files(artifacts: ServedArtifacts, uri: str, path: str) -> Iterator[str]:
    """Yield the files in a folder and those below it; what is no folder is yielded itself."""
    folders, is_empty = [path], True
    while folders:
        for each in artifacts.list(uri, folders.pop()):
            is_empty = False
            if each.is_dir:
                folders.append(each.path)
            else:
                yield each.path
    if path and is_empty and not artifacts.is_folder(uri, path):
        yield path


class _Sink:
    """What an archive is written to: keeps it until it is taken."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> Iterator[bytes]:
        if self._chunks:
            chunks, self._chunks = self._chunks, []
            yield b"".join(chunks)
