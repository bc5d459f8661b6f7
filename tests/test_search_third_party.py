"""Searches of other packages: one run each, a child for each candidate they evaluate, as it is
evaluated; and the same result as without us."""

from __future__ import annotations

import contextlib
import io
import math
import random
import re
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from _estimators import differences, untimed
from _polling import CANDIDATE_TAG, PARENT_TAG
from scipy.stats import rankdata
from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier
from sklearn.tree import DecisionTreeClassifier

import skledger
from skledger.stores.artifacts import artifact_store
from skledger.tracking.session import get_store

X, y = load_iris(return_X_y=True)
SPLITS = 3

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _in_memory(_own_place):
    skledger.set_tracking_uri("memory:")


@pytest.fixture(autouse=True)
def _no_genetic_model(swallowed):
    """Forgive one failure: a fitted GASearchCV has pieces that cannot be unpickled, by anybody."""
    yield
    skledger.flush()
    swallowed[:] = [error for error in swallowed if "metaclass conflict" not in str(error)]


class Fussy(DecisionTreeClassifier):
    """A tree that refuses to have four levels."""

    def fit(self, X, y, sample_weight=None, check_input=True):
        if self.max_depth == 4:
            raise ValueError("four is too deep")
        return super().fit(X, y, sample_weight, check_input)


# -- the searches ----------------------------------------------------------------------------------


def bayes(estimator=None, **options):
    skopt = pytest.importorskip("skopt")
    space = skopt.space
    return skopt.BayesSearchCV(
        estimator or DecisionTreeClassifier(random_state=0),
        {"max_depth": space.Integer(1, 8), "min_samples_leaf": space.Integer(1, 9)},
        **{"n_iter": 6, "cv": SPLITS, "random_state": 0, **options},
    )


def optuna_search(estimator=None, space=None, **options):
    optuna = pytest.importorskip("optuna")
    integration = pytest.importorskip("optuna_integration")
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    space = space or {
        "max_depth": optuna.distributions.IntDistribution(1, 8),
        "ccp_alpha": optuna.distributions.FloatDistribution(0.0, 0.3),
    }
    return integration.OptunaSearchCV(
        estimator or DecisionTreeClassifier(random_state=0),
        space,
        **{"n_trials": 5, "cv": SPLITS, "random_state": 0, **options},
    )


def genetic(estimator=None, **options):
    pytest.importorskip("sklearn_genetic")
    from sklearn_genetic import GASearchCV
    from sklearn_genetic.space import Integer

    options = {"population_size": 4, "generations": 2, "verbose": False, "cv": SPLITS, **options}
    return GASearchCV(
        estimator or DecisionTreeClassifier(random_state=0),
        param_grid={"max_depth": Integer(1, 4), "min_samples_leaf": Integer(1, 3)},
        **options,
    )


def seed():
    np.random.seed(3)
    random.seed(3)


def fitted(search, **arguments):
    """Fit with autologging, from a known random state."""
    seed()
    with skledger.autolog():
        search.fit(X, y, **arguments)
    skledger.flush()
    return search


def trained(search):
    """Return the params of each row of ``cv_results_``; Optuna keeps them with its trials."""
    if hasattr(search, "trials_"):
        return [trial.params for trial in search.trials_]
    return search.cv_results_["params"]


# -- what is booked --------------------------------------------------------------------------------


def booked():
    """Return the run of the search and those of its candidates; there may be no others."""
    runs = skledger.search_runs(output_format="list")
    (parent,) = [run for run in runs if PARENT_TAG not in run.data.tags]
    children = {int(run.data.tags[CANDIDATE_TAG]): run for run in runs if run is not parent}
    assert len(children) == len(runs) - 1, "two children are the same candidate"
    assert {run.data.tags[PARENT_TAG] for run in children.values()} <= {parent.info.run_id}
    return parent, dict(sorted(children.items()))


def history(run, name):
    return get_store().get_metric_history(run.info.run_id, name)


def assert_parent(search, parent, children, params):
    """The search's run has its own params, what was found to be best, and its table."""
    cls = type(search)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["estimator_name"] == cls.__name__
    assert parent.data.tags["estimator_class"] == f"{cls.__module__}.{cls.__qualname__}"
    assert {name: parent.data.params.get(name) for name in params} == params
    for name, value in search.best_params_.items():
        assert parent.data.params[f"best_{name}"] == str(value)
    assert parent.data.metrics["best_cv_score"] == pytest.approx(search.best_score_)
    assert parent.data.metrics["training_score"] == search.score(X, y)
    best = children[int(search.best_index_)]
    assert parent.data.tags["skledger.best_run"] == best.info.run_id
    with artifact_store(parent.info.artifact_uri).open("cv_results.csv") as stream:
        table = pd.read_csv(stream)
    assert table["mean_test_score"].tolist() == pytest.approx(search.cv_results_["mean_test_score"])
    model = skledger.sklearn.load_model(f"runs:/{parent.info.run_id}/best_estimator")
    assert np.array_equal(model.predict(X), search.predict(X))


def assert_children(search, parent, children, *, base, train=False, ranked=True):
    """Each candidate's run has its params, the score of each fold, the means, rank and times."""
    results = search.cv_results_
    ranks = rankdata([-mean for mean in results["mean_test_score"]], method="min")
    for index, child in children.items():
        assert child.info.status == "FINISHED"
        assert child.info.run_name == f"{base['name']}-{index}"
        assert child.data.tags["estimator_name"] == base["name"]
        assert child.data.tags["mlflow.autologging"] == "sklearn"
        wanted = {**base["params"], **{k: str(v) for k, v in trained(search)[index].items()}}
        assert child.data.params == wanted
        for kind in ("test", "train") if train else ("test",):
            expected = [results[f"split{n}_{kind}_score"][index] for n in range(SPLITS)]
            found = history(child, f"{kind}_score")
            assert [(metric.step, metric.value) for metric in found] == list(enumerate(expected))
            for name in (f"mean_{kind}_score", f"std_{kind}_score"):
                assert child.data.metrics[name] == pytest.approx(results[name][index]), name
        if ranked:
            assert child.data.metrics["rank_test_score"] == ranks[index]
        for name in ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"):
            assert child.data.metrics[name] == pytest.approx(results[name][index], abs=1e-6), name
        assert parent.info.start_time <= child.info.start_time <= child.info.end_time
        assert child.info.end_time <= parent.info.end_time
        lasted = child.info.end_time - child.info.start_time
        assert lasted >= child.data.metrics["mean_fit_time"] * 1000 - 3


def described(estimator):
    """Return what a child holds of the estimator that is searched over."""
    params = {name: str(value) for name, value in estimator.get_params().items()}
    return {"name": type(estimator).__name__, "params": params}


def assert_booked(search, n_children, *, train=False, **arguments):
    """Fit a search with autologging, and look at everything that was booked."""
    base = described(search.estimator)
    params = {name: str(value) for name, value in search.get_params(deep=False).items()}
    fitted(search, **arguments)
    parent, children = booked()
    assert len(children) == (n_children(search) if callable(n_children) else n_children)
    assert_parent(search, parent, children, params)
    assert_children(search, parent, children, base=base, train=train)
    return parent, children


@pytest.mark.parametrize(
    "options",
    [{}, {"n_points": 2}, {"n_points": 4}, {"n_points": 4, "n_jobs": 2}],
    ids=["1-point", "2-points", "4-points", "2-jobs"],
)
def test_bayesian_search(options):
    """BayesSearchCV asks for a few candidates at a time; their numbers go on."""
    _, children = assert_booked(bayes(**options), 6)
    assert list(children) == list(range(6))


def test_bayesian_search_with_train_scores():
    """Scores on the training part of each fold are booked when they were asked for."""
    assert_booked(bayes(return_train_score=True), 6, train=True)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_optuna_search(n_jobs):
    """OptunaSearchCV calls `cross_validate` for each trial, with n_jobs=2 from several threads."""
    _, children = assert_booked(optuna_search(n_jobs=n_jobs), 5)
    assert list(children) == list(range(5))


def test_optuna_search_with_train_scores():
    """Scores on the training part of each fold are booked when they were asked for."""
    assert_booked(optuna_search(return_train_score=True), 5, train=True)


def test_optuna_search_in_a_study_that_has_trials():
    """Only the trials of this search are candidates, by the number they have in the study."""
    optuna = pytest.importorskip("optuna")
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    optuna_search(study=study, n_trials=2).fit(X, y)
    search = fitted(optuna_search(study=study, n_trials=3))
    parent, children = booked()
    assert list(children) == [2, 3, 4]
    base = described(search.estimator)
    assert_children(search, parent, children, base=base, ranked=False)


def test_optuna_search_that_prunes():
    """Trials that are trained step by step, without `cross_validate`, are candidates, too."""
    optuna = pytest.importorskip("optuna")
    space = {"alpha": optuna.distributions.FloatDistribution(1e-4, 0.1, log=True)}
    search = optuna_search(
        SGDClassifier(random_state=0), space, enable_pruning=True, max_iter=3, n_trials=4
    )
    fitted(search)
    parent, children = booked()
    assert list(children) == list(range(4))
    for index, child in children.items():
        assert child.info.status == "FINISHED"
        assert child.data.params["alpha"] == str(search.trials_[index].params["alpha"])
        expected = [search.cv_results_[f"split{n}_test_score"][index] for n in range(SPLITS)]
        values = [metric.value for metric in history(child, "test_score")]
        assert values[-SPLITS:] == expected
    assert parent.data.tags["skledger.best_run"] == children[search.best_index_].info.run_id


def test_optuna_search_with_a_trial_that_fails():
    """A trial none of whose fits succeed is a FAILED child with the reason; the search goes on."""
    optuna = pytest.importorskip("optuna")
    space = {"max_depth": optuna.distributions.IntDistribution(3, 5)}
    search = optuna_search(Fussy(random_state=0), space, n_trials=8)
    fitted(search)
    parent, children = booked()
    assert parent.info.status == "FINISHED"
    assert list(children) == list(range(8))
    depths = [trial.params["max_depth"] for trial in search.trials_]
    assert 4 in depths, "the seed of this test does not try what fails"
    for index, child in children.items():
        assert child.data.params["max_depth"] == str(depths[index])
        assert child.info.status == ("FAILED" if depths[index] == 4 else "FINISHED")
        assert all(math.isfinite(value) for value in child.data.metrics.values())
        if depths[index] == 4:
            assert child.data.tags["skledger.error.type"] == "ValueError"
            assert "four is too deep" in child.data.tags["skledger.error.message"]
            assert "in fit" in child.data.tags["skledger.error.traceback"]


def test_genetic_search():
    """GASearchCV evaluates each individual once; a child's number is its first row's."""

    def distinct(search):
        return len({tuple(each.items()) for each in trained(search)})

    _, children = assert_booked(genetic(), distinct)
    assert 0 in children


@pytest.mark.parametrize(
    "options", [{"use_cache": False}, {"use_cache": False, "n_jobs": 2}], ids=["1-job", "2-jobs"]
)
def test_genetic_search_without_its_cache(options):
    """An individual that is evaluated again is another candidate."""
    search = genetic(**options, return_train_score=True)
    _, children = assert_booked(search, lambda search: len(trained(search)), train=True)
    assert list(children) == list(range(len(children)))


def test_genetic_feature_selection_is_one_run():
    """What cross-validates inside its fit makes no runs at the top."""
    pytest.importorskip("sklearn_genetic")
    from sklearn_genetic import GAFeatureSelectionCV

    selection = GAFeatureSelectionCV(
        DecisionTreeClassifier(random_state=0),
        cv=SPLITS,
        population_size=3,
        generations=1,
        verbose=False,
    )
    fitted(selection)
    runs = skledger.search_runs(output_format="list")
    (parent,) = [run for run in runs if PARENT_TAG not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["estimator_name"] == "GAFeatureSelectionCV"


# -- while it runs ---------------------------------------------------------------------------------


class Lookout:
    """Looks at the store from a callback of the search, until it shows what has been done."""

    def __init__(self):
        self.looks = 0
        self.seen = []

    def look(self, *_):
        self.looks += 1
        deadline = time.monotonic() + 3
        while True:
            runs = skledger.search_runs(output_format="list")
            parents = [run.info.status for run in runs if PARENT_TAG not in run.data.tags]
            children = [run.info.status for run in runs if PARENT_TAG in run.data.tags]
            if children.count("FINISHED") >= self.looks or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self.seen.append((parents, children))

    def assert_live(self, steps):
        assert self.looks >= steps
        for done, (parents, children) in enumerate(self.seen, start=1):
            assert parents == ["RUNNING"], self.seen
            assert children.count("FINISHED") >= done, self.seen


def test_bayesian_candidates_appear_as_they_finish():
    """A callback of the search, called after each step, finds the candidates in the store."""
    lookout = Lookout()
    fitted(bayes(n_iter=3), callback=lookout.look)
    lookout.assert_live(3)


def test_optuna_trials_appear_as_they_finish():
    """A callback of the study, called after each trial, finds the candidates in the store."""
    lookout = Lookout()
    fitted(optuna_search(n_trials=3, callbacks=[lookout.look]))
    lookout.assert_live(3)


def test_genetic_candidates_appear_as_they_finish():
    """A callback of the search, called after each generation, finds candidates in the store."""
    pytest.importorskip("sklearn_genetic")
    from sklearn_genetic.callbacks.base import BaseCallback

    lookout = Lookout()

    class Step(BaseCallback):
        def on_step(self, record=None, logbook=None, estimator=None):
            lookout.look()
            return False

    fitted(genetic(generations=1), callbacks=[Step()])
    lookout.assert_live(2)


# -- the same with and without ---------------------------------------------------------------------


def seen(search, **arguments):
    """Fit, and return all that the user can see of it."""
    printed = io.StringIO()
    seed()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        result = search.fit(X, y, **arguments)
    state = {"numpy": np.random.get_state(), "random": random.getstate()}
    rows = pd.DataFrame(search.cv_results_)
    return {
        "returned_self": result is search,
        "best_params": dict(search.best_params_),
        "best_score": search.best_score_,
        "best_index": search.best_index_,
        "n_splits": search.n_splits_,
        "cv_results": {name: rows[name].tolist() for name in rows},
        "trained": [dict(each) for each in trained(search)],
        "predictions": search.predict(X),
        "attributes": sorted(vars(search)),
        "repr": re.sub("0x[0-9a-f]+", "0x", repr(search)),
        "printed": printed.getvalue(),
        "warned": [(each.category, str(each.message), each.filename) for each in caught],
        **state,
    }


SAME = {
    "bayes": lambda: bayes(return_train_score=True),
    "bayes-points": lambda: bayes(n_points=3, n_jobs=2, verbose=1),
    "optuna": lambda: optuna_search(return_train_score=True),
    "optuna-failing": lambda: optuna_search(Fussy(random_state=0), n_trials=8),
    "genetic": lambda: genetic(return_train_score=True, verbose=True),
    "genetic-jobs": lambda: genetic(n_jobs=2),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_with_and_without(name):
    """Best candidate, all results, predictions, output, warnings and random state are equal."""
    bare = seen(SAME[name]())
    with skledger.autolog():
        ours = seen(SAME[name]())
    assert untimed(differences(bare, ours)) == set()


@pytest.mark.parametrize("name", ["bayes", "optuna"])
def test_a_search_that_fails_is_the_same(name):
    """The exception of a candidate that ends the search is the user's own; the run is FAILED."""
    make = {"bayes": bayes, "optuna": optuna_search}[name]

    class Broken(DecisionTreeClassifier):
        def fit(self, X, y, sample_weight=None, check_input=True):
            raise RuntimeError("broken")

    def failure(search):
        with pytest.raises(Exception) as caught:
            search.fit(X, y)
        return type(caught.value), str(caught.value), caught.traceback[-1].name

    options = {"error_score": "raise"}
    bare = failure(make(Broken(), **options))
    with skledger.autolog():
        ours = failure(make(Broken(), **options))
    assert ours == bare == (RuntimeError, "broken", "fit")
    parent, children = booked()
    assert parent.info.status == "FAILED"
    assert parent.data.tags["skledger.error.message"] == "broken"
    assert all(child.info.status == "FAILED" for child in children.values())
