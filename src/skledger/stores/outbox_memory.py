"""What an outbox remembers of what the server has: what it is called there, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from skledger.stores.outbox_codec import decode_run, encode_run
from skledger.stores.outbox_database import Database
from skledger.tracking.entities import Run

__all__ = ["Memory"]

#: For how long names are remembered, in ms, and how many runs as they were.
LONG, MOST_RUNS = 90 * 24 * 3600 * 1000, 500
#: Values that one statement takes.
_MANY = 500


class Memory:
    """Remembers names and runs for whoever cannot, or need not, ask the server.

    Parameters
    ----------
    database : Database
        Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # Names

    def learn_names(self, names: Mapping[str, str]) -> None:
        """Remember what runs and models are called here, by what the server calls them."""
        now = time.time_ns() // 1_000_000
        rows = [(theirs, ours, now) for theirs, ours in names.items() if theirs != ours]
        if rows:
            with self._database.transaction() as connection:
                connection.executemany("INSERT OR REPLACE INTO names VALUES (?,?,?)", rows)

    def our_names(self, theirs: Sequence[str]) -> dict[str, str]:
        """Return what is known of what the server calls so, by what it is called here."""
        found: dict[str, str] = {}
        for at in range(0, len(theirs), _MANY):
            some = theirs[at : at + _MANY]
            marks = ",".join("?" * len(some))
            found |= self._database.rows(
                f"SELECT theirs, ours FROM names WHERE theirs IN ({marks})", *some
            )
        return found

    # Runs

    def keep_run(self, run: Run) -> None:
        """Remember a run as it was when the server had all of it."""
        self._database.do(
            "INSERT OR REPLACE INTO copies VALUES (?,?,?)",
            run.info.run_id,
            encode_run(run),
            time.time_ns() // 1_000_000,
        )

    def has_run(self, run_id: str) -> bool:
        """Tell whether a run is remembered."""
        return bool(self._database.rows("SELECT 1 FROM copies WHERE run_id=?", run_id))

    def run(self, run_id: str) -> Run | None:
        """Return a run as it was when the server had all of it, or None."""
        rows = self._database.rows("SELECT body FROM copies WHERE run_id=?", run_id)
        return decode_run(rows[0][0]) if rows else None

    def forget(self, run_ids: Iterable[str]) -> None:
        """Forget runs."""
        for run_id in run_ids:
            self._database.do("DELETE FROM copies WHERE run_id=?", run_id)

    def forget_old(self) -> None:
        """Forget what is old, or too much."""
        before = time.time_ns() // 1_000_000 - LONG
        self._database.do("DELETE FROM names WHERE made<?", before)
        self._database.do(
            "DELETE FROM copies WHERE run_id NOT IN "
            "(SELECT run_id FROM copies ORDER BY made DESC LIMIT ?)",
            MOST_RUNS,
        )
