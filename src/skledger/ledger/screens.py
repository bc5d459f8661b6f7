"""Where the progress of a search is shown: lines in a file, or one output of a notebook."""

from __future__ import annotations

import contextvars
import html
import math
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Any

__all__ = ["Lines", "Notebook", "Screen", "State", "others_draw"]


@dataclass(slots=True)
class State:
    """How far a search is, and in words."""

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
        """The time since the search began, in s."""
        return time.monotonic() - self.began

    @property
    def counts(self) -> tuple[int, int | None, float | None, int]:
        """What `Progress.update` was told."""
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


class Screen:
    """Where progress is shown; this one is nowhere."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def watch(self) -> None:
        """Begin to see what the user prints."""

    def start(self) -> bool:
        """Prepare for showing; False when that cannot be done here."""
        return True

    def show(self, state: State) -> None:
        """Draw; the lock is held."""

    def finish(self, line: str) -> None:
        """Put the last line where the drawing was; the lock is held."""

    def leave(self) -> None:
        """Undo what `watch` did to others."""


def others_draw() -> bool:
    """Tell whether the user has a bar of theirs on the terminal, of rich or tqdm."""
    proxy = getattr(sys.modules.get("rich.file_proxy"), "FileProxy", ())
    if isinstance(sys.stdout, proxy) or isinstance(sys.stderr, proxy):
        return True
    console = getattr(sys.modules.get("rich"), "_console", None)
    if getattr(console, "_live", None) or getattr(console, "_live_stack", None):
        return True
    tqdm = getattr(sys.modules.get("tqdm.std"), "tqdm", None)
    return len(getattr(tqdm, "_instances", ())) > 0


class Lines(Screen):
    """A file or a pipe: a line now and then, and the last."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream
        self._next = 5.0

    def show(self, state: State) -> None:
        """Write a line when it is time."""
        if state.elapsed >= self._next:
            self._next = state.elapsed + max(5.0, state.elapsed / 20)
            self.finish(f"{state.title} {state.figures()} in {state.times()}")

    def finish(self, line: str) -> None:
        """Write a line."""
        self._stream.write(line + "\n")
        self._stream.flush()


class Notebook(Screen):
    """One output of the cell, which is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None
        # Which cell an output belongs to is known where the search was called.
        self._context = contextvars.copy_context()

    def show(self, state: State) -> None:
        """Replace the output."""
        text = f"{state.title} {state.figures()} {state.times()}"
        bar = f"<progress value={state.done} max={state.total}></progress> " if state.total else ""
        rest = html.escape(f"{state.figures()} {state.times()}")
        self._context.run(self._put, text, f"{html.escape(state.title)} {bar}{rest}")

    def finish(self, line: str) -> None:
        """Replace the output by the last line."""
        self._context.run(self._put, line, html.escape(line))

    def _put(self, text: str, markup: str) -> None:
        from IPython.display import display

        bundle = {"text/plain": text, "text/html": f"<div>{markup}</div>"}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)
