"""The list of experiments: search, sort, create; and what is changed of one."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from skledger.errors import AlreadyExistsError, InvalidParameterError, NotFoundError
from skledger.server.pages.formatting import csv_time
from skledger.server.pages.notes import edited
from skledger.server.pages.rendering import render, see_other, state_of, url
from skledger.server.pages.routing import Form, form, in_place, page
from skledger.server.pages.searching import asked_for
from skledger.server.pages.table_csv import csv_answer
from skledger.tracking.entities import Experiment, LifecycleStage, RunStatus, ViewType
from skledger.tracking.filters import format_filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from skledger.stores.base import Store

__all__ = ["routes"]

NOTE_TAG = "mlflow.note.content"
_VIEWS = {
    "active": ViewType.ACTIVE_ONLY,
    "deleted": ViewType.DELETED_ONLY,
    "all": ViewType.ALL,
}
_SORTED = {
    "name": "Name",
    "runs": "Runs",
    "last_run": "Last run",
    "creation_time": "Created",
    "last_update_time": "Changed",
}
_PAGE = 100
#: How long the page counts runs before it comes; a script asks for the rest.
_SECONDS = 0.05
_INTERNAL = ("mlflow.", "skledger.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the list is asked for, as it stands in its address."""

    q: str = ""
    order_by: str = ""
    view: str = "active"
    page_token: str = ""
    counts: str = ""

    @classmethod
    def of(cls, request: Request) -> _Asked:
        asked = request.query_params
        view = asked.get("view", "")
        order_by = asked.get("order_by", "")
        known = order_by.partition(" ")[0] in _SORTED
        return cls(
            asked.get("q", "").strip(),
            order_by if known else "",
            view if view in _VIEWS else "active",
            asked.get("page_token", ""),
            "all" if asked.get("counts") == "all" else "",
        )

    def url(self, path: str = "/", **changes: str) -> str:
        """Return the address of the list with some of it changed."""
        usual = {"q": "", "order_by": "", "view": "active", "page_token": "", "counts": ""}
        now = {key: getattr(self, key) for key in usual} | changes
        return url(path, {k: v for k, v in now.items() if v != usual[k]})

    def search(self) -> str:
        """Return the filter: in the grammar, or words that the name has."""
        return format_filter(asked_for(self.q, "experiment"), "experiment")


@dataclass(frozen=True, slots=True)
class _Runs:
    """What is counted of an experiment."""

    count: int
    running: int
    failed: int
    killed: int
    last: int | None


def _show(request: Request) -> Response:
    return _page(request)


def _page(request: Request, refusal: str = "", name: str = "", status: int = 200) -> Response:
    asked, store = _Asked.of(request), state_of(request).store
    wrong = ""
    try:
        found = _search(store, asked, asked.page_token)
    except InvalidParameterError as error:
        found, wrong = type(store.search_experiments(max_results=1))(), error.message
    counts = _counts(store, list(found), math.inf if asked.counts else _SECONDS)
    return render(
        request,
        "experiments.html",
        status_code=status,
        **_values(asked, list(found)),
        next=asked.url(page_token=found.token) if found.token else None,
        first=asked.url(page_token="") if asked.page_token else None,
        wrong=wrong,
        refusal=refusal,
        deleted=_just_deleted(request),
        refused_name=name,
        counts=counts,
        count_all=asked.url(counts="all") if len(counts) < len(found) else None,
        fresh=_is_fresh(store, asked, list(found)),
        address=str(request.base_url).rstrip("/"),
    )


def _just_deleted(request: Request) -> Experiment | None:
    """Return the experiment that was just deleted, so that it can be undone."""
    try:
        found = state_of(request).store.get_experiment(request.query_params.get("deleted", ""))
    except (InvalidParameterError, NotFoundError):
        return None
    return found if found.lifecycle_stage == LifecycleStage.DELETED else None


def _values(asked: _Asked, experiments: list[Experiment]) -> dict[str, Any]:
    sortings = {}
    for key, label in _SORTED.items():
        now, _, direction = asked.order_by.partition(" ")
        descending = direction.upper() == "DESC"
        order = ("descending" if descending else "ascending") if now == key else None
        first = f"{key} ASC" if key == "name" else f"{key} DESC"
        other = f"{key} DESC" if key == "name" else f"{key} ASC"
        following = first if now != key else (other if asked.order_by == first else "")
        sortings[key] = (label, asked.url(order_by=following, page_token=""), order)
    return {
        "asked": asked,
        "experiments": experiments,
        "sortings": sortings,
        "own_tags": {each.experiment_id: _own_tags(each) for each in experiments},
        "live": asked.url("/experiments/listed"),
    }


def _own_tags(experiment: Experiment) -> list[tuple[str, str]]:
    tags = sorted(experiment.tags.items())
    return [(key, value) for key, value in tags if not key.startswith(_INTERNAL)]


def _search(store: Store, asked: _Asked, token: str) -> Any:
    return store.search_experiments(
        _VIEWS[asked.view],
        _PAGE,
        asked.search() or None,
        [asked.order_by] if asked.order_by else None,
        token or None,
    )


def _is_fresh(store: Store, asked: _Asked, experiments: list[Experiment]) -> bool:
    """Whether nothing was ever booked here, so that people are told how to begin."""
    if asked != _Asked() or len(experiments) > 3:
        return False
    ids = [each.experiment_id for each in experiments]
    return not ids or not store.search_runs(ids, view_type=ViewType.ALL, max_results=1)


def _listed(request: Request) -> Response:
    """Return the rows with their counts, which the page itself does not wait for."""
    asked, store = _Asked.of(request), state_of(request).store
    found = list(_search(store, asked, asked.page_token))
    answer = render(
        request,
        "experiments_rows.html",
        **_values(asked, found),
        counts=_counts(store, found, math.inf),
    )
    etag = f'"{blake2b(bytes(answer.body), digest_size=12).hexdigest()}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    answer.headers["ETag"] = etag
    return answer


def _counts(store: Store, experiments: list[Experiment], seconds: float) -> dict[str, _Runs]:
    """Return what is counted of experiments, of as many as the time allows."""
    end = time.monotonic() + seconds
    found: dict[str, _Runs] = {}
    for each in experiments:
        if time.monotonic() > end:
            break
        found[each.experiment_id] = _counted(store, each)
    return found


def _counted(store: Store, experiment: Experiment) -> _Runs:
    ids = [experiment.experiment_id]
    counted = store.count_runs(ids)
    by_status: dict[str, int] = {}
    for (_, status), count in counted.items():
        by_status[status] = by_status.get(status, 0) + count
    last = store.search_runs(ids, max_results=1) if counted else []
    return _Runs(
        sum(by_status.values()),
        by_status.get(RunStatus.RUNNING, 0),
        by_status.get(RunStatus.FAILED, 0),
        by_status.get(RunStatus.KILLED, 0),
        last[0].info.start_time if last else None,
    )


def _csv(request: Request) -> Response:
    asked, store = _Asked.of(request), state_of(request).store

    def rows() -> Iterator[list[object]]:
        yield [
            *("experiment_id", "name", "lifecycle_stage", "runs", "last_run", "tags"),
            *("creation_time", "last_update_time"),
        ]
        token = ""
        while True:
            found = _search(store, asked, token)
            for each in found:
                runs = _counted(store, each)
                tags = ", ".join(f"{key}={value}" for key, value in _own_tags(each))
                yield [
                    *(each.experiment_id, each.name, each.lifecycle_stage),
                    *(runs.count, csv_time(runs.last), tags),
                    *(csv_time(each.creation_time), csv_time(each.last_update_time)),
                ]
            token = found.token or ""
            if not token:
                return

    asked.search()
    return csv_answer("experiments", rows())


def _create(request: Request, fields: Form) -> Response:
    name = fields.text("name")
    try:
        experiment_id = state_of(request).store.create_experiment(_checked(name))
    except (AlreadyExistsError, InvalidParameterError) as error:
        if in_place(request):
            raise
        return _page(request, error.message, name, 409)
    return see_other(request, f"/experiments/{quote(experiment_id, safe='')}")


def _checked(name: str) -> str:
    if not name:
        raise InvalidParameterError("the name is empty; write one, such as: churn, first models")
    return name


def _rename(request: Request, fields: Form) -> Response:
    name = _checked(fields.text("name"))
    return _changed(request, name=name)


def _delete(request: Request, fields: Form) -> Response:
    _changed(request, lifecycle_stage=LifecycleStage.DELETED)
    return see_other(request, "/", {"deleted": request.path_params["experiment_id"]})


def _restore(request: Request, fields: Form) -> Response:
    return _changed(request, lifecycle_stage=LifecycleStage.ACTIVE)


def _note(request: Request, fields: Form) -> Response:
    found = state_of(request).store.get_experiment(request.path_params["experiment_id"])
    text = edited(fields, found.tags.get(NOTE_TAG, ""))
    if not text:
        return _changed(request, deleted_tags=[NOTE_TAG])
    return _changed(request, tags={NOTE_TAG: text})


def _tags(request: Request, fields: Form) -> Response:
    if gone := fields.text("delete"):
        return _changed(request, deleted_tags=[gone])
    key = fields.text("key")
    if not key:
        raise InvalidParameterError("the tag has no name; write one, such as: team")
    return _changed(request, tags={key: fields.text("value")})


def _changed(request: Request, **changes: Any) -> Response:
    experiment_id = request.path_params["experiment_id"]
    state_of(request).store.update_experiment(experiment_id, **changes)
    return see_other(request, f"/experiments/{quote(experiment_id, safe='')}")


def _create_again(request: Request) -> Response:
    """Where a reload leads after a name was refused."""
    return RedirectResponse(url("/"), 303)


def routes() -> list[BaseRoute]:
    """Return the routes of the list of experiments, and of changes of one."""
    one = "/experiments/{experiment_id}"
    return [
        page("/", _show),
        page("/experiments.csv", _csv),
        page("/experiments/listed", _listed),
        page("/experiments/create", _create_again),
        form("/experiments/create", _create),
        form(f"{one}/rename", _rename),
        form(f"{one}/delete", _delete),
        form(f"{one}/restore", _restore),
        form(f"{one}/note", _note),
        form(f"{one}/tags", _tags),
    ]
