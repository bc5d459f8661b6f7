"""The types of columns and params: the eight of MLflow, and what is built of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "AnyType",
    "Array",
    "ColumnType",
    "DataType",
    "Map",
    "Object",
    "Property",
    "column_type",
    "type_from_dict",
    "type_to_dict",
]


class DataType(Enum):
    """The type of one value; the names and numbers are MLflow's."""

    boolean = 1
    integer = 2
    long = 3
    float = 4
    double = 5
    string = 6
    binary = 7
    datetime = 8

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name

    def to_numpy(self) -> np.dtype[Any]:
        """Return the numpy dtype of a column of this type."""
        import numpy

        return numpy.dtype(_NUMPY[self.name])

    def to_pandas(self) -> np.dtype[Any]:
        """Return the pandas dtype of a column of this type."""
        return self.to_numpy()

    def to_python(self) -> type:
        """Return the Python type of a value of this type."""
        return _PYTHON[self.name]

    @classmethod
    def all_types(cls) -> list[type]:
        """Return the Python types that have a type here."""
        return list(dict.fromkeys(_PYTHON.values()))

    @classmethod
    def from_numpy_type(cls, dtype: np.dtype[Any]) -> DataType | None:
        """Return the type of exactly this numpy dtype, or None."""
        found = [each for each in cls if _NUMPY[each.name] == dtype and each.name not in _OBJECTS]
        return found[0] if found else None


_NUMPY = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "object",
    "binary": "object",
    "datetime": "datetime64[ns]",
}
_OBJECTS = ("string", "binary")
_PYTHON: dict[str, type] = {
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
    "binary": bytes,
    "datetime": datetime.datetime,
}


@dataclass(frozen=True, slots=True)
class AnyType:
    """A type that is not known; its values are not checked."""

    def __repr__(self) -> str:
        return "Any"

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is written to ``MLmodel``."""
        return {"type": "any"}


@dataclass(frozen=True, slots=True, repr=False)
class Array:
    """Lists whose items all have one type.

    Parameters
    ----------
    dtype : str, DataType, Array, Object, Map or AnyType
        The type of the items.
    """

    dtype: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", column_type(self.dtype))

    def __repr__(self) -> str:
        return f"Array({self.dtype!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is written to ``MLmodel``."""
        return {"type": "array", "items": type_to_dict(self.dtype)}

    @classmethod
    def from_json_dict(cls, **described: Any) -> Array:
        """Return the array that `to_dict` described."""
        return cls(type_from_dict(described["items"]))


@dataclass(frozen=True, slots=True, repr=False)
class Map:
    """Dictionaries from text to values of one type.

    Parameters
    ----------
    value_type : str, DataType, Array, Object, Map or AnyType
        The type of the values.
    """

    value_type: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_type", column_type(self.value_type))

    def __repr__(self) -> str:
        return f"Map(str -> {self.value_type!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is written to ``MLmodel``."""
        return {"type": "map", "values": type_to_dict(self.value_type)}

    @classmethod
    def from_json_dict(cls, **described: Any) -> Map:
        """Return the map that `to_dict` described."""
        return cls(type_from_dict(described["values"]))


@dataclass(frozen=True, slots=True, repr=False)
class Property:
    """One named value in an `Object`.

    Parameters
    ----------
    name : str
        Its name.
    dtype : str, DataType, Array, Object, Map or AnyType
        Its type.
    required : bool, default=True
        Whether every object has it.
    """

    name: str
    dtype: Any
    required: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", column_type(self.dtype))

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype!r} ({'required' if self.required else 'optional'})"

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is written to ``MLmodel``."""
        return {self.name: {**type_to_dict(self.dtype), "required": self.required}}

    @classmethod
    def from_json_dict(cls, **described: Any) -> Property:
        """Return the property that `to_dict` described."""
        [(name, rest)] = described.items()
        return cls(name, type_from_dict(rest), rest.get("required", True))


@dataclass(frozen=True, slots=True, repr=False)
class Object:
    """Dictionaries with named values, each of a type of its own.

    Parameters
    ----------
    properties : iterable of Property
        The values.
    """

    properties: Any

    def __post_init__(self) -> None:
        given: Iterable[Property] = self.properties
        object.__setattr__(self, "properties", sorted(given, key=lambda each: each.name))

    def __hash__(self) -> int:
        return hash(tuple(self.properties))

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self.properties)) + "}"

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is written to ``MLmodel``."""
        described: dict[str, Any] = {}
        for each in self.properties:
            described.update(each.to_dict())
        return {"type": "object", "properties": described}

    @classmethod
    def from_json_dict(cls, **described: Any) -> Object:
        """Return the object that `to_dict` described."""
        properties: Mapping[str, Any] = described["properties"]
        return cls([Property.from_json_dict(**{name: rest}) for name, rest in properties.items()])


ColumnType: TypeAlias = DataType | Array | Map | Object | AnyType


def column_type(given: object) -> ColumnType:
    """Return a type that was given by itself or by its name.

    Raises
    ------
    InvalidParameterError
        There is no such type.
    """
    if isinstance(given, DataType | Array | Map | Object | AnyType):
        return given
    if isinstance(given, str):
        if given in DataType.__members__:
            return DataType[given]
        if given == "any":
            return AnyType()
    raise InvalidParameterError(
        f"{given!r} is no type of a column; expected one of {', '.join(DataType.__members__)}, "
        "or a DataType, Array, Object, Map or AnyType."
    )


def type_to_dict(kind: ColumnType) -> dict[str, Any]:
    """Return the form of a type that is written to ``MLmodel``."""
    return {"type": kind.name} if isinstance(kind, DataType) else kind.to_dict()


def type_from_dict(described: Mapping[str, Any]) -> ColumnType:
    """Return the type that `type_to_dict` described."""
    kind = described.get("type")
    try:
        if kind == "array":
            return Array.from_json_dict(**described)
        if kind == "map":
            return Map.from_json_dict(**described)
        if kind == "object":
            return Object.from_json_dict(**described)
    except KeyError as error:
        raise InvalidParameterError(f"the type {dict(described)!r} lacks {error}.") from error
    return column_type(kind)
