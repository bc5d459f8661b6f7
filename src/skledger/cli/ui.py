"""``skledger ui``: look at runs in a browser."""

from __future__ import annotations

import os
import sys
import threading

import click

from skledger.cli._serving import (
    check_reach,
    checked_users,
    free_port,
    serve,
    served_uri,
    shared_options,
    tell_new,
)

__all__ = ["command"]

_PORT = 5000


@click.command(
    "ui",
    short_help="Look at runs in a browser.",
    context_settings={"help_option_names": ["--help"]},
)
@click.argument("uri", required=False)
@click.option("-h", "--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    default=None,
    help=f"The port; 0 is any that is free. By default {_PORT}, or the next one that is free.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@shared_options
def command(
    uri: str | None,
    host: str,
    port: int | None,
    no_browser: bool,
    allowed_hosts: list[str],
    auth: str | None,
    insecure: bool,
    read_only: bool,
) -> None:
    """Show the runs of a store in a browser, live, until Ctrl-C.

    URI is a tracking URI such as sqlite:///skledger.db, or the path of a database file or of a
    folder of runs. By default SKLEDGER_TRACKING_URI, else MLFLOW_TRACKING_URI, else skledger.db in
    this folder. Nothing is fetched from anywhere else, so it works offline.
    """
    from skledger.server.process.listening import address_of
    from skledger.server.settings import ServerSettings
    from skledger.tracking.addresses import without_credentials

    check_reach(host, auth, insecure)
    users = checked_users(auth)
    store_uri = served_uri(uri, begins=False)
    listening = free_port(host, port, _PORT)
    tell_new(store_uri)
    settings = ServerSettings(
        store_uri,
        address=address_of(host, listening.getsockname()[1]),
        host=host,
        hosts=tuple(allowed_hosts),
        auth_file=users,
        read_only=read_only,
    )

    def ready() -> None:
        click.echo(f"Serving {without_credentials(store_uri)} at {settings.address}")
        click.echo("Ctrl-C stops it.")
        if not no_browser:
            threading.Thread(target=_open, args=(settings.address,), daemon=True).start()

    serve(settings, listening, 1, ready)


def _open(address: str) -> None:
    """Open a browser, where there is a screen: not one that takes the terminal over."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, screens)):
        return
    import webbrowser

    webbrowser.open(address)
