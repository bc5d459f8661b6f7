"""The floor: what anybody must do by hand to keep a fit, and nothing else.

The model is serialised and written to a file, the training metrics are computed with the public
functions of scikit-learn, and as many rows as skledger stores go into a SQLite database in one
transaction. No hooks, no signature, no data set, no pictures, no requirements. It predicts once,
and takes the score of a classifier from its accuracy.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

__all__ = ["Floor"]


class Floor:
    """Keeps fits in the current folder.

    Parameters
    ----------
    rows : int
        How many rows one fit takes.

    Attributes
    ----------
    parts : dict of str to float
        How long each part of the last fit took, in seconds.
    model_bytes : int
        Size of the last model.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.parts: dict[str, float] = {}
        self.model_bytes = 0
        self._connection: sqlite3.Connection | None = None

    def keep(self, estimator: Any, X: Any, y: Any) -> None:
        """Keep a fitted estimator with its metrics and params."""
        run = uuid.uuid4().hex
        start = time.perf_counter()
        self._write_model(run, estimator)
        model = time.perf_counter()
        metrics = _metrics(estimator, X, y)
        measured = time.perf_counter()
        self._write_rows(run, estimator, metrics)
        end = time.perf_counter()
        self.parts = {"model": model - start, "metrics": measured - model, "rows": end - measured}

    def _write_model(self, run: str, estimator: Any) -> None:
        import cloudpickle

        folder = Path("models") / run
        folder.mkdir(parents=True)
        content = cloudpickle.dumps(estimator)
        (folder / "model.pkl").write_bytes(content)
        self.model_bytes = len(content)

    def _write_rows(self, run: str, estimator: Any, metrics: dict[str, float]) -> None:
        connection = self._connection or self._connect()
        rows: list[tuple[str, str, str, Any]] = [
            (run, "param", key, str(value)) for key, value in estimator.get_params().items()
        ]
        rows += [(run, "metric", key, value) for key, value in metrics.items()]
        rows += [(run, "other", str(n), "a tag") for n in range(self.rows - 1 - len(rows))]
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED')", (run, time.time()))
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)

    def _connect(self) -> sqlite3.Connection:
        connection = self._connection = sqlite3.connect("floor.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("CREATE TABLE runs (run TEXT PRIMARY KEY, start REAL, status TEXT)")
        connection.execute(
            "CREATE TABLE records (run TEXT REFERENCES runs, kind TEXT, key TEXT, value, "
            "PRIMARY KEY (run, kind, key))"
        )
        return connection


def _metrics(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    from sklearn.base import is_classifier

    predicted = estimator.predict(X)
    if is_classifier(estimator):
        return _of_classifier(estimator, X, y, predicted)
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
    from sklearn.metrics import root_mean_squared_error as root

    r2 = r2_score(y, predicted)
    return {
        "score": r2,
        "r2_score": r2,
        "mean_squared_error": mean_squared_error(y, predicted),
        "root_mean_squared_error": root(y, predicted),
        "mean_absolute_error": mean_absolute_error(y, predicted),
    }


def _of_classifier(estimator: Any, X: Any, y: Any, predicted: Any) -> dict[str, float]:
    from sklearn.metrics import (
        accuracy_score,
        f1_score,
        log_loss,
        precision_score,
        recall_score,
        roc_auc_score,
    )

    accuracy = accuracy_score(y, predicted)
    metrics = {
        "score": accuracy,
        "accuracy_score": accuracy,
        "precision_score": precision_score(y, predicted, average="weighted"),
        "recall_score": recall_score(y, predicted, average="weighted"),
        "f1_score": f1_score(y, predicted, average="weighted"),
    }
    if hasattr(estimator, "predict_proba"):
        probabilities = estimator.predict_proba(X)
        metrics["log_loss"] = log_loss(y, probabilities)
        of_ranks = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
        metrics["roc_auc"] = roc_auc_score(y, of_ranks, multi_class="ovo", average="weighted")
    return metrics
