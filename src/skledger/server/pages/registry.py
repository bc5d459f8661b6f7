"""Registered models and their versions: find, read, change, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from skledger.errors import InvalidParameterError
from skledger.server.pages import registry_versions
from skledger.server.pages.choosing import best_of
from skledger.server.pages.formatting import csv_time, own_tags
from skledger.server.pages.notes import edited
from skledger.server.pages.registry_reading import (
    filter_of,
    metric_columns,
    stages_in_use,
    version_rows,
)
from skledger.server.pages.rendering import model_url, render, see_other, state_of
from skledger.server.pages.routing import Form, form, page
from skledger.server.pages.table_csv import csv_answer
from skledger.tracking.entities import RunTag
from skledger.tracking.registry_entities import RegisteredModelChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from skledger.tracking.entities import PagedList
    from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

__all__ = ["routes"]

_T = TypeVar("_T")

_PAGE = 100
#: How many are read at once for a file of all.
_CSV_PAGE = 1000
#: Columns of the list that can be sorted by, and how the store orders them.
_ORDERS = {
    "name": "name ASC",
    "-name": "name DESC",
    "updated": "last_updated_timestamp ASC",
    "-updated": "last_updated_timestamp DESC",
}


def _search(
    request: Request, size: int = _PAGE, token: str | None = None
) -> PagedList[RegisteredModel]:
    query = request.query_params
    order = query.get("order_by", "")
    if order and order not in _ORDERS:
        raise InvalidParameterError(f"order_by is one of {', '.join(_ORDERS)}; got {order!r}")
    return state_of(request).store.search_registered_models(
        filter_of(query.get("filter", "")) or None,
        size,
        [_ORDERS[order]] if order else None,
        token,
    )


def _list(request: Request) -> Response:
    query = request.query_params
    error, models, token = "", [], None
    try:
        found = _search(request, token=query.get("page_token") or None)
        models, token = list(found), found.token
    except InvalidParameterError as refused:
        error = refused.message
    return render(
        request,
        "models.html",
        status_code=400 if error else 200,
        models=models,
        next_token=token,
        error=error,
        filter=query.get("filter", ""),
        order=query.get("order_by", ""),
        paged=bool(query.get("page_token")),
        stages=stages_in_use(models),
        last=_last_version,
    )


def _last_version(model: RegisteredModel) -> str:
    return max((each.version for each in model.latest_versions), key=int, default="")


def _list_csv(request: Request) -> Response:
    return csv_answer("models", _model_lines(request))


def _model_lines(request: Request) -> Iterator[list[object]]:
    yield ["name", "last_version", "aliases", "description", "tags", "created", "updated"]
    for each in _every(lambda token: _search(request, _CSV_PAGE, token)):
        yield [
            each.name,
            _last_version(each),
            _joined(each.aliases),
            each.description,
            _joined(own_tags(each.tags)),
            csv_time(each.creation_timestamp),
            csv_time(each.last_updated_timestamp),
        ]


def _every(read: Callable[[str | None], PagedList[_T]]) -> Iterator[_T]:
    """Yield what stands on all pages of a list."""
    token: str | None = None
    while True:
        found = read(token)
        yield from found
        token = found.token
        if not token:
            return


def _joined(held: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in held.items())


def _versions(
    request: Request, size: int = _PAGE, token: str | None = None
) -> PagedList[ModelVersion]:
    name = request.path_params["name"].replace("'", "''")
    return state_of(request).store.search_model_versions(
        f"name = '{name}'",
        size,
        ["version_number DESC"],
        token,
    )


def _show(request: Request) -> Response:
    store = state_of(request).store
    model = store.get_registered_model(request.path_params["name"])
    versions = _versions(request, token=request.query_params.get("page_token") or None)
    rows = version_rows(store, versions)
    metrics, every = metric_columns(rows, request.query_params.getlist("metric"))
    best = {key: best_of(key, [row.metrics.get(key) for row in rows]) for key in metrics}
    return render(
        request,
        "model.html",
        model=model,
        rows=rows,
        next_token=versions.token,
        paged=bool(request.query_params.get("page_token")),
        metrics=metrics,
        every=every,
        best=best,
        stages=any(row.version.current_stage not in ("None", "") for row in rows),
    )


def _versions_csv(request: Request) -> Response:
    store = state_of(request).store
    store.get_registered_model(request.path_params["name"])
    return csv_answer("versions", _version_lines(request))


def _version_lines(request: Request) -> Iterator[list[object]]:
    versions = list(_every(lambda token: _versions(request, _CSV_PAGE, token)))
    rows = version_rows(state_of(request).store, versions)
    _, metrics = metric_columns(rows, ())
    yield [
        *("name", "version", "aliases", "stage", "status", "run_id", "source", "user", "created"),
        *("description", "tags"),
        *metrics,
    ]
    for row in rows:
        each = row.version
        yield [
            each.name,
            each.version,
            ", ".join(each.aliases),
            each.current_stage,
            each.status,
            each.run_id,
            each.source,
            each.user_id,
            csv_time(each.creation_timestamp),
            each.description,
            _joined(own_tags(each.tags)),
            *(row.metrics.get(key) for key in metrics),
        ]


def _write(request: Request, change: RegisteredModelChange) -> Response:
    state_of(request).store.write_registry(change)
    return see_other(request, model_url(change.new_name or change.name))


def _create(request: Request, fields: Form) -> Response:
    return _write(
        request,
        RegisteredModelChange(
            fields.text("name"), create=True, description=fields.text("note") or None
        ),
    )


def _rename(request: Request, fields: Form) -> Response:
    name, new = request.path_params["name"], fields.text("name")
    if new == name:
        return see_other(request, model_url(name))
    return _write(request, RegisteredModelChange(name, new_name=new))


def _delete(request: Request, _: Form) -> Response:
    name = request.path_params["name"]
    state_of(request).store.write_registry(RegisteredModelChange(name, delete=True))
    return see_other(request, "/models")


def _note(request: Request, fields: Form) -> Response:
    name = request.path_params["name"]
    found = state_of(request).store.get_registered_model(name)
    text = edited(fields, found.description or "")
    return _write(request, RegisteredModelChange(name, description=text))


def _tags(request: Request, fields: Form) -> Response:
    name = request.path_params["name"]
    if removed := fields.all("delete"):
        return _write(request, RegisteredModelChange(name, deleted_tags=tuple(removed)))
    tag = RunTag(fields.text("key"), fields.text("value"))
    return _write(request, RegisteredModelChange(name, tags=(tag,)))


def routes() -> list[BaseRoute]:
    """Return the routes of the registry."""
    return [
        page("/models", _list),
        page("/models.csv", _list_csv),
        form("/models/create", _create),
        page("/models/{name}", _show),
        page("/models/{name}/versions.csv", _versions_csv),
        form("/models/{name}/rename", _rename),
        form("/models/{name}/delete", _delete),
        form("/models/{name}/note", _note),
        form("/models/{name}/tags", _tags),
        *registry_versions.routes(),
    ]
