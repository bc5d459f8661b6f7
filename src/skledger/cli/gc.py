"""``skledger gc``: end the runs that nobody works on any more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from skledger.cli._options import uri_option

if TYPE_CHECKING:
    from rich.table import Table

    from skledger.tracking.dead_runs import DeadRun

__all__ = ["command"]

#: Units of time, in ms.
_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
#: Lines that a terminal shows.
_SHOWN = 50
#: On terminals narrower than this names are cut short.
_NARROW = 100


def _milliseconds(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a span of time in ms."""
    if value is None:
        return None
    match = re.fullmatch(r"(0*[1-9][0-9]{0,5})([mhdw])", value)
    if match is None:
        raise click.BadParameter(
            f"{value!r} is no span of time: expected a number of minutes, hours, days or weeks, "
            "such as 30m, 12h, 7d or 2w."
        )
    return int(match[1]) * _UNITS[match[2]]


@click.command("gc", short_help="End runs whose process is gone.")
@click.option(
    "--stale-after",
    "silent_ms",
    callback=_milliseconds,
    metavar="AGE",
    help="Also end runs of other machines, or that name no process, of which nothing was booked "
    "for so long: 30m, 12h, 7d, 2w.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be ended.")
@uri_option
def command(silent_ms: int | None, dry_run: bool) -> None:
    """End the runs that say RUNNING though nobody works on them any more.

    Those whose process was on this machine and is gone become KILLED; they end when something was
    last booked of them. Runs whose process is alive on this machine are never ended.
    """
    from skledger.cli._finding import require_database
    from skledger.cli._printing import console, emit
    from skledger.tracking.dead_runs import end_runs, find_dead_runs, find_stale_runs
    from skledger.tracking.session import get_store

    require_database()
    store = get_store(end_dead_runs=False)
    dead = find_dead_runs(store)
    if silent_ms is not None:
        dead += find_stale_runs(store, silent_ms)
    if not dead:
        click.echo("There is nothing to do: no run is left without its process.")
        return
    if not dry_run:
        end_runs(store, dead)
    shown = dead[:_SHOWN] if console().is_terminal else dead
    emit(_table(shown))
    if len(shown) < len(dead):
        click.secho(f"and {len(dead) - len(shown)} more", dim=True)
    count = f"{len(dead)} run{'s' if len(dead) > 1 else ''}"
    click.echo(f"Would end {count}; nothing was changed." if dry_run else f"Ended {count}.")


def _table(dead: Sequence[DeadRun]) -> Table:
    """Return a line for each run: which it is, until when it is known to have lived, and why."""
    from rich.table import Table

    from skledger.cli._finding import ID_LENGTH
    from skledger.cli._printing import cell, clock, console

    wide = console().width >= _NARROW
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("run", no_wrap=True)
    table.add_column("name", no_wrap=True, overflow="ellipsis", max_width=36 if wide else 16)
    table.add_column("last sign of life", no_wrap=True)
    table.add_column("why", overflow="fold")
    for each in dead:
        table.add_row(
            cell(each.run.info.run_id[:ID_LENGTH], "cyan"),
            cell(each.run.info.run_name),
            cell(clock(each.last_sign, "seconds" if wide else "minutes")),
            cell(_why(each)),
        )
    return table


def _why(dead: DeadRun) -> str:
    from skledger.tracking.dead_runs import PROCESS_DIED
    from skledger.tracking.processes import process_text
    from skledger.tracking.runs import PROCESS_TAG

    process = process_text(dead.run.data.tags.get(PROCESS_TAG, ""))
    return f"{process} is gone" if dead.reason == PROCESS_DIED else f"silent: {process}"
