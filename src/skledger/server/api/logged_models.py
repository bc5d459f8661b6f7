"""Logged models over the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.server.api import beyond, encoding
from skledger.server.api import decoding as fields
from skledger.server.api import decoding_lists as lists
from skledger.server.api.decoding import read_key, read_text, refusal, required
from skledger.server.api.dispatch import Args, Endpoint
from skledger.server.api.identifiers import create_model_as
from skledger.server.state import ServerState
from skledger.tracking.entities import (
    LifecycleStage,
    LoggedModel,
    LoggedModelStatus,
    ModelChange,
)
from skledger.tracking.names import now_ms, random_name

__all__ = ["ENDPOINTS"]

_MODEL = required(fields.text("model_id"))
_NO_LIMIT = 2**31
_NOT_IN_NAMES = "/:.%\"'"
_STATUS = {theirs: ours for ours, theirs in encoding.MODEL_STATUS.items()}


def create(state: ServerState, args: Args) -> dict[str, Any]:
    """Book a model that is PENDING."""
    root, experiment_id = _place(state, args)
    tags = {tag.key: tag.value for tag in args["tags"]}
    now = now_ms()

    def book(model_id: str) -> LoggedModel:
        model = LoggedModel(
            model_id=model_id,
            experiment_id=experiment_id,
            name=args["name"] or random_name(),
            artifact_location=f"{root}/models/{model_id}/artifacts",
            creation_timestamp=now,
            last_updated_timestamp=now,
            source_run_id=args["source_run_id"] or None,
            status=LoggedModelStatus.PENDING,
            model_type=args["model_type"],
            tags=tags,
            params={param.key: param.value for param in args["params"]},
        )
        beyond.create_model(state.store, model)
        return model

    return {"model": encoding.model(create_model_as(state, root, tags, book))}


def get(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a model."""
    return _told(state.store.get_logged_model(args["model_id"]))


def search(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a page of models."""
    found = state.store.search_models(
        args["experiment_ids"],
        args["filter"],
        args["max_results"],
        args["order_by"],
        args["page_token"],
        args["datasets"],
    )
    return encoding.listed("models", map(encoding.model, found), found.token)


def finish(state: ServerState, args: Args) -> dict[str, Any]:
    """Say that a model is whole, or failed."""
    _change(state, args, status=_STATUS[args["status"]])
    return get(state, args)


def delete(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove a model from the records."""
    beyond.delete_model(state.store, state.store.get_logged_model(args["model_id"]))
    return {}


def log_params(state: ServerState, args: Args) -> dict[str, Any]:
    """Book params of a model."""
    _change(state, args, params=args["params"])
    return {}


def set_tags(state: ServerState, args: Args) -> dict[str, Any]:
    """Set tags of a model."""
    _change(state, args, tags=args["tags"])
    return {}


def delete_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove a tag of a model."""
    model = state.store.get_logged_model(args["model_id"])
    if args["key"] not in model.tags:
        raise NotFoundError(f"logged model {model.model_id!r} has no tag {args['key']!r}")
    change = ModelChange(model.model_id, deleted_tags=(args["key"],))
    beyond.change_model(state.store, model, change)
    return {}


def list_files(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell the files in a folder of a model."""
    root = state.store.get_logged_model(args["model_id"]).artifact_location
    found = state.artifacts.list(root, args["artifact_directory_path"])
    files = [encoding.file(each, each.path) for each in found]
    return {"root_uri": root, **encoding.listed("files", files)}


def _place(state: ServerState, args: Args) -> tuple[str, str]:
    """Return where the experiment of a new model has its files, and which it is."""
    wanted, run_id = args["experiment_id"], args["source_run_id"]
    if run_id:
        info = beyond.run_info(state.store, run_id)
        if info.experiment_id != wanted:
            raise InvalidParameterError(
                f"run {run_id!r} is of the experiment {info.experiment_id}, and so is a model that "
                f"it makes; the experiment {wanted!r} was given"
            )
        return info.artifact_uri.removesuffix(f"/{info.run_id}/artifacts"), wanted
    found = state.store.get_experiment(wanted)
    if found.lifecycle_stage == LifecycleStage.DELETED:
        raise InvalidParameterError(
            f"experiment {found.name!r} is deleted and takes no models: restore it first"
        )
    return found.artifact_location.rstrip("/"), found.experiment_id


def _change(state: ServerState, args: Args, **changes: Any) -> None:
    model = state.store.get_logged_model(args["model_id"])
    beyond.change_model(state.store, model, ModelChange(model.model_id, **changes))


def _told(model: LoggedModel) -> dict[str, Any]:
    return {"model": encoding.model(model)}


def _read_name(name: str, sent: Any) -> str:
    """Return the name of a model, which is one part of ``models:/<name>`` and of paths."""
    found = read_text(name, sent)
    if any(each in found for each in _NOT_IN_NAMES):
        raise refusal(name, sent, f"text without any of {' '.join(_NOT_IN_NAMES)}")
    return found


def _read_dataset(sent: Mapping[str, Any]) -> tuple[str, str]:
    name, digest = sent.get("dataset_name"), sent.get("dataset_digest") or ""
    if not isinstance(name, str) or not isinstance(digest, str):
        raise InvalidParameterError(
            "each of datasets has a text dataset_name, and may have a text dataset_digest; got "
            f"{dict(sent)!r:.100}"
        )
    return name, digest


def _read_ordering(sent: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in sent.items() if value is not None}
    if not isinstance(found.get("field_name"), str):
        raise InvalidParameterError(
            f"each of order_by has a text field_name, got {dict(sent)!r:.100}"
        )
    return found


_TEXT = {"type": "string"}
_ORDERING = {
    "type": "object",
    "required": ["field_name"],
    "properties": {
        "field_name": _TEXT,
        "ascending": {"type": "boolean"},
        "dataset_name": _TEXT,
        "dataset_digest": _TEXT,
    },
}
_DATASET = {
    "type": "object",
    "required": ["dataset_name"],
    "properties": {"dataset_name": _TEXT, "dataset_digest": _TEXT},
}
_CREATE = (
    required(fields.text("experiment_id")),
    fields.Field("name", _read_name, fields.TEXT),
    fields.text("model_type", ""),
    fields.text("source_run_id"),
    lists.params(_NO_LIMIT, read_key),
    lists.tags(_NO_LIMIT, read_key),
)
_SEARCH = (
    fields.texts("experiment_ids"),
    fields.text("filter", ""),
    lists.objects("datasets", _read_dataset, _DATASET),
    fields.limit(100, 10_000),
    lists.objects("order_by", _read_ordering, _ORDERING),
    fields.text("page_token"),
)
_ONE = "logged-models/{model_id}"
_FINISH = (_MODEL, required(fields.choice("status", _STATUS)))
ENDPOINTS = (
    Endpoint("POST", "logged-models", create, _CREATE, "Book a logged model", writes=True),
    Endpoint("POST", "logged-models/search", search, _SEARCH, "Find logged models"),
    Endpoint("GET", _ONE, get, (_MODEL,), "Tell a logged model"),
    Endpoint("PATCH", _ONE, finish, _FINISH, "Say that it is whole, or failed", writes=True),
    Endpoint("DELETE", _ONE, delete, (_MODEL,), "Remove a logged model", writes=True),
    Endpoint(
        "POST",
        f"{_ONE}/params",
        log_params,
        (_MODEL, lists.params(_NO_LIMIT, read_key)),
        "Book params of a logged model",
        writes=True,
    ),
    Endpoint(
        "PATCH",
        f"{_ONE}/tags",
        set_tags,
        (_MODEL, lists.tags(_NO_LIMIT, read_key)),
        "Set tags of a logged model",
        writes=True,
    ),
    Endpoint(
        "DELETE",
        f"{_ONE}/tags/{{key}}",
        delete_tag,
        (_MODEL, fields.key()),
        "Remove a tag of a logged model",
        writes=True,
    ),
    Endpoint(
        "GET",
        f"{_ONE}/artifacts/directories",
        list_files,
        (_MODEL, fields.text("artifact_directory_path", "")),
        "Tell the files in a folder of a logged model",
    ),
)
