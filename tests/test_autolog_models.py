"""What autologging stores with a model: signature, example, format, and size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import Birch, KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skledger
import skledger.pyfunc
import skledger.sklearn
from skledger.errors import InvalidParameterError
from skledger.models import get_model_info, infer_signature


def info_of_last():
    return get_model_info(skledger.last_logged_model().model_uri)


def frame():
    return pd.DataFrame(
        {
            "size": [1.0, np.nan, 3.0, 4.0, 5.0, 6.0],
            "rooms": [1, 2, 3, 4, 5, 6],
            "wide": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
            "kind": pd.Categorical(list("aababb")),
            "sold": pd.date_range("2026-01-01", periods=6),
        }
    )


class Robust(ClassifierMixin, BaseEstimator):
    """Takes any frame, and writes to it while it is trained."""

    def fit(self, X, y):
        X["rooms"] = -1
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_a_signature_is_stored_by_default(binary):
    """What `infer_signature` says of the training data and of the predictions for it."""
    X, y = binary
    with skledger.autolog():
        model = LogisticRegression().fit(X, y)
    info = info_of_last()
    assert info.signature == infer_signature(X, model.predict(X))
    assert info.saved_input_example_info is None
    loaded = skledger.pyfunc.load_model(info.model_uri)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(InvalidParameterError, match="30"):
        loaded.predict(X[:, :3])


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (LinearRegression, lambda X: pd.DataFrame(X).rename(columns=str)),
        (KMeans, lambda X: X),
        (LogisticRegression, sp.csr_matrix),
        (GaussianNB, lambda X: X.tolist()),
        (lambda: make_pipeline(StandardScaler(), LogisticRegression()), lambda X: X),
    ],
    ids=["frame", "clusters", "sparse", "lists", "pipeline"],
)
def test_any_data_gives_a_signature_that_it_fits(multiclass, make, data):
    """The data that a model was trained on passes its own signature."""
    X, y = data(multiclass[0]), multiclass[1]
    with skledger.autolog():
        model = make().fit(X, y)
    info = info_of_last()
    assert info.signature.inputs is not None and info.signature.outputs is not None
    loaded = skledger.pyfunc.load_model(info.model_uri)
    assert np.array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, lambda t: np.array(t, dtype=object)])
def test_texts_have_a_signature_too(kind):
    """A vectorizer before a classifier gets texts as it knows them, in MLflow too."""
    mlflow = pytest.importorskip("mlflow")
    texts = kind(["good film", "bad film", "good play", "bad play"])
    with skledger.autolog(log_input_examples=True):
        model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    info = info_of_last()
    assert info.signature.inputs.is_tensor_spec()
    loaded = skledger.pyfunc.load_model(info.model_uri)
    assert np.array_equal(loaded.predict(texts), model.predict(texts))
    theirs = mlflow.pyfunc.load_model(skledger.last_logged_model().artifact_location)
    asked = np.asarray(texts)
    assert np.array_equal(theirs.predict(asked), model.predict(texts))


def test_the_example_is_taken_before_training_can_change_it():
    """Five rows, of every dtype that a frame can have."""
    X = frame()
    expected = X.head(5).copy()
    with skledger.autolog(log_input_examples=True):
        Robust().fit(X, [0, 1, 0, 1, 0, 1])
    assert X["rooms"].tolist() == [-1] * 6
    info = info_of_last()
    columns = {each.name: (each.type.name, each.required) for each in info.signature.inputs}
    assert columns == {
        "size": ("double", False),
        "rooms": ("long", True),
        "wide": ("long", False),
        "kind": ("string", True),
        "sold": ("datetime", True),
    }
    example = skledger.pyfunc.load_model(info.model_uri).input_example
    assert example["rooms"].tolist() == expected["rooms"].tolist()
    assert list(example.columns) == list(expected.columns) and len(example) == 5


def test_neither_is_stored_when_nobody_wants_it(binary):
    """As the options say."""
    with skledger.autolog(log_model_signatures=False):
        LogisticRegression().fit(*binary)
    assert info_of_last().signature is None


def test_a_stream_keeps_its_signature():
    """The last model of `partial_fit` has it, though the data is gone."""
    X, y = np.arange(12.0).reshape(6, 2), [0, 1, 0, 1, 0, 1]
    with skledger.autolog():
        model = GaussianNB().partial_fit(X, y, classes=[0, 1])
        for _ in range(3):
            model.partial_fit(X, y)
        del model
    from skledger.ledger import streams

    streams.finish_all()
    assert info_of_last().signature.inputs == infer_signature(X).inputs


def test_mlflow_reads_the_signature_and_the_example(binary):
    """It enforces the one, and gives the other back."""
    mlflow = pytest.importorskip("mlflow")
    X = pd.DataFrame(binary[0]).rename(columns=str)
    with skledger.autolog(log_input_examples=True):
        model = LogisticRegression().fit(X, binary[1])
    loaded = mlflow.pyfunc.load_model(skledger.last_logged_model().artifact_location)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert loaded.input_example.shape == (5, 30)


# ---------------------------------------------------------------------------- format and size


def test_models_are_stored_in_skops(multiclass, caplog, monkeypatch):
    """What skops takes loads without any pickle; for the rest one line says what is done."""
    with skledger.autolog(serialization_format="skops"):
        model = RandomForestClassifier(5).fit(*multiclass)
        forest = info_of_last()
        for _ in range(2):
            Birch().fit(multiclass[0])
    assert forest.flavors["sklearn"]["serialization_format"] == "skops"
    loaded = skledger.sklearn.load_model(forest.model_uri, allow_pickle=False)
    assert np.array_equal(loaded.predict(multiclass[0]), model.predict(multiclass[0]))
    assert info_of_last().flavors["sklearn"]["serialization_format"] == "cloudpickle"
    assert caplog.text.count("models of Birch are stored with cloudpickle") == 1


def test_nothing_is_pickled_where_pickles_are_refused(multiclass, monkeypatch, swallowed):
    """Then what skops does not take is not stored, and the run says so."""
    monkeypatch.setenv("SKLEDGER_ALLOW_PICKLE", "0")
    with skledger.autolog(serialization_format="skops"):
        Birch().fit(multiclass[0])
    swallowed.clear()
    (run,) = skledger.search_runs(output_format="list")
    assert "the model of Birch" in run.data.tags["skledger.incomplete"]
    assert skledger.search_logged_models(output_format="list") == []


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_model_that_is_too_large_is_left_out_visibly(multiclass, monkeypatch, caplog, by):
    """One line, and a tag; the rest of the run is booked."""
    options = {"max_model_size": "20 KB"} if by == "option" else {}
    if by == "variable":
        monkeypatch.setenv("SKLEDGER_MAX_MODEL_SIZE", "20480")
    with skledger.autolog(**options):
        GaussianNB().fit(*multiclass)
        assert info_of_last().flavors
        RandomForestClassifier(50, random_state=0).fit(*multiclass)
        RandomForestClassifier(50, random_state=0).fit(*multiclass)
    forest, *_ = skledger.search_runs(output_format="list")
    assert (
        "the model of RandomForestClassifier, which is too large"
        in (forest.data.tags["skledger.incomplete"])
    )
    assert forest.data.metrics["training_accuracy_score"] == 1
    assert len(skledger.search_logged_models(output_format="list")) == 1
    assert caplog.text.count("which is too large") == 1
    kept = skledger.last_logged_model().artifact_location
    assert [each.name for each in Path(kept).parent.parent.iterdir()] == [Path(kept).parent.name]


def test_a_size_that_is_none_is_refused():
    """At once, not at the first fit."""
    for size in ("much", -1, True, 1.5):
        with pytest.raises(InvalidParameterError, match=r"max_model_size.*'500 MB'"):
            skledger.autolog(max_model_size=size)
