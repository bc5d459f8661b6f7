"""A server looks, all the time it serves, for runs whose process on its machine is gone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skledger.tracking.dead_runs import end_at_opening

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = ["ending_dead_runs"]

#: Seconds between two looks, and at least so many times what a look takes: one asks for the runs
#: that are RUNNING, which are few, and reads nothing else.
_PAUSE, _TIMES = 3.0, 30.0
#: How long the end of the server waits for a look that is under way, in seconds.
_PATIENCE = 5.0


@contextlib.contextmanager
def ending_dead_runs(store: Store) -> Iterator[None]:
    """End runs whose process is gone: now, and again and again until the block is left.

    Whoever looks at a page has the store open; nobody else may open it for days.

    Parameters
    ----------
    store : Store
        Where the runs are.
    """
    end_at_opening(store)
    stopped = threading.Event()
    thread = threading.Thread(
        target=_look, args=(store, stopped), name="skledger-dead-runs", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(_PATIENCE)


def _look(store: Store, stopped: threading.Event) -> None:
    took = 0.0
    while not stopped.wait(max(_PAUSE, _TIMES * took)):
        begun = time.monotonic()
        end_at_opening(store)
        took = time.monotonic() - begun
