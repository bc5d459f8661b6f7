"""Values of JSON as columns of the types that a model was trained with.

JSON has one kind of number, and neither dates nor bytes. A value is taken when nothing of it is
lost: 2.0 for a whole number, but not 2.5; a date as ISO 8601; bytes as base64. Texts are no
numbers and numbers no texts, for a model would silently predict something else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.types.data_types import AnyType, DataType

if TYPE_CHECKING:
    from skledger.types.schema import ColSpec

__all__ = ["column_of", "numbers_of"]

#: From here on not every whole number has a float.
_EXACT = 2**53
_RANGES = {DataType.integer: 2**31, DataType.long: 2**63}
_TOLD = 60
_NOTHING = type(None)


def numbers_of(rows: Sequence[Sequence[Any]], kind: DataType) -> Any:
    """Return rows of numbers as an array, or None when some are none: then look closer.

    Parameters
    ----------
    rows : sequence of sequence, all of one length
        What JSON had.
    kind : DataType
        The type of all columns.
    """
    from itertools import chain

    import numpy as np

    found = set(map(type, chain.from_iterable(rows)))
    is_float = kind in (DataType.float, DataType.double)
    if not found <= ({float, int, _NOTHING} if is_float else {int}):
        return None
    try:
        values = np.array(rows, dtype=np.float64 if is_float else np.int64)
    except OverflowError:
        return None
    if is_float and int in found and bool((np.abs(values) > _EXACT).any()):
        return None
    return values if values.dtype == kind.to_numpy() else _narrowed(values, kind)


def _narrowed(values: Any, kind: DataType) -> Any:
    """Return numbers in a type of fewer bits, or None when one is too large for it."""
    import numpy as np

    with np.errstate(over="ignore"):
        narrowed = values.astype(kind.to_numpy())
    if kind is DataType.float:
        return narrowed if np.array_equal(np.isinf(narrowed), np.isinf(values)) else None
    return narrowed if np.array_equal(narrowed, values) else None


def column_of(values: Sequence[Any], spec: ColSpec) -> Any:
    """Return values as a series of the type that a column has.

    Raises
    ------
    InvalidParameterError
        A value is of another type; the text names the row.
    """
    import pandas as pd

    kind = spec.type
    if isinstance(kind, DataType):
        return _MAKERS[kind](values, spec)
    if isinstance(kind, AnyType):
        return pd.Series(list(values))
    return pd.Series(list(values), dtype=object)


def _refused(at: int, value: Any, expected: str) -> InvalidParameterError:
    told = "null" if value is None else repr(value)
    told = told if len(told) <= _TOLD else f"{told[:_TOLD]}..."
    return InvalidParameterError(f"row {at} is {told}, expected {expected}")


def _checked(
    values: Sequence[Any], spec: ColSpec, expected: str, *types: type, gaps: bool
) -> list[Any]:
    """Return the values, all of some types or missing; else name the first that is not."""
    allowed = {*types, _NOTHING} if gaps or not spec.required else set(types)
    if not set(map(type, values)) <= allowed:
        at, value = next((i, v) for i, v in enumerate(values) if type(v) not in allowed)
        raise _refused(at, value, expected)
    return list(values)


def _float(values: Sequence[Any], spec: ColSpec) -> Any:
    import numpy as np
    import pandas as pd

    expected = f"a number ({spec.type})"
    checked = _checked(values, spec, expected, float, int, gaps=True)
    for at, value in enumerate(checked):
        if type(value) is int and abs(value) > _EXACT:
            raise _refused(at, value, f"{expected}, which holds whole numbers up to 2**53")
    with np.errstate(over="ignore"):
        column = np.array(checked, dtype=float).astype(spec.type.to_numpy())
    for at in np.flatnonzero(np.isinf(column)).tolist():
        if abs(checked[at]) != float("inf"):
            raise _refused(at, checked[at], f"{expected}; it is too large")
    return pd.Series(column)


def _whole(values: Sequence[Any], spec: ColSpec) -> Any:
    import pandas as pd

    expected, limit = f"a whole number ({spec.type})", _RANGES[spec.type]
    checked = _checked(values, spec, expected, int, float, gaps=False)
    for at, value in enumerate(checked):
        if type(value) is float:
            if not value.is_integer() or abs(value) > _EXACT:
                raise _refused(at, value, expected)
            checked[at] = int(value)
        if value is not None and not -limit <= checked[at] < limit:
            raise _refused(at, value, f"{expected} of {limit.bit_length()} bits")
    name = spec.type.to_numpy().name
    return pd.Series(checked, dtype=name.capitalize() if None in checked else name)


def _boolean(values: Sequence[Any], spec: ColSpec) -> Any:
    import pandas as pd

    checked = _checked(values, spec, "true or false", bool, gaps=False)
    return pd.Series(checked, dtype="boolean" if None in checked else bool)


def _text(values: Sequence[Any], spec: ColSpec) -> Any:
    import pandas as pd

    checked = _checked(values, spec, "a text", str, gaps=True)
    # An empty or missing column has no type of its own.
    return pd.Series(checked, dtype=None if any(each is not None for each in checked) else object)


def _bytes(values: Sequence[Any], spec: ColSpec) -> Any:
    import pandas as pd

    checked = _checked(values, spec, "bytes as base64", str, gaps=False)
    for at, value in enumerate(checked):
        if value is None:
            continue
        try:
            # Some encoders break lines.
            checked[at] = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise _refused(at, value, f"bytes as base64 ({error})") from error
    return pd.Series(checked, dtype=object)


def _date(values: Sequence[Any], spec: ColSpec) -> Any:
    import pandas as pd

    expected = "a date such as '2024-05-01T12:30:00'"
    checked = _checked(values, spec, expected, str, gaps=True)
    try:
        return pd.Series(_moments(checked))
    except (ValueError, TypeError, OverflowError) as error:
        for at, value in enumerate(checked):
            try:
                _moments([value])
            except (ValueError, TypeError, OverflowError) as why:
                raise _refused(at, value, expected) from why
        raise InvalidParameterError(f"the dates cannot be read together: {error}") from error


def _moments(texts: list[Any]) -> Any:
    """Return ISO texts as times without a zone; those with one are taken to UTC."""
    import pandas as pd

    for each in texts:
        if each is not None and not each[:1].isdigit():  # pandas knows "now" and "today", too
            raise ValueError(f"{each!r} is no date")
    if any(each is not None and _has_zone(each) for each in texts):
        found = pd.to_datetime(texts, format="ISO8601", utc=True).tz_localize(None)
    else:
        found = pd.to_datetime(texts, format="ISO8601")
    return found.astype("datetime64[ns]")


def _has_zone(text: str) -> bool:
    time = text.partition("T")[2] or text.partition(" ")[2]
    return bool(time) and (time[-1] in "Zz" or "+" in time or "-" in time)


_MAKERS: dict[DataType, Callable[[Sequence[Any], ColSpec], Any]] = {
    DataType.boolean: _boolean,
    DataType.integer: _whole,
    DataType.long: _whole,
    DataType.float: _float,
    DataType.double: _float,
    DataType.string: _text,
    DataType.binary: _bytes,
    DataType.datetime: _date,
}
