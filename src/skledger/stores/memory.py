"""A store in memory: for tests, users' own included. It behaves as the one in a database."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from skledger.errors import NotFoundError
from skledger.stores.checks import (
    check_changes,
    check_experiment_change,
    check_experiment_name,
    check_max_results,
    check_tags,
    check_view_type,
    parse_experiment_id,
)
from skledger.stores.experiments import (
    absolute_location,
    find_or_create,
    no_experiment,
    refuse_rename_of_deleted,
    taken_name,
)
from skledger.stores.matching import count_of_runs, matches, matches_on, sort
from skledger.stores.memory_draft import (
    Draft,
    Record,
    last_sign,
    last_sign_of_child,
    place,
    set_stage_of_runs,
)
from skledger.stores.memory_registry import RegistryPart
from skledger.stores.paging import page_of, page_of_newest
from skledger.stores.temporary import TemporaryFolder
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    LifecycleStage,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    PagedList,
    Run,
    RunChange,
    RunData,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
    ViewType,
)
from skledger.tracking.filters import parse_filter, parse_order_by

__all__ = ["MemoryStore"]

T = TypeVar("T")


class MemoryStore(RegistryPart):
    """A store in memory. See `skledger.stores.base.Store` for what its methods do.

    Parameters
    ----------
    artifact_root : str, optional
        The folder for artifacts; by default a temporary one, which goes with the store.

    Attributes
    ----------
    uri : str
        Always ``memory:``.
    artifact_root : str
        As above.
    """

    uri = "memory:"

    def __init__(self, artifact_root: str | None = None) -> None:
        self._folder = TemporaryFolder() if artifact_root is None else None
        root = artifact_root if self._folder is None else self._folder.path
        self.artifact_root = absolute_location(root or "")
        self._lock = threading.RLock()
        self._experiments: dict[str, Experiment] = {}
        self._runs: dict[str, Record] = {}
        self._models: dict[str, LoggedModel] = {}
        self._datasets: dict[tuple[str, str, str], Dataset] = {}
        self._registry = {}
        self.create_experiment("Default")
        _stores.add(self)

    def close(self) -> None:
        """Remove the temporary folder of artifacts; the next one makes it anew.

        The records stay as long as the store.
        """
        if self._folder is not None:
            self._folder.remove()

    # Experiments

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an experiment and return its identifier; `AlreadyExistsError` when taken."""
        check_experiment_name(name)
        check_tags(tags or {})
        now = time.time_ns() // 1_000_000
        with self._lock:
            if self.get_experiment_by_name(name) is not None:
                raise taken_name(name)
            number = str(len(self._experiments))
            below = f"{self.artifact_root.rstrip('/')}/{number}"
            location = absolute_location(artifact_location or below)
            self._experiments[number] = Experiment(
                number, name, location, LifecycleStage.ACTIVE, dict(tags or {}), now, now
            )
        return number

    def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        lifecycle_stage: str | None = None,
        tags: Mapping[str, str] | None = None,
        deleted_tags: Sequence[str] = (),
    ) -> None:
        """Rename, delete or restore an experiment, set and remove tags: all of it or nothing."""
        check_experiment_change(name, lifecycle_stage, tags)
        with self._lock:
            old = self.get_experiment(experiment_id)
            refuse_rename_of_deleted(old.experiment_id, old.lifecycle_stage, name, lifecycle_stage)
            namesake = None if name is None else self.get_experiment_by_name(name)
            if namesake is not None and namesake.experiment_id != old.experiment_id:
                raise taken_name(namesake.name)
            stage = lifecycle_stage or old.lifecycle_stage
            changed = old.last_update_time
            if stage != old.lifecycle_stage:
                changed = set_stage_of_runs(self._runs.values(), old, stage)
            elif name is not None:
                changed = time.time_ns() // 1_000_000
            kept = {key: value for key, value in old.tags.items() if key not in deleted_tags}
            self._experiments[old.experiment_id] = replace(
                old,
                name=name or old.name,
                lifecycle_stage=stage,
                last_update_time=changed,
                tags=kept | dict(tags or {}),
            )

    def experiment_for_runs(self, name: str | None) -> Experiment:
        """Return the experiment that new runs go to, made when it is new."""
        return find_or_create(self, name)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return the experiment, deleted or not."""
        found = self._experiments.get(str(parse_experiment_id(experiment_id)))
        if found is None:
            raise no_experiment(experiment_id, self.uri)
        return replace(found, tags=dict(found.tags))

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, deleted or not, or None."""
        check_experiment_name(name)
        with self._lock:
            for each in self._experiments.values():
                if each.name == name:
                    return replace(each, tags=dict(each.tags))
        return None

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return experiments, the newest first unless ordered."""
        limit = check_max_results(max_results)
        conditions = parse_filter(filter_string, "experiment")
        orderings = parse_order_by(order_by, "experiment")
        stages = check_view_type(view_type)
        with self._lock:
            found = [
                replace(each, tags=dict(each.tags))
                for each in self._experiments.values()
                if each.lifecycle_stage in stages and matches(each, conditions)
            ]
        # Those of one millisecond in the order that MLflow gives them.
        found.sort(key=lambda each: int(each.experiment_id), reverse=bool(orderings))
        if not orderings:
            found.sort(key=lambda each: each.creation_time or 0, reverse=True)
        return page_of(sort(found, orderings, self._beside), limit, page_token)

    def _beside(self, experiment_id: str, key: str) -> object:
        with self._lock:
            if key == "experiment_name":
                return self._experiments[experiment_id].name
            infos = [record.info for record in self._runs.values()]
        return count_of_runs(infos, experiment_id, key)

    # Runs

    def write(self, *changes: RunChange) -> None:
        """Write all the changes in one transaction, or nothing."""
        check_changes(changes)
        with self._lock:
            draft = Draft(self._runs, self._models, self._datasets)
            for change in changes:
                if change.create is not None:
                    self.get_experiment(change.create.experiment_id)
                    draft.create(change.create)
            for change in changes:
                draft.apply(change)
            for change in changes:
                draft.change_models(change)
            self._runs.update(draft.runs)
            self._models = draft.models
            self._datasets = draft.datasets

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds."""
        with self._lock:
            return self._as_run(self._record(run_id))

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """Return the runs of the experiments that match, the newest first unless ordered."""
        limit = check_max_results(max_results)
        orderings = parse_order_by(order_by, "run")
        found = self._matching(experiment_ids, filter_string, view_type)
        found.sort(key=lambda run: (-run.info.start_time, run.info.run_id))
        found = sort(found, orderings, self._beside)
        return (page_of if orderings else page_of_newest)(found, limit, page_token)

    def count_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        tag: str = "",
    ) -> dict[tuple[str | None, str], int]:
        """Return how many runs match, by the value of a tag (None without it) and by status."""
        found = self._matching(experiment_ids, filter_string, view_type)
        return dict(Counter((run.data.tags.get(tag), run.info.status) for run in found))

    def _matching(
        self, experiment_ids: Sequence[str], filter_string: str, view_type: int
    ) -> list[Run]:
        conditions = parse_filter(filter_string, "run")
        wanted = {str(parse_experiment_id(each)) for each in experiment_ids}
        stages = check_view_type(view_type)
        with self._lock:
            found = [
                self._as_run(record)
                for record in self._runs.values()
                if record.info.experiment_id in wanted and record.info.lifecycle_stage in stages
            ]
        return [run for run in found if matches(run, conditions)]

    def running_runs(
        self, tag: str | None = None, max_results: int = 1000, after: str = ""
    ) -> list[Run]:
        """Return runs that are RUNNING, deleted ones included, in the order of their identifiers.

        Only those that have the tag, when one is named. `after` is the last identifier of the page
        before.
        """
        limit = check_max_results(max_results)
        with self._lock:
            found = [
                run_id
                for run_id, record in sorted(self._runs.items())
                if run_id > after
                and record.info.status == RunStatus.RUNNING
                and (tag is None or tag in record.tags)
            ]
            return [self._as_run(self._runs[run_id]) for run_id in found[:limit]]

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs, or their children, last started, ended or got the value of a metric.

        In ms; values from the future do not count, and runs that nobody knows are left out.
        """
        now = time.time_ns() // 1_000_000
        with self._lock:
            signs = {
                run_id: last_sign(self._runs[run_id], now)
                for run_id in run_ids
                if run_id in self._runs
            }
            for record in self._runs.values():
                parent = record.tags.get("mlflow.parentRunId", "")
                if parent in signs:
                    signs[parent] = max(signs[parent], last_sign_of_child(record, now))
        return signs

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every value of a metric, in the order of step and time."""
        with self._lock:
            found = self._record(run_id).history.get(key, ())
        return sorted(found, key=place)

    # Logged models

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        found = self._models.get(model_id)
        if found is None:
            raise NotFoundError(f"there is no logged model {model_id!r} in {self.uri}")
        return replace(found, params=dict(found.params), tags=dict(found.tags))

    def search_logged_models(self, run_id: str, name: str | None = None) -> list[LoggedModel]:
        """Return the models a run made, in the order they were made; `name` selects."""
        with self._lock:
            found = [self.get_logged_model(each) for each in self._record(run_id).models]
        found.sort(key=lambda model: model.creation_timestamp)
        return [model for model in found if name is None or model.name == name]

    def search_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        max_results: int = 1000,
        order_by: Sequence[str | Mapping[str, object]] | None = None,
        page_token: str | None = None,
        datasets: Sequence[tuple[str, str]] = (),
    ) -> PagedList[LoggedModel]:
        """Return the logged models of the experiments that match, the newest first unless ordered.

        `datasets` are names and digests (or "") of the data sets on which metrics count.
        """
        limit = check_max_results(max_results)
        conditions = parse_filter(filter_string, "logged_model")
        orderings = parse_order_by(order_by, "logged_model")
        wanted = {str(parse_experiment_id(each)) for each in experiment_ids}
        with self._lock:
            found = [
                self.get_logged_model(model_id)
                for model_id, model in self._models.items()
                if model.experiment_id in wanted and matches_on(model, conditions, datasets)
            ]
        found.sort(key=lambda model: (-model.creation_timestamp, model.model_id))
        return page_of(sort(found, orderings), limit, page_token)

    # The inside

    def _record(self, run_id: str) -> Record:
        found = self._runs.get(run_id)
        if found is None:
            raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
        return found

    def _as_run(self, record: Record) -> Run:
        experiment_id = record.info.experiment_id
        return Run(
            record.info,
            RunData(
                {key: metric.value for key, metric in record.latest.items()},
                dict(record.params),
                dict(record.tags),
            ),
            RunInputs(
                [
                    DatasetInput(
                        self._datasets[(experiment_id, *key)],
                        tuple(RunTag(name, value) for name, value in tags.items()),
                    )
                    for key, tags in record.inputs.items()
                ]
            ),
            RunOutputs([LoggedModelOutput(each) for each in record.models]),
        )


_stores: weakref.WeakSet[MemoryStore] = weakref.WeakSet()


def _renew_locks() -> None:
    """Give the child of a fork locks that no thread of the parent holds."""
    for store in list(_stores):
        store._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
