"""Data against a signature: in the order and types that the model knows, or an error.

What fits without a loss is converted: an ``int64`` column of small numbers is taken for
``double``. Everything that does not fit is named in one error: what is missing, what has another
type, and what the model does not know. Columns that it does not know are no error of their own;
they are left out, as MLflow does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skledger._guard import say
from skledger.errors import InvalidParameterError
from skledger.models.infer import as_pandas, column_kind, is_sparse
from skledger.types.data_types import AnyType, DataType

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from skledger.types.schema import ColSpec, ParamSchema, Schema, TensorSpec

__all__ = ["enforce_params", "enforce_schema"]

#: What each type may be made of when no value changes by it.
_WIDENED = {
    DataType.long: (DataType.integer,),
    DataType.float: (DataType.integer, DataType.long),
    DataType.double: (DataType.integer, DataType.long, DataType.float),
}
_NUMBERS = (DataType.integer, DataType.long, DataType.float, DataType.double)
_said: set[str] = set()


def enforce_schema(data: Any, schema: Schema) -> Any:
    """Return data in the form that a schema asks for.

    Parameters
    ----------
    data : DataFrame, Series, array, sparse matrix, dict, list or scalar
        What a caller passed to ``predict``.
    schema : Schema
        The inputs of the model's signature.

    Returns
    -------
    DataFrame, array, sparse matrix or dict of arrays
        A data frame for a schema of columns, arrays for one of tensors.

    Raises
    ------
    InvalidParameterError
        It does not fit; the text lists every reason.
    """
    data = as_pandas(data)
    if schema.is_tensor_spec():
        return _tensors(data, schema)
    if len(schema) == 1 and not schema.has_input_names() and schema.inputs[0].type == AnyType():
        return data
    return _columns(_frame(data, schema), schema)


def _frame(data: Any, schema: Schema) -> pd.DataFrame:
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame()
    if data is None or is_sparse(data) or getattr(data, "ndim", 2) > 2:
        raise InvalidParameterError(
            f"the model takes a data frame with the columns {schema!r}; it was given "
            f"{type(data).__name__}."
        )
    if isinstance(data, Mapping):
        several = (list, tuple, pd.Series)
        rows = any(isinstance(each, several) or _length(each) for each in data.values())
        if not rows or _holds_nested(schema):
            return pd.DataFrame([data])
        return pd.DataFrame({k: v.tolist() if _length(v) else v for k, v in data.items()})
    values = data if isinstance(data, list | tuple) or _length(data) else [data]
    return pd.DataFrame(values)


def _length(value: Any) -> bool:
    return getattr(value, "ndim", 0) > 0


def _holds_nested(schema: Schema) -> bool:
    return any(not isinstance(each.type, DataType | AnyType) for each in schema)


def _columns(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    specs: list[ColSpec] = schema.inputs
    if not frame.columns.is_unique:
        twice = sorted({repr(each) for each in frame.columns[frame.columns.duplicated()]})
        raise InvalidParameterError(
            f"the data does not fit the model's signature: columns are there twice: "
            f"{', '.join(twice)}."
        )
    if schema.has_input_names():
        present = set(frame.columns)
        missing = [each.name for each in specs if each.required and each.name not in present]
        known = {each.name for each in specs}
        extra = [name for name in frame.columns if name not in known]
        pairs = [(each, each.name) for each in specs if each.name in present]
    else:
        names = list(frame.columns[: len(specs)])
        missing = [f"column {i + 1}" for i in range(len(names), len(specs))]
        extra = []
        pairs = list(zip(specs, names, strict=False))
    fitted: dict[Any, Any] = {}
    mistyped = []
    for spec, name in pairs:
        column = _fitted(frame[name], spec)
        if column is None:
            mistyped.append(f"{name!r} is {_told(frame[name])}, expected {spec.type!r}")
        fitted[name] = column
    if missing or mistyped:
        raise _misfit(schema, missing, extra, mistyped)
    if extra:
        _say_once(f"columns that the model does not know are left out: {extra!r}")
    import pandas as pd

    if list(fitted) == list(frame.columns) and all(fitted[k] is frame[k] for k in fitted):
        return frame
    return pd.DataFrame(fitted, index=frame.index, columns=_index(frame, list(fitted)))


def _index(frame: pd.DataFrame, names: list[Any]) -> pd.Index[Any]:
    """Return labels of the kind that the frame has, such as a `MultiIndex`."""
    places: Any = [frame.columns.get_loc(name) for name in names]
    labels: pd.Index[Any] = frame.columns[places]
    return labels


def _misfit(
    schema: Schema, missing: Sequence[Any], extra: Sequence[Any], mistyped: Sequence[str]
) -> InvalidParameterError:
    reasons = []
    if missing:
        reasons.append(f"missing: {list(missing)!r}")
    if mistyped:
        reasons.append(f"of another type: {'; '.join(mistyped)}")
    if extra:
        reasons.append(f"not known to the model: {list(extra)!r}")
    return InvalidParameterError(
        f"the data does not fit the model's signature. Columns {', columns '.join(reasons)}. "
        f"The model takes {schema!r}."
    )


def _told(column: pd.Series[Any]) -> str:
    kind = column_kind(column)
    return str(column.dtype) if isinstance(kind, AnyType) else f"{kind!r} ({column.dtype})"


def _fitted(column: pd.Series[Any], spec: ColSpec) -> Any:
    """Return the column in the type that is asked for, itself when it is; None when it cannot."""
    kind, wanted = column_kind(column), spec.type
    if isinstance(wanted, AnyType):
        return column
    if not isinstance(wanted, DataType):  # lists and dictionaries are not looked into
        return column if column.dtype == object else None
    if column.dtype == object and not spec.required and bool(column.isna().all()):
        return column.astype("float64") if wanted in _NUMBERS else column
    if kind == wanted:
        return _same_kind(column, wanted)
    return _widened(column, wanted) if kind in _WIDENED.get(wanted, ()) else None


def _widened(column: pd.Series[Any], wanted: DataType) -> Any:
    # A categorical or nullable column stays what it is: the model has seen such columns.
    if hasattr(column.dtype, "categories") or hasattr(column.dtype, "fill_value"):
        return column
    target: Any = wanted.to_numpy()
    if _nullable(column):
        return column.astype(target.name.capitalize())
    converted = column.astype(target)
    return converted if _is_lossless(column.to_numpy(), converted.to_numpy()) else None


def _same_kind(column: pd.Series[Any], wanted: DataType) -> Any:
    """Return a column of the right type, in the width that the type has."""
    target: Any = wanted.to_numpy()
    # A sparse column stays sparse: it may not fit in memory otherwise.
    if not _is_plain(column) or wanted not in _NUMBERS or column.dtype == target:
        return column
    return column.astype(target)


def _is_plain(column: pd.Series[Any]) -> bool:
    return not any(hasattr(column.dtype, name) for name in ("numpy_dtype", "categories", "subtype"))


def _nullable(column: pd.Series[Any]) -> bool:
    return hasattr(column.dtype, "numpy_dtype")


def _is_lossless(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> bool:
    import numpy as np

    if before.dtype.kind == "O":
        return bool(np.array_equal(before, after))
    if before.dtype.kind in "iu" and after.dtype.kind == "f":
        # 2**53 and 2**24: from there on not every whole number has a float.
        limit = 2 ** (np.finfo(after.dtype).nmant + 1)
        return bool(before.size == 0 or (before.max() <= limit and before.min() >= -limit))
    if before.dtype.kind in "iu" and after.dtype.kind in "iu":
        bounds = np.iinfo(after.dtype)  # whole numbers in a list are of the widest type
        return bool(before.size == 0 or (before.max() <= bounds.max and before.min() >= bounds.min))
    return np.can_cast(before.dtype, after.dtype, "safe")


def _tensors(data: Any, schema: Schema) -> Any:
    import pandas as pd

    specs: list[TensorSpec] = schema.inputs
    if not schema.has_input_names():
        return _tensor(data, specs[0])
    if isinstance(data, pd.DataFrame):
        data = {name: _stacked(data[name]) for name in data.columns}
    if not isinstance(data, Mapping):
        if len(specs) > 1:
            raise InvalidParameterError(
                f"the model takes a dictionary of arrays, {schema!r}; it was given "
                f"{type(data).__name__}."
            )
        data = {specs[0].name: data}
    known = schema.input_names()
    missing = [name for name in known if name not in data]
    extra = [name for name in data if name not in known]
    if missing:
        raise _misfit(schema, missing, extra, [])
    return {each.name: _tensor(data[each.name], each) for each in specs}


def _stacked(column: pd.Series[Any]) -> Any:
    import numpy as np

    return np.stack(column.tolist()) if column.dtype == object else column.to_numpy()


def _tensor(data: Any, spec: TensorSpec) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame | pd.Series):
        values = data.to_numpy()
    elif is_sparse(data):
        values = data
    else:
        try:
            values = np.asarray(data)
        except ValueError as error:  # lists of unequal lengths
            raise InvalidParameterError(f"the model takes {spec!r}: {error}") from error
    _check_shape(values.shape, spec)
    if values.dtype == spec.type or values.dtype.kind == spec.type.kind in "USM":
        return values
    if spec.type.kind == "O":
        return values if is_sparse(values) else values.astype(object)
    flat: Any = values.data if is_sparse(values) else values
    converted = _converted(flat, spec)
    return values.astype(spec.type) if is_sparse(values) else converted


def _check_shape(shape: tuple[int, ...], spec: TensorSpec) -> None:
    fits = len(shape) == len(spec.shape) and all(
        wanted in (-1, found) for found, wanted in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        raise InvalidParameterError(
            f"the data does not fit the model's signature: its shape is {shape}, expected "
            f"{spec.shape} (-1: any size)."
        )


def _converted(values: np.ndarray[Any, Any], spec: TensorSpec) -> np.ndarray[Any, Any]:
    kinds = values.dtype.kind + spec.type.kind
    if kinds in ("ff", "ii", "uu", "ui", "iu", "if", "uf", "Of", "Oi", "OU"):
        try:
            converted: np.ndarray[Any, Any] = values.astype(spec.type)
        except (ValueError, TypeError, OverflowError):
            pass
        else:
            if _is_lossless(values, converted):
                return converted
    raise InvalidParameterError(
        f"the data does not fit the model's signature: it is of type {values.dtype}, which cannot "
        f"be made {spec.type} without a loss. Convert it, for example with "
        f"astype({spec.type.name!r})."
    )


def enforce_params(params: Mapping[str, Any] | None, schema: ParamSchema | None) -> dict[str, Any]:
    """Return the params of a prediction, with defaults for those that were not passed.

    Raises
    ------
    InvalidParameterError
        They are no dictionary, or some have another type; the text lists them.
    """
    given = {} if params is None else params
    if not isinstance(given, Mapping):
        raise InvalidParameterError(f"params is a dictionary, not {params!r}.")
    specs = {} if schema is None else {each.name: each for each in schema}
    unknown = [name for name in given if name not in specs]
    if unknown:
        _say_once(
            f"params that the model's signature does not name are left out: {unknown!r}; "
            f"it names {sorted(specs)!r}"
        )
    complete, wrong = {}, []
    for name, spec in specs.items():
        try:
            complete[name] = spec.checked(given.get(name, spec.default))
        except InvalidParameterError as error:
            wrong.append(error.message)
    if wrong:
        raise InvalidParameterError(" ".join(wrong))
    return complete


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        say(logging.WARNING, "skledger: %s", text)
