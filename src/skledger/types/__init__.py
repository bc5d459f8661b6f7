"""What a model takes and gives, under MLflow's module name: column types, tensors, schemas.

The names below are imported when they are first used; importing this package imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skledger._lazy import lazily

if TYPE_CHECKING:
    from skledger.types.data_types import AnyType, Array, DataType, Map, Object, Property
    from skledger.types.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

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

# `schema` has them all, under the name that MLflow has them.
__getattr__ = lazily(__name__, dict.fromkeys(__all__, "skledger.types.schema"), ("schema",))


def __dir__() -> list[str]:
    return sorted(__all__)
