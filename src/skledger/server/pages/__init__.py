"""The pages: what people see of a tracking server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

__all__ = ["routes"]


def routes() -> list[BaseRoute]:
    """Return the routes of all pages and of their static files."""
    from skledger.server.pages import (
        compare,
        experiments,
        registry,
        run,
        search_view,
        selection,
        static_files,
        table,
    )

    # What was selected comes before the pages of an experiment, whose identifier could be any word.
    rooms = (selection, experiments, table, run, compare, search_view, registry)
    return [static_files.static_route(), *(route for room in rooms for route in room.routes())]
