"""The format skops: a model as data, of types that are known by name.

Reading such a file makes objects of the types that it names, and skops makes those that it trusts.
`trusted_types.json` has more, reviewed one category after the other (``scripts/trusted_types.py``
says how). Each of them may be made in its own way only: skops would call a trusted name that stands
where a file expects a container. What else a file names is made on the word of whoever loads it;
what the file or its ``MLmodel`` says of trust means nothing.
"""

from __future__ import annotations

import importlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import Any

from skledger.errors import ModelError
from skledger.models.compressing import check_bound

__all__ = ["dumped", "loaded", "reviewed_types"]

_SCHEMA = "schema.json"
_MODULE = re.compile(rb'"__module__": "([\w.]+)"')
#: Older files keep names in other places; for them only what skops itself trusts will do.
_OLDEST_PROTOCOL = 2


@cache
def reviewed_types() -> Mapping[str, frozenset[str]]:
    """Return the types that this package trusts, each with the nodes that may carry it."""
    text = (files("skledger.models") / "trusted_types.json").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for entry in json.loads(text).values():
        for name in entry["names"]:
            found.setdefault(name, set()).update(entry["loaders"])
    return {name: frozenset(loaders) for name, loaders in found.items()}


def dumped(estimator: object) -> tuple[bytes, frozenset[str], tuple[str, ...]]:
    """Return an estimator in the format skops.

    Parameters
    ----------
    estimator : object
        Anything whose parts skops knows how to write.

    Returns
    -------
    content : bytes
        The file.
    modules : frozenset of str
        The modules that it names.
    untrusted : tuple of str
        The types in it that skops itself does not trust.

    Raises
    ------
    ModelError
        When it could not be read again: skops stores functions and classes by name.
    """
    library = _skops()
    content: bytes = library.dumps(estimator)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = archive.read(_SCHEMA)
    modules = frozenset(name.decode() for name in _MODULE.findall(schema))
    untrusted = tuple(library.get_untrusted_types(data=content))
    if lost := [name for name in untrusted if not _is_found(name)]:
        raise ModelError(
            f"{type(estimator).__name__} cannot be stored in the format skops, which knows "
            f"functions and classes by their names only; these are not found by theirs: {lost}. "
            "Move them into a module of their own, or use serialization_format='cloudpickle'."
        )
    return content, modules, untrusted


def _is_found(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    # What belongs to this process alone is not found by the next one.
    if module == "__main__":
        return False
    try:
        return hasattr(importlib.import_module(module), attribute)
    except (ImportError, ValueError):
        # A method is named by its class as well.
        return _is_found(module) if module.count(".") else False


def loaded(content: bytes, trusted: Iterable[str | type], where: str) -> Any:
    """Make a model from a file of the format skops.

    Parameters
    ----------
    content : bytes
        The file.
    trusted : iterable of str or type
        What else the caller trusts.
    where : str
        The file, for messages.

    Raises
    ------
    ModelError
        When it names types that nobody trusts, or trusted ones in a place where they would be
        called; when it is broken; when it would unpack to more than may be.
    """
    library = _skops(where)
    given = [each if isinstance(each, str) else _name_of(each) for each in trusted]
    try:
        schema = _schema(content, where)
        untrusted = set(library.get_untrusted_types(data=content)) - set(given)
        unknown = sorted(untrusted - _reviewed_in(schema, given).keys())
        if not unknown:
            model = library.loads(content, trusted=[*given, *sorted(untrusted)])
    except (MemoryError, ModelError):
        raise
    except Exception as error:
        raise ModelError(
            f"{where} cannot be read by skops: {type(error).__name__}: {error}. Install the "
            "versions it was saved with, or save it again."
        ) from error
    if unknown:
        raise ModelError(
            f"{where} has types that are not known to be harmless: {unknown}. If you trust who "
            f"saved it, load it with trusted={given + unknown!r}."
        )
    from skledger.models.indices import check_indices

    check_indices(model, where)
    return model


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__name__}"


def _schema(content: bytes, where: str) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        check_bound(size, len(content), where)
        schema: dict[str, Any] = json.loads(archive.read(_SCHEMA))
    return schema


def _reviewed_in(schema: dict[str, Any], given: list[str]) -> Mapping[str, frozenset[str]]:
    """Return the reviewed types, without those that stand in a wrong place in this file."""
    reviewed = reviewed_types()
    protocol = schema.get("protocol")
    if not isinstance(protocol, int) or protocol < _OLDEST_PROTOCOL:
        return {}
    misplaced = {
        name
        for name, loader in _nodes(schema)
        if name in reviewed and name not in given and loader not in reviewed[name]
    }
    return {name: loaders for name, loaders in reviewed.items() if name not in misplaced}


def _nodes(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the loader of each node."""
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "__loader__" in each:
                yield f"{each.get('__module__')}.{each.get('__class__')}", each["__loader__"]
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _skops(where: str = "the format skops") -> ModuleType:
    try:
        import skops.io  # type: ignore[import-untyped]
    except ImportError as error:
        raise ModelError(
            f"{where} needs the package skops, which is not installed here: "
            "pip install 'skledger[skops]'."
        ) from error
    library: ModuleType = skops.io
    return library
