"""The file of an outbox: SQLite through the standard library, for several processes at once."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skledger.errors import StoreError

__all__ = ["PINNED", "SENT", "TRIED", "WAITING", "Database"]

#: The states of an entry: it waits; it was begun to send it, so nobody knows what the server has of
#: it until the server says so; the server has it.
WAITING, TRIED, SENT = 0, 1, 2
#: Whether an entry, its own run notwithstanding, changes a model of a run that is read from here.
PINNED = """EXISTS (SELECT 1 FROM model_changes JOIN models USING (model_id)
JOIN runs USING (run_id) WHERE model_changes.seq=entries.seq AND runs.done IS NULL)"""
#: How long another process may keep the file locked, in seconds.
PATIENCE = 5.0
#: Pages of the write-ahead log at which a writer folds it itself; the forwarder does it sooner,
#: where nobody waits for it.
WAL_PAGES = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    made INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS entries_of_run ON entries (run_id, seq);
CREATE INDEX IF NOT EXISTS entries_left ON entries (seq) WHERE state < 2;
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY,
    experiment_id TEXT NOT NULL,
    ended INTEGER NOT NULL,
    done INTEGER,
    cleared INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    place TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_here ON runs (run_id) WHERE done IS NULL;
CREATE INDEX IF NOT EXISTS runs_with_files ON runs (done) WHERE cleared=0;
CREATE TABLE IF NOT EXISTS models (
    model_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS models_of_run ON models (run_id);
CREATE TABLE IF NOT EXISTS model_changes (
    model_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (model_id, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS model_changes_of_entry ON model_changes (seq);
CREATE TABLE IF NOT EXISTS files (
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    stamp TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (run_id, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    seq INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    made INTEGER NOT NULL,
    error TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS experiments (
    name TEXT PRIMARY KEY,
    experiment_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (
    theirs TEXT PRIMARY KEY,
    ours TEXT NOT NULL,
    made INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copies (
    run_id TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    made INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS copies_by_age ON copies (made);
CREATE TABLE IF NOT EXISTS awaited (
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (run_id, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Database:
    """One SQLite file, made when it is missing; every use of it is a short transaction.

    Parameters
    ----------
    path : Path
        The file.
    uri : str
        The address it is for, written into it.
    who : str, default=""
        Who books there, in words, likewise.
    """

    def __init__(self, path: Path, uri: str, who: str = "") -> None:
        self.path = path
        self._name = str(path)
        self._uri = uri
        self._who = who
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def after_fork(self) -> None:
        """Leave the connection to the parent; the child makes its own."""
        if self._connection is not None:
            # Closing it here, as the garbage collector would, may disturb the parent's file.
            _of_parents.append(self._connection)
        self._connection = None
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def is_there(self) -> bool:
        """Tell whether there is a file; looking does not make one."""
        return self._connection is not None or self.path.exists()

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Return what a statement selects; nothing as long as there is no file."""
        if not self.is_there():
            return []
        with self.transaction("BEGIN") as connection:
            return connection.execute(statement, values).fetchall()

    def number(self, statement: str, *values: Any) -> int:
        """Return the one number that a statement selects; 0 as long as there is no file."""
        rows = self.rows(statement, *values)
        return int(rows[0][0]) if rows else 0

    def do(self, statement: str, *values: Any) -> int:
        """Run a statement in a transaction of its own; return how many rows it changed."""
        with self.transaction() as connection:
            return connection.execute(statement, values).rowcount

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction; `StoreError` when the file cannot be used."""
        try:
            with self._lock:
                connection = self._open()
                connection.execute(begin)
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the outbox {self._name} cannot be used: {error}; check that its folder can be "
                "written to and that the disk has room, or set SKLEDGER_OUTBOX to another folder"
            ) from error

    def fold_log(self) -> None:
        """Fold the write-ahead log into the file, where nobody waits for it."""
        with self._lock:
            try:
                if self.is_there():
                    self._open().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except (sqlite3.Error, OSError):
                pass

    def _open(self) -> sqlite3.Connection:
        """Return the connection; a file that was removed meanwhile is made anew."""
        connection = self._connection
        if connection is not None:
            if _identity_of(self._name) == self._identity:
                return connection
            self.close()
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:  # a fit writes its files before its records
            folder.chmod(0o700)
        connection = sqlite3.connect(
            self._name, timeout=PATIENCE, check_same_thread=False, isolation_level=None
        )
        try:
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
            self._make_tables(connection)
        except BaseException:
            connection.close()
            raise
        self._identity = _identity_of(self._name)
        self._connection = connection
        return connection

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        # The table that came last: an outbox may have been made before there was one.
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name='awaited'").fetchone()
        if known is None:
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
            about = [("uri", self._uri)] + ([("who", self._who)] if self._who else [])
            connection.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about)


def _identity_of(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)  # noqa: PTH116 - half the time of Path.stat
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite does not wait for the lock that the first to do so needs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
        time.sleep(0.002)


#: Connections of parents, kept from the garbage collector.
_of_parents: list[sqlite3.Connection] = []
