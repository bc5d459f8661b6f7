"""What a worker process runs: it is told its job on its standard input."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
import sys
from typing import Any

from skledger.errors import SkledgerError
from skledger.server.process.answering import answer_requests
from skledger.server.process.job import Job

__all__ = ["READY", "main"]

#: What a worker says when it answers requests. Else it says why it cannot do its job, and to
#: start it again is of no use; one that ends without a word had an accident.
READY = b"\0"
#: The exit code of a worker that cannot do its job.
CANNOT_SERVE = 3
#: So much of a reason fits into a pipe that nobody reads yet, in bytes.
_MOST = 4000


def main() -> None:
    """Answer requests until the process that started this one says so, or is gone."""
    told: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    listening = socket.socket(fileno=told["socket"])
    listening.setblocking(False)

    is_ready = False

    def ready(_: object) -> None:
        nonlocal is_ready
        is_ready = True
        os.write(told["ready"], READY)
        os.close(told["ready"])

    try:
        answer_requests(
            _job(told),
            listening,
            told["worker"],
            told["shared"],
            ready=ready,
            orphaned=True,
        )
    except SkledgerError as error:
        if is_ready:
            sys.stderr.write(f"Error: {error}\n")
        else:  # whoever started the workers says it, once for all of them
            with contextlib.suppress(OSError):
                os.write(told["ready"], error.message.encode(errors="replace")[:_MOST])
        raise SystemExit(CANNOT_SERVE) from error


def _job(told: dict[str, Any]) -> Job:
    module, _, name = told["kind"].partition(":")
    job: Job = getattr(importlib.import_module(module), name).from_told(told["job"])
    return job
