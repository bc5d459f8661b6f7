"""Searches that nobody watched are booked from their tables, like those that were watched."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from _polling import CANDIDATE_TAG, PARENT_TAG
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import skledger
from skledger.capture.results import has_candidates, read_results
from skledger.stores.artifacts import artifact_store
from skledger.tracking.session import get_store

X, y = make_classification(n_samples=90, n_features=5, random_state=0)
DEPTHS = {"max_depth": [1, 2, 3]}
TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time")
TIMES_TAG = "skledger.times"
ERROR_TAGS = tuple(f"skledger.error.{part}" for part in ("type", "message", "traceback"))
REASON = "the reason stayed in the worker"


def tree():
    return DecisionTreeClassifier(random_state=0)


def refuse_the_first_row(data):
    """Fail where the first row of the data is trained on; it is tested on in one fold."""
    if (data[:, 0] == X[0, 0]).any() and len(data) > len(X) / 4:
        raise ArithmeticError("not the first row")
    return data


def accuracy_but_of_stumps(estimator, X, y):
    if estimator.max_depth == 1:
        raise TypeError("no score for stumps")
    return accuracy_score(y, estimator.predict(X))


# -- what is booked --------------------------------------------------------------------------------


def everything():
    return skledger.search_runs(output_format="list")


def number_of(run):
    return int(run.data.tags.get(CANDIDATE_TAG, run.data.tags.get("skledger.fold", -1)))


def below(run):
    """Return the children of a run in the order of their numbers."""
    children = [r for r in everything() if r.data.tags.get(PARENT_TAG) == run.info.run_id]
    return sorted(children, key=number_of)


def history(run, key):
    """Return the values of a metric by step."""
    return {m.step: m.value for m in get_store().get_metric_history(run.info.run_id, key)}


def validated(search, n_jobs):
    """Cross-validate a search in a call of its own; return the call's run and what it fitted."""
    known = {run.info.run_id for run in everything()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cross_validate(search, X, y, cv=KFold(2), n_jobs=n_jobs, return_estimator=True)
    (root,) = [
        run
        for run in everything()
        if run.info.run_id not in known and PARENT_TAG not in run.data.tags
    ]
    return root, found["estimator"]


def assert_within(above, runs):
    """No run begins before the one above it, nor ends after it; not by a millisecond."""
    for run in runs:
        assert above.info.start_time <= run.info.start_time <= run.info.end_time
        assert run.info.end_time <= above.info.end_time


def assert_alike(live, past, table):
    """A candidate known from a table is booked like one that was watched, times apart."""
    row = number_of(past)
    assert TIMES_TAG not in live.data.tags
    assert past.data.tags[TIMES_TAG] == "from durations"
    assert past.info.status == live.info.status
    assert past.info.run_name == live.info.run_name
    assert past.data.params == live.data.params
    own = {TIMES_TAG, PARENT_TAG, *ERROR_TAGS}
    assert {k: v for k, v in past.data.tags.items() if k not in own} == {
        k: v for k, v in live.data.tags.items() if k not in own
    }
    assert past.data.metrics.keys() == live.data.metrics.keys()
    for key, value in past.data.metrics.items():
        if key in TIMES:
            assert value == table[key][row], key
        else:
            assert history(past, key) == history(live, key), key


def assert_booked_alike(search):
    """Cross-validate a search in this process and in two others; compare each candidate."""
    (watched, _), (root, fitted) = validated(search, 1), validated(search, 2)
    pasts = []
    for live_fold, fold, found in zip(below(watched), below(root), fitted, strict=True):
        assert_within(root, [fold])
        (live,), (past,) = below(live_fold), below(fold)
        assert_within(fold, [past])
        candidates = below(past)
        assert_within(past, candidates)
        found = found[-1] if hasattr(found, "steps") else found
        assert len(candidates) == len(found.cv_results_["params"])
        for one, other in zip(below(live), candidates, strict=True):
            assert_alike(one, other, found.cv_results_)
        assert past.data.params == live.data.params
        best = candidates[found.best_index_] if hasattr(found, "best_index_") else None
        assert past.data.tags.get("skledger.best_run") == (best and best.info.run_id)
        pasts.append(candidates)
    return pasts


# -- searches in workers ---------------------------------------------------------------------------

HALVING = {"random_state": 0, "min_resources": 10}
SCORERS = ["accuracy", "f1"]
SEARCHES = {
    "one scorer": lambda: GridSearchCV(tree(), DEPTHS, cv=3),
    "train scores": lambda: GridSearchCV(tree(), DEPTHS, cv=3, return_train_score=True),
    "two scorers": lambda: GridSearchCV(
        tree(), DEPTHS, cv=3, scoring=SCORERS, refit="f1", return_train_score=True
    ),
    "no refit": lambda: GridSearchCV(tree(), DEPTHS, cv=3, scoring=SCORERS, refit=False),
    "one fold": lambda: GridSearchCV(tree(), DEPTHS, cv=[(np.arange(30), np.arange(30, 45))]),
    "halving": lambda: HalvingGridSearchCV(
        tree(), {"max_depth": [1, 2, 3, 4, 5]}, cv=2, return_train_score=True, **HALVING
    ),
    "halving a forest, whose params have such names": lambda: HalvingGridSearchCV(
        RandomForestClassifier(random_state=0),
        {"max_depth": [1, 2, 3]},
        resource="n_estimators",
        max_resources=9,
        cv=2,
        random_state=0,
    ),
    "estimators to choose from": lambda: HalvingGridSearchCV(
        make_pipeline(StandardScaler(), tree()),
        {"decisiontreeclassifier": [tree(), LogisticRegression(C=0.5)]},
        cv=2,
        **HALVING,
    ),
    "in a pipeline": lambda: make_pipeline(StandardScaler(), GridSearchCV(tree(), DEPTHS, cv=2)),
    "in threads": lambda: GridSearchCV(
        RandomForestClassifier(5, random_state=0), {"max_depth": [1, 2, 3, 4]}, cv=3, n_jobs=2
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_each_candidate_is_as_if_it_had_been_watched(autolog, name):
    """Params, all scores of all folds, means, deviations and ranks are those of the live search."""
    assert_booked_alike(SEARCHES[name]())


def test_every_scorer_has_all_its_metrics(autolog):
    """Of each scorer: the score of every fold, mean, deviation and rank; the same of training."""
    for candidates in assert_booked_alike(SEARCHES["two scorers"]()):
        for run in candidates:
            for scorer in SCORERS:
                assert set(history(run, f"test_{scorer}")) == {0, 1, 2}
                assert set(history(run, f"train_{scorer}")) == {0, 1, 2}
                for key in ("mean_test", "std_test", "rank_test", "mean_train", "std_train"):
                    assert f"{key}_{scorer}" in run.data.metrics


def test_rungs_of_halving_are_told_apart(autolog):
    """Each candidate says on which rung it was, and of how many rows."""
    for candidates in assert_booked_alike(SEARCHES["halving"]()):
        rungs = [run.data.params["iter"] for run in candidates]
        assert len(set(rungs)) > 1
        assert rungs == sorted(rungs)
        assert len({run.data.params["n_resources"] for run in candidates}) == len(set(rungs))


# -- what fails there ------------------------------------------------------------------------------


def test_fits_that_fail_say_how_many_and_that_the_reason_is_lost(autolog):
    """The status is that of the live search; what is not known is not made up."""
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(), tree()),
        {"functiontransformer__func": [None, refuse_the_first_row]},
        cv=KFold(3),
    )
    for at, (good, bad) in enumerate(assert_booked_alike(search)):
        assert good.info.status == "FINISHED"
        # The outer split tests on the first row in fold 0; then nothing that is trained has it.
        assert bad.info.status == ("FINISHED" if at == 0 else "FAILED")
        if at == 1:
            assert bad.data.tags[ERROR_TAGS[0]] == "unknown"
            message = bad.data.tags[ERROR_TAGS[1]]
            assert message.startswith("the fits of 2 of 3 folds failed")
            assert message.endswith(REASON)
            assert set(history(bad, "test_score")) == {0}
            assert "mean_test_score" not in bad.data.metrics


@pytest.mark.parametrize("scoring", [None, SCORERS], ids=["one", "two"])
def test_all_fits_of_a_candidate_fail(autolog, scoring):
    """It is FAILED, and has no score at all."""
    grid = {"max_depth": [1, -1]}
    search = GridSearchCV(tree(), grid, cv=3, scoring=scoring, refit=False)
    for good, bad in assert_booked_alike(search):
        assert (good.info.status, bad.info.status) == ("FINISHED", "FAILED")
        assert bad.data.tags[ERROR_TAGS[1]].startswith("the fits of 3 of 3 folds failed")
        assert not [key for key in bad.data.metrics if "test_" in key and "rank" not in key]


def test_one_scorer_of_two_fails(autolog):
    """Then the fits did not, and the scorer is named, as in the live search."""
    scoring = {"good": "accuracy", "bad": accuracy_but_of_stumps}
    search = GridSearchCV(tree(), DEPTHS, cv=2, scoring=scoring, refit="good")
    for bad, *good in assert_booked_alike(search):
        assert bad.info.status == "FAILED"
        assert bad.data.tags[ERROR_TAGS[1]] == "test_bad is not a number"
        assert {run.info.status for run in good} == {"FINISHED"}


# -- times -----------------------------------------------------------------------------------------


def results_of(**columns):
    return read_results(SimpleNamespace(cv_results_=columns))


def test_candidates_lie_within_their_search():
    """What took longer together was trained at the same time: it is dated in proportion."""
    results = results_of(
        params=[{"a": 1}, {"a": 2}],
        split0_test_score=[0.5, 0.6],
        split1_test_score=[0.5, 0.6],
        mean_fit_time=[1.0, 3.0],
    )
    short, long = results.past_candidates(100.0, 102.0)
    assert [(fold.started, fold.ended) for fold in short.folds] == [(100, 100.25), (100.25, 100.5)]
    assert (long.folds[0].started, long.folds[-1].ended) == (100.5, 102.0)
    short, long = results.past_candidates(100.0, 200.0)
    assert long.folds[-1].ended == 108.0


def test_a_candidate_never_ends_after_its_parent(autolog):
    """However times are rounded: many short searches, as many ends."""
    for _ in range(4):
        root, _ = validated(GridSearchCV(tree(), DEPTHS, cv=2), 2)
        for fold in below(root):
            assert_within(root, [fold])
            for search in below(fold):
                assert_within(fold, [search])
                assert_within(search, below(search))


# -- searches that tell nothing --------------------------------------------------------------------


class Told(ClassifierMixin, BaseEstimator):
    """What a search leaves behind that trains in its own way."""

    def _tell(self, X, y, estimator, params, **columns):
        self.cv_results_ = {"params": params, **columns}
        self.best_index_ = 1
        self.best_params_, self.best_score_ = params[1], 0.75
        self.best_estimator_ = clone(estimator).set_params(**params[1]).fit(X, y)
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict(self, X):
        return self.best_estimator_.predict(X)


PARAMS = [{"max_depth": depth} for depth in (1, 2, 3)]
MEANS = {
    "mean_test_score": np.array([0.5, 0.75, math.nan]),
    "std_test_score": np.array([0.1, 0.2, math.nan]),
}
RANKS = {"rank_test_score": np.array([2, 1, 3], dtype=np.int32)}
MEAN_TIMES = {"mean_fit_time": [0.1, 0.2, 0.3], "std_fit_time": [0.01, 0.02, 0.03]}


class WithoutSplits(Told):
    """Has means, but no scores of folds."""

    def __init__(self, estimator, param_distributions, cv=3, ranks=True):
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.cv = cv
        self.ranks = ranks

    def fit(self, X, y):
        ranks = RANKS if self.ranks else {}
        return self._tell(X, y, self.estimator, PARAMS, **MEANS, **ranks, **MEAN_TIMES)


class Bandit(Told):
    """Has no `cv`, but one held-out part, and columns of its own."""

    def __init__(self, estimator, parameters, max_iter=81):
        self.estimator = estimator
        self.parameters = parameters
        self.max_iter = max_iter

    def fit(self, X, y):
        return self._tell(
            X,
            y,
            self.estimator,
            np.array(PARAMS),
            test_score=np.array([0.5, 0.75, 0.25]),
            rank_test_score=np.array([2, 1, 3]),
            model_id=np.array(["a", "b", "c"]),
            mean_partial_fit_time=np.array([0.1, 0.2, 0.3]),
            std_partial_fit_time=np.array([0.0, 0.1, 0.2]),
        )


class OtherNames(Told):
    """Has neither `estimator` nor `cv`; its model goes by another name."""

    def __init__(self, model, tried, splitter=None):
        self.model = model
        self.tried = tried
        self.splitter = splitter

    def fit(self, X, y):
        splits = {f"split{at}_test_score": [0.5 + at, 0.75 + at, 0.25 + at] for at in range(2)}
        means = {"mean_test_score": [1.0, 1.25, 0.75], "std_test_score": [0.5] * 3}
        return self._tell(X, y, self.model, PARAMS, **splits, **means, **RANKS)


def family():
    """Return the only run at the top and its children."""
    (top,) = [run for run in everything() if PARENT_TAG not in run.data.tags]
    children = below(top)
    assert len(everything()) == 1 + len(children)
    return top, children


def assert_told(search, children):
    """Each candidate has the params, means, deviations and ranks of its row, without NaN."""
    table = search.cv_results_
    top, _ = family()
    assert_within(top, children)
    assert [number_of(child) for child in children] == [0, 1, 2]
    for row, child in enumerate(children):
        assert child.data.tags[TIMES_TAG] == "from durations"
        assert child.data.params["max_depth"] == str(row + 1)
        assert child.data.params["criterion"] == "gini"
        for name, column in table.items():
            if name.startswith(("mean_", "std_", "rank_")):
                value = child.data.metrics.get(name, math.nan)
                np.testing.assert_equal(value, float(column[row]), err_msg=name)
    assert top.info.status == "FINISHED"
    assert top.data.params["best_max_depth"] == "2"
    assert top.data.metrics["best_cv_score"] == 0.75
    assert top.data.tags["skledger.best_run"] == children[1].info.run_id
    with artifact_store(top.info.artifact_uri).open("cv_results.csv") as stream:
        assert list(pd.read_csv(stream)) == list(table)
    names = {model.name for model in get_store().search_logged_models(top.info.run_id)}
    assert names == {"model", "best_estimator"}


@pytest.mark.parametrize("ranks", [True, False])
def test_a_table_without_splits(autolog, ranks):
    """Candidates have what it tells, and no scores of folds; ranks are reckoned if there are none."""
    search = WithoutSplits(tree(), DEPTHS, ranks=ranks).fit(X, y)
    _, children = family()
    assert_told(search, children)
    assert [child.data.metrics["rank_test_score"] for child in children] == [2, 1, 3]
    assert not any("test_score" in child.data.metrics for child in children)
    assert [child.info.status for child in children] == ["FINISHED", "FINISHED", "FAILED"]
    message = children[2].data.tags[ERROR_TAGS[1]]
    assert message.startswith("the fits of some folds failed")
    assert message.endswith(REASON)


def test_a_search_without_cv(autolog):
    """It is known by its table; its only score for each candidate is the mean score, too."""
    search = Bandit(tree(), DEPTHS).fit(X, y)
    top, children = family()
    assert_told(search, children)
    assert top.data.params["max_iter"] == "81"
    for child, score in zip(children, (0.5, 0.75, 0.25), strict=True):
        assert history(child, "test_score") == {0: score}
        assert child.data.metrics["mean_test_score"] == score
        assert "std_test_score" not in child.data.metrics


def test_a_search_whose_params_have_other_names(autolog):
    """What it searches is the one param that can be fitted."""
    search = OtherNames(tree(), DEPTHS).fit(X, y)
    _, children = family()
    assert_told(search, children)
    assert {child.data.tags["estimator_name"] for child in children} == {"DecisionTreeClassifier"}
    for row, child in enumerate(children):
        table = search.cv_results_
        assert history(child, "test_score") == {
            at: table[f"split{at}_test_score"][row] for at in range(2)
        }


def test_in_a_run_of_the_users(autolog):
    """The candidates of a search that is known by its table are children of that run."""
    with skledger.start_run() as active:
        Bandit(tree(), DEPTHS).fit(X, y)
    children = below(active)
    assert len(children) == 3
    run = skledger.get_run(active.info.run_id)
    assert run.data.tags["skledger.best_run"] == children[1].info.run_id


def test_only_the_best_of_them():
    """`max_tuning_runs` holds for them, too."""
    with skledger.autolog(max_tuning_runs=1):
        Bandit(tree(), DEPTHS).fit(X, y)
    _, (best,) = family()
    assert best.data.params["max_depth"] == "2"


class Features(Told):
    """Has a table of another kind."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self._tell(X, y, self.estimator, PARAMS)
        self.cv_results_ = {"mean_test_score": [0.1, 0.2], "params": PARAMS}
        return self


class Holder(ClassifierMixin, BaseEstimator):
    """Says what the search that it holds says."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self.search_ = GridSearchCV(self.estimator, DEPTHS, cv=2).fit(X, y)
        self.classes_ = self.search_.classes_
        return self

    def predict(self, X):
        return self.search_.predict(X)

    def __getattr__(self, name):
        if name.endswith("_") and "search_" in vars(self):
            return getattr(vars(self)["search_"], name)
        raise AttributeError(name)


class Broken(Features):
    @property
    def cv_results_(self):
        raise AttributeError("not for you")

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.best_estimator_ = clone(self.estimator).fit(X, y)
        return self


@pytest.mark.parametrize(
    "make",
    [
        lambda: RFECV(LogisticRegression(), cv=2),
        lambda: Features(tree()),
        lambda: Holder(tree()),
        lambda: Broken(tree()),
    ],
    ids=["RFECV", "lengths", "holder", "raises"],
)
def test_what_has_no_candidates_has_no_children(autolog, make):
    """A table without params, whose columns are no rows, or that is another's makes none."""
    estimator = make().fit(X, y)
    assert not has_candidates(estimator)
    # What selects features prepares data, and makes no run at all.
    assert len(everything()) == (0 if isinstance(estimator, RFECV) else 1)
    for run in everything():
        assert run.info.status == "FINISHED"
        assert "skledger.best_run" not in run.data.tags


# -- names that are too long -----------------------------------------------------------------------


@pytest.mark.parametrize("own_run", [False, True], ids=["", "user's run"])
@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_names_of_scorers_of_any_length(autolog, n_jobs, own_run):
    """A long name is cut, and told from another that begins alike; nothing is lost."""
    names = [f"{'x' * 260}{end}" for end in "ab"]
    scoring = {names[0]: "accuracy", names[1]: "f1", "é" * 200: "recall"}
    search = GridSearchCV(tree(), DEPTHS, cv=2, scoring=scoring, refit=names[0])
    active = skledger.start_run() if own_run else None
    if n_jobs is None:
        search.fit(X, y)
    else:
        cross_validate(search, X, y, cv=2, n_jobs=n_jobs, scoring=scoring)
    if active is not None:
        skledger.end_run()
    candidates = [run for run in everything() if CANDIDATE_TAG in run.data.tags]
    assert len(candidates) == (3 if n_jobs is None else 6)
    assert {run.info.status for run in everything()} == {"FINISHED"}
    for run in everything():
        assert max(map(len, run.data.metrics)) <= 250
    for run in candidates:
        for kind in ("mean_test_", "std_test_", "rank_test_"):
            assert len([key for key in run.data.metrics if key.startswith(kind)]) == 3
        assert all(
            set(history(run, key)) == {0, 1} for key in run.data.metrics if key.startswith("test_")
        )
