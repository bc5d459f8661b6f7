"""Opening a store by its URI."""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from skledger.errors import InvalidParameterError
from skledger.stores.base import Store

__all__ = ["Place", "check_uri", "open_store"]

#: A drive of Windows is no scheme: ``C:\\runs``.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
#: At the end: ``?timeout=5&mode=ro``.
_OPTIONS = re.compile(r"\?\w+=[^/?]*$")
#: A host with a port, which is easily forgotten to be given its scheme.
_HOST = re.compile(r"[\w.-]+:\d{2,5}(?:/.*)?")
#: What may be a password, with the user before it.
_CREDENTIALS = re.compile(r"://[^/\s]*@")
_KNOWN = (
    "sqlite:///path/to/file.db, a folder, postgresql://..., mysql://..., http(s)://... or memory:"
)
#: Kinds that others have, and what to do instead.
_FOREIGN = {
    "databricks": "skledger talks to MLflow's own tracking server",
    "databricks-uc": "skledger talks to MLflow's own tracking server",
    "uc": "skledger talks to MLflow's own tracking server",
    "mssql": "skledger knows PostgreSQL, MySQL and SQLite",
    "oracle": "skledger knows PostgreSQL, MySQL and SQLite",
    "mariadb": "write mysql://..., which is understood by MariaDB",
    "s3": "that is a place for artifacts, not for runs",
    "gs": "that is a place for artifacts, not for runs",
    "abfs": "that is a place for artifacts, not for runs",
    "mlflow-artifacts": "that is a place for artifacts; name the server by http://...",
}


class Place(NamedTuple):
    """What a tracking URI names.

    Parameters
    ----------
    kind : str
        ``"sqlite"``, ``"memory"``, ``"files"``, ``"http"`` or ``"server"`` (a database behind a
        network).
    name : str
        The path of a file or folder, or the URI itself.
    """

    kind: str
    name: str


def open_store(uri: str | os.PathLike[str], artifact_root: str | None = None) -> Store:
    """Open the store that a tracking URI names.

    Parameters
    ----------
    uri : str or path-like
        ``sqlite:///relative/path.db`` or ``sqlite:////absolute/path.db``: a SQLite file, created
        with its folder when it is missing. The path is taken as it is: nothing in it is decoded,
        and only what looks like options (``?key=value`` at the end) is refused.
        A path, or ``file:///path``: a folder of files.
        ``postgresql://user:password@host/database``, ``mysql://...``: a database on a server.
        ``http://host:port``, ``https://...``: a tracking server, which need not be up.
        ``memory:``: a new store that lives in this process.
    artifact_root : str, optional
        Where artifacts go. By default the folder ``<name>-artifacts`` beside a SQLite file, the
        folder of files itself, ``mlartifacts`` in the current folder for databases on servers,
        and a temporary folder for ``memory:``. A tracking server decides by itself.

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
    # Each kind brings libraries that the others have no use for.
    kind, name = check_uri(uri)
    if kind == "sqlite":
        from skledger.stores.sql import open_sqlite

        return open_sqlite(name, artifact_root)
    if kind == "memory":
        from skledger.stores.memory import MemoryStore

        return MemoryStore(artifact_root)
    if kind == "http":
        if artifact_root is not None:
            raise InvalidParameterError(
                f"a tracking server chooses where artifacts go, so artifact_root={artifact_root!r} "
                "is not taken: leave it out, or give each experiment an artifact_location"
            )
        from skledger.stores.outbox import open_outbox

        return open_outbox(name)
    if kind == "server":
        from skledger.stores.sql_server import open_server

        return open_server(name, artifact_root)
    from skledger.stores.files import FileStore

    return FileStore(name, artifact_root)


def check_uri(uri: str | os.PathLike[str]) -> Place:
    """Make sure that a tracking URI names a kind of store that there is; nothing is opened.

    Parameters
    ----------
    uri : str or path-like
        See `open_store`.

    Returns
    -------
    Place
        The kind of store, and where it is.

    Raises
    ------
    InvalidParameterError
        When it names none, with the forms that are known.
    """
    if isinstance(uri, os.PathLike):
        uri = os.fspath(uri)
    if not isinstance(uri, str) or not uri.strip():
        raise InvalidParameterError(f"a tracking URI is text such as {_KNOWN}, got {uri!r}")
    match = _SCHEME.fullmatch(uri)
    if match is None:
        return _plain_path(uri)
    # Of an unknown scheme too: a path with a colon is given as `./a:b`.
    scheme, rest = match[1].lower(), match[2]
    kind = scheme.partition("+")[0]
    if scheme in ("sqlite", "sqlite+pysqlite"):
        return Place("sqlite", _sqlite_path(uri, rest))
    if scheme == "memory":
        return Place("memory", uri)
    if scheme == "file":
        return Place("files", _folder(uri))
    if scheme in ("http", "https"):
        return Place("http", _address(uri))
    if kind in ("postgresql", "postgres", "mysql"):
        return Place("server", _database(uri, kind))
    instead = _FOREIGN.get(kind)
    if _HOST.fullmatch(uri):
        instead = f"for a server write http://{uri}"
    raise InvalidParameterError(
        f"tracking URI {_hidden(uri)!r}: stores of kind {scheme!r} are not known"
        f"{f' ({instead})' if instead else ''}; expected {_KNOWN}"
    )


def _plain_path(path: str) -> Place:
    if path in ("databricks", "databricks-uc", "uc"):
        raise InvalidParameterError(
            f"tracking URI {path!r} is not known ({_FOREIGN[path]}); expected {_KNOWN}; "
            f"for a folder of that name write ./{path}"
        )
    if path.endswith(".db"):
        raise InvalidParameterError(
            f"tracking URI {path!r} is a path, which names a folder of files: for a database file "
            f"write sqlite:///{path}; expected {_KNOWN}"
        )
    if "\0" in path:
        raise InvalidParameterError(f"tracking URI {path!r} is no path: it has a NUL in it")
    if _HOST.fullmatch(path):
        raise InvalidParameterError(
            f"tracking URI {path!r} looks like the address of a server: write http://{path}; for a "
            f"folder of that name write ./{path}"
        )
    return Place("files", os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111


def _folder(uri: str) -> str:
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path or "\0" in path:
        raise InvalidParameterError(
            f"tracking URI {uri!r} names no folder of this machine: expected file:///path (three "
            "slashes), or the path alone"
        )
    return os.path.abspath(path)  # noqa: PTH100


def _address(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or uri != uri.strip():
        raise InvalidParameterError(
            f"tracking URI {_hidden(uri)!r} names no server: expected http://host:port or https://host"
        )
    return uri


def _database(uri: str, kind: str) -> str:
    _, slashes, rest = uri.partition("://")
    behind = rest.rpartition("@")[2]
    # A database, or options that lead to one.
    if not slashes or not ("?" in behind or behind.partition("/")[2]):
        raise InvalidParameterError(
            f"tracking URI {_hidden(uri)!r} names no database: expected "
            f"{kind}://user:password@host:port/database"
        )
    return uri


def _hidden(uri: str) -> str:
    """Return a URI as it may be shown."""
    return _CREDENTIALS.sub("://***@", uri)


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
