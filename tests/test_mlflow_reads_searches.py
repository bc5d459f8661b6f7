"""A real MLflow reads a search: its candidates as child runs, its table, both of its models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

import skledger
from skledger.tracking.session import get_store

READ = """
import json, sys
import mlflow, numpy as np
mlflow.set_tracking_uri("sqlite:///skledger.db")
X, parent_id = np.load("X.npy"), sys.argv[1]
client = mlflow.MlflowClient()

def folds(run_id):
    return [(each.step, each.value) for each in client.get_metric_history(run_id, "test_score")]

def load(name):
    return mlflow.sklearn.load_model(f"runs:/{parent_id}/{name}")

children = mlflow.search_runs(
    filter_string=f"tags.mlflow.parentRunId = '{parent_id}'", output_format="list",
    order_by=["metrics.rank_test_score ASC"],
)
print("FOUND " + json.dumps({
    "parent": client.get_run(parent_id).to_dictionary()["data"],
    "files": [item.path for item in client.list_artifacts(parent_id)],
    "children": [each.to_dictionary() for each in children],
    "folds": {each.info.run_id: folds(each.info.run_id) for each in children},
    "models": {name: type(load(name)).__name__ for name in ("model", "best_estimator")},
    "predicted": [load(name).predict(X).tolist() for name in ("model", "best_estimator")],
}))
"""


def test_mlflow_finds_the_candidates_and_loads_the_models(autolog, multiclass, run_python):
    """By the tag of their parent, in the order of their ranks, with the score of each fold."""
    X, y = multiclass
    np.save("X.npy", X)
    grid = {"max_depth": [1, 2], "min_samples_leaf": [1, 40]}
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), grid, cv=3).fit(X, y)
    skledger.flush()
    ours = {run.info.run_id: run for run in skledger.search_runs(output_format="list")}
    (top,) = [run for run in ours.values() if "mlflow.parentRunId" not in run.data.tags]
    output = run_python(READ, top.info.run_id).stdout
    found = json.loads(next(x for x in output.splitlines() if x.startswith("FOUND "))[6:])
    assert found["parent"]["params"] == top.data.params
    assert found["parent"]["tags"] == top.data.tags
    assert found["parent"]["metrics"] == pytest.approx(top.data.metrics)
    assert {"cv_results.csv", "training_plots.json"} <= set(found["files"])
    assert {each["info"]["run_id"] for each in found["children"]} == ours.keys() - {top.info.run_id}
    ranks = [each["data"]["metrics"]["rank_test_score"] for each in found["children"]]
    assert ranks == sorted(search.cv_results_["rank_test_score"])
    for each in found["children"]:
        run_id = each["info"]["run_id"]
        child = ours[run_id]
        assert each["info"]["status"] == "FINISHED"
        assert each["info"]["run_name"] == child.info.run_name
        assert each["info"]["start_time"] == child.info.start_time
        assert each["data"]["params"] == child.data.params
        assert each["data"]["tags"] == child.data.tags
        assert each["data"]["metrics"] == pytest.approx(child.data.metrics)
        history = get_store().get_metric_history(run_id, "test_score")
        assert sorted(found["folds"][run_id]) == [[m.step, m.value] for m in history]
    assert found["predicted"] == [search.predict(X).tolist()] * 2
    assert found["models"] == {"model": "GridSearchCV", "best_estimator": "DecisionTreeClassifier"}
