"""partial_fit: the calls of one estimator are the steps of one run."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

import skledger
from skledger.ledger.drawing import missing_pictures
from skledger.tracking.session import get_store


def run_of_all():
    runs = skledger.search_runs(output_format="list")
    assert len(runs) == 1
    return runs[0]


def feed(model, X, y, n=4):
    for part in np.array_split(np.random.default_rng(0).permutation(len(y)), n):
        model.partial_fit(X[part], y[part], classes=np.unique(y))


def test_calls_are_steps_and_the_run_stays_open(autolog, multiclass):
    """The first call opens the run, later ones add steps to its metrics."""
    model = SGDClassifier(random_state=0)
    feed(model, *multiclass)
    run = run_of_all()
    assert run.info.status == "RUNNING"
    history = get_store().get_metric_history(run.info.run_id, "training_score")
    assert [metric.step for metric in history] == [0, 1, 2, 3]
    assert run.data.params["random_state"] == "0"
    loaded = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert loaded.t_ >= 1


def test_what_is_loaded_is_the_model_of_the_last_step(autolog, multiclass):
    """Reading brings the stored model up to date."""
    X, y = multiclass
    model = SGDClassifier(random_state=0)
    for _ in range(7):
        model.partial_fit(X, y, classes=[0, 1, 2])
        loaded = skledger.sklearn.load_model(
            f"runs:/{skledger.last_active_run().info.run_id}/model"
        )
        assert np.array_equal(loaded.coef_, model.coef_)
    history = get_store().get_metric_history(run_of_all().info.run_id, "training_score")
    assert [metric.step for metric in history] == list(range(7))


def test_reading_sees_that_a_collected_estimator_is_done(autolog, multiclass):
    """No flush is needed."""
    for _ in range(5):
        model = SGDClassifier(random_state=0)
        feed(model, *multiclass)
        del model
        gc.collect()
        assert skledger.last_active_run().info.status == "FINISHED"


def test_it_ends_when_the_estimator_is_fitted_anew(autolog, multiclass):
    """A fit ends the stream, with the model as it was, and is a run of its own."""
    X, y = multiclass
    model = SGDClassifier(random_state=0)
    feed(model, X, y)
    coefficients = model.coef_.copy()
    model.fit(X, y)
    first, second = skledger.search_runs(output_format="list", order_by=["start_time ASC"])
    assert first.info.status == second.info.status == "FINISHED"
    loaded = skledger.sklearn.load_model(f"runs:/{first.info.run_id}/model")
    assert np.array_equal(loaded.coef_, coefficients)
    assert len(first.outputs.model_outputs) == 1


def test_it_ends_when_the_estimator_is_collected(autolog, multiclass):
    """Nothing keeps the estimator alive, and the model of its last step is stored."""
    model = SGDClassifier(random_state=0)
    feed(model, *multiclass)
    coefficients = model.coef_.copy()
    del model
    gc.collect()
    skledger.flush()
    run = run_of_all()
    skledger.flush()
    assert missing_pictures(run) == []
    assert run.info.status == "FINISHED"
    loaded = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert np.array_equal(loaded.coef_, coefficients)


def test_it_ends_at_exit(tmp_path, run_python):
    """A script that just stops leaves a finished run."""
    run_python(
        """
        import skledger; skledger.autolog()
        from sklearn.linear_model import SGDRegressor
        model = SGDRegressor()
        for step in range(3):
            model.partial_fit([[step], [step + 1]], [1.0, 2.0])
        """
    )
    assert run_of_all().info.status == "FINISHED"


def test_a_failing_call_fails_the_run(autolog, multiclass):
    """The error is booked, and the next call begins a new run."""
    X, y = multiclass
    model = SGDClassifier(random_state=0)
    feed(model, X, y)
    with pytest.raises(ValueError):
        model.partial_fit(X[:, :1], y)
    run = run_of_all()
    assert run.info.status == "FAILED"
    model.partial_fit(X, y)
    assert len(skledger.search_runs()) == 2


def test_a_hundred_steps_keep_one_model(autolog, multiclass):
    """Models written on the way are replaced, not piled up."""
    from pathlib import Path

    X, y = multiclass
    model = SGDClassifier(random_state=0)
    for _ in range(100):
        model.partial_fit(X, y, classes=[0, 1, 2])
    run = run_of_all()
    assert len(run.outputs.model_outputs) == 1
    assert len(list(Path("skledger-artifacts/0/models").iterdir())) == 1


def test_inside_a_run_of_the_users_the_steps_go_there(autolog, multiclass):
    """The user's run takes the steps and ends when the user ends it."""
    model = SGDClassifier(random_state=0)
    with skledger.start_run() as run:
        feed(model, *multiclass)
    history = get_store().get_metric_history(run.info.run_id, "training_score")
    assert [metric.step for metric in history] == [0, 1, 2, 3]
    assert run_of_all().info.status == "FINISHED"
