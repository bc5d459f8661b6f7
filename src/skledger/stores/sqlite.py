"""What only SQLite needs: how it is opened, how a transaction begins, how LIKE tells case apart."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from skledger.errors import StoreError
from skledger.stores.sql_backend import Backend
from skledger.stores.sqlite_leftovers import clear_leftovers

__all__ = ["SqliteFile"]

#: How long a connection waits for another one's write, in seconds.
BUSY_TIMEOUT = 10.0
#: The same once that was in vain, until it was not: whoever holds the lock for long must not
#: hold up every fit.
SHORT_TIMEOUT = 0.2
#: Pages of the write-ahead log after which it is folded back into the file. Four times SQLite's
#: own figure: pages that many fits touch are then copied once instead of four times. (A thread
#: that does it in the background was tried: no gain, and the log grows without end.)
WAL_PAGES = 4000

#: What to do about an error, by a part of its text.
ADVICE = {
    "locked": "another process keeps it busy: try again, or find the program that holds it",
    "readonly": "make the file and its folder writable, or name another tracking URI",
    "read-only": "make the file and its folder writable, or name another tracking URI",
    "unable to open": "check that the folder exists and that you may write to it",
    "not a database": "expected a SQLite database: name another file",
    "malformed": "the file is damaged: restore it from a backup, or try `sqlite3 FILE .recover`",
    "disk is full": "make room on the disk",
    "full": "make room on the disk",
    "disk I/O": "check that the disk has room and is in order",
}

_LIKE_TO_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})

#: By file, the kinds of transaction (does it write?) that last waited for a lock in vain. A store
#: that could not be opened is tried anew at each fit, so this is not kept in the store.
_waited_in_vain: dict[str, set[bool]] = {}


class SqliteFile(Backend):
    """A database file, from the place where it is to the engine that reads and writes it.

    Parameters
    ----------
    path : Path
        The file, absolute.
    artifact_root : str, optional
        Where artifacts go; by default the folder ``<name>-artifacts`` beside the file.
    """

    can_move = True
    advice = ADVICE

    def __init__(self, path: Path, artifact_root: str | None = None) -> None:
        root = artifact_root or str(path.with_name(f"{path.stem}-artifacts"))
        super().__init__(f"sqlite:///{path}", root)
        self._path = path
        self._name = str(path)
        self._only_read = False
        self._opened: tuple[int, int] | None = None
        self._in_vain = _waited_in_vain.setdefault(self._name, set())

    def create_engine(self) -> Engine:
        """Return an engine for the file; its folder is created when it is missing.

        Raises
        ------
        StoreError
            When there is no such folder and it cannot be made, or the path is a folder.
        """
        self._check_place()
        self._opened = None
        self._only_read = _is_read_only(self._path)
        if self._only_read:
            engine = create_engine(
                "sqlite://", creator=self._connect_reading, poolclass=NullPool, paramstyle="qmark"
            )
        else:
            clear_leftovers(self._path)
            engine = create_engine(
                "sqlite://",
                creator=self._connect,
                poolclass=QueuePool,
                max_overflow=-1,
                paramstyle="qmark",
            )
            event.listen(engine, "commit", self._commit)
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "handle_error", self._note_error)
        return engine

    def is_stale(self, engine: Engine) -> bool:
        """Tell whether the file is not the one that was opened: removed, moved or replaced.

        SQLite itself would go on writing to what no name leads to any more. What a file that was
        moved still has in its write-ahead log is folded into it, as long as it can be.
        """
        if self._only_read:
            return not _is_read_only(self._path)
        if self._opened is None or _identity(self._name, self._opened) == self._opened:
            return False
        _fold_log(engine)
        return True

    def like(
        self, column: ColumnElement[Any], pattern: str, same_case: bool
    ) -> ColumnElement[bool]:
        """Return a LIKE that can tell case apart: SQLite's own never does, its GLOB always does.

        Without case, only A to Z have one: SQLite knows no other letters.
        """
        if same_case:
            return column.op("GLOB", is_comparison=True)(pattern.translate(_LIKE_TO_GLOB))
        return column.op("LIKE", is_comparison=True)(pattern)

    def _check_place(self) -> None:
        path = self._path
        if path.is_dir():
            raise StoreError(
                f"cannot open sqlite:///{path}: it is a folder, expected a database file"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot open sqlite:///{path}: its folder cannot be created ({error.strerror}); "
                "name a file in a folder that you may write to"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        patience = self._patience(writes=True)
        # Without an isolation level: the driver would begin transactions where it sees fit;
        # `_begin` does it instead.
        connection = sqlite3.connect(
            self._name, timeout=patience, check_same_thread=False, isolation_level=None
        )
        try:
            _use_write_ahead_log(connection, patience)
            for pragma in (
                "cache_size=-8000",  # KiB; the default of 2000 is a quarter slower for a search
                "synchronous=NORMAL",
                "foreign_keys=ON",  # as MLflow
                f"wal_autocheckpoint={WAL_PAGES}",
            ):
                connection.execute(f"PRAGMA {pragma}")
            if patience != BUSY_TIMEOUT:
                _set_timeout(connection, BUSY_TIMEOUT)
        except BaseException:
            connection.close()
            raise
        if self._opened is None:
            self._opened = _identity(self._name, None)
        return connection

    def _connect_reading(self) -> sqlite3.Connection:
        """Open the file as it is now; made anew for each transaction, as its owner may write."""
        # A file that was in WAL mode demands a shared-memory file beside it, which cannot be made
        # here; a whole file (no log beside it) can be read without one.
        log = Path(f"{self._name}-wal")
        immutable = "" if log.exists() and log.stat().st_size else "&immutable=1"
        return sqlite3.connect(
            f"{self._path.as_uri()}?mode=ro{immutable}",
            uri=True,
            timeout=BUSY_TIMEOUT,
            check_same_thread=False,
            isolation_level=None,
        )

    def _patience(self, *, writes: bool) -> float:
        return SHORT_TIMEOUT if writes in self._in_vain else BUSY_TIMEOUT

    def _begin(self, connection: Connection) -> None:
        """Begin for real; a writer takes the lock now.

        A transaction that reads first and writes then cannot wait for its turn: SQLite refuses it
        at once when another one wrote in between.
        """
        writes = "skledger_writes" in connection.get_execution_options()
        dbapi: Any = connection.connection.dbapi_connection
        statement = "BEGIN IMMEDIATE" if writes else "BEGIN"
        # Straight to the driver: each fit passes here.
        try:
            if self._in_vain or connection.info:
                patience = self._patience(writes=writes)
                if connection.info.get("patience", BUSY_TIMEOUT) != patience:
                    _set_timeout(dbapi, patience)
                    connection.info["patience"] = patience
            dbapi.execute(statement)
        except sqlite3.Error as error:
            self._note(error, writes=writes)
            raise DBAPIError.instance(
                statement, None, error, sqlite3.Error, dialect=connection.dialect
            ) from error

    def _commit(self, connection: Connection) -> None:
        if self._in_vain:
            self._in_vain.discard("skledger_writes" in connection.get_execution_options())

    def _note_error(self, context: ExceptionContext) -> None:
        connection = context.connection
        # Without a connection, it was one that could not be made.
        writes = connection is None or "skledger_writes" in connection.get_execution_options()
        self._note(context.original_exception, writes=writes)

    def _note(self, error: BaseException, *, writes: bool) -> None:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            self._in_vain.add(writes)


def _set_timeout(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout={seconds * 1000:.0f}")


def _identity(name: str, otherwise: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return what tells a file from another of that name; None when there is none."""
    try:
        found = os.stat(name)  # noqa: PTH116 - half the time of Path.stat
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return otherwise  # not known: SQLite will say what is wrong
    return found.st_dev, found.st_ino


def _is_read_only(path: Path) -> bool:
    """Tell whether a database may only be looked at: somebody else's file, or a mounted share."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return False
    # Asked last: a file that is not there, or was there a moment ago, is none of that.
    return path.exists()


def _fold_log(engine: Engine) -> None:
    """Empty the write-ahead log of a file that is open but has lost its name."""
    pool = engine.pool
    if not isinstance(pool, QueuePool) or not pool.checkedin():
        return  # another connection would be one to the new file
    with suppress(DBAPIError, sqlite3.Error):
        raw = engine.raw_connection()
        try:
            dbapi: Any = raw.dbapi_connection
            _set_timeout(dbapi, SHORT_TIMEOUT)
            dbapi.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            raw.close()


def _use_write_ahead_log(connection: sqlite3.Connection, patience: float) -> None:
    """Switch to WAL if the file system can; readers and a writer then do not wait for each other.

    Switching takes an exclusive lock for which SQLite does not wait, so processes that open a new
    file at once get `SQLITE_BUSY`: try again until the deadline. A network file system keeps its
    journal.
    """
    deadline = time.monotonic() + patience
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
