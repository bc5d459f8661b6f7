"""What is asked of a model, by file, by request and by call: the same answer, or a clear refusal."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import skledger.pyfunc
import skledger.sklearn
from skledger.errors import InvalidParameterError
from skledger.models import ModelSignature, infer_signature
from skledger.server.scoring.csv import read_csv_chunks
from skledger.server.scoring.scorer import load_scorer
from skledger.types import ColSpec, ParamSchema, ParamSpec, Schema

X, y = load_iris(return_X_y=True, as_frame=True)
X.columns = ["a", "b", "c", "d"]


class Echo(BaseEstimator):
    """Answers what it was asked."""

    def fit(self, X, y=None):
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict(self, X):
        return np.asarray(X, dtype=object)


def served(tmp_path, model, inputs, output=None):
    skledger.sklearn.save_model(
        model, tmp_path / "m", signature=ModelSignature(inputs, output), overwrite=True
    )
    return load_scorer(tmp_path / "m", digests=None)


def columns(**kinds):
    return Schema([ColSpec(kind, name) for name, kind in kinds.items()])


def asked_csv(scorer, text):
    return json.loads(scorer.answer_csv(text.encode()).content)["predictions"]


# CSV


@pytest.mark.parametrize("text", ["NA", "null", "None", "nan", "N/A", ""])
def test_texts_of_csv_are_those_of_json(tmp_path, text):
    """Where nothing was ever missing, what looks like nothing is a text like others."""
    scorer = served(tmp_path, Echo().fit([[1, 2]]), columns(country="string", n="long"))
    body = {"dataframe_split": {"columns": ["country", "n"], "data": [[text, 1]]}}
    expected = json.loads(scorer.answer_json(json.dumps(body).encode()).content)["predictions"]
    assert asked_csv(scorer, f'country,n\n"{text}",1\n') == expected == [[text, 1]]


def test_a_model_of_texts_that_were_missing_gets_missing_ones(tmp_path):
    """An optional column has gaps, written in any of the usual ways."""
    inputs = Schema([ColSpec("string", "s", required=False), ColSpec("double", "x")])
    scorer = served(tmp_path, Echo().fit([[1, 2]]), inputs)
    assert asked_csv(scorer, "s,x\nNA,1\na,2\n,\n") == [[None, 1.0], ["a", 2.0], [None, None]]


def test_encoded_categories_are_the_same_in_csv_and_json(tmp_path):
    """NA is Namibia."""
    frame = pd.DataFrame({"country": ["NA", "DE", "FR", "NA"]})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), DecisionTreeClassifier())
    model.fit(frame, [1, 0, 0, 1])
    scorer = served(tmp_path, model, infer_signature(frame).inputs)
    assert asked_csv(scorer, frame.to_csv(index=False)) == [1, 0, 0, 1]


@pytest.mark.parametrize("rows", [None, 1, 2, 100])
def test_a_line_that_ends_too_early_is_told(tmp_path, rows):
    """What it lacks is not taken for missing; lines with gaps are."""
    scorer = served(tmp_path, HistGradientBoostingClassifier().fit(X, y), infer_signature(X).inputs)
    good = "a,b,c,d\n5.1,3.5,1.4,\n\n6.3,2.5,5.0,1.9\n,,,\n"
    parts = [
        len(data) for _, data in read_csv_chunks(io.BytesIO(good.encode()), scorer.inputs, rows)
    ]
    assert sum(parts) == 3
    bad = io.BytesIO((good + "6.3,2.5,5.0\n").encode())
    with pytest.raises(InvalidParameterError, match="row 3 of the CSV has 3 values.* names 4"):
        list(read_csv_chunks(bad, scorer.inputs, rows))


@pytest.mark.parametrize("rows", [None, 1, 2])
def test_the_row_and_column_of_a_wrong_value_are_told(tmp_path, rows):
    """As JSON is told, in whatever part of a file it stands."""
    inputs = columns(a="double", n="long", ok="boolean")
    scorer = served(tmp_path, Echo().fit([[1, 2, 3]]), inputs)
    head = "a,n,ok\n1.0,1,True\n2.0,2,False\n3.0,3,True\n"
    for line, told in (
        ("wide,4,True\n", r"column 'a': row 3 is 'wide', expected a number"),
        ("4.0,4.5,True\n", r"column 'n': row 3 is 4.5, expected a whole number"),
        ("4.0,4,\n", r"column 'ok': row 3 is null, expected true or false"),
    ):
        with pytest.raises(InvalidParameterError, match=told):
            list(read_csv_chunks(io.BytesIO((head + line).encode()), scorer.inputs, rows))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,a,b\n1,2,3\n", r"columns are there twice: \['a'\]"),
        ("", "the CSV is empty"),
        ("a,b,c,d\n1,2,3,4,5\n", "has more values|row 0"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, text, told):
    """In words, never a guess."""
    scorer = served(tmp_path, Echo().fit(X), infer_signature(X).inputs)
    with pytest.raises(InvalidParameterError, match=told):
        scorer.answer_csv(text.encode())


# Types


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "uint64", "int64"])
def test_whole_numbers_are_taken_for_every_kind_of_them(tmp_path, dtype):
    """Lists have one kind of whole number, a model may have been trained with any."""
    data = np.array([[1, 0], [0, 1]], dtype=dtype)
    model = DecisionTreeClassifier().fit(data, [0, 1])
    inputs = infer_signature(data).inputs
    scorer = served(tmp_path, model, inputs)
    for body in ({"instances": [[1, 0]]}, {"inputs": [[1, 0]]}, {"instances": [[1.0, 0.0]]}):
        answer = json.loads(scorer.answer_json(json.dumps(body).encode()).content)
        assert answer == {"predictions": [0]}, body
    loaded = skledger.pyfunc.load_model(str(tmp_path / "m"))
    assert loaded.predict([[0, 1]]).tolist() == [1]
    if dtype != "int64":
        too_large = [[2 ** (8 * data.dtype.itemsize), 0]] if dtype != "uint64" else [[-1, 0]]
        with pytest.raises(InvalidParameterError, match="cannot be made|without a loss"):
            loaded.predict(too_large)


@pytest.mark.parametrize("text", ["now", "today", "", "tomorrow"])
def test_only_dates_are_dates(tmp_path, text):
    """pandas takes some words for dates."""
    scorer = served(tmp_path, Echo().fit([[1]]), columns(day="datetime"))
    body = {"inputs": {"day": [text]}}
    with pytest.raises(InvalidParameterError, match="row 0 is .*, expected a date"):
        scorer.answer_json(json.dumps(body).encode())


def test_sparse_columns_have_types_and_stay_sparse():
    """A frame of sparse columns may be too large for anything else."""
    frame = pd.DataFrame(
        {"a": pd.arrays.SparseArray([0.0, 1.0]), "n": pd.arrays.SparseArray([0, 2])}
    )
    inputs = infer_signature(frame).inputs
    assert [str(each.type) for each in inputs] == ["double", "long"]
    from skledger.models.enforcing import enforce_schema

    assert all(hasattr(dtype, "fill_value") for dtype in enforce_schema(frame, inputs).dtypes)


def test_labels_that_json_lacks_are_told_by_their_place(tmp_path):
    """Such as those of a pivot by dates."""
    frame = pd.DataFrame(X.to_numpy()[:, :2], columns=pd.to_datetime(["2024-01-01", "2024-02-01"]))
    signature = infer_signature(frame, y)
    assert json.loads(signature.to_dict()["inputs"])[0] == {"type": "double", "required": True}
    model = DecisionTreeClassifier().fit(frame.to_numpy(), y)
    skledger.sklearn.save_model(model, tmp_path / "m", signature=signature)
    found = skledger.pyfunc.load_model(str(tmp_path / "m")).predict(frame)
    assert (found == model.predict(frame.to_numpy())).all()


def test_columns_that_are_there_twice_are_named(tmp_path):
    """Which of them is meant, nobody knows."""
    skledger.sklearn.save_model(
        LogisticRegression(max_iter=500).fit(X, y), tmp_path / "m", signature=infer_signature(X)
    )
    with pytest.raises(InvalidParameterError, match="columns are there twice: 'b'"):
        skledger.pyfunc.load_model(str(tmp_path / "m")).predict(pd.concat([X, X[["b"]]], axis=1))


# Texts


TEXTS = ["a good film", "a bad film", "good good", "bad", "good"]


@pytest.mark.parametrize(
    "given",
    [TEXTS, np.array(TEXTS, dtype=object), pd.Series(TEXTS), pd.Series(TEXTS, name="review")],
    ids=["list", "array", "series", "named series"],
)
def test_models_of_texts_answer_for_every_text(tmp_path, given):
    """Whatever the signature was inferred from, as many answers as texts."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 1, 0, 1])
    expected = model.predict(TEXTS).tolist()
    signature = infer_signature(given, model.predict(given))
    skledger.sklearn.save_model(model, tmp_path / "m", signature=signature)
    assert skledger.pyfunc.load_model(str(tmp_path / "m")).predict(given).tolist() == expected
    scorer = load_scorer(tmp_path / "m", digests=None)
    answer = scorer.answer_json(json.dumps({"instances": TEXTS}).encode())
    assert json.loads(answer.content)["predictions"] == expected
    assert answer.rows == len(TEXTS)


def test_tables_of_one_text_column_stay_tables(tmp_path):
    """An encoder was trained with a table, and gets one."""
    frame = pd.DataFrame({"colour": ["red", "blue", "red"]})
    model = make_pipeline(OneHotEncoder(), DecisionTreeClassifier()).fit(frame, [0, 1, 0])
    skledger.sklearn.save_model(model, tmp_path / "m", signature=infer_signature(frame))
    assert skledger.pyfunc.load_model(str(tmp_path / "m")).predict(frame).tolist() == [0, 1, 0]


# Which method


def test_pyfunc_predicts_by_the_method_that_is_named(tmp_path):
    """As the server does; a param of that name in the signature belongs to the model."""
    model = LogisticRegression(max_iter=500).fit(X, y)
    skledger.sklearn.save_model(model, tmp_path / "m", signature=infer_signature(X))
    loaded = skledger.pyfunc.load_model(str(tmp_path / "m"))
    found = loaded.predict(X, params={"predict_method": "predict_proba"})
    assert np.array_equal(found, model.predict_proba(X))
    with pytest.raises(
        InvalidParameterError, match="'transform'; this LogisticRegression has pred"
    ):
        loaded.predict(X, params={"predict_method": "transform"})
    with pytest.raises(InvalidParameterError, match="'fit'"):
        loaded.predict(X, params={"predict_method": "fit"})


def test_params_of_the_signature_that_name_a_method(tmp_path):
    """A declared default is the method, until a caller names another."""
    model = LogisticRegression(max_iter=500).fit(X, y)
    inputs = infer_signature(X).inputs
    declared = ParamSchema([ParamSpec("predict_method", "string", "predict")])
    skledger.sklearn.save_model(
        model, tmp_path / "m", signature=ModelSignature(inputs, None, declared)
    )
    loaded = skledger.pyfunc.load_model(str(tmp_path / "m"))
    assert np.array_equal(loaded.predict(X), model.predict(X))
    found = loaded.predict(X, params={"predict_method": "predict_proba"})
    assert np.array_equal(found, model.predict_proba(X))
