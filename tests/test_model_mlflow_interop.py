"""MLflow loads what we save, and we load what MLflow saves."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skledger.models import load_sklearn_model, save_sklearn_model

mlflow = pytest.importorskip("mlflow")

X, y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _mlflow_place(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def estimators():
    frame = pd.DataFrame({"kind": ["a", "b"] * 75, "size": X[:, 0]})
    columns = ColumnTransformer(
        [("kind", OneHotEncoder(), ["kind"]), ("size", "passthrough", ["size"])]
    )
    return {
        "linear": (LogisticRegression(max_iter=300).fit(X, y), X),
        "forest": (RandomForestClassifier(5, random_state=0).fit(X, y), X),
        "by_value": (
            make_pipeline(
                FunctionTransformer(lambda v: v + 1), LogisticRegression(max_iter=300)
            ).fit(X, y),
            X,
        ),
        "columns": (make_pipeline(columns, LogisticRegression()).fit(frame, y), frame),
    }


@pytest.mark.parametrize("name", ["linear", "forest", "by_value", "columns"])
def test_mlflow_loads_and_predicts(tmp_path, name):
    """`mlflow.sklearn` and `mlflow.pyfunc` give the predictions of the estimator."""
    model, data = estimators()[name]
    signature = mlflow.models.infer_signature(data, model.predict(data)).to_dict()
    path = str(save_sklearn_model(model, tmp_path / "m", signature=signature).path)
    assert np.array_equal(mlflow.sklearn.load_model(path).predict(data), model.predict(data))
    assert np.array_equal(mlflow.pyfunc.load_model(path).predict(data), model.predict(data))


def test_mlflow_loads_the_format_pickle(tmp_path):
    """The other format is read too."""
    model, _ = estimators()["linear"]
    path = str(save_sklearn_model(model, tmp_path / "m", serialization_format="pickle").path)
    assert np.array_equal(mlflow.pyfunc.load_model(path).predict(X), model.predict(X))


def test_mlflow_loads_a_transformer(tmp_path):
    """A transformer has the scikit-learn flavour only, as when MLflow saves it."""
    scaler = StandardScaler().fit(X)
    path = str(save_sklearn_model(scaler, tmp_path / "m").path)
    assert np.array_equal(mlflow.sklearn.load_model(path).transform(X), scaler.transform(X))
    with pytest.raises(mlflow.MlflowException, match="python_function"):
        mlflow.pyfunc.load_model(path)


def test_mlflow_reads_the_descriptor(tmp_path):
    """Run, model, signature, metadata and size come out as they went in."""
    model, _ = estimators()["linear"]
    signature = mlflow.models.infer_signature(X, y)
    saved = save_sklearn_model(
        model,
        tmp_path / "m",
        model_id="m-" + "1" * 32,
        run_id="2" * 32,
        artifact_path="a 'name': \"quoted\"",
        signature=signature.to_dict(),
        metadata={"team": "größe", "depth": {"a": [1, 2.5, None]}},
    )
    found = mlflow.models.Model.load(str(saved.path))
    assert found.model_id == "m-" + "1" * 32
    assert found.run_id == "2" * 32
    assert found.artifact_path == "a 'name': \"quoted\""
    assert found.signature == signature
    assert found.metadata == {"team": "größe", "depth": {"a": [1, 2.5, None]}}
    assert found.model_size_bytes == (saved.path / "model.pkl").stat().st_size


def test_mlflow_finds_the_requirements(tmp_path):
    """MLflow's own reader of a model's environment takes our files."""
    from mlflow.utils.environment import _PythonEnv

    saved = save_sklearn_model(estimators()["linear"][0], tmp_path / "m")
    requirements = mlflow.pyfunc.get_model_dependencies(str(saved.path))
    assert requirements == str(saved.path / "requirements.txt")
    environment = _PythonEnv.from_yaml(str(saved.path / "python_env.yaml"))
    assert environment.dependencies == ["-r requirements.txt", "mlflow"]
    from_conda = _PythonEnv.from_conda_yaml(str(saved.path / "conda.yaml"))
    assert from_conda.python == environment.python
    assert "mlflow" in from_conda.dependencies


@pytest.mark.parametrize("serialization_format", ["cloudpickle", "pickle"])
def test_we_load_what_mlflow_saved(tmp_path, serialization_format):
    """On the caller's word, for MLflow books no digests."""
    for name in ("linear", "columns"):
        model, data = estimators()[name]
        # Given, so that MLflow starts no process to infer them.
        mlflow.sklearn.save_model(
            model,
            tmp_path / name,
            serialization_format=serialization_format,
            pip_requirements=["scikit-learn"],
        )
        loaded = load_sklearn_model(tmp_path / name, digests=None)
        assert np.array_equal(loaded.predict(data), model.predict(data))


def test_a_model_of_mlflow_in_skops_loads(tmp_path):
    """skops, MLflow's default, runs no code; what MLflow wants to be told, we have reviewed."""
    for name, trusted in (("linear", []), ("forest", ["sklearn.tree._tree.Tree"])):
        model, data = estimators()[name]
        mlflow.sklearn.save_model(
            model,
            tmp_path / name,
            serialization_format="skops",
            pip_requirements=["scikit-learn"],
            skops_trusted_types=trusted,
        )
        loaded = load_sklearn_model(tmp_path / name, digests=None, refusal="no pickles")
        assert np.array_equal(loaded.predict(data), model.predict(data))


def test_mlflow_loads_our_skops(tmp_path):
    """The types that MLflow must trust stand where it looks for them."""
    for name in ("linear", "forest", "columns"):
        model, data = estimators()[name]
        path = str(save_sklearn_model(model, tmp_path / name, serialization_format="skops").path)
        assert np.array_equal(mlflow.sklearn.load_model(path).predict(data), model.predict(data))
        assert np.array_equal(mlflow.pyfunc.load_model(path).predict(data), model.predict(data))


@pytest.mark.parametrize(
    ("serialization_format", "compression"),
    [("cloudpickle", "zlib"), ("cloudpickle", "zstd"), ("skops", "zlib"), ("joblib", None)],
)
def test_what_mlflow_cannot_read_it_reads_through_us(tmp_path, serialization_format, compression):
    """`mlflow.pyfunc` asks our loader; `mlflow.sklearn` says that it does not know the format."""
    model, _ = estimators()["forest"]
    signature = mlflow.models.infer_signature(X, y).to_dict()
    saved = save_sklearn_model(
        model,
        tmp_path / "m",
        serialization_format=serialization_format,
        compression=compression,
        signature=signature,
        predict_fn="predict_proba",
    )
    path = str(saved.path)
    assert np.array_equal(mlflow.pyfunc.load_model(path).predict(X), model.predict_proba(X))
    with pytest.raises(mlflow.MlflowException, match="serialization format"):
        mlflow.sklearn.load_model(path)
