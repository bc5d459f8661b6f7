"""Searches and cross-validation: every candidate a child run, while the search goes on.

Run it with ``python grid_search.py``; the runs go to ``skledger.db`` in the current folder. Look at
them meanwhile from another terminal: ``skledger show last``.
"""

from scipy.stats import loguniform
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import skledger

skledger.autolog()
skledger.set_experiment("grid-search")

X, y = load_breast_cancer(return_X_y=True)
model = make_pipeline(StandardScaler(), SVC())

# A run for the search, a child run for each of the twelve candidates.
grid = {"svc__C": [0.1, 1.0, 10.0], "svc__gamma": [1e-4, 1e-3, 1e-2, 1e-1]}
search = GridSearchCV(model, grid, scoring=["accuracy", "roc_auc"], refit="roc_auc").fit(X, y)
parent = skledger.last_active_run()

candidates = skledger.search_runs(
    filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
    order_by=["metrics.rank_test_roc_auc ASC"],
)
columns = ["params.svc__C", "params.svc__gamma", "metrics.mean_test_roc_auc"]
print(candidates[columns].head(3).to_string(index=False))
best = skledger.sklearn.load_model(f"runs:/{parent.info.run_id}/best_estimator")
print("the best estimator, loaded again:", best.steps[-1][1])

# How well does the searching itself do? Folds, a search in each, and their candidates are a tree.
inner = RandomizedSearchCV(model, {"svc__C": loguniform(0.1, 100)}, n_iter=5, cv=3, random_state=0)
outer = cross_validate(inner, X, y, cv=3)
print("nested cross-validation:", outer["test_score"].mean().round(3))
print("Look at them with: skledger runs, skledger show last")
