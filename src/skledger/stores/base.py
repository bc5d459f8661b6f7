"""The contract of a store, on one screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from skledger.tracking.entities import (
    Experiment,
    LoggedModel,
    Metric,
    PagedList,
    Run,
    RunChange,
    ViewType,
)
from skledger.tracking.registry_entities import ModelVersion, RegisteredModel, RegistryChange

__all__ = ["Store"]


class Store(Protocol):
    """Where records live. Every method may be called from any thread and after a fork.

    A method that is given an identifier nobody knows raises `NotFoundError`; one that cannot
    reach its medium raises `StoreError`. What `write` returns from has survived the process.
    """

    #: The URI the store was opened with, absolute; a password in it is hidden.
    uri: str

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an experiment and return its identifier; `AlreadyExistsError` when taken."""
        ...

    def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        lifecycle_stage: str | None = None,
        tags: Mapping[str, str] | None = None,
        deleted_tags: Sequence[str] = (),
    ) -> None:
        """Rename, delete or restore an experiment, set and remove tags: all of it or nothing.

        With an experiment its active runs are deleted; they come back with it, and only they.
        `AlreadyExistsError` when the name is taken, `InvalidParameterError` when the experiment
        to rename is deleted and is to stay so. Deleted tags go before others are set.
        """
        ...

    def experiment_for_runs(self, name: str | None) -> Experiment:
        """Return the experiment that new runs go to, made when it is new; it may be deleted.

        None is the default experiment. The first fit waits for this: a store behind a network
        that may be slow answers from what it knows.
        """
        ...

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return the experiment, deleted or not."""
        ...

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, deleted or not, or None."""
        ...

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return experiments, the newest first unless ordered."""
        ...

    def write(self, *changes: RunChange) -> None:
        """Write all the changes in one transaction, or nothing."""
        ...

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds."""
        ...

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
        ...

    def count_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        tag: str = "",
    ) -> dict[tuple[str | None, str], int]:
        """Return how many runs match, by the value of a tag (None without it) and by status."""
        ...

    def running_runs(
        self, tag: str | None = None, max_results: int = 1000, after: str = ""
    ) -> list[Run]:
        """Return runs that are RUNNING, deleted ones included, in the order of their identifiers.

        Only those that have the tag, when one is named: this is quick in a store of any size.
        `after` is the last identifier of the page before.
        """
        ...

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs, or their children, last started, ended or got the value of a metric.

        In ms; values from the future do not count, and runs that nobody knows are left out.
        """
        ...

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every value of a metric, in the order of step and time."""
        ...

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        ...

    def search_logged_models(self, run_id: str, name: str | None = None) -> list[LoggedModel]:
        """Return the models a run made, in the order they were made; `name` selects."""
        ...

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
        ...

    def write_registry(self, *changes: RegistryChange) -> list[ModelVersion]:
        """Write changes of registered models, all or none; return the versions that they make.

        Versions are numbered from 1, each by one more than the last, also when many processes
        make them at once; a number is never given twice. `AlreadyExistsError` when a name is taken.
        """
        ...

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model."""
        ...

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return the registered models that match, by their names unless ordered otherwise.

        MLflow's prompts, which it keeps among them, are left out unless the filter asks for them.
        """
        ...

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version of a registered model."""
        ...

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return the versions that match, those that changed last first unless ordered."""
        ...

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias stands for; ``latest`` is the last one."""
        ...

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """Return the last version of each stage, in the order of their numbers."""
        ...

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return where the files of a version are."""
        ...

    def close(self) -> None:
        """Release connections; the store opens them again when it is used."""
        ...
