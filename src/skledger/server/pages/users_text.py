"""Text that users and their programs left, read so that nothing in it fails a page.

Tags, params, descriptions of models and files hold what anybody wrote: broken JSON, YAML that grows
without end, numbers of thousands of digits. What cannot be read is None here, not an exception.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["cut", "encodable", "read_address", "read_json", "read_yaml", "told"]

#: How deep YAML may be nested, and of how many parts it may be.
_DEEPEST, _PARTS = 50, 50_000


def read_json(text: str | bytes | None) -> Any:
    """Return what a text in JSON says; None when it is none."""
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def read_yaml(content: bytes) -> Any:
    """Return what a text in YAML says, each plain value as its text; None when it is none.

    Without types nothing in it is converted, which could fail. Aliases are refused: with them a
    few hundred bytes stand for gigabytes.
    """
    import yaml

    readers = ("CBaseLoader", "BaseLoader")
    loader = next(found for name in readers if (found := getattr(yaml, name, None)) is not None)
    try:
        if not _is_small(yaml.parse(content, loader)):
            return None
        return yaml.load(content, loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _is_small(events: Iterable[Any]) -> bool:
    """Tell whether YAML is no larger than it looks; its parts are looked at one by one."""
    import yaml

    depth = 0
    for number, event in enumerate(events):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST or number > _PARTS:
            return False
    return True


def read_address(text: str) -> SplitResult | None:
    """Return the parts of an address; None when it is none."""
    try:
        return urlsplit(text)
    except ValueError:
        return None


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold: half a letter, as JSON may have, becomes ``?``."""
    return text.encode("utf-8", "replace").decode()


def told(value: Any, length: int) -> str:
    """Return a value of JSON or YAML in at most so many characters."""
    try:
        return cut(value if isinstance(value, str) else str(value), length)
    except RecursionError:
        return "…"


def cut(text: str, length: int) -> str:
    """Return a text of at most so many characters; one that is cut ends in ``…``."""
    return text if len(text) <= length else text[: length - 1] + "…"
