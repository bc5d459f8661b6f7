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

import skledger
from skledger.capture._sheet import Sheet
from skledger.capture.cv_table import cv_results_csv
from skledger.capture.plots import DRAWERS, draw
from skledger.capture.results import read_results
from skledger.capture.search_pictures import search_pictures
from skledger.capture.search_values import told_apart
from skledger.capture.validation_pictures import (
    folds_picture,
    learning_curve_picture,
    permutation_picture,
    validation_curve_picture,
)
from skledger.stores.artifacts import artifact_store

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


@pytest.fixture
def drawn(monkeypatch):
    """Draw a picture, and give its texts and its thick orange and dark lines."""

    def draw_it(picture):
        texts, lines = [], []
        with monkeypatch.context() as patch:
            patch.setattr(Sheet, "text", spied(Sheet.text, texts))
            patch.setattr(Sheet, "line", spied(Sheet.line, lines))
            draw(picture)
        written = [given[2] for given, _ in texts]
        marks = [
            given
            for given, more in lines
            if more.get("thick") == 3
            or (more.get("thick") == 2 and len(np.atleast_1d(given[0])) > 40)
        ]
        return [str(text) for text in written], marks

    def spied(method, calls):
        def spy(sheet, *given, **more):
            calls.append((given, more))
            return method(sheet, *given, **more)

        return spy

    return draw_it


def of_search(search):
    """Give the pictures of a fitted search, as autologging does."""
    results = read_results(search)
    rows = results.last_rows()
    resources = results.column("n_resources")
    return pictures_of(
        [results.params[row] for row in rows],
        [results.column(f"mean_test_{results.scorer}")[row] for row in rows],
        chosen=rows.index(results.best_index) if results.best_index in rows else None,
        resources=None if resources is None else [resources[row] for row in rows],
    )


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
        [
            ([1, 99], False),
            ([1, 100], True),
            ([0.001, 0.01, 0.1], True),
            ([3e-5, 3e-3], True),
            ([0, 1000], False),
            ([-1, 1000], False),
        ],
    )
    def test_logarithmic_axis(self, values, log):
        """Positive numbers that span two decades or more are shown on a logarithmic axis."""
        found = pictures_of([{"C": value} for value in values], range(len(values)))
        assert found["cv_score_by_C"]["log"] is log
        assert found["parallel_coordinates"]["columns"][0]["log"] is log

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
        assert picture["params"] == 3

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


class TestChosen:
    def marked(self, found):
        """Return the values of the params C and gamma of the candidate each picture marks."""
        lines, heat = found["parallel_coordinates"], found["cv_score_heatmap"]
        columns = {column["name"]: column["values"] for column in lines["columns"]}
        row, column = heat["chosen"]
        at = {heat["row_name"]: heat["rows"][row], heat["column_name"]: heat["columns"][column]}
        by = [found[f"cv_score_by_{name}"] for name in ("C", "gamma")]
        return [
            tuple(columns[name][lines["chosen"]] for name in ("C", "gamma")),
            tuple(float(at[name]) for name in ("C", "gamma")),
            tuple(picture["x"][picture["chosen"]] for picture in by),
        ]

    def test_of_tied_candidates_it_is_the_one_of_the_search(self):
        """All pictures mark the same candidate, the one that `best_index_` says."""
        params = grid(C=[1, 2], gamma=[3, 4])
        for chosen in (0, 1, 3):
            found = pictures_of(params, [5, 5, 1, 5], chosen=chosen)
            wanted = tuple(params[chosen][name] for name in ("C", "gamma"))
            assert self.marked(found) == [wanted] * 3
            assert {picture["mark"] for picture in found.values()} == {"best"}

    def test_without_a_choice_it_is_the_first_of_the_best(self):
        """A search that was not refitted has chosen none."""
        params = grid(C=[1, 2], gamma=[3, 4])
        assert self.marked(pictures_of(params, [1, 5, 5, 5])) == [(1, 4)] * 3

    def test_a_callable_refit(self, drawn):
        """What it chose is marked, and is called the chosen one where others score higher."""

        def middle(results):
            return int(np.argsort(results["mean_test_score"])[3])

        search = GridSearchCV(SVC(), {"C": [0.1, 1, 9], "gamma": [0.1, 1]}, cv=3, refit=middle)
        found = of_search(search.fit(X, y))
        best = search.best_params_
        assert self.marked(found) == [(best["C"], best["gamma"])] * 3
        for name, picture in found.items():
            texts, marks = drawn(picture)
            assert any("the chosen one" in text for text in texts), name
            assert not any(
                "orange: the best," in text or "ring: the best" in text for text in texts
            )
            assert len(marks) == 1

    def test_one_line_is_marked_in_orange(self, drawn):
        """Of tied candidates the line that is drawn on top is that of the chosen one."""
        params = [{"C": 1}, {"C": 3}, {"C": 2}]
        picture = pictures_of(params, [5, 5, 1], chosen=0)["parallel_coordinates"]
        _, ((_, heights, *_),) = drawn(picture)
        assert heights[0] == min(heights)  # C=1, the least
        before = {key: value for key, value in picture.items() if key not in ("chosen", "mark")}
        assert len(drawn(before)[1]) == 1

    def test_one_that_failed_is_not_marked(self, drawn):
        """A search that chose a candidate without a score has none to be marked."""
        found = pictures_of(grid(C=[1, 2], gamma=[3, 4]), [np.nan, 1, 2, 3], chosen=0)
        for picture in found.values():
            assert "chosen" not in picture
            assert not drawn(picture)[1]

    def test_one_that_is_not_in_the_heat_map(self, drawn):
        """A candidate of another grid of the list has no cell, and the picture says so."""
        params = [*grid(C=[1, 2], gamma=[3, 4]), {"kernel": "linear"}]
        picture = pictures_of(params, [1, 2, 3, 4, 9], chosen=4)["cv_score_heatmap"]
        texts, marks = drawn(picture)
        assert "the best is not among these" in texts
        assert not marks

    def test_it_is_shown_among_thousands(self):
        """A candidate in the middle of many is among those that are shown."""
        scores = np.random.default_rng(0).permutation(5000)
        params = [{"C": int(one)} for one in scores]
        for chosen in (0, 1, int(np.argmin(scores)), int(np.argmax(scores))):
            for picture in pictures_of(params, scores, chosen=chosen).values():
                score = picture.get("y") or picture["columns"][-1]["values"]
                assert score[picture["chosen"]] == scores[chosen]
                assert len(score) == 1000


class TestHalving:
    params = grid(C=[1, 2, 3], gamma=[4, 5])
    scores = (0.9, 0.8, 0.95, 0.7, 0.6, 0.75)
    amounts = (20, 20, 20, 60, 180, 180)

    def found(self):
        return pictures_of(self.params, self.scores, chosen=5, resources=self.amounts)

    def test_the_best_is_one_of_the_last_rung(self):
        """A higher score on less data is not better."""
        for picture in self.found().values():
            assert (picture["mark"], picture["resources"]) == ("best", [20, 60, 180])
        best = self.found()["cv_score_by_gamma"]["best"]
        assert (best["x"], best["y"]) == ([4, 5], [0.6, 0.75])
        assert self.found()["cv_score_by_C"]["best"]["x"] == [3]

    def test_a_cell_has_its_furthest_candidate(self):
        """Of candidates in one cell the one that was given most is shown, with how much that is."""
        params = [*self.params, {"C": 1, "gamma": 4}]
        picture = pictures_of(params, [*self.scores, 0.5], resources=[*self.amounts, 60])
        heat = picture["cv_score_heatmap"]
        assert heat["column_name"] == "C"
        assert heat["rows"] == ["5", "4"]
        assert heat["values"] == [[0.8, 0.7, 0.75], [0.5, 0.95, 0.6]]
        assert heat["rungs"] == [[0, 1, 2], [1, 0, 2]]

    def test_pictures_say_so(self, drawn):
        """The captions name the amounts, and cells have theirs."""
        for picture in self.found().values():
            texts, _ = drawn(picture)
            assert any("n_resources" in text for text in texts)
        assert "at 180" in drawn(self.found()["cv_score_heatmap"])[0]

    def test_the_same_amount_for_all(self):
        """Then there is nothing to tell apart."""
        found = pictures_of(self.params, self.scores, resources=[20] * 6)
        assert found == pictures_of(self.params, self.scores)

    def test_of_a_real_search(self):
        """What the search found best is marked."""
        search = HalvingGridSearchCV(
            DecisionTreeClassifier(random_state=0),
            {"max_depth": [2, 3, 4], "min_samples_leaf": [1, 5]},
            cv=2,
            min_resources=20,
            factor=2,
            random_state=0,
        ).fit(X, y)
        found = of_search(search)
        lines = found["parallel_coordinates"]
        assert lines["resources"] == search.n_resources_
        columns = {column["name"]: column["values"] for column in lines["columns"]}
        best = {name: columns[name][lines["chosen"]] for name in search.best_params_}
        assert best == search.best_params_


class TestLabels:
    def test_estimators_with_several_params(self, drawn):
        """Params with their defaults go without saying, and no two labels are equal."""
        tried = [StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False)]
        found = pictures_of(grid(scale=tried, C=[1, 2, 3]), range(9))
        assert found["cv_score_by_scale"]["labels"] == [
            "StandardScaler", "StandardScaler(with_mean=False)", "StandardScaler(with_std=False)",
        ]  # fmt: skip
        for picture in found.values():
            if picture["kind"] == "score_heatmap" or picture.get("param") == "scale":
                texts, _ = drawn(picture)
                assert len({text for text in texts if text.startswith("Standard")}) == 3

    def test_estimators_inside_of_estimators(self):
        """What differs may lie deeper."""
        tried = [Pipeline([("clf", SVC(C=value))]) for value in (1, 2)]
        labels = pictures_of([{"clf": one} for one in tried], [1, 2])["cv_score_by_clf"]["labels"]
        assert labels == ["Pipeline(clf__C=1)", "Pipeline(clf__C=2)"]

    @pytest.mark.parametrize(
        "tried",
        [
            ["a" * 80 + "1", "a" * 80 + "2"],
            ["a" * 70 + "1" + "b" * 70, "a" * 70 + "2" + "b" * 70],
            [(50,) * 30, (50,) * 31],
            [np.arange(100), np.arange(101)],
            [lambda: 1, lambda: 2],
            [1, "1"],
            [1000001, 1000002, None],
        ],
    )
    def test_values_that_look_alike(self, tried, drawn):
        """Texts that would become equal are told apart, in the numbers and in the picture."""
        found = pictures_of(grid(a=tried, b=[1, 2]), range(2 * len(tried)))
        labels = found["cv_score_by_a"]["labels"]
        assert len(set(labels)) == len(tried)
        assert max(map(len, labels)) <= 60
        for name in ("cv_score_by_a", "cv_score_heatmap", "parallel_coordinates"):
            texts, _ = drawn(found[name])
            assert len(texts) == len(set(texts)) or name != "cv_score_by_a"

    @given(st.lists(st.text("ab", min_size=1, max_size=40), max_size=12))
    def test_told_apart(self, texts):
        """However texts are cut, those that differ stay different, and the others equal."""

        def cut(text):
            return text if len(text) <= 12 else text[:6] + "…" + text[-5:]

        shown = told_apart(texts, cut)
        assert all(len(one) <= 12 for one in shown)
        pairs = set(zip(texts, shown, strict=True))
        assert len(pairs) == len(set(texts)) == len(set(shown))

    def test_narrow_ranges(self):
        """Ranges of numbers that lie close together have labels of their own."""
        rng = np.random.default_rng(0)
        params = [{"a": 0.9 + rng.random() / 1e4, "b": rng.random()} for _ in range(200)]
        picture = pictures_of(params, rng.random(200))["cv_score_heatmap"]
        for side in ("rows", "columns"):
            assert len(set(picture[side])) == len(picture[side])

    def test_titles_have_the_last_part_of_names(self, drawn):
        """They do as long as that is clear; a title that is too long leaves the params out."""
        found = pictures_of(grid(clf__C=[1, 2], scale__clip=[1, 2, 3]), range(6))
        assert found["cv_score_heatmap"]["title"] == "Best mean test score by clip and C"
        assert found["cv_score_by_clf__C"]["title"] == "Mean test score by C"
        assert found["cv_score_by_clf__C"]["param"] == "clf__C"
        found = pictures_of(grid(one__C=[1, 2], other__C=[1, 2, 3]), range(6))
        assert found["cv_score_heatmap"]["title"] == "Best mean test score by other__C and one__C"
        long = {"a" * 50: [1, 2], "b" * 50: [1, 2, 3]}
        texts, _ = drawn(pictures_of(grid(**long), range(6))["cv_score_heatmap"])
        assert "Best mean test score" in texts


class TestAxes:
    def test_whole_numbers_have_whole_ticks(self, drawn):
        """Between the values 2 and 3 of a depth there is none."""
        found = pictures_of(grid(depth=[2, 3, 4], leaf=[1, 2]), range(6))
        for name in ("cv_score_by_depth", "cv_score_by_leaf"):
            picture = {**found[name], "y": [7.5] * 6, "best": None}
            below = [text for text in drawn(picture)[0] if text.replace(".", "").isdigit()]
            assert {"1", "2"} <= set(below) or {"2", "3", "4"} <= set(below)
            assert not any("." in text and float(text) < 7 for text in below)
        texts, _ = drawn(found["parallel_coordinates"])
        assert {"1", "2", "3", "4"} <= set(texts)
        assert not {"2.5", "3.5", "1.2", "1.5"} & set(texts)

    @pytest.mark.parametrize(
        "scores", [[0.95, 0.9667, 1, 0.9667], [0.93, 0.97], [1, 1, 1], [0.5], [0.91, 0.98, None]]
    )
    def test_scores_of_folds_have_two_ticks_and_room(self, scores, monkeypatch):
        """Each panel has two ticks at least, and no point lies on its frame."""
        from skledger.capture._panel import ticks
        from skledger.capture.plots_validation import Marked

        panels = []
        monkeypatch.setattr(
            Marked, "dots", lambda panel, x, y, *_: panels.append((panel, y[np.isfinite(y)]))
        )
        given = {"a": np.array(scores, float), "b": np.arange(4.0), "c": [0.1]}
        draw(folds_picture(given)["cv_scores"])
        assert len(panels) == 3
        for panel, y_ in panels:
            _, bottom, _, high = panel.box
            assert len(ticks(panel.y, max(2, int(high // 45)))) >= 2
            at = panel.up(y_)
            assert at.min() >= bottom + 6
            assert at.max() <= bottom + high - 6


class TestFailedCells:
    def test_they_are_told_apart_from_empty_ones(self, drawn):
        """A cell in which all failed is not one without a candidate."""
        params = [*grid(C=[1, 2], gamma=[3, 4]), {"C": 5, "gamma": 6}]
        picture = pictures_of(params, [np.nan, 2, 3, 4, 5])["cv_score_heatmap"]
        assert [picture["columns"][picture["failed"][0][1]]] == ["1"]
        assert [picture["rows"][picture["failed"][0][0]]] == ["3"]
        texts, _ = drawn(picture)
        assert any("light grey: no candidate · dark grey: failed" in text for text in texts)
        full = pictures_of(params[:4], [np.nan, 2, 3, 4])["cv_score_heatmap"]
        texts, _ = drawn(full)
        assert any("grey: failed" in text and "no candidate" not in text for text in texts)

    def test_a_value_with_which_all_failed_has_a_place(self):
        """Its row says that it was tried."""
        params = grid(C=[-1, 1, 2], gamma=[3, 4])
        picture = pictures_of(params, [np.nan, np.nan, 1, 2, 3, 4])["cv_score_heatmap"]
        assert picture["columns"] == ["-1", "1", "2"]
        assert sorted(column for _, column in picture["failed"]) == [0, 0]


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


def test_as_autologging_books_them(autolog):
    """The candidate that is marked is the one that the search chose, on all pictures."""

    def last(results):
        return len(results["params"]) - 1

    tried = {"max_depth": [1, 2, 3], "min_samples_leaf": [1, 5]}
    GridSearchCV(DecisionTreeClassifier(random_state=0), tried, cv=3, refit=last).fit(X, y)
    (top,) = [
        run
        for run in skledger.search_runs(output_format="list")
        if run.data.params.get("best_max_depth")
    ]
    with artifact_store(top.info.artifact_uri).open("training_plots.json") as stream:
        numbers = json.loads(stream.read())
    lines = numbers["parallel_coordinates"]
    columns = {column["name"]: column["values"] for column in lines["columns"]}
    assert [columns[name][lines["chosen"]] for name in tried] == [3, 5]
    heat = numbers["cv_score_heatmap"]
    row, column = heat["chosen"]
    assert {heat["rows"][row], heat["columns"][column]} == {"3", "5"}
