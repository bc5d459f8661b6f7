"""Copying one run after the other: begun, filled, compared, and then marked as whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from skledger.errors import SkledgerError
from skledger.stores.base import Store
from skledger.tracking.context import process_identity
from skledger.tracking.copying_files import FileCopier
from skledger.tracking.copying_marks import COPIED_TAG, COPYING_TAG, OWN_TAGS, Copies, mark_of
from skledger.tracking.copying_models import ModelCopier
from skledger.tracking.copying_places import is_server, open_files
from skledger.tracking.copying_records import (
    Records,
    differences,
    lacking,
    read_records,
    without,
)
from skledger.tracking.entities import (
    Experiment,
    LifecycleStage,
    Run,
    RunChange,
    RunInfo,
    RunStatus,
    as_tags,
)
from skledger.tracking.names import new_run_id
from skledger.tracking.processes import process_lives, process_text
from skledger.tracking.runs import ERROR_TAGS, PARENT_TAG, PROCESS_TAG

__all__ = ["RunCopier", "Tally"]

#: Tags whose value is the identifier of another run.
_POINTERS = (PARENT_TAG, "skledger.best_run", "mlflow.rootRunId")
#: What MLflow noted of the models of a run before it had logged models: JSON that names the run.
_HISTORY_TAG = "mlflow.log-model.history"


@dataclass(slots=True)
class Tally:
    """What was copied by now; the names are those of `CopyReport`."""

    copied: int = 0
    running: int = 0
    params: int = 0
    metrics: int = 0
    tags: int = 0
    datasets: int = 0
    models: int = 0
    files: int = 0
    size: int = 0
    notes: list[str] = field(default_factory=list)

    def count(self, records: Records) -> None:
        """Add the records of a run."""
        self.params += len(records.params)
        self.metrics += len(records.metrics)
        self.tags += len(records.tags)
        self.datasets += len(records.inputs)


class RunCopier:
    """Copies runs.

    Parameters
    ----------
    source, destination : Store
        From where, and to where.
    copies : Copies
        What is there already.
    expected : set of str
        The runs that will have been copied in the end.
    tally : Tally
        What is counted.
    file_copied : callable
        Called after each file.
    """

    def __init__(
        self,
        source: Store,
        destination: Store,
        copies: Copies,
        expected: set[str],
        tally: Tally,
        file_copied: Callable[[], None],
    ) -> None:
        self._source, self._destination = source, destination
        self._copies, self._expected = copies, expected
        self._tally, self._file_copied = tally, file_copied
        #: Runs that point to others whose new identifiers are not known yet.
        self._waiting: dict[str, _Copy] = {}

    def copy(self, run: Run, experiment: Experiment, *, stays_active: bool) -> None:
        """Copy a run with everything that belongs to it, or what is missing of it.

        Parameters
        ----------
        run : Run
            As the source has it.
        experiment : Experiment
            Where it goes.
        stays_active : bool
            Do not delete the copy of a run that is deleted: its experiment will be.

        Raises
        ------
        SkledgerError
            When this run cannot be copied, or is not the same after it was.
        StoreError
            When no run can be copied now.
        """
        made = self._begin(run, experiment)
        made.stays_active = stays_active
        self._fill(made)
        self._copy_files(made, experiment.artifact_location)
        self._end(made)
        self._check(made)
        if self._unknown(run):
            self._waiting[run.info.run_id] = made
        else:
            self._finish(made)
        self._finish_waiting()

    def finish_all(self) -> None:
        """Finish the runs that point to others which will not be copied."""
        for run_id, made in list(self._waiting.items()):
            self._finish(made)
            del self._waiting[run_id]

    # The steps

    def _begin(self, run: Run, experiment: Experiment) -> _Copy:
        """Return the copy of a run, made now or begun before."""
        run_id = run.info.run_id
        begun = self._copies.begun(run_id)
        if begun is not None:
            made = self._destination.get_run(begun)
            self._refuse_if_busy(run, made)
            return _Copy(run, made, resumed=True)
        copy_id = run_id if self._copies.is_free(run_id) else new_run_id()
        info = RunInfo(
            run_id=copy_id,
            experiment_id=experiment.experiment_id,
            run_name=run.info.run_name,
            user_id=run.info.user_id,
            # Until it is whole it looks like what it is: a run that somebody works on.
            status=RunStatus.RUNNING,
            start_time=run.info.start_time,
            end_time=None,
            lifecycle_stage=LifecycleStage.ACTIVE,
            artifact_uri=f"{experiment.artifact_location.rstrip('/')}/{copy_id}/artifacts",
        )
        tags = {COPYING_TAG: mark_of(self._source, run_id), PROCESS_TAG: process_identity()}
        self._destination.write(RunChange(copy_id, create=info, tags=as_tags(tags)))
        made = self._destination.get_run(copy_id)
        self._copies.begin(run_id, made.info.run_id)
        return _Copy(run, made)

    @staticmethod
    def _refuse_if_busy(run: Run, made: Run) -> None:
        process = made.data.tags.get(PROCESS_TAG, "")
        if process in ("", process_identity(), run.data.tags.get(PROCESS_TAG)):
            return
        if process_lives(process):
            raise SkledgerError(
                f"It is being copied by the {process_text(process)} right now; wait for that one."
            )

    def _wanted(self, run: Run) -> Records:
        """Return what the copy of a run should hold, as far as identifiers are known."""
        records = without(read_records(self._source, run), (*OWN_TAGS, PROCESS_TAG))
        return replace(records, tags=self._translated(run, records.tags))

    def _translated(self, run: Run, tags: dict[str, str]) -> dict[str, str]:
        tags = dict(tags)
        for key in _POINTERS:
            if key in tags:
                tags[key] = self._copies.translate(tags[key]) or tags[key]
        if _HISTORY_TAG in tags:
            old = run.info.run_id
            tags[_HISTORY_TAG] = tags[_HISTORY_TAG].replace(old, self._copies.translate(old) or old)
        return tags

    def _unknown(self, run: Run) -> list[str]:
        """Return the runs that this one points to and that are still to come."""
        others = [run.data.tags[key] for key in _POINTERS if key in run.data.tags]
        return [
            each
            for each in others
            if each in self._expected and self._copies.translate(each) is None
        ]

    def _fill(self, made: _Copy) -> None:
        made.wanted = self._wanted(made.run)
        held = read_records(self._destination, made.copy) if made.resumed else Records()
        change = lacking(made.wanted, held)
        if change is not None:
            self._destination.write(replace(change, run_id=made.copy_id))

    def _copy_files(self, made: _Copy, root: str) -> None:
        ids = {made.run_id: made.copy_id}
        files = FileCopier(
            open_files(self._source, made.run.info.artifact_uri),
            open_files(self._destination, made.copy.info.artifact_uri),
            {old: new for old, new in ids.items() if old != new},
            resumed=made.resumed,
            copied=self._count_file,
        )
        files.run()
        models = ModelCopier(
            self._source, self._destination, ids, made.wanted.metrics, self._count_file
        )
        made.models = models.run(made.run_id, made.copy_id, root)
        made.notes = [*files.notes, *models.notes]
        made.refused = [*files.refused, *models.refused]

    def _count_file(self, size: int) -> None:
        self._tally.files += 1
        self._tally.size += size
        self._file_copied()

    def _end(self, made: _Copy) -> None:
        info = made.run.info
        renamed = info.run_name != made.copy.info.run_name
        self._destination.write(
            RunChange(
                made.copy_id,
                status=info.status,
                end_time=info.end_time,
                run_name=info.run_name if renamed and info.run_name else None,
            )
        )

    def _check(self, made: _Copy) -> None:
        """Read the copy back and compare it with the run."""
        found = self._destination.get_run(made.copy_id)
        made.tags_there = set(found.data.tags)
        wrong = differences(made.wanted, read_records(self._destination, found))
        for name in ("run_name", "user_id", "status", "start_time", "end_time"):
            one, other = getattr(made.run.info, name), getattr(found.info, name)
            if one != other and one not in (None, ""):
                wrong.append(f"{name}: {other!r} instead of {one!r}")
        if made.refused:
            raise SkledgerError(f"The destination does not take {'; '.join(made.refused)}")
        if wrong:
            raise SkledgerError(
                f"It did not arrive as it was sent: {'; '.join(wrong)}. Copy again; if it stays "
                "so, the destination cannot hold it."
            )

    def _finish_waiting(self) -> None:
        for run_id, made in list(self._waiting.items()):
            if not self._unknown(made.run):
                self._finish(made)
                del self._waiting[run_id]

    def _finish(self, made: _Copy) -> None:
        """Mark a copy as whole; one of a run that still goes on stays marked as begun."""
        tags = self._translated(made.run, made.wanted.tags)
        changed = {k: v for k, v in tags.items() if made.wanted.tags[k] != v}
        process = made.run.data.tags.get(PROCESS_TAG)
        running = not RunStatus.is_terminated(made.run.info.status)
        stale = {key for key in ERROR_TAGS if key not in made.wanted.tags}
        if process is None:
            stale.add(PROCESS_TAG)
        else:
            changed[PROCESS_TAG] = process
        if not running:
            changed[COPIED_TAG] = mark_of(self._source, made.run_id)
        # Not every store writes all of it at once, and whoever is killed in between is to be
        # found out: no copy is ever without a mark, and that of what is not whole goes last.
        self._destination.write(RunChange(made.copy_id, tags=as_tags(changed)))
        self._destination.write(
            RunChange(made.copy_id, deleted_tags=tuple(sorted(stale & made.tags_there)))
        )
        deleted = made.run.info.lifecycle_stage == LifecycleStage.DELETED and not made.stays_active
        # A server keeps the tags of deleted runs as they are: there the deletion says it.
        says_so = deleted and is_server(self._destination.uri)
        self._destination.write(
            RunChange(
                made.copy_id,
                deleted_tags=() if running or says_so else (COPYING_TAG,),
                lifecycle_stage=LifecycleStage.DELETED if deleted else None,
            )
        )
        if not running:
            self._copies.finish(made.run_id)
        self._tally.copied += 1
        self._tally.running += running
        self._tally.models += made.models
        self._tally.notes += made.notes
        self._tally.count(made.wanted)


@dataclass(slots=True)
class _Copy:
    """A run and its copy, while it is being made."""

    run: Run
    copy: Run
    resumed: bool = False
    stays_active: bool = False
    wanted: Records = field(default_factory=Records)
    models: int = 0
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    tags_there: set[str] = field(default_factory=set)

    @property
    def run_id(self) -> str:
        return self.run.info.run_id

    @property
    def copy_id(self) -> str:
        return self.copy.info.run_id
