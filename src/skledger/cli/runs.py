"""``skledger runs``: the runs of a store as a table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from skledger.cli._options import is_uri_given, json_option, uri_option

if TYPE_CHECKING:
    from skledger.cli._family import Listing, Row
    from skledger.tracking.entities import Experiment
    from skledger.tracking.filters import Comparison, Ordering

__all__ = ["command", "print_runs"]

#: Runs that a table shows unless told.
_LIMIT = 20
#: Names of columns without room that are told.
_COLUMNS_TOLD = 8
_EVERY = "all"


class _Count(click.ParamType):  # type: ignore[type-arg]  # older versions take none
    """A number, or all of them."""

    name = "count"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return the number."""
        if value == _EVERY:
            return _EVERY
        return int(click.IntRange(min=0).convert(value, param, ctx))


@click.command("runs", short_help="List runs, the newest first.")
@click.option(
    "--experiment",
    metavar="NAME",
    help="Only the runs of this experiment. By default the one of SKLEDGER_EXPERIMENT_NAME or "
    "MLFLOW_EXPERIMENT_NAME if set, else all.",
)
@click.option(
    "--all",
    "everywhere",
    is_flag=True,
    help="The runs of every experiment, whatever the environment says.",
)
@click.option(
    "--filter",
    "filter_string",
    metavar="STR",
    default="",
    help="Only the runs that match, such as \"metrics.training_score > 0.9 and params.C = '1.0'\"; "
    "children when no other run does.",
)
@click.option(
    "--order-by",
    multiple=True,
    metavar="STR",
    help='Sort, such as "metrics.training_score DESC"; may be given several times.',
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    help=f"How many runs at the most: by default {_LIMIT} in a table, all in JSON and CSV.",
)
@click.option(
    "--children",
    type=_Count(),
    is_flag=False,
    flag_value=_EVERY,
    metavar="[N]",
    help="Show children under their parents, the best first: all, or N of each. With a filter or "
    "an order they are listed among the others.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with every param and metric.")
@uri_option
def command(
    experiment: str | None,
    everywhere: bool,
    filter_string: str,
    order_by: tuple[str, ...],
    limit: int | None,
    children: int | str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List runs, the newest first, without their children.

    The candidates of a search are its children. The first column is the beginning of a run's
    identifier; `skledger show` takes it.
    """
    from skledger.cli._family import select_rows
    from skledger.cli._finding import MISSING, chosen_experiments, require_place, why_empty
    from skledger.tracking.filters import parse_filter, parse_order_by

    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    conditions, orderings = parse_filter(filter_string), parse_order_by(order_by)
    machine = as_json or as_csv
    if is_uri_given():
        require_place()
    empty = why_empty()
    if empty:
        click.echo(f"{empty}\n{MISSING}", err=machine)
    experiments = [] if empty else chosen_experiments(experiment, everywhere)
    rows: Sequence[Row] = []
    if machine:
        if not empty:
            # What machines read is whole unless they are told otherwise.
            most = children if isinstance(children, int) else None
            lines = select_rows(experiments, filter_string, order_by, limit, most).rows
            rows = [row for row in lines if row.run is not None]
        _print_json(rows) if as_json else _print_csv(rows)
    elif not empty:
        keys: Sequence[Comparison | Ordering] = (*orderings, *conditions)
        named = [each.key for each in keys if each.kind == "metric"]
        limit = limit or _LIMIT
        most = None if children == _EVERY else int(children or 0)
        rows = print_runs(experiments, filter_string, order_by, limit, most, named)
        _say_how_to_look(rows)
    _note_unknown(experiments, conditions if not rows else (), orderings)


def _note_unknown(
    experiments: Sequence[Experiment],
    conditions: Sequence[Comparison],
    orderings: Sequence[Ordering],
) -> None:
    """Note the keys that no run has, in an order or in a filter that nothing matched."""
    from skledger.cli._unknown import unknown_keys

    # What IS NULL asks for may well be nowhere.
    asked = [each for each in conditions if each.operator != "IS NULL"]
    for note in unknown_keys(experiments, (*asked, *orderings)) if experiments else ():
        click.secho(note, fg="yellow", err=True)


def _say_how_to_look(rows: Sequence[Row]) -> None:
    """Name the command that shows a run, to a person."""
    from skledger.cli._finding import ID_LENGTH
    from skledger.cli._invoked import skledger_command
    from skledger.cli._printing import cell, console, emit

    first = next((row.run.info.run_id for row in rows if row.run is not None), None)
    if first and console().is_terminal:
        short = first[:ID_LENGTH]
        emit(cell(f"{skledger_command()} show {short}  tells all about a run", "dim"))


def print_runs(
    experiments: Sequence[Experiment],
    filter_string: str = "",
    order_by: Sequence[str] = (),
    limit: int = _LIMIT,
    children: int | None = 0,
    metrics: Sequence[str] = (),
) -> Sequence[Row]:
    """Print the table of runs.

    Parameters
    ----------
    experiments : sequence of Experiment
        Where to look.
    filter_string, order_by, limit
        As the options of the command.
    children : int or None
        How many under each parent; None: all.
    metrics : sequence of str
        Metrics that get a column before those that are most telling.

    Returns
    -------
    sequence of Row
        The lines that were printed.
    """
    from skledger.cli._family import select_rows
    from skledger.cli._finding import MISSING
    from skledger.cli._printing import emit
    from skledger.cli._table import runs_table
    from skledger.tracking.session import get_tracking_uri

    listing = select_rows(experiments, filter_string, order_by, limit, children)
    if listing.rows:
        table, columns = runs_table(listing.rows, metrics)
        emit(table)
        _tell_of_others(listing, columns)
    elif filter_string:
        click.echo(f"No run in {get_tracking_uri()} matches {filter_string!r}.")
    else:
        click.echo(f"There are no runs in {get_tracking_uri()} yet.\n{MISSING}")
    return listing.rows


def _tell_of_others(listing: Listing, columns: Sequence[str]) -> None:
    """Tell what was left out; not in between the lines where a table is read on."""
    from skledger.cli._printing import cell, console

    notes = []
    if listing.more > 0:
        shown = sum(row.counted for row in listing.rows)
        notes.append(f"Shown: {shown:,} of {shown + listing.more:,} runs; -n shows more.")
    if listing.children:
        many = "1 child" if listing.children == 1 else f"{listing.children:,} children"
        notes.append(f"Left out: {many}; with --children they are listed, too.")
    if columns:
        many = "1 column" if len(columns) == 1 else f"{len(columns):,} columns"
        names = ", ".join(columns[:_COLUMNS_TOLD])
        names += ", ..." if len(columns) > _COLUMNS_TOLD else ""
        notes.append(
            f"Left out: {many} ({names}); shown on a wider terminal, and in a pipe: ... | less -S"
        )
    for note in notes:
        click.secho(cell(note).plain, dim=True, err=not console().is_terminal)


def _print_json(rows: Sequence[Row]) -> None:
    from skledger.cli._family import as_dictionary
    from skledger.cli._printing import emit_json

    emit_json([as_dictionary(row) for row in rows])


def _print_csv(rows: Sequence[Row]) -> None:
    """Print one line a run; the columns of metrics and params as `search_runs` names them."""
    from skledger.cli._family import as_dictionary

    flat = []
    for row in rows:
        held = as_dictionary(row)
        line = {key: value for key, value in held.items() if not isinstance(value, dict)}
        for kind in ("metrics", "params"):
            line |= {f"{kind}.{key}": value for key, value in held[kind].items()}
        flat.append(line)
    columns = list(dict.fromkeys(key for line in flat for key in line))
    columns.sort(key=lambda name: "." in name)  # stable: what every run has comes first
    writer = csv.DictWriter(sys.stdout, columns, restval="", lineterminator="\n")
    if columns:
        writer.writeheader()
    writer.writerows(flat)
