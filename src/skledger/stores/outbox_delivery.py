"""One delivery of an outbox at a time: in this process and among all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from skledger.errors import StoreDeniedError, StoreError
from skledger.stores.outbox_forwarder import Forwarder
from skledger.stores.outbox_local import run_in
from skledger.stores.outbox_memory import Memory
from skledger.stores.outbox_queue import Queue
from skledger.stores.outbox_uploads import LEASE, Uploads
from skledger.stores.process_lock import ProcessLock

__all__ = ["Delivery"]

#: When nothing was heard of the server for so long, in seconds, `drain` gives up; and when the
#: server has taken nothing for so long, whatever it says.
GIVE_UP, TAKES_NOTHING = 15.0, 60.0
#: Pauses of `drain` while another process delivers, or the server is not well, in seconds.
LOOK, SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 0.1, 2.0
#: Seconds between two times that what is remembered is thinned out.
FORGETTING = 60.0


class Delivery:
    """Sends what waits, and does away with what the server has.

    Parameters
    ----------
    queue, uploads, forwarder : Queue, Uploads, Forwarder
        What waits, and who sends it.
    lock : ProcessLock
        Held while something is sent.
    """

    def __init__(
        self, queue: Queue, uploads: Uploads, forwarder: Forwarder, lock: ProcessLock
    ) -> None:
        self.queue = queue
        self.uploads = uploads
        self._forwarder = forwarder
        self._lock = lock
        self._memory = Memory(queue.database)
        self._forgot = time.monotonic()
        self._mutex = threading.Lock()

    def after_fork(self) -> None:
        """Leave what was being sent to the parent."""
        self._lock.release()
        self._mutex = threading.Lock()
        self._forwarder.forget()

    @property
    def is_under_way(self) -> bool:
        """Whether a thread of this process is sending."""
        return self._mutex.locked()

    @property
    def progress(self) -> int:
        """Grows with everything that the server takes."""
        return self._forwarder.progress

    def take_refusals(self) -> list[str]:
        """Return why things were refused for good since this was last asked."""
        taken, self._forwarder.refusals[:] = list(self._forwarder.refusals), []
        return taken

    def take_losses(self) -> list[str]:
        """Return which files vanished before they were sent, since this was last asked."""
        taken, self.uploads.losses[:] = list(self.uploads.losses), []
        return taken

    def is_empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self.queue.count_left() and not self.uploads.has_waiting()

    def attempt(self, pause: Callable[[], bool], lease: float = LEASE) -> bool:
        """Send what waits, unless somebody else is at it; tell whether it was our turn.

        Parameters
        ----------
        pause : callable
            Called before each part; returns False when it is time to stop.
        lease : float
            For how long files stay that the server has, in seconds.

        Raises
        ------
        SkledgerError
            When the server cannot be reached.
        """
        if not self._mutex.acquire(blocking=False):
            return False
        try:
            if not self._lock.acquire():
                return False
            try:
                self.uploads.notice()
                self._forwarder.send(pause)
            finally:
                self._tidy(lease)
                self._lock.release()
        finally:
            self._mutex.release()
        return True

    def _tidy(self, lease: float) -> None:
        self.uploads.finish_runs(self._keep)
        self.uploads.clear(lease)
        if time.monotonic() - self._forgot > FORGETTING:
            self._forgot = time.monotonic()
            self._memory.forget_old()
        self.queue.database.fold_log()

    def _keep(self, run_id: str) -> None:
        run = run_in(self.queue, run_id)
        if run is not None:
            self._memory.keep_run(run)

    def tidy_up(self) -> None:
        """Do away with all that the server has, at the end of the process."""
        self.attempt(lambda: False, lease=0.0)

    def drain(self, tell: Callable[[], None], timeout: float | None = None) -> StoreError | None:
        """Send everything, as long as the server takes something within each minute.

        Parameters
        ----------
        tell : callable
            Called after each part.
        timeout : float, optional
            The longest it may take, in seconds.

        Returns
        -------
        StoreError or None
            Why something is left, when the server is to blame.
        """
        begun = moved = heard = time.monotonic()
        end = None if timeout is None else begun + timeout
        failure: StoreError | None = None
        progress, wait = self.progress, SHORTEST_PAUSE

        def pause() -> bool:
            tell()
            return end is None or time.monotonic() < end

        while True:
            before = self.progress
            try:
                ours = self.attempt(pause, lease=0.0)
                failure, wait = None, LOOK if not ours else SHORTEST_PAUSE
            except StoreDeniedError as error:
                return error  # to ask again as the same is of no use
            except StoreError as error:
                failure, wait = error, min(2 * wait, LONGEST_PAUSE)
                if error_pause := getattr(error, "retry_after", None):
                    wait = max(wait, error_pause)
            tell()
            now = time.monotonic()
            if getattr(failure, "status", None) is not None:
                heard = now
            if self.progress != before or progress != self.progress:
                progress, moved = self.progress, now
                heard = now
                wait = min(wait, SHORTEST_PAUSE)
            if self.is_empty() or (end is not None and now + wait >= end):
                return failure
            is_hopeless = now + wait - heard > GIVE_UP or now + wait - moved > TAKES_NOTHING
            if failure is not None and is_hopeless:
                return failure
            time.sleep(wait)
