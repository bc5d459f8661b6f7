"""The history of metrics over the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skledger.errors import InvalidParameterError
from skledger.server.api import beyond, encoding
from skledger.server.api import decoding as fields
from skledger.server.api.decoding import required
from skledger.server.api.dispatch import Args, Endpoint
from skledger.server.state import ServerState
from skledger.stores.paging import read_token, write_token
from skledger.tracking.entities import Metric

__all__ = ["ENDPOINTS"]

#: How many values one answer has at most, and of how many runs, as MLflow's servers.
_VALUES, _RUNS, _SAMPLED = 25_000, 100, 2500


def history(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell every value of a metric, by pages when they are asked for."""
    start, size = read_token(args["page_token"]), args["max_results"]
    asked = args["run_id"], args["metric_key"]
    if size is None:
        every = state.store.get_metric_history(*asked)[start:]
        return encoding.listed("metrics", map(encoding.metric, every), None)
    found = beyond.metric_page(state.store, *asked, size + 1, start)
    token = write_token(start + size) if len(found) > size else None
    return encoding.listed("metrics", map(encoding.metric, found[:size]), token)


def histories(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell every value of a metric of several runs."""
    found: list[dict[str, Any]] = []
    for run_id in sorted(_runs(args["run_id"])):
        values = state.store.get_metric_history(run_id, args["metric_key"])
        values.sort(key=lambda each: (each.timestamp, each.step))
        found += [encoding.metric(each, run_id=run_id) for each in values]
    return {"metrics": found[: args["max_results"]]}


def sampled(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell some values of a metric of several runs, at the same steps as far as they have them."""
    start, end = args["start_step"], args["end_step"]
    if (start is None) != (end is None):
        raise InvalidParameterError(
            "start_step and end_step go together: send both, or none of them"
        )
    runs = {
        run_id: [
            each
            for each in state.store.get_metric_history(run_id, args["metric_key"])
            if start is None or start <= each.step <= end
        ]
        for run_id in _runs(args["run_ids"])
    }
    steps = _some_steps(runs.values(), args["max_results"])
    return {
        "metrics": [
            encoding.metric(each, run_id=run_id)
            for run_id, values in runs.items()
            for each in values
            if each.step in steps
        ]
    }


def _some_steps(histories: Any, most: int) -> set[int]:
    """Return steps at even distances, and the first and the last of each run."""
    steps = sorted({each.step for values in histories for each in values})
    if len(steps) > most:
        last = len(steps) - 1
        steps = [steps[round(at * last / max(most - 1, 1))] for at in range(most)]
    ends = {step for values in histories if values for step in _ends(values)}
    return {*steps, *ends}


def _ends(values: Sequence[Metric]) -> tuple[int, int]:
    return values[0].step, values[-1].step


def _runs(run_ids: Sequence[str]) -> list[str]:
    if not 1 <= len(run_ids) <= _RUNS:
        raise InvalidParameterError(f"name 1 to {_RUNS} runs; {len(run_ids)} were named")
    return list(dict.fromkeys(run_ids))


_METRIC = required(fields.text("metric_key"))
ENDPOINTS = (
    Endpoint(
        "GET",
        "metrics/get-history",
        history,
        (
            required(fields.text("run_id", also="run_uuid")),
            _METRIC,
            fields.text("page_token"),
            fields.limit(None, 2**31 - 1),
        ),
        "Tell every value of a metric",
    ),
    Endpoint(
        "GET",
        "metrics/get-history-bulk",
        histories,
        (fields.texts("run_id"), _METRIC, fields.limit(_VALUES, _VALUES)),
        "Tell every value of a metric of several runs",
    ),
    Endpoint(
        "GET",
        "metrics/get-history-bulk-interval",
        sampled,
        (
            fields.texts("run_ids"),
            _METRIC,
            fields.whole("start_step"),
            fields.whole("end_step"),
            fields.limit(_SAMPLED, _SAMPLED),
        ),
        "Tell some values of a metric of several runs",
    ),
)
