"""MLflow's REST API: a module for each family, and what reads, asks and answers for all of them."""

from __future__ import annotations

from starlette.routing import BaseRoute

from skledger.server.api import (
    experiments,
    files,
    logged_models,
    metrics,
    model_versions,
    openapi,
    registered_models,
    runs,
    server_info,
)
from skledger.server.api.dispatch import ApiRoute

__all__ = ["ENDPOINTS", "routes"]

#: All that is asked by JSON.
ENDPOINTS = (
    *experiments.ENDPOINTS,
    *runs.ENDPOINTS,
    *metrics.ENDPOINTS,
    *files.ENDPOINTS,
    *logged_models.ENDPOINTS,
    *registered_models.ENDPOINTS,
    *model_versions.ENDPOINTS,
    *server_info.ENDPOINTS,
)


def routes() -> list[BaseRoute]:
    """Return the routes of the API; the application has its `ServerState` as ``state.skledger``."""
    return [
        *files.routes(),
        ApiRoute(ENDPOINTS),
        *openapi.routes(ENDPOINTS),
        *server_info.routes(),
    ]
