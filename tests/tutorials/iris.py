# ruff: noqa
# fmt: off
"""A tutorial of 2019: the input as an artifact, a search, the best model as a file.

Its code as it stands, but for the imports, and for what no library of today takes: scikit-learn
renamed the loss ``log`` and removed ``iid``, a `Pipeline` has ``steps``, and a param that is booked
does not change, so the best ones have names of their own.
"""
import logging
import sys

import numpy as np
import pandas as pd
from joblib import dump
from sklearn.decomposition import PCA
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

import skledger as mlflow
from skledger.tracking import MlflowClient

input_path, output_path = sys.argv[1:]

client = MlflowClient()
experiment = client.get_experiment_by_name("iris")
with mlflow.start_run(experiment_id=experiment.experiment_id):
    # Import dataset
    logging.info(f"reading {input_path}")
    mlflow.log_artifact(input_path)
    iris = pd.read_csv(input_path)
    X = iris.drop("Species", axis=1)
    y = iris.Species
    # Instantiate PCA
    pca = PCA()
    # Instantiate LogReg
    logistic = SGDClassifier(loss="log_loss", penalty="l2", max_iter=100, tol=1e-3, random_state=42)
    mlflow.log_params(logistic.get_params())
    param_grid = {
        "pca__n_components": [2, 3],
        "logistic__alpha": np.logspace(-4, 4, 5)
    }
    mlflow.log_params(param_grid)
    # Define training pipeline
    pipe = Pipeline(steps=[('pca', pca), ('logistic', logistic)])
    # Training
    logging.info("beginning training")
    search = GridSearchCV(pipe, param_grid, cv=3, return_train_score=False)
    search.fit(X, y)
    print(f"best paramer (CV score={search.best_score_})")
    print(search.best_params_)
    mlflow.log_params({f"best {k}": v for k, v in search.best_params_.items()})
    mlflow.log_metric("best score", search.best_score_)
    # Save best model
    logging.info("saving best model")
    dump(search.best_estimator_, output_path)
    mlflow.log_artifact(output_path)
