"""Signatures: what is inferred from data, how it is written, and what MLflow makes of it."""

import datetime
import decimal
import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from skledger.errors import InvalidParameterError
from skledger.models import ModelSignature, infer_signature
from skledger.models.signature import infer_signature as same_function
from skledger.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from skledger.types.schema import AnyType, Array, Map, Object, Property

mlflow = pytest.importorskip("mlflow")

DATES = pd.to_datetime(["2020-01-01", "2020-01-02"])

#: Data that MLflow describes in full; ours must be the same text.
SAME = {
    **{
        f"dtype_{name}": pd.DataFrame({"a": pd.Series([1, 0]).astype(name)})
        for name in (
            "bool int8 int16 int32 int64 uint8 uint16 uint32 float16 float32 float64 boolean Int8 "
            "Int16 Int32 Int64 UInt8 UInt32 Float32 Float64 string object category"
        ).split()
    },
    "texts": pd.DataFrame({"a": ["x", "y"]}),
    "texts with a gap": pd.DataFrame({"a": ["x", None]}),
    "categories": pd.DataFrame({"a": pd.Categorical(["x", "y"])}),
    "categories of floats": pd.DataFrame({"a": pd.Categorical([1.5, 2.5])}),
    "categories with a gap": pd.DataFrame({"a": pd.Categorical(["x", None])}),
    "nullable integers with a gap": pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
    "nullable floats with a gap": pd.DataFrame({"a": pd.array([1.5, None], dtype="Float64")}),
    "nullable booleans with a gap": pd.DataFrame({"a": pd.array([True, None], dtype="boolean")}),
    "NaN": pd.DataFrame({"a": [1.0, np.nan]}),
    "objects": pd.DataFrame(
        {
            "bytes": pd.Series([b"x", b"y"], dtype=object),
            "dates": pd.Series([datetime.date(2020, 1, 1)] * 2, dtype=object),
            "floats": pd.Series([1.5, 2.0], dtype=object),
            "flags": pd.Series([True, False], dtype=object),
            "gap": pd.Series([1, None], dtype=object),
            "lists": pd.Series([[1, 2], [3]], dtype=object),
            "dicts": pd.Series([{"x": 1}, {"x": 2, "y": "s"}], dtype=object),
            "arrays": pd.Series([np.array([1.0, 2.0]), np.array([1.0])], dtype=object),
            "nothing": pd.Series([None, None], dtype=object),
        }
    ),
    "times": pd.DataFrame({"a": DATES}),
    "times with a gap": pd.DataFrame({"a": pd.to_datetime(["2020-01-01", None])}),
    "whole numbers as labels": pd.DataFrame(np.ones((2, 2))),
    "two levels of labels": pd.DataFrame({("a", "b"): [1], ("c", "d"): [2]}),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype=float)}),
    "series": pd.Series([1, 2], name="t"),
    "series without a name": pd.Series([1.0, 2.0]),
    "vector": np.ones(3),
    "matrix": np.ones((2, 3), np.float32),
    "texts in an array": np.array([["a"]]),
    "bytes in an array": np.array([b"a"]),
    "objects in an array": np.array(["a"], dtype=object),
    "images": np.ones((2, 3, 4), np.uint8),
    "dates in an array": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "csr": sp.csr_matrix(np.eye(2)),
    "csc": sp.csc_matrix(np.eye(2)),
    "list of ints": [1, 2],
    "list of floats": [1.5],
    "list of texts": ["a"],
    "list of lists": [[1, 2], [3, 4]],
    "list of dicts": [{"a": 1}, {"a": 2}],
    "list of unlike dicts": [{"a": 1}, {"b": 2}],
    "list with a gap": [1, None],
    "list of numpy scalars": [np.float32(1)],
    "list of booleans": [True],
    "dict": {"a": 1, "b": "s", "c": [1, 2], "d": {"e": 2.5}, "f": None, "g": []},
    "dict of arrays": {"a": np.ones((2, 2)), "b": np.zeros(2)},
    "a number": 5,
    "a text": "s",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAME)
def test_the_same_is_inferred_as_by_mlflow(name):
    """Types, names, order and whether a column may have gaps are MLflow's, as text and printed."""
    ours = infer_signature(SAME[name], SAME[name])
    theirs = mlflow.models.infer_signature(SAME[name], SAME[name])
    assert ours.to_dict() == theirs.to_dict()
    assert mlflow.models.ModelSignature.from_dict(ours.to_dict()).to_dict() == theirs.to_dict()
    assert ModelSignature.from_dict(theirs.to_dict()) == ours


BETTER = {
    "unsigned": np.array([1, 2], dtype="uint64"),
    "complex": np.array([1j, 2j]),
    "differences": pd.to_timedelta([1, 2], unit="s"),
    "mixed": pd.Series([1, "b"], dtype=object),
    "decimals": pd.Series([decimal.Decimal(1)] * 2, dtype=object),
}


@pytest.mark.parametrize("name", BETTER)
def test_a_column_without_a_type_keeps_its_name(name):
    """MLflow forgets all columns then; what we write for it MLflow reads."""
    signature = infer_signature(pd.DataFrame({"odd": BETTER[name], "even": [1.0, 2.0]}))
    assert signature.inputs.input_types_dict() == {"odd": AnyType(), "even": DataType.double}
    theirs = mlflow.models.ModelSignature.from_dict(signature.to_dict())
    assert theirs.inputs.input_names() == ["odd", "even"]


def test_times_with_a_zone_and_new_sparse_arrays_are_described():
    """As those of old are."""
    assert infer_signature(pd.DataFrame({"a": DATES.tz_localize("UTC")})).inputs.input_types() == [
        DataType.datetime
    ]
    for matrix in (sp.coo_matrix(np.eye(2)), sp.csr_array(np.eye(2))):
        assert infer_signature(matrix).inputs == Schema([TensorSpec(np.dtype("f8"), (-1, 2))])


def test_polars_frames_are_described_like_those_of_pandas():
    """Where polars is installed."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert infer_signature(frame).inputs.input_dict() == {
        "a": ColSpec("long", "a"),
        "b": ColSpec("string", "b", required=False),
    }


def test_what_cannot_be_described_is_any():
    """Columns of one name, no columns, an object of another kind."""
    for data in (pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame(), object(), {}, (1, 2)):
        assert infer_signature(data).inputs == Schema([ColSpec(AnyType())])


def test_params_are_described_with_their_defaults():
    """Scalars, lists of one type, dictionaries and dates, as MLflow writes them."""
    params = {
        "t": 0.5,
        "n": 1,
        "s": "x",
        "b": True,
        "l": [1, 2],
        "d": {"q": 1},
        "when": datetime.datetime(2020, 1, 1),
        "np": np.float32(1),
    }
    ours, theirs = infer_signature(params=params), mlflow.models.infer_signature(None, None, params)
    assert ours.to_dict() == theirs.to_dict()
    assert ModelSignature.from_dict(ours.to_dict()) == ours
    for bad in ({"a": None}, {"a": [[1]]}, {"a": [1, "x"]}):
        with pytest.raises(InvalidParameterError, match="'a'"):
            infer_signature(params=bad)
    with pytest.raises(InvalidParameterError, match="dictionary"):
        infer_signature(params=[1])


def test_a_signature_prints_as_mlflow_prints_it():
    """People compare the two."""
    frame, predicted = pd.DataFrame({"a": [1.5], "b": ["x"]}), np.array([1.0])
    for arguments in ((frame, predicted), (frame,), (frame, None, {"n": 1})):
        theirs = str(mlflow.models.infer_signature(*arguments))
        lines = [line.rstrip() for line in theirs.rstrip().splitlines()]
        assert str(infer_signature(*arguments)).rstrip().splitlines() == lines


def test_a_signature_says_something():
    """At least one part, each of its own type."""
    with pytest.raises(InvalidParameterError, match="at least one"):
        ModelSignature()
    with pytest.raises(InvalidParameterError, match="inputs of a signature are a Schema"):
        ModelSignature(inputs=pd.DataFrame())
    assert same_function is infer_signature


def test_schemas_are_made_by_hand():
    """The constructors that scripts use, and their checks."""
    schema = Schema([ColSpec("double", "a"), ColSpec(DataType.string, "b", required=False)])
    assert schema.input_names() == ["a", "b"]
    assert schema.required_input_names() == ["a"]
    assert schema.optional_input_names() == ["b"]
    assert schema.numpy_types() == [np.dtype("f8"), np.dtype("O")]
    assert not schema.is_tensor_spec() and schema.has_input_names()
    assert repr(schema) == "['a': double (required), 'b': string (optional)]"
    assert repr(Schema([TensorSpec(np.dtype("f4"), (-1, 3))])) == "[Tensor('float32', (-1, 3))]"
    assert Schema([ColSpec("long")]).input_names() == [0]
    for wrong, words in (
        (lambda: ColSpec("number"), "no type of a column"),
        (lambda: TensorSpec("f8", (1,)), "numpy dtype"),
        (lambda: Schema([]), "at least one"),
        (lambda: Schema([ColSpec("long", "a"), ColSpec("long")]), "names"),
        (lambda: Schema([ColSpec("long"), TensorSpec(np.dtype("f8"), (-1,))]), "only"),
        (lambda: Schema([TensorSpec(np.dtype("f8"), (-1,))] * 2), "name"),
        (lambda: Schema([ColSpec("long")]).input_dict(), "no names"),
        (lambda: Schema.from_json("[{}]"), "is no schema"),
        (lambda: Schema.from_json("nonsense"), "is no schema"),
        (lambda: ParamSpec("n", "long", 1.5), "'n'"),
        (lambda: ParamSpec("n", "long", True), "'n'"),
        (lambda: ParamSpec("n", "long", 3, (-1,)), "list"),
        (lambda: ParamSchema([ParamSpec("n", "long", 1)] * 2), "twice"),
    ):
        with pytest.raises(InvalidParameterError, match=words):
            wrong()


def test_built_types_are_read_by_mlflow():
    """Lists, dictionaries and maps, in each other."""
    kind = Array(Object([Property("p", "long", required=False), Property("q", Map("string"))]))
    schema = Schema([ColSpec(kind, "o"), ColSpec(AnyType(), "z")])
    assert mlflow.types.Schema.from_json(schema.to_json()).to_json() == schema.to_json()
    assert Schema.from_json(schema.to_json()) == schema


def test_the_form_of_mlflow_2_is_read():
    """It wrote `optional` for a column and `dtype` for a param."""
    assert Schema.from_json('[{"type": "long", "name": "a", "optional": true}]') == Schema(
        [ColSpec("long", "a", required=False)]
    )
    assert Schema.from_json('[{"type": "double", "name": "a"}]') == Schema([ColSpec("double", "a")])
    old = [{"name": "n", "dtype": "long", "default": 1, "shape": None}]
    assert ParamSchema.from_json(json.dumps(old)) == ParamSchema([ParamSpec("n", "long", 1)])


_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.datetimes(),
)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        _values,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_anything_gets_a_signature_that_reads_back(data):
    """Whatever the data is, the schema is written and read without a change, by MLflow too."""
    if data is None:
        return
    signature = infer_signature(data)
    assert ModelSignature.from_dict(signature.to_dict()) == signature
    theirs = mlflow.models.ModelSignature.from_dict(signature.to_dict())
    assert theirs.to_dict() == signature.to_dict()
