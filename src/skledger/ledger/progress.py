"""The progress of a search: one line on the terminal's stderr, or one output of a notebook."""

from __future__ import annotations

import os
import sys
import threading
import time

from skledger._guard import contain
from skledger.ledger.screens import Lines, Notebook, Screen, State, others_draw
from skledger.ledger.terminal import Terminal
from skledger.tracking.context import in_notebook

__all__ = ["Progress", "open_progress"]

#: A search that is over sooner shows nothing, in seconds.
PATIENCE = 0.5
#: Between two drawings, in seconds.
EVERY = 0.1


class Progress:
    """The progress of one search; this one shows nothing."""

    def update(self, done: int, total: int | None, best: float | None, failed: int) -> None:
        """Show how far the search is, now and then.

        Parameters
        ----------
        done : int
            Candidates that have been scored.
        total : int or None
            Candidates there will be, as far as is known.
        best : float or None
            The best score so far.
        failed : int
            Candidates of those done that failed.
        """

    def close(self, error: BaseException | None = None) -> None:
        """Leave one line that says how it went.

        Parameters
        ----------
        error : BaseException, optional
            What ended the search.
        """


def open_progress(title: str, mode: bool | str) -> Progress:
    """Return what shows the progress of a search.

    Nested searches, and others at the same time, show nothing: there is one line.

    Parameters
    ----------
    title : str
        Such as ``GridSearchCV: SVC``.
    mode : {"auto", True, False}
        By default a line on a terminal and in a notebook and silence elsewhere; with True also
        lines in a file or a pipe, and a last line however short the search was.

    Returns
    -------
    Progress
        Call `Progress.close` in the end, whatever happens.
    """
    global _shown
    if mode is not False:
        with contain("the progress of the search"):
            screen = _screen(always=mode is True)
            if screen is not None and _free.acquire(blocking=False):
                _shown = _Shown(screen, State(title), mode is True)
                screen.watch()
                return _shown
    return Progress()


_free = threading.Lock()
_shown: _Shown | None = None


class _Shown(Progress):
    """The one that shows. Updates come from other threads than the user's prints and the end."""

    def __init__(self, screen: Screen, state: State, always: bool) -> None:
        self._screen = screen
        self._state = state
        self._always = always
        self._started = False
        self._drawn_at = state.began + PATIENCE - EVERY
        self.closed = False

    def update(self, done: int, total: int | None, best: float | None, failed: int) -> None:
        state, lock, now = self._state, self._screen.lock, time.monotonic()
        state.done, state.total, state.best, state.failed = done, total, best, failed
        if self.closed or now - self._drawn_at < EVERY or not lock.acquire(blocking=False):
            return
        self._drawn_at = now
        drawing = contain("the progress of the search")
        with drawing:  # which logs when the lock is free again: a log line is a print, too
            try:
                self._draw()
            finally:
                lock.release()
        if drawing.failed:
            self._give_up()

    def _draw(self) -> None:
        if self.closed:
            return
        if not self._started:
            self._started = True
            if not self._screen.start():
                self._screen.leave()
                lock, self._screen = self._screen.lock, Screen()
                if self._always:
                    self._screen = Lines(sys.stderr)
                self._screen.lock = lock
        self._screen.show(self._state)

    def close(self, error: BaseException | None = None) -> None:
        if self.closed:
            return
        lock = self._screen.lock
        try:
            # Another thread may be drawing on a terminal that takes nothing.
            with contain("the end of the progress"):
                if lock.acquire(timeout=1):
                    try:
                        self._finish(error)
                    finally:
                        lock.release()
        finally:
            self._give_up()

    def _finish(self, error: BaseException | None) -> None:
        if self._started or self._always:
            self._screen.finish(self._state.last(error))

    def _give_up(self) -> None:
        global _shown
        if not self.closed:
            self.closed = True
            self._screen.leave()
            _shown = None
            _free.release()

    def forget(self) -> None:
        """In a forked child: the line is the parent's."""
        self.closed = True
        self._screen.leave()


def _forget_in_child() -> None:
    if _shown is not None:
        _shown.forget()  # and what keeps other searches of the child silent stays


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_in_child)


def _screen(always: bool) -> Screen | None:
    """Return where progress is shown now, or None; this looks, and imports nothing."""
    if in_notebook():
        return Notebook()
    stream = sys.stderr
    if stream is None or stream.closed:
        return None
    wanted = always or os.environ.get("CI", "").lower() in ("", "0", "false")
    if wanted and stream.isatty() and not others_draw():
        return Terminal(stream)
    return Lines(stream) if always else None
