"""Runs over the API: make them, find them, and what is logged to them."""

from __future__ import annotations

from typing import Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.server.api import beyond, encoding
from skledger.server.api import decoding as fields
from skledger.server.api import decoding_lists as lists
from skledger.server.api.decoding import required
from skledger.server.api.dispatch import Args, Endpoint
from skledger.server.api.identifiers import create_run_as
from skledger.server.security.asking import ASKING
from skledger.server.state import ServerState
from skledger.tracking.entities import (
    MAX_PARAM_LENGTH,
    MAX_TAG_LENGTH,
    LifecycleStage,
    Metric,
    ModelChange,
    Param,
    RunChange,
    RunInfo,
    RunStatus,
    RunTag,
)
from skledger.tracking.metric import measured_on
from skledger.tracking.names import now_ms, random_name

__all__ = ["ENDPOINTS"]

_NAME_TAG = "mlflow.runName"
_RUN = required(fields.text("run_id", also="run_uuid"))
_KEY = fields.key()


def create(state: ServerState, args: Args) -> dict[str, Any]:
    """Make a run that is RUNNING."""
    tags = {tag.key: tag.value for tag in args["tags"]}
    named, wanted = tags.get(_NAME_TAG), args["run_name"]
    if named and wanted and named != wanted:
        raise InvalidParameterError(
            f"a run has one name: run_name is {wanted!r} and the tag {_NAME_TAG!r} is {named!r}"
        )
    name = tags[_NAME_TAG] = wanted or named or random_name()
    place = state.store.get_experiment(args["experiment_id"])
    if place.lifecycle_stage == LifecycleStage.DELETED:
        raise InvalidParameterError(
            f"experiment {place.name!r} is deleted and takes no runs: restore it first"
        )
    booked = tuple(RunTag(key, value) for key, value in tags.items())

    def book(run_id: str) -> RunInfo:
        info = RunInfo(
            run_id=run_id,
            experiment_id=place.experiment_id,
            run_name=name,
            user_id=args["user_id"] or ASKING.get(),
            status=RunStatus.RUNNING,
            start_time=now_ms() if args["start_time"] is None else args["start_time"],
            end_time=None,
            lifecycle_stage=LifecycleStage.ACTIVE,
            artifact_uri=f"{place.artifact_location.rstrip('/')}/{run_id}/artifacts",
        )
        state.store.write(RunChange(run_id, create=info, tags=booked))
        return info

    info = create_run_as(state, place.artifact_location, tags, book)
    data = {"tags": encoding.pairs(tags)}
    return {"run": {"info": encoding.run_info(info), "data": data, "inputs": {}}}


def get(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a run with everything it holds."""
    run, latest = beyond.run_with_metrics(state.store, args["run_id"])
    used = beyond.used_models(state.store, [run.info.run_id])
    return {"run": encoding.run(run, latest, used.get(run.info.run_id, ()))}


def search(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell a page of runs."""
    asked = (
        args["experiment_ids"],
        args["filter"],
        args["run_view_type"],
        args["max_results"],
        args["order_by"],
        args["page_token"],
    )
    found, latest = beyond.page_of_runs(state.store, asked)
    runs = [encoding.run(run, latest[run.info.run_id]) for run in found]
    return encoding.listed("runs", runs, found.token)


def update(state: ServerState, args: Args) -> dict[str, Any]:
    """Change the state, the end or the name of a run."""
    change = RunChange(
        args["run_id"],
        status=args["status"],
        end_time=args["end_time"],
        run_name=args["run_name"] or None,
    )
    state.store.write(change)
    return {"run_info": encoding.run_info(beyond.run_info(state.store, args["run_id"]))}


def delete(state: ServerState, args: Args) -> dict[str, Any]:
    """Delete a run."""
    state.store.write(RunChange(args["run_id"], lifecycle_stage=LifecycleStage.DELETED))
    return {}


def restore(state: ServerState, args: Args) -> dict[str, Any]:
    """Bring a run back."""
    state.store.write(RunChange(args["run_id"], lifecycle_stage=LifecycleStage.ACTIVE))
    return {}


def log_metric(state: ServerState, args: Args) -> dict[str, Any]:
    """Book one number."""
    metric = Metric(args["key"], args["value"], args["timestamp"], args["step"])
    data = args["dataset_name"] or None, args["dataset_digest"] or None
    lists.check_both(*data)
    measured = measured_on([metric], *data)
    models = (ModelChange(args["model_id"], metrics=measured),) if args["model_id"] else ()
    state.store.write(RunChange(args["run_id"], metrics=(metric,), model_changes=models))
    return {}


def log_param(state: ServerState, args: Args) -> dict[str, Any]:
    """Book one param."""
    param = Param(args["key"], _cut(args["value"], MAX_PARAM_LENGTH))
    state.store.write(RunChange(args["run_id"], params=(param,)))
    return {}


def set_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Set one tag."""
    tags = (RunTag(args["key"], _cut(args["value"], MAX_TAG_LENGTH)),)
    state.store.write(RunChange(args["run_id"], tags=tags, run_name=_name_in(tags)))
    return {}


def delete_tag(state: ServerState, args: Args) -> dict[str, Any]:
    """Remove one tag."""
    if args["key"] not in state.store.get_run(args["run_id"]).data.tags:
        raise NotFoundError(f"run {args['run_id']!r} has no tag {args['key']!r}")
    state.store.write(RunChange(args["run_id"], deleted_tags=(args["key"],)))
    return {}


def log_batch(state: ServerState, args: Args) -> dict[str, Any]:
    """Book metrics, params and tags: all of them or none."""
    logged, tags = args["metrics"], args["tags"]
    state.store.write(
        RunChange(
            args["run_id"],
            metrics=logged.metrics,
            params=args["params"],
            tags=tags,
            run_name=_name_in(tags),
            model_changes=tuple(
                ModelChange(model_id, metrics=tuple(metrics))
                for model_id, metrics in logged.of_models.items()
            ),
        )
    )
    return {}


def log_inputs(state: ServerState, args: Args) -> dict[str, Any]:
    """Book the data sets and the models that a run used."""
    state.store.write(RunChange(args["run_id"], inputs=args["datasets"]))
    return _link(state, args, "input")


def log_outputs(state: ServerState, args: Args) -> dict[str, Any]:
    """Link models that a run made."""
    return _link(state, args, "output")


def log_model(state: ServerState, args: Args) -> dict[str, Any]:
    """Take the description of a model that clients before MLflow 3 send; the run exists."""
    beyond.run_info(state.store, args["run_id"])
    return {}


def _link(state: ServerState, args: Args, kind: str) -> dict[str, Any]:
    links = args["models"]
    if links:
        for model_id in links:
            state.store.get_logged_model(model_id)
        beyond.link_models(state.store, state.store.get_run(args["run_id"]), links, kind)
    return {}


def _name_in(tags: tuple[RunTag, ...]) -> str | None:
    """Return the name that tags give a run."""
    return next((tag.value for tag in tags if tag.key == _NAME_TAG and tag.value), None)


def _cut(value: str, most: int) -> str:
    return value if len(value) <= most else f"{value[: most - 3]}..."


_SEARCH = (
    fields.texts("experiment_ids"),
    fields.text("filter", ""),
    fields.view("run_view_type"),
    fields.limit(1000, 50_000),
    fields.texts("order_by"),
    fields.text("page_token"),
)
_METRIC = (
    _RUN,
    fields.new_key(),
    required(fields.number("value")),
    required(fields.whole("timestamp")),
    fields.whole("step", 0),
    fields.text("model_id"),
    fields.text("dataset_name"),
    fields.text("dataset_digest"),
)
_CREATE = (
    required(fields.text("experiment_id")),
    fields.text("user_id", ""),
    fields.text("run_name"),
    fields.moment("start_time"),
    lists.tags(),
)
_UPDATE = (
    _RUN,
    fields.choice("status", RunStatus.ALL),
    fields.moment("end_time"),
    fields.text("run_name"),
)
_BATCH = (_RUN, lists.metrics(), lists.params(), lists.tags())
_PAIR = (_RUN, fields.new_key(), fields.text("value", ""))
ENDPOINTS = (
    Endpoint("POST", "runs/create", create, _CREATE, "Make a run", writes=True),
    Endpoint("GET", "runs/get", get, (_RUN,), "Tell a run"),
    Endpoint("POST", "runs/search", search, _SEARCH, "Find runs"),
    Endpoint("POST", "runs/update", update, _UPDATE, "Change a run", writes=True),
    Endpoint("POST", "runs/delete", delete, (_RUN,), "Delete a run", writes=True),
    Endpoint("POST", "runs/restore", restore, (_RUN,), "Restore a run", writes=True),
    Endpoint("POST", "runs/log-metric", log_metric, _METRIC, "Book a metric", writes=True),
    Endpoint("POST", "runs/log-parameter", log_param, _PAIR, "Book a param", writes=True),
    Endpoint("POST", "runs/set-tag", set_tag, _PAIR, "Set a tag of a run", writes=True),
    Endpoint("POST", "runs/delete-tag", delete_tag, (_RUN, _KEY), "Remove a tag", writes=True),
    Endpoint("POST", "runs/log-batch", log_batch, _BATCH, "Book several at once", writes=True),
    Endpoint(
        "POST",
        "runs/log-inputs",
        log_inputs,
        (_RUN, lists.datasets(), lists.model_links()),
        "Book the data sets and models that a run used",
        writes=True,
    ),
    Endpoint(
        "POST",
        "runs/outputs",
        log_outputs,
        (_RUN, lists.model_links()),
        "Link models that a run made",
        writes=True,
    ),
    Endpoint(
        "POST",
        "runs/log-model",
        log_model,
        (_RUN, fields.text("model_json")),
        "Describe a model, as clients before MLflow 3 do",
        writes=True,
    ),
)
