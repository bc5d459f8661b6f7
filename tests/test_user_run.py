"""Fits inside a run of the user's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC

import skledger


def test_a_fit_goes_to_the_active_run_which_stays_open(autolog, multiclass):
    """Inside start_run() the run is the user's."""
    with skledger.start_run(run_name="mine") as run:
        SVC(C=3.0).fit(*multiclass)
        assert skledger.active_run().info.run_id == run.info.run_id
        assert skledger.get_run(run.info.run_id).info.status == "RUNNING"
        skledger.log_metric("own", 1.5)
    booked = skledger.get_run(run.info.run_id)
    assert booked.info.status == "FINISHED"
    assert booked.info.run_name == "mine"
    assert booked.data.params["C"] == "3.0"
    assert booked.data.metrics["own"] == 1.5
    assert "mlflow.autologging" not in booked.data.tags
    assert len(skledger.search_runs()) == 1


def test_further_fits_keep_everything_under_numbered_names(autolog, multiclass):
    """Taken names get the number of the fit; same params are shared; each model loads."""
    X, y = multiclass
    with skledger.start_run() as run:
        first = SVC(C=1.0).fit(X, y)
        second = SVC(C=2.0).fit(X, y)
        third = LogisticRegression(C=2.0, max_iter=1000).fit(X, y)
    skledger.flush()
    data = skledger.get_run(run.info.run_id).data
    assert (data.params["C"], data.params["C-2"]) == ("1.0", "2.0")
    assert data.params["kernel"] == "rbf"
    assert "kernel-2" not in data.params
    assert data.params["C-3"] == "2.0"
    assert data.params["solver"] == "lbfgs"
    assert data.metrics["training_score"] == first.score(X, y)
    assert data.metrics["training_score-2"] == second.score(X, y)
    assert data.metrics["training_score-3"] == third.score(X, y)
    assert data.tags["estimator_name"] == "SVC"
    assert data.tags["estimator_name-3"] == "LogisticRegression"
    for name, model in (("model", first), ("model-2", second), ("model-3", third)):
        again = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/{name}")
        assert again.get_params() == model.get_params()
    from skledger.stores.artifacts import artifact_store

    files = artifact_store(run.info.artifact_uri).list()
    assert {"estimator.html", "estimator-2.html", "training_confusion_matrix-3.png"} <= set(files)


def test_a_transformer_and_a_model_share_a_run_without_numbers(autolog, multiclass):
    """Names that do not clash stay plain."""
    X, y = multiclass
    with skledger.start_run() as run:
        SVC().fit(PCA(2).fit_transform(X), y)
    data = skledger.get_run(run.info.run_id).data
    assert data.params["n_components"] == "2"
    assert data.params["kernel"] == "rbf"
    assert data.metrics["training_score"] > 0.5


def test_a_param_of_the_users_is_not_overwritten(autolog, multiclass):
    """What the user booked before the fit stays, and the fit's own is beside it."""
    with skledger.start_run() as run:
        skledger.log_param("C", "mine")
        SVC(C=4.0).fit(*multiclass)
    params = skledger.get_run(run.info.run_id).data.params
    assert params["C"] == "mine"
    assert params["C-1"] == "4.0"


def test_twenty_fits_in_a_run_lose_nothing(autolog, regression):
    """A loop inside one run keeps each value."""
    with skledger.start_run() as run:
        for alpha in range(20):
            Ridge(alpha=alpha).fit(*regression)
    booked = skledger.get_run(run.info.run_id)
    found = {v for k, v in booked.data.params.items() if k.partition("-")[0] == "alpha"}
    assert found == {str(alpha) for alpha in range(20)}
    assert len(booked.outputs.model_outputs) == 20


def test_a_resumed_run_counts_on(autolog, multiclass):
    """The number of the next fit comes from the store, not from this process."""
    with skledger.start_run() as run:
        SVC(C=1.0).fit(*multiclass)
    with skledger.start_run(run_id=run.info.run_id):
        SVC(C=2.0).fit(*multiclass)
    assert skledger.get_run(run.info.run_id).data.params["C-2"] == "2.0"


def test_exclusive_keeps_out_of_the_active_run(multiclass):
    """exclusive=True makes runs of its own."""
    skledger.autolog(exclusive=True)
    with skledger.start_run() as run:
        SVC().fit(*multiclass)
    assert skledger.get_run(run.info.run_id).data.params == {}
    assert len(skledger.search_runs()) == 2


def test_a_failed_fit_leaves_the_users_run_active(autolog, multiclass):
    """The error is noted, and the run goes on."""
    X, y = multiclass
    with skledger.start_run() as run:
        with pytest.raises(ValueError, match="C"):
            SVC(C=-1).fit(X, y)
        assert skledger.active_run() is not None
        SVC().fit(X, y)
    booked = skledger.get_run(run.info.run_id)
    assert booked.info.status == "FINISHED"
    assert booked.data.tags["skledger.error.type"] == "InvalidParameterError"
    assert np.isfinite(booked.data.metrics["training_score"])
