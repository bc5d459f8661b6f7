"""The thread that forwards an outbox: in the background, one process at a time, politely.

It never works on the user's thread, waits for pauses of training, and when the server does not
answer it asks again after growing pauses: one warning when that begins, one line when it is over.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time

from skledger._guard import muted, report, say, switch
from skledger.errors import SkledgerError, StoreDeniedError, StoreUnavailableError
from skledger.stores.outbox_delivery import Delivery
from skledger.stores.outbox_others import boxes

__all__ = ["Courier", "waiting_text", "waits"]

#: So much later than it was booked something is sent, in seconds: more may come with it.
GATHER = 0.2
#: Pauses between two looks for files, which are written in silence, in seconds.
SHORTEST_LOOK, LONGEST_LOOK = 0.5, 15.0
#: Pause before the next look while another process forwards, in seconds.
BUSY_LOOK = 1.0
#: Pauses between two attempts while the server does not answer, in seconds.
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: The longest pause that a server may ask for, in seconds.
LONGEST_ASKED = 600.0
#: How long a part waits for a pause of training, in seconds, and the share of the time that
#: forwarding takes while there is none.
PATIENCE, SHARE = 0.5, 0.2
#: A server that comes and goes is told of once in so many seconds.
QUIET = 300.0
#: What others booked is told of when it has waited for so long, in seconds: they may just send it.
SETTLED = 60.0

#: Attempts in vain, one after the other, at which nobody waits any longer.
HOPELESS = 3

# A generator of our own: the user's random state must not move.
_random = random.SystemRandom()


def waiting_text(records: int, files: int = 0) -> str:
    """Return how much waits, in words: ``3 records and 1 file``."""
    told = [f"{records} record{'' if records == 1 else 's'}"] if records or not files else []
    if files:
        told.append(f"{files} file{'' if files == 1 else 's'}")
    return " and ".join(told)


class Courier:
    """Forwards in a thread of its own, started at the first use and again after a fork.

    Parameters
    ----------
    uri : str
        The address of the server, for messages.
    delivery : Delivery
        Does one delivery.
    """

    def __init__(self, uri: str, delivery: Delivery) -> None:
        self._uri = uri
        self._delivery = delivery
        self._failures = 0  # since the last success
        self._attempts = 0  # that failed, ever
        self._told = -math.inf  # when an outage was told of
        self._is_told = False  # whether the present one was
        self._refused = self._lost = 0
        self._is_unknown = False  # whether the server does not know who asks
        self._has_looked = False  # whether it was told what others have left here
        self._progress = 0
        #: How many records waited when an error last told the user.
        self.told_waiting = 0
        self._reset()

    def _reset(self) -> None:
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._token: object = None
        self._due = math.inf
        self._next_attempt = 0.0
        self._urgent = 0
        self._spent = 0.0

    def after_fork(self) -> None:
        """Begin anew in a child, which has no thread."""
        self._reset()

    def wake(self) -> None:
        """Note that something was appended; called before ``fit`` returns."""
        due = max(time.monotonic() + GATHER, self._next_attempt)
        # Without the lock: most of the time somebody has just woken the thread.
        if self._due > due or self._thread is None:
            self._schedule(due)

    def retry_soon(self) -> None:
        """Ask the server again: it has just answered somebody."""
        if self._failures:
            self._next_attempt = 0.0
            self._schedule(time.monotonic())

    def _schedule(self, due: float) -> None:
        with self._condition:
            self._due = min(self._due, due)
            if self._thread is None or not self._thread.is_alive():
                self._token = token = object()
                self._thread = threading.Thread(
                    target=self._work, args=(token,), name="skledger-forwarder", daemon=True
                )
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is ending: the next process forwards
                    self._thread = None
            else:
                self._condition.notify_all()

    def flush(self, timeout: float | None = None, *, insist: bool = True) -> bool:
        """Wait until everything is sent, or the server does not answer.

        Parameters
        ----------
        timeout : float, optional
            The longest to wait, in seconds.
        insist : bool, default=True
            Ask the server now, though it did not answer lately.

        Returns
        -------
        bool
            Whether nothing is left.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        if self._delivery.is_empty() and not self._delivery.is_under_way:
            return True
        if threading.current_thread() is self._thread or (self._failures and not insist):
            return False
        failed = self._attempts
        self._urgent += 1
        try:
            # A server that fails now and then is asked on, as long as it takes something.
            while self._attempts < failed + HOPELESS or self._failures < HOPELESS:
                if time.monotonic() >= end:
                    break
                self._next_attempt = 0.0
                self._schedule(time.monotonic())
                with self._condition:
                    self._condition.wait(0.05)
                if self._delivery.is_empty() and not self._delivery.is_under_way:
                    return True
            return False
        finally:
            self._urgent -= 1

    def stop(self, seconds: float) -> bool:
        """Forward for a last while, then let the thread go; tell whether nothing is left."""
        is_empty = self.flush(seconds, insist=False)
        with self._condition:
            thread, self._thread, self._token, self._due = self._thread, None, None, math.inf
            self._condition.notify_all()
        if is_empty and thread is not None and thread is not threading.current_thread():
            thread.join(0.5)  # it may be tidying up
        return is_empty

    # -- the thread -----------------------------------------------------------------------------

    def _work(self, token: object) -> None:
        look = SHORTEST_LOOK
        while token is self._token:
            with self._condition:
                while token is self._token and (left := self._due - time.monotonic()) > 0:
                    self._condition.wait(None if left == math.inf else left)
                self._due = math.inf
            if token is not self._token:
                return
            with muted():
                moved, pause = self._turn(token)
            look = SHORTEST_LOOK if moved else min(look * 1.5, LONGEST_LOOK)
            with self._condition:
                if token is self._token:
                    pause = look if pause is None else pause
                    self._due = min(self._due, time.monotonic() + pause)
                self._condition.notify_all()

    def _turn(self, token: object) -> tuple[bool, float | None]:
        """Deliver once; return whether something moved, and a pause, if it matters how long."""
        before = self._delivery.progress
        if self._next_attempt > time.monotonic():
            return False, self._next_attempt - time.monotonic()
        try:
            self._spent = time.thread_time()
            if not self._pause(token):
                return False, None
            if not self._delivery.attempt(lambda: self._pause(token)):
                return False, BUSY_LOOK
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            return True, self._failed(error)
        finally:
            self._tell_refusals()
            self._tell_losses()
            self._tell_others()
        moved = self._delivery.progress != before
        if moved:
            self._succeeded()
        elif self._failures:
            self._failures, self._is_told = 0, False  # another process has sent it
        return moved, None

    def _pause(self, token: object) -> bool:
        """Wait for a pause of training; False when it is time to stop."""
        deadline = time.monotonic() + PATIENCE
        while switch.fits and not self._urgent and time.monotonic() < deadline:
            self._sleep(token, 0.02)
        if switch.fits:
            spent = time.thread_time() - self._spent
            self._sleep(token, spent * (1 / SHARE - 1))
        self._spent = time.thread_time()
        return token is self._token

    def _sleep(self, token: object, seconds: float) -> None:
        """Sleep, but not through a flush or the end."""
        with self._condition:
            self._condition.wait_for(
                lambda: bool(self._urgent) or token is not self._token, seconds
            )

    # -- what is told ---------------------------------------------------------------------------

    def _failed(self, error: Exception) -> float:
        """Take note of an attempt in vain; return the pause before the next one."""
        if not isinstance(error, SkledgerError):
            report(f"what waits for {self._uri}", error)
        if self._delivery.progress != self._progress:
            self._progress, self._failures = self._delivery.progress, 0
        self._failures += 1
        pause = min(SHORTEST_PAUSE * 2.0 ** (self._failures - 1), LONGEST_PAUSE)
        pause *= _random.uniform(0.8, 1.2)
        if isinstance(error, StoreUnavailableError) and error.retry_after is not None:
            pause = max(pause, min(error.retry_after, LONGEST_ASKED))
        self._next_attempt = time.monotonic() + pause
        self._attempts += 1
        self._is_unknown = isinstance(error, StoreDeniedError)
        if not self._is_told and time.monotonic() - self._told > QUIET:
            self._tell_of_outage(error)
        return pause

    def _tell_of_outage(self, error: Exception) -> None:
        records = self._delivery.queue.count_left()
        if records and records == self.told_waiting:
            return  # by the error of a question, a moment ago
        self._is_told, self._told = True, time.monotonic()
        files, _ = self._delivery.uploads.count_waiting()
        say(
            logging.WARNING,
            "skledger: %s; nothing is lost: %s in %s and %s sent when it %s",
            error,
            waits(records, files),
            self._delivery.queue.database.path.parent,
            "is" if records + files == 1 else "are",
            "knows who asks" if self._is_unknown else "answers",
        )

    def _succeeded(self) -> None:
        self._failures, self._next_attempt = 0, 0.0
        self._is_unknown = False
        if self._is_told:
            self._is_told = False
            say(
                logging.WARNING,
                "skledger: %s answers again; what waited was sent",
                self._uri,
            )

    def _tell_refusals(self) -> None:
        told = self._delivery.take_refusals()
        if told and not self._refused:
            say(
                logging.WARNING,
                "skledger: %s refused something for good: %s; it is kept: "
                "`skledger sync %s --status` shows it",
                self._uri,
                told[0],
                self._uri,
            )
        self._refused += len(told)

    def _tell_losses(self) -> None:
        told = self._delivery.take_losses()
        if told and not self._lost:
            say(
                logging.WARNING,
                "skledger: %s from the outbox before %s had %s, such as %s: "
                "`skledger sync %s --status` shows which",
                "a file was removed" if len(told) == 1 else f"{len(told)} files were removed",
                self._uri,
                "it" if len(told) == 1 else "them",
                told[0],
                self._uri,
            )
        self._lost += len(told)

    def _tell_others(self) -> None:
        """Say, once, what was booked as somebody else and waits: only who knows of it sends it."""
        if self._has_looked:
            return
        self._has_looked = True
        before = time.time() * 1000 - SETTLED * 1000
        mine = self._delivery.queue.database.path.parent
        for each in boxes(self._uri, mine):
            if each.records and (each.oldest or 0) < before:
                say(
                    logging.WARNING,
                    "skledger: %s for %s, booked %s: `skledger sync %s --as-me` sends what others "
                    "booked as whoever calls it",
                    waits(each.records, each.files),
                    self._uri,
                    each.who,
                    self._uri,
                )

    def say_left(self) -> None:
        """Say how much is left at the end of the process, unless an error has just told."""
        records, (files, _) = (
            self._delivery.queue.count_left(),
            self._delivery.uploads.count_waiting(),
        )
        is_told = records > 0 and records == self.told_waiting
        if (records or files) and self._is_unknown:
            say(
                logging.WARNING,
                "skledger: %s to be sent to %s, which does not know who asks; `skledger sync %s "
                "--as-me` sends %s as the user, or with the token, that is set then",
                waits(records, files),
                self._uri,
                self._uri,
                "it" if records + files == 1 else "them",
            )
        elif (records or files) and not is_told:
            say(
                logging.WARNING,
                "skledger: %s to be sent to %s; the next process that uses it sends %s, and so "
                "does `skledger sync %s`",
                waits(records, files),
                self._uri,
                "it" if records + files == 1 else "them",
                self._uri,
            )


def waits(records: int, files: int = 0) -> str:
    """Return that so much waits, in words: ``1 record waits``."""
    return f"{waiting_text(records, files)} wait{'s' if records + files == 1 else ''}"
