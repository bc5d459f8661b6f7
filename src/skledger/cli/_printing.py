"""What goes to the terminal: coloured and fitted there, plain text in a pipe."""

from __future__ import annotations

import functools
import json
import math
import re
import sys
import time
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

__all__ = [
    "STATUS_STYLES",
    "bytes_text",
    "cell",
    "clock",
    "console",
    "duration_text",
    "emit",
    "emit_json",
    "finite",
    "moment_text",
    "number_text",
    "one_line",
    "seconds_text",
    "spread_text",
]

STATUS_STYLES = {
    "FINISHED": "green",
    "FAILED": "bold red",
    "KILLED": "magenta",
    "RUNNING": "yellow",
    "SCHEDULED": "blue",
}
#: Wide enough that nothing is cut or wrapped in a pipe.
_PIPE_WIDTH = 20_000

# What moves the cursor or recolours the terminal must not come out of a run's name.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@functools.lru_cache(maxsize=1)
def _on(stream: IO[str]) -> Console:
    from rich.console import Console

    made = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
    return made


def console() -> Console:
    """Return the console of the standard output as it is now."""
    return _on(sys.stdout)


def emit(*renderables: RenderableType, soft_wrap: bool = False) -> None:
    """Print; in a pipe without the blanks that fill up a column.

    Parameters
    ----------
    *renderables
        What rich can print, one below the other.
    soft_wrap : bool, default=False
        Leave it to the terminal to break long lines, so that they can be copied whole.
    """
    where = console()
    if where.is_terminal:
        where.print(*renderables, sep="\n", soft_wrap=soft_wrap)
        return
    with where.capture() as captured:
        where.print(*renderables, sep="\n", soft_wrap=soft_wrap)
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def emit_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def cell(value: object, style: str = "") -> Text:
    """Return text that is shown as it is: no markup, no control characters."""
    from rich.text import Text

    return Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value)), style=style)


def one_line(value: str, width: int) -> Text:
    """Return a text on one line, white space as one blank, cut at a width in columns."""
    line = cell(" ".join(value.split()))
    line.truncate(width, overflow="ellipsis")
    return line


def finite(value: float) -> float | int | str:
    """Return a number as JSON has it; NaN and the infinities, which it lacks, as text."""
    if math.isfinite(value):
        return int(value) if float(value).is_integer() and abs(value) < 2**53 else value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def number_text(value: float | None) -> str:
    """Return a metric in a few digits."""
    if value is None:
        return ""
    if math.isfinite(value) and float(value).is_integer() and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.4g}"


def spread_text(mean: float | None, deviation: float | None) -> str:
    """Return a mean and its standard deviation, with as many decimals."""
    text = number_text(mean)
    if mean is None or deviation is None or not math.isfinite(deviation):
        return text
    decimals = len(text.partition(".")[2]) if "e" not in text else 0
    rounded = f"{deviation:.{decimals}f}"
    # What would be rounded away is still told.
    return f"{text} ± {rounded if float(rounded) or not deviation else f'{deviation:.2g}'}"


def bytes_text(size: int) -> str:
    """Return a size in bytes as people write it."""
    if size < 1000:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 1000:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


def duration_text(milliseconds: int | None) -> str:
    """Return a duration in ms as people write it."""
    if milliseconds is None or milliseconds < 0:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def seconds_text(seconds: float | None) -> str:
    """Return a duration in s as people write it; of less than 10 ms, with a decimal."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if 0 < seconds < 0.01:
        return f"{1000 * seconds:.2g} ms"
    return duration_text(round(1000 * seconds))


def clock(milliseconds: int | None, timespec: str = "seconds") -> str:
    """Return a time in ms since the epoch as local date and time."""
    if milliseconds is None:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000).isoformat(" ", timespec)
    except (ValueError, OverflowError, OSError):  # a store may hold any number
        return str(milliseconds)


def moment_text(milliseconds: int) -> str:
    """Return how long ago that was, or the date when it was not today."""
    ago = time.time() - milliseconds / 1000
    if ago < 0 or ago >= 24 * 3600:
        return clock(milliseconds, "minutes")
    if ago < 60:
        return f"{int(ago)} s ago"
    if ago < 3600:
        return f"{int(ago / 60)} min ago"
    return f"{int(ago / 3600)} h ago"
