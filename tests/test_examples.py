"""The examples run by themselves, and book what they say."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import skledger

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def run_example():
    """Run an example in an empty folder; return its output and the runs that it made.

    It says nothing on the standard error but the findings of first checks that are named.
    """

    def run(name, *checks):
        done = subprocess.run(
            [sys.executable, EXAMPLES / name],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        said = done.stderr.splitlines()
        assert [re.findall(r"^skledger: .* \(check '(\w+)'\)$", line) for line in said] == [
            [check] for check in checks
        ]
        assert "skledger" in done.stdout.splitlines()[-1]
        assert sorted(path.name for path in Path.cwd().iterdir()) == [
            "skledger-artifacts",
            "skledger.db",
        ]
        runs = skledger.search_runs(search_all_experiments=True, output_format="list")
        assert {run.info.status for run in runs} == {"FINISHED"}
        return done.stdout, runs

    return run


def _estimators(runs):
    return Counter(run.data.tags["estimator_name"] for run in runs)


def _load(run):
    return skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")


def test_every_example_is_tested_here():
    """A new example needs a test."""
    text = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'run_example("{path.name}"' in text


def test_titanic(run_example):
    """Two pipelines on a table with strings and missing values, whose models load again."""
    import pandas as pd

    _, runs = run_example("titanic.py")
    assert _estimators(runs) == {"Pipeline": 2}
    data = pd.read_csv(EXAMPLES / "data" / "titanic.csv")
    data["Title"] = data["Name"].str.extract(r", (\w+)\.", expand=False)
    for run in runs:
        assert 0.7 < run.data.metrics["training_score"] < 1
        assert 0.7 < (_load(run).predict(data) == data["Survived"]).mean() < 1


def test_wine_quality(run_example):
    """Nine ElasticNets and a forest in an experiment of their own, with metrics on test data."""
    output, runs = run_example("wine_quality.py", "train_better_than_test")
    assert _estimators(runs) == {"ElasticNet": 9, "RandomForestRegressor": 1}
    assert len({(r.data.params.get("alpha"), r.data.params.get("l1_ratio")) for r in runs}) == 10
    assert all({"rmse", "mae", "r2", "training_r2_score"} <= set(r.data.metrics) for r in runs)
    assert skledger.get_experiment_by_name("wine-quality").experiment_id == (
        runs[0].info.experiment_id
    )
    # Only the forest has learned much of its training data by heart, and the example shows it.
    key = "skledger.check.train_better_than_test"
    (found,) = (run for run in runs if key in run.data.tags)
    assert found.data.tags["estimator_name"] == "RandomForestRegressor"
    assert found.data.metrics["training_r2_score"] > 0.8
    assert found.data.metrics["r2"] < 0.5
    assert f"But {found.data.tags[key]}\n" in output


def test_text_tfidf(run_example):
    """Three pipelines on texts; the best one classifies a new text."""
    output, runs = run_example("text_tfidf.py")
    assert _estimators(runs) == {"Pipeline": 3}
    assert "is about astronomy" in output
    assert _load(runs[0]).predict(["the tomatoes and the roses in the soil"]) == ["gardening"]


def test_clustering(run_example):
    """Runs of KMeans with a silhouette each, and runs of DBSCAN, PCA and KMeans."""
    _, runs = run_example("clustering.py")
    assert _estimators(runs) == {"KMeans": 5, "DBSCAN": 1, "PCA": 1}
    assert sum("silhouette" in run.data.metrics for run in runs) == 4


def test_partial_fit(run_example):
    """One run with twelve steps, and the model as it was at the end."""
    from skledger.tracking.session import get_store

    _, (run,) = run_example("partial_fit.py")
    history = get_store().get_metric_history(run.info.run_id, "training_score")
    assert [metric.step for metric in history] == list(range(12))
    assert _load(run).t_ == 1 + 1347  # every row of the training data was seen


def test_own_run(run_example):
    """A run with two fits and a history, and a run within it."""
    _, runs = run_example("own_run.py")
    by_name = {run.info.run_name: run for run in runs}
    assert set(by_name) == {"comparison", "both"}
    mine, child = by_name["comparison"], by_name["both"]
    assert child.data.tags["mlflow.parentRunId"] == mine.info.run_id
    assert mine.data.tags["skledger.fits"] == "2"
    assert mine.data.params["logisticregression__C"] == "0.5"
    assert {"forest_balanced_accuracy", "training_score", "training_score-2"} <= set(
        mine.data.metrics
    )
    assert len(mine.outputs.model_outputs) == 2


def test_grid_search(run_example):
    """A search with a run for each candidate, and a nested cross-validation that is a tree."""
    output, runs = run_example("grid_search.py")
    parents = Counter(run.data.tags.get("mlflow.parentRunId") for run in runs)
    search, outer = (
        next(run for run in runs if run.info.run_name.startswith(name))
        for name in ("GridSearchCV", "RandomizedSearchCV-cross_validate")
    )
    assert parents[None] == 2
    assert parents[search.info.run_id] == 12
    assert parents[outer.info.run_id] == 3
    assert len(runs) == 2 + 12 + 3 + 3 + 3 * 5
    assert "loaded again: SVC(C=10.0, gamma=0.01)" in output


@pytest.mark.parametrize("name", ["titanic", "wine_quality", "topics"])
def test_the_data_is_what_its_generator_makes(name, tmp_path):
    """The tables that are shipped can be made again, to the byte."""
    folder = EXAMPLES / "data"
    spec = importlib.util.spec_from_file_location(name, folder / f"make_{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(tmp_path / "made.csv")
    assert (tmp_path / "made.csv").read_bytes() == (folder / f"{name}.csv").read_bytes()
