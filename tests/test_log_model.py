"""`skledger.sklearn.log_model` and `load_model`, and MLflow on the other side."""

import json
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from _mlflow_server import mlflow_server  # noqa: F401 - a fixture
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skledger.pyfunc
import skledger.sklearn
from skledger.errors import (
    InvalidParameterError,
    ModelError,
    ModelIntegrityError,
    NotFoundError,
    StoreError,
)
from skledger.models import Model, get_model_info, infer_signature
from skledger.tracking.session import get_store

mlflow = pytest.importorskip("mlflow")

X, y = load_iris(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def model():
    return LogisticRegression(max_iter=500).fit(X, y)


@pytest.fixture
def mlflow_here(tmp_path, monkeypatch):
    """MLflow on the store of the test."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

    def use(uri):
        skledger.set_tracking_uri(uri)
        mlflow.set_tracking_uri(uri)

    use(f"sqlite:///{tmp_path / 'both.db'}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield use
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)


# --------------------------------------------------------------------------------- logging


def test_a_model_is_logged_in_the_active_run(model):
    """The run ends with its block, the model is linked from it, and two URIs load it."""
    with skledger.start_run() as run:
        info = skledger.sklearn.log_model(model, name="my model")
    assert info.run_id == run.info.run_id
    assert info.name == info.artifact_path == "my model"
    assert info.model_uri == f"models:/{info.model_id}"
    assert set(info.flavors) == {"python_function", "sklearn"}
    [output] = skledger.get_run(info.run_id).outputs.model_outputs
    assert output.model_id == info.model_id
    for uri in (info.model_uri, f"runs:/{info.run_id}/my model"):
        loaded = skledger.sklearn.load_model(uri)
        assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))
    booked = get_store().get_logged_model(info.model_id)
    assert booked.name == "my model" and booked.source_run_id == info.run_id


def test_without_a_run_one_is_started(model):
    """As by `log_param`; it stays active."""
    info = skledger.sklearn.log_model(model, "model")
    assert skledger.active_run().info.run_id == info.run_id


def test_the_model_is_called_model_when_nobody_says(model):
    """The two words for its name are one thing."""
    assert skledger.sklearn.log_model(model).name == "model"
    assert skledger.sklearn.log_model(model, "a").name == "a"
    assert skledger.sklearn.log_model(model, artifact_path="a", name="a").name == "a"
    with pytest.raises(InvalidParameterError, match="two words"):
        skledger.sklearn.log_model(model, "a", name="b")


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", 3, "a\0b"])
def test_names_that_lead_elsewhere_are_refused(model, name):
    """Before a run is started."""
    with pytest.raises(InvalidParameterError, match="name of a model"):
        skledger.sklearn.log_model(model, name=name)
    assert skledger.active_run() is None


@pytest.mark.parametrize("name", ["Run 1", "elasticnet_0.2", "forests/small", "größe: 1%"])
def test_any_other_name_will_do(model, name):
    """Also those that MLflow 3 refuses and MLflow 2 took."""
    info = skledger.sklearn.log_model(model, name)
    assert skledger.sklearn.load_model(f"runs:/{info.run_id}/{name}").max_iter == 500


def test_the_same_name_again_is_another_model(model):
    """Each has its identifier; the run's URI means the last."""
    with skledger.start_run() as run:
        first = skledger.sklearn.log_model(model, "model")
        second = skledger.sklearn.log_model(LogisticRegression(C=9), "model")
    assert skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model").C == 9
    assert skledger.sklearn.load_model(first.model_uri).C == 1
    assert second.model_id != first.model_id


def test_what_is_booked_with_the_model_comes_back(model):
    """Params, tags, kind, metadata and signature, with nothing of the model run."""
    signature = infer_signature(X, model.predict(X))
    info = skledger.sklearn.log_model(
        model,
        signature=signature,
        params={"C": 1},
        tags={"stage": "trial"},
        model_type="classifier",
        metadata={"team": {"name": "a", "size": 3}},
    )
    found = get_model_info(info.model_uri)
    assert found == info
    assert found.signature == signature and found.signature_dict == signature.to_dict()
    assert found.params == {"C": "1"} and found.tags["stage"] == "trial"
    assert found.metadata == {"team": {"name": "a", "size": 3}}
    assert get_store().get_logged_model(info.model_id).model_type == "classifier"
    assert get_model_info(f"runs:/{info.run_id}/model").model_id == info.model_id


def test_a_model_is_registered_as_it_is_logged(model):
    """The version is told, and the model loads by its name; other names say what is missing."""
    info = skledger.sklearn.log_model(model, registered_model_name="Iris")
    assert info.registered_model_version == 1
    for uri in ("models:/Iris/1", "models:/Iris"):
        assert skledger.sklearn.load_model(uri).max_iter == 500
    for uri, told in (("models:/Iris/2", "no version 2"), ("models:/Iris@best", "no alias 'best'")):
        with pytest.raises(NotFoundError, match=told):
            skledger.sklearn.load_model(uri)


def test_a_model_that_cannot_be_stored_leaves_nothing(model, monkeypatch):
    """Neither when it cannot be pickled nor when the store fails."""
    with skledger.start_run() as run:
        with pytest.raises(ModelError, match="cannot be pickled"):
            skledger.sklearn.log_model(LogisticRegression(C=(i for i in "a")))
        store = get_store()

        def fail(*changes):
            raise StoreError("no room")

        monkeypatch.setattr(type(store), "write", lambda self, *changes: fail())
        with pytest.raises(StoreError):
            skledger.sklearn.log_model(model)
        monkeypatch.undo()
    assert not skledger.get_run(run.info.run_id).outputs.model_outputs
    assert not list(Path().rglob("MLmodel")) and not list(Path().rglob("m-*"))


def test_a_model_logged_inside_autologged_code_is_one_of_two(autolog):
    """What the user logs is what the run's URI means."""
    with skledger.start_run() as run:
        fitted = LinearRegression().fit(X, y)
        skledger.sklearn.log_model(fitted, "mine")
    names = {each.name for each in get_store().search_logged_models(run.info.run_id)}
    assert names == {"model", "mine"}


# ------------------------------------------------------------------- signature and example


EXAMPLES = {
    "frame": X.head(2),
    "array": X.to_numpy()[:2],
    "lists": X.to_numpy()[:2].tolist(),
    "dict": X.iloc[0].to_dict(),
    "records": X.head(2).to_dict("records"),
    "series": X.iloc[0],
    "sparse": sp.csr_matrix(X.to_numpy()[:2]),
    "csc": sp.csc_matrix(X.to_numpy()[:2]),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_stored_and_gives_the_signature(model, mlflow_here, name):
    """In the files that MLflow reads; both predict from what they read."""
    info = skledger.sklearn.log_model(
        RandomForestClassifier(3, random_state=0).fit(X.to_numpy(), y)
        if name in ("array", "lists", "sparse", "csc")
        else model,
        input_example=EXAMPLES[name],
    )
    assert info.signature is not None
    ours = skledger.pyfunc.load_model(info.model_uri)
    theirs = mlflow.pyfunc.load_model(info.model_uri)
    assert theirs.metadata.signature.to_dict() == info.signature.to_dict()
    mine, read = ours.input_example, theirs.input_example
    assert type(mine) is type(read)
    if sp.issparse(mine):
        assert mine.format == read.format and (mine != read).nnz == 0
    else:
        assert str(mine) == str(read)
    assert np.array_equal(
        ours.predict(mine), ours.get_raw_model().predict(X.to_numpy()[: len(ours.predict(mine))])
    )
    if name != "lists":  # MLflow wants arrays of its callers
        assert np.array_equal(theirs.predict(read), ours.predict(mine))
    served = json.loads(
        Path(
            get_store().get_logged_model(info.model_id).artifact_location,
            "serving_input_example.json",
        ).read_text()
    )
    assert set(served) <= {"inputs", "dataframe_split"}


def test_any_value_of_a_frame_can_be_an_example(mlflow_here):
    """Dates, bytes, gaps, categories and labels that are no texts; null where a value is missing."""
    frames = [
        pd.DataFrame(
            {
                "when": pd.to_datetime(["2020-01-01", None]),
                "raw": pd.Series([b"x", None], dtype=object),
                "gap": [1.5, np.nan],
                "whole": pd.array([1, None], dtype="Int64"),
                "kind": pd.Categorical(["a", None]),
            }
        ),
        pd.DataFrame(np.eye(2)),
        pd.DataFrame(np.eye(2), columns=[3, 1]),
        pd.DataFrame({("a", "b"): [1.0]}),
    ]
    for frame in frames:
        info = skledger.sklearn.log_model(LinearRegression(), input_example=frame, signature=False)
        ours = skledger.pyfunc.load_model(info.model_uri).input_example
        folder = get_store().get_logged_model(info.model_id).artifact_location
        if not isinstance(frame.columns, pd.MultiIndex):  # MLflow does not read its own
            theirs = mlflow.models.Model.load(folder).load_input_example(folder)
            assert theirs.shape == frame.shape
        assert ours.shape == frame.shape
        assert ours.isna().equals(frame.isna())
        assert list(ours.columns) == list(frame.columns)
    with pytest.raises(InvalidParameterError, match="JSON"):
        skledger.sklearn.log_model(LinearRegression(), input_example=object())


def test_the_example_is_as_it_was_when_it_was_given(model):
    """Whatever becomes of the data afterwards; params may go with it."""
    data = X.head(2).copy()
    info = skledger.sklearn.log_model(model, input_example=(data, {"n": 1}))
    data.iloc[:] = 0
    loaded = skledger.pyfunc.load_model(info.model_uri)
    assert loaded.input_example.equals(X.head(2))
    assert [each.name for each in loaded.params_schema] == ["n"]


def test_a_signature_may_be_given_left_out_or_fail(model, caplog):
    """False leaves it out; an example that the model refuses costs a line, not the model."""
    assert skledger.sklearn.log_model(model, input_example=X[:1], signature=False).signature is None
    with caplog.at_level(logging.WARNING, "skledger"):
        info = skledger.sklearn.log_model(model, input_example=X.iloc[:1, :2])
    assert info.signature is None and "no signature was inferred" in caplog.text
    assert info.saved_input_example_info["type"] == "dataframe"
    with pytest.raises(InvalidParameterError, match="infer_signature"):
        skledger.sklearn.log_model(model, signature=X)
    given = infer_signature(X)
    assert (
        skledger.sklearn.log_model(model, input_example=X[:1], signature=given).signature == given
    )


# -------------------------------------------------------------------------- environment, code


def requirements(path):
    return (Path(path) / "requirements.txt").read_text().splitlines()


def test_requirements_can_be_given(tmp_path, model, mlflow_here):
    """All of them, more of them, from a file, with constraints, or as a conda environment."""
    save = skledger.sklearn.save_model
    save(model, "found")
    assert any(line.startswith("scikit-learn==") for line in requirements("found"))
    save(model, "all", pip_requirements=["a==1", "  # nothing", "b>=2 # why"])
    assert requirements("all") == ["a==1", "b>=2"]
    save(model, "more", extra_pip_requirements=["zz", "Scikit_Learn==1.0"])
    more = requirements("more")
    assert more[-2:] == ["zz", "Scikit_Learn==1.0"] and "numpy==" in " ".join(more)
    assert sum("learn" in line.lower() for line in more) == 1
    Path("deep").mkdir()
    Path("deep/req.txt").write_text("c\n-r other.txt\n--constraint cons.txt\n")
    Path("deep/other.txt").write_text("d\n")
    Path("deep/cons.txt").write_text("numpy<9\n")
    save(model, "file", pip_requirements="deep/req.txt")
    assert requirements("file") == ["c", "d", "-c constraints.txt"]
    assert Path("file/constraints.txt").read_text() == "numpy<9\n"
    conda = {"name": "q", "dependencies": ["python=3.11", {"pip": ["mlflow", "e==2"]}]}
    save(model, "conda", conda_env=conda)
    assert requirements("conda") == ["mlflow", "e==2"]
    Path("env.yaml").write_text(Path("conda/conda.yaml").read_text())
    save(model, "conda2", conda_env="env.yaml")
    assert Path("conda2/conda.yaml").read_text() == Path("conda/conda.yaml").read_text()
    for folder in ("all", "more", "file", "conda"):
        assert mlflow.pyfunc.get_model_dependencies(folder).endswith("requirements.txt")
        assert skledger.sklearn.load_model(folder).max_iter == 500


def test_requirements_that_cannot_be_are_refused(model):
    """Two ways at once, no such file, no text."""
    for arguments, error in (
        ({"pip_requirements": ["a"], "extra_pip_requirements": ["b"]}, InvalidParameterError),
        ({"conda_env": {}, "pip_requirements": ["b"]}, InvalidParameterError),
        ({"pip_requirements": "nowhere.txt"}, NotFoundError),
        ({"pip_requirements": [1]}, InvalidParameterError),
        ({"conda_env": "nowhere.yaml"}, NotFoundError),
    ):
        with pytest.raises(error):
            skledger.sklearn.log_model(model, **arguments)
    assert skledger.active_run() is None


MODULE = """
from sklearn.base import BaseEstimator

class Constant(BaseEstimator):
    def fit(self, X, y=None):
        return self
    def predict(self, X):
        from my_package.value import VALUE
        return [VALUE] * len(X)
"""


def test_modules_of_the_user_travel_with_the_model(tmp_path, monkeypatch, run_python, caplog):
    """A model of `my_module.py` loads where that file is not, in MLflow too."""
    Path("src/my_package/__pycache__").mkdir(parents=True)
    Path("src/my_package/__init__.py").touch()
    Path("src/my_package/value.py").write_text("VALUE = 7\n")
    Path("src/my_package/__pycache__/value.pyc").touch()
    Path("src/my_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    import my_module

    try:
        with caplog.at_level(logging.WARNING, "skledger"):
            skledger.sklearn.log_model(my_module.Constant(), code_paths=[])
        assert "my_module" in caplog.text and "code_paths" in caplog.text
        caplog.clear()
        info = skledger.sklearn.log_model(
            my_module.Constant(), code_paths=["src/my_module.py", Path("src/my_package")]
        )
        assert "my_module" not in caplog.text
    finally:
        for name in ("my_module", "my_package", "my_package.value"):
            sys.modules.pop(name, None)
    folder = Path(get_store().get_logged_model(info.model_id).artifact_location)
    assert not list(folder.rglob("__pycache__"))
    skledger.end_run()
    uri = skledger.get_tracking_uri()
    run_python(
        f"""
        import skledger, skledger.sklearn, skledger.pyfunc
        skledger.set_tracking_uri({uri!r})
        assert skledger.sklearn.load_model({info.model_uri!r}).predict([0]) == [7]
        assert skledger.pyfunc.load_model({info.model_uri!r}).predict([0]) == [7]
        """
    )
    run_python(
        f"import mlflow; assert mlflow.pyfunc.load_model({str(folder)!r}).predict([0]) == [7]"
    )
    # Code is verified, too: a line more, or a file more, and nothing of it runs.
    (folder / "code" / "my_package" / "more.py").write_text("")
    with pytest.raises(ModelIntegrityError, match=r"more\.py"):
        skledger.sklearn.load_model(info.model_uri)


def test_code_that_cannot_be_copied_is_explained(tmp_path, model):
    """Nothing there, one text for a list, two of a name, and the folder the model goes into."""
    Path("a").mkdir()
    Path("a/x.py").touch()
    Path("x.py").touch()
    for code, error in (
        (["gone.py"], NotFoundError),
        ("x.py", InvalidParameterError),
        (["x.py", "a/x.py"], InvalidParameterError),
        (["."], InvalidParameterError),
    ):
        with pytest.raises(error):
            skledger.sklearn.save_model(model, "m", code_paths=code)
    assert not Path("m").exists()


def test_a_folder_of_many_files_is_verified_whole(model, tmp_path):
    """Their digests are too long for a tag; one stands for all."""
    Path("pack").mkdir()
    for i in range(120):
        Path(f"pack/module_{i}.py").write_text(f"x = {i}\n")
    info = skledger.sklearn.log_model(model, code_paths=["pack"])
    assert skledger.sklearn.load_model(info.model_uri).max_iter == 500
    folder = Path(get_store().get_logged_model(info.model_id).artifact_location)
    file = folder / "code/pack/module_77.py"
    file.write_text("x = 0\n")
    with pytest.raises(ModelIntegrityError, match="module_77"):
        skledger.sklearn.load_model(info.model_uri)
    file.write_text("x = 77\n")
    digests = folder / "digests.json"
    digests.write_text(digests.read_text().replace("a", "b"))
    with pytest.raises(ModelIntegrityError, match=r"digests\.json"):
        skledger.sklearn.load_model(info.model_uri)


# ------------------------------------------------------------------------------- places


def test_a_folder_of_its_own(model, tmp_path):
    """`save_model`: a path, as text or as a `file:` URI, loads it; it belongs to no run."""
    skledger.sklearn.save_model(model, tmp_path / "a b", signature=infer_signature(X))
    for uri in (str(tmp_path / "a b"), "a b", (tmp_path / "a b").as_uri()):
        assert skledger.sklearn.load_model(uri).max_iter == 500
        assert skledger.pyfunc.load_model(uri).predict(X).shape == (150,)
        assert get_model_info(uri).signature == infer_signature(X)
        assert get_model_info(uri).run_id is None
    assert Model.load("a b/MLmodel") == Model.load("a b")
    with pytest.raises(ModelError, match="already"):
        skledger.sklearn.save_model(model, "a b")
    with pytest.raises(NotFoundError):
        skledger.sklearn.load_model("nowhere")


def test_a_copy_can_be_asked_for(model, tmp_path):
    """`dst_path`, as MLflow has it."""
    info = skledger.sklearn.log_model(model)
    assert skledger.sklearn.load_model(info.model_uri, dst_path="here").max_iter == 500
    assert Path("here/MLmodel").is_file()
    loaded = skledger.pyfunc.load_model(info.model_uri, dst_path=tmp_path / "there")
    assert loaded.predict(X[:2]).shape == (2,)


def test_a_path_among_the_artifacts_of_a_run(model, tmp_path):
    """Where MLflow 2 had it: found by the run, and verified, though no such folder is there."""
    info = skledger.sklearn.log_model(model, "model")
    path = f"mlruns/0/{info.run_id}/artifacts/model"
    assert skledger.sklearn.load_model(path).max_iter == 500
    assert skledger.pyfunc.load_model(path).predict(X).shape == (150,)
    with pytest.raises(NotFoundError, match="no model folder"):
        skledger.sklearn.load_model(f"mlruns/0/{info.run_id}/artifacts/other")


def test_in_folders_the_model_is_among_the_artifacts_of_its_run(model, mlflow_here, tmp_path):
    """MLflow's folders: the path of MLflow 2 holds what was logged last under the name."""
    mlflow_here((tmp_path / "mlruns").as_uri())
    with skledger.start_run() as run:
        skledger.sklearn.log_model(model, "model")
        info = skledger.sklearn.log_model(LogisticRegression(C=9).fit(X, y), "model")
    path = Path("mlruns", "0", run.info.run_id, "artifacts", "model")
    assert (path / "requirements.txt").is_file()
    assert skledger.sklearn.load_model(str(path)).C == 9
    assert mlflow.sklearn.load_model(str(path)).C == 9
    for uri in (info.model_uri, f"runs:/{run.info.run_id}/model"):
        assert skledger.sklearn.load_model(uri).C == 9
        assert mlflow.sklearn.load_model(uri).C == 9
    client = mlflow.MlflowClient()
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["model"]
    assert {each.path for each in client.list_artifacts(run.info.run_id, "model")} >= {
        "model/MLmodel",
        "model/model.pkl",
    }
    assert list(path.parent.iterdir()) == [path], "nothing is left of what was replaced"


def test_artifacts_far_away(model):
    """Files that are no folder of this machine: the model is brought there and back."""
    pytest.importorskip("fsspec")
    experiment = skledger.create_experiment("far", artifact_location="memory://far")
    with skledger.start_run(experiment_id=experiment):
        info = skledger.sklearn.log_model(model, "model", input_example=X[:2])
    booked = get_store().get_logged_model(info.model_id)
    assert booked.artifact_location.startswith("memory://far/")
    for uri in (info.model_uri, f"runs:/{info.run_id}/model", booked.artifact_location):
        assert np.array_equal(skledger.pyfunc.load_model(uri).predict(X), model.predict(X))


# ------------------------------------------------------------------------------- safety


def test_a_changed_model_is_not_loaded(model):
    """Not as scikit-learn's, not behind its signature, and nothing is told of it."""
    info = skledger.sklearn.log_model(model)
    folder = Path(get_store().get_logged_model(info.model_id).artifact_location)
    (folder / "MLmodel").write_text((folder / "MLmodel").read_text() + "# changed\n")
    for use in (skledger.sklearn.load_model, skledger.pyfunc.load_model, get_model_info):
        with pytest.raises(ModelIntegrityError, match="is not the file that was booked"):
            use(info.model_uri)


def test_a_pickle_of_another_tool_loads_on_the_callers_word(model, mlflow_here):
    """The error has the very words; what runs no code needs none."""
    with mlflow.start_run() as run:
        options = {"pip_requirements": ["scikit-learn"], "input_example": X[:2]}
        pickled = mlflow.sklearn.log_model(
            model, name="pickled", serialization_format="cloudpickle", **options
        )
        plain = mlflow.sklearn.log_model(
            model, name="plain", serialization_format="skops", **options
        )
        own = mlflow.sklearn.log_model(
            make_pipeline(FunctionTransformer(np.trunc), FunctionTransformer(np.fliplr)).fit(X),
            name="own",
            serialization_format="skops",
            skops_trusted_types=["numpy.fliplr"],
            pip_requirements=["scikit-learn"],
        )
    for uri in (pickled.model_uri, f"runs:/{run.info.run_id}/pickled"):
        for load in (skledger.sklearn.load_model, skledger.pyfunc.load_model):
            with pytest.raises(ModelIntegrityError) as caught:
                load(uri)
            assert f"load_model({uri!r}, verify=False)" in caught.value.message
            assert np.array_equal(load(uri, verify=False).predict(X), model.predict(X))
        assert get_model_info(uri).signature.to_dict() == pickled.signature.to_dict()
    assert np.array_equal(skledger.pyfunc.load_model(plain.model_uri).predict(X), model.predict(X))
    # What the artifact says of trust is not listened to.
    with pytest.raises(ModelError, match=r"trusted=\['numpy\.fliplr'\]"):
        skledger.sklearn.load_model(own.model_uri)
    loaded = skledger.sklearn.load_model(own.model_uri, trusted=["numpy.fliplr"])
    assert np.array_equal(loaded.transform(X), np.fliplr(np.trunc(X)))


def test_code_beside_a_harmless_file_needs_the_callers_word(model, tmp_path, mlflow_here):
    """A model in skops may still bring modules, which would be importable."""
    Path("evil.py").write_text("x = 1\n")
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            model,
            name="plain",
            serialization_format="skops",
            code_paths=["evil.py"],
            pip_requirements=["scikit-learn"],
        )
    with pytest.raises(ModelIntegrityError, match="verify=False"):
        skledger.sklearn.load_model(info.model_uri)
    before = list(sys.path)
    try:
        assert skledger.sklearn.load_model(info.model_uri, verify=False).max_iter == 500
    finally:
        sys.path[:] = before


# ------------------------------------------------------------------------------- MLflow


def test_mlflow_loads_what_is_logged(model, mlflow_here):
    """By run and by identifier, with the signature; the records are MLflow's, too."""
    info = skledger.sklearn.log_model(
        model, "model", signature=infer_signature(X, model.predict(X)), input_example=X[:3]
    )
    skledger.end_run()
    for uri in (info.model_uri, f"runs:/{info.run_id}/model"):
        assert np.array_equal(mlflow.sklearn.load_model(uri).predict(X), model.predict(X))
        loaded = mlflow.pyfunc.load_model(uri)
        assert np.array_equal(loaded.predict(X), model.predict(X))
        assert loaded.metadata.signature == mlflow.models.infer_signature(X, model.predict(X))
        with pytest.raises(mlflow.MlflowException, match="missing inputs"):
            loaded.predict(X.iloc[:, 1:])
        theirs = mlflow.models.get_model_info(uri)
        assert theirs.signature.to_dict() == info.signature.to_dict()
        assert theirs.flavors["sklearn"]["pickled_model"] == "model.pkl"
    assert mlflow.get_logged_model(info.model_id).name == "model"


def test_a_method_and_a_transformer_in_mlflow(model, mlflow_here):
    """`predict_proba` behind a signature; no `python_function` without a method that predicts."""
    info = skledger.sklearn.log_model(model, pyfunc_predict_fn="predict_proba", input_example=X[:2])
    assert mlflow.pyfunc.load_model(info.model_uri).predict(X).shape == (150, 3)
    assert info.signature.outputs.inputs[0].shape == (-1, 3)
    scaler = skledger.sklearn.log_model(StandardScaler().fit(X), "scaler", input_example=X[:2])
    assert set(scaler.flavors) == {"sklearn"}
    assert mlflow.sklearn.load_model(scaler.model_uri).transform(X).shape == X.shape


@pytest.mark.parametrize("name", ["model", "forests/v1.0: 5%"])
def test_models_go_through_a_server(model, mlflow_here, mlflow_server, tmp_path, monkeypatch, name):  # noqa: F811
    """Loaded before it is sent and after, by us and by MLflow, which is spared odd names."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outbox"))
    mlflow_here(mlflow_server.uri)
    experiment = f"models {name!r}"
    skledger.set_experiment(experiment)
    with skledger.start_run():
        info = skledger.sklearn.log_model(model, name, input_example=X[:3])
    uris = [info.model_uri, f"runs:/{info.run_id}/{name}"]
    for uri in uris:
        assert np.array_equal(skledger.pyfunc.load_model(uri).predict(X), model.predict(X))
    assert skledger.flush(60)
    [run] = mlflow.search_runs(experiment_names=[experiment], output_format="list")
    [output] = run.outputs.model_outputs
    theirs = name.translate(str.maketrans("/:.%", "____"))
    for uri in (f"models:/{output.model_id}", f"runs:/{run.info.run_id}/{theirs}"):
        loaded = mlflow.pyfunc.load_model(uri)
        assert np.array_equal(loaded.predict(X), model.predict(X))
        assert loaded.metadata.signature.to_dict() == info.signature.to_dict()
    uris += [f"models:/{output.model_id}", f"runs:/{run.info.run_id}/{name}"]
    skledger.tracking.session.reset()
    skledger.set_tracking_uri(mlflow_server.uri)
    for uri in uris:
        assert np.array_equal(skledger.pyfunc.load_model(uri).predict(X), model.predict(X))


def test_models_come_from_a_server(model, mlflow_here, mlflow_server, tmp_path, monkeypatch):  # noqa: F811
    """What runs no code at once, a pickle on the caller's word."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outbox"))
    mlflow_here(mlflow_server.uri)
    experiment = mlflow.create_experiment("models of theirs")
    with mlflow.start_run(experiment_id=experiment) as run:
        for name, kind in (("plain", "skops"), ("pickled", "cloudpickle")):
            options = {"serialization_format": kind, "pip_requirements": ["scikit-learn"]}
            mlflow.sklearn.log_model(model, name=name, input_example=X[:3], **options)
    uri = f"runs:/{run.info.run_id}"
    assert np.array_equal(skledger.pyfunc.load_model(f"{uri}/plain").predict(X), model.predict(X))
    with pytest.raises(ModelIntegrityError, match="verify=False"):
        skledger.sklearn.load_model(f"{uri}/pickled")
    assert skledger.sklearn.load_model(f"{uri}/pickled", verify=False).max_iter == 500


OLD = """
artifact_path: model
flavors:
  python_function:
    env: conda.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.8.5
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.6.0
model_uuid: 9a8f1a1c4cbd4ec7a1c8e5d5a7b0a0aa
mlflow_version: 2.3.0
run_id: 5d2c4ba4bd4a4cb9bba2ff8f8a2d4c6f
signature:
  inputs: '[{"name": "a", "type": "double", "optional": true}, {"name": "b", "type": "long"}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
utc_time_created: '2023-05-01 08:00:00.000000'
"""


def test_a_folder_of_mlflow_2_among_the_artifacts_of_a_run(tmp_path):
    """No logged model, no identifier, an older `MLmodel`: it loads on the caller's word."""
    import cloudpickle

    with skledger.start_run() as run:
        pass
    folder = Path(run.info.artifact_uri, "model")
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text(OLD)
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2]})
    fitted = LinearRegression().fit(frame, [1.0, 2.0])
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(fitted))
    uri = f"runs:/{run.info.run_id}/model"
    with pytest.raises(ModelIntegrityError, match="verify=False"):
        skledger.pyfunc.load_model(uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = skledger.pyfunc.load_model(uri, verify=False)
    assert loaded.predict(frame) == pytest.approx([1.0, 2.0])
    assert loaded.input_schema.optional_input_names() == ["a"]
    assert get_model_info(uri).mlflow_version == "2.3.0"


def test_environments_that_cannot_be_read_are_told(tmp_path):
    """Before anything is stored."""
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    (tmp_path / "r.txt").write_text("numpy\n-r r.txt\n")
    (tmp_path / "broken.yaml").write_text("a: [1")
    for given, told in (
        ({"pip_requirements": str(tmp_path / "r.txt")}, "names itself by -r or -c: r.txt -> r.txt"),
        ({"conda_env": {"dependencies": 5}}, "dependencies in a conda environment are a list"),
        ({"conda_env": {"dependencies": [{"pip": 5}]}}, "pip in a conda environment is a list"),
        ({"conda_env": str(tmp_path / "broken.yaml")}, "is no YAML"),
        ({"metadata": "abc"}, "metadata of a model is a dictionary"),
        ({"extra_files": ["a"]}, "extra_files is not taken here: log_artifact"),
        ({"model_id": "m-1"}, "model_id is not taken here"),
    ):
        with pytest.raises(InvalidParameterError, match=told):
            skledger.sklearn.log_model(model, name="m", **given)
    assert skledger.search_logged_models(output_format="list") == []


def test_what_is_no_estimator_is_remarked_on(caplog):
    """A class was never fitted; a text may be a slip."""
    with pytest.raises(InvalidParameterError, match=r"LogisticRegression is a class; pass"):
        skledger.sklearn.log_model(LogisticRegression, name="m")
    skledger.sklearn.log_model("notamodel", name="m")
    assert "a str is stored as a model, though it is no estimator" in caplog.text


def test_a_saved_model_is_replaced_when_that_is_asked_for(tmp_path):
    """The message that says so is right."""
    for slope in (1.0, 2.0):
        model = LogisticRegression(C=slope).fit([[0.0], [1.0]], [0, 1])
        skledger.sklearn.save_model(model, tmp_path / "m", overwrite=slope == 2.0)
    assert skledger.sklearn.load_model(tmp_path / "m").C == 2.0
    with pytest.raises(ModelError, match="overwrite=True"):
        skledger.sklearn.save_model(model, tmp_path / "m")
