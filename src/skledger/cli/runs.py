"""``skledger runs``: the runs of a store as a table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import Any

import click

from skledger.cli._options import json_option, uri_option

__all__ = ["command", "print_runs"]


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
    help="Only the runs that match, such as \"metrics.training_score > 0.9 and params.C = '1.0'\".",
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
    default=20,
    show_default=True,
    help="How many runs at the most.",
)
@click.option(
    "--children",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="How many children to show under each parent, when neither filtered nor sorted.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with every param and metric.")
@uri_option
def command(
    experiment: str | None,
    everywhere: bool,
    filter_string: str,
    order_by: tuple[str, ...],
    limit: int,
    children: int,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List runs, the newest first, children under their parents.

    The first column is the beginning of a run's identifier; `skledger show` takes it.
    """
    from skledger.cli._finding import MISSING, why_empty
    from skledger.tracking.filters import parse_filter, parse_order_by

    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    conditions, orderings = parse_filter(filter_string), parse_order_by(order_by)
    empty = why_empty()
    machine = as_json or as_csv
    if empty:
        click.echo(f"{empty}\n{MISSING}", err=machine)
    if machine:
        rows = [] if empty else _rows(experiment, everywhere, filter_string, order_by, limit, None)
        _print_json(rows) if as_json else _print_csv(rows)
    elif not empty:
        named = [each.key for each in orderings if each.kind == "metric"]
        named += [each.key for each in conditions if each.kind == "metric"]
        print_runs(
            experiment,
            everywhere,
            filter_string,
            order_by,
            limit,
            children,
            metrics=list(dict.fromkeys(named)),
        )


def _rows(
    experiment: str | None,
    everywhere: bool,
    filter_string: str,
    order_by: Sequence[str],
    limit: int,
    children: int | None,
) -> list[Any]:
    from skledger.cli._family import select_rows
    from skledger.cli._finding import chosen_experiments

    experiments = chosen_experiments(experiment, everywhere)
    return select_rows(experiments, filter_string, order_by, limit, children)


def print_runs(
    experiment: str | None = None,
    everywhere: bool = False,
    filter_string: str = "",
    order_by: Sequence[str] = (),
    limit: int = 20,
    children: int = 5,
    metrics: Sequence[str] = (),
) -> None:
    """Print the table of runs.

    Parameters
    ----------
    experiment, everywhere, filter_string, order_by, limit, children
        As the options of the command.
    metrics : sequence of str
        Metrics that get a column, before those that are most telling.
    """
    from skledger.cli._finding import MISSING
    from skledger.cli._printing import cell, console, emit
    from skledger.cli._table import runs_table
    from skledger.tracking.session import get_tracking_uri

    rows = _rows(experiment, everywhere, filter_string, order_by, limit + 1, children)
    tops = [row for row in rows if row.counted]
    cut = len(tops) > limit
    if cut:
        rows = rows[: rows.index(tops[limit])]
    if not rows:
        where = get_tracking_uri()
        if filter_string:
            click.echo(f"No run in {where} matches {filter_string!r}.")
        else:
            click.echo(f"There are no runs in {where} yet.\n{MISSING}")
        return
    emit(runs_table(rows, metrics))
    if console().is_terminal:
        first = next(row.run.info.run_id[:8] for row in rows if row.run is not None)
        more = f"the first {limit}; -n shows more · " if cut else ""
        emit(cell(f"{more}skledger show {first}  tells all about a run", "dim"))


def _print_json(rows: Sequence[Any]) -> None:
    from skledger.cli._family import as_dictionary
    from skledger.cli._printing import emit_json

    emit_json([as_dictionary(row) for row in rows])


def _print_csv(rows: Sequence[Any]) -> None:
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
