"""What waits in an outbox: appended by whoever books, sent by whoever forwards.

An entry is appended in one transaction of a few tenths of a millisecond, and has then survived the
process. It is kept after it was sent as long as its run is read from here: until the run has ended
and the server has all of it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from skledger.stores.outbox_awaited import LOST
from skledger.stores.outbox_codec import (
    NewExperiment,
    decode_change,
    describe,
    encode_change,
    encode_run,
)
from skledger.stores.outbox_database import PINNED, SENT, TRIED, WAITING, Database
from skledger.stores.outbox_names import experiment_name, placeholder
from skledger.stores.outbox_registry import Registration
from skledger.tracking.entities import LifecycleStage, ModelChange, Run, RunChange, RunStatus

__all__ = ["CHANGE", "EXPERIMENT", "REGISTRATION", "SNAPSHOT", "Entry", "Queue", "Refused"]

#: Kinds of entries: a change of a run, a run as the server told it, an experiment to create, a
#: model to register.
CHANGE, SNAPSHOT, EXPERIMENT, REGISTRATION = "change", "snapshot", "experiment", "registration"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that waits, or waited, to be sent.

    Parameters
    ----------
    seq : int
        Its place in the queue.
    run_id, kind, body : str
        The run it is about (empty for an experiment), what it is, and it itself as text.
    tries : int
        How often it was begun to send it since something of it was taken.
    """

    seq: int
    run_id: str
    kind: str
    body: str
    tries: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that the server refuses for good, kept with what it said.

    Parameters
    ----------
    run_id, kind, body : str
        As of an `Entry`; the kind may also be ``file``, or ``lost`` for a file that nobody has
        any more, and the body its path.
    made : int
        When it was booked, in ms since the epoch; 0 for a file.
    error : str
        What the server said, or what became of the file.
    """

    run_id: str
    kind: str
    body: str
    made: int
    error: str

    @property
    def summary(self) -> str:
        """What it is, in words: ``2 params``, ``the file plots/roc.png``."""
        if self.kind in ("file", LOST):
            return f"the file {self.body}"
        try:
            if self.kind == EXPERIMENT:
                return f"the experiment {NewExperiment.decode(self.body).name!r}"
            if self.kind == REGISTRATION:
                return f"a version of the registered model {Registration.decode(self.body).name!r}"
            return describe(decode_change(self.body))
        except (ValueError, TypeError, LookupError):
            return "something that cannot be read"


_ENTRY = "seq,run_id,kind,body,tries"


class Queue:
    """What is booked, in the order it was, and which runs are read from here.

    Parameters
    ----------
    database : Database
        Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    # What is appended

    def append(self, changes: Iterable[RunChange], taken_up: Sequence[Run] = ()) -> None:
        """Append changes in one transaction; called before ``fit`` returns.

        Parameters
        ----------
        changes : iterable of RunChange
            Those that create a run make it one that is read from here.
        taken_up : sequence of Run
            Runs of the server that are read from here from now on, as they are now.
        """
        now = time.time_ns() // 1_000_000
        entries, runs, ends, models, gone, changed = [], [], [], [], [], []
        for run in taken_up:
            entries.append((run.info.run_id, SNAPSHOT, encode_run(run), now, SENT))
            runs.append((run.info.run_id, run.info.experiment_id, 0))
        for change in changes:
            changed += [(each.model_id, len(entries)) for each in change.model_changes]
            entries.append((change.run_id, CHANGE, encode_change(change), now, WAITING))
            status = change.status
            if change.create is not None:
                status = status or change.create.status
                ended = int(RunStatus.is_terminated(status))
                runs.append((change.run_id, change.create.experiment_id, ended))
            elif status is not None:
                ends.append((int(RunStatus.is_terminated(status)), change.run_id))
            if change.lifecycle_stage == LifecycleStage.DELETED:
                ends.append((1, change.run_id))  # whatever its state, nobody goes on with it
            models += [(model.model_id, change.run_id) for model in change.models]
            gone += [(each,) for each in change.deleted_models]
        with self.database.transaction() as connection:
            many = connection.executemany
            many("INSERT INTO entries (run_id,kind,body,made,state) VALUES (?,?,?,?,?)", entries)
            if changed:
                (last,) = connection.execute("SELECT MAX(seq) FROM entries").fetchone()
                first = last + 1 - len(entries)
                places = [(model_id, first + place) for model_id, place in changed]
                many("INSERT OR IGNORE INTO model_changes VALUES (?,?)", places)
            if runs:
                many(
                    "INSERT OR REPLACE INTO runs (run_id,experiment_id,ended) VALUES (?,?,?)", runs
                )
            if ends:
                many("UPDATE runs SET ended=? WHERE run_id=? AND done IS NULL", ends)
            if gone:
                many("DELETE FROM models WHERE model_id=?", gone)
            if models:
                many("INSERT OR REPLACE INTO models VALUES (?,?)", models)
                owners = [(run_id,) for _, run_id in models]
                many("UPDATE runs SET cleared=0 WHERE run_id=? AND cleared=1", owners)

    def append_experiment(self, experiment: NewExperiment) -> None:
        """Append an experiment to create."""
        self._append_other(EXPERIMENT, experiment.encode())

    def append_registration(self, body: str) -> None:
        """Append a model to register, behind what is booked by now."""
        self._append_other(REGISTRATION, body)

    def _append_other(self, kind: str, body: str) -> None:
        self.database.do(
            "INSERT INTO entries (run_id,kind,body,made) VALUES ('',?,?,?)",
            kind,
            body,
            time.time_ns() // 1_000_000,
        )

    # What is read

    def entries_of(self, run_id: str, after: int = 0) -> tuple[bool, list[Entry]]:
        """Return whether a run is read from here, and its entries behind a place in the queue.

        Of a run that is not, only those that still wait.
        """
        if not self.database.is_there():
            return False, []
        with self.database.transaction("BEGIN") as connection:
            here = connection.execute(
                "SELECT 1 FROM runs WHERE run_id=? AND done IS NULL", (run_id,)
            ).fetchone()
            rows = connection.execute(
                f"SELECT {_ENTRY} FROM entries WHERE run_id=? AND seq>? AND state<? ORDER BY seq",
                (run_id, after, SENT + 1 if here else SENT),
            ).fetchall()
        return here is not None, [Entry(*row) for row in rows]

    def runs_here(self, *, running: bool = False) -> list[str]:
        """Return the runs that are read from here, in the order of their identifiers."""
        rows = self.database.rows(
            "SELECT run_id FROM runs WHERE done IS NULL AND ended<? ORDER BY run_id",
            1 if running else 2,
        )
        return [run_id for (run_id,) in rows]

    def run_of_model(self, model_id: str) -> str | None:
        """Return the run that made a model, while its change is in the queue."""
        rows = self.database.rows(
            "SELECT run_id FROM models WHERE model_id=? AND EXISTS "
            "(SELECT 1 FROM entries WHERE entries.run_id=models.run_id)",
            model_id,
        )
        return rows[0][0] if rows else None

    def changes_of_model(
        self, model_ids: Collection[str], *, waiting: bool
    ) -> list[tuple[ModelChange, int]]:
        """Return the changes of a model, in order, and when each was booked (ms).

        Parameters
        ----------
        model_ids : collection of str
            What it is called, here and by the server.
        waiting : bool
            Only those that wait; otherwise all that are still here.
        """
        marks = ",".join("?" * len(model_ids))
        rows = self.database.rows(
            "SELECT DISTINCT seq, body, made FROM entries JOIN model_changes USING (seq) "
            f"WHERE model_id IN ({marks}) AND state<? ORDER BY seq",
            *model_ids,
            SENT if waiting else SENT + 1,
        )
        return [
            (change, made)
            for _, body, made in rows
            for change in decode_change(body).model_changes
            if change.model_id in model_ids
        ]

    def waiting_experiments(self) -> list[NewExperiment]:
        """Return the experiments that wait to be created."""
        rows = self.database.rows("SELECT body FROM entries WHERE kind=? AND state<2", EXPERIMENT)
        return [NewExperiment.decode(body) for (body,) in rows]

    def names_of_runs(self) -> list[str]:
        """Return the names of the experiments that runs of this outbox go to."""
        rows = self.database.rows(
            "SELECT DISTINCT experiment_id FROM runs WHERE done IS NULL AND experiment_id LIKE ?",
            placeholder("%"),
        )
        return [str(experiment_name(each)) for (each,) in rows]

    def known_experiments(self) -> dict[str, str]:
        """Return the identifiers of experiments by name, as the server last told them."""
        return dict(self.database.rows("SELECT name, experiment_id FROM experiments"))

    def learn_experiments(self, names: Mapping[str, str]) -> None:
        """Remember the identifiers of experiments, by name."""
        if names:
            with self.database.transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO experiments VALUES (?,?)", names.items()
                )

    # What is sent

    def count_left(self) -> int:
        """Return how many entries wait."""
        return self.database.number("SELECT COUNT(*) FROM entries WHERE state<2")

    def oldest_left(self) -> int | None:
        """Return when the first entry that waits was made, in ms since the epoch."""
        rows = self.database.rows("SELECT made FROM entries WHERE state<2 ORDER BY seq LIMIT 1")
        return rows[0][0] if rows else None

    def left(self, limit: int, after: int = 0) -> list[Entry]:
        """Return the first entries that wait behind a place in the queue, in order."""
        rows = self.database.rows(
            f"SELECT {_ENTRY} FROM entries WHERE state<2 AND seq>? ORDER BY seq LIMIT ?",
            after,
            limit,
        )
        return [Entry(*row) for row in rows]

    def mark_tried(self, entries: Sequence[Entry]) -> None:
        """Note, before they are sent, that nobody will know what the server has of entries."""
        with self.database.transaction() as connection:
            connection.executemany(
                f"UPDATE entries SET state={TRIED}, tries=tries+1 WHERE seq=?",
                [(each.seq,) for each in entries],
            )

    def mark_getting_through(self, entries: Sequence[Entry]) -> None:
        """Note that the server has taken some of entries: attempts are counted anew."""
        with self.database.transaction() as connection:
            connection.executemany(
                "UPDATE entries SET tries=1 WHERE seq=?", [(each.seq,) for each in entries]
            )

    def mark_sent(self, entries: Sequence[Entry]) -> None:
        """Note that the server has entries; those that nothing is read from any more go."""
        places = [(each.seq,) for each in entries]
        with self.database.transaction() as connection:
            connection.executemany(f"UPDATE entries SET state={SENT} WHERE seq=?", places)
            connection.executemany(
                "DELETE FROM entries WHERE seq=? AND run_id NOT IN "
                f"(SELECT run_id FROM runs WHERE done IS NULL) AND NOT {PINNED}",
                places,
            )

    def tries_of(self, entries: Sequence[Entry]) -> list[int]:
        """Return the `tries` of entries as they are now; none for one that was sent."""
        seqs = [each.seq for each in entries]
        first, last = min(seqs), max(seqs)
        rows = dict(
            self.database.rows(
                "SELECT seq, tries FROM entries WHERE seq BETWEEN ? AND ? AND state<2", first, last
            )
        )
        return [rows[seq] for seq in seqs if seq in rows]

    # What is refused

    def refuse(self, entry: Entry, body: str, error: str, *, creates: bool = False) -> None:
        """Set aside what the server refuses for good.

        Parameters
        ----------
        entry : Entry
            What it was part of.
        body : str
            The part.
        error : str
            What the server said.
        creates : bool, default=False
            Without this part, the server has nothing of the run.
        """
        with self.database.transaction() as connection:
            connection.execute(  # once, should the rest of the entry be tried again
                "INSERT INTO refused (run_id,kind,body,made,error) SELECT ?1,?2,?3,made,?4 "
                "FROM entries WHERE seq=?5 AND NOT EXISTS (SELECT 1 FROM refused AS known WHERE "
                "known.run_id=?1 AND known.kind=?2 AND known.body=?3 AND known.made=entries.made)",
                (entry.run_id, entry.kind, body, error, entry.seq),
            )
            if creates:
                connection.execute("UPDATE runs SET refused=1 WHERE run_id=?", (entry.run_id,))

    def refused(self) -> list[Refused]:
        """Return what was set aside: changes and lost files, then files that were refused."""
        rows = self.database.rows(
            "SELECT run_id,kind,body,made,error FROM refused ORDER BY seq"
        ) + self.database.rows(
            "SELECT run_id,'file',path,0,error FROM files WHERE error IS NOT NULL"
        )
        return [Refused(*row) for row in rows]

    def count_refused(self) -> int:
        """Return how much was set aside."""
        return self.database.number(
            "SELECT (SELECT COUNT(*) FROM refused) + "
            "(SELECT COUNT(*) FROM files WHERE error IS NOT NULL)"
        )

    def try_refused_again(self) -> None:
        """Put what was refused at the end of the queue."""
        with self.database.transaction() as connection:
            connection.execute(
                f"INSERT INTO entries (run_id,kind,body,made,state,tries) "
                f"SELECT run_id,kind,body,made,{TRIED},1 FROM refused WHERE kind<>'{LOST}' "
                "ORDER BY seq"
            )
            connection.execute(f"DELETE FROM refused WHERE kind<>'{LOST}'")
            connection.execute("DELETE FROM files WHERE error IS NOT NULL")
