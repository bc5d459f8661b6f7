"""The progress of a search: one line on the terminal's stderr, or one output of a notebook.

The line belongs to a process in which others write, too, so it is drawn with care. The cursor is
left at its first column and is never hidden: what the system writes (``^C``), or another process,
covers the line, and a process that is killed leaves nothing to repair. What this process prints
passes through `_Seen`, which takes the line away first. While a line of the user's is not finished,
nothing is drawn. rich would print the user's output itself (`rich.live`): onto the other stream,
wrapped anew, and incomplete lines late.
"""

from __future__ import annotations

import contextvars
import html
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from skledger._guard import contain, report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["Progress", "open_progress"]

#: A search that is over sooner shows nothing, in seconds.
PATIENCE = 0.5
#: Between two drawings, in seconds.
EVERY = 0.1
#: The line is no wider than a line of scikit-learn's ``verbose=2``, which so covers it whole.
WIDTH = 79
#: Columns of the bar itself.
BAR = (6, 30)
#: Back to the first column, and clear all from there: a line may have been wrapped by a resize.
CLEAR = "\r\x1b[J"


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
                _shown = _Shown(screen, _State(title), mode is True)
                screen.watch()
                return _shown
    return Progress()


_free = threading.Lock()
_shown: _Shown | None = None


@dataclass(slots=True)
class _State:
    title: str
    done: int = 0
    total: int | None = None
    best: float | None = None
    failed: int = 0
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.title = "".join(each for each in self.title if each.isprintable())

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    @property
    def counts(self) -> tuple[int, int | None, float | None, int]:
        return self.done, self.total, self.best, self.failed

    def figures(self) -> str:
        """Return ``37/144 best 0.9731, 2 failed``."""
        text = f"{self.done}/{self.total}" if self.total else str(self.done)
        if self.best is not None and math.isfinite(self.best):
            text += f" best {self.best:.4g}"
        return text + (f", {self.failed} failed" if self.failed else "")

    def times(self) -> str:
        """Return ``0:05, 0:14 left``."""
        text = _clock(self.elapsed)
        if self.total and 0 < self.done < self.total:
            text += f", {_clock(self.elapsed * (self.total - self.done) / self.done)} left"
        return text

    def last(self, error: BaseException | None) -> str:
        """Return the line that stays."""
        end = "" if error is None else f", stopped by {type(error).__name__}"
        return f"{self.title} {self.figures()} in {_clock(self.elapsed)}{end}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Shown(Progress):
    """The one that shows. Updates come from other threads than the user's prints and the end."""

    def __init__(self, screen: _Screen, state: _State, always: bool) -> None:
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
                lock, self._screen = self._screen.lock, _Screen()
                if self._always:
                    self._screen = _Lines(sys.stderr)
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


class _Screen:
    """Where progress is shown; this one is nowhere."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def watch(self) -> None:
        """Begin to see what the user prints."""

    def start(self) -> bool:
        """Prepare for showing; False when that cannot be done here."""
        return True

    def show(self, state: _State) -> None:
        """Draw; the lock is held."""

    def finish(self, line: str) -> None:
        """Put the last line where the drawing was; the lock is held."""

    def leave(self) -> None:
        """Undo what `watch` did to others."""


def _screen(always: bool) -> _Screen | None:
    """Return where progress is shown now, or None; this looks, and imports nothing."""
    if _in_notebook():
        return _Notebook()
    stream = sys.stderr
    if stream is None or stream.closed:
        return None
    wanted = always or os.environ.get("CI", "").lower() in ("", "0", "false")
    if wanted and stream.isatty() and not _others_draw():
        return _Terminal(stream)
    return _Lines(stream) if always else None


def _in_notebook() -> bool:
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_shell is not None and getattr(get_shell(), "kernel", None) is not None


def _others_draw() -> bool:
    """Tell whether the user has a bar of theirs on the terminal, of rich or tqdm."""
    proxy = getattr(sys.modules.get("rich.file_proxy"), "FileProxy", ())
    if isinstance(sys.stdout, proxy) or isinstance(sys.stderr, proxy):
        return True
    console = getattr(sys.modules.get("rich"), "_console", None)
    if getattr(console, "_live", None) or getattr(console, "_live_stack", None):
        return True
    tqdm = getattr(sys.modules.get("tqdm.std"), "tqdm", None)
    return len(getattr(tqdm, "_instances", ())) > 0


class _Lines(_Screen):
    """A file or a pipe: a line now and then, and the last."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream
        self._next = 5.0

    def show(self, state: _State) -> None:
        if state.elapsed >= self._next:
            self._next = state.elapsed + max(5.0, state.elapsed / 20)
            self.finish(f"{state.title} {state.figures()} in {state.times()}")

    def finish(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class _Notebook(_Screen):
    """One output of the cell, which is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None
        # Which cell an output belongs to is known where the search was called.
        self._context = contextvars.copy_context()

    def show(self, state: _State) -> None:
        text = f"{state.title} {state.figures()} {state.times()}"
        bar = f"<progress value={state.done} max={state.total}></progress> " if state.total else ""
        rest = html.escape(f"{state.figures()} {state.times()}")
        self._context.run(self._put, text, f"{html.escape(state.title)} {bar}{rest}")

    def finish(self, line: str) -> None:
        self._context.run(self._put, line, html.escape(line))

    def _put(self, text: str, markup: str) -> None:
        from IPython.display import display

        bundle = {"text/plain": text, "text/html": f"<div>{markup}</div>"}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


class _Terminal(_Screen):
    """The line below what the user has printed."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream
        self._write = stream.write
        self._seen: list[_Seen] = []
        self._console: Console | None = None
        self._drawn = False
        #: Whether the user's last line is complete.
        self.line_ended = True
        self._shown: tuple[object, ...] | None = None

    def watch(self) -> None:
        for stream in {id(each): each for each in (sys.stdout, sys.stderr)}.values():
            if stream is not None and stream.isatty() and hasattr(stream, "__dict__"):
                self._seen.append(_Seen(stream, self))

    def start(self) -> bool:
        from rich.console import Console

        console = Console(
            file=self._stream, force_jupyter=False, highlight=False, markup=False, emoji=False
        )
        if not console.is_terminal or console.is_dumb_terminal or console.legacy_windows:
            return False
        self._console = console
        return True

    def _put(self, text: str) -> None:
        self._write(text)
        self._stream.flush()

    def show(self, state: _State) -> None:
        # Where the user has printed since, perhaps a prompt, the line comes back with news only.
        if not self._drawn and (not self.line_ended or state.counts == self._shown):
            return
        if self._console is None or not self._is_foreground() or _others_draw():
            self._drawn = False
            return
        if self._shown is None:
            # When the cursor is not at a first column, so many spaces bring it to the next line.
            self._put(" " * os.get_terminal_size(self._stream.fileno()).columns + CLEAR)
        with self._console.capture() as captured:
            self._console.print(_picture(state, self._console), end="")
        self._put("\r" + captured.get().rstrip("\n") + "\x1b[J\r")
        self._drawn, self._shown = True, state.counts

    def _is_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (AttributeError, OSError):  # Windows, or a terminal that controls nothing
            return True

    def make_room(self, text: str) -> None:
        """Take the line away for what the user prints; the lock is held."""
        if text:
            if self._drawn:
                self._drawn = False
                self._put(CLEAR)
            self.line_ended = text.endswith("\n")

    def finish(self, line: str) -> None:
        if _others_draw():
            return
        self._put((CLEAR if self._drawn else "" if self.line_ended else "\n") + line + "\n")
        self._drawn = False

    def leave(self) -> None:
        for each in self._seen:
            each.leave()


class _Seen:
    """A stream of the user's, whose `write` makes room first; the stream stays the same object."""

    def __init__(self, stream: IO[str], screen: _Terminal) -> None:
        self._stream = stream
        self._screen: _Terminal | None = screen
        self._attributes = vars(stream)
        self._own = self._attributes.get("write")
        self._write: Callable[[str], int] = stream.write
        self._ours = self.write
        self._attributes["write"] = self._ours

    def write(self, text: str) -> int:
        screen = self._screen
        if screen is None:
            return self._write(text)
        failure: Exception | None = None
        with screen.lock:
            try:
                screen.make_room(text)
            except Exception as error:  # noqa: BLE001 - reported when the lock is free
                failure, self._screen = error, None
            written = self._write(text)
        if failure is not None:
            report("the progress of the search", failure)
        return written

    def leave(self) -> None:
        self._screen = None
        if self._attributes.get("write") is self._ours:  # or somebody has wrapped it since
            del self._attributes["write"]
            if self._own is not None:
                self._attributes["write"] = self._own


def _picture(state: _State, console: Console) -> Text:
    from rich.text import Text

    title, figures, times = state.title, state.figures(), state.times()
    room = min(console.width - 1, WIDTH)
    spare = room - len(f"{title}  {figures} {times}")
    picture = Text(title + " ", no_wrap=True, end="")
    if state.total and spare >= BAR[0]:
        _add_bar(picture, min(spare, BAR[1]), min(state.done / state.total, 1.0), console)
    picture.append(f"{figures} ")
    picture.append(times, style="progress.elapsed")
    picture.truncate(room)
    return picture


def _add_bar(picture: Text, width: int, share: float, console: Console) -> None:
    full = int(width * share)
    # As rich has it: without colours the rest of the bar is blank.
    sign = "━" if console.encoding.startswith("utf") else "-"
    rest = " " if console.no_color or console.color_system is None else sign
    picture.append(sign * full, style="bar.finished" if share == 1 else "bar.complete")
    picture.append(rest * (width - full), style="bar.back")
    picture.append(" ")
