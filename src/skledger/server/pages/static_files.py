"""Scripts, styles and icons, kept by browsers for ever under the digest of their content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from skledger.server.pages.rendering import STATIC, static_digest

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Scope

__all__ = ["static_route"]


class _Digested(StaticFiles):
    """Files below ``/static/<digest>/``; without the digest they are asked for again each time."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        path = path.replace("\\", "/")
        first, _, rest = path.partition("/")
        current = first == static_digest()
        if not current and len(first) == 12 and rest:
            # Of the version before, asked for by a page that was open during the upgrade.
            path = rest
        try:
            response = await super().get_response(rest if current else path, scope)
        except (HTTPException, ValueError) as error:
            # Older versions of starlette let a NUL through to the file system.
            if isinstance(error, ValueError) or error.status_code == 404:
                return PlainTextResponse("no such file", 404)
            raise
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if current else "no-cache"
        )
        return response


def static_route() -> Mount:
    """Return the route of the static files."""
    return Mount("/static", _Digested(directory=STATIC), name="static")
