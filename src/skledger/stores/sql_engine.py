"""Transactions on a database: one engine per process, errors as ours, safe across a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from skledger.errors import InvalidParameterError, SkledgerError, StoreError
from skledger.stores.sql_backend import Backend

__all__ = ["CollisionError", "Database"]

#: How long a fork waits for transactions of other threads to end, in seconds.
FORK_PATIENCE = 10.0


class CollisionError(StoreError):
    """Two writers were in each other's way; the same once more may succeed."""


class Database:
    """Where transactions come from.

    No connection may cross a fork: in the child, SQLite would believe in locks that only the
    parent holds, and two processes would talk over each other on one connection to a server. So a
    fork waits for the transactions under way, and idle connections are closed just before it;
    parent and child open their own when they need one.

    Parameters
    ----------
    backend : Backend
        The kind of database.
    prepare : callable
        Called with each new engine, to create or recognise the schema.
    """

    def __init__(self, backend: Backend, prepare: Callable[[Engine], None]) -> None:
        self.uri = backend.uri
        self._backend = backend
        self._prepare = prepare
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
        except (IntegrityError, SkledgerError):
            raise
        except (ValueError, OverflowError) as error:
            raise InvalidParameterError(
                f"a key or value cannot be written to {self.uri}: {error}"
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise self.translate(error, writes=writes) from error

    def _ready(self) -> tuple[Engine, Engine]:
        engines = self._engines
        if engines is None or self._backend.is_stale(engines[0]):
            return self._open(engines)
        return engines

    def _open(self, stale: tuple[Engine, Engine] | None) -> tuple[Engine, Engine]:
        with self._opening:
            if self._engines is not None and self._engines is not stale:
                return self._engines  # another thread was faster
            self._engines = None
            if stale is not None:
                stale[0].dispose()
            made = self._backend.create_engine()
            try:
                self._prepare(made)
            except BaseException:
                made.dispose()
                raise
            self._engines = made, made.execution_options(skledger_writes=True)
            return self._engines

    def translate(self, error: Exception, *, writes: bool) -> SkledgerError:
        """Return what an exception of SQLAlchemy's or the system's means, with what to do."""
        driver_error = error.orig if isinstance(error, DBAPIError) else None
        # Servers' drivers tell a story of several lines.
        reason = " ".join(str(driver_error or error).split())
        text = f"cannot {'write to' if writes else 'read'} {self.uri}: {reason}"
        for sign, advice in self._backend.advice.items():
            if sign in reason:
                text = f"{text}; {advice}"
                break
        if isinstance(error, DataError):
            return InvalidParameterError(text)
        if driver_error is not None and self._backend.is_collision(driver_error):
            return CollisionError(text)
        return StoreError(text)

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
