"""Pages, and their tokens: where the next one starts."""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar

from skledger.errors import InvalidParameterError
from skledger.tracking.entities import PagedList, Run

__all__ = ["page_of", "page_of_newest", "read_last", "read_token", "write_token"]

T = TypeVar("T")

_TOKEN = re.compile(r"([0-9]{1,18})(?: (-?[0-9]{1,18}) ([ -~]{1,64}))?", re.ASCII)


def write_token(offset: int, last: tuple[int, str] | None = None) -> str:
    """Return the token of the page that starts at this position.

    Parameters
    ----------
    offset : int
        How many items are before it.
    last : (int, str), optional
        Where in the order the last of these is. With it, what comes or goes between two pages
        neither repeats an item nor hides one.
    """
    text = f"{offset}" if last is None else f"{offset} {last[0]} {last[1]}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(token: str | None) -> int:
    """Return the position that a token stands for; no token is the start.

    Raises
    ------
    InvalidParameterError
        When no store wrote it.
    """
    return _read(token)[0]


def read_last(token: str | None) -> tuple[int, str] | None:
    """Return the last item before the page, when the token tells; raises as `read_token`."""
    return _read(token)[1]


def page_of(items: Sequence[T], limit: int, token: str | None) -> PagedList[T]:
    """Return the page of a list at which a token points."""
    start = read_token(token)
    end = start + limit
    return PagedList(items[start:end], write_token(end) if len(items) > end else None)


def page_of_newest(runs: Sequence[Run], limit: int, token: str | None) -> PagedList[Run]:
    """Return the page of runs, the newest first, that follows the last run of the page before."""
    start, last = _read(token)
    shown = start + limit
    if last is not None:
        start = bisect_right(runs, (-last[0], last[1]), key=_newest)
    end = start + limit
    page = PagedList(runs[start:end])
    if len(runs) > end:
        page.token = write_token(shown, (page[-1].info.start_time, page[-1].info.run_id))
    return page


def _newest(run: Run) -> tuple[int, str]:
    return -run.info.start_time, run.info.run_id


def _read(token: str | None) -> tuple[int, tuple[int, str] | None]:
    if not token:
        return 0, None
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError, TypeError):
        text = ""
    found = _TOKEN.fullmatch(text)
    if not found:
        raise InvalidParameterError(
            f"{token!r} is not a page token: pass the `token` of the page before, unchanged"
        )
    offset, key, name = found.groups()
    return int(offset), (int(key), name) if name else None
