"""What a request says, as values: each field is declared, read and described in one place."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from skledger.errors import InvalidParameterError
from skledger.stores.sql_numbers import decode_number
from skledger.tracking.entities import ViewType

__all__ = [
    "NUMBER",
    "TEXT",
    "WHOLE",
    "Field",
    "Read",
    "choice",
    "flag",
    "key",
    "limit",
    "new_key",
    "number",
    "read_key",
    "read_new_key",
    "read_number",
    "read_text",
    "read_whole",
    "refusal",
    "required",
    "text",
    "texts",
    "view",
    "whole",
]

Read = Callable[[str, Any], Any]
#: The last moment in 64 bits of nanoseconds, in ms.
_LATEST = (2**63 - 1) // 10**6
_INT64 = 2**63
#: What a key may have; stores that keep a file for each refuse others.
_KEY = re.compile(r"[/\w.\- :]+")
_VIEWS = {"ACTIVE_ONLY": ViewType.ACTIVE_ONLY, "DELETED_ONLY": ViewType.DELETED_ONLY}
_VIEWS["ALL"] = ViewType.ALL
NUMBER = {
    "oneOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]
}
TEXT = {"type": "string"}
WHOLE = {"type": "integer", "format": "int64"}


@dataclass(frozen=True, slots=True)
class Field:
    """One value in a request.

    Parameters
    ----------
    name : str
        Its name in the body, in the query or in the path.
    read : callable
        Returns the value, given the name and what was sent.
    schema : dict
        What OpenAPI says of it.
    default : object
        The value when nothing, or null, was sent.
    is_required : bool
        Whether it must be sent.
    is_list : bool
        Whether it may occur several times in a query.
    also : str
        Another name that it may have.
    """

    name: str
    read: Read
    schema: Mapping[str, Any]
    default: Any = None
    is_required: bool = False
    is_list: bool = False
    also: str = ""

    def of(self, sent: Mapping[str, Any]) -> Any:
        """Return the value in what was sent."""
        found = sent.get(self.name)
        if found is None and self.also:
            found = sent.get(self.also)
        if found is None or (self.is_required and found == ""):
            if self.is_required:
                raise InvalidParameterError(
                    f"Missing value for required parameter '{self.name}': send it"
                )
            return self.default
        return self.read(self.name, found)


def required(item: Field) -> Field:
    """Return a field that must be sent."""
    return replace(item, is_required=True)


# Fields


def text(name: str, default: str | None = None, also: str = "") -> Field:
    """Return a field of text."""
    return Field(name, read_text, TEXT, default, also=also)


def key() -> Field:
    """Return the field ``key``, which must be sent."""
    return Field("key", read_key, TEXT, is_required=True)


def new_key() -> Field:
    """Return the field ``key`` of what is booked, which must be sent."""
    return Field("key", read_new_key, TEXT, is_required=True)


def whole(name: str, default: int | None = None) -> Field:
    """Return a field of a whole number of 64 bits, which may be sent as text."""
    return Field(name, read_whole, WHOLE, default)


def moment(name: str) -> Field:
    """Return a field of a time, in ms since 1970."""
    return Field(name, _read_moment, WHOLE)


def number(name: str) -> Field:
    """Return a field of a number, which may be NaN or infinite."""
    return Field(name, read_number, NUMBER)


def flag(name: str, default: bool = False) -> Field:
    """Return a field of true or false."""
    return Field(name, _read_flag, {"type": "boolean"}, default)


def texts(name: str) -> Field:
    """Return a field of several texts."""
    schema = {"type": "array", "items": TEXT}
    return Field(name, _read_texts, schema, (), is_list=True)


def choice(name: str, values: Iterable[str], default: str | None = None) -> Field:
    """Return a field of one of several texts; MLflow numbers them from 1."""
    named = tuple(values)

    def read(name: str, sent: Any) -> str:
        if isinstance(sent, int) and not isinstance(sent, bool) and 1 <= sent <= len(named):
            return named[sent - 1]
        if sent not in named:
            raise refusal(name, sent, f"one of {', '.join(named)}")
        return str(sent)

    return Field(name, read, {"type": "string", "enum": list(named)}, default)


def view(name: str) -> Field:
    """Return a field that tells whether active or deleted ones are wanted."""
    read = choice(name, _VIEWS).read
    schema = {"type": "string", "enum": list(_VIEWS)}
    return Field(name, lambda name, sent: _VIEWS[read(name, sent)], schema, ViewType.ACTIVE_ONLY)


def limit(default: int | None, most: int) -> Field:
    """Return the field ``max_results``."""

    def read(name: str, sent: Any) -> int:
        value = read_whole(name, sent)
        if not 1 <= value <= most:
            raise refusal(name, sent, f"a whole number from 1 to {most}")
        return value

    return Field("max_results", read, {"type": "integer", "minimum": 1, "maximum": most}, default)


# Reading


def read_text(name: str, sent: Any) -> str:
    """Return a text; a whole number is one, too."""
    if type(sent) is str:
        return sent
    if isinstance(sent, int) and not isinstance(sent, bool):
        return str(sent)
    raise refusal(name, sent, "text")


def read_key(name: str, sent: Any) -> str:
    """Return a text that can be the key of something."""
    found = read_text(name, sent)
    if "\0" in found:  # databases that have no such character would keep another key
        raise refusal(name, sent, "text without NUL")
    return found


def read_new_key(name: str, sent: Any) -> str:
    """Return the key of something that is booked: one that MLflow's servers take, too."""
    found = read_key(name, sent)
    if not _is_key(found):
        raise refusal(
            name,
            sent,
            "letters, digits, '_', '-', '.', ':', ' ' and '/', as in a relative path in its "
            "plainest form: without '..', and without '/' at its ends or twice",
        )
    return found


def _is_key(text: str) -> bool:
    if _KEY.fullmatch(text) is None or text.startswith(("..", "/")) or text == ".":
        return False
    return "/" not in text or posixpath.normpath(text) == text


def read_whole(name: str, sent: Any) -> int:
    """Return a whole number of 64 bits, which may be a text."""
    value = sent
    if isinstance(sent, str):
        try:
            value = int(sent)
        except ValueError:
            value = None
    elif isinstance(sent, float):
        value = int(sent) if math.isfinite(sent) and sent == int(sent) else None
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise refusal(name, sent, "a whole number of 64 bits")
    return value


def _read_moment(name: str, sent: Any) -> int:
    """Return a time that pandas has a timestamp for: else no table of runs can be made."""
    value = read_whole(name, sent)
    if abs(value) > _LATEST:
        raise refusal(name, sent, "a time in ms since 1970, up to the year 2262")
    return value


def read_number(name: str, sent: Any) -> float:
    """Return a number, which may be a text, as a store is given it."""
    if type(sent) is float:
        return decode_number(sent, math.isnan(sent))
    if isinstance(sent, str | int) and not isinstance(sent, bool):
        try:
            value = float(sent)
        except (ValueError, OverflowError):
            pass
        else:
            return decode_number(value, math.isnan(value))
    raise refusal(name, sent, "a number")


def _read_flag(name: str, sent: Any) -> bool:
    if isinstance(sent, bool):
        return sent
    if isinstance(sent, str) and sent.lower() in ("true", "false"):
        return sent.lower() == "true"
    raise refusal(name, sent, "true or false")


def _read_texts(name: str, sent: Any) -> tuple[str, ...]:
    if isinstance(sent, str):
        return (sent,)
    if not isinstance(sent, list):
        raise refusal(name, sent, "a list of texts")
    return tuple(read_text(name, each) for each in sent)


def refusal(name: str, sent: Any, expected: str) -> InvalidParameterError:
    """Return the error for a value that is none of those expected."""
    return InvalidParameterError(
        f"Invalid value {sent!r:.100} for parameter '{name}' supplied: expected {expected}"
    )
