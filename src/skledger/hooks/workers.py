"""Our context into joblib's threads.

A meta-estimator with ``n_jobs=2`` on the threading backend fits its parts in other threads, where
nothing tells that an outer fit is under way: each part would become a run of its own. So while a
fit is being booked, what joblib runs *in threads* carries the depth with it. What goes to other
processes is left as it is: nothing of ours is pickled, and no patch is there.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import wrapt

from skledger._guard import switch, thread
from skledger.hooks.patching import PatchSet, own_frame

__all__ = ["patch", "unpatch"]

_patches = PatchSet()
_wanted = False
_waiting = False


def patch() -> None:
    """Carry the depth into threads from now on; joblib is waited for, not imported."""
    global _wanted, _waiting
    _wanted = True
    if "joblib.parallel" in sys.modules:
        _when_imported(sys.modules["joblib.parallel"])
    elif not _waiting:
        _waiting = True
        wrapt.register_post_import_hook(_when_imported, "joblib.parallel")


def unpatch() -> None:
    """Give joblib its own method back."""
    global _wanted
    _wanted = False
    _patches.unwrap()


def _when_imported(module: Any) -> None:
    global _waiting
    _waiting = False
    if _wanted:
        _patches.wrap(module.Parallel, "__call__", _wrap_parallel, _is_inside)


def _is_inside() -> bool:
    """Tell whether this thread is inside an outermost fit."""
    return switch.enabled and thread.depth > 0


@own_frame
def _wrap_parallel(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if not _runs_threads(instance) or len(args) != 1:
        return wrapped(*args, **kwargs)
    return wrapped(_carried(args[0]), **kwargs)


def _runs_threads(parallel: Any) -> bool:
    backend = getattr(parallel, "_backend", None)
    return bool(getattr(backend, "supports_sharedmem", False))


def _carried(tasks: Iterable[Any]) -> Iterable[Any]:
    """Wrap the function of every task; a list stays a list, for joblib asks its length."""
    carried = _carry_each(tasks, thread.depth, thread.warned)
    return list(carried) if hasattr(tasks, "__len__") else carried


def _carry_each(tasks: Iterable[Any], depth: int, warned: list[Any] | None) -> Iterator[Any]:
    for function, args, kwargs in tasks:
        yield functools.partial(_call_inside, depth, warned, function), args, kwargs


@own_frame
def _call_inside(
    depth: int, warned: list[Any] | None, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Call a function in the state of the thread that started the work."""
    before = thread.depth, thread.warned
    thread.depth, thread.warned = depth, warned
    try:
        return function(*args, **kwargs)
    finally:
        thread.depth, thread.warned = before
