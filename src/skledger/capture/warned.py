"""Warnings that a fit raised, as records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["RaisedWarning", "summarise", "to_text"]


@dataclass(frozen=True, slots=True)
class RaisedWarning:
    """One warning: its class, its text and where it points to."""

    category: str
    message: str
    filename: str
    lineno: int


def summarise(warned: Sequence[RaisedWarning]) -> str:
    """Return one line per kind of warning with its count, the most frequent first."""
    counts = Counter((each.category, _first_line(each.message)) for each in warned)
    lines = []
    for (category, message), count in counts.most_common():
        times = f" (x{count})" if count > 1 else ""
        lines.append(f"{category}: {message}{times}")
    return "\n".join(lines)


def to_text(warned: Sequence[RaisedWarning]) -> str:
    """Return every distinct warning whole, with its place and its count."""
    counts = Counter(warned)
    parts = []
    for each, count in counts.items():
        times = f", {count} times" if count > 1 else ""
        parts.append(f"{each.filename}:{each.lineno}{times}\n{each.category}: {each.message}\n")
    return "\n".join(parts)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]
