"""A search in another process, and what the store shows of it meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skledger.stores.opening import open_store
from skledger.tracking.entities import DEFAULT_EXPERIMENT_ID

PARENT_TAG = "mlflow.parentRunId"
CANDIDATE_TAG = "skledger.candidate"

#: In every Python that starts in the folder: once the variable is set, nothing of ours can be
#: imported, by whatever way a worker should come to try.
SITECUSTOMIZE = """
import os, sys

if os.environ.get("WITHOUT_SKLEDGER"):
    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "skledger":
                raise ImportError(f"a worker imports {name}")
    sys.meta_path.insert(0, Refuse())
"""

#: An estimator that takes its time, whose scores are known, and that notes where it was fitted.
SLOW_ESTIMATOR = '''
import json, os, sys, threading, time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

FITS = Path(__file__).with_name("fits.jsonl")

class Slow(ClassifierMixin, BaseEstimator):
    """Sleeps in fit; with `hold`, number 0 sleeps that much longer where row 0 is held out."""

    def __init__(self, number=0, seconds=0.2, hold=0.0):
        self.number = number
        self.seconds = seconds
        self.hold = hold

    def fit(self, X, y):
        begun = time.time()
        time.sleep(self.seconds)
        if self.number == 0 and X[0, 0] != 0:
            time.sleep(self.hold)
        self.classes_ = np.unique(y)
        note = {
            "process": os.getpid(),
            "thread": threading.current_thread().name,
            "skledger": "skledger" in sys.modules,
            "number": self.number,
            "rows": len(X),
            "begun": begun,
            "ended": time.time(),
        }
        with FITS.open("a") as file:
            file.write(json.dumps(note) + "\\n")
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def score(self, X, y):
        return 1 / (1 + self.number) + X[0, 0] / 1000
'''


@dataclass(frozen=True)
class Fit:
    """What one call of the slow estimator's ``fit`` has noted; times in seconds."""

    process: int
    thread: str
    skledger: bool
    number: int
    rows: int
    begun: float
    ended: float


@dataclass(frozen=True)
class Child:
    """A candidate's run as it stood at one moment."""

    status: str
    folds: tuple[int, ...]


@dataclass(frozen=True)
class Moment:
    """What the store showed at one time (seconds since the epoch): children by candidate."""

    time: float
    parents: tuple[str, ...]
    children: dict[int, Child]

    def candidates(self, status: str) -> set[int]:
        """Return the candidates whose run has a status."""
        return {number for number, child in self.children.items() if child.status == status}


@dataclass(repr=False)
class Watched:
    """A process that has ended, what it printed, and the moments it was looked at."""

    process: int
    output: str
    moments: list[Moment] = field(default_factory=list)

    def first(self, candidate: int, status: str | None = None) -> float:
        """Return when a candidate was first seen in the store (with a status)."""
        for moment in self.moments:
            child = moment.children.get(candidate)
            if child is not None and status in (None, child.status):
                return moment.time
        raise AssertionError(f"candidate {candidate} was never seen {status or ''}\n{self}")

    def __repr__(self) -> str:
        """Show each change between the moments, for the message of a failed test."""
        lines, last, start = [], None, self.moments[0].time if self.moments else 0
        for moment in self.moments:
            shown = f"parents {', '.join(moment.parents) or '-'}; " + ", ".join(
                f"{number}: {child.status} {list(child.folds)}"
                for number, child in sorted(moment.children.items())
            )
            if shown != last:
                lines.append(f"{moment.time - start:6.2f} s  {shown}")
                last = shown
        return "\n".join(lines)


def watch(
    folder: Path,
    script: str,
    *args: str,
    env: dict[str, str] | None = None,
    every: float = 0.05,
    timeout: float = 200,
) -> Watched:
    """Run a script in `folder` and look at its store until it has ended.

    The script can import ``slow_estimator``, as can the workers it starts. It sets the
    environment variable ``WITHOUT_SKLEDGER`` once it has imported all it needs.
    """
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    (folder / "slow_estimator.py").write_text(SLOW_ESTIMATOR)
    (folder / "script.py").write_text(script)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "script.py", *args],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, **(env or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        watched = Watched(process.pid, "")
        try:
            _look(folder / "skledger.db", process, watched, every, timeout)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        output.seek(0)
        watched.output = output.read()
    assert process.returncode == 0, watched.output
    return watched


def _look(
    database: Path, process: subprocess.Popen[Any], watched: Watched, every: float, timeout: float
) -> None:
    store, deadline = None, time.monotonic() + timeout
    while process.poll() is None:
        assert time.monotonic() < deadline, f"the script takes longer than {timeout} s\n{watched}"
        time.sleep(every)
        if store is None and database.exists():
            store = open_store(f"sqlite:///{database}")
        if store is not None:
            watched.moments.append(_moment(store))
    if store is not None:
        store.close()


def _moment(store: Any) -> Moment:
    now, parents, children = time.time(), [], {}
    for run in store.search_runs([DEFAULT_EXPERIMENT_ID]):
        if PARENT_TAG in run.data.tags:
            history = store.get_metric_history(run.info.run_id, "test_score")
            folds = tuple(sorted(metric.step for metric in history))
            children[int(run.data.tags[CANDIDATE_TAG])] = Child(run.info.status, folds)
        else:
            parents.append(run.info.status)
    return Moment(now, tuple(parents), children)


def fits_in(folder: Path) -> list[Fit]:
    """Return what the slow estimators have noted, in the order they ended."""
    lines = (folder / "fits.jsonl").read_text().splitlines()
    return sorted((Fit(**json.loads(line)) for line in lines), key=lambda fit: fit.ended)
