"""Logged models as text; see `skledger.tracking.printing`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skledger.tracking.printing import (
    MAX_IN_BLOCK,
    MAX_IN_LINE,
    moment,
    one_line,
    own_tags,
    shown_tags,
    some,
    telling_first,
)

__all__ = ["columns", "facts", "in_one_line", "is_logged_model", "title"]


def is_logged_model(entity: object) -> bool:
    """Whether an entity is a logged model."""
    return hasattr(entity, "model_id") and hasattr(entity, "artifact_location")


def _metrics(model: Any) -> Mapping[str, float]:
    """Return the last value of each metric."""
    return telling_first({each.key: each.value for each in model.metrics})


def title(entity: Any) -> str:
    """Return what an entity is, with its name."""
    return f"LoggedModel {one_line(entity.name)!r}"


def in_one_line(entity: Any) -> str:
    """Return a logged model in one line."""
    parts = [
        f"model_id={entity.model_id!r}",
        "" if entity.status == "READY" else entity.status,
        some(_metrics(entity), MAX_IN_LINE),
        some(own_tags(entity.tags), MAX_IN_LINE),
    ]
    return f"<{title(entity)} {', '.join(filter(None, parts))}>"


def facts(entity: Any) -> Iterable[tuple[str, str]]:
    """Yield what a block says: labels and texts."""
    yield "model_uri", entity.model_uri
    yield "status", entity.status
    yield "run_id", entity.source_run_id or ""
    yield "created", moment(entity.creation_timestamp)
    metrics = _metrics(entity)
    yield f"metrics ({len(metrics)})", some(metrics, MAX_IN_BLOCK)
    yield f"params ({len(entity.params)})", some(entity.params, MAX_IN_BLOCK)
    yield from shown_tags(entity.tags)
    yield "artifacts", one_line(entity.artifact_location, 200)


def columns(entities: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the rows of a table."""
    return ["name", "status", "created", "metrics", "model_id"], [
        [
            one_line(each.name),
            each.status,
            moment(each.creation_timestamp),
            some(_metrics(each), 2),
            each.model_id,
        ]
        for each in entities
    ]
