"""Tutorials that people wrote for MLflow, with `import skledger as mlflow`: they do what they say."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _mlflow_server import MlflowServer

import skledger
import skledger.pyfunc
import skledger.sklearn

TUTORIALS = Path(__file__).parent / "tutorials"


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """Run a tutorial in the test's folder; what it prints comes back."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outbox"))

    def run(name, *arguments, uri="", replace=None):
        text = (TUTORIALS / f"{name}.py").read_text(encoding="utf-8")
        for old, new in (replace or {}).items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        process = subprocess.run(
            [sys.executable, f"{name}.py", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "SKLEDGER_TRACKING_URI": uri},
        )
        assert process.returncode == 0, process.stderr
        return process.stdout, process.stderr

    return run


def titanic(path):
    """Write passengers in the form of Kaggle's file, with the tutorial's own column."""
    rng = np.random.default_rng(0)
    n = 300
    sex = rng.choice(["male", "female"], n)
    age = rng.normal(30, 12, n).round()
    age[rng.random(n) < 0.2] = np.nan
    survived = (rng.random(n) < np.where(sex == "female", 0.75, 0.2)).astype(int)
    cabin = pd.Series([f"C{i}" if i % 4 == 0 else None for i in range(n)])
    port = pd.Series(rng.choice(["S", "C", "Q"], n)).where(np.arange(n) != 7)
    pd.DataFrame(
        {
            "PassengerId": np.arange(1, n + 1),
            "Survived": survived,
            "Pclass": rng.integers(1, 4, n),
            "Name": [f"Passenger, Mr. {i}" for i in range(n)],
            "Sex": sex,
            "Age": age,
            "SibSp": rng.integers(0, 4, n),
            "Parch": rng.integers(0, 3, n),
            "Ticket": [f"PC {i}" for i in range(n)],
            "Fare": rng.gamma(2, 15, n).round(4),
            "Cabin": cabin,
            "Embarked": port,
            "Signing_date": "1911-05-17",
        }
    ).to_csv(path, index=False)


WINE = (
    "fixed acidity;volatile acidity;citric acid;residual sugar;chlorides;free sulfur dioxide;"
    "total sulfur dioxide;density;pH;sulphates;alcohol"
).split(";")


def wine(path):
    """Write wines in the form of the file of the UCI archive."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.gamma(4, 1, (400, len(WINE))).round(3), columns=WINE)
    noise = rng.normal(0, 0.5, 400)
    frame["quality"] = (3 + frame["alcohol"] * 0.6 + noise).round().clip(3, 9).astype(int)
    frame.to_csv(path, sep=";", index=False)


def test_titanic(follow, tmp_path):
    """An experiment of a name, three runs with params, a metric and a model that loads again."""
    pytest.importorskip("category_encoders")
    titanic("train.csv")
    for _ in range(3):
        follow("titanic")
    experiment = skledger.get_experiment_by_name("New Experiment")
    runs = skledger.search_runs(
        experiment_names=["New Experiment"], order_by=["start_time"], output_format="list"
    )
    assert len(runs) == 3
    for run in runs:
        assert run.info.run_name == "Run 1" and run.info.status == "FINISHED"
        assert run.data.params == {
            "run_id": run.info.run_id,
            "solver": "lbfgs",
            "max_iter": "1000",
            "C": "1.5",
        }
        assert 0.5 < run.data.metrics["Accuracy"] <= 1
    run_id = runs[0].info.run_id
    shown, said = follow(
        "titanic_again",
        replace={
            "c55159dcfe884e21b8c35f18168fdcde": run_id,
            "experiment_id = '0'": f"experiment_id = '{experiment.experiment_id}'",
        },
    )
    as_dict, rest = shown.split("\n", 1)
    assert "'name': 'New Experiment'" in as_dict and "'lifecycle_stage': 'active'" in as_dict
    assert all(each.info.run_id in rest for each in runs)
    assert "list_run_infos" in said, "a name that MLflow removed is said to be one"
    assert f"Accuracy={runs[0].data.metrics['Accuracy']:.3}" in rest and "max_iter=1000" in rest
    assert rest.rstrip().endswith("LogisticRegression(C=1.5, max_iter=1000, random_state=123)")


def runs_by_name(*experiment_ids):
    runs = skledger.search_runs(list(experiment_ids), output_format="list")
    return {run.info.run_name: run for run in runs}


def check_wine_runs(shown):
    """Nine runs: two of the script, and one for each of the models."""
    assert "Elasticnet model (alpha=0.700000, l1_ratio=0.200000):" in shown
    named = runs_by_name("0")
    grid = [f"ElasticNet alpha={a} l1_ratio={r}" for a in (0.2, 0.8) for r in (0.3, 0.7)]
    forests = [f"Random Forest n_estimators={n}" for n in (50, 100)]
    assert {"Linear Regression", *grid, *forests} < set(named)
    assert len(named) == 8
    for run in named.values():
        assert run.info.status == "FINISHED"
        assert set(run.data.metrics) == {"rmse", "r2", "mae"}
    [script] = [run for run in named.values() if "Model" not in run.data.params]
    assert script.data.params == {"alpha": "0.7", "l1_ratio": "0.2"}
    assert named[grid[0]].data.params == {"Model": "ElasticNet", "alpha": "0.2", "l1_ratio": "0.3"}
    assert named[forests[1]].data.params == {"Model": "Random Forest", "n_estimators": "100"}
    signed = skledger.pyfunc.load_model(f"runs:/{script.info.run_id}/model")
    assert signed.metadata.get_input_schema().input_names() == WINE
    data = pd.read_csv("winequality-red.csv", sep=";").drop(columns="quality")
    assert len(signed.predict(data)) == 400
    model = skledger.sklearn.load_model(
        f"runs:/{named[grid[0]].info.run_id}/elasticnet_alpha_0.2_l1_0.3"
    )
    assert model.alpha == 0.2
    # Renamed to the day.
    assert skledger.get_experiment("0").name == str(datetime.date.today())
    return named[forests[1]]


def test_wine_in_a_folder(follow, tmp_path):
    """In `mlruns`: the model is where the course says, and loads by that path; no registry."""
    wine("winequality-red.csv")
    shown, said = follow("wine", "0.7", "0.2", uri=(tmp_path / "mlruns").as_uri())
    assert "registered" not in said
    skledger.set_tracking_uri(tmp_path / "mlruns")
    forest = check_wine_runs(shown)
    model = f"mlruns/0/{forest.info.run_id}/artifacts/random_forest_n_100"
    assert "scikit-learn==" in Path(model, "requirements.txt").read_text()
    shown, _ = follow(
        "wine_again",
        uri=(tmp_path / "mlruns").as_uri(),
        replace={"4bfbba9a0b194be7a2036197e88b054a": forest.info.run_id},
    )
    assert 3 <= float(shown.strip(" []\n")) <= 9


def test_wine_in_a_database(follow, tmp_path):
    """In `sqlite:///mlflow.db`: the model is registered, and loads by its name."""
    wine("winequality-red.csv")
    shown, _ = follow("wine", "0.7", "0.2", uri="sqlite:///mlflow.db")
    skledger.set_tracking_uri("sqlite:///mlflow.db")
    check_wine_runs(shown)
    assert skledger.sklearn.load_model("models:/ElasticnetWineModel/1").alpha == 0.7


def test_signatures(follow):
    """A signature as the course prints it, and one that the model of the run has."""
    shown, _ = follow("signatures")
    assert shown.split("\n")[:4] == [
        "inputs:",
        "  ['bedrooms': long (required), 'square_feet': long (required)]",
        "outputs:",
        "  [Tensor('float64', (-1,))]",
    ]
    runs = skledger.search_runs(output_format="list", order_by=["start_time"])
    assert len(runs) == 2 and list(runs[1].data.metrics) == ["MSE"]
    model = skledger.pyfunc.load_model(f"runs:/{runs[0].info.run_id}/iris_model")
    assert model.metadata.get_input_schema().input_names()[0] == "sepal length (cm)"


def test_iris(follow, tmp_path):
    """The input and the best model are artifacts; the search's params and score are booked."""
    from joblib import load
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True, as_frame=True)
    Path("data").mkdir()
    Path("models").mkdir()
    X.assign(Species=y).to_csv("data/iris.csv", index=False)
    skledger.MlflowClient().create_experiment("iris")
    follow("iris", "data/iris.csv", "models/logreg.joblib")
    [run] = skledger.search_runs(experiment_names=["iris"], output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.params["penalty"] == "l2"
    assert run.data.params["pca__n_components"] == "[2, 3]"
    assert run.data.params["best pca__n_components"] in ("2", "3")
    assert run.data.metrics["best score"] > 0.8
    client = skledger.MlflowClient()
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {
        "iris.csv",
        "logreg.joblib",
    }
    best = load(client.download_artifacts(run.info.run_id, "logreg.joblib"))
    assert best.score(X, y) > 0.8


def test_houses(follow, tmp_path):
    """Runs ended by hand and by `with`, in a place of their own, with a picture and models."""
    pytest.importorskip("seaborn")
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "id": np.arange(n),
            "date": "20141013T000000",
            "price": rng.gamma(3, 1, n),
            "bedrooms": rng.integers(1, 6, n),
            "sqft_living": rng.gamma(4, 1, n),
            "view": rng.integers(0, 5, n),
        }
    )
    frame["waterfront"] = (frame.view + rng.normal(0, 1, n) > 3.5).astype(int)
    frame.to_csv("kc_house_data.csv", index=False)
    follow("houses")
    experiment = skledger.get_experiment_by_name("houses")
    place = experiment.artifact_location.removeprefix("file://")
    assert Path(place) == tmp_path / "houses_artifacts"
    by_hand = runs_by_name(experiment.experiment_id)["naive backwards"]
    assert by_hand.info.status == "FINISHED"
    assert by_hand.data.params == {"penalty": "l2", "solver": "lbfgs", "max_iter": "1000"}
    assert set(by_hand.data.metrics) == {"f1", "true neg", "false pos", "false neg", "true pos"}
    assert sum(v for k, v in by_hand.data.metrics.items() if k != "f1") == n / 4
    pictures = list(Path("houses_artifacts").rglob("confusionmatrix.png/confusionmatrix-*.png"))
    assert len(pictures) == 1 and pictures[0].read_bytes()[:4] == b"\x89PNG"
    assert skledger.sklearn.load_model(f"runs:/{by_hand.info.run_id}/ridge logit").max_iter == 1000
    assert runs_by_name(experiment.experiment_id)["lasso"].data.params == {
        "penalty": "l1",
        "solver": "liblinear",
    }


def check_apples(shown):
    assert "{'lifecycle_stage': 'active', 'name': 'Default'}" in shown or (
        "{'name': 'Default', 'lifecycle_stage': 'active'}" in shown
    )
    assert "'project_quarter': 'Q3-2023'" in shown
    experiment = skledger.get_experiment_by_name("Apple_Models")
    assert experiment.tags["mlflow.note.content"].startswith("This is the grocery forecasting")
    [run] = skledger.search_runs([experiment.experiment_id], output_format="list")
    assert run.info.run_name == "apples_rf_test" and run.info.status == "FINISHED"
    assert run.data.params["n_estimators"] == "100" and len(run.data.params) == 7
    assert set(run.data.metrics) == {"mae", "mse", "rmse", "r2"}
    assert run.data.metrics["r2"] > 0.5
    model = skledger.pyfunc.load_model(f"runs:/{run.info.run_id}/rf_apples")
    example = model.input_example
    assert example.shape == (1000, 7)
    assert model.metadata.get_input_schema().input_names() == list(example.columns)
    assert len(model.predict(example)) == 1000


def test_apples_in_a_database(follow, tmp_path):
    """The client and the fluent functions on one database; the example gives the signature."""
    uri = f"sqlite:///{tmp_path / 'apples.db'}"
    shown, _ = follow("apples", replace={"http://127.0.0.1:8080": uri})
    skledger.set_tracking_uri(uri)
    check_apples(shown)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """A server of MLflow for this module: one tutorial renames its first experiment."""
    server = MlflowServer(tmp_path_factory.mktemp("tutorials")).start()
    yield server
    server.stop()


def test_apples_on_a_server(follow, own_server):
    """As the lab has it: a server of MLflow, the client, and the fluent functions."""
    shown, _ = follow("apples", replace={"http://127.0.0.1:8080": own_server.uri})
    skledger.set_tracking_uri(own_server.uri)
    check_apples(shown)


def test_wine_on_a_server(follow, own_server):
    """`http://localhost:5000`: nothing else changes."""
    wine("winequality-red.csv")
    shown, _ = follow("wine", "0.7", "0.2", uri=own_server.uri)
    skledger.set_tracking_uri(own_server.uri)
    check_wine_runs(shown)
    assert skledger.sklearn.load_model("models:/ElasticnetWineModel/latest").alpha == 0.7
