"""Cheap first checks: what they find, what they leave alone, and how they are switched."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import skledger
from skledger.capture.checks import NAMES, after_fit, after_metric
from skledger.errors import InvalidParameterError

RNG = np.random.default_rng(7)
X = RNG.normal(size=(200, 5))
NUMBERS = X[:, 0] * 3 + RNG.normal(size=200)
TEXTS = np.where(NUMBERS > 1, "high", np.where(NUMBERS < -1, "low", "middle"))
OF_CLASSES = {"training_accuracy_score": 0.9}
OF_NUMBERS = {"training_r2_score": 0.9}


def names(found):
    return [each.name for each in found]


def with_column(column, data=X):
    return np.column_stack((data[:, :2], column, data[:, 2:]))


# -- a constant prediction ------------------------------------------------------------------------


def test_a_constant_prediction():
    """A model that gives one answer to every row, of targets that differ, has learned nothing."""
    model = Lasso(alpha=1000).fit(X, NUMBERS)
    (found,) = after_fit(model, X, NUMBERS, model.predict(X), OF_NUMBERS)
    assert found.name == "constant_prediction"
    assert "each of 200 training rows" in found.text
    found = after_fit(SGDClassifier(), X, TEXTS, np.full(200, "low"), OF_CLASSES)
    assert "predicts 'low'" in found[0].text
    two = np.column_stack((NUMBERS, -NUMBERS))
    assert names(after_fit(model, X, two, np.tile([1.0, 2.0], (200, 1)), OF_NUMBERS)) == [
        "constant_prediction"
    ]


def test_no_constant_prediction():
    """Varied predictions, constant targets, dummies, few rows and no predictions are no finding."""
    model = Ridge().fit(X, NUMBERS)
    assert not after_fit(model, X, NUMBERS, model.predict(X), OF_NUMBERS)
    assert not after_fit(model, X, np.ones(200), np.ones(200), OF_NUMBERS)
    dummy = DummyClassifier().fit(X, TEXTS)
    assert not after_fit(dummy, X, TEXTS, dummy.predict(X), OF_CLASSES)
    assert not after_fit(model, X[:5], NUMBERS[:5], np.zeros(5), OF_NUMBERS)
    assert not after_fit(model, X, NUMBERS, None, OF_NUMBERS)
    assert not after_fit(model, X, None, None, {})


# -- the target among the features ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["array", "float32", "frame", "mixed", "sparse", "column"])
def test_a_number_that_is_also_a_feature(kind):
    """A column that equals the target is found in every kind of data, by its name if it has one."""
    numbers = NUMBERS.astype(np.float32) if kind == "float32" else NUMBERS
    data = with_column(numbers).astype(numbers.dtype)
    y = numbers
    named = "number 2"
    if kind in ("frame", "mixed"):
        data = pd.DataFrame(data, columns=["a", "b", "leak", "c", "d", "e"])
        named = "'leak'"
    if kind == "mixed":
        data["text"] = "x"
    if kind == "sparse":
        data = sparse.csr_array(data)
    if kind == "column":
        y = numbers.reshape(-1, 1)
    (found,) = after_fit(LinearRegression(), data, y, None, OF_NUMBERS)
    assert found.name == "target_in_features"
    assert f"the feature {named} tells" in found.text


@pytest.mark.parametrize(
    "code",
    [
        {"low": 0, "middle": 1, "high": 2},
        {"low": 7.5, "middle": -1.0, "high": 0.0},
        {"low": "L", "middle": "M", "high": "H"},
    ],
    ids=str,
)
def test_a_class_that_is_also_a_feature(code):
    """Of classes, a column that stands for them one to one is the target, too."""
    column = np.array([code[each] for each in TEXTS])
    data = pd.DataFrame(X).assign(code=column)
    assert names(after_fit(None, data, TEXTS, None, OF_CLASSES)) == ["target_in_features"]


def test_what_is_not_the_target():
    """Nearly the target, a mere copy of part of it, or constant columns are no finding."""
    nearly = NUMBERS.copy()
    nearly[17] += 1e-9
    for column in (nearly, np.ones(200), -NUMBERS, NUMBERS**2):
        assert not after_fit(None, with_column(column), NUMBERS, None, OF_NUMBERS)
    coarser = np.where(TEXTS == "low", 0, 1)
    wrong_once = np.array([{"low": 0, "middle": 1, "high": 2}[each] for each in TEXTS])
    wrong_once[3] = (wrong_once[3] + 1) % 3
    finer = np.arange(200)
    for column in (coarser, wrong_once, finer):
        assert not after_fit(None, with_column(column), TEXTS, None, OF_CLASSES)


def test_a_rare_class_is_no_constant_column():
    """When few rows are of the other class, a constant column is not taken for the target."""
    rare = np.zeros(5000)
    rare[1234] = 1
    data = np.zeros((5000, 3))
    assert not after_fit(None, data, rare, None, OF_CLASSES)
    assert not after_fit(None, sparse.csr_array(data), rare, None, OF_NUMBERS)


def test_data_that_is_not_looked_at():
    """Lists, texts, wide sparse matrices of other formats, arrays of images: no finding."""
    for data in (
        X.tolist(),
        list("abcde") * 40,
        sparse.coo_array(with_column(NUMBERS)),
        np.zeros((200, 2, 2)),
        X[:100],
        object(),
    ):
        assert after_fit(None, data, NUMBERS, None, OF_NUMBERS) == []
    wide = sparse.csr_array((200, 1_000_000))
    assert after_fit(None, wide, NUMBERS, None, OF_NUMBERS) == []


@pytest.mark.parametrize(
    "y", [sparse.csr_array(np.eye(20)), np.eye(20), np.array(["a", None] * 10)]
)
def test_targets_of_any_kind(y):
    """Indicators, sparse ones, and labels with gaps do no harm."""
    assert after_fit(None, np.zeros((20, 3)), y, None, OF_CLASSES) == []


# -- training and test ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "value", "training", "found"),
    [
        ("accuracy_score", 0.7, {"training_accuracy_score": 1.0}, True),
        ("accuracy_score", 0.95, {"training_accuracy_score": 1.0}, False),
        ("accuracy_score", 0.5, {"training_accuracy_score": 0.62}, False),
        ("accuracy_score", 0.9, {"training_accuracy_score": 0.8}, False),
        ("accuracy_score", 40, {"training_accuracy_score": 1.0}, False),
        ("score", 0.2, {"training_score": 0.99}, True),
        ("score", -900.0, {"training_score": -10.0}, False),
        ("r2_score", -3.0, {"training_r2_score": 0.9}, True),
        ("roc_auc_score", 0.6, {"training_roc_auc": 0.99}, True),
        ("log_loss", 1.5, {"training_log_loss": 0.1}, True),
        ("log_loss", 0.15, {"training_log_loss": 0.05}, False),
        ("f1_score", 0.1, {"training_f1_score": 1.0}, False),
        ("accuracy_score", 0.1, {}, False),
        ("accuracy_score", float("nan"), {"training_accuracy_score": 1.0}, False),
        ("accuracy_score", True, {"training_accuracy_score": 1.0}, False),
        ("r2_score", np.array([0.1, 0.2]), {"training_r2_score": 1.0}, False),
    ],
)
def test_training_far_better_than_test(function, value, training, found):
    """A score is far worse when it fell by a tenth, and what it lacks to 1 is more than double."""
    got = names(after_metric(function, value, training, None, None))
    assert got == (["train_better_than_test"] if found else [])


@pytest.mark.parametrize(
    "function", ["mean_squared_error", "root_mean_squared_error", "mean_absolute_error"]
)
def test_errors_are_compared_by_the_spread_of_the_targets(function):
    """The same rule, with the error as a share of that of a constant prediction."""
    y = np.arange(100.0)
    spread = {
        "mean_squared_error": np.var(y),
        "root_mean_squared_error": np.std(y),
        "mean_absolute_error": 25.0,
    }[function]
    training = {f"training_{function}": 0.0}
    assert names(after_metric(function, 0.8 * spread, training, y, None)) == [
        "train_better_than_test"
    ]
    assert not after_metric(function, 0.05 * spread, training, y, None)
    assert not after_metric(function, 0.8 * spread, training, None, None)
    assert not after_metric(function, 0.8 * spread, training, np.ones(100), None)


# -- a class that is missing ----------------------------------------------------------------------


def test_a_class_missing_in_the_test_data():
    """A class the model knows that no tested row has is told by name."""
    classes = np.unique(TEXTS)
    y = TEXTS[TEXTS != "low"]
    (found,) = after_metric("accuracy_score", 0.9, {}, y, classes)
    assert found.name == "missing_class"
    assert "1 of 3 classes is missing" in found.text
    assert "'low'" in found.text
    found = after_metric("score", 0.9, {}, pd.Series(np.zeros(50, int)), np.arange(9))
    assert "8 of 9 classes are missing" in found[0].text
    assert "1, 2, 3, 4, 5, ..." in found[0].text


def test_no_class_missing():
    """All classes there (late, too), few rows, other labels, numbers: no finding."""
    classes = np.array([0, 1, 2])
    late = np.zeros(10_000, int)
    late[9000:9002] = 1, 2
    assert not after_metric("score", 1.0, {}, late, classes)
    assert not after_metric("score", 1.0, {}, [0, 1, 1, 0], classes)
    assert not after_metric("score", 1.0, {}, np.array(list("ab") * 10), classes)
    assert not after_metric("score", 1.0, {}, np.eye(3)[[0] * 20], classes)
    assert not after_metric("score", 1.0, {}, np.zeros(50), None)
    assert not after_metric("score", 1.0, {}, None, classes)


# -- end to end -----------------------------------------------------------------------------------


def tags():
    run = skledger.last_active_run()
    return {
        k.removeprefix("skledger.check."): v
        for k, v in run.data.tags.items()
        if k.startswith("skledger.check.")
    }


@pytest.mark.usefixtures("autolog")
def test_a_finding_is_a_tag_and_one_line(caplog):
    """The line names the run and the check; the tag says the same."""
    with caplog.at_level(logging.WARNING, "skledger"):
        DecisionTreeRegressor(max_depth=3).fit(with_column(NUMBERS), NUMBERS)
    (line,) = (each for each in caplog.messages if "check" in each)
    found = tags()
    assert list(found) == ["target_in_features"]
    assert found["target_in_features"] in line
    assert skledger.last_active_run().info.run_name in line
    assert "'target_in_features'" in line


@pytest.mark.usefixtures("autolog")
def test_pipelines_and_several_findings():
    """Both checks of a fit can have something to say."""
    make_pipeline(StandardScaler(), Lasso(1000)).fit(with_column(NUMBERS), NUMBERS)
    assert sorted(tags()) == ["constant_prediction", "target_in_features"]


@pytest.mark.usefixtures("autolog")
def test_an_honest_fit_has_no_finding(binary, regression, caplog):
    """Nothing is said of usual fits."""
    with caplog.at_level(logging.WARNING, "skledger"):
        LogisticRegression().fit(*binary)
        assert tags() == {}
        Ridge().fit(*regression)
        assert tags() == {}
    assert not [each for each in caplog.messages if "check" in each]


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        (True, ["constant_prediction", "target_in_features"]),
        (False, []),
        ([], []),
        (["constant_prediction"], ["constant_prediction"]),
        (("missing_class", "target_in_features"), ["target_in_features"]),
    ],
)
def test_checks_are_switched(checks, expected):
    """All, none, or those that are named."""
    skledger.autolog(checks=checks)
    Lasso(1000).fit(with_column(NUMBERS), NUMBERS)
    assert sorted(tags()) == expected


@pytest.mark.parametrize("checks", ["missing_class", ["no_such_check"], 1, None, [3]])
def test_a_choice_that_means_nothing(checks):
    """The message lists the names there are."""
    with pytest.raises(InvalidParameterError, match="target_in_features"):
        skledger.autolog(checks=checks)


def test_every_check_is_documented():
    """docs/checks.md has a section for each."""
    from pathlib import Path

    text = (Path(__file__).parent.parent / "docs" / "checks.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"## `{name}`" in text, name


@pytest.mark.usefixtures("autolog")
def test_steps_of_a_stream_are_not_checked():
    """A model that has seen one batch may well predict one class only."""
    model = SGDClassifier()
    model.partial_fit(with_column(NUMBERS), np.where(NUMBERS > 0, 1, 0), classes=[0, 1])
    assert tags() == {}
    DecisionTreeClassifier(max_depth=1).fit(X, TEXTS)
    assert tags() == {}
