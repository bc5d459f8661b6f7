"""The store in a folder of files: MLflow's directory layout.

It needs no database and no server, and a network file system is enough. It costs a file for each
param, metric and tag; see `skledger.stores.files_layout` for where they are, and
`skledger.stores.files_steps` for what a killed process leaves.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from skledger.errors import NotFoundError, StoreError
from skledger.stores.checks import (
    check_changes,
    check_max_results,
    check_view_type,
)
from skledger.stores.experiments import absolute_location, find_or_create, no_experiment
from skledger.stores.files_experiments import Experiments
from skledger.stores.files_layout import Layout
from skledger.stores.files_medium import reporting
from skledger.stores.files_numbers import history
from skledger.stores.files_reading import Reader, find_file, unless_damaged
from skledger.stores.files_registry import FileRegistry
from skledger.stores.files_searching import Searcher
from skledger.stores.files_writing import Writer
from skledger.stores.matching import Beside, count_of_runs, matches, matches_on, sort
from skledger.stores.paging import page_of, page_of_newest
from skledger.stores.registry_checks import check_registry_changes
from skledger.stores.registry_draft import ModelRecord
from skledger.stores.registry_reading import RegistryReading
from skledger.tracking.entities import (
    Experiment,
    LoggedModel,
    Metric,
    PagedList,
    Run,
    RunChange,
    ViewType,
)
from skledger.tracking.filters import parse_filter, parse_order_by
from skledger.tracking.registry_entities import ModelVersion, RegistryChange

__all__ = ["FileStore"]

T = TypeVar("T")


class FileStore(RegistryReading):
    """A store in a folder of files. See `skledger.stores.base.Store` for what its methods do.

    MLflow (with ``MLFLOW_ALLOW_FILE_STORE=true`` where it asks for that) reads and writes the same
    folder, in turns. Processes on one file system may use it together.

    Parameters
    ----------
    path : path-like
        The folder; it is made when it is missing.
    artifact_root : str, optional
        Where the artifacts of new experiments go; by default into the folder itself, as MLflow
        has it.

    Attributes
    ----------
    uri : str
        The folder as a ``file:`` URI.
    artifact_root : str
        As above.

    Raises
    ------
    StoreError
        When the folder cannot be made or read.
    """

    def __init__(self, path: str | os.PathLike[str], artifact_root: str | None = None) -> None:
        # Not `resolve`: a link stays the name under which the user knows the place.
        folder = Path(os.path.abspath(path))  # noqa: PTH100
        try:
            self.uri = folder.as_uri()
            str(folder).encode()
        except UnicodeEncodeError as error:
            raise StoreError(
                f"cannot open the folder {str(folder)!a}: the path holds bytes that are no text in "
                "UTF-8, so no record can name it; use a folder of another name"
            ) from error
        self._root = folder.as_posix()
        self.artifact_root = absolute_location(artifact_root or self._root)
        self._layout = Layout(self._root)
        self._reader = Reader(self._layout)
        self._experiments = Experiments(self._layout, self._reader, self.artifact_root)
        self._searcher = Searcher(self._layout, self._reader)
        self._writer = Writer(self._layout)
        self._registry = FileRegistry(self._layout, self.uri)
        with reporting("open", self._root):
            if folder.exists() and not folder.is_dir():
                raise NotADirectoryError(20, "it is no folder", self._root)
            self._experiments.make_root()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._root!r})"

    def close(self) -> None:
        """Do nothing: between two calls no file is open."""

    # Experiments

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an experiment and return its identifier; `AlreadyExistsError` when taken."""
        with reporting("write to", self._root):
            self._experiments.make_root()
            return self._experiments.create(name, artifact_location, tags or {})

    def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        lifecycle_stage: str | None = None,
        tags: Mapping[str, str] | None = None,
        deleted_tags: Sequence[str] = (),
    ) -> None:
        """Rename, delete, bring back or tag an experiment: all of it or nothing."""
        with reporting("write to", self._root):
            self._experiments.update(experiment_id, name, lifecycle_stage, tags or {}, deleted_tags)

    def experiment_for_runs(self, name: str | None) -> Experiment:
        """Return the experiment that new runs go to, made when it is new; None is Default."""
        return find_or_create(self, name)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return the experiment, deleted or not."""
        with reporting("read", self._root):
            found = self._experiments.get(experiment_id)
            if found is None:
                self._experiments.make_root()  # unless the whole folder was removed
                found = self._experiments.get(experiment_id)
        if found is None:
            raise no_experiment(experiment_id, self.uri)
        return found

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, deleted or not, or None."""
        with reporting("read", self._root):
            return self._experiments.by_name(name)

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
        with reporting("read", self._root):
            found = [
                each
                for each in self._experiments.all()
                if each.lifecycle_stage in stages and matches(each, conditions)
            ]
        # Those of one millisecond in the order that MLflow gives them.
        found.sort(key=lambda each: int(each.experiment_id), reverse=bool(orderings))
        if not orderings:
            found.sort(key=lambda each: each.creation_time or 0, reverse=True)
        return page_of(sort(found, orderings, self._beside()), limit, page_token)

    def _beside(self) -> Beside:
        """Return what tells of an experiment what is not in it; each is read once."""

        @cache
        def told(experiment_id: str, key: str) -> object:
            if key == "experiment_name":
                found = self._experiments.get(experiment_id)
                return None if found is None else found.name
            runs = self._searcher.matching([experiment_id], "", ViewType.ACTIVE_ONLY)
            return count_of_runs([run.info for run in runs], experiment_id, key)

        return told

    # Runs

    def write(self, *changes: RunChange) -> None:
        """Write all the changes, or nothing.

        New runs are seen whole or not at all, and no file is ever half written. A process that is
        killed in the middle may leave the first of several changes; see
        `skledger.stores.files_steps`.
        """
        check_changes(changes)
        with reporting("write to", self._root):
            self._writer.write(changes)

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds."""
        with reporting("read", self._root):
            folder = self._run_folder(run_id)
            info = self._reader.info(folder)
            if info is None:
                raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
            return self._reader.whole(info, folder)

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
        with reporting("read", self._root):
            of_data = any(each.key == "dataset_name" for each in orderings)
            found = self._searcher.matching(experiment_ids, filter_string, view_type, of_data)
            found.sort(key=lambda run: (-run.info.start_time, run.info.run_id))
            found = sort(found, orderings, self._beside())
            page = (page_of if orderings else page_of_newest)(found, limit, page_token)
            page[:] = [self._searcher.whole(run) for run in page]
        return page

    def count_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        tag: str = "",
    ) -> dict[tuple[str | None, str], int]:
        """Return how many runs match, by the value of a tag (None without it) and by status."""
        with reporting("read", self._root):
            found = self._searcher.matching(experiment_ids, filter_string, view_type)
            tags = ((run.data.tags.get(tag) if tag else None, run.info.status) for run in found)
            return dict(Counter(tags))

    def running_runs(
        self, tag: str | None = None, max_results: int = 1000, after: str = ""
    ) -> list[Run]:
        """Return runs that are RUNNING, deleted ones included, in the order of their identifiers.

        Only those that have the tag, when one is named. `after` is the last identifier of the page
        before. With one of our own tags this is quick, for each run that we write leaves a mark
        while it is RUNNING; otherwise every run is asked.
        """
        limit = check_max_results(max_results)
        with reporting("read", self._root):
            return self._searcher.running(tag, limit, after)

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs, or their children, last started, ended or got the value of a metric.

        In ms; values from the future do not count, and runs that nobody knows are left out.
        """
        with reporting("read", self._root):
            return self._searcher.last_signs(run_ids)

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every value of a metric, in the order of step and time."""
        with reporting("read", self._root):
            path, exists = find_file(f"{self._run_folder(run_id)}/metrics", key)
            return history(path, key) if exists else []

    # Logged models

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        with reporting("read", self._root):
            folder = self._layout.model(model_id)
            found = None if folder is None else self._reader.model(folder)
        if found is None:
            raise NotFoundError(f"there is no logged model {model_id!r} in {self.uri}")
        return found

    def search_logged_models(self, run_id: str, name: str | None = None) -> list[LoggedModel]:
        """Return the models a run made, in the order they were made; `name` selects."""
        with reporting("read", self._root):
            folder = self._run_folder(run_id)
            experiment = folder.rpartition("/")[0]
            linked = [each.model_id for each in self._reader.outputs(folder)]
            folders = [f"{experiment}/models/{each}" for each in linked]
            if not folders:
                # A model that MLflow only initialised names its run, which does not link it yet.
                folders = self._reader.models_naming(experiment, run_id)
            models = [unless_damaged(self._reader.model, each) for each in folders]
        found = [model for model in models if model is not None and name in (None, model.name)]
        return sorted(found, key=lambda model: model.creation_timestamp)

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
        with reporting("read", self._root):
            models = self._searcher.models(experiment_ids)
            found = [model for model in models if matches_on(model, conditions, datasets)]
        found.sort(key=lambda model: (-model.creation_timestamp, model.model_id))
        return page_of(sort(found, orderings), limit, page_token)

    # Registered models

    def write_registry(self, *changes: RegistryChange) -> list[ModelVersion]:
        """Write all the changes, or nothing; return the versions that they made."""
        check_registry_changes(changes)
        with reporting("write to", self._root):
            self._experiments.make_root()
            return self._registry.write(changes)

    def _registered(self, name: str) -> ModelRecord | None:
        with reporting("read", self._root):
            return self._registry.load(name)

    def _all_registered(self) -> list[ModelRecord]:
        with reporting("read", self._root):
            return self._registry.all()

    def _run_folder(self, run_id: str) -> str:
        folder = self._layout.run(run_id)
        if folder is None:
            raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
        return folder
