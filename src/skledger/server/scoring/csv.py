"""CSV as a data frame of the types that a model was trained with."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.server.scoring.columns import column_of
from skledger.server.scoring.inputs import Inputs
from skledger.types.data_types import DataType
from skledger.types.schema import ColSpec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_csv", "read_csv_chunks"]

#: Types that pandas reads by itself, as long as nothing is missing where nothing may be.
_READ: dict[Any, str] = {
    DataType.double: "float64",
    DataType.float: "float32",
    DataType.string: "str",
    DataType.binary: "str",
    DataType.datetime: "str",
}
_GAPPY: dict[Any, tuple[str, str]] = {
    DataType.long: ("int64", "Int64"),
    DataType.integer: ("int32", "Int32"),
    DataType.boolean: ("bool", "boolean"),
}
_TEXTS = {"true": True, "false": False}


#: What stands for a missing value in a column that may have gaps, besides nothing at all.
_GAPS = [
    "",
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "#N/A",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "null",
    "NULL",
    "None",
]


def read_csv(stream: IO[bytes], inputs: Inputs, encoding: str = "utf-8") -> Any:
    """Return all of a CSV file, whose first line names the columns.

    Raises
    ------
    InvalidParameterError
        It cannot be read, or a column is missing or of another type.
    """
    for _, data in read_csv_chunks(stream, inputs, None, encoding):
        return data
    raise InvalidParameterError("the CSV is empty; expected a line of names first.")


def read_csv_chunks(
    stream: IO[bytes], inputs: Inputs, rows: int | None, encoding: str = "utf-8"
) -> Iterator[tuple[int, Any]]:
    """Yield a CSV file in parts, each with the number of its first row.

    Parameters
    ----------
    stream : file
        Opened for bytes; it can be read again from its beginning.
    inputs : Inputs
        What the model takes.
    rows : int or None
        How many rows a part has; None for one part.
    encoding : str
        That of the texts in it.

    Raises
    ------
    InvalidParameterError
        It cannot be read, or a column is missing or of another type; the text tells the row.
    """
    start, at = stream.tell(), 0
    try:
        names = _names(stream, encoding)
        stream.seek(start)
        # Without a size pandas reads everything, and makes no part of a file without rows.
        whole = {} if rows is None else {"chunksize": rows}
        parsed = _parse(stream, inputs, encoding, names, **whole)
        is_checked = False
        for part in [parsed] if rows is None else parsed:
            if not is_checked and len(part.columns) and bool(part.iloc[:, -1].isna().any()):
                _check_ends(stream, start, encoding)
                is_checked = True
            yield at, _fitted(part, inputs)
            at += len(part)
    except InvalidParameterError:
        raise
    except (ValueError, TypeError, OverflowError, LookupError) as error:
        stream.seek(start)
        raise _explained(stream, inputs, encoding, error, at, rows) from error


def _names(stream: IO[bytes], encoding: str) -> list[str]:
    """Return what the first line names; each name may stand there once."""
    names = next(_lines(stream, encoding), [])
    if not names:
        raise InvalidParameterError("the CSV is empty; expected a line of names first.")
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise InvalidParameterError(f"columns are there twice: {twice!r}.")
    return names


def _lines(stream: IO[bytes], encoding: str) -> Iterator[list[str]]:
    """Yield the cells of each line, as pandas separates them; it skips lines with nothing."""
    text = io.TextIOWrapper(stream, encoding, newline="")
    try:
        for line in csv.reader(text):
            if line:
                line[0] = line[0].removeprefix("\ufeff")
                yield line
    except csv.Error as error:
        raise ValueError(f"it cannot be read: {error}") from error
    finally:
        text.detach()


def _check_ends(stream: IO[bytes], start: int, encoding: str) -> None:
    """Raise for a line that ends too early: pandas takes what it lacks for missing values.

    All of the file is looked at, once, when a value of the last column is missing: so is that of
    every such line.
    """
    here = stream.tell()
    stream.seek(start)
    lines = _lines(stream, encoding)
    names = next(lines, [])
    for row, cells in enumerate(lines):
        if len(cells) < len(names):
            raise InvalidParameterError(
                f"row {row} of the CSV has {len(cells)} values, its first line names "
                f"{len(names)}: {', '.join(names)}. What is missing is nothing between commas."
            )
    stream.seek(here)


def _parse(
    stream: IO[bytes], inputs: Inputs, encoding: str, names: Sequence[str], **options: Any
) -> Any:
    import pandas as pd

    kinds: dict[Any, Any] = {}
    texts = set()
    for spec in inputs.specs or ():
        if inputs.names is not None and isinstance(spec.type, DataType):
            kinds[str(spec.name)] = _dtype(spec)
            if spec.type is DataType.string and spec.required:
                texts.add(str(spec.name))
    if texts:
        # Where nothing is ever missing, "NA" is a text like others.
        gaps = {name: [] if name in texts else _GAPS for name in names}
        options |= {"keep_default_na": False, "na_values": gaps}
    return pd.read_csv(stream, dtype=kinds, encoding=encoding, **options)


def _dtype(spec: ColSpec) -> str:
    if spec.type in _READ:
        return _READ[spec.type]
    return _GAPPY[spec.type][0 if spec.required else 1]


def _fitted(frame: pd.DataFrame, inputs: Inputs) -> Any:
    """Return the columns that the model takes, in its order."""
    if type(frame.index).__name__ != "RangeIndex":  # pandas takes what is too much for labels
        raise InvalidParameterError("row 0 of the CSV has more values than its first line names.")
    frame = frame.reset_index(drop=True)  # a part goes on counting where the last one ended
    if inputs.tensors is not None:
        return inputs.enforced_frame(frame)
    if inputs.names is None:
        return frame if inputs.specs is None else inputs.table(None, _rows(frame))
    labels = {str(each): each for each in inputs.names}
    frame = frame.rename(columns=labels)
    given = set(frame.columns)
    specs: Sequence[ColSpec | None] = inputs.specs or [None] * len(inputs.names)
    pairs = list(zip(inputs.names, specs, strict=True))
    missing = [name for name, spec in pairs if name not in given and (not spec or spec.required)]
    if missing:
        raise InvalidParameterError(
            f"columns are missing: {missing!r}. The first line of a CSV names its columns."
        )
    for name, spec in pairs:
        if spec is not None and name not in given:
            frame[name] = column_of([None] * len(frame), spec)
        elif spec is not None and spec.type in (DataType.binary, DataType.datetime):
            values = frame[name].astype(object)
            frame[name] = column_of(values.where(values.notna(), None).tolist(), spec)
    return frame[inputs.names]


def _rows(frame: pd.DataFrame) -> list[list[Any]]:
    return [list(row) for row in frame.itertuples(index=False, name=None)]


def _explained(
    stream: IO[bytes],
    inputs: Inputs,
    encoding: str,
    error: Exception,
    first: int,
    rows: int | None,
) -> InvalidParameterError:
    """Find the column and row that a reader of numbers stumbled over."""
    import pandas as pd

    skipped = range(1, first + 1)
    try:
        texts = pd.read_csv(stream, dtype=str, encoding=encoding, skiprows=skipped, nrows=rows)
    except (ValueError, LookupError) as why:
        return InvalidParameterError(f"the CSV cannot be read: {why}")
    wrong = []
    for spec in inputs.specs or ():
        name = str(spec.name)
        if spec.name is None or name not in texts or not isinstance(spec.type, DataType):
            continue
        try:
            column_of([_value(each, spec.type) for each in texts[name]], spec)
        except InvalidParameterError as why:
            told = re.sub(r"^row (\d+)", lambda row: f"row {int(row[1]) + first}", why.message)
            wrong.append(f"column {name!r}: {told}")
    if wrong:
        return InvalidParameterError("; ".join(wrong) + ".")
    return InvalidParameterError(f"the CSV, from row {first} on: {error}")


def _value(text: Any, kind: DataType) -> Any:
    """Return what a cell says, as JSON would have it; itself when it says something else."""
    if not isinstance(text, str):
        return None
    if kind is DataType.boolean:
        return _TEXTS.get(text.strip().lower(), text)
    if kind in (DataType.integer, DataType.long, DataType.float, DataType.double):
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                pass
    return text
