"""The server's paths and limits, as an ASGI application."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from skledger import __version__
from skledger._guard import say
from skledger.errors import InvalidParameterError
from skledger.server.scoring.metrics import Metrics
from skledger.server.scoring.scorer import Answer, Scorer
from skledger.server.scoring.threads import Threads

__all__ = ["Limits", "ScoringApp"]

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON, _TEXT = b"application/json", b"text/plain; charset=utf-8"
_HTML = b"text/html; charset=utf-8"
#: Nothing of a page may load or run anything.
_POLICY = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
#: A client that goes on sending what is too large is listened to for so long, in seconds.
_PATIENCE = 5.0
#: Bodies that are held at the same time, in sizes of the largest.
_HELD = 4
_CODES = {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 500: "INTERNAL_ERROR"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker takes on.

    Parameters
    ----------
    body : int
        The largest body, in bytes, also after it was unpacked.
    seconds : float
        The longest a request may take, from its first byte to its answer.
    threads : int
        How many predictions run at the same time.
    waiting : int
        How many requests may be under way at the same time, those included that wait for a thread.
    """

    body: int = 64 * 1024 * 1024
    seconds: float = 60.0
    threads: int = 4
    waiting: int = 256


class _Refused(Exception):  # noqa: N818 - an answer, no failure
    """A request that gets another answer than predictions."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class ScoringApp:
    """Answers requests with the predictions of one model.

    Parameters
    ----------
    scorer : Scorer
        The model.
    page : bytes
        What ``/docs`` shows.
    metrics : Metrics
        What is counted.
    limits : Limits
        What is taken on.
    """

    def __init__(self, scorer: Scorer, page: bytes, metrics: Metrics, limits: Limits) -> None:
        self.scorer = scorer
        self.page = page
        self.metrics = metrics
        self.limits = limits
        self._threads = Threads(limits.threads)
        self._free = asyncio.Semaphore(limits.threads)
        self._under_way = 0
        self._held = 0
        self._overdue = 0

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # websockets, of which there are none here
            await receive()
            await send({"type": "websocket.close"})
            return
        path, method = scope["path"], scope["method"]
        if path == "/invocations":
            await self._invocation(scope, receive, send)
        elif path not in ("/", "/ping", "/health", "/version", "/metrics", "/docs"):
            known = "/invocations, /ping, /health, /version, /metrics and /docs"
            await _send_error(send, 404, f"there is nothing at {path!r}; there are {known}.")
        elif method not in ("GET", "HEAD"):
            message = f"{path} takes GET, not {method}."
            await _send_error(send, 405, message, (b"allow", b"GET, HEAD"))
        elif path in ("/ping", "/health"):
            await self._health(send)
        elif path == "/version":
            await _send(send, 200, __version__.encode(), _TEXT)
        elif path == "/metrics":
            kind = b"text/plain; version=0.0.4; charset=utf-8"
            await _send(send, 200, self.metrics.text().encode(), kind)
        elif path == "/docs":
            await _send(send, 200, self.page, _HTML, _POLICY)
        else:
            await _send(send, 307, b"", _TEXT, (b"location", b"/docs"))

    async def _health(self, send: _Send) -> None:
        if self._overdue >= self.limits.threads:
            message = "every thread is busy with a prediction that takes longer than it may."
            await _send_error(send, 503, message)
            return
        await _send(send, 200, b"OK\n", _TEXT)

    # -- /invocations ------------------------------------------------------------------------------

    async def _invocation(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        begun = self.metrics.begin()
        body = bytearray()
        status, content, held = 500, b"", 0
        headers: tuple[tuple[bytes, bytes], ...] = ()
        self._under_way += 1
        try:
            answer = await self._answered(scope, receive, body, begun)
            status, content = 200, answer.content
        except _Refused as refused:
            status, headers = refused.status, refused.headers
            content = _error(status, str(refused))
        except InvalidParameterError as error:
            status, content = 400, _error(400, error.message, getattr(error, "field", None))
        except _GoneError:
            status = 400
            return
        except Exception as error:  # noqa: BLE001 - whatever the model's own code raises
            status, content = 500, _error(500, f"{error}" or type(error).__name__)
            say(logging.ERROR, "skledger: a request failed: %s", error, exc_info=error)
        finally:
            held = len(body)
            self._held -= held
            self._under_way -= 1
            self.metrics.end(begun, status, held, len(content))
        await _send(send, status, content, _JSON, *headers)

    async def _answered(
        self, scope: _Scope, receive: _Receive, body: bytearray, begun: float
    ) -> Answer:
        if scope["method"] != "POST":
            message = f"/invocations takes POST, not {scope['method']}."
            raise _Refused(405, message, (b"allow", b"POST"))
        headers = dict(scope["headers"])
        kind, encoding = _kind_of(headers)
        method = _method_of(scope)
        await self._read(headers, receive, body, begun)
        packed = headers.get(b"content-encoding", b"identity").strip().lower()
        if packed not in (b"identity", b"gzip"):
            message = f"the body is packed by {_shown(packed)}; expected gzip or nothing."
            raise _Refused(415, message)
        work = partial(self._work, kind, encoding, method, packed == b"gzip", body)
        return await self._in_thread(work, begun)

    def _work(
        self, kind: str, encoding: str, method: str | None, is_packed: bool, body: bytearray
    ) -> tuple[Answer, float]:
        start = time.perf_counter()
        content: bytes | bytearray = _unpacked(body, self.limits.body) if is_packed else body
        if kind == "csv":
            answer = self.scorer.answer_csv(content, method, encoding)
        else:
            answer = self.scorer.answer_json(content, method)
        return answer, time.perf_counter() - start

    async def _read(
        self,
        headers: dict[bytes, bytes],
        receive: _Receive,
        body: bytearray,
        begun: float,
    ) -> None:
        """Receive the body, as long as it is within its limits."""
        if self._under_way > self.limits.waiting:
            raise _busy(f"{self._under_way - 1} requests are under way")
        told = int(headers.get(b"content-length", b"0"))
        if told > self.limits.body:
            if b"expect" not in headers:  # else the client waits for our word
                await _drain(receive, 8 * self.limits.body)
            raise self._too_large()
        if self._held + told > _HELD * self.limits.body:
            raise _busy("there are too many large requests")
        try:
            async with asyncio.timeout_at(self._due(begun)):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    part = message.get("body", b"")
                    self._held += len(part)
                    body += part
                    if len(body) > self.limits.body:
                        if message.get("more_body", False):
                            await _drain(receive, 8 * self.limits.body)
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            raise _Refused(
                408,
                f"the body has not come within {self.limits.seconds:g} s.",
                (b"connection", b"close"),
            ) from None

    def _due(self, begun: float) -> float:
        passed = time.perf_counter() - begun
        return asyncio.get_running_loop().time() + self.limits.seconds - passed

    def _too_large(self) -> _Refused:
        message = (
            f"the body is larger than {self.limits.body:,} bytes. Send fewer rows at a time, or "
            "start the server with a larger --max-body."
        )
        return _Refused(413, message, (b"connection", b"close"))

    async def _in_thread(self, work: Callable[[], tuple[Answer, float]], begun: float) -> Answer:
        """Have it done by a thread as soon as one is free; a thread that is late is left alone."""
        due = self._due(begun)
        try:
            async with asyncio.timeout_at(due):
                await self._free.acquire()
        except TimeoutError:
            seconds = self.limits.seconds
            raise _busy(f"no thread became free within {seconds:g} s") from None
        late: list[bool] = []
        future = self._threads.run(work)

        def done(_: Any) -> None:
            self._free.release()
            self._overdue -= len(late)

        future.add_done_callback(done)
        finished, _ = await asyncio.wait(
            (future,), timeout=max(due - asyncio.get_running_loop().time(), 0)
        )
        if not finished:
            late.append(True)
            self._overdue += 1
            # Nobody waits for it any more; what it raises is not to be complained about.
            future.add_done_callback(lambda each: each.cancelled() or each.exception())
            raise _Refused(504, f"the model took longer than {self.limits.seconds:g} s.")
        answer, seconds = future.result()
        self.metrics.predicted(answer.rows, seconds)
        return answer


class _GoneError(Exception):
    """The client has hung up."""


def _busy(why: str) -> _Refused:
    return _Refused(503, f"the server is busy: {why}. Try again later.", (b"retry-after", b"1"))


def _kind_of(headers: dict[bytes, bytes]) -> tuple[str, str]:
    """Return what a body is, ``json`` or ``csv``, and its encoding."""
    given = headers.get(b"content-type", b"")
    name, _, rest = given.decode("latin-1").partition(";")
    options = {
        key.strip().lower(): value.strip().strip('"').lower()
        for key, _, value in (each.partition("=") for each in rest.split(";"))
    }
    encoding = options.get("charset", "utf-8")
    name = name.strip().lower()
    if name == "text/csv":
        return "csv", encoding
    if name == "application/json" and encoding in ("utf-8", "utf8"):
        return "json", encoding
    raise _Refused(
        415,
        f"the content type is {_shown(given)}; expected application/json (as UTF-8) or text/csv. "
        "With curl: -H 'Content-Type: application/json'.",
    )


def _shown(given: bytes) -> str:
    return repr(given.decode("latin-1")) if given else "missing"


def _method_of(scope: _Scope) -> str | None:
    """Return the method of the model that the address names."""
    query: bytes = scope.get("query_string", b"")
    if not query:
        return None
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    unknown = sorted(set(given) - {"predict_method"})
    if unknown:
        raise InvalidParameterError(
            f"the address has {unknown[0]!r} behind the question mark; expected predict_method."
        )
    return given["predict_method"][-1] if given else None


def _unpacked(body: bytearray, limit: int) -> bytes:
    """Return what was packed by gzip, as long as it is not larger than it may be."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidParameterError(f"the body is not packed by gzip: {error}.") from error
    if len(content) > limit:
        raise _Refused(413, f"the body is larger than {limit:,} bytes when it is unpacked.")
    if not unpacking.eof:
        raise InvalidParameterError("the body, packed by gzip, ends too early.")
    return content


async def _drain(receive: _Receive, limit: int) -> None:
    """Take what is still sent, for a while: most clients read no answer before they have sent."""
    taken = 0
    try:
        async with asyncio.timeout(_PATIENCE):
            while taken <= limit:
                message = await receive()
                taken += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        pass


def _error(status: int, message: str, field: str | None = None) -> bytes:
    told = {"error_code": _CODES.get(status, "TEMPORARILY_UNAVAILABLE"), "message": message}
    if status in (405, 408, 413, 415):
        told["error_code"] = "BAD_REQUEST"
    if field is not None:
        told["field"] = field
    return json.dumps(told).encode()


async def _send_error(
    send: _Send, status: int, message: str, *headers: tuple[bytes, bytes]
) -> None:
    await _send(send, status, _error(status, message), _JSON, *headers)


async def _send(
    send: _Send, status: int, content: bytes, kind: bytes, *headers: tuple[bytes, bytes]
) -> None:
    start = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(content)),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": content})
