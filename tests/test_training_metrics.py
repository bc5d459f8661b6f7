"""Training metrics: scikit-learn's values, from one pass, and nothing of it felt by the user."""

from __future__ import annotations

import functools
import logging
import math
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as M
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import skledger
from skledger._guard import switch
from skledger.capture.metrics import evaluate

ONE_CASE_EACH = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: Nothing can be computed for such a target, here as there.
REFUSED = (ValueError, TypeError, ZeroDivisionError, IndexError)


class Canned(ClassifierMixin, BaseEstimator):
    """A classifier that says what it was told to say, and counts how often it was asked."""

    def __init__(self, predicted=None, probabilities=None, classes=None):
        self.predicted = predicted
        self.probabilities = probabilities
        self.calls = []
        if classes is not None:
            self.classes_ = classes

    def fit(self, X, y, sample_weight=None):
        return self

    def predict(self, X):
        self.calls.append("predict")
        return self.predicted

    def __getattr__(self, name):
        if name == "predict_proba" and self.__dict__.get("probabilities") is not None:
            return self._proba
        raise AttributeError(name)

    def _proba(self, X):
        self.calls.append("predict_proba")
        return self.probabilities


def by_sklearn(y, predicted, probabilities=None, weight=None, pos_label=None):
    """The metrics as scikit-learn's functions give them, one after the other."""
    average = {"average": "weighted"}
    if pos_label is not None:
        average = {"average": "binary", "pos_label": pos_label}
    calls = {
        "accuracy_score": lambda: M.accuracy_score(y, predicted, sample_weight=weight),
        "precision_score": lambda: M.precision_score(y, predicted, sample_weight=weight, **average),
        "recall_score": lambda: M.recall_score(y, predicted, sample_weight=weight, **average),
        "f1_score": lambda: M.f1_score(y, predicted, sample_weight=weight, **average),
    }
    if probabilities is not None:
        scores = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
        calls["log_loss"] = lambda: M.log_loss(y, probabilities, sample_weight=weight)
        calls["roc_auc"] = lambda: M.roc_auc_score(
            y, scores, multi_class="ovo", average="weighted", sample_weight=weight
        )
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, compute in calls.items():
            try:
                value = compute()
            except REFUSED:
                continue
            if not math.isnan(value):
                found[f"training_{name}"] = value
    return found


def same(metrics, expected, rel=1e-12):
    metrics = {name: value for name, value in metrics.items() if name != "training_score"}
    assert metrics == pytest.approx(expected, rel=rel, abs=1e-12, nan_ok=True)
    assert all(type(value) is float for value in metrics.values())


NAMES = {
    "text": ["ant", "bee", "cat", "dog", "elk", "fox"],
    "object": np.array(["ant", "bee", "cat", "dog", "elk", "fox"], dtype=object),
    "whole": [0, 1, 2, 3, 4, 5],
    "negative": [-7, -1, 0, 2, 3, 90],
    "float": [-1.0, 0.0, 1.0, 2.0, 5.0, 7.0],
    "bool": [False, True],
    "unsigned": np.array([0, 1, 2, 7, 8, 9], dtype=np.uint8),
}


@st.composite
def classified(draw, n_classes=st.integers(1, 6)):
    """Labels of some type, predictions, probabilities with ties, and weights or none."""
    names = np.asarray(NAMES[draw(st.sampled_from(sorted(NAMES)))])[: draw(n_classes)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_rows = draw(st.integers(2, 60))
    columns = rng.permutation(len(names))[: draw(st.integers(1, len(names)))]
    y = names[rng.choice(columns, n_rows)]
    predicted = np.where(rng.random(n_rows) < 0.5, y, names[rng.integers(0, len(names), n_rows)])
    grid = draw(st.sampled_from([2, 10, 10**6]))
    scores = rng.integers(0, grid, (n_rows, len(names))) + 1e-3 * draw(st.booleans())
    probabilities = (scores + (scores.sum(axis=1, keepdims=True) == 0)) * 1.0
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    weight = None
    kind = draw(st.sampled_from(["none", "int", "float", "zeros"]))
    if kind != "none":
        weight = rng.integers(1, 5, n_rows) if kind == "int" else rng.random(n_rows) + 1e-3
    if kind == "zeros":
        weight[rng.random(n_rows) < 0.4] = 0.0
        weight[0] = 1.0
    return y, predicted.astype(names.dtype), probabilities, weight, names


class TestClassifiersEqualScikitLearn:
    @ONE_CASE_EACH
    @given(
        case=classified(),
        knows=st.sampled_from(["all", "seen", "nothing"]),
        pictures=st.booleans(),
    )
    def test_all_six(self, case, knows, pictures):
        """Labels of every type, with weights, missing classes and ties, give the same values."""
        y, predicted, probabilities, weight, names = case
        classes = {"all": names, "seen": np.unique(y), "nothing": None}[knows]
        estimator = Canned(predicted, probabilities, classes)
        found = evaluate(estimator, None, y, weight, score_accepts_weight=True, pictures=pictures)
        assert bool(found.pictures) == pictures
        same(found.metrics, by_sklearn(y, predicted, probabilities, weight))
        assert set(estimator.calls) <= {"predict", "predict_proba"}

    @ONE_CASE_EACH
    @given(case=classified(st.just(2)), which=st.integers(0, 1))
    def test_a_positive_label(self, case, which, swallowed):
        """With pos_label, precision, recall and F1 are those of that class."""
        y, predicted, _, weight, names = case
        label = names[which].item() if hasattr(names[which], "item") else names[which]
        found = evaluate(Canned(predicted), None, y, weight, pos_label=label)
        same(found.metrics, by_sklearn(y, predicted, None, weight, label))

    @ONE_CASE_EACH
    @given(seed=st.integers(0, 2**32), form=st.sampled_from(["int", "bool", "float", "sparse"]))
    def test_multilabel(self, seed, form):
        """Multilabel indicators, sparse ones too; without log loss and ROC AUC."""
        rng = np.random.default_rng(seed)
        shape = (int(rng.integers(2, 30)), int(rng.integers(2, 6)))
        y = (rng.random(shape) < rng.random()).astype(int)
        predicted = (rng.random(shape) < rng.random()).astype(int)
        weight = rng.random(shape[0]) if rng.random() < 0.5 else None
        expected = by_sklearn(y, predicted, None, weight)
        if form == "sparse":
            y, predicted = sparse.csr_matrix(y), sparse.csc_matrix(predicted)
        else:
            y, predicted = y.astype(form), predicted.astype(form)
        found = evaluate(Canned(predicted, [np.ones((shape[0], 2))] * shape[1]), None, y, weight)
        same(found.metrics, expected)
        assert found.pictures == {}

    def test_many_classes(self):
        """Above the size at which a confusion matrix is counted, the values stay the same."""
        rng = np.random.default_rng(0)
        y = np.concatenate([np.arange(300), rng.integers(0, 300, 900)])
        predicted = np.where(rng.random(1200) < 0.5, y, rng.integers(0, 300, 1200))
        weight = rng.random(1200)
        for w in (None, weight):
            found = evaluate(Canned(predicted, classes=np.arange(300)), None, y, w)
            same(found.metrics, by_sklearn(y, predicted, None, w))

    def test_single_precision_probabilities(self):
        """Probabilities in single precision are clipped like scikit-learn clips them."""
        rng = np.random.default_rng(0)
        y = rng.integers(0, 2, 500)
        p = np.where(rng.random(500) < 0.7, y, rng.random(500)).astype(np.float32)
        p[:3] = 1 - y[:3]
        probabilities = np.column_stack((1 - p, p))
        found = evaluate(Canned(y, probabilities), None, y).metrics
        same(found, by_sklearn(y, y, probabilities), rel=1e-5)

    def test_classes_in_another_order(self):
        """Unsorted classes_ : the columns of predict_proba follow the classes, not the sort."""
        y = np.array(["no", "yes", "yes", "no", "yes"])
        p = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.55, 0.45], [0.7, 0.3]])
        swapped = Canned(y, p[:, ::-1], np.array(["yes", "no"], dtype=object))
        same(evaluate(swapped, None, y).metrics, by_sklearn(y, y, p))

    def test_one_class_only(self):
        """Log loss and ROC AUC are left out, not NaN, when there is one class."""
        y = np.zeros(5, dtype=int)
        found = evaluate(Canned(y, np.tile([0.8, 0.2], (5, 1)), np.array([0, 1])), None, y)
        assert not any(name.endswith(("log_loss", "roc_auc")) for name in found.metrics)
        assert found.metrics["training_accuracy_score"] == 1.0

    @pytest.mark.parametrize(
        "probabilities",
        [[[0.5, np.nan]] * 4, [[-1.0, 2.0]] * 4, [[0.5, np.inf]] * 4],
        ids=["nan", "outside", "inf"],
    )
    def test_no_probabilities(self, probabilities):
        """What is no probability gives no log loss, and the rest is booked."""
        y = np.array([0, 1, 0, 1])
        expected = by_sklearn(y, y, np.array(probabilities))
        # Before 1.7 scikit-learn clipped whatever it was given.
        expected.pop("training_log_loss", None)
        same(evaluate(Canned(y, np.array(probabilities)), None, y).metrics, expected)

    @pytest.mark.parametrize(
        "y",
        [
            np.array([0.5, 1.5, 0.5]),
            np.array([1, 0, 1], dtype=object),
            np.array([b"a", b"b", b"a"]),
            np.array(["a", 1, "a"], dtype=object),
            np.array([np.nan, 1.0, 0.0]),
            np.array([[1, 2], [3, 4], [5, 0]]),
            np.array([[0.5, 2], [3, 4], [5, 0]]),
        ],
        ids=["continuous", "objects", "bytes", "mixed", "nan", "multioutput", "floats"],
    )
    def test_refused_targets(self, y):
        """Targets that scikit-learn's metrics refuse give no metrics and no log line."""
        assert evaluate(Canned(y), None, y).metrics == {}

    @pytest.mark.parametrize(
        "shape",
        [
            list,
            pd.Series,
            lambda y: pd.DataFrame({"y": y}),
            lambda y: y.reshape(-1, 1),
            lambda y: pd.Series(y, dtype="category"),
            lambda y: pd.Series(y.astype(str)),
            lambda y: pd.Series(y, dtype="Int64"),
            lambda y: (y > 1).tolist(),
            lambda y: pd.Series(y > 1, dtype="boolean"),
        ],
        ids="list series frame column category strings nullable bools nullable-bools".split(),
    )
    def test_shapes_of_the_target(self, shape, multiclass):
        """Lists, data frames and pandas' types give the same as the plain array."""
        X, y = multiclass
        y = shape(y)
        estimator = LogisticRegression(max_iter=500).fit(X, np.ravel(y))
        found = evaluate(estimator, X, y).metrics
        plain = np.ravel(np.asarray(y))
        plain = plain.astype(str) if plain.dtype == object else plain
        same(found, by_sklearn(plain, estimator.predict(X), estimator.predict_proba(X)))
        assert len(found) == 7


class TestRegressors:
    @ONE_CASE_EACH
    @given(seed=st.integers(0, 2**32), outputs=st.integers(1, 3), flat=st.booleans())
    def test_equal_scikit_learn(self, seed, outputs, flat):
        """Squared, root, absolute error and R2; constant targets and several outputs too."""
        rng = np.random.default_rng(seed)
        n_rows = int(rng.integers(2, 50))
        y = np.round(rng.normal(size=(n_rows, outputs)) * 10, int(rng.integers(0, 4)))
        predicted = y + rng.normal(size=y.shape) * (rng.random() < 0.9)
        y[:, 0] = 3.0 if flat else y[:, 0]
        weight = rng.random(n_rows) if rng.random() < 0.5 else None
        y, predicted = (one[:, 0] if outputs == 1 else one for one in (y, predicted))
        expected = {
            f"training_{name}": getattr(M, name)(y, predicted, sample_weight=weight)
            for name in (
                "mean_squared_error",
                "root_mean_squared_error",
                "mean_absolute_error",
                "r2_score",
            )
        }
        found = evaluate(CannedRegressor(predicted), None, y, weight).metrics
        same(found, expected, rel=1e-10)
        assert found["training_score"] == found["training_r2_score"]

    def test_one_row(self):
        """R2 of a single row is NaN, as it is in scikit-learn."""
        found = evaluate(CannedRegressor(np.array([1.0])), None, [2.0]).metrics
        assert math.isnan(found["training_r2_score"])
        assert found["training_mean_absolute_error"] == 1.0

    def test_predictions_that_are_not_finite(self):
        """NaN among the predictions leaves the metrics out."""
        assert evaluate(CannedRegressor(np.array([1.0, np.nan])), None, [1.0, 2.0]).metrics == {}


class CannedRegressor(RegressorMixin, BaseEstimator):
    def __init__(self, predicted=None):
        self.predicted = predicted

    def fit(self, X, y, sample_weight=None):
        return self

    def predict(self, X):
        return self.predicted


X2, Y2 = make_classification(120, 6, random_state=0)
X3, Y3 = make_classification(150, 8, n_informative=5, n_classes=3, random_state=0)
XR, YR = make_regression(100, 5, noise=3.0, random_state=0)
XM, YM = make_multilabel_classification(120, 6, n_classes=3, random_state=0)
SIX = {"accuracy_score", "precision_score", "recall_score", "f1_score", "log_loss", "roc_auc"}
FOUR = SIX - {"log_loss", "roc_auc"}
REGRESSION = {
    "mean_squared_error",
    "root_mean_squared_error",
    "mean_absolute_error",
    "r2_score",
}

SWEEP = [
    (LogisticRegression(), X2, Y2, SIX),
    (LogisticRegression(), X3, Y3, SIX),
    (SVC(), X3, Y3, FOUR),
    (RandomForestClassifier(10, random_state=0), X3, Y3.astype(str), SIX),
    (GaussianNB(), X2, np.where(Y2 == 1, "yes", "no").astype(object), SIX),
    (KNeighborsClassifier(), X3, np.column_stack((Y3, Y3)), set()),
    (KNeighborsClassifier(), XM, YM, FOUR),
    (MLPClassifier((5,), max_iter=20, random_state=0), XM, YM, FOUR),
    (OneVsRestClassifier(LogisticRegression()), XM, YM, FOUR),
    (OneVsRestClassifier(LogisticRegression()), XM, sparse.csr_matrix(YM), FOUR),
    (MultiOutputClassifier(GaussianNB()), XM, YM, FOUR),
    (MultiOutputClassifier(GaussianNB()), X3, np.column_stack((Y3, Y3)), set()),
    (DummyClassifier(strategy="most_frequent"), X3, Y3, SIX),
    (make_pipeline(StandardScaler(), LogisticRegression()), X2, Y2, SIX),
    (GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2), X2, Y2, SIX),
    (GridSearchCV(SVC(), {"C": [0.1, 1]}, cv=2, scoring="f1"), X2, Y2, FOUR),
    (LinearRegression(), XR, YR, REGRESSION),
    (Ridge(), XR, np.column_stack((YR, -YR, YR**2)), REGRESSION),
    (DecisionTreeRegressor(max_depth=3), XR, YR.astype(int), REGRESSION),
    (make_pipeline(StandardScaler(), Ridge()), XR, YR.reshape(-1, 1), REGRESSION),
    (KMeans(2, n_init=1, random_state=0), X2, Y2, set()),
    (PCA(2), X2, Y2, set()),
    (StandardScaler(), X2, Y2, set()),
    (IsolationForest(n_estimators=10, random_state=0), X2, Y2, set()),
]


class TestRealEstimators:
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    @pytest.mark.parametrize("case", SWEEP, ids=lambda case: type(case[0]).__name__)
    def test_names_and_score(self, case):
        """Each kind of estimator gets its metrics, and the score is what score() gives."""
        estimator, X, y, names = case
        estimator.fit(X, y)
        found = evaluate(estimator, X, y).metrics
        scored = set()
        try:
            expected = estimator.score(X, y)
            scored = {"score"}
        except (AttributeError, ValueError):
            pass
        assert set(found) == {f"training_{name}" for name in names | scored}
        if scored:
            assert found["training_score"] == pytest.approx(expected, rel=1e-12)

    def test_without_a_target(self):
        """No target, no metrics and no pictures."""
        found = evaluate(KMeans(2, n_init=1).fit(X2), X2, None)
        assert (found.metrics, found.pictures) == ({}, {})

    def test_prefix(self):
        """Names begin with the prefix, those of the pictures of predictions too."""
        found = evaluate(GaussianNB().fit(X2, Y2), X2, Y2, prefix="eval_")
        assert set(found.metrics) == {f"eval_{name}" for name in SIX | {"score"}}
        assert "eval_roc_curve" in found.pictures

    def test_unlabelled_rows(self):
        """A label that the estimator never predicts is counted as scikit-learn counts it."""
        from sklearn.semi_supervised import LabelPropagation

        y = Y2.copy()
        y[::5] = -1
        estimator = LabelPropagation().fit(X2, y)
        found = evaluate(estimator, X2, y).metrics
        same(found, by_sklearn(y, estimator.predict(X2), estimator.predict_proba(X2)))


def counting(estimator):
    """Count the calls of an estimator's methods, whoever makes them."""
    counts = dict.fromkeys(("predict", "predict_proba", "score"), 0)
    base = type(estimator)

    def counted(name):
        method = getattr(base, name)

        @functools.wraps(method)
        def call(self, *args, **kwargs):
            counts[name] += 1
            return method(self, *args, **kwargs)

        return call

    methods = {name: counted(name) for name in ("predict", "predict_proba") if hasattr(base, name)}
    estimator.__class__ = type(base.__name__, (base,), methods)
    return counts


class TestOnePass:
    @pytest.mark.parametrize("y", [Y2, Y2.astype(str), X3[:120, 0] > 0], ids=["int", "str", "bool"])
    def test_one_predict_and_one_predict_proba(self, y):
        """All metrics, the score and the pictures come from one call of each method."""
        estimator = DecisionTreeClassifier(max_depth=3).fit(X2, y)
        counts = counting(estimator)
        found = evaluate(estimator, X2, y)
        assert counts == {"predict": 1, "predict_proba": 1, "score": 0}
        assert len(found.metrics) == 7
        assert len(found.pictures) == 4

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda tree: make_pipeline(StandardScaler(), tree),
            lambda tree: make_pipeline(StandardScaler(), make_pipeline(PCA(3), tree)),
            lambda tree: GridSearchCV(tree, {"max_depth": [2, 3]}, cv=2),
        ],
        ids=["pipeline", "nested", "search"],
    )
    def test_score_of_a_meta_estimator(self, wrap):
        """Where the score is the inner estimator's accuracy, it is not predicted again."""
        asked = []

        class Tree(DecisionTreeClassifier):
            def predict(self, X, check_input=True):
                asked.append(len(X))
                return super().predict(X, check_input)

        estimator = wrap(Tree(max_depth=3)).fit(X2, Y2)
        asked.clear()
        found = evaluate(estimator, X2, Y2).metrics
        assert asked == [len(X2)]
        assert found["training_score"] == estimator.score(X2, Y2)

    def test_a_score_of_the_estimators_own(self):
        """A score that is not scikit-learn's accuracy is called, once."""

        class Own(DecisionTreeClassifier):
            def score(self, X, y, sample_weight=None):
                calls.append(sample_weight)
                return -5

        calls = []
        estimator = Own(max_depth=2).fit(X2, Y2)
        assert evaluate(estimator, X2, Y2).metrics["training_score"] == -5.0
        assert calls == [None]
        estimator.score = lambda X, y: 12.0
        assert evaluate(estimator, X2, Y2).metrics["training_score"] == 12.0

    def test_a_wrapped_score(self, monkeypatch):
        """A library that wraps the mixin's score does not bring the second prediction back."""
        original = ClassifierMixin.score

        @functools.wraps(original)
        def wrapped(self, *args, **kwargs):
            raise AssertionError("the score was computed again")

        monkeypatch.setattr(ClassifierMixin, "score", wrapped)
        estimator = GaussianNB().fit(X2, Y2)
        found = evaluate(estimator, X2, Y2).metrics
        assert found["training_score"] == found["training_accuracy_score"]


@pytest.fixture
def asked():
    """What trees of `Asked` are asked with autologging on, by method and number of rows."""
    Asked.calls.clear()
    skledger.autolog(log_models=False, training_metrics="full")
    return Asked.calls


class Asked(DecisionTreeClassifier):
    """Notes what it is asked."""

    calls = []

    def predict(self, X, check_input=True):
        self.calls.append(("predict", len(X)))
        return super().predict(X, check_input)

    def predict_proba(self, X, check_input=True):
        self.calls.append(("predict_proba", len(X)))
        return super().predict_proba(X, check_input)


class Scores(Asked):
    """Scores in a way of its own."""

    def score(self, X, y, sample_weight=None):
        return np.mean(self.predict(X) == y) - self.predict_proba(X=X)[:, 0].mean()


def search(estimator, **options):
    last = f"{estimator.steps[-1][0]}__" if hasattr(estimator, "steps") else ""
    return GridSearchCV(estimator, {f"{last}max_depth": [2, 3]}, cv=2, **options)


def piped(estimator):
    return make_pipeline(StandardScaler(), estimator)


def training_score():
    found = skledger.search_runs(output_format="list", order_by=["start_time ASC"])
    return next(v for run in found for k, v in run.data.metrics.items() if k == "training_score")


class TestOnePassForTheScoreToo:
    """A score of the estimator's own, or of a search's, is answered from what is known."""

    @pytest.mark.parametrize(
        "make",
        [
            Asked,
            Scores,
            lambda: piped(Scores()),
            lambda: piped(piped(Scores())),
            lambda: search(Asked(), scoring="roc_auc"),
            lambda: search(Asked(), scoring="f1"),
            lambda: search(Asked(), scoring=["f1", "neg_log_loss"], refit="neg_log_loss"),
            lambda: search(Scores()),
            lambda: search(piped(Scores())),
            lambda: search(piped(Asked()), scoring="accuracy"),
        ],
    )
    def test_passes(self, asked, make):
        """Each method sees all rows once, and the score is the one without us."""
        model = make().fit(X2, Y2)
        assert [name for name, rows in asked if rows == len(X2)] == ["predict", "predict_proba"]
        score = training_score()
        skledger.autolog(disable=True)
        assert score == model.score(X2, Y2)

    def test_the_users_own_calls(self, asked):
        """Only our score is answered so: what the user asks, the model answers."""
        model = Scores().fit(X2, Y2)
        asked.clear()
        assert model.predict(X2) is not model.predict(X2)
        model.score(X2, Y2)
        assert [name for name, _ in asked] == ["predict", "predict", "predict", "predict_proba"]

    @pytest.mark.parametrize(
        "score",
        [
            lambda self, X, y: float(self.predict(X[:50]).sum()),
            lambda self, X, y: float(super(Asked, self).predict(X).sum()),
            lambda self, X, y: float(self.predict(X, True).sum()),
            lambda self, X, y: float(self.set_params(max_depth=1).fit(X, y).predict(X).sum()),
            lambda self, X, y: float(np.negative(X, out=X) is X and self.predict(X).sum()),
            lambda self, X, y: float(clone(self).fit(X, 1 - y).predict(X).sum()),
            lambda self, X, y: float(self.predict_log_proba(X).argmax(1).sum()),
        ],
        ids=["rows", "super", "options", "refitted", "written", "clone", "other"],
    )
    def test_what_is_not_the_same_is_asked(self, asked, score):
        """Other rows, methods, options, models and values get answers of their own."""
        cls = type("Own", (Asked,), {"score": score})
        cls(max_depth=2, random_state=0).fit(X2.copy(), Y2)
        found = training_score()
        skledger.autolog(disable=True)
        model = cls(max_depth=2, random_state=0).fit(X2, Y2)
        assert found == model.score(X2.copy(), Y2)

    def test_a_derived_prediction_is_no_base_prediction(self, asked):
        """What a class makes of its base's answer is not given for that of the base."""

        class Inverted(Asked):
            def predict(self, X, check_input=True):
                return 1 - super().predict(X)

            def score(self, X, y, sample_weight=None):
                return super().predict(X).sum()

        Inverted(max_depth=2, random_state=0).fit(X2, Y2)
        found = training_score()
        skledger.autolog(disable=True)
        assert found == Inverted(max_depth=2, random_state=0).fit(X2, Y2).score(X2, Y2)

    def test_answers_are_copies(self, asked):
        """A score that writes to its predictions changes nobody else's."""

        class Careless(Asked):
            def score(self, X, y, sample_weight=None):
                self.predict(X)[:] = 7
                self.predict_proba(X)[:] = 7
                return self.predict(X).mean() + self.predict_proba(X).mean()

        model = Careless(max_depth=2).fit(X2, Y2)
        found = training_score()
        assert len(asked) == 2
        assert found == model.predict(X2).mean() + model.predict_proba(X2).mean()

    def test_other_threads_ask_the_model(self, asked):
        """What is known is handed out in the thread of our score only."""

        class Parallel(Asked):
            def score(self, X, y, sample_weight=None):
                found = []
                worker = threading.Thread(target=lambda: found.append(self.predict(X)))
                worker.start()
                worker.join()
                return found[0].mean()

        Parallel(max_depth=2).fit(X2, Y2)
        assert [name for name, _ in asked] == ["predict", "predict_proba", "predict"]

    def test_a_score_that_fails(self, asked, swallowed):
        """Nothing is handed out afterwards, and one line says that there is no score."""

        class Broken(Asked):
            def score(self, X, y, sample_weight=None):
                raise RuntimeError("no score today")

        Broken(max_depth=2).fit(X2, Y2)
        assert [str(each) for each in swallowed] == ["no score today"]
        swallowed.clear()
        assert not switch.answers

    def test_methods_of_one_object(self, asked):
        """A method that the user put onto one object is not that of its class."""
        model = Scores(max_depth=2)
        model.predict = lambda X: np.ones(len(X), int)
        model.fit(X2, Y2)
        found = training_score()
        skledger.autolog(disable=True)
        assert found == model.score(X2, Y2)


class TestWeights:
    def test_score_gets_weights_only_when_fit_and_score_take_them(self):
        """Both take them: weighted. One does not: the score is of unweighted rows."""
        weight = np.linspace(0.1, 3, len(Y2))
        tree = DecisionTreeClassifier(max_depth=1).fit(X2, Y2, weight)
        found = evaluate(tree, X2, Y2, weight).metrics
        assert found["training_score"] == pytest.approx(tree.score(X2, Y2, weight), rel=1e-12)
        unaware = evaluate(tree, X2, Y2, weight, score_accepts_weight=False).metrics
        assert unaware["training_score"] == tree.score(X2, Y2)
        assert unaware["training_accuracy_score"] == found["training_accuracy_score"]

        class Neighbors(KNeighborsClassifier):
            pass

        neighbors = Neighbors(30).fit(X2, Y2)
        found = evaluate(neighbors, X2, Y2, weight).metrics
        assert found["training_score"] == neighbors.score(X2, Y2)

    def test_weights_of_a_pipeline(self):
        """A pipeline's fit names no weights, so its score is unweighted."""
        weight = np.linspace(0.1, 3, len(Y2))
        pipe = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=1))
        pipe.fit(X2, Y2, decisiontreeclassifier__sample_weight=weight)
        found = evaluate(pipe, X2, Y2, weight).metrics
        assert found["training_score"] == pipe.score(X2, Y2)
        expected = M.accuracy_score(Y2, pipe.predict(X2), sample_weight=weight)
        assert found["training_accuracy_score"] == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("weight", [[1.0, 2.0], np.full(120, np.nan), np.zeros(120)])
    def test_weights_that_cannot_be(self, weight, swallowed):
        """Weights of a wrong length, NaN or all 0 cost the metrics, with a message that helps."""
        found = evaluate(GaussianNB().fit(X2, Y2), X2, Y2, weight, score_accepts_weight=False)
        assert set(found.metrics) == {"training_score"}
        assert "sample_weight" in str(swallowed[0])
        swallowed.clear()

    def test_weights_that_cancel(self):
        """Weights adding up to nothing leave out what scikit-learn cannot divide."""
        y, predicted = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
        weight = np.array([1.0, -1.0, 1.0, -1.0])
        found = evaluate(Canned(predicted), None, y, weight).metrics
        same(found, by_sklearn(y, predicted, None, weight))


class TestFailures:
    def test_predict_fails(self, swallowed, caplog):
        """Without predictions what the probabilities give is still booked, for one log line."""

        class Broken(GaussianNB):
            def predict(self, X):
                raise RuntimeError("no")

        with caplog.at_level(logging.WARNING, "skledger"):
            found = evaluate(Broken().fit(X2, Y2), X2, Y2)
        assert set(found.metrics) == {"training_log_loss", "training_roc_auc"}
        assert set(found.pictures) == {"training_roc_curve", "training_precision_recall_curve"}
        assert [str(error) for error in swallowed] == ["no"]
        assert len(caplog.records) == 1
        swallowed.clear()

    def test_predict_proba_fails(self, swallowed):
        """Without probabilities the metrics of the labels are there."""

        class Broken(GaussianNB):
            def predict_proba(self, X):
                raise RuntimeError("no")

        found = evaluate(Broken().fit(X2, Y2), X2, Y2)
        assert set(found.metrics) == {f"training_{name}" for name in FOUR | {"score"}}
        assert len(swallowed) == 1
        swallowed.clear()

    def test_score_fails(self, swallowed):
        """Without a score the rest is there."""

        class Broken(GaussianNB):
            def score(self, X, y):
                return "very good"

        found = evaluate(Broken().fit(X2, Y2), X2, Y2)
        assert set(found.metrics) == {f"training_{name}" for name in SIX}
        assert len(swallowed) == 1
        swallowed.clear()

    @pytest.mark.parametrize(("label", "y"), [(7, Y2), (1, Y3)], ids=["unknown", "multiclass"])
    def test_no_such_positive_label(self, label, y, swallowed):
        """A positive label that cannot be: accuracy stays, and the message says what to do."""
        X = X2 if y is Y2 else X3
        found = evaluate(GaussianNB().fit(X, y), X, y, pos_label=label).metrics
        assert set(found) == {
            f"training_{name}" for name in ("accuracy_score", "score", "log_loss", "roc_auc")
        }
        assert f"pos_label={label}" in str(swallowed[0])
        swallowed.clear()

    def test_predictions_of_another_length(self, swallowed):
        """Predictions that do not fit the target are said to be the reason."""
        found = evaluate(Canned(np.array([1, 0])), None, np.array([1, 0, 1]))
        assert "training_accuracy_score" not in found.metrics
        assert "3 true labels but 2 predicted" in str(swallowed[0])
        swallowed.clear()

    def test_keyboard_interrupt_passes(self):
        """What the user presses is the user's."""

        class Slow(GaussianNB):
            def predict(self, X):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            evaluate(Slow().fit(X2, Y2), X2, Y2)


class TestUnnoticed:
    @pytest.mark.parametrize("thread", [False, True], ids=["main", "thread"])
    def test_no_warnings(self, thread):
        """Undefined ratios, overflows and missing classes warn nobody, in threads neither."""
        y = np.array([0, 0, 1, 2])
        cases = [
            (Canned(np.zeros(4, int), np.tile([1.0, 0.0, 0.0], (4, 1))), y),
            (Canned(np.zeros(4, int), np.tile([1.0, 0.0], (4, 1))), np.zeros(4, int)),
            (CannedRegressor(np.array([1e300, 0, 0, -1e300])), y),
            (CannedRegressor(np.zeros(4)), np.zeros(4)),
            (Canned(YM * 0), YM),
        ]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work = [functools.partial(evaluate, one, None, target) for one, target in cases]
            for one in work:
                if thread:
                    worker = threading.Thread(target=one)
                    worker.start()
                    worker.join()
                else:
                    one()
        assert [str(one.message) for one in caught] == []

    def test_warnings_of_predict(self, autolog):
        """A warning of the call that we made is not the user's; the filters stay as they are."""

        class Talkative(GaussianNB):
            def predict(self, X):
                warnings.warn("here I am", stacklevel=2)
                return super().predict(X)

        estimator = Talkative().fit(X2, Y2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            before = list(warnings.filters)
            found = evaluate(estimator, X2, Y2).metrics
            assert warnings.filters == before
        assert len(found) == 7

    def test_filters_survive_threads(self):
        """Evaluations in many threads at once leave the warning filters alone."""

        class Slow(GaussianNB):
            def predict(self, X):
                started.wait()
                return super().predict(X)

        started = threading.Barrier(4)
        estimator = Slow().fit(X2, Y2)
        before = list(warnings.filters)
        workers = [threading.Thread(target=evaluate, args=(estimator, X2, Y2)) for _ in range(4)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        assert warnings.filters == before

    @pytest.mark.parametrize("state", [None, np.random.RandomState(3)], ids=["global", "own"])
    def test_random_numbers(self, state):
        """A prediction that draws random numbers does not change those the user draws next."""
        estimator = DummyClassifier(strategy="uniform", random_state=state).fit(X2, Y2)
        source = np.random if state is None else state
        np.random.seed(0)
        before = source.get_state()[1:3]
        evaluate(make_pipeline(StandardScaler(), estimator).fit(X2, Y2), X2, Y2)
        after = source.get_state()[1:3]
        assert after[1] == before[1]
        assert (after[0] == before[0]).all()

    def test_the_data_stay_as_they_are(self):
        """Neither the data nor what the estimator gives is written to."""
        y, weight = Y3.copy(), np.linspace(0, 1, len(Y3))
        p = LogisticRegression().fit(X3, Y3).predict_proba(X3)
        for one in (y, weight, p):
            one.setflags(write=False)
        assert len(evaluate(Canned(y, p), None, y, weight).metrics) == 6
