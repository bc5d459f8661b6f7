"""Registered models over the API."""

from __future__ import annotations

from typing import Any

from skledger.server.api import decoding as fields
from skledger.server.api import decoding_lists as lists
from skledger.server.api import encoding
from skledger.server.api.decoding import required
from skledger.server.api.dispatch import Args, Endpoint
from skledger.server.state import ServerState
from skledger.tracking.registry_entities import RegisteredModelAlias, RegisteredModelChange

__all__ = ["ENDPOINTS"]

_NAME = required(fields.text("name"))
_KEY = fields.key()
_ALIAS = required(fields.text("alias"))


def create(state: ServerState, args: Args) -> dict[str, Any]:
    """Make a registered model, without versions."""
    description = args["description"] or None
    _write(state, args, create=True, tags=args["tags"], description=description)
    return _told(state, args["name"])


def rename(state: ServerState, args: Args) -> dict[str, Any]:
    """Give a registered model another name."""
    _write(state, args, new_name=args["new_name"])
    return _told(state, args["new_name"])


def update(state: ServerState, args: Args) -> dict[str, Any]:
    """Set the description of a registered model."""
    _write(state, args, description=args["description"])
    return _told(state, args["name"])


def delete(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove a registered model with its versions."""
    _write(state, args, delete=True)
    return {}


def get(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a registered model."""
    return _told(state, args["name"])


def search(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a page of registered models."""
    found = state.store.search_registered_models(
        args["filter"], args["max_results"], args["order_by"], args["page_token"]
    )
    models = map(encoding.registered_model, found)
    return encoding.listed("registered_models", models, found.token)


def latest_versions(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell the last version of each stage."""
    found = state.store.get_latest_versions(args["name"], args["stages"] or None)
    return encoding.listed("model_versions", map(encoding.model_version, found))


def set_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Set a tag of a registered model."""
    _write(state, args, tags=(lists.pair_of(args),))
    return {}


def delete_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove a tag of a registered model."""
    _write(state, args, deleted_tags=(args["key"],))
    return {}


def set_alias(state: ServerState, args: Args) -> dict[str, Any]:
    """Let an alias stand for a version."""
    _write(state, args, aliases=(RegisteredModelAlias(args["alias"], args["version"]),))
    return {}


def delete_alias(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove an alias."""
    _write(state, args, deleted_aliases=(args["alias"],))
    return {}


def get_by_alias(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell the version that an alias stands for."""
    found = state.store.get_model_version_by_alias(args["name"], args["alias"])
    return {"model_version": encoding.model_version(found)}


def _write(state: ServerState, args: Args, **changes: Any) -> None:
    state.store.write_registry(RegisteredModelChange(args["name"], **changes))


def _told(state: ServerState, name: str) -> dict[str, Any]:
    found = state.store.get_registered_model(name)
    return {"registered_model": encoding.registered_model(found)}


_SEARCH = (
    fields.text("filter"),
    fields.limit(100, 1000),
    fields.texts("order_by"),
    fields.text("page_token"),
)
_LATEST = (_NAME, fields.texts("stages"))
_CREATE = (_NAME, lists.tags(most=5000), fields.text("description"))
_PATH = "registered-models"
_SET_ALIAS = (_NAME, _ALIAS, required(fields.text("version")))
ENDPOINTS = (
    Endpoint("POST", f"{_PATH}/create", create, _CREATE, "Make a registered model", writes=True),
    Endpoint(
        "POST",
        f"{_PATH}/rename",
        rename,
        (_NAME, required(fields.text("new_name"))),
        "Rename a registered model",
        writes=True,
    ),
    Endpoint(
        "PATCH",
        f"{_PATH}/update",
        update,
        (_NAME, fields.text("description", "")),
        "Describe a registered model",
        writes=True,
    ),
    Endpoint("DELETE", f"{_PATH}/delete", delete, (_NAME,), "Remove one", writes=True),
    Endpoint("GET", f"{_PATH}/get", get, (_NAME,), "Tell a registered model"),
    Endpoint("GET", f"{_PATH}/search", search, _SEARCH, "Find registered models"),
    *(
        Endpoint(method, f"{_PATH}/get-latest-versions", latest_versions, _LATEST, "Tell the last")
        for method in ("POST", "GET")
    ),
    Endpoint(
        "POST",
        f"{_PATH}/set-tag",
        set_tag,
        (_NAME, fields.new_key(), fields.text("value", "")),
        "Set a tag of a registered model",
        writes=True,
    ),
    Endpoint("DELETE", f"{_PATH}/delete-tag", delete_tag, (_NAME, _KEY), "Remove it", writes=True),
    Endpoint("POST", f"{_PATH}/alias", set_alias, _SET_ALIAS, "Set an alias", writes=True),
    Endpoint("DELETE", f"{_PATH}/alias", delete_alias, (_NAME, _ALIAS), "Remove it", writes=True),
    Endpoint("GET", f"{_PATH}/alias", get_by_alias, (_NAME, _ALIAS), "Tell the version of one"),
)
