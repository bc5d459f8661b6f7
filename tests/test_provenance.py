"""Whose prediction an array is: links by identity, memory and values, and none where it is unclear."""

from __future__ import annotations

import gc
import os
import threading
import weakref

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skledger
from skledger.capture import provenance
from skledger.capture.named_data import given_name, key_of
from skledger.errors import InvalidParameterError
from skledger.hooks.events import Source


class Model:
    pass


MODEL = Model()


def source(run="A", data_key=1, dataset="X_test"):
    return Source(run, weakref.ref(MODEL), "Model", "predict", dataset, data_key, None, None)


@pytest.fixture(autouse=True)
def nothing_remembered():
    provenance.forget_all()
    yield
    provenance.forget_all()


def find(y_pred, y_true=None):
    arguments = {"y_pred": y_pred} if y_true is None else {"y_true": y_true, "y_pred": y_pred}
    found, how = provenance.find(arguments)
    return found and found.run_id, how


def proba(n=60, k=2, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(k), size=n)


def labels(n=60, k=3, seed=0):
    return np.random.default_rng(seed).integers(0, k, n)


# -- identity, views, memory ----------------------------------------------------------------------


def test_the_very_array_and_its_views_are_known():
    """A prediction, a column, a slice, a reshaped view; even of a view."""
    p = proba()
    provenance.remember(p, source())
    assert find(p) == ("A", "identity")
    assert find(p[:, 1]) == ("A", "view")
    assert find(p[:10]) == ("A", "view")
    assert find(p[::2, 0][5:]) == ("A", "view")
    assert find(p.ravel()) == ("A", "view")


def test_an_array_that_is_a_view_itself_shares_its_memory():
    """Where the model returned a view, other views of the same part belong to it, the rest not."""
    whole = proba(60, 4)
    p = whole[:30]
    provenance.remember(p, source())
    assert find(p[:, 1]) in (("A", "memory"), ("A", "view"))
    assert find(whole[:30, 2]) == ("A", "memory")
    assert find(whole[30:, 2]) == (None, "none")


def test_what_lies_beside_a_prediction_in_memory_is_not_it():
    """Two columns of one table overlap in extent, not in memory."""
    table = np.random.default_rng(0).random((50, 3))
    p = table[:, 0]
    provenance.remember(p, source())
    assert find(table[:, 0]) == ("A", "memory")
    assert find(table[:, 1]) == (None, "none")


def test_a_gone_prediction_whose_place_is_taken_is_not_confused():
    """Identity ends with the array's life, whatever lives at its address then."""
    p = np.arange(5.0)
    provenance.remember(p, source(), values=False)
    place = id(p)
    del p
    for _ in range(200):
        other = np.arange(5.0)
        if id(other) == place:
            assert find(other) == (None, "none")


def test_nothing_is_kept_alive():
    """Neither predictions nor data nor estimators live longer because they are remembered."""
    model, X, p = Model(), np.zeros((9, 2)), proba()
    links = [weakref.ref(each) for each in (model, X, p)]
    key_of(X)
    skledger.name_data(X, "mine")
    provenance.remember(
        p, Source("A", weakref.ref(model), "Model", "predict", "X", 1, weakref.ref(X), 9)
    )
    assert find(p.tolist()) == ("A", "values")
    del model, X, p
    gc.collect()
    assert [link() for link in links] == [None, None, None]


def test_series_and_frames_of_predictions():
    """pandas objects are known, as they are and inside of tables."""
    p, y = np.random.default_rng(0).random(40), labels(40)
    provenance.remember(p, source())
    assert find(pd.Series(p))[0] == "A"
    assert find(pd.Series(p, index=range(100, 140)))[0] == "A"
    assert find(pd.DataFrame({"p": p, "y": y})["p"])[0] == "A"
    assert find(pd.DataFrame({"p": p}))[0] == "A"
    assert find(pd.Series(y)) == (None, "none")
    answer = pd.Series(np.random.default_rng(1).random(40))
    provenance.remember(answer, source("B"))
    assert find(answer) == ("B", "identity")
    assert find(answer.to_numpy())[0] == "B"
    assert find(answer.tolist()) == ("B", "values")


def test_several_outputs():
    """A list of arrays, one for each output, and a list that is made of their columns."""
    answer = [proba(seed=1), proba(seed=2)]
    provenance.remember(answer, source())
    assert find(answer[1]) == ("A", "identity")
    assert find([each[:, 1] for each in answer]) == ("A", "view")
    assert find(np.column_stack([answer[0][:, 1]])) == ("A", "values")


# -- values ---------------------------------------------------------------------------------------

MADE_OF_PROBA = {
    "copy": lambda p: p.copy(),
    "column": lambda p: p[:, 1].copy(),
    "list": lambda p: p[:, 1].tolist(),
    "tuple": lambda p: tuple(p[:, 0]),
    "frame": lambda p: pd.DataFrame(p, columns=["no", "yes"]),
    "series": lambda p: pd.Series(p[:, 1].copy()),
    "objects": lambda p: p[:, 1].astype(object),
    "single": lambda p: p[:, 1].astype(np.float32),
    "argmax": lambda p: p.argmax(axis=1),
    "classes": lambda p: np.array(["no", "yes"])[p.argmax(axis=1)],
    "threshold": lambda p: (p[:, 1] > 0.3).astype(int),
    "threshold below": lambda p: p[:, 0] <= 0.7,
    "where": lambda p: np.where(p[:, 1] > 0.62, "spam", "ham"),
    "threshold list": lambda p: [int(each > 0.4) for each in p[:, 1]],
    "round": lambda p: np.round(p[:, 1], 2),
    "round all": lambda p: p.round(3),
    "round to int": lambda p: np.round(p[:, 1]).astype(int),
}


@pytest.mark.parametrize("n", [20, 700])
@pytest.mark.parametrize("name", MADE_OF_PROBA)
def test_what_was_made_of_probabilities(name, n):
    """Everything people make of ``predict_proba`` before they measure it."""
    made = MADE_OF_PROBA[name]
    p = proba(n)
    provenance.remember(p, source())
    other = made(proba(n, seed=5))
    assert find(other) == (None, "none")
    derived = made(p)
    del p
    how = {"where": "threshold", "round all": "round"}.get(name, name).split()[0]
    expected = {"threshold": "threshold", "round": "rounded"}.get(how, "values")
    if name == "round to int":  # the labels that ``predict`` gives
        expected = "values"
    # Before pandas 3 a frame that is made of an array is a view of it.
    allowed = {("A", expected), ("A", "view")} if name == "frame" else {("A", expected)}
    assert find(derived) in allowed
    assert find(derived, y_true=labels(n, 2, seed=9)) in allowed


MADE_OF_LABELS = {
    "copy": lambda p: p.copy(),
    "list": lambda p: p.tolist(),
    "texts": lambda p: p.astype(str),
    "floats": lambda p: p.astype(float),
    "names": lambda p: np.array(["setosa", "versicolor", "virginica"])[p],
    "series of names": lambda p: pd.Series(p).map({0: "a", 1: "b", 2: "c"}),
    "categories": lambda p: pd.Series(p).map({0: "a", 1: "b", 2: "c"}).astype("category"),
    "shifted": lambda p: p + 1,
    "column": lambda p: p.reshape(-1, 1).copy(),
}


@pytest.mark.parametrize("made", MADE_OF_LABELS.values(), ids=MADE_OF_LABELS)
def test_what_was_made_of_labels(made):
    """Labels by other names are the same prediction."""
    p = labels()
    provenance.remember(p, source())
    assert find(made(p + 0)) == ("A", "values")
    assert find(made(labels(seed=3))) == (None, "none")


def test_text_labels():
    """Predicted names, as a list, encoded, or as another type of text."""
    p = np.array(["no", "yes"], dtype=object)[labels(40, 2)]
    provenance.remember(p, source())
    assert find(p.tolist()) == ("A", "values")
    assert find(p.astype("U3")) == ("A", "values")
    assert find((p == "yes").astype(int)) == ("A", "values")
    assert find(pd.Series(p.copy(), dtype="string")) == ("A", "values")


def test_rounded_regression():
    """Predictions rounded or cut; counts from a regressor."""
    p = np.random.default_rng(0).normal(50, 20, 80)
    provenance.remember(p, source())
    for derived in (np.round(p), p.astype(int), np.round(p, 1)):
        assert find(derived) == ("A", "rounded")
    assert find(p > 50) == ("A", "threshold")
    assert find(p.astype("f4")) == ("A", "values")
    assert find(p + 0.001) == (None, "none")


@pytest.mark.parametrize(
    "made",
    [np.exp, np.expm1, np.log, np.log1p, np.sqrt, np.square, np.negative, np.exp2, lambda p: 10**p]
    + [lambda p: np.clip(p, 2.5, 6), lambda p: np.maximum(p, 2.5), lambda p: np.minimum(p, 6)],
)
def test_transformed_regression(made):
    """A target that was transformed by hand is transformed back by hand; bounds are kept."""
    rng = np.random.default_rng(0)
    p = rng.uniform(2, 7, 80)
    provenance.remember(p, source())
    assert find(made(p)) == ("A", "transformed")
    assert find(pd.Series(made(p)).tolist()) == ("A", "transformed")
    assert find(made(rng.uniform(2, 7, 80))) == (None, "none")


def test_one_value_of_many_is_bounded_by_chance():
    """What is mostly bounds is no prediction any more."""
    p = np.random.default_rng(0).uniform(2, 7, 80)
    provenance.remember(p, source())
    assert find(np.clip(p, 4.9, 5)) == (None, "none")


# -- what was written to, and what only looks alike -----------------------------------------------


@pytest.mark.parametrize("n", [40, 5000])
def test_what_was_written_to_is_that_prediction_no_more(n):
    """A blend in place is neither model's; a buffer belongs to what it was filled with last."""
    p, q = proba(n), proba(n, seed=1)
    provenance.remember(p, source("A"))
    provenance.remember(q, source("B"))
    column = p[:, 1]
    assert find(column) == ("A", "view")
    p += q
    p /= 2
    assert find(p) == find(column) == find(p[:, 1].copy()) == (None, "none")
    p[:] = q
    assert find(p) == ("B", "values")


def test_a_series_that_was_written_to():
    """So it is with what is no array."""
    p = pd.Series(labels(60))
    provenance.remember(p, source())
    assert find(p) == ("A", "identity")
    p.iloc[:30] = 7
    assert find(p) == (None, "none")


def test_labels_mended_by_hand_are_not_those_of_the_model():
    """A few rows of many are enough: as many as fit into 64 KB are compared."""
    p = labels(8_000)
    provenance.remember(p, source())
    assert find(p.tolist()) == ("A", "values")
    other = p.copy()
    other[3] = (other[3] + 1) % 3
    assert find(other) == (None, "none")


def test_labels_of_very_many_rows():
    """Of more rows a part is compared, and what is made of them is known."""
    p = labels(100_000)
    provenance.remember(p, source())
    assert find(p.astype(str)) == ("A", "values")
    other = p.copy()
    other[::100] = (other[::100] + 1) % 3
    assert find(other) == (None, "none")


def test_a_rule_that_predicts_a_feature_is_no_model():
    """A model that has learned to give a column back is as good as that column, not the same."""
    X = np.column_stack([labels(90, 2), np.random.default_rng(0).random(90)])
    p = X[:, 0].astype(int)
    for data in (X, pd.DataFrame(X)):
        provenance.forget_all()
        given = Source("A", weakref.ref(MODEL), "Model", "predict", "X", 1, weakref.ref(data), 90)
        provenance.remember(p, given)
        assert find(X[:, 0]) == find(X[:, 0].astype(int)) == (None, "ambiguous")
        assert find(p) == ("A", "identity")


def test_a_column_of_a_prediction_that_is_gone():
    """``predict_proba(X)[:, 1]`` is a view of what the model made, even where that is a view."""
    made = proba(60, 4)
    whole = np.ascontiguousarray(made)
    answer = whole.reshape(60, 4)[:, :2]  # nobody else has what it is a part of
    del whole
    made = None
    provenance.remember(answer, source("A"), values=False)
    column = answer[:, 1]
    del answer
    assert find(column) == ("A", "view")


def test_a_part_of_the_users_data_is_not_taken_over():
    """A model that answers with a part of what somebody else holds owns nothing of it."""
    table = np.random.default_rng(0).random((50, 2))
    answer = table[:, 0]
    provenance.remember(answer, source("A"), values=False)
    del answer
    assert find(table[:, 1]) == (None, "none")


def test_equal_predictions_stay_unclear_when_they_are_forgotten():
    """Of two models that predict the same the first is not remembered any more: still nobody's."""
    p = labels()
    provenance.remember(p.copy(), source("A"))
    for seed in range(10, 10 + provenance.KEPT):
        provenance.remember(labels(seed=seed), source("B"))
    provenance.remember(p.copy(), source("B"))
    assert find(p.tolist()) == (None, "ambiguous")


def test_an_encoded_truth_is_no_prediction():
    """What a transformer of the user's made of the targets competes with no model."""
    p, encoded = labels(), labels(seed=2)
    provenance.remember(p, source("A"))
    encoder = Source("E", weakref.ref(MODEL), "Encoder", "transform", "y_test", 3, None, None)
    provenance.remember(encoded, encoder, values=False)
    assert find(p, y_true=encoded) == ("A", "identity")


def test_too_little_to_tell_is_nobodys():
    """Constants and a handful of labels fit by chance; nobody is chosen."""
    provenance.remember(np.zeros(50), source())
    provenance.remember(np.array([0, 1, 1, 0, 1]), source())
    provenance.remember(proba(6), source())
    assert find(np.zeros(50)) == (None, "none")
    assert find(np.full(50, 3.5)) == (None, "none")
    assert find([0, 1, 1, 0, 1]) == (None, "none")
    assert find([0, 0, 0, 1, 1, 1]) == (None, "none")


def test_two_runs_with_the_same_prediction_are_ambiguous():
    """Perfect models predict alike; what was made of one may be of the other."""
    p = labels()
    provenance.remember(p, source("A"))
    q = p.copy()
    provenance.remember(q, source("B"))
    assert find(p.tolist()) == (None, "ambiguous")
    assert find(p) == ("A", "identity")
    assert find(q) == ("B", "identity")
    assert find(q[:30]) == ("B", "view")
    assert find(p, y_true=q) == (None, "ambiguous")


def test_a_model_without_a_run_makes_it_ambiguous_too():
    """What a stranger predicted as well is not given to the model that has a run."""
    p = labels()
    provenance.remember(p, source("A"))
    stranger = p.copy()
    provenance.remember(stranger, None)
    assert find(p.tolist()) == (None, "ambiguous")
    assert find(stranger) == (None, "none")


def test_one_run_and_two_data_sets_of_it():
    """The run is sure; which data it was is not, and no name is invented."""
    p = labels()
    provenance.remember(p, source(data_key=1))
    provenance.remember(p.copy(), source(data_key=2, dataset="X_other"))
    found, how = provenance.find({"y_pred": p.tolist()})
    assert (found.run_id, found.dataset, how) == ("A", "unknown_dataset", "values")


def test_the_truth_is_no_prediction():
    """A perfect model's predictions equal the truth; only the prediction is looked at."""
    truth = labels()
    p = truth.copy()
    provenance.remember(p, source())
    assert find(labels(seed=4), y_true=truth) == (None, "none")
    assert find(truth, y_true=truth)[0] == "A"  # nothing else was given
    found, how = provenance.find({"y_true": p, "y_pred": labels(seed=4)})
    assert (found.run_id, how) == ("A", "exchanged")


def test_weights_and_data_are_no_predictions():
    """What is no prediction by its role is not taken for one."""
    p = np.random.default_rng(0).random(50)
    provenance.remember(p, source("A"))
    assert provenance.find({"y_pred": labels(50), "sample_weight": p}) == (None, "none")
    clusters = labels(50)
    provenance.remember(clusters, source("B"))
    found, _ = provenance.find({"X": p.reshape(-1, 1), "labels": clusters})
    assert found.run_id == "B"


def test_the_last_64_are_remembered():
    """By their values, that is; by identity as long as the array lives."""
    first = proba(50, seed=1)
    provenance.remember(first, source("first"))
    for seed in range(100, 164):
        provenance.remember(proba(50, seed=seed), source("later"))
    assert find(first) == ("first", "identity")
    assert find(first.tolist()) == (None, "none")
    assert find(proba(50, seed=100)[:, 1].copy()) == ("later", "values")
    assert len(provenance._recent) == 64


def test_memory_is_bounded():
    """Large predictions cost a few MB at most."""
    for seed in range(80):
        provenance.remember(np.random.default_rng(seed).random((5000, 40)), source())
    assert sum(each.rows.nbytes for each in provenance._recent) <= 64 * 64 * 1024


def test_odd_arguments_are_nobodys():
    """Whatever is given, nothing fails."""
    provenance.remember(proba(), source())
    for odd in (
        None,
        "x",
        3,
        [],
        [[]],
        [None] * 60,
        [{}] * 60,
        [[1, 2], [3]] * 30,
        np.array(5.0),
        np.zeros((60, 2, 2)),
        np.full(60, np.nan),
        np.array([object() for _ in range(60)]),
        pd.DataFrame(index=range(60)),
        pd.Series(pd.date_range("2020", periods=60)),
        iter([]),
    ):
        assert find(odd)[0] is None


def test_threads_remember_and_find_at_once():
    """Many threads; each finds its own."""
    wrong = []

    def work(number):
        for turn in range(40):
            p = np.random.default_rng(1000 * number + turn).random(30)
            provenance.remember(p, source(str(number)))
            if find(p)[0] != str(number):
                wrong.append(number)
            find(np.random.default_rng(turn).random(30))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_anew():
    """What the parent predicted is not booked by its children, and no lock is stuck there."""
    p = proba()
    provenance.remember(p, source())
    with provenance._lock:
        child = os.fork()
        if not child:
            ok = find(p) == (None, "none")
            provenance.remember(p, source("B"))
            os._exit(0 if ok and find(p)[0] == "B" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert find(p) == ("A", "identity")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 600), st.integers(2, 4))
def test_labels_that_have_nothing_to_do_with_it_are_not_linked(seed, n, k):
    """Random labels are never taken for a random prediction."""
    provenance.forget_all()
    rng = np.random.default_rng(seed)
    provenance.remember(rng.dirichlet(np.ones(k), size=n), source())
    provenance.remember(rng.integers(0, k, n), source())
    provenance.remember(rng.normal(size=n), source())
    for other in (rng.integers(0, k, n), rng.random(n), np.round(rng.random(n), 1)):
        assert find(other) == (None, "none")


# -- names ----------------------------------------------------------------------------------------


def test_data_are_named_and_told_apart():
    """A given name belongs to the object, not to its variable; numbers tell objects apart."""
    X = np.zeros((3, 2))
    assert skledger.name_data(X, "holdout") is X
    also = X
    assert given_name(also) == "holdout"
    skledger.name_data(X, "late holdout")
    assert given_name(X) == "late holdout"
    assert given_name(X[:1]) is None
    assert key_of(X) == key_of(also) != key_of(X[:2])
    plain = [[1.0], [2.0]]
    assert key_of(plain) == key_of(plain)
    frame = skledger.name_data(pd.DataFrame({"a": [1]}), "frame")
    assert given_name(frame) == "frame"


@pytest.mark.parametrize("name", ["", " ", "a/b", "x" * 101, 3, None, "a\nb"])
def test_a_name_that_cannot_be_one_is_refused(name):
    """It becomes a part of the names of metrics."""
    with pytest.raises(InvalidParameterError, match="the name of data is a text"):
        skledger.name_data(np.zeros(3), name)


@pytest.mark.parametrize("data", [[[1.0]], (1.0,), {"a": [1]}])
def test_what_cannot_be_followed_is_refused(data):
    """A list's place may be another's tomorrow, and so would be its name."""
    with pytest.raises(InvalidParameterError, match=r"a \w+ cannot be named.*numpy.asarray"):
        skledger.name_data(data, "holdout")
