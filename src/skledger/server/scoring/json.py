"""JSON in and out: by orjson where it is installed, else by Python's own module."""

from __future__ import annotations

import importlib
import json
import math
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["dumps", "loads"]


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


orjson = _installed("orjson")

#: What orjson writes by itself; everything else is turned into lists first.
_NATIVE = frozenset(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)) | {
    "bool",
    "float32",
    "float64",
}


def loads(content: bytes | bytearray) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    InvalidParameterError
        It is no JSON; the text says where.
    """
    if orjson is not None:
        try:
            return orjson.loads(content)
        except ValueError:
            pass  # Python's module also reads NaN, as its own writer makes it, and tells better
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidParameterError(
            f"the body is not UTF-8: byte {error.start} cannot be read. JSON is sent as UTF-8."
        ) from error
    except RecursionError as error:
        raise InvalidParameterError(
            "the body has lists or objects too deep in each other to be read."
        ) from error
    except ValueError as error:
        raise InvalidParameterError(f"the body is no JSON: {error}.") from error


def dumps(value: Any, plain: Callable[[Any], Any]) -> bytes:
    """Return a value as JSON; NaN and the infinities are null, which is all that JSON has.

    Parameters
    ----------
    value : object
        What is to be written; arrays of numbers may be part of it.
    plain : callable
        Returns what JSON lacks as what it has.
    """
    if orjson is not None:
        options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
        written: bytes = orjson.dumps(_prepared(value), default=plain, option=options)
        return written
    return json.dumps(_finite(value, plain), separators=(",", ":"), allow_nan=False).encode()


def _prepared(value: Any) -> Any:
    """Return arrays in the form that orjson takes, in dictionaries and lists of them."""
    if isinstance(value, dict):
        return {name: _prepared(each) for name, each in value.items()}
    if not _is_array(value):
        return value
    if value.dtype.name not in _NATIVE or not value.dtype.isnative or value.ndim == 0:
        return value.tolist()
    return value if value.flags.c_contiguous else value.copy(order="C")


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "flags") and hasattr(value, "tolist")


def _finite(value: Any, plain: Callable[[Any], Any]) -> Any:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(name): _finite(each, plain) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each, plain) for each in value]
    if _is_array(value):
        return _finite(value.tolist(), plain)
    return _finite(plain(value), plain)


def _key(name: Any) -> Any:
    return name if isinstance(name, str) else str(name)
