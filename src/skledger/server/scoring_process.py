"""One process that answers requests: loads the model, listens, and stops when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from skledger.errors import ModelError, StoreError
from skledger.models.verified import ModelFolder
from skledger.server.scoring import Scorer, load_scorer
from skledger.server.scoring_app import Limits, ScoringApp
from skledger.server.scoring_metrics import Metrics
from skledger.server.scoring_page import docs_page

if TYPE_CHECKING:
    import uvicorn

__all__ = ["Served", "answer_requests", "listen", "require_uvicorn"]

#: Connections that wait to be accepted.
_BACKLOG = 1024
#: How long a connection without a request is kept, in seconds.
_IDLE = 75
#: Longer than the longest request, for its answer to get away, in seconds.
_LAST_ANSWERS = 5


@dataclass(frozen=True, slots=True)
class Served:
    """A model to be served, as every worker is told it.

    Parameters
    ----------
    uri : str
        What was asked for, without a password.
    address : str
        Of the server, such as ``http://127.0.0.1:5000``.
    folder : str
        The model folder, on this machine.
    digests : dict or None
        What its files must hash to.
    refusal : str or None
        Without digests: why no code in it may run.
    trusted : list of str
        Types that a file of the format skops may have.
    allow_pickle : bool
        Whether a model may run code when it is loaded.
    mmap_mode : {"r", "c"} or None
        Map the arrays of a model in the format joblib, so that workers share them.
    limits : Limits
        What a worker takes on.
    workers : int
        How many there are.
    """

    uri: str
    address: str
    folder: str
    digests: Mapping[str, str] | None
    refusal: str | None
    trusted: list[str] = field(default_factory=list)
    allow_pickle: bool = True
    mmap_mode: str | None = None
    limits: Limits = field(default_factory=Limits)
    workers: int = 1

    def load(self) -> Scorer:
        """Load the model, after its files were compared with their digests."""
        return load_scorer(
            Path(self.folder),
            digests=self.digests,
            refusal=self.refusal,
            trusted=self.trusted,
            allow_pickle=self.allow_pickle,
            mmap_mode=self.mmap_mode,
        )


def require_uvicorn() -> None:
    """Raise unless what serving needs is installed."""
    try:
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ModelError(
            "to serve models, uvicorn is needed, which is not installed here: "
            "pip install 'skledger[serve]'"
        ) from error


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any free one.

    Raises
    ------
    StoreError
        The port is taken, or there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, where = found[0]
        # asyncio sends small answers at once only where the protocol is named.
        listening = socket.socket(family, kind, protocol)
        # What a server left behind that has ended does not keep the port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(where)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise StoreError(
            f"cannot listen on {host!r}, port {port}: {error.strerror or error}. Another program "
            "may be there; choose another with -p."
        ) from error
    listening.setblocking(False)
    return listening


def answer_requests(
    served: Served,
    listening: socket.socket,
    metrics_file: int | None = None,
    worker: int = 0,
    *,
    ready: Callable[[Scorer], None],
    orphaned: bool = False,
) -> None:
    """Load the model and answer requests until SIGTERM or SIGINT; those under way are finished.

    Parameters
    ----------
    served : Served
        The model, and what is taken on.
    listening : socket
        Where requests come in.
    metrics_file : int, optional
        The descriptor of the file that the workers count in together.
    worker : int
        Which of them this is.
    ready : callable
        Called with the model when requests are answered.
    orphaned : bool, default=False
        Also stop when the standard input ends, since whoever started this process is gone then.

    Raises
    ------
    KeyboardInterrupt
        SIGINT came before requests were answered.
    """
    scorer = served.load()
    folder = ModelFolder(Path(served.folder), served.digests, served.refusal)
    page = docs_page(scorer, folder, served.uri, served.address, served.limits.seconds)
    labels = {"uri": served.uri, "estimator": scorer.kind}
    if scorer.model.model_id:
        labels["model_id"] = scorer.model.model_id
    metrics = Metrics(metrics_file, worker, served.workers, labels)
    app = ScoringApp(scorer, page, metrics, served.limits)
    server = _server(app, served.limits)
    runner = asyncio.Runner(loop_factory=_loop_factory())
    with runner:
        interrupted = runner.run(_serve(server, listening, lambda: ready(scorer), orphaned))
    if interrupted:
        raise KeyboardInterrupt


def _server(app: Any, limits: Limits) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they are ours: a server that was asked to stop has not failed

    config = uvicorn.Config(
        app,
        lifespan="off",
        interface="asgi3",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        # One connection is accepted at a time, so that other workers get theirs.
        backlog=1,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=int(limits.seconds) + _LAST_ANSWERS,
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
            listening.listen(_BACKLOG)
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
