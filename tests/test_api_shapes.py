"""The answers of the API, field by field, as MLflow's servers give them."""

from __future__ import annotations

import pytest
from _api_server import ApiServer

API = "/api/2.0/mlflow"


@pytest.fixture(params=["sqlite", "files"])
def server(request, tmp_path):
    uri = f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else str(tmp_path / "runs")
    with ApiServer(uri, tmp_path) as server:
        yield server


@pytest.fixture
def experiment_id(server):
    return server.post("experiments/create", name="exp1")["experiment_id"]


def new_run(server, experiment_id, **fields):
    return server.post("runs/create", experiment_id=experiment_id, **fields)["run"]


def refused(answer):
    told = answer.json()
    assert told.keys() == {"error_code", "message", "sqlstate", "error_class"}
    assert told["sqlstate"] == "KAM00"
    return answer.status_code, told["error_code"], told["error_class"]


def by_key(told):
    return sorted(told, key=lambda each: each["key"])


def test_experiments(server):
    """What is empty is left out; a name that is taken, or unknown, has MLflow's codes."""
    made = server.post("experiments/create", name="exp1", tags=[{"key": "a", "value": "b"}])
    assert made.keys() == {"experiment_id"}
    told = server.get("experiments/get", **made)["experiment"]
    created = told.pop("creation_time"), told.pop("last_update_time")
    assert all(isinstance(each, int) for each in created)
    assert told == {
        "experiment_id": made["experiment_id"],
        "name": "exp1",
        "artifact_location": f"mlflow-artifacts:/{made['experiment_id']}",
        "lifecycle_stage": "active",
        "tags": [{"key": "a", "value": "b"}],
        "workspace": "default",
    }
    assert server.get("experiments/get-by-name", experiment_name="exp1")["experiment"]["tags"]
    answer = server.http.get(f"{API}/experiments/get-by-name", params={"experiment_name": "nope"})
    assert refused(answer) == (404, "RESOURCE_DOES_NOT_EXIST", "RESOURCE_NOT_FOUND")
    assert answer.json()["message"] == "Could not find experiment with name 'nope'"
    answer = server.http.post(f"{API}/experiments/create", json={"name": "exp1"})
    assert refused(answer) == (400, "RESOURCE_ALREADY_EXISTS", "RESOURCE_ALREADY_EXISTS")
    answer = server.http.post(f"{API}/experiments/create", json={})
    assert refused(answer) == (400, "INVALID_PARAMETER_VALUE", "INVALID_PARAMETER_VALUE")
    assert "'name'" in answer.json()["message"]


def test_experiments_change(server, experiment_id):
    """Renaming, tags, deleting and restoring answer with an empty object."""
    place = {"experiment_id": experiment_id}
    assert server.post("experiments/update", **place, new_name="new") == {}
    assert server.post("experiments/set-experiment-tag", **place, key="k", value="v") == {}
    assert server.get("experiments/get", **place)["experiment"]["tags"]
    assert server.post("experiments/delete-experiment-tag", **place, key="k") == {}
    assert "tags" not in server.get("experiments/get", **place)["experiment"]
    assert server.post("experiments/delete", **place) == {}
    again = server.http.post(f"{API}/experiments/delete", json=place)
    assert again.status_code == 404
    assert server.http.post(f"{API}/runs/create", json=place).status_code == 400
    assert server.post("experiments/restore", **place) == {}
    new_run(server, experiment_id)


def test_experiments_are_found_by_pages(server):
    """A search has a filter, an order, and the token of the next page unless it is the last."""
    for name in "abc":
        server.post("experiments/create", name=f"exp-{name}")
    body = {"max_results": 2, "filter": "name LIKE 'exp-%'", "order_by": ["name DESC"]}
    first = server.post("experiments/search", **body)
    assert [each["name"] for each in first["experiments"]] == ["exp-c", "exp-b"]
    rest = server.post("experiments/search", **body, page_token=first["next_page_token"])
    assert [each["name"] for each in rest["experiments"]] == ["exp-a"]
    assert "next_page_token" not in rest
    assert server.get("experiments/search", **body) == first
    assert server.post("experiments/search", view_type="DELETED_ONLY") == {}


def test_a_new_run(server, experiment_id):
    """It is RUNNING, has a name and its tags, and no outputs yet."""
    run = new_run(
        server,
        experiment_id,
        user_id="me",
        start_time=123,
        tags=[{"key": "mlflow.user", "value": "me"}],
    )
    info = run["info"]
    name = info["run_name"]
    assert info == {
        "run_uuid": info["run_id"],
        "experiment_id": experiment_id,
        "run_name": name,
        "user_id": "me",
        "status": "RUNNING",
        "start_time": 123,
        "artifact_uri": f"mlflow-artifacts:/{experiment_id}/{info['run_id']}/artifacts",
        "lifecycle_stage": "active",
        "run_id": info["run_id"],
    }
    tags = [{"key": "mlflow.user", "value": "me"}, {"key": "mlflow.runName", "value": name}]
    assert run["data"] == {"tags": tags}
    assert run["inputs"] == {}
    assert "outputs" not in run
    told = server.get("runs/get", run_uuid=info["run_id"], run_id=info["run_id"])["run"]
    assert told["info"] == info
    assert by_key(told["data"]["tags"]) == by_key(tags)
    assert (told["inputs"], told["outputs"]) == ({}, {})


def test_what_a_run_holds(server, experiment_id):
    """Metrics have their steps and times; NaN is a text and infinity the greatest float."""
    run_id = new_run(server, experiment_id)["info"]["run_id"]
    place = {"run_id": run_id}
    for step, value in ((3, 1.5), (1, 9.0)):
        body = {"key": "m", "value": value, "timestamp": 100 - step, "step": step}
        assert server.post("runs/log-metric", run_uuid=run_id, **place, **body) == {}
    batch = {
        "metrics": [
            {"key": "nan", "value": "NaN", "timestamp": 5},
            {"key": "inf", "value": 1.7976931348623157e308, "timestamp": 5, "step": 0},
            {"key": "minus", "value": "-Infinity", "timestamp": 5, "step": 0},
        ],
        "params": [{"key": "p2", "value": "2"}],
        "tags": [{"key": "t", "value": "v"}, {"key": "mlflow.runName", "value": "named"}],
    }
    assert server.post("runs/log-batch", **place, **batch) == {}
    assert server.post("runs/log-parameter", run_uuid=run_id, **place, key="p", value="1") == {}
    assert server.post("runs/set-tag", **place, key="t2", value="w") == {}
    assert server.post("runs/delete-tag", **place, key="t") == {}
    run = server.get("runs/get", **place)["run"]
    assert by_key(run["data"]["metrics"]) == [
        {"key": "inf", "value": 1.7976931348623157e308, "timestamp": 5, "step": 0},
        {"key": "m", "value": 1.5, "timestamp": 97, "step": 3},
        {"key": "minus", "value": -1.7976931348623157e308, "timestamp": 5, "step": 0},
        {"key": "nan", "value": "NaN", "timestamp": 5, "step": 0},
    ]
    assert by_key(run["data"]["params"]) == [
        {"key": "p", "value": "1"},
        {"key": "p2", "value": "2"},
    ]
    assert [each["key"] for each in by_key(run["data"]["tags"])] == ["mlflow.runName", "t2"]
    assert run["info"]["run_name"] == "named"
    assert server.store.get_run(run_id).data.metrics["inf"] == float("inf")
    body = {"experiment_ids": [experiment_id], "filter": "metrics.m > 1"}
    found = server.post("runs/search", **body)
    assert found.keys() == {"runs"}
    told = found["runs"][0]
    assert by_key(told["data"].pop("metrics")) == by_key(run["data"].pop("metrics"))
    assert told["info"] == run["info"]
    assert server.post("runs/search", experiment_ids=[experiment_id], filter="metrics.m > 2") == {}


def test_a_param_does_not_change(server, experiment_id):
    """The words are those by which MLflow's and our clients know it."""
    run_id = new_run(server, experiment_id)["info"]["run_id"]
    server.post("runs/log-parameter", run_id=run_id, key="p", value="1")
    server.post("runs/log-parameter", run_id=run_id, key="p", value="1")
    body = {"run_id": run_id, "key": "p", "value": "2"}
    answer = server.http.post(f"{API}/runs/log-parameter", json=body)
    assert refused(answer) == (400, "INVALID_PARAMETER_VALUE", "INVALID_PARAMETER_VALUE")
    assert answer.json()["message"].startswith("Changing param values is not allowed.")


def test_long_values_are_cut(server, experiment_id):
    """As MLflow's servers do it; a cut value shows that it is one."""
    run_id = new_run(server, experiment_id)["info"]["run_id"]
    server.post("runs/log-parameter", run_id=run_id, key="p", value="x" * 7000)
    server.post("runs/set-tag", run_id=run_id, key="t", value="x" * 9000)
    data = server.store.get_run(run_id).data
    assert (len(data.params["p"]), data.params["p"][-4:]) == (6000, "x...")
    assert (len(data.tags["t"]), data.tags["t"][-4:]) == (8000, "x...")


def test_a_run_ends(server, experiment_id):
    """The answer is the run as it is then."""
    run_id = new_run(server, experiment_id)["info"]["run_id"]
    body = {"run_id": run_id, "run_uuid": run_id, "status": "FINISHED", "end_time": 9_999}
    told = server.post("runs/update", **body)
    assert told.keys() == {"run_info"}
    info = told["run_info"]
    assert (info["status"], info["end_time"], info["run_id"]) == ("FINISHED", 9_999, run_id)
    assert server.post("runs/update", run_id=run_id, run_name="x")["run_info"]["run_name"] == "x"
    assert server.post("runs/delete", run_id=run_id) == {}
    assert server.get("runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"] == "deleted"
    assert server.post("runs/restore", run_id=run_id) == {}
    answer = server.http.post(f"{API}/runs/update", json={"run_id": "f" * 32, "status": "FAILED"})
    assert refused(answer)[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    answer = server.http.post(f"{API}/runs/update", json={"run_id": run_id, "status": "DONE"})
    assert "RUNNING, SCHEDULED, FINISHED, FAILED, KILLED" in answer.json()["message"]


def test_histories(server, experiment_id):
    """A history comes by pages; several runs' at once, or some steps of them."""
    ids = [new_run(server, experiment_id)["info"]["run_id"] for _ in range(2)]
    for at, run_id in enumerate(ids):
        metrics = [
            {"key": "m", "value": step + at, "timestamp": step, "step": step} for step in range(100)
        ]
        server.post("runs/log-batch", run_id=run_id, metrics=metrics)
    whole = server.get("metrics/get-history", run_id=ids[0], metric_key="m")
    assert whole["metrics"][1] == {"key": "m", "value": 1.0, "timestamp": 1, "step": 1}
    assert (len(whole["metrics"]), whole.keys()) == (100, {"metrics"})
    query = {"run_id": ids[0], "metric_key": "m", "max_results": 60}
    first = server.get("metrics/get-history", **query)
    rest = server.get("metrics/get-history", **query, page_token=first["next_page_token"])
    assert first["metrics"] + rest["metrics"] == whole["metrics"]
    assert "next_page_token" not in rest
    assert server.get("metrics/get-history", run_id=ids[0], metric_key="other") == {}
    both = server.get("metrics/get-history-bulk", run_id=ids, metric_key="m")["metrics"]
    assert len(both) == 200
    assert both[0].keys() == {"key", "value", "timestamp", "step", "run_id"}
    query = {"run_ids": ids, "metric_key": "m", "max_results": 10}
    some = server.get("metrics/get-history-bulk-interval", **query)["metrics"]
    steps = [[each["step"] for each in some if each["run_id"] == run_id] for run_id in ids]
    assert steps[0] == steps[1] == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    query |= {"start_step": 20, "end_step": 29}
    some = server.get("metrics/get-history-bulk-interval", **query)["metrics"]
    assert sorted({each["step"] for each in some}) == list(range(20, 30))


def test_inputs_and_outputs(server, experiment_id):
    """Data sets and models are told with the run."""
    run_id = new_run(server, experiment_id)["info"]["run_id"]
    dataset = {
        "name": "ds",
        "digest": "2981c147",
        "source_type": "code",
        "source": "{}",
        "schema": "{}",
        "profile": "{}",
    }
    item = {"tags": [{"key": "mlflow.data.context", "value": "training"}], "dataset": dataset}
    assert server.post("runs/log-inputs", run_id=run_id, datasets=[item]) == {}
    body = {"experiment_id": experiment_id, "name": "model", "source_run_id": run_id}
    model = server.post("logged-models", **body)["model"]["info"]
    links = [{"model_id": model["model_id"], "step": 0}]
    assert server.post("runs/outputs", run_id=run_id, models=links) == {}
    run = server.get("runs/get", run_id=run_id)["run"]
    assert run["inputs"] == {"dataset_inputs": [item]}
    assert run["outputs"] == {"model_outputs": links}
    assert server.post("runs/search", experiment_ids=[experiment_id])["runs"] == [run]


def test_logged_models(server, experiment_id):
    """A model has its info and its data, which is left out while there is none."""
    run_id = new_run(server, experiment_id)["info"]["run_id"]
    model = server.post(
        "logged-models",
        experiment_id=experiment_id,
        name="model",
        source_run_id=run_id,
        params=[{"key": "p", "value": "1"}],
        tags=[{"key": "t", "value": "v"}],
    )["model"]
    info = dict(model["info"])
    model_id = info["model_id"]
    assert isinstance(info.pop("creation_timestamp_ms"), int)
    assert isinstance(info.pop("last_updated_timestamp_ms"), int)
    assert info == {
        "model_id": model_id,
        "experiment_id": experiment_id,
        "name": "model",
        "artifact_uri": f"mlflow-artifacts:/{experiment_id}/models/{model_id}/artifacts",
        "status": "LOGGED_MODEL_PENDING",
        "model_type": "",
        "source_run_id": run_id,
        "tags": [{"key": "t", "value": "v"}],
    }
    assert model["data"] == {"params": [{"key": "p", "value": "1"}]}
    one = f"logged-models/{model_id}"
    metric = {"key": "m", "value": 1.0, "timestamp": 5, "step": 0}
    server.post("runs/log-metric", run_id=run_id, model_id=model_id, **metric)
    assert server.post(f"{one}/params", params=[{"key": "q", "value": "2"}]) == {}
    tags = [{"key": "a/b c", "value": "x"}]
    assert server.http.patch(f"{API}/{one}/tags", json={"tags": tags}).json() == {}
    body = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
    told = server.http.patch(f"{API}/{one}", json=body).json()["model"]
    assert told["info"]["status"] == "LOGGED_MODEL_READY"
    assert told["data"]["metrics"] == [{**metric, "model_id": model_id, "run_id": run_id}]
    assert by_key(told["data"]["params"])[1] == {"key": "q", "value": "2"}
    assert server.get(one)["model"] == told
    assert server.http.delete(f"{API}/{one}/tags/a%2Fb%20c").json() == {}
    assert server.get(one)["model"]["info"]["tags"] == [{"key": "t", "value": "v"}]
    search = {"experiment_ids": [experiment_id]}
    found = server.post("logged-models/search", **search, filter="name = 'model'")
    assert [each["info"]["model_id"] for each in found["models"]] == [model_id]
    ordering = [{"field_name": "metrics.m", "ascending": False}]
    assert server.post("logged-models/search", **search, order_by=ordering)["models"]
    assert server.post("logged-models/search", **search, filter="name = 'other'") == {}
    assert server.http.delete(f"{API}/{one}").json() == {}
    assert server.http.get(f"{API}/{one}").status_code == 404


def test_registered_models_and_versions(server, experiment_id):
    """Each answer has the fields that MLflow's has."""
    run_id = new_run(server, experiment_id)["info"]["run_id"]
    body = {"experiment_id": experiment_id, "name": "model", "source_run_id": run_id}
    model = server.post("logged-models", **body)["model"]["info"]
    made = server.post("registered-models/create", name="reg1")["registered_model"]
    assert made.keys() == {"name", "creation_timestamp", "last_updated_timestamp"}
    answer = server.http.post(f"{API}/registered-models/create", json={"name": "reg1"})
    assert refused(answer)[:2] == (400, "RESOURCE_ALREADY_EXISTS")
    source = f"models:/{model['model_id']}"
    body = {"name": "reg1", "source": source, "model_id": model["model_id"]}
    version = server.post("model-versions/create", **body)["model_version"]
    created = version["creation_timestamp"], version["last_updated_timestamp"]
    assert version == {
        "name": "reg1",
        "version": "1",
        "creation_timestamp": created[0],
        "last_updated_timestamp": created[1],
        "current_stage": "None",
        "description": "",
        "source": source,
        "run_id": run_id,
        "status": "READY",
        "run_link": "",
    }
    one = {"name": "reg1", "version": "1"}
    assert server.get("model-versions/get", **one)["model_version"] == version
    told = server.get("model-versions/get-download-uri", **one)
    assert told == {"artifact_uri": model["artifact_uri"]}
    told = server.get("registered-models/get", name="reg1")["registered_model"]
    assert told["latest_versions"] == [version]
    alias = {"name": "reg1", "alias": "champion"}
    assert server.post("registered-models/alias", **alias, version="1") == {}
    told = server.get("registered-models/alias", **alias)["model_version"]
    assert told["aliases"] == ["champion"]
    body = {"name": "reg1", "stage": "Production", "version": "1"}
    body["archive_existing_versions"] = False
    told = server.post("model-versions/transition-stage", **body)["model_version"]
    assert told["current_stage"] == "Production"
    body = {**one, "description": "x"}
    told = server.http.patch(f"{API}/model-versions/update", json=body).json()["model_version"]
    assert (told["description"], told["aliases"]) == ("x", ["champion"])
    body = {"name": "reg1", "description": "d"}
    told = server.http.patch(f"{API}/registered-models/update", json=body).json()
    assert told["registered_model"]["description"] == "d"
    assert told["registered_model"]["aliases"] == [{"alias": "champion", "version": "1"}]
    for family, place in (("model-versions", one), ("registered-models", {"name": "reg1"})):
        assert server.post(f"{family}/set-tag", **place, key="a", value="b") == {}
        told = server.http.request(
            "DELETE", f"{API}/{family}/delete-tag", json={**place, "key": "a"}
        )
        assert told.json() == {}
    assert server.post("registered-models/get-latest-versions", name="reg1")["model_versions"]
    query = {"filter": "name LIKE 'reg%' AND tag.`mlflow.prompt.is_prompt` != 'true'"}
    assert len(server.get("registered-models/search", **query)["registered_models"]) == 1
    assert len(server.get("model-versions/search", filter="name='reg1'")["model_versions"]) == 1
    body = {"name": "reg1", "new_name": "reg2"}
    told = server.post("registered-models/rename", **body)["registered_model"]
    assert (told["name"], told["latest_versions"][0]["name"]) == ("reg2", "reg2")
    for path, body in (
        ("registered-models/alias", {"name": "reg2", "alias": "champion"}),
        ("model-versions/delete", {"name": "reg2", "version": "1"}),
        ("registered-models/delete", {"name": "reg2"}),
    ):
        assert server.http.request("DELETE", f"{API}/{path}", json=body).json() == {}
    assert server.get("registered-models/search") == {}


@pytest.mark.parametrize("kind", ["models", "runs", "folder", "registered"])
def test_where_a_version_is(server, experiment_id, kind):
    """Whatever names the model, the place of its files is known."""
    run = new_run(server, experiment_id)["info"]
    body = {"experiment_id": experiment_id, "name": "model", "source_run_id": run["run_id"]}
    model = server.post("logged-models", **body)["model"]["info"]
    server.post("registered-models/create", name="reg")
    source = {
        "models": f"models:/{model['model_id']}",
        "runs": f"runs:/{run['run_id']}/model",
        "folder": f"runs:/{run['run_id']}/folder",
        "registered": "models:/reg/1",
    }[kind]
    if kind == "registered":
        body = {"name": "reg", "source": f"models:/{model['model_id']}"}
        server.post("model-versions/create", **body)
    made = server.post("model-versions/create", name="reg", source=source)["model_version"]
    assert (made["source"], made["run_id"]) == (source, run["run_id"])
    place = {"name": "reg", "version": made["version"]}
    told = server.get("model-versions/get-download-uri", **place)["artifact_uri"]
    folder = f"{run['artifact_uri']}/folder"
    assert told == (folder if kind == "folder" else model["artifact_uri"])


def test_a_model_that_belongs_to_no_run(server, experiment_id):
    """A database keeps it, as MLflow's does; a folder of files says that it cannot."""
    body = {"experiment_id": experiment_id, "name": "loose", "tags": [{"key": "t", "value": "v"}]}
    answer = server.http.post(f"{API}/logged-models", json=body)
    if "sqlite" not in server.store.uri:
        assert refused(answer)[:2] == (501, "NOT_IMPLEMENTED")
        return
    info = answer.json()["model"]["info"]
    assert "source_run_id" not in info
    one = f"logged-models/{info['model_id']}"
    assert server.post(f"{one}/params", params=[{"key": "q", "value": "2"}]) == {}
    body = {"status": "LOGGED_MODEL_READY"}
    told = server.http.patch(f"{API}/{one}", json=body).json()["model"]
    assert told["info"]["status"] == "LOGGED_MODEL_READY"
    run_id = new_run(server, experiment_id)["info"]["run_id"]
    metric = {"key": "m", "value": 1.0, "timestamp": 5, "step": 0}
    server.post("runs/log-metric", run_id=run_id, model_id=info["model_id"], **metric)
    link = [{"model_id": info["model_id"], "step": 3}]
    server.post("runs/outputs", run_id=run_id, models=link)
    server.post("runs/log-inputs", run_id=run_id, models=[{"model_id": info["model_id"]}])
    run = server.get("runs/get", run_id=run_id)["run"]
    assert run["outputs"]["model_outputs"] == link
    assert run["inputs"]["model_inputs"] == [{"model_id": info["model_id"]}]
    assert server.http.delete(f"{API}/{one}").json() == {}
    assert server.get("runs/get", run_id=run_id)["run"]["outputs"] == {}


def test_what_the_server_is(server):
    """Clients ask what it can do; machines whether it answers, and in which version."""
    told = server.http.get("/api/3.0/mlflow/server-info").json()
    assert told["multipart_uploads_enabled"] is False
    assert told["store_type"] in ("SqlStore", "FileStore")
    assert server.http.get("/health").text == "OK"
    assert server.http.get("/version").text
    query = {"experiment_id": "0"}
    there = server.http.get("/ajax-api/2.0/mlflow/experiments/get", params=query).json()
    assert there == server.get("experiments/get", **query)


def test_times_that_no_table_can_hold_are_refused(server, experiment_id):
    """pandas has no timestamp beyond the year 2262; one such run would break all tables of runs."""
    run = new_run(server, experiment_id, start_time=9_223_372_036_854)["info"]["run_id"]
    for path, body in (
        ("create", {"experiment_id": experiment_id, "start_time": 9_223_372_036_855}),
        ("update", {"run_id": run, "end_time": 10**17}),
    ):
        answer = server.http.post(f"{API}/runs/{path}", json=body)
        assert (answer.status_code, "2262" in answer.json()["message"]) == (400, True)


def test_identifiers_that_a_client_gave_are_kept(server, experiment_id, tmp_path):
    """A run and a model are called as their script knows them, where that is free and safe."""
    wished, model = "c" * 32, "m-" + "d" * 32
    tags = [{"key": "skledger.run_id", "value": wished}]
    run = new_run(server, experiment_id, tags=tags)["info"]
    assert run["run_id"] == wished
    assert run["artifact_uri"] == f"mlflow-artifacts:/{experiment_id}/{wished}/artifacts"
    body = {"experiment_id": experiment_id, "name": "m"}
    body["tags"] = [{"key": "skledger.model_id", "value": model}]
    for is_free in (True, False):
        made = server.post("logged-models", **body, source_run_id=wished)["model"]["info"]
        assert (made["model_id"] == model) == is_free
    # Taken, no identifier, or in a folder that a client named: another.
    assert new_run(server, experiment_id, tags=tags)["info"]["run_id"] != wished
    for value in ("../x", "C" * 32, ""):
        odd = [{"key": "skledger.run_id", "value": value}]
        assert len(new_run(server, experiment_id, tags=odd)["info"]["run_id"]) == 32
    (tmp_path / "theirs" / ("e" * 32) / "artifacts").mkdir(parents=True)
    named = server.post(
        "experiments/create", name="named", artifact_location=str(tmp_path / "theirs")
    )["experiment_id"]
    taken = [{"key": "skledger.run_id", "value": "e" * 32}]
    assert new_run(server, named, tags=taken)["info"]["run_id"] != "e" * 32
