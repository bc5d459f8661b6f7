"""The functions of scikit-learn that cross-validate: each call at the top level is one run."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from _polling import SLOW_ESTIMATOR, fits_in
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, make_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LearningCurveDisplay,
    ShuffleSplit,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import skledger
from skledger.ledger.drawing import missing_pictures
from skledger.tracking.session import get_store

PARENT = "mlflow.parentRunId"
SLOW = pytest.mark.slow


def booked():
    """Return all runs, in the order they began."""
    return skledger.search_runs(output_format="list", order_by=["start_time ASC"])


def the_run():
    """Return the only run there is."""
    (run,) = booked()
    return run


def tree():
    """Return the runs that are nobody's child, and the children of each by its identifier."""
    roots, children = [], {}
    for run in booked():
        parent = run.data.tags.get(PARENT)
        (roots if parent is None else children.setdefault(parent, [])).append(run)
    return roots, children


def steps(run, name):
    """Return the history of a metric by step."""
    history = get_store().get_metric_history(run.info.run_id, name)
    assert len({metric.step for metric in history}) == len(history), f"{name} is there twice"
    return {metric.step: metric.value for metric in history}


def in_order(run, name):
    """Return the history of a metric as a list, from step 0."""
    found = steps(run, name)
    assert sorted(found) == list(range(len(found)))
    return [found[step] for step in sorted(found)]


def numbers_of(run):
    """Return the numbers behind the pictures of a run."""
    return json.loads((folder_of(run) / "training_plots.json").read_text())


def folder_of(run):
    return Path(run.info.artifact_uri.removeprefix("file://"))


def assert_finite(run):
    for name in run.data.metrics:
        for metric in get_store().get_metric_history(run.info.run_id, name):
            assert np.isfinite(metric.value), metric


def assert_described(run, estimator, function):
    """A run names its estimator, the function and nothing that it has not."""
    name = type(estimator).__name__
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"{name}-{function}-{run.info.run_id[:4]}"
    tags = run.data.tags
    assert tags["estimator_name"] == name
    assert tags["estimator_class"] == f"{type(estimator).__module__}.{name}"
    assert tags["skledger.function"] == function
    assert tags["mlflow.autologging"] == "sklearn"
    assert not {"skledger.process", "skledger.incomplete", "skledger.error.type"} & tags.keys()
    for key, value in estimator.get_params(deep=True).items():
        assert run.data.params[key] == str(value)
    assert not run.outputs.model_outputs
    assert 0 <= run.data.metrics["fit_seconds"] < 120
    assert_finite(run)
    skledger.flush()
    assert missing_pictures(run) == []


def assert_no_pictures_but(run, *names):
    skledger.flush()
    assert {path.stem for path in folder_of(run).glob("*.png")} == set(names)


# -- each function ---------------------------------------------------------------------------------


def test_cross_val_score_is_one_run(autolog, regression):
    """Its scores are the steps; their mean and deviation are metrics; the value is the user's."""
    model = Ridge(alpha=0.5)
    scores = cross_val_score(model, *regression, cv=4)
    run = the_run()
    assert_described(run, model, "cross_val_score")
    assert type(scores) is np.ndarray
    assert scores.dtype == np.float64
    assert in_order(run, "test_score") == scores.tolist()
    metrics = run.data.metrics
    assert metrics["mean_test_score"] == pytest.approx(scores.mean(), rel=1e-12)
    assert metrics["std_test_score"] == pytest.approx(scores.std(), rel=1e-12)
    assert (metrics["n_samples"], metrics["n_features"]) == regression[0].shape
    assert {"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"} <= set(metrics)
    assert not any(name.startswith(("train_", "mean_train")) for name in metrics)
    params = run.data.params
    assert (params["cv"], params["scoring"], params["n_splits"]) == ("4", "None", "4")
    assert_no_pictures_but(run, "cv_scores")
    (shown,) = numbers_of(run)["cv_scores"]["metrics"]
    assert shown["scores"] == pytest.approx(scores, rel=1e-5)


def test_cross_validate_with_several_scorers(autolog, binary):
    """Everything the function returns is booked, under the names it has there."""
    model = LogisticRegression(max_iter=500)
    found = cross_validate(
        model,
        *binary,
        cv=3,
        scoring={"acc": "accuracy", "mine": make_scorer(accuracy_score)},
        return_train_score=True,
        return_estimator=True,
        return_indices=True,
    )
    assert list(found) == [
        *("fit_time", "score_time", "estimator", "indices"),
        *("test_acc", "train_acc", "test_mine", "train_mine"),
    ]
    assert [type(each) for each in found["estimator"]] == [LogisticRegression] * 3
    assert all(hasattr(each, "coef_") for each in found["estimator"])
    assert len(found["indices"]["train"]) == len(found["indices"]["test"]) == 3
    run = the_run()
    assert_described(run, model, "cross_validate")
    for name in ("test_acc", "train_acc", "test_mine", "train_mine"):
        assert in_order(run, name) == found[name].tolist()
    for name in ("fit_time", "score_time", "test_acc", "train_acc", "test_mine", "train_mine"):
        assert run.data.metrics[f"mean_{name}"] == pytest.approx(found[name].mean(), rel=1e-9)
        assert run.data.metrics[f"std_{name}"] == pytest.approx(found[name].std(), rel=1e-6)
    assert not {"test_score", "mean_test_score"} & set(run.data.metrics)
    assert run.data.params["scoring"].startswith("{'acc': accuracy, 'mine': make_scorer(accuracy")
    assert len(numbers_of(run)["cv_scores"]["metrics"]) == 4


def _as_dict(estimator, X, y):
    return {"one": 1.0, "rows": len(X)}


def _constant(estimator, X, y):
    return 0.25


class _Halves:
    """A splitter of the user's own, which has no text."""

    def split(self, X, y=None, groups=None):
        rows = np.arange(len(X))
        yield rows[::2], rows[1::2]
        yield rows[1::2], rows[::2]

    def get_n_splits(self, X=None, y=None, groups=None):
        return 2


SCORINGS = [
    pytest.param("r2", "r2", ["score"], id="name"),
    pytest.param(
        ["r2", "neg_mean_squared_error"],
        "['r2', 'neg_mean_squared_error']",
        ["r2", "neg_mean_squared_error"],
        id="list",
    ),
    pytest.param(("r2",), "('r2',)", ["r2"], id="tuple"),
    pytest.param(_constant, "_constant", ["score"], id="callable"),
    pytest.param(functools.partial(_constant), "_constant", ["score"], id="partial"),
    pytest.param(_as_dict, "_as_dict", ["one", "rows"], id="callable-of-many"),
    pytest.param({"a": _constant}, "{'a': _constant}", ["a"], id="dict"),
    pytest.param(make_scorer(r2_score), None, ["score"], id="make_scorer"),
]


@pytest.mark.parametrize(("scoring", "text", "names"), SCORINGS)
def test_each_form_of_scoring(autolog, regression, scoring, text, names):
    """What is scored is named in a param without an address, and booked as it is returned."""
    found = cross_validate(Ridge(), *regression, cv=2, scoring=scoring)
    run = the_run()
    given = run.data.params["scoring"]
    assert " at 0x" not in given
    assert text in (None, given)
    for name in names:
        assert in_order(run, f"test_{name}") == pytest.approx(found[f"test_{name}"])
        assert run.data.metrics[f"mean_test_{name}"] == pytest.approx(found[f"test_{name}"].mean())


def _pairs(n):
    rows = np.arange(100)
    return ((np.setdiff1d(rows, rows[k::n]), rows[k::n]) for k in range(n))


SPLITTERS = [
    pytest.param(None, "None", 5, id="default"),
    pytest.param(3, "3", 3, id="number"),
    pytest.param(KFold(4), "KFold(n_splits=4, random_state=None, shuffle=False)", 4, id="KFold"),
    pytest.param(ShuffleSplit(2, random_state=0), None, 2, id="ShuffleSplit"),
    pytest.param(_Halves(), "_Halves", 2, id="own"),
    pytest.param(lambda: _pairs(3), "generator", 3, id="generator"),
    pytest.param(lambda: list(_pairs(3)), "3 splits", 3, id="list"),
    pytest.param(lambda: tuple(_pairs(3)), "3 splits", 3, id="tuple"),
    pytest.param(lambda: [list(each) for each in _pairs(3)], "3 splits", 3, id="list-of-lists"),
]
CALLS = {
    "cross_val_score": cross_val_score,
    "cross_validate": cross_validate,
    "cross_val_predict": cross_val_predict,
    "learning_curve": functools.partial(learning_curve, train_sizes=[10, 20]),
    "validation_curve": functools.partial(
        validation_curve, param_name="alpha", param_range=[1.0, 2.0]
    ),
    "permutation_test_score": functools.partial(permutation_test_score, n_permutations=2),
}


@pytest.mark.parametrize(("cv", "text", "n_splits"), SPLITTERS)
def test_each_form_of_cv(autolog, regression, cv, text, n_splits):
    """``cv`` is a param in a few words, and the number of splits another."""
    X, y = regression[0][:100], regression[1][:100]
    functions = dict(CALLS)
    if isinstance(cv, ShuffleSplit):
        del functions["cross_val_predict"]  # it takes partitions only
    for name, function in functions.items():
        function(Ridge(), X, y, cv=cv() if callable(cv) else cv)
        run = booked()[-1]
        assert run.data.tags["skledger.function"] == name
        assert run.info.status == "FINISHED"
        if not (name == "permutation_test_score" and text == "generator"):  # it has been used up
            assert run.data.params["n_splits"] == str(n_splits)
        assert text in (None, run.data.params["cv"])
        assert " at 0x" not in run.data.params["cv"]
    assert len(booked()) == len(functions)


def test_predictions_of_a_classifier(autolog, multiclass):
    """Each fold's accuracy is a step; all predictions together have metrics and pictures."""
    X, y = multiclass
    model = DecisionTreeClassifier(random_state=0)
    predicted = cross_val_predict(model, X, y, cv=3)
    assert predicted.shape == y.shape
    assert predicted.dtype == y.dtype
    run = the_run()
    assert_described(run, model, "cross_val_predict")
    with skledger.autolog(disable=True):
        scores = cross_val_score(model, X, y, cv=3)
    assert in_order(run, "test_score") == pytest.approx(scores)
    assert run.data.metrics["mean_test_score"] == pytest.approx(scores.mean())
    assert run.data.metrics["cv_accuracy_score"] == pytest.approx(accuracy_score(y, predicted))
    assert (run.data.params["method"], run.data.params["n_splits"]) == ("predict", "3")
    assert_no_pictures_but(run, "cv_scores", "cv_confusion_matrix")


def test_predictions_of_a_regressor(autolog, regression):
    """Each fold's R2 is a step, also of targets with several columns."""
    X, y = regression
    cross_val_predict(Ridge(), X, y)
    cross_val_predict(MultiOutputRegressor(Ridge()), X, np.column_stack([y, -y]))
    one, two = booked()
    with skledger.autolog(disable=True):
        scores = cross_val_score(Ridge(), X, y)
        predicted = cross_val_predict(Ridge(), X, y)
    for run in (one, two):
        assert in_order(run, "test_score") == pytest.approx(scores)
        assert run.data.metrics["cv_r2_score"] == pytest.approx(r2_score(y, predicted))
    assert_no_pictures_but(one, "cv_scores", "cv_predicted_vs_actual", "cv_residuals")


@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_predicted_probabilities(autolog, binary, texts):
    """Probabilities of rows not trained on give log loss, ROC AUC and curves."""
    from sklearn.metrics import log_loss, roc_auc_score

    X, y = binary
    y = np.array(["no", "yes"], dtype=object)[y] if texts else y
    model = LogisticRegression(max_iter=500)
    probabilities = cross_val_predict(model, X, y, method="predict_proba")
    assert probabilities.shape == (len(y), 2)
    run = the_run()
    assert_described(run, model, "cross_val_predict")
    metrics = run.data.metrics
    assert metrics["cv_log_loss"] == pytest.approx(log_loss(y, probabilities))
    assert metrics["cv_roc_auc"] == pytest.approx(roc_auc_score(y, probabilities[:, 1]))
    assert metrics["cv_accuracy_score"] > 0.9
    names = ("cv_confusion_matrix", "cv_roc_curve", "cv_precision_recall_curve")
    assert_no_pictures_but(run, *names)


@pytest.mark.parametrize("method", ["decision_function", "predict_log_proba"])
def test_other_methods_are_returned_and_not_measured(autolog, multiclass, method):
    """What no metric is made for is a run with its params, and nothing goes wrong."""
    X, y = multiclass
    model = SVC() if method == "decision_function" else LogisticRegression(max_iter=500)
    found = cross_val_predict(model, X, y, method=method)
    with skledger.autolog(disable=True):
        assert np.array_equal(found, cross_val_predict(model, X, y, method=method))
    run = the_run()
    assert_described(run, model, "cross_val_predict")
    assert run.data.params["method"] == method
    assert not any(name.startswith(("cv_", "test_")) for name in run.data.metrics)


def test_pos_label_is_that_of_autolog(binary):
    """Precision of the predictions is that of the class that was asked for."""
    from sklearn.metrics import precision_score

    skledger.autolog(pos_label=0)
    X, y = binary
    predicted = cross_val_predict(DecisionTreeClassifier(max_depth=1), X, y)
    expected = precision_score(y, predicted, pos_label=0)
    assert the_run().data.metrics["cv_precision_score"] == pytest.approx(expected)


@pytest.mark.parametrize("incremental", [False, True])
def test_learning_curve(autolog, binary, incremental):
    """Means and deviations are steps, each step a number of training rows; times when asked."""
    model = SGDClassifier(random_state=0)
    found = learning_curve(
        model,
        *binary,
        cv=3,
        train_sizes=[0.2, 0.5, 1.0],
        return_times=True,
        exploit_incremental_learning=incremental,
        shuffle=True,
        random_state=1,
    )
    sizes, train, test, fit_times, score_times = found
    assert type(found) is tuple
    assert train.shape == test.shape == fit_times.shape == (3, 3)
    run = the_run()
    assert_described(run, model, "learning_curve")
    expected = {"train_score": train, "test_score": test}
    for name, scores in (*expected.items(), ("fit_time", fit_times), ("score_time", score_times)):
        for kind, values in (("mean", scores.mean(axis=1)), ("std", scores.std(axis=1))):
            wanted = dict(zip(sizes.tolist(), values.tolist(), strict=True))
            assert steps(run, f"{kind}_{name}") == pytest.approx(wanted)
    params = run.data.params
    assert params["train_sizes"] == "[0.2, 0.5, 1.0]"
    assert params["exploit_incremental_learning"] == str(incremental)
    assert params["n_splits"] == "3"
    assert (params["random_state"], params["learning_curve__random_state"]) == ("0", "1")
    assert_no_pictures_but(run, "learning_curve")
    assert numbers_of(run)["learning_curve"]["x"] == sizes.tolist()


def test_validation_curve(autolog, regression):
    """Means and deviations are steps, each step the place of a value."""
    values = np.logspace(-3, 3, 4)
    train, test = validation_curve(
        Ridge(), *regression, param_name="alpha", param_range=values, cv=3
    )
    assert train.shape == test.shape == (4, 3)
    run = the_run()
    assert_described(run, Ridge(), "validation_curve")
    for part, scores in (("train", train), ("test", test)):
        assert in_order(run, f"mean_{part}_score") == pytest.approx(scores.mean(axis=1))
        assert in_order(run, f"std_{part}_score") == pytest.approx(scores.std(axis=1))
    params = run.data.params
    assert params["param_name"] == "alpha"
    assert json.loads(params["param_range"]) == values.tolist()
    assert params["n_splits"] == "3"
    assert_no_pictures_but(run, "validation_curve")
    assert numbers_of(run)["validation_curve"]["param"] == "alpha"


def test_validation_curve_of_values_that_are_no_numbers(autolog, multiclass):
    """Texts and tuples are named as they are."""
    validation_curve(SVC(), *multiclass, param_name="kernel", param_range=["linear", "rbf"])
    search = make_pipeline(StandardScaler(), SVC())
    validation_curve(
        search,
        *multiclass,
        param_name="standardscaler",
        param_range=[StandardScaler(), "passthrough"],
    )
    kernels, scalers = booked()
    assert kernels.data.params["param_range"] == "['linear', 'rbf']"
    assert scalers.data.params["param_range"] == "[StandardScaler(), 'passthrough']"
    assert numbers_of(kernels)["validation_curve"]["labels"] == ["linear", "rbf"]


def test_permutation_test(autolog, multiclass):
    """The score, each permuted one and the p-value."""
    model = DecisionTreeClassifier(random_state=0)
    score, permuted, pvalue = permutation_test_score(
        model, *multiclass, n_permutations=12, cv=3, random_state=2
    )
    run = the_run()
    assert_described(run, model, "permutation_test_score")
    metrics = run.data.metrics
    assert (metrics["score"], metrics["pvalue"]) == pytest.approx((score, pvalue))
    assert in_order(run, "permutation_score") == pytest.approx(permuted)
    assert metrics["mean_permutation_score"] == pytest.approx(permuted.mean())
    assert metrics["std_permutation_score"] == pytest.approx(permuted.std())
    params = run.data.params
    assert (params["n_permutations"], params["n_splits"]) == ("12", "3")
    assert params["permutation_test_score__random_state"] == "2"
    assert_no_pictures_but(run, "permutation_test")


def test_params_of_the_estimator_keep_their_names(autolog, regression):
    """A search has a ``cv`` of its own; the function's stands beside it."""
    cross_val_score(GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2), *regression, cv=3)
    (root,), _ = tree()
    assert (root.data.params["cv"], root.data.params["cross_val_score__cv"]) == ("2", "3")
    assert root.data.params["estimator__alpha"] == "1.0"


def test_a_display_of_scikit_learn_is_its_function(autolog, regression):
    """``LearningCurveDisplay.from_estimator`` calls ``learning_curve``, and is its run."""
    from matplotlib import pyplot

    display = LearningCurveDisplay.from_estimator(Ridge(), *regression, train_sizes=[20, 50])
    run = the_run()
    assert run.data.tags["skledger.function"] == "learning_curve"
    assert steps(run, "mean_test_score") == pytest.approx(
        dict(zip([20, 50], display.test_scores.mean(axis=1), strict=True))
    )
    pyplot.close(display.figure_)


@pytest.mark.parametrize("name", CALLS)
def test_the_user_gets_what_there_would_be_without_us(regression, name):
    """Values, types and the state of NumPy's random numbers are the same with us and without."""

    def call():
        np.random.seed(0)
        found = CALLS[name](Ridge(), *regression, cv=KFold(3, shuffle=True))
        return found, np.random.get_state()[1:3]

    bare, state = call()
    with skledger.autolog():
        ours, state_of_ours = call()
    assert np.array_equal(state[0], state_of_ours[0])
    assert state[1] == state_of_ours[1]
    for one, other in zip(_leaves(bare), _leaves(ours), strict=True):
        assert type(one) is type(other)
        assert np.array_equal(one, other)


def _leaves(found):
    if isinstance(found, dict):
        found = [value for key, value in found.items() if not key.endswith("_time")]
    return found if isinstance(found, list | tuple) else [found]


# -- where it runs ---------------------------------------------------------------------------------

BACKENDS = [("loky", 1), ("loky", 2), ("threading", 2)]


@pytest.mark.parametrize(("backend", "n_jobs"), BACKENDS)
def test_every_backend_gives_the_same_run(autolog, multiclass, backend, n_jobs):
    """One run a call, with the same numbers, wherever the folds are fitted."""
    model = DecisionTreeClassifier(random_state=0)
    curve = {"param_name": "max_depth", "param_range": [1, 2]}
    with parallel_config(backend, n_jobs=n_jobs):
        scores = cross_val_score(model, *multiclass)
        predicted = cross_val_predict(model, *multiclass)
        sizes, _, learned = learning_curve(model, *multiclass)
        _, validated = validation_curve(model, *multiclass, **curve)
        _, permuted, _ = permutation_test_score(model, *multiclass, n_permutations=4)
    score, predict, learning, validation, permutation = booked()
    assert in_order(score, "test_score") == scores.tolist()
    assert in_order(predict, "test_score") == pytest.approx(scores)
    assert predict.data.metrics["cv_accuracy_score"] == pytest.approx(
        accuracy_score(multiclass[1], predicted)
    )
    means = dict(zip(sizes.tolist(), learned.mean(axis=1), strict=True))
    assert steps(learning, "mean_test_score") == pytest.approx(means)
    assert in_order(validation, "mean_test_score") == pytest.approx(validated.mean(axis=1))
    assert in_order(permutation, "permutation_score") == pytest.approx(permuted)
    assert all(run.info.status == "FINISHED" for run in booked())


def test_calls_in_threads_are_runs_of_their_own(autolog, regression):
    """Each thread's call is a run; none loses a fold."""
    threads = [
        threading.Thread(target=cross_val_score, args=(Ridge(alpha=n), *regression))
        for n in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    runs = booked()
    assert sorted(run.data.params["alpha"] for run in runs) == ["0", "1", "2", "3"]
    assert all(len(steps(run, "test_score")) == 5 for run in runs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_books_its_own(run_python):
    """A child of this process is listened to like its parent, and leaves the parent's alone."""
    run_python(
        """
        import os
        import skledger; skledger.autolog()
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import cross_val_score
        X, y = load_diabetes(return_X_y=True)
        cross_val_score(Ridge(alpha=1), X, y)
        pid = os.fork()
        cross_val_score(Ridge(alpha=3 if pid else 2), X, y)
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
        """
    )
    runs = booked()
    assert sorted(run.data.params["alpha"] for run in runs) == ["1", "2", "3"]
    assert all(len(steps(run, "test_score")) == 5 for run in runs)
    assert all(run.info.status == "FINISHED" for run in runs)


def test_cells_of_a_notebook(tmp_path):
    """In a notebook it is the same run; nothing is printed."""
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    cells = [
        "from sklearn.model_selection import cross_val_score\n"
        "import skledger; restore = skledger.autolog()",
        "from sklearn.datasets import load_diabetes\n"
        "from sklearn.linear_model import Ridge\n"
        "scores = cross_val_score(Ridge(), *load_diabetes(return_X_y=True), n_jobs=2)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(
        notebook, timeout=200, resources={"metadata": {"path": tmp_path}}
    ).execute()
    assert [cell.outputs for cell in notebook.cells] == [[], []]
    assert len(steps(the_run(), "test_score")) == 5


class OfScores(RegressorMixin, BaseEstimator):
    """Cross-validates while it is fitted."""

    def fit(self, X, y):
        self.scores_ = cross_val_score(Ridge(), X, y)
        self.curve_ = learning_curve(Ridge(), X, y)
        self.predicted_ = cross_val_predict(GridSearchCV(Ridge(), {"alpha": [1, 2]}), X, y)
        return self

    def predict(self, X):
        return np.zeros(len(X))


def test_inside_a_fit_it_is_part_of_the_fit(autolog, regression):
    """An estimator that cross-validates is one run."""
    OfScores().fit(*regression)
    assert the_run().data.tags["estimator_name"] == "OfScores"


def test_inside_a_fold_it_is_part_of_the_fold(autolog, regression):
    """Cross-validating an estimator that cross-validates is one run, too."""
    cross_val_score(OfScores(), *regression, cv=2)
    assert the_run().data.tags["skledger.function"] == "cross_val_score"


# -- orders of import ------------------------------------------------------------------------------

IMPORTS = {
    "function-before": """
        from sklearn.model_selection import cross_val_score as call
        import skledger; skledger.autolog()
    """,
    "function-after": """
        import skledger; skledger.autolog()
        from sklearn.model_selection import cross_val_score as call
    """,
    "module": """
        import sklearn.model_selection as ms
        import skledger; skledger.autolog()
        call = ms.cross_val_score
    """,
    "private-module": """
        from sklearn.model_selection._validation import cross_val_score as call
        import skledger; skledger.autolog()
    """,
    "sklearn-before": """
        import sklearn
        import skledger; skledger.autolog()
        from sklearn.model_selection import cross_val_score as call
    """,
    "twice": """
        import skledger; skledger.autolog()
        from sklearn.model_selection import cross_val_score as call
        skledger.autolog()
    """,
    "on-off-on": """
        import skledger; skledger.autolog()
        skledger.autolog(disable=True)
        from sklearn.model_selection import cross_val_score as call
        skledger.autolog(); skledger.autolog(disable=True); skledger.autolog()
    """,
    "in-a-partial": """
        import functools
        from sklearn.model_selection import cross_val_score
        call = functools.partial(cross_val_score)
        import skledger; skledger.autolog()
    """,
}


OFTEN = ("function-before", "function-after", "on-off-on")
ORDERS = [pytest.param(each, marks=() if each in OFTEN else SLOW) for each in IMPORTS]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_of_imports_books_one_run(run_python, order):
    """Whoever holds the function, however it was imported, has it booked; off, nothing is."""
    import textwrap

    run_python(
        textwrap.dedent(IMPORTS[order])
        + textwrap.dedent("""
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge
        call(Ridge(), *load_diabetes(return_X_y=True))
        skledger.autolog(disable=True)
        call(Ridge(), *load_diabetes(return_X_y=True))
        """)
    )
    assert len(steps(the_run(), "test_score")) == 5


def test_disabling_gives_back_the_very_functions():
    """The same objects are in the closures, and the functions show their signature meanwhile."""
    import inspect
    import pickle

    import sklearn.model_selection._validation as module

    def cells():
        return {
            name: [cell.cell_contents for cell in vars(module)[name].__closure__] for name in CALLS
        }

    before, attributes = cells(), dict(vars(module))
    signatures = {name: str(inspect.signature(vars(module)[name])) for name in CALLS}
    for _ in range(2):
        skledger.autolog()
        assert all(vars(module)[name] is attributes[name] for name in CALLS)
        for name, text in signatures.items():
            assert str(inspect.signature(vars(module)[name])) == text
            assert pickle.loads(pickle.dumps(vars(module)[name])) is attributes[name]
        skledger.autolog(disable=True)
        after = cells()
        for name, contents in before.items():
            assert len(after[name]) == len(contents)
            assert all(a is b for a, b in zip(after[name], contents, strict=True))


def test_what_somebody_else_put_in_place_stays(autolog, regression):
    """A wrapper that was put around ours is not thrown away; ours below it is passive."""
    original = cross_val_score.__wrapped__
    skledger.autolog(disable=True)
    (cell,) = [c for c in cross_val_score.__closure__ if c.cell_contents is original]
    skledger.autolog()
    calls, ours = [], cell.cell_contents

    def theirs(*args, **kwargs):
        calls.append(1)
        return ours(*args, **kwargs)

    cell.cell_contents = theirs
    try:
        cross_val_score(Ridge(), *regression)
        skledger.autolog(disable=True)
        assert cell.cell_contents is theirs
        cross_val_score(Ridge(), *regression)
    finally:
        cell.cell_contents = original
    assert len(calls) == 2
    assert len(booked()) == 1


# -- what goes wrong -------------------------------------------------------------------------------


class Fails(ClassifierMixin, BaseEstimator):
    """Refuses to be fitted where a row of `at` is in the data."""

    def __init__(self, at=()):
        self.at = at

    def fit(self, X, y):
        if np.isin(self.at, X[:, 0]).any():
            raise ArithmeticError("not these rows")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def numbered(n=60):
    """Return data whose first column is the number of the row."""
    return np.column_stack([np.arange(float(n)), np.ones(n)]), np.arange(n) % 2


BAD_CALLS = [
    pytest.param(lambda X, y: cross_val_score(Ridge(), X, y, cv="five"), id="cv"),
    pytest.param(lambda X, y: cross_val_score(Ridge(), X, y, scoring="best"), id="scoring"),
    pytest.param(lambda X, y: cross_val_score("Ridge", X, y), id="no-estimator"),
    pytest.param(lambda X, y: cross_val_score(Ridge(), X, y, folds=3), id="no-such-argument"),
    pytest.param(lambda X, y: cross_val_score(Ridge()), id="no-data"),
    pytest.param(lambda X, y: learning_curve(Ridge(), X, y, verbose="much"), id="verbose"),
]


@pytest.mark.parametrize("call", BAD_CALLS)
def test_arguments_that_scikit_learn_refuses_make_no_run(autolog, regression, call):
    """The error is its own, no frame of ours is in it, and there was no cross-validation."""
    with pytest.raises((ValueError, TypeError)) as ours:
        call(*regression)
    assert not any("skledger" in str(frame.path) for frame in ours.traceback)
    skledger.autolog(disable=True)
    with pytest.raises(type(ours.value)) as bare:
        call(*regression)
    assert str(bare.value) == str(ours.value)
    assert [f.path for f in bare.traceback] == [f.path for f in ours.traceback]
    assert booked() == []


def test_the_same_without_validation_of_params(autolog, regression):
    """Where scikit-learn leaves the arguments alone, the function itself says what is wrong."""
    from sklearn import config_context

    with config_context(skip_parameter_validation=True):
        with pytest.raises(TypeError, match="unexpected keyword argument 'folds'"):
            cross_val_score(Ridge(), *regression, folds=3)
        assert booked() == []
        with pytest.raises((TypeError, AttributeError), match="_Bare"):
            cross_validate(_Bare(), *regression, scoring="r2")
    assert booked() == []


class _Bare:
    def fit(self, X, y):
        return self


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_fit_that_raises(autolog, n_jobs):
    """With ``error_score="raise"`` the user has the error, and a FAILED run says it."""
    X, y = numbered()
    with pytest.raises(ArithmeticError, match="not these rows"):
        cross_val_score(Fails(at=[0.0]), X, y, cv=KFold(3), error_score="raise", n_jobs=n_jobs)
    run = the_run()
    tags = run.data.tags
    assert run.info.status == "FAILED"
    assert tags["skledger.error.type"] == "ArithmeticError"
    assert tags["skledger.error.message"] == "not these rows"
    assert "cross_val_score(Fails(" in tags["skledger.error.traceback"]
    assert "skledger/hooks" not in tags["skledger.error.traceback"]
    assert "traceback.txt" in os.listdir(folder_of(run))
    assert not {"mean_test_score", "n_splits"} & run.data.metrics.keys()
    if n_jobs == 1:  # the first fold holds row 0 out
        assert list(steps(run, "test_score")) == [0]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("scoring", [None, ["accuracy", "recall"]])
def test_some_folds_fail(autolog, scoring, n_jobs):
    """The call goes on; its run is FAILED with the error and has the scores of the others."""
    X, y = numbered()
    model = Fails(at=[0.0])  # trained on in all folds but the first
    with pytest.warns(match="2 fits failed out of a total of 3"):
        found = cross_validate(model, X, y, cv=KFold(3), scoring=scoring, n_jobs=n_jobs)
    run = the_run()
    assert run.info.status == "FAILED"
    assert run.data.tags["skledger.error.type"] == "ArithmeticError"
    assert run.data.tags["skledger.error.message"] == "not these rows"
    assert "in fit" in run.data.tags["skledger.error.traceback"]
    assert "FitFailedWarning" in run.data.tags["skledger.warnings"]
    assert_finite(run)
    for name in ("test_score",) if scoring is None else ("test_accuracy", "test_recall"):
        assert np.isnan(found[name]).sum() == 2
        assert steps(run, name) == {0: found[name][0]}
        assert f"mean_{name}" not in run.data.metrics
    assert run.data.params["n_splits"] == "3"
    skledger.flush()
    assert missing_pictures(run) == []


def test_a_score_for_failed_folds_is_not_theirs(autolog):
    """With a number as ``error_score`` the failed folds have no step; the mean is the function's."""
    X, y = numbered()
    with pytest.warns(match="fits failed"):
        scores = cross_val_score(Fails(at=[0.0]), X, y, cv=KFold(3), error_score=0.125)
    run = the_run()
    assert run.info.status == "FAILED"
    assert list(steps(run, "test_score")) == [0]
    assert run.data.metrics["mean_test_score"] == pytest.approx(scores.mean())
    (shown,) = numbers_of(run)["cv_scores"]["metrics"]
    assert shown["scores"][1:] == [None, None]


@pytest.mark.parametrize("name", ["cross_validate", "learning_curve"])
def test_all_folds_fail(autolog, name):
    """scikit-learn raises; the run is FAILED with what it says."""
    X, y = numbered()
    sizes = {"train_sizes": [0.5, 1.0]} if name == "learning_curve" else {}
    function = {"cross_validate": cross_validate, "learning_curve": learning_curve}[name]
    with pytest.raises(ValueError, match="fits failed"):
        function(Fails(at=X[:, 0]), X, y, **sizes)
    run = the_run()
    assert run.info.status == "FAILED"
    assert run.data.tags["skledger.error.type"] == "ValueError"
    assert "ArithmeticError: not these rows" in run.data.tags["skledger.error.message"]
    assert_finite(run)


def test_curves_with_holes(autolog, regression):
    """A value that cannot be fitted has no step; the curve's run is FAILED and says why."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, test = validation_curve(
            Ridge(), *regression, param_name="alpha", param_range=[1.0, -1.0, 2.0]
        )
        X, y = numbered()
        learning_curve(Fails(at=[59.0]), X, y, train_sizes=[10, 40], cv=KFold(3))
    validation, learning = booked()
    expected = {at: test[at].mean() for at in (0, 2)}
    assert steps(validation, "mean_test_score") == pytest.approx(expected)
    assert validation.info.status == learning.info.status == "FAILED"
    assert validation.data.tags["skledger.error.type"] == "InvalidParameterError"
    assert learning.data.tags["skledger.error.message"] == "not these rows"
    for run in booked():
        assert_finite(run)
        skledger.flush()
        assert missing_pictures(run) == []


def test_a_scorer_that_fails(autolog, regression):
    """Scores that are not numbers make a FAILED run, too."""

    def scorer(estimator, X, y):
        raise ZeroDivisionError("no score")

    with pytest.warns(match="Scoring failed"):
        cross_val_score(Ridge(), *regression, scoring=scorer)
    run = the_run()
    assert run.info.status == "FAILED"
    assert run.data.tags["skledger.error.message"] == "test_score is not a number"
    assert_finite(run)


def test_warnings_of_folds_are_one_tag(autolog, binary):
    """What the folds warn of is shown as without us and counted in the tag of the run."""
    with pytest.warns(match="lbfgs failed to converge") as shown:
        cross_val_score(LogisticRegression(max_iter=1), *binary)
    run = the_run()
    assert len(shown) == 5
    assert "ConvergenceWarning" in run.data.tags["skledger.warnings"]
    assert "5" in run.data.tags["skledger.warnings"]
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_is_a_killed_run(autolog, n_jobs):
    """Ctrl-C reaches the user; the run is KILLED and keeps the folds that are done."""

    def scorer(estimator, X, y):
        if X[0, 0] >= 40:
            raise KeyboardInterrupt
        return 0.5

    X, y = numbered()
    with parallel_config("threading"), pytest.raises(KeyboardInterrupt):
        cross_val_score(Fails(), X, y, cv=KFold(3), scoring=scorer, n_jobs=n_jobs)
    run = the_run()
    assert run.info.status == "KILLED"
    assert run.data.tags["skledger.error.type"] == "KeyboardInterrupt"
    if n_jobs == 1:
        assert steps(run, "test_score") == {0: 0.5, 1: 0.5}


LIVE = """
import json, sys
import numpy as np
from sklearn.model_selection import KFold, cross_validate
import skledger
from slow_estimator import Slow
skledger.autolog()
X = np.column_stack([np.arange(40.0), np.ones(40)])
cross_validate(Slow(seconds=float(sys.argv[1])), X, np.arange(40) % 2, cv=KFold(4),
               n_jobs=int(sys.argv[2]))
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM to a child on Windows")
def test_a_process_that_is_asked_to_end_keeps_its_folds(tmp_path):
    """SIGTERM ends the run KILLED, its folds so far are steps, and no child stays RUNNING."""
    import signal
    import subprocess
    import sys

    (tmp_path / "slow_estimator.py").write_text(SLOW_ESTIMATOR)
    (tmp_path / "script.py").write_text(
        LIVE.replace("autolog()", 'autolog(log_cross_validation="folds")')
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "script.py", "0.5", "1"], cwd=tmp_path, env=env)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if (tmp_path / "fits.jsonl").exists() and len(fits_in(tmp_path)) >= 2:
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    (root,), children = tree()
    assert root.info.status == "KILLED"
    assert root.data.tags["skledger.error.type"] == "Terminated"
    assert list(steps(root, "test_score")) == [0, 1]
    folds = children[root.info.run_id]
    assert [run.info.status for run in folds] == ["FINISHED", "FINISHED"]


# -- where it is booked ----------------------------------------------------------------------------


def test_inside_a_run_of_the_users(autolog, regression):
    """The first call has the plain names, the second those with ``-2``; the run stays open."""
    with skledger.start_run() as active:
        first = cross_val_score(Ridge(alpha=1.0), *regression, cv=3)
        second = cross_val_score(Ridge(alpha=2.0), *regression, cv=4)
        skledger.log_metric("mine", 1.0)
        assert skledger.get_run(active.info.run_id).info.status == "RUNNING"
    run = the_run()
    assert run.info.run_id == active.info.run_id
    assert run.info.status == "FINISHED"
    assert in_order(run, "test_score") == first.tolist()
    assert in_order(run, "test_score-2") == second.tolist()
    metrics, params = run.data.metrics, run.data.params
    assert metrics["mean_test_score"] == pytest.approx(first.mean())
    assert metrics["mean_test_score-2"] == pytest.approx(second.mean())
    assert (params["alpha"], params["alpha-2"]) == ("1.0", "2.0")
    assert (params["n_splits"], params["n_splits-2"]) == ("3", "4")
    skledger.flush()
    files = os.listdir(folder_of(run))
    assert {"cv_scores.png", "cv_scores-2.png"} <= set(files)


def test_a_failure_leaves_the_users_run_open(autolog):
    """The error is a tag of the user's run, which goes on."""
    X, y = numbered()
    with skledger.start_run():
        with pytest.raises(ArithmeticError):
            cross_val_score(Fails(at=X[:, 0]), X, y, error_score="raise")
        with pytest.warns(match="fits failed"):
            cross_val_score(Fails(at=[0.0]), X, y, cv=KFold(3))
        assert skledger.active_run() is not None
    assert the_run().info.status == "FINISHED"
    assert the_run().data.tags["skledger.error.type"] == "ArithmeticError"


def test_exclusive_and_extra_tags(regression):
    """``exclusive=True`` keeps out of the user's run; ``extra_tags`` are on every run."""
    skledger.autolog(exclusive=True, extra_tags={"team": "red"}, log_cross_validation="folds")
    with skledger.start_run() as active:
        cross_val_score(Ridge(), *regression, cv=2)
    roots, children = tree()
    (own,) = [run for run in roots if run.info.run_id != active.info.run_id]
    assert skledger.get_run(active.info.run_id).data.metrics == {}
    for run in (own, *children[own.info.run_id]):
        assert run.data.tags["team"] == "red"
    assert len(children[own.info.run_id]) == 2


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_without_cross_validation_nothing_is_booked(regression, backend):
    """``log_cross_validation=False``: neither the functions nor what they fit; fits are."""
    skledger.autolog(log_cross_validation=False)
    search = GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, cv=2)
    for n_jobs in (None, 2):
        with parallel_config(backend, n_jobs=n_jobs):
            cross_val_score(Ridge(), *regression)
            cross_validate(search, *regression, return_estimator=True, cv=2)
            cross_val_predict(make_pipeline(StandardScaler(), search), *regression, cv=2)
            permutation_test_score(Ridge(), *regression, n_permutations=2)
    assert booked() == []
    Ridge().fit(*regression)
    assert len(booked()) == 1


def test_without_cross_validation_for_early_imports(run_python):
    """A function imported before ``autolog`` is left alone as well."""
    run_python(
        """
        from sklearn.model_selection import cross_val_score
        import skledger; skledger.autolog(log_cross_validation=False)
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge
        cross_val_score(Ridge(), *load_diabetes(return_X_y=True))
        """
    )
    assert booked() == []


# -- folds and searches below ----------------------------------------------------------------------


class Sleeps(RegressorMixin, BaseEstimator):
    """Takes as long as the first row says."""

    def fit(self, X, y):
        time.sleep(0.1)
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_fold_is_a_child(regression, n_jobs):
    """With "folds" each has its score, its number and its true times."""
    skledger.autolog(log_cross_validation="folds")
    found = cross_validate(Sleeps(), *regression, cv=3, n_jobs=n_jobs, return_train_score=True)
    (root,), children = tree()
    folds = sorted(children.pop(root.info.run_id), key=lambda run: run.info.run_name)
    assert not children
    assert [run.info.run_name for run in folds] == [
        "Sleeps-fold-0",
        "Sleeps-fold-1",
        "Sleeps-fold-2",
    ]
    assert [run.data.tags["skledger.fold"] for run in folds] == ["0", "1", "2"]
    for at, run in enumerate(folds):
        assert run.info.status == "FINISHED"
        assert "skledger.process" not in run.data.tags
        assert steps(run, "test_score") == {0: found["test_score"][at]}
        assert run.data.metrics["mean_test_score"] == found["test_score"][at]
        assert run.data.metrics["mean_train_score"] == found["train_score"][at]
        assert run.data.metrics["mean_fit_time"] == pytest.approx(found["fit_time"][at])
        lasted = (run.info.end_time - run.info.start_time) / 1000
        assert 0.09 < lasted < 0.1 + (0.1 if n_jobs == 1 else 1.0)
        assert root.info.start_time <= run.info.start_time
        assert run.info.end_time <= root.info.end_time
    if n_jobs == 1:
        for earlier, later in zip(folds, folds[1:], strict=False):
            assert later.info.start_time >= earlier.info.end_time - 5


def test_each_prediction_is_a_child(regression):
    """Folds of ``cross_val_predict`` have the score of their predictions."""
    skledger.autolog(log_cross_validation="folds")
    cross_val_predict(Ridge(), *regression, cv=3)
    (root,), children = tree()
    scores = in_order(root, "test_score")
    folds = sorted(children[root.info.run_id], key=lambda run: run.info.run_name)
    assert [run.data.metrics["mean_test_score"] for run in folds] == scores


def test_a_failed_fold_is_a_failed_child():
    """It has the error and no score; the others are FINISHED."""
    skledger.autolog(log_cross_validation="folds")
    X, y = numbered()
    with pytest.warns(match="fits failed"):
        cross_val_score(Fails(at=[0.0]), X, y, cv=KFold(3))
    (root,), children = tree()
    folds = sorted(children[root.info.run_id], key=lambda run: run.info.run_name)
    assert [run.info.status for run in folds] == ["FINISHED", "FAILED", "FAILED"]
    assert folds[1].data.tags["skledger.error.type"] == "ArithmeticError"
    assert "test_score" not in folds[1].data.metrics


def test_curves_and_permutations_with_folds(regression):
    """Values are params of the children of a validation curve; permutations have none."""
    skledger.autolog(log_cross_validation="folds")
    validation_curve(Ridge(), *regression, param_name="alpha", param_range=[1.0, 2.0], cv=2)
    permutation_test_score(Ridge(), *regression, n_permutations=3)
    roots, children = tree()
    validation, permutation = roots
    alphas = sorted(run.data.params["alpha"] for run in children[validation.info.run_id])
    assert alphas == ["1.0", "1.0", "2.0", "2.0"]
    assert permutation.info.run_id not in children


def search_in_three_ways():
    search = GridSearchCV(DecisionTreeRegressor(random_state=0), {"max_depth": [1, 2, 3]}, cv=2)
    return {
        "search": search,
        "pipeline": make_pipeline(StandardScaler(), search),
    }


@pytest.mark.parametrize("asks", [False, True], ids=["", "return_estimator"])
@pytest.mark.parametrize(("backend", "n_jobs"), BACKENDS)
@pytest.mark.parametrize("form", ["search", "pipeline"])
def test_nested_cross_validation_is_a_tree(autolog, regression, form, backend, n_jobs, asks):
    """The call, its folds, a search in each, its candidates; nothing else, and nothing twice."""
    estimator = search_in_three_ways()[form]
    with parallel_config(backend, n_jobs=n_jobs):
        found = cross_validate(estimator, *regression, cv=3, return_estimator=asks)
    assert ("estimator" in found) == asks
    (root,), children = tree()
    assert root.data.tags["skledger.function"] == "cross_validate"
    assert in_order(root, "test_score") == found["test_score"].tolist()
    folds = sorted(children.pop(root.info.run_id), key=lambda run: run.info.run_name)
    assert [run.data.tags["skledger.fold"] for run in folds] == ["0", "1", "2"]
    for at, fold in enumerate(folds):
        assert fold.info.status == "FINISHED"
        assert steps(fold, "test_score") == {0: found["test_score"][at]}
        (search,) = children.pop(fold.info.run_id)
        assert search.data.tags["estimator_name"] == "GridSearchCV"
        assert search.info.status == "FINISHED"
        assert not search.outputs.model_outputs
        candidates = children.pop(search.info.run_id)
        assert sorted(run.data.params["max_depth"] for run in candidates) == ["1", "2", "3"]
        assert sorted(run.data.metrics["rank_test_score"] for run in candidates) == [1, 2, 3]
        best = search.data.tags["skledger.best_run"]
        assert best in {run.info.run_id for run in candidates}
        if asks:
            fitted = found["estimator"][at] if form == "search" else found["estimator"][at][-1]
            assert search.data.metrics["best_cv_score"] == pytest.approx(fitted.best_score_)
        # Each lies within the one above; times of other processes are reckoned back.
        slack = 1 if n_jobs == 1 or backend == "threading" else 300
        for above, below in ((root, fold), (fold, search), *((search, c) for c in candidates)):
            assert above.info.start_time - slack <= below.info.start_time
            assert below.info.end_time <= above.info.end_time + slack
    assert not children


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_predictions_of_a_search(autolog, regression, n_jobs):
    """In this process the searches are below the folds; scores are of the outer splits."""
    search = search_in_three_ways()["search"]
    cross_val_predict(search, *regression, cv=3, n_jobs=n_jobs)
    (root,), children = tree()
    assert len(steps(root, "test_score")) == 3
    if n_jobs == 1:
        folds = children[root.info.run_id]
        assert len(folds) == 3
        assert all(len(children[fold.info.run_id]) == 1 for fold in folds)


@pytest.fixture
def safe_here(monkeypatch):
    """Let the classes of this module count as those of a package whose objects pickle."""
    from skledger.capture import homecoming

    monkeypatch.setattr(homecoming, "SAFE", homecoming.SAFE | {__name__})


class Locked(LinearRegression):
    """Cannot be pickled once it is fitted."""

    def fit(self, X, y):
        self.lock_ = threading.Lock()
        return super().fit(X, y)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_a_nested_search_that_cannot_come_home(autolog, regression, backend):
    """What a worker fitted need not pickle; its folds are booked without their searches."""
    search = GridSearchCV(Locked(), {"fit_intercept": [True, False]}, cv=2)
    with parallel_config(backend, n_jobs=2):
        scores = cross_val_score(search, *regression, cv=3)
    assert np.isfinite(scores).all()
    (root,), children = tree()
    assert in_order(root, "test_score") == pytest.approx(scores)
    assert len(children[root.info.run_id]) == 3
    assert len(booked()) == 4


class Slow(LinearRegression):
    """Takes a while, so that folds arrive one by one."""

    def fit(self, X, y):
        time.sleep(0.15)
        return super().fit(X, y)


def test_folds_that_arrive_one_by_one(autolog, regression, safe_here):
    """Each has one run, with its search in it, though the fold is written before the search."""
    search = GridSearchCV(Slow(), {"fit_intercept": [True, False]}, cv=2)
    cross_val_score(search, *regression, cv=5, n_jobs=2)
    (root,), children = tree()
    folds = children[root.info.run_id]
    assert len(folds) == 5
    for fold in folds:
        (inner,) = children[fold.info.run_id]
        assert len(children[inner.info.run_id]) == 2
        assert in_order(fold, "test_score")
        assert fold.info.end_time >= inner.info.end_time


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_nested_search_that_fails(autolog, safe_here, n_jobs):
    """Its fold is FAILED, as is the call; the searches that went well are whole."""
    X, y = numbered()
    search = GridSearchCV(Fails(), {"at": [[0.0]]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cross_val_score(search, X, y, cv=KFold(3), n_jobs=n_jobs)
    (root,), children = tree()
    folds = sorted(children[root.info.run_id], key=lambda run: run.info.run_name)
    assert root.info.status == "FAILED"
    assert [run.info.status for run in folds] == ["FINISHED", "FAILED", "FAILED"]
    (good,) = children[folds[0].info.run_id]
    assert good.info.status == "FINISHED"
    for run in booked():
        assert run.info.status in ("FINISHED", "FAILED")
        assert_finite(run)


def test_in_a_run_of_the_users_the_tree_is_below_it(autolog, regression):
    """Folds of a nested cross-validation are children of the active run."""
    with skledger.start_run() as active:
        cross_val_score(search_in_three_ways()["search"], *regression, cv=2)
    roots, children = tree()
    assert [run.info.run_id for run in roots] == [active.info.run_id]
    assert len(children[active.info.run_id]) == 2


# -- estimators and data of all kinds --------------------------------------------------------------

THIRD_PARTIES = ["xgboost:XGBRegressor", "lightgbm:LGBMRegressor"]


@pytest.mark.parametrize("name", THIRD_PARTIES)
def test_estimators_of_third_parties(autolog, regression, name):
    """They are cross-validated like scikit-learn's own."""
    module, _, cls = name.partition(":")
    estimator = getattr(pytest.importorskip(module), cls)()
    estimator.set_params(n_estimators=3)
    scores = cross_val_score(estimator, *regression, cv=2)
    run = the_run()
    assert in_order(run, "test_score") == pytest.approx(scores)
    assert run.info.status == "FINISHED"
    assert run.data.params["n_estimators"] == "3"


def test_groups_and_weights(autolog, regression):
    """``groups`` reach the splitter, and fit params the fits, as without us."""
    X, y = regression
    groups = np.arange(len(X)) % 6
    scores = cross_val_score(Ridge(), X, y, groups=groups, cv=GroupKFold(3))
    weights = {"sample_weight": np.linspace(1, 2, len(X))}
    with_weights = cross_val_score(Ridge(), X, y, params=weights)
    permutation_test_score(Ridge(), X, y, groups=groups, cv=GroupKFold(3), n_permutations=2)
    plain, weighted, permuted = booked()
    assert in_order(plain, "test_score") == scores.tolist()
    assert in_order(weighted, "test_score") == with_weights.tolist()
    assert plain.data.params["n_splits"] == permuted.data.params["n_splits"] == "3"


def test_metadata_routing(autolog, regression):
    """With routing on, weights and groups go where they were requested."""
    from sklearn import config_context

    X, y = regression
    params = {"sample_weight": np.linspace(1, 2, len(X)), "groups": np.arange(len(X)) % 6}
    with config_context(enable_metadata_routing=True):
        model = Ridge().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = cross_validate(model, X, y, params=params, cv=GroupKFold(3))
        permutation_test_score(model, X, y, params=params, cv=GroupKFold(3), n_permutations=2)
    run, permuted = booked()
    assert in_order(run, "test_score") == found["test_score"].tolist()
    assert permuted.data.params["n_splits"] == "3"


def _frames():
    import pandas as pd
    from scipy import sparse

    yield "pandas", lambda X, y: (pd.DataFrame(X), pd.Series(y, name="y"))
    yield (
        "pandas-index",
        lambda X, y: (
            pd.DataFrame(X, index=range(500, 500 + len(X))),
            pd.Series(y, index=range(500, 500 + len(X))),
        ),
    )
    yield "sparse", lambda X, y: (sparse.csr_matrix(X), y)
    yield "lists", lambda X, y: (X.tolist(), y.tolist())


FRAMES = dict(_frames())


@pytest.mark.parametrize("kind", FRAMES)
def test_data_of_every_kind(autolog, multiclass, kind):
    """Frames, series, sparse matrices and lists give the scores of the arrays in them."""
    X, y = FRAMES[kind](*multiclass)
    model = DecisionTreeClassifier(random_state=0)
    scores = cross_val_score(model, X, y)
    cross_val_predict(model, X, y)
    cross_val_predict(model, X, y, method="predict_proba")
    for score in booked()[:2]:
        assert in_order(score, "test_score") == pytest.approx(scores)
        assert score.data.metrics["n_samples"] == 150
        assert score.data.metrics["n_features"] == 4
    assert booked()[2].data.metrics["cv_accuracy_score"] > 0.9
    assert all(run.info.status == "FINISHED" for run in booked())


def test_several_targets(autolog, multiclass):
    """Several labels and outputs are predicted without a word of failure."""
    X, y = multiclass
    labels = np.column_stack([y == 1, y == 2]).astype(int)
    forest = RandomForestClassifier(5, random_state=0)
    predicted = cross_val_predict(forest, X, labels)
    cross_val_predict(forest, X, labels, method="predict_proba")
    run, probabilities = booked()
    with skledger.autolog(disable=True):
        scores = cross_val_score(forest, X, labels)
    assert in_order(run, "test_score") == pytest.approx(scores)
    assert run.data.metrics["cv_accuracy_score"] == pytest.approx(accuracy_score(labels, predicted))
    assert probabilities.info.status == "FINISHED"


def test_without_targets(autolog, multiclass):
    """Clusterings and transformers are cross-validated without ``y``."""
    from sklearn.cluster import KMeans

    model = KMeans(2, n_init=1, random_state=0)
    scores = cross_val_score(model, multiclass[0], cv=3)
    cross_val_predict(model, multiclass[0], cv=3)
    score, predict = booked()
    assert in_order(score, "test_score") == scores.tolist()
    assert "test_score" not in predict.data.metrics
    assert predict.info.status == "FINISHED"


# -- while it goes on ------------------------------------------------------------------------------


def _watched_steps(folder, *args):
    """Run `LIVE` and return what its run showed: status and steps, at each moment."""
    import subprocess
    import sys

    from skledger.stores.opening import open_store

    (folder / "slow_estimator.py").write_text(SLOW_ESTIMATOR)
    (folder / "script.py").write_text(LIVE)
    env = {**os.environ, "PYTHONPATH": str(folder)}
    process = subprocess.Popen([sys.executable, "script.py", *args], cwd=folder, env=env)
    store, seen, deadline = None, [], time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        if store is None and (folder / "skledger.db").exists():
            store = open_store(f"sqlite:///{folder / 'skledger.db'}")
        for run in () if store is None else store.search_runs(["0"]):
            history = store.get_metric_history(run.info.run_id, "test_score")
            seen.append((time.time(), run.info.status, tuple(sorted(m.step for m in history))))
    store.close()
    assert process.returncode == 0
    return seen


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=SLOW)])
def test_steps_appear_while_it_goes_on(tmp_path, n_jobs):
    """A second process sees a RUNNING run, and each fold soon after it is done."""
    seen = _watched_steps(tmp_path, "0.7", str(n_jobs))
    fits = fits_in(tmp_path)
    running = [(at, folds) for at, status, folds in seen if status == "RUNNING"]
    assert {len(folds) for _, folds in running} >= ({1, 2, 3} if n_jobs == 1 else {2})
    first = next(at for at, folds in running if folds)
    assert first - fits[0].ended < 1.0
    assert the_run().info.status == "FINISHED"
    assert list(steps(the_run(), "test_score")) == [0, 1, 2, 3]


def test_a_fold_before_the_run_was_shown_is_not_forgotten(autolog):
    """A quick first fold appears although the next one is long in coming."""
    done = threading.Event()

    class Waits(Fails):
        def fit(self, X, y):
            if X[0, 0] == 0:  # all folds but the first
                done.wait(20)
            return super().fit(X, y)

    X, y = numbered()
    call = threading.Thread(target=cross_val_score, args=(Waits(), X, y), kwargs={"cv": KFold(2)})
    call.start()
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            time.sleep(0.05)
            runs = booked()
            if runs and steps(runs[0], "test_score"):
                break
        assert runs[0].info.status == "RUNNING"
        assert list(steps(runs[0], "test_score")) == [0]
    finally:
        done.set()
        call.join()
    assert list(steps(the_run(), "test_score")) == [0, 1]


# -- what it costs ---------------------------------------------------------------------------------


class _Weight:
    """Counts those of its kind that are alive, in this process."""

    alive = 0

    def __init__(self):
        _Weight.alive += 1

    def __del__(self):
        _Weight.alive -= 1

    def __reduce__(self):
        return _Weight, ()


class Weighs(LinearRegression):
    """Has a weight once it is fitted."""

    def fit(self, X, y):
        self.weight_ = _Weight()
        return super().fit(X, y)


@pytest.mark.parametrize(("backend", "n_jobs"), BACKENDS)
def test_nothing_that_was_fitted_is_kept(autolog, regression, safe_here, backend, n_jobs):
    """When the call has returned, the fitted searches are gone, without the collector's help."""
    import gc

    search = GridSearchCV(Weighs(), {"fit_intercept": [True, False]}, cv=2)
    _Weight.alive = 0
    gc.collect()
    gc.disable()
    try:
        with parallel_config(backend, n_jobs=n_jobs):
            cross_validate(search, *regression, cv=3)
            cross_val_score(Weighs(), *regression)
        skledger.flush()
        deadline = time.monotonic() + 5  # an alarm of the writer's may still hold the last
        while _Weight.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _Weight.alive == 0
    finally:
        gc.enable()
    assert sum(run.data.tags["estimator_name"] == "GridSearchCV" for run in booked()) == 7
