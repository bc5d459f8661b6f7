"""A user's mistake becomes one message and an exit code, never a traceback."""

from __future__ import annotations

import io
import sys
from typing import IO, Any

import click

from skledger.errors import SkledgerError

__all__ = ["Commands", "Failure"]


class Failure(click.ClickException):
    """Ends the command with a message in red and the exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message to the standard error."""
        click.secho(f"Error: {self.message}", fg="red", file=file or sys.stderr)


class Commands(click.Group):
    """A group of commands that reports what skledger raises on purpose."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; its `SkledgerError` becomes a `Failure`."""
        for stream in (sys.stdout, sys.stderr):
            # A name that the terminal's encoding lacks is shown with a question mark.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            return super().invoke(ctx)
        except SkledgerError as error:
            raise Failure(error.message) from error
