"""The ``meta.yaml`` files: written so that any YAML reader takes them, read without one.

A YAML library takes a hundred times as long as what follows for a file of ten lines, and a search
reads thousands. What is not written in the plain way is given to the library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["dump", "load"]

#: Text that is text to every YAML reader without quotes: no number, no date, no word with a sense.
_bare = re.compile(
    r"(?!(?:null|true|false|yes|no|on|off|inf|nan|[ynYN])\Z)[a-z/][\w./-]*", re.ASCII
)
#: Characters that JSON leaves as they are and YAML does not take, or takes for a line break.
_unprintable = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")
_encode = json.JSONEncoder(ensure_ascii=False).encode

_line = re.compile(r"(\w+): ?(.*)")
_number = re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII)
#: Unquoted text that needs no second look.
_simple = re.compile(r"[\w./](?:[^:#]|:(?! |\Z)|(?<! )#)*(?<![ :])")


def dump(values: Mapping[str, Any]) -> bytes:
    """Return a mapping as YAML; its values are text, whole numbers, None, or mappings of text."""
    return "".join(_entry(key, value, "") for key, value in values.items()).encode()


def _entry(key: str, value: Any, margin: str) -> str:
    name = key if _bare.fullmatch(key) else _quoted(key)
    if isinstance(value, str):
        return f"{margin}{name}: {value if _bare.fullmatch(value) else _quoted(value)}\n"
    if value is None or isinstance(value, bool | int):
        return f"{margin}{name}: {json.dumps(value)}\n"
    if isinstance(value, Mapping) and value:
        inner = "".join(_entry(str(key), each, margin + "  ") for key, each in value.items())
        return f"{margin}{name}:\n{inner}"
    # What another program put there: JSON is YAML.
    return f"{margin}{name}: {json.dumps(value, default=str)}\n"


def _quoted(text: str) -> str:
    return _unprintable.sub(lambda match: f"\\u{ord(match[0]):04x}", _encode(text))


def load(data: bytes) -> dict[str, Any]:
    """Return what a file of YAML says.

    Raises
    ------
    ValueError
        When it is no YAML, or no mapping.
    """
    text = data.decode()
    if not text.isascii() and _unprintable.search(text):
        return _load_slowly(text)
    values: dict[str, Any] = {}
    for line in text.split("\n"):
        if line:
            match = _line.fullmatch(line)
            if match is None or match[1] in values:
                return _load_slowly(text)
            try:
                values[match[1]] = _scalar(match[2])
            except ValueError:
                return _load_slowly(text)
    return values or _load_slowly(text)


def _scalar(word: str) -> Any:
    """Return what stands behind a key; ValueError when that is not seen at once."""
    if _number.fullmatch(word):
        return int(word)
    if word in ("null", "", "~"):
        return None
    if word[0] == "'" and word[-1] == "'" and len(word) > 1 and "'" not in word[1:-1]:
        return word[1:-1]
    if word[0] == '"' or word in ("[]", "{}", "true", "false"):
        return json.loads(word)
    if _simple.fullmatch(word):
        return word
    raise ValueError(word)


def _load_slowly(text: str) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError("it is no YAML: " + " ".join(str(error).split())) from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds no fields, but {found!r:.60}")
    return found
