"""Times as people write them in filters, and durations as stores compare them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["duration_milliseconds", "milliseconds_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
#: More milliseconds than any run takes, and fewer than the 64 bits of databases hold.
_LONGEST = 1e15


def milliseconds_of(text: str) -> int | None:
    """Return a moment in ms since 1970, or None when the text is none.

    ``2026-01-31``, ``2026-01-31 14:30`` or ``2026-01-31T14:30:00+02:00``; without a zone in UTC.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def duration_milliseconds(seconds: float) -> float:
    """Return seconds in ms: as a whole number where that is what they are, and never too large."""
    return min(max(round(seconds * 1000.0, 3), -_LONGEST), _LONGEST)
