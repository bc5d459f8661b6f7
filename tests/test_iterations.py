"""Curves over iterations: what estimators keep of them, fits that go on, scikit-learn's callbacks."""

from __future__ import annotations

import copy
import logging
import pickle
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skledger
from skledger.capture import iterations as module
from skledger.capture.iterations import MAX_POINTS, counts, curves, iterations, staged_scores

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
HAS_CALLBACKS = find_spec("sklearn.callback") is not None
needs_callbacks = pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn before 1.9")


def only_run():
    (run,) = skledger.search_runs(output_format="list")
    return run


def history(run, key):
    """The values of a metric, in the order of its steps, and the steps."""
    found = skledger.MlflowClient().get_metric_history(run.info.run_id, key)
    found = sorted(found, key=lambda each: each.step)
    return [each.value for each in found], [each.step for each in found]


# -- what estimators keep -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (MLPClassifier((3,), max_iter=5), ["loss_curve"]),
        (
            MLPClassifier((3,), max_iter=5, early_stopping=True),
            ["loss_curve", "validation_scores"],
        ),
        (
            HistGradientBoostingClassifier(max_iter=4, early_stopping=True, scoring="accuracy"),
            ["train_score", "validation_score"],
        ),
        (AdaBoostClassifier(n_estimators=4), ["estimator_errors"]),
    ],
    ids=["mlp", "mlp-stopping", "hist", "ada"],
)
@pytest.mark.usefixtures("autolog")
def test_a_curve_is_a_metric_named_as_the_attribute(model, names, binary):
    """Each attribute with a value per iteration is a metric with steps from 0, same values."""
    model.fit(*binary)
    run = only_run()
    for name in names:
        values, steps = history(run, name)
        assert values == pytest.approx(list(getattr(model, f"{name}_")))
        assert steps == list(range(len(values)))


@pytest.mark.usefixtures("autolog")
def test_out_of_bag_curves(regression):
    """Gradient boosting on subsamples has its improvement and score out of bag, as well."""
    model = GradientBoostingRegressor(n_estimators=6, subsample=0.5).fit(*regression)
    run = only_run()
    for name in ("train_score", "oob_improvement", "oob_scores"):
        assert history(run, name)[0] == pytest.approx(getattr(model, f"{name}_").tolist())
    assert run.data.metrics["oob_score"] == pytest.approx(model.oob_score_)


@pytest.mark.usefixtures("autolog")
def test_the_number_of_iterations(multiclass):
    """``n_iter_`` is a metric; of one per class it is the largest."""
    model = LogisticRegression(max_iter=500).fit(*multiclass)
    assert only_run().data.metrics["n_iter"] == max(model.n_iter_)
    assert counts(Ridge()) == {}


@pytest.mark.usefixtures("autolog")
def test_the_out_of_bag_score_of_a_forest(binary):
    """It is one number, without steps."""
    model = RandomForestClassifier(30, oob_score=True, random_state=0).fit(*binary)
    run = only_run()
    assert history(run, "oob_score") == ([model.oob_score_], [0])


@pytest.mark.usefixtures("autolog")
def test_models_inside_pipelines_and_searches(binary):
    """The last step's, and the refitted best estimator's curves are those of the whole."""
    model = make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=4)).fit(*binary)
    assert history(only_run(), "loss_curve")[0] == pytest.approx(model[-1].loss_curve_)
    search = GridSearchCV(MLPClassifier((2,), max_iter=3), {"alpha": [0.1, 1]}, cv=2).fit(*binary)
    run = skledger.last_active_run()
    assert history(run, "loss_curve")[0] == pytest.approx(search.best_estimator_.loss_curve_)


@pytest.mark.usefixtures("autolog")
def test_unsupervised_and_bayesian_curves(regression):
    """Bounds and likelihoods of estimators without a loss are curves, too."""
    X, y = regression
    ridge = BayesianRidge(compute_score=True).fit(X, y)
    assert history(only_run(), "scores")[0] == pytest.approx(list(ridge.scores_))
    mixture = GaussianMixture(2, random_state=0).fit(X)
    if hasattr(mixture, "lower_bounds_"):
        bounds = history(skledger.last_active_run(), "lower_bounds")[0]
        assert bounds == pytest.approx(list(mixture.lower_bounds_))


class Curved(BaseEstimator):
    """An estimator that leaves what it is told to."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    "left",
    [
        {"loss_curve_": None},
        {"loss_curve_": []},
        {"validation_scores_": {"a": 1}},
        {"train_score_": np.zeros((2, 2))},
        {"scores_": {1: np.zeros(3)}},
        {"error_": "it failed"},
        {"n_iter_": None},
        {"n_iter_": []},
        {"evals_result_": {"valid": [1, 2]}},
    ],
    ids=str,
)
def test_what_is_no_curve_is_left_alone(left):
    """Attributes of these names that hold something else make no metrics, and no failure."""
    assert curves(Curved(**left)) == []
    assert counts(Curved(**left)) == {}


def test_a_long_curve_is_thinned():
    """Of a curve of many points 1,000 are kept with their own steps: the first, the last, evenly."""
    model = Curved(loss_curve_=np.arange(123_456.0))
    found = curves(model)
    assert len(found) == MAX_POINTS
    assert found[0] == ("loss_curve", 0.0, 0)
    assert found[-1] == ("loss_curve", 123_455.0, 123_455)
    assert all(value == step for _, value, step in found)


def test_what_is_not_finite_is_left_out():
    """A loss that diverged stays a curve of what is known."""
    found = curves(Curved(loss_curve_=[1.0, float("nan"), 2.0, float("inf")]))
    assert found == [("loss_curve", 1.0, 0), ("loss_curve", 2.0, 2)]


# -- staged predictions ---------------------------------------------------------------------------


@pytest.mark.usefixtures("autolog")
def test_staged_scores_where_there_is_no_curve(regression, binary, monkeypatch):
    """Estimators that keep none are scored after each stage, on a sample of their training rows."""
    monkeypatch.setattr(module, "STAGED_SECONDS", 60)
    HistGradientBoostingRegressor(max_iter=8).fit(*regression)
    values, steps = history(only_run(), "staged_score")
    assert values[-1] > values[0]
    assert steps == list(range(len(values)))
    AdaBoostClassifier(n_estimators=5).fit(*binary)
    assert "staged_score" in skledger.last_active_run().data.metrics


def test_staged_scores_are_those_of_the_sample(multiclass, monkeypatch):
    """With all rows in the sample they are scikit-learn's accuracies of each stage."""
    monkeypatch.setattr(module, "STAGED_SECONDS", 60)
    X, y = multiclass
    model = AdaBoostClassifier(n_estimators=8).fit(X, y)
    expected = [float(np.mean(each == y)) for each in model.staged_predict(X)]
    assert [value for _, value, _ in staged_scores(model, X, y, 0.0)] == pytest.approx(expected)


def test_staged_scores_are_bounded(multiclass, monkeypatch):
    """Few rows and few points are looked at, and it ends when it has taken its time."""
    X, y = (np.repeat(each, 20, axis=0) for each in multiclass)
    asked = []

    class Slow(AdaBoostClassifier):
        def staged_predict(self, X):
            asked.append(len(X))
            yield from super().staged_predict(X)

    model = Slow(n_estimators=120, learning_rate=0.1).fit(X, y)
    monkeypatch.setattr(module, "STAGED_SECONDS", 60)
    found = staged_scores(model, X, y, 0.0)
    assert asked == [module.STAGED_ROWS]
    assert len(found) == min(module.STAGED_POINTS, len(model.estimators_))
    monkeypatch.setattr(module, "STAGED_SECONDS", 0)
    assert len(staged_scores(model, X, y, 0.0)) == 1


def test_without_data_there_are_no_staged_scores(regression):
    """Where the model must not be asked to predict, its curves are all."""
    model = HistGradientBoostingRegressor(max_iter=3).fit(*regression)
    assert iterations(model, None, None, 1.0) == []
    assert iterations(make_pipeline(StandardScaler(), model), *regression, 1.0) == []


# -- gradient boosting libraries ------------------------------------------------------------------


@pytest.mark.usefixtures("autolog")
def test_xgboost(regression):
    """Its evaluations are metrics named as MLflow names them: data set, dash, metric."""
    xgboost = pytest.importorskip("xgboost")
    X, y = regression
    sets = [(X[:300], y[:300]), (X[300:], y[300:])]
    model = xgboost.XGBRegressor(n_estimators=5, early_stopping_rounds=2)
    model.fit(X[:300], y[:300], eval_set=sets, verbose=False)
    run = only_run()
    results = model.evals_result()
    for name in ("validation_0", "validation_1"):
        assert history(run, f"{name}-rmse")[0] == pytest.approx(results[name]["rmse"])
    assert run.data.metrics["best_iteration"] == model.best_iteration


@pytest.mark.usefixtures("autolog")
def test_lightgbm(binary):
    """Likewise; without early stopping there is no best iteration."""
    lightgbm = pytest.importorskip("lightgbm")
    X, y = binary
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1)
    model.fit(X[:400], y[:400], eval_set=[(X[400:], y[400:])])
    run = only_run()
    (name,) = model.evals_result_
    expected = model.evals_result_[name]["binary_logloss"]
    assert history(run, f"{name}-binary_logloss")[0] == pytest.approx(expected)
    assert "best_iteration" not in run.data.metrics


# -- training that goes on ------------------------------------------------------------------------


@pytest.mark.usefixtures("autolog")
def test_partial_fit_makes_its_curve_longer(multiclass):
    """Each call books the points of the curve that are new, each once."""
    X, y = multiclass
    model = MLPClassifier((3,), random_state=0)
    for _ in range(4):
        model.partial_fit(X, y, classes=[0, 1, 2])
    values, steps = history(only_run(), "loss_curve")
    assert values == pytest.approx(model.loss_curve_)
    assert steps == [0, 1, 2, 3]


@pytest.mark.usefixtures("autolog")
def test_warm_start_goes_on_in_one_run(regression):
    """Fits of one estimator that go on are steps; files and models are numbered, params charted."""
    model = GradientBoostingRegressor(n_estimators=3, warm_start=True)
    for number in (3, 5, 9):
        model.set_params(n_estimators=number).fit(*regression)
    run = only_run()
    assert run.info.status == "FINISHED"
    assert run.data.params["n_estimators"] == "3"
    assert run.data.tags["skledger.changed_params"] == '{"n_estimators": "9"}'
    assert history(run, "n_estimators") == ([3.0, 5.0, 9.0], [0, 1, 2])
    scores, steps = history(run, "training_score")
    assert steps == [0, 1, 2]
    assert scores == sorted(scores)
    assert scores[-1] == pytest.approx(model.score(*regression))
    assert history(run, "train_score")[0] == pytest.approx(model.train_score_.tolist())
    skledger.flush()
    files = {each.path for each in skledger.MlflowClient().list_artifacts(run.info.run_id)}
    assert {"training_residuals.png", "training_residuals-2.png", "estimator-3.html"} <= files
    loaded = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model-3")
    np.testing.assert_array_equal(loaded.predict(regression[0]), model.predict(regression[0]))
    first = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert len(first.estimators_) == 3


@pytest.mark.usefixtures("autolog")
def test_warm_start_of_a_curve_that_is_continued(multiclass):
    """A network that is trained further adds to its loss curve."""
    model = MLPClassifier((3,), max_iter=3, warm_start=True, random_state=0)
    for _ in range(3):
        model.fit(*multiclass)
    assert history(only_run(), "loss_curve")[0] == pytest.approx(model.loss_curve_)


@pytest.mark.usefixtures("autolog")
def test_what_begins_anew_has_a_run_of_its_own(regression):
    """Another object, or the same one with ``warm_start`` switched off, does not go on."""
    model = RandomForestRegressor(3, warm_start=True).fit(*regression)
    clone(model).fit(*regression)
    model.set_params(warm_start=False).fit(*regression)
    assert len(skledger.search_runs()) == 3
    Ridge().fit(*regression).fit(*regression)
    assert len(skledger.search_runs()) == 5


@pytest.mark.usefixtures("autolog")
def test_warm_start_goes_with_the_experiment_in_use(regression):
    """After a change of experiment, the next fit is a run there."""
    model = RandomForestRegressor(3, warm_start=True).fit(*regression)
    skledger.set_experiment("another")
    model.set_params(n_estimators=4).fit(*regression)
    assert len(skledger.search_runs(experiment_names=["another"])) == 1


@pytest.mark.usefixtures("autolog")
def test_warm_start_in_a_run_of_the_users(regression):
    """Metrics are steps under one name; what was changed is numbered, as of any second fit."""
    with skledger.start_run() as run:
        model = RandomForestRegressor(3, warm_start=True)
        for number in (3, 6):
            model.set_params(n_estimators=number).fit(*regression)
    found = skledger.get_run(run.info.run_id)
    assert history(found, "training_score")[1] == [0, 1]
    assert "training_score-2" not in found.data.metrics
    assert (found.data.params["n_estimators"], found.data.params["n_estimators-2"]) == ("3", "6")


@pytest.mark.usefixtures("autolog")
def test_a_warm_fit_that_fails(regression):
    """The run is FAILED and says why; what was booked of the fits before stays."""
    model = GradientBoostingRegressor(n_estimators=5, warm_start=True).fit(*regression)
    with pytest.raises(ValueError, match="n_estimators"):
        model.set_params(n_estimators=2).fit(*regression)
    run = only_run()
    assert run.info.status == "FAILED"
    assert run.data.tags["skledger.error.type"] == "ValueError"
    assert history(run, "training_score")[1] == [0]


@pytest.mark.usefixtures("autolog")
def test_warm_start_in_searches_and_ensembles(binary):
    """What a search clones, or an ensemble fits inside, is part of that, as ever."""
    forest = RandomForestClassifier(3, warm_start=True)
    GridSearchCV(forest, {"max_depth": [1, 2]}, cv=2).fit(*binary)
    BaggingClassifier(forest, n_estimators=2, warm_start=True).fit(*binary)
    assert len(skledger.search_runs()) == 4


# -- callbacks ------------------------------------------------------------------------------------


@needs_callbacks
@pytest.mark.usefixtures("autolog")
def test_a_callback_books_each_iteration(multiclass):
    """Scores on training and validation data are steps of the fit's run."""
    X, y = multiclass
    callback = skledger.RunCallback(data=(X[::2], y[::2]))
    model = LogisticRegression(max_iter=6).set_callbacks(callback).fit(X[1::2], y[1::2])
    run = only_run()
    for kind, data in (("train", (X[1::2], y[1::2])), ("validation", (X[::2], y[::2]))):
        values, steps = history(run, f"iteration_{kind}_score")
        assert steps == list(range(int(model.n_iter_[0])))
        assert values[-1] == pytest.approx(model.score(*data))


@needs_callbacks
@pytest.mark.usefixtures("autolog")
def test_a_callback_is_seen_while_the_fit_goes_on(multiclass):
    """The run is RUNNING, with the scores so far, before the fit has ended."""
    X, y = multiclass
    seen = []

    class Spy(BaseEstimator):
        def __call__(self, estimator, X, y):
            runs = skledger.search_runs(output_format="list")
            seen.append(
                [(each.info.status, "iteration_train_score" in each.data.metrics) for each in runs]
            )
            return 0.5

    LogisticRegression(max_iter=4).set_callbacks(skledger.RunCallback(Spy())).fit(X, y)
    assert seen[0] == []
    assert seen[1] == [("RUNNING", True)]


@needs_callbacks
@pytest.mark.usefixtures("autolog")
def test_a_callback_takes_any_scoring(multiclass):
    """A name, a list of names, a function."""
    X, y = multiclass
    for scoring, names in (
        ("neg_log_loss", ["neg_log_loss"]),
        (["accuracy", "neg_log_loss"], ["accuracy", "neg_log_loss"]),
        (lambda model, X, y: 0.5, ["score"]),
    ):
        callback = skledger.RunCallback(scoring)
        LogisticRegression(max_iter=3).set_callbacks(callback).fit(X, y)
        metrics = skledger.last_active_run().data.metrics
        assert sorted(k for k in metrics if k.startswith("iteration_")) == [
            f"iteration_train_{name}" for name in names
        ]


@needs_callbacks
@pytest.mark.usefixtures("autolog")
def test_a_callback_in_a_pipeline_a_search_and_a_cross_validation(multiclass):
    """In a pipeline it books as alone, in a search the refit, in a cross-validation nothing."""
    X, y = multiclass
    key = "iteration_train_score"

    def model():
        return LogisticRegression(max_iter=3).set_callbacks(skledger.RunCallback())

    make_pipeline(StandardScaler(), model()).fit(X, y)
    assert history(skledger.last_active_run(), key)[1] == [0, 1, 2]
    for n_jobs in (None, 2):
        GridSearchCV(model(), {"C": [1, 2]}, cv=2, n_jobs=n_jobs).fit(X, y)
        runs = skledger.search_runs(output_format="list")
        (search,) = (each for each in runs[:3] if "best_cv_score" in each.data.metrics)
        assert history(search, key)[1] == [0, 1, 2]
    cross_val_score(model(), X, y, cv=2)
    assert key not in skledger.last_active_run().data.metrics


@needs_callbacks
def test_a_callback_without_autologging(multiclass, caplog):
    """It books to the active run; without one it says so once, and the fit is undisturbed."""
    model = LogisticRegression(max_iter=3).set_callbacks(skledger.RunCallback())
    with skledger.start_run() as run:
        model.fit(*multiclass)
    assert history(run, "iteration_train_score")[1] == [0, 1, 2]
    with caplog.at_level(logging.WARNING, "skledger"):
        model.fit(*multiclass)
    assert len([each for each in caplog.messages if "there is no run" in each]) == 1


@needs_callbacks
@pytest.mark.usefixtures("autolog")
def test_a_callback_stays_out_of_the_model(multiclass):
    """A pickled model needs neither skledger nor the validation data, and can be fitted again."""
    X, y = multiclass
    secret = np.full((1, 4), 1234.5)
    callback = skledger.RunCallback(data=(secret, [0]))
    model = LogisticRegression(max_iter=3).set_callbacks(callback).fit(X, y)
    run_id = only_run().info.run_id
    stored = pickle.dumps(model)
    assert b"skledger" not in stored
    assert secret.tobytes() not in stored
    assert pickle.loads(stored).fit(X, y).n_iter_ == model.n_iter_
    assert copy.deepcopy(model)._skl_callbacks == clone(model)._skl_callbacks == [callback]
    loaded = skledger.sklearn.load_model(f"runs:/{run_id}/model")
    assert loaded.score(X, y) == model.score(X, y)


@needs_callbacks
@pytest.mark.usefixtures("autolog")
def test_a_callback_that_fails_does_no_harm(multiclass, swallowed):
    """A scorer that raises costs its scores, never the fit."""

    def broken(model, X, y):
        raise RuntimeError("no score today")

    LogisticRegression(max_iter=3).set_callbacks(skledger.RunCallback(broken)).fit(*multiclass)
    assert only_run().info.status == "FINISHED"
    assert {str(each) for each in swallowed} == {"no score today"}
    swallowed.clear()


@needs_callbacks
def test_arguments_of_a_callback():
    """What means nothing is refused at once."""
    with pytest.raises(skledger.errors.InvalidParameterError, match="pair"):
        skledger.RunCallback(data=np.zeros(3))
    with pytest.raises(skledger.errors.InvalidParameterError, match="nothing to score"):
        skledger.RunCallback(train=False)


def test_a_callback_under_an_older_scikit_learn(monkeypatch):
    """The message says which version has callbacks."""
    monkeypatch.setattr("skledger.ledger.callbacks.find_spec", lambda name: None)
    with pytest.raises(skledger.SkledgerError, match=r"1\.9 or later"):
        skledger.RunCallback()


def test_no_warning_of_ours(regression):
    """Looking for curves raises no warnings of its own."""
    skledger.autolog()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        MLPRegressor(hidden_layer_sizes=(3,), max_iter=3).fit(*regression)
