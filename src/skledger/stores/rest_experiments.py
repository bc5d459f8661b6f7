"""The experiments of a tracking server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skledger.errors import AlreadyExistsError, InvalidParameterError, NotFoundError
from skledger.stores.checks import (
    check_experiment_name,
    check_max_results,
    check_tags,
    check_view_type,
    parse_experiment_id,
)
from skledger.stores.rest_api import Api
from skledger.stores.rest_json import VIEWS, as_pairs, read_experiment, with_plain_times
from skledger.tracking.entities import (
    DEFAULT_EXPERIMENT_ID,
    Experiment,
    LifecycleStage,
    PagedList,
    ViewType,
)

__all__ = ["ExperimentsPart", "search_page"]

#: The longest page that the server gives.
_PAGE = 50000


class ExperimentsPart:
    """The methods of a store on a tracking server that are about experiments.

    Attributes
    ----------
    uri : str
        The address of the server.
    """

    uri: str
    _api: Api

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an experiment and return its identifier; `AlreadyExistsError` when taken."""
        check_experiment_name(name)
        check_tags(tags or {})
        body: dict[str, Any] = {"name": name, "tags": as_pairs(tags or {})}
        if artifact_location:
            body["artifact_location"] = artifact_location
        try:
            return str(self._api.post("experiments/create", body)["experiment_id"])
        except AlreadyExistsError as error:
            raise AlreadyExistsError(
                f"there is an experiment named {name!r} already (it may be deleted): "
                "choose another name or use that one"
            ) from error

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return the experiment, deleted or not."""
        number = str(parse_experiment_id(experiment_id))
        try:
            found = self._api.get("experiments/get", experiment_id=number)
        except NotFoundError as error:
            raise NotFoundError(
                f"there is no experiment {experiment_id!r} in {self.uri}"
            ) from error
        return read_experiment(found["experiment"])

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, deleted or not, or None."""
        check_experiment_name(name)
        try:
            found = self._api.get("experiments/get-by-name", experiment_name=name)
        except NotFoundError:
            return None
        return read_experiment(found["experiment"])

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return experiments, the newest first unless ordered."""
        check_view_type(view_type)
        body = {
            "view_type": VIEWS[view_type],
            "filter": with_plain_times(filter_string or "", "experiment"),
            "order_by": list(order_by or ()),
        }
        found = search_page(
            self._api, "experiments", body, check_max_results(max_results), page_token
        )
        return PagedList([read_experiment(each) for each in found], found.token)

    def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        lifecycle_stage: str | None = None,
        tags: Mapping[str, str] | None = None,
        deleted_tags: Sequence[str] = (),
    ) -> None:
        """Rename, delete or restore an experiment with its runs, set and remove its tags."""
        old = self.get_experiment(experiment_id)
        self._check_update(old, name, lifecycle_stage, tags or {})
        changes = {"experiment_id": old.experiment_id}
        stage = old.lifecycle_stage if lifecycle_stage is None else lifecycle_stage
        is_active = old.lifecycle_stage == LifecycleStage.ACTIVE
        if stage == LifecycleStage.ACTIVE and not is_active:
            self._api.post("experiments/restore", changes)
        if name is not None and name != old.name:
            self._rename(old.experiment_id, name)
        for key in deleted_tags:
            if key in old.tags:
                self._api.post("experiments/delete-experiment-tag", {**changes, "key": key})
        for key, value in (tags or {}).items():
            self._api.post(
                "experiments/set-experiment-tag", {**changes, "key": key, "value": value}
            )
        if stage == LifecycleStage.DELETED and is_active:
            self._api.post("experiments/delete", changes)

    def experiment_for_runs(self, name: str | None) -> Experiment:
        """Return the experiment that new runs go to, made when it is new; None is `Default`."""
        if name is None:
            return self.get_experiment(DEFAULT_EXPERIMENT_ID)
        found = self.get_experiment_by_name(name)
        if found is None:
            try:
                return self.get_experiment(self.create_experiment(name))
            except AlreadyExistsError:
                found = self.get_experiment_by_name(name)
                if found is None:
                    raise
        return found

    # The inside

    def _check_update(
        self, old: Experiment, name: str | None, stage: str | None, tags: Mapping[str, str]
    ) -> None:
        """Refuse beforehand what the server would refuse when a part of it is done."""
        check_tags(tags)
        if stage not in (None, LifecycleStage.ACTIVE, LifecycleStage.DELETED):
            raise InvalidParameterError(
                f"lifecycle_stage must be 'active' or 'deleted', got {stage!r}"
            )
        is_deleted = old.lifecycle_stage == LifecycleStage.DELETED
        if name is not None:
            check_experiment_name(name)
            if is_deleted and stage != LifecycleStage.ACTIVE:
                raise InvalidParameterError(
                    f"experiment {old.name!r} is deleted and cannot become {name!r}: restore it "
                    "first"
                )
            other = None if name == old.name else self.get_experiment_by_name(name)
            if other is not None:
                raise _taken(name)
        if tags and is_deleted and stage != LifecycleStage.ACTIVE:
            raise InvalidParameterError(
                f"experiment {old.name!r} is deleted and takes no tags: restore it first"
            )

    def _rename(self, experiment_id: str, name: str) -> None:
        body = {"experiment_id": experiment_id, "new_name": name}
        try:
            self._api.post("experiments/update", body)
        except AlreadyExistsError as error:
            raise _taken(name) from error


def search_page(
    api: Api,
    what: str,
    body: Mapping[str, Any],
    limit: int,
    token: str | None,
    path: str | None = None,
) -> PagedList[dict[str, Any]]:
    """Return one page, in several requests when it is longer than the server's longest.

    Parameters
    ----------
    api : Api
        The server.
    what : str
        What is searched, as the answer names it.
    body : mapping
        The question.
    limit : int
        The length of the page.
    token : str, optional
        Where it begins.
    path : str, optional
        Where to ask, unless `what` says it.
    """
    if token and not token.isascii():
        raise InvalidParameterError(
            f"{token!r} is not a page token: pass the `token` of the page before, unchanged"
        )
    found: PagedList[dict[str, Any]] = PagedList([], token)
    while True:
        size = min(limit - len(found), _PAGE)
        request = {**body, "max_results": size, "page_token": found.token or ""}
        page = api.post(path or f"{what}/search", request)
        found += page.get(what, ())
        found.token = page.get("next_page_token") or None
        if found.token is None or len(found) >= limit:
            return found


def _taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"there is an experiment named {name!r} already (it may be deleted): choose another name"
    )
