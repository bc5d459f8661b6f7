"""Values that belong to live objects: found by identity, gone with them, keeping none alive."""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from weakref import ReferenceType, ref

__all__ = ["WeakById"]

V = TypeVar("V")


class WeakById(Generic[V]):
    """A mapping from objects, hashable or not, to values.

    There is no lock: an entry is struck off wherever Python collects its object, which may be in
    the middle of anything; each step is one operation of a dict.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[int, tuple[ReferenceType[Any], V]] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def get(self, obj: object) -> V | None:
        """Return the value of an object; None where it has none."""
        found = self._held.get(id(obj))
        return found[1] if found is not None and found[0]() is obj else None

    def put(self, obj: Any, value: V) -> ReferenceType[Any]:
        """Give an object a value, and return a weak reference to it.

        Raises
        ------
        TypeError
            When Python tells nobody that the object is gone, as of a list.
        """
        held, place = self._held, id(obj)

        def forget(link: ReferenceType[Any]) -> None:
            # Another object may live in its place by now.
            found = held.get(place)
            if found is not None and found[0] is link:
                held.pop(place, None)

        link = ref(obj, forget)
        held[place] = link, value
        return link

    def discard(self, obj: object) -> None:
        """Take the value from an object."""
        if self.get(obj) is not None:
            self._held.pop(id(obj), None)

    def clear(self) -> None:
        """Take all values away."""
        self._held.clear()
