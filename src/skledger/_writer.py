"""The background writer: what may happen after ``fit`` has returned happens here.

One daemon thread works off two things: *jobs* (pictures of a finished fit, tens of milliseconds
of CPU each) and *alarms* (something to write when a fit is still running after a while).

It is polite. A job waits until no fit is under way; when fits never pause, jobs take at most a
twentieth of the time. It is bounded: beyond `LIMIT` waiting jobs the oldest is dropped, for a job
only makes what can be made again from stored numbers. It lets go: at exit it works for at most
`EXIT_SECONDS`, then says what was left.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from skledger._exit import at_exit
from skledger._guard import contain, log_failures, logger, muted, switch, thread

__all__ = ["Job", "Writer", "writer"]

#: Jobs that may wait.
LIMIT = 32
#: How long the exit of the process may be held up, in seconds.
EXIT_SECONDS = 5.0
#: Without a fit for this long, in seconds, training has paused.
PAUSE = 0.05
#: The longest a job waits for a pause, in seconds.
PATIENCE = 2.0
#: The share of time that jobs may take while fits never pause.
SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that can be dropped.

    Parameters
    ----------
    what : str
        What it makes, for the log line when it fails.
    run : callable
        Does it.
    """

    what: str
    run: Callable[[], None]


class Writer:
    """The thread, its queue and its alarms; started at the first use, again after a fork."""

    def __init__(self) -> None:
        self.dropped = 0
        self._reset()

    def _reset(self) -> None:
        self._condition = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._alarms: dict[object, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._working = False
        self._waiting = False
        self._urgent = 0
        self._closing = False

    def submit(self, job: Job) -> None:
        """Queue a job; the oldest makes room when there are too many."""
        with self._condition:
            if len(self._jobs) >= LIMIT:
                self._jobs.popleft()
                self.dropped += 1
            self._jobs.append(job)
            self._wake()

    def alarm(self, seconds: float, ring: Callable[[], None]) -> object:
        """Call `ring` in `seconds` from now unless `cancel` is called with what this returns."""
        token = object()
        with self._condition:
            self._alarms[token] = (time.monotonic() + seconds, ring)
            self._wake()
        return token

    def cancel(self, token: object) -> None:
        """Take an alarm back; one that has rung is no error."""
        # No lock: one dict operation, and this is called before a fit returns.
        self._alarms.pop(token, None)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until every job is done, without politeness.

        Parameters
        ----------
        timeout : float, optional
            The longest to wait, in seconds; for ever by default.

        Returns
        -------
        bool
            Whether all was done in time.
        """
        if threading.current_thread() is self._thread:
            return True
        with self._condition:
            self._urgent += 1
            try:
                if self._jobs:
                    self._wake()
                self._condition.notify_all()
                return self._condition.wait_for(
                    lambda: not self._jobs and not self._working, timeout
                )
            finally:
                self._urgent -= 1

    def close(self, seconds: float = EXIT_SECONDS) -> None:
        """At exit: finish what can be finished in so many seconds, and say what was left."""
        if not self.flush(seconds):
            with self._condition:
                self.dropped += len(self._jobs)
                self._jobs.clear()
        self._closing = True
        if self.dropped:
            logger.warning(
                "skledger: the pictures of %d run%s were left undrawn to save time; "
                "their numbers are stored: `skledger plots --missing` draws them",
                self.dropped,
                "s" if self.dropped > 1 else "",
            )
            self.dropped = 0

    # -- the thread -----------------------------------------------------------------------------

    def _wake(self) -> None:
        """Start the thread or end its sleep; the lock is held."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="skledger-writer", daemon=True)
            self._thread.start()
        elif self._waiting:
            # Only a thread that sleeps without an end needs waking; a switch of threads
            # costs more than all the rest of this method.
            self._condition.notify_all()

    def _work(self) -> None:
        while not self._closing:
            with self._condition:
                self._waiting = not self._jobs and not self._alarms
                if self._waiting:
                    self._condition.wait()
                self._waiting = False
            self._ring_due()
            if self._jobs:
                if not self._wait_for_pause():
                    continue
                self._do_one()
            elif self._alarms:
                self._sleep(0.25)

    def _ring_due(self) -> None:
        now = time.monotonic()
        due = [token for token, (at, _) in list(self._alarms.items()) if at <= now]
        for token in due:
            entry = self._alarms.pop(token, None)
            if entry is not None:
                with contain("the start of a long fit"):
                    entry[1]()

    def _wait_for_pause(self) -> bool:
        """Wait for training to pause; False when an alarm is due before."""
        deadline = time.monotonic() + PATIENCE
        quiet_since: float | None = None
        while not self._urgent and time.monotonic() < deadline:
            if switch.fits:
                quiet_since = None
            elif quiet_since is None:
                quiet_since, started = time.monotonic(), switch.started
            elif switch.started != started:
                quiet_since = None  # a fit came and went between two looks
            elif time.monotonic() - quiet_since >= PAUSE:
                break
            self._sleep(PAUSE / 2)
            if self._alarms and self._alarm_is_due():
                return False
        return True

    def _alarm_is_due(self) -> bool:
        now = time.monotonic()
        return any(at <= now for at, _ in list(self._alarms.values()))

    def _do_one(self) -> None:
        with self._condition:
            if not self._jobs:
                return
            job = self._jobs.popleft()
            self._working = True
        start = time.monotonic()
        try:
            failures = thread.failures = []
            with contain(job.what), muted():
                job.run()
        finally:
            thread.failures = None
            log_failures(failures)
            with self._condition:
                self._working = False
                self._condition.notify_all()
        if switch.fits and self._jobs:
            self._sleep((time.monotonic() - start) * (1 / SHARE - 1))

    def _sleep(self, seconds: float) -> None:
        """Sleep, but not through a flush."""
        with self._condition:
            if not self._urgent:
                self._condition.wait_for(lambda: bool(self._urgent), seconds)


writer = Writer()


def _close() -> None:
    # After Ctrl-C the user wants out. Besides, the first picture imports extensions that make
    # CPython forget that it was interrupted, and the exit code would not be an interrupt's.
    interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
    try:
        writer.close(0.0 if interrupted else EXIT_SECONDS)
    except KeyboardInterrupt:
        logger.warning("skledger: left pictures undrawn; `skledger plots --missing` draws them")


at_exit("pictures", _close)

if hasattr(os, "register_at_fork"):
    # A child has neither the thread nor a reason to draw its parent's pictures.
    os.register_at_fork(after_in_child=writer._reset)
