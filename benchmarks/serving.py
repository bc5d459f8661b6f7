"""How fast is a model behind HTTP, beside ``mlflow models serve``?

::

    python benchmarks/serving.py [--quick] [--without-mlflow]
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import environment, main, median, progress, table, times

WORKERS = (1, 2)
ROWS = (1, 1000)
CONNECTIONS = 4
CASES = ("pipeline", "forest")
TOLD = {
    "pipeline": "Pipeline(StandardScaler, LogisticRegression), breast cancer, 30 columns",
    "forest": "RandomForestClassifier(100), breast cancer, 30 columns",
}
#: Installed or not, they serve both servers.
FASTER = ("httptools", "uvloop", "orjson")


@dataclass
class Figures:
    """What one server did with one kind of request."""

    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """Return a quantile of the latencies, in ms."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def saved(case: str, folder: Path) -> tuple[Path, dict[int, tuple[bytes, list[int]]]]:
    """Save a model; return its folder, and requests with what must be answered, by rows."""
    import pandas as pd
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import skledger.sklearn
    from skledger.models import infer_signature

    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    if case == "pipeline":
        model: Any = make_pipeline(StandardScaler(), LogisticRegression())
    else:
        model = RandomForestClassifier(100, random_state=0)
    model.fit(X, y)
    where = folder / case
    skledger.sklearn.save_model(model, where, signature=infer_signature(X, model.predict(X)))
    requests = {}
    for rows in ROWS:
        data = pd.concat([X, X])[:rows]
        split = {"columns": list(data.columns), "data": data.to_numpy().tolist()}
        body = json.dumps({"dataframe_split": split}).encode()
        requests[rows] = (body, model.predict(data).tolist())
    return where, requests


@contextlib.contextmanager
def server(name: str, model: Path, workers: int, folder: Path) -> Iterator[int]:
    """Run a server; give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", name, "models", "serve", "-m", str(model), "-p", str(port)]
    command += ["--workers", str(workers), "--env-manager", "local"]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(folder), stdout=log, stderr=log
        )
        try:
            _wait(port, process, folder / f"{name}.log")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _environment(folder: Path) -> dict[str, str]:
    # MLflow calls uvicorn by its name.
    here = Path(sys.executable).parent
    return {**environment(folder), "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise RuntimeError(f"no server: {log.read_text(errors='replace')[-2000:]}")


def ask(port: int, body: bytes, expected: list[int], seconds: float, into: Figures | None) -> None:
    """Ask again and again on several connections, and compare every answer."""
    head = (
        b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    latencies: list[float] = []
    failures: list[BaseException] = []
    end = time.perf_counter() + seconds

    def one() -> None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                good = b""
                while time.perf_counter() < end:
                    start = time.perf_counter()
                    connection.sendall(head + body)
                    answer = _answer(connection)
                    latencies.append(time.perf_counter() - start)
                    if answer != good:
                        if json.loads(answer)["predictions"] != expected:
                            raise RuntimeError(f"a wrong answer: {answer[:200]!r}")
                        good = answer
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]
    if into is not None:
        into.rates.append(len(latencies) / (time.perf_counter() - begun))
        into.latencies += latencies


def _answer(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(1 << 16)
        if not part:
            raise RuntimeError("the server hung up")
        received += part
    head, _, content = received.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise RuntimeError(f"{head!r} {content!r}")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(content) < length:
        content += connection.recv(1 << 16)
    return content


def measure(given: argparse.Namespace) -> str:
    """Run both servers at the same time, ask them in turns, and return a section."""
    seconds, rounds = (0.5, 1) if given.quick else (2.0, 4)
    names = ["skledger"] if given.without_mlflow else ["skledger", "mlflow"]
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lines = []
    for case in CASES:
        model, requests = saved(case, folder)
        for workers in WORKERS:
            progress(f"serving: {case}, {workers} workers")
            found = {(name, rows): Figures() for name in names for rows in ROWS}
            with contextlib.ExitStack() as running:
                ports = {
                    name: running.enter_context(server(name, model, workers, folder))
                    for name in names
                }
                for at in range(rounds + 1):
                    for rows in ROWS:
                        for name in names:
                            # The first round warms up.
                            into = found[name, rows] if at else None
                            ask(ports[name], *requests[rows], seconds, into)
            lines += [_line(case, workers, rows, found) for rows in ROWS]
    there = [name for name in FASTER if importlib.util.find_spec(name)]
    return "\n".join(
        (
            "## Serving\n",
            f"Requests per second on {CONNECTIONS} connections (median of {rounds} rounds of "
            f"{seconds:g} s), and the latency that half and 99 % of the requests stay below, in "
            "ms. Both servers run at the same time and are asked in turns; every answer is "
            f"compared with the model's. Installed for both: {', '.join(there) or 'none'} of "
            f"{', '.join(FASTER)}.\n",
            *(f"- {name}: {told}" for name, told in TOLD.items()),
            "",
            table(
                (
                    "model",
                    "workers",
                    "rows",
                    "skledger req/s",
                    "MLflow req/s",
                    "ratio",
                    "skledger p50 / p99",
                    "MLflow p50 / p99",
                ),
                lines,
            ),
        )
    )


def _line(
    case: str, workers: int, rows: int, found: dict[tuple[str, int], Figures]
) -> tuple[str, ...]:
    ours, theirs = found["skledger", rows], found.get(("mlflow", rows))
    rate = median(ours.rates)
    other = median(theirs.rates) if theirs else float("nan")
    return (
        case,
        str(workers),
        f"{rows:,}",
        f"{rate:,.0f}",
        f"{other:,.0f}" if theirs else "-",
        times(rate / other),
        f"{ours.at(0.5):.1f} / {ours.at(0.99):.1f}",
        f"{theirs.at(0.5):.1f} / {theirs.at(0.99):.1f}" if theirs else "-",
    )


if __name__ == "__main__":
    main(measure)
