"""Whose number it is: what is measured on the way to a result is told from the result."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    silhouette_score,
)
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import resample

import skledger
from skledger.stores.artifacts import artifact_store


def files_of(run):
    return artifact_store(run.info.artifact_uri)


def read(run, name):
    with files_of(run).open(name) as stream:
        return json.load(stream)


def info_of(run):
    return read(run, "metric_info.json") if "metric_info.json" in files_of(run).list() else {}


def runs():
    """Return the runs by the class of their estimator, the numbers written."""
    skledger.flush()
    found = skledger.search_runs(output_format="list")
    return {run.data.tags.get("estimator_name", "user"): run for run in found}


def checks_of(run):
    return {key for key in run.data.tags if key.startswith("skledger.check.")}


def data_of(run):
    """Return names and digests of the data sets of a run."""
    inputs = run.inputs.dataset_inputs
    return {each.dataset.name: each.dataset.digest for each in inputs}


@pytest.fixture
def split(binary):
    return train_test_split(*binary, random_state=0)


@pytest.fixture
def numbers(regression):
    return train_test_split(*regression, random_state=0)


def test_a_blend_made_in_place_is_neither_models(autolog, split):
    """Probabilities of two models, added up in the array of the first."""
    X_train, X_test, y_train, y_test = split
    first = LogisticRegression().fit(X_train, y_train)
    second = DecisionTreeClassifier(max_depth=2).fit(X_train, y_train)
    p = first.predict_proba(X_test)
    p += second.predict_proba(X_test)
    p /= 2
    log_loss(y_test, p)
    roc_auc_score(y_test, p[:, 1])
    for run in runs().values():
        assert info_of(run) == {}


def test_a_buffer_belongs_to_what_it_was_filled_with(autolog, numbers):
    """An array that is used again is the prediction of the model that filled it last."""
    X_train, X_test, y_train, y_test = numbers
    first, second = Ridge().fit(X_train, y_train), DecisionTreeRegressor().fit(X_train, y_train)
    p = first.predict(X_test)
    p[:] = second.predict(X_test)
    value = mean_absolute_error(y_test, p)
    found = runs()
    assert info_of(found["Ridge"]) == {}
    assert found["DecisionTreeRegressor"].data.metrics["mean_absolute_error_X_test"] == value


def test_thresholds_that_were_tried_leave_the_picture_to_the_model(autolog, split):
    """The confusion matrix of a data set is that of the labels which the model predicts."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    probability = model.predict_proba(X_test)[:, 1]
    for threshold in (0.01, 0.2, 0.9):
        accuracy_score(y_test, probability > threshold)
    run = runs()["LogisticRegression"]
    assert set(info_of(run)) >= {"accuracy_score_X_test", "accuracy_score-3_X_test"}
    assert "X_test_plots.json" not in files_of(run).list()
    labels = model.predict(X_test)
    accuracy_score(y_test, labels)
    skledger.flush()
    picture = read(run, "X_test_plots.json")["X_test_confusion_matrix"]
    assert picture["matrix"] == confusion_matrix(y_test, labels).tolist()


def test_changed_places_make_no_picture_and_no_finding(autolog):
    """Truth and prediction the wrong way round: the number is booked, and says so."""
    X, y = load_iris(return_X_y=True)
    model = DecisionTreeClassifier(max_depth=1).fit(X, y)  # it never predicts the last class
    X_test = X + 0
    accuracy_score(model.predict(X_test), y)
    run = runs()["DecisionTreeClassifier"]
    (call,) = info_of(run).values()
    assert call.endswith("# exchanged")
    assert "X_test_plots.json" not in files_of(run).list()
    assert not checks_of(run)


def test_a_prediction_stays_with_the_fit_that_made_it(autolog, split):
    """A model that is fitted twice in the user's run: the first prediction is the first's."""
    X_train, X_test, y_train, y_test = split
    with skledger.start_run():
        model = DecisionTreeClassifier(max_depth=1).fit(X_train, y_train)
        early = model.predict(X_test)
        model.set_params(max_depth=None).fit(X_train, y_train)
        value = accuracy_score(y_test, early)
    skledger.flush()
    models = skledger.search_logged_models(output_format="list")
    by_name = {each.name: {m.key: m.value for m in each.metrics} for each in models}
    assert by_name["model"]["accuracy_score_X_test"] == value
    assert "accuracy_score_X_test" not in by_name["model-2"]


def test_predictions_of_earlier_steps_stay_there(autolog, numbers):
    """Predictions collected during a warm start are measured afterwards: each has its step."""
    X_train, X_test, y_train, y_test = numbers
    model = RandomForestRegressor(warm_start=True, random_state=0)
    predicted = []
    for size in (2, 4, 8):
        model.set_params(n_estimators=size).fit(X_train, y_train)
        predicted.append(model.predict(X_test))
    expected = [r2_score(y_test, each) for each in predicted]
    skledger.flush()
    run = runs()["RandomForestRegressor"]
    history = skledger.MlflowClient().get_metric_history(run.info.run_id, "r2_score_X_test")
    assert [(each.step, each.value) for each in history] == list(enumerate(expected))


def test_no_finding_while_a_stream_goes_on(autolog):
    """A score between the steps of `partial_fit` is compared with no single batch."""
    X, y = load_digits(return_X_y=True)
    X_test, y_test = X[1500:], y[1500:]
    model = SGDClassifier(random_state=0)
    for start in range(0, 600, 200):
        rows = slice(start, start + 200)
        model.partial_fit(X[rows], y[rows], classes=range(10))
        model.score(X_test, y_test)
        accuracy_score(y_test, model.predict(X_test))
    assert not checks_of(runs()["SGDClassifier"])


@pytest.mark.parametrize(
    "measure",
    [
        lambda y, p: roc_auc_score(y == 3, p[:, 3]),
        lambda y, p: roc_auc_score((y == 3).astype(int), p[:, 3]),
        lambda y, p: log_loss(y, p, normalize=False),
        lambda y, p: accuracy_score(y, p.argmax(axis=1), normalize=False),
    ],
)
def test_unlike_things_are_not_compared(autolog, measure):
    """One class against the rest, sums instead of means: no finding."""
    X, y = load_digits(return_X_y=True)
    X_test, y_test = X[1200:], y[1200:]
    model = LogisticRegression(max_iter=30).fit(X[:1200], y[:1200])
    measure(y_test, model.predict_proba(X_test))
    run = runs()["LogisticRegression"]
    assert info_of(run) and not checks_of(run)


def test_the_probability_of_the_other_class_is_no_overfitting(autolog, split):
    """An area below one half comes from the wrong column."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    assert roc_auc_score(y_test, model.predict_proba(X_test)[:, 0]) < 0.2
    assert not checks_of(runs()["LogisticRegression"])


def test_transformed_targets_are_booked_but_not_compared(autolog, numbers):
    """Fitted on the logarithm, measured after ``exp``: the error is in other units."""
    X_train, X_test, y_train, y_test = numbers
    model = DecisionTreeRegressor().fit(X_train, np.log(y_train))
    value = mean_absolute_error(y_test, np.exp(model.predict(X_test)))
    run = runs()["DecisionTreeRegressor"]
    assert run.data.metrics["mean_absolute_error_X_test"] == value
    assert info_of(run)["mean_absolute_error_X_test"].endswith("# transformed")
    assert not checks_of(run)


def test_one_label_of_several_is_not_drawn_as_the_model(autolog):
    """The curves of one output say nothing of the others."""
    X, y = load_digits(return_X_y=True)
    Y = np.column_stack([y % 2, y > 4]).astype(int)
    X_test, Y_test = X[1200:], Y[1200:]
    model = KNeighborsClassifier().fit(X[:1200], Y[:1200])
    roc_auc_score(Y_test[:, 1], model.predict_proba(X_test)[1][:, 1])
    accuracy_score(Y_test[:, 0], model.predict(X_test)[:, 0])
    run = runs()["KNeighborsClassifier"]
    assert set(info_of(run)) == {"roc_auc_score_X_test", "accuracy_score_X_test"}
    assert "X_test_plots.json" not in files_of(run).list()


def test_a_part_says_how_many_rows(autolog, split):
    """A slice of a prediction is the model's, of fewer rows."""
    X_train, X_test, y_train, y_test = split
    p = LogisticRegression().fit(X_train, y_train).predict(X_test)
    accuracy_score(y_test[:50], p[:50])
    (call,) = info_of(runs()["LogisticRegression"]).values()
    assert call.endswith(f"# view, 50 of {len(y_test)} rows")


def test_a_metric_of_data_is_named_after_them(autolog, split):
    """A silhouette is one of the data that it was given, not of those of the fit."""
    X_train, *_ = split
    Z = PCA(2).fit_transform(X_train)
    labels = KMeans(3, n_init=1, random_state=0).fit(X_train).labels_
    silhouette_score(Z, labels)
    silhouette_score(X_train, labels)
    assert set(info_of(runs()["KMeans"])) == {"silhouette_score_Z", "silhouette_score-2_X_train"}


def test_keys_and_inputs_agree(autolog, numbers):
    """Data that go by one name in a function are told apart in both, also those of the fit."""
    X_train, X_test, y_train, y_test = numbers

    def evaluate(model, X, y):
        return r2_score(y, model.predict(X))

    model = Ridge().fit(X_train, y_train)
    on_train, on_test = evaluate(model, X_train, y_train), evaluate(model, X_test, y_test)
    run = runs()["Ridge"]
    assert run.data.metrics["r2_score_X"] == on_train
    assert run.data.metrics["r2_score-2_X-2"] == on_test
    data = data_of(run)
    assert set(data) == {"X_train", "X", "X-2"}
    assert data["X"] == data["X_train"] != data["X-2"]


def test_a_name_that_is_given_later_is_one_of_the_inputs(autolog, numbers):
    """`name_data` renames for what comes, in keys and inputs."""
    X_train, X_test, y_train, y_test = numbers
    model = Ridge().fit(X_train, y_train)
    model.score(X_test, y_test)
    skledger.name_data(X_test, "holdout-2024")
    model.score(X_test, y_test)
    run = runs()["Ridge"]
    assert set(info_of(run)) == {"Ridge_score_X_test", "Ridge_score-2_holdout-2024"}
    assert set(data_of(run)) == {"X_train", "X_test", "holdout-2024"}


def test_many_data_sets_are_bounded(autolog, split):
    """A bootstrap of a score books every number, but describes and draws some samples only."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    for seed in range(40):
        Xb, yb = resample(X_test, y_test, random_state=seed)
        accuracy_score(yb, model.predict(Xb))
    run = runs()["LogisticRegression"]
    assert len(info_of(run)) == 40
    assert len(run.inputs.dataset_inputs) <= 21
    plots = [each for each in files_of(run).list() if each.endswith("_plots.json")]
    assert len(plots) <= 21


def test_models_that_predict_the_same_are_told_once(autolog, caplog):
    """A table of the predictions of models that agree: nobody's numbers, and one line."""
    X, y = load_iris(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    models = {"a": KNeighborsClassifier(), "b": SVC(C=10), "c": KNeighborsClassifier(3)}
    table = pd.DataFrame({k: m.fit(X_train, y_train).predict(X_test) for k, m in models.items()})
    assert (table["a"] == table["c"]).all()
    with caplog.at_level(logging.WARNING, "skledger"):
        for _ in range(3):
            accuracy_score(y_test, table["a"])
    said = [each for each in caplog.messages if "booked nowhere" in each]
    assert len(said) <= 1
    for run in runs().values():
        assert info_of(run) == {}


def test_an_encoded_truth_takes_nothing_away(autolog):
    """A transformer of the user's that encodes the targets competes with no model."""
    from sklearn.base import BaseEstimator, TransformerMixin

    class Encoder(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.n_features_in_ = 1
            return self

        def transform(self, X):
            return (X == "yes").astype(int)

    X, y = load_iris(return_X_y=True)
    words = np.where(y == 0, "yes", "no")
    encoder = Encoder().fit(words)
    model = LogisticRegression().fit(X, encoder.transform(words))
    X_test = X + 0
    value = accuracy_score(encoder.transform(words), model.predict(X_test))
    assert runs()["LogisticRegression"].data.metrics["accuracy_score_X_test"] == value
