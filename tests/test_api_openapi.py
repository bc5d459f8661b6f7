"""The API's description of itself, and what schemathesis finds by it: no request makes it fail."""

from __future__ import annotations

import json

import pytest
import schemathesis
from _api_server import ApiServer
from hypothesis import HealthCheck, given, settings

from skledger.server.api import ENDPOINTS
from skledger.server.api.openapi import describe

DESCRIBED = schemathesis.openapi.from_dict(describe(ENDPOINTS))
OPERATIONS = [found.ok() for found in DESCRIBED.get_all_operations()]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    with ApiServer(f"sqlite:///{folder}/runs.db", folder) as server:
        experiment_id = server.post("experiments/create", name="one")["experiment_id"]
        run = server.post("runs/create", experiment_id=experiment_id)["run"]
        body = {"key": "m", "value": 1.0, "timestamp": 1, "step": 0}
        server.post("runs/log-metric", run_id=run["info"]["run_id"], **body)
        server.post("registered-models/create", name="reg")
        server.post("model-versions/create", name="reg", source="s3://bucket/model")
        yield server


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.label)
def test_no_request_makes_the_server_fail(server, operation):
    """Whatever is sent, the answer is one that was meant, in MLflow's form."""

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(case=operation.as_strategy())
    def ask(case):
        answer = case.call(base_url=server.uri)
        assert answer.status_code < 500 or answer.status_code == 501, answer.text
        if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
            assert {"error_code", "message"} <= answer.json().keys()

    ask()


def test_the_description_is_whole(server):
    """Every endpoint is described, under a name of its own."""
    told = server.http.get("/api/openapi.json").json()
    assert told == json.loads(json.dumps(describe(ENDPOINTS)))
    identifiers = []
    for each in ENDPOINTS:
        operation = told["paths"][f"/api/2.0/mlflow/{each.path}"][each.method.lower()]
        assert operation["summary"]
        identifiers.append(operation["operationId"])
    assert len(identifiers) == len(set(identifiers))


def test_requests_that_are_no_requests(server):
    """What cannot be read is refused with a sentence, whatever it is."""
    create = "/api/2.0/mlflow/experiments/create"
    json_type = {"content-type": "application/json"}
    for body in (b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"name": "\\ud800"}'):
        answer = server.http.post(create, content=body, headers=json_type)
        assert answer.status_code == 400, (body[:20], answer.text)
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    answer = server.http.post(create, content=b"name=x", headers={"content-type": "text/plain"})
    assert answer.status_code == 400
    assert "application/json" in answer.json()["message"]
    assert server.http.get(create).status_code == 405
    answer = server.http.get("/api/2.0/mlflow/nothing/here")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_a_body_has_a_limit(tmp_path):
    """A body that is too long is refused, whether it says so or not."""
    with ApiServer(f"sqlite:///{tmp_path}/runs.db", tmp_path, max_body=1000) as server:
        headers = {"content-type": "application/json"}
        path = "/api/2.0/mlflow/experiments/create"

        def in_pieces():
            for _ in range(10):
                yield b" " * 200

        for content in (b" " * 2000, in_pieces()):
            answer = server.http.post(path, content=content, headers=headers)
            assert answer.status_code == 413
            assert "1,000 bytes" in answer.json()["message"]


def test_a_read_only_server_takes_no_changes(tmp_path):
    """Reading goes on; what would change something is refused."""
    with ApiServer(f"sqlite:///{tmp_path}/runs.db", tmp_path, read_only=True) as server:
        assert server.get("experiments/get", experiment_id="0")["experiment"]["name"] == "Default"
        for method, path in (
            ("POST", "mlflow/experiments/create"),
            ("PUT", "mlflow-artifacts/artifacts/x"),
            ("DELETE", "mlflow-artifacts/artifacts/x"),
        ):
            answer = server.http.request(method, f"/api/2.0/{path}")
            assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
