"""What is left in an outbox, and the way out for what its server will never take."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skledger.errors import StoreError
from skledger.stores.outbox_awaited import LOST
from skledger.stores.outbox_database import Database
from skledger.stores.outbox_queue import Refused
from skledger.stores.outbox_spool import Spool
from skledger.stores.process_lock import ProcessLock

__all__ = ["Left", "discard", "drop"]


@dataclass(frozen=True, slots=True)
class Left:
    """What is left in an outbox.

    Parameters
    ----------
    records, files, size : int
        What waits: changes, files, and the length of the files in bytes.
    oldest : int or None
        When the first of the changes was booked, in ms since the epoch.
    aside : tuple of Refused
        What was set aside.
    """

    records: int
    files: int
    size: int
    oldest: int | None
    aside: tuple[Refused, ...]

    @property
    def refused(self) -> tuple[Refused, ...]:
        """What the server does not take."""
        return tuple(each for each in self.aside if each.kind != LOST)

    @property
    def lost(self) -> tuple[Refused, ...]:
        """Files that somebody removed before they were sent."""
        return tuple(each for each in self.aside if each.kind == LOST)

    @property
    def is_nothing(self) -> bool:
        """Whether the server has everything."""
        return not (self.records or self.files or self.aside)


def discard(folder: Path) -> None:
    """Remove the outbox of a server with everything that waits in it, for good.

    Raises
    ------
    StoreError
        When another process is sending what is in it.
    """
    lock = ProcessLock(folder / "lock")
    if not lock.acquire():
        raise StoreError(f"{folder} is in use by another process: end that first")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(f"cannot remove {folder}: {error.strerror or error}") from error
    finally:
        lock.release()


def drop(database: Database, spool: Spool, aside: Sequence[Refused]) -> None:
    """Forget what was set aside: for good.

    A run that the server did not create goes with all that waits of it.

    Parameters
    ----------
    database : Database
        Where it is kept.
    spool : Spool
        The files.
    aside : sequence of Refused
        What to forget, as it was told.
    """
    for each in aside:
        if each.kind == "file":
            with suppress(OSError):
                os.unlink(f"{spool.run_folder(each.run_id)}/{each.body}")  # noqa: PTH108
            database.do("DELETE FROM files WHERE run_id=? AND path=?", each.run_id, each.body)
        else:
            database.do(
                "DELETE FROM refused WHERE run_id=? AND kind=? AND body=?",
                each.run_id,
                each.kind,
                each.body,
            )
    for run_id in sorted({each.run_id for each in aside}):
        _drop_run(database, spool, run_id)


def _drop_run(database: Database, spool: Spool, run_id: str) -> None:
    """Forget a run, if the server refused to create it and nothing of it is to be tried again."""
    models = database.rows("SELECT model_id FROM models WHERE run_id=?", run_id)
    with database.transaction() as connection:
        gone = connection.execute(
            "DELETE FROM runs WHERE run_id=?1 AND refused=1 AND done IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM refused WHERE refused.run_id=?1)",
            (run_id,),
        ).rowcount
        if not gone:
            return
        for table in ("entries", "models", "files", "awaited"):
            connection.execute(f"DELETE FROM {table} WHERE run_id=?", (run_id,))
    spool.remove_run(run_id)
    for (model_id,) in models:
        spool.remove_model(model_id)
