"""What finding runs costs in a database of many, and what a batch of numbers costs to book.

One database, made here and migrated by MLflow, is searched by both in turn, in one process. Every
run has 20 params, 10 metrics and the usual tags, and one in a hundred is the parent of the others.
Each answer is checked to be the same runs in the same order.

::

    python benchmarks/search_runs.py [--runs 10000 100000] [--quick] [--without-mlflow]
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import median, ms, progress, table, times

RUNS = (10_000,)
CHILDREN = 99
EXPERIMENT = "1"
START = 1_700_000_000_000
FILTER = "metrics.metric_0 > 0.5 and params.param_1 = '3'"
BEST = ["metrics.metric_1 DESC"]

Call = Callable[..., Any]
#: By the clock, and of CPU.
Seconds = tuple[float, float]


@dataclass(frozen=True)
class Case:
    """One search, by its arguments; `slow` spares MLflow repetitions."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    slow: bool = False


CASES = (
    Case("the newest 100", {"max_results": 100}),
    Case("the newest 1,000", {"max_results": 1000}),
    Case("1,000 ordered by a metric", {"max_results": 1000, "order_by": BEST}, slow=True),
    Case(
        "up to 1,000 with a filter (metric and param), ordered by a metric",
        {"filter_string": FILTER, "max_results": 1000, "order_by": BEST},
    ),
    Case("the single best by a metric", {"max_results": 1, "order_by": BEST}, slow=True),
    Case(
        "the single best with that filter",
        {"filter_string": FILTER, "max_results": 1, "order_by": BEST},
    ),
    Case("the single best child of one parent", {"max_results": 1, "order_by": BEST}),
    Case("all, as a list", {"max_results": 1_000_000}, slow=True),
    Case("all, as a DataFrame", {"max_results": 1_000_000, "output_format": "pandas"}, slow=True),
)


def measure(given: argparse.Namespace) -> str:
    """Measure, and return the part of the report."""
    counts = [1000] if given.quick else list(getattr(given, "runs", RUNS))
    parts = []
    for count in counts:
        folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        try:
            parts.append(_measure(folder, count, given))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return (
        "## Finding runs\n\n"
        "20 params and 10 metrics a run, one SQLite file that both search in turn, in one process; "
        "medians, by the clock and in CPU time, which others on the machine touch less. Every "
        "answer was checked to be the same runs in the same order. (Aim: a tenth of MLflow's time, "
        "and 20 ms for the single best.)\n\n" + "\n".join(parts)
    )


def _measure(folder: Path, count: int, given: argparse.Namespace) -> str:
    uri = f"sqlite:///{folder / 'runs.db'}"
    progress(f"making {count:,} runs")
    seconds, parent = _fill(uri, count)
    ours = _Skledger(uri)
    theirs = None if given.without_mlflow else _Mlflow(uri)
    rows = []
    for case in CASES:
        arguments = dict(case.arguments)
        if "child" in case.name:
            arguments["filter_string"] = f"tags.mlflow.parentRunId = '{parent}'"
        turns = 2 if given.quick else 7 if count <= 10_000 else 3
        their_turns = 1 if given.quick or case.slow or count > 10_000 else 3
        if case.slow and count > 10_000:
            their_turns = 0  # ordering 100,000 runs takes MLflow more than a quarter of an hour
        progress(f"{count:,} runs: {case.name}")
        own, others = _compare(
            lambda tool, arguments=arguments: tool.search(**arguments),
            ours,
            theirs,
            (turns, their_turns),
        )
        rows.append(_row(case.name, own, others))
    progress("batches")
    own, others = _compare(lambda tool: tool.log_batch(), ours, theirs, (9, 0 if not theirs else 5))
    rows.append(_row("booking a batch of 1,000 metrics and 100 params", own, others))
    size = (folder / "runs.db").stat().st_size / 2**20
    head = (f"{count:,} runs", "skledger, ms", "MLflow, ms", "MLflow / skledger")
    head += ("skledger, ms of CPU", "MLflow, ms of CPU", "MLflow / skledger, CPU")
    return (
        table(head, rows)
        + f"\nThe {count:,} runs were booked in {seconds:.0f} s and take {size:,.0f} MB.\n"
    )


def _compare(
    call: Call, ours: Any, theirs: Any, turns: tuple[int, int]
) -> tuple[list[Seconds], list[Seconds]]:
    """Return the seconds of both, by the clock and of CPU; they take turns."""
    found: tuple[list[Seconds], list[Seconds]] = [], []
    answers: list[Any] = [None, None]
    # The first call of each kind pays for what is prepared once.
    call(ours)
    for turn in range(max(turns)):
        for place, (tool, most) in enumerate(zip((ours, theirs), turns, strict=True)):
            if tool is not None and turn < most:
                start, cpu = time.perf_counter(), time.process_time()
                answers[place] = call(tool)
                found[place].append((time.perf_counter() - start, time.process_time() - cpu))
    if found[1] and answers[0] != answers[1]:
        raise RuntimeError("skledger and MLflow have found different runs")
    return found


def _row(name: str, own: list[Seconds], others: list[Seconds]) -> list[str]:
    cells = [name]
    for which in (0, 1):
        mine = median(each[which] for each in own)
        theirs = median(each[which] for each in others)
        cells += [ms(mine), ms(theirs) if others else "-", times(theirs / mine)]
    return cells


class _Skledger:
    def __init__(self, uri: str) -> None:
        import skledger
        from skledger.stores.opening import open_store

        skledger.set_tracking_uri(uri)
        self._module = skledger
        self._store = open_store(uri)

    def search(self, output_format: str = "list", **arguments: Any) -> list[str]:
        return _ids(
            self._module.search_runs([EXPERIMENT], output_format=output_format, **arguments)
        )

    def log_batch(self) -> None:
        from skledger.tracking.entities import Metric, RunChange, as_params

        run_id = uuid.uuid4().hex
        change = next(_changes(1, random.Random(run_id), run_id))
        self._store.write(RunChange(run_id, create=change.create))
        numbers = tuple(Metric(*each) for each in _numbers())
        self._store.write(RunChange(run_id, metrics=numbers, params=as_params(_params(100))))


class _Mlflow:
    def __init__(self, uri: str) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
        import mlflow

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        mlflow.set_tracking_uri(uri)
        self._module = mlflow
        self._client = mlflow.MlflowClient(uri)
        self.search(max_results=1)  # migrates the database

    def search(self, output_format: str = "list", **arguments: Any) -> list[str]:
        return _ids(
            self._module.search_runs([EXPERIMENT], output_format=output_format, **arguments)
        )

    def log_batch(self) -> None:
        from mlflow.entities import Metric, Param

        run_id = self._client.create_run(EXPERIMENT).info.run_id
        params = [Param(*each) for each in _params(100).items()]
        self._client.log_batch(run_id, [Metric(*each) for each in _numbers()], params)


def _ids(found: Any) -> list[str]:
    if isinstance(found, list):
        return [run.info.run_id for run in found]
    return list(found["run_id"])


def _params(count: int) -> dict[str, str]:
    return {f"setting_{number}": str(number) for number in range(count)}


def _numbers() -> list[tuple[str, float, int, int]]:
    """Return what a training of 100 epochs with ten metrics books at once."""
    chance = random.Random(0)
    return [
        (f"epoch_metric_{key}", chance.random(), START + step, step)
        for step in range(100)
        for key in range(10)
    ]


def _fill(uri: str, count: int) -> tuple[float, str]:
    """Book the runs; return how long that took, and a parent of some."""
    from skledger.stores.opening import open_store

    store = open_store(uri)
    assert store.create_experiment("benchmark") == EXPERIMENT
    chance = random.Random(0)
    start, parents = time.perf_counter(), []
    made = 0
    while made < count:
        parent = uuid.UUID(int=chance.getrandbits(128)).hex
        parents.append(parent)
        some = min(count - made, CHILDREN + 1)
        store.write(*_changes(some, chance, parent, made))
        made += some
    seconds = time.perf_counter() - start
    store.close()
    return seconds, parents[len(parents) // 2]


def _changes(count: int, chance: random.Random, parent: str, before: int = 0) -> Iterator[Any]:
    """Yield a run and its children."""
    from skledger.tracking.entities import Metric, Param, RunChange, RunInfo, as_tags

    for number in range(count):
        run_id = uuid.UUID(int=chance.getrandbits(128)).hex if number else parent
        name, moment = f"run-{before + number}", START + (before + number) * 1000
        folder = f"/benchmark/{EXPERIMENT}/{run_id}/artifacts"
        info = RunInfo(run_id, EXPERIMENT, name, "me", "RUNNING", moment, None, "active", folder)
        tags = {
            "mlflow.runName": name,
            "mlflow.user": "me",
            "mlflow.source.name": "train.py",
            "mlflow.source.type": "LOCAL",
        }
        if number:
            tags["mlflow.parentRunId"] = parent
        yield RunChange(
            run_id,
            create=info,
            status="FINISHED",
            end_time=moment + 500,
            params=tuple(Param(f"param_{key}", str(chance.randrange(10))) for key in range(20)),
            metrics=tuple(
                Metric(f"metric_{key}", chance.random(), moment + 100) for key in range(10)
            ),
            tags=as_tags(tags),
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few runs: does it work?")
    parser.add_argument("--without-mlflow", action="store_true", help="leave MLflow out")
    parser.add_argument(
        "--runs", type=int, nargs="+", default=RUNS, help="how many runs the databases have"
    )
    return parser.parse_args()


if __name__ == "__main__":
    print(measure(_options()))
