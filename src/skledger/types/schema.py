"""Schemas: what goes into a model and what comes out, in the JSON form of MLflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.types.data_types import (
    AnyType,
    Array,
    DataType,
    Map,
    Object,
    Property,
    column_type,
    type_from_dict,
    type_to_dict,
)
from skledger.types.param_schema import ParamSchema, ParamSpec

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "AnyType",
    "Array",
    "ColSpec",
    "DataType",
    "Map",
    "Object",
    "ParamSchema",
    "ParamSpec",
    "Property",
    "Schema",
    "TensorSpec",
]


@dataclass(frozen=True, slots=True, repr=False)
class ColSpec:
    """A column.

    Parameters
    ----------
    type : str, DataType, Array, Object, Map or AnyType
        The type of its values.
    name : str, int or tuple, optional
        The label of the column; None when columns are told by their place.
    required : bool, default=True
        Whether the column must be there and without missing values.
    """

    type: Any
    name: Any = None
    required: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", column_type(self.type))
        if isinstance(self.name, list):  # a tuple that went through JSON
            object.__setattr__(self, "name", tuple(self.name))

    def __repr__(self) -> str:
        needed = "required" if self.required else "optional"
        told = f"{self.type!r} ({needed})"
        return told if self.name is None else f"{self.name!r}: {told}"

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is written to ``MLmodel``."""
        described = type_to_dict(self.type)
        if self.name is not None:
            described["name"] = self.name
        return {**described, "required": self.required}

    @classmethod
    def from_json_dict(cls, **described: Any) -> ColSpec:
        """Return the column that `to_dict` described; 2.x may have written ``optional``."""
        required = described.get("required", not described.get("optional", False))
        return cls(type_from_dict(described), described.get("name"), required)


@dataclass(frozen=True, slots=True, repr=False)
class TensorSpec:
    """An array.

    Parameters
    ----------
    type : numpy.dtype
        The type of its items.
    shape : sequence of int
        Its shape; -1 for a size that is free.
    name : str, optional
        Its name, when a model takes several.
    """

    type: Any
    shape: Any
    name: Any = None

    def __post_init__(self) -> None:
        import numpy as np

        if not isinstance(self.type, np.dtype):
            raise InvalidParameterError(
                f"the type of a TensorSpec is a numpy dtype such as np.dtype('float64'), "
                f"not {self.type!r}."
            )
        if self.type.kind in "US":  # texts of any length are one type
            object.__setattr__(self, "type", np.dtype(self.type.kind))
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))

    @property
    def required(self) -> bool:
        """Arrays are always required."""
        return True

    def __repr__(self) -> str:
        told = f"Tensor({_dtype_name(self.type)!r}, {self.shape!r})"
        return told if self.name is None else f"{self.name!r}: {told}"

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is written to ``MLmodel``."""
        named = {} if self.name is None else {"name": self.name}
        spec = {"dtype": _dtype_name(self.type), "shape": list(self.shape)}
        return {**named, "type": "tensor", "tensor-spec": spec}

    @classmethod
    def from_json_dict(cls, **described: Any) -> TensorSpec:
        """Return the array that `to_dict` described."""
        import numpy as np

        spec = described["tensor-spec"]
        return cls(np.dtype(spec["dtype"]), spec["shape"], described.get("name"))


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return {"U": "str", "S": "bytes"}.get(dtype.kind, dtype.name)


class Schema:
    """The columns or arrays that a model takes or gives.

    Parameters
    ----------
    inputs : list of ColSpec, or list of TensorSpec
        All with names, or all without.

    Raises
    ------
    InvalidParameterError
        When there are none, or they are mixed.
    """

    def __init__(self, inputs: Sequence[ColSpec] | Sequence[TensorSpec]) -> None:
        self.inputs: list[Any] = list(inputs)
        if not self.inputs:
            raise InvalidParameterError("a Schema has at least one ColSpec or TensorSpec.")
        kinds = {type(each) for each in self.inputs}
        if kinds not in ({ColSpec}, {TensorSpec}):
            raise InvalidParameterError(
                "a Schema holds ColSpec only or TensorSpec only; it was given "
                f"{', '.join(sorted(kind.__name__ for kind in kinds))}."
            )
        named = [each.name is not None for each in self.inputs]
        if any(named) and not all(named):
            raise InvalidParameterError(
                "the inputs of a Schema all have names or none has; it was given "
                f"{[each.name for each in self.inputs]!r}."
            )
        if kinds == {TensorSpec} and len(named) > 1 and not all(named):
            raise InvalidParameterError("several TensorSpec in a Schema must each have a name.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.inputs == other.inputs

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Any:
        return iter(self.inputs)

    def __repr__(self) -> str:
        return repr(self.inputs)

    def is_tensor_spec(self) -> bool:
        """Whether arrays are meant, not columns."""
        return isinstance(self.inputs[0], TensorSpec)

    def has_input_names(self) -> bool:
        """Whether the inputs have names."""
        return self.inputs[0].name is not None

    def input_names(self) -> list[Any]:
        """Return the names; the places, from 0, when there are none."""
        return [i if each.name is None else each.name for i, each in enumerate(self.inputs)]

    def required_input_names(self) -> list[Any]:
        """Return the names of what must be there."""
        return [
            name
            for name, each in zip(self.input_names(), self.inputs, strict=True)
            if each.required
        ]

    def optional_input_names(self) -> list[Any]:
        """Return the names of what may be absent."""
        return [
            name
            for name, each in zip(self.input_names(), self.inputs, strict=True)
            if not each.required
        ]

    def input_types(self) -> list[Any]:
        """Return the types, in order."""
        return [each.type for each in self.inputs]

    def input_dict(self) -> dict[Any, Any]:
        """Return the inputs by name."""
        self._need_names()
        return {each.name: each for each in self.inputs}

    def input_types_dict(self) -> dict[Any, Any]:
        """Return the types by name."""
        self._need_names()
        return {each.name: each.type for each in self.inputs}

    def _need_names(self) -> None:
        if not self.has_input_names():
            raise InvalidParameterError(f"the inputs of this Schema have no names: {self!r}.")

    def numpy_types(self) -> list[Any]:
        """Return the numpy dtypes, in order; a built type is one of Python objects."""
        import numpy as np

        if self.is_tensor_spec():
            return self.input_types()
        return [
            each.type.to_numpy() if isinstance(each.type, DataType) else np.dtype("O")
            for each in self.inputs
        ]

    def pandas_types(self) -> list[Any]:
        """Return the pandas dtypes of the columns, in order."""
        return self.numpy_types()

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the inputs as plain dictionaries."""
        return [each.to_dict() for each in self.inputs]

    def to_json(self) -> str:
        """Return the form that is written to ``MLmodel``."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, json_str: str) -> Schema:
        """Return the schema that `to_json` wrote, ours or MLflow's.

        Raises
        ------
        InvalidParameterError
            When the text is none.
        """
        try:
            return cls([_spec_from_dict(each) for each in json.loads(json_str)])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, InvalidParameterError):
                raise
            raise InvalidParameterError(
                f"{json_str!r:.500} is no schema ({type(error).__name__}: {error}); expected a "
                'JSON list such as [{"type": "double", "name": "a", "required": true}].'
            ) from error


def _spec_from_dict(described: dict[str, Any]) -> Any:
    if described["type"] == "tensor":
        return TensorSpec.from_json_dict(**described)
    return ColSpec.from_json_dict(**described)
