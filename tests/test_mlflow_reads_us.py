"""A real MLflow opens what autologging wrote: runs, artifacts, models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import skledger

READ = """
import json, sys
import mlflow, numpy as np
mlflow.set_tracking_uri("sqlite:///skledger.db")
client = mlflow.MlflowClient()
found = {}
for run in client.search_runs(["0"]):
    run_id = run.info.run_id
    X = np.load("X.npy")
    model = mlflow.sklearn.load_model(f"runs:/{run_id}/model")
    served = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    by_id = mlflow.sklearn.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    found[run_id] = {
        "name": run.info.run_name,
        "status": run.info.status,
        "duration": run.info.end_time - run.info.start_time,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "tags": run.data.tags,
        "artifacts": [item.path for item in client.list_artifacts(run_id)],
        "predicted": model.predict(X).tolist(),
        "served": np.asarray(served.predict(X)).tolist(),
        "by_id": by_id.predict(X).tolist(),
    }
print("FOUND " + json.dumps(found))
"""


def test_mlflow_reads_runs_and_loads_models(autolog, multiclass, run_python):
    """Params, metrics, tags, artifacts and the model are all there for MLflow."""
    X, y = multiclass
    np.save("X.npy", X)
    models = [
        LogisticRegression(max_iter=500).fit(X, y),
        make_pipeline(StandardScaler(), SVC()).fit(X, y),
    ]
    skledger.flush()
    ours = {run.info.run_id: run for run in skledger.search_runs(output_format="list")}
    output = run_python(READ).stdout
    theirs = json.loads(next(x for x in output.splitlines() if x.startswith("FOUND "))[6:])
    assert set(theirs) == set(ours)
    predictions = {type(model).__name__: model.predict(X).tolist() for model in models}
    for run_id, seen in theirs.items():
        run = ours[run_id]
        assert seen["status"] == "FINISHED"
        assert seen["name"] == run.info.run_name
        assert seen["params"] == run.data.params
        assert seen["metrics"] == pytest.approx(run.data.metrics)
        assert seen["tags"] == run.data.tags
        assert "estimator.html" in seen["artifacts"]
        assert "training_confusion_matrix.png" in seen["artifacts"]
        expected = predictions[run.data.tags["estimator_name"]]
        assert seen["predicted"] == seen["served"] == seen["by_id"] == expected
    # MLflow has migrated the database; it goes on working with us.
    SVC(C=7.0).fit(X, y)
    assert skledger.last_active_run().data.params["C"] == "7.0"
    assert len(skledger.search_runs()) == 3
