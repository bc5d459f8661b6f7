"""An example of what a model takes, in the files that MLflow keeps it in."""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, ModelError
from skledger.models.infer import as_pandas, is_sparse
from skledger.models.verified import ModelFolder
from skledger.types.data_types import DataType

if TYPE_CHECKING:
    import pandas as pd

    from skledger.types.schema import Schema

__all__ = ["Example", "example_of", "load_example"]

_FILE = "input_example.json"
_SERVING_FILE = "serving_input_example.json"
#: What holds these and missing values.
_GAPPY: dict[Any, Any] = {
    DataType.integer: "Int32",
    DataType.long: "Int64",
    DataType.boolean: "boolean",
}
_SPARSE = {"csr": "sparse_matrix_csr", "csc": "sparse_matrix_csc"}


@dataclass(frozen=True, slots=True)
class Example:
    """An example, ready to be stored.

    Parameters
    ----------
    data : object
        The example as ``predict`` takes it.
    params : mapping or None
        The params that go with it.
    info : mapping of str to str
        What ``MLmodel`` says about it.
    files : mapping of str to bytes
        Its files by name.
    """

    data: Any
    params: Mapping[str, Any] | None
    info: Mapping[str, str]
    files: Mapping[str, bytes]


def example_of(given: Any) -> Example:
    """Prepare an example for storing.

    Parameters
    ----------
    given : DataFrame, Series, array, sparse matrix, dict, list, scalar, or tuple of one and a dict
        What ``predict`` takes, or that and the params that go with it. A series is one sample. It
        is turned into text here and now: it does not matter what becomes of it later.

    Raises
    ------
    InvalidParameterError
        It cannot be written as JSON.
    """
    params = None
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping):
        given, params = given
    data = as_pandas(given)
    if hasattr(data, "to_frame") and hasattr(data, "index"):
        data = data.to_frame().T.infer_objects()
    kind, stored, served = _forms(data)
    info = {"artifact_path": _FILE, "type": kind, "serving_input_path": _SERVING_FILE}
    if kind == "dataframe":
        info["pandas_orient"] = "split" if "columns" in stored else "values"
    if params is not None:
        info["params"] = "true"
        stored, served = {"inputs": stored, "params": params}, {**served, "params": params}
    try:
        files = {
            _FILE: json.dumps(stored, default=_plain).encode(),
            _SERVING_FILE: json.dumps(served, default=_plain, indent=2).encode(),
        }
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"the input example of type {type(given).__name__} cannot be written as JSON: {error}. "
            "Expected a DataFrame, an array, a sparse matrix, a dictionary, a list or a scalar."
        ) from error
    return Example(data, params, info, files)


def _forms(data: Any) -> tuple[str, Any, dict[str, Any]]:
    """Return the kind of the example, how it is stored, and how a server would be sent it."""
    if hasattr(data, "columns") and hasattr(data, "dtypes"):
        frame = _split(data)
        return "dataframe", frame, {"dataframe_split": frame}
    if is_sparse(data):
        matrix = data if data.format in _SPARSE else data.tocsr()
        parts = {name: getattr(matrix, name).tolist() for name in ("data", "indices", "indptr")}
        stored = {**parts, "shape": list(matrix.shape)}
        return _SPARSE[matrix.format], stored, {"inputs": matrix.toarray().tolist()}
    if hasattr(data, "tolist"):
        values = _without_nan(data.tolist())
        return "ndarray" if getattr(data, "ndim", 0) else "json_object", values, {"inputs": values}
    if isinstance(data, Mapping) and data and all(_is_array(each) for each in data.values()):
        arrays = {name: _without_nan(each.tolist()) for name, each in data.items()}
        return "ndarray", arrays, {"inputs": arrays}
    return "json_object", data, {"inputs": data}


def _is_array(value: Any) -> bool:
    return hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0


def _split(frame: Any) -> dict[str, Any]:
    rows = [[_scalar(each) for each in row] for row in frame.itertuples(index=False, name=None)]
    if list(frame.columns) == list(range(len(frame.columns))):
        return {"data": rows}
    return {"columns": frame.columns.tolist(), "data": rows}


def _scalar(value: Any) -> Any:
    """Return one value of a data frame as JSON has it; what is missing is null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value


def _without_nan(values: Any) -> Any:
    if isinstance(values, list):
        return [_without_nan(each) for each in values]
    return None if isinstance(values, float) and math.isnan(values) else values


def _plain(value: Any) -> Any:
    """Return what JSON lacks as what it has."""
    if isinstance(value, bytes):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def load_example(folder: ModelFolder, info: Mapping[str, Any], schema: Schema | None = None) -> Any:
    """Return the example that is stored in a model folder, ours or MLflow's.

    Parameters
    ----------
    folder : ModelFolder
        The model folder.
    info : mapping
        What its ``MLmodel`` says about the example.
    schema : Schema, optional
        What the model takes: JSON has neither dates nor bytes nor whole numbers with gaps.

    Raises
    ------
    ModelError
        When its file is not there or not readable.
    """
    # Only the last part of the name counts: the file is in the folder, whatever MLmodel says.
    name = Path(str(info.get("artifact_path", _FILE))).name
    try:
        stored = json.loads(folder.read(name))
    except ValueError as error:
        raise ModelError(
            f"the input example {name!r} in {folder} cannot be read: {error}."
        ) from error
    if info.get("params") in ("true", True) and isinstance(stored, dict):
        stored = stored.get("inputs")
    kind = info.get("type")
    if kind == "dataframe":
        import pandas as pd

        frame = pd.DataFrame(stored["data"], columns=_labels(stored.get("columns")))
        return frame if schema is None else _as_before(frame, schema)
    if kind == "ndarray":
        return _arrays(stored)
    if kind in _SPARSE.values():
        import scipy.sparse as sp

        build = sp.csr_matrix if kind == _SPARSE["csr"] else sp.csc_matrix
        return build((stored["data"], stored["indices"], stored["indptr"]), shape=stored["shape"])
    return stored


def _as_before(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the columns in the types that JSON could not hold."""
    import pandas as pd

    if schema.is_tensor_spec() or not schema.has_input_names():
        return frame
    for spec in schema:
        if spec.name not in frame:
            continue
        column = frame[spec.name]
        if spec.type is DataType.datetime:
            frame[spec.name] = pd.to_datetime(column, format="ISO8601")
        elif spec.type is DataType.binary:
            held = (None if each is None else base64.b64decode(each) for each in column)
            frame[spec.name] = pd.Series(list(held), dtype=object, index=frame.index)
        elif spec.type in _GAPPY and bool(column.isna().any()):
            frame[spec.name] = column.astype(_GAPPY[spec.type])
    return frame


def _labels(columns: Any) -> Any:
    return columns and [tuple(each) if isinstance(each, list) else each for each in columns]


def _arrays(stored: Any) -> Any:
    import numpy as np

    if isinstance(stored, dict):
        return {name: _arrays(each) for name, each in stored.items()}
    values = np.array(stored)
    # What was missing is null; among numbers that was a NaN.
    if values.dtype == object:
        try:
            return values.astype(float)
        except (TypeError, ValueError):
            pass
    return values
