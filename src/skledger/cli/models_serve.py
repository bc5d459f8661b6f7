"""``skledger models serve``: a model behind HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from skledger.cli._options import as_size, host_and_port, uri_option

if TYPE_CHECKING:
    from skledger.server.scoring.app import ScoringApp
    from skledger.server.scoring.served import Served

__all__ = ["command", "model_option", "trust_options"]

#: The longest that a request may be given, in seconds: a year.
_LONGEST = 31_536_000
#: The exit code after Ctrl-C, as shells have it.
_INTERRUPTED = 130


def _seconds(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Refuse what is no time: a number that is none, none above zero, or without end."""
    if not 0 < value <= _LONGEST:
        raise click.BadParameter(
            f"{value:g} is no time for a request: expected a number of seconds above 0 and up to "
            f"{_LONGEST:,}."
        )
    return value


def model_option(function: Any) -> Any:
    """Add ``--model-uri``."""
    return click.option(
        "-m",
        "--model-uri",
        required=True,
        metavar="URI",
        help="The model: runs:/<run id>/model, models:/<name>/<version>, models:/<name>@<alias>, "
        "models:/m-<id>, a folder, the URI of a folder among artifacts, or last: that of the last "
        "run.",
    )(function)


def trust_options(function: Any) -> Any:
    """Add what says which models may be loaded."""
    function = click.option(
        "--trusted",
        multiple=True,
        metavar="TYPE",
        help="A type that a model of the format skops may have, besides those known to be "
        "harmless; may be given several times.",
    )(function)
    function = click.option(
        "--no-pickle",
        is_flag=True,
        help="Refuse models that run code when they are loaded, verified or not.",
    )(function)
    return click.option(
        "--no-verify",
        is_flag=True,
        help="Load the model even though no digests are booked for it, or its files are others. "
        "That runs the code that its pickle names.",
    )(function)


@click.command(
    "serve",
    short_help="Answer requests with a model's predictions.",
    # -h is the host, as it is MLflow's.
    context_settings={"help_option_names": ["--help"]},
)
@model_option
@host_and_port
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many processes answer; each loads the model.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    default=4,
    show_default=True,
    help="How many predictions run at the same time in each process.",
)
@click.option(
    "-t",
    "--timeout",
    type=float,
    default=60.0,
    callback=_seconds,
    show_default=True,
    metavar="SECONDS",
    help="The longest a request may take.",
)
@click.option(
    "--max-body",
    default="64M",
    show_default=True,
    metavar="BYTES",
    callback=as_size,
    help="The largest body of a request.",
)
@click.option(
    "--mmap",
    is_flag=True,
    help="Map the arrays of a model of the format joblib, so that workers share their memory.",
)
@click.option(
    "--env-manager",
    type=click.Choice(["local"]),
    default="local",
    help="Taken for compatibility: models run in this environment.",
)
@click.option("--no-conda", is_flag=True, hidden=True, help="Taken for compatibility.")
@trust_options
@uri_option
def command(
    model_uri: str,
    host: str,
    port: int,
    workers: int,
    threads: int,
    timeout: float,
    max_body: int,
    env_manager: str,
    no_conda: bool,
    no_verify: bool,
    no_pickle: bool,
    mmap: bool,
    trusted: tuple[str, ...],
) -> None:
    """Answer requests with the predictions of a model, until Ctrl-C or SIGTERM.

    The paths are /invocations, /ping, /health, /version, /metrics and /docs, which shows requests
    to copy. Requests have the forms of MLflow: dataframe_split, dataframe_records, instances,
    inputs, and CSV. Everybody who reaches the port may ask.
    """
    limits = {"body": max_body, "seconds": timeout, "threads": threads}
    try:
        served, listening = _prepared(model_uri, (host, port), not no_verify, limits)
        served = replace(
            served,
            trusted=list(trusted),
            allow_pickle=not no_pickle,
            mmap_mode="r" if mmap else None,
            workers=workers,
        )
        _serve(served, listening)
    except KeyboardInterrupt:
        # Once requests are answered, Ctrl-C is no exception but the end.
        click.echo("Stopped before any request was answered.", err=True)
        raise click.exceptions.Exit(_INTERRUPTED) from None


def _prepared(
    model_uri: str, where: tuple[str, int], verify: bool, limits: dict[str, Any]
) -> tuple[Served, Any]:
    """Find the model, and a port to serve it at."""
    from skledger.cli.models_finding import find_model, meant_uri
    from skledger.models.verified import ModelFolder
    from skledger.server.process.listening import address_of, listen
    from skledger.server.scoring.app import Limits
    from skledger.server.scoring.served import Served
    from skledger.tracking.addresses import without_credentials

    uri = meant_uri(model_uri)
    found = find_model(uri, verify=verify)
    ModelFolder(found.folder, None)  # there is one
    listening = listen(*where)
    served = Served(
        uri=without_credentials(uri),
        address=address_of(where[0], listening.getsockname()[1]),
        folder=str(found.folder.absolute()),
        digests=found.digests if verify else None,
        refusal=found.refusal if verify else None,
        limits=Limits(**limits),
    )
    return served, listening


def _serve(served: Served, listening: Any) -> None:
    from skledger.server.process.answering import answer_requests
    from skledger.server.process.workers import serve_with_workers

    def say(kind: str) -> None:
        click.echo(
            f"Serving {served.uri}{kind} at {served.address}\n"
            f"{served.address}/docs shows how to ask; Ctrl-C stops it."
        )

    def ready(app: ScoringApp) -> None:
        say(f" ({app.scorer.kind})")

    if served.workers == 1:
        answer_requests(served, listening, ready=ready)
    else:
        serve_with_workers(served, listening, ready=lambda: say(f" by {served.workers} workers"))
    click.echo("Stopped.")
