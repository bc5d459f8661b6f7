"""One process that answers requests: listens, and stops when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from skledger.server.process.listening import BACKLOG
from skledger.server.process.protocol import guarded_protocol

if TYPE_CHECKING:
    import uvicorn

    from skledger.server.process.job import Job

__all__ = ["answer_requests"]

#: Files and connections that a process may have open, where the system allows that.
_CONNECTIONS = 65536
#: How long a connection without a request is kept, in seconds.
_IDLE = 75


def answer_requests(
    job: Job,
    listening: socket.socket,
    worker: int = 0,
    shared: int | None = None,
    *,
    ready: Callable[[Any], None],
    orphaned: bool = False,
) -> None:
    """Answer requests until SIGTERM or SIGINT; those under way are finished.

    Parameters
    ----------
    job : Job
        What answers them.
    listening : socket
        Where requests come in.
    worker : int
        Which of the workers this is.
    shared : int, optional
        The descriptor of the file that all workers write to.
    ready : callable
        Called with the application when requests are answered.
    orphaned : bool, default=False
        Also stop when the standard input ends, since whoever started this process is gone then.

    Raises
    ------
    KeyboardInterrupt
        SIGINT came before requests were answered.
    """
    _allow_connections()
    with job.application(worker, shared) as app:
        server = _server(app, job.grace)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            interrupted = runner.run(_serve(server, listening, lambda: ready(app), orphaned))
    if interrupted:
        raise KeyboardInterrupt


def _allow_connections() -> None:
    """Have as many connections at the same time as the system lets this process have."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS if most == resource.RLIM_INFINITY else min(most, _CONNECTIONS)
    with contextlib.suppress(OSError, ValueError):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _server(app: Any, grace: float) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they are ours: a server that was asked to stop has not failed

    config = uvicorn.Config(
        app,
        lifespan="off",
        interface="asgi3",
        http=guarded_protocol(),
        ws="none",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        # What a proxy says about its clients is not taken from just anybody.
        proxy_headers=False,
        # One connection is accepted at a time, so that other workers get theirs.
        backlog=1,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=int(grace),
    )
    return Server(config)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return how the faster loop is made, where it is installed."""
    try:
        factory: Any = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", factory)


async def _serve(
    server: uvicorn.Server, listening: socket.socket, ready: Callable[[], None], orphaned: bool
) -> bool:
    """Answer requests until a signal comes; tell whether that was Ctrl-C before there were any."""
    loop = asyncio.get_running_loop()

    is_ready = interrupted = False

    def stop(number: int | None = None) -> None:
        nonlocal interrupted
        interrupted = interrupted or (number == signal.SIGINT and not is_ready)
        # Asked twice, it does not wait for answers any more.
        server.force_exit = server.should_exit
        server.should_exit = True

    def from_outside(number: int | None = None, _: Any = None) -> None:
        loop.call_soon_threadsafe(stop, number)

    for each in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(each, stop, each)
        except (NotImplementedError, RuntimeError):  # Windows
            signal.signal(each, from_outside)
    if orphaned:
        # A worker is only told to stop by the process that started it, not by Ctrl-C.
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_until_alone, args=(from_outside,), daemon=True).start()

    async def told() -> None:
        nonlocal is_ready
        while not server.started and not server.should_exit:
            await asyncio.sleep(0.005)
        if server.started:
            listening.listen(BACKLOG)
            is_ready = True
            ready()

    task = asyncio.ensure_future(told())
    await server.serve(sockets=[listening])
    await task
    return interrupted


def _until_alone(stop: Callable[[], None]) -> None:
    with contextlib.suppress(OSError, ValueError):
        # Not by sys.stdin, whose lock a thread must not hold when Python ends.
        while os.read(0, 1024):
            pass
    with contextlib.suppress(RuntimeError):
        stop()
