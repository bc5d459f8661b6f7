"""A few threads that work for an event loop, and that no end of the process waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

__all__ = ["Threads"]

_T = TypeVar("_T")


class Threads:
    """So many threads as there may be calls at the same time.

    They are daemons: those of `concurrent.futures` would keep a process alive that was told to stop
    while a prediction takes an hour.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        self._work: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]]] = SimpleQueue()
        for at in range(count):
            threading.Thread(target=self._serve, name=f"predict-{at}", daemon=True).start()

    def run(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        """Have a function called by the next thread that is free; return its result to be."""
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._work.put((function, future))
        return future

    def _serve(self) -> None:
        while True:
            function, future = self._work.get()
            result, failure = None, None
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it is whoever waits who decides
                failure = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                future.get_loop().call_soon_threadsafe(_settle, future, result, failure)
            # Nothing of a request is kept until the next one comes.
            del function, future, result, failure


def _settle(future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    elif isinstance(failure, Exception) and not isinstance(failure, StopIteration):
        future.set_exception(failure)
    else:  # such as SystemExit out of a model: no reason for a server to end
        future.set_exception(RuntimeError(f"{type(failure).__name__}: {failure}"))
