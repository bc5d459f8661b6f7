"""Our store on a tracking server, over our own server: what holds of MLflow's holds of it."""

from __future__ import annotations

import pytest
import test_rest_store as theirs
from _api_server import ApiServer
from test_rest_store import *  # noqa: F403

from skledger.tracking.entities import Metric, RunChange, as_params

# MLflow's server refuses to write to a deleted run, and keeps the order of tags that are set again.
del test_a_deleted_run_takes_nothing_until_it_is_restored  # noqa: F821
del test_writing_again_adds_nothing  # noqa: F821


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory):
    """Stand in for the real one that those tests ask."""
    folder = tmp_path_factory.mktemp("server")
    with ApiServer(f"sqlite:///{folder}/runs.db", folder) as server:
        yield server


def test_our_server_keeps_our_identifiers(store, experiment):
    """What a script knows its run and its model by is what they are called there."""
    change = theirs.whole_change(experiment)
    store.write(change)
    assert store.get_run(change.run_id).info.run_id == change.run_id
    model_id = change.models[0].model_id
    assert store.get_logged_model(model_id).model_id == model_id


def test_a_deleted_run_goes_on_being_written(store, experiment):
    """What a run that somebody deleted still sends is kept, and there when it is restored."""
    run_id = theirs.create(store, experiment, params=as_params({"C": 1}))
    store.write(RunChange(run_id, lifecycle_stage="deleted"))
    store.write(RunChange(run_id, metrics=(Metric("m", 1.0, 1),), status="FINISHED"))
    assert store.search_runs([experiment]) == []
    store.write(RunChange(run_id, lifecycle_stage="active"))
    found = store.search_runs([experiment])[0]
    assert (found.data.metrics, found.info.status) == ({"m": 1.0}, "FINISHED")


def test_sending_again_adds_nothing(store, mlflow_server, experiment):
    """With `retry` a write that was whole changes nothing."""
    change = theirs.whole_change(experiment)
    store.write(change)
    before = store.get_run(change.run_id)
    store.write(change, retry=True)
    after = store.get_run(change.run_id)
    assert after == before
    assert len(store.get_metric_history(change.run_id, "acc")) == 1
    assert len(after.outputs.model_outputs) == 1
