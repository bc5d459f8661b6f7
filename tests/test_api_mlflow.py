"""MLflow's own client against our server: what its users do, its autologging included."""

from __future__ import annotations

import math
import re
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from _api_server import ApiServer
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


class Requests:
    """Notes every request and its status."""

    def __init__(self, app, found):
        self.app, self.found = app, found

    async def __call__(self, scope, receive, send):
        async def noting(message):
            if message["type"] == "http.response.start":
                self.found.append((scope["method"], scope["path"], message["status"]))
            await send(message)

        await self.app(scope, receive, noting)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with ApiServer(f"sqlite:///{folder}/runs.db", folder) as server:
        server.requests = []
        server.app._app = Requests(server.app._app, server.requests)
        yield server


@pytest.fixture(autouse=True)
def _in_use(server):
    """MLflow books here; no request is one that the server does not know, or fails."""
    mlflow.set_tracking_uri(server.uri)
    server.requests.clear()
    yield
    mlflow.sklearn.autolog(disable=True)
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    failed = [each for each in server.requests if each[2] in (405, 500, 501, 503)]
    unknown = [each for each in server.requests if each[2] == 404 and "get" not in each[1].lower()]
    unknown = [each for each in unknown if "artifacts/artifacts/" not in each[1]]
    assert not failed
    assert not unknown


@pytest.fixture(autouse=True)
def _quick_models(monkeypatch):
    """MLflow finds the requirements of a model by a new process, which says nothing of us."""
    monkeypatch.setattr("mlflow.models.infer_pip_requirements", lambda *_, **__: ["scikit-learn"])


@pytest.fixture
def client():
    return MlflowClient()


@pytest.fixture
def experiment(request):
    return mlflow.set_experiment(request.node.name)


def test_experiments(client):
    """Made, found, tagged, renamed, deleted and restored."""
    made = mlflow.set_experiment("new")
    assert mlflow.set_experiment("new").experiment_id == made.experiment_id
    other = mlflow.create_experiment("other", tags={"a": "b"})
    assert mlflow.get_experiment(other).tags == {"a": "b"}
    assert mlflow.get_experiment_by_name("nope") is None
    found = mlflow.search_experiments(filter_string="name LIKE 'oth%'", order_by=["name DESC"])
    assert [each.name for each in found] == ["other"]
    mlflow.set_experiment_tag("k", "v")
    client.delete_experiment_tag(made.experiment_id, "k")
    client.rename_experiment(other, "renamed")
    client.delete_experiment(other)
    assert client.get_experiment(other).lifecycle_stage == "deleted"
    client.restore_experiment(other)
    assert client.get_experiment(other).name == "renamed"
    with pytest.raises(MlflowException, match="renamed") as refused:
        mlflow.create_experiment("renamed")
    assert refused.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_what_is_logged_to_a_run(client, experiment, tmp_path):
    """Params, metrics, tags, data sets and files come back as they went."""
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
        mlflow.log_params({"p2": 2, "p3": "x"})
        mlflow.log_metric("m", 1.5, step=3)
        mlflow.log_metric("nan", math.nan)
        mlflow.log_metric("inf", math.inf)
        mlflow.log_metrics({"a": 1.0, "b": 2.0}, step=1)
        mlflow.set_tag("t", "v")
        mlflow.set_tags({"t2": "v", "t3": "w"})
        mlflow.delete_tag("t2")
        data = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2]}), name="ds")
        mlflow.log_input(data, context="training")
        (tmp_path / "f.txt").write_text("12345")
        mlflow.log_artifact(str(tmp_path / "f.txt"))
        mlflow.log_dict({"a": 1}, "x/d.json")
        mlflow.log_text("hi", "t.txt")
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), key="img", step=0)
        mlflow.log_table({"a": [1]}, "tab.json")
        mlflow.log_table({"a": [2]}, "tab.json")
        with pytest.raises(MlflowException, match="not allowed"):
            mlflow.log_param("p", 2)
    run_id = run.info.run_id
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"p": "1", "p2": "2", "p3": "x"}
    assert {key: found.data.metrics[key] for key in "mab"} == {"m": 1.5, "a": 1.0, "b": 2.0}
    assert math.isnan(found.data.metrics["nan"])
    assert found.data.metrics["inf"] > 1e308
    assert {"t": "v", "t3": "w"}.items() <= found.data.tags.items()
    assert found.inputs.dataset_inputs[0].dataset.name == "ds"
    assert [each.step for each in client.get_metric_history(run_id, "m")] == [3]
    listed = {each.path: each.file_size for each in client.list_artifacts(run_id)}
    assert listed["f.txt"] == 5
    assert [each.path for each in client.list_artifacts(run_id, "x")] == ["x/d.json"]
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/x/d.json") == {"a": 1}
    assert len(mlflow.load_table("tab.json", run_ids=[run_id])) == 2
    folder = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/x", dst_path=str(tmp_path))
    assert (Path(folder) / "d.json").is_file()


def test_runs_are_found_and_changed(client, experiment):
    """Children, failures, searches by all that can be asked, deleting and restoring."""
    with mlflow.start_run(run_name="parent", description="desc"):
        with mlflow.start_run(nested=True) as child:
            mlflow.log_metric("x", 1.0)
    with pytest.raises(ZeroDivisionError), mlflow.start_run(run_name="named") as failed:
        raise ZeroDivisionError
    assert client.get_run(failed.info.run_id).info.status == "FAILED"
    assert client.get_parent_run(child.info.run_id).info.run_name == "parent"
    found = mlflow.search_runs(filter_string="metrics.x > 0.5", order_by=["metrics.x DESC"])
    assert list(found["run_id"]) == [child.info.run_id]
    assert len(mlflow.search_runs(experiment_names=[experiment.name])) == 3
    assert len(mlflow.search_runs(search_all_experiments=True)) >= 3
    first = client.search_runs([experiment.experiment_id], max_results=2)
    rest = client.search_runs([experiment.experiment_id], max_results=2, page_token=first.token)
    assert len({each.info.run_id for each in [*first, *rest]}) == 3
    run_id = client.create_run(experiment.experiment_id, run_name="c").info.run_id
    client.update_run(run_id, status="RUNNING", name="zz")
    client.set_terminated(run_id, "KILLED")
    client.delete_run(run_id)
    deleted = client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert [(each.info.run_name, each.info.status) for each in deleted] == [("zz", "KILLED")]
    client.restore_run(run_id)
    with pytest.raises(MlflowException) as refused:
        client.get_run("f" * 32)
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(MlflowException, match="metricz"):
        client.search_runs([experiment.experiment_id], "metricz.x > 1")


def test_models(client, experiment):
    """Logged, found, changed, loaded by every kind of URI, also without a run."""
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(X, y)
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 0.5)
        logged = mlflow.sklearn.log_model(model, name="model", registered_model_name="reg1")
    for uri in (logged.model_uri, f"runs:/{run.info.run_id}/model", "models:/reg1/1"):
        assert (mlflow.sklearn.load_model(uri).predict(X) == model.predict(X)).all()
    assert mlflow.pyfunc.load_model("models:/reg1/latest").predict(X[:1]).shape == (1,)
    found = mlflow.get_logged_model(logged.model_id)
    assert (found.status, found.metrics[0].value) == ("READY", 0.5)
    client.set_logged_model_tags(logged.model_id, {"a": "b"})
    client.delete_logged_model_tag(logged.model_id, "a")
    client.log_model_params(logged.model_id, {"q": "1"})
    search = mlflow.search_logged_models(
        [experiment.experiment_id],
        filter_string="metrics.m > 0.1",
        order_by=[{"field_name": "metrics.m", "ascending": False}],
        output_format="list",
    )
    assert [each.model_id for each in search] == [logged.model_id]
    assert client.list_logged_model_artifacts(logged.model_id)
    loose = mlflow.sklearn.log_model(model, name="loose")
    assert loose.run_id is None
    assert (mlflow.sklearn.load_model(loose.model_uri).predict(X) == model.predict(X)).all()
    with mlflow.start_run() as other:
        frame = pd.DataFrame(X).assign(y=y)
        config = {"log_explainer": False}
        mlflow.models.evaluate(
            loose.model_uri, frame, targets="y", model_type="classifier", evaluator_config=config
        )
    assert client.get_run(other.info.run_id).data.metrics["accuracy_score"] > 0.9


@pytest.mark.filterwarnings("ignore:.*:FutureWarning")
def test_the_registry(client, experiment):
    """Models, versions, aliases, stages and tags."""
    client.create_registered_model("reg", tags={"a": "b"}, description="d")
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}", "model/MLmodel")
    source = f"runs:/{run.info.run_id}/model"
    assert client.create_model_version("reg", source, run.info.run_id).version == "1"
    assert mlflow.register_model(source, "reg").version == "2"
    client.set_registered_model_alias("reg", "champion", "1")
    assert client.get_model_version_by_alias("reg", "champion").version == "1"
    client.update_model_version("reg", "1", "x")
    client.set_model_version_tag("reg", "1", "a", "b")
    client.delete_model_version_tag("reg", "1", "a")
    client.transition_model_version_stage("reg", "1", "Production")
    assert client.get_latest_versions("reg", ["Production"])[0].version == "1"
    assert len(client.search_model_versions("name='reg'")) == 2
    found = client.search_registered_models("name LIKE 're%' and tags.a = 'b'")
    assert (found[0].name, found[0].aliases, found[0].tags) == (
        "reg",
        {"champion": "1"},
        {"a": "b"},
    )
    assert client.copy_model_version("models:/reg@champion", "copy").name == "copy"
    client.delete_registered_model_alias("reg", "champion")
    client.rename_registered_model("reg", "new")
    client.delete_model_version("new", "2")
    client.delete_registered_model("new")
    with pytest.raises(MlflowException) as refused:
        client.get_registered_model("new")
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.filterwarnings("ignore")
def test_autologging(client, experiment):
    """Fits, searches, failed fits and what is measured afterwards are booked as ever."""
    from sklearn import metrics

    X, y = load_iris(return_X_y=True)
    mlflow.sklearn.autolog(registered_model_name="auto")
    regression = LinearRegression().fit(X, y)
    metrics.mean_squared_error(y, regression.predict(X))
    GridSearchCV(SVC(), {"C": [0.1, 1, 10]}, cv=3).fit(X, y)
    with pytest.raises(ValueError):
        LinearRegression().fit(X, y[:-1])
    mlflow.sklearn.autolog(disable=True)
    runs = client.search_runs([experiment.experiment_id])
    by_status = sorted(each.info.status for each in runs)
    assert by_status == ["FAILED"] + ["FINISHED"] * 5
    search = next(each for each in runs if "best_cv_score" in each.data.metrics)
    children = [
        each for each in runs if each.data.tags.get("mlflow.parentRunId") == search.info.run_id
    ]
    assert len(children) == 3
    files = {each.path for each in client.list_artifacts(search.info.run_id)}
    assert {"cv_results.csv", "estimator.html", "training_confusion_matrix.png"} <= files
    fitted = next(each for each in runs if each.data.tags["estimator_name"] == "LinearRegression")
    fits = [each for each in runs if each.data.tags["estimator_name"] == "LinearRegression"]
    measured = set().union(*(each.data.metrics for each in fits))
    assert any(re.match(r"mean_squared_error", key) for key in measured)
    assert fitted.info.experiment_id == experiment.experiment_id
    assert len(client.search_model_versions("name='auto'")) >= 2


@pytest.mark.filterwarnings("ignore")
def test_metrics_of_models_tell_their_data_set(server, client, experiment):
    """What MLflow and its autologging measure on data is found, sorted and shown by the data."""
    ids = [experiment.experiment_id]
    X, y = load_iris(return_X_y=True)
    mlflow.sklearn.autolog()
    GridSearchCV(SVC(), {"C": [0.1, 1]}, cv=3).fit(X, y)
    mlflow.sklearn.autolog(disable=True)
    (run,) = client.search_runs(ids, "metrics.best_cv_score > 0")
    data = run.inputs.dataset_inputs[0].dataset
    fitted = client.search_logged_models(ids, datasets=[{"dataset_name": data.name}])
    for model in fitted:
        assert {each.dataset_digest for each in model.metrics} == {data.digest}
        assert {each.model_id for each in model.metrics} == {model.model_id}
    best = [each for each in fitted if each.source_run_id == run.info.run_id]
    measured = [each for model in best for each in model.metrics]
    assert "best_cv_score" in {each.key for each in measured if each.run_id == run.info.run_id}
    train, test = (
        mlflow.data.from_pandas(pd.DataFrame({"a": [at]}), name=name)
        for at, name in enumerate(("train", "test"))
    )
    made = []
    with mlflow.start_run() as run:
        for on_train, on_test in ((0.9, 0.5), (0.8, 0.7)):
            model_id = mlflow.initialize_logged_model().model_id
            made.append(model_id)
            mlflow.log_metrics({"acc": on_train}, model_id=model_id, dataset=train, timestamp=1)
            mlflow.log_metric("acc", on_test, model_id=model_id, dataset=test, timestamp=2)
    asked = {"dataset_name": "test", "dataset_digest": test.digest}
    order = {"field_name": "metrics.acc", "ascending": True}

    def found(text, data, by):
        models = client.search_logged_models(ids, text, [data], order_by=[order | by])
        return [each.model_id for each in models]

    assert found("", asked, asked) == made
    assert found("", asked, {"dataset_name": "train"}) == made[::-1]
    assert found("metrics.acc > 0.6", asked, asked) == made[1:]
    assert found("", asked | {"dataset_digest": "nothing"}, {}) == []
    held = server.store.get_logged_model(made[0]).metrics
    assert [each.dataset_name for each in held] == ["train", "test"]
    assert {
        each.dataset.name for each in client.get_run(run.info.run_id).inputs.dataset_inputs
    } == {
        "train",
        "test",
    }


def test_half_a_data_set_is_refused(server, experiment):
    """As MLflow's servers do, also in a batch and without a model."""
    run_id = MlflowClient().create_run(experiment.experiment_id).info.run_id
    metric = {"key": "m", "value": 1, "timestamp": 1, "dataset_name": "train"}
    for path, body in (("log-metric", metric), ("log-batch", {"metrics": [metric]})):
        answer = server.http.post(f"/api/2.0/mlflow/runs/{path}", json={"run_id": run_id, **body})
        assert (answer.status_code, "go together" in answer.text) == (400, True)


def test_many_clients_at_once(server, experiment):
    """Threads that log at once lose nothing, and each run has its own."""
    from concurrent.futures import ThreadPoolExecutor

    def log(at):
        one = MlflowClient(tracking_uri=server.uri)
        run_id = one.create_run(experiment.experiment_id).info.run_id
        for step in range(5):
            one.log_metric(run_id, "m", at, step=step)
        one.log_param(run_id, "p", at)
        return run_id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(log, range(24)))
    for at, run_id in enumerate(ids):
        assert server.store.get_run(run_id).data.params == {"p": str(at)}
        assert len(server.store.get_metric_history(run_id, "m")) == 5
