"""Transactions on a database: one engine per process, errors as ours, safe across a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from skledger.errors import InvalidParameterError, StoreError

__all__ = ["Database"]

#: How long a fork waits for transactions of other threads to end, in seconds.
FORK_PATIENCE = 10.0


class Database:
    """Where transactions come from.

    No connection may cross a fork: in the child, SQLite would believe in locks that only the
    parent holds. So a fork waits for the transactions under way, and idle connections are closed
    just before it; parent and child open their own when they need one.

    Parameters
    ----------
    uri : str
        The URI, for messages.
    make_engine : callable
        Returns a new engine.
    prepare : callable
        Called with each new engine, to create or recognise the schema.
    is_stale : callable, optional
        Called with the engine before each transaction; when it says that the database is not the
        one that was opened, another engine is made.
    """

    def __init__(
        self,
        uri: str,
        make_engine: Callable[[], Engine],
        prepare: Callable[[Engine], None],
        is_stale: Callable[[Engine], bool] | None = None,
    ) -> None:
        self.uri = uri
        self._make_engine = make_engine
        self._prepare = prepare
        self._is_stale = is_stale or (lambda _engine: False)
        #: For reading, and the same for writing.
        self._engines: tuple[Engine, Engine] | None = None
        self._idle = threading.Condition()
        self._active = 0
        self._fork_waits = False
        self._opening = threading.Lock()
        with _forking:
            _databases.add(self)

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one state of the database."""
        return self._transaction(writes=False)

    def writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction that is committed at the end, or rolled back by an exception.

        `IntegrityError` passes: the caller knows what it means.
        """
        return self._transaction(writes=True)

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._in_use(), self._opening:
            engines, self._engines = self._engines, None
            if engines is not None:
                engines[0].dispose()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Hold up a fork."""
        with self._idle:
            # Threads that write one run after another would never let a fork have its turn.
            while self._fork_waits:
                self._idle.wait()
            self._active += 1
        try:
            yield
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with self._in_use(), self._ready()[writes].begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (UnicodeEncodeError, OverflowError) as error:
            raise InvalidParameterError(
                f"a key or value cannot be written to {self.uri}: {error}"
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise self._translate(error, writes=writes) from error

    def _ready(self) -> tuple[Engine, Engine]:
        engines = self._engines
        if engines is None or self._is_stale(engines[0]):
            return self._open(engines)
        return engines

    def _open(self, stale: tuple[Engine, Engine] | None) -> tuple[Engine, Engine]:
        with self._opening:
            if self._engines is not None and self._engines is not stale:
                return self._engines  # another thread was faster
            self._engines = None
            if stale is not None:
                stale[0].dispose()
            made = self._make_engine()
            try:
                self._prepare(made)
            except BaseException:
                made.dispose()
                raise
            self._engines = made, made.execution_options(skledger_writes=True)
            return self._engines

    def _translate(self, error: Exception, *, writes: bool) -> StoreError:
        reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        doing = "write to" if writes else "read"
        for sign, advice in _ADVICE.items():
            if sign in reason:
                return StoreError(f"cannot {doing} {self.uri}: {reason}; {advice}")
        return StoreError(f"cannot {doing} {self.uri}: {reason}")

    # What happens around a fork, in this order.

    def before_fork(self) -> None:
        """Wait until no transaction is under way, close idle connections, let none begin."""
        self._idle.acquire()
        self._fork_waits = True
        self._idle.wait_for(lambda: self._active == 0, FORK_PATIENCE)
        if self._active == 0 and self._engines is not None:
            self._engines[0].dispose()

    def after_fork_in_parent(self) -> None:
        """Let transactions begin again."""
        self._fork_waits = False
        self._idle.notify_all()
        self._idle.release()

    def after_fork_in_child(self) -> None:
        """Start anew; a transaction of another thread stays behind, neither used nor closed."""
        if self._active and self._engines is not None:
            _left_behind.append(self._engines[0])
        self._engines = None
        self._active = 0
        self._fork_waits = False
        self._idle = threading.Condition()
        self._opening = threading.Lock()


_ADVICE = {
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

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_left_behind: list[Engine] = []
_held: list[Database] = []
#: Held during a fork, so that two threads that fork do not mix up what they hold.
_forking = threading.Lock()


def _before_fork() -> None:
    _forking.acquire()
    _held[:] = list(_databases)
    for database in _held:
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in _held:
        database.after_fork_in_parent()
    _held.clear()
    _forking.release()


def _after_fork_in_child() -> None:
    global _forking
    _forking = threading.Lock()
    for database in _held:
        database.after_fork_in_child()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
