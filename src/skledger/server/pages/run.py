"""The page of a run, and what is changed there: name, notes, tags, deletion, registration."""

from __future__ import annotations

import re
from hashlib import blake2b
from shlex import quote as quote_word
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import Response

from skledger.errors import InvalidParameterError, NotFoundError, SkledgerError
from skledger.server.pages import run_artifacts, run_metrics
from skledger.server.pages.notes import edited
from skledger.server.pages.rendering import render, see_other, state_of
from skledger.server.pages.routing import Form, form, page
from skledger.server.pages.run_children import MOST, children_of, children_rows
from skledger.server.pages.run_data import data_sets
from skledger.server.pages.run_files import PICTURES, Place, run_url_path, undrawn
from skledger.server.pages.run_frame import child_filter, frame, run_of
from skledger.server.pages.run_models import loading_uri, models_of, register, registered_names
from skledger.server.pages.run_view import (
    NOTE_TAG,
    facts,
    histories,
    metric_groups,
    notices,
    own_tags,
    system_tags,
)
from skledger.server.pages.table_csv import csv_answer
from skledger.server.places import is_hidden
from skledger.tracking.entities import LifecycleStage, RunChange, RunStatus, RunTag, ViewType

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from skledger.tracking.entities import Run

__all__ = ["routes"]

#: How long the page looks for curves before it comes.
_SECONDS = 0.1
_FIRST_CHILDREN = 10
_CHILDREN = 100
_MOST_PICTURES = 12
_DIAGRAM = "estimator.html"
#: The beginning of an identifier, long enough to be meant.
_BEGUN = re.compile(r"[0-9a-f]{4,31}")


def _show(request: Request) -> Response:
    try:
        run = run_of(request)
    except NotFoundError:
        run_id = _meant(request)
        if run_id is None:
            raise
        return see_other(request, run_url_path(run_id, ""))
    base = frame(request, run, "overview")
    store = state_of(request).store
    models = models_of(request, run)
    return render(
        request,
        "run_overview.html",
        facts=[
            each
            for each in facts(run)
            if each.label != "Artifacts" or not is_hidden(state_of(request), each.text)
        ],
        note=run.data.tags.get(NOTE_TAG, ""),
        tags=own_tags(run),
        more_tags=system_tags(run),
        data=data_sets(run),
        models=models,
        names=registered_names(store) if models else [],
        **_files(request, run),
        **_main(request, run, base),
        **base,
    )


def _meant(request: Request) -> str | None:
    """Return the one run whose identifier begins as the address says, as commands show it."""
    begun = _id(request).lower()
    if not _BEGUN.fullmatch(begun):
        return None
    store, ids, token = state_of(request).store, [], None
    while True:
        found = store.search_experiments(ViewType.ALL, page_token=token)
        ids += [each.experiment_id for each in found]
        token = found.token
        if not token:
            break
    runs = store.search_runs(ids, f"run_id LIKE '{begun}%'", ViewType.ALL, 2)
    return runs[0].info.run_id if len(runs) == 1 else None


def _main(request: Request, run: Run, base: dict[str, Any]) -> dict[str, Any]:
    """Return what changes while a run goes on."""
    store = state_of(request).store
    known = histories(store, run.info.run_id, sorted(run.data.metrics, key=str.lower), _SECONDS)
    children = None
    if base["children_count"]:
        children = children_of(store, run, _FIRST_CHILDREN)
    return {
        "notices": notices(run),
        "groups": metric_groups(run, known),
        "curves": any(len(each) > 1 for each in known.values()),
        "params": sorted(run.data.params.items(), key=lambda pair: pair[0].lower()),
        "children": children,
    }


def _live(request: Request) -> Response:
    """Answer the part of the page that changes while a run goes on."""
    run = run_of(request)
    base = frame(request, run, "overview")
    answer = render(request, "run_main.html", **_main(request, run, base), **base)
    etag = f'"{blake2b(bytes(answer.body), digest_size=8).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if not base["running"]:
        headers["X-Live"] = "done"
    elif request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


def _files(request: Request, run: Run) -> dict[str, Any]:
    """Return the pictures on top of the run's files, and the diagram of the estimator.

    Nothing when the files cannot be listed; the page of artifacts says why.
    """
    try:
        entries = Place.of_run(request, run).list("")
    except SkledgerError:
        entries = []
    pictures = [each for each in entries if each.ending in PICTURES]
    # What was not seen in training tells most.
    pictures.sort(key=lambda each: each.name.startswith("training_"))
    diagram = next((each for each in entries if each.path == _DIAGRAM), None)
    missing = [] if run.info.status == RunStatus.RUNNING else undrawn(entries)
    told = {
        "undrawn": missing,
        "draw": f"skledger plots --uri {quote_word(loading_uri(request))} {run.info.run_id}",
    }
    return {"pictures": pictures[:_MOST_PICTURES], "diagram": diagram, **told}


def _children(request: Request) -> Response:
    run = run_of(request)
    text = request.query_params.get("start", "0")
    if not (text.isascii() and text.isdigit()):
        raise InvalidParameterError(f"start={text!r}: expected the number of a row, from 0")
    base = frame(request, run, "children")
    start = min(int(text[:9]), MOST)
    found = children_of(state_of(request).store, run)
    return render(
        request,
        "run_children.html",
        children=found,
        start=start,
        rows=found.rows[start : start + _CHILDREN],
        step=_CHILDREN,
        most=MOST,
        filter=child_filter(run.info.run_id),
        **base,
    )


def _children_csv(request: Request) -> Response:
    run = run_of(request)
    rows = children_rows(state_of(request).store, run)
    return csv_answer(f"children-{run.info.run_id[:8]}", rows)


def _params_csv(request: Request) -> Response:
    run = run_of(request)
    rows = [("param", "value"), *sorted(run.data.params.items())]
    return csv_answer(f"params-{run.info.run_id[:8]}", rows)


def _rename(request: Request, fields: Form) -> Response:
    name = fields.text("name")
    if not name:
        raise InvalidParameterError("the name of a run cannot be empty; give it one.")
    return _write(request, RunChange(_id(request), run_name=name))


def _note(request: Request, fields: Form) -> Response:
    text = edited(fields, run_of(request).data.tags.get(NOTE_TAG, ""))
    if text:
        return _write(request, RunChange(_id(request), tags=(RunTag(NOTE_TAG, text),)))
    return _write(request, RunChange(_id(request), deleted_tags=(NOTE_TAG,)))


def _tags(request: Request, fields: Form) -> Response:
    removed = fields.get("delete", "")
    if removed:
        return _write(request, RunChange(_id(request), deleted_tags=(removed,)))
    key = fields.text("key")
    if not key:
        raise InvalidParameterError("a tag has a name; give it one.")
    change = RunChange(_id(request), tags=(RunTag(key, fields.text("value")),))
    if key == "mlflow.runName":
        change = RunChange(_id(request), run_name=fields.text("value"))
    return _write(request, change)


def _delete(request: Request, fields: Form) -> Response:
    return _set_stage(request, fields, LifecycleStage.DELETED, ViewType.ACTIVE_ONLY)


def _restore(request: Request, fields: Form) -> Response:
    return _set_stage(request, fields, LifecycleStage.ACTIVE, ViewType.DELETED_ONLY)


def _set_stage(request: Request, fields: Form, stage: str, view: int) -> Response:
    run = run_of(request)
    ids = [run.info.run_id]
    if fields.get("children"):
        ids += _below(request, run, view)
    return _write(request, *(RunChange(each, lifecycle_stage=stage) for each in ids))


def _below(request: Request, run: Run, view: int) -> list[str]:
    """Return the children of a run, theirs, and so on."""
    store, found, parents = state_of(request).store, {}, [run.info.run_id]
    while parents:
        quoted = ", ".join("'" + each.replace("'", "''") + "'" for each in parents[:200])
        token: str | None = None
        fresh: list[str] = []
        while True:
            page_ = store.search_runs(
                [run.info.experiment_id],
                f"tags.`mlflow.parentRunId` IN ({quoted})",
                view,
                page_token=token,
            )
            fresh += [each.info.run_id for each in page_ if each.info.run_id not in found]
            token = page_.token
            if not token:
                break
        found.update(dict.fromkeys(fresh))
        parents = [*parents[200:], *fresh]
    return [each for each in found if each != run.info.run_id]


def _register(request: Request, fields: Form) -> Response:
    made = register(request, run_of(request), fields.get("model", ""), fields.text("name"))
    name = quote(made.name, safe="")
    return see_other(request, f"/models/{name}/versions/{made.version}")


def _id(request: Request) -> str:
    return str(request.path_params["run_id"])


def _write(request: Request, *changes: RunChange) -> Response:
    state_of(request).store.write(*changes)
    return see_other(request, run_url_path(_id(request), ""))


def routes() -> list[BaseRoute]:
    """Return the routes of a run."""
    here = "/runs/{run_id}"
    return [
        page(here, _show),
        page(f"{here}/live", _live),
        page(f"{here}/params.csv", _params_csv),
        page(f"{here}/children", _children),
        page(f"{here}/children.csv", _children_csv),
        form(f"{here}/rename", _rename),
        form(f"{here}/note", _note),
        form(f"{here}/tags", _tags),
        form(f"{here}/delete", _delete),
        form(f"{here}/restore", _restore),
        form(f"{here}/register", _register),
        *run_metrics.routes(),
        *run_artifacts.routes(),
    ]
