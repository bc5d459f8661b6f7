"""What a request holds, in the form that a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.server.scoring.columns import column_of, numbers_of
from skledger.types.data_types import DataType

if TYPE_CHECKING:
    from skledger.types.schema import ColSpec, Schema, TensorSpec

__all__ = ["Inputs", "told_kind"]

_NUMBERS = (DataType.integer, DataType.long, DataType.float, DataType.double)
_Rows = Sequence[Sequence[Any]]


class Inputs:
    """Turns tables, records and lists into what a model takes.

    Parameters
    ----------
    schema : Schema or None
        The inputs of its signature.
    names : sequence of str or None
        Without a signature: the columns that it was trained with (``feature_names_in_``).
    """

    def __init__(self, schema: Schema | None, names: Sequence[Any] | None = None) -> None:
        self.schema = schema
        self.tensors: list[TensorSpec] | None = None
        self.specs: list[ColSpec] | None = None
        self.names: list[Any] | None = None if names is None else list(names)
        if schema is not None and schema.is_tensor_spec():
            self.tensors, self.names = schema.inputs, None
        elif schema is not None:
            self.specs = schema.inputs
            self.names = schema.input_names() if schema.has_input_names() else None
        kinds = {each.type for each in self.specs or ()}
        only = kinds.pop() if len(kinds) == 1 else None
        self._kind = only if only in _NUMBERS else None
        self._index: Any = None
        # JSON has texts for labels, a model may have numbers or tuples.
        self._by_text = {str(name): name for name in self.names or ()}

    # -- the forms ---------------------------------------------------------------------------------

    def table(self, columns: Sequence[Any] | None, rows: _Rows) -> Any:
        """Return what the model takes, from rows of values and the names of their columns."""
        width = _width(columns, rows)
        if self.tensors is not None:
            return self._tensors_of_table(columns, rows)
        if columns is not None:
            columns = [self._label(each) for each in columns]
            _check_unique(columns)
        if self.specs is None and self.names is None:
            return _free(columns, rows)
        positions = self._positions(columns, width)
        if None in positions:
            return self._sparsely(positions, rows)
        if width is not None and positions != list(range(width)):
            rows = [[row[at] for at in positions] for row in rows]
        return self._frame_of_rows(rows)

    def records(self, records: Sequence[Mapping[str, Any]]) -> Any:
        """Return what the model takes, from an object for each row."""
        if self.tensors is not None and self.tensors[0].name is not None:
            return self.columns(_turned(records))
        names = None if self.names is None else [str(each) for each in self.names]
        if names is not None and len(names) > 1:
            try:
                return self._frame_of_rows(list(map(itemgetter(*names), records)))
            except KeyError:
                pass  # an optional column, or a mistake that is told below
        return self.table(*_table_of(records, self._required()))

    def columns(self, columns: Mapping[str, Any]) -> Any:
        """Return what the model takes, from a list of values for each column."""
        if self.tensors is not None and self.tensors[0].name is not None:
            return self._enforced({name: _array(each, name) for name, each in columns.items()})
        listed = {
            name: each if isinstance(each, list) else [each] for name, each in columns.items()
        }
        sizes = {len(each) for each in listed.values()}
        if len(sizes) > 1:
            told = {name: len(each) for name, each in listed.items()}
            raise InvalidParameterError(f"the columns have unequal lengths: {told}.")
        return self.table(list(listed), list(zip(*listed.values(), strict=True)))

    def values(self, values: Any) -> Any:
        """Return what the model takes, from rows without names, of any depth."""
        if not isinstance(values, list):
            raise InvalidParameterError(f"it is {told_kind(values)}, expected a list of rows.")
        kinds = set(map(type, values))
        if kinds == {dict}:
            return self.records(values)
        if self.tensors is not None:
            if kinds == {list}:
                _width(None, values)
            return self._enforced(_array(values, None))
        if list in kinds and kinds != {list}:
            raise InvalidParameterError("some of its rows are lists and some are not.")
        known = self.specs or self.names
        if kinds == {list} or (known is not None and not values):
            return self.table(None, values)
        if known is not None and len(known) == 1:
            return self.table(None, [[each] for each in values])
        if known is not None:
            raise InvalidParameterError(
                f"it is a list of single values, expected a list of rows of {len(known)} values: "
                "write one row as [[...]]."
            )
        return _array(values, None)

    def enforced_frame(self, frame: Any) -> Any:
        """Return the arrays that the model takes, from a data frame of CSV."""
        if self.tensors and self.tensors[0].name is not None:
            return self._enforced({name: frame[name].to_numpy() for name in frame.columns})
        return self._enforced(frame.to_numpy())

    # -- columns -----------------------------------------------------------------------------------

    def _label(self, name: Any) -> Any:
        return self._by_text.get(name, name) if isinstance(name, str) else _hashable(name)

    def _required(self) -> list[str]:
        if self.specs is None or self.names is None:
            return [str(each) for each in self.names or ()]
        return [str(each.name) for each in self.specs if each.required]

    def _positions(self, columns: Sequence[Any] | None, width: int | None) -> list[Any]:
        """Return where each column of the model is in the data; None for one that may be absent."""
        expected = len(self.specs or self.names or ())
        if columns is None or self.names is None:
            if width not in (expected, None):
                raise InvalidParameterError(
                    f"its rows have {width} values, the model takes {expected}: {self._told()}."
                )
            return list(range(expected))
        if columns == self.names:
            return list(range(expected))
        where = {name: at for at, name in enumerate(columns)}
        needed: Sequence[ColSpec | None] = self.specs or [None] * expected
        missing = [
            name
            for name, spec in zip(self.names, needed, strict=True)
            if name not in where and (spec is None or spec.required)
        ]
        if missing:
            unknown = [name for name in columns if name not in set(self.names)]
            also = f" Columns that the model does not know: {unknown!r}." if unknown else ""
            raise InvalidParameterError(f"columns are missing: {missing!r}.{also}")
        return [where.get(name) for name in self.names]

    def _told(self) -> str:
        return repr(self.schema) if self.names is None else ", ".join(map(str, self.names))

    def _frame_of_rows(self, rows: _Rows) -> Any:
        """Return rows in the order of the model's columns as a data frame."""
        import pandas as pd

        if self._index is None:
            self._index = _index(self.names or range(len(self.specs or ())))
        if self.specs is None:
            return pd.DataFrame(list(map(list, rows)), columns=self._index)
        values = None if self._kind is None else numbers_of(rows, self._kind)
        if values is None:
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(self.specs)
            return self._frame(columns)
        values = values.reshape(len(rows), len(self.specs))
        return pd.DataFrame(values, columns=self._index, copy=False)

    def _sparsely(self, positions: Sequence[int | None], rows: _Rows) -> Any:
        empty = [None] * len(rows)
        given = list(zip(*rows, strict=True))
        return self._frame([empty if at is None else given[at] for at in positions])

    def _frame(self, columns: Sequence[Sequence[Any]]) -> Any:
        """Return a data frame, or one error that lists every column that does not fit."""
        import pandas as pd

        labels = self.names if self.names is not None else list(range(len(columns)))
        if self.specs is None:
            made: list[Any] = [pd.Series(list(each)) for each in columns]
        else:
            made, wrong = [], []
            for spec, name, values in zip(self.specs, labels, columns, strict=True):
                try:
                    made.append(column_of(values, spec))
                except InvalidParameterError as error:
                    wrong.append(f"column {name!r}: {error.message}")
            if wrong:
                raise InvalidParameterError("; ".join(wrong) + ".")
        frame = pd.DataFrame(dict(enumerate(made)))
        frame.columns = _index(labels)
        return frame

    # -- arrays ------------------------------------------------------------------------------------

    def _tensors_of_table(self, columns: Sequence[Any] | None, rows: _Rows) -> Any:
        specs = self.tensors or []
        if columns is None or specs[0].name is None:
            return self._enforced(_array(rows, None))
        given = dict(zip(columns, zip(*rows, strict=True), strict=True))
        return self._enforced({name: _array(list(each), name) for name, each in given.items()})

    def _enforced(self, arrays: Any) -> Any:
        from skledger.models.enforcing import enforce_schema

        assert self.schema is not None and self.tensors is not None
        specs = {each.name: each for each in self.tensors}
        if isinstance(arrays, dict):
            arrays = {
                name: _typed(each, specs[name]) if name in specs else each
                for name, each in arrays.items()
            }
        elif len(specs) == 1:
            arrays = _typed(arrays, self.tensors[0])
        return enforce_schema(arrays, self.schema)


def _index(labels: Sequence[Any]) -> Any:
    import pandas as pd

    if labels and all(isinstance(each, tuple) for each in labels):
        return pd.MultiIndex.from_tuples(labels)
    return pd.Index(labels)


def _hashable(name: Any) -> Any:
    return tuple(name) if isinstance(name, list) else name


def told_kind(value: Any) -> str:
    """Return what JSON calls a value of this kind."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    if value is None:
        return "null"
    return kinds.get(type(value), "a number")


def _width(columns: Sequence[Any] | None, rows: Any) -> int | None:
    """Return how many values each row has; None when nothing tells."""
    if not isinstance(rows, list):
        raise InvalidParameterError(f"it is {told_kind(rows)}, expected a list of rows.")
    sizes = set()
    for at, row in enumerate(rows):
        if type(row) is not list and type(row) is not tuple:
            raise InvalidParameterError(f"row {at} is {told_kind(row)}, expected a list of values.")
        sizes.add(len(row))
    if columns is None and not rows:
        return None
    expected = len(rows[0]) if columns is None else len(columns)
    if sizes - {expected}:
        at = next(at for at, row in enumerate(rows) if len(row) != expected)
        whose = "there are" if columns is not None else "row 0 has"
        what = "columns" if columns is not None else "values"
        raise InvalidParameterError(
            f"row {at} has {len(rows[at])} values, but {whose} {expected} {what}."
        )
    return expected


def _check_unique(columns: Sequence[Any]) -> None:
    if len(set(columns)) < len(columns):
        twice = sorted({str(each) for each in columns if list(columns).count(each) > 1})
        raise InvalidParameterError(f"columns are there twice: {twice!r}.")


def _table_of(
    records: Sequence[Mapping[str, Any]], required: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """Return records as names and rows; what a record lacks is missing."""
    names = list(dict.fromkeys(name for each in records for name in each))
    for name in required:
        at = next((at for at, each in enumerate(records) if name not in each), None)
        if at is not None and name in names:
            raise InvalidParameterError(f"row {at} lacks the column {name!r}.")
    return names, [[each.get(name) for name in names] for each in records]


def _turned(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names, rows = _table_of(records, [])
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _free(columns: Sequence[Any] | None, rows: _Rows) -> Any:
    """Return rows for a model of which nothing is known."""
    if columns is None:
        return _array(rows, None)
    import pandas as pd

    return pd.DataFrame(list(map(list, rows)), columns=_index(columns))


def _array(values: Any, name: Any) -> Any:
    import numpy as np

    try:
        made = np.array(values)
    except ValueError as error:
        whose = "" if name is None else f"{name!r}: "
        raise InvalidParameterError(
            f"{whose}its lists have unequal lengths, so that they make no array."
        ) from error
    if made.dtype.kind == "U" and not _all_texts(values):
        made = np.array(values, dtype=object)
    if made.dtype.kind == "O" and not _holds(made, str):
        try:
            return made.astype(float)  # numbers with gaps
        except (TypeError, ValueError, OverflowError):
            pass
    return made


def _all_texts(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return all(map(_all_texts, values))
    return isinstance(values, str)


def _holds(array: Any, kind: type) -> bool:
    return any(isinstance(each, kind) for each in array.ravel())


def _typed(array: Any, spec: TensorSpec) -> Any:
    """Return numbers of JSON, which has one kind of them, in the type that is asked for."""
    import numpy as np

    kinds = array.dtype.kind + spec.type.kind
    if kinds == "ff":
        with np.errstate(over="ignore"):
            made = array.astype(spec.type)
        return made if np.array_equal(np.isinf(made), np.isinf(array)) else array
    if kinds in ("fi", "fu") and bool(np.all(array == np.floor(array))):
        info = np.iinfo(spec.type)
        if array.size == 0 or (array.min() >= info.min and array.max() <= min(info.max, 2**53)):
            return array.astype(spec.type)
    if kinds == "UM":
        try:
            return array.astype(spec.type)
        except ValueError:
            pass
    return array
