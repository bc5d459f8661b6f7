"""Odd keys, values and numbers: booked as they are, or refused with a sentence, in every store."""

from __future__ import annotations

import itertools

import pytest
from _api_server import ApiServer

from skledger.tracking.entities import RunChange, RunTag

API = "/api/2.0/mlflow"
TEXTS = [
    "",
    " ",
    "\0",
    "a\0b",
    "ü🎉",
    "ü ß",
    "x" * 300,
    "a/b",
    "../x",
    "'; --",
    '"`',
    "\u202e",
    "\n",
    "%",
    "_",
]
NUMBERS = [0, -1, 2**63 - 1, -(2**63), 2**63, 2**70, 1e308, -1e308, 5e-324, "NaN", "-Infinity", 0.1]


@pytest.fixture(params=["sqlite", "files", "postgres"])
def server(request, tmp_path):
    uri = {"sqlite": f"sqlite:///{tmp_path}/runs.db", "files": str(tmp_path / "runs")}.get(
        request.param
    )
    uri = uri or request.getfixturevalue("postgres").new_database()
    with ApiServer(uri, tmp_path) as server:
        yield server


def test_odd_values(server):
    """No request fails for what it holds, and what was taken comes back."""
    experiment_id = server.post("experiments/create", name="one")["experiment_id"]
    run_id = server.post("runs/create", experiment_id=experiment_id)["run"]["info"]["run_id"]
    model = {"experiment_id": experiment_id, "source_run_id": run_id, "name": "m"}
    model_id = server.post("logged-models", **model)["model"]["info"]["model_id"]
    server.post("registered-models/create", name="reg")
    requests = []
    for key, value in itertools.product(TEXTS, TEXTS[:7]):
        pair = {"key": key, "value": value}
        requests += [
            ("runs/set-tag", {"run_id": run_id, **pair}),
            ("runs/log-batch", {"run_id": run_id, "tags": [pair]}),
            ("experiments/set-experiment-tag", {"experiment_id": experiment_id, **pair}),
            ("registered-models/set-tag", {"name": "reg", **pair}),
            (f"logged-models/{model_id}/params", {"params": [pair]}),
        ]
    for text in TEXTS:
        requests += [
            ("experiments/create", {"name": text, "artifact_location": text}),
            ("experiments/create", {"name": f"x{text}", "tags": [{"key": "k", "value": text}]}),
            ("runs/create", {"experiment_id": text}),
            ("runs/create", {"experiment_id": experiment_id, "run_name": text, "user_id": text}),
            ("runs/search", {"experiment_ids": [experiment_id], "filter": text}),
            ("runs/search", {"experiment_ids": [experiment_id], "filter": f"tags.a = '{text}'"}),
            ("runs/search", {"experiment_ids": [text], "order_by": [text], "page_token": text}),
            ("runs/log-parameter", {"run_id": text, "key": text, "value": text}),
            ("runs/update", {"run_id": text, "run_name": text}),
            ("registered-models/create", {"name": text, "description": text}),
            ("registered-models/alias", {"name": "reg", "alias": text, "version": text}),
            ("model-versions/create", {"name": "reg", "source": text, "run_id": text}),
            ("logged-models/search", {"experiment_ids": [experiment_id], "filter": text}),
        ]
    for value, time in itertools.product(NUMBERS, NUMBERS[:6]):
        metric = {"key": "m", "value": value, "timestamp": time, "step": time}
        requests += [
            ("runs/log-metric", {"run_id": run_id, **metric}),
            ("runs/log-metric", {"run_id": run_id, "model_id": model_id, **metric}),
            ("runs/update", {"run_id": run_id, "end_time": time}),
            ("runs/create", {"experiment_id": experiment_id, "start_time": time}),
        ]
    for path, body in requests:
        answer = server.http.post(f"{API}/{path}", json=body)
        assert answer.status_code in (200, 400, 404), (path, body, answer.text)
    run = server.get("runs/get", run_id=run_id)["run"]
    assert {"key": "ü ß", "value": "x" * 300} in run["data"]["tags"]
    assert {"key": "a/b", "value": "x" * 300} in run["data"]["tags"]
    assert not any("\0" in each["key"] for each in run["data"]["tags"])
    assert server.post("runs/search", experiment_ids=[experiment_id])["runs"]
    assert server.get("metrics/get-history", run_id=run_id, metric_key="m")["metrics"]
    assert server.get(f"logged-models/{model_id}")["model"]["data"]["metrics"]


def test_odd_questions(server):
    """What is asked for in the query or the path may be anything."""
    for text in [*TEXTS, "0", "-1", "9" * 30, "1e5"]:
        for path, query in (
            ("experiments/get", {"experiment_id": text}),
            ("experiments/get-by-name", {"experiment_name": text}),
            ("experiments/search", {"filter": text, "order_by": text, "page_token": text}),
            ("experiments/search", {"max_results": text, "view_type": text}),
            ("runs/get", {"run_id": text}),
            ("metrics/get-history", {"run_id": text, "metric_key": text, "page_token": text}),
            ("metrics/get-history-bulk", {"run_id": [text], "metric_key": text}),
            ("artifacts/list", {"run_id": text, "path": text}),
            ("registered-models/get", {"name": text}),
            ("registered-models/search", {"filter": text}),
            ("registered-models/alias", {"name": text, "alias": text}),
            ("model-versions/get", {"name": text, "version": text}),
            ("model-versions/search", {"filter": f"name = '{text}'", "order_by": [text]}),
        ):
            answer = server.http.get(f"{API}/{path}", params=query)
            assert answer.status_code in (200, 400, 404), (path, query, answer.text)
    for raw in ("%00", "%ff", "%2e%2e", "a%2fb", "%F0%9F%8E%89", "x" * 5000):
        answer = server.http.get(f"{API}/logged-models/{raw}")
        assert answer.status_code in (400, 404), (raw, answer.text)


def test_searches_beyond_any_measure_are_refused(server):
    """A filter or an order that is too long is a mistake of who asks (400), and harms nothing."""
    experiment_id = server.post("experiments/create", name="one")["experiment_id"]
    for number in range(3):
        created = server.post("runs/create", experiment_id=experiment_id)
        run_id = created["run"]["info"]["run_id"]
        server.post("runs/log-metric", run_id=run_id, key="m", value=number, timestamp=1)
    orders = {many: [f"metrics.m{at}" for at in range(many)] for many in (20, 21, 35, 100, 2000)}
    bodies = [{"order_by": each} for many, each in orders.items() if many > 20]
    bodies += [
        {"filter": " AND ".join(["params.p = 'a'"] * 1001)},
        {"filter": f"params.p = '{'a' * 5_000_000}'"},
        {"filter": f"params.p LIKE '{'%a' * 100_000}'"},
        {"filter": "params.p IN (" + "'a'," * 50_000 + ")"},
    ]
    for body in bodies:
        for path in ("runs/search", "logged-models/search"):
            told = {"experiment_ids": [experiment_id], **body}
            if "order_by" in body and path.startswith("logged"):
                told["order_by"] = [{"field_name": each} for each in body["order_by"]]
            answer = server.http.post(f"{API}/{path}", json=told)
            assert answer.status_code == 400, (path, answer.text[:300])
            assert len(answer.text) < 2000
    found = server.post(
        "runs/search",
        experiment_ids=[experiment_id],
        filter=" AND ".join(["metrics.m >= 0", "params.p IS NULL"] * 100),
        order_by=["metrics.m", *orders[20][:19]],
    )
    assert [each["data"]["metrics"][0]["value"] for each in found["runs"]] == [0, 1, 2]


ODD_KEYS = ["../x", "..", ".", "a//b", "/abs", "a/", "a/../b", "./a", "a=b", "a\n", "a?", "..a"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys_that_mlflow_refuses(tmp_path, key):
    """They are refused wherever something is booked; what has one may still be removed."""
    with ApiServer(f"sqlite:///{tmp_path}/runs.db", tmp_path) as server:
        experiment_id = server.post("experiments/create", name="one")["experiment_id"]
        run_id = server.post("runs/create", experiment_id=experiment_id)["run"]["info"]["run_id"]
        server.post("registered-models/create", name="reg")
        pair, number = {"key": key, "value": "v"}, {"value": 1.0, "timestamp": 1}
        for path, body in (
            ("runs/set-tag", {"run_id": run_id, **pair}),
            ("runs/log-parameter", {"run_id": run_id, **pair}),
            ("runs/log-metric", {"run_id": run_id, "key": key, **number}),
            ("runs/log-batch", {"run_id": run_id, "tags": [pair]}),
            ("runs/log-batch", {"run_id": run_id, "params": [pair]}),
            ("runs/log-batch", {"run_id": run_id, "metrics": [{"key": key, **number}]}),
            ("runs/create", {"experiment_id": experiment_id, "tags": [pair]}),
            ("experiments/create", {"name": "two", "tags": [pair]}),
            ("experiments/set-experiment-tag", {"experiment_id": experiment_id, **pair}),
            ("registered-models/set-tag", {"name": "reg", **pair}),
            ("registered-models/create", {"name": "reg2", "tags": [pair]}),
        ):
            answer = server.http.post(f"{API}/{path}", json=body)
            assert answer.status_code == 400, path
            assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
        server.store.write(RunChange(run_id, tags=(RunTag(key, "v"),)))
        assert server.post("runs/delete-tag", run_id=run_id, key=key) == {}


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b"])
def test_names_of_logged_models_that_mlflow_refuses(tmp_path, name):
    """They could not stand in the URI of a model."""
    with ApiServer(f"sqlite:///{tmp_path}/runs.db", tmp_path) as server:
        body = {"experiment_id": "0", "name": name}
        answer = server.http.post(f"{API}/logged-models", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
