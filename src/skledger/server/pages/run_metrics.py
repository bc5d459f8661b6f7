"""The metrics of a run over their steps: curves, numbers, CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.server.api.beyond import thinned_history
from skledger.server.pages.formatting import csv_time
from skledger.server.pages.rendering import render, state_of
from skledger.server.pages.routing import page
from skledger.server.pages.run_frame import frame, run_of
from skledger.server.pages.run_view import histories, metric_groups
from skledger.server.pages.table_csv import csv_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from skledger.tracking.entities import Metric, Run

__all__ = ["routes"]

#: How long the page of all metrics looks for curves before it comes.
_SECONDS = 0.6
_ROWS = 200
_POINTS = 1000
_MOST_KEYS = 100


def _all(request: Request) -> Response:
    run = run_of(request)
    keys = sorted(run.data.metrics, key=str.lower)
    known = histories(state_of(request).store, run.info.run_id, keys, _SECONDS)
    curves = [key for key in keys if len(known.get(key, ())) > 1 or key not in known]
    return render(
        request,
        "run_metrics.html",
        groups=metric_groups(run, known),
        extremes={key: _extremes(values) for key, values in known.items()},
        curves=curves,
        shown=None,
        **frame(request, run, "metrics"),
    )


def _extremes(values: Sequence[Metric]) -> tuple[float, float] | None:
    finite = [each.value for each in values if math.isfinite(each.value)]
    return (min(finite), max(finite)) if finite else None


def _one(request: Request) -> Response:
    run, key = run_of(request), request.path_params["key"]
    if key not in run.data.metrics:
        raise NotFoundError(f"The run {run.info.run_id} has no metric {key!r}.")
    values = state_of(request).store.get_metric_history(run.info.run_id, key)
    start = _start(request, len(values))
    return render(
        request,
        "run_metric.html",
        key=key,
        values=values[start : start + _ROWS],
        start=start,
        rows=_ROWS,
        total=len(values),
        extremes=_extremes(values),
        last=run.data.metrics[key],
        first_time=values[0].timestamp if values else None,
        **frame(request, run, "metrics"),
    )


def _start(request: Request, total: int) -> int:
    text = request.query_params.get("start", "0")
    if not (text.isascii() and text.isdigit()):
        raise InvalidParameterError(f"start={text!r}: expected the number of a row, from 0")
    return min(int(text[:12]), max(total - 1, 0))


def _history(request: Request) -> Response:
    """Answer the values of some metrics, as many as a screen can show."""
    run = run_of(request)
    keys = request.query_params.getlist("key")[:_MOST_KEYS]
    store = state_of(request).store
    found = {}
    for key in keys:
        count, kept = thinned_history(store, run.info.run_id, key, _POINTS)
        found[key] = {
            "count": count,
            "steps": [each.step for each in kept],
            "times": [each.timestamp for each in kept],
            "values": [each.value if math.isfinite(each.value) else None for each in kept],
        }
    told = {"status": run.info.status, "start": run.info.start_time, "metrics": found}
    return JSONResponse(told, headers={"Cache-Control": "private, no-cache"})


def _csv(request: Request) -> Response:
    """Answer the last values, or, of the metrics that are named, every value."""
    run = run_of(request)
    keys = request.query_params.getlist("key")
    if not keys and request.query_params.get("all"):
        keys = sorted(run.data.metrics)
    if not keys:
        return csv_answer(f"metrics-{run.info.run_id[:8]}", _last(request, run))
    return csv_answer(f"metrics-{run.info.run_id[:8]}", _every(request, run, keys))


def _last(request: Request, run: Run) -> Iterable[Sequence[object]]:
    store = state_of(request).store
    yield ("metric", "value", "lowest", "highest", "values", "first_step", "last_step")
    for key, value in sorted(run.data.metrics.items()):
        history = store.get_metric_history(run.info.run_id, key)
        ends = _extremes(history) or (None, None)
        steps = (history[0].step, history[-1].step) if history else (None, None)
        yield (key, value, *ends, len(history), *steps)


def _every(request: Request, run: Run, keys: Sequence[str]) -> Iterable[Sequence[object]]:
    store = state_of(request).store
    yield ("metric", "step", "time", "value")
    for key in keys:
        for each in store.get_metric_history(run.info.run_id, key):
            yield (key, each.step, csv_time(each.timestamp), each.value)


def routes() -> list[BaseRoute]:
    """Return the routes of metrics."""
    return [
        page("/runs/{run_id}/metrics", _all),
        page("/runs/{run_id}/metrics.csv", _csv),
        page("/runs/{run_id}/history.json", _history),
        page("/runs/{run_id}/metrics/{key:path}", _one),
    ]
