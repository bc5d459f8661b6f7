"""Experiments over the API."""

from __future__ import annotations

from typing import Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.server.api import decoding as fields
from skledger.server.api import decoding_lists as lists
from skledger.server.api import encoding
from skledger.server.api.decoding import required
from skledger.server.api.dispatch import Args, Endpoint
from skledger.server.state import ServerState
from skledger.tracking.entities import Experiment, LifecycleStage

__all__ = ["ENDPOINTS"]

_ID = required(fields.text("experiment_id"))
_MOST_TAG = 5000


def create(state: ServerState, args: Args) -> dict[str, Any]:
    """Make an experiment."""
    tags = {tag.key: tag.value for tag in args["tags"]}
    location = args["artifact_location"] or None
    if location is not None:
        state.artifacts.check_location(location)
    made = state.store.create_experiment(args["name"], location, tags)
    return {"experiment_id": made}


def get(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell an experiment."""
    return _told(state.store.get_experiment(args["experiment_id"]))


def get_by_name(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell an experiment by its name."""
    name = args["experiment_name"]
    found = state.store.get_experiment_by_name(name)
    if found is None:
        raise NotFoundError(f"Could not find experiment with name '{name}'")
    return _told(found)


def search(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a page of experiments."""
    found = state.store.search_experiments(
        args["view_type"],
        args["max_results"],
        args["filter"],
        args["order_by"],
        args["page_token"],
    )
    return encoding.listed("experiments", map(encoding.experiment, found), found.token)


def update(state: ServerState, args: Args) -> dict[str, Any]:
    """Rename an experiment."""
    if args["new_name"] is not None:
        state.store.update_experiment(args["experiment_id"], name=args["new_name"])
    else:
        state.store.get_experiment(args["experiment_id"])
    return {}


def delete(state: ServerState, args: Args) -> dict[str, Any]:
    """Delete an experiment and its runs."""
    _require(state, args["experiment_id"], LifecycleStage.ACTIVE)
    state.store.update_experiment(args["experiment_id"], lifecycle_stage=LifecycleStage.DELETED)
    return {}


def restore(state: ServerState, args: Args) -> dict[str, Any]:
    """Bring an experiment back, with the runs that were deleted with it."""
    _require(state, args["experiment_id"], LifecycleStage.DELETED)
    state.store.update_experiment(args["experiment_id"], lifecycle_stage=LifecycleStage.ACTIVE)
    return {}


def set_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Set a tag of an experiment."""
    found = state.store.get_experiment(args["experiment_id"])
    if found.lifecycle_stage == LifecycleStage.DELETED:
        raise InvalidParameterError(
            f"experiment {found.name!r} is deleted and takes no tags: restore it first"
        )
    value = args["value"]
    value = value if len(value) <= _MOST_TAG else f"{value[: _MOST_TAG - 3]}..."
    state.store.update_experiment(args["experiment_id"], tags={args["key"]: value})
    return {}


def delete_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove a tag of an experiment."""
    found = state.store.get_experiment(args["experiment_id"])
    if args["key"] not in found.tags:
        raise NotFoundError(f"experiment {found.name!r} has no tag {args['key']!r}")
    state.store.update_experiment(args["experiment_id"], deleted_tags=(args["key"],))
    return {}


def _told(item: Experiment) -> dict[str, Any]:
    return {"experiment": encoding.experiment(item)}


def _require(state: ServerState, experiment_id: str, stage: str) -> None:
    found = state.store.get_experiment(experiment_id)
    if found.lifecycle_stage != stage:
        raise NotFoundError(
            f"there is no {stage} experiment {experiment_id!r}: {found.name!r} is "
            f"{found.lifecycle_stage}"
        )


_SEARCH = (
    fields.limit(1000, 50_000),
    fields.text("page_token"),
    fields.text("filter"),
    fields.texts("order_by"),
    fields.view("view_type"),
)
ENDPOINTS = (
    Endpoint(
        "POST",
        "experiments/create",
        create,
        (required(fields.text("name")), fields.text("artifact_location"), lists.tags(most=5000)),
        "Make an experiment",
        writes=True,
    ),
    Endpoint("GET", "experiments/get", get, (_ID,), "Tell an experiment"),
    Endpoint(
        "GET",
        "experiments/get-by-name",
        get_by_name,
        (required(fields.text("experiment_name")),),
        "Tell an experiment by its name",
    ),
    Endpoint("POST", "experiments/search", search, _SEARCH, "Find experiments"),
    Endpoint("GET", "experiments/search", search, _SEARCH, "Find experiments"),
    Endpoint(
        "POST",
        "experiments/update",
        update,
        (_ID, fields.text("new_name")),
        "Rename an experiment",
        writes=True,
    ),
    Endpoint("POST", "experiments/delete", delete, (_ID,), "Delete an experiment", writes=True),
    Endpoint("POST", "experiments/restore", restore, (_ID,), "Restore one", writes=True),
    Endpoint(
        "POST",
        "experiments/set-experiment-tag",
        set_tag,
        (_ID, fields.new_key(), fields.text("value", "")),
        "Set a tag of an experiment",
        writes=True,
    ),
    Endpoint(
        "POST",
        "experiments/delete-experiment-tag",
        delete_tag,
        (_ID, fields.key()),
        "Remove a tag of an experiment",
        writes=True,
    ),
)
