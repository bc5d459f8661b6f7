"""Experiments in folders: made, renamed, deleted and brought back."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress

from skledger.stores.checks import (
    check_experiment_change,
    check_experiment_name,
    check_tags,
    parse_experiment_id,
)
from skledger.stores.experiments import (
    DEFAULT_EXPERIMENT_NAME,
    absolute_location,
    no_experiment,
    refuse_rename_of_deleted,
    taken_name,
)
from skledger.stores.files_drafts import set_stage
from skledger.stores.files_layout import Layout
from skledger.stores.files_locks import locked, locks_in
from skledger.stores.files_medium import META, read_meta
from skledger.stores.files_reading import Reader, find_file, unless_damaged
from skledger.stores.files_records import Names
from skledger.stores.files_steps import Steps
from skledger.stores.files_yaml import dump
from skledger.tracking.entities import (
    DEFAULT_EXPERIMENT_ID,
    Experiment,
    LifecycleStage,
)

__all__ = ["Experiments"]

#: Identifiers of more digits are MLflow's, which draws them by lot; we count.
_MAX_DIGITS = 9


class Experiments:
    """The experiments of a store.

    Parameters
    ----------
    layout : Layout
        Where things are.
    reader : Reader
        Reads them.
    artifact_root : str
        The folder or URI under which each experiment has its artifacts.
    """

    def __init__(self, layout: Layout, reader: Reader, artifact_root: str) -> None:
        self._layout = layout
        self._reader = reader
        self._artifact_root = artifact_root.rstrip("/")

    def all(self) -> list[Experiment]:
        """Return all experiments, deleted or not; what is damaged is passed over."""
        found = (
            unless_damaged(self._reader.experiment, folder) for folder in self._layout.experiments()
        )
        return [each for each in found if each is not None]

    def get(self, experiment_id: str) -> Experiment | None:
        """Return an experiment by its identifier."""
        folder = self._layout.experiment(str(parse_experiment_id(experiment_id)))
        return None if folder is None else self._reader.experiment(folder)

    def by_name(self, name: str) -> Experiment | None:
        """Return an experiment by its name."""
        check_experiment_name(name)
        return next((each for each in self.all() if each.name == name), None)

    def make_root(self) -> None:
        """Make the store's folder, and in one without experiments the one named Default."""
        if self._layout.experiment(DEFAULT_EXPERIMENT_ID) is None and not self.all():
            os.makedirs(self._layout.root, exist_ok=True)  # noqa: PTH103
            with self._alone():
                if not self.all():
                    self._make(DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME, None, {})

    def create(self, name: str, location: str | None, tags: Mapping[str, str]) -> str:
        """Make an experiment and return its identifier; `AlreadyExistsError` when taken."""
        check_experiment_name(name)
        check_tags(tags)
        with self._alone():
            if self.by_name(name) is not None:
                raise taken_name(name)
            names = [each.rpartition("/")[2] for each in self._layout.experiments()]
            number = max((int(each) for each in names if len(each) <= _MAX_DIGITS), default=0) + 1
            self._make(str(number), name, location, tags)
        return str(number)

    def update(
        self,
        experiment_id: str,
        name: str | None,
        stage: str | None,
        tags: Mapping[str, str],
        deleted_tags: Sequence[str],
    ) -> None:
        """Rename, delete, bring back and tag an experiment: all of it or nothing."""
        check_experiment_change(name, stage, tags)
        with self._alone():
            folder = self._layout.experiment(str(parse_experiment_id(experiment_id)))
            meta = None if folder is None else read_meta(folder)
            if folder is None or meta is None:
                raise no_experiment(experiment_id, self._layout.root)
            before = str(meta.get("lifecycle_stage", LifecycleStage.ACTIVE))
            after = stage or before
            refuse_rename_of_deleted(experiment_id, before, name, stage)
            namesake = None if name is None else self.by_name(name)
            if namesake is not None and namesake.experiment_id != folder.rpartition("/")[2]:
                raise taken_name(namesake.name)
            with locked(locks_in(folder) if after != before else ()):
                self._update(folder, meta, (before, after), name, tags, deleted_tags)

    def _update(
        self,
        folder: str,
        meta: dict[str, object],
        stages: tuple[str, str],
        name: str | None,
        tags: Mapping[str, str],
        deleted_tags: Sequence[str],
    ) -> None:
        before, after = stages
        steps, now = Steps(folder), _now()
        try:
            if after != before:
                now = self._prepare_runs(steps, folder, after, meta.get("last_update_time"))
            _prepare_tags(steps, folder, tags, deleted_tags)
            if after != before or name is not None:
                changes = {"name": name or meta.get("name"), "lifecycle_stage": after}
                steps.put(f"{folder}/{META}", dump(meta | changes | {"last_update_time": now}))
            if after != before:
                parent = (
                    self._layout.trash if after == LifecycleStage.DELETED else self._layout.root
                )
                os.makedirs(parent, exist_ok=True)  # noqa: PTH103
                steps.rename(folder, f"{parent}/{folder.rpartition('/')[2]}")
            steps.commit()
        finally:
            steps.discard()

    def _prepare_runs(self, steps: Steps, folder: str, stage: str, deleted_at: object) -> int:
        """Prepare that the runs are deleted with their experiment or come back; return when."""
        metas = {}
        for name in self._layout.runs(folder):
            meta = unless_damaged(read_meta, f"{folder}/{name}")
            if meta is not None:
                metas[name] = meta
        went = {name: meta.get("deleted_time") for name, meta in metas.items()}
        # At a time when none was deleted before: it tells later which ones come back.
        before = [each for each in went.values() if isinstance(each, int)]
        now = max(_now(), max(before, default=0) + 1)
        for name, meta in metas.items():
            if meta.get("lifecycle_stage", LifecycleStage.ACTIVE) == stage:
                continue
            alone = _is_earlier(went[name], deleted_at)
            if stage == LifecycleStage.DELETED or not alone:
                set_stage(meta, stage, now)
                steps.put(f"{folder}/{name}/{META}", dump(meta))
        return now

    def _make(self, number: str, name: str, location: str | None, tags: Mapping[str, str]) -> None:
        """Make the folder of an experiment, prepared in the folder of another if there is one."""
        location = absolute_location(location or f"{self._artifact_root}/{number}")
        now = _now()
        meta: dict[str, object] = {
            "artifact_location": location,
            "creation_time": now,
            "experiment_id": number,
            "last_update_time": now,
            "lifecycle_stage": LifecycleStage.ACTIVE,
            "name": name,
        }
        names = Names("tags")
        files = {META: dump(meta)} | {names.name(key): text.encode() for key, text in tags.items()}
        folder = f"{self._layout.root}/{number}"
        os.makedirs(self._layout.trash, exist_ok=True)  # noqa: PTH103 - MLflow misses it
        host = next(iter(self._layout.experiments()), None)
        if host is None:
            with suppress(FileExistsError):
                os.mkdir(folder)  # noqa: PTH102
            host = folder
        steps = Steps(host)
        try:
            steps.make(folder, files, ("tags",), merge=os.path.isdir(folder))  # noqa: PTH112
            steps.commit()
        finally:
            steps.discard()

    def _alone(self) -> AbstractContextManager[None]:
        return locked([f"{self._layout.root}/.skledger.lock"])


def _prepare_tags(
    steps: Steps, folder: str, tags: Mapping[str, str], deleted: Sequence[str]
) -> None:
    for key in deleted:
        path, exists = find_file(f"{folder}/tags", key)
        if exists and key not in tags:
            steps.remove(path, f"{folder}/tags")
    for key, text in tags.items():
        path, exists = find_file(f"{folder}/tags", key)
        steps.put(path, text.encode(), new=not exists)


def _is_earlier(moment: object, than: object) -> bool:
    return isinstance(moment, int) and isinstance(than, int) and moment < than


def _now() -> int:
    return time.time_ns() // 1_000_000
