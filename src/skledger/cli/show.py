"""``skledger show``: all about one run."""

from __future__ import annotations

import click

from skledger.cli._options import json_option, uri_option

__all__ = ["command"]


@click.command("show", short_help="Show all about one run.")
@click.argument("run")
@click.option("--full", is_flag=True, help="Print long params and tags whole.")
@json_option
@uri_option
def command(run: str, full: bool, as_json: bool) -> None:
    """Show params, metrics, tags, models, files, warnings and errors of a RUN.

    RUN is an identifier or the beginning of one, the name of a run, or `last`.
    """
    from skledger.cli import _page, _portrait
    from skledger.cli._finding import find_run
    from skledger.cli._printing import emit_json

    portrait = _portrait.portrait_of(find_run(run))
    if as_json:
        emit_json(_portrait.as_dictionary(portrait))
    else:
        _page.print_page(portrait, full)
