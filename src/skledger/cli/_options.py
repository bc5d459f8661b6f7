"""Options that several commands take."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["as_size", "as_uri", "host_and_port", "is_uri_given", "json_option", "uri_option"]

_GIVEN = "skledger.uri"

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}


def _use(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Make the URI the one of this process."""
    if value:
        from skledger.tracking.session import set_tracking_uri

        set_tracking_uri(as_uri(value))
        ctx.meta[_GIVEN] = value
    return value


def is_uri_given() -> bool:
    """Whether the command was told by ``--uri`` where to look, rather than where it usually is."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and _GIVEN in ctx.meta


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


def host_and_port(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``-h/--host`` and ``-p/--port``, where a command listens."""
    port = click.option(
        "-p",
        "--port",
        type=click.IntRange(0, 65535),
        default=5000,
        show_default=True,
        help="The port; 0 is any that is free.",
    )
    host = click.option(
        "-h", "--host", default="127.0.0.1", show_default=True, help="Where to listen."
    )
    return host(port(function))


def as_size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a size in bytes; the callback of an option."""
    if value is None:
        return None
    match = re.fullmatch(r"(0*[1-9][0-9]{0,14})\s*([kmg]?)b?", value.strip().lower())
    if match is None:
        raise click.BadParameter(
            f"{value!r} is no size: expected a number of bytes, or such as 500k, 64M, 2G."
        )
    return int(match[1]) * _UNITS[match[2]]
