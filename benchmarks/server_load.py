"""Requests per second of a tracking server's API, for the benchmark of the server."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from server_pages import FILTER, METRIC
from server_store import EXPERIMENT, METRICS, PARAMS, START, WRITTEN

CONNECTIONS = 4
_SEARCHES = {
    "runs/search, the newest 100": {"max_results": 100},
    "runs/search, 100 filtered and sorted by a metric": {
        "max_results": 100,
        "filter": FILTER,
        "order_by": [f"metrics.{METRIC} DESC"],
    },
}
KINDS = ("runs/create", "runs/log-batch, 8 metrics and 5 params", *_SEARCHES)
#: Gives the body of the next request, and takes its answer.
Source = tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], None]]


class Load:
    """What one server is asked, and how many answers came.

    Parameters
    ----------
    port : int
        Where it listens.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = itertools.count()
        self._made: list[str] = []
        #: Requests per second, by their kind.
        self.rates: dict[str, list[float]] = {kind: [] for kind in KINDS}

    def ask(self, kind: str, seconds: float, *, counts: bool) -> None:
        """Ask again and again on several connections."""
        ended: list[int] = []
        failures: list[BaseException] = []
        path = kind.partition(",")[0]
        end = time.perf_counter() + seconds

        def one() -> None:
            try:
                with connected(self._port) as connection:
                    done = 0
                    while time.perf_counter() < end:
                        self._took(kind, call(connection, path, self._body(kind)))
                        done += 1
                ended.append(done)
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
        if counts:
            self.rates[kind].append(sum(ended) / (time.perf_counter() - begun))

    def first_ids(self, kind: str) -> list[str]:
        """Return the runs that one search finds."""
        with connected(self._port) as connection:
            found = json.loads(call(connection, "runs/search", self._body(kind)))
        return [run["info"]["run_id"] for run in found["runs"]]

    def _body(self, kind: str) -> bytes:
        number = next(self._numbers)
        if kind in _SEARCHES:
            return json.dumps({"experiment_ids": [EXPERIMENT], **_SEARCHES[kind]}).encode()
        if kind == "runs/create":
            tags = [{"key": f"mlflow.source.{each}", "value": each} for each in ("name", "type")]
            body: dict[str, Any] = {
                "experiment_id": WRITTEN,
                "user_id": "me",
                "start_time": START + number,
                "tags": tags,
            }
        else:
            # Each batch goes to a run of its own, as a fit's does, as long as there are some.
            body = {
                "run_id": self._made[number % len(self._made)],
                "metrics": [
                    {"key": key, "value": 0.5, "timestamp": START + number, "step": number}
                    for key in METRICS
                ],
                "params": [{"key": key, "value": key} for key in PARAMS],
            }
        return json.dumps(body).encode()

    def _took(self, kind: str, answer: bytes) -> None:
        if kind == "runs/create":
            self._made.append(json.loads(answer)["run"]["info"]["run_id"])


def connected(port: int) -> socket.socket:
    """Return a connection."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def call(connection: socket.socket, path: str, body: bytes) -> bytes:
    """Send one request of the API and return the answer's body.

    By hand, because a client of Python would take as long as the server.
    """
    head = (
        f"POST /api/2.0/mlflow/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(1 << 18)
        if not part:
            raise RuntimeError("the server hung up")
        received += part
    head, _, content = received.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise RuntimeError(f"{path}: {head!r} {content!r}")
    parts, got = [content], len(content)
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while got < length:
        part = connection.recv(1 << 18)
        if not part:
            raise RuntimeError("the server hung up")
        parts.append(part)
        got += len(part)
    return b"".join(parts)
