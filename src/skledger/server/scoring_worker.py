"""What a worker process runs: it is told what to serve on its standard input."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from typing import Any

from skledger.errors import SkledgerError
from skledger.server.scoring_app import Limits
from skledger.server.scoring_process import Served, answer_requests

__all__ = ["READY", "main"]

#: What a worker says when it answers requests. Else it says why it cannot serve this model, and to
#: start it again is of no use; one that ends without a word had an accident.
READY = b"\0"
#: The exit code of a worker that cannot serve this model.
CANNOT_SERVE = 3
#: So much of a reason fits into a pipe that nobody reads yet, in bytes.
_MOST = 4000


def main() -> None:
    """Serve until the process that started this one says so, or is gone."""
    told: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    served = Served(**{**told["served"], "limits": Limits(**told["served"]["limits"])})
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
            served,
            listening,
            told["metrics"],
            told["worker"],
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
