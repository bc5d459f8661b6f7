"""Opening a store by its URI."""

from __future__ import annotations

from skledger.errors import InvalidParameterError
from skledger.stores.base import Store

__all__ = ["open_store"]

_KNOWN = "sqlite:///path/to/file.db or memory:"


def open_store(uri: str, artifact_root: str | None = None) -> Store:
    """Open the store that a tracking URI names.

    Parameters
    ----------
    uri : str
        ``sqlite:///relative/path.db`` or ``sqlite:////absolute/path.db``: a SQLite file, created
        with its folder when it is missing. ``memory:``: a new store that lives in this process.
    artifact_root : str, optional
        Where artifacts go. By default the folder ``<name>-artifacts`` beside the database file,
        and a temporary folder for ``memory:``.

    Returns
    -------
    Store
        Its `uri` is absolute.

    Raises
    ------
    InvalidParameterError
        When the URI names no kind of store that there is.
    StoreError
        When the store cannot be opened.
    """
    if not isinstance(uri, str):
        raise InvalidParameterError(f"a tracking URI is text such as {_KNOWN}, got {uri!r}")
    scheme, colon, rest = uri.partition(":")
    if scheme == "memory" and colon:
        from skledger.stores.memory import MemoryStore

        return MemoryStore(artifact_root)
    if scheme in ("sqlite", "sqlite+pysqlite") and colon:
        return _open_sqlite(uri, rest, artifact_root)
    if scheme.split("+")[0] in ("postgresql", "postgres", "mysql", "mssql", "http", "https"):
        raise InvalidParameterError(
            f"tracking URI {uri!r}: stores of kind {scheme!r} are not there yet; use {_KNOWN}"
        )
    raise InvalidParameterError(
        f"tracking URI {uri!r} names no known kind of store: expected {_KNOWN}"
    )


def _open_sqlite(uri: str, rest: str, artifact_root: str | None) -> Store:
    path = rest.removeprefix("///")
    if path == rest or not path or path == ":memory:":
        raise InvalidParameterError(
            f"tracking URI {uri!r} names no file: expected sqlite:///file.db (three slashes, four "
            "for an absolute path); use memory: for a store that leaves nothing behind"
        )
    if "?" in path:
        raise InvalidParameterError(
            f"tracking URI {uri!r} has options after '?', which are not taken: "
            "expected sqlite:///file.db"
        )
    from skledger.stores.sql import open_sqlite

    return open_sqlite(path, artifact_root)
