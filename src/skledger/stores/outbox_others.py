"""The outboxes of this machine: one for each server and for each who books on it.

What was booked as one user, or with one token, is not sent as another by itself: it would belong
to somebody else, and what a server refused one person would arrive as another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from skledger.errors import StoreError
from skledger.stores.artifacts import artifact_store
from skledger.stores.outbox_awaited import Awaited
from skledger.stores.outbox_database import Database
from skledger.stores.outbox_place import outbox_folders
from skledger.stores.outbox_queue import Queue
from skledger.stores.outbox_runs import RunsHere
from skledger.stores.outbox_spool import Spool
from skledger.stores.outbox_uploads import Uploads

__all__ = ["Box", "boxes", "outboxes"]


@dataclass(frozen=True, slots=True)
class Box:
    """An outbox in which something is left.

    Parameters
    ----------
    folder : Path
        Where it is.
    uri : str
        The address of its server.
    who : str
        Who booked it, in words: ``as 'alice'``.
    records, files, aside : int
        What waits, and how much was set aside.
    oldest : int or None
        When the first of what waits was booked, in ms since the epoch.
    """

    folder: Path
    uri: str
    who: str
    records: int
    files: int
    aside: int
    oldest: int | None


def boxes(uri: str | None = None, but: Path | None = None) -> list[Box]:
    """Return the outboxes of this machine in which something is left.

    Parameters
    ----------
    uri : str, optional
        Only those for this server, without user and password.
    but : Path, optional
        A folder to leave out.
    """
    looked = (_look(each, uri) for each in outbox_folders() if each != but)
    return [each for each in looked if each is not None]


def outboxes() -> list[str]:
    """Return the addresses of the servers that something waits for on this machine."""
    return list(dict.fromkeys(each.uri for each in boxes()))


def _look(folder: Path, uri: str | None) -> Box | None:
    """Return what is left in a folder; None when that is nothing, or for another server."""
    database = Database(folder / "queue.db", "")
    try:
        about = dict(database.rows("SELECT key, value FROM about"))
        if uri is not None and about.get("uri") != uri:
            return None
        queue = Queue(database)
        spool = Spool(folder / "files")
        runs = RunsHere(database)
        uploads = Uploads(runs, spool, _nobody, artifact_store, Awaited(database))
        records, files, aside = (
            queue.count_left(),
            uploads.count_waiting()[0],
            queue.count_refused(),
        )
        if not (records or files or aside):
            return None
        who = about.get("who", "without user or token")
        return Box(folder, about["uri"], who, records, files, aside, queue.oldest_left())
    finally:
        database.close()


def _nobody() -> NoReturn:
    raise StoreError("nothing is sent here")
