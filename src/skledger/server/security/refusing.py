"""A request that is refused before any handler sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skledger.server.process.job import Scope, Send

__all__ = ["header_of", "headers_of", "is_api", "refuse"]

_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    408: "BAD_REQUEST",
    413: "BAD_REQUEST",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


def is_api(path: str) -> bool:
    """Tell whether programs ask there, which expect errors in MLflow's form."""
    return path.startswith(("/api/", "/ajax-api/"))


def headers_of(scope: Scope, name: bytes) -> list[str]:
    """Return each value of a header, as it was sent."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return a header; None when it was not sent."""
    return next(iter(headers_of(scope, name)), None)


async def refuse(
    scope: Scope, send: Send, status: int, message: str, *headers: tuple[bytes, bytes]
) -> None:
    """Answer with an error: JSON in MLflow's form for programs, else plain text."""
    if is_api(scope["path"]):
        kind = b"application/json"
        content = json.dumps(
            {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": message}
        ).encode()
    else:
        kind = b"text/plain; charset=utf-8"
        content = f"{message}\n".encode(errors="replace")
    start = [(b"content-type", kind), (b"content-length", b"%d" % len(content)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    body = b"" if scope["method"] == "HEAD" else content
    await send({"type": "http.response.body", "body": body})
