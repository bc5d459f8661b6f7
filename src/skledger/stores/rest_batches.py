"""Cutting what is logged to a run into requests that a tracking server takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from skledger.stores.rest_api import encode_body

__all__ = ["in_batches", "in_slices"]

T = TypeVar("T")

#: What one request holds at most, by MLflow's limits; and all of it together.
_LIMITS = {"params": 100, "tags": 100, "metrics": 1000}
_TOGETHER = 1000
#: In bytes; MLflow's documented limit is a million, with the envelope.
_BYTES = 900_000


def in_batches(
    params: Sequence[dict[str, Any]] = (),
    tags: Sequence[dict[str, Any]] = (),
    metrics: Sequence[dict[str, Any]] = (),
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Yield the bodies of as few ``log-batch`` requests as the limits allow; params come first."""
    batch: dict[str, list[dict[str, Any]]] = {}
    count = size = 0
    for kind, item in _kinds(params, tags, metrics):
        length = len(encode_body(item)) + 1
        is_full = (
            count == _TOGETHER
            or len(batch.get(kind, ())) == _LIMITS[kind]
            or (count and size + length > _BYTES)
        )
        if is_full:
            yield batch
            batch, count, size = {}, 0, 0
        batch.setdefault(kind, []).append(item)
        count += 1
        size += length
    if batch:
        yield batch


def in_slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield slices of at most `size` items."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _kinds(
    params: Iterable[dict[str, Any]],
    tags: Iterable[dict[str, Any]],
    metrics: Iterable[dict[str, Any]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from (("params", each) for each in params)
    yield from (("tags", each) for each in tags)
    yield from (("metrics", each) for each in metrics)
