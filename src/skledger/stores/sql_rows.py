"""Rows that are written: gathered by the name of their statement, and sent by few statements."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError

from skledger.stores.sql_statements import statements

__all__ = ["Row", "Rows", "find", "in_chunks", "send"]

#: Rows that one INSERT takes, unless the engine says otherwise by the option ``skledger_rows``.
#: Each statement gives other threads a turn, and waits for its own; the longest row has ten
#: values, and old SQLite takes 999.
INSERTED = (64, 8)
#: How many identifiers one statement names; old SQLite takes 999 at most.
CHUNK = 500

Row = tuple[Any, ...]


class Rows(dict[str, list[Row]]):
    """The rows to send, by the name of their statement; see `sql_statements.statements`."""

    def __missing__(self, name: str) -> list[Row]:
        rows: list[Row] = []
        self[name] = rows
        return rows


def in_chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    """Cut a sequence so that each piece fits one statement."""
    return (items[at : at + CHUNK] for at in range(0, len(items), CHUNK))


def find(connection: Connection, name: str, values: Row) -> str | None:
    """Return the one value that a statement finds, by the driver's own cursor, too."""
    dialect = connection.dialect
    driver_error = dialect.loaded_dbapi.Error
    statement = statements(dialect)[name]
    cursor = connection.connection.cursor()
    try:
        dialect.do_execute(cursor, statement, values)
        found = cursor.fetchone()
    except driver_error as error:
        raise DBAPIError.instance(statement, None, error, driver_error, dialect=dialect) from error
    finally:
        cursor.close()
    return None if found is None else str(found[0])


def send(connection: Connection, rows: Rows) -> None:
    """Send the rows by the driver's own cursor: what SQLAlchemy adds costs as much as a row."""
    dialect = connection.dialect
    driver_error = dialect.loaded_dbapi.Error
    options = connection.get_execution_options()
    sizes = options.get("skledger_rows", INSERTED)
    cursor = connection.connection.cursor()
    statement = ""
    try:
        with options.get("skledger_in_one_go", nullcontext)(connection):
            for name, statement in statements(dialect).items():
                found = rows.get(name)
                if found and statement.startswith("INSERT"):
                    _insert(dialect, cursor, statement, found, sizes)
                elif found:
                    dialect.do_executemany(cursor, statement, found)
    except driver_error as error:
        # As SQLAlchemy would: its IntegrityError for the driver's, and so on.
        raise DBAPIError.instance(statement, None, error, driver_error, dialect=dialect) from error
    finally:
        cursor.close()


def _insert(
    dialect: Dialect, cursor: Any, statement: str, rows: Sequence[Row], sizes: Sequence[int]
) -> None:
    """Insert rows by as few statements as it takes."""
    if len(rows) >= INSERTED[0] and isinstance(rows[0][1], str):
        # In the order of the tables' keys (key, run), which is the order on the disk: a quarter
        # faster than by run.
        rows = sorted(rows, key=itemgetter(1, 0))
    at = 0
    for size in sizes:
        while len(rows) - at >= size:
            values = tuple(chain.from_iterable(rows[at : at + size]))
            dialect.do_execute(cursor, _of_many_rows(statement, size), values)
            at += size
    if at < len(rows):
        dialect.do_executemany(cursor, statement, rows[at:])


@functools.cache
def _of_many_rows(statement: str, size: int) -> str:
    """Return an INSERT of one row as one of several."""
    head, values, row = statement.partition(" VALUES ")
    return head + values + ", ".join([row] * size)
