"""How much may be sent, and how slowly."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from skledger.server.security.refusing import header_of, refuse

if TYPE_CHECKING:
    from skledger.server.process.job import ASGIApp, Message, Receive, Scope, Send
    from skledger.server.settings import ServerSettings

__all__ = ["Bodies", "is_upload"]

#: Paths that take a file; all others take JSON or a form.
_UPLOAD = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts/.*")
#: A client that goes on sending what is too large is listened to for so long, in seconds.
_PATIENCE = 5.0
#: Bodies that a worker holds at the same time, in sizes of the largest.
_HELD = 4
_CLOSE = (b"connection", b"close")


def is_upload(scope: Scope) -> bool:
    """Tell whether the body of a request is a file, which is passed on as it comes."""
    return scope["method"] in ("PUT", "POST") and _UPLOAD.fullmatch(scope["path"]) is not None


class _Refused(Exception):  # noqa: N818 - an answer, no failure
    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class Bodies:
    """Receives bodies before a handler is called, and cuts uploads off that become too large.

    So handlers meet whole bodies that are within their limits, and none of them waits for a client.

    Parameters
    ----------
    app : ASGI application
        What answers.
    settings : ServerSettings
        Its `max_body`, `max_upload` and `body_seconds`.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._limit = settings.max_body
        self._upload_limit = settings.max_upload
        self._seconds = settings.body_seconds
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        told = _told(headers)
        if told == 0 and b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
        elif is_upload(scope):
            await self._upload(scope, receive, send, told)
        else:
            await self._whole(scope, receive, send, told)

    # -- bodies that are read before ---------------------------------------------------------------

    async def _whole(self, scope: Scope, receive: Receive, send: Send, told: int) -> None:
        body = bytearray()
        try:
            await self._read(scope, receive, body, told)
        except _Refused as refused:
            self._held -= len(body)
            await refuse(scope, send, refused.status, str(refused), *refused.headers)
            return
        except _GoneError:
            self._held -= len(body)
            return
        size = len(body)
        messages: list[Message] = [
            {"type": "http.request", "body": bytes(body), "more_body": False}
        ]
        body.clear()

        async def receive_again() -> Message:
            return messages.pop() if messages else await receive()

        try:
            await self._app(scope, receive_again, send)
        finally:
            self._held -= size

    async def _read(self, scope: Scope, receive: Receive, body: bytearray, told: int) -> None:
        if told > self._limit:
            if header_of(scope, b"expect") is None:  # else the client waits for our word
                await _drain(receive, 8 * self._limit)
            raise self._too_large()
        if self._held + told > _HELD * self._limit:
            raise _busy()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    part = message.get("body", b"")
                    self._held += len(part)
                    body += part
                    more = message.get("more_body", False)
                    if len(body) > self._limit:
                        if more:
                            await _drain(receive, 8 * self._limit)
                        raise self._too_large()
                    if not more:
                        return
                    if self._held > _HELD * self._limit:
                        raise _busy()
        except TimeoutError:
            message_ = f"the body has not come within {self._seconds:g} s."
            raise _Refused(408, message_, _CLOSE) from None

    def _too_large(self) -> _Refused:
        return _Refused(
            413,
            f"the body is larger than {self._limit:,} bytes. Send less at a time, or start the "
            "server with a larger --max-body.",
            _CLOSE,
        )

    # -- files, passed on as they come -------------------------------------------------------------

    async def _upload(self, scope: Scope, receive: Receive, send: Send, told: int) -> None:
        refusal: _Refused | None = None
        if self._upload_limit and told > self._upload_limit:
            if header_of(scope, b"expect") is None:
                await _drain(receive, 2 * self._upload_limit)
            refusal = self._upload_too_large()
            await refuse(scope, send, refusal.status, str(refusal), *refusal.headers)
            return
        taken = 0

        async def receive_some() -> Message:
            """Give the next part; a client that must not go on seems to have gone."""
            nonlocal taken, refusal
            if refusal is not None:
                return {"type": "http.disconnect"}
            try:
                async with asyncio.timeout(self._seconds):
                    message = await receive()
            except TimeoutError:
                refusal = _Refused(
                    408, f"nothing of the file has come for {self._seconds:g} s.", _CLOSE
                )
                return {"type": "http.disconnect"}
            taken += len(message.get("body", b""))
            if self._upload_limit and taken > self._upload_limit:
                refusal = self._upload_too_large()
                return {"type": "http.disconnect"}
            return message

        has_started = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal has_started
            if refusal is None or has_started:
                has_started = True
                await send(message)

        try:
            await self._app(scope, receive_some, send_unless_refused)
        except Exception:
            # What a handler makes of a client that has gone; its own failures are passed on.
            if refusal is None:
                raise
        if refusal is not None and not has_started:
            await _drain(receive, 2 * self._upload_limit)
            await refuse(scope, send, refusal.status, str(refusal), *refusal.headers)

    def _upload_too_large(self) -> _Refused:
        return _Refused(
            413,
            f"the file is larger than {self._upload_limit:,} bytes; to take larger ones, start the "
            "server with a larger --max-upload.",
            _CLOSE,
        )


class _GoneError(Exception):
    """The client has hung up."""


def _busy() -> _Refused:
    message = "the server is busy: there are too many large requests. Try again later."
    return _Refused(503, message, (b"retry-after", b"1"), _CLOSE)


def _told(headers: Mapping[bytes, bytes]) -> int:
    with contextlib.suppress(ValueError):
        return int(headers.get(b"content-length", b"0"))
    return 0


async def _drain(receive: Receive, limit: int) -> None:
    """Take what is still sent, for a while: most clients read no answer before they have sent."""
    taken = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while taken <= limit:
                message = await receive()
                taken += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
