"""What only MySQL and MariaDB need."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, collate, func, inspect, text

from skledger.errors import StoreError
from skledger.stores.sql_server import CONNECT_TIMEOUT, LOCK_TIMEOUT, ServerBackend

__all__ = ["Mysql"]

#: How long the driver waits for a row, or until one is taken, in seconds: a search may take its
#: time, a connection that is dead may not.
IO_TIMEOUT = 120
#: How long others may make the schema, in seconds; it takes one.
SCHEMA_TIMEOUT = 30
#: Two transactions waited for each other.
_DEADLOCK = 1213
#: What texts are compared by: letter by letter, blanks at the end included. The first one that
#: the server has is taken.
_EXACT = ("utf8mb4_0900_bin", "utf8mb4_nopad_bin", "utf8mb4_bin")


class Mysql(ServerBackend):
    """A database on a MySQL or MariaDB server."""

    scheme = "mysql"
    drivers = MappingProxyType({"pymysql": "pymysql", "mysqldb": "MySQLdb"})
    extra = "mysql"
    advice = MappingProxyType(
        {
            "Access denied": "check user and password in the tracking URI, and their rights",
            "Connection refused": "start the server, or check host and port in the tracking URI",
            "Unknown database": "make it first: CREATE DATABASE NAME CHARACTER SET utf8mb4",
            "timed out": "check that the server runs, and the network",
            "Name or service not known": "check the host in the tracking URI",
            "read-only": "this server only reads: name the one that writes",
            "Lock wait timeout": "another program holds it: try again",
            "Too many connections": "end some, or raise the server's limit",
            "Incorrect string value": "the database does not take every letter: "
            "ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4",
            "Duplicate entry": "in a database of MLflow's making, keys that differ only by case, "
            "accents or blanks are one: name them differently",
            "Data too long": "MLflow's tables take no more; shorten it, or where it is a path, "
            "choose a shorter artifact location",
        }
    )

    def connect_options(self, driver: str) -> dict[str, Any]:
        """Return limits for a server that does not answer, and the rules of the session."""
        return {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": IO_TIMEOUT,
            "write_timeout": IO_TIMEOUT,
            "charset": "utf8mb4",
            # Nothing is cut off in silence, and experiment 0 may be inserted as such.
            "sql_mode": "STRICT_TRANS_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION",
            "init_command": f"SET SESSION innodb_lock_wait_timeout = {LOCK_TIMEOUT}, "
            f"SESSION lock_wait_timeout = {LOCK_TIMEOUT}",
        }

    def dial(self, dialect: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Return a new connection; PyMySQL would wait as long for a greeting as for a search."""
        if dialect.driver != "pymysql" or options.get("unix_socket"):
            return super().dial(dialect, arguments, options)
        line = _line_to(options.get("host") or "localhost", int(options.get("port") or 3306))
        try:
            connection = dialect.loaded_dbapi.connect(*arguments, **options, defer_connect=True)
            connection.connect(line)
        except BaseException:
            line.close()
            raise
        return connection

    def like(
        self, column: ColumnElement[Any], pattern: str, same_case: bool
    ) -> ColumnElement[bool]:
        """Return a LIKE that tells case apart, or one that is told not to.

        What the tables themselves do depends on who made the database.
        """
        if same_case:
            whole = func.convert(column.op("USING")(text("utf8mb4")))
            return collate(whole, "utf8mb4_bin").like(pattern)
        return column.ilike(pattern)

    def is_collision(self, error: BaseException) -> bool:
        """Tell whether two transactions waited for each other."""
        return bool(error.args) and error.args[0] == _DEADLOCK

    @contextmanager
    def making_schema(self, connection: Connection) -> Iterator[None]:
        """Hold a lock while tables are made, in a database that takes every letter."""
        database = str(self._url.database)
        # The server's locks have names of at most 64 characters, which all databases share.
        name = f"skledger-{hashlib.sha256(database.encode()).hexdigest()[:32]}"
        taken = connection.scalar(
            text("SELECT GET_LOCK(:name, :s)"), {"name": name, "s": SCHEMA_TIMEOUT}
        )
        if taken != 1:
            raise StoreError(
                f"cannot write to {self.uri}: another process has been making its tables for "
                f"{SCHEMA_TIMEOUT} s; try again"
            )
        try:
            if not inspect(connection).get_table_names():
                _take_every_letter(connection, database)
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def _line_to(host: str, port: int) -> socket.socket:
    """Return a connection to a server that has begun to speak, as MySQL's do."""
    line = socket.create_connection((host, port), CONNECT_TIMEOUT)
    try:
        line.recv(1, socket.MSG_PEEK)
        line.settimeout(None)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOCK_TIMEOUT * 1000)
    except BaseException:
        line.close()
        raise
    return line


def _take_every_letter(connection: Connection, database: str) -> None:
    """Give an empty database the whole of Unicode, and keys that differ by case, as others have.

    MLflow's own tables, which come later, get the same by this.
    """
    there = set(
        connection.scalars(text("SELECT collation_name FROM information_schema.collations"))
    )
    chosen = next(name for name in _EXACT if name in there)
    quoted = connection.dialect.identifier_preparer.quote_identifier(database)
    connection.execute(text(f"ALTER DATABASE {quoted} CHARACTER SET utf8mb4 COLLATE {chosen}"))
