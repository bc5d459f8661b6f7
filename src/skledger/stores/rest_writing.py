"""Writing changes of runs to a tracking server, in an order that can be repeated.

The server knows no transaction over several requests. Everything that can be refused here is
refused before the first of them; a write that broke off is repeated with `retry`, and then adds
only what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from skledger.errors import AlreadyExistsError, NotFoundError, ParamConflictError
from skledger.stores.rest_aliases import REFERENCES, RUN_TAG, Aliases
from skledger.stores.rest_api import Api
from skledger.stores.rest_batches import in_batches
from skledger.stores.rest_json import as_input, as_metric, as_pairs, identity_of
from skledger.stores.rest_models import ModelsOfChange, check_models
from skledger.tracking.entities import (
    LifecycleStage,
    ModelChange,
    RunChange,
    RunInfo,
    RunStatus,
    RunTag,
)

__all__ = ["history", "write_changes"]

_NAME_TAG = "mlflow.runName"
#: The server takes any number of tags with a new run; a batch has at most so many.
_TAGS = 100
#: The longest page of a metric's history (MLflow's limit).
_HISTORY = 25000


@dataclass(slots=True)
class _Work:
    """One change, and what of it is with the server already."""

    change: RunChange
    run_id: str = ""
    experiment_id: str = ""
    is_new: bool = False
    sent_tags: frozenset[str] = frozenset()
    #: With `retry`: the run as the server has it.
    known_run: Mapping[str, Any] = field(default_factory=dict)


def write_changes(
    api: Api, aliases: Aliases, changes: Sequence[RunChange], *, retry: bool = False
) -> None:
    """Write changes that were checked.

    Parameters
    ----------
    api : Api
        The server.
    aliases : Aliases
        What it calls our runs and models; learns those that are created.
    changes : sequence of RunChange
        What to write.
    retry : bool, default=False
        Whether they may have been written, wholly or in part.
    """
    created = {change.run_id for change in changes if change.create is not None}
    _check(aliases, changes, created, retry)
    check_models(api, aliases, changes, retry=retry)
    works = [_Work(change) for change in _models_first(changes)]
    pending = set(created)
    for work in works:
        if work.change.create is not None:
            _create(api, aliases, work, work.change.create, pending, retry)
            pending.discard(work.change.run_id)
    for work in works:
        work.run_id = aliases.run(work.change.run_id)
        work.experiment_id = aliases.experiment_of(work.change.run_id)
        _Writing(api, aliases, work, retry).apply()


def _models_first(changes: Sequence[RunChange]) -> list[RunChange]:
    """Put off changes of models that another change of this write makes."""
    makers = {model.model_id: change for change in changes for model in change.models}
    found, later = [], []
    for change in changes:
        early: list[ModelChange] = []
        late: list[ModelChange] = []
        for each in change.model_changes:
            is_early = makers.get(each.model_id, change) is change
            (early if is_early else late).append(each)
        found.append(replace(change, model_changes=tuple(early)) if late else change)
        if late:
            later.append(RunChange(change.run_id, model_changes=tuple(late)))
    return found + later


def _check(aliases: Aliases, changes: Sequence[RunChange], created: set[str], retry: bool) -> None:
    params: dict[str, dict[str, str]] = {}
    for change in changes:
        if change.run_id not in created:
            aliases.run(change.run_id)
        elif change.create is not None and not retry and aliases.knows_run(change.run_id):
            raise AlreadyExistsError(f"there is a run {change.run_id!r} already: use another id")
        known = params.setdefault(change.run_id, {})
        for param in change.params:
            old = known.setdefault(param.key, param.value)
            if old != param.value:
                raise ParamConflictError(
                    f"param {param.key!r} of run {change.run_id} is {old!r} and cannot become "
                    f"{param.value!r}: a param never changes; book it under another key or in "
                    "another run"
                )


def _create(
    api: Api, aliases: Aliases, work: _Work, info: RunInfo, pending: set[str], retry: bool
) -> None:
    """Create a run, unless an earlier attempt has.

    Tags that name a run which this very write creates later are set afterwards.
    """
    if retry and (
        aliases.knows_run(info.run_id)
        or aliases.find_run(info.run_id, [info.experiment_id]) is not None
    ):
        return
    tags = [
        aliases.in_tag(tag)
        for tag in work.change.tags
        if tag.key not in (_NAME_TAG, RUN_TAG)
        and not (tag.key in REFERENCES and tag.value in pending)
    ][: _TAGS - 1]
    body: dict[str, Any] = {
        "experiment_id": info.experiment_id,
        "user_id": info.user_id,
        "start_time": info.start_time,
        "tags": as_pairs([RunTag(RUN_TAG, info.run_id), *tags]),
    }
    name = _name_of(work.change, info)
    if name:
        body["run_name"] = name
    made = api.post("runs/create", body)["run"]["info"]
    aliases.learn_run(info.run_id, made["run_id"], str(made["experiment_id"]))
    work.is_new = True
    work.sent_tags = frozenset(tag.key for tag in tags)


def _name_of(change: RunChange, info: RunInfo) -> str:
    """Return the name of a new run, which the server keeps as a tag too."""
    for tag in change.tags:
        if tag.key == _NAME_TAG and tag.value:
            return tag.value
    return change.run_name or info.run_name


class _Writing:
    """The requests of one change of one run."""

    def __init__(self, api: Api, aliases: Aliases, work: _Work, retry: bool) -> None:
        self._api, self._aliases, self._work, self._retry = api, aliases, work, retry
        place = (work.run_id, work.experiment_id)
        self._models = ModelsOfChange(api, aliases, work.change, *place, retry=retry)

    def apply(self) -> None:
        """Send all of it. What may be refused comes first, what ends the run last."""
        work, change = self._work, self._work.change
        stage = change.lifecycle_stage or (change.create and change.create.lifecycle_stage)
        if change.lifecycle_stage == LifecycleStage.ACTIVE:
            self._post("runs/restore")
        if self._retry and not work.is_new:
            work.known_run = self._api.get("runs/get", run_id=work.run_id)["run"]
            known_stage = work.known_run["info"].get("lifecycle_stage")
            if stage == known_stage == LifecycleStage.DELETED:
                # To delete it was the last step of an earlier attempt.
                return
        params = as_pairs(change.params)
        is_one_batch = not (change.deleted_tags or change.models or change.deleted_models)
        if is_one_batch:
            self._models.change()
            self._log(params, self._tags(), self._metrics())
        else:
            self._log(params)
            self._delete_tags()
            self._models.delete()
            self._models.create()
            self._models.change()
            self._log((), self._tags(), self._metrics())
        if change.inputs:
            self._post("runs/log-inputs", datasets=[as_input(each) for each in change.inputs])
        self._models.finish(work.known_run)
        self._update()
        if stage == LifecycleStage.DELETED:
            self._post("runs/delete")

    def _post(self, path: str, **body: Any) -> None:
        self._api.post(path, {"run_id": self._work.run_id, **body})

    def _log(
        self,
        params: Sequence[dict[str, Any]],
        tags: Sequence[dict[str, Any]] = (),
        metrics: Sequence[dict[str, Any]] = (),
    ) -> None:
        for batch in in_batches(params, tags, metrics):
            self._post("runs/log-batch", **batch)

    # Tags

    def _tags(self) -> list[dict[str, str]]:
        work = self._work
        tags = {tag.key: tag for tag in work.change.tags if tag.key not in work.sent_tags}
        if work.is_new:
            # The name went with the run.
            tags.pop(_NAME_TAG, None)
        tags.pop(RUN_TAG, None)
        return as_pairs([self._aliases.in_tag(tag) for tag in tags.values()])

    def _delete_tags(self) -> None:
        if self._work.is_new:
            return
        for key in self._work.change.deleted_tags:
            try:
                self._post("runs/delete-tag", key=key)
            except NotFoundError:
                # There is no such tag; or no such run, which says so now.
                self._api.get("runs/get", run_id=self._work.run_id)

    # Metrics

    def _metrics(self) -> list[dict[str, Any]]:
        """Return the metrics of the run and of its models.

        The server books a metric of a model with the run as well, so one of both is sent once.
        """
        run = [as_metric(each) for each in self._work.change.metrics]
        ours = self._models.metrics()
        covered = {identity_of(each) for each in ours}
        run = [each for each in run if identity_of(each) not in covered]
        return [*self._missing_of_run(run), *ours]

    def _missing_of_run(self, metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the metrics that an earlier attempt has not brought."""
        latest = {each["key"] for each in self._work.known_run.get("data", {}).get("metrics", ())}
        known = set()
        for key in {each["key"] for each in metrics} & latest:
            known |= {identity_of(each) for each in history(self._api, self._work.run_id, key)}
        return [each for each in metrics if identity_of(each) not in known]

    # Fields

    def _update(self) -> None:
        change, create = self._work.change, self._work.change.create
        status, end_time = change.status, change.end_time
        if create is not None:
            status = status or create.status
            end_time = create.end_time if end_time is None else end_time
            if self._work.is_new and status == RunStatus.RUNNING:
                status = None
        body: dict[str, Any] = {"status": status, "end_time": end_time}
        if not self._work.is_new:
            body["run_name"] = change.run_name
        body = {key: value for key, value in body.items() if value is not None}
        if body:
            self._post("runs/update", **body)


def history(api: Api, run_id: str, key: str) -> list[dict[str, Any]]:
    """Return every value of a metric as the server tells it; none of a run that is not there."""
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        query = {"run_id": run_id, "metric_key": key, "max_results": _HISTORY}
        page = api.get("metrics/get-history", **query, **({"page_token": token} if token else {}))
        found += page.get("metrics", ())
        token = page.get("next_page_token", "")
        if not token:
            return found
