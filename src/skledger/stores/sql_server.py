"""What databases behind a network have in common: drivers, pools, and servers that are away."""

from __future__ import annotations

import importlib
import os
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from skledger.errors import InvalidParameterError, StoreError
from skledger.stores.sql_backend import Backend

if TYPE_CHECKING:
    from skledger.stores.sql import SqlStore

__all__ = ["CONNECT_TIMEOUT", "LOCK_TIMEOUT", "ServerBackend", "open_server"]

#: How long a server has to answer, in seconds.
CONNECT_TIMEOUT = 3
#: How long a statement waits for what another transaction holds, in seconds.
LOCK_TIMEOUT = 10
#: A server that let us wait is not asked again for that many times as long: fits that cannot be
#: booked lose a tenth of their time to it at most.
REST = 10
#: A refusal that comes faster than this, in seconds, costs nothing: it may be asked for each time.
SLOW = 0.5
#: Where artifacts go, relative to the current folder.
ARTIFACT_FOLDER = "mlartifacts"

#: By server, until when it is not asked again (on the monotonic clock). A store that could not be
#: opened is tried anew at each fit, so this is not kept in the store.
_away: dict[str, float] = {}


def open_server(uri: str, artifact_root: str | None = None) -> SqlStore:
    """Open a database on a PostgreSQL or MySQL (MariaDB) server; its tables are made if need be.

    Parameters
    ----------
    uri : str
        As SQLAlchemy takes it: ``postgresql://user:password@host:port/database`` or
        ``mysql://...``, with a driver (``postgresql+psycopg://``) or without, with options for
        the driver behind a ``?``.
    artifact_root : str, optional
        Where artifacts go; by default the folder ``mlartifacts`` in the current one.

    Raises
    ------
    InvalidParameterError
        When the URI cannot be read, or names no database.
    StoreError
        When the driver is not installed, or the server cannot be reached.
    """
    from skledger.stores.mysql import Mysql
    from skledger.stores.postgresql import Postgresql
    from skledger.stores.sql import SqlStore

    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        # Without the URI: what could not be taken apart may show a password.
        raise InvalidParameterError(
            "the tracking URI cannot be read: expected postgresql://user:password@host:port/"
            "database, where special characters of the password are written as %XX"
        ) from error
    root = artifact_root or os.path.abspath(ARTIFACT_FOLDER)  # noqa: PTH100
    kind = Mysql if url.get_backend_name() == "mysql" else Postgresql
    return SqlStore(kind(url, root))


class ServerBackend(Backend):
    """A database on a server.

    Parameters
    ----------
    url : sqlalchemy.URL
        Where it is.
    artifact_root : str
        Where artifacts go.
    """

    attempts = 8

    #: The scheme without a driver.
    scheme: str
    #: The drivers that are known, by their names in a URI, with the modules to import; the first
    #: one that is installed is taken when the URI names none.
    drivers: Mapping[str, str]
    #: The extra of this package that brings the first one.
    extra: str

    def __init__(self, url: URL, artifact_root: str) -> None:
        hidden = {
            key: "***" if "pass" in key.lower() else value for key, value in url.query.items()
        }
        super().__init__(url.set(query=hidden).render_as_string(), artifact_root)
        if not url.database and not url.query:
            raise InvalidParameterError(
                f"tracking URI {self.uri!r} names no database: expected "
                f"{self.scheme}://user:password@host:port/database"
            )
        self._url = url.set(drivername=f"{self.scheme}+{self._driver(url)}")

    @abstractmethod
    def connect_options(self, driver: str) -> dict[str, Any]:
        """Return what the driver is to be told; options in the URI come before it."""

    def greet(self, connection: Any) -> None:
        """Prepare a new connection of the driver."""

    def dial(self, dialect: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Return a new connection of the driver."""
        return dialect.connect(*arguments, **options)

    def create_engine(self) -> Engine:
        """Return a new engine with a pool of its own; nothing is connected yet.

        A connection is asked for a sign of life before each transaction, because servers restart
        and firewalls forget.
        """
        driver = self._url.get_driver_name()
        options = self.connect_options(driver)
        engine = create_engine(
            self._url,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_use_lifo=True,
            pool_recycle=1800,
            pool_timeout=LOCK_TIMEOUT,
            max_overflow=20,
            connect_args={key: options[key] for key in options.keys() - self._url.query.keys()},
        )
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "connect", self._greet)
        event.listen(engine, "begin", _begin)
        return engine

    def _driver(self, url: URL) -> str:
        named = url.drivername.partition("+")[2]
        if named and named not in self.drivers:
            raise InvalidParameterError(
                f"tracking URI {self.uri!r}: the driver {named!r} is not one of "
                f"{', '.join(self.drivers)}; leave it out, as in {self.scheme}://..."
            )
        wanted = [named] if named else list(self.drivers)
        for each in wanted:
            if find_spec(self.drivers[each]) is not None:
                try:
                    importlib.import_module(self.drivers[each])
                except ImportError as error:
                    raise StoreError(
                        f"cannot open {self.uri}: its driver {each!r} does not work ({error}); "
                        f"pip install 'skledger[{self.extra}]' brings one that does"
                    ) from error
                return each
        raise StoreError(
            f"cannot open {self.uri}: its driver {wanted[0]!r} is not installed; "
            f"pip install 'skledger[{self.extra}]'"
        )

    def _greet(self, connection: Any, _record: object) -> None:
        self.greet(connection)

    def _connect(
        self, dialect: Any, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> Any:
        """Connect, unless the server has just let somebody wait in vain."""
        if time.monotonic() < _away.get(self.uri, 0.0):
            raise StoreError(
                f"cannot reach {self.uri}: it has just not answered in time, and is asked again "
                f"in half a minute; check that the server runs, and the network"
            )
        started = time.monotonic()
        try:
            connection = self.dial(dialect, arguments, options)
        except (dialect.loaded_dbapi.Error, OSError):
            waited = time.monotonic() - started
            if waited > SLOW:
                _away[self.uri] = time.monotonic() + REST * waited
            raise
        _away.pop(self.uri, None)
        return connection


def _begin(connection: Connection) -> None:
    """Let a transaction that reads see one state of the database."""
    if "skledger_writes" not in connection.get_execution_options():
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
