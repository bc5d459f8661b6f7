"""How a method is wrapped and given back.

Why wrapt: a plain closure loses the signature that metadata routing reads, the descriptor that
``available_if`` needs, and the attribute that a second patcher looks for. What a stock
``FunctionWrapper`` cannot do is survive pickling and copying, so `Patch` adds that: each form
reduces to a name or to the original function, never to anything of ours.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any
from weakref import ReferenceType, ref

import wrapt

from skledger._guard import logger

__all__ = ["Patch", "PatchSet"]

#: ``wrapper(wrapped, instance, args, kwargs)``, as wrapt calls it.
Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


class BoundPatch(wrapt.BoundFunctionWrapper):  # type: ignore[misc,type-arg,unused-ignore]
    """A patched method as looked up on an instance or a class."""

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # By name, on its owner: a process that has no patch finds the plain method there.
        owner = self._self_instance if self._self_instance is not None else self._self_owner
        return getattr, (owner, self.__name__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __copy__(self) -> BoundPatch:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if self._self_instance is None:
            return self
        from copy import deepcopy

        return getattr(deepcopy(self._self_instance, memo), self.__name__)


class Patch(wrapt.FunctionWrapper):  # type: ignore[misc,type-arg,unused-ignore]
    """A wrapped function that pickles, copies and clones as the function it wraps."""

    __bound_function_wrapper__ = BoundPatch
    _self_on_class: Any = None

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is not None or owner is None or type(self.__wrapped__) is not FunctionType:
            return super().__get__(instance, owner)
        # A function looked up on classes is one object, and cloudpickle pickles it by name only
        # when a second look-up gives the very same.
        if self._self_on_class is None:
            holders = (c for c in owner.__mro__ if any(v is self for v in vars(c).values()))
            self._self_on_class = super().__get__(None, next(holders, owner))
        return self._self_on_class

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Only reached when a class is pickled by value (``__main__``): hand over the original
        # through the standard library, so that the pickle loads where skledger is not installed.
        return operator.getitem, ((self.__wrapped__,), 0)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __copy__(self) -> Patch:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Patch:
        return self


class PatchSet:
    """The patches one hook module has put in place, to be taken away again together."""

    def __init__(self) -> None:
        # Weak: classes that are made in a loop must be free to go.
        self._installed: list[tuple[ReferenceType[Any], str, ReferenceType[Patch]]] = []

    def wrap(
        self,
        owner: type | ModuleType,
        name: str,
        wrapper: Wrapper,
        enabled: Callable[[], bool] | None = None,
    ) -> None:
        """Wrap an attribute that `owner` itself holds; a second time does nothing.

        Parameters
        ----------
        owner, name
            The attribute.
        wrapper : callable
            Is called in its place.
        enabled : callable, optional
            Is asked at every call; while it says no, the original is called as if there were no
            wrapper: no frame of ours is on the stack, in a traceback or below a warning.
        """
        original = vars(owner)[name]
        if type(original) is BoundPatch:
            # Somebody kept what he had looked up on the class, and put it back or into another.
            original = original.__wrapped__
        _take_out(original)
        if is_patched(original) or not _is_method(original):
            return
        patch = Patch(original, wrapper, enabled)
        setattr(owner, name, patch)
        self._installed.append((ref(owner), name, ref(patch)))

    def unwrap(self) -> None:
        """Give every attribute back, in reverse order.

        Where somebody else has patched over us in a way that cannot be undone, our wrapper
        stays in the chain and is passive, because the switch is off.
        """
        while self._installed:
            owner_link, name, patch_link = self._installed.pop()
            owner, patch = owner_link(), patch_link()
            if owner is None or patch is None:
                continue
            try:
                held = vars(owner).get(name)
                if type(held) is BoundPatch and held._self_parent is patch:
                    setattr(owner, name, patch.__wrapped__)
                else:
                    wrapt.unwrap_object(owner, name, patch, missing_ok=True)
            except Exception as error:  # noqa: BLE001 - whatever stands above us is not ours
                logger.debug("%r.%s stays wrapped, passive: %s", owner, name, error)


def _take_out(attribute: Any) -> None:
    """Give a descriptor that was made of a patched method the method itself.

    ``available_if(check)(Mixin.predict_proba)`` in the body of a class keeps what it looks up.
    """
    function = getattr(attribute, "fn", None)
    if type(function) is BoundPatch:
        attribute.fn = attribute.__wrapped__ = function.__wrapped__


def _is_method(attribute: Any) -> bool:
    """Tell a method from what only has its name: None, a text, a property, a nested class.

    ``fit_predict = None`` is how a subclass says that it cannot do that; a wrapper around it
    would be a method again.
    """
    if isinstance(attribute, property | functools.cached_property | type):
        return False
    return callable(attribute) or hasattr(attribute, "__get__")


def is_patched(attribute: Any) -> bool:
    """Tell whether one of our patches is anywhere in the chain of an attribute."""
    for _ in range(16):
        if type(attribute) is Patch:
            return True
        attribute = getattr(attribute, "__wrapped__", None)
        if attribute is None:
            return False
    return False
