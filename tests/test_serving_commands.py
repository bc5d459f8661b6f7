"""`skledger models predict` and `skledger models check`."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

import skledger
import skledger.sklearn
from skledger.cli import main
from skledger.models import infer_signature

X, y = load_iris(return_X_y=True, as_frame=True)
NAMES = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})


@pytest.fixture
def model():
    """A classifier with a signature, logged in a run: itself and its URI."""
    model = LogisticRegression(max_iter=500).fit(X, NAMES)
    with skledger.start_run():
        signature = infer_signature(X, model.predict(X))
        info = skledger.sklearn.log_model(model, name="m", signature=signature)
    return model, info.model_uri


def folder_of(uri):
    model_id = uri.rpartition("/")[2]
    return Path(skledger.get_logged_model(model_id).artifact_location)


def invoke(*arguments, **options):
    result = CliRunner().invoke(main, arguments, **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def predict(uri, *arguments, **kwargs):
    return invoke("models", "predict", "-m", uri, *arguments, **kwargs)


# -- predict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", ["7", "150", "100000"])
def test_a_file_of_data_becomes_one_of_predictions(model, chunk):
    """In the order of the rows, however large the parts are; the column to predict may be there."""
    estimator, uri = model
    X.assign(target=NAMES)[["target", *X.columns[::-1]]].to_csv("in.csv", index=False)
    done = predict(uri, "-i", "in.csv", "-o", "out.csv", "--chunk", chunk)
    assert done.exit_code == 0, done.output
    assert "Predicted 150 rows into out.csv." in done.output
    assert pd.read_csv("out.csv")["predictions"].tolist() == estimator.predict(X).tolist()
    assert sorted(os.listdir(".")) == sorted({*os.listdir("."), "in.csv", "out.csv"})
    done = predict(uri, "-i", "in.csv", "-o", "out.json", "--chunk", chunk)
    assert json.loads(Path("out.json").read_text()) == {
        "predictions": estimator.predict(X).tolist()
    }
    assert not [name for name in os.listdir(".") if name.startswith(".out")]


def test_probabilities_have_the_names_of_their_classes(model):
    """`--method`; every digit is kept."""
    estimator, uri = model
    X.to_csv("in.csv", index=False)
    assert predict(uri, "-i", "in.csv", "-o", "p.csv", "--method", "predict_proba").exit_code == 0
    found = pd.read_csv("p.csv", float_precision="round_trip")
    assert list(found.columns) == ["setosa", "versicolor", "virginica"]
    assert np.array_equal(found.to_numpy(), estimator.predict_proba(X))
    done = predict(uri, "-i", "in.csv", "-o", "p.csv", "--method", "fit")
    assert done.exit_code == 1
    assert "predict_proba" in done.output
    assert len(pd.read_csv("p.csv")) == 150  # the file that was there has stayed


def test_pipes_and_json(model):
    """The standard input and output; JSON in the forms of requests."""
    estimator, uri = model
    done = predict(uri, input=X.to_csv(index=False).encode())
    assert done.output.splitlines() == ["predictions", *estimator.predict(X)]
    body = {"dataframe_split": {"columns": list(X.columns), "data": X.to_numpy().tolist()}}
    Path("in.json").write_text(json.dumps(body))
    assert (
        json.loads(predict(uri, "-i", "in.json").output)["predictions"]
        == estimator.predict(X).tolist()
    )
    done = predict(uri, "-i", "in.json", "--output-type", "csv")
    assert done.output.splitlines()[0] == "predictions"
    done = predict(uri, "-t", "json", input=json.dumps({"instances": [[1.0]]}).encode())
    assert done.exit_code == 1
    assert "instances" in done.output


def test_wrong_data_leaves_no_file(model):
    """One message, exit code 1, and nothing half."""
    _, uri = model
    frame = X.astype(object)
    frame.iloc[120, 2] = "x"
    frame.to_csv("in.csv", index=False)
    for options in (("--chunk", "50"), ()):
        done = predict(uri, "-i", "in.csv", "-o", "out.csv", *options)
        assert done.exit_code == 1
        assert "row" in done.output and "Traceback" not in done.output
        assert not Path("out.csv").exists()
    assert predict(uri, "-i", "nothing.csv").exit_code == 1
    X.iloc[:, :2].to_csv("few.csv", index=False)
    assert "petal width" in predict(uri, "-i", "few.csv").output


def test_types_stay_in_files(tmp_path):
    """Dates, categories with gaps, and a file of many parts with all of them."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    frame = pd.DataFrame(
        {
            "day": pd.date_range("2020-01-01", periods=60, freq="17h"),
            "kind": ["a", "b", None] * 20,
            "count": pd.array([1, None, 3] * 20, dtype="Int64"),
        }
    )
    model = make_pipeline(
        make_column_transformer(
            (FunctionTransformer(weekday), ["day"]),
            (OneHotEncoder(sparse_output=False), ["kind"]),
            remainder="passthrough",
            verbose_feature_names_out=False,
        ).set_output(transform="pandas"),
        HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=1),
    ).fit(frame, [0, 1, 2] * 20)
    skledger.sklearn.save_model(model, tmp_path / "m", signature=infer_signature(frame))
    frame.to_csv("in.csv", index=False)
    done = predict(str(tmp_path / "m"), "-i", "in.csv", "-o", "out.csv", "--chunk", "13")
    assert done.exit_code == 0, done.output
    assert pd.read_csv("out.csv")["predictions"].tolist() == model.predict(frame).tolist()


def weekday(frame):
    return frame["day"].dt.dayofweek.to_frame()


def test_several_outputs_are_json_only(tmp_path):
    """Their probabilities are no table."""
    model = MultiOutputClassifier(LogisticRegression(max_iter=500)).fit(X, np.c_[y, y == 0])
    skledger.sklearn.save_model(model, tmp_path / "m", input_example=X[:2])
    X.to_csv("in.csv", index=False)
    options = (str(tmp_path / "m"), "-i", "in.csv", "--method", "predict_proba")
    assert "--output-type json" in predict(*options).output
    assert predict(str(tmp_path / "m"), "-i", "in.csv").output.startswith(
        "predictions_0,predictions_1\n"
    )


# -- check -----------------------------------------------------------------------------------------


def check(uri, *options):
    return invoke("models", "check", uri, *options)


def test_a_model_that_fits_is_reported(model):
    """Exit code 0; digests, format, size, signature and versions."""
    done = check(model[1])
    assert done.exit_code == 0, done.output
    for word in (
        "digests",
        "that were booked",
        "cloudpickle",
        "kB",
        "'sepal length (cm)': double",
        "the same",
    ):
        assert word in done.output, word
    told = json.loads(check(model[1], "--json").output)
    assert told["differs"] is False and told["versions"] == []


def test_other_versions_are_listed(model, tmp_path):
    """With what to install, and exit code 1; nothing of the model is loaded."""
    skledger.sklearn.save_model(model[0], tmp_path / "m")
    for name in ("MLmodel", "requirements.txt"):
        file = tmp_path / "m" / name
        import sklearn

        file.write_text(file.read_text().replace(sklearn.__version__, "0.24.2"))
    done = check(str(tmp_path / "m"))
    assert done.exit_code == 1
    assert "0.24.2 when it was saved" in done.output and "pip install" in done.output
    told = json.loads(check(str(tmp_path / "m"), "--json").output)
    assert {"name": "scikit-learn", "booked": "0.24.2", "here": sklearn.__version__} in told[
        "versions"
    ]


class Command:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {Path.cwd() / 'executed'}",)


def test_changed_files_are_named_and_nothing_is_executed(model):
    """Changed, missing and added ones."""
    folder = folder_of(model[1])
    (folder / "model.pkl").write_bytes(pickle.dumps(Command()))
    (folder / "requirements.txt").unlink()
    (folder / "added.py").write_text("")
    done = check(model[1], "--json")
    assert done.exit_code == 1
    texts = [each["text"] for each in json.loads(done.output)["findings"] if each["differs"]]
    for name, word in (
        ("model.pkl", "not the file"),
        ("requirements.txt", "missing"),
        ("added.py", "not booked"),
    ):
        assert any(name in text and word in text for text in texts), (name, texts)
    assert predict(model[1], input=X.to_csv(index=False).encode()).exit_code == 1
    assert not Path("executed").exists()


def test_what_is_no_model_is_said(tmp_path):
    """No folder, a folder without MLmodel, another library's model."""
    assert check(str(tmp_path / "nothing")).exit_code == 1
    (tmp_path / "empty").mkdir()
    assert "MLmodel" in check(str(tmp_path / "empty")).output
    (tmp_path / "empty" / "MLmodel").write_text("flavors: {onnx: {}}\n")
    done = check(str(tmp_path / "empty"))
    assert done.exit_code == 1 and "no scikit-learn model" in done.output
