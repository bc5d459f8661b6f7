"""A real `skledger models serve` for the tests, and a client that speaks to it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx


class ScoringServer:
    """A server process; as a context manager it has ended when the block does.

    Attributes
    ----------
    uri : str
        Its address.
    process : Popen
        The process that was started.
    """

    def __init__(self, model, folder, *options, env=None):
        self.log = Path(folder) / f"serve-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "skledger", "models", "serve", "-m", str(model), "-p", "0"]
        self._output = self.log.open("wb")
        self.process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
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
            elif self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"no server: {self.text()}")
            else:
                time.sleep(0.05)
        self.client = httpx.Client(base_url=self.uri, timeout=60)
        return self

    def __exit__(self, *_):
        if self.client is not None:
            self.client.close()
        self.stop()

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

    def post(self, body, kind="application/json", path="/invocations", **headers):
        """Send a body, JSON unless it is text or bytes; return the answer."""
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        named = {"content-type": kind} if kind else {}
        named |= {name.replace("_", "-"): each for name, each in headers.items()}
        return self.client.post(path, content=content, headers=named)

    def predictions(self, body, **options):
        """Return the predictions for a body."""
        answer = self.post(body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"]

    def refusal(self, body, **options):
        """Return the error of a body that cannot be taken."""
        answer = self.post(body, **options)
        assert answer.status_code == 400, (answer.status_code, answer.text)
        return answer.json()

    def metrics(self):
        """Return the counters by name."""
        lines = self.client.get("/metrics").text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}
