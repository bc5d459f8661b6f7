"""What only SQLite needs: how it is opened, how a transaction begins, how LIKE tells case apart."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, create_engine, event

from skledger.errors import StoreError

__all__ = ["create_sqlite_engine", "like"]

#: How long a connection waits for another one's write, in seconds.
BUSY_TIMEOUT = 10.0
#: Pages of the write-ahead log after which it is folded back into the file. Four times SQLite's
#: own figure: pages that many fits touch are then copied once instead of four times. (A thread
#: that does it in the background was tried: no gain, and the log grows without end.)
WAL_PAGES = 4000

_LIKE_TO_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})


def create_sqlite_engine(path: Path) -> Engine:
    """Return an engine for a database file; its folder is created when it is missing.

    Raises
    ------
    StoreError
        When there is no such folder and it cannot be made, or the path is a folder.
    """
    if path.is_dir():
        raise StoreError(f"cannot open sqlite:///{path}: it is a folder, expected a database file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot open sqlite:///{path}: its folder cannot be created ({error.strerror}); "
            "name a file in a folder that you may write to"
        ) from error
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT},
        max_overflow=-1,
        paramstyle="qmark",
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def like(column: ColumnElement[Any], pattern: str, same_case: bool) -> ColumnElement[bool]:
    """Return a LIKE that can tell case apart: SQLite's own never does, its GLOB always does.

    Without case, only A to Z have one: SQLite knows no other letters.
    """
    if same_case:
        return column.op("GLOB", is_comparison=True)(pattern.translate(_LIKE_TO_GLOB))
    return column.op("LIKE", is_comparison=True)(pattern)


def _begin(connection: Connection) -> None:
    """Begin for real; a writer takes the lock now.

    A transaction that reads first and writes then cannot wait for its turn: SQLite refuses it
    at once when another one wrote in between.
    """
    writes = connection.get_execution_options().get("skledger_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would begin transactions where it sees fit; `_begin` does it instead.
    connection.isolation_level = None
    _use_write_ahead_log(connection)
    for pragma in (
        "synchronous=NORMAL",
        "foreign_keys=ON",  # as MLflow
        f"wal_autocheckpoint={WAL_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to WAL if the file system can; readers and a writer then do not wait for each other.

    Switching takes an exclusive lock for which SQLite does not wait, so processes that open a new
    file at once get `SQLITE_BUSY`: try again until the deadline. A read-only file or a network
    file system keeps its journal.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT
    pause = 0.001
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            busy = "locked" in str(error) or "busy" in str(error)
            if not busy or time.monotonic() > deadline:
                return
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
