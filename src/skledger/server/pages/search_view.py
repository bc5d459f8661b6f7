"""A search's own page: its candidates as they come, the best so far, and pictures of the space."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import Response as Answer

from skledger.errors import InvalidParameterError
from skledger.server.pages.choosing import brief
from skledger.server.pages.compare_charts import finite
from skledger.server.pages.rendering import render, state_of, url
from skledger.server.pages.routing import page
from skledger.server.pages.search_reading import (
    MOST,
    Search,
    counts_of,
    read_search,
    state_of_search,
)
from skledger.server.pages.search_table import Asked, columns_of, shown
from skledger.server.pages.table_csv import csv_answer
from skledger.tracking.entities import Run
from skledger.tracking.searches import CANDIDATE_TAG, number_of, rung_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

__all__ = ["routes"]

#: How many candidates stand in the table at first.
_ROWS = 50
#: Up to how many candidates a running search is looked at every two seconds; then less often.
_QUICK = 500


def _best_params(search: Search) -> list[tuple[str, str]]:
    """Return what the best candidate was given, without the steps of a pipeline in the names."""
    params = search.best.data.params if search.best else {}
    return [(key.rpartition("__")[2], brief(params[key])) for key in search.params if key in params]


#: What the templates ask of a search.
_HELPERS: dict[str, Any] = {"rung": rung_of, "brief": brief, "best_params": _best_params}


def _read(request: Request) -> Search:
    store = state_of(request).store
    return read_search(store, store.get_run(request.path_params["run_id"]), _fit(request))


def _fit(request: Request) -> int | None:
    text = request.query_params.get("fit", "")
    return number_of(text) or None


def _rows(request: Request) -> int:
    text = request.query_params.get("rows", "")
    if text == "all":
        return MOST
    if text and not number_of(text):
        raise InvalidParameterError(f"rows is a number such as 50, or 'all'; got {text!r}")
    return min(number_of(text) or _ROWS, MOST)


def _values(request: Request, search: Search) -> dict[str, Any]:
    """Return what the templates need of a search as it is now."""
    asked, rows = Asked.of(request.query_params), _rows(request)
    found = shown(search, asked)
    columns = columns_of(search)
    address = f"/runs/{quote(search.run.info.run_id, safe='')}/search"
    kept = {"fit": str(search.fit or ""), "rows": "all" if rows > _ROWS else ""}

    def here(part: str = "", **changed: str) -> str:
        return url(address + part, {**kept, **asked.query(), **changed})

    return {
        "search": search,
        "asked": asked,
        "columns": columns,
        "trained": [each.key for each in columns if each.kind == "train"],
        "ranks": {run.info.run_id: place for place, run in enumerate(search.candidates, 1)},
        "found": len(found),
        "shown": found[:rows],
        "rows": rows,
        "here": here,
        "data": _data(search),
        **_HELPERS,
    }


def _show(request: Request) -> Response:
    search = _read(request)
    store = state_of(request).store
    return render(
        request,
        "search.html",
        status_code=200 if search.candidates or search.running else 404,
        experiment=store.get_experiment(search.run.info.experiment_id),
        most=MOST,
        every=2 if search.total <= _QUICK else 8,
        **_values(request, search),
    )


def _live(request: Request) -> Response:
    """Return what changes as it is now, all of one reading, or 304 when nothing has changed."""
    store = state_of(request).store
    run = store.get_run(request.path_params["run_id"])
    fit = _fit(request)
    told = f"{state_of_search(run, counts_of(store, run, fit or 0))}-{request.url.query}"
    etag = f'"{blake2b(told.encode(), digest_size=9).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if run.info.status != "RUNNING":
        headers["X-Live"] = "done"
    if etag in request.headers.get("if-none-match", ""):
        return Answer(status_code=304, headers=headers)
    search = read_search(store, run, fit)
    return render(request, "search_live.html", headers=headers, **_values(request, search))


def _data(search: Search) -> dict[str, object]:
    """Return what the charts draw: candidates in the order in which they came."""
    ordered = sorted(
        search.candidates,
        key=lambda run: (number_of(run.data.tags.get(CANDIDATE_TAG)), run.info.start_time),
    )
    best = search.best
    return {
        "params": search.params,
        "scorers": search.scorers,
        "halving": search.halving,
        "best": best.info.run_id if best else None,
        "running": search.running,
        "word": search.word,
        "candidates": [_point(search, run) for run in ordered],
    }


def _point(search: Search, run: Run) -> dict[str, object]:
    return {
        "id": run.info.run_id,
        "name": run.info.run_name,
        "number": number_of(run.data.tags.get(CANDIDATE_TAG)),
        "status": run.info.status,
        "rung": rung_of(run),
        "params": [run.data.params.get(key) for key in search.params],
        "scores": [finite(search.score(run, each)) for each in search.scorers],
        "fit": finite(run.data.metrics.get("mean_fit_time")),
    }


def _csv(request: Request) -> Response:
    search = _read(request)
    return csv_answer(f"candidates-{search.run.info.run_id[:8]}", _csv_rows(search))


def _csv_rows(search: Search) -> Iterator[list[object]]:
    rungs = ["iter", "n_resources"] if search.halving else []
    params = [*search.params, *(each for each in rungs if each not in search.params)]
    keys = sorted({key for run in search.candidates for key in run.data.metrics})
    yield ["run_id", "run_name", "candidate", "status", *params, *keys, "error"]
    for run in search.candidates:
        tags = run.data.tags
        error = ": ".join(
            tags[key] for key in ("skledger.error.type", "skledger.error.message") if tags.get(key)
        )
        yield [
            run.info.run_id,
            run.info.run_name,
            tags.get(CANDIDATE_TAG),
            run.info.status,
            *(run.data.params.get(key) for key in params),
            *(run.data.metrics.get(key) for key in keys),
            error,
        ]


def routes() -> list[BaseRoute]:
    """Return the routes of the pages of searches."""
    return [
        page("/runs/{run_id}/search", _show),
        page("/runs/{run_id}/search.csv", _csv),
        page("/runs/{run_id}/search/live", _live),
    ]
