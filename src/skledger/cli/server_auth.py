"""``skledger server-auth``: who may ask a tracking server."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from skledger.cli._serving import AUTH_FILE

__all__ = ["command"]


def _file_option(function: Any) -> Any:
    return click.option(
        "--file",
        "path",
        default=AUTH_FILE,
        show_default=True,
        metavar="FILE",
        help="The file of users that skledger server --auth FILE reads.",
    )(function)


@click.group("server-auth", short_help="Say who may ask a tracking server.")
def command() -> None:
    """Add, remove and list the users of a tracking server that was started with --auth.

    A server notices within a second what is changed here. Passwords and tokens are kept as hashes.
    """


@command.command("add", short_help="Add a user with a password.")
@click.argument("name")
@_file_option
@click.option(
    "--read-only/--no-read-only",
    default=None,
    help="The user may look, and change nothing; not said, it stays as it was.",
)
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from the standard input, not asking."
)
def add(name: str, path: str, read_only: bool | None, password_stdin: bool) -> None:
    """Add the user NAME with a password, or give that user another one."""
    from skledger.server.security.users import UserFile, require_hashing

    require_hashing()
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    UserFile(path).set_password(name, password, read_only=read_only)
    click.echo(f"{name} is in {path}.")


@command.command("token", short_help="Make a token of a user.")
@click.argument("name")
@_file_option
@click.option("--note", default="", help="What the token is for.")
@click.option("--read-only", is_flag=True, help="By this token one may look, and change nothing.")
def token(name: str, path: str, note: str, read_only: bool) -> None:
    """Make a token of the user NAME, and print it this once; a new user is added.

    Programs send it when MLFLOW_TRACKING_TOKEN is set to it. A browser takes it as the password.
    """
    from skledger.server.security.users import UserFile

    click.echo(UserFile(path).add_token(name, note, read_only=read_only))
    click.echo(f"Keep it: {path} has only its hash, so it cannot be shown again.", err=True)


@command.command("remove", short_help="Remove a user, or one token.")
@click.argument("name")
@_file_option
@click.option("--token", "token_id", metavar="ID", help="Only this token, as list names it.")
def remove(name: str, path: str, token_id: str | None) -> None:
    """Remove the user NAME, or one token of that user."""
    from skledger.server.security.users import UserFile

    UserFile(path).remove(name, token_id)
    what = f"The token {token_id} of {name}" if token_id else name
    click.echo(f"{what} is no more in {path}.")


@command.command("list", short_help="List users and tokens.")
@_file_option
def list_users(path: str) -> None:
    """List users and their tokens, which are shown by their first characters."""
    from skledger.server.security.users import UserFile

    for name, user in sorted(UserFile(path).read().items()):
        has = "a password" if user.password else "no password"
        limited = ", read only" if user.read_only else ""
        click.echo(f"{name}: {has}{limited}")
        for each in user.tokens:
            day = datetime.fromtimestamp(each.created / 1000, UTC).date()
            note = f"  {each.note}" if each.note else ""
            click.echo(f"  token {each.id}  {day}{', read only' if each.read_only else ''}{note}")
