"""``skledger models list``, ``register``, ``alias`` and ``stage``: the registry."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from skledger.cli._options import json_option, uri_option
from skledger.cli.models_finding import known_model, no_alias, registry_to_read
from skledger.errors import NotFoundError

if TYPE_CHECKING:
    from skledger.stores.base import Store
    from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

__all__ = ["commands"]

_MOST = 10_000


@click.command("list", short_help="List registered models, or the versions of one.")
@click.argument("name", required=False)
@uri_option
@click.option("--filter", "where", default="", metavar="TEXT", help="Such as \"tags.team = 'a'\".")
@json_option
def list_models(name: str | None, where: str, as_json: bool) -> None:
    """List registered models; of NAME, all versions, the newest first."""
    from skledger.cli._printing import emit_json

    store = registry_to_read()
    found: Sequence[RegisteredModel | ModelVersion]
    if name is None:
        found = store.search_registered_models(where, _MOST)
    else:
        known_model(store, name)
        quote = '"' if "'" in name else "'"
        also = f" and {where}" if where else ""
        query = f"name = {quote}{name}{quote}{also}"
        found = store.search_model_versions(query, _MOST, ["version_number DESC"])
    if as_json:
        emit_json([asdict(each) for each in found])
    elif found:
        click.echo(repr(found))
    else:
        click.echo(_nothing(name, where))


def _nothing(name: str | None, where: str) -> str:
    if where:
        what = "registered model" if name is None else f"version of {name}"
        return f"No {what} matches {where!r}."
    return "There are no registered models." if name is None else f"{name} has no version."


@click.command("register", short_help="Register a model that was logged.")
@click.argument("model_uri")
@click.argument("name")
@uri_option
@click.option("--alias", "aliases", multiple=True, metavar="ALIAS", help="Set it, too.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Set a tag of the version.")
@click.option("--description", metavar="TEXT", help="Of the version.")
def register_model(
    model_uri: str,
    name: str,
    aliases: tuple[str, ...],
    tags: tuple[str, ...],
    description: str | None,
) -> None:
    """Make MODEL_URI, such as runs:/<run id>/model, the next version of NAME.

    The registered model NAME is made when it is new. `last` is the model of the last run.
    """
    from skledger.cli._finding import require_database
    from skledger.cli.models_finding import in_words_of_commands, meant_uri, require_model
    from skledger.tracking.registering import register
    from skledger.tracking.registry_versions import registry
    from skledger.tracking.session import chosen_registry_uri

    for each in tags:
        if "=" not in each:
            raise click.BadParameter(f"expected KEY=VALUE, got {each!r}", param_hint="--tag")
    pairs = (each.partition("=") for each in tags)
    # All that can be wrong is found before anything is written.
    for alias in aliases:
        _check_alias(name, alias)
    if chosen_registry_uri() is None:
        require_database()
    uri = meant_uri(model_uri)
    require_model(uri)
    with in_words_of_commands(uri):
        made = register(uri, name, {key: value for key, _, value in pairs}, description)
    click.echo(f"Registered {uri} as models:/{name}/{made.version}.")
    for alias in aliases:
        _set_alias(registry(), name, alias, made.version)


@click.command("alias", short_help="Let an alias stand for a version.")
@click.argument("name")
@click.argument("alias")
@click.argument("version", required=False)
@uri_option
@click.option("--delete", is_flag=True, help="Remove the alias.")
def alias_command(name: str, alias: str, version: str | None, delete: bool) -> None:
    """Let ALIAS stand for VERSION of the registered model NAME."""
    from skledger.tracking.registry_entities import RegisteredModelChange

    if delete == (version is not None):
        raise click.UsageError("Give a VERSION, or --delete.")
    if version is not None:
        _check_version(version)
        _check_alias(name, alias)
    store = registry_to_read()
    model = known_model(store, name)
    if version is not None:
        _set_alias(store, name, alias, version)
        return
    if alias not in model.aliases:
        raise NotFoundError(no_alias(model, alias))
    store.write_registry(RegisteredModelChange(name, deleted_aliases=(alias,)))
    click.echo(f"models:/{name}@{alias} is no more.")


def _check_version(version: str) -> None:
    if re.fullmatch("[0-9]{1,9}", version) is None:
        raise click.BadParameter(
            f"expected the number of a version, such as 1, got {version!r}", param_hint="VERSION"
        )


def _check_alias(name: str, alias: str) -> None:
    """Refuse what cannot be an alias."""
    from skledger.stores.registry_checks import check_registry_changes
    from skledger.tracking.registry_entities import RegisteredModelAlias, RegisteredModelChange

    check_registry_changes(
        [RegisteredModelChange(name, aliases=(RegisteredModelAlias(alias, "1"),))]
    )


def _set_alias(store: Store, name: str, alias: str, version: str) -> None:
    from skledger.tracking.registry_entities import RegisteredModelAlias, RegisteredModelChange

    aliases = (RegisteredModelAlias(alias, version),)
    store.write_registry(RegisteredModelChange(name, aliases=aliases))
    click.echo(f"models:/{name}@{alias} is version {version} now.")


@click.command("stage", short_help="Move a version to a stage.")
@click.argument("name")
@click.argument("version")
@click.argument("stage")
@uri_option
@click.option("--archive-existing", is_flag=True, help="Archive what is in that stage.")
def stage_command(name: str, version: str, stage: str, archive_existing: bool) -> None:
    """Move VERSION of NAME to STAGE: None, Staging, Production or Archived."""
    from skledger.tracking.client import TrackingClient

    _check_version(version)
    known_model(registry_to_read(), name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        moved = TrackingClient().transition_model_version_stage(
            name, version, stage, archive_existing
        )
    click.echo(f"models:/{name}/{moved.version} is in {moved.current_stage} now.")


commands = (list_models, register_model, alias_command, stage_command)
