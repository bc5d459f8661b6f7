"""The end of the process, in order.

Python calls exit handlers in the reverse order of their registration, which here would depend on
what was imported first. So there is one handler, and what is to be done has its place in a row.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable

from skledger._guard import contain

__all__ = ["at_exit"]

#: Streams of ``partial_fit`` end first, then runs that were left open; then the pictures are drawn;
#: then the stores close, when nobody writes any more.
ORDER = ("streams", "runs", "pictures", "stores")

_handlers: dict[str, Callable[[], None]] = {}


def at_exit(stage: str, handler: Callable[[], None]) -> None:
    """Have a handler called when the process ends.

    Parameters
    ----------
    stage : {"streams", "runs", "pictures", "stores"}
        Its place; there is one handler a stage.
    handler : callable
        Takes no arguments; what it raises is contained.
    """
    assert stage in ORDER
    _handlers[stage] = handler


@atexit.register
def _end() -> None:
    for stage in ORDER:
        handler = _handlers.get(stage)
        if handler is not None:
            with contain(f"the end of the {stage}"):
                handler()
