"""What is added to a ``predict`` and to a metric after a fit, in microseconds.

Processes of each logger take turns, several times; each fits one model and then calls in a loop.
What is written in the background is flushed outside of the timed calls. The last column says how
many values the run holds in the end, so that nobody is fast by booking nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from shared import environment, main, median, progress, table

LOGGERS = ("bare", "skledger", "mlflow")
CALLS = {
    "predict": "`predict`, 500 rows",
    "stranger": "`predict` of a model without a run",
    "identity": "`accuracy_score(y, predicted)`",
    "view": "`mean_squared_error(y, proba[:, 1])`",
    "values": "`accuracy_score(y, predicted.tolist())`",
    "score": "`model.score(X, y)`",
}
TIMED = """
import json, statistics, sys, time, warnings
warnings.simplefilter("ignore")
logger, rounds, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
X, y = load_breast_cancer(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
X_test, y_test = X[:500], y[:500]
stranger = LogisticRegression().fit(X, y)
settle = lambda: None
if logger == "skledger":
    import skledger
    skledger.autolog(log_models=False)
    settle = skledger.flush
elif logger == "mlflow":
    import mlflow.sklearn
    mlflow.sklearn.autolog(log_models=False, silent=True)
from sklearn.metrics import accuracy_score, mean_squared_error
model = LogisticRegression().fit(X, y)
predicted, proba = model.predict(X_test), model.predict_proba(X_test)
values = predicted.tolist()
calls_of = {
    "predict": lambda: model.predict(X_test),
    "stranger": lambda: stranger.predict(X_test),
    "identity": lambda: accuracy_score(y_test, predicted),
    "view": lambda: mean_squared_error(y_test, proba[:, 1]),
    "values": lambda: accuracy_score(y_test, values),
    "score": lambda: model.score(X_test, y_test),
}
found = {}
for name, call in calls_of.items():
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - start) / calls)
        settle()
    found[name] = min(times)
stored = 0
if logger != "bare":
    if logger == "skledger":
        import skledger as tracking
    else:
        import mlflow as tracking
    run = tracking.search_runs(output_format="list")[0]
    stored = sum("X_test" in key for key in run.data.metrics)
print(json.dumps({"found": found, "stored": stored}))
"""


def measure(given: argparse.Namespace) -> str:
    """Measure, and return the part of the report."""
    turns = 1 if given.quick else 5
    loggers = [name for name in LOGGERS if name != "mlflow" or not given.without_mlflow]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in loggers}
    stored = dict.fromkeys(loggers, 0)
    for turn in range(turns):
        for logger in loggers:
            if logger == "mlflow" and turn > 1:
                continue
            progress(f"after the fit: {logger}, turn {turn + 1} of {turns}")
            # MLflow writes each value before it returns, so few calls say enough.
            rounds, calls = (2, 3) if logger == "mlflow" else (10, 20) if given.quick else (20, 50)
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                answer = subprocess.run(
                    [sys.executable, "-c", TIMED, logger, str(rounds), str(calls)],
                    cwd=folder,
                    env=environment(Path(folder)),
                    capture_output=True,
                    check=True,
                    text=True,
                )
            told = json.loads(answer.stdout.splitlines()[-1])
            found[logger].append(told["found"])
            stored[logger] = told["stored"]
    return report(found, stored)


def report(found: dict[str, list[dict[str, float]]], stored: dict[str, int]) -> str:
    """Return the table."""

    def microseconds(logger: str, call: str) -> float:
        return median(each[call] for each in found[logger]) * 1e6

    rows = []
    for call, text in CALLS.items():
        bare = microseconds("bare", call)
        added = [f"{microseconds(name, call) - bare:+,.0f}" for name in found if name != "bare"]
        rows.append((text, f"{bare:,.0f}", *added))
    rows.append(("values in the run", "", *(str(stored[n]) for n in found if n != "bare")))
    head = ("", "bare, µs", *(f"{name} adds, µs" for name in found if name != "bare"))
    return "\n".join(
        (
            "## After the fit\n",
            "A logistic regression on breast cancer, then calls on 500 rows. (Aims: 5 µs per "
            "`predict` beyond the sample of its values, 20 µs per metric by identity.)\n",
            table(head, rows),
        )
    )


if __name__ == "__main__":
    main(measure)
