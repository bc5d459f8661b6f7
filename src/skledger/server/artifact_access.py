"""The files of runs and models, as a tracking server reads, takes and removes them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from skledger.errors import InvalidParameterError, NotFoundError, StoreError
from skledger.server.artifact_archives import Part, zipped
from skledger.server.artifact_files import (
    FileUpload,
    ServedFile,
    TemporaryUpload,
    Upload,
    is_folder,
    open_local,
    scan_local,
)
from skledger.server.artifact_paths import (
    above_owner,
    check_experiment_location,
    check_readable,
    checked_path,
    identifiers_in,
    is_below,
    is_local,
    local_path,
    safe_path,
    safe_target,
)
from skledger.stores.artifacts import ArtifactStore, artifact_store, is_temporary
from skledger.stores.base import Store
from skledger.tracking.entities import FileInfo

__all__ = ["PROXIED", "ServedArtifacts"]

#: The root of what clients upload through this server.
PROXIED = "mlflow-artifacts:/"
#: How many locations are remembered as those of a run or a model.
_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file is: a folder out of which no link may lead and the path below it, or elsewhere.

    Parameters
    ----------
    top : str
        The folder of this machine; empty for what is elsewhere.
    path : str
        The path below `top`, or below the root of `elsewhere`; empty for the root.
    elsewhere : ArtifactStore, optional
        Files of an object store.
    is_own : bool
        Whether the folder is the server's own, where nobody else puts links: those that stay in
        it are followed, and files are taken. In others, which some client named, no link is.
    """

    top: str
    path: str
    elsewhere: ArtifactStore | None = None
    is_own: bool = True

    @property
    def plain(self) -> str:
        """The path without the links that may be followed."""
        return safe_path(self.top, self.path) if self.is_own else self.path


class ServedArtifacts:
    """Files by the location of their run or model, and the path below it.

    Only what is below the destination of uploads, below the store's own artifact root, or in the
    folder of a run or model that the store knows, is ever read: a location is what some client
    wrote. Paths cannot leave a location, nor do links.

    Parameters
    ----------
    store : Store
        Knows the runs and models.
    destination : str, optional
        Where uploads go: a folder or the URI of one. None when nothing is taken.
    """

    def __init__(self, store: Store, destination: str | None = None) -> None:
        self._store = store
        if destination and not urlsplit(destination).scheme:
            destination = os.path.abspath(destination)  # noqa: PTH100
        self.destination = destination or None
        root = getattr(store, "artifact_root", None)
        own = [root] if root and not root.startswith("mlflow-artifacts:") else []
        self._roots = [*own, *([self.destination] if self.destination else [])]
        self._known: dict[str, str] = {}

    def is_own(self, location: str) -> bool:
        """Whether a location is where this server keeps files, and not one that a client named."""
        if location.startswith("mlflow-artifacts:"):
            return True
        return any(is_below(location, root) for root in self._roots)

    def check_location(self, location: str) -> None:
        """Refuse a location that an experiment cannot have; `InvalidParameterError`."""
        check_experiment_location(location, self._roots)

    def check_source(self, uri: str) -> None:
        """Refuse a place of files that is in no folder of a run or model, nor in an object store.

        Raises
        ------
        InvalidParameterError
            When it is somewhere else.
        """
        try:
            if uri.startswith("mlflow-artifacts:"):
                self._owner(uri)
                return
            check_readable(uri, self._roots)
            if is_local(uri):
                self._owner(uri)
        except NotFoundError as error:
            raise InvalidParameterError(
                f"Invalid model version source: {error.message}; expected models:/..., runs:/..., "
                "a folder among the files of a run or a model, or one of an object store"
            ) from error

    def list(self, uri: str, path: str = "") -> Sequence[FileInfo]:
        """Return what is in a folder, with paths below the location; nothing when it is not."""
        path = checked_path(path)
        place = self._place(uri, path)
        if place.elsewhere is not None:
            found = place.elsewhere.list_infos(place.path)
            return [_renamed(each, path) for each in found]
        return _list_folder(place, path)

    def open(self, uri: str, path: str) -> ServedFile:
        """Open a file; `NotFoundError` when there is none."""
        path = checked_path(path)
        place = self._place(uri, path)
        if place.elsewhere is None:
            return open_local(place.top, place.plain, path)
        if not place.path:
            raise NotFoundError(f"No such artifact: '{path}'")
        return ServedFile(place.elsewhere.open(place.path), path.rpartition("/")[2])

    def read(self, uri: str, path: str, limit: int = 1 << 20) -> bytes:
        """Return the first bytes of a file."""
        with self.open(uri, path) as file:
            return file.read(limit)

    def receive(self, uri: str, path: str) -> Upload:
        """Begin to take a file; see `Upload`."""
        path = checked_path(path)
        place = self._place_to_write(uri, path)
        if is_temporary(path.rpartition("/")[2]):
            raise InvalidParameterError(
                f"artifact path {path!r}: names of this form are those of files that are still "
                "coming; give it another"
            )
        if place.elsewhere is not None:
            store = place.elsewhere
            return TemporaryUpload(path, lambda file: store.put_file(place.path, file))
        target = safe_target(place.top, place.path)
        _make_folder(target.rpartition(os.sep)[0], path)
        # Once more: a link may have come in between.
        return FileUpload(safe_target(place.top, place.path), path)

    def put(self, uri: str, path: str, chunks: Iterable[bytes]) -> None:
        """Take a file: wholly or not at all."""
        upload = self.receive(uri, path)
        try:
            for chunk in chunks:
                upload.write(chunk)
            upload.commit()
        finally:
            upload.abort()

    def delete(self, uri: str, path: str) -> None:
        """Remove a file or a folder; `NotFoundError` when there is none."""
        path = checked_path(path)
        place = self._place_to_write(uri, path)
        if place.elsewhere is not None:
            raise StoreError(
                f"this server removes nothing in {place.elsewhere.uri}: remove {path!r} with the "
                "tools of that store"
            )
        # The link itself goes, not what it leads to.
        folder, _, name = place.path.rpartition("/")
        target = os.path.join(safe_target(place.top, folder), name)  # noqa: PTH118
        try:
            if os.path.isdir(target) and not os.path.islink(target):  # noqa: PTH112, PTH114
                shutil.rmtree(target)
            else:
                os.unlink(target)  # noqa: PTH108
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"No such artifact: '{path}'") from error
        except OSError as error:
            raise StoreError(f"cannot remove {path!r}: {error.strerror or error}") from error

    def zip(self, uri: str, path: str = "") -> Iterator[bytes]:
        """Return the pieces of a folder, or of a file, as an archive; it is kept nowhere whole.

        Raises
        ------
        NotFoundError
            When there is neither, before the first piece is asked for.
        """
        return zipped(self, [Part(uri, path)])

    def is_folder(self, uri: str, path: str) -> bool:
        """Whether there is a folder, even one with nothing in it; object stores have none."""
        place = self._place(uri, path)
        return place.elsewhere is None and is_folder(place.top, place.plain)

    # Where

    def _place(self, uri: str, path: str) -> _Place:
        """Return where a path below a location is.

        Raises
        ------
        NotFoundError
            When the location is none of this server's.
        """
        if uri.startswith("mlflow-artifacts:"):
            if self.destination is None:
                raise NotFoundError(
                    f"files at {uri!r} are not served here: the server was started without "
                    "--artifacts-destination"
                )
            below = checked_path(unquote(urlsplit(uri).path).lstrip("/"))
            return self._below(self.destination, f"{below}/{path}".strip("/"))
        check_readable(uri, self._roots)
        local = is_local(uri)
        plain = local_path(uri) if local else uri
        for root in self._roots:
            if is_below(uri, root):
                base = local_path(root) if local else root
                below = plain[len(base.rstrip("/")) :].strip("/")
                return self._below(root, f"{below}/{path}".strip("/"))
        root = self._owner(uri)
        if local:
            top = above_owner(local_path(root))
            return _Place(top, f"{plain[len(top) :].strip('/')}/{path}".strip("/"), is_own=False)
        return self._below(root.rstrip("/"), f"{plain[len(root) :].strip('/')}/{path}".strip("/"))

    def _place_to_write(self, uri: str, path: str) -> _Place:
        """Return where a path below a location is, when files are taken there."""
        place = self._place(uri, path)
        if not path or not place.path:
            raise InvalidParameterError("name the file: its path is empty")
        if not place.is_own:
            raise InvalidParameterError(
                f"files at {uri!r} are only read by this server: write them there yourself"
            )
        return place

    def _below(self, root: str, path: str) -> _Place:
        if is_local(root):
            return _Place(local_path(root), path)
        return _Place("", path, artifact_store(root))

    def _owner(self, uri: str) -> str:
        """Return the location of the run or model in whose folder a location is."""
        for identifier in identifiers_in(uri):
            location = self._known.get(identifier)
            if location is None:
                location = self._location_of(identifier)
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                if location:
                    self._known[identifier] = location
            if location and is_local(location) == is_local(uri) and is_below(uri, location):
                return location
        raise NotFoundError(
            f"files at {uri!r} are not served here: that is no folder of a run or a model of "
            f"{self._store.uri}"
        )

    def _location_of(self, identifier: str) -> str:
        try:
            if identifier.startswith("m-"):
                return self._store.get_logged_model(identifier).artifact_location
            ask = getattr(self._store, "run_info", None)
            if ask is not None:
                return str(ask(identifier).artifact_uri)
            return self._store.get_run(identifier).info.artifact_uri
        except NotFoundError:
            return ""


def _list_folder(place: _Place, path: str) -> Sequence[FileInfo]:
    """Return what is in a folder of this machine; what is being written is left out."""
    found = []
    with scan_local(place.top, place.plain, path) as entries:
        for entry in entries:
            if is_temporary(entry.name):
                continue
            try:
                if entry.is_symlink():
                    if not place.is_own:
                        continue
                    safe_target(place.top, os.path.join(place.path, entry.name))  # noqa: PTH118
                is_dir = entry.is_dir()
                size = None if is_dir else entry.stat().st_size
            except (OSError, InvalidParameterError):
                continue  # it is gone, or leads elsewhere
            name = f"{path}/{entry.name}" if path else entry.name
            found.append(FileInfo(name, is_dir, size))
    return sorted(found, key=lambda info: info.path)


def _make_folder(folder: str, path: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidParameterError(
            f"there cannot be a file {path!r}: a file has the name of its folder"
        ) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidParameterError(f"the path {path[:80]!r} is too long") from error
        raise StoreError(f"cannot write {path!r}: {error.strerror or error}") from error


def _renamed(info: FileInfo, path: str) -> FileInfo:
    name = info.path.rpartition("/")[2]
    return FileInfo(f"{path}/{name}" if path else name, info.is_dir, info.file_size)
