"""A real MLflow tracking server for the tests.

`mlflow_server` is one for all tests, and for all processes of pytest-xdist: whoever asks first
starts it. Its experiments are shared; make one of a name of your own. `MlflowServer` is one of
your own, which can be stopped and started again at the same address.

A server never outlives the tests: its guard ends it when no process that registered is left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

#: Starts the server, waits until none of the processes in a file is left, ends the server.
GUARD = """
import os, signal, subprocess, sys, time
users, log, *command = sys.argv[1:]
server = subprocess.Popen(command, stdout=open(log, "ab"), stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, start_new_session=True)
def alive(pid):
    try:
        os.kill(int(pid), 0)
        return True
    except (OSError, ValueError):
        return False
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
while not stopped and server.poll() is None and any(map(alive, open(users).read().split())):
    time.sleep(0.2)
for sent in (signal.SIGTERM, signal.SIGKILL):
    try:
        os.killpg(server.pid, sent)
        server.wait(5)
    except (OSError, subprocess.TimeoutExpired):
        pass
"""


def free_port():
    """Return a port nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class MlflowServer:
    """A server with a database and artifacts in a folder.

    Attributes
    ----------
    uri : str
        Its address; the same after `stop` and `start`.
    artifacts : Path
        Where it keeps the artifacts it serves.
    database : Path
        Its SQLite file.
    """

    def __init__(self, folder, *options, port=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.artifacts = self.folder / "artifacts"
        self.database = self.folder / "mlflow.db"
        self.users = self.folder / "users"
        self.port = port or free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.options = options
        self._guard = None

    def start(self):
        """Start it and wait until it answers (about ten seconds)."""
        self.join()
        command = [sys.executable, "-m", "mlflow", "server"]
        command += ["--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--artifacts-destination", str(self.artifacts), *self.options]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "SKLEDGER_"))}
        self._guard = subprocess.Popen(
            [sys.executable, "-c", GUARD, str(self.users), str(self.folder / "log"), *command],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.wait()
        return self

    def wait(self, seconds=120):
        """Wait until it answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.answers():
                return
            if self._guard is not None and self._guard.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"no MLflow server: {(self.folder / 'log').read_text()[-2000:]}")

    def answers(self):
        """Tell whether it is there."""
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        """End it; `start` brings it back at the same address with what it had."""
        if self._guard is not None:
            with contextlib.suppress(OSError):
                os.kill(self._guard.pid, signal.SIGTERM)
            self._guard.wait(20)
            self._guard = None

    def join(self):
        """Keep it alive as long as this process lives, or until `leave`."""
        with self.users.open("a") as file:
            file.write(f"{os.getpid()}\n")

    def leave(self):
        """Let it end as far as this process goes."""
        rest = [pid for pid in self.users.read_text().split() if pid != str(os.getpid())]
        self.users.write_text("".join(f"{pid}\n" for pid in rest))


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory):
    """A tracking server that serves its artifacts, shared by all tests; see `MlflowServer`."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    folder = base / "mlflow-server"
    folder.mkdir(exist_ok=True)
    with locked(folder / "lock"):
        told = folder / "port"
        if told.exists():
            server = MlflowServer(folder, port=int(told.read_text()))
            server.join()
        else:
            server = MlflowServer(folder)
            server.start()
            told.write_text(str(server.port))
        if not server.answers():
            # All its users had gone, and it with them.
            server.start()
    yield server
    with locked(folder / "lock"):
        server.leave()


@contextlib.contextmanager
def locked(path):
    """Keep the other processes out."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
