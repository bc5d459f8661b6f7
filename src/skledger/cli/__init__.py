"""The command ``skledger``: look at runs, use and name models, copy, serve, and a demo.

The subcommands live in a module each; none of them imports scikit-learn until it needs an
estimator.
"""

from __future__ import annotations

import click

from skledger import __version__
from skledger.cli import copy, demo, gc, models, plots, runs, server, server_auth, show, sync, ui
from skledger.cli._errors import Commands

__all__ = ["main"]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="To book the fits of a script without changing it: python -m skledger train.py",
)
@click.version_option(__version__, message="skledger %(version)s", help="Show the version.")
def main() -> None:
    """Autologging for scikit-learn: every fit is booked as a run that loads again."""


for _module in (ui, runs, show, plots, models, copy, sync, server, server_auth, gc, demo):
    main.add_command(_module.command)
