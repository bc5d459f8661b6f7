"""What ``import`` and ``autolog()`` cost before anything is fitted.

Fresh processes take turns; each times its own imports, so the start of Python is not in it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from shared import environment, main, median, ms_spread, progress, table

PROGRAMS = {
    "scikit-learn alone": "",
    "skledger": "import skledger; skledger.autolog()",
    "mlflow": "import mlflow.sklearn; mlflow.sklearn.autolog()",
}
TIMED = """
import time
start = time.perf_counter()
{program}
import sklearn.linear_model
print(time.perf_counter() - start)
"""


def measure(given: argparse.Namespace) -> str:
    """Measure, and return the part of the report."""
    turns, mlflow_turns = (4, 1) if given.quick else (21, 5)
    if given.without_mlflow:
        mlflow_turns = 0
    progress(f"imports: {turns} times")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for name in PROGRAMS:  # compiles what has no bytecode yet
            if name != "mlflow" or mlflow_turns:
                seconds(name, Path(folder))
        found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
        for turn in range(turns):
            for name in PROGRAMS:
                if name != "mlflow" or turn < mlflow_turns:
                    found[name].append(seconds(name, Path(folder)))
    return report(found)


def seconds(name: str, folder: Path) -> float:
    """Return how long the imports take in a new process."""
    answer = subprocess.run(
        [sys.executable, "-c", TIMED.format(program=PROGRAMS[name])],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        check=True,
        text=True,
    )
    return float(answer.stdout.split()[-1])


def report(found: dict[str, list[float]]) -> str:
    """Return the table."""
    alone = median(found["scikit-learn alone"])
    rows = [
        (name, ms_spread(samples), f"{(median(samples) - alone) * 1000:+,.0f}" if samples else "-")
        for name, samples in found.items()
    ]
    return "\n".join(
        (
            "## Import\n",
            "Importing the logger, switching it on, then `import sklearn.linear_model`, in fresh "
            f"processes that take turns ({len(found['skledger'])} each, MLflow "
            f"{len(found['mlflow'])}). (Aim: 60 ms more than scikit-learn alone.)\n",
            table(("", "ms", "more than scikit-learn alone, ms"), rows),
        )
    )


if __name__ == "__main__":
    main(measure)
