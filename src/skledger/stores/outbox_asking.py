"""Questions to a server that may never answer, and to one that has just failed to."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from skledger.errors import StoreUnavailableError

__all__ = ["Silence", "within"]

T = TypeVar("T")

#: For how long a server that did not answer is not asked again, in seconds.
SILENT = 10.0
#: A question that failed sooner costs so little that it may be asked again, in seconds.
SLOW = 1.0


class _NoAnswerError(StoreUnavailableError):
    """There was none in the time that the caller had; there might have been one later."""


class Silence:
    """Whether a server was found silent a moment ago, so that nobody waits for it again.

    Parameters
    ----------
    progress : callable
        Returns a number that changes when the server takes something from this process: then it
        is not silent any more.
    """

    def __init__(self, progress: Callable[[], int]) -> None:
        self._progress = progress
        self._until = -math.inf
        self._patience = 0.0
        self._seen = 0
        self._error = ""

    def check(self, seconds: float) -> None:
        """Raise `StoreUnavailableError` when it is no use to wait for so long."""
        is_over = time.monotonic() >= self._until or self._progress() != self._seen
        if not is_over and seconds <= self._patience:
            raise StoreUnavailableError(f"{self._error} (a moment ago; not asked again yet)")

    def note(self, error: StoreUnavailableError, began: float, seconds: float) -> None:
        """Remember a question without an answer.

        Parameters
        ----------
        error : StoreUnavailableError
            Why there is none.
        began : float
            When it was asked, by `time.monotonic`.
        seconds : float
            How long the answer was waited for at most.
        """
        now = time.monotonic()
        if error.status is None and now - began >= min(SLOW, seconds):
            self._error, self._seen = str(error), self._progress()
            # Whoever has more patience may still get an answer.
            self._patience = seconds if isinstance(error, _NoAnswerError) else math.inf
            self._until = now + SILENT

    def end(self) -> None:
        """Forget it: there was an answer."""
        self._until = -math.inf


def within(seconds: float, call: Callable[[], T], address: str) -> T:
    """Return what a call returns, if it does so in time.

    Parameters
    ----------
    seconds : float
        The longest to wait. The call itself goes on, in a thread that holds up nobody.
    call : callable
        Asks the server.
    address : str
        The server, for the message.

    Raises
    ------
    StoreUnavailableError
        When there is no answer in time; and whatever the call raises.
    """
    answers: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def ask() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # noqa: BLE001 - raised where it was asked
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=ask, name="skledger-question", daemon=True).start()
    if not done.wait(seconds):
        raise _NoAnswerError(f"{address} did not answer within {seconds:g} s")
    if errors:
        raise errors[0]
    return answers[0]
