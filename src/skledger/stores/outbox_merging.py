"""One list out of two: what the server has, page by page, and what the outbox has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from skledger.errors import InvalidParameterError
from skledger.tracking.entities import LoggedModel, PagedList, Run

__all__ = ["merge"]

T = TypeVar("T", Run, LoggedModel)

_TOKEN = "outbox"


@dataclass(slots=True)
class _Place:
    """Where a page begins: so many of ours, and so many of a page of the server, are past."""

    ours: int = 0
    theirs: int = 0
    token: str | None = None

    @classmethod
    def read(cls, token: str | None) -> _Place:
        if not token:
            return cls()
        try:
            _, ours, theirs, rest = token.split(":", 3)
            return cls(int(ours), int(theirs), rest or None)
        except ValueError as error:
            raise InvalidParameterError(
                f"{token!r} is not a page token: pass the `token` of the page before, unchanged"
            ) from error

    def write(self) -> str:
        return f"{_TOKEN}:{self.ours}:{self.theirs}:{self.token or ''}"


def merge(
    ours: Sequence[T],
    is_here: Callable[[T], bool] | None,
    fetch: Callable[[str | None], PagedList[T]],
    max_results: int,
    in_order: Callable[[list[T]], list[T]],
    page_token: str | None,
) -> PagedList[T]:
    """Return a page of the runs, or the models, of both: each once, in order.

    Parameters
    ----------
    ours : sequence
        Those of the outbox that match.
    is_here : callable, optional
        Tells whether what the server has is the outbox's as well: then it is not the whole of it.
        None when the outbox has nothing.
    fetch : callable
        Returns the page of the server behind a token.
    max_results : int
        The length of a page.
    in_order : callable
        Puts some in order; both come in it.
    page_token : str, optional
        Where the page begins.
    """
    if page_token and not page_token.startswith(f"{_TOKEN}:"):
        return fetch(page_token)
    if is_here is None and not page_token:
        return fetch(None)
    place = _Place.read(page_token)
    mine = in_order(list(ours))[place.ours :]
    found: list[T] = []
    while True:
        page = fetch(place.token)
        theirs = page[place.theirs :]
        while theirs and len(found) < max_results:
            if is_here is not None and is_here(theirs[0]):
                place.theirs += 1
                theirs = theirs[1:]
            elif mine and in_order([mine[0], theirs[0]])[0] is mine[0]:
                found.append(mine.pop(0))
                place.ours += 1
            else:
                found.append(theirs[0])
                place.theirs += 1
                theirs = theirs[1:]
        if theirs:
            break
        if page.token is None:
            count = max_results - len(found)
            found += mine[:count]
            place.ours += len(mine[:count])
            if len(mine) <= count:
                return PagedList(found)
            break
        place.theirs, place.token = 0, page.token
        if len(found) == max_results:
            break
    return PagedList(found, place.write())
