"""Params that a caller may pass along with the data, in the JSON form of MLflow."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skledger.errors import InvalidParameterError
from skledger.types.data_types import DataType, column_type, type_from_dict, type_to_dict

__all__ = ["ParamSchema", "ParamSpec"]


@dataclass(frozen=True, slots=True, repr=False)
class ParamSpec:
    """A setting that a caller may pass along with the data.

    Parameters
    ----------
    name : str
        Its name.
    dtype : str, DataType or Object
        Its type.
    default : object
        Its value when it is not passed.
    shape : tuple, optional
        ``(-1,)`` for a list of any length.
    """

    name: str
    dtype: Any
    default: Any
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", column_type(self.dtype))
        if self.shape is not None:
            object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "default", self.checked(self.default))

    def __repr__(self) -> str:
        shape = "" if self.shape is None else f" (shape: {self.shape})"
        return f"{self.name!r}: {self.dtype!r} (default: {self.default}){shape}"

    def checked(self, value: Any) -> Any:
        """Return a value in the type of this param.

        Raises
        ------
        InvalidParameterError
            When it cannot be that without a loss.
        """
        value = value.tolist() if hasattr(value, "tolist") else value
        if value is None:
            return None
        if self.shape is None:
            return self._one(value)
        if not isinstance(value, list | tuple):
            raise InvalidParameterError(
                f"the param {self.name!r} is a list of {self.dtype!r}; it was given {value!r}."
            )
        return [self._one(each) for each in value]

    def _one(self, value: Any) -> Any:
        kind = self.dtype
        if not isinstance(kind, DataType):
            return value
        expected = kind.to_python()
        if kind is DataType.datetime and isinstance(value, str):
            try:
                return datetime.datetime.fromisoformat(value)
            except ValueError:
                pass
        if expected is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, expected) and isinstance(value, bool) is (expected is bool):
            return value
        raise InvalidParameterError(
            f"the param {self.name!r} is of type {kind!r}; it was given {value!r} of type "
            f"{type(value).__name__}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is written to ``MLmodel``."""
        default = self.default
        if isinstance(default, datetime.datetime):
            default = default.isoformat()
        elif isinstance(default, list):
            default = [
                each.isoformat() if isinstance(each, datetime.datetime) else each
                for each in default
            ]
        shape = None if self.shape is None else list(self.shape)
        return {"name": self.name, "default": default, "shape": shape, **type_to_dict(self.dtype)}

    @classmethod
    def from_json_dict(cls, **described: Any) -> ParamSpec:
        """Return the param that `to_dict` described; 2.x wrote ``dtype`` for ``type``."""
        if "type" not in described:
            described["type"] = described["dtype"]
        shape = described.get("shape")
        return cls(
            described["name"],
            type_from_dict(described),
            described["default"],
            None if shape is None else tuple(shape),
        )


class ParamSchema:
    """The params that a model takes.

    Parameters
    ----------
    params : list of ParamSpec
        Each with a name of its own.
    """

    def __init__(self, params: Sequence[ParamSpec]) -> None:
        self.params = list(params)
        names = [each.name for each in self.params]
        if len(set(names)) < len(names):
            raise InvalidParameterError(f"a name of a param is there twice: {names!r}.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParamSchema) and self.params == other.params

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.params)

    def __iter__(self) -> Any:
        return iter(self.params)

    def __repr__(self) -> str:
        return repr(self.params)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the params as plain dictionaries."""
        return [each.to_dict() for each in self.params]

    def to_json(self) -> str:
        """Return the form that is written to ``MLmodel``."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, json_str: str) -> ParamSchema:
        """Return the params that `to_json` wrote, ours or MLflow's."""
        try:
            described: list[Mapping[str, Any]] = json.loads(json_str)
            return cls([ParamSpec.from_json_dict(**each) for each in described])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, InvalidParameterError):
                raise
            raise InvalidParameterError(
                f"{json_str!r:.500} lists no params ({type(error).__name__}: {error})."
            ) from error
