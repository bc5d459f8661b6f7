"""What training metrics may cost: all rows where that is cheap, a tagged sample where it is not."""

from __future__ import annotations

import logging
import time

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skledger
from skledger.capture import budget as module
from skledger.capture.budget import (
    Allowance,
    Budget,
    affordable_rows,
    rows_of,
    sample_of,
)
from skledger.capture.metrics import evaluate
from skledger.errors import InvalidParameterError

ROWS_TAG = "skledger.training_rows"
RNG = np.random.default_rng(3)


class Clock:
    """A clock that only predictions move: so much for a call, so much for a row."""

    def __init__(self, call=0.0, row=0.0):
        self.now = 0.0
        self.call, self.row = call, row
        self.asked = []

    def predict(self, some):
        self.asked.append(len(some))
        self.now += self.call + self.row * len(some)

    def __call__(self):
        return self.now


class Foreign(BaseEstimator):
    """An estimator of somebody's."""


def rows_for(clock, n_rows, fit_seconds=0.0, passes=1, estimator=None):
    found = affordable_rows(
        Budget(fit_seconds),
        Foreign() if estimator is None else estimator,
        np.zeros((n_rows, 1)),
        clock.predict,
        lambda: passes,
        clock,
    )
    return n_rows if found is None else len(found)


# -- how many rows --------------------------------------------------------------------------------


def test_cheap_predictions_are_made_in_full():
    """When all rows fit into a second, all are taken, after one look at a few."""
    clock = Clock(row=1e-6)
    assert rows_for(clock, 100_000) == 100_000
    assert clock.asked == [module.FIRST_ROWS]


@pytest.mark.parametrize("row", [2e-5, 1e-4, 1e-3, 0.1])
@pytest.mark.parametrize("call", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("passes", [1, 2, 3])
def test_expensive_predictions_stay_within_the_budget(row, call, passes):
    """What is predicted then, with the looks before, takes about a second, whatever it costs."""
    clock = Clock(call, row)
    rows = rows_for(clock, 1_000_000, passes=passes)
    total = clock.now + passes * (call + row * rows)
    least = passes * (call + row * module.FIRST_ROWS) + call + row * module.FIRST_ROWS
    assert total <= max(1.01, 1.01 * least)
    if least < 0.4 and call < 0.1:
        assert total > 0.5


def test_the_price_of_a_call_is_not_that_of_its_rows():
    """A model that takes long to begin with, but little for a row, is asked for all."""
    clock = Clock(call=0.02, row=1e-6)
    assert rows_for(clock, 100_000) == 100_000
    assert len(clock.asked) == 2


def test_half_of_a_long_fit_is_allowed():
    """After a fit of a minute, half a minute of predictions is cheap."""
    assert rows_for(Clock(row=1e-4), 200_000, fit_seconds=60) == 200_000
    assert rows_for(Clock(row=1e-4), 200_000, fit_seconds=1) < 11_000


def test_small_data_and_fast_models_are_just_asked():
    """No clock is read where there is nothing to win: each look is a prediction more."""
    for estimator, rows in (
        (Foreign(), 150),
        (KNeighborsClassifier(), 900),
        (RandomForestClassifier(), 9_000),
        (LinearRegression(), 90_000),
    ):
        clock = Clock(row=10)
        assert rows_for(clock, rows, estimator=estimator) == rows
        assert clock.asked == []


def test_a_pipeline_is_not_as_fast_as_its_last_step():
    """What stands before the model may be slow, so it is timed."""
    clock = Clock(row=1e-3)
    pipeline = make_pipeline(StandardScaler(), LinearRegression())
    assert rows_for(clock, 5000, estimator=pipeline) < 1000


def test_the_rows_are_a_random_sample_of_known_seed():
    """Always the same rows, ascending, none twice."""
    rows = sample_of(1000, 100)
    np.testing.assert_array_equal(rows, sample_of(1000, 100))
    assert len(set(rows.tolist())) == 100
    assert (np.diff(rows) > 0).all()
    assert sample_of(100, 100) is None


@pytest.mark.parametrize(
    "data",
    [
        np.arange(20).reshape(10, 2),
        pd.DataFrame({"a": range(10), "b": list("abcdefghij")}),
        pd.Series(range(10), index=range(10, 0, -1)),
        sparse.csr_array(np.eye(10)),
        sparse.coo_array(np.eye(10)),
        sparse.csc_matrix(np.eye(10)),
        [[each, each] for each in range(10)],
        tuple("abcdefghij"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_rows_of_any_data(data):
    """A sample is of the kind of its data."""
    some = rows_of(data, np.array([2, 5]))
    if hasattr(data, "toarray"):
        np.testing.assert_array_equal(some.toarray(), data.toarray()[[2, 5]])
    elif hasattr(data, "iloc"):
        assert type(some) is type(data)
        assert some.equals(data.iloc[[2, 5]])
    else:
        assert [str(each) for each in some] == [str(data[2]), str(data[5])]


# -- end to end -----------------------------------------------------------------------------------


class Slow(ClassifierMixin, BaseEstimator):
    """Remembers its training data, and takes its time to look it up."""

    def __init__(self, seconds_per_row=1e-3):
        self.seconds_per_row = seconds_per_row

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.calls_ = []
        return self

    def _look_up(self, name, X):
        self.calls_.append((name, len(X)))
        time.sleep(self.seconds_per_row * len(X))
        return (np.asarray(X)[:, 0] > 0).astype(int)

    def predict(self, X):
        return self._look_up("predict", X)

    def predict_proba(self, X):
        ones = self._look_up("predict_proba", X)
        return np.column_stack((1 - ones, ones)) * 0.8 + 0.1


X = RNG.normal(size=(3000, 3))
Y = (X[:, 0] + RNG.normal(size=3000) > 0).astype(int)


def tag():
    return skledger.last_active_run().data.tags.get(ROWS_TAG)


@pytest.mark.usefixtures("autolog")
def test_too_slow_a_model_is_measured_on_a_sample(caplog):
    """Within about a second; the run says how many rows, and one line says so too."""
    model = Slow(seconds_per_row=1e-3)
    with caplog.at_level(logging.WARNING, "skledger"):
        model.fit(X, Y)
    # Of its own clock: what a busy machine takes besides says nothing of us.
    assert sum(count for _, count in model.calls_) * model.seconds_per_row < 1.2
    rows = int(tag())
    assert 100 <= rows < 600
    (line,) = (each for each in caplog.messages if "random rows" in each)
    assert f"{rows} random rows" in line
    assert 'training_metrics="full"' in line
    full = [name for name, count in model.calls_ if count == rows]
    assert sorted(full) == ["predict", "predict_proba"]
    few = sample_of(len(X), rows)
    run = skledger.last_active_run()
    expected = accuracy_score(Y[few], X[few, 0] > 0)
    assert run.data.metrics["training_accuracy_score"] == pytest.approx(expected)
    assert run.data.metrics["training_score"] == pytest.approx(expected)
    assert run.data.metrics["n_samples"] == 3000
    skledger.flush()
    files = [each.path for each in skledger.MlflowClient().list_artifacts(run.info.run_id)]
    assert "training_confusion_matrix.png" in files


@pytest.mark.usefixtures("autolog")
def test_never_more_than_one_pass_over_all_rows():
    """Whatever it costs, each method sees all rows once at most; a look at a few comes before."""
    model = Slow(seconds_per_row=1e-6).fit(X, Y)
    assert tag() is None
    assert model.calls_.count(("predict", 3000)) == 1
    assert model.calls_.count(("predict_proba", 3000)) == 1
    assert sum(count for _, count in model.calls_) <= 2 * 3000 + 1100


def test_full_takes_all_rows():
    """``training_metrics="full"`` never samples, and never looks first."""
    skledger.autolog(training_metrics="full")
    model = Slow(seconds_per_row=4e-4).fit(X, Y)
    assert tag() is None
    assert model.calls_ == [("predict", 3000), ("predict_proba", 3000)]


def test_sampled_takes_a_thousand():
    """``training_metrics="sampled"`` takes 1,000 rows at most, tagged, without a line."""
    skledger.autolog(training_metrics="sampled")
    model = Slow(seconds_per_row=0).fit(X, Y)
    assert tag() == "1000"
    assert model.calls_ == [("predict", 1000), ("predict_proba", 1000)]
    Slow(seconds_per_row=0).fit(X[:500], Y[:500])
    assert tag() is None


def test_no_training_metrics():
    """With False the model is not asked for its training data; the rest is booked."""
    skledger.autolog(training_metrics=False, log_model_signatures=False)
    model = Slow().fit(X, Y)
    run = skledger.last_active_run()
    assert model.calls_ == []
    assert not [each for each in run.data.metrics if each.startswith("training_")]
    assert run.data.metrics["n_samples"] == 3000
    Ridge().fit(X, Y)
    skledger.flush()
    run_id = skledger.last_active_run().info.run_id
    files = [each.path for each in skledger.MlflowClient().list_artifacts(run_id)]
    assert "coefficients.png" in files


@pytest.mark.parametrize("value", ["some", 1, None, "Full"])
def test_a_choice_that_means_nothing(value):
    """The message lists the words there are."""
    with pytest.raises(InvalidParameterError, match="'auto' or 'full' or 'sampled'"):
        skledger.autolog(training_metrics=value)


def test_weights_follow_the_sample():
    """Metrics of a sample are weighted by the weights of its rows."""
    weight = RNG.random(3000)
    few = sample_of(3000, 1000)
    model = Slow(0).fit(X, Y)
    found = evaluate(model, X, Y, weight, budget=Budget(0.0, "sampled"))
    expected = accuracy_score(Y[few], model.predict(X[few]), sample_weight=weight[few])
    assert found.metrics["training_accuracy_score"] == pytest.approx(expected)
    assert found.sampled_rows == 1000


@pytest.mark.parametrize("kind", ["frame", "sparse", "lists"])
def test_samples_of_any_training_data(kind):
    """Frames, sparse matrices and lists are sampled with their targets."""
    data = {"frame": pd.DataFrame, "sparse": sparse.csr_array, "lists": np.ndarray.tolist}[kind](X)
    y = pd.Series(Y, index=range(3000, 0, -1)) if kind == "frame" else Y
    model = LinearRegression().fit(data, y)
    few = sample_of(3000, 1000)
    found = evaluate(model, data, y, budget=Budget(0.0, "sampled"))
    assert found.metrics["training_score"] == pytest.approx(model.score(X[few], Y[few]))


class Odd(RegressorMixin, BaseEstimator):
    """Predicts only for as many rows as it was trained with."""

    def fit(self, X, y):
        self.n_rows_ = len(X)
        return self

    def predict(self, X):
        if len(X) != self.n_rows_:
            raise ValueError("these are not the rows I know")
        return np.zeros(len(X))


@pytest.mark.usefixtures("autolog")
def test_a_model_that_cannot_predict_a_few_rows():
    """It is asked for all, and nothing is said of the attempt."""
    Odd().fit(X, Y)
    run = skledger.last_active_run()
    assert tag() is None
    assert "training_r2_score" in run.data.metrics
    assert "skledger.incomplete" not in run.data.tags


@pytest.mark.usefixtures("autolog")
def test_searches_and_clusterers():
    """A search's fit is long, so it is measured in full; what only scores is bounded, too."""
    GridSearchCV(Slow(1e-5), {"seconds_per_row": [1e-5]}, cv=2).fit(X, Y)
    assert "training_score" in skledger.last_active_run().data.metrics

    class SlowMeans(KMeans):
        def score(self, X, y=None):
            time.sleep(1e-3 * len(X))
            return super().score(X)

    SlowMeans(2, n_init=1).fit(X, Y)
    assert int(tag()) < 1100


@pytest.mark.usefixtures("autolog")
def test_the_user_draws_the_same_numbers():
    """Sampling and timing leave NumPy's global state alone."""
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    Slow(5e-4).fit(X[:2500], Y[:2500])
    assert tag() is not None
    assert np.random.random() == expected


def test_too_expensive_for_pictures():
    """A model that takes too long for the data is not to be asked."""
    assert Allowance().allows(LinearRegression().fit(X, Y), X)
    assert not Allowance().allows(Slow(1e-3).fit(X, Y), X)
    assert Allowance(fit_seconds=100).allows(Slow(1e-3).fit(X, Y), X)


# -- predictions for pictures of held-out data ----------------------------------------------------


class Priced(BaseEstimator):
    """Predicts by a clock: so much for a call, so much for a row."""

    def __init__(self, call=0.0, row=0.0):
        self.clock = Clock(call, row)

    def predict(self, X):
        self.clock.predict(X)
        return np.zeros(len(X))


def zeros(n_rows):
    return np.zeros((n_rows, 1))


@pytest.mark.parametrize("row", [2e-5, 1e-4, 1e-3])
def test_one_allowance_for_all_data_sets(row):
    """A loop of scores on new data sets takes no longer than what is allowed once."""
    model = Priced(row=row)
    allowance = Allowance(clock=model.clock)
    found = [allowance.predict(model, zeros(4000)) for _ in range(100)]
    assert model.clock.now <= module.HELD_OUT
    assert len(model.clock.asked) < 10
    assert (found[0] is None) is (row * 4000 > module.HELD_OUT)
    assert found[-1] is None


def test_a_new_model_is_looked_at_once():
    """The first data set costs a look at 100 rows and the predictions, the next no look."""
    model = Priced(call=1e-3, row=1e-6)
    allowance = Allowance(clock=model.clock)
    for _ in range(3):
        assert len(allowance.predict(model, zeros(5000))) == 5000
    assert model.clock.asked == [100, 5000, 5000, 5000]


def test_what_the_training_took_saves_the_look():
    """A price that is known already is relied on, for data up to ten times as large."""
    model = Priced(call=0.02, row=1e-6)
    allowance = Allowance(price=(1000, 0.021), clock=model.clock)
    assert len(allowance.predict(model, zeros(9000))) == 9000
    assert model.clock.asked == [9000]
    slow = Priced(row=1e-3)
    assert Allowance(price=(1000, 1.0), clock=slow.clock).predict(slow, zeros(5000)) is None
    assert slow.clock.asked == []


def test_a_price_of_few_rows_is_looked_into():
    """What few rows took does not keep a model from much larger data for good."""
    model = Priced(call=0.02, row=1e-6)
    allowance = Allowance(clock=model.clock)
    assert allowance.predict(model, zeros(20_000)) is None  # 100 rows seem to be slow
    assert len(allowance.predict(model, zeros(20_000))) == 20_000
    assert model.clock.asked == [100, 1000, 20_000]


def test_small_data_are_just_predicted_while_there_is_time():
    """No look where it would cost as much as the predictions, but all of it counts."""
    model = Priced(row=1e-3)
    allowance = Allowance(clock=model.clock)
    asked = [allowance.predict(model, zeros(90)) is not None for _ in range(10)]
    assert asked == [True] * 6 + [False] * 4


def test_a_long_fit_allows_more():
    """Half of the time of the fit, as for the training metrics."""
    model = Priced(row=1e-3)
    allowance = Allowance(60.0, clock=model.clock)
    assert len(allowance.predict(model, zeros(20_000))) == 20_000
    assert allowance.left == pytest.approx(30 - 20.1)


def test_predictions_that_fail_are_paid_for():
    """The error is that of the model, and what it took is gone."""

    class Failing(Priced):
        def predict(self, X):
            super().predict(X)
            raise ValueError("not today")

    model = Failing(row=1e-3)
    allowance = Allowance(clock=model.clock)
    with pytest.raises(ValueError, match="not today"):
        allowance.predict(model, zeros(150))
    assert allowance.left == pytest.approx(module.HELD_OUT - 0.15)


def test_the_price_of_the_training_predictions():
    """An evaluation tells for how many rows it asked, and what that took."""
    rows, seconds = evaluate(LinearRegression().fit(X, Y), X, Y).price
    assert rows == 3000
    assert seconds > 0
    assert evaluate(KMeans(2, n_init=1).fit(X), X, Y).price is None
