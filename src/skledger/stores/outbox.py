"""A store for a tracking server that is not always there: what is booked waits here until it is.

Writing appends to a queue on this machine and never waits for a network. A thread in the
background forwards what waits; so do the next process and ``skledger sync``. Runs that the server
does not wholly have are read from the queue, everything else from the server.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from skledger.errors import SkledgerError, StoreError
from skledger.stores import artifacts
from skledger.stores.artifacts import ArtifactStore, artifact_store
from skledger.stores.checks import check_changes
from skledger.stores.outbox_asking import Silence
from skledger.stores.outbox_awaited import Awaited
from skledger.stores.outbox_courier import Courier
from skledger.stores.outbox_database import Database
from skledger.stores.outbox_delivery import Delivery
from skledger.stores.outbox_forwarder import Forwarder, Remote
from skledger.stores.outbox_identifiers import Identifiers
from skledger.stores.outbox_left import Left, drop
from skledger.stores.outbox_local import LocalRuns, LocalView
from skledger.stores.outbox_memory import Memory
from skledger.stores.outbox_names import experiment_name
from skledger.stores.outbox_others import outboxes
from skledger.stores.outbox_place import folder_of, plain_uri, who_text
from skledger.stores.outbox_queue import Queue, Refused
from skledger.stores.outbox_reading import ReadingPart
from skledger.stores.outbox_registry import RegistryPart
from skledger.stores.outbox_replay import Replay
from skledger.stores.outbox_runs import RunsHere
from skledger.stores.outbox_spool import Spool
from skledger.stores.outbox_uploads import Uploads
from skledger.stores.process_lock import ProcessLock
from skledger.tracking.entities import (
    Experiment,
    Run,
    RunChange,
    RunStatus,
)

__all__ = ["Left", "OutboxStore", "open_outbox", "outboxes"]

#: How long the end of the process may be held up, in seconds; after an interrupt, less.
EXIT_SECONDS, INTERRUPTED_SECONDS = 2.5, 0.2


def open_outbox(uri: str, *, sends: bool = True, folder: Path | None = None) -> OutboxStore:
    """Open the store of a tracking server; nobody is asked, nor waited for.

    Parameters
    ----------
    uri : str
        ``http(s)://[user:password@]host[:port][/prefix]``.
    sends : bool, default=True
        Whether what waits is sent in the background; else only by `OutboxStore.sync`.
    folder : Path, optional
        Where it is; by default that of whoever asks this server now.

    Raises
    ------
    InvalidParameterError
        When it is no address of a server.
    """
    from skledger.stores.rest_settings import read_address

    read_address(uri)

    def connect() -> Remote:
        from skledger.stores.rest import RestStore

        return RestStore(uri)

    store = OutboxStore(uri, connect, folder, sends=sends)
    artifacts.current_server = store.uri
    return store


class OutboxStore(ReadingPart, RegistryPart):
    """Stores at once and forwards later. See `skledger.stores.base.Store` for the methods.

    A run that is created here has an identifier at once, and the server chooses another. What this
    process has handed out as the identifier of a run, or of a model, it stays in this process, also
    when it is read from the server, and where another run names it by a tag. Other processes see
    the server's once the server has all of a run; both are understood everywhere.

    Nothing is known here of what only the server knows: that there is no such run, or that a param
    of a run of the server has another value. What it refuses for that reason is set aside and can
    be seen with ``skledger sync --status``.

    Parameters
    ----------
    uri : str
        The address of the server.
    connect : callable
        Returns the store of the server; called at the first use, also in the background.
    folder : Path, optional
        Where to keep what waits; by default a folder for this server and whoever asks it now.
    artifacts : callable, optional
        Returns the files at an artifact location of the server.
    sends : bool, default=True
        Whether what waits is sent in the background; else only by `sync`.

    Attributes
    ----------
    uri : str
        As above, without user and password.
    folder : Path
        As above.
    spool_folder : str
        Where the artifacts of new runs and models go first, whatever their experiment.
    local : LocalView
        The runs of this outbox alone.
    """

    def __init__(
        self,
        uri: str,
        connect: Callable[[], Remote],
        folder: Path | None = None,
        artifacts: Callable[[str], ArtifactStore] | None = None,
        *,
        sends: bool = True,
    ) -> None:
        self.uri = plain_uri(uri)
        self.folder = folder_of(uri) if folder is None else folder
        self._connect = connect
        self._remote: Remote | None = None
        file, who = self.folder / "queue.db", who_text(uri)
        self._databases = [Database(file, self.uri, who) for _ in range(2)]
        self._spool = Spool(self.folder / "files")
        self.spool_folder = str(self._spool.root)
        self._queue = Queue(self._databases[0])
        self._runs = LocalRuns(self._queue)
        self.local = LocalView(self._runs, self.write)
        self._memory = Memory(self._databases[0])
        self._ids = Identifiers(self._memory)
        # What is sent goes over a connection of its own, so that booking does not wait for it.
        behind = Queue(self._databases[1])
        uploads = Uploads(
            RunsHere(self._databases[1]),
            self._spool,
            self._server,
            artifacts or partial(artifact_store, server=self.uri),
            Awaited(self._databases[1]),
        )
        self._delivery = Delivery(
            behind,
            uploads,
            Forwarder(behind, uploads, self._server),
            ProcessLock(self.folder / "lock"),
        )
        self._courier = Courier(self.uri, self._delivery)
        self._silence = Silence(lambda: self._delivery.progress)
        self._experiments: dict[str, Experiment] = {}
        self._seen: OrderedDict[str, Run] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._sends = sends
        self._has_tried = not sends  # whether all was tried to send what is in there
        _stores.add(self)
        if sends and self._queue.count_left():
            self._courier.wake()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    # Writing

    def write(self, *changes: RunChange) -> None:
        """Append all the changes to the queue, or nothing; the server is not asked."""
        check_changes([_checkable(change) for change in changes])
        changes = tuple(self._ids.canonical(change) for change in changes)
        if any(change.model_changes for change in changes):
            self._refuse_conflicts(changes)
        taken_up = []
        for change in changes:
            if change.create is not None:
                Replay.of_new(change.create).refuse_conflicts(change)
            elif change.params:
                replay = self._runs.replay(change.run_id)
                if replay is not None:
                    replay.refuse_conflicts(change)
            if change.status == RunStatus.RUNNING and change.run_id in self._seen:
                taken_up += self._take_up(change.run_id)
        self._has_tried = not self._sends
        self._queue.append([self._in_spool(change) for change in changes], taken_up)
        for change in changes:
            self._ids.give_new(change)
        self._wake()

    def _in_spool(self, change: RunChange) -> RunChange:
        """Return a change with the artifacts of a new run in the spool."""
        if change.create is None:
            return change
        place = self._spool.run_folder(change.run_id)
        if change.create.artifact_uri == place:
            return change
        return replace(change, create=replace(change.create, artifact_uri=place))

    def _take_up(self, run_id: str) -> list[Run]:
        """Return a run of the server that somebody goes on with, to be read from here."""
        run = self._seen.pop(run_id, None)
        if run is None or self._runs.replay(run_id) is not None:
            return []
        place = self._spool.run_folder(run_id)
        return [replace(run, info=replace(run.info, run_id=run_id, artifact_uri=place))]

    def _admit(self, run_id: str) -> str:
        """Return where files of a run of the server wait until they are sent."""
        RunsHere(self._databases[0]).admit(run_id)
        self._wake()
        return self._spool.run_folder(run_id)

    # Forwarding

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the server has everything, or does not answer.

        Parameters
        ----------
        timeout : float, optional
            The longest to wait, in seconds.

        Returns
        -------
        bool
            Whether nothing is left to be sent; what was refused is not.
        """
        return self._courier.flush(timeout)

    def left(self) -> Left:
        """Return what is left."""
        files, size = self._delivery.uploads.count_waiting()
        return Left(
            self._queue.count_left(),
            files,
            size,
            self._queue.oldest_left(),
            tuple(self._queue.refused()),
        )

    def drop_refused(self) -> tuple[Refused, ...]:
        """Forget for good what the server refused, and files that were lost; return what it was."""
        aside = tuple(self._queue.refused())
        drop(self._databases[0], self._spool, aside)
        return aside

    def sync(
        self,
        tell: Callable[[], None],
        timeout: float | None = None,
        *,
        retry_refused: bool = False,
    ) -> StoreError | None:
        """Send everything from this thread, as long as the server takes something each minute.

        Parameters
        ----------
        tell : callable
            Called after each part.
        timeout : float, optional
            The longest it may take, in seconds.
        retry_refused : bool, default=False
            Try again what the server refused.

        Returns
        -------
        StoreError or None
            What the server, or the way to it, is to blame for.
        """
        self._courier.stop(0.0)
        if retry_refused:
            self._queue.try_refused_again()
        failure = self._delivery.drain(tell, timeout)
        self._has_tried = True
        return failure

    def close(self) -> None:
        """Forward for a last while, say what is left, and close the files."""
        if self._databases[0].is_there():
            self._end_delivery()
        for database in self._databases:
            database.close()
        remote = self._remote
        if remote is not None and not self._delivery.is_under_way:
            remote.close()

    # The inside

    def _end_delivery(self) -> None:
        if not self._sends:
            return
        interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
        seconds = INTERRUPTED_SECONDS if interrupted else EXIT_SECONDS
        with suppress(SkledgerError):
            if self._courier.stop(0.0 if self._has_tried else seconds):
                self._delivery.tidy_up()
            elif not self._has_tried:
                self._courier.say_left()

    def _server(self) -> Remote:
        """Return the store of the server."""
        if self._remote is None:
            with self._lock:
                if self._remote is None:
                    self._remote = self._connect()
        return self._remote

    def _wake(self) -> None:
        if self._sends:
            self._courier.wake()

    def _settle(self, seconds: float) -> None:
        """Have what waits sent, for a while at most."""
        if self._sends and self._databases[0].is_there():
            self._courier.flush(seconds)

    def _after_fork(self) -> None:
        """Leave files, threads and what is being sent to the parent."""
        self._lock = threading.Lock()
        for database in self._databases:
            database.after_fork()
        self._runs.after_fork()
        self._delivery.after_fork()
        self._courier.after_fork()


def _checkable(change: RunChange) -> RunChange:
    """Return a change whose experiment has a number, as the checks demand."""
    if change.create is None or experiment_name(change.create.experiment_id) is None:
        return change
    return replace(change, create=replace(change.create, experiment_id="0"))


_stores: weakref.WeakSet[OutboxStore] = weakref.WeakSet()


def _renew() -> None:
    for store in list(_stores):
        store._after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew)
