"""The functions of ours that stand on the stack between the user's call and the original.

The name of this file is on purpose. A warning whose stack level climbs out of a ``fit`` must point
to the user's line, not to ours. Python steps over the frames of its import system there, and knows
them by two words in the name of their file: ``importlib`` and ``_bootstrap`` (``is_internal_frame``
in CPython's ``_warnings.c``). That holds for warnings from C and for ``from warnings import warn``
too, which no hook can correct. So what must be stepped over lives here, and nothing else does.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from types import CodeType
from typing import Any, Protocol

from skledger._guard import log_failures, switch, thread
from skledger.hooks.events import FitCall

__all__ = ["around_fit", "carried", "is_own_frame"]


def is_own_frame(code: CodeType) -> bool:
    """Tell whether ``warnings.warn`` steps over a frame."""
    return "importlib" in code.co_filename and "_bootstrap" in code.co_filename


class Notes(Protocol):
    """What is done before and after a fit; neither raises an `Exception`."""

    def counts(self, instance: Any) -> bool:
        """Tell whether a call on this object is a fit at all."""
        ...

    def before(
        self,
        method: str,
        wrapped: Callable[..., Any],
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> FitCall | None:
        """Take note before the call; None leaves the call alone."""
        ...

    def after(self, call: FitCall) -> None:
        """Take note after the call."""
        ...


def around_fit(
    method: str,
    notes: Notes,
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call the original exactly once, with a note before and a note after."""
    if not notes.counts(instance):
        return wrapped(*args, **kwargs)
    failures: list[str] = []
    try:
        thread.depth = 1
        thread.failures = failures
        switch.fit_started()
        call = notes.before(method, wrapped, instance, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        start = time.perf_counter()
        try:
            thread.warned = call.warned
            return wrapped(*args, **kwargs)
        except BaseException as error:
            call.error = error
            raise
        finally:
            call.seconds = time.perf_counter() - start
            thread.warned = None
            notes.after(call)
    finally:
        # First of all: an interrupt from here on must not leave this thread deaf.
        thread.depth = 0
        thread.warned = thread.failures = None
        switch.fit_ended()
        log_failures(failures)


def call_parallel(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call ``joblib.Parallel`` so that what it runs in threads knows of the fit around it."""
    backend = getattr(instance, "_backend", None)
    if not getattr(backend, "supports_sharedmem", False) or len(args) != 1:
        return wrapped(*args, **kwargs)
    tasks = _carried_tasks(args[0])
    # A list stays a list, for joblib asks its length.
    return wrapped(list(tasks) if hasattr(args[0], "__len__") else tasks, **kwargs)


def call_submit(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call ``ThreadPoolExecutor.submit`` likewise."""
    if not args:
        return wrapped(*args, **kwargs)
    return wrapped(carried(args[0]), *args[1:], **kwargs)


def _carried_tasks(tasks: Iterable[Any]) -> Iterator[Any]:
    for function, args, kwargs in tasks:
        yield carried(function), args, kwargs


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function to be called elsewhere in the state of this thread."""
    return functools.partial(_call_inside, thread.depth, thread.warned, thread.muted, function)


def _call_inside(
    depth: int,
    warned: list[Any] | None,
    muted: bool,
    function: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    before = thread.depth, thread.warned, thread.muted
    thread.depth, thread.warned, thread.muted = depth, warned, muted
    try:
        return function(*args, **kwargs)
    finally:
        thread.depth, thread.warned, thread.muted = before
