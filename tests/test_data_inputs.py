"""Data sets as inputs of a run: what is told of them, at which cost, and that nothing is kept."""

from __future__ import annotations

import gc
import json
import logging
import os
import tracemalloc
import weakref

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDRegressor
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skledger
from skledger.capture import data_sample
from skledger.capture.data_profile import class_counts, profile_of
from skledger.ledger import data_inputs
from skledger.ledger.data_inputs import eval_input

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

CONTEXT = "mlflow.data.context"


def all_runs():
    return skledger.search_runs(output_format="list", order_by=["start_time ASC"])


def inputs_of(run):
    """Return the inputs as (name, digest, tags)."""
    return [
        (each.dataset.name, each.dataset.digest, {tag.key: tag.value for tag in each.tags})
        for each in run.inputs.dataset_inputs
    ]


def only_input():
    (run,) = all_runs()
    (found,) = run.inputs.dataset_inputs
    return found


def digest(X, y=None):
    return profile_of(X, y).digest


def numbers(n=60, m=4):
    return np.random.RandomState(0).rand(n, m)


# -- what a fit books ---------------------------------------------------------------------------


def test_a_fit_books_its_training_data(autolog, multiclass):
    """Name, digest, MLflow's source, schema and sizes, what is missing, and the classes."""
    X_train, y = multiclass
    LogisticRegression(max_iter=300).fit(X_train, y)
    found = only_input()
    assert [(tag.key, tag.value) for tag in found.tags] == [(CONTEXT, "train")]
    dataset = found.dataset
    assert dataset.name == "X_train"
    assert len(dataset.digest) == 8
    int(dataset.digest, 16)
    assert dataset.source_type == "code"
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= set(
        json.loads(dataset.source)["tags"]
    )
    schema = json.loads(dataset.schema)["mlflow_tensorspec"]
    assert json.loads(schema["features"]) == [
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
    ]
    assert json.loads(schema["targets"]) == [
        {"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}
    ]
    assert json.loads(dataset.profile) == {
        "features_shape": [150, 4],
        "features_size": 600,
        "features_nbytes": 4800,
        "targets_shape": [150],
        "targets_size": 150,
        "targets_nbytes": 1200,
        "n_rows": 150,
        "n_features": 4,
        "n_missing": 0,
        "class_counts": {"0": 50, "1": 50, "2": 50},
    }


def test_a_frame_is_told_by_its_columns(autolog):
    """The schema has MLflow's types of columns; a column with missing values is not required."""
    table = pd.DataFrame({"a": [1.0, 2.0, None, 4.0], "b": [1, 2, 3, 4]})
    make_pipeline(LinearRegression()).fit(table.fillna(0.0), [1.0, 2.0, 3.0, 4.0])
    frame = only_input().dataset
    assert frame.name == "unknown_dataset"  # no variable holds it
    assert [each["name"] for each in json.loads(frame.schema)["mlflow_colspec"]] == ["a", "b"]
    assert json.loads(frame.profile)["num_elements"] == 8
    told = eval_input(table, None, "table").dataset
    assert json.loads(told.schema)["mlflow_colspec"] == [
        {"type": "double", "name": "a", "required": False},
        {"type": "long", "name": "b", "required": True},
    ]
    assert json.loads(told.profile)["n_missing"] == 1


def test_names_are_those_of_the_users_frame(autolog):
    """A function's own variable names the data; an expression has no name."""

    def train(features):
        return Ridge().fit(features, np.arange(60.0))

    X = numbers()
    train(X)
    Ridge().fit(X[:40], np.arange(40.0))
    assert [inputs_of(run)[0][0] for run in all_runs()] == ["features", "unknown_dataset"]


def test_it_can_be_switched_off(multiclass):
    """`autolog(log_datasets=False)` describes nothing, candidates included."""
    skledger.autolog(log_datasets=False)
    X, y = multiclass
    GridSearchCV(LogisticRegression(max_iter=300), {"C": [1, 2]}).fit(X, y)
    assert len(all_runs()) == 3
    assert not any(run.inputs.dataset_inputs for run in all_runs())


def test_without_targets(autolog):
    """A clusterer has features only, as MLflow books them."""
    X = numbers()
    KMeans(2, n_init=1).fit(X)
    dataset = only_input().dataset
    assert json.loads(dataset.schema)["mlflow_tensorspec"]["targets"] is None
    assert "targets_shape" not in json.loads(dataset.profile)


def test_a_failed_fit_has_its_data(autolog):
    """What went wrong is often in the data."""
    X = numbers()
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Ridge().fit(X, np.arange(60.0))
    assert json.loads(only_input().dataset.profile)["n_missing"] == 1


class Spoiler(RegressorMixin, BaseEstimator):
    """Writes to its data."""

    def fit(self, X, y):
        X[:] = 0
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_data_are_those_before_the_fit(autolog):
    """A fit that writes to its data does not change what is told of them."""
    X, y = numbers(), np.arange(60.0)
    before = digest(X, y)
    Spoiler().fit(X, y)
    assert only_input().dataset.digest == before != digest(X, y)


class Watcher(RegressorMixin, BaseEstimator):
    """Waits until its run can be seen, and looks at its inputs."""

    def fit(self, X, y):
        import time

        for _ in range(100):
            runs = skledger.search_runs(output_format="list")
            if runs:
                break
            time.sleep(0.1)
        self.seen_ = [(run.info.status, len(run.inputs.dataset_inputs)) for run in runs]
        return self

    def predict(self, X):
        return np.zeros(len(X))


def test_a_run_that_goes_on_has_its_data(autolog):
    """A long fit shows its data while it is RUNNING, and has them once when it has ended."""
    X = numbers()
    watcher = Watcher().fit(X, np.arange(60.0))
    assert watcher.seen_ == [("RUNNING", 1)]
    assert len(inputs_of(all_runs()[0])) == 1


@pytest.mark.parametrize("uri", ["sqlite:///a.db", "memory:", "folder"])
def test_candidates_share_the_data_of_their_search(multiclass, monkeypatch, uri):
    """Each candidate has one input, that of the search; the data are looked at once."""
    skledger.set_tracking_uri(uri)
    looks = []
    look = data_inputs.profile_of
    monkeypatch.setattr(data_inputs, "profile_of", lambda *data: looks.append(0) or look(*data))
    skledger.autolog()
    X, y = multiclass
    GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1, 2]}).fit(X, y)
    runs = all_runs()
    assert len(runs) == 4
    assert [inputs_of(run) for run in runs] == [[("X", digest(X, y), {CONTEXT: "train"})]] * 4
    assert len(looks) == 1


def test_runs_are_found_by_their_data(autolog):
    """The search grammar knows the name, the digest and the context."""
    first, second = numbers(), numbers() + 1
    Ridge().fit(first, np.arange(60.0))
    Ridge().fit(second, np.arange(60.0))
    for query in (
        "dataset.name = 'second'",
        f"dataset.digest = '{digest(second, np.arange(60.0))}' and dataset.context = 'train'",
    ):
        (run,) = skledger.search_runs(filter_string=query, output_format="list")
        assert inputs_of(run)[0][0] == "second"


def test_a_run_of_the_users_has_each_data_set_once(autolog):
    """Two fits on the same data make one input, another data set a second."""
    X, more, y = numbers(), numbers() + 1, np.arange(60.0)
    with skledger.start_run():
        Ridge().fit(X, y)
        Ridge(alpha=2).fit(X, y)
        Ridge().fit(more, y)
    (run,) = all_runs()
    assert sorted(name for name, _, _ in inputs_of(run)) == ["X", "more"]


def test_steps_book_their_first_batch(autolog):
    """A run of `partial_fit` has the first batch as its input, and says that it is one."""
    model = SGDRegressor()
    for at in range(3):
        batch = numbers() + at
        model.partial_fit(batch, np.arange(60.0))
    skledger.flush()
    (run,) = all_runs()
    ((name, first, tags),) = inputs_of(run)
    assert (name, first) == ("batch", digest(numbers(), np.arange(60.0)))
    assert tags == {CONTEXT: "train", "skledger.batch": "0"}


def test_a_cross_validation_has_its_data(autolog):
    """The run of `cross_validate` has the data it was given."""
    X, y = numbers(), np.arange(60.0)
    cross_validate(Ridge(), X, y)
    assert inputs_of(all_runs()[0]) == [("X", digest(X, y), {CONTEXT: "train"})]


# -- every kind of data -------------------------------------------------------------------------


def polars_frame(X):
    pl = pytest.importorskip("polars")
    return pl.DataFrame({f"c{i}": X[:, i] for i in range(X.shape[1])})


def memory_map(X):
    np.save("data.npy", X)
    return np.load("data.npy", mmap_mode="r")


KINDS = {
    "array": lambda X: X,
    "columns in order": np.asfortranarray,
    "view": lambda X: np.repeat(X, 2, axis=0)[::2],
    "float32": lambda X: X.astype(np.float32),
    "memory map": memory_map,
    "list": lambda X: X.tolist(),
    "frame": lambda X: pd.DataFrame(X, columns=list("abcd")),
    "mixed frame": lambda X: pd.DataFrame(X, columns=list("abcd")).astype({"d": "float32"}),
    "nullable frame": lambda X: pd.DataFrame(X, columns=list("abcd")).convert_dtypes(),
    "polars": polars_frame,
    **{f"sparse {each}": getattr(sp, f"{each}_matrix") for each in ("csr", "csc", "coo", "lil")},
    **{f"sparse array {each}": getattr(sp, f"{each}_array") for each in ("csr", "dok", "bsr")},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_is_described(autolog, kind):
    """A model trained on it has an input with its shape; other values have another digest."""
    X = KINDS[kind](numbers())
    y = np.arange(60.0)
    make_pipeline(StandardScaler(with_mean=False), Ridge()).fit(X, y)
    dataset = only_input().dataset
    profile = json.loads(dataset.profile)
    assert dataset.name == "X"
    assert (profile["n_rows"], profile["n_features"], profile["n_missing"]) == (60, 4, 0)
    assert json.loads(dataset.schema)
    assert dataset.digest == digest(KINDS[kind](numbers()), y)
    other = numbers()
    other[59, 3] += 1
    assert dataset.digest != digest(KINDS[kind](other), y)
    y[7] = 0
    assert dataset.digest != digest(X, y)


def test_the_same_numbers_have_one_digest():
    """How numbers are kept does not count: a list, a memory map and a view are the same data."""
    kinds = ("array", "columns in order", "view", "memory map", "list")
    assert len({digest(KINDS[kind](numbers())) for kind in kinds}) == 1


def test_texts_are_data():
    """A list, a series and an array of documents."""
    texts = ["to be", "or not", None, "x" * 5000]
    for data in (texts, pd.Series(texts), np.array(texts, dtype=object)):
        found = profile_of(data)
        assert found.profile["n_missing"] == 1
        other = [*texts[:3], "x" * 4999]
        assert found.digest != digest(type(data)(other) if isinstance(data, list) else other)


def test_objects_are_told_by_values_never_by_addresses(run_python):
    """Another process, with another seed of hashes, finds the same digests."""
    code = """
        import datetime, decimal
        import numpy as np, pandas as pd
        from skledger.capture.data_profile import profile_of
        class Odd: pass
        objects = np.array(
            [1, "1", None, 2.5, b"x", decimal.Decimal("1.5"), datetime.date(2020, 1, 1), Odd(),
             {"a": 1}, {"b", "a"}, len], dtype=object
        )
        frame = pd.DataFrame({
            "t": pd.to_datetime(["2020-01-01", None]), "c": pd.Categorical(["u", "v"]),
            "z": pd.to_datetime(["2020-01-01", "2021-01-01"]).tz_localize("UTC"), 3: ["x", None],
        })
        print(profile_of(objects).digest, profile_of(frame).digest)
    """
    told = {run_python(code, env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert len(told) == 1


def test_odd_shapes():
    """Empty data, one column, images and wide data are described like any other."""
    for shape in ((0, 3), (5,), (3, 0), (300, 8, 8, 3), (2, 30_000), (1, 1)):
        found = profile_of(np.zeros(shape))
        assert found.profile["features_shape"] == list(shape)
    assert profile_of([]).profile["n_rows"] == 0
    assert profile_of([[1, 2], [3]]).profile["n_rows"] == 2
    assert profile_of(pd.DataFrame()).profile["n_rows"] == 0
    assert profile_of(np.ma.masked_array([1.0, 2.0], [True, False])).profile["n_rows"] == 2
    assert profile_of(np.array(["a", "b"], dtype=np.dtypes.StringDType())).digest


def test_a_wide_frame_has_no_schema():
    """Thousands of columns are told by how many they are."""
    told = eval_input(pd.DataFrame(np.zeros((3, 2000))), None, "wide").dataset
    assert told.schema is None
    assert json.loads(told.profile)["n_features"] == 2000


def mixed_frame(n_rows, n_columns):
    kinds = (
        lambda: np.arange(n_rows) / 3,
        lambda: np.array(["u", "v"], dtype=object)[np.arange(n_rows) % 2],
        lambda: pd.Categorical(["a", "b"] * (n_rows // 2)),
        lambda: pd.array(np.arange(n_rows), dtype="Int64"),
    )
    return pd.DataFrame({f"c{at}": kinds[at % 4]() for at in range(n_columns)})


def sparse_frame(n_rows, n_columns):
    matrix = sp.random(n_rows, n_columns, 0.1, format="csc", random_state=0)
    return pd.DataFrame.sparse.from_spmatrix(matrix)


@pytest.mark.parametrize("make", [mixed_frame, sparse_frame])
@pytest.mark.parametrize("n_columns", [3, 64, 65, 3000])
def test_columns_that_take_their_time_are_some(make, n_columns, monkeypatch):
    """Of columns that are no plain numbers at most 64 are looked at, the first among them."""
    frame = make(400, n_columns)
    looks = []
    look = data_sample._of_column
    monkeypatch.setattr(data_sample, "_of_column", lambda *given: looks.append(0) or look(*given))
    found = profile_of(frame)
    assert min(n_columns, 33) <= len(looks) <= 64
    assert found.profile["n_features"] == n_columns
    assert found.digest == digest(make(400, n_columns))
    assert found.digest != digest(frame.iloc[:, :-1])
    assert found.digest != digest(frame.iloc[::-1])
    assert found.digest != digest(frame.rename(columns={frame.columns[0]: "other"}))


def test_a_sparse_frame_is_told_by_its_columns_up_to_64():
    """pandas takes long for the rows of sparse columns: of many there is no schema."""
    assert eval_input(sparse_frame(40, 64), None, "few").dataset.schema is not None
    assert eval_input(sparse_frame(40, 65), None, "many").dataset.schema is None
    assert eval_input(mixed_frame(40, 65), None, "mixed").dataset.schema is not None


@pytest.mark.parametrize(
    "values",
    [
        pd.arrays.SparseArray([0, 0, 1.5, 0, 2]),
        pd.arrays.SparseArray([np.nan, 1, np.nan, 2, 3]),
        pd.arrays.SparseArray([0, 0, 0, 0, 0]),
        pd.arrays.SparseArray([1, 0, 0, 4, 0], kind="block"),
        pd.arrays.SparseArray([True, False, True, False, False]),
        pd.Categorical(["a", "b", None, "a", "b"]),
        pd.array([1, None, 3, 4, 5], dtype="Int64"),
        pd.array(["a", None, "c", "d", "e"], dtype="string"),
        pd.Series(pd.date_range("2020", periods=5, tz="UTC")).array,
        pd.Series(["x", 1, None, 2.5, b"y"], dtype=object).array,
    ],
    ids=lambda values: str(values.dtype),
)
@pytest.mark.parametrize("rows", [None, np.array([0, 2, 4]), np.array([1])], ids=str)
def test_values_of_a_column_are_those_of_pandas(values, rows):
    """What is looked at is what pandas gives for these rows, sparse columns included."""
    series = pd.Series(values)
    expected = (series if rows is None else series.iloc[rows]).to_numpy()
    found = data_sample._of_column(series.array, rows)
    assert [str(each) for each in found] == [str(each) for each in expected]


def test_wide_polars():
    """Of many columns of polars some are looked at; their number and names count."""
    X = np.random.RandomState(0).rand(30, 200)
    frame = polars_frame(X)
    found = profile_of(frame)
    assert len(found.features.values) == 2 + 50
    assert found.digest == digest(polars_frame(X.copy()))
    assert found.digest != digest(polars_frame(X[:, :-1]))
    assert eval_input(frame, None, "wide").dataset.schema is not None


def test_what_computes_is_left_alone():
    """Of data of an unknown type nothing is asked: a look might compute or download them."""

    class Lazy:
        shape = (10**9, 3)

        def __array__(self, *args, **kwargs):
            raise AssertionError("computed")

        def __len__(self):
            raise AssertionError("computed")

    assert profile_of(Lazy()) is None
    assert eval_input(Lazy(), None, "lazy") is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(allow_nan=False), min_size=2, max_size=2), min_size=1, max_size=20),
    st.data(),
)
def test_any_change_of_small_data_changes_the_digest(rows, data):
    """Data of up to 8,192 values are looked at whole."""
    array = np.array(rows)
    at = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 1))
    value = data.draw(st.floats(allow_nan=False))
    changed = array.copy()
    changed[at] = value
    same = changed.tobytes() == array.tobytes()
    assert (digest(array) == digest(changed)) is same
    assert digest(array) == digest(array.copy())
    assert (digest(pd.DataFrame(array)) == digest(pd.DataFrame(changed))) is same


# -- what it costs ------------------------------------------------------------------------------


def peak_of(call):
    """Return the most memory that a call takes, in bytes."""
    call()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_sparse_matrix_stays_sparse():
    """40 GB as zeros and ones: a description takes less than a megabyte."""
    n, m, per_row = 100_000, 50_000, 10
    state = np.random.RandomState(0)
    rows = np.arange(0, n * per_row + 1, per_row)
    matrix = sp.csr_matrix(
        (state.rand(n * per_row), state.randint(0, m, n * per_row), rows), shape=(n, m)
    )
    for each in (matrix, matrix.tocsc(), matrix.tocoo()):
        assert peak_of(lambda data=each: profile_of(data)) < 1_000_000
        profile = profile_of(each).profile
        assert profile["features_shape"] == [n, m]
        assert profile["features_nnz"] == n * per_row
        assert profile["features_nbytes"] < 100_000_000


@pytest.mark.parametrize("kind", ["array", "columns in order", "frame", "mixed frame", "polars"])
def test_large_data_are_not_copied(kind):
    """Of 16 MB of data a description takes less than a megabyte, targets included."""
    X = KINDS[kind](np.random.RandomState(0).rand(500_000, 4))
    y = np.arange(500_000) % 3
    assert peak_of(lambda: profile_of(X, y)) < 1_000_000
    profile = profile_of(X, y).profile
    assert profile["n_rows"] == 500_000
    assert profile["n_rows_sampled"] <= 512
    assert sum(profile["class_counts"].values()) == profile["class_counts_of_rows"]


def test_large_data_are_sampled_evenly():
    """The first and the last row count, and so does how many there are."""
    X = np.random.RandomState(0).rand(100_000, 4)
    before = digest(X)
    for row in (0, -1):
        changed = X.copy()
        changed[row] += 1
        assert digest(changed) != before
    assert digest(X[:-1]) != before


def test_data_are_not_kept(autolog):
    """When the fit has returned and its pictures are drawn, nothing of ours holds the data."""
    X, y = numbers(), np.arange(60.0)
    frame = pd.DataFrame(X)
    links = [weakref.ref(each) for each in (X, y, frame)]
    Ridge().fit(X, y)
    Ridge().fit(frame, y)
    eval_input(X, y, "X")
    skledger.flush()
    del X, y, frame
    gc.collect()
    assert [link() for link in links] == [None] * 3


# -- classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "counts"),
    [
        ([0, 1, 1], {"0": 1, "1": 2}),
        (["b", "a", "b"], {"a": 1, "b": 2}),
        (np.array(["b", "a", "b"], dtype=object), {"a": 1, "b": 2}),
        (np.array([True, False]), {"False": 1, "True": 1}),
        (np.array([1.0, 0.0, 1.0]), {"0.0": 1, "1.0": 2}),
        (pd.Series(["b", "a"], dtype="category"), {"a": 1, "b": 1}),
        (pd.Series([1, 2, 1], dtype="Int64"), {"1": 2, "2": 1}),
        (np.array([0.5, 1.5]), None),
        (np.array([0.0, np.nan]), None),
        (np.arange(100), None),
        (np.zeros((3, 2), dtype=int), None),
        (np.array([]), None),
        ([[0, 1], [1, 0]], None),
    ],
    ids=str,
)
def test_classes_are_counted(y, counts):
    """Targets of few different values are classes; fractions, many values and matrices are none."""
    assert class_counts(y)[0] == counts


# -- data that a model is asked about -----------------------------------------------------------


def test_data_of_an_evaluation():
    """The context is `eval`; without a name it is an unknown data set."""
    X, y = numbers(), np.arange(60.0)
    found = eval_input(X, y, "X_test")
    assert (found.dataset.name, found.dataset.digest) == ("X_test", digest(X, y))
    assert [(tag.key, tag.value) for tag in found.tags] == [(CONTEXT, "eval")]
    assert eval_input(X, None, None).dataset.name == "unknown_dataset"


def test_training_data_are_not_booked_again(autolog):
    """What a run was trained on is its input already, whether targets are known or not."""
    X, y = numbers(), np.arange(60.0)
    Ridge().fit(X, y)
    (run,) = all_runs()
    run_id = run.info.run_id
    assert eval_input(X, y, "X", run_id) is None
    assert eval_input(X, None, "X", run_id) is None
    assert eval_input(X, y[::-1], "X", run_id) is not None
    assert eval_input(X + 1, y, "X", run_id) is not None


# -- MLflow -------------------------------------------------------------------------------------


def test_mlflow_reads_them(autolog, multiclass):
    """Its client finds data sets, sources and schemas as of its own autologging."""
    mlflow = pytest.importorskip("mlflow")
    logging.getLogger("alembic").setLevel(logging.ERROR)
    X, y = multiclass
    LogisticRegression(max_iter=300).fit(X, y)
    frame = pd.DataFrame(X, columns=list("abcd"))
    LogisticRegression(max_iter=300).fit(frame, y)
    client = mlflow.MlflowClient("sqlite:///skledger.db")
    runs = client.search_runs(["0"], order_by=["start_time ASC"])
    found = [each.dataset for run in runs for each in run.inputs.dataset_inputs]
    assert [each.name for each in found] == ["X", "frame"]
    assert {tag.value for run in runs for tag in run.inputs.dataset_inputs[0].tags} == {"train"}
    for each in found:
        source = mlflow.data.get_source(each)
        assert type(source).__name__ == "CodeDatasetSource"
        assert source.to_dict()["tags"]["mlflow.source.type"] == "LOCAL"
    tensors = json.loads(found[0].schema)["mlflow_tensorspec"]
    assert mlflow.types.Schema.from_json(tensors["features"]).is_tensor_spec()
    columns = json.dumps(json.loads(found[1].schema)["mlflow_colspec"])
    assert mlflow.types.Schema.from_json(columns).input_names() == list("abcd")
