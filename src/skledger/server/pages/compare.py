"""Two to fifty runs compared: side by side, as charts, by their pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import JSONResponse

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.server.pages.compare_charts import chart_data, curve_data, curve_keys
from skledger.server.pages.compare_pictures import pictures
from skledger.server.pages.compare_table import by_metric, csv_rows, sections
from skledger.server.pages.rendering import render, state_of, url
from skledger.server.pages.routing import page
from skledger.server.pages.table_csv import csv_answer
from skledger.tracking.entities import Run

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from skledger.stores.base import Store

__all__ = ["MOST", "routes"]

#: How many runs are compared at once.
MOST = 50
#: From how many runs on they are the rows of the table, not its columns.
_TURNED = 10
#: The views, and what their tabs say.
_VIEWS = {
    "table": "Side by side",
    "scatter": "Scatter",
    "parallel": "Parallel coordinates",
    "contour": "Contour",
    "box": "Box plots",
    "curves": "Curves",
    "pictures": "Pictures",
}
_CHARTS = ("scatter", "parallel", "contour", "box")


def _wanted(request: Request) -> list[str]:
    """Return the identifiers that are asked for, each once."""
    texts = [*request.query_params.getlist("runs"), *request.query_params.getlist("run")]
    split = (each.strip() for text in texts for each in text.split(","))
    return list(dict.fromkeys(each for each in split if each))


def _found(store: Store, run_ids: list[str]) -> tuple[list[Run], list[str]]:
    """Return the runs there are, and the identifiers of those that are not."""
    runs, missing = [], []
    for run_id in run_ids[:MOST]:
        try:
            runs.append(store.get_run(run_id))
        except NotFoundError:
            missing.append(run_id)
    return runs, missing


def _show(request: Request) -> Response:
    state = state_of(request)
    wanted = _wanted(request)
    runs, missing = _found(state.store, wanted)
    view = request.query_params.get("view", "table")
    if view not in _VIEWS:
        raise InvalidParameterError(f"view is one of {', '.join(_VIEWS)}; got {view!r}")
    values: dict[str, Any] = {
        "runs": runs,
        "missing": missing,
        "left_out": max(0, len(wanted) - MOST),
        "most": MOST,
        "view": view,
        "views": _VIEWS,
        "experiments": {
            run.info.experiment_id: state.store.get_experiment(run.info.experiment_id)
            for run in {each.info.experiment_id: each for each in runs}.values()
        },
        "at": lambda picked=None, **query: _at(runs if picked is None else picked, view, query),
    }
    if len(runs) > 1:
        values |= _of_view(request, view, runs)
    return render(request, "compare.html", **values)


def _of_view(request: Request, view: str, runs: list[Run]) -> dict[str, object]:
    """Return what one view needs."""
    state = state_of(request)
    if view == "table":
        return _table(request, runs)
    if view in _CHARTS:
        return {"data": chart_data(runs)}
    if view == "pictures":
        return {"pictures": pictures(state.artifacts, runs)}
    with_steps, without = curve_keys(state.store, runs)
    metric = request.query_params.get("metric") or next(iter([*with_steps, *without]), "")
    return {
        "with_steps": with_steps,
        "without": without,
        "metric": metric,
        "data": curve_data(state.store, runs, metric),
    }


def _table(request: Request, runs: list[Run]) -> dict[str, object]:
    """Return what the table needs: runs as its columns or, of many, as its rows."""
    only = request.query_params.get("only") == "differences"
    asked = request.query_params.get("turned", "")
    turned = asked == "1" if asked else len(runs) > _TURNED
    kept = {"only": "differences" if only else "", "turned": asked}
    return {
        "sections": sections(runs),
        "only": only,
        "turned": turned,
        "here": lambda picked=None, **changed: _at(picked or runs, "table", {**kept, **changed}),
        "by": lambda key: by_metric(runs, key),
    }


def _at(runs: list[Run], view: str, query: dict[str, str]) -> str:
    """Return the address of this page with other runs, or another view."""
    shown = query.pop("view", view)
    run_ids = ",".join(quote(run.info.run_id, safe="") for run in runs)
    # Commas as they are: people read and cut these addresses.
    rest = {"view": "" if shown == "table" else shown, **query}
    tail = url("", rest).partition("?")[2]
    return f"{url('/compare')}?runs={run_ids}" + (f"&{tail}" if tail else "")


def _csv(request: Request) -> Response:
    runs, _ = _found(state_of(request).store, _wanted(request))
    if not runs:
        raise InvalidParameterError("no run is named: write /compare.csv?runs=<id>,<id>")
    return csv_answer("comparison", csv_rows(runs))


def _curves(request: Request) -> Response:
    store = state_of(request).store
    runs, _ = _found(store, _wanted(request))
    metric = request.query_params.get("metric", "")
    return JSONResponse(
        curve_data(store, runs, metric),
        headers={"Cache-Control": "private, no-cache"},
    )


def routes() -> list[BaseRoute]:
    """Return the routes of the comparison."""
    return [
        page("/compare", _show),
        page("/compare.csv", _csv),
        page("/compare/curves", _curves),
    ]
