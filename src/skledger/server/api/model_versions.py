"""Versions of registered models over the API."""

from __future__ import annotations

from typing import Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.models.uris import ModelUri, parse_model_uri
from skledger.server.api import beyond, encoding
from skledger.server.api import decoding as fields
from skledger.server.api import decoding_lists as lists
from skledger.server.api.decoding import required
from skledger.server.api.dispatch import Args, Endpoint
from skledger.server.api.sources import check_source
from skledger.server.state import ServerState
from skledger.stores.base import Store
from skledger.tracking.registry_entities import ModelVersionChange, NewModelVersion

__all__ = ["ENDPOINTS", "placed"]

_NAME = required(fields.text("name"))
_VERSION = required(fields.text("version"))
_KEY = fields.key()


def create(state: ServerState, args: Args) -> dict[str, Any]:
    """Make a version of a registered model."""
    check_source(state, args["source"], args["run_id"])
    new = NewModelVersion(args["source"], run_id=args["run_id"], run_link=args["run_link"])
    if args["model_id"]:
        made = state.store.get_logged_model(args["model_id"])
        new = NewModelVersion(
            new.source, made.artifact_location, new.run_id or made.source_run_id, new.run_link
        )
    else:
        new = placed(state.store, new)
    change = ModelVersionChange(
        args["name"], create=new, description=args["description"] or None, tags=args["tags"]
    )
    return {"model_version": encoding.model_version(state.store.write_registry(change)[0])}


def get(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a version."""
    found = state.store.get_model_version(args["name"], args["version"])
    return {"model_version": encoding.model_version(found)}


def search(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a page of versions."""
    found = state.store.search_model_versions(
        args["filter"], args["max_results"], args["order_by"], args["page_token"]
    )
    return encoding.listed("model_versions", map(encoding.model_version, found), found.token)


def update(state: ServerState, args: Args) -> dict[str, Any]:
    """Set the description of a version."""
    _write(state, args, description=args["description"])
    return get(state, args)


def move(state: ServerState, args: Args) -> dict[str, Any]:
    """Move a version to a stage."""
    archive = args["archive_existing_versions"]
    _write(state, args, stage=args["stage"], archive_existing=archive)
    return get(state, args)


def delete(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove a version."""
    _write(state, args, delete=True)
    return {}


def set_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Set a tag of a version."""
    _write(state, args, tags=(lists.pair_of(args),))
    return {}


def delete_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove a tag of a version."""
    _write(state, args, deleted_tags=(args["key"],))
    return {}


def get_location(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell where the files of a version are."""
    found = state.store.get_model_version_download_uri(args["name"], args["version"])
    return {"artifact_uri": found}


def placed(store: Store, new: NewModelVersion) -> NewModelVersion:
    """Return a version with the place of its files, and its run, as far as its source tells.

    Parameters
    ----------
    store : Store
        Knows runs, models and versions.
    new : NewModelVersion
        With its source.

    Raises
    ------
    NotFoundError
        When the source names a logged model or a version that is not there.
    """
    try:
        parsed = parse_model_uri(new.source)
    except InvalidParameterError:
        return new
    location, run_id = _found(store, parsed)
    return NewModelVersion(new.source, location, new.run_id or run_id, new.run_link, new.user_id)


def _found(store: Store, parsed: ModelUri) -> tuple[str | None, str | None]:
    """Return where the files of what a URI names are, and its run."""
    if parsed.model_id is not None:
        model = store.get_logged_model(parsed.model_id)
        return model.artifact_location, model.source_run_id
    if parsed.run_id is not None:
        return _of_run(store, parsed.run_id, parsed.artifact_path or ""), parsed.run_id
    if parsed.name is not None:
        if parsed.version is not None:
            version = store.get_model_version(parsed.name, parsed.version)
        elif parsed.alias is not None:
            version = store.get_model_version_by_alias(parsed.name, parsed.alias)
        else:
            stages = [parsed.stage] if parsed.stage else None
            latest = store.get_latest_versions(parsed.name, stages)
            if not latest:
                raise NotFoundError(f"the registered model {parsed.name!r} has no such version")
            version = latest[-1]
        place = store.get_model_version_download_uri(version.name, version.version)
        return place, version.run_id
    return None, None


def _of_run(store: Store, run_id: str, path: str) -> str | None:
    try:
        models = store.search_logged_models(run_id, path)
        if models:
            return models[-1].artifact_location
        root = beyond.run_info(store, run_id).artifact_uri
    except NotFoundError:
        return None  # as MLflow: the run may be another store's
    return f"{root.rstrip('/')}/{path}"


def _write(state: ServerState, args: Args, **changes: Any) -> None:
    state.store.write_registry(ModelVersionChange(args["name"], args["version"], **changes))


_CREATE = (
    _NAME,
    required(fields.text("source")),
    fields.text("run_id"),
    lists.tags(most=60_000),
    fields.text("run_link"),
    fields.text("description"),
    fields.text("model_id"),
)
_SEARCH = (
    fields.text("filter"),
    fields.limit(10_000, 200_000),
    fields.texts("order_by"),
    fields.text("page_token"),
)
_ONE = (_NAME, _VERSION)
_PATH = "model-versions"
ENDPOINTS = (
    Endpoint("POST", f"{_PATH}/create", create, _CREATE, "Make a version", writes=True),
    Endpoint("GET", f"{_PATH}/get", get, _ONE, "Tell a version"),
    Endpoint("GET", f"{_PATH}/search", search, _SEARCH, "Find versions"),
    Endpoint(
        "PATCH",
        f"{_PATH}/update",
        update,
        (*_ONE, fields.text("description", "")),
        "Describe a version",
        writes=True,
    ),
    Endpoint(
        "POST",
        f"{_PATH}/transition-stage",
        move,
        (*_ONE, required(fields.text("stage")), fields.flag("archive_existing_versions")),
        "Move a version to a stage",
        writes=True,
    ),
    Endpoint("DELETE", f"{_PATH}/delete", delete, _ONE, "Remove a version", writes=True),
    Endpoint(
        "POST",
        f"{_PATH}/set-tag",
        set_tag,
        (*_ONE, fields.new_key(), fields.text("value", "")),
        "Set a tag of a version",
        writes=True,
    ),
    Endpoint("DELETE", f"{_PATH}/delete-tag", delete_tag, (*_ONE, _KEY), "Remove it", writes=True),
    Endpoint("GET", f"{_PATH}/get-download-uri", get_location, _ONE, "Tell where its files are"),
)
