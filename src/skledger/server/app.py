"""The tracking server and its pages, as an ASGI application."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response

from skledger.server import api, pages
from skledger.server.artifact_access import ServedArtifacts
from skledger.server.pages.rendering import render
from skledger.server.security import secured
from skledger.server.security.refusing import is_api
from skledger.server.state import ServerState

if TYPE_CHECKING:
    from starlette.requests import Request

    from skledger.server.process.job import ASGIApp, Message, Receive, Scope, Send
    from skledger.server.settings import ServerSettings
    from skledger.stores.base import Store

__all__ = ["TrackingApp", "create_app", "open_served"]

#: Smaller answers are not worth being packed, in bytes.
_PACKED = 1000
_LEVEL = 5

_log = logging.getLogger("skledger.server")


class TrackingApp:
    """An ASGI application over a store.

    Attributes
    ----------
    state : ServerState
        What requests are answered from.
    """

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":  # there are none here
            await receive()
            await send({"type": "websocket.close"})
        else:
            raise NotImplementedError(f"no {scope['type']} here: start it with lifespan='off'")

    def close(self) -> None:
        """Let go of the store."""
        self.state.store.close()


def create_app(settings: ServerSettings, store: Store | None = None) -> TrackingApp:
    """Return the application that serves a store.

    Parameters
    ----------
    settings : ServerSettings
        What is served, and how.
    store : Store, optional
        The store, when it is open already.
    """
    store = open_served(settings) if store is None else store
    artifacts = ServedArtifacts(store, settings.artifacts_destination)
    state = ServerState(store, artifacts, settings)
    inner = Starlette(
        routes=[*api.routes(), *pages.routes()],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )
    inner.state.skledger = state
    return TrackingApp(secured(_Packing(inner), settings), state)


def open_served(settings: ServerSettings) -> Store:
    """Open the store that is served; new experiments have their files where clients reach them."""
    from skledger.stores.opening import open_store

    root = settings.artifact_root
    if root is None and settings.artifacts_destination:
        root = "mlflow-artifacts:/"
    store = open_store(settings.store_uri, root)
    try:
        # What cannot be reached is told to who starts the server, not to who asks it first.
        store.search_experiments(max_results=1)
    except BaseException:
        store.close()
        raise
    return store


class _Packing:
    """Packs pages and records; files of runs go as they are, mostly they are packed already.

    What fails is answered and logged once.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._packing = GZipMiddleware(app, minimum_size=_PACKED, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._plain if "artifact" in scope["path"] else self._packing
        has_started = False

        async def note(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await app(scope, receive, note)
        except Exception:
            # Starlette raises what it has answered and logged already.
            if not has_started:
                raise


def _refused(request: Request, error: Exception) -> Response:
    """Answer what no route takes, in the words of who asks."""
    assert isinstance(error, HTTPException)
    path, method = request.url.path, request.method
    message = {
        404: f"there is nothing at {path!r}.",
        405: f"{path} does not take {method}.",
    }.get(error.status_code, error.detail)
    return _told(request, error.status_code, message, error.headers)


def _failed(request: Request, error: Exception) -> Response:
    """Answer a failure of our own; what it was stands in the log, not on the network."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = "the server failed at this request; its log says why."
    return _told(request, 500, message, None)


def _told(request: Request, status: int, message: str, headers: object) -> Response:
    more = dict(headers) if isinstance(headers, dict) else None
    if is_api(request.url.path):
        codes = {404: "ENDPOINT_NOT_FOUND", 500: "INTERNAL_ERROR"}
        told = {"error_code": codes.get(status, "BAD_REQUEST"), "message": message}
        return JSONResponse(told, status, more)
    if "text/html" in request.headers.get("accept", ""):
        title = {404: "Nothing is here", 500: "Something went wrong"}.get(status, "That cannot be")
        return render(
            request, "error.html", status_code=status, headers=more, heading=title, message=message
        )
    return PlainTextResponse(f"{message}\n", status, more)
