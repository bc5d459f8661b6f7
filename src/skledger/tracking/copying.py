"""Copying experiments with everything that belongs to them from one store to another.

A copy may be stopped at any time, by Ctrl-C, by ``kill -9``, by a network that goes away: begun
again it goes on. Every run at the destination says what it is a copy of, and whether it is whole.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields

from skledger.errors import (
    InvalidParameterError,
    NotFoundError,
    SkledgerError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores.base import Store
from skledger.stores.outbox_place import base_folder
from skledger.stores.process_lock import ProcessLock
from skledger.tracking.addresses import without_credentials
from skledger.tracking.copying_experiments import ExperimentCopier
from skledger.tracking.copying_marks import (
    COPIED_TAG,
    COPYING_TAG,
    Chosen,
    Copies,
    every_run,
)
from skledger.tracking.copying_places import is_same_place, open_for_copy
from skledger.tracking.copying_registry import RegistryCopier
from skledger.tracking.copying_runs import RunCopier, Tally
from skledger.tracking.entities import Experiment, ViewType

__all__ = ["COPIED_TAG", "COPYING_TAG", "CopyProgress", "CopyReport", "copy"]

#: How long to wait, in s, before a run is tried again when a server does not answer.
_PAUSES = (1.0, 3.0, 9.0)


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far a copy is.

    Parameters
    ----------
    total, done : int
        How many runs there are to look at, and were looked at.
    run_name : str
        The run that is being copied.
    files, size : int
        The files that have arrived, and their size in bytes.
    """

    total: int
    done: int
    run_name: str
    files: int
    size: int


@dataclass(slots=True)
class CopyReport:
    """What was copied.

    Attributes
    ----------
    source, destination : str
        The tracking URIs, without passwords.
    experiments : list of str
        The names of the experiments.
    made : list of str
        Those of them that were new at the destination.
    copied, there : int
        How many runs were copied, and how many were there already.
    running : int
        How many of those copied were still running: another copy takes what comes after.
    runs : dict of str to str
        What each run of the source is called at the destination.
    params, metrics, tags, datasets, models, files, size : int
        How many of each were copied (of metrics, their values), and the size of the files in bytes.
    versions : int
        How many versions of registered models were copied.
    failures : list of str
        What could not be copied, and why.
    notes : list of str
        What is not as one would expect: files that are not at the source, where they should be, or
        that the destination lists under other names.
    dry_run : bool
        Whether nothing was done: `copied` runs would be.
    """

    source: str
    destination: str
    experiments: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    copied: int = 0
    there: int = 0
    running: int = 0
    runs: dict[str, str] = field(default_factory=dict)
    params: int = 0
    metrics: int = 0
    tags: int = 0
    datasets: int = 0
    models: int = 0
    files: int = 0
    size: int = 0
    versions: int = 0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dry_run: bool = False


def copy(
    source: Store | str,
    destination: Store | str,
    experiments: Sequence[str] | None = None,
    runs: Sequence[str] | None = None,
    progress: Callable[[CopyProgress], None] | None = None,
    *,
    dry_run: bool = False,
) -> CopyReport:
    """Copy experiments from one store to another, with everything that belongs to them.

    That is: the experiments' tags; of each run params, the whole history of its metrics, tags
    and notes, status and times, whether it is deleted, data sets, logged models with their
    records, the versions of registered models that they are, and the files of runs and models.
    Everything is read back and compared, records and files by SHA-256, before a run counts as
    copied. Runs that are there already are left alone; so the same call, made again, goes on
    where the last one ended, or adds what is new.

    Parameters
    ----------
    source, destination : Store or str
        From where, and to where: tracking URIs, or stores that are open.
    experiments : sequence of str, optional
        Only the experiments of these names; by default all, deleted ones included. One whose
        name the destination has already takes in the runs.
    runs : sequence of str, optional
        Only these runs, by their identifiers, and the runs below them.
    progress : callable, optional
        Called with a `CopyProgress` after each run and each file.
    dry_run : bool, default=False
        Only count what would be copied.

    Returns
    -------
    CopyReport
        What was copied, and what could not be.

    Raises
    ------
    InvalidParameterError
        When both stores are the same.
    NotFoundError
        When there is no such experiment or run.
    StoreError
        When one of the stores fails. What was copied stays; the same call goes on from there.
    """
    source, destination = open_for_copy(source), open_for_copy(destination)
    report = CopyReport(
        without_credentials(source.uri), without_credentials(destination.uri), dry_run=dry_run
    )
    if is_same_place(source, destination):
        raise InvalidParameterError(
            f"The source and the destination are the same store, {report.source}: name two."
        )
    job = _Job(source, destination, report, progress)
    with nullcontext() if dry_run else _alone(report):
        job.choose(experiments, runs)
        job.run()
    return report


@contextmanager
def _alone(report: CopyReport) -> Iterator[None]:
    """Let one process of this user copy between two places: two would copy everything twice."""
    places = f"{report.source}\n{report.destination}".encode()
    name = hashlib.sha256(places).hexdigest()[:16]
    lock = ProcessLock(base_folder() / "copies" / name)
    try:
        is_ours = lock.acquire()
    except StoreError:  # a home that cannot be written to, in a container
        is_ours = True
    if not is_ours:
        raise SkledgerError(
            f"Another process is copying from {report.source} to {report.destination}: wait until "
            "it is done. The same copy, begun then, adds what is still missing."
        )
    try:
        yield
    finally:
        lock.release()


class _Job:
    """One copy."""

    def __init__(
        self,
        source: Store,
        destination: Store,
        report: CopyReport,
        progress: Callable[[CopyProgress], None] | None,
    ) -> None:
        self._source, self._destination = source, destination
        self._report, self._progress = report, progress
        self._chosen: list[tuple[Experiment, list[Chosen]]] = []
        self._takes_all = False
        self._tally = Tally()
        self._total, self._done, self._name = 0, 0, ""

    def choose(self, names: Sequence[str] | None, run_ids: Sequence[str] | None) -> None:
        """Find the experiments and runs that are asked for."""
        self._takes_all = names is None and run_ids is None
        experiments = self._experiments(names)
        if run_ids is not None:
            experiments = self._of_runs(experiments, run_ids, names)
        for experiment in experiments:
            runs = list(map(Chosen.of, every_run(self._source, [experiment.experiment_id])))
            if run_ids is not None:
                runs = _with_those_below(runs, set(run_ids))
            self._chosen.append((experiment, runs))
            self._total += len(runs)
        self._report.experiments = [each.name for each in experiments]

    def _experiments(self, names: Sequence[str] | None) -> list[Experiment]:
        every: list[Experiment] = []
        token: str | None = None
        while True:
            page = self._source.search_experiments(ViewType.ALL, page_token=token)
            every += page
            token = page.token
            if not token:
                break
        if names is None:
            return every[::-1]  # the oldest first
        named = {each.name: each for each in every}
        unknown = [name for name in names if name not in named]
        if unknown:
            known = ", ".join(sorted(map(repr, named)))
            raise NotFoundError(
                f"There is no experiment named {unknown[0]!r} in {self._report.source}; there "
                f"are: {known}."
            )
        return [named[name] for name in dict.fromkeys(names)]

    def _of_runs(
        self, experiments: list[Experiment], run_ids: Sequence[str], names: Sequence[str] | None
    ) -> list[Experiment]:
        """Return the experiments of some runs."""
        known = {each.experiment_id: each for each in experiments}
        found = {}
        for run_id in run_ids:
            experiment_id = self._source.get_run(run_id).info.experiment_id
            if experiment_id not in known:
                raise InvalidParameterError(
                    f"The run {run_id} is in none of the experiments {list(names or ())}: name "
                    "its own, too, or none."
                )
            found[experiment_id] = known[experiment_id]
        return list(found.values())

    def run(self) -> None:
        """Copy what was chosen."""
        self._copies = Copies(self._source, self._destination)
        expected = {each.run_id for _, runs in self._chosen for each in runs}
        self._copier = RunCopier(
            self._source, self._destination, self._copies, expected, self._tally, self._tell
        )
        try:
            for experiment, runs in self._chosen:
                self._copy_experiment(experiment, runs)
            self._copy_registry()
        except StoreError as error:
            raise type(error)(
                f"{error.message} The copy has stopped: {self._tally.copied:,} runs were copied, "
                f"{self._report.there:,} had been there before. The same copy, begun again, goes "
                "on from here."
            ) from error
        finally:
            self._sum_up()

    def _copy_registry(self) -> None:
        """Copy the versions of registered models that are models of the runs."""
        if self._report.dry_run:
            return
        copier = RegistryCopier(
            self._source,
            self._destination,
            self._copies.translate,
            everything=self._takes_all,
        )
        try:
            copier.run()
        finally:
            self._report.versions = copier.copied
            self._tally.notes += copier.notes
            self._report.failures += copier.failures

    def _copy_experiment(self, experiment: Experiment, runs: Sequence[Chosen]) -> None:
        place = ExperimentCopier(self._destination, experiment)
        if place.is_new:
            self._report.made.append(experiment.name)
        missing = [each for each in runs if not self._is_there(each)]
        if self._report.dry_run:
            self._tally.copied += len(missing)
            return
        if not missing and place.is_deleted:
            return
        try:
            made = place.open()
        except InvalidParameterError as error:
            self._report.failures.append(error.message)
            return
        for chosen in missing:
            self._name = chosen.name
            self._tell()
            self._copy_run(chosen, made, place.deletes_runs)
            self._done += 1
            self._tell()
        self._copier.finish_all()
        place.close()

    def _copy_run(self, chosen: Chosen, made: Experiment, stays_active: bool) -> None:
        """Copy a run; a server that is away for a moment does not end the copy."""
        for pause in (*_PAUSES, None):
            try:
                run = self._source.get_run(chosen.run_id)
                self._copier.copy(run, made, stays_active=stays_active)
                return
            except StoreUnavailableError as error:
                if pause is None:
                    raise
                time.sleep(max(pause, min(error.retry_after or 0.0, 60.0)))
                # What was asked of it may have been done.
                self._copies.look_again(chosen.run_id)
                if self._copies.whole(chosen) is not None:
                    return
            except StoreError:
                raise
            except SkledgerError as error:
                self._report.failures.append(f"{chosen.name} ({chosen.run_id}): {error.message}")
                return

    def _is_there(self, chosen: Chosen) -> bool:
        if self._copies.whole(chosen) is None:
            return False
        self._report.there += 1
        self._done += 1
        return True

    def _tell(self) -> None:
        if self._progress is not None:
            tally = self._tally
            self._progress(
                CopyProgress(self._total, self._done, self._name, tally.files, tally.size)
            )

    def _sum_up(self) -> None:
        for each in fields(self._tally):
            setattr(self._report, each.name, getattr(self._tally, each.name))
        for _, runs in self._chosen:
            for chosen in runs:
                copy_id = self._copies.translate(chosen.run_id)
                if copy_id is not None:
                    self._report.runs[chosen.run_id] = copy_id


def _with_those_below(runs: Sequence[Chosen], wanted: set[str]) -> list[Chosen]:
    """Return the runs that are wanted, and their children, and theirs."""
    children: dict[str, list[str]] = {}
    for each in runs:
        if each.parent is not None:
            children.setdefault(each.parent, []).append(each.run_id)
    taken: set[str] = set()
    coming = list(wanted)
    while coming:
        run_id = coming.pop()
        if run_id not in taken:
            taken.add(run_id)
            coming += children.get(run_id, ())
    return [each for each in runs if each.run_id in taken]
