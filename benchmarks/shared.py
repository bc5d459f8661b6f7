"""What the benchmarks share: the processes that are measured, statistics and tables."""

from __future__ import annotations

import argparse
import atexit
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: In the order in which they take turns.
LOGGERS = ("bare", "floor", "skledger", "mlflow")

CASES = {
    "logistic": "LogisticRegression, breast cancer",
    "forest": "RandomForestClassifier(100), digits",
    "svc": "Pipeline(StandardScaler, SVC), wine",
    "ridge": "Ridge, diabetes",
}


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a measured process: as a user's, booking into `folder`."""
    settings = {
        key: value
        for key, value in os.environ.items()
        # Users have compiled bytecode; without it every import would be compiled again.
        if key != "PYTHONDONTWRITEBYTECODE" and not key.startswith(("MLFLOW_", "SKLEDGER_"))
    }
    settings["SKLEDGER_TRACKING_URI"] = f"sqlite:///{folder / 'skledger.db'}"
    settings["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    # Neither is to be charged for talking to the network.
    settings["MLFLOW_DISABLE_TELEMETRY"] = settings["DO_NOT_TRACK"] = "true"
    # Threads of BLAS spin for a while after each call, into the turn of the next process.
    for library in ("OPENBLAS", "OMP", "MKL"):
        settings[f"{library}_NUM_THREADS"] = "1"
    return settings


class Child:
    """A process with one logger and one estimator, in an empty folder; it works when asked.

    Parameters
    ----------
    logger : str
        One of `LOGGERS`.
    case : str
        A name that ``child.py`` knows.
    rows : int
        How many rows the floor writes per fit.
    script : str
        What the process runs.
    settings : mapping, optional
        More variables of its environment.

    Attributes
    ----------
    ready : dict
        What the process told about its start, such as ``setup`` in seconds.
    """

    def __init__(
        self,
        logger: str,
        case: str,
        rows: int = 0,
        script: str = "child.py",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.logger = logger
        self.folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self._log = (self.folder / "child.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), logger, case, str(rows)],
            cwd=self.folder,
            env=environment(self.folder) | dict(settings or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.ready = self._answer()

    def ask(self, command: str, count: int = 1) -> dict[str, Any]:
        """Send a command, wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command} {count}\n".encode())
        self._process.stdin.flush()
        return self._answer()

    def check(self, fits: int) -> dict[str, Any]:
        """Make sure that all fits so far are stored; else the figures would mean nothing."""
        stored = self.ask("count")
        if self.logger != "bare" and stored["runs"] != fits:
            raise RuntimeError(f"{self.logger} stored {stored['runs']} of {fits} fits")
        return stored

    def close(self) -> float:
        """Let the process end and return how long that took, in seconds; the folder goes."""
        assert self._process.stdin is not None
        start = time.perf_counter()
        self._process.stdin.close()
        code = self._process.wait()
        seconds = time.perf_counter() - start
        if code:
            raise RuntimeError(f"the process with {self.logger} ended with {code}: {self._tail()}")
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return seconds

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError(f"the process with {self.logger} died: {self._tail()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _tail(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3000:]


def progress(text: str) -> None:
    """Say on stderr what is being measured."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


# -- numbers --------------------------------------------------------------------------------------


def median(values: Iterable[float]) -> float:
    """Return the median; nan of nothing."""
    found = list(values)
    return statistics.median(found) if found else float("nan")


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def ms(seconds: float) -> str:
    """Return seconds as milliseconds, with as many digits as make sense."""
    value = seconds * 1000
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def ms_spread(values: Sequence[float]) -> str:
    """Return the median in ms and, in brackets, the quartiles."""
    if not values:
        return "-"
    first, third = quartiles(values)
    return f"{ms(median(values))} ({ms(first)}..{ms(third)})"


def times(ratio: float) -> str:
    """Return a ratio as text."""
    if math.isnan(ratio):  # the other side was not measured
        return "-"
    return f"{ratio:,.0f}x" if ratio >= 20 else f"{ratio:.1f}x" if ratio >= 10 else f"{ratio:.2f}x"


# -- tables ---------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is aligned to the right."""
    lines = [f"| {' | '.join(head)} |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def machine(started: datetime, load: Sequence[str]) -> str:
    """Return where, when and with what was measured."""
    packages = ("skledger", "mlflow", "scikit-learn", "numpy", "pandas", "SQLAlchemy", "matplotlib")
    with_versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    minutes = (datetime.now(UTC) - started).total_seconds() / 60
    return (
        f"- {started:%Y-%m-%d %H:%M} UTC, {minutes:.0f} minutes\n"
        f"- {_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} "
        f"{platform.release()}; load average before and after: {' and '.join(load)}\n"
        f"- {platform.python_implementation()} {platform.python_version()}, {with_versions}\n"
    )


def load_average() -> str:
    """Return the load of the last minute."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except ImportError:
        return "(missing)"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return "memory unknown"
    return f"{pages / 2**30:.0f} GB"


# -- the command line -----------------------------------------------------------------------------


def options() -> argparse.Namespace:
    """Read the options that every script takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it work?")
    parser.add_argument("--without-mlflow", action="store_true", help="leave MLflow out")
    return parser.parse_args()


def main(measure: Callable[[argparse.Namespace], str]) -> None:
    """Run one benchmark and print its part of the report."""
    print(measure(options()))
