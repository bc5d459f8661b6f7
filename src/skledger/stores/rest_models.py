"""The logged models of a change: made, changed and removed on a tracking server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from skledger.errors import AlreadyExistsError, InvalidParameterError, NotFoundError
from skledger.stores.model_changes import conflict, no_model, together
from skledger.stores.rest_aliases import MODEL_TAG, Aliases
from skledger.stores.rest_api import Api
from skledger.stores.rest_batches import in_slices
from skledger.stores.rest_json import (
    NAN_TAG,
    as_metric,
    as_model_status,
    as_pairs,
    identity_of,
    model_name,
    nan_note,
    read_tags,
)
from skledger.tracking.entities import LoggedModel, ModelChange, RunChange

__all__ = ["ModelsOfChange", "check_models", "model_path"]

#: Params or tags that one request takes.
_MOST = 100


def model_path(model_id: str) -> str:
    """Return the path of a logged model, by what the server calls it."""
    return f"logged-models/{quote(model_id, safe='')}"


def check_models(
    api: Api, aliases: Aliases, changes: Sequence[RunChange], *, retry: bool = False
) -> None:
    """Refuse what the server would refuse, or take without a word, when a part is written.

    Parameters
    ----------
    api, aliases : Api, Aliases
        The server, and what it calls our models.
    changes : sequence of RunChange
        What is to be written.
    retry : bool, default=False
        Whether models that are made may be there.

    Raises
    ------
    AlreadyExistsError, InvalidParameterError, NotFoundError, ParamConflictError
        Before anything is written.
    """
    made: dict[str, Mapping[str, str]] = {}
    gone: set[str] = set()
    for change in changes:
        gone |= set(change.deleted_models)
        for model in change.models:
            if not retry and aliases.knows_model(model.model_id):
                raise AlreadyExistsError(f"there is a logged model {model.model_id!r} already")
            made[model.model_id] = model.params
    for each in together(each for change in changes for each in change.model_changes):
        held = made.get(each.model_id)
        if held is None:
            if each.model_id in gone:
                raise no_model(each.model_id)
            told = _told(api, aliases, each.model_id)
            _check_deleted_tags(each, read_tags(told["info"].get("tags", ())))
            held = _params_of(told)
        for param in each.params:
            old = held.get(param.key, param.value)
            if old != param.value:
                raise conflict(each.model_id, param.key, old, param.value)


def _check_deleted_tags(change: ModelChange, held: Mapping[str, str]) -> None:
    for key in change.deleted_tags:
        if "/" in key and key in held:
            raise InvalidParameterError(
                f"a server cannot remove the tag {key!r} of model {change.model_id}: its requests "
                "have no room for a '/'; give the tag another value"
            )


def _told(api: Api, aliases: Aliases, model_id: str) -> Mapping[str, Any]:
    """Return a model as the server tells it."""
    try:
        found: Mapping[str, Any] = api.get(model_path(aliases.model(model_id)))["model"]
    except NotFoundError as error:
        raise no_model(model_id) from error
    return found


def _params_of(told: Mapping[str, Any]) -> dict[str, str]:
    return read_tags(told.get("data", {}).get("params", ()))


class ModelsOfChange:
    """The requests about the models of one change of one run.

    Parameters
    ----------
    api, aliases : Api, Aliases
        The server, and what it calls our models.
    change : RunChange
        The change.
    run_id, experiment_id : str
        Its run and experiment, as the server calls them.
    retry : bool
        Whether it may have been written, wholly or in part.
    """

    def __init__(
        self,
        api: Api,
        aliases: Aliases,
        change: RunChange,
        run_id: str,
        experiment_id: str,
        *,
        retry: bool,
    ) -> None:
        self._api, self._aliases, self._retry = api, aliases, retry
        self._change, self._run_id, self._experiment_id = change, run_id, experiment_id
        self._changes = together(change.model_changes)
        #: What the server calls those that are made.
        self._made: dict[str, str] = {}
        #: Models as the server has them, by its identifiers.
        self._known: dict[str, Mapping[str, Any]] = {}

    def delete(self) -> None:
        """Delete the models that go; one that is not there is gone."""
        for model_id in self._change.deleted_models:
            try:
                self._api.delete(model_path(self._aliases.model(model_id)))
            except NotFoundError:
                pass

    # Making

    def create(self) -> None:
        """Make the models that are new, without their metrics."""
        for model in self._change.models:
            found = None
            if self._retry:
                found = self._aliases.find_model(model.model_id, [self._experiment_id])
            if found is None:
                found = self._new(model)
            else:
                told = self._api.get(model_path(found))["model"]
                self._known[found] = told
                self._add_params(found, _without(model.params, _params_of(told)))
            self._made[model.model_id] = found

    def _new(self, model: LoggedModel) -> str:
        name, named = model_name(model.name)
        tags = {**model.tags, **named, **nan_note(model.metrics), MODEL_TAG: model.model_id}
        params = as_pairs(model.params)
        body = {
            "experiment_id": self._experiment_id,
            "name": name,
            "model_type": model.model_type,
            "source_run_id": self._aliases.or_itself(model.source_run_id or self._run_id),
            "params": params[:_MOST],
            "tags": as_pairs(tags),
        }
        made = str(self._api.post("logged-models", body)["model"]["info"]["model_id"])
        self._aliases.learn_model(model.model_id, made)
        self._add_params(made, dict(list(model.params.items())[_MOST:]))
        return made

    def _add_params(self, model_id: str, params: Mapping[str, str]) -> None:
        for each in in_slices(as_pairs(params), _MOST):
            path = f"{model_path(model_id)}/params"
            self._api.post(path, {"model_id": model_id, "params": each})

    # Changing

    def change(self) -> None:
        """Change params and tags of models; what they have already is not sent."""
        for each in self._changes:
            told = _told(self._api, self._aliases, each.model_id)
            model_id = str(told["info"]["model_id"])
            if self._retry:
                self._known[model_id] = told
            self._add_params(model_id, _without(_as_dict(each.params), _params_of(told)))
            self._change_tags(model_id, each, read_tags(told["info"].get("tags", ())))

    def _change_tags(self, model_id: str, change: ModelChange, held: Mapping[str, str]) -> None:
        wanted = _as_dict(change.tags) | nan_note(change.metrics, held.get(NAN_TAG, ""))
        for key in change.deleted_tags:
            if key in held and key not in wanted:
                try:
                    self._api.delete(f"{model_path(model_id)}/tags/{quote(key, safe='')}")
                except NotFoundError:
                    pass  # somebody else was faster
        changed = {key: value for key, value in wanted.items() if held.get(key) != value}
        for some in in_slices(as_pairs(changed), _MOST):
            self._api.patch(f"{model_path(model_id)}/tags", {"tags": some})

    # Metrics and state

    def metrics(self) -> list[dict[str, Any]]:
        """Return the metrics of models that the server lacks, as they are logged to the run."""
        found: list[dict[str, Any]] = []
        measured = [(each.model_id, each.metrics) for each in self._change.models]
        measured += [(each.model_id, each.metrics) for each in self._changes]
        for ours, metrics in measured:
            model_id = self._aliases.model(ours)
            told = self._known.get(model_id, {}).get("data", {}).get("metrics", ())
            # Values are left out: the server gives 0 for NaN.
            known = {identity_of(each)[:3] for each in told}
            new = (as_metric(each, model_id) for each in metrics)
            found += [each for each in new if identity_of(each)[:3] not in known]
        return found

    def finish(self, run: Mapping[str, Any]) -> None:
        """Link new models from the run's outputs, and then say that models are whole, or failed.

        Parameters
        ----------
        run : mapping
            With `retry`, the run as the server has it.
        """
        told = run.get("outputs", {}).get("model_outputs", ())
        linked = {each["model_id"] for each in told}
        missing = [each for each in self._made.values() if each not in linked]
        if missing:
            models = [{"model_id": each, "step": 0} for each in missing]
            self._api.post("runs/outputs", {"run_id": self._run_id, "models": models})
        status = {
            model.model_id: model.status
            for model in self._change.models
            if model.status in ("READY", "FAILED")
        }
        status |= {each.model_id: each.status for each in self._changes if each.status is not None}
        for ours, wanted in status.items():
            self._finalize(self._aliases.model(ours), as_model_status(wanted))

    def _finalize(self, model_id: str, status: str) -> None:
        known = self._known.get(model_id, {}).get("info", {}).get("status")
        if known != status:
            self._api.patch(model_path(model_id), {"model_id": model_id, "status": status})


def _as_dict(items: Sequence[Any]) -> dict[str, str]:
    return {each.key: each.value for each in items}


def _without(wanted: Mapping[str, str], held: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if key not in held}
