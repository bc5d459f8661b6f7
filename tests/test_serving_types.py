"""What requests hold becomes what the model was trained with, and answers keep their types."""

from __future__ import annotations

import datetime
import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.preprocessing import StandardScaler

import skledger.sklearn
from skledger.models import infer_signature
from skledger.server.scoring.scorer import load_scorer

X, y = load_iris(return_X_y=True, as_frame=True)
ROW = [5.1, 3.5, 1.4, 0.2]
NAMES = list(X.columns)

MIXED = pd.DataFrame(
    {
        "day": pd.to_datetime(["2020-01-01T00:00:00", "2021-06-01T12:30:15"]),
        "count": [0, 2**53 + 1],
        "share": [0.25, float("nan")],
        "kind": ["a", "\N{SNOWMAN}"],
        "flag": [True, False],
        "blob": [b"a\x00\xff", b""],
    }
)
MIXED_ROWS = [
    ["2020-01-01T00:00:00", 0, 0.25, "a", True, "YQD/"],
    ["2021-06-01T12:30:15", 2**53 + 1, None, "\N{SNOWMAN}", False, ""],
]


class Echo(BaseEstimator):
    """Predicts what it was given."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return X


def scorer_of(model, folder, **options):
    skledger.sklearn.save_model(model, folder, **options)
    return load_scorer(folder, digests=None)


def asked(scorer, body, **options):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return json.loads(scorer.answer_json(content, **options).content)["predictions"]


@pytest.fixture(params=["orjson", "json"])
def either_json(request, monkeypatch):
    """With orjson, where it is installed, and without."""
    from skledger.server.scoring import json as scoring_json

    if request.param == "json":
        monkeypatch.setattr(scoring_json, "orjson", None)
    elif importlib.util.find_spec("orjson") is None:
        pytest.skip("orjson is not installed")


@pytest.mark.usefixtures("either_json")
def test_every_type_comes_and_goes(tmp_path):
    """Dates as ISO, bytes as base64, what is missing as null, large whole numbers exactly."""
    signature = infer_signature(MIXED, MIXED)
    scorer = scorer_of(Echo().fit(MIXED), tmp_path / "m", signature=signature)
    names = list(MIXED.columns)
    records = [dict(zip(names, row)) for row in MIXED_ROWS]
    for body in (
        {"dataframe_split": {"columns": names, "data": MIXED_ROWS}},
        {"dataframe_records": records},
        {"instances": records},
        {"instances": MIXED_ROWS},
        {"inputs": {name: [row[at] for row in MIXED_ROWS] for at, name in enumerate(names)}},
        {"columns": names, "instances": MIXED_ROWS},
    ):
        assert asked(scorer, body) == records
        content = json.dumps(body).encode()
        from skledger.server.scoring.reading import read_json

        frame, _ = read_json(content, scorer.inputs)
        pd.testing.assert_frame_equal(frame, MIXED, check_dtype=False)
        assert [str(each) for each in frame.dtypes[:3]] == ["datetime64[ns]", "int64", "float64"]
    text = "day,count,share,kind,flag,blob\n2020-01-01,7,,a,True,YQ==\n"
    [row] = json.loads(scorer.answer_csv(text.encode()).content)["predictions"]
    assert row == {
        "day": "2020-01-01T00:00:00", "count": 7, "share": None, "kind": "a", "flag": True, "blob": "YQ==",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("day", "soon", "'soon', expected a date"),
        ("day", 20200101, "expected a date"),
        ("count", 1.5, "1.5, expected a whole number"),
        ("count", "1", "'1', expected a whole number"),
        ("count", None, "null, expected a whole number"),
        ("count", 2**63, "64 bits"),
        ("share", "0.5", "expected a number"),
        ("kind", 3, "3, expected a text"),
        ("flag", 1, "expected true or false"),
        ("blob", "?", "base64"),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path, column, value, words):
    """Nothing is cut off or taken for something else in silence."""
    scorer = scorer_of(Echo().fit(MIXED), tmp_path / "m", signature=infer_signature(MIXED))
    good = dict(zip(MIXED.columns, MIXED_ROWS[0]))
    with pytest.raises(ValueError, match=f"(?s)'{column}': row 1 is.*{words}"):
        asked(scorer, {"dataframe_records": [good, {**good, column: value}]})
    assert asked(scorer, {"dataframe_records": [{**good, "count": 3.0}]})[0]["count"] == 3


@pytest.mark.usefixtures("either_json")
def test_whatever_a_model_returns_becomes_json(tmp_path):
    """Arrays of every type, tables, lists of arrays, sparse matrices, objects."""
    import scipy.sparse as sp

    from skledger.server.scoring.writing import predictions_json

    now = datetime.datetime(2024, 5, 1, 12, 30, tzinfo=datetime.UTC)
    cases = [
        (np.array([1, 2]), [1, 2]),
        (np.array([2**63], dtype="uint64"), [2**63]),
        (np.array([1.5, np.nan, np.inf]), [1.5, None, None]),
        (np.array([0.1], dtype="f4"), [pytest.approx(0.1)]),
        (np.array([0.5], dtype="f2"), [0.5]),
        (np.array([1.0], dtype=">f8"), [1.0]),
        (np.asfortranarray([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([True, False]), [True, False]),
        (np.array(["a", "\N{SNOWMAN}"]), ["a", "\N{SNOWMAN}"]),
        (np.array(["2020-01-01", "NaT"], dtype="M8[D]"), ["2020-01-01T00:00:00", None]),
        (
            np.array([["2020-01-01"], ["2021-01-01"]], dtype="M8[s]"),
            [["2020-01-01T00:00:00"], ["2021-01-01T00:00:00"]],
        ),
        (
            np.array([1, "a", None, 2.5, pd.NaT, pd.NA, b"\x00"], dtype=object),
            [1, "a", None, 2.5, None, None, "AA=="],
        ),
        (np.array([b"ab"]), ["YWI="]),
        (np.array([1 + 2j]), [[1.0, 2.0]]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.DataFrame({"a": [1, 2], 7: [0.5, np.nan]}), [{"a": 1, "7": 0.5}, {"a": 2, "7": None}]),
        (sp.csr_matrix([[0.0, 1.0]]), [[0.0, 1.0]]),
        ([np.array([[0.5]]), np.array([[1.0]])], [[[0.5]], [[1.0]]]),
        ((np.array([1.0]), np.array([2.0])), [[1.0], [2.0]]),
        ({"a": np.array([1])}, {"a": [1]}),
        (np.float64("nan"), None),
        (3, 3),
        ([now, datetime.date(2024, 5, 1), {1}], [now.isoformat(), "2024-05-01", [1]]),
        ([], []),
        (np.empty((0, 3)), []),
    ]
    for given, expected in cases:
        assert json.loads(predictions_json(given)) == {"predictions": expected}, given
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, 2]})
    assert json.loads(predictions_json(frame)) == {"predictions": [{"a": 1}, {"a": 2}]}


def test_dates_with_a_zone_are_taken_to_utc(tmp_path):
    """A model trained without zones gets none."""
    frame = pd.DataFrame({"day": pd.to_datetime(["2020-01-01"])})
    scorer = scorer_of(Echo().fit(frame), tmp_path / "m", signature=infer_signature(frame))
    body = {"inputs": {"day": ["2020-01-01T02:00:00+02:00", "2020-01-01", None]}}
    found = [row["day"] for row in asked(scorer, body)]
    assert found == ["2020-01-01T00:00:00", "2020-01-01T00:00:00", None]


def test_optional_columns_may_be_absent(tmp_path):
    """As may single values of them."""
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": pd.array([1, None], dtype="Int64")})
    scorer = scorer_of(Echo().fit(frame), tmp_path / "m", signature=infer_signature(frame))
    assert asked(scorer, {"dataframe_records": [{"a": 1}]}) == [{"a": 1.0, "b": None}]
    body = {"dataframe_records": [{"a": 1}, {"a": 2, "b": 5}]}
    assert asked(scorer, body) == [{"a": 1.0, "b": None}, {"a": 2.0, "b": 5}]
    assert json.loads(scorer.answer_csv(b"a\n1\n").content)["predictions"] == [
        {"a": 1.0, "b": None}
    ]


def test_models_trained_on_arrays(tmp_path):
    """Rows of numbers, with or without names; shapes are checked."""
    values = X.to_numpy()
    model = LogisticRegression(max_iter=500).fit(values, y)
    scorer = scorer_of(model, tmp_path / "m", signature=infer_signature(values, y.to_numpy()))
    for body in (
        {"instances": [ROW]},
        {"inputs": [ROW]},
        {"dataframe_split": {"columns": NAMES, "data": [ROW]}},
        {"dataframe_records": [dict(zip(NAMES, ROW))]},
        {"columns": NAMES, "instances": [ROW]},
    ):
        assert asked(scorer, body) == [0]
    assert json.loads(scorer.answer_csv(X[:2].to_csv(index=False).encode()).content) == {
        "predictions": [0, 0]
    }
    for rows, words in (([[1.0]], "shape"), ([ROW, [1.0]], "row 1"), ([["a"] * 4], "loss")):
        with pytest.raises(ValueError, match=words):
            asked(scorer, {"instances": rows})


def test_models_without_a_signature(tmp_path):
    """Columns go by the names that the estimator was trained with; without names, by place."""
    model = LogisticRegression(max_iter=500).fit(X, y)
    scorer = scorer_of(model, tmp_path / "m")
    shuffled = {"dataframe_split": {"columns": [*NAMES[::-1], "z"], "data": [[*ROW[::-1], 1]]}}
    assert asked(scorer, shuffled) == asked(scorer, {"instances": [ROW]}) == [0]
    with pytest.raises(ValueError, match="petal width"):
        asked(scorer, {"dataframe_records": [dict(zip(NAMES[:3], ROW))]})
    bare = scorer_of(LogisticRegression(max_iter=500).fit(X.to_numpy(), y), tmp_path / "n")
    assert asked(bare, {"inputs": [ROW]}) == [0]
    with pytest.raises(ValueError, match="cannot take this data"):
        asked(bare, {"inputs": [[1.0]]})


def test_params_of_the_signature_are_passed_on(tmp_path):
    """And others refused."""
    values = X.to_numpy()
    model = GaussianProcessRegressor().fit(values[:20], y[:20])
    signature = infer_signature(values, y.to_numpy(), {"return_std": False})
    scorer = scorer_of(model, tmp_path / "m", signature=signature)
    mean, std = asked(scorer, {"instances": [ROW], "params": {"return_std": True}})
    assert len(mean) == len(std) == 1
    assert len(asked(scorer, {"instances": [ROW]})) == 1
    with pytest.raises(ValueError, match=r"params\.std.*return_std"):
        asked(scorer, {"instances": [ROW], "params": {"std": True}})
    with pytest.raises(ValueError, match="params.*return_std.*boolean"):
        asked(scorer, {"instances": [ROW], "params": {"return_std": "yes"}})


def test_transformers_and_several_outputs(tmp_path):
    """A model that only transforms answers with that; probabilities of several outputs are lists."""
    scaler = scorer_of(StandardScaler().fit(X), tmp_path / "scaler")
    assert np.allclose(
        asked(scaler, {"instances": [ROW]}), StandardScaler().fit(X).transform(X[:1])
    )
    many = MultiOutputClassifier(LogisticRegression(max_iter=500)).fit(X, np.c_[y, y == 0])
    scorer = scorer_of(many, tmp_path / "many")
    found = asked(scorer, {"instances": [ROW]}, method="predict_proba")
    assert [np.shape(each) for each in found] == [(1, 3), (1, 2)]
    with pytest.raises(ValueError, match="predict_proba"):
        asked(
            scorer_of(LinearRegression().fit(X, y), tmp_path / "r"),
            {"instances": [ROW]},
            method="predict_proba",
        )
