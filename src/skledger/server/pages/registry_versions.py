"""One version of a registered model: where it is from, what it is called, what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.server.pages.choosing import preferred_metrics
from skledger.server.pages.notes import edited
from skledger.server.pages.registry_reading import version_rows
from skledger.server.pages.rendering import model_url, render, see_other, state_of
from skledger.server.pages.routing import Form, form, page
from skledger.server.pages.run_models import ModelView, loading_uri, model_of_version
from skledger.server.pages.run_view import group_of, is_fitted
from skledger.server.pages.table_csv import csv_answer
from skledger.tracking.entities import RunTag
from skledger.tracking.registry_entities import (
    ModelVersionChange,
    ModelVersionStage,
    RegisteredModelAlias,
    RegisteredModelChange,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

__all__ = ["routes"]

#: Where a model is proposed to be served, beside the pages that say so.
_PORTS = (5001, 5002)


def _show(request: Request) -> Response:
    store = state_of(request).store
    name, number = _place(request)
    version = store.get_model_version(name, number)
    model = store.get_registered_model(name)
    row = version_rows(store, [version])[0]
    uri = _uri(name, version.version, version.aliases)
    view = model_of_version(request, version, uri)
    return render(
        request,
        "model_version.html",
        version=version,
        model=model,
        run=row.run,
        groups=_groups(row.metrics),
        measured_on=row.measured_on,
        logged=row.run.data.metrics if row.run else {},
        view=view,
        # Versions of other tools and stores have no run here.
        experiment=store.get_experiment(row.run.info.experiment_id) if row.run else None,
        stages=ModelVersionStage.ALL,
        active=ModelVersionStage.ACTIVE,
        **_serving(request, uri, view),
    )


def _serving(request: Request, uri: str, view: ModelView) -> dict[str, Any]:
    """Return the line that serves a model, on a port of its own, and what it needs."""
    port = next(each for each in _PORTS if each != request.url.port)
    told = f"--uri {_shell(loading_uri(request))} -m {_shell(uri)} -p {port}"
    extras = "serve,skops" if view.format == "skops" else "serve"
    return {
        "command": f"skledger models serve {told}",
        "installed": f"pip install 'skledger[{extras}]'",
    }


def _place(request: Request) -> tuple[str, str]:
    return request.path_params["name"], request.path_params["version"]


def _uri(name: str, version: str, aliases: list[str]) -> str:
    return f"models:/{name}@{aliases[0]}" if aliases else f"models:/{name}/{version}"


def _shell(text: str) -> str:
    from shlex import quote

    return quote(text)


def _groups(metrics: dict[str, float]) -> list[tuple[str, list[tuple[str, float]]]]:
    """Return metrics in the groups that the page of a run has, those that tell most first."""
    fitted = is_fitted(metrics)
    found: dict[str, list[tuple[str, float]]] = {"": []}
    for key in preferred_metrics(metrics):
        found.setdefault(group_of(key, fitted), []).append((key, metrics[key]))
    return [(title, rows) for title, rows in found.items() if rows]


def _metrics_csv(request: Request) -> Response:
    store = state_of(request).store
    name, number = _place(request)
    row = version_rows(store, [store.get_model_version(name, number)])[0]
    lines = [(key, row.metrics[key]) for key in preferred_metrics(row.metrics)]
    return csv_answer("metrics-of-version", [("metric", "value"), *lines])


def _write(request: Request, *changes: ModelVersionChange | RegisteredModelChange) -> Response:
    name, number = _place(request)
    store = state_of(request).store
    # A version that is not there refuses everything, aliases too.
    store.get_model_version(name, number)
    store.write_registry(*changes)
    return see_other(request, model_url(name, number))


def _note(request: Request, fields: Form) -> Response:
    name, number = _place(request)
    found = state_of(request).store.get_model_version(name, number)
    text = edited(fields, found.description or "")
    return _write(request, ModelVersionChange(name, number, description=text))


def _tags(request: Request, fields: Form) -> Response:
    name, number = _place(request)
    if removed := fields.all("delete"):
        return _write(request, ModelVersionChange(name, number, deleted_tags=tuple(removed)))
    tag = RunTag(fields.text("key"), fields.text("value"))
    return _write(request, ModelVersionChange(name, number, tags=(tag,)))


def _aliases(request: Request, fields: Form) -> Response:
    name, number = _place(request)
    if removed := fields.all("delete"):
        held = state_of(request).store.get_registered_model(name).aliases
        # One that moved on since this page was opened stays where it is.
        ours = tuple(each for each in removed if held.get(each) == number)
        return _write(request, RegisteredModelChange(name, deleted_aliases=ours))
    alias = RegisteredModelAlias(fields.text("alias").removeprefix("@"), number)
    return _write(request, RegisteredModelChange(name, aliases=(alias,)))


def _stage(request: Request, fields: Form) -> Response:
    name, number = _place(request)
    stage = fields.text("stage")
    if not stage:
        raise InvalidParameterError(
            f"no stage was chosen; it is one of {', '.join(ModelVersionStage.ALL)}"
        )
    archive = "archive" in fields and stage in ModelVersionStage.ACTIVE
    return _write(request, ModelVersionChange(name, number, stage=stage, archive_existing=archive))


def _delete(request: Request, _: Form) -> Response:
    name, number = _place(request)
    state_of(request).store.write_registry(ModelVersionChange(name, number, delete=True))
    return see_other(request, model_url(name))


def routes() -> list[BaseRoute]:
    """Return the routes of versions."""
    place = "/models/{name}/versions/{version}"
    return [
        page(place, _show),
        page(f"{place}/metrics.csv", _metrics_csv),
        form(f"{place}/note", _note),
        form(f"{place}/tags", _tags),
        form(f"{place}/aliases", _aliases),
        form(f"{place}/stage", _stage),
        form(f"{place}/delete", _delete),
    ]
