"""``flush()``: wait for what happens in the background."""

from __future__ import annotations

import time

from skledger._writer import writer
from skledger.ledger import measured
from skledger.ledger.streams import finish_orphans
from skledger.tracking.session import flush_stores

__all__ = ["flush"]


def flush(timeout: float | None = None) -> bool:
    """Wait until all that was left to the background is done: pictures, diagrams, ended runs.

    The records of a fit need no flush; they are stored when ``fit`` returns. With a tracking server
    they are also sent, as long as it answers; what it does not take waits on this machine.

    Parameters
    ----------
    timeout : float, optional
        The longest to wait, in seconds; as long as it takes by default.

    Returns
    -------
    bool
        Whether all was done in time.
    """
    start = time.monotonic()
    finish_orphans()
    measured.flush()
    is_done = writer.flush(timeout)
    left = None if timeout is None else max(0.0, timeout - (time.monotonic() - start))
    return flush_stores(left) and is_done
