"""``skledger plots``: draw the pictures that were left undrawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from skledger.cli._options import uri_option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skledger.tracking.entities import Run

__all__ = ["command"]

#: What a shell reports for a process that Ctrl-C ended.
_INTERRUPTED = 130


@click.command("plots", short_help="Draw pictures that have not been drawn.")
@click.argument("run", nargs=-1)
@click.option("--missing", is_flag=True, help="Look at every run of the store; needs no RUN.")
@uri_option
def command(run: tuple[str, ...], missing: bool) -> None:
    """Draw what is missing of the pictures of each RUN, from its stored numbers.

    RUN is an identifier or the beginning of one, the name of a run, or `last`. It may be stopped
    with Ctrl-C and started again: what is drawn stays.
    """
    from skledger.cli._finding import find_run, require_database

    if not run and not missing:
        raise click.UsageError("Name a RUN, or give --missing to draw those of every run.")
    require_database()
    runs = [find_run(each) for each in run] if run else _every_run()
    tally = _Tally()
    try:
        with _progress(len(runs)) as advance:
            for each in runs:
                drawn = tally.draw(each)
                if run:
                    _name(each, drawn)
                advance()
    except KeyboardInterrupt:
        click.echo(f"\n{tally}; stopped. The same command goes on from here.")
        raise click.exceptions.Exit(_INTERRUPTED) from None
    for failure in tally.failures:
        click.secho(f"Error: {failure}", fg="red", err=True)
    click.echo(tally)
    if tally.failures:
        raise click.exceptions.Exit(1)


def _every_run() -> Sequence[Run]:
    from skledger.cli._finding import all_experiments
    from skledger.tracking.frames import find_runs

    return find_runs([each.experiment_id for each in all_experiments()])


def _name(run: Run, drawn: Sequence[str]) -> None:
    """Tell where the pictures of a run are."""
    from skledger.stores.artifacts import artifact_store

    artifacts = artifact_store(run.info.artifact_uri)
    for name in drawn:
        click.echo(artifacts.local_path(name))


class _Tally:
    """How many pictures were drawn, and what could not be."""

    def __init__(self) -> None:
        self.pictures = 0
        self.runs = 0
        self.failures: list[str] = []

    def draw(self, run: Run) -> list[str]:
        """Draw what a run misses; what fails is kept for the end, the next run is not kept from."""
        from skledger.ledger.drawing import draw_missing

        try:
            drawn = draw_missing(run)
        except Exception as error:  # noqa: BLE001 - loading a model may raise anything
            self.failures.append(f"{run.info.run_name} ({run.info.run_id}): {error}")
            return []
        self.pictures += len(drawn)
        self.runs += bool(drawn)
        return drawn

    def __str__(self) -> str:
        if not self.pictures:
            return "Drew nothing" if self.failures else "Nothing is missing"
        return (
            f"Drew {self.pictures} picture{'s' if self.pictures > 1 else ''} "
            f"of {self.runs} run{'s' if self.runs > 1 else ''}"
        )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show how far it is, on a terminal and when there is more than one run."""
    from skledger.cli._printing import console

    where = console()
    if total < 2 or not where.is_terminal:
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=where, transient=True) as progress:
        task = progress.add_task("drawing", total=total)
        yield lambda: progress.advance(task)
