"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["json_option", "uri_option"]


def _use(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Make the URI the one of this process."""
    if value:
        from skledger.tracking.session import set_tracking_uri

        # The path of a database file is as good as its URI.
        set_tracking_uri(value if ":" in value else f"sqlite:///{value}")
    return value


def uri_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--uri``, which is put into force while the options are read."""
    return click.option(
        "--uri",
        metavar="URI",
        expose_value=False,
        callback=_use,
        help="The tracking URI to look at, such as sqlite:///skledger.db, or the path of a "
        "database file. By default SKLEDGER_TRACKING_URI, else MLFLOW_TRACKING_URI, else "
        "skledger.db in this folder.",
    )(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
