"""What training metrics cost where predicting is dear: neighbours, kernels, large forests.

::

    python benchmarks/training_metrics.py [--quick] [--without-mlflow]

Each fit has a process of its own, which has fitted something small before, so that imports and the
first run of a database are charged to nobody.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from shared import HERE, environment, main, median, progress, table

CASES = {
    "neighbours": "KNeighborsClassifier, 20,000 x 20",
    "kernel": "SVC, 8,000 x 20",
    "forest": "RandomForestRegressor(100), 100,000 x 10",
}


def measure(given: argparse.Namespace) -> str:
    """Measure each case with each logger; return the part of the report."""
    loggers = ["bare", "skledger"] + ([] if given.without_mlflow else ["mlflow"])
    rounds = 1 if given.quick else 3
    rows = []
    for case, title in CASES.items():
        found = {
            logger: [_in_process(logger, case, given.quick) for _ in range(_rounds(case, rounds))]
            for logger in loggers
        }
        for logger in loggers:
            seconds = median(each["seconds"] for each in found[logger])
            used = found[logger][0].get("rows", "")
            rows.append([f"{title}, {logger}", f"{seconds:,.3f}", used])
    return (
        "## Training metrics\n\nSeconds until `fit` returns, and of how many rows the training "
        "metrics are when it is not all.\n\n"
        + table(["fit", "s", "rows measured"], rows)
        + "\nThe limit is 1 s, or half of the duration of the fit when that is more.\n"
    )


def _rounds(case: str, rounds: int) -> int:
    return 1 if case == "forest" else rounds  # minutes each


def _in_process(logger: str, case: str, quick: bool) -> dict[str, Any]:
    progress(f"training metrics: {case}, {logger}")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        done = subprocess.run(
            [sys.executable, str(HERE / Path(__file__).name), "child", logger, case, str(quick)],
            cwd=folder,
            env=environment(Path(folder)),
            capture_output=True,
            text=True,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _data(case: str, quick: bool) -> tuple[Any, Any, Any]:
    """Return an estimator and its training data."""
    from sklearn.datasets import make_classification, make_regression
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    if case == "forest":
        size = 10_000 if quick else 100_000
        X, y = make_regression(size, 10, noise=10.0, random_state=0)
        return RandomForestRegressor(100, random_state=0), X, y
    size = {"neighbours": 20_000, "kernel": 8_000}[case]
    X, y = make_classification(size, 20, n_informative=8, flip_y=0.1, random_state=0)
    return (KNeighborsClassifier() if case == "neighbours" else SVC()), X, y


def _child(logger: str, case: str, quick: bool) -> None:
    estimator, X, y = _data(case, quick)
    warm = type(estimator)()
    if logger == "skledger":
        import skledger

        skledger.autolog()
    elif logger == "mlflow":
        import mlflow.sklearn

        mlflow.sklearn.autolog(silent=True)
    warm.fit(X[:60], y[:60])
    start = time.perf_counter()
    estimator.fit(X, y)
    answer: dict[str, Any] = {"seconds": time.perf_counter() - start}
    if logger == "skledger":
        tags = skledger.last_active_run().data.tags
        answer["rows"] = tags.get("skledger.training_rows", "all")
    print(json.dumps(answer))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        _child(sys.argv[2], sys.argv[3], sys.argv[4] == "True")
    else:
        main(measure)
