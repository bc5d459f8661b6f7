"""Registered models and versions as text; see `skledger.tracking.printing`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skledger.tracking.printing import MAX_IN_LINE, moment, one_line, own_tags, shown_tags, some

__all__ = ["columns", "facts", "in_one_line", "is_of_registry", "title"]


def is_of_registry(entity: object) -> bool:
    """Whether an entity is a registered model or a version of one."""
    return hasattr(entity, "aliases")


def _is_version(entity: Any) -> bool:
    return hasattr(entity, "current_stage")


def _stage(version: Any) -> str:
    """Return the stage of a version; nothing for one that has none."""
    return "" if version.current_stage in (None, "None") else str(version.current_stage)


def _names(aliases: Mapping[str, str]) -> str:
    return ", ".join(f"{alias}: {version}" for alias, version in sorted(aliases.items()))


def _numbers(model: Any) -> str:
    return ", ".join(
        f"{each.version} ({_stage(each)})" if _stage(each) else str(each.version)
        for each in model.latest_versions
    )


def title(entity: Any) -> str:
    """Return what an entity is, with its name."""
    if _is_version(entity):
        return f"ModelVersion {one_line(entity.name)!r} {entity.version}"
    return f"RegisteredModel {one_line(entity.name)!r}"


def in_one_line(entity: Any) -> str:
    """Return a registered model or a version in one line."""
    if _is_version(entity):
        parts = [_stage(entity), *entity.aliases, f"source={entity.source!r}"]
    else:
        parts = [f"versions: {_numbers(entity) or 'none'}", _names(entity.aliases)]
    parts.append(some(own_tags(entity.tags), MAX_IN_LINE))
    return f"<{title(entity)} {', '.join(filter(None, parts))}>"


def facts(entity: Any) -> Iterable[tuple[str, str]]:
    """Yield what a block says: labels and texts."""
    if _is_version(entity):
        yield "version", str(entity.version)
        yield "stage", _stage(entity)
        yield "aliases", ", ".join(entity.aliases)
        yield "status", "" if entity.status == "READY" else entity.status
        yield "source", one_line(entity.source or "", 120)
        yield "run_id", entity.run_id or ""
    else:
        yield "latest versions", _numbers(entity)
        yield "aliases", _names(entity.aliases)
    yield "created", moment(entity.creation_timestamp)
    yield "changed", moment(entity.last_updated_timestamp)
    yield from shown_tags(entity.tags)
    yield "description", one_line(entity.description or "", 80)


def columns(entities: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the rows of a table."""
    if _is_version(entities[0]):
        return ["name", "version", "aliases", "stage", "created", "source"], [
            [
                one_line(each.name),
                str(each.version),
                ", ".join(each.aliases),
                _stage(each),
                moment(each.creation_timestamp),
                one_line(each.source or ""),
            ]
            for each in entities
        ]
    return ["name", "latest versions", "aliases", "created", "tags"], [
        [
            one_line(each.name),
            _numbers(each),
            _names(each.aliases),
            moment(each.creation_timestamp),
            some(own_tags(each.tags), MAX_IN_LINE),
        ]
        for each in entities
    ]
