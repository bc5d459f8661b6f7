"""``skledger server``: the tracking server of a team."""

from __future__ import annotations

import click

from skledger.cli._options import as_size, host_and_port
from skledger.cli._serving import (
    check_reach,
    checked_destination,
    checked_users,
    default_destination,
    serve,
    served_uri,
    shared_options,
    tell_new,
)

__all__ = ["command"]


@click.command(
    "server",
    short_help="Be the tracking server of a team.",
    # -h is the host, as it is MLflow's.
    context_settings={"help_option_names": ["--help"]},
)
@click.option(
    "--backend-store-uri",
    "--uri",
    "uri",
    metavar="URI",
    help="Where the records are: sqlite:///file.db, postgresql://..., mysql://..., or the path of "
    "a database file or a folder. By default SKLEDGER_TRACKING_URI, else MLFLOW_TRACKING_URI, else "
    "skledger.db in this folder.",
)
@click.option(
    "--artifacts-destination",
    metavar="FOLDER",
    help="Where the files go that clients upload: a folder, or s3://..., gs://..., abfs://... By "
    "default the folder of artifacts beside the database, or mlartifacts in this one.",
)
@click.option(
    "--default-artifact-root",
    metavar="URI",
    help="Where the files of new experiments are to be, when that is not this server.",
)
@click.option(
    "--serve-artifacts/--no-serve-artifacts",
    default=True,
    show_default=True,
    help="Whether clients send files to this server, or write them themselves where the records "
    "say.",
)
@host_and_port
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many processes answer.",
)
@shared_options
@click.option(
    "--max-body",
    default="32M",
    show_default=True,
    metavar="BYTES",
    callback=as_size,
    help="The largest body of a request that is no upload of a file.",
)
@click.option(
    "--max-upload",
    metavar="BYTES",
    callback=as_size,
    help="The largest file that may be uploaded; without limit unless it is given.",
)
def command(
    uri: str | None,
    artifacts_destination: str | None,
    default_artifact_root: str | None,
    serve_artifacts: bool,
    host: str,
    port: int,
    workers: int,
    allowed_hosts: list[str],
    auth: str | None,
    insecure: bool,
    read_only: bool,
    max_body: int,
    max_upload: int | None,
) -> None:
    """Be a tracking server, with pages, until Ctrl-C or SIGTERM.

    It speaks MLflow's REST API, so skledger and MLflow book there: set MLFLOW_TRACKING_URI to its
    address. Only this machine reaches it, unless --host says otherwise; then --auth is needed.
    """
    from skledger.server.process.listening import address_of, listen
    from skledger.server.settings import ServerSettings
    from skledger.tracking.addresses import without_credentials

    check_reach(host, auth, insecure)
    users = checked_users(auth)
    store_uri = served_uri(uri)
    if workers > 1 and store_uri == "memory:":
        raise click.UsageError("memory: lives in one process; leave out --workers.")
    if artifacts_destination and not serve_artifacts:
        raise click.UsageError(
            "--artifacts-destination and --no-serve-artifacts contradict each other."
        )
    listening = listen(host, port)
    tell_new(store_uri)
    settings = ServerSettings(
        store_uri,
        artifacts_destination=_destination(store_uri, artifacts_destination, serve_artifacts),
        artifact_root=default_artifact_root,
        address=address_of(host, listening.getsockname()[1]),
        host=host,
        hosts=tuple(allowed_hosts),
        auth_file=users,
        read_only=read_only,
        max_body=max_body,
        max_upload=max_upload or 0,
    )
    shown = without_credentials(store_uri)
    by = f" by {workers} workers" if workers > 1 else ""

    def ready() -> None:
        click.echo(f"Serving {shown}{by} at {settings.address}\nCtrl-C stops it.")

    serve(settings, listening, workers, ready)


def _destination(store_uri: str, given: str | None, is_served: bool) -> str | None:
    if not is_served:
        return None
    if given is None:
        return default_destination(store_uri)
    return checked_destination(given)
