"""The client's experiments: make, find, rename, tag, delete, restore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skledger.errors import NotFoundError
from skledger.tracking.client_base import ClientPart
from skledger.tracking.entities import Experiment, LifecycleStage, PagedList, ViewType
from skledger.tracking.session import experiment_changed

__all__ = ["ExperimentsPart"]


class ExperimentsPart(ClientPart):
    """Methods on experiments."""

    def create_experiment(
        self,
        name: str,
        artifact_location: str | Path | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> str:
        """Create an experiment and return its identifier.

        Parameters
        ----------
        name : str
            A name no other experiment has, deleted ones included.
        artifact_location : str or Path, optional
            Where the artifacts of its runs go; by default the store's own place.
        tags : mapping, optional
            Tags of the experiment; ``mlflow.note.content`` is its note.

        Raises
        ------
        AlreadyExistsError
            When the name is taken.
        """
        location = None if artifact_location is None else str(artifact_location)
        booked = {str(key): str(value) for key, value in (tags or {}).items()}
        return self._store().create_experiment(name, location, booked)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, deleted or not; `NotFoundError` when there is none."""
        return self._reading().get_experiment(str(experiment_id))

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return an experiment by its name, deleted or not, or None."""
        return self._reading().get_experiment_by_name(name)

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Find experiments, one page of them.

        Parameters
        ----------
        view_type : int
            One of `ViewType`.
        max_results : int, default=1000
            The length of a page.
        filter_string : str, optional
            Such as ``"name LIKE 'iris%' and tags.team = 'blue'"``.
        order_by : sequence of str, optional
            Such as ``["name ASC"]``; by default the newest first.
        page_token : str, optional
            The `token` of the page before.

        Returns
        -------
        PagedList of Experiment
            Its `token` is None on the last page.
        """
        most = 1000 if max_results is None else max_results
        return self._reading().search_experiments(
            view_type, most, filter_string, order_by, page_token
        )

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Give an experiment another name, which no other has."""
        self._update(experiment_id, name=new_name)

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete an experiment and its runs; `restore_experiment` brings them back."""
        if self.get_experiment(experiment_id).lifecycle_stage == LifecycleStage.DELETED:
            raise NotFoundError(
                f"The experiment {experiment_id} is deleted already; restore_experiment brings "
                "it back."
            )
        self._update(experiment_id, lifecycle_stage=LifecycleStage.DELETED)

    def restore_experiment(self, experiment_id: str) -> None:
        """Bring a deleted experiment back, with the runs that were deleted with it."""
        if self.get_experiment(experiment_id).lifecycle_stage == LifecycleStage.ACTIVE:
            raise NotFoundError(f"There is no deleted experiment {experiment_id} to restore.")
        self._update(experiment_id, lifecycle_stage=LifecycleStage.ACTIVE)

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set one tag of an experiment, or change it; its value becomes ``str(value)``."""
        self.set_experiment_tags(experiment_id, {key: value})

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, Any]) -> None:
        """Set tags of an experiment, all or none."""
        self._update(experiment_id, tags={str(key): str(value) for key, value in tags.items()})

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Remove a tag of an experiment; `NotFoundError` when it has none of that key."""
        if key not in self.get_experiment(experiment_id).tags:
            raise NotFoundError(f"The experiment {experiment_id} has no tag {key!r}.")
        self._update(experiment_id, deleted_tags=(key,))

    def _update(self, experiment_id: str, **changes: Any) -> None:
        store = self._store()
        store.update_experiment(str(experiment_id), **changes)
        experiment_changed(store, str(experiment_id))
