"""Estimators of other packages are booked as scikit-learn's own, and fit as without us."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from _estimators import answers, call, differences, named, untimed
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skledger

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 4))
CLASSES = (X[:, 0] + RNG.normal(size=60) > 0.6).astype(int)
NUMBERS = X @ [1.0, -1.0, 0.5, 0.0]
RANKS = np.arange(60) % 3

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _in_memory(_own_place):
    skledger.set_tracking_uri("memory:")


def _boosters():
    """Return estimators with the arguments and keyword arguments of their fit."""
    lightgbm, xgboost = pytest.importorskip("lightgbm"), pytest.importorskip("xgboost")
    few = {"n_estimators": 3, "random_state": 0, "n_jobs": 1}
    small = {**few, "min_child_samples": 3, "verbose": -1}
    held_out = {"eval_set": [(X[:20], CLASSES[:20])]}
    return [
        (xgboost.XGBClassifier(**few), (X, CLASSES), {}),
        (xgboost.XGBClassifier(**few), (X, CLASSES), {**held_out, "verbose": True}),
        (xgboost.XGBClassifier(**few, early_stopping_rounds=1), (X, CLASSES), held_out),
        (xgboost.XGBRegressor(**few), (X, NUMBERS), {"sample_weight": np.ones(60)}),
        (xgboost.XGBRFClassifier(**few), (X, CLASSES), {}),
        (xgboost.XGBRFRegressor(**few), (X, NUMBERS), {}),
        (xgboost.XGBRanker(**few), (X, RANKS), {"qid": np.repeat(range(6), 10)}),
        (lightgbm.LGBMClassifier(**small), (X, CLASSES), {}),
        (lightgbm.LGBMClassifier(**small), (X, CLASSES), held_out),
        (lightgbm.LGBMRegressor(**small), (X, NUMBERS), {}),
        (lightgbm.LGBMRanker(**small), (X, RANKS), {"group": [10] * 6}),
    ]


def _imbalanced():
    pytest.importorskip("imblearn")
    from imblearn import ensemble, over_sampling, pipeline, under_sampling

    few = {"n_estimators": 3, "random_state": 0}
    estimators = [
        ensemble.BalancedRandomForestClassifier(**few),
        ensemble.BalancedBaggingClassifier(**few),
        ensemble.EasyEnsembleClassifier(**few),
        ensemble.RUSBoostClassifier(**few),
        over_sampling.RandomOverSampler(random_state=0),
        over_sampling.SMOTE(random_state=0),
        under_sampling.RandomUnderSampler(random_state=0),
        pipeline.make_pipeline(
            StandardScaler(), over_sampling.SMOTE(random_state=0), LogisticRegression()
        ),
    ]
    return [(estimator, (X, CLASSES), {}) for estimator in estimators]


def _combined():
    import lightgbm
    import xgboost

    few = {"n_estimators": 3, "random_state": 0, "n_jobs": 1}
    return [
        (make_pipeline(StandardScaler(), xgboost.XGBClassifier(**few)), (X, CLASSES), {}),
        (
            GridSearchCV(
                lightgbm.LGBMClassifier(**few, verbose=-1), {"min_child_samples": [3, 5]}, cv=2
            ),
            (X, CLASSES),
            {},
        ),
    ]


def _cases():
    try:
        cases = [*_boosters(), *_imbalanced(), *_combined()]
    except pytest.skip.Exception as missing:
        return [pytest.param(None, (), {}, marks=pytest.mark.skip(reason=str(missing)))]
    names = [name for name, _ in named([estimator for estimator, *_ in cases])]
    return [pytest.param(*case, id=name) for case, name in zip(cases, names, strict=True)]


@pytest.mark.parametrize(("template", "args", "kwargs"), _cases())
def test_the_same_with_and_without(template, args, kwargs):
    """Fitted state, predictions, output and random state are equal to the bit; one run, whose
    model predicts the same; a pickle that names nothing of ours."""
    bare = call(template, "fit", args, kwargs)
    assert bare.error is None
    with skledger.autolog():
        ours = call(template, "fit", args, kwargs)
    assert untimed(differences(bare.visible(), ours.visible())) == set()
    said = answers(bare.estimator, args)
    assert differences(said, answers(ours.estimator, args)) == set()
    assert b"skledger" not in pickle.dumps(ours.estimator)
    skledger.flush()
    runs = skledger.search_runs(output_format="list")
    (run,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    cls = type(template)
    assert run.info.status == "FINISHED"
    assert run.data.tags["estimator_name"] == cls.__name__
    assert run.data.tags["estimator_class"] == f"{cls.__module__}.{cls.__qualname__}"
    for key, value in template.get_params(deep=not isinstance(template, GridSearchCV)).items():
        assert run.data.params[key] == str(value)
    loaded = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert differences(said, answers(loaded, args)) == set()


def _without_place(part: object) -> object:
    """A message of xgboost without the time it begins with and the machine frames it ends in
    (how many of them libffi and the interpreter have differs from call to call)."""
    if not isinstance(part, str):
        return part
    return re.sub(r"\[\d\d:\d\d:\d\d\]", "", part).partition("Stack trace:")[0]


@pytest.mark.parametrize(("template", "args", "kwargs"), _cases())
def test_a_failing_fit_is_the_same(template, args, kwargs):
    """Targets of the wrong length: the same exception, one FAILED run. Samplers do not mind."""
    bad = (args[0], args[1][:-7])
    bare = call(template, "fit", bad, kwargs)
    with skledger.autolog():
        ours = call(template, "fit", bad, kwargs)
    seen, expected = ours.visible(), bare.visible()
    del seen["estimator"], expected["estimator"]  # a half-made Booster holds what it likes
    for each in (seen, expected):
        if each["error_args"] is not None:
            each["error_args"] = [_without_place(part) for part in each["error_args"]]
            each["error"] = tuple(_without_place(part) for part in each["error"])
    assert untimed(differences(expected, seen)) == set()
    (run,) = skledger.search_runs(output_format="list")
    assert run.info.status == ("FINISHED" if bare.error is None else "FAILED")


def test_resampling_is_no_fit():
    """``fit_resample`` prepares data; it makes no run, alone or in a pipeline."""
    over_sampling = pytest.importorskip("imblearn.over_sampling")
    with skledger.autolog():
        over_sampling.SMOTE(random_state=0).fit_resample(X, CLASSES)
    assert skledger.search_runs(output_format="list") == []
