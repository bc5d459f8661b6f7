"""What a fit waits for when its runs go to a server, and when that server is away.

One process per kind of server, all alive at the same time, fit in turn. Afterwards a real server
is started at the address of each, what waits for it is sent, and its runs are counted.

::

    python benchmarks/outage.py [--quick] [--without-mlflow]
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from shared import CASES, Child, environment, main, median, ms, ms_spread, progress, table, times

CASE = "logistic"
HERE = "no server: a SQLite file"
WELL = "a server that is well"
REFUSES = "nobody listens"
HANGS = "it accepts and never answers"
FAILS = "it answers 500"
COUNT = "import skledger; print(len(skledger.search_runs(search_all_experiments=True)))"
Samples = dict[str, list[float]]


def measure(given: argparse.Namespace) -> str:
    """Measure, and return the part of the report."""
    fits = 4 if given.quick else 20
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    ports = {kind: free_port() for kind in (WELL, REFUSES, HANGS, FAILS)}
    theirs: Samples = {}
    try:
        with ExitStack() as servers:
            servers.enter_context(mlflow_server(ports[WELL], folder))
            servers.enter_context(silent(ports[HANGS]))
            servers.enter_context(failing(ports[FAILS]))
            ours = of_skledger(ports, fits, folder)
            if not given.without_mlflow:
                theirs = of_mlflow(ports, given.quick)
        for kind, port in ports.items():
            check_nothing_is_lost(kind, port, fits + 1, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report(ours, theirs, fits)


def of_skledger(ports: dict[str, int], fits: int, folder: Path) -> Samples:
    """Return what was added to each fit, by the kind of server; the first is that of a process."""
    children = {HERE: Child("skledger", CASE)}
    for kind, port in ports.items():
        children[kind] = Child("skledger", CASE, settings=settings_of(port, folder))
    found: Samples = {kind: [] for kind in children}
    progress(f"skledger: {fits} fits each, with servers that are well and away")
    for _ in range(fits + 1):
        for kind, child in children.items():
            found[kind].append(child.ask("fit_only")["returned"])
    for child in children.values():
        child.close()
    return found


def of_mlflow(ports: dict[str, int], quick: bool) -> Samples:
    """Return the same of MLflow; with a server that is away, of one fit, since it takes minutes."""
    found = {}
    for kind, fits in ((WELL, 3),) if quick else ((WELL, 5), (REFUSES, 0)):
        progress(f"MLflow: {kind}")
        child = Child("mlflow", CASE, settings={"MLFLOW_TRACKING_URI": address(ports[kind])})
        found[kind] = [child.ask("fit_only")["returned"] for _ in range(fits + 1)]
        child.close()
    return found


def check_nothing_is_lost(kind: str, port: int, fits: int, folder: Path) -> None:
    """Send what waits for an address, where there is a server now, and count its runs."""
    progress(f"sending what waits: {kind}")
    settings = environment(folder) | settings_of(port, folder)
    with mlflow_server(port, folder):
        command = [sys.executable, "-m", "skledger", "sync", address(port)]
        subprocess.run(command, env=settings, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        counted = subprocess.run(
            [sys.executable, "-c", COUNT], env=settings, cwd=folder, check=True, capture_output=True
        )
    # MLflow booked on the server that was well, too.
    if int(counted.stdout) < fits:
        raise RuntimeError(f"{kind}: {int(counted.stdout)} of {fits} runs are on the server")


def settings_of(port: int, folder: Path) -> dict[str, str]:
    """Return the environment for an address."""
    return {
        "SKLEDGER_TRACKING_URI": address(port),
        "SKLEDGER_OUTBOX": str(folder / f"outbox-{port}"),
    }


# -- servers --------------------------------------------------------------------------------------


def address(port: int) -> str:
    """Return the address of a port of this machine."""
    return f"http://127.0.0.1:{port}"


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(port: int, folder: Path) -> Iterator[None]:
    """Run MLflow's server at a port, over a database that stays in the folder."""
    root = folder / f"server-{port}"
    root.mkdir(exist_ok=True)
    with (root / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server"),
                *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{root / 'mlflow.db'}"),
                *("--artifacts-destination", str(root / "artifacts")),
            ],
            cwd=root,
            env=environment(root),
            stdout=log,
            stderr=log,
        )
        try:
            wait_until(lambda: is_well(port))
            yield
        finally:
            process.terminate()
            process.wait(30)


def is_well(port: int) -> bool:
    """Tell whether a server answers."""
    try:
        with urllib.request.urlopen(f"{address(port)}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("MLflow's server did not start")
        time.sleep(0.2)


@contextmanager
def silent(port: int) -> Iterator[None]:
    """Accept connections and never answer."""
    with socket.create_server(("127.0.0.1", port), backlog=100):
        yield


@contextmanager
def failing(port: int) -> Iterator[None]:
    """Answer 500 to everything."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def serve(self) -> None:
            self.send_error(500)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


# -- the report -----------------------------------------------------------------------------------


def report(ours: Samples, theirs: Samples, fits: int) -> str:
    """Return the table."""
    here = median(ours[HERE][1:])
    rows = []
    for kind, (first, *later) in ours.items():
        others = theirs.get(kind, [])
        rows.append(
            (
                kind,
                ms_spread(later),
                ms(max(later)),
                times(median(later) / here),
                ms(first),
                ms(median(others[1:])) if others[1:] else "-",
                ms(others[0]) if others else "-",
            )
        )
    return "\n".join(
        (
            "## A server, and one that is away\n",
            f"Milliseconds added to a fit ({CASES[CASE]}) before it returns, when runs go to a "
            f"tracking server at this machine: {fits} fits in each process, all processes in turn; "
            "median, in brackets the quartiles. Afterwards there was a server at each address, "
            "`skledger sync` sent what waited, and every run was there. (Aim: at most 100 ms.)\n",
            table(
                (
                    "",
                    "skledger, ms",
                    "the slowest",
                    "over SQLite",
                    "first fit of the process",
                    "MLflow, ms",
                    "MLflow's first fit",
                ),
                rows,
            ),
        )
    )


if __name__ == "__main__":
    main(measure)
