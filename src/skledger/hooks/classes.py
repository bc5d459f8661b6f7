"""Every class of estimators, whenever it is born: those who patch methods are told of each.

Classes that exist are found by walking ``__subclasses__()``; classes that come later are met in
``__init_subclass__``, after scikit-learn's own (which wraps ``fit_transform`` and ``transform`` for
``set_output`` and reads signatures for metadata routing). So xgboost, lightgbm, imbalanced-learn
and the user's own classes are covered, and nothing is imported to find them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import wrapt

from skledger._guard import contain, thread
from skledger.hooks.patching import PatchSet

__all__ = ["Visitor", "has_by_value", "unwatch", "visit_again", "watch"]

#: Is told of a class; may patch what the class, or a mixin it is made of, writes itself.
Visitor = Callable[[type], None]

#: Classes that are pickled by value: an estimator of theirs that comes out of a pickle brings the
#: methods along, and cloudpickle puts them in the place of ours.
_by_value: WeakSet[type] = WeakSet()

_births = PatchSet()
_visitors: list[Visitor] = []
_waiting = False


def watch(visitor: Visitor) -> None:
    """Tell `visitor` of every class there is and will be; scikit-learn is waited for.

    Calling it again tells of the classes that were born unseen.
    """
    global _waiting
    if visitor not in _visitors:
        _visitors.append(visitor)
    if "sklearn.base" in sys.modules:
        _visit_all([visitor])
    elif not _waiting:
        _waiting = True
        wrapt.register_post_import_hook(_when_imported, "sklearn.base")


def unwatch(visitor: Visitor) -> None:
    """Tell it no more; when it was the last, nothing of ours stays behind."""
    if visitor in _visitors:
        _visitors.remove(visitor)
    if not _visitors:
        _births.unwrap()
        _by_value.clear()


def has_by_value() -> bool:
    """Tell whether there are classes that a pickle may change."""
    return bool(_by_value)


def visit_again() -> None:
    """Tell of the classes in which unpickling may have put methods in the place of wrappers."""
    for cls in list(_by_value):
        _visit(cls, _visitors)


def _when_imported(module: Any) -> None:
    global _waiting
    _waiting = False
    if _visitors:
        with contain("any fit (scikit-learn could not be hooked)"):
            _visit_all(_visitors)


def _visit_all(visitors: list[Visitor]) -> None:
    from sklearn.base import BaseEstimator, ClusterMixin, OutlierMixin, TransformerMixin

    for owner in _owners_of_birth(BaseEstimator, TransformerMixin):
        _births.wrap(owner, "__init_subclass__", _wrap_birth)
    for mixin in (TransformerMixin, ClusterMixin, OutlierMixin):
        _visit(mixin, visitors)
    for cls in _all_subclasses(BaseEstimator):
        _visit(cls, visitors)


def _owners_of_birth(*roots: type) -> Iterator[type]:
    """Yield the classes whose ``__init_subclass__`` runs when an estimator class is born."""
    for root in roots:
        for cls in root.__mro__[:-1]:
            if "__init_subclass__" in vars(cls):
                yield cls


def _all_subclasses(root: type) -> Iterator[type]:
    seen: set[type] = set()
    stack: list[type] = root.__subclasses__()
    while stack:
        cls = stack.pop()
        if cls not in seen:
            seen.add(cls)
            stack.extend(cls.__subclasses__())
            yield cls


def _visit(cls: type, visitors: list[Visitor]) -> None:
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        _by_value.add(cls)
    for visitor in visitors:
        visitor(cls)


def _wrap_birth(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """After scikit-learn has set up a new class, tell of it.

    Two of scikit-learn's ``__init_subclass__`` call each other; only the outer one may patch,
    or ``set_output`` would wrap our wrapper and keep it for ever.
    """
    thread.births += 1
    try:
        result = wrapped(*args, **kwargs)
    finally:
        thread.births -= 1
    if thread.births == 0 and _visitors and isinstance(instance, type):
        from sklearn.base import BaseEstimator

        if issubclass(instance, BaseEstimator):
            _visit(instance, _visitors)
    return result
