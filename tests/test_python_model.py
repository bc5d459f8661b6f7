"""`skledger.pyfunc.PythonModel`: models of the user's own making, here and in a real MLflow."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import os
import pickle
import shutil
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from _mlflow_server import mlflow_server  # noqa: F401 - a fixture
from click.testing import CliRunner
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import skledger
import skledger.pyfunc
import skledger.sklearn
from skledger.cli import main
from skledger.errors import (
    InvalidParameterError,
    MissingFileError,
    ModelError,
    ModelIntegrityError,
    ModelTooLargeError,
    NotFoundError,
)
from skledger.models import infer_signature

X, y = load_iris(return_X_y=True, as_frame=True)
FOREST = LogisticRegression(max_iter=500).fit(X, y)
STORE = "sqlite:///skledger.db"


def thresholded():
    """Return a model that opens an estimator among its artifacts, and has settings and params."""

    class Thresholded(skledger.pyfunc.PythonModel):
        def load_context(self, context):
            self.model = joblib.load(context.artifacts["estimator"])
            self.note = Path(context.artifacts["notes"], "note.txt").read_text()

        def predict(self, context, model_input, params=None):
            at = (params or {}).get("at", 0)
            found = self.model.predict_proba(model_input)[:, at]
            return (found > context.model_config["threshold"]).astype(int)

        def twice(self):
            return 2 * self.model.n_features_in_

    return Thresholded()


@pytest.fixture
def files():
    """The artifacts of the model above: a file and a folder."""
    joblib.dump(FOREST, "forest.joblib")
    Path("notes/deep").mkdir(parents=True)
    Path("notes/note.txt").write_text("of setosa")
    Path("notes/deep/er.txt").write_text("more")
    return {"estimator": "forest.joblib", "notes": Path("notes")}


@pytest.fixture
def logged(files):
    """The model above, logged in a run with everything that there is to say."""
    with skledger.start_run():
        return skledger.pyfunc.log_model(
            name="iris",
            python_model=thresholded(),
            artifacts=files,
            model_config={"threshold": 0.5, "deep": {"er": [1, None]}},
            input_example=(X[:3], {"at": 0}),
            metadata={"by": "me"},
            params={"depth": 3},
            tags={"kind": "wrapper"},
            model_type="classifier",
            registered_model_name="wrapped",
        )


def folder_of(info):
    return Path(skledger.get_logged_model(info.model_id).artifact_location.removeprefix("file://"))


def setosa(threshold=0.5, at=0):
    return (FOREST.predict_proba(X)[:, at] > threshold).astype(int)


# -- here ------------------------------------------------------------------------------------------


def test_a_wrapped_estimator_predicts_as_it_was_written(logged):
    """Artifacts, settings, params, signature, example, notes, and the user's own methods."""
    loaded = skledger.pyfunc.load_model(logged.model_uri)
    assert isinstance(loaded, skledger.pyfunc.PyFuncModel)
    assert np.array_equal(loaded.predict(X), setosa())
    assert np.array_equal(loaded.predict(X, params={"at": 2}), setosa(at=2))
    assert loaded.model_config == {"threshold": 0.5, "deep": {"er": [1, None]}}
    assert loaded.metadata.metadata == {"by": "me"}
    assert loaded.unwrap_python_model().twice() == 8
    assert loaded.unwrap_python_model().note == "of setosa"
    assert loaded.get_raw_model() is loaded.unwrap_python_model()
    assert loaded.input_example.equals(X[:3])
    assert loaded.loader_module == "mlflow.pyfunc.model"
    assert loaded.metadata.signature == logged.signature
    assert logged.signature == infer_signature(X[:3], np.array([1, 1, 1]), {"at": 0}) or (
        logged.signature.inputs.input_names() == list(X.columns)
    )
    booked = skledger.get_logged_model(logged.model_id)
    assert booked.params == {"depth": "3"} and booked.tags["kind"] == "wrapper"
    assert booked.model_type == "classifier" and logged.registered_model_version == 1
    by_name = skledger.pyfunc.load_model("models:/wrapped/1")
    assert np.array_equal(by_name.predict(X), setosa())


def test_the_object_that_is_logged_stays_as_it_was(files):
    """The signature is inferred from a copy, so that what is opened is not stored."""
    model = thresholded()
    skledger.pyfunc.save_model(
        "m", python_model=model, artifacts=files, input_example=X[:2], model_config={"threshold": 0}
    )
    assert not hasattr(model, "model")
    assert "model" not in vars(pickle.loads(Path("m/python_model.pkl").read_bytes()))


def test_the_signature_is_enforced(logged):
    """What does not fit is named, as for any other model; params too."""
    loaded = skledger.pyfunc.load_model(logged.model_uri)
    with pytest.raises(InvalidParameterError, match="missing: .'petal width"):
        loaded.predict(X.iloc[:, :3])
    with pytest.raises(InvalidParameterError, match="at"):
        loaded.predict(X, params={"at": "first"})
    assert np.array_equal(loaded.predict(X[X.columns[::-1]]), setosa())


def test_settings_can_be_others_when_it_is_loaded(logged, caplog):
    """Only those that it was stored with, as in MLflow; a YAML file will do."""
    loaded = skledger.pyfunc.load_model(logged.model_uri, model_config={"threshold": 0.99})
    assert np.array_equal(loaded.predict(X), setosa(0.99))
    assert loaded.model_config["deep"] == {"er": [1, None]}
    Path("c.yaml").write_text("threshold: 0.9\nnonsense: 1\n")
    with caplog.at_level(logging.WARNING, "skledger"):
        loaded = skledger.pyfunc.load_model(logged.model_uri, model_config="c.yaml")
    assert np.array_equal(loaded.predict(X), setosa(0.9)) and "nonsense" in caplog.text
    with pytest.raises(MissingFileError, match=r"gone\.yaml"):
        skledger.pyfunc.load_model(logged.model_uri, model_config="gone.yaml")
    with pytest.raises(InvalidParameterError, match="dictionary"):
        skledger.pyfunc.load_model(logged.model_uri, model_config=[1])


def saved(model, name="m", **options):
    """Save a model and load it."""
    skledger.pyfunc.save_model(name, python_model=model, **options)
    return skledger.pyfunc.load_model(name)


def test_predict_may_leave_out_what_it_does_not_use(caplog):
    """Without a context, without params, with a context of another name; MLflow's rule."""

    class Plain(skledger.pyfunc.PythonModel):
        def predict(self, model_input):
            return len(model_input)

    class Other(skledger.pyfunc.PythonModel):
        def predict(self, ctx, data, params=None):
            return sorted(ctx.artifacts), len(data), params

    class Newer(skledger.pyfunc.PythonModel):
        def predict(self, model_input, params=None):
            return params

    assert saved(Other(), "other").predict([1, 2]) == ([], 2, None)
    signature = infer_signature([1.0], [1.0], params={"k": 1})
    assert saved(Newer(), "newer", signature=signature).predict([1.0], {"k": 2}) == {"k": 2}
    plain = saved(Plain(), "plain", signature=signature)
    with caplog.at_level(logging.WARNING, "skledger"):
        assert plain.predict([1.0, 2.0], params={"k": 3}) == 2
    assert "Plain.predict has no argument `params`" in caplog.text


def test_a_plain_function_is_a_model(run_python):
    """Of a script too, whose functions and lambdas are in the pickle; with params, if it likes."""
    saved(lambda data, params=None: (sum(data), params)).predict([1, 2])
    run_python(
        """
        import skledger as mlflow
        import numpy as np

        OFFSET = 1

        def shifted(model_input, params=None):
            return np.asarray(model_input) + OFFSET + (params or {}).get("more", 0)

        signature = mlflow.models.infer_signature(np.array([1.0]), params={"more": 0})
        mlflow.pyfunc.save_model("shifted", python_model=shifted, signature=signature)
        """,
        script=True,
    )
    loaded = skledger.pyfunc.load_model("shifted")
    assert loaded.predict(np.array([1.0]), {"more": 5}).tolist() == [7.0]
    assert "numpy" in Path("shifted/requirements.txt").read_text()
    assert "skledger==" in Path("shifted/requirements.txt").read_text()


def test_lists_come_as_lists_where_predict_says_so():
    """A signature makes a data frame of them; a hint `list[str]` or `list[dict]` undoes that."""

    def texts(model_input: list[str]) -> list[int]:
        return [len(each) for each in model_input]

    def rows(model_input: list[dict]) -> list[float]:
        return [each["a"] + each["b"] for each in model_input]

    signature = infer_signature(["a", "bc"], [1, 2])
    assert saved(texts, "texts", signature=signature).predict(["a", "bc"]) == [1, 2]
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert saved(rows, "rows", signature=infer_signature(frame)).predict(frame) == [4.0, 6.0]


def test_several_models_in_one():
    """What the object holds is stored with it, fitted estimators included."""

    class Both(skledger.pyfunc.PythonModel):
        def __init__(self, models):
            self.models = models

        def predict(self, model_input, params=None):
            return pd.DataFrame({k: m.predict(model_input) for k, m in self.models.items()})

    found = saved(Both({"a": FOREST, "b": FOREST}), input_example=X[:2])
    assert found.predict(X)["b"].tolist() == FOREST.predict(X).tolist()
    assert found.metadata.get_output_schema().input_names() == ["a", "b"]


def test_a_model_that_fails_on_its_example_is_stored_all_the_same(caplog):
    """One line says why it has no signature."""

    class Broken(skledger.pyfunc.PythonModel):
        def load_context(self, context):
            raise OSError("no licence")

        def predict(self, model_input, params=None):
            return 1

    with caplog.at_level(logging.WARNING, "skledger"):
        skledger.pyfunc.save_model("m", python_model=Broken(), input_example=X[:2])
    assert "no licence" in caplog.text and Path("m/MLmodel").is_file()
    with pytest.raises(OSError, match="no licence"):
        skledger.pyfunc.load_model("m")


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["log_model", "save_model"])
def test_every_argument_of_mlflow_is_taken_or_explained(function):
    """None is an unexpected keyword, and none is ignored."""
    mlflow = pytest.importorskip("mlflow")
    ours = inspect.signature(getattr(skledger.pyfunc, function)).parameters
    theirs = inspect.signature(getattr(mlflow.pyfunc, function)).parameters
    call = getattr(skledger.pyfunc, function)
    given = {} if function == "log_model" else {"path": "m"}
    for name in set(theirs) - set(ours) - {"kwargs"}:
        with pytest.raises(InvalidParameterError, match=f"{name}='x'.*Leave it out"):
            call(**given, python_model=len, **{name: "x"})
        default = theirs[name].default
        with pytest.raises(InvalidParameterError, match="python_model is missing"):
            call(**given, **{name: default})
    with pytest.raises(TypeError, match="nonsense"):
        call(**given, python_model=len, nonsense=1)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "python_model is missing"),
        ("train.py", "instance of the class in that file"),
        (skledger.pyfunc.PythonModel, r"instance: PythonModel\(\)"),
        (skledger.pyfunc.PythonModel(), "has no method predict"),
        (FOREST, "skledger.sklearn.log_model"),
        (42, "is a int, which is no PythonModel"),
        (lambda: 1, "function of nothing"),
        (lambda a, b: 1, "function of a, b"),
    ],
)
def test_what_is_no_model_is_explained(given, text):
    """A class, a path, an estimator, a function of something else."""
    with pytest.raises(InvalidParameterError, match=text):
        skledger.pyfunc.save_model("m", python_model=given)
    assert not Path("m").exists()


def first(data):
    return data[0]


@pytest.mark.parametrize(
    ("artifacts", "error", "text"),
    [
        ({"a": "gone.bin"}, MissingFileError, "'a' is 'gone.bin', where there is nothing"),
        ({"a": 1}, InvalidParameterError, "expected a text and a path"),
        (["a"], InvalidParameterError, "dictionary of names and paths"),
        ({"a": "hf:/bert"}, InvalidParameterError, "download it first"),
        ({"a": "."}, InvalidParameterError, "stored inside"),
        ({"a": "pipe"}, InvalidParameterError, "neither a file nor a folder"),
        ({"a": "runs:/0123456789abcdef0123456789abcdef/x"}, NotFoundError, "0123456789abcdef"),
    ],
)
def test_artifacts_that_cannot_be_are_explained(artifacts, error, text):
    """And nothing is left behind."""
    os.mkfifo("pipe")
    with pytest.raises(error, match=text):
        skledger.pyfunc.save_model("m", python_model=first, artifacts=artifacts)
    assert not Path("m").exists() and not list(Path().glob(".m*"))


def test_artifacts_of_one_name_lie_side_by_side():
    """Each keeps its name; one file under two names is stored once."""
    for number in "ab2":
        Path(number).mkdir()
        Path(number, "data.txt").write_text(number)
    given = {"a": "a/data.txt", "b": "b/data.txt", "c": "2/data.txt", "d": "2", "e": "a/data.txt"}

    class Reads(skledger.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            paths = {k: Path(v) for k, v in context.artifacts.items()}
            return {k: (p / "data.txt" if p.is_dir() else p).read_text() for k, p in paths.items()}

    told = {"a": "a", "b": "b", "c": "2", "d": "2", "e": "a"}
    assert saved(Reads(), artifacts=given).predict(1) == told
    assert len([p for p in Path("m/artifacts").rglob("*") if p.is_file()]) == 4


def test_artifacts_come_from_runs_and_models_too(logged):
    """A file of a run, and a model whose files are those that were booked."""
    with skledger.start_run() as run:
        skledger.log_text("hello", "greetings/a.txt")
    uris = {"text": f"runs:/{run.info.run_id}/greetings/a.txt", "model": logged.model_uri}

    class Reads(skledger.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            inner = skledger.pyfunc.load_model(context.artifacts["model"])
            return Path(context.artifacts["text"]).read_text(), inner.predict(model_input)

    text, predicted = saved(Reads(), artifacts=uris).predict(X)
    assert text == "hello" and np.array_equal(predicted, setosa())
    (folder_of(logged) / "python_model.pkl").write_bytes(b"other")
    with pytest.raises(ModelIntegrityError, match=r"python_model\.pkl"):
        skledger.pyfunc.save_model("n", python_model=Reads(), artifacts=uris)


def test_passwords_in_uris_are_not_written(monkeypatch):
    """`MLmodel` says where an artifact came from, without who fetched it."""
    Path("x.txt").write_text("x")
    monkeypatch.setattr("skledger.tracking.python_models.download_artifacts", lambda uri: "x.txt")
    uri = "https://me:secret@host/x.txt?token=secret"
    skledger.pyfunc.save_model("m", python_model=first, artifacts={"x": uri})
    assert "secret" not in Path("m/MLmodel").read_text()


def test_the_bound_on_size_counts_artifacts(monkeypatch):
    """`SKLEDGER_MAX_MODEL_SIZE`."""
    Path("large.bin").write_bytes(b"0" * 50_000)
    monkeypatch.setenv("SKLEDGER_MAX_MODEL_SIZE", "40 KB")
    with pytest.raises(ModelTooLargeError):
        skledger.pyfunc.save_model("m", python_model=first, artifacts={"x": "large.bin"})
    assert not Path("m").exists()


# -- safety ----------------------------------------------------------------------------------------


def loads(info, **options):
    return skledger.pyfunc.load_model(info.model_uri, **options)


@pytest.mark.parametrize(
    "name",
    ["MLmodel", "python_model.pkl", "artifacts/forest.joblib", "artifacts/notes/deep/er.txt"],
)
@pytest.mark.parametrize("change", ["changed", "gone"])
def test_nothing_runs_when_a_file_is_another(logged, name, change, monkeypatch):
    """The digests are compared before anything is unpickled."""
    file = folder_of(logged) / name
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b" ")
    ran = []
    monkeypatch.setattr(
        "skledger.models.python_model_loading._unpickled", lambda content: ran.append(1)
    )
    with pytest.raises(ModelIntegrityError, match=Path(name).name):
        loads(logged)
    assert not ran


def test_files_that_were_put_among_the_artifacts_are_refused(logged):
    """A model may open whatever lies in a folder of its artifacts."""
    notes = folder_of(logged) / "artifacts" / "notes"
    (notes / "more.txt").write_text("unbooked")
    with pytest.raises(ModelIntegrityError, match=r"more\.txt.*not booked"):
        loads(logged)
    assert np.array_equal(loads(logged, verify=False).predict(X), setosa())
    (notes / "more.txt").unlink()
    (folder_of(logged) / "others").mkdir()
    (folder_of(logged) / "others" / "x.txt").write_text("unbooked")
    (notes / "link").symlink_to(folder_of(logged) / "others")
    with pytest.raises(ModelIntegrityError, match=r"link.*not booked"):
        loads(logged)


@pytest.mark.parametrize("place", ["../secret.txt", "/etc/hostname", "artifacts/../../secret.txt"])
def test_artifacts_do_not_lead_out_of_the_folder(files, place):
    """Not by a path in `MLmodel`, nor by a link."""
    skledger.pyfunc.save_model(
        "m", python_model=thresholded(), artifacts=files, model_config={"threshold": 1}
    )
    Path("secret.txt").write_text("secret")
    described = yaml.safe_load(Path("m/MLmodel").read_text())
    described["flavors"]["python_function"]["artifacts"]["notes"]["path"] = place
    Path("m/MLmodel").write_text(yaml.safe_dump(described))
    with pytest.raises(ModelError, match="outside"):
        skledger.pyfunc.load_model("m")


def test_links_do_not_lead_out_of_the_folder(files):
    """Whatever vouches for the folder."""
    skledger.pyfunc.save_model(
        "m", python_model=thresholded(), artifacts=files, model_config={"threshold": 1}
    )
    Path("secret.txt").write_text("secret")
    Path("m/artifacts/notes/leak.txt").symlink_to(Path("secret.txt").absolute())
    with pytest.raises(ModelError, match="outside"):
        skledger.pyfunc.load_model("m")


def test_what_runs_no_code_is_all_that_may_be_loaded(logged, monkeypatch):
    """`allow_pickle=False` and the variable refuse it, whoever booked it."""
    with pytest.raises(ModelError, match="PythonModel, which runs code"):
        loads(logged, allow_pickle=False)
    monkeypatch.setenv("SKLEDGER_ALLOW_PICKLE", "0")
    with pytest.raises(ModelError, match="SKLEDGER_ALLOW_PICKLE=0"):
        loads(logged, verify=False)


def test_it_is_loaded_by_its_own_function(logged):
    """`sklearn.load_model` says by which; arrays cannot be mapped."""
    with pytest.raises(ModelError, match=r"skledger\.pyfunc\.load_model"):
        skledger.sklearn.load_model(logged.model_uri)
    with pytest.raises(InvalidParameterError, match="mmap_mode"):
        loads(logged, mmap_mode="r")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"python_model": None}, "names no file"),
        ({"python_model": "../x.pkl"}, "outside"),
        ({"model_code_path": "train.py"}, "stored as a script"),
        ({"python_model_compression": "lzma"}, "stored compressed"),
        ({"artifacts": [1]}, "expected names"),
        ({"artifacts": {"a": {"uri": "x"}}}, "names no path"),
        ({"artifacts": {"a": {"path": "artifacts/gone"}}}, "missing"),
        ({"loader_module": "mlflow.pyfunc.loaders.chat_model"}, r"flavors are"),
    ],
)
def test_a_description_that_cannot_be_is_explained(change, text):
    """Of a folder that somebody wrote by hand, or another version of MLflow."""
    skledger.pyfunc.save_model("m", python_model=first)
    described = yaml.safe_load(Path("m/MLmodel").read_text())
    described["flavors"]["python_function"].update(change)
    Path("m/MLmodel").write_text(yaml.safe_dump(described))
    with pytest.raises(ModelError, match=text):
        skledger.pyfunc.load_model("m")


# -- modules of the user's -------------------------------------------------------------------------


def test_modules_beside_the_script_travel_with_the_model(run_python, tmp_path):
    """As for estimators: stored in `code/`, found where they are not importable."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "my_wrapper.py").write_text(
        "import skledger as mlflow\nimport my_numbers\n\n\n"
        "class Shifted(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, model_input, params=None):\n"
        "        return [each + my_numbers.OFFSET for each in model_input]\n"
    )
    (project / "my_numbers.py").write_text("OFFSET = 10\n")
    train = """
        import sys
        sys.path.insert(0, "project")
        import skledger as mlflow
        from my_wrapper import Shifted
        print(mlflow.pyfunc.log_model(name="m", python_model=Shifted()).model_uri)
        """
    done = run_python(train)
    assert "must be importable" not in done.stderr
    uri = done.stdout.split()[-1]
    found = folder_of(skledger.models.get_model_info(uri)) / "code"
    assert sorted(os.listdir(found)) == ["my_numbers.py", "my_wrapper.py"]
    shutil.rmtree(project)
    for module in ("skledger", "mlflow"):
        run_python(
            f"""
            import {module} as mlflow
            mlflow.set_tracking_uri({STORE!r})
            print(mlflow.pyfunc.load_model({uri!r}).predict([1]))
            assert mlflow.pyfunc.load_model({uri!r}).predict([1]) == [11]
            """
        )
    (found / "my_numbers.py").write_text("OFFSET = 11\n")
    with pytest.raises(ModelIntegrityError, match="my_numbers"):
        skledger.pyfunc.load_model(uri)


# -- MLflow ----------------------------------------------------------------------------------------


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """The real one, on our store."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow = pytest.importorskip("mlflow")
    # It remembers what it knows of a URI, and a relative one is another in each test.
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/skledger.db")
    yield mlflow
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)


def test_mlflow_loads_ours(logged, mlflow):
    """Predictions, params, settings, signature, example, the user's own object; by every URI."""
    run_id = skledger.get_logged_model(logged.model_id).source_run_id
    for uri in (logged.model_uri, f"runs:/{run_id}/iris", "models:/wrapped/1", folder_of(logged)):
        theirs = mlflow.pyfunc.load_model(str(uri))
        assert np.array_equal(theirs.predict(X), setosa())
    assert np.array_equal(theirs.predict(X, params={"at": 1}), setosa(at=1))
    assert theirs.unwrap_python_model().twice() == 8
    assert theirs.model_config == {"threshold": 0.5, "deep": {"er": [1, None]}}
    other = mlflow.pyfunc.load_model(logged.model_uri, model_config={"threshold": 0.99})
    assert np.array_equal(other.predict(X), setosa(0.99))
    info = mlflow.models.get_model_info(logged.model_uri)
    assert info.signature.inputs.input_names() == list(X.columns)
    assert info.metadata == {"by": "me"}
    with pytest.raises(mlflow.exceptions.MlflowException, match="petal width"):
        theirs.predict(X.iloc[:, :3])


def test_mlflow_loads_our_functions(mlflow):
    """Also those with hints, which it asks for."""

    def texts(model_input: list[str]) -> list[int]:
        return [len(each) for each in model_input]

    signature = infer_signature(["a", "bc"], [1, 2])
    skledger.pyfunc.save_model("m", python_model=texts, signature=signature)
    assert mlflow.pyfunc.load_model("m").predict(["a", "bc"]) == [1, 2]
    skledger.pyfunc.save_model("n", python_model=lambda data: len(data))
    assert mlflow.pyfunc.load_model("n").predict([1, 2]) == 2


def log_theirs(mlflow, files):
    class Thresholded(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            self.model = joblib.load(context.artifacts["estimator"])

        def predict(self, context, model_input, params=None):
            at = (params or {}).get("at", 0)
            found = self.model.predict_proba(model_input)[:, at]
            return (found > context.model_config["threshold"]).astype(int)

    return {
        "python_model": Thresholded(),
        "artifacts": {name: str(path) for name, path in files.items()},
        "model_config": {"threshold": 0.5},
        "signature": mlflow.models.infer_signature(X, np.array([1]), {"at": 0}),
        "pip_requirements": ["scikit-learn"],
    }


def test_we_load_what_mlflow_logged(files, mlflow):
    """On the caller's word, for nobody has booked its digests; a path is one."""
    given = log_theirs(mlflow, files)
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(name="theirs", **given)
    with pytest.raises(ModelIntegrityError, match="No digest is booked"):
        skledger.pyfunc.load_model(info.model_uri)
    ours = skledger.pyfunc.load_model(info.model_uri, verify=False)
    assert np.array_equal(ours.predict(X), setosa())
    assert np.array_equal(ours.predict(X, params={"at": 1}), setosa(at=1))
    assert type(ours.unwrap_python_model()).__name__ == "Thresholded"
    mlflow.pyfunc.save_model("theirs", **given)
    loaded = skledger.pyfunc.load_model("theirs", model_config={"threshold": 0.99})
    assert np.array_equal(loaded.predict(X), setosa(0.99))


def test_a_class_of_mlflow_can_be_logged_here(files, mlflow):
    """Scripts with both need not be written anew; models for language are refused."""
    given = log_theirs(mlflow, files)
    given.pop("signature")
    with skledger.start_run():
        info = skledger.pyfunc.log_model(name="m", **given)
    assert np.array_equal(skledger.pyfunc.load_model(info.model_uri).predict(X), setosa())
    assert np.array_equal(mlflow.pyfunc.load_model(info.model_uri).predict(X), setosa())

    class Chat(mlflow.pyfunc.ChatModel):
        def predict(self, context, messages, params):
            return None

    with pytest.raises(InvalidParameterError, match="language models"):
        skledger.pyfunc.save_model("n", python_model=Chat())


def test_mlflow_need_not_be_installed(files, mlflow, run_python):
    """Its classes are ours then; with a function comes a second copy of the signature."""

    def doubled(model_input):
        return model_input * 2

    given = log_theirs(mlflow, files)
    mlflow.pyfunc.save_model("theirs", **given)
    mlflow.pyfunc.save_model(
        "function", python_model=doubled, input_example=X[:2], pip_requirements=["pandas"]
    )
    run_python(
        """
        import sys
        sys.modules["mlflow"] = None
        import skledger.pyfunc
        from sklearn.datasets import load_iris

        X = load_iris(as_frame=True).data
        model = skledger.pyfunc.load_model("theirs")
        assert model.predict(X).sum() == 50, model.predict(X)
        assert isinstance(model.unwrap_python_model(), skledger.pyfunc.PythonModel)
        assert skledger.pyfunc.load_model("function").predict(X).equals(X * 2)
        """
    )


def test_models_go_through_a_server(files, mlflow, mlflow_server, tmp_path):  # noqa: F811
    """Before they are sent and after, by us and by MLflow; a signature that is set later too."""
    skledger.set_tracking_uri(mlflow_server.uri)
    mlflow.set_tracking_uri(mlflow_server.uri)
    skledger.set_experiment("models of the users' making")
    given = {"artifacts": files, "model_config": {"threshold": 0.5}}
    with skledger.start_run():
        info = skledger.pyfunc.log_model(name="m", python_model=thresholded(), **given)
    skledger.models.set_signature(info.model_uri, infer_signature(X))
    assert np.array_equal(loads(info).predict(X), setosa())
    assert skledger.flush(60)
    [run] = mlflow.search_runs(
        experiment_names=["models of the users' making"], output_format="list"
    )
    uri = f"models:/{run.outputs.model_outputs[0].model_id}"
    assert np.array_equal(mlflow.pyfunc.load_model(uri).predict(X), setosa())
    skledger.models.set_signature(uri, SIGNATURE)
    assert skledger.flush(60)
    skledger.tracking.session.reset()
    skledger.set_tracking_uri(mlflow_server.uri)
    for found in (skledger.pyfunc.load_model(uri), mlflow.pyfunc.load_model(uri)):
        assert np.array_equal(found.predict(X), setosa())
        assert found.metadata.signature.to_dict() == SIGNATURE.to_dict()


# -- served and looked at --------------------------------------------------------------------------


def invoke(*arguments, **options):
    result = CliRunner().invoke(main, arguments, **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_requests_are_answered(logged):
    """`skledger models serve`: data, params, what cannot be taken, and the page."""
    from _scoring_server import ScoringServer

    rows = {"dataframe_split": {"columns": list(X.columns), "data": X[:60].values.tolist()}}
    with ScoringServer(logged.model_uri, ".") as server:
        assert "(Thresholded)" in server.text()
        assert server.predictions(rows) == setosa()[:60].tolist()
        assert server.predictions({**rows, "params": {"at": 1}}) == setosa(at=1)[:60].tolist()
        assert "petal" in server.refusal({"dataframe_records": [{"a": 1}]})["message"]
        assert server.refusal({**rows, "params": {"nonsense": 1}})["field"] == "params.nonsense"
        assert "Thresholded" in server.client.get("/docs").text


def test_files_are_predicted(logged):
    """`skledger models predict`, also of records and of dictionaries of columns."""
    X.to_csv("in.csv", index=False)
    done = invoke("models", "predict", "-m", logged.model_uri, "-i", "in.csv", "-o", "out.csv")
    assert done.exit_code == 0, done.output
    assert pd.read_csv("out.csv")["predictions"].tolist() == setosa().tolist()

    def records(model_input):
        return [{"n": each} for each in range(len(model_input))]

    skledger.pyfunc.save_model("m", python_model=records)
    assert invoke("models", "predict", "-m", "m", "-i", "in.csv", "-o", "r.csv").exit_code == 0
    assert pd.read_csv("r.csv")["n"].tolist() == list(range(150))
    skledger.pyfunc.save_model("d", python_model=lambda data: {"n": [1] * len(data)})
    assert invoke("models", "predict", "-m", "d", "-i", "in.csv", "-o", "d.csv").exit_code == 0
    assert pd.read_csv("d.csv")["n"].sum() == 150


def test_it_is_checked(logged):
    """`skledger models check`: without running it."""
    done = invoke("models", "check", logged.model_uri)
    assert done.exit_code == 0, done.output
    assert "PythonModel, by cloudpickle" in done.output and "sepal" in done.output
    (folder_of(logged) / "artifacts" / "notes" / "note.txt").write_text("other")
    done = invoke("models", "check", logged.model_uri)
    assert done.exit_code == 1 and "note.txt" in done.output


# -- set_signature ---------------------------------------------------------------------------------

SIGNATURE = infer_signature(X, np.array([1]))


@pytest.fixture
def unsigned():
    """An estimator that was logged without a signature."""
    with skledger.start_run():
        return skledger.sklearn.log_model(FOREST, name="m")


def test_a_model_gets_a_signature_afterwards(unsigned):
    """Its file and its digest are new, everything else stays; it loads verified."""
    run_id = skledger.get_logged_model(unsigned.model_id).source_run_id
    before = (folder_of(unsigned) / "MLmodel").read_text()
    skledger.models.set_signature(f"runs:/{run_id}/m", SIGNATURE)
    loaded = skledger.pyfunc.load_model(unsigned.model_uri)
    assert loaded.metadata.signature == SIGNATURE
    assert np.array_equal(loaded.predict(X), FOREST.predict(X))
    assert invoke("models", "check", unsigned.model_uri).exit_code == 0
    now = yaml.safe_load((folder_of(unsigned) / "MLmodel").read_text())
    now.pop("signature")
    assert now == yaml.safe_load(before)
    assert skledger.models.Model.load(unsigned.model_uri).signature == SIGNATURE
    assert skledger.models.Model.load(folder_of(unsigned)).signature == SIGNATURE


def test_mlflow_sees_the_new_signature(unsigned, mlflow):
    """And we see the one that it sets, of a folder."""
    skledger.models.set_signature(unsigned.model_uri, SIGNATURE)
    theirs = mlflow.models.get_model_info(unsigned.model_uri).signature
    assert theirs.inputs.input_names() == list(X.columns)
    skledger.sklearn.save_model(FOREST, "folder")
    skledger.models.set_signature("folder", SIGNATURE)
    assert mlflow.models.get_model_info("folder").signature.to_dict() == SIGNATURE.to_dict()
    mlflow.models.set_signature("folder", mlflow.models.infer_signature(X[["sepal width (cm)"]]))
    assert len(skledger.models.Model.load("folder").signature.inputs) == 1


def test_a_tampered_model_gets_no_signature(unsigned):
    """Booking it anew would vouch for what somebody else wrote."""
    file = folder_of(unsigned) / "MLmodel"
    file.write_text(file.read_text() + "# changed\n")
    with pytest.raises(ModelIntegrityError, match="MLmodel"):
        skledger.models.set_signature(unsigned.model_uri, SIGNATURE)
    assert file.read_text().endswith("# changed\n")


def test_when_it_cannot_be_booked_the_model_stays_as_it_was(unsigned, monkeypatch):
    """Wholly or not at all."""
    before = (folder_of(unsigned) / "MLmodel").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("skledger.TrackingClient.set_logged_model_tags", fail)
        with pytest.raises(OSError, match="disk full"):
            skledger.models.set_signature(unsigned.model_uri, SIGNATURE)
    assert (folder_of(unsigned) / "MLmodel").read_bytes() == before
    assert loads(unsigned).metadata.signature is None


def test_models_of_many_files_get_one_too():
    """Their digests are in a file, which one digest stands for."""
    Path("many").mkdir()
    for number in range(200):
        Path("many", f"a-file-with-quite-a-long-name-{number}.txt").write_text(str(number))
    with skledger.start_run():
        info = skledger.pyfunc.log_model(name="m", python_model=first, artifacts={"many": "many"})
    assert (folder_of(info) / "digests.json").is_file()
    skledger.models.set_signature(info.model_uri, SIGNATURE)
    assert loads(info).metadata.signature == SIGNATURE
    Path(folder_of(info), "artifacts/many/new.txt").write_text("unbooked")
    with pytest.raises(ModelIntegrityError, match=r"new\.txt"):
        loads(info)


def test_where_mlflow_put_models_shows_the_new_one(tmp_path):
    """In MLflow's folders the run shows the files of its models, which stay the same ones."""
    skledger.set_tracking_uri((tmp_path / "mlruns").as_uri())
    with skledger.start_run() as run:
        old = skledger.sklearn.log_model(FOREST, name="m")
    shown = tmp_path / "mlruns" / "0" / run.info.run_id / "artifacts" / "m" / "MLmodel"
    skledger.models.set_signature(old.model_uri, SIGNATURE)
    assert "signature" in shown.read_text()
    assert shown.read_text() == (folder_of(old) / "MLmodel").read_text()
    assert loads(old).metadata.signature == SIGNATURE


def test_what_gets_no_signature_is_explained(logged):
    """Versions of a registered model, and what is no signature."""
    with pytest.raises(InvalidParameterError, match="stays as it is"):
        skledger.models.set_signature("models:/wrapped/1", SIGNATURE)
    with pytest.raises(InvalidParameterError, match="infer_signature"):
        skledger.models.set_signature(logged.model_uri, None)
    with pytest.raises(NotFoundError):
        skledger.models.set_signature("gone", SIGNATURE)


# -- small ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "text"),
    [
        ("pyfunc", "spark_udf", "load_model"),
        ("pyfunc", "ChatModel", "MLflow itself"),
        ("pyfunc", "get_model_dependencies", r"requirements\.txt"),
        ("models", "evaluate", r"sklearn\.metrics"),
        ("models", "validate_serving_input", "skledger models predict"),
        ("models", "predict", r"pyfunc\.load_model"),
    ],
)
def test_names_that_are_not_there_say_what_is(module, name, text):
    """An AttributeError that `hasattr` understands; other names are plainly missing."""
    found = getattr(skledger, module)
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; use .*{text}"):
        getattr(found, name)
    assert not hasattr(found, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        _ = found.nonsense


def test_a_model_is_told_in_a_few_lines(logged):
    """However many columns it takes; two that are equal are equal still."""
    text = repr(logged)
    assert text.startswith(f"ModelInfo(model_uri='{logged.model_uri}', name='iris',\n  run_id='")
    assert len(text.splitlines()) == 5 and max(map(len, text.splitlines())) < 100
    assert "...] (4 in all)" in text and "'at': long" in text
    assert logged == dataclasses.replace(logged) != dataclasses.replace(logged, name="other")
    plain = dataclasses.replace(logged, signature=None)
    assert len(repr(plain).splitlines()) == 2


def test_importing_it_is_light(run_python):
    """The base class too."""
    run_python(
        """
        import sys
        import skledger.pyfunc
        class Mine(skledger.pyfunc.PythonModel): ...
        heavy = ("sklearn", "pandas", "numpy", "yaml", "cloudpickle", "sqlalchemy")
        assert not [name for name in heavy if name in sys.modules]
        """
    )


def test_the_portrait_of_a_run_says_how_it_is_loaded(logged):
    """`skledger show`."""
    done = invoke("show", json.loads(invoke("runs", "--json").output)[0]["run_id"])
    assert f'skledger.pyfunc.load_model("{logged.model_uri}")' in done.output
