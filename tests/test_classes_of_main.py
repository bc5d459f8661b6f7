"""Classes of ``__main__`` are pickled by value: what comes back must not undo our hooks."""

import textwrap

import pytest

HEAD = """
import numpy as np, skledger
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate

class Mine(ClassifierMixin, BaseEstimator):
    def __init__(self, k=1):
        self.k = k
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self
    def predict(self, X):
        return X[:, 1].astype(int)

def count():
    skledger.flush()
    return len(skledger.search_runs(output_format="list"))

if __name__ == "__main__":
    skledger.autolog()
    X, y = np.eye(12), [0, 1] * 6
"""
CALLS = {
    "cross_validate": "cross_validate(Mine(), X, y, cv=2, n_jobs=2, return_estimator=True)",
    "voting": "VotingClassifier([('a', Mine()), ('b', Mine())], n_jobs=2).fit(X, y)",
    "parallel": "Parallel(2)(delayed(clone(Mine()).fit)(X, y) for _ in range(2))",
    "nested": "cross_val_score(GridSearchCV(Mine(), {'k': [1, 2]}, cv=2), X, y, cv=2, n_jobs=2)",
    "load_model": "Mine().fit(X, y); skledger.sklearn.load_model("
    "f'runs:/{skledger.last_active_run().info.run_id}/model')",
}


@pytest.mark.parametrize("call", CALLS)
def test_fits_are_booked_after(run_python, call):
    """Whatever a call has brought from other processes or files, the next fit is one more run."""
    body = f"{CALLS[call]}\nbefore = count()\nMine(k=5).fit(X, y)\nassert count() == before + 1"
    done = run_python(HEAD + textwrap.indent(body, "    "), script=True)
    assert done.stderr == ""
