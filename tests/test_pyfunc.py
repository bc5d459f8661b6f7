"""`skledger.pyfunc`: a model behind its signature."""

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skledger.pyfunc
import skledger.sklearn
from skledger.errors import InvalidParameterError, ModelError
from skledger.models import ModelSignature, infer_signature
from skledger.models.enforcing import enforce_params, enforce_schema
from skledger.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

X, y = load_iris(return_X_y=True, as_frame=True)


def columns(**types):
    return Schema([ColSpec(kind, name) for name, kind in types.items()])


@pytest.fixture
def saved(tmp_path):
    """A classifier with a signature, in a folder."""
    model = LogisticRegression(max_iter=500).fit(X, y)
    signature = infer_signature(X, model.predict(X))
    skledger.sklearn.save_model(model, tmp_path / "m", signature=signature, input_example=X[:2])
    return model, str(tmp_path / "m")


def test_it_predicts_like_the_model(saved):
    """The method of the estimator, its signature, its example, and the estimator itself."""
    model, path = saved
    loaded = skledger.pyfunc.load_model(path)
    assert isinstance(loaded, skledger.pyfunc.PyFuncModel)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert loaded.metadata.signature == infer_signature(X, model.predict(X))
    assert loaded.metadata.get_input_schema().input_names() == list(X.columns)
    assert loaded.input_example.equals(X[:2])
    assert isinstance(loaded.get_raw_model(), LogisticRegression)
    assert "mlflow.sklearn" in repr(loaded)
    with pytest.raises(ModelError, match="get_raw_model"):
        loaded.unwrap_python_model()


def test_another_method_may_predict(tmp_path):
    """`pyfunc_predict_fn` names it; it must be there."""
    model = LogisticRegression(max_iter=500).fit(X, y)
    skledger.sklearn.save_model(model, tmp_path / "m", pyfunc_predict_fn="predict_proba")
    assert skledger.pyfunc.load_model(tmp_path / "m").predict(X).shape == (150, 3)
    with pytest.raises(InvalidParameterError, match="no method 'transform'"):
        skledger.sklearn.save_model(model, tmp_path / "n", pyfunc_predict_fn="transform")


def test_what_does_not_predict_is_explained(tmp_path):
    """A transformer, and a model that another library has to load."""
    skledger.sklearn.save_model(StandardScaler().fit(X), tmp_path / "scaler")
    with pytest.raises(ModelError, match="StandardScaler"):
        skledger.pyfunc.load_model(tmp_path / "scaler")
    skledger.sklearn.save_model(LinearRegression().fit(X, y), tmp_path / "m")
    text = (tmp_path / "m" / "MLmodel").read_text().replace("mlflow.sklearn", "mlflow.onnx")
    (tmp_path / "m" / "MLmodel").write_text(text)
    with pytest.raises(ModelError, match=r"mlflow\.onnx.*mlflow\.pyfunc\.load_model"):
        skledger.pyfunc.load_model(tmp_path / "m")
    with pytest.raises(InvalidParameterError, match="model_config"):
        skledger.pyfunc.load_model(tmp_path / "m", model_config={"a": 1})


def test_all_that_does_not_fit_is_named_at_once(saved):
    """Missing columns, columns of another type and columns that are not known, in one error."""
    wrong = pd.DataFrame({"sepal width (cm)": ["wide"], "colour": ["blue"]})
    with pytest.raises(InvalidParameterError) as caught:
        skledger.pyfunc.load_model(saved[1]).predict(wrong)
    for part in (
        "missing: ['sepal length (cm)', 'petal length (cm)', 'petal width (cm)']",
        "'sepal width (cm)' is string",
        "expected double",
        "not known to the model: ['colour']",
    ):
        assert part in caught.value.message


def test_columns_are_put_in_order_and_others_left_out(saved, caplog):
    """By name; a line says once what is left out, as MLflow's does."""
    model, path = saved
    loaded = skledger.pyfunc.load_model(path)
    shuffled = X[list(X.columns[::-1])].assign(odd_one_out=1)
    with caplog.at_level(logging.WARNING, "skledger"):
        for _ in range(3):
            assert np.array_equal(loaded.predict(shuffled), model.predict(X))
    assert caplog.text.count("odd_one_out") == 1


def fits(column, kind, required=True):
    """Return the column as it is passed on, or None when it is refused."""
    schema = Schema([ColSpec(kind, "a", required)])
    try:
        return enforce_schema(pd.DataFrame({"a": column}), schema)["a"]
    except InvalidParameterError:
        return None


@pytest.mark.parametrize(
    ("column", "kind", "dtype"),
    [
        (pd.Series([1, 2], dtype="int8"), "integer", "int32"),
        (pd.Series([1, 2], dtype="uint8"), "long", "int64"),
        (pd.Series([1, 2], dtype="int32"), "double", "float64"),
        (pd.Series([1, 2]), "double", "float64"),
        (pd.Series([1, 2]), "float", "float32"),
        (pd.Series([1.5], dtype="float32"), "double", "float64"),
        (pd.Series([1, 2], dtype=object), "long", "int64"),
        (pd.Series([1.5, 2], dtype=object), "double", "float64"),
        (pd.Series([1, None], dtype="Int64"), "long", "Int64"),
        (pd.Series([1, None], dtype="Int64"), "double", "Float64"),
        (pd.Series([True, None], dtype="boolean"), "boolean", "boolean"),
        (pd.Series(pd.Categorical(["x"])), "string", "category"),
        (pd.Series(pd.Categorical([1, 2])), "long", "category"),
        (pd.Series(["x", None], dtype=object), "string", "object"),
        (pd.Series([1j]), "any", "complex128"),
        (pd.Series([[1, 2]], dtype=object), "any", "object"),
    ],
)
def test_what_loses_nothing_is_taken(column, kind, dtype):
    """Whole numbers where numbers are expected, narrower types, categories, gaps."""
    assert str(fits(column, kind).dtype) == dtype


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series([2**60]), "double"),
        (pd.Series([2**30 + 1]), "float"),
        (pd.Series([1.0]), "long"),
        (pd.Series([1.0]), "float"),
        (pd.Series([1]), "integer"),
        (pd.Series(["1"]), "double"),
        (pd.Series([True]), "double"),
        (pd.Series([1]), "boolean"),
        (pd.Series([1]), "string"),
        (pd.Series(["2020-01-01"]), "datetime"),
        (pd.Series(["x"]), "binary"),
        (pd.Series([1, "x"], dtype=object), "long"),
    ],
)
def test_what_would_lose_something_is_not(column, kind):
    """Whole numbers that no float holds, fractions for whole numbers, texts for numbers."""
    assert fits(column, kind) is None


def test_optional_columns_may_be_absent_or_empty():
    """A required one may not."""
    schema = Schema([ColSpec("double", "a"), ColSpec("double", "b", required=False)])
    assert list(enforce_schema(pd.DataFrame({"a": [1.0]}), schema).columns) == ["a"]
    empty = enforce_schema(pd.DataFrame({"a": [1.0], "b": [None]}), schema)
    assert np.isnan(empty["b"][0])
    with pytest.raises(InvalidParameterError, match=r"missing: \['a'\]"):
        enforce_schema(pd.DataFrame({"b": [1.0]}), schema)


@pytest.mark.parametrize(
    "data",
    [
        {"a": [1.0, 2.0], "b": [1, 2]},
        {"a": np.array([1.0, 2.0]), "b": np.array([1, 2])},
        [{"a": 1.0, "b": 1}, {"b": 2, "a": 2.0}],
        pd.DataFrame({"b": [1, 2], "a": [1.0, 2.0]}),
    ],
    ids=["lists", "arrays", "records", "frame"],
)
def test_rows_come_in_many_forms(data):
    """Each becomes the same data frame."""
    frame = enforce_schema(data, columns(a="double", b="long"))
    assert frame.equals(pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2]}))


def test_one_row_and_columns_without_names():
    """A dictionary of values is a row; without names the place counts."""
    assert enforce_schema({"a": 1.0}, columns(a="double")).equals(pd.DataFrame({"a": [1.0]}))
    unnamed = Schema([ColSpec("double"), ColSpec("long")])
    assert enforce_schema(pd.DataFrame({"p": [1.0], "q": [1]}), unnamed).shape == (1, 2)
    assert enforce_schema([1.5, 2.5], Schema([ColSpec("double")])).shape == (2, 1)
    assert enforce_schema(pd.Series([1.5]), Schema([ColSpec("double")])).shape == (1, 1)
    with pytest.raises(InvalidParameterError, match="column 2"):
        enforce_schema(pd.DataFrame({"p": [1.0]}), unnamed)
    for nonsense in (None, sp.csr_matrix(np.eye(2)), np.ones((2, 2, 2))):
        with pytest.raises(InvalidParameterError, match="takes a data frame"):
            enforce_schema(nonsense, columns(a="double"))


def test_labels_of_two_levels_are_kept():
    """The frame that the model gets has the columns that it was trained with."""
    frame = pd.DataFrame({("a", "b"): [1], ("c", "d"): [2]})
    schema = ModelSignature.from_dict(infer_signature(frame).to_dict()).inputs
    assert enforce_schema(frame, schema).columns.equals(frame.columns)
    reversed_ = enforce_schema(frame[[("c", "d"), ("a", "b")]], schema)
    assert reversed_.columns.equals(frame.columns)


MATRIX = Schema([TensorSpec(np.dtype("f8"), (-1, 2))])


@pytest.mark.parametrize(
    "data",
    [
        np.ones((3, 2)),
        np.ones((3, 2), np.float32),
        np.ones((3, 2), int),
        [[1, 1.0]] * 3,
        pd.DataFrame({"a": [1.0] * 3, "b": [1] * 3}),
        sp.csr_matrix(np.ones((3, 2))),
        sp.csr_array(np.ones((3, 2), int)),
    ],
    ids=["same", "narrower", "whole", "lists", "frame", "sparse", "sparse whole"],
)
def test_arrays_are_made_of_what_loses_nothing(data):
    """In the type of the signature; what is sparse stays it."""
    found = enforce_schema(data, MATRIX)
    assert found.dtype == np.dtype("f8") and found.shape == (3, 2)
    assert sp.issparse(found) == sp.issparse(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.ones((3, 3)), r"shape is \(3, 3\), expected \(-1, 2\)"),
        (np.ones(2), "shape"),
        (np.ones((3, 2), complex), "without a loss"),
        (np.full((3, 2), 2**60), "without a loss"),
        (np.full((3, 2), "1"), "without a loss"),
        ([[1.0], [1.0, 2.0]], "takes"),
        (None, "shape"),
    ],
)
def test_arrays_that_do_not_fit_are_explained(data, words):
    """By shape or by type."""
    with pytest.raises(InvalidParameterError, match=words):
        enforce_schema(data, MATRIX)


def test_named_arrays_come_in_a_dictionary():
    """Or in a data frame whose cells are arrays; one alone needs no name."""
    two = Schema([TensorSpec(np.dtype("f8"), (-1, 2), "x"), TensorSpec(np.dtype("f8"), (-1,), "y")])
    found = enforce_schema({"x": [[1, 2]], "y": [1.0]}, two)
    assert found["x"].shape == (1, 2) and found["y"].shape == (1,)
    frame = pd.DataFrame({"x": [[1.0, 2.0]], "y": [1.0]})
    assert enforce_schema(frame, two)["x"].shape == (1, 2)
    one = Schema([TensorSpec(np.dtype("f8"), (-1, 2), "x")])
    assert enforce_schema(np.ones((3, 2)), one)["x"].shape == (3, 2)
    with pytest.raises(InvalidParameterError, match=r"missing: \['y'\]"):
        enforce_schema({"x": [[1.0, 2.0]]}, two)
    with pytest.raises(InvalidParameterError, match="dictionary of arrays"):
        enforce_schema(np.ones((3, 2)), two)


def test_params_have_types_and_defaults(caplog):
    """Those that are not named are left out with a line; all that are wrong are named."""
    schema = ParamSchema(
        [
            ParamSpec("t", "double", 0.5),
            ParamSpec("n", "long", 1),
            ParamSpec("l", "long", [1, 2], (-1,)),
        ]
    )
    assert enforce_params(None, schema) == {"t": 0.5, "n": 1, "l": [1, 2]}
    assert enforce_params({"t": 2, "l": (3,)}, schema) == {"t": 2.0, "n": 1, "l": [3]}
    with caplog.at_level(logging.WARNING, "skledger"):
        assert "zz" not in enforce_params({"zz": 1}, schema)
    assert "zz" in caplog.text
    with pytest.raises(InvalidParameterError, match=r"(?s)'t'.*'n'"):
        enforce_params({"t": "x", "n": 1.5}, schema)
    with pytest.raises(InvalidParameterError, match="dictionary"):
        enforce_params([1], schema)


def test_params_reach_the_method_that_takes_them(tmp_path):
    """Such as `return_std`; what `predict` has no argument for is not passed on."""
    model = GaussianProcessRegressor().fit(X, y)
    signature = infer_signature(X, y, {"return_std": False, "unknown_to_predict": 1})
    skledger.sklearn.save_model(model, tmp_path / "m", signature=signature)
    loaded = skledger.pyfunc.load_model(tmp_path / "m")
    assert loaded.predict(X).shape == (150,)
    mean, std = loaded.predict(X, params={"return_std": True})
    assert mean.shape == std.shape == (150,)


def test_a_pipeline_of_columns_gets_its_columns(tmp_path):
    """Categories and missing numbers reach it as they were trained."""
    frame = pd.DataFrame(
        {"kind": pd.Categorical(["a", "b"] * 75), "size": X.iloc[:, 0], "day": X.index}
    )
    pipe = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["size", "day"])),
        LogisticRegression(),
    ).fit(frame, y)
    skledger.sklearn.save_model(pipe, tmp_path / "m", input_example=frame[:3])
    loaded = skledger.pyfunc.load_model(tmp_path / "m")
    assert np.array_equal(loaded.predict(frame), pipe.predict(frame))
    records = frame.astype({"kind": str}).to_dict("records")
    assert np.array_equal(loaded.predict(records), pipe.predict(frame))
    with pytest.raises(InvalidParameterError, match="'kind' is long"):
        loaded.predict(frame.assign(kind=1))


def test_polars_frames_are_taken(saved):
    """Where polars is installed."""
    polars = pytest.importorskip("polars")
    model, path = saved
    frame = polars.from_pandas(X)
    assert np.array_equal(skledger.pyfunc.load_model(path).predict(frame), model.predict(X))
