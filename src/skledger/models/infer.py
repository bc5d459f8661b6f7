"""From data to the schema that describes it, by MLflow's rules where it has some.

A column whose values have no type of MLflow's (unsigned 64-bit integers, complex numbers, time
differences, a mixture) is of type ``any`` and keeps its name. MLflow gives up the whole schema
then.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.types.data_types import AnyType, Array, ColumnType, DataType, Object, Property
from skledger.types.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["as_pandas", "column_kind", "is_sparse", "params_of", "schema_of"]

#: By kind and size in bytes of a numpy dtype.
_OF_DTYPE: dict[str, dict[int, ColumnType]] = {
    "b": {1: DataType.boolean},
    "i": {1: DataType.integer, 2: DataType.integer, 4: DataType.integer, 8: DataType.long},
    "u": {1: DataType.integer, 2: DataType.integer, 4: DataType.long},
    "f": {2: DataType.float, 4: DataType.float, 8: DataType.double},
    "M": {8: DataType.datetime},
}
#: What pandas finds in a column of Python objects.
_OF_OBJECTS: dict[str, ColumnType] = {
    "string": DataType.string,
    "empty": AnyType(),
    "boolean": DataType.boolean,
    "integer": DataType.long,
    "floating": DataType.double,
    "mixed-integer-float": DataType.double,
    "bytes": DataType.binary,
    "date": DataType.datetime,
    "datetime": DataType.datetime,
    "datetime64": DataType.datetime,
}


def schema_of(data: Any) -> Schema:
    """Describe data.

    Parameters
    ----------
    data : DataFrame, Series, array, sparse matrix, dict, list or scalar
        A data frame or series, of polars too, gives columns; an array or a sparse matrix a
        tensor; a dictionary of arrays named tensors; any other dictionary or a list of
        dictionaries columns; a list or a value one column without a name.

    Returns
    -------
    Schema
        One column of type ``any`` for what cannot be described.
    """
    data = as_pandas(data)
    if hasattr(data, "columns") and hasattr(data, "dtypes"):
        return _of_frame(data)
    if hasattr(data, "to_frame") and hasattr(data, "dtype"):
        return Schema([_column(column_kind(data), data.name, bool(data.isna().any()))])
    if hasattr(data, "dtype") and hasattr(data, "shape") and len(data.shape) > 0:
        return Schema([_tensor(data)])
    if isinstance(data, Mapping) and data:
        return _of_dict(data)
    return Schema(_of_values(data))


def _of_values(data: Any) -> list[ColSpec]:
    if isinstance(data, list) and data:
        if all(isinstance(each, Mapping) for each in data):
            return _of_records(data)
        return [ColSpec(_common(_kind(each) for each in data))]
    if isinstance(data, list | tuple | Mapping | set | frozenset):
        return [ColSpec(AnyType())]
    return [ColSpec(_kind(data) or AnyType())]


def as_pandas(data: Any) -> Any:
    """Return data of polars as pandas, anything else as it is."""
    if type(data).__module__.partition(".")[0] == "polars":
        return (data.collect() if hasattr(data, "collect") else data).to_pandas()
    return data


def is_sparse(data: Any) -> bool:
    """Tell a sparse matrix or array of scipy."""
    return type(data).__module__.startswith("scipy.sparse")


def _of_frame(frame: pd.DataFrame) -> Schema:
    import numpy as np

    if frame.shape[1] == 0 or not frame.columns.is_unique:
        return Schema([ColSpec(AnyType())])
    # Taking a column out of a frame is what takes time; a plain dtype says it all without.
    missing: Any = frame.isna().to_numpy().any(axis=0)
    # Labels that JSON has no form for, such as dates, are told by their place.
    named = all(map(_is_name, frame.columns))
    specs = []
    for number, (name, dtype, holes) in enumerate(
        zip(frame.columns, frame.dtypes, missing.tolist(), strict=True)
    ):
        plain = isinstance(dtype, np.dtype) and dtype.kind != "O"
        kind = _of_dtype(dtype) if plain else column_kind(frame.iloc[:, number])
        specs.append(_column(kind, name if named else None, holes))
    return Schema(specs)


def _is_name(label: Any) -> bool:
    parts = label if isinstance(label, tuple) else (label,)
    return all(isinstance(_plain(each), str | int | float) for each in parts)


def _plain(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label


def _column(kind: ColumnType, name: Any, missing: bool) -> ColSpec:
    return ColSpec(kind, _plain(name), required=not missing)


def _of_dtype(dtype: Any) -> ColumnType:
    return _OF_DTYPE.get(dtype.kind, {}).get(dtype.itemsize, AnyType())


def column_kind(column: pd.Series[Any]) -> ColumnType:
    """Return the type of a column; of a categorical one, the type of its categories."""
    dtype: Any = column.dtype
    if hasattr(dtype, "categories"):
        column = dtype.categories.to_series()
        dtype = column.dtype
    if hasattr(dtype, "tz"):
        return DataType.datetime
    # The nullable dtypes know the numpy dtype of their values.
    plain = getattr(dtype, "numpy_dtype", dtype)
    if hasattr(dtype, "fill_value"):  # sparse
        plain = dtype.subtype
    if getattr(dtype, "name", "") in ("string", "str"):
        return DataType.string
    if getattr(plain, "kind", "O") != "O":
        return _of_dtype(plain)
    return _of_objects(column)


def _of_objects(column: pd.Series[Any]) -> ColumnType:
    import pandas as pd

    found: Any = pd.api.types.infer_dtype(column, skipna=True)
    if found == "integer" and column.isna().any():
        return DataType.double  # what pandas makes of such a column
    if found in _OF_OBJECTS:
        return _OF_OBJECTS[found]
    return _common(_kind(each) for each in column.dropna())


def _tensor(data: Any, name: str | None = None) -> TensorSpec:
    import numpy as np

    # The size of the first axis is the number of samples.
    return TensorSpec(np.dtype(data.dtype), (-1, *data.shape[1:]), name)


def _of_dict(data: Mapping[Any, Any]) -> Schema:
    import numpy as np

    if all(isinstance(each, np.ndarray) and each.ndim for each in data.values()):
        return Schema([_tensor(each, name) for name, each in data.items()])
    return Schema(_of_records([data]))


def _of_records(records: list[Any]) -> list[ColSpec]:
    names = list(dict.fromkeys(name for each in records for name in each))
    return [
        ColSpec(kind, name, required)
        for name in names
        for kind, required in [_of_key(records, name)]
    ] or [ColSpec(AnyType())]


def _of_key(records: Iterable[Mapping[Any, Any]], name: Any) -> tuple[ColumnType, bool]:
    values = [each.get(name) for each in records]
    present = [each for each in values if each is not None]
    return _common(_kind(each) for each in present), len(present) == len(values)


def _common(kinds: Iterable[ColumnType | None]) -> ColumnType:
    """Return the one type of all, objects with the keys of all; any when there is none."""
    found = [each for each in kinds if each is not None]
    if not found:
        return AnyType()
    if all(isinstance(each, Object) for each in found):
        return _merged([each for each in found if isinstance(each, Object)])
    return found[0] if all(each == found[0] for each in found) else AnyType()


def _merged(objects: list[Object]) -> Object:
    names = {each.name for one in objects for each in one.properties}
    properties = []
    for name in names:
        having = [each for one in objects for each in one.properties if each.name == name]
        everywhere = len(having) == len(objects) and all(each.required for each in having)
        properties.append(Property(name, _common(each.dtype for each in having), everywhere))
    return Object(properties)


#: In this order: a bool is an int, a datetime is a date.
_OF_VALUE: tuple[tuple[type, DataType], ...] = (
    (bool, DataType.boolean),
    (int, DataType.long),
    (float, DataType.double),
    (str, DataType.string),
    (bytes, DataType.binary),
    (datetime.date, DataType.datetime),
)


def _kind(value: Any) -> ColumnType | None:
    """Return the type of one Python value; None for a missing one."""
    if value is None:
        return None
    dtype: np.dtype[Any] | None = getattr(value, "dtype", None)
    if dtype is not None and getattr(value, "ndim", 0) == 0 and dtype.kind in _OF_DTYPE:
        return _OF_DTYPE[dtype.kind].get(dtype.itemsize, AnyType())
    if isinstance(value, Mapping):
        properties = [Property(str(k), *_of_key([value], k)) for k in value]
        return Object(properties) if properties else AnyType()
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if getattr(value, "ndim", 0) > 0:
        return _of_array(value)
    if isinstance(value, list | tuple):
        return Array(_common(map(_kind, value))) if value else AnyType()
    found = (kind for each, kind in _OF_VALUE if isinstance(value, each))
    return next(found, AnyType())


def _of_array(values: np.ndarray[Any, Any]) -> ColumnType:
    """Return the type of one value that is an array itself."""
    if values.dtype.kind == "O":
        return _kind(values.tolist()) or AnyType()
    kind: ColumnType = _kind(values.dtype.type()) or AnyType()
    for _ in range(values.ndim):
        kind = Array(kind)
    return kind


def params_of(params: Mapping[str, Any]) -> ParamSchema:
    """Describe the params that may be passed along with data; their values are the defaults.

    Raises
    ------
    InvalidParameterError
        When it is no mapping, or a value is neither a scalar, a dictionary nor a flat list.
    """
    if not isinstance(params, Mapping):
        raise InvalidParameterError(
            f"the params of a signature are a dictionary of names and defaults, not {params!r}."
        )
    return ParamSchema([_param(str(name), value) for name, value in params.items()])


def _param(name: str, value: Any) -> ParamSpec:
    kind = _kind(value)
    plain = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(kind, DataType):
        return ParamSpec(name, kind, plain)
    if isinstance(kind, Array) and isinstance(kind.dtype, DataType):
        return ParamSpec(name, kind.dtype, list(plain), (-1,))
    if isinstance(kind, Object):
        return ParamSpec(name, kind, plain)
    raise InvalidParameterError(
        f"the param {name!r} of a signature was given {value!r}; expected a number, a text, a "
        "boolean, a date, a dictionary, or a list of values of one of these types."
    )
