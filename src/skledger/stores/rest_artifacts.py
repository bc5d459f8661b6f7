"""Files of runs and models that a tracking server serves."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from skledger.errors import InvalidParameterError, NotFoundError, StoreUnavailableError
from skledger.stores.artifacts_remote import RemoteArtifacts
from skledger.stores.rest_api import ARTIFACTS, Api, shared_api
from skledger.tracking.entities import FileInfo

__all__ = ["ServedArtifacts", "open_served"]


def open_served(uri: str, server: str | None) -> ServedArtifacts:
    """Return the files at a location that a tracking server serves.

    Parameters
    ----------
    uri : str
        ``mlflow-artifacts:/path``, ``mlflow-artifacts://host:port/path`` or
        ``http(s)://host/api/2.0/mlflow-artifacts/artifacts/path``.
    server : str or None
        The address of the tracking server in use. Only its host is told who asks.

    Raises
    ------
    InvalidParameterError
        When it is none of these, or names no server and none is in use.
    """
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts":
        base, path = _of_scheme(uri, server)
    else:
        before, marker, path = f"{parts.scheme}://{parts.netloc}{parts.path}".partition(ARTIFACTS)
        base = before
        if not marker or (path and path[0] != "/") or parts.query or parts.fragment:
            raise InvalidParameterError(
                f"artifact location {uri!r} is no place on a tracking server: expected "
                f"http://host:5000{ARTIFACTS}/path"
            )
        path = unquote(path)
    api = shared_api(server or base)
    return ServedArtifacts(uri, api, base + ARTIFACTS, path.strip("/"))


def _of_scheme(uri: str, server: str | None) -> tuple[str, str]:
    """Return the address of the server and the path on it."""
    parts = urlsplit(uri)
    path = unquote(parts.path).removeprefix(ARTIFACTS)
    if parts.netloc:
        return f"{urlsplit(server or 'https:').scheme}://{parts.netloc}", path
    if server is None:
        raise InvalidParameterError(
            f"artifact location {uri!r} is on a tracking server, and none is in use: set the "
            "tracking URI to the address of the server, such as http://host:5000"
        )
    return shared_api(server).uri, path


class ServedArtifacts(RemoteArtifacts):
    """Files that go through a tracking server.

    Parameters
    ----------
    uri : str
        Where the root is.
    api : Api
        The tracking server in use.
    base : str
        The URL below which the server has its files.
    root : str
        The path of the root there.
    """

    def __init__(self, uri: str, api: Api, base: str, root: str) -> None:
        super().__init__(uri)
        self._api, self._base, self._root = api, base, root

    def _send_bytes(self, path: str, data: bytes) -> None:
        self._api.upload(self._url(path), io.BytesIO(data), len(data))

    def _send_file(self, path: str, source: str, size: int) -> None:
        with Path(source).open("rb") as file:
            self._api.upload(self._url(path), file, size)

    def _fetch(self, path: str, sink: IO[bytes]) -> None:
        try:
            with self._api.download(self._url(path)) as chunks:
                for chunk in chunks:
                    sink.write(chunk)
        except NotFoundError as error:
            raise self._missing(path) from error
        except (InvalidParameterError, StoreUnavailableError) as error:
            # Versions of MLflow say in different ways that this is a folder.
            if self.list(path):
                raise self._missing(path) from error
            raise

    def _entries(self, path: str) -> Iterator[FileInfo]:
        whole = f"{self._root}/{path}".strip("/")
        try:
            found = self._api.list_files(self._base, whole)
        except NotFoundError:
            return
        for each in found:
            is_dir = bool(each.get("is_dir", False))
            yield FileInfo(each["path"], is_dir, None if is_dir else int(each.get("file_size", 0)))

    def _url(self, path: str) -> str:
        return f"{self._base}/{quote(f'{self._root}/{path}'.lstrip('/'))}"
