"""Files as answers: piece by piece, in ranges, and never run by a browser in the server's name."""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from skledger.server.artifact_files import ServedFile

__all__ = ["SAFE_HEADERS", "FileResponse", "StreamResponse", "media_type"]

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
#: What a user uploaded is shown or saved, not run.
SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
}
#: As text, which no browser runs.
_TEXTS = frozenset(
    ".html .htm .xhtml .svg .xml .js .mjs .json .yaml .yml .txt .md .csv .tsv .py .log .toml .ini "
    ".cfg .jsonl .css .sh".split()
)
_PLAIN_NAMES = frozenset(("MLmodel", "MLproject"))
_BINARY = "application/octet-stream"


def media_type(name: str) -> str:
    """Return the type under which a file may be sent: text as plain text, pictures as they are."""
    if name in _PLAIN_NAMES or os.path.splitext(name)[1].lower() in _TEXTS:  # noqa: PTH122
        return "text/plain"
    guessed = mimetypes.guess_type(name)[0] or _BINARY
    if guessed.startswith("text/"):
        return "text/plain"
    return guessed if guessed.startswith(("image/", "audio/", "video/")) else _BINARY


class FileResponse(Response):
    """A file, whole or the range that was asked for.

    Parameters
    ----------
    file : ServedFile
        Closed when the answer is sent, or the client has gone.
    """

    def __init__(self, file: ServedFile) -> None:
        self._file = file
        super().__init__(None, 200, SAFE_HEADERS, media_type(file.name))
        del self.headers["content-length"]
        self.headers["content-disposition"] = f"attachment; filename*=UTF-8''{_quoted(file.name)}"
        self.headers["accept-ranges"] = "bytes"
        if file.modified is not None:
            self.headers["last-modified"] = formatdate(file.modified, usegmt=True)
            self.headers["etag"] = f'"{int(file.modified * 1e6):x}-{file.size:x}"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            start, size = self._asked(scope)
            self.headers["content-length"] = str(size)
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            if scope["method"] == "HEAD" or not size:
                await send({"type": "http.response.body", "body": b""})
                return
            await self._send_range(send, start, size)
        finally:
            await anyio.to_thread.run_sync(self._file.close)

    async def _send_range(self, send: Send, start: int, size: int) -> None:
        while size > 0:
            chunk = await anyio.to_thread.run_sync(self._file.read_range, start, min(_CHUNK, size))
            if not chunk:  # it has become shorter: break off, so that the client notices
                raise RuntimeError(f"{self._file.name!r} became shorter while it was sent")
            start += len(chunk)
            size -= len(chunk)
            more = size > 0
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    def _asked(self, scope: Scope) -> tuple[int, int]:
        """Return where to begin and how much to send; sets the status that goes with it."""
        headers, whole = Headers(scope=scope), self._file.size
        etag = self.headers.get("etag")
        if etag and headers.get("if-none-match") in (etag, f"W/{etag}"):
            self.status_code = 304
            return 0, 0
        since = headers.get("if-range", etag)
        match = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
        if match is None or since not in (etag, self.headers.get("last-modified")):
            return 0, whole
        return self._range(*match.groups())

    def _range(self, first: str, last: str) -> tuple[int, int]:
        """Return the same for a range as it was written; one that is none is the whole file."""
        whole = self._file.size
        if first:
            start, end = int(first[:19]), min(int(last[:19] or whole), whole - 1)
            if last and int(last[:19]) < start:
                return 0, whole
        elif last:
            start, end = max(whole - int(last[:19]), 0), whole - 1
        else:
            return 0, whole
        if start > end:
            return self._unsatisfiable()
        self.status_code = 206
        self.headers["content-range"] = f"bytes {start}-{end}/{whole}"
        return start, end - start + 1

    def _unsatisfiable(self) -> tuple[int, int]:
        self.status_code = 416
        self.headers["content-range"] = f"bytes */{self._file.size}"
        return 0, 0


class StreamResponse(Response):
    """What is made piece by piece, in threads, such as an archive.

    Parameters
    ----------
    chunks : iterator of bytes
        Closed when the answer is sent, or the client has gone.
    name : str
        Under which it is saved.
    kind : str
        Its type.
    """

    def __init__(self, chunks: Iterator[bytes], name: str, kind: str) -> None:
        self._chunks = chunks
        super().__init__(None, 200, SAFE_HEADERS, kind)
        del self.headers["content-length"]
        self.headers["content-disposition"] = f"attachment; filename*=UTF-8''{_quoted(name)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        take: Callable[..., Any] = next
        try:
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            while chunk := await anyio.to_thread.run_sync(take, self._chunks, b""):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                await anyio.to_thread.run_sync(close)


def _quoted(name: str) -> str:
    return quote(name.encode("utf-8", "replace"), safe="")
