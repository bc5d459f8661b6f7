"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["as_uri", "json_option", "uri_option"]


def _use(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Make the URI the one of this process."""
    if value:
        from skledger.tracking.session import set_tracking_uri

        set_tracking_uri(as_uri(value))
    return value


def as_uri(given: str) -> str:
    """Return a tracking URI; the path of a database file is as good as its URI."""
    if ":" in given:
        return given
    is_database = Path(given).is_file() or (given.endswith(".db") and not Path(given).is_dir())
    return f"sqlite:///{given}" if is_database else given


def uri_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--uri``, which is put into force while the options are read."""
    return click.option(
        "--uri",
        metavar="URI",
        expose_value=False,
        callback=_use,
        help="The tracking URI to look at, such as sqlite:///skledger.db, or the path of a "
        "database file or of a folder of runs. By default SKLEDGER_TRACKING_URI, else "
        "MLFLOW_TRACKING_URI, else skledger.db in this folder.",
    )(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
