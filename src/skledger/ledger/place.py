"""Which run a fit belongs to, and under which names it is booked there.

Without an active run, a fit makes one of its own. Inside a run of the user's it goes there, and so
does every further fit: the first under the plain names, the n-th with ``-n`` behind every name
that is already taken by something else. Files and models always carry it, since each fit has its
own: ``model``, ``model-2``, ... The logged model of each fit holds its params and metrics under
the plain names. So nothing is dropped and nothing overwritten.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from skledger._guard import contain, logger
from skledger._writer import writer
from skledger.errors import NotFoundError, ParamConflictError
from skledger.ledger.records import Records, storable
from skledger.stores.artifacts import artifact_store, local_folder
from skledger.tracking import runs
from skledger.tracking.context import default_tags, process_identity
from skledger.tracking.entities import (
    MAX_KEY_LENGTH,
    MAX_TAG_LENGTH,
    DatasetInput,
    LoggedModel,
    Metric,
    Param,
    Run,
    RunChange,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
    as_params,
    as_tags,
)
from skledger.tracking.names import new_model_place, now_ms
from skledger.tracking.session import get_store, renew_experiment_in_use

__all__ = ["OwnRun", "Place", "UserRun", "describe_model", "place_for", "tags_of_own_runs"]

#: How many fits a run of the user's holds.
FITS_TAG = "skledger.fits"
#: What a run has from its beginning: tags, params and data.
_Begun = tuple[Mapping[str, str], Mapping[str, str], tuple[DatasetInput, ...]]
#: A fit that is still going after this many seconds appears as RUNNING.
ANNOUNCE_AFTER = 1.0


class Place:
    """The run a fit is booked in, and the ending of its names there.

    Attributes
    ----------
    info : RunInfo
        The run.
    suffix : str
        What the names of files and models end in: empty, ``-2``, ...
    ordinal : int
        Which fit of the run this is, from 1; 0 in a run of its own, or while it is not known.
    """

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self.suffix = ""
        self.ordinal = 0
        self.store = get_store()

    @property
    def artifacts(self) -> Any:
        """The artifacts of the run."""
        return artifact_store(self.info.artifact_uri)

    def new_model(self) -> tuple[str, str]:
        """Return the identifier of a new model and the folder it belongs in."""
        return new_model_place(self.info)

    def file_name(self, name: str) -> str:
        """Return the name of an artifact of this fit: ``roc.png``, ``roc-2.png``."""
        stem, dot, ending = name.rpartition(".")
        return f"{stem}{self.suffix}{dot}{ending}" if dot else f"{name}{self.suffix}"

    def put_files(self, files: Mapping[str, bytes]) -> None:
        """Write artifacts of this fit."""
        for name, content in files.items():
            with contain(f"the artifact {name}"):
                self.artifacts.put_bytes(self.file_name(name), content)

    def remove_folder(self, location: str) -> None:
        """Remove the folder of a model that no record points to."""
        folder = local_folder(location)
        own = folder.parent if folder.parent.name.startswith("m-") else folder
        shutil.rmtree(own, ignore_errors=True)

    def begin(self, records: Records) -> int:
        """Note that the fit begins now; return the time, in ms since the epoch."""
        return now_ms()

    def announce(self) -> None:
        """Make the run appear now, for others are about to point to it."""

    def add_steps(self, metrics: Sequence[Metric]) -> None:
        """Write metrics while the fit goes on, once the run can be seen."""

    def book_death(self, records: Records, status: str) -> None:
        """Write what there is: the process is about to go, and the run with it."""
        self.book(records, status, now_ms())

    def abandon(self) -> None:
        """Take back what was begun, when nothing will be booked."""

    def name_model(self, name: str = "model") -> str:
        """Decide the names of this fit as far as needed to write a model; return the model's."""
        return f"{name}{self.suffix}"

    def book(self, records: Records, status: str, end_time: int, step: int = 0) -> None:
        """Write the records of a fit that ended, in one transaction."""
        raise NotImplementedError


class OwnRun(Place):
    """A run that autologging makes for one fit; it ends with it."""

    def __init__(
        self,
        name: str,
        started: int,
        extra_tags: Mapping[str, str],
        parent: RunInfo | None = None,
    ) -> None:
        if parent is None:
            info = runs.new_run_info(name, started=started)
        else:
            info = runs.child_run_info(parent, name, started)
        name = storable(name, MAX_KEY_LENGTH - 5)
        super().__init__(replace(info, run_name=f"{name}-{info.run_id[:4]}"))
        self._tags = {
            **tags_of_own_runs(extra_tags, None if parent is None else parent.run_id),
            runs.NAME_TAG: self.info.run_name,
        }
        # An interrupt of this thread may have to end what it is writing.
        self._lock = threading.RLock()
        self._begun: _Begun = ({}, {}, ())
        self._created = False
        self._ended = False
        self._alarm: object = None

    def begin(self, records: Records) -> int:
        """Make the run appear as RUNNING if the fit takes long; a short one is written once."""
        started = super().begin(records)
        self.info = replace(self.info, start_time=started)
        self._begun = records.tags, records.params, records.inputs
        self._alarm = writer.alarm(ANNOUNCE_AFTER, self._announce_late)
        return started

    def _announce_late(self) -> None:
        # Should this fail, nothing is lost yet: the end of the fit writes it all.
        try:
            self.announce()
        except Exception:  # noqa: BLE001 - whatever it was, it is tried again
            logger.debug("a long fit could not be shown as running", exc_info=True)

    def announce(self) -> None:
        """Write the run as RUNNING, unless it is there."""
        with self._lock:
            if not self._ended and not self._created:
                self._announce(*self._begun)

    def book_death(self, records: Records, status: str) -> None:
        """Write what there is, unless the run has just ended."""
        with self._lock:
            if not self._ended:
                super().book_death(records, status)

    def abandon(self) -> None:
        """Never announce the run; one that was announced is FAILED, for its end is unknown."""
        writer.cancel(self._alarm)
        with self._lock:
            if self._created and not self._ended:
                end = RunChange(self.info.run_id, status=RunStatus.FAILED, end_time=now_ms())
                self.store.write(end)
            self._ended = True

    @property
    def is_announced(self) -> bool:
        """Whether the run can be seen, RUNNING."""
        return self._created and not self._ended

    def add_steps(self, metrics: Sequence[Metric]) -> None:
        """Write metrics of a run that can be seen, while it goes on."""
        with self._lock:
            if self.is_announced:
                self.store.write(RunChange(self.info.run_id, metrics=tuple(metrics)))

    def _announce(
        self, tags: Mapping[str, str], params: Mapping[str, str], inputs: tuple[DatasetInput, ...]
    ) -> None:
        every = {**self._tags, **tags, runs.PROCESS_TAG: process_identity()}
        self.store.write(
            RunChange(
                self.info.run_id,
                create=self.info,
                params=as_params(params),
                tags=as_tags(every),
                inputs=inputs,
            )
        )
        self._created = True

    def book(self, records: Records, status: str, end_time: int, step: int = 0) -> None:
        """Write the records; with a status that is not final the run stays open for more."""
        writer.cancel(self._alarm)
        with self._lock:
            final = RunStatus.is_terminated(status)
            end = end_time if final else None
            tags = records.tags
            create = None
            if not self._created:
                create = replace(self.info, status=status, end_time=end)
                tags = {**self._tags, **tags}
                if not final:
                    tags[runs.PROCESS_TAG] = process_identity()
            change = RunChange(
                self.info.run_id,
                create=create,
                status=status,
                end_time=end,
                deleted_tags=runs.STALE_TAGS if final and self._created else (),
                metrics=records.metric_records(end_time, step),
                params=records.param_records(),
                tags=as_tags(tags),
                inputs=() if create is None else records.inputs,
                models=records.models_at(end_time, step),
                deleted_models=records.replaced_models,
            )
            try:
                self.store.write(change)
            except NotFoundError:
                # The database was removed meanwhile, and the experiment in use with it.
                if create is None:
                    raise
                self.store.write(_in_renewed_experiment(change))
            except ParamConflictError:
                # The user's own code has logged to the run inside the fit: that stays.
                held = self.store.get_run(self.info.run_id).data.params
                free = tuple(each for each in change.params if each.key not in held)
                self.store.write(replace(change, params=free))
            self._created, self._ended = True, final
        # What its parent says of the program holds for a child, too.
        if final and runs.PARENT_TAG not in self._tags:
            runs.complete_later(self.store, self.info.run_id, self._tags)
        runs.remember(self.info.run_id)


def tags_of_own_runs(extra_tags: Mapping[str, str], parent_id: str | None) -> dict[str, str]:
    """Return the tags that every run which autologging makes has."""
    described = Records()
    # A search may have thousands of children: what its run says of versions holds for them, too.
    context = default_tags(brief=parent_id is not None)
    described.set_tags({**context, **extra_tags, "mlflow.autologging": "sklearn"})
    if parent_id is not None:
        described.tags[runs.PARENT_TAG] = parent_id
    return described.tags


def _in_renewed_experiment(change: RunChange) -> RunChange:
    """Return the creation of a run in an experiment of the same name, made anew."""
    experiment_id = renew_experiment_in_use().experiment_id
    assert change.create is not None
    return replace(
        change,
        create=replace(change.create, experiment_id=experiment_id),
        models=tuple(replace(each, experiment_id=experiment_id) for each in change.models),
    )


class UserRun(Place):
    """The active run of the user; it takes every fit and stays open."""

    # Two threads that have resumed one run must not settle on the same names.
    _lock = threading.RLock()

    def __init__(self, info: RunInfo) -> None:
        super().__init__(info)
        self._names: dict[tuple[str, str], str] = {}
        self._held: Run | None = None

    def take_metric_names(self, earlier: UserRun) -> None:
        """Go on under the names that metrics have from an earlier fit, which this one continues."""
        self._names |= {k: name for k, name in earlier._names.items() if k[0] == "metrics"}

    def announce(self) -> None:
        """Number this fit, for its children say which one they are of."""
        with UserRun._lock:
            if not self.ordinal:
                self._number(self.store.get_run(self.info.run_id))

    def name_model(self, name: str = "model") -> str:
        """Look at what the run holds, once, and number this fit."""
        if self._held is None:
            with UserRun._lock:
                self._held = self.store.get_run(self.info.run_id)
                if not self.ordinal:
                    self._number(self._held)
        return super().name_model(name)

    def add_steps(self, metrics: Sequence[Metric]) -> None:
        """Write metrics while the fit goes on, under names that are free."""
        self.name_model()
        self.store.write(RunChange(self.info.run_id, metrics=self._named(metrics)))

    def _named(self, metrics: Sequence[Metric]) -> tuple[Metric, ...]:
        held = {} if self._held is None else self._held.data.metrics
        keys = dict.fromkeys(each.key for each in metrics)
        names = {key: self._free("metrics", key, held.__contains__) for key in keys}
        return tuple(replace(each, key=names[each.key]) for each in metrics)

    def _number(self, held: Run) -> None:
        ordinal = int(held.data.tags.get(FITS_TAG, "0")) + 1
        self.store.write(RunChange(self.info.run_id, tags=as_tags({FITS_TAG: ordinal})))
        self.ordinal, self.suffix = ordinal, f"-{ordinal}" if ordinal > 1 else ""

    def book(self, records: Records, status: str, end_time: int, step: int = 0) -> None:
        """Write the records under names that are free."""
        self.name_model()
        try:
            self._write(records, end_time, step)
        except ParamConflictError:
            # Somebody wrote to the run meanwhile, from another process: look again.
            self._held = self.store.get_run(self.info.run_id)
            self._names = {}
            self._write(records, end_time, step)

    def book_death(self, records: Records, status: str) -> None:
        """Write what there is; the user's run ends, too."""
        super().book_death(records, status)
        self.store.write(
            RunChange(
                self.info.run_id,
                status=status,
                end_time=now_ms(),
                deleted_tags=(runs.PROCESS_TAG,),
            )
        )

    def _write(self, records: Records, end_time: int, step: int) -> None:
        held = RunData() if self._held is None else self._held.data
        params = {
            k: self._free("params", k, _differs(held.params, v)) for k, v in records.params.items()
        }
        measured = records.metric_records(end_time, step)
        tags = {k: self._free("tags", k, _differs(held.tags, v)) for k, v in records.tags.items()}
        self.store.write(
            RunChange(
                self.info.run_id,
                params=tuple(Param(params[k], v) for k, v in records.params.items()),
                metrics=self._named(measured),
                tags=tuple(RunTag(tags[k], v) for k, v in records.tags.items()),
                inputs=records.inputs,
                models=records.models_at(end_time, step),
                deleted_models=records.replaced_models,
            )
        )

    def _free(self, kind: str, key: str, is_taken: Callable[[str], bool]) -> str:
        """Return the name a key has in this run; once chosen it stays, for later steps."""
        name = self._names.get((kind, key))
        if name is None:
            name, number = key, self.ordinal
            while is_taken(name):
                name, number = f"{key}-{number}", number + 1
            self._names[kind, key] = name
        return name


def _differs(held: Mapping[str, str], value: str) -> Callable[[str], bool]:
    """Return a test whether a name is taken by another value."""
    return lambda name: held.get(name, value) != value


def place_for(
    name: str,
    started: int,
    *,
    exclusive: bool,
    extra_tags: Mapping[str, str],
    parent: RunInfo | None = None,
) -> Place:
    """Return where a fit that starts now is booked.

    Parameters
    ----------
    name : str
        The name of the estimator's class.
    started : int
        Its start, in ms since the epoch.
    exclusive : bool
        Keep out of the user's active run.
    extra_tags : mapping
        Tags for a run of its own.
    parent : RunInfo, optional
        The run it is a child of, whatever is active.
    """
    if parent is not None:
        return OwnRun(name, started, extra_tags, parent)
    active = None if exclusive else runs.active_run()
    if active is None:
        return OwnRun(name, started, extra_tags)
    return UserRun(active.info)


def describe_model(
    place: Place, model_id: str, location: str, name: str, records: Records, tags: Mapping[str, str]
) -> LoggedModel:
    """Return the entity of a model that has been written for a fit."""
    now = now_ms()
    return LoggedModel(
        model_id=model_id,
        experiment_id=place.info.experiment_id,
        name=name,
        artifact_location=location,
        creation_timestamp=now,
        last_updated_timestamp=now,
        source_run_id=place.info.run_id,
        tags={
            **{k: storable(v, MAX_TAG_LENGTH) for k, v in default_tags(brief=True).items()},
            **tags,
        },
        params=dict(records.params),
        metrics=records.model_metrics(now),
    )


def _renew_lock() -> None:
    # A thread that held it does not exist in a forked child.
    UserRun._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
