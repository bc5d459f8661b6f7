"""The end of the process, in order.

Python calls exit handlers in the reverse order of their registration, which here would depend on
what was imported first. So there is one handler, and what is to be done has its place in a row.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable

from skledger._guard import contain

__all__ = ["at_exit"]

#: Streams of ``partial_fit`` end first; what was measured is written; then the runs end that were
#: left open; then the pictures are drawn; what git was asked is waited for briefly; then the
#: stores close, when nobody writes any more.
ORDER = ("streams", "measured", "runs", "pictures", "git", "stores")

_handlers: dict[str, Callable[[], None]] = {}


def at_exit(stage: str, handler: Callable[[], None]) -> None:
    """Have a handler called when the process ends.

    Parameters
    ----------
    stage : {"streams", "measured", "runs", "pictures", "git", "stores"}
        Its place; there is one handler a stage.
    handler : callable
        Takes no arguments; what it raises is contained.
    """
    assert stage in ORDER
    if not _handlers and _is_forked_worker():
        _end_by_finalizer()
    _handlers[stage] = handler


def _is_forked_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _end_by_finalizer(_: object = None) -> None:
    """Have the end come in a child of `multiprocessing`, which ends without exit handlers."""
    from multiprocessing import util

    util.Finalize(None, _end, exitpriority=-100)


def _prepare_forked_child() -> None:
    # A worker drops its finalizers when it begins, then calls what was registered for "after
    # the fork": there the finalizer must be made.
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_end, _end_by_finalizer)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_prepare_forked_child)


@atexit.register
def _end() -> None:
    for stage in ORDER:
        handler = _handlers.get(stage)
        if handler is not None:
            with contain(f"the end of the {stage}"):
                handler()
