"""What the entities share: their fields can be walked through, as MLflow's can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

__all__ = ["Entity"]


class Entity:
    """Field access as MLflow's entities offer it: ``dict(entity)`` and ``to_dictionary``.

    What people print has no slots, because they also call ``vars(entity)``.
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for each in fields(self):  # type: ignore[arg-type]
            yield each.name, getattr(self, each.name)

    def to_dictionary(self) -> dict[str, Any]:
        """Return the fields as plain, nested dictionaries."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]
