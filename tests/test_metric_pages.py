"""Long histories of metrics: read by pages, and thinned for a screen."""

from __future__ import annotations

import math

import httpx
import pytest
from _api_server import ApiServer
from _pages import serving

from skledger.stores.opening import open_store
from skledger.tracking.entities import Metric, RunChange, RunInfo, RunStatus
from skledger.tracking.names import new_run_id

MANY = 30_000


@pytest.fixture(scope="module", params=["sqlite", "files", "postgres"])
def place(request, tmp_path_factory):
    """A store, and a run in it with a metric of many values: a spike, a hole, and NaN."""
    folder = tmp_path_factory.mktemp("place")
    known = {"sqlite": f"sqlite:///{folder}/s.db", "files": str(folder / "runs")}
    uri = known.get(request.param) or request.getfixturevalue("postgres").new_database()
    run_id = new_run_id()
    info = RunInfo(run_id, "0", "r", "u", RunStatus.RUNNING, 1, None, "active", str(folder / "f"))
    special = {12_345: 1e9, 20_001: -1e9, 25_000: math.nan}
    values = [Metric("m", special.get(at, float(at % 7)), at, at) for at in range(MANY)]
    store = open_store(uri)
    store.write(RunChange(run_id, create=info))
    for start in range(0, MANY, 10_000):
        store.write(RunChange(run_id, metrics=tuple(values[start : start + 10_000])))
    store.write(RunChange(run_id, metrics=(Metric("nan", math.nan, 1, 1),)))
    yield store, run_id
    store.close()


def test_a_page_of_a_history_is_what_is_read(place, tmp_path):
    """All pages together are the history, each value once."""
    store, run_id = place
    with ApiServer(store.uri, tmp_path) as server:
        query = {"run_id": run_id, "metric_key": "m", "max_results": 7_000}
        steps, token = [], None
        while token is not None or not steps:
            told = server.get("metrics/get-history", **query, page_token=token or "")
            steps += [each["step"] for each in told["metrics"]]
            token = told.get("next_page_token")
        assert steps == list(range(MANY))
        assert server.get("metrics/get-history", **query | {"metric_key": "other"}) == {}
        unknown = {**query, "run_id": "0" * 32}
        answer = server.http.get("/api/2.0/mlflow/metrics/get-history", params=unknown)
        assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_a_curve_keeps_its_extremes(place):
    """However long a history is, a chart gets a thousand points: its ends, its spikes, its count."""
    store, run_id = place
    with serving(store) as address:
        told = httpx.get(f"{address}/runs/{run_id}/history.json?key=m&key=nan&key=no").json()
    curve = told["metrics"]["m"]
    assert curve["count"] == MANY
    assert 500 <= len(curve["steps"]) <= 1000
    assert curve["steps"] == curve["times"] == sorted(set(curve["steps"]))
    assert (curve["steps"][0], curve["steps"][-1]) == (0, MANY - 1)
    points = dict(zip(curve["steps"], curve["values"], strict=True))
    assert (points[12_345], points[20_001]) == (1e9, -1e9)
    assert told["metrics"]["nan"] == {"count": 1, "steps": [1], "times": [1], "values": [None]}
    assert told["metrics"]["no"]["count"] == 0


@pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)
def test_a_curve_is_thinned_where_it_is_read(place):
    """A database gives as many values as a chart shows, and tells how many there are."""
    store, run_id = place
    count, kept = store.thinned_history(run_id, "m", 1000)
    assert count == MANY
    assert 500 <= len(kept) <= 1000
