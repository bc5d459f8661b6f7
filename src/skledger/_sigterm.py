"""A process that is asked to end (SIGTERM) books what is under way before it goes.

It must go as it would without us: at once, and by the signal's default action, for whoever sent it
looks at the exit status. Python runs signal handlers only between the bytecodes of the main
thread, and a fit may be one C call of an hour. So a small thread reads what Python's C handler
writes (`signal.set_wakeup_fd`), has the end booked, and ends the process.

What no thread can do is act while a C call keeps the GIL (some of SciPy's LAPACK calls do): then
the process ends when that call returns.
"""

from __future__ import annotations

import _thread
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import BuiltinFunctionType, FrameType

from skledger._guard import contain

__all__ = ["ending_on_sigterm"]

#: How long what is under way has to book its end, in seconds.
SECONDS = 2.0


class ending_on_sigterm:  # noqa: N801 - reads as a statement: ``with ending_on_sigterm(...):``
    """Book what is under way when SIGTERM ends the process inside the block.

    It does nothing outside the main thread, where SIGTERM is handled or ignored already, on
    Windows, and in the first process of a container, which SIGTERM does not end. When the block
    ends all is as before. Blocks may be nested; the innermost is booked first. Forked children
    have the default action again.

    Parameters
    ----------
    book_end : callable
        Takes no arguments. It is called at most once, in another thread while the main thread
        goes on, and has two seconds together with those of the blocks around.
    """

    __slots__ = ("_book_end", "_watch")

    def __init__(self, book_end: Callable[[], None]) -> None:
        self._book_end = book_end
        self._watch: _Watch | None = None

    def __enter__(self) -> ending_on_sigterm:
        with contain("the end by SIGTERM (this fit will not notice one)"):
            watch = _watch if _is_main_thread() else None
            if watch is None and _ends_by_default():
                watch = _Watch()
                watch.start()
            if watch is not None:
                watch.book_ends.append(self._book_end)
                self._watch = watch
        return self

    def __exit__(self, *exception: object) -> None:
        watch, self._watch = self._watch, None
        # Whoever holds this is held by it: in a circle, what was under way would be kept.
        self._book_end = _nothing
        if watch is None or watch is not _watch:  # never begun, or in a forked child
            return
        with contain("the end of waiting for SIGTERM"):
            if len(watch.book_ends) == 1:
                watch.stop()
            if watch.begun:
                watch.wait_for_death()
            watch.book_ends.pop()


def _nothing() -> None:
    """Book nothing: the block has ended."""


def _is_main_thread() -> bool:
    return _thread.get_ident() == threading.main_thread().ident


def _ends_by_default() -> bool:
    """Tell whether SIGTERM would end this process now, and whether we can do so in its place."""
    return (
        sys.platform != "win32"
        and _is_main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        and not _disposition()  # a C library may have its own, which Python does not know
        and os.getpid() != 1  # for which the default is to be ignored
        # A greenlet in a thread's place would block all others while it reads.
        and isinstance(_thread.start_new_thread, BuiltinFunctionType)
    )


class _Watch:
    """The handler, the pipe behind it and the thread that reads it, for the outermost block.

    Attributes
    ----------
    book_ends : list of callable
        One for each block under way, the innermost last.
    begun : bool
        Whether SIGTERM has come.
    """

    def __init__(self) -> None:
        self.book_ends: list[Callable[[], None]] = []
        self.begun = False
        self._first = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()
        self._reading = self._writing = -1
        self.handler = 0

    def start(self) -> None:
        """Take the place of the default action."""
        global _watch
        _watch = self
        try:
            self._start_reading()
            signal.signal(signal.SIGTERM, _on_sigterm)
            self.handler = _disposition()
        except BaseException:
            self.stop()
            raise

    def _start_reading(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        other = signal.set_wakeup_fd(self._writing)
        if other != -1:
            # An event loop's: it keeps its place, and Python's own handler must do.
            signal.set_wakeup_fd(other)
            self._close_pipe()
            return
        self._ended.acquire()
        try:
            _thread.start_new_thread(self._read, ())
        except RuntimeError:  # no more threads: the same
            self._give_wakeup_back()
            self._close_pipe()

    def stop(self) -> None:
        """Give everything back, but for what somebody else has put in its place."""
        global _watch
        try:
            try:
                self._restore_default()
            except BaseException:  # Ctrl-C has come before, and is raised before anything is done
                self._restore_default()
                raise
        finally:
            try:
                self._stop_reading()
            finally:
                _watch = None

    def _restore_default(self) -> None:
        # A C library that put its handler here since then keeps it; ours would end the process
        # when it is called from there.
        ours = signal.getsignal(signal.SIGTERM) is _on_sigterm
        if ours and _disposition() in (0, self.handler):
            # This runs the handler of a signal that has already come.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _stop_reading(self) -> None:
        if self._writing == -1:
            return
        try:
            self._give_wakeup_back()
        finally:
            os.set_blocking(self._writing, True)
            os.write(self._writing, b"\0")
        # The thread closes the pipe. When others keep it from running it does so later.
        self._ended.acquire(timeout=1)

    def _give_wakeup_back(self) -> None:
        other = signal.set_wakeup_fd(-1)
        if other not in (-1, self._writing):
            signal.set_wakeup_fd(other)

    def forget(self) -> None:
        """Leave the parent's pipe alone, in a forked child, where nobody reads it."""
        if self._writing != -1:
            self._give_wakeup_back()
            self._close_pipe()

    def _close_pipe(self) -> None:
        reading, self._reading = self._reading, -1
        writing, self._writing = self._writing, -1
        os.close(reading)
        os.close(writing)

    # -- other threads --------------------------------------------------------------------------

    def _read(self) -> None:
        """Wait for SIGTERM, or for the end of the block; Python writes each signal as a byte."""
        try:
            while True:
                came = os.read(self._reading, 512)
                if signal.SIGTERM in came and self._is_ours():
                    self.begin()
                if not came or 0 in came:
                    return
        finally:
            self._close_pipe()
            self._ended.release()

    def _is_ours(self) -> bool:
        # The user's handler may be there meanwhile. Ours may just have been taken away, between
        # the signal and here.
        return signal.getsignal(signal.SIGTERM) in (_on_sigterm, signal.SIG_DFL)

    def begin(self) -> None:
        """SIGTERM has come: book all, but do not wait for it."""
        if self._first.acquire(blocking=False):
            self.begun = True
            try:
                _thread.start_new_thread(self._die, ())
            except RuntimeError:  # no more threads
                _end_process()

    def _die(self) -> None:
        booked = _thread.allocate_lock()
        try:
            booked.acquire()
            _thread.start_new_thread(self._book, (booked,))
            booked.acquire(timeout=SECONDS)
        finally:
            _end_process()

    def _book(self, booked: _thread.LockType) -> None:
        try:
            for book_end in reversed(self.book_ends.copy()):
                with contain("the end by SIGTERM"):
                    book_end()
        finally:
            booked.release()

    def wait_for_death(self) -> None:
        """Keep the main thread from going on after its block, as if nothing had come."""
        time.sleep(SECONDS + 1)
        _end_process()


_watch: _Watch | None = None


def _on_sigterm(_signum: int, _frame: FrameType | None) -> None:
    """Stand where the default action was; act like it when put back after the block."""
    if _watch is not None:
        _watch.begin()
    else:
        _end_process()


def _end_process() -> None:
    """Have SIGTERM's default action; from any thread, where `signal.signal` cannot be called."""
    _set_disposition(0)
    os.kill(os.getpid(), signal.SIGTERM)


def _disposition() -> int:
    """Return the address of SIGTERM's C handler; 0 is the default action."""
    return _c_functions()[0](signal.SIGTERM) or 0


def _set_disposition(handler: int) -> None:
    _c_functions()[1](signal.SIGTERM, handler)


@functools.cache
def _c_functions() -> tuple[Callable[[int], int | None], Callable[[int, int], int | None]]:
    """Return CPython's own functions that ask for a C handler and put one."""
    import ctypes

    library, number, address = ctypes.pythonapi, ctypes.c_int, ctypes.c_void_p
    ask = ctypes.PYFUNCTYPE(address, number)(("PyOS_getsig", library))
    put = ctypes.PYFUNCTYPE(address, number, address)(("PyOS_setsig", library))
    return ask, put


# -- forks --------------------------------------------------------------------------------------
# A child shares the pipe until it has closed it: a SIGTERM for the child would be read, and obeyed,
# by its parent. So children are born with the default action.

_disarmed: _Watch | None = None


def _before_fork() -> None:
    global _disarmed
    if _watch is not None and _is_armed(_watch):
        _disarmed = _watch
        _set_disposition(0)


def _is_armed(watch: _Watch) -> bool:
    """Tell whether neither the user nor a C library has put a handler of theirs over ours."""
    ours = signal.getsignal(signal.SIGTERM) is _on_sigterm
    return ours and _disposition() == watch.handler


def _after_fork_in_parent() -> None:
    global _disarmed
    watch, _disarmed = _disarmed, None
    if watch is None or watch is not _watch or watch.begun:
        return
    if signal.getsignal(signal.SIGTERM) is _on_sigterm and not _disposition():
        _set_disposition(watch.handler)


def _after_fork_in_child() -> None:
    global _disarmed, _watch
    watch, _disarmed, _watch = _watch, None, None
    if watch is not None:
        with contain("the default action of SIGTERM in a forked child"):
            if signal.getsignal(signal.SIGTERM) is _on_sigterm:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            watch.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
