"""The progress of a search as a line on a terminal.

The line belongs to a process in which others write, too, so it is drawn with care. The cursor is
left at its first column and is never hidden: what the system writes (``^C``), or another process,
covers the line, and a process that is killed leaves nothing to repair. What this process prints
passes through `_Seen`, which takes the line away first. While a line of the user's is not finished,
nothing is drawn. rich would print the user's output itself (`rich.live`): onto the other stream,
wrapped anew, and incomplete lines late.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from skledger._guard import report
from skledger.ledger.screens import Screen, State, others_draw

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["Terminal"]

#: The line is no wider than a line of scikit-learn's ``verbose=2``, which so covers it whole.
WIDTH = 79
#: Columns of the bar itself.
BAR = (6, 30)
#: Back to the first column, and clear all from there: a line may have been wrapped by a resize.
CLEAR = "\r\x1b[J"


class Terminal(Screen):
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
        """Begin to see what the user prints."""
        for stream in {id(each): each for each in (sys.stdout, sys.stderr)}.values():
            if stream is not None and stream.isatty() and hasattr(stream, "__dict__"):
                self._seen.append(_Seen(stream, self))

    def start(self) -> bool:
        """Ask rich what the terminal can do."""
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

    def show(self, state: State) -> None:
        """Draw the line, unless somebody else is writing."""
        # Where the user has printed since, perhaps a prompt, the line comes back with news only.
        if not self._drawn and (not self.line_ended or state.counts == self._shown):
            return
        if self._console is None or not self._is_foreground() or others_draw():
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
        """Put the last line in its place."""
        if others_draw():
            return
        self._put((CLEAR if self._drawn else "" if self.line_ended else "\n") + line + "\n")
        self._drawn = False

    def leave(self) -> None:
        """Give the streams their own `write` back."""
        for each in self._seen:
            each.leave()


class _Seen:
    """A stream of the user's, whose `write` makes room first; the stream stays the same object."""

    def __init__(self, stream: IO[str], screen: Terminal) -> None:
        self._stream = stream
        self._screen: Terminal | None = screen
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


def _picture(state: State, console: Console) -> Text:
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
