"""What the runs of a search hold: its candidates, its best, its table, its models, its pictures."""

from __future__ import annotations

import json
import math
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from _polling import CANDIDATE_TAG, PARENT_TAG
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    RandomizedSearchCV,
)
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import skledger
from skledger.errors import InvalidParameterError
from skledger.stores.artifacts import artifact_store
from skledger.tracking.session import get_store

X, y = make_classification(n_samples=90, n_features=5, random_state=0)
DEPTHS = {"max_depth": [1, 2, 3]}
#: Metrics of a candidate that are columns of the table.
TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time")


def tree():
    return DecisionTreeClassifier(random_state=0)


def parent_of(run):
    return run.data.tags.get(PARENT_TAG)


def everything():
    return skledger.search_runs(output_format="list")


def top_run():
    """Return the only run that is nobody's child."""
    (top,) = [run for run in everything() if parent_of(run) is None]
    return top


def children_of(parent):
    """Return the children of a run; candidates in the order of their numbers."""
    found = [run for run in everything() if parent_of(run) == parent.info.run_id]
    return sorted(found, key=lambda run: int(run.data.tags.get(CANDIDATE_TAG, -1)))


def family():
    """Return the only parent, and its candidates, numbered without a gap; nobody else is there."""
    top = top_run()
    children = children_of(top)
    assert [run.data.tags[CANDIDATE_TAG] for run in children] == [
        str(number) for number in range(len(children))
    ]
    assert len(everything()) == 1 + len(children)
    return top, children


def steps(run, key):
    """Return the values of a metric by step."""
    history = get_store().get_metric_history(run.info.run_id, key)
    found = {metric.step: metric.value for metric in history}
    assert len(found) == len(history), f"a step of {key} twice"
    return found


def file_of(run, name):
    with artifact_store(run.info.artifact_uri).open(name) as stream:
        return stream.read()


def table_of(run):
    with artifact_store(run.info.artifact_uri).open("cv_results.csv") as stream:
        return pd.read_csv(stream)


def assert_no_nan():
    """Not one value of any metric of any run is NaN."""
    for run in everything():
        for key in run.data.metrics:
            assert not any(map(math.isnan, steps(run, key).values())), (run.info.run_name, key)


def assert_row(child, results, row, scorers):
    """A candidate's metrics are its row of ``cv_results_``, to the bit, and nothing else."""
    expected, n_splits = {}, 0
    while f"split{n_splits}_test_{scorers[0]}" in results:
        n_splits += 1
    for part in ("test", "train"):
        for scorer in scorers:
            name = f"{part}_{scorer}"
            if f"split0_{name}" not in results:
                continue
            folds = [float(results[f"split{at}_{name}"][row]) for at in range(n_splits)]
            assert steps(child, name) == dict(enumerate(folds)), name
            expected[name] = folds[-1]
            for column in (f"mean_{name}", f"std_{name}"):
                expected[column] = float(results[column][row])
            if part == "test":
                expected[f"rank_{name}"] = float(results[f"rank_{name}"][row])
    expected |= {name: float(results[name][row]) for name in TIMES}
    assert child.data.metrics == expected


def assert_children(search, children, scorers=("score",)):
    """There is one finished child for each row, as it should be in every respect."""
    results, inner = search.cv_results_, search.estimator
    assert len(children) == len(results["params"])
    for row, child in enumerate(children):
        assert child.info.status == "FINISHED"
        assert child.info.run_name == f"{type(inner).__name__}-{row}"
        tags = child.data.tags
        assert tags["mlflow.runName"] == child.info.run_name
        assert tags["mlflow.autologging"] == "sklearn"
        assert tags["estimator_name"] == type(inner).__name__
        assert tags["estimator_class"] == f"{type(inner).__module__}.{type(inner).__name__}"
        assert not [key for key in tags if key.startswith(("skledger.error", "skledger.process"))]
        assert_row(child, results, row, scorers)
        params = clone(inner).set_params(**clone(results["params"][row], safe=False))
        expected = {key: str(value) for key, value in params.get_params(deep=True).items()}
        if "n_resources" in results:
            expected["iter"] = str(results["iter"][row])
            expected["n_resources"] = str(results["n_resources"][row])
        assert child.data.params == expected


def assert_parent(search, top, children):
    """The search's own run has what it was asked, what it found, and its table."""
    name = type(search).__name__
    assert top.info.status == "FINISHED"
    assert top.info.run_name.startswith(f"{name}-")
    assert top.data.tags["estimator_name"] == name
    assert top.data.tags["mlflow.autologging"] == "sklearn"
    expected = {key: str(value) for key, value in search.get_params(deep=False).items()}
    if hasattr(search, "best_params_"):
        expected |= {f"best_{key}": str(value) for key, value in search.best_params_.items()}
        best = children[search.best_index_]
        assert top.data.tags["skledger.best_run"] == best.info.run_id
        assert top.data.metrics["best_cv_score"] == search.best_score_
    assert top.data.params == expected
    assert top.data.metrics["n_samples"] == len(X)
    assert top.data.metrics["n_features"] == X.shape[1]
    assert top.data.metrics["fit_seconds"] > 0
    for child in children:
        assert top.info.start_time <= child.info.start_time <= child.info.end_time
        assert child.info.end_time <= top.info.end_time
    table, results = table_of(top), search.cv_results_
    assert list(table) == list(results)
    for column in table:
        if table[column].dtype.kind in "fi":
            expected = np.ma.asarray(results[column], dtype=float).filled(np.nan)
            # To the bit it is in the file; not every pandas reads it so.
            np.testing.assert_allclose(table[column], expected, rtol=1e-12, atol=1e-18)
        else:
            told = ["" if each in (np.ma.masked, None) else str(each) for each in results[column]]
            assert table[column].fillna("").tolist() == told


# -- every kind of search --------------------------------------------------------------------------

KINDS = {
    "grid": lambda **options: GridSearchCV(tree(), DEPTHS, **options),
    "randomized": lambda **options: RandomizedSearchCV(
        tree(), {"max_depth": range(1, 9)}, n_iter=4, random_state=0, **options
    ),
    "halving grid": lambda **options: HalvingGridSearchCV(
        tree(), {"max_depth": [1, 2, 3, 4, 5]}, random_state=0, min_resources=20, **options
    ),
    "halving random": lambda **options: HalvingRandomSearchCV(
        tree(), {"max_depth": range(1, 9)}, n_candidates=4, random_state=0, **options
    ),
}


@pytest.mark.parametrize("uri", [None, "memory:"], ids=["sqlite", "memory"])
@pytest.mark.parametrize("train", [False, True], ids=["", "train"])
@pytest.mark.parametrize("kind", KINDS)
def test_runs_hold_what_the_search_found(autolog, kind, train, uri):
    """One parent, and one child for each row of the table with exactly the row's values."""
    if uri is not None:
        skledger.set_tracking_uri(uri)
    search = KINDS[kind](cv=3, return_train_score=train).fit(X, y)
    top, children = family()
    assert_children(search, children)
    assert_parent(search, top, children)
    assert top.data.metrics["training_score"] == search.score(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", ["grid", "randomized"])
def test_several_metrics(autolog, kind, n_jobs):
    """Each scorer has its steps, mean, deviation and rank; the one of `refit` decides."""
    scorers = ["roc_auc", "accuracy", "f1"]
    search = KINDS[kind](
        cv=4, scoring=scorers, refit="f1", return_train_score=True, n_jobs=n_jobs
    ).fit(X, y)
    top, children = family()
    assert_children(search, children, scorers)
    assert_parent(search, top, children)
    assert top.data.metrics["training_score"] == search.score(X, y)


@pytest.mark.parametrize("cv", [9, 20])
def test_means_of_many_folds_are_equal_to_the_bit(autolog, cv):
    """Sums of many numbers depend on their order; ours are in scikit-learn's."""
    search = GridSearchCV(tree(), {"max_depth": range(1, 8)}, cv=KFold(cv), n_jobs=2).fit(X, y)
    top, children = family()
    assert_children(search, children)
    assert_parent(search, top, children)


def test_a_single_candidate_and_a_single_fold(autolog):
    """The least a search can be."""
    split = [(np.arange(60), np.arange(60, 90))]
    search = GridSearchCV(tree(), {"max_depth": [2]}, cv=split).fit(X, y)
    top, children = family()
    assert_children(search, children)
    assert_parent(search, top, children)


# -- params ----------------------------------------------------------------------------------------


def test_params_of_a_pipeline_are_those_of_its_parts(autolog):
    """Steps are left out, for their params stand there; what was searched is there always."""
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", SVC())])
    grid = [
        {"clf__C": [0.5, 2.0]},
        {"scale": [MinMaxScaler((0, 3)), "passthrough"]},
        {"clf": [LogisticRegression(C=0.25), SVC(kernel="linear")], "scale": [None]},
    ]
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    top, children = family()
    assert_parent(search, top, children)
    params = [child.data.params for child in children]
    assert len(params) == 6
    for each in params[:2]:
        assert each.keys() & {"steps", "clf", "scale"} == set()
        assert each["scale__with_mean"] == "True"
    assert [each["clf__C"] for each in params[:4]] == ["0.5", "2.0", "1.0", "1.0"]
    assert params[2]["scale"] == "MinMaxScaler(feature_range=(0, 3))"
    assert params[2]["scale__feature_range"] == "(0, 3)"
    assert "scale__with_mean" not in params[2]
    assert params[3]["scale"] == "passthrough"
    assert params[4]["clf"] == "LogisticRegression(C=0.25)"
    assert params[4]["clf__C"] == "0.25"
    assert params[4]["clf__solver"] == "lbfgs"
    assert "clf__gamma" not in params[4]
    assert params[4]["scale"] == params[5]["scale"] == "None"
    assert params[5]["clf__kernel"] == "linear"


def test_grids_with_different_keys(autolog):
    """A candidate has the values of its own grid, and the estimator's for all the others."""
    search = GridSearchCV(
        SVC(C=3.0), [{"kernel": ["linear"]}, {"gamma": [0.1, 1.0], "C": [5.0]}], cv=2
    ).fit(X, y)
    top, children = family()
    assert_children(search, children)
    assert_parent(search, top, children)
    assert [child.data.params["C"] for child in children] == ["3.0", "5.0", "5.0"]


def test_values_of_any_kind_and_length(autolog):
    """Functions, arrays, None and texts longer than a store takes are all booked."""
    long = {0: 1.0, 1: 2.0, **dict.fromkeys(range(2, 900), 1.0)}
    values = [None, "balanced", long]
    search = GridSearchCV(tree(), {"class_weight": values}, cv=2, error_score=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    _, children = family()
    first, second, third = (child.data.params["class_weight"] for child in children)
    assert (first, second) == ("None", "balanced")
    assert third.startswith("{0: 1.0, 1: 2.0") and third.endswith("...")
    assert len(third) == 6000


def test_a_searched_param_named_like_those_of_halving(autolog):
    """A param of the estimator's keeps its name; what the search says gives way."""

    class Odd(tree().__class__):
        def __init__(self, iter=1, max_depth=None):
            super().__init__(max_depth=max_depth)
            self.iter = iter

    search = HalvingGridSearchCV(Odd(), {"iter": [1, 2, 3]}, cv=2, min_resources=30).fit(X, y)
    _, children = family()
    for row, child in enumerate(children):
        assert child.data.params["iter"] == str(search.cv_results_["params"][row]["iter"])
        assert child.data.params["halving_iter"] == str(search.cv_results_["iter"][row])
        assert child.data.params["n_resources"] == str(search.cv_results_["n_resources"][row])


# -- options of the search -------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", [None, ["accuracy", "f1"]], ids=["single", "multi"])
def test_without_a_refit(autolog, scoring):
    """The best of a single metric is known without a refit; of several there is none."""
    search = GridSearchCV(tree(), DEPTHS, cv=3, refit=False, scoring=scoring).fit(X, y)
    top, children = family()
    assert_children(search, children, scoring or ("score",))
    assert_parent(search, top, children)
    assert ("best_cv_score" in top.data.metrics) == (scoring is None)
    assert not [key for key in top.data.metrics if key.startswith("training_")]
    (model,) = get_store().search_logged_models(top.info.run_id)
    assert model.name == "model"


def test_a_refit_by_a_function(autolog):
    """The chosen candidate is the best, though it has no score of its own."""
    search = GridSearchCV(tree(), DEPTHS, cv=3, refit=lambda results: 1).fit(X, y)
    top, children = family()
    assert_children(search, children)
    assert top.data.params["best_max_depth"] == "2"
    assert top.data.tags["skledger.best_run"] == children[1].info.run_id
    assert "best_cv_score" not in top.data.metrics
    assert top.data.metrics["training_score"] == search.score(X, y)


class Fussy(ClassifierMixin, BaseEstimator):
    """Fails for number 1 where row 0 is not trained on, and always for number 2."""

    def __init__(self, number=0):
        self.number = number

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        if self.number == 2 or (self.number == 1 and X[0, 0] != globals()["X"][0, 0]):
            raise ArithmeticError(f"number {self.number} is no good\nand never was")
        return self

    def predict(self, X):
        return self.classes_[(X[:, 0] > self.number - 1).astype(int)]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("error_score", [np.nan, 0.125])
def test_candidates_that_fail(autolog, error_score, n_jobs):
    """They are FAILED and say why; scores of folds that did not fail stay."""
    search = GridSearchCV(
        Fussy(), {"number": [0, 1, 2]}, cv=KFold(3), error_score=error_score, n_jobs=n_jobs
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    top, children = family()
    assert_no_nan()
    assert top.info.status == "FINISHED"
    assert [child.info.status for child in children] == ["FINISHED", "FAILED", "FAILED"]
    results = search.cv_results_
    for number, child in enumerate(children):
        mean = results["mean_test_score"][number]
        if math.isnan(mean):
            assert not {"mean_test_score", "std_test_score"} & child.data.metrics.keys()
        else:
            assert child.data.metrics["mean_test_score"] == mean
        assert child.data.metrics["rank_test_score"] == results["rank_test_score"][number]
        assert child.data.metrics["mean_fit_time"] == results["mean_fit_time"][number]
    for number, child in enumerate(children[1:], 1):
        tags = child.data.tags
        assert tags["skledger.error.type"] == "ArithmeticError"
        assert tags["skledger.error.message"] == f"number {number} is no good\nand never was"
        assert tags["skledger.error.traceback"].startswith("Traceback (most recent call last)")
        assert "raise ArithmeticError" in tags["skledger.error.traceback"]
    scored = {at: results[f"split{at}_test_score"][1] for at in (1, 2)}
    assert steps(children[1], "test_score") == scored
    assert "test_score" not in children[2].data.metrics
    table = table_of(top)["mean_test_score"].to_numpy()
    np.testing.assert_allclose(table, results["mean_test_score"], rtol=1e-12)


def test_all_candidates_fail(autolog):
    """The search raises, and each candidate says why it failed itself."""
    search = GridSearchCV(Fussy(), {"number": [2]}, cv=2)
    with pytest.raises(ValueError, match="All the 2 fits failed"):
        search.fit(X, y)
    top, (child,) = family()
    assert top.info.status == child.info.status == "FAILED"
    assert top.data.tags["skledger.error.type"] == "ValueError"
    assert child.data.tags["skledger.error.type"] == "ArithmeticError"


def second_tree_has_no_score(estimator, X, y):
    """Fail to score the trees of depth 2."""
    if estimator.max_depth == 2:
        raise TypeError("cannot score this")
    return accuracy_score(y, estimator.predict(X))


@pytest.mark.parametrize("error_score", [np.nan, 0.5])
def test_a_scorer_that_fails(autolog, error_score):
    """A score that is no number makes a candidate FAILED; a number that stands in for it does not."""
    search = GridSearchCV(
        tree(), DEPTHS, cv=3, scoring=second_tree_has_no_score, error_score=error_score
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    _, children = family()
    assert_no_nan()
    is_nan = math.isnan(error_score)
    middle = "FAILED" if is_nan else "FINISHED"
    assert [child.info.status for child in children] == ["FINISHED", middle, "FINISHED"]
    if is_nan:
        tags = children[1].data.tags
        assert tags["skledger.error.type"] == "ValueError"
        assert tags["skledger.error.message"] == "test_score is not a number"
        assert "mean_test_score" not in children[1].data.metrics
        assert "test_score" not in children[1].data.metrics
    else:
        assert children[1].data.metrics["mean_test_score"] == 0.5


def test_one_scorer_of_several_fails(autolog):
    """The metrics that are numbers are there, and the candidate says which is not."""
    scoring = {"good": "accuracy", "bad": second_tree_has_no_score}
    search = GridSearchCV(tree(), DEPTHS, cv=3, scoring=scoring, refit="good")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    _, children = family()
    assert_no_nan()
    assert [child.info.status for child in children] == ["FINISHED", "FAILED", "FINISHED"]
    assert children[1].data.tags["skledger.error.message"] == "test_bad is not a number"
    assert children[1].data.metrics["mean_test_good"] == search.cv_results_["mean_test_good"][1]


# -- options of autolog ----------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", [None, ["f1", "accuracy"]], ids=["single", "multi"])
@pytest.mark.parametrize("limit", [0, 1, 3, 99, None])
def test_max_tuning_runs(limit, scoring):
    """Only the best are booked, whole and under their own numbers; the parent knows the best."""
    skledger.autolog(max_tuning_runs=limit)
    search = GridSearchCV(
        tree(), {"max_depth": [4, 1, 2, 5, 3]}, cv=3, scoring=scoring, refit="accuracy"
    ).fit(X, y)
    top = top_run()
    children = children_of(top)
    results = search.cv_results_
    scorers = scoring or ["score"]
    order = np.argsort(results[f"rank_test_{scorers[-1]}"], kind="stable")
    kept = sorted(order[: 5 if limit is None else limit].tolist())
    assert [int(child.data.tags[CANDIDATE_TAG]) for child in children] == kept
    for row, child in zip(kept, children, strict=True):
        assert child.info.status == "FINISHED"
        assert_row(child, results, row, scorers)
    assert len(table_of(top)) == 5
    best = [each.info.run_id for each in children if int(each.data.tags[CANDIDATE_TAG]) == order[0]]
    assert [top.data.tags.get("skledger.best_run")] == (best or [None])


@pytest.mark.parametrize(
    "options",
    [
        {"max_tuning_runs": -1},
        {"max_tuning_runs": 1.5},
        {"max_tuning_runs": "all"},
        {"progress": "sometimes"},
        {"progress": 1},
        {"progress": None},
    ],
    ids=str,
)
def test_options_that_mean_nothing(options):
    """They are refused with their name and their value."""
    ((name, value),) = options.items()
    with pytest.raises(InvalidParameterError, match=name) as caught:
        skledger.autolog(**options)
    assert str(value) in str(caught.value)


@pytest.mark.parametrize("progress", [True, False, "auto"])
def test_progress_changes_no_record(progress, capfd):
    """With it or without it the runs are the same; what is not a terminal shows none by itself."""
    skledger.autolog(progress=progress)
    search = KINDS["grid"](cv=3).fit(X, y)
    top, children = family()
    assert_children(search, children)
    assert_parent(search, top, children)
    printed = capfd.readouterr()
    assert ("GridSearchCV: DecisionTreeClassifier 3/3" in printed.err) == (progress is True)
    assert printed.out == ""


def test_extra_tags_are_on_every_run():
    """The parent and its children have them."""
    skledger.autolog(extra_tags={"team": "red"})
    KINDS["grid"](cv=3).fit(X, y)
    assert [run.data.tags["team"] for run in everything()] == ["red"] * 4


def test_without_models():
    """The search and its candidates are booked, and no model is."""
    skledger.autolog(log_models=False)
    search = KINDS["grid"](cv=3).fit(X, y)
    top, children = family()
    assert_children(search, children)
    assert_parent(search, top, children)
    assert get_store().search_logged_models(top.info.run_id) == []


def test_disabled():
    """Nothing is booked with autologging off, and nothing of a search that began before."""
    skledger.autolog()
    skledger.autolog(disable=True)
    KINDS["grid"](cv=3).fit(X, y)
    assert everything() == []


# -- models ----------------------------------------------------------------------------------------


def test_both_models_load_and_predict_the_same(autolog):
    """`model` is the search, `best_estimator` what it refitted; both are the run's."""
    search = KINDS["randomized"](cv=3).fit(X, y)
    top, _ = family()
    for name, expected in (("model", search), ("best_estimator", search.best_estimator_)):
        again = skledger.sklearn.load_model(f"runs:/{top.info.run_id}/{name}")
        assert type(again) is type(expected)
        assert np.array_equal(again.predict(X), search.predict(X))
        assert np.array_equal(again.predict_proba(X), search.predict_proba(X))
    models = get_store().search_logged_models(top.info.run_id)
    assert [model.name for model in models] == ["model", "best_estimator"]
    assert len(top.outputs.model_outputs) == 2


def test_models_of_one_millisecond_keep_their_order(autolog, monkeypatch):
    """The store knows their order by when they were made."""
    monkeypatch.setattr("skledger.ledger.place.now_ms", lambda: 1_700_000_000_000)
    for _ in range(5):
        KINDS["randomized"](cv=2).fit(X, y)
    for run in everything():
        models = get_store().search_logged_models(run.info.run_id)
        assert [model.name for model in models] in ([], ["model", "best_estimator"])


# -- pictures --------------------------------------------------------------------------------------


def test_pictures(autolog):
    """Their numbers are there when fit returns, their PNGs after a flush."""
    grid = {"max_depth": [1, 2, 3, 4], "min_samples_leaf": [1, 5, 9]}
    search = GridSearchCV(tree(), grid, cv=3).fit(X, y)
    top, _ = family()
    numbers = json.loads(file_of(top, "training_plots.json"))
    by_depth = numbers["cv_score_by_max_depth"]
    assert by_depth["kind"] == "score_by_value"
    means = search.cv_results_["mean_test_score"].reshape(4, 3)
    best = by_depth["best"]
    assert best["x"] == [1, 2, 3, 4]
    assert best["y"] == pytest.approx(means.max(axis=1), rel=1e-5)
    assert sorted(by_depth["y"]) == pytest.approx(np.sort(means.ravel()), rel=1e-5)
    heat = numbers["cv_score_heatmap"]
    values = np.array(heat["values"], dtype=float)
    values = values if values.shape == (4, 3) else values.T
    assert np.sort(values.ravel()) == pytest.approx(np.sort(means.ravel()), rel=1e-5)
    assert numbers["parallel_coordinates"]["kind"] == "parallel_coordinates"
    assert "training_confusion_matrix" in numbers
    skledger.flush()
    files = artifact_store(top.info.artifact_uri).list()
    assert {f"{name}.png" for name in numbers} <= set(files)
    assert "estimator.html" in files
    for name in numbers:
        assert file_of(top, f"{name}.png").startswith(b"\x89PNG")


def test_pictures_with_several_metrics_show_the_one_that_decides(autolog):
    """It is the metric of `refit`."""
    search = GridSearchCV(tree(), DEPTHS, cv=3, scoring=["f1", "roc_auc"], refit="roc_auc")
    search.fit(X, y)
    numbers = json.loads(file_of(top_run(), "training_plots.json"))
    picture = numbers["cv_score_by_max_depth"]
    assert "roc_auc" in picture["metric"]
    assert picture["y"] == pytest.approx(search.cv_results_["mean_test_roc_auc"], rel=1e-5)


# -- where a search is -----------------------------------------------------------------------------


def test_in_a_run_of_the_users(autolog):
    """The candidates are children of the user's run, which stays open and keeps its name."""
    with skledger.start_run(run_name="mine") as run:
        search = KINDS["grid"](cv=3).fit(X, y)
        assert skledger.get_run(run.info.run_id).info.status == "RUNNING"
        skledger.log_metric("mine", 1.0)
    top, children = family()
    assert top.info.run_id == run.info.run_id
    assert top.info.run_name == "mine"
    assert top.info.status == "FINISHED"
    assert_children(search, children)
    assert top.data.tags["skledger.best_run"] == children[search.best_index_].info.run_id
    assert top.data.metrics["best_cv_score"] == search.best_score_
    for name in ("model", "best_estimator"):
        skledger.sklearn.load_model(f"runs:/{top.info.run_id}/{name}")


def test_two_searches_in_a_run_are_told_apart(autolog):
    """What the second brings has its number, and its candidates say which fit they belong to."""
    with skledger.start_run():
        first = KINDS["grid"](cv=3).fit(X, y)
        second = GridSearchCV(SVC(), {"C": [0.5, 2.0]}, cv=3).fit(X, y)
    top = top_run()
    children = children_of(top)
    groups = [
        [child for child in children if child.data.tags["skledger.fit"] == fit] for fit in "12"
    ]
    assert len(children) == sum(map(len, groups))
    for search, group, ending in ((first, groups[0], ""), (second, groups[1], "-2")):
        assert_children(search, group)
        best = group[search.best_index_]
        assert top.data.tags[f"skledger.best_run{ending}"] == best.info.run_id
        assert top.data.metrics[f"best_cv_score{ending}"] == search.best_score_
        table = pd.read_csv(artifact_store(top.info.artifact_uri).open(f"cv_results{ending}.csv"))
        assert len(table) == len(group)
        for name in ("model", "best_estimator"):
            again = skledger.sklearn.load_model(f"runs:/{top.info.run_id}/{name}{ending}")
            assert np.array_equal(again.predict(X), search.predict(X))


def test_exclusive():
    """The search has a run of its own beside the user's, and the children are its own."""
    skledger.autolog(exclusive=True)
    with skledger.start_run() as run:
        search = KINDS["grid"](cv=3).fit(X, y)
    own = [each for each in everything() if parent_of(each) is None]
    assert len(own) == 2
    (top,) = [each for each in own if each.info.run_id != run.info.run_id]
    children = children_of(top)
    assert_children(search, children)
    assert_parent(search, top, children)
    assert children_of(run) == []


def test_in_a_nested_run(autolog):
    """The candidates are children of the innermost run."""
    with skledger.start_run() as outer, skledger.start_run(nested=True) as inner:
        search = KINDS["grid"](cv=3).fit(X, y)
    assert_children(search, children_of(inner))
    assert [run.info.run_id for run in children_of(outer)] == [inner.info.run_id]


def test_in_a_pipeline(autolog):
    """The search is a child of the pipeline's run, the candidates its own children."""
    pipeline = make_pipeline(StandardScaler(), KINDS["grid"](cv=3)).fit(X, y)
    top = top_run()
    assert top.data.tags["estimator_name"] == "Pipeline"
    (middle,) = children_of(top)
    assert middle.data.tags["estimator_name"] == "GridSearchCV"
    assert top.info.start_time <= middle.info.start_time
    assert middle.info.end_time <= top.info.end_time
    children = children_of(middle)
    assert_children(pipeline[-1], children)
    assert_parent(pipeline[-1], middle, children)
    assert [m.name for m in get_store().search_logged_models(top.info.run_id)] == ["model"]
    assert get_store().search_logged_models(middle.info.run_id) == []


def test_a_pipeline_that_is_searched(autolog):
    """Other fits inside a search make no runs."""
    pipeline = make_pipeline(StandardScaler(), FunctionTransformer(), tree())
    search = GridSearchCV(pipeline, {"decisiontreeclassifier__max_depth": [1, 2]}, cv=3).fit(X, y)
    top, children = family()
    assert_parent(search, top, children)
    assert [child.data.tags["estimator_name"] for child in children] == ["Pipeline"] * 2


def test_in_a_search(autolog):
    """The inner searches are children of the outer one's candidates, one for each fold."""
    inner = GridSearchCV(tree(), {"max_depth": [1, 2]}, cv=2)
    outer = GridSearchCV(inner, {"estimator__min_samples_leaf": [1, 4, 9]}, cv=3).fit(X, y)
    top = top_run()
    candidates = children_of(top)
    assert len(candidates) == 3
    for row, candidate in enumerate(candidates):
        assert candidate.info.status == "FINISHED"
        assert candidate.info.run_name == f"GridSearchCV-{row}"
        assert_row(candidate, outer.cv_results_, row, ["score"])
        leaf = candidate.data.params["estimator__min_samples_leaf"]
        searches = children_of(candidate)
        assert [each.data.tags["estimator_name"] for each in searches] == ["GridSearchCV"] * 3
        for each in searches:
            assert candidate.info.start_time <= each.info.start_time
            assert each.info.end_time <= candidate.info.end_time
            innermost = children_of(each)
            assert [run.data.params["max_depth"] for run in innermost] == ["1", "2"]
            assert {run.data.params["min_samples_leaf"] for run in innermost} == {leaf}
    assert len(everything()) == 1 + 3 + 3 * 3 * (1 + 2)
    assert {run.info.status for run in everything()} == {"FINISHED"}


def test_a_search_of_searches_of_searches(autolog):
    """What a refit searches is no candidate of the search that refits, however deep."""
    innermost = GridSearchCV(tree(), {"max_depth": [1, 2]}, cv=2)
    inner = GridSearchCV(innermost, {"estimator__min_samples_leaf": [1, 4]}, cv=2)
    search = GridSearchCV(inner, {"estimator__estimator__criterion": ["gini", "entropy"]}, cv=2)
    search.fit(X, y)
    candidates = children_of(top_run())
    assert [run.info.run_name for run in candidates] == ["GridSearchCV-0", "GridSearchCV-1"]
    for row, candidate in enumerate(candidates):
        assert_row(candidate, search.cv_results_, row, ["score"])
        assert len(children_of(candidate)) == 2
    assert {run.info.status for run in everything()} == {"FINISHED"}


# -- other searches --------------------------------------------------------------------------------


class Rounds(BaseSearchCV):
    """A user's own search: several calls for candidates, each deciding on the next."""

    def __init__(self, estimator, cv=None):
        super().__init__(estimator=estimator, cv=cv)

    def _run_search(self, evaluate_candidates):
        results = evaluate_candidates([{"max_depth": 1}, {"max_depth": 2}])
        evaluate_candidates({"max_depth": depth} for depth in (3, 4, 5))
        best = results["params"][int(np.argmax(results["mean_test_score"]))]["max_depth"]
        evaluate_candidates([{"max_depth": best, "min_samples_leaf": 7}])


def test_a_search_of_the_users_own_that_goes_by_rounds(autolog):
    """Candidates are numbered through all rounds, as the rows of the table are."""
    search = Rounds(tree(), cv=3).fit(X, y)
    top, children = family()
    assert len(children) == 6
    assert_children(search, children)
    assert_parent(search, top, children)


class Secretive(ClassifierMixin, BaseEstimator):
    """A search that trains in its own way, and has a table when it is done."""

    def __init__(self, estimator, param_grid, cv=3):
        self.estimator = estimator
        self.param_grid = param_grid
        self.cv = cv

    def fit(self, X, y):
        params = [{"max_depth": depth} for depth in self.param_grid["max_depth"]]
        scores = np.array(
            [[0.5 + 0.01 * depth + 0.1 * at for at in range(3)] for depth in (1, 2, 3)]
        )
        self.cv_results_ = {
            "params": params,
            **{f"split{at}_test_score": scores[:, at] for at in range(3)},
            "mean_test_score": scores.mean(axis=1),
            "std_test_score": scores.std(axis=1),
            "rank_test_score": np.array([3, 2, 1]),
            "mean_fit_time": np.array([0.1, 0.2, 0.3]),
            "mean_score_time": np.array([0.01, 0.02, 0.03]),
        }
        self.best_index_ = 2
        self.best_params_, self.best_score_ = params[2], float(scores.mean(axis=1)[2])
        self.best_estimator_ = clone(self.estimator).set_params(**self.best_params_).fit(X, y)
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict(self, X):
        return self.best_estimator_.predict(X)


def test_a_search_that_only_has_a_table(autolog):
    """Its candidates come from the table, with durations for times, and say so."""
    search = Secretive(tree(), DEPTHS).fit(X, y)
    top, children = family()
    results = search.cv_results_
    assert len(children) == 3
    for row, child in enumerate(children):
        assert child.info.status == "FINISHED"
        assert child.data.tags["skledger.times"] == "from durations"
        assert child.data.params["max_depth"] == str(row + 1)
        folds = {at: results[f"split{at}_test_score"][row] for at in range(3)}
        assert steps(child, "test_score") == folds
        for name in ("mean_test_score", "rank_test_score", "mean_fit_time", "mean_score_time"):
            assert child.data.metrics[name] == pytest.approx(results[name][row])
        lasts = 3 * (results["mean_fit_time"][row] + results["mean_score_time"][row])
        assert child.info.end_time - child.info.start_time == pytest.approx(1000 * lasts, abs=2)
    for earlier, later in zip(children, children[1:], strict=False):
        assert later.info.start_time == pytest.approx(earlier.info.end_time, abs=1)
    assert top.info.status == "FINISHED"
    assert top.info.end_time >= children[-1].info.end_time
    assert top.data.tags["skledger.best_run"] == children[2].info.run_id
    assert top.data.params["best_max_depth"] == "3"
    assert len(table_of(top)) == 3


# -- many, and live --------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_more_candidates_than_a_batch(autolog, monkeypatch, n_jobs):
    """However they are cut into transactions, each is there once and whole."""
    monkeypatch.setattr("skledger.ledger.children.BATCH", 64)
    rng = np.random.RandomState(0)
    grid = {"max_depth": range(1, 11), "min_impurity_decrease": rng.uniform(0, 0.1, 30).tolist()}
    search = GridSearchCV(tree(), grid, cv=2, n_jobs=n_jobs).fit(X, y)
    top, children = family()
    assert len(children) == 300
    assert_children(search, children)
    assert_parent(search, top, children)


class Slow(DecisionTreeClassifier):
    def fit(self, X, y, sample_weight=None, check_input=True):
        time.sleep(0.12)
        return super().fit(X, y)


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param(None, id="sqlite"),
        pytest.param("memory:", id="memory", marks=pytest.mark.slow),
    ],
)
def test_children_are_seen_while_the_search_goes_on(autolog, uri):
    """Another thread sees the parent RUNNING, and children first RUNNING, then FINISHED."""
    if uri is not None:
        skledger.set_tracking_uri(uri)
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            seen.append({r.info.run_id: (r.info.status, r.data.metrics) for r in everything()})
            time.sleep(0.04)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        search = GridSearchCV(Slow(random_state=0), DEPTHS, cv=5).fit(X, y)
    finally:
        over.set()
        watching.join()
    top, children = family()
    assert_children(search, children)
    live = [each for each in seen if each.get(top.info.run_id, ("",))[0] == "RUNNING"]
    for child in children:
        states = [each[child.info.run_id][0] for each in live if child.info.run_id in each]
        assert states == sorted(states, reverse=True), states  # RUNNING, then FINISHED
    told = [set(each) - {top.info.run_id} for each in live]
    assert {len(each) for each in told} >= {1, 2}
    first = children[0].info.run_id
    assert {each[first][0] for each in live if first in each} == {"RUNNING", "FINISHED"}
    for each in live:
        for run_id, (status, metrics) in each.items():
            if run_id != top.info.run_id:
                assert ("mean_test_score" in metrics) == (status == "FINISHED")
                assert "rank_test_score" not in metrics or each is live[-1]


def test_searches_in_threads(autolog):
    """Two searches at the same time keep their candidates apart."""
    found = {}

    def search(depths):
        found[depths] = GridSearchCV(tree(), {"max_depth": list(depths)}, cv=3).fit(X, y)

    threads = [threading.Thread(target=search, args=(each,)) for each in ((1, 2), (3, 4, 5))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    tops = [run for run in everything() if parent_of(run) is None]
    assert len(tops) == 2
    for top in tops:
        children = children_of(top)
        search = found[tuple(int(child.data.params["max_depth"]) for child in children)]
        assert_children(search, children)
        assert_parent(search, top, children)


def test_a_forest_that_is_searched_trains_in_threads_of_its_own(autolog):
    """What the estimator sends through joblib itself is no candidate."""
    search = GridSearchCV(
        RandomForestClassifier(n_estimators=4, n_jobs=2, random_state=0), DEPTHS, cv=3
    ).fit(X, y)
    top, children = family()
    assert_children(search, children)
    assert_parent(search, top, children)


def test_the_same_search_twice_makes_two_parents(autolog):
    """A second fit begins anew, with numbers from 0."""
    search = KINDS["grid"](cv=3)
    for _ in range(2):
        search.fit(X, y)
    tops = [run for run in everything() if parent_of(run) is None]
    assert len(tops) == 2
    for top in tops:
        numbers = [int(run.data.tags[CANDIDATE_TAG]) for run in children_of(top)]
        assert numbers == [0, 1, 2]


class Twice(GridSearchCV):
    """Searches coarsely, then finely, in one fit; its table is that of the second."""

    def fit(self, X, y=None, **params):
        super().fit(X, y, **params)
        self.param_grid = {"max_depth": [3, 5, 6]}
        return super().fit(X, y, **params)


@pytest.mark.parametrize("keep", [None, 2])
def test_a_search_that_fits_twice_in_one_call(keep):
    """Rows, ranks and the best are those of its table; the first pass comes after them."""
    with skledger.autolog(max_tuning_runs=keep):
        search = Twice(tree(), {"max_depth": [1, 2]}, cv=2).fit(X, y)
    top, runs = top_run(), everything()
    children = {int(r.data.tags[CANDIDATE_TAG]): r for r in runs if parent_of(r)}
    best = next(r for r in runs if r.info.run_id == top.data.tags["skledger.best_run"])
    assert best.data.params["max_depth"] == str(search.best_params_["max_depth"])
    table = search.cv_results_
    rows = {n: r for n, r in children.items() if n < 3}
    for row, run in rows.items():
        assert run.data.params["max_depth"] == str(table["param_max_depth"][row])
        assert run.data.metrics["mean_test_score"] == table["mean_test_score"][row]
        assert run.data.metrics["rank_test_score"] == table["rank_test_score"][row]
    if keep is None:
        assert set(children) == {0, 1, 2, 3, 4}
        assert {children[n].data.params["max_depth"] for n in (3, 4)} == {"1", "2"}
    else:
        assert len(children) == 2
        assert set(children) <= {0, 1, 2}


def test_the_best_by_the_scorer_that_decides():
    """With several scorers ``refit`` names the one that counts, for what is kept, too."""
    scoring = {"loss": "neg_log_loss", "acc": "accuracy"}
    grid = {"max_depth": [1, 2, 3, 4, 6, 8]}
    with skledger.autolog(max_tuning_runs=1):
        search = GridSearchCV(tree(), grid, cv=3, scoring=scoring, refit="acc").fit(X, y)
    (child,) = [run for run in everything() if parent_of(run)]
    assert child.data.params["max_depth"] == str(search.best_params_["max_depth"])
    assert child.data.metrics["mean_test_acc"] == search.best_score_


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_a_scorer_logs(n_jobs):
    """It goes to the run of the search; a nested run is its child; nothing stays active."""

    def scorer(estimator, X, y):
        skledger.log_metric("mine", 1.5)
        skledger.log_param("criterion", "mine")
        with skledger.start_run(nested=True, run_name="inner"):
            skledger.log_metric("deep", 2.5)
        return estimator.score(X, y)

    search = GridSearchCV(tree(), DEPTHS, cv=2, scoring=scorer, refit=False)
    with skledger.autolog(), parallel_config("threading", n_jobs=n_jobs):
        search.fit(X, y)
    assert skledger.active_run() is None
    top = top_run()
    assert top.info.status == "FINISHED"
    assert top.data.metrics["mine"] == 1.5
    assert top.data.params["criterion"] == "mine"
    inner = [run for run in everything() if run.info.run_name == "inner"]
    assert len(inner) == 6
    assert {parent_of(run) for run in inner} == {top.info.run_id}
    assert all(run.data.metrics["deep"] == 2.5 for run in inner)


def test_what_a_fit_logs():
    """An estimator that logs while it is trained logs to its own run."""

    class Tells(DecisionTreeClassifier):
        def fit(self, X, y):
            for step in range(3):
                skledger.log_metric("loss", 1.0 / (1 + step), step=step)
            skledger.set_tag("phase", "done")
            skledger.log_param("rows", len(X))
            return super().fit(X, y)

    with skledger.autolog():
        Tells(max_depth=2).fit(X, y)
    (run,) = everything()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["loss"] == pytest.approx(1 / 3)
    assert run.data.metrics["training_score"] > 0.5
    assert run.data.tags["phase"] == "done"
    assert run.data.params["rows"] == str(len(X))
    assert run.data.params["criterion"] == "gini"
