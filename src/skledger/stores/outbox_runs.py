"""Which runs an outbox still reads from itself, and which of their files the server has."""

from __future__ import annotations

import time

from skledger.stores.outbox_database import PINNED, Database

__all__ = ["RunsHere"]

#: What is remembered of a run the server has, for files that come late, in ms.
MEMORY = 30 * 24 * 3600 * 1000

#: A run that has not ended, but of which nothing came for so long, is read from the server, in ms.
SILENCE = 7 * 24 * 3600 * 1000

_COMPLETE = """done IS NULL AND NOT EXISTS
(SELECT 1 FROM entries WHERE entries.run_id=runs.run_id AND state<2)
AND (ended=1 OR NOT EXISTS
(SELECT 1 FROM entries WHERE entries.run_id=runs.run_id AND made>?1))"""

_UNPIN = f"""DELETE FROM entries WHERE state=2 AND seq IN
(SELECT seq FROM model_changes JOIN models USING (model_id) WHERE models.run_id=?)
AND run_id NOT IN (SELECT run_id FROM runs WHERE done IS NULL) AND NOT {PINNED}"""


class RunsHere:
    """The runs that were created, or taken up, through an outbox.

    Parameters
    ----------
    database : Database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_known(self, run_id: str) -> bool:
        """Tell whether a run was booked here."""
        return bool(self._database.rows("SELECT 1 FROM runs WHERE run_id=?", run_id))

    def is_here(self, run_id: str) -> bool:
        """Tell whether a run is read from here."""
        return bool(
            self._database.rows("SELECT 1 FROM runs WHERE run_id=? AND done IS NULL", run_id)
        )

    def has_arrived(self, run_id: str) -> bool:
        """Tell whether the server knows a run: its creation neither waits nor was refused."""
        return not self._database.rows(
            "SELECT 1 FROM runs WHERE run_id=?1 AND done IS NULL AND (refused=1 OR "
            "(SELECT state FROM entries WHERE run_id=?1 ORDER BY seq LIMIT 1)<2)",
            run_id,
        )

    def is_refused(self, run_id: str) -> bool:
        """Tell whether the server refused to create a run."""
        return bool(self._database.rows("SELECT 1 FROM runs WHERE run_id=? AND refused=1", run_id))

    def accept(self, run_id: str) -> None:
        """Note that a run was created after all."""
        self._database.do("UPDATE runs SET refused=0 WHERE run_id=? AND refused=1", run_id)

    def place(self, run_id: str) -> str | None:
        """Return where the server keeps the artifacts of a run, when it was asked already."""
        rows = self._database.rows("SELECT place FROM runs WHERE run_id=?", run_id)
        return rows[0][0] if rows else None

    def learn_place(self, run_id: str, place: str) -> None:
        """Remember where the server keeps the artifacts of a run."""
        self._database.do("UPDATE runs SET place=? WHERE run_id=?", place, run_id)

    def admit(self, run_id: str) -> None:
        """Take files for a run that the server has, and that goes on being read from there."""
        self._database.do(
            "INSERT OR IGNORE INTO runs (run_id,experiment_id,ended,done,cleared) "
            "VALUES (?,'',1,?,1)",
            run_id,
            time.time_ns() // 1_000_000,
        )

    # Files

    def files(self, run_id: str) -> dict[str, str]:
        """Return the files of a run that were sent or refused: path and stamp."""
        return dict(self._database.rows("SELECT path, stamp FROM files WHERE run_id=?", run_id))

    def refused_files(self, run_id: str) -> set[str]:
        """Return the paths of the files of a run that were refused."""
        rows = self._database.rows(
            "SELECT path FROM files WHERE run_id=? AND error IS NOT NULL", run_id
        )
        return {path for (path,) in rows}

    def note_file(self, run_id: str, path: str, stamp: str, error: str | None = None) -> None:
        """Note that a file was sent, or refused with an error."""
        self._database.do(
            "INSERT OR REPLACE INTO files VALUES (?,?,?,?)", run_id, path, stamp, error
        )

    def forget_file(self, run_id: str, path: str) -> None:
        """Forget a file that is gone."""
        self._database.do("DELETE FROM files WHERE run_id=? AND path=?", run_id, path)

    # The end of a run

    def complete(self) -> list[str]:
        """Return the runs that the server has all entries of and that have ended, or are silent."""
        rows = self._database.rows(
            f"SELECT run_id FROM runs WHERE refused=0 AND {_COMPLETE}", _silent_since()
        )
        return [run_id for (run_id,) in rows]

    def finish(self, run_id: str) -> bool:
        """Read a run from the server from now on, unless something of it came meanwhile."""
        now = time.time_ns() // 1_000_000
        with self._database.transaction() as connection:
            done = connection.execute(
                f"UPDATE runs SET done=?2 WHERE run_id=?3 AND {_COMPLETE}",
                (_silent_since(), now, run_id),
            ).rowcount
            if done:
                connection.execute(
                    f"DELETE FROM entries WHERE run_id=? AND NOT {PINNED}", (run_id,)
                )
                # What other runs have changed of its models was kept for it.
                connection.execute(_UNPIN, (run_id,))
            return bool(done)

    def to_clear(self, before: int) -> list[str]:
        """Return the runs finished before a time (ms since the epoch) that have files here."""
        rows = self._database.rows(
            "SELECT run_id FROM runs WHERE done<=? AND cleared=0 AND NOT EXISTS "
            "(SELECT 1 FROM entries WHERE entries.run_id=runs.run_id AND state<2)",
            before,
        )
        return [run_id for (run_id,) in rows]

    def models(self, run_id: str) -> list[str]:
        """Return the models that a run made here."""
        rows = self._database.rows("SELECT model_id FROM models WHERE run_id=?", run_id)
        return [model_id for (model_id,) in rows]

    def is_known_model(self, model_id: str) -> bool:
        """Tell whether a model was booked here."""
        return bool(self._database.rows("SELECT 1 FROM models WHERE model_id=?", model_id))

    def waits_for_model(self, model_id: str) -> bool:
        """Tell whether a model was booked whose change the server does not have."""
        return bool(
            self._database.rows(
                "SELECT 1 FROM models JOIN entries USING (run_id) WHERE model_id=? AND state<2",
                model_id,
            )
        )

    def clear(self, run_id: str) -> None:
        """Note that the files of a run are gone from here."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE runs SET cleared=1 WHERE run_id=?", (run_id,))
            connection.execute("DELETE FROM models WHERE run_id=?", (run_id,))
            connection.execute("DELETE FROM files WHERE run_id=? AND error IS NULL", (run_id,))

    def forget_old(self) -> None:
        """Forget the runs that the server has had for long."""
        self._database.do(
            "DELETE FROM runs WHERE cleared=1 AND done<? "
            "AND run_id NOT IN (SELECT run_id FROM awaited)",
            time.time_ns() // 1_000_000 - MEMORY,
        )
        self._database.do("DELETE FROM model_changes WHERE seq NOT IN (SELECT seq FROM entries)")


def _silent_since() -> int:
    return time.time_ns() // 1_000_000 - SILENCE
