"""Opening a store by its URI."""

from __future__ import annotations

import re

from skledger.errors import InvalidParameterError
from skledger.stores.base import Store

__all__ = ["check_uri", "open_store"]

#: At the end: ``?timeout=5&mode=ro``.
_OPTIONS = re.compile(r"\?\w+=[^/?]*$")
_KNOWN = "sqlite:///path/to/file.db or memory:"


def open_store(uri: str, artifact_root: str | None = None) -> Store:
    """Open the store that a tracking URI names.

    Parameters
    ----------
    uri : str
        ``sqlite:///relative/path.db`` or ``sqlite:////absolute/path.db``: a SQLite file, created
        with its folder when it is missing. The path is taken as it is: nothing in it is decoded,
        and only what looks like options (``?key=value`` at the end) is refused. ``memory:``: a
        new store that lives in this process.
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
    path = check_uri(uri)
    if path is None:
        from skledger.stores.memory import MemoryStore

        return MemoryStore(artifact_root)
    from skledger.stores.sql import open_sqlite

    return open_sqlite(path, artifact_root)


def check_uri(uri: str) -> str | None:
    """Make sure that a tracking URI names a kind of store that there is; nothing is opened.

    Parameters
    ----------
    uri : str
        See `open_store`.

    Returns
    -------
    str or None
        The path of a SQLite file; None for ``memory:``.

    Raises
    ------
    InvalidParameterError
        When it names none, with the forms that are known.
    """
    if not isinstance(uri, str):
        raise InvalidParameterError(f"a tracking URI is text such as {_KNOWN}, got {uri!r}")
    scheme, colon, rest = uri.partition(":")
    if scheme == "memory" and colon:
        return None
    if scheme in ("sqlite", "sqlite+pysqlite") and colon:
        return _sqlite_path(uri, rest)
    if scheme.split("+")[0] in (
        "postgresql",
        "postgres",
        "mysql",
        "mssql",
        "http",
        "https",
        "file",
    ):
        raise InvalidParameterError(
            f"tracking URI {uri!r}: stores of kind {scheme!r} are not there yet; use {_KNOWN}"
        )
    hint = "" if colon else f"; for a database file write sqlite:///{uri}"
    raise InvalidParameterError(
        f"tracking URI {uri!r} names no known kind of store: expected {_KNOWN}{hint}"
    )


def _sqlite_path(uri: str, rest: str) -> str:
    path = rest.removeprefix("///")
    if path == rest or not path or path == ":memory:":
        raise InvalidParameterError(
            f"tracking URI {uri!r} names no file: expected sqlite:///file.db (three slashes, four "
            "for an absolute path); use memory: for a store that leaves nothing behind"
        )
    # A folder may have a `?` in its name; what SQLAlchemy takes as options has a form of its own.
    if _OPTIONS.search(path):
        raise InvalidParameterError(
            f"tracking URI {uri!r} has options after '?', which are not taken: "
            "expected sqlite:///file.db"
        )
    return path
