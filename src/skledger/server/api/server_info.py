"""What the server is, over the API."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from skledger.server.api.dispatch import Args, Endpoint
from skledger.server.state import ServerState

__all__ = ["ENDPOINTS", "routes"]


def info(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell what the server can do."""
    return {
        "store_type": "FileStore" if state.store.uri.startswith(("file:", "/")) else "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
        "presigned_upload_run_id_supported": False,
        "presigned_upload_model_id_supported": False,
        "features_enabled": {"gateway": False},
    }


def health(request: Request) -> Response:
    """Say that the server answers."""
    return PlainTextResponse("OK")


def version(request: Request) -> Response:
    """Tell the version of this package."""
    import skledger

    return PlainTextResponse(skledger.__version__)


ENDPOINTS = (Endpoint("GET", "server-info", info, (), "Tell what the server can do"),)


def routes() -> list[BaseRoute]:
    """Return the routes of what is asked by machines that watch over servers."""
    return [Route("/health", health), Route("/version", version)]
