"""``skledger show``: all about one run."""

from __future__ import annotations

import click

from skledger.cli._options import json_option, uri_option

__all__ = ["command"]

#: Candidates, folds and children that are shown unless told.
_TOP = 10


@click.command("show", short_help="Show all about one run.")
@click.argument("run")
@click.option("--full", is_flag=True, help="Print long params and tags whole.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"How many candidates of each search, folds and children to show: the best {_TOP} unless "
    "told.",
)
@click.option("--all", "every", is_flag=True, help="Show all of them.")
@json_option
@uri_option
def command(run: str, full: bool, top: int | None, every: bool, as_json: bool) -> None:
    """Show params, metrics, tags, models, files, warnings and errors of a RUN.

    Of a search the best candidates, of a cross-validation the scores of its folds.

    RUN is an identifier or the beginning of one, the name of a run, or `last`.
    """
    from skledger.cli import _page, _portrait
    from skledger.cli._finding import find_run
    from skledger.cli._printing import emit_json

    if every and top is not None:
        raise click.UsageError("Give --top or --all, not both.")
    most = None if every else top or _TOP
    portrait = _portrait.portrait_of(find_run(run), most)
    if as_json:
        emit_json(_portrait.as_dictionary(portrait))
    else:
        _page.print_page(portrait, full, most)
