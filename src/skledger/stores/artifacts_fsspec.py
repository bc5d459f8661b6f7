"""Files of runs and models in object stores, and wherever else fsspec reaches."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from skledger.errors import (
    InvalidParameterError,
    SkledgerError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores.artifacts_remote import RemoteArtifacts
from skledger.tracking.entities import FileInfo

__all__ = ["FsspecArtifacts"]

#: The extra of this package that installs what a scheme needs.
_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
}
_CHUNK = 1 << 20


class FsspecArtifacts(RemoteArtifacts):
    """Files in a file system of fsspec.

    Who asks is what the library of the file system finds: the usual variables and files of AWS,
    Google and Azure. For S3, ``MLFLOW_S3_ENDPOINT_URL``, ``MLFLOW_S3_IGNORE_TLS`` and
    ``MLFLOW_S3_UPLOAD_EXTRA_ARGS`` mean what they mean to MLflow.

    Parameters
    ----------
    uri : str
        ``s3://bucket/path``, ``gs://bucket/path``, ``abfs://container@account.dfs.core.windows.net
        /path``, or another scheme that fsspec knows.

    Raises
    ------
    InvalidParameterError
        When fsspec does not know the scheme.
    StoreError
        When the library for it is not installed.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._scheme = uri.partition(":")[0]
        self._connect()

    def _send_bytes(self, path: str, data: bytes) -> None:
        with self._told("write", path):
            files, target = self._place(path)
            self._in_folder(files, target, lambda: files.pipe_file(target, data))

    def _send_file(self, path: str, source: str, size: int) -> None:
        with self._told("write", path):
            files, target = self._place(path)
            self._in_folder(files, target, lambda: files.put_file(source, target))

    def _fetch(self, path: str, sink: IO[bytes]) -> None:
        try:
            with self._told("read", path):
                files, target = self._place(path)
                # Object stores open a folder as an empty file.
                if files.info(target)["type"] == "directory":
                    raise IsADirectoryError(target)
                with files.open(target, "rb") as source:
                    shutil.copyfileobj(source, sink, _CHUNK)
        except _MissingError as error:
            raise self._missing(path) from error

    def _entries(self, path: str) -> Iterator[FileInfo]:
        found: list[dict[str, Any]] = []
        try:
            with self._told("list", path):
                files, target = self._place(path)
                files.invalidate_cache()
                found = files.ls(target, detail=True)
        except _MissingError:
            return
        for each in found:
            name = str(each["name"]).rstrip("/")
            # A file lists itself, and some stores have an empty object in the place of a folder.
            if name.lstrip("/") != target.strip("/"):
                is_dir = each.get("type") == "directory"
                yield FileInfo(name, is_dir, None if is_dir else each.get("size"))

    def _place(self, path: str) -> tuple[Any, str]:
        files, root = self._connect()
        return files, f"{root.rstrip('/')}/{path}".rstrip("/")

    def _connect(self) -> tuple[Any, str]:
        """Return the file system, which fsspec keeps for each thread and process, and the root."""
        import fsspec  # type: ignore[import-untyped]

        options = self._options()
        try:
            return fsspec.core.url_to_fs(self.uri, **options)  # type: ignore[no-any-return]
        except ImportError as error:
            raise self._without_library(error) from error
        except ValueError as error:
            if self._scheme in _EXTRAS:
                # Some schemes are known only with their library.
                is_known = self._scheme in fsspec.available_protocols()
                raise (
                    self._failed("open", "", error) if is_known else self._without_library(error)
                ) from error
            raise InvalidParameterError(
                f"artifact location {self.uri!r} is not known ({_first_line(error)}): expected an "
                "absolute path, file:///a/folder, or a URI of mlflow-artifacts:, http(s):, s3:, "
                "gs:, abfs: or another scheme that fsspec knows"
            ) from error
        except Exception as error:
            raise self._failed("open", "", error) from error

    def _without_library(self, error: Exception) -> StoreError:
        extra = _EXTRAS.get(self._scheme)
        wanted = f"'skledger[{extra}]'" if extra else f"the library that reads {self._scheme}://"
        return StoreError(
            f"artifact location {self.uri!r} needs a library that is not there "
            f"({_first_line(error)}): pip install {wanted}"
        )

    def _options(self) -> dict[str, Any]:
        """Return what MLflow's variables say about S3."""
        if _EXTRAS.get(self._scheme) != "s3":
            return {}
        options: dict[str, Any] = {}
        if endpoint := os.environ.get("MLFLOW_S3_ENDPOINT_URL"):
            options["endpoint_url"] = endpoint
        if os.environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("1", "true"):
            options["client_kwargs"] = {"verify": False}
        if extra := os.environ.get("MLFLOW_S3_UPLOAD_EXTRA_ARGS"):
            try:
                options["s3_additional_kwargs"] = dict(json.loads(extra))
            except (ValueError, TypeError) as error:
                raise InvalidParameterError(
                    f"MLFLOW_S3_UPLOAD_EXTRA_ARGS must be a JSON object, got {extra!r}"
                ) from error
        return options

    def _in_folder(self, files: Any, target: str, write: Any) -> None:
        """Write a file; where folders have to be made first, make them."""
        try:
            write()
        except FileNotFoundError:
            # In an object store that is a bucket that is not there, and buckets cost money.
            if self._scheme in _EXTRAS:
                raise
            files.makedirs(target.rpartition("/")[0], exist_ok=True)
            write()

    @contextmanager
    def _told(self, doing: str, path: str) -> Iterator[None]:
        """Turn the errors of any library into ours."""
        try:
            yield
        except SkledgerError:
            raise
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            if doing == "write":
                raise self._failed(doing, path, error) from error
            raise _MissingError from error
        except Exception as error:
            raise self._failed(doing, path, error) from error

    def _failed(self, doing: str, path: str, error: Exception) -> StoreError:
        where = f"{self.uri}/{path}".rstrip("/")
        said = f"cannot {doing} {where}: {_first_line(error)}"
        if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
            return StoreError(
                f"{said}; check who you are to this store (its usual variables and files), and "
                "that this user may do that"
            )
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            return StoreError(f"{said}; check that the bucket or folder is there")
        return StoreUnavailableError(f"{said}; check that the store can be reached")


class _MissingError(Exception):
    """There is no such file or folder."""


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0][:300]
    return text or type(error).__name__
