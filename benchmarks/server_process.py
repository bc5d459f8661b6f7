"""Tracking servers as processes, for the benchmark of the server: ours, and MLflow's."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared import environment

#: How long a server may take to start, in seconds.
PATIENCE = 180
#: Whether the system tells which processes a process has started, and what they take.
TOLD = Path("/proc/self/stat").exists()


@dataclass
class Running:
    """A server that answers.

    Parameters
    ----------
    name : str
        ``"skledger"`` or ``"mlflow"``.
    port : int
        Where it listens.
    process : Popen
        The process that was started; those that answer may be others.
    seconds : float
        From its start until ``/health`` was answered.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]
    seconds: float

    @property
    def address(self) -> str:
        """Where its pages are."""
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> list[int]:
        """Return the bytes of each of its processes, what they share counted in parts.

        Empty where the system does not tell.
        """
        found = (_memory(process) for process in _below(self.process.pid))
        return sorted((each for each in found if each), reverse=True)

    def cpu(self) -> float:
        """Return the seconds of CPU that its processes have taken; nan if nobody tells."""
        return sum(map(_cpu, _below(self.process.pid))) if TOLD else math.nan

    def send(self, number: int) -> None:
        """Send a signal to all of its processes, the last ones first where they go on."""
        processes = _below(self.process.pid)
        for each in reversed(processes) if number == signal.SIGCONT else processes:
            with contextlib.suppress(OSError):
                os.kill(each, number)


@contextlib.contextmanager
def alone(chosen: Running, running: Sequence[Running]) -> Iterator[None]:
    """Let one of the servers work, the others pause: MLflow's takes CPU without being asked.

    With several workers for less than 5 s, after which those who watch over them end them.
    """
    others = [each for each in running if each is not chosen] if TOLD else []
    try:
        for each in others:
            each.send(signal.SIGSTOP)
        yield
    finally:
        for each in others:
            each.send(signal.SIGCONT)


@contextlib.contextmanager
def server(name: str, uri: str, workers: int, folder: Path) -> Iterator[Running]:
    """Run a server over a store, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / f"{name}-{port}.log"
    command = [sys.executable, "-m", name, "server", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    command += ["--artifacts-destination", str(folder / "files")]
    # MLflow calls uvicorn by its name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(folder), "PATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(port, process, log)
            yield Running(name, port, process, time.perf_counter() - started)
        finally:
            _stop(process)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        # Other answers than 200 are such errors, too.
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"no server: {log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a server and what it started, some of which may outlive it."""
    others = _below(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for each in others[1:]:
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    """Return a process and its descendants, as far as the system tells."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:  # it grows meanwhile
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


# -- the front-end in the package -----------------------------------------------------------------


def front_end(name: str) -> int:
    """Return the bytes of the pages' files in the installed package."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    places = {
        "skledger": (package / "server" / "pages",),
        "mlflow": (package / "server" / "js" / "build",),
    }[name]
    return sum(
        path.stat().st_size
        for place in places
        for path in place.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
