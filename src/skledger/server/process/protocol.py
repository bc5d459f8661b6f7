"""HTTP as uvicorn speaks it, for clients that may be slow or mean no good."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

__all__ = ["guarded_protocol"]

#: The largest head of a request (its first line and headers), in bytes.
_LARGEST_HEAD = 64 * 1024
#: The longest that a head may take, from the connection or the first byte on, in seconds.
_SECONDS = 30.0
#: What h11 is given at a time: it looks at the size of a head between two times only.
_PIECE = 16 * 1024
_REFUSAL = (
    b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
    b"x-content-type-options: nosniff\r\ncontent-length: %d\r\n\r\n%s"
)
_TOO_LARGE = b"the head of the request is larger than %d bytes\n" % _LARGEST_HEAD

if TYPE_CHECKING:
    _Base = Any
else:
    _Base = object


@cache
def guarded_protocol(seconds: float = _SECONDS) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, with limits on the size and the time of what comes before a body.

    uvicorn itself waits without end for a client that has connected, and httptools takes headers of
    any size.
    """
    guard: type[_Guarded]
    base: Any
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as base  # noqa: N813

        guard = _Counting
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as base  # noqa: N813

        guard = _InPieces
    return type("Guarded", (guard, base), {"seconds": seconds})


class _Guarded(_Base):  # type: ignore[misc]
    """Hangs up on a client whose head does not come in time."""

    seconds = _SECONDS
    _late: asyncio.TimerHandle | None = None
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._late = self.loop.call_later(self.seconds, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._late is None and not self._is_answering():
            self._late = self.loop.call_later(self.seconds, self._close)
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._in_time()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as uvicorn calls it; our own refusals have their answer."""
        if not self._is_refused:
            self._refuse(b"400 Bad Request", msg.encode())

    def _refuse(self, status: bytes, message: bytes) -> None:
        self._is_refused = True
        # In the middle of another answer, this one would be taken for a part of it.
        if getattr(self, "pipeline", ()) or (self._is_answering() and self.cycle.response_started):
            self._in_time()
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(_REFUSAL % (status, len(message), message))
            self._close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self._in_time()
        self.transport.close()


class _TooLargeError(Exception):
    """A head is too large; the parser stops."""


class _Counting(_Guarded):
    """Counts what httptools has told of a head, and what it has taken and not told yet."""

    _head = 0
    _untold = 0

    def data_received(self, data: bytes) -> None:
        self._untold += len(data)
        super().data_received(data)
        if self._head + self._untold > _LARGEST_HEAD and not self._is_refused:
            self._refuse_head()

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._told(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Those behind a body count as well: httptools and uvicorn keep them like the others.
        self._told(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._untold = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        super().on_message_complete()

    def _told(self, size: int) -> None:
        self._untold = 0
        self._head += size
        if self._head > _LARGEST_HEAD:
            self._refuse_head()
            raise _TooLargeError

    def _refuse_head(self) -> None:
        self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)


class _InPieces(_Guarded):
    """Gives h11, which has a limit of its own, little enough at a time for it to hold."""

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), _PIECE):
            if self._is_refused:
                return
            super().data_received(data[at : at + _PIECE])
