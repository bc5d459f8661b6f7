"""What `skledger ui` and `skledger server` share: places, ports, and who may reach them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skledger.cli._errors import Failure

if TYPE_CHECKING:
    import socket

    from skledger.server.settings import ServerSettings

__all__ = [
    "INTERRUPTED",
    "check_reach",
    "checked_destination",
    "checked_users",
    "default_destination",
    "free_port",
    "names_of",
    "serve",
    "served_uri",
    "shared_options",
    "tell_new",
]

#: The exit code after Ctrl-C, as shells have it.
INTERRUPTED = 130
#: Ports that are tried behind the usual one.
_NEXT = 100
#: Where users are kept unless another file is named.
AUTH_FILE = "skledger-auth.json"


def names_of(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    """Return the names of an option that may be given several times, or with commas."""
    return [each.strip() for value in values for each in value.split(",") if each.strip()]


def shared_options(function: Any) -> Any:
    """Add the options that say who may ask, and for what."""
    for option in reversed(
        (
            click.option(
                "--allowed-hosts",
                multiple=True,
                callback=names_of,
                metavar="NAMES",
                help="Further names under which the server may be asked, with commas between them; "
                "*.example.org is every name below it, * every name.",
            ),
            click.option(
                "--auth",
                is_flag=False,
                flag_value=AUTH_FILE,
                default=None,
                metavar="[FILE]",
                help="Only answer the users of a file, which skledger server-auth writes "
                f"({AUTH_FILE} unless another is named).",
            ),
            click.option(
                "--insecure",
                is_flag=True,
                help="Let everybody who reaches the port read and change all of it.",
            ),
            click.option("--read-only", is_flag=True, help="Refuse changes."),
        )
    ):
        function = option(function)
    return function


def served_uri(given: str | None, begins: bool = True) -> str:
    """Return the tracking URI of a store that can be served, absolute.

    Parameters
    ----------
    given : str or None
        What the command was given: a URI, or a path.
    begins : bool
        Whether a path may name a store that is not there yet, which is then begun.
    """
    from skledger.cli._options import as_uri
    from skledger.stores.opening import check_uri
    from skledger.tracking.addresses import without_credentials
    from skledger.tracking.session import checked_uri, get_tracking_uri

    uri = (checked_uri(as_uri(given)) if given else None) or get_tracking_uri()
    place = check_uri(uri)
    if place.kind == "http":
        raise Failure(
            f"{without_credentials(uri)} is a tracking server itself: open it in a browser, or "
            "name a database, such as sqlite:///skledger.db, or a folder."
        )
    if place.kind in ("sqlite", "files") and not Path(place.name).exists():
        _check_missing(Path(place.name).absolute(), given, begins)
    return uri


def _check_missing(path: Path, given: str | None, begins: bool) -> None:
    """Refuse what is rather a slip of the hand than the name of a new store."""
    if given and not begins and ":" not in given:
        raise Failure(
            f"there is nothing at {path} to look at. Name what is there; a new store is begun by "
            f"a URI, such as sqlite:///{given}."
        )
    if not path.parent.is_dir():
        raise Failure(
            f"there is no folder {path.parent}, in which {path.name} is to be. Make it first when "
            "it is the right one."
        )


def tell_new(uri: str) -> None:
    """Say that a database is begun: perhaps the folder is a wrong one."""
    from skledger.stores.opening import check_uri

    place = check_uri(uri)
    if place.kind == "sqlite" and not Path(place.name).exists():
        click.echo(f"There was no database {place.name}, so an empty one is made.", err=True)


def checked_destination(given: str) -> str:
    """Return where uploads go, absolute; a folder is made, and files can be written there."""
    from tempfile import TemporaryFile

    from skledger.server.artifact_paths import is_local, local_path

    is_uri = "://" in given or given.startswith("file:")
    if is_uri and not is_local(given):
        return given
    path = Path(local_path(given) if is_uri else given).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise Failure(
            f"--artifacts-destination {given}: no file can be written there "
            f"({error.strerror or error}). Name a folder that this user may write to."
        ) from error
    return given if is_uri else str(path)


def default_destination(uri: str) -> str:
    """Return where uploaded files go unless it is said: where the store has its own."""
    from skledger.stores.opening import check_uri

    kind, name = check_uri(uri)
    if kind == "sqlite":
        return str(Path(name).with_name(f"{Path(name).stem}-artifacts"))
    if kind == "files":  # beside it, so that no upload can be one of its records
        return f"{name.rstrip('/')}-artifacts"
    return str(Path.cwd() / "mlartifacts")


def check_reach(host: str, auth: str | None, insecure: bool) -> None:
    """Refuse to be reached by others unless they are asked who they are, or nobody minds."""
    from skledger.server.process.listening import is_loopback

    if auth and insecure:
        raise click.UsageError("--auth and --insecure contradict each other; leave one out.")
    if is_loopback(host) or auth:
        return
    if not insecure:
        raise click.UsageError(
            f"on {host!r} others can reach this server, and everybody who does could read and "
            "change all of it. Ask who they are with --auth (users are added by skledger "
            "server-auth add NAME), or say --insecure when the network itself keeps others out."
        )
    click.echo(
        f"Warning: everybody who reaches {host} may read and change all of it (--insecure).",
        err=True,
    )


def checked_users(auth: str | None) -> str | None:
    """Return the file of users, absolute, when there is somebody in it."""
    if auth is None:
        return None
    from skledger.server.security.users import UserFile, require_hashing

    users = UserFile(auth).read()
    if not any(each.password or each.tokens for each in users.values()):
        raise Failure(
            f"nobody is in {auth}, so nobody could ask: skledger server-auth add NAME --file {auth}"
        )
    if any(each.password for each in users.values()):
        require_hashing()
    return str(Path(auth).absolute())


def free_port(host: str, port: int | None, usual: int) -> socket.socket:
    """Listen on a port; when none is named, on the usual one or the next that is free."""
    from skledger.errors import StoreError
    from skledger.server.process.listening import listen

    if port is not None:
        return listen(host, port)
    for each in range(usual, usual + _NEXT):
        try:
            return listen(host, each)
        except StoreError:
            if each == usual + _NEXT - 1:
                raise
    raise AssertionError


def serve(
    settings: ServerSettings,
    listening: socket.socket,
    workers: int,
    ready: Callable[[], None],
) -> None:
    """Answer requests until Ctrl-C or SIGTERM."""
    from skledger.server.process.answering import answer_requests
    from skledger.server.process.workers import serve_with_workers
    from skledger.server.tracking import TrackingServer

    job = TrackingServer(settings, workers)
    try:
        if workers == 1:
            answer_requests(job, listening, ready=lambda _: ready())
        else:
            serve_with_workers(job, listening, ready=ready)
    except KeyboardInterrupt:
        # Once requests are answered, Ctrl-C is no exception but the end.
        click.echo("Stopped before any request was answered.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    click.echo("Stopped.")
