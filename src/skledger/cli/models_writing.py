"""Predictions as a file: CSV or JSON, under its name when all of it is written."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from skledger.errors import SkledgerError, StoreError

if TYPE_CHECKING:
    import pandas as pd

    from skledger.server.scoring.scorer import Scorer

__all__ = ["STANDARD", "is_standard", "write_csv", "write_json", "writing"]

#: Stands for the standard input or output.
STANDARD = "-"
#: Other names of the standard output; behind them may be a file that it must not be taken from.
_STANDARD_OUTPUTS = (STANDARD, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_OF_CLASSES = ("predict_proba", "predict_log_proba", "decision_function")
_LIST = b'{"predictions":['


def is_standard(path: str) -> bool:
    """Tell whether an output is the standard output."""
    return path in _STANDARD_OUTPUTS


@contextlib.contextmanager
def writing(path: str) -> Iterator[IO[bytes]]:
    """Give where to write; a file gets its name when all of it is written.

    What is no file, such as a pipe or a device, is written into. Of a link the target is written.
    """
    if is_standard(path):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        mode = None
        with contextlib.suppress(FileNotFoundError):
            mode = Path(path).stat().st_mode
        if mode is not None and stat.S_ISDIR(mode):
            raise StoreError(f"cannot write to {path!r}: it is a folder; name a file in it.")
        if mode is None or stat.S_ISREG(mode):
            inner: AbstractContextManager[IO[bytes]] = _replacing(Path(path).resolve(), mode)
        else:
            # By the name that was given: what /dev/fd/3 leads to may have no path.
            inner = os.fdopen(os.open(path, os.O_WRONLY), "wb")
        with inner as stream:
            yield stream
    except SkledgerError:
        raise
    except BrokenPipeError:
        raise  # who reads has gone, which is no mistake
    except OSError as error:
        raise StoreError(f"cannot write to {path!r}: {error.strerror or error}.") from error


@contextlib.contextmanager
def _replacing(target: Path, mode: int | None) -> Iterator[IO[bytes]]:
    """Give a file beside the target that takes its place."""
    number, name = tempfile.mkstemp(prefix=f".{target.name[:50]}.", dir=target.parent)
    try:
        with os.fdopen(number, "wb") as stream:
            yield stream
        if mode is None:
            # As if the file had been opened under its own name.
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        Path(name).chmod(stat.S_IMODE(mode))
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# -- CSV -------------------------------------------------------------------------------------------


def write_csv(
    parts: Iterator[tuple[Any, Any]], target: IO[bytes], scorer: Scorer, method: str
) -> int:
    """Write a table, part by part; without rows, its head."""
    import pandas as pd

    rows = 0
    text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
    try:
        for _, predictions in parts:
            frame = _frame(predictions, scorer, method)
            frame.to_csv(text, index=False, header=rows == 0)
            rows += len(frame)
        if not rows:
            pd.DataFrame(columns=_names_without_rows(scorer, method)).to_csv(text, index=False)
    finally:
        text.detach()
    return rows


def _frame(predictions: Any, scorer: Scorer, method: str) -> pd.DataFrame:
    """Return predictions as a table; probabilities have the names of their classes."""
    import numpy as np
    import pandas as pd

    if hasattr(predictions, "to_pandas"):  # polars
        predictions = predictions.to_pandas()
    if isinstance(predictions, pd.DataFrame):
        return predictions
    if hasattr(predictions, "toarray"):
        predictions = predictions.toarray()
    if isinstance(predictions, dict) or _is_records(predictions):
        return pd.DataFrame(predictions)
    if isinstance(predictions, list) and predictions and np.ndim(predictions[0]) == 2:
        raise click.ClickException(
            "predictions of several outputs make no table; write them as JSON: --output-type json."
        )
    values = np.atleast_1d(np.asarray(predictions))
    if values.ndim == 1:
        return pd.DataFrame({"predictions": values})
    return pd.DataFrame(values, columns=_names(values.shape[1], scorer, method))


def _is_records(predictions: Any) -> bool:
    """Tell whether predictions are a dictionary for each row, as a `PythonModel` may return."""
    is_list = isinstance(predictions, list)
    return is_list and bool(predictions) and all(isinstance(each, dict) for each in predictions)


def _names(width: int, scorer: Scorer, method: str) -> list[Any]:
    """Return the names of so many columns of predictions."""
    import numpy as np

    classes: Any = getattr(scorer.estimator, "classes_", None)
    if method in _OF_CLASSES and np.shape(classes) == (width,):
        return list(np.asarray(classes).tolist())
    return [f"predictions_{at}" for at in range(width)]


def _names_without_rows(scorer: Scorer, method: str) -> list[Any]:
    """Return the names that the columns would have, as far as the model tells without data."""
    import numpy as np

    labels: Any = getattr(scorer.estimator, "classes_", None)
    classes: tuple[int, ...] = np.shape(labels)
    outputs = getattr(scorer.estimator, "n_outputs_", 1)
    several = isinstance(outputs, int | np.integer) and outputs > 1
    if method in _OF_CLASSES and not several and len(classes) == 1:
        # The margin of two classes is one number.
        if method == "decision_function" and classes[0] == 2:
            return ["predictions"]
        return _names(classes[0], scorer, method)
    if method == "predict" and several:
        return _names(int(outputs), scorer, method)
    return ["predictions"]


# -- JSON ------------------------------------------------------------------------------------------


def write_json(
    parts: Iterator[tuple[Any, Any]], target: IO[bytes], scorer: Scorer, method: str
) -> int:
    """Write ``{"predictions": ...}``, part by part."""
    from skledger.server.scoring.writing import predictions_json, rows_of

    rows = 0
    outputs: list[list[Any]] | None = None
    for labels, predictions in parts:
        if labels is not None and _is_by_output(predictions, len(labels)):
            # A list for each output, which is whole only with the last part.
            outputs = [[] for _ in predictions] if outputs is None else outputs
            for kept, each in zip(outputs, predictions, strict=True):
                kept.append(each)
            rows += len(labels)
            continue
        content = predictions_json(predictions)
        if labels is None:  # all at once
            target.write(content + b"\n")
            return rows_of(predictions)
        if not content.startswith(_LIST):
            raise click.ClickException("what the model answers is no list of rows.")
        target.write(_LIST if rows == 0 else b",")
        target.write(content[len(_LIST) : -2])
        rows += rows_of(predictions)
    if outputs is not None:
        target.write(predictions_json([_joined(each) for each in outputs]) + b"\n")
    else:
        target.write(b"]}\n" if rows else _LIST + b"]}\n")
    return rows


def _is_by_output(predictions: Any, rows: int) -> bool:
    """Tell whether a model of several outputs answers with a table of all rows for each."""
    if not isinstance(predictions, list | tuple) or not predictions:
        return False
    shapes: list[Any] = [getattr(each, "shape", ()) for each in predictions]
    return all(len(shape) == 2 and shape[0] == rows for shape in shapes)


def _joined(parts: list[Any]) -> Any:
    import numpy as np

    return np.concatenate([each.toarray() if hasattr(each, "toarray") else each for each in parts])
