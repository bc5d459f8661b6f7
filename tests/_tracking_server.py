"""A real `skledger server` for the tests, as a process on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx


class TrackingServer:
    """A server process; as a context manager it has ended when the block does.

    Parameters
    ----------
    uri : str or path-like
        The tracking URI that is served.
    artifacts : str or path-like, optional
        Where uploaded files go.
    workers : int
        How many processes answer.
    port : int
        0 is any that is free.
    options : str
        Further options of the command.
    command : str
        ``"server"`` or ``"ui"``.
    folder : path-like, optional
        The current folder of the server; a temporary one when it is not given.
    env : dict, optional
        Further variables of its environment.

    Attributes
    ----------
    uri : str
        Its address, when it answers.
    client : httpx.Client
        A client of it.
    process : Popen
        The process that was started.
    """

    def __init__(
        self,
        uri,
        *options,
        artifacts=None,
        workers=1,
        port=0,
        command="server",
        folder=None,
        env=None,
    ):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="skledger-tracking-"))
        self.log = self.folder / f"tracking-{time.monotonic_ns()}.log"
        words = [sys.executable, "-m", "skledger", command, "--port", str(port)]
        if command == "ui":
            words += ["--no-browser", str(uri)]
        else:
            words += ["--backend-store-uri", str(uri), "--workers", str(workers)]
        if artifacts is not None:
            words += ["--artifacts-destination", str(artifacts)]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        self._output = self.log.open("wb")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*words, *options],
            cwd=self.folder,
            env={**kept, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self.uri = None
        self.client = None

    def __enter__(self):
        end = time.monotonic() + 120
        while self.uri is None:
            match = re.search(r"at (http://\S+)$", self.text(), re.MULTILINE)
            if match:
                self.uri = match[1]
                self.seconds = time.monotonic() - self.started
            elif self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"no server: {self.text()}")
            else:
                time.sleep(0.02)
        self.client = httpx.Client(base_url=self.uri, timeout=60)
        return self

    def __exit__(self, *_):
        if self.client is not None:
            self.client.close()
        self.stop()

    @property
    def port(self):
        """Return where it listens."""
        return int(self.uri.rpartition(":")[2])

    def text(self):
        """Return what it has printed."""
        return self.log.read_text(errors="replace")

    def stop(self, number=signal.SIGTERM):
        """Ask it to stop and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._output.close()
