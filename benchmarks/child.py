"""The process that is measured: one logger, one estimator, told by its parent what to do when.

Not meant to be started by hand; see ``shared.Child``. Commands come by standard input, answers go
to standard output, one JSON text per line. Times are in seconds.
"""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def estimator_of(case: str) -> tuple[Any, Any, Any, Callable[[int], Any]]:
    """Return an estimator, its data, and how to make its n-th variant for a loop."""
    from sklearn import datasets

    if case in ("logistic", "logistic loop"):
        from sklearn.linear_model import LogisticRegression

        load = datasets.load_iris if case == "logistic loop" else datasets.load_breast_cancer
        X, y = load(return_X_y=True)
        if case == "logistic":
            X = (X - X.mean(axis=0)) / X.std(axis=0)  # converges without a warning
        return (
            LogisticRegression(max_iter=200),
            X,
            y,
            lambda n: LogisticRegression(C=0.5 + n / 1000, max_iter=200),
        )
    if case in ("ridge", "ridge loop"):
        from sklearn.linear_model import Ridge

        return Ridge(), *datasets.load_diabetes(return_X_y=True), lambda n: Ridge(alpha=1 + n)
    if case == "forest":
        from sklearn.ensemble import RandomForestClassifier

        X, y = datasets.load_digits(return_X_y=True)
        return (
            RandomForestClassifier(100, random_state=0),
            X,
            y,
            lambda n: RandomForestClassifier(100, random_state=n),
        )
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    X, y = datasets.load_wine(return_X_y=True)
    return (
        make_pipeline(StandardScaler(), SVC()),
        X,
        y,
        lambda n: make_pipeline(StandardScaler(), SVC(C=1 + n / 1000)),
    )


def cpu_seconds() -> float:
    """Return the CPU time of this process, all its threads, and its children that have ended."""
    own = time.process_time()
    if resource is not None:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own += children.ru_utime + children.ru_stime
    return own


class Stopwatch:
    """Times the estimator's own ``fit``, under whatever a logger puts around it.

    So what a logger adds is known for each single call, and the noise of the fit itself, which
    may be larger than what is added, is not in it.
    """

    def __init__(self, cls: type) -> None:
        self.wall = self.cpu = 0.0
        # A subclass may inherit it; the loggers' patches go where it is written.
        owner = next(each for each in cls.__mro__ if "fit" in vars(each))
        original = vars(owner)["fit"]

        @functools.wraps(original)
        def fit(*args: Any, **kwargs: Any) -> Any:
            cpu, start = cpu_seconds(), time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                self.wall, self.cpu = time.perf_counter() - start, cpu_seconds() - cpu

        owner.fit = fit  # type: ignore[attr-defined]


def set_up(logger: str, rows: int) -> tuple[Callable[..., None], Callable[[], None], Any]:
    """Switch a logger on; return what follows a fit, what waits for the disk, and the floor."""

    def nothing(*args: Any) -> None:
        return None

    if logger == "skledger":
        import skledger

        skledger.autolog()
        return nothing, lambda: None if skledger.flush() else sys.exit("flush failed"), None
    if logger == "mlflow":
        import mlflow.sklearn

        mlflow.sklearn.autolog(max_tuning_runs=None)
        # It writes before the fit returns, unless told otherwise; and asking it to flush would
        # start a run, into which the next fit would go.
        return nothing, nothing, None
    if logger == "floor":
        from floor import Floor

        floor = Floor(rows)
        return floor.keep, nothing, floor
    return nothing, nothing, None


class Session:
    """What the process does for its parent."""

    def __init__(self, logger: str, case: str, rows: int) -> None:
        self.logger = logger
        self.estimator, self.X, self.y, self.variant = estimator_of(case)
        for _ in range(2):
            self.estimator.fit(self.X, self.y)
        self.stopwatch = Stopwatch(type(self.estimator))
        start = time.perf_counter()
        self.after_fit, self.flush, self.floor = set_up(logger, rows)
        self.setup = time.perf_counter() - start

    def fit(self, count: int) -> dict[str, Any]:
        """Fit once: what was added before the call returned, and until all was on the disk."""
        watch = self.stopwatch
        cpu, start = cpu_seconds(), time.perf_counter()
        self.estimator.fit(self.X, self.y)
        self.after_fit(self.estimator, self.X, self.y)
        returned = time.perf_counter()
        self.flush()
        ended, cpu = time.perf_counter(), cpu_seconds() - cpu
        answer = {
            "fit": watch.wall,
            "returned": returned - start - watch.wall,
            "on disk": ended - start - watch.wall,
            "cpu": cpu - watch.cpu,
        }
        if self.floor is not None:
            answer |= self.floor.parts | {"model bytes": self.floor.model_bytes}
        return answer

    def fit_only(self, count: int) -> dict[str, Any]:
        """Fit once: what was added before the call returned. What follows goes on by itself."""
        start = time.perf_counter()
        self.estimator.fit(self.X, self.y)
        return {"returned": time.perf_counter() - start - self.stopwatch.wall}

    def loop(self, count: int) -> dict[str, Any]:
        """Fit `count` estimators that differ in a param, without a pause."""
        fits, memory = [], []
        cpu, start = cpu_seconds(), time.perf_counter()
        for n in range(count):
            estimator = self.variant(n)
            estimator.fit(self.X, self.y)
            self.after_fit(estimator, self.X, self.y)
            if n + 1 in (count // 10, count):
                memory.append(peak_bytes())
                fits.append(n + 1)
        return {
            "seconds": time.perf_counter() - start,
            "cpu": cpu_seconds() - cpu,
            "memory": memory,
            "fits": fits,
        }

    def count(self, count: int) -> dict[str, Any]:
        """Count what is stored: runs, all rows of the database, and the pictures drawn."""
        rows = runs = 0
        for file in Path().glob("*.db"):
            with sqlite3.connect(file) as connection:
                names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                for (name,) in names.fetchall():
                    found = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                    rows += found
                    runs += found if name == "runs" else 0
        return {"rows": rows, "runs": runs, "pictures": len(list(Path().rglob("*.png")))}


def peak_bytes() -> int:
    """Return the most memory that the process has held so far; 0 where that is not told."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def serve(kind: type[Session]) -> None:
    """Work off the commands."""
    logger, case, rows = sys.argv[1:]
    # What a logger prints goes to the log, so that answers stay whole.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        session = kind(logger, case, int(rows))
        print(json.dumps({"setup": session.setup}), file=answers, flush=True)
        for line in sys.stdin:
            command, count = line.split()
            answer = getattr(session, command)(int(count))
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(Session)
