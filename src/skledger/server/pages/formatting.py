"""Times, durations, numbers and sizes as people read them, in HTML that scripts can refine."""

from __future__ import annotations

# Markup is put together with f-strings here, each value escaped: `Markup.format` is several times
# slower, and a table has hundreds of cells.
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = [
    "csv_time",
    "decimals",
    "duration",
    "duration_text",
    "human_size",
    "markdown",
    "number",
    "number_text",
    "own_tags",
    "plain",
    "shortened",
    "time",
    "with_code",
]

#: How keys of tags begin that programs set for themselves.
_INTERNAL = ("mlflow.", "skledger.")
#: How much of a note is read for a line of it.
_NOTE = 2000
#: What stands where there is no value.
NOTHING = Markup('<span class="muted">\u2013</span>')


def time(milliseconds: int | None) -> Markup:
    """Return a moment as ``<time>``: in UTC, until a script puts it into the viewer's zone."""
    if milliseconds is None:
        return NOTHING
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return Markup(f"<span>{int(milliseconds)}</span>")
    iso = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup(
        f'<time datetime="{iso}" data-ms="{int(milliseconds)}">'
        f"{moment.strftime('%Y-%m-%d %H:%M')} UTC</time>"
    )


def csv_time(milliseconds: int | None) -> str | None:
    """Return a moment for files: ISO 8601 in UTC, or its number where no calendar goes."""
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return str(milliseconds)


def duration_text(milliseconds: float) -> str:
    """Return a duration in words: ``12 ms``, ``3.4 s``, ``2 min 5 s``, ``1 h 4 min``."""
    if not math.isfinite(milliseconds):
        return number_text(milliseconds)
    seconds = max(0.0, milliseconds / 1000)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def duration(start: int | None, end: int | None = None) -> Markup:
    """Return how long something took, or how long it takes already, then kept up by a script."""
    if start is None:
        return NOTHING
    if end is None:
        return Markup(f'<span data-since="{int(start)}" class="muted">so far</span>')
    return Markup(f'<span title="{end - start} ms">{duration_text(end - start)}</span>')


def number_text(value: float) -> str:
    """Return a number in at most six digits that count, without losing what kind it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, int) and abs(value) >= 10**15:
        return str(value)  # more than a float holds
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    large = 1e6 <= abs(value) < 1e15
    return str(round(value, 1)) if large else f"{value:.{4 if abs(value) < 1e4 else 6}g}"


def decimals(values: Iterable[float]) -> int | None:
    """Return how many digits stand behind the point so that numbers line up in a column.

    None where that is no way to write them: whole numbers, and those far apart.
    """
    known = [abs(each) for each in values if math.isfinite(each) and each != 0]
    if not known or all(each == int(each) for each in known):
        return None
    least, most = min(known), max(known)
    if least < 1e-3 or most >= 1e4:
        return None
    return 4 if most < 10 else 3 if most < 100 else 2


def number(value: float | None, places: int | None = None) -> Markup:
    """Return a number for reading, with all its digits as the title.

    Parameters
    ----------
    value : float or None
        The number.
    places : int, optional
        How many digits stand behind the point; else as many as count.
    """
    if value is None:
        return NOTHING
    fixed = places is not None and math.isfinite(value)
    text = f"{value:.{places}f}" if fixed else number_text(value)
    return Markup(f'<span title="{escape(repr(value))}">{escape(text)}</span>')


def human_size(size: int | None) -> str:
    """Return a size in bytes in words: ``512 B``, ``3.4 kB``, ``1.2 GB``."""
    if size is None:
        return ""
    amount = float(min(size, 2**63))
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return (
                f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
            )
        amount /= 1000
    return f"{amount:.1f} TB"


def shortened(text: str, length: int = 60) -> Markup:
    """Return a text for a cell: its first characters, with all of it as the title."""
    if len(text) <= length and "\n" not in text:
        return escape(text)
    line = " ".join(text.split())
    line = line if len(line) <= length else line[: length - 1] + "…"
    return Markup(f'<span title="{escape(text[:1000])}">{escape(line)}</span>')


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that people have set: those of the machinery are nobody's words."""
    return {key: tags[key] for key in sorted(tags) if not key.startswith(_INTERNAL)}


def markdown(text: str) -> Markup:
    """Return a note as HTML: CommonMark and tables; its own HTML and pictures stay text.

    Links lead only where `markdown-it` lets them: never to scripts.
    """
    return Markup('<div class="prose">{}</div>').format(Markup(_markdown().render(text)))


def with_code(text: str) -> Markup:
    """Return a text whose words between backticks are code: `skledger sync`."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # one has no other
        parts[-2:] = ["`".join(parts[-2:])]
    marked = (
        f"<code>{escape(each)}</code>" if at % 2 else escape(each) for at, each in enumerate(parts)
    )
    return Markup("".join(marked))


def plain(text: str) -> str:
    """Return the words of a note, without what Markdown makes of them."""
    if not text or text.isalnum():
        return text
    parts = []
    for block in _markdown().parse(text[:_NOTE]):
        for each in block.children or ():
            parts.append(" " if each.type in ("softbreak", "hardbreak") else each.content)
        if block.type in ("fence", "code_block"):
            parts.append(block.content)
        parts.append(" ")
    return " ".join("".join(parts).split())


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
