"""What only PostgreSQL needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, text

from skledger.stores.sql_server import CONNECT_TIMEOUT, LOCK_TIMEOUT, ServerBackend

__all__ = ["Postgresql"]

#: Names the lock under which the schema is made; any number that others do not use.
_SCHEMA_LOCK = 0x736B6C6564676572
#: Rows that one INSERT takes. Psycopg takes long statements apart each time, and keeps in mind
#: only those with up to 50 values: a write takes half the time by short ones in one go.
ROWS = (8,)
#: Two transactions waited for each other, or one could not be put in order with the others.
_COLLISIONS = ("40P01", "40001")


class Postgresql(ServerBackend):
    """A database on a PostgreSQL server."""

    scheme = "postgresql"
    drivers = MappingProxyType({"psycopg": "psycopg", "psycopg2": "psycopg2"})
    extra = "postgres"
    advice = MappingProxyType(
        {
            "password authentication failed": "check user and password in the tracking URI",
            "no password supplied": "the tracking URI needs a password, or set PGPASSWORD",
            "Connection refused": "start the server, or check host and port in the tracking URI",
            "could not translate host": "check the host in the tracking URI",
            "failed to resolve host": "check the host in the tracking URI",
            "read-only transaction": "this server only reads: name the one that writes",
            "lock timeout": "another program holds it: try again",
            "timeout": "check that the server runs, and the network",
            "permission denied": "ask for the right to create and write tables in this database",
            "too many": "the server takes no more connections: end some, or raise its limit",
            "value too long": "MLflow's tables take no more; shorten it, or where it is a path, "
            "choose a shorter artifact location",
            "database": "make it first: createdb NAME, or CREATE DATABASE NAME",
        }
    )

    def connect_options(self, driver: str) -> dict[str, Any]:
        """Return limits for a server that does not answer; ms where the unit is not s."""
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT,
            "application_name": "skledger",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": LOCK_TIMEOUT * 1000,
        }
        if driver == "psycopg":
            # Poolers between us and the server do not know what was prepared where.
            options["prepare_threshold"] = None
        return options

    def create_engine(self) -> Engine:
        """Return a new engine; a write does not wait for the answer to each statement."""
        engine = super().create_engine()
        if self._url.get_driver_name() == "psycopg" and _has_pipelines():
            return engine.execution_options(skledger_in_one_go=_pipeline, skledger_rows=ROWS)
        return engine

    def greet(self, connection: Any) -> None:
        """Limit how long a lock is waited for, and let no NUL be the end of a run."""
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {LOCK_TIMEOUT * 1000}")
        cursor.close()
        connection.commit()
        if self._url.get_driver_name() == "psycopg":
            connection.adapters.register_dumper(str, _text_dumper())

    def like(
        self, column: ColumnElement[Any], pattern: str, same_case: bool
    ) -> ColumnElement[bool]:
        """Return LIKE, which tells case apart, or ILIKE."""
        return column.like(pattern) if same_case else column.ilike(pattern)

    def is_collision(self, error: BaseException) -> bool:
        """Tell whether two transactions waited for each other."""
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        return state in _COLLISIONS

    @contextmanager
    def making_schema(self, connection: Connection) -> Iterator[None]:
        """Hold a lock until the transaction ends."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": _SCHEMA_LOCK})
        yield


def _has_pipelines() -> bool:
    from psycopg import Pipeline

    return Pipeline.is_supported()


def _pipeline(connection: Connection) -> Any:
    dbapi: Any = connection.connection.dbapi_connection
    return dbapi.pipeline()


@cache
def _text_dumper() -> Any:
    """Return how text is sent: PostgreSQL holds every character but NUL, which is shown as ␀."""
    from psycopg.types.string import StrDumperUnknown

    class TextDumper(StrDumperUnknown):
        """Sends text."""

        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}") if "\0" in obj else obj)

    return TextDumper
