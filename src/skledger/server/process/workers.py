"""Several processes that answer requests on one port, and the one that looks after them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from skledger.errors import SkledgerError
from skledger.server.process.job import Job
from skledger.server.process.worker import READY

__all__ = ["serve_with_workers"]

# The path of imports is that of this process, whatever it was started from.
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop()); "
    "from skledger.server.process.worker import main; main()"
)
#: Between two looks at the workers, in seconds.
_LOOK = 0.1
#: A worker that ends sooner than that after its start has a fault, in seconds.
_SOON = 2.0
#: How long a worker that is told to cut off what is under way may take for that, in seconds.
_CUT = 2.0
#: So many times in a row it is started again.
_TRIES = 5
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Worker:
    """A worker process; it ends when this process does."""

    def __init__(self, job: Job, listening: socket.socket, shared: int, at: int) -> None:
        self.started = time.monotonic()
        self.ready, told = os.pipe()
        self.is_ready = False
        #: Why it cannot do its job, when it said so.
        self.refusal = ""
        numbers = (listening.fileno(), told, shared)
        with _without_interrupts():
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                pass_fds=numbers,
                env=_environment(job.workers),
            )
        os.close(told)
        order = {
            "kind": f"{type(job).__module__}:{type(job).__qualname__}",
            "job": job.told(),
            "socket": numbers[0],
            "ready": numbers[1],
            "shared": shared,
            "worker": at,
        }
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()

    def look(self, seconds: float) -> bool:
        """Wait until it answers requests, at the longest for so long; tell whether it does."""
        if not self.is_ready and not self.refusal:
            found, _, _ = select.select([self.ready], [], [], seconds)
            if found:
                said = os.read(self.ready, 1 << 16)
                self.is_ready = said == READY
                if not self.is_ready:  # it has ended; its code says so, soon
                    self.refusal = said.decode(errors="replace")
                    time.sleep(min(seconds, _LOOK))
        return self.is_ready

    def close(self) -> None:
        """Let go of what belongs to a process that has ended."""
        os.close(self.ready)
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


def serve_with_workers(job: Job, listening: socket.socket, *, ready: Callable[[], None]) -> None:
    """Have several processes answer requests, until SIGTERM or SIGINT.

    A worker that dies is replaced. Each makes its application for itself.

    Parameters
    ----------
    job : Job
        What they do, and how many there shall be.
    listening : socket
        Where requests come in.
    ready : callable
        Called when all of them answer.

    Raises
    ------
    SkledgerError
        They cannot do their job, or die again and again.
    KeyboardInterrupt
        SIGINT came before all of them answered.
    """
    if os.name == "nt":
        raise SkledgerError("several workers are not possible on Windows; leave out --workers.")
    # A file without a name leaves nothing behind, however this process ends.
    with tempfile.TemporaryFile() as file, _signals() as stopped:
        file.truncate(job.shared_size)
        shared = file.fileno()
        workers = [_Worker(job, listening, shared, at) for at in range(job.workers)]
        try:
            _look_after(workers, stopped, ready, job, listening, shared)
        finally:
            listening.close()  # else new connections would wait for nobody
            _stop(workers, stopped, job.grace + 5)


def _look_after(
    workers: list[_Worker],
    stopped: list[int],
    ready: Callable[[], None],
    job: Job,
    listening: socket.socket,
    shared: int,
) -> None:
    failures, is_told = 0, False
    while not stopped:
        waiting = [each for each in workers if not each.is_ready]
        if waiting:
            waiting[0].look(_LOOK)
        else:
            if not is_told:
                is_told = True
                ready()
            time.sleep(_LOOK)
        for at, each in enumerate(workers):
            code = each.process.poll()
            if code is None or stopped:
                continue
            failures = failures + 1 if time.monotonic() - each.started < _SOON else 1
            was_ready = each.look(0)
            if each.refusal:
                anymore = " Nothing is served any more." if is_told else ""
                raise SkledgerError(f"{each.refusal}{anymore}")
            # One that has answered died of what it was asked; the next may be asked other things.
            if failures > _TRIES or not (is_told or was_ready):
                raise SkledgerError(
                    f"a worker ended with {_code_text(code)}; see above what it says. Nothing is "
                    "served any more."
                )
            sys.stderr.write(f"A worker ended with {_code_text(code)}; another takes its place.\n")
            each.close()
            workers[at] = _Worker(job, listening, shared, at)
    if not is_told and stopped[0] == signal.SIGINT:
        raise KeyboardInterrupt


def _code_text(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _stop(workers: list[_Worker], stopped: list[int], seconds: float) -> None:
    """End the workers; they finish what is under way, unless somebody asks a second time."""
    asked = max(len(stopped), 1)
    for each in workers:
        each.process.terminate()
    end = time.monotonic() + seconds
    while any(each.process.poll() is None for each in workers):
        if len(stopped) > asked:
            # They cut off what is under way, and clear up behind it.
            asked, end = sys.maxsize, time.monotonic() + _CUT
            for each in workers:
                each.process.terminate()
        if time.monotonic() > end:
            for each in workers:
                each.process.kill()
        time.sleep(0.02)
    for each in workers:
        each.close()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Give a list that grows with each signal to stop."""
    stopped: list[int] = []

    def note(number: int, _: Any) -> None:
        stopped.append(number)

    before = {each: signal.signal(each, note) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Have a process that is started in here never notice Ctrl-C, not even while Python starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment(workers: int) -> dict[str, str]:
    """Return the variables of a worker: all of them together use each core once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    share = str(max(1, (cores or 1) // workers))
    return {**dict.fromkeys(_THREADS, share), **os.environ}
