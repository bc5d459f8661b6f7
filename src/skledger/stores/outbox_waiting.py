"""Which runs wait in the outboxes of this machine: a look from outside that changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from skledger.stores.outbox_place import outbox_folders

__all__ = ["waiting_runs"]

#: How long a look waits for whoever is writing, in seconds.
_PATIENCE = 1.0


def waiting_runs() -> set[str]:
    """Return the runs of which something waits here, by the identifiers their outbox gave them.

    An outbox that cannot be read, such as one of another user, tells nothing.
    """
    found: set[str] = set()
    try:
        folders = outbox_folders()
    except (OSError, RuntimeError):  # no home folder
        return found
    for folder in folders:
        try:
            address = f"{(folder / 'queue.db').as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, timeout=_PATIENCE, uri=True)) as connection:
                rows = connection.execute("SELECT DISTINCT run_id FROM entries WHERE state<2")
                found.update(run_id for (run_id,) in rows if run_id)
        except (sqlite3.Error, OSError):
            continue
    return found
