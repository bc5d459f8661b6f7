"""The files that an outbox waits to send: noted, so that one that vanishes is noticed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from skledger.stores.outbox_database import Database

__all__ = ["LOST", "Awaited"]

#: The kind of a thing set aside that is a file nobody has any more, and what is told of it.
LOST = "lost"
_WHY = "it was removed from the outbox before the server had it"


class Awaited:
    """Remembers which files wait, by their run and path.

    Parameters
    ----------
    database : Database
        Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def update(
        self, waiting: Collection[tuple[str, str]], is_there: Callable[[str, str], bool]
    ) -> list[str]:
        """Note the files that wait now; return the paths of those that waited and are gone.

        Parameters
        ----------
        waiting : collection of (str, str)
            Runs and paths.
        is_there : callable
            Tells whether there is a file, waiting or not.
        """
        noted = set(self._database.rows("SELECT run_id, path FROM awaited"))
        past = noted.difference(waiting)
        lost = [each for each in sorted(past) if not is_there(*each)]
        new = [each for each in waiting if each not in noted]
        if past or new:
            with self._database.transaction() as connection:
                connection.executemany("INSERT OR IGNORE INTO awaited VALUES (?,?)", new)
                connection.executemany(
                    "DELETE FROM awaited WHERE run_id=? AND path=?", sorted(past)
                )
        return [path for run_id, path in lost if self.lose(run_id, path)]

    def arrive(self, run_id: str, path: str) -> None:
        """Note that a file is about to leave, for the server has it; it may have been lost once."""
        with self._database.transaction() as connection:
            for statement in (
                "DELETE FROM awaited WHERE run_id=? AND path=?",
                f"DELETE FROM refused WHERE kind='{LOST}' AND run_id=? AND body=?",
            ):
                connection.execute(statement, (run_id, path))

    def lose(self, run_id: str, path: str) -> bool:
        """Set aside that a file is lost; tell whether that is news."""
        return bool(
            self._database.do(
                "INSERT INTO refused (run_id,kind,body,made,error) "
                f"SELECT ?1,'{LOST}',?2,CAST(strftime('%s','now') AS INTEGER)*1000,'{_WHY}' "
                "WHERE NOT EXISTS "
                f"(SELECT 1 FROM refused WHERE kind='{LOST}' AND run_id=?1 AND body=?2)",
                run_id,
                path,
            )
        )
