"""What a search costs whose candidates are all child runs.

skledger writes them while the search goes on, MLflow (``max_tuning_runs=None``) when it is over.
What is added is the time of the search under a logger minus that of the bare search, each in a
process of its own, in turn.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

from shared import Child, main, median, ms, progress, table, times

CASES = {
    "pipeline": ("StandardScaler and LogisticRegression, breast cancer, cv=3", 48),
    "500": ("Ridge, 200 rows, cv=2", 500),
}
MANY = "10000"
#: The search of two candidates that each process begins with.
FIRST = 1 + 2

Turns = dict[str, list[dict[str, Any]]]


def measure(given: argparse.Namespace) -> str:
    """Measure, and return the part of the report."""
    found = {case: measure_case(case, given) for case in CASES}
    many = {} if given.quick else measure_many()
    return report(found, many)


def measure_case(case: str, given: argparse.Namespace) -> Turns:
    """Let the loggers search in turn."""
    turns = 2 if given.quick else 9
    mlflow_turns = 0 if given.without_mlflow else 1 if given.quick or case != "pipeline" else 3
    loggers = ("bare", "skledger", "mlflow") if mlflow_turns else ("bare", "skledger")
    children = {logger: Child(logger, case, script="search_child.py") for logger in loggers}
    found: Turns = defaultdict(list)
    candidates = CASES[case][1]
    for turn in range(turns):
        for logger, child in children.items():
            if logger != "mlflow" or turn < mlflow_turns:
                progress(f"{candidates} candidates with {logger}")
                found[logger].append(child.ask("run"))
    for logger, child in children.items():
        child.check(FIRST + len(found[logger]) * (1 + candidates))
        child.close()
    return found


def measure_many() -> Turns:
    """Search through many candidates, without MLflow."""
    found: Turns = defaultdict(list)
    for logger in ("bare", "skledger"):
        progress(f"{MANY} candidates with {logger}")
        child = Child(logger, MANY, script="search_child.py")
        found[logger].append(child.ask("run"))
        child.check(FIRST + 1 + int(MANY))
        child.close()
    return found


def report(found: dict[str, Turns], many: Turns) -> str:
    """Return the tables."""
    rows = []
    for case, (name, candidates) in CASES.items():
        added = {logger: _added(turns, found[case]) for logger, turns in found[case].items()}
        for logger in ("skledger", "mlflow"):
            if logger in added:
                rows.append(_row(f"{candidates} candidates: {name}: {logger}", added, logger))
                rows[-1].insert(2, f"{added[logger]['returned'] / candidates * 1000:,.3f}")
    text = (
        "## A search and its candidates\n\n"
        "Every candidate is a child run, under both. What is added to the bare search (medians), "
        "until it returns and until all is on the disk, pictures included. (Aim: 0.5 ms a child, "
        "a fiftieth of MLflow's.)\n\n"
    )
    head = ("", "added, ms", "a child, ms", "until on disk, ms", "CPU, ms", "MLflow / it")
    text += table(head, rows)
    if many:
        bare, ours = many["bare"][0], many["skledger"][0]
        count = int(MANY)
        text += (
            f"\n{count:,} candidates of that Ridge, once: {bare['returned']:.1f} s bare, "
            f"{ours['returned']:.1f} s with skledger, "
            f"{(ours['returned'] - bare['returned']) / count * 1000:.3f} ms a child; the peak of "
            f"memory rose by {bare['memory'] / 2**20:.0f} MB bare and by "
            f"{ours['memory'] / 2**20:.0f} MB with skledger.\n"
        )
    return text


def _added(turns: list[dict[str, Any]], all_turns: Turns) -> dict[str, float]:
    bare = all_turns["bare"]
    return {
        "returned": median(t["returned"] for t in turns) - median(t["returned"] for t in bare),
        "on disk": median(t["on disk"] for t in turns) - median(t["returned"] for t in bare),
        "cpu": median(t["cpu"] for t in turns) - median(t["cpu"] for t in bare),
    }


def _row(name: str, added: dict[str, dict[str, float]], logger: str) -> list[str]:
    own, others = added[logger], added.get("mlflow")
    ratio = others["returned"] / own["returned"] if others else float("nan")
    return [name, ms(own["returned"]), ms(own["on disk"]), ms(own["cpu"]), times(ratio)]


if __name__ == "__main__":
    main(measure)
