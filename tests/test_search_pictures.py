"""The numbers behind the pictures of searches and cross-validations, and the candidates' table."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import loguniform, randint
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skledger.capture.cv_table import cv_results_csv
from skledger.capture.plots import DRAWERS, draw
from skledger.capture.search_pictures import search_pictures
from skledger.capture.validation_pictures import (
    folds_picture,
    learning_curve_picture,
    permutation_picture,
    validation_curve_picture,
)

X, y = make_classification(120, 4, random_state=0)


@pytest.fixture(autouse=True)
def _no_warning_of_ours():
    """Numbers of any size are looked at without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pictures_of(params, scores, errors=None, **more):
    found = search_pictures(params, scores, errors, **more)
    assert_storable(found)
    return found


def assert_storable(found):
    """Pictures go through JSON unchanged and can be drawn."""
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for name, picture in found.items():
        assert picture["kind"] in DRAWERS, name
        assert len(json.dumps(picture)) < 100_000, name


def grid(**values):
    """Every combination of the values."""
    from sklearn.model_selection import ParameterGrid

    return list(ParameterGrid(values))


class TestTable:
    SEARCHES = {
        "grid": GridSearchCV(SVC(), {"C": [0.1, 1], "kernel": ["rbf", "linear"]}, cv=3),
        "list of grids": GridSearchCV(
            SVC(), [{"C": [1, 2]}, {"gamma": [0.5, "scale"], "shrinking": [True]}], cv=3
        ),
        "randomized": RandomizedSearchCV(
            DecisionTreeClassifier(random_state=0),
            {"max_depth": [None, 3], "min_samples_leaf": randint(1, 9)},
            n_iter=6,
            cv=3,
            random_state=0,
        ),
        "halving": HalvingGridSearchCV(
            DecisionTreeClassifier(random_state=0), {"max_depth": [2, 3, 4, 5]}, cv=3
        ),
        "many scores": GridSearchCV(
            SVC(),
            {"C": [0.1, 1]},
            cv=3,
            scoring=["accuracy", "roc_auc"],
            refit="accuracy",
            return_train_score=True,
        ),
        "failing": GridSearchCV(SVC(), {"C": [-1, 1]}, cv=3),
        "estimators": GridSearchCV(
            Pipeline([("scale", StandardScaler()), ("clf", SVC())]),
            {"scale": [MinMaxScaler(), "passthrough"], "clf": [SVC(C=2), LogisticRegression()]},
            cv=3,
        ),
    }

    @pytest.mark.parametrize("name", SEARCHES)
    def test_is_what_pandas_writes(self, name):
        """The file is that of a DataFrame of `cv_results_`, byte by byte."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitFailedWarning)
            warnings.simplefilter("ignore", UserWarning)
            results = self.SEARCHES[name].fit(X, y).cv_results_
            expected = pd.DataFrame.from_dict(results)
        content = cv_results_csv(results)
        again = pd.read_csv(io.BytesIO(content))
        pd.testing.assert_frame_equal(
            again, pd.read_csv(io.StringIO(expected.to_csv(index=False))), check_exact=True
        )
        assert content.decode() == expected.to_csv(index=False, lineterminator="\n")

    def test_odd_columns_cost_only_themselves(self):
        """What is no column, has another length or no text is left out."""

        class Mute:
            def __repr__(self):
                raise RuntimeError("no text")

        results = {
            "params": [{"C": 1}, {"C": 2}],
            "short": [1],
            "scalar": 3,
            "text": "ab",
            "mapping": {"a": 1, "b": 2},
            "matrix": np.ones((2, 2)),
            "mute": [Mute(), Mute()],
            "nothing": None,
            "fine": np.array([0.1, np.nan], dtype=np.float32),
            "odd, letters": ["\ud800", 'a "b"\n'],
        }
        table = pd.read_csv(io.BytesIO(cv_results_csv(results)))
        assert list(table) == ["params", "fine", "odd, letters"]
        assert table["fine"].tolist()[0] == 0.1
        assert table["fine"].isna().tolist() == [False, True]

    def test_empty(self):
        """Without results it is a table without columns."""
        assert cv_results_csv({}) == b"\n"
        assert cv_results_csv({"params": [], "a": []}) == b"params,a\n"

    def test_the_text_of_an_estimator_is_made_once(self):
        """A search over estimators does not write each of them for every candidate."""

        class Counted(LogisticRegression):
            made = 0

            def __repr__(self, N_CHAR_MAX=700):
                Counted.made += 1
                return "Counted()"

        one = Counted()
        column = np.ma.MaskedArray([one] * 50, dtype=object)
        results = {"param_clf": column, "params": [{"clf": one, "C": 1}] * 50}
        content = cv_results_csv(results).decode()
        assert Counted.made == 1
        assert content.splitlines()[1] == "Counted(),\"{'clf': Counted(), 'C': 1}\""


class TestScoreByParam:
    def test_the_best_at_each_value(self):
        """Each value has its candidates and the best of them, with its deviation."""
        params = grid(C=[1, 10], gamma=[1, 2, 3])
        scores = np.array([0.1, 0.3, 0.2, 0.6, 0.4, 0.5])
        picture = pictures_of(params, scores, scores / 10, metric="f1")["cv_score_by_C"]
        assert (picture["kind"], picture["title"]) == ("score_by_value", "Mean test f1 by C")
        assert sorted(zip(picture["x"], picture["y"], strict=True)) == [
            (1, 0.1), (1, 0.2), (1, 0.3), (10, 0.4), (10, 0.5), (10, 0.6),
        ]  # fmt: skip
        assert picture["best"] == {"x": [1, 10], "y": [0.3, 0.6], "std": [0.03, 0.06]}
        assert (picture["n"], picture["failed"], picture["log"]) == (6, 0, False)

    @pytest.mark.parametrize(
        ("values", "log"),
        [([1, 100], False), ([1, 101], True), ([0, 1000], False), ([-1, 1000], False)],
    )
    def test_logarithmic_axis(self, values, log):
        """Positive numbers that span more than two decades are shown on a logarithmic axis."""
        found = pictures_of([{"C": value} for value in values], [1, 2])
        assert found["cv_score_by_C"]["log"] is log

    def test_random_numbers_near_zero(self):
        """Numbers drawn evenly stay on an even axis, however small the smallest is."""
        drawn = np.random.default_rng(0).random(500)
        even = pictures_of([{"C": value} for value in drawn], drawn)["cv_score_by_C"]
        steep = pictures_of([{"C": 10 ** (9 * value)} for value in drawn], drawn)["cv_score_by_C"]
        assert (even["log"], steep["log"]) == (False, True)

    @pytest.mark.parametrize(
        ("values", "labels"),
        [
            (["rbf", "linear"], ["rbf", "linear"]),
            ([None, 8, 2.5], ["2.5", "8", "None"]),
            ([True, False], ["True", "False"]),
            ([(100,), (50, 50)], ["(100,)", "(50, 50)"]),
            ([SVC(), LogisticRegression()], ["SVC", "LogisticRegression"]),
            ([SVC(), SVC(C=7)], ["SVC(C=1.0)", "SVC(C=7)"]),
            ([np.nan, 0], ["0", "nan"]),
            ([10**400, 1], ["1", "1" + "0" * 58 + "…"]),
            ([np.mean, "mean"], ["mean"]),
        ],
    )
    def test_categories(self, values, labels):
        """What is no number is a category with a short text, numbers beside it come first."""
        found = pictures_of(
            [{"a": value, "b": i} for i, value in enumerate(values)], range(len(values))
        )
        if len(labels) == 1:
            assert "cv_score_by_a" not in found
            return
        given = found["cv_score_by_a"]["labels"]
        assert [label[:18] for label in given] == [label[:18] for label in labels]
        assert all(len(label) <= 60 for label in given)

    def test_params_by_their_effect(self):
        """The param that explains the scores best comes first, and at most eight are shown."""
        rng = np.random.default_rng(0)
        params = [
            {f"p{i}": int(v) for i, v in enumerate(row)} for row in rng.integers(0, 4, (300, 12))
        ]
        scores = np.array([one["p7"] + 0.1 * one["p3"] for one in params]) + rng.normal(
            0, 0.01, 300
        )
        found = pictures_of(params, scores)
        by = [name for name in found if name.startswith("cv_score_by_")]
        assert by[:2] == ["cv_score_by_p7", "cv_score_by_p3"]
        assert len(by) == 8
        assert found["parallel_coordinates"]["params_left_out"] == 4

    def test_a_param_of_random_numbers_has_no_effect(self):
        """A param with another value for each candidate does not explain scores for that."""
        rng = np.random.default_rng(1)
        params = [{"noise": rng.random(), "C": i % 2} for i in range(50)]
        scores = [one["C"] + 0.5 * rng.random() for one in params]
        assert next(iter(pictures_of(params, scores))) == "cv_score_by_C"

    def test_failed_candidates(self):
        """They are counted and not shown."""
        found = pictures_of(grid(C=[1, 2, 3]), [np.nan, 0.5, np.inf])
        picture = found["cv_score_by_C"]
        assert (picture["y"], picture["n"], picture["failed"]) == ([0.5], 1, 2)
        assert found["parallel_coordinates"]["columns"][-1]["values"].count(None) == 2

    def test_nothing_to_show(self):
        """Without scores, without candidates, with one value alone there are no pictures."""
        assert search_pictures([], []) == {}
        assert search_pictures(grid(C=[1, 2]), [np.nan, np.nan]) == {}
        assert search_pictures([{"C": 1}] * 3, [1, 2, 3]) == {}
        assert search_pictures([{}, {}], [1, 2]) == {}

    def test_names_are_fit_for_files(self):
        """Odd letters go, and names that a file system takes for one stay apart."""
        params = [{"a/b:c": i, "C": i, "c": -i, "x" * 300: i} for i in range(3)]
        found = pictures_of(params, [1, 2, 3])
        assert {"cv_score_by_a_b_c", "cv_score_by_C", "cv_score_by_c-2"} <= set(found)
        assert max(map(len, found)) < 130
        assert len({name.lower() for name in found}) == len(found)

    def test_values_nobody_can_look_at(self):
        """A value without a text, or without attributes, costs at most its own param."""

        class Wild:
            def __getattr__(self, name):
                raise RuntimeError("not today")

            def __repr__(self):
                raise RuntimeError("nor tomorrow")

        found = pictures_of([{"a": Wild(), "C": i} for i in range(3)], [1, 2, 3])
        assert "cv_score_by_C" in found


class TestHeatmap:
    def test_best_score_of_each_cell(self):
        """A cell has the best mean score of its candidates; numbers rise upwards."""
        params = [*grid(C=[1, 2], gamma=[5, 6, 7]), {"C": 1, "gamma": 5}]
        picture = pictures_of(params, [1, 2, 3, 4, 5, np.nan, 9])["cv_score_heatmap"]
        assert (picture["column_name"], picture["columns"]) == ("gamma", ["5", "6", "7"])
        assert (picture["row_name"], picture["rows"]) == ("C", ["2", "1"])
        assert picture["values"] == [[4, 5, None], [9, 2, 3]]
        assert picture["title"] == "Best mean test score by gamma and C"

    def test_two_of_many(self):
        """Of more than two params it shows those with the largest effect, and says so."""
        params = grid(a=[1, 2, 3], b=[1, 2, 3], c=[1, 2, 3])
        scores = [10 * one["c"] + one["a"] for one in params]
        picture = pictures_of(params, scores)["cv_score_heatmap"]
        assert {picture["row_name"], picture["column_name"]} == {"a", "c"}
        assert picture["title"].endswith("(2 of 3 params)")

    def test_params_that_never_meet(self):
        """Params of different grids of a list have no cells in common."""
        params = [*grid(kernel=["poly"], degree=[1, 2, 3]), *grid(kernel=["rbf"], gamma=[1, 2, 3])]
        found = pictures_of(params, range(6))
        assert "cv_score_heatmap" not in found
        assert {"cv_score_by_degree", "cv_score_by_gamma"} <= set(found)

    def test_many_numbers_are_put_into_ranges(self):
        """Numbers drawn at random are gathered so that cells have candidates."""
        rng = np.random.default_rng(0)
        params = [{"C": 10 ** rng.uniform(-5, 5), "t": rng.random()} for _ in range(400)]
        picture = pictures_of(params, rng.random(400))["cv_score_heatmap"]
        values = np.array(picture["values"], dtype=float)
        assert max(values.shape) <= 40
        assert np.isfinite(values).mean() > 0.5
        assert " to " in picture["rows"][0]

    def test_many_categories(self):
        """Of many categories the best forty are shown."""
        params = grid(a=[f"a{i}" for i in range(60)], b=["x", "y"])
        scores = [int(one["a"][1:]) for one in params]
        picture = pictures_of(params, scores)["cv_score_heatmap"]
        assert picture["columns"] == [f"a{i}" for i in range(20, 60)]
        assert picture["left_out"] == 40


class TestParallelCoordinates:
    def test_columns(self):
        """Each param is a column of numbers or of labels, the score the last, best at the end."""
        params = [{"C": 1, "kernel": "rbf"}, {"C": 1000, "kernel": "poly"}, {"C": 10}]
        picture = pictures_of(params, [3, 1, 2])["parallel_coordinates"]
        columns = {column["name"]: column for column in picture["columns"]}
        assert columns["C"]["values"] == [1000, 10, 1]
        assert columns["C"]["log"] is True
        assert columns["kernel"] == {
            "name": "kernel", "values": [1, None, 0], "labels": ["rbf", "poly"],
        }  # fmt: skip
        assert picture["columns"][-1] == {"name": "score", "values": [1, 2, 3]}

    def test_a_thousand_at_most(self):
        """The best are all there, the others evenly, and it says how many are not."""
        scores = np.random.default_rng(0).permutation(5000)
        picture = pictures_of([{"C": int(one)} for one in scores], scores)["parallel_coordinates"]
        shown = picture["columns"][-1]["values"]
        assert (len(shown), picture["left_out"], picture["n"]) == (1000, 4000, 5000)
        assert set(range(4500, 5000)) <= set(shown)
        assert min(shown) == 0


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.tuples(st.integers()),
    st.sampled_from([SVC(), SVC(C=2), StandardScaler(), np.mean, np.arange(3), SVC]),
)


@settings(max_examples=150, deadline=None, database=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), values), max_size=12), st.data())
def test_any_search_can_be_shown(params, data):
    """No values and no scores make it fail or warn, and what it gives can be drawn."""
    n = len(params)
    scores = data.draw(st.lists(st.floats(), min_size=n, max_size=n))
    errors = data.draw(st.lists(st.floats(), min_size=n, max_size=n))
    for picture in pictures_of(params, scores, errors).values():
        draw(picture)


class TestValidation:
    def test_learning_curve(self):
        """Means and deviations by the number of rows, rows ascending."""
        found = learning_curve_picture([20, 10], [[1, 1], [1, 0]], [[0, 1], [np.nan, 1]], "f1")
        assert_storable(found)
        picture = found["learning_curve"]
        assert picture["x"] == [10, 20]
        assert picture["train"] == {"mean": [0.5, 1], "std": [0.5, 0]}
        assert picture["test"] == {"mean": [1, 0.5], "std": [0, 0.5]}
        assert (picture["folds"], picture["metric"]) == (2, "f1")

    def test_validation_curve_over_numbers(self):
        """Numbers stand on an axis, ascending, logarithmic where they span decades."""
        scores = np.array([[3.0], [1.0], [2.0]])
        found = validation_curve_picture("C", [1000, 0.1, 1], scores, scores)
        assert_storable(found)
        picture = found["validation_curve"]
        assert (picture["x"], picture["log"], picture["param"]) == ([0.1, 1, 1000], True, "C")
        assert picture["test"]["mean"] == [1, 2, 3]

    @pytest.mark.parametrize(
        ("values", "labels"),
        [
            (["b", "a"], ["b", "a"]),
            ([None, 1, 2.5], ["None", "1", "2.5"]),
            ([SVC(), LogisticRegression()], ["SVC", "LogisticRegression"]),
            ([None, *range(30)], ["None", *map(str, range(30))]),
        ],
    )
    def test_validation_curve_over_other_values(self, values, labels):
        """Other values keep their order."""
        scores = np.arange(2.0 * len(values)).reshape(-1, 2)
        found = validation_curve_picture("a", values, scores, scores)
        assert_storable(found)
        assert found["validation_curve"]["labels"] == labels
        assert found["validation_curve"]["test"]["mean"] == [
            i + 0.5 for i in range(0, 2 * len(values), 2)
        ]

    def test_many_values_are_thinned(self):
        """At most 200 values are shown, with the first and the last."""
        scores = np.ones((5000, 3))
        picture = validation_curve_picture("a", range(5000), scores, scores)["validation_curve"]
        assert (len(picture["x"]), picture["x"][0], picture["x"][-1]) == (200, 0, 4999)
        assert picture["left_out"] == 4800

    def test_permutations(self):
        """All permutations are counted, and the score stands beside them."""
        scores = np.random.default_rng(0).normal(0.5, 0.1, 1000)
        found = permutation_picture(0.9, scores, 0.001, "accuracy")
        assert_storable(found)
        picture = found["permutation_test"]
        assert sum(picture["histogram"]["counts"]) == picture["n"] == 1000
        assert len(picture["histogram"]["edges"]) == len(picture["histogram"]["counts"]) + 1
        assert (picture["score"], picture["pvalue"]) == (0.9, 0.001)

    @pytest.mark.parametrize(
        "scores",
        [
            [],
            [0.5],
            [np.nan] * 3,
            [0.5] * 9,
            [1e308, -1e308],
            [0.5, np.nextafter(0.5, 1)],
            [5e-324, 0],
        ],
    )
    def test_odd_permutations(self, scores):
        """Scores that are alike, huge, or no numbers are shown all the same."""
        found = permutation_picture(np.nan, scores, 1.0)
        assert_storable(found)
        counts = found["permutation_test"]["histogram"]["counts"]
        assert sum(counts) == np.isfinite(scores).sum()
        draw(found["permutation_test"])

    def test_folds(self):
        """Each metric has the scores of its folds, with their mean and deviation."""
        found = folds_picture({"accuracy": np.array([0.5, 1.0]), "f1": [np.nan, 0.5]})
        assert_storable(found)
        first, second = found["cv_scores"]["metrics"]
        assert (first["scores"], first["mean"], first["std"], first["n"]) == (
            [0.5, 1],
            0.75,
            0.25,
            2,
        )
        assert (second["scores"], second["mean"]) == ([None, 0.5], 0.5)
        assert folds_picture({}) == {}

    def test_many_folds_and_metrics(self):
        """Leaving out one row each time gives many folds: five hundred are shown."""
        found = folds_picture({f"m{i}": np.arange(20_000.0) for i in range(30)})
        assert_storable(
            {"one": {**found["cv_scores"], "metrics": found["cv_scores"]["metrics"][:3]}}
        )
        assert found["cv_scores"]["left_out"] == 18
        first = found["cv_scores"]["metrics"][0]
        assert (len(first["scores"]), first["n"], first["mean"]) == (500, 20_000, 9999.5)
        assert first["folds"][-1] == 19_999

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_few_ticks(self, n):
        """None, one or two ticks, of one fold or all failed, are shown."""
        for scores in (np.ones((n, 1)), np.full((n, 3), np.nan), np.ones(n), np.ones((n, 0))):
            found = learning_curve_picture(range(n), scores, scores)
            found |= validation_curve_picture("a", ["x", None][:n], scores, scores)
            assert_storable(found)
            for picture in found.values():
                draw(picture)


class TestCost:
    def best_of(self, work, rounds=7):
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return min(times)

    def test_of_a_usual_search(self):
        """The pictures of 48 candidates take a few milliseconds at most."""
        params = grid(C=[1, 2, 3, 4], gamma=[1, 2, 3, 4], kernel=["a", "b", None])
        scores = np.random.default_rng(0).random(48)
        found = search_pictures(params, scores, scores)
        assert len(found) == 5
        assert self.best_of(lambda: search_pictures(params, scores, scores)) < 0.001 * len(found)

    def test_of_a_huge_search(self):
        """Those of ten thousand candidates with ten params take some tenth of a second."""
        rng = np.random.default_rng(0)
        kinds = [None, "a", "b", 3]
        params = [
            {f"n{i}": rng.random() for i in range(5)}
            | {f"c{i}": kinds[rng.integers(4)] for i in range(4)}
            | {"layers": (int(rng.integers(100)), 5)}
            for _ in range(10_000)
        ]
        scores = rng.random(10_000)
        search_pictures(params, scores, scores)
        assert self.best_of(lambda: search_pictures(params, scores, scores), 3) < 0.3

    def test_matplotlib_and_pandas_stay_out(self):
        """Computing the numbers and the table imports neither, nor scikit-learn nor SciPy."""
        code = (
            "import sys, skledger.capture.search_pictures, skledger.capture.cv_table\n"
            "import skledger.capture.validation_pictures\n"
            "heavy = {'matplotlib', 'pandas', 'sklearn', 'scipy', 'sqlalchemy'}\n"
            "assert not heavy & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


def test_of_a_real_search():
    """A randomized search over distributions and estimators is shown and drawn."""
    search = RandomizedSearchCV(
        Pipeline([("scale", StandardScaler()), ("clf", SVC())]),
        {
            "clf__C": loguniform(1e-3, 1e3),
            "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
        },
        n_iter=12,
        cv=2,
        random_state=0,
    ).fit(X, y)
    results = search.cv_results_
    found = pictures_of(results["params"], results["mean_test_score"], results["std_test_score"])
    assert set(found) == {
        "cv_score_by_clf__C", "cv_score_by_scale", "cv_score_heatmap", "parallel_coordinates",
    }  # fmt: skip
    assert max(found["cv_score_by_scale"]["best"]["y"]) == pytest.approx(
        search.best_score_, rel=1e-5
    )
    for picture in found.values():
        draw(picture)
