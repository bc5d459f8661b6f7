"""``skledger models predict``: a file in, a file of predictions out."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from skledger.cli._options import uri_option
from skledger.cli.models_serve import model_option, trust_options
from skledger.cli.models_writing import STANDARD, is_standard, write_csv, write_json, writing
from skledger.errors import InvalidParameterError, MissingFileError, SkledgerError, StoreError

if TYPE_CHECKING:
    from skledger.server.scoring.scorer import Scorer

__all__ = ["command"]

#: Rows that are read, predicted and written at a time.
_CHUNK = 20_000


@click.command("predict", short_help="Predict a file of data.")
@model_option
@click.option(
    "-i",
    "--input-path",
    default=STANDARD,
    metavar="FILE",
    help="CSV with names in its first line, or JSON in a form that requests have. By default the "
    "standard input.",
)
@click.option(
    "-o",
    "--output-path",
    default=STANDARD,
    metavar="FILE",
    help="Where the predictions go, by default the standard output. A file is there when it is "
    "whole; into a pipe or a device is written directly.",
)
@click.option(
    "-t",
    "--content-type",
    type=click.Choice(["csv", "json"]),
    help="What the input is; by default what the name of its file ends in, else CSV.",
)
@click.option(
    "--output-type",
    type=click.Choice(["csv", "json"]),
    help="What the output is; by default what the name of its file ends in, else as the input.",
)
@click.option(
    "--method",
    metavar="NAME",
    help="The method to predict with, such as predict_proba; by default the model's usual one.",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    default=_CHUNK,
    show_default=True,
    help="How many rows of CSV are held in memory at a time.",
)
@click.option(
    "--env-manager",
    type=click.Choice(["local"]),
    default="local",
    help="Taken for compatibility: models run in this environment.",
)
@trust_options
@uri_option
def command(
    model_uri: str,
    input_path: str,
    output_path: str,
    content_type: str | None,
    output_type: str | None,
    method: str | None,
    chunk: int,
    env_manager: str,
    no_verify: bool,
    no_pickle: bool,
    trusted: tuple[str, ...],
) -> None:
    """Write the predictions of a model for a file of data.

    Of CSV only a part is held in memory at a time. Columns are found by their names; those that the
    model does not know are left out. Predictions are in the order of the rows.
    """
    kind = content_type or _ending(input_path) or "csv"
    wanted = output_type or _ending(output_path) or kind
    scorer = _scorer(model_uri, no_verify, not no_pickle, trusted)
    if method is not None and method not in scorer.methods:
        raise InvalidParameterError(
            f"--method {method!r} is nothing that this {scorer.kind} can be "
            f"asked for; expected one of {', '.join(scorer.methods)}."
        )
    with _reading(input_path) as source, writing(output_path) as target:
        if kind == "csv":
            parts = _csv_parts(scorer, source, method, chunk)
        else:
            parts = iter([_of_json(scorer, source, method)])
        write = write_csv if wanted == "csv" else write_json
        rows = write(parts, target, scorer, method or scorer.method)
    if kind == "csv" and rows == 0:
        click.echo("The input has no rows; there is nothing to predict.", err=True)
    if not is_standard(output_path):
        click.echo(f"Predicted {rows:,} row{'' if rows == 1 else 's'} into {output_path}.")


def _ending(path: str) -> str | None:
    ending = Path(path).suffix.lower().lstrip(".")
    return ending if ending in ("csv", "json") else None


def _scorer(uri: str, no_verify: bool, allow_pickle: bool, trusted: tuple[str, ...]) -> Scorer:
    from skledger.cli.models_finding import find_model, meant_uri
    from skledger.server.scoring.scorer import load_scorer

    found = find_model(meant_uri(uri), verify=not no_verify)
    return load_scorer(
        found.folder,
        digests=None if no_verify else found.digests,
        refusal=None if no_verify else found.refusal,
        trusted=trusted,
        allow_pickle=allow_pickle,
    )


# -- in --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _reading(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD:
        with _kept(sys.stdin.buffer) as kept:
            yield kept
        return
    # What fails while it is read, or written elsewhere, is no missing file.
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - closed below
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MissingFileError(f"there is no file {path!r} to predict from.") from error
    except OSError as error:
        raise StoreError(f"cannot read {path!r}: {error.strerror or error}.") from error
    with stream:
        if stream.seekable():
            yield stream
            return
        with _kept(stream) as kept:
            yield kept


@contextlib.contextmanager
def _kept(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a copy of a stream: a table is looked at twice where something is wrong with it."""
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(stream, kept)
        kept.seek(0)
        yield kept


def _csv_parts(
    scorer: Scorer, source: IO[bytes], method: str | None, rows: int
) -> Iterator[tuple[Any, Any]]:
    """Yield predictions, each part with the labels of its rows."""
    from skledger.server.scoring.csv import read_csv, read_csv_chunks

    is_empty = True
    try:
        for at, data in read_csv_chunks(source, scorer.inputs, rows):
            if len(data):
                is_empty = False
                yield range(at, at + len(data)), scorer.predict(data, method=method)
        if is_empty:  # then its head was not looked at
            source.seek(0)
            read_csv(source, scorer.inputs)
    except SkledgerError as error:
        hint = _separator(source)
        if hint is None:
            raise
        raise InvalidParameterError(f"{error.message} {hint}") from error


def _separator(source: IO[bytes]) -> str | None:
    """Say so when the first line looks as if something else than commas separated its names."""
    source.seek(0)
    head = source.readline(1 << 20)
    for mark, name in ((b";", "semicolons"), (b"\t", "tabs")):
        if mark in head and b"," not in head:
            return f"Its first line has {name} and no commas; write it with commas between values."
    return None


def _of_json(scorer: Scorer, source: IO[bytes], method: str | None) -> tuple[Any, Any]:
    from skledger.server.scoring.reading import read_json

    data, params = read_json(source.read(), scorer.inputs)
    return None, scorer.predict(data, params, method)
