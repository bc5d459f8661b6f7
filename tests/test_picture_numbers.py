"""The numbers behind pictures: true to the data, small, and ready to be written as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as M
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import make_regression
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import Lasso, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from skledger.capture.curves import macro_average, pr_line, rank, roc_line, thin
from skledger.capture.metrics import evaluate
from skledger.capture.pictures import short

SEEDS = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Told(ClassifierMixin, BaseEstimator):
    """A classifier with the predictions and probabilities it was given."""

    def __init__(self, predicted, probabilities, classes):
        self.predicted, self.probabilities, self.classes_ = predicted, probabilities, classes

    def fit(self, X, y, sample_weight=None):
        return self

    def predict(self, X):
        return self.predicted

    def predict_proba(self, X):
        return self.probabilities


class ToldValues(RegressorMixin, BaseEstimator):
    def __init__(self, predicted):
        self.predicted = predicted

    def fit(self, X, y):
        return self

    def predict(self, X):
        return self.predicted


def pictures_of(estimator, X, y, weight=None):
    found = evaluate(estimator, X, y, weight).pictures
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    return found


def told(n_rows, n_classes, seed=0, skill=1.0, names=None):
    """Rows of all classes with probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_rows - n_classes)])
    scores = rng.gumbel(size=(n_rows, n_classes)) + skill * np.eye(n_classes)[y]
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    names = np.arange(n_classes) if names is None else np.asarray(names)
    return Told(names[p.argmax(axis=1)], p, names), names[y]


class TestConfusionMatrix:
    @SEEDS
    @given(seed=st.integers(0, 2**32), weighted=st.booleans())
    def test_equals_scikit_learn(self, seed, weighted):
        """Rows are true, columns predicted, over the labels that occur."""
        rng = np.random.default_rng(seed)
        names = np.array(["a", "b", "c", "d", "e"])
        y, predicted = names[rng.integers(0, rng.integers(1, 6), (2, 30))]
        weight = rng.random(30).round(2) + 0.01 if weighted else None
        estimator = Told(predicted, np.ones((30, 5)) / 5, names)
        picture = pictures_of(estimator, None, y, weight)["training_confusion_matrix"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = M.confusion_matrix(y, predicted, sample_weight=weight)
        np.testing.assert_allclose(picture["matrix"], expected, rtol=1e-5)
        assert picture["labels"] == sorted(set(y) | set(predicted))
        assert picture["kind"] == "confusion_matrix"
        assert picture["title"] == "Training confusion matrix"
        if not weighted:
            assert all(type(cell) is int for row in picture["matrix"] for cell in row)

    def test_only_the_most_frequent_classes(self):
        """More than 200 classes: the 200 most frequent, and how many are left out."""
        y = np.concatenate([np.repeat(np.arange(200), 3), np.arange(200, 230)])
        estimator = Told(y, np.ones((len(y), 230)) / 230, np.arange(230))
        picture = pictures_of(estimator, None, y)["training_confusion_matrix"]
        assert picture["left_out"] == 30
        assert picture["labels"] == [str(label) for label in range(200)]
        assert np.array_equal(picture["matrix"], 3 * np.eye(200))

    def test_long_labels(self):
        """Labels as long as texts are cut."""
        names = np.array(["a" * 500, "b" * 500])
        picture = pictures_of(Told(names, np.eye(2), names), None, names)
        assert max(map(len, picture["training_confusion_matrix"]["labels"])) == 60


class TestCurves:
    @SEEDS
    @given(
        seed=st.integers(0, 2**32),
        n_rows=st.sampled_from([5, 40, 400]),
        decimals=st.sampled_from([1, 2, 12]),
        weighted=st.booleans(),
    )
    def test_two_classes(self, seed, n_rows, decimals, weighted):
        """Areas are scikit-learn's; the points kept lie on its curves and close to all of them."""
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, n_rows)
        y[:2] = 0, 1
        p = np.clip((0.3 * y + 0.7 * rng.random(n_rows)).round(decimals), 0, 1)
        weight = rng.random(n_rows) + 0.1 if weighted else None
        estimator = Told(y, np.column_stack((1 - p, p)), np.array([0, 1]))
        found = pictures_of(estimator, None, y, weight)
        roc, pr = found["training_roc_curve"], found["training_precision_recall_curve"]
        (curve,) = roc["curves"]
        assert curve["label"] == "1"
        assert curve["area"] == pytest.approx(M.roc_auc_score(y, p, sample_weight=weight), abs=1e-6)
        fpr, tpr, _ = M.roc_curve(y, p, sample_weight=weight, drop_intermediate=False)
        assert len(curve["x"]) <= 200
        assert (curve["x"][0], curve["y"][0]) == (0, 0)
        assert (curve["x"][-1], curve["y"][-1]) == pytest.approx((1, 1))
        assert np.trapezoid(curve["y"], curve["x"]) == pytest.approx(curve["area"], abs=0.005)
        on_curve = np.abs(np.subtract.outer(fpr, curve["x"])) + np.abs(
            np.subtract.outer(tpr, curve["y"])
        )
        assert on_curve.min(axis=0).max() < 1e-5
        (curve,) = pr["curves"]
        expected = M.average_precision_score(y, p, sample_weight=weight)
        assert curve["area"] == pytest.approx(expected, abs=1e-6)
        steps = np.diff(curve["x"]) @ np.array(curve["y"])[1:]
        assert steps == pytest.approx(expected, abs=0.01)
        assert curve["x"] == sorted(curve["x"])

    @SEEDS
    @given(seed=st.integers(0, 2**32), n_classes=st.integers(3, 6), weighted=st.booleans())
    def test_several_classes(self, seed, n_classes, weighted):
        """Each class against the rest, after their macro average."""
        estimator, y = told(80, n_classes, seed, names=list("abcdef")[:n_classes])
        weight = np.random.default_rng(seed).random(80) + 0.1 if weighted else None
        found = pictures_of(estimator, None, y, weight)
        for name, area in (
            ("training_roc_curve", M.roc_auc_score),
            ("training_precision_recall_curve", M.average_precision_score),
        ):
            curves = found[name]["curves"]
            assert [one["label"] for one in curves] == ["macro average", *"abcdef"[:n_classes]]
            assert "classes" not in found[name]
            expected = [
                area(y == label, estimator.probabilities[:, place], sample_weight=weight)
                for place, label in enumerate(estimator.classes_)
            ]
            assert [one["area"] for one in curves[1:]] == pytest.approx(expected, abs=1e-6)
            assert curves[0]["area"] == pytest.approx(np.mean(expected), abs=1e-6)

    @pytest.mark.parametrize("skill", [0.0, 1.0, 5.0])
    def test_macro_average_has_its_area(self, skill):
        """The averaged curve, though thinned, encloses the mean of the areas."""
        estimator, y = told(3000, 8, skill=skill)
        found = pictures_of(estimator, None, y)
        macro = found["training_roc_curve"]["curves"][0]
        assert np.trapezoid(macro["y"], macro["x"]) == pytest.approx(macro["area"], abs=0.005)
        macro = found["training_precision_recall_curve"]["curves"][0]
        steps = np.diff(macro["x"]) @ np.array(macro["y"])[1:]
        assert steps == pytest.approx(macro["area"], abs=0.02)

    def test_many_classes(self):
        """Of more than ten classes the average and the five worst are kept."""
        estimator, y = told(2000, 30)
        picture = pictures_of(estimator, None, y)["training_roc_curve"]
        areas = [
            M.roc_auc_score(y == place, estimator.probabilities[:, place]) for place in range(30)
        ]
        assert picture["classes"] == 30
        assert [one["label"] for one in picture["curves"][1:]] == [
            str(place) for place in np.argsort(areas)[:5]
        ]
        assert picture["curves"][0]["area"] == pytest.approx(np.mean(areas), abs=1e-6)

    def test_missing_classes(self):
        """A class without rows has no curve; the others have theirs."""
        estimator, y = told(60, 4)
        keep = y != 2
        some = Told(estimator.predicted[keep], estimator.probabilities[keep], np.arange(4))
        picture = pictures_of(some, None, y[keep])["training_roc_curve"]
        assert [one["label"] for one in picture["curves"]] == ["macro average", "0", "1", "3"]

    def test_one_class(self):
        """One class alone has no curve."""
        y = np.zeros(5, int)
        estimator = Told(y, np.tile([0.7, 0.3], (5, 1)), np.array([0, 1]))
        assert set(pictures_of(estimator, None, y)) == {"training_confusion_matrix"}

    def test_samples_of_large_data(self):
        """Above two million probabilities curves come from a sample, metrics from all rows."""
        estimator, y = told(1_200_000, 2, skill=1.0)
        found = evaluate(estimator, None, y)
        picture = found.pictures["training_roc_curve"]
        exact = M.roc_auc_score(y, estimator.probabilities[:, 1])
        assert picture["sampled"] == 600_000
        assert found.metrics["training_roc_auc"] == pytest.approx(exact, rel=1e-12)
        (curve,) = picture["curves"]
        assert curve["area"] == pytest.approx(exact, abs=1e-6)
        assert np.trapezoid(curve["y"], curve["x"]) == pytest.approx(exact, abs=0.005)

    @pytest.mark.parametrize("n_rows", [2, 50, 5000, 200_000])
    def test_thinning_keeps_the_shape(self, n_rows):
        """At most 200 points, none further from the line than can be seen."""
        rng = np.random.default_rng(0)
        y = rng.random(n_rows) < 0.02
        y[:2] = True, False
        ranking = rank(y + rng.gumbel(size=n_rows), y)
        x, height = roc_line(ranking)
        kept = thin(x, height)
        assert len(kept) <= 200
        assert np.abs(np.interp(x, x[kept], height[kept]) - height).max() < 0.015 + 1 / y.sum()
        straight = np.linspace(0, 1, 1025)
        assert thin(straight, straight).tolist() == [0, 1024]
        assert thin(straight[:100], straight[:100], stepped=True).tolist() == list(range(100))

    def test_macro_average_of_equal_curves(self):
        """The average of one curve is that curve."""
        rng = np.random.default_rng(0)
        y = rng.random(40) < 0.5
        ranking = rank(y + rng.gumbel(size=40), y)
        for line, stepped in ((roc_line(ranking), False), (pr_line(ranking), True)):
            x, height = macro_average([line, line, line], stepped=stepped)
            assert set(zip(x, height.round(12))) <= set(zip(line[0], line[1].round(12)))


class TestRegression:
    def test_points_and_histogram(self):
        """Few rows are all kept; the residual is actual minus predicted, all of them binned."""
        y, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
        found = pictures_of(ToldValues(predicted), None, y)
        assert found["training_predicted_vs_actual"] == {
            "kind": "predicted_vs_actual",
            "title": "Training predicted vs. actual",
            "actual": [1, 2, 4],
            "predicted": [1.5, 2, 3],
            "n": 3,
        }
        residuals = found["training_residuals"]
        assert residuals["residual"] == [-0.5, 0, 1]
        assert sum(residuals["histogram"]["counts"]) == 3
        assert residuals["histogram"]["edges"][0] == -0.5
        assert residuals["histogram"]["edges"][-1] == 1

    @pytest.mark.parametrize("n_rows", [999, 1000, 1001, 25_000])
    def test_a_strided_sample(self, n_rows):
        """At most a thousand points, spread over all rows; the histogram counts every row."""
        rng = np.random.default_rng(0)
        y = rng.normal(size=n_rows)
        found = pictures_of(ToldValues(np.zeros(n_rows)), None, y)
        picture, residuals = found["training_predicted_vs_actual"], found["training_residuals"]
        assert 500 < len(picture["actual"]) <= 1000
        assert picture["n"] == n_rows
        counts, edges = np.histogram(y, bins=len(residuals["histogram"]["counts"]))
        assert np.abs(np.subtract(residuals["histogram"]["counts"], counts)).max() <= 1
        assert residuals["histogram"]["edges"] == pytest.approx(edges.tolist(), rel=1e-4, abs=1e-5)

    def test_several_outputs(self):
        """Of several outputs the first is shown, and the title says so."""
        X, y = make_regression(50, 4, n_targets=3, random_state=0)
        found = pictures_of(Ridge().fit(X, y), X, y)
        assert found["training_residuals"]["outputs"] == 3
        assert found["training_residuals"]["title"] == "Training residuals (output 1 of 3)"
        assert found["training_predicted_vs_actual"]["actual"][0] == pytest.approx(y[0, 0], 1e-5)

    @pytest.mark.parametrize(
        "predicted",
        [[np.nan, 1.0, 2.0], [np.inf, 1.0, 2.0], [1.0, 2.0, 3.0], [1e308, -1e308, 0], [1e-320] * 3],
        ids=["nan", "inf", "perfect", "huge", "tiny"],
    )
    def test_odd_values(self, predicted):
        """Values that are no numbers become None; nothing warns, nothing fails."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = pictures_of(ToldValues(np.array(predicted)), None, [1.0, 2.0, 3.0])
        points = found["training_predicted_vs_actual"]["predicted"]
        if not np.isfinite(predicted[0]):
            assert points == [None, 1, 2]
        assert len(found["training_residuals"]["residual"]) == 3


class TestFeatures:
    def test_importances_of_forests(self):
        """A forest's importances are those of its property, which is slow to ask."""
        X, y = make_regression(80, 5, n_informative=2, random_state=0)
        for forest in (
            ExtraTreesRegressor(20, random_state=0).fit(X, y),
            RandomForestClassifier(20, random_state=0).fit(X, y > 0),
            GradientBoostingClassifier(n_estimators=5).fit(X, y > 0),
        ):
            picture = pictures_of(forest, X, y if y is None else forest.predict(X))
            picture = picture["feature_importances"]
            expected = forest.feature_importances_
            order = np.argsort(-expected)
            assert picture["kind"] == "bars"
            assert picture["names"] == [f"x{place}" for place in order]
            assert picture["values"] == pytest.approx(expected[order].tolist(), rel=1e-5)
            assert (picture["n_features"], picture["left_out"]) == (5, 0)

    def test_the_thirty_largest(self):
        """Of many coefficients the 30 of the largest absolute value, largest first."""
        X, y = make_regression(60, 100, n_informative=50, noise=10.0, random_state=0)
        y = y / y.std()
        model = Lasso(0.05).fit(X, y)
        picture = pictures_of(model, X, y)["coefficients"]
        expected = sorted(model.coef_, key=abs, reverse=True)[:30]
        assert picture["values"] == pytest.approx(expected, rel=1e-5)
        assert picture["title"] == "Coefficients"
        assert (picture["n_features"], picture["left_out"]) == (100, 70)

    def test_rows_are_classes(self, multiclass):
        """Several classes give a heat map with a row for each."""
        X, y = multiclass
        names = np.array(["setosa", "versicolor", "virginica"])[y]
        frame = pd.DataFrame(X, columns=["sl", "sw", "pl", "pw"])
        model = LogisticRegression(max_iter=500).fit(frame, names)
        picture = pictures_of(model, frame, names)["coefficients"]
        assert picture["kind"] == "heatmap"
        assert picture["rows"] == ["setosa", "versicolor", "virginica"]
        assert sorted(picture["columns"]) == ["pl", "pw", "sl", "sw"]
        places = [list(frame.columns).index(name) for name in picture["columns"]]
        np.testing.assert_allclose(picture["values"], model.coef_[:, places], rtol=1e-5)
        assert picture["left_out"] == 0

    def test_rows_are_pairs(self, multiclass):
        """A linear SVC separates pairs of classes; its rows are named so."""
        X, y = multiclass
        picture = pictures_of(SVC(kernel="linear").fit(X, y), X, y)["coefficients"]
        assert picture["rows"] == ["0 vs. 1", "0 vs. 2", "1 vs. 2"]

    def test_rows_are_outputs(self):
        """Several targets give a row for each output."""
        X, y = make_regression(50, 4, n_targets=2, random_state=0)
        picture = pictures_of(Ridge().fit(X, y), X, y)["coefficients"]
        assert picture["rows"] == ["output 1", "output 2"]

    def test_names_from_a_pipeline(self, multiclass):
        """Features are named by the steps before the model, and inside a search too."""
        X, y = multiclass
        frame = pd.DataFrame(X, columns=["sl", "sw", "pl", "pw"])
        pipe = make_pipeline(
            PolynomialFeatures(2, include_bias=False),
            StandardScaler(),
            RandomForestClassifier(5, random_state=0),
        )
        search = GridSearchCV(pipe, {"randomforestclassifier__max_depth": [2, 3]}, cv=2)
        search.fit(frame, y)
        picture = pictures_of(search, frame, y)["feature_importances"]
        assert set(picture["names"]) == set(search.best_estimator_[:-1].get_feature_names_out())

    def test_transformers_without_names(self, multiclass):
        """Steps that cannot name features leave them their positions."""
        from sklearn.preprocessing import FunctionTransformer

        X, y = multiclass
        pipe = make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression(max_iter=500))
        picture = pictures_of(pipe.fit(X, y), X, y)["coefficients"]
        assert sorted(picture["columns"]) == ["x0", "x1", "x2", "x3"]

    @pytest.mark.parametrize(
        "steps",
        [
            (TfidfVectorizer(),),
            (CountVectorizer(), TfidfTransformer()),
            (CountVectorizer(), StandardScaler(with_mean=False)),
        ],
        ids=["tfidf", "two-steps", "scaled"],
    )
    def test_words(self, steps):
        """A text model's coefficients carry the words, sparse ones too."""
        texts = ["good film", "bad film", "good plot", "bad plot"] * 5
        y = [1, 0, 1, 0] * 5
        model = SGDClassifier(random_state=0)
        pipe = make_pipeline(*steps, model).fit(texts, y)
        names = pictures_of(pipe, texts, y)["coefficients"]["names"]
        assert set(names[:2]) == {"good", "bad"}
        model.sparsify()
        assert sparse.issparse(model.coef_)
        again = pictures_of(pipe, texts, y)["coefficients"]
        assert again["names"] == names
        y = [0, 1, 2, 0] * 5
        pipe.fit(texts, y)
        dense = pictures_of(pipe, texts, y)["coefficients"]
        model.sparsify()
        assert pictures_of(pipe, texts, y)["coefficients"] == dense
        assert dense["rows"] == ["0", "1", "2"]

    def test_huge_coefficients(self):
        """A text model of 100,000 words and 20 classes costs milliseconds."""
        from skledger.capture.pictures_features import feature_pictures

        rng = np.random.default_rng(0)
        model = LogisticRegression()
        model.classes_, model.coef_ = np.arange(20), rng.normal(size=(20, 100_000))
        vectorizer = TfidfVectorizer()
        vectorizer.vocabulary_ = {f"word{place}": place for place in range(100_000)}
        pipe = make_pipeline(vectorizer, model)
        feature_pictures(pipe)
        best = min(_seconds(lambda: feature_pictures(pipe)) for _ in range(5))
        assert best < 0.1
        picture = feature_pictures(pipe)["coefficients"]
        largest = np.sort(np.abs(model.coef_).max(axis=0))[::-1][:30]
        assert np.abs(picture["values"]).max(axis=0) == pytest.approx(largest, rel=1e-5)
        assert picture["left_out"] == 99_970
        place = int(picture["columns"][0].removeprefix("word"))
        assert abs(model.coef_[:, place]).max() == largest[0]

    def test_coefficients_that_are_no_numbers(self):
        """NaN among the coefficients is None, and counts as small."""
        model = Ridge().fit([[1.0, 2.0], [3.0, 5.0]], [1.0, 2.0])
        model.coef_ = np.array([np.nan, 2.0])
        found = pictures_of(model, [[1.0, 2.0], [3.0, 5.0]], [1.0, 2.0])["coefficients"]
        assert (found["names"], found["values"]) == (["x1", "x0"], [2.0, None])

    def test_a_property_that_raises(self, swallowed):
        """Importances that cannot be given cost one log line, and nothing else."""

        class Odd(GaussianNB):
            @property
            def feature_importances_(self):
                raise RuntimeError("not today")

        found = evaluate(Odd().fit([[0.0], [1.0]], [0, 1]), [[0.0], [1.0]], [0, 1])
        assert len(found.metrics) == 7
        assert [str(error) for error in swallowed] == ["not today"]
        swallowed.clear()


class TestSize:
    @pytest.mark.parametrize("n_classes", [2, 3, 10, 11, 100])
    def test_curves_and_matrices(self, n_classes):
        """No picture takes more than some 60 KB, however noisy."""
        estimator, y = told(20_000, n_classes, skill=0.3)
        for name, picture in pictures_of(estimator, None, y).items():
            assert len(json.dumps(picture)) < 60_000, name

    def test_regression(self):
        """Nor do the points of a regression."""
        rng = np.random.default_rng(0)
        y = rng.normal(size=5000) * 1e-9
        for picture in pictures_of(ToldValues(y * rng.random(5000)), None, y).values():
            assert len(json.dumps(picture)) < 60_000

    def test_heatmaps_of_many_rows(self):
        """Of hundreds of rows of coefficients a hundred are kept."""
        rng = np.random.default_rng(0)
        model = Ridge().fit(rng.normal(size=(30, 40)), rng.normal(size=(30, 300)))
        X = rng.normal(size=(30, 40))
        picture = pictures_of(model, X, model.predict(X))["coefficients"]
        assert (len(picture["rows"]), picture["rows_left_out"]) == (100, 200)
        assert len(json.dumps(picture)) < 60_000


class TestShort:
    @SEEDS
    @given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20))
    def test_six_digits(self, values):
        """Numbers keep six significant digits; what is not finite becomes None."""
        for value, given_back in zip(values, short(np.array(values, dtype=float)), strict=True):
            if not np.isfinite(value):
                assert given_back is None
            elif abs(value) < 1e-289:
                assert abs(given_back) < 1e-289
            else:
                assert given_back == pytest.approx(value, rel=5.1e-6)

    @SEEDS
    @given(st.floats(-1e12, 1e12).filter(lambda value: abs(value) > 1e-12))
    def test_short_text(self, value):
        """They are written without a tail of digits."""
        (given_back,) = short(np.array([value]))
        assert len(Decimal(repr(given_back)).normalize().as_tuple().digits) <= 6


def test_matplotlib_stays_out():
    """Computing the numbers imports no matplotlib."""
    code = (
        "import sys, skledger.capture.metrics, skledger.capture.pictures_features\n"
        "assert not {'matplotlib', 'pandas', 'sqlalchemy'} & set(sys.modules)\n"
        "assert 'sklearn' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_costs_little(binary):
    """Metrics and pictures of a small fit take a few milliseconds at the very most."""
    X, y = binary
    estimator = GaussianNB().fit(X, y)
    told_it = Told(estimator.predict(X), estimator.predict_proba(X), estimator.classes_)
    evaluate(told_it, X, y)
    assert min(_seconds(lambda: evaluate(told_it, X, y)) for _ in range(20)) < 0.005


def _seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
