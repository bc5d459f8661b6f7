"""``skledger models``: what is done with models that were logged."""

from __future__ import annotations

import click

from skledger.cli import models_check, models_predict, models_registry, models_serve

__all__ = ["command"]


@click.group("models", short_help="Serve, predict with, check and register models.")
def command() -> None:
    """Use models that were logged, and keep the registry of their names.

    serve answers HTTP requests with a model's predictions, predict makes a file of predictions of
    a file of data, and check tells whether a model is what was booked and fits into this
    environment.

    The registry gives models names with numbered versions, so that models:/<name>@<alias> stays
    the same while the model behind it changes: list shows it, register makes a version, alias
    names one, and stage moves one.
    """


for _module in (models_serve, models_predict, models_check):
    command.add_command(_module.command)
for _command in models_registry.commands:
    command.add_command(_command)
