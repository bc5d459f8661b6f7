"""The functions of ours that stand on the stack between the user's call and the original.

The name of this file is on purpose. A warning whose stack level climbs out of a ``fit`` must point
to the user's line, not to ours. Python steps over the frames of its import system there, and knows
them by two words in the name of their file: ``importlib`` and ``_bootstrap`` (``is_internal_frame``
in CPython's ``_warnings.c``). That holds for warnings from C and for ``from warnings import warn``
too, which no hook can correct. So what must be stepped over lives here, and nothing else does.
"""

from __future__ import annotations

import functools
import operator
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import CodeType
from typing import Any, Protocol

from skledger._guard import log_failures, switch, thread
from skledger.hooks.events import FitCall
from skledger.hooks.tasks import FITTED, Round

__all__ = ["LocalTask", "around_call", "around_question", "carried", "is_own_frame"]


def is_own_frame(code: CodeType) -> bool:
    """Tell whether ``warnings.warn`` steps over a frame."""
    return "importlib" in code.co_filename and "_bootstrap" in code.co_filename


class Notes(Protocol):
    """What is done before and after a call; neither raises an `Exception`."""

    def counts(self, instance: Any) -> bool:
        """Tell whether a call on this object is one to listen to at all."""
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


def around_call(
    method: str,
    notes: Notes,
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call the original exactly once, with a note before and a note after.

    Inside another call that is listened to (a search in a cross-validation) warnings and failures
    stay with the outer one.
    """
    if not notes.counts(instance):
        return wrapped(*args, **kwargs)
    before = thread.save()
    outermost = not thread.depth
    failures: list[str] = []
    try:
        thread.depth += 1
        if outermost:
            thread.failures = failures
            switch.fit_started()
        call = notes.before(method, wrapped, instance, args, kwargs)
        thread.tasks = thread.nest = None
        if call is None:
            return wrapped(*args, **kwargs)
        start = time.perf_counter()
        try:
            thread.place, thread.tasks = call.place, call.tasks
            thread.nest = None if call.nest is None else (call.nest, None)
            if outermost:
                thread.warned = call.warned
            call.result = wrapped(*args, **kwargs)
            return call.result
        except BaseException as error:
            call.error = error
            raise
        finally:
            call.seconds = time.perf_counter() - start
            thread.warned = thread.place = thread.tasks = thread.nest = None
            notes.after(call)
    finally:
        # First of all: an interrupt from here on must not leave this thread deaf.
        thread.restore(before)
        if outermost:
            switch.fit_ended()
            log_failures(failures)


def around_question(
    told: Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any], Any], None],
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call the original, then tell what it returned; what it asks inside is nobody's business.

    In a score that we compute ourselves nobody is told, and what is known is not asked again.

    Parameters
    ----------
    told : callable
        ``told(wrapped, instance, args, kwargs, value)``; it raises no `Exception`.
    wrapped, instance, args, kwargs
        The call, as wrapt gives it.
    """
    if switch.answers and threading.get_ident() in switch.answers:
        known = switch.answers[threading.get_ident()](wrapped, instance, args, kwargs)
        return wrapped(*args, **kwargs) if known is None else known[0]
    thread.asking = True
    try:
        value = wrapped(*args, **kwargs)
    finally:
        thread.asking = False
    told(wrapped, instance, args, kwargs, value)
    return value


def call_parallel(
    ended: Callable[[], None],
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call ``joblib.Parallel`` so that what it runs in this process knows of the call around it.

    A call that listens for tasks is told of each as it is done, wherever it runs. `ended` is called
    when all are.
    """
    try:
        if len(args) != 1 or not thread.depth:
            return wrapped(*args, **kwargs)
        return _call_inside_fit(wrapped, instance, args, kwargs)
    finally:
        ended()


def _call_inside_fit(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    listener, nest = thread.tasks, thread.nest
    if listener is None:
        thread.nest = None  # a search in there is no search of the call around it
        try:
            return wrapped(_local(args[0], None), **kwargs)
        finally:
            thread.nest = nest
    sent = Round(listener)
    with sent.following(instance):
        results = wrapped(_local(args[0], sent), **kwargs)
    sent.returned(results)
    return results


def call_submit(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call ``ThreadPoolExecutor.submit`` likewise."""
    if not args:
        return wrapped(*args, **kwargs)
    return wrapped(carried(args[0]), *args[1:], **kwargs)


def call_task(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a task that scikit-learn sent, in a thread that knows nothing: it is part of a call."""
    function = getattr(instance, "function", None)
    if not str(getattr(function, "__module__", "")).startswith("sklearn."):
        return wrapped(*args, **kwargs)
    before = thread.save()
    try:
        thread.depth = 1
        return wrapped(*args, **kwargs)
    finally:
        thread.restore(before)


def _local(tasks: Iterable[Any], sent: Round | None) -> Iterable[Any]:
    """Return the tasks, each to be called in the state of this thread."""
    local = _local_tasks(tasks, sent, thread.save())
    # A list stays a list, for joblib asks its length.
    return list(local) if hasattr(tasks, "__len__") else local


def _local_tasks(tasks: Iterable[Any], sent: Round | None, state: tuple[Any, ...]) -> Iterator[Any]:
    for index, (function, args, kwargs) in enumerate(tasks):
        inside, asked = state, kwargs
        if sent is not None:
            inside, asked = sent.send(index, function, args, kwargs, state)
        yield LocalTask(function, inside, sent, index), args, asked


class LocalTask:
    """A function that joblib calls, in the state of the thread that sent it.

    In this process, that is. On its way to another it is pickled as the original function: nothing
    of ours goes there.
    """

    __slots__ = ("_function", "_index", "_sent", "_state")

    def __init__(
        self,
        function: Callable[..., Any],
        state: tuple[Any, ...],
        sent: Round | None = None,
        index: int = 0,
    ) -> None:
        self._function = function
        self._state = state
        self._sent = sent
        self._index = index

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and say what became of it."""
        before = thread.save()
        started = time.time()
        try:
            thread.restore(self._state)
            if self._sent is not None and self._sent.asks:
                kwargs.pop(FITTED, None)  # what is fitted here was seen being fitted
            result = self._function(*args, **kwargs)
        except BaseException as error:
            if self._sent is not None:
                self._sent.failed(self._index, 1, error)
            raise
        finally:
            thread.restore(before)
        if self._sent is not None:
            self._sent.done(self._index, result, started, time.time())
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return operator.getitem, ((self._function,), 0)


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function to be called elsewhere in the state of this thread."""
    return functools.partial(_call_inside, thread.save(), function)


def _call_inside(
    state: tuple[Any, ...], function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    before = thread.save()
    try:
        thread.restore(state)
        return function(*args, **kwargs)
    finally:
        thread.restore(before)
