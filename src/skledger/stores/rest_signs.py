"""When something was last heard of runs on a tracking server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skledger.stores.rest_aliases import all_experiments, as_tag_filter
from skledger.stores.rest_api import Api
from skledger.stores.rest_batches import in_slices
from skledger.tracking.entities import RunStatus

__all__ = ["last_signs"]

_PARENT_TAG = "mlflow.parentRunId"
#: So many runs are asked for by their identifiers in one request.
_RUNS = 100
_PAGE = 1000


def last_signs(api: Api, run_ids: Sequence[str], now: int) -> dict[str, int]:
    """Return when runs, or their children, last did something, in ms.

    Parameters
    ----------
    api : Api
        The server.
    run_ids : sequence of str
        The runs, by the server's identifiers; those that it does not have are left out.
    now : int
        The present, in ms: what is later does not count.
    """
    experiments = all_experiments(api) if run_ids else []
    signs: dict[str, int] = {}
    for some in in_slices(list(run_ids), _RUNS):
        listed = ", ".join(f"'{each}'" for each in some if "'" not in each)
        for run in _search(api, experiments, f"attributes.run_id IN ({listed})"):
            signs[_id_of(run)] = _sign(run, now)
    for run_id, sign in signs.items():
        children = _search(api, experiments, as_tag_filter(_PARENT_TAG, run_id))
        signs[run_id] = max([sign, *(_sign_of_child(each, now) for each in children)])
    return signs


def _search(api: Api, experiments: Sequence[str], where: str) -> Iterator[Mapping[str, Any]]:
    token = ""
    while True:
        body = {
            "experiment_ids": experiments,
            "filter": where,
            "run_view_type": "ALL",
            "max_results": _PAGE,
            "page_token": token,
        }
        page = api.post("runs/search", body)
        yield from page.get("runs", ())
        token = page.get("next_page_token", "")
        if not token:
            return


def _id_of(run: Mapping[str, Any]) -> str:
    return str(run["info"].get("run_id") or run["info"]["run_uuid"])


def _sign(run: Mapping[str, Any], now: int) -> int:
    """Return when a run started or got the value of a metric, whichever is later."""
    metrics = run.get("data", {}).get("metrics", ())
    times = [int(each.get("timestamp", 0)) for each in metrics]
    start = int(run["info"].get("start_time", 0))
    return max(start, *(each for each in times if each <= now), 0)


def _sign_of_child(run: Mapping[str, Any], now: int) -> int:
    """Return the end of a run that has ended; else what is the last that was booked of it."""
    info = run["info"]
    end = int(info.get("end_time") or info.get("start_time", 0))
    return max(end, _sign(run, now)) if info.get("status") == RunStatus.RUNNING else end
