"""``skledger copy``: bring experiments from one store to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from skledger.cli._options import as_uri, json_option

if TYPE_CHECKING:
    from skledger.stores.base import Store
    from skledger.tracking.copying import CopyProgress, CopyReport

__all__ = ["command"]

#: What a shell reports for a process that Ctrl-C ended.
_INTERRUPTED = 130
#: How many failures, and notes, are told one by one.
_TOLD = 20


@click.command("copy", short_help="Copy experiments to another store.")
@click.option(
    "--from",
    "source",
    required=True,
    metavar="URI",
    help="The tracking URI to copy from, such as sqlite:///skledger.db or http://host:5000; or the "
    "path of a database file or a folder of runs.",
)
@click.option("--to", "destination", required=True, metavar="URI", help="Where to copy to.")
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    metavar="NAME",
    help="Only this experiment; may be given several times.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="RUN",
    help="Only this run and those below it; may be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be copied.")
@json_option
def command(
    source: str,
    destination: str,
    experiments: tuple[str, ...],
    runs: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Copy experiments with everything in them, and compare the copy with what was copied.

    Runs that are at the destination already are left alone. So it may be stopped with Ctrl-C and
    started again, or be repeated to bring what is new.
    """
    from skledger.tracking.addresses import without_credentials
    from skledger.tracking.copying import copy

    here = _open_source(source)
    ids = [_run_id(each, here) for each in runs]
    there = _open_destination(destination, dry_run)
    last: list[CopyProgress] = []
    try:
        with _progress(as_json) as advance:

            def told(progress: CopyProgress) -> None:
                last[:] = [progress]
                advance(progress)

            report = copy(here, there, experiments or None, ids or None, told, dry_run=dry_run)
    except KeyboardInterrupt:
        _say_stopped(last)
        raise click.exceptions.Exit(_INTERRUPTED) from None
    finally:
        there.close()
        here.close()
    if dry_run:
        # What is not there yet was not made.
        report.destination = without_credentials(destination)
    if as_json:
        from skledger.cli._printing import emit_json

        emit_json(asdict(report))
    else:
        _print(report)
    if report.failures:
        raise click.exceptions.Exit(1)


def _refuse_memory(uri: str) -> None:
    if uri.partition(":")[0] == "memory":
        from skledger.errors import InvalidParameterError

        raise InvalidParameterError(
            f"{uri!r} lives in the process that made it; name a store that others can open."
        )


def _open_source(given: str) -> Store:
    """Open the store to copy from; what is not there is not made."""
    from skledger.cli._finding import why_empty
    from skledger.errors import NotFoundError
    from skledger.tracking.copying_places import is_server, open_for_copy
    from skledger.tracking.session import get_store, set_tracking_uri

    _refuse_memory(given)
    uri = as_uri(given)
    if is_server(uri):
        return open_for_copy(uri)
    set_tracking_uri(uri)
    why = why_empty()
    if why is not None:
        raise NotFoundError(f"{why} There is nothing to copy.")
    return get_store()


def _open_destination(given: str, dry_run: bool) -> Store:
    """Open the store to copy to; for a dry run nothing is made."""
    from skledger.tracking.addresses import local_path_of
    from skledger.tracking.copying_places import open_for_copy

    _refuse_memory(given)
    uri = as_uri(given)
    path = local_path_of(uri)
    is_missing = path is not None and not path.exists()
    return open_for_copy("memory:" if dry_run and is_missing else uri)


def _run_id(reference: str, source: Store) -> str:
    """Return the identifier of the run that a user means."""
    from skledger.cli._finding import find_run
    from skledger.tracking.copying_places import is_server

    if is_server(source.uri):
        return source.get_run(reference).info.run_id
    return find_run(reference).info.run_id


def _say_stopped(last: Sequence[CopyProgress]) -> None:
    done = f"{last[0].done:,} of {last[0].total:,} runs are there" if last else "nothing was copied"
    click.echo(f"\nStopped: {done}. The same command goes on from here.", err=True)


def _print(report: CopyReport) -> None:
    """Print what was copied, what was not, and why."""
    from skledger.cli._printing import cell

    for line in report.notes[:_TOLD]:
        click.secho(f"Note: {cell(line).plain}", fg="yellow", err=True)
    for line in report.failures[:_TOLD]:
        click.secho(f"Error: {cell(line).plain}", fg="red", err=True)
    more = max(0, len(report.failures) - _TOLD) + max(0, len(report.notes) - _TOLD)
    if more:
        click.secho(f"and {more:,} more; --json lists all", dim=True, err=True)
    for line in _sentences(report):
        click.echo(cell(line).plain)


def _sentences(report: CopyReport) -> Iterator[str]:
    from skledger.cli._printing import bytes_text

    runs = f"{_many(report.copied, 'run')} of {_many(len(report.experiments), 'experiment')}"
    there = f"{report.there:,} {'is' if report.there == 1 else 'are'} there already."
    if report.dry_run:
        yield f"Would copy {runs} to {report.destination}; {there} Nothing was changed."
        return
    if report.versions:
        yield f"Copied {_many(report.versions, 'version')} of registered models."
    if not report.copied:
        nothing = "no run" if report.versions else "nothing"
        yield f"Copied {nothing} to {report.destination}; {there}"
        return
    told = [
        _many(report.params, "param"),
        _many(report.metrics, "metric value"),
        _many(report.tags, "tag"),
        _many(report.datasets, "data set"),
        _many(report.models, "model"),
        f"{_many(report.files, 'file')} ({bytes_text(report.size)})",
    ]
    yield f"Copied {runs} to {report.destination}: {', '.join(told)}."
    yield "All of it was read back and compared, records and files, by SHA-256."
    if report.there:
        yield f"{_many(report.there, 'run')} {'was' if report.there == 1 else 'were'} there before."
    if report.running:
        many = "1 run is" if report.running == 1 else f"{report.running:,} runs are"
        yield f"{many} still running: the same command brings the rest when they have ended."


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[CopyProgress], None]]:
    """Show how far it is, on a terminal."""
    from skledger.cli._printing import bytes_text, cell, console

    where = console()
    if quiet or not where.is_terminal:
        yield lambda progress: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("copying"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs, {task.fields[files]}", style="dim"),
        Remaining(),
        TextColumn("{task.fields[name]}", style="dim", markup=False),
    )
    with Progress(*columns, console=where, transient=True) as bar:
        task = bar.add_task("", total=None, files="", name="")

        def advance(progress: CopyProgress) -> None:
            files = f"{_many(progress.files, 'file')} ({bytes_text(progress.size)})"
            name = cell(progress.run_name).plain[:40]
            bar.update(task, total=progress.total, completed=progress.done, files=files, name=name)

        yield advance
