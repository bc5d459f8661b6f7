"""What a tracking server costs and how fast it is, beside ``mlflow server`` on the same data.

::

    python benchmarks/server.py [--quick] [--without-mlflow] [--runs 10000 100000] [--stores FOLDER]

``--stores`` keeps the stores with many runs for the next time. `server_store.py` makes them,
`server_process.py` runs the servers, `server_pages.py` looks at pages, and `server_load.py` asks
the API.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import server_load as load
import server_pages as pages
from server_process import Running, alone, front_end, server
from server_store import fill, for_mlflow, sqlite_file, upgrade
from shared import HERE, median, progress, table, times

#: The first is how many runs the databases have that are written to.
RUNS = (10_000, 100_000)
WORKERS = (1, 2)
MB = 2**20
#: How long nobody asks, to see what that takes, in seconds.
IDLE = 3


@dataclass
class Costs:
    """What the processes of one server took, by the number of workers."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    memory: dict[int, list[list[int]]] = field(default_factory=dict)
    idle: dict[int, list[float]] = field(default_factory=dict)


@dataclass
class Found:
    """What was measured; each name is that of a server."""

    loaded: dict[tuple[str, int, str], pages.Loaded] = field(default_factory=dict)
    rates: dict[tuple[str, str, int], dict[str, list[float]]] = field(default_factory=dict)
    costs: dict[str, Costs] = field(default_factory=dict)
    wire: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def measure(given: argparse.Namespace) -> str:
    """Measure, and return the part of the report."""
    counts = (1000,) if given.quick else tuple(getattr(given, "runs", RUNS))
    kept = getattr(given, "stores", None)
    names = ("skledger",) if given.without_mlflow else ("skledger", "mlflow")
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    found = Found(costs={name: Costs() for name in names})
    try:
        for count in counts:
            uris = _sqlite(folder, count, kept, names)
            _measure_pages(uris, count, folder, found, given.quick)
            if count == counts[0]:
                _measure_load("SQLite", uris, folder, found, given.quick)
        with _postgresql(counts[0], folder, names, found) as uris:
            if uris:
                _measure_load("PostgreSQL", uris, folder, found, given.quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report(found, names, counts)


# -- the stores -----------------------------------------------------------------------------------


def _sqlite(folder: Path, count: int, kept: Path | None, names: tuple[str, ...]) -> dict[str, str]:
    """Return the URIs of a database and of its copy."""
    path = sqlite_file(folder, count, kept)
    uris = {"skledger": f"sqlite:///{path}"}
    if "mlflow" in names:
        uris["mlflow"] = f"sqlite:///{for_mlflow(path)}"
    return uris


@contextlib.contextmanager
def _postgresql(
    count: int, folder: Path, names: tuple[str, ...], found: Found
) -> Iterator[dict[str, str]]:
    """Run a database server like the tests' own; give the URIs of two databases with runs."""
    sys.path.append(str(HERE.parent / "tests"))
    from _servers import Missing, Postgres

    try:
        engine = Postgres()
    except Missing as error:
        found.missing.append(f"PostgreSQL was left out: {error}")
        yield {}
        return
    try:
        progress(f"PostgreSQL: making {count:,} runs")
        uris = {"skledger": engine.new_database()}
        fill(uris["skledger"], count, "mlflow-artifacts:/")
        original = uris["skledger"].rpartition("/")[2]
        engine.execute("ANALYZE", original)
        if "mlflow" in names:
            engine.execute(f"CREATE DATABASE of_mlflow TEMPLATE {original}")
            uri = engine.uri("of_mlflow").replace("postgresql:", "postgresql+psycopg:")
            upgrade(uri, folder)
            engine.execute("ANALYZE", "of_mlflow")
            uris["mlflow"] = uri
        yield uris
    finally:
        engine.remove()


# -- what is measured -----------------------------------------------------------------------------


@contextlib.contextmanager
def _running(
    uris: dict[str, str], workers: int, folder: Path, found: Found
) -> Iterator[list[Running]]:
    """Run the servers at the same time; note how long they took to start, and their memory."""
    with contextlib.ExitStack() as started:
        running = []
        for name, uri in uris.items():
            progress(f"starting {name}, {workers} workers")
            each = started.enter_context(server(name, uri, workers, folder))
            found.costs[name].seconds.setdefault(workers, []).append(each.seconds)
            running.append(each)
        yield running
        for each in running:
            costs = found.costs[each.name]
            costs.memory.setdefault(workers, []).append(each.memory())
            before = each.cpu()
            time.sleep(IDLE)
            costs.idle.setdefault(workers, []).append((each.cpu() - before) / IDLE)


def _measure_pages(
    uris: dict[str, str], count: int, folder: Path, found: Found, quick: bool
) -> None:
    rounds = 1 if quick else 5
    # Each of MLflow's takes seconds.
    most = {"skledger": rounds, "mlflow": 1 if quick else 3 if count <= 10_000 else 2}
    with _running(uris, 1, folder, found) as running, pages.chromium() as browser:
        for each in running:  # what a server does only once is done
            found.wire[each.name] = pages.on_the_wire(browser, each)
        for at in range(rounds):
            progress(f"pages, {count:,} runs: round {at + 1} of {rounds}")
            for kind in pages.KINDS:
                for each in running:
                    into = found.loaded.setdefault((each.name, count, kind), pages.Loaded())
                    if at < most[each.name] and math.inf not in into.cold:
                        with alone(each, running):
                            pages.look(browser, each, kind, into)


def _measure_load(
    store: str, uris: dict[str, str], folder: Path, found: Found, quick: bool
) -> None:
    seconds, rounds = (0.5, 1) if quick else (1.5, 3)
    for workers in WORKERS[:1] if quick else WORKERS:
        with _running(uris, workers, folder, found) as running:
            loads = {each.name: load.Load(each.port) for each in running}
            _compare(list(loads.values()))
            for at in range(rounds + 1):
                progress(f"{store}, {workers} workers: round {at} of {rounds}")
                for kind in load.KINDS:
                    for each in running:
                        # The first round warms up.
                        with alone(each, running):
                            loads[each.name].ask(kind, seconds if at else 0.5, counts=at > 0)
            for name, asked in loads.items():
                found.rates[name, store, workers] = asked.rates


def _compare(loads: list[load.Load]) -> None:
    """Make sure that all servers find the same runs, in the same order."""
    for kind in load.KINDS:
        if "search" in kind:
            answers = [each.first_ids(kind) for each in loads]
            if any(len(each) != 100 or each != answers[0] for each in answers):
                raise RuntimeError(f"the servers have found different runs: {kind}")


# -- the report -----------------------------------------------------------------------------------


def report(found: Found, names: tuple[str, ...], counts: tuple[int, ...]) -> str:
    """Return the section."""
    return "\n".join(
        (
            "## The server\n",
            "`skledger server` and `mlflow server` on copies of one database (5 params, 8 metrics "
            "and 3 tags a run; MLflow's copy has been migrated), asked in turns, the other "
            "one paused meanwhile. (Aims: ten times faster to the first page, five times as many "
            "writes, a start in 1 s, 150 MB a worker.)\n",
            "Seconds in Chromium from the navigation until the first row is painted, medians. "
            "Cold is a viewer's first page, with an empty cache; warm is the same page again. "
            "skledger's rows have metrics and params, 50 a page; MLflow's have the name and the "
            "time until one chooses more, 100 a page.\n",
            _pages_table(found, counts),
            f"Requests per second on {load.CONNECTIONS} connections, medians, with "
            f"{counts[0]:,} runs in the database, which is on the disk (SQLite) or in "
            "memory and without `fsync` (PostgreSQL). Both find the same runs in the same order.\n",
            _rates_table(found),
            *(f"{each}\n" for each in found.missing),
            "Seconds from the start of the command until `/health` answers, and the memory of all "
            "processes after the requests, what they share counted once; and the CPU "
            "that is taken when nobody asks.\n",
            _costs_table(found, names),
            "The front-end: what the run table loads with an empty cache, without what its "
            "scripts ask for, and what the installed package holds.\n",
            _size_table(found, names),
        )
    )


def _pages_table(found: Found, counts: tuple[int, ...]) -> str:
    rows = []
    for count in counts:
        for kind in pages.KINDS:
            ours = found.loaded["skledger", count, kind]
            theirs = found.loaded.get(("mlflow", count, kind), pages.Loaded())
            cells = [f"{count:,} runs: {kind}"]
            for own, others in ((ours.cold, theirs.cold), (ours.warm, theirs.warm)):
                ratio = median(others) / median(own)
                at_least = "more than " if math.isinf(ratio) else ""
                ratio = pages.PATIENCE / median(own) if at_least else ratio
                cells += [_seconds(own), _seconds(others), at_least + times(ratio)]
            rows.append(cells)
    head = ("", "skledger, cold", "MLflow, cold", "ratio")
    return table((*head, "skledger, warm", "MLflow, warm", "ratio"), rows)


def _rates_table(found: Found) -> str:
    rows = []
    for (name, store, workers), rates in found.rates.items():
        if name != "skledger":
            continue
        for kind in load.KINDS:
            ours = median(rates[kind])
            theirs = median(found.rates.get(("mlflow", store, workers), {}).get(kind, ()))
            other = "-" if math.isnan(theirs) else f"{theirs:,.1f}"
            cells = (f"{store}: {kind}", str(workers), f"{ours:,.0f}", other)
            rows.append((*cells, times(ours / theirs)))
    return table(("", "workers", "skledger, req/s", "MLflow, req/s", "ratio"), rows)


def _costs_table(found: Found, names: tuple[str, ...]) -> str:
    rows = []
    for name in names:
        costs = found.costs[name]
        for workers, seconds in costs.seconds.items():
            last = costs.memory[workers]
            total = median(sum(each) for each in last if each)
            largest = median(each[0] for each in last if each)
            rows.append(
                (
                    f"{name}, workers: {workers}",
                    _seconds(seconds),
                    str(max(map(len, last))) if last[0] else "-",
                    _mb(total),
                    _mb(largest),
                    f"{100 * median(costs.idle[workers]):.0f}",
                )
            )
    head = ("", "start, s", "processes", "memory, MB", "largest process, MB", "idle, % of a core")
    return table(head, rows)


def _size_table(found: Found, names: tuple[str, ...]) -> str:
    rows = []
    for name in names:
        size, files = found.wire[name]
        rows.append((name, f"{size / 1e6:.2f}", str(files), f"{front_end(name) / 1e6:.1f}"))
    return table(("", "on the wire, MB", "files", "in the package, MB"), rows)


def _seconds(values: list[float]) -> str:
    if not values:
        return "-"
    value = median(values)
    return f"> {pages.PATIENCE}" if math.isinf(value) else f"{value:.2f}"


def _mb(size: float) -> str:
    return "-" if math.isnan(size) else f"{size / MB:,.0f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it work?")
    parser.add_argument("--without-mlflow", action="store_true", help="leave MLflow out")
    parser.add_argument("--runs", type=int, nargs="+", default=RUNS, help="how many runs there are")
    parser.add_argument("--stores", type=Path, help="where to keep stores for the next time")
    return parser.parse_args()


if __name__ == "__main__":
    print(measure(_options()))
