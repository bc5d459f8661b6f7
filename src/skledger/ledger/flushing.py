"""``flush()``: wait for what happens in the background."""

from __future__ import annotations

from skledger._writer import writer
from skledger.ledger.streams import finish_orphans

__all__ = ["flush"]


def flush(timeout: float | None = None) -> bool:
    """Wait until all that was left to the background is on disk: pictures, diagrams, ended runs.

    The records of a fit need no flush; they are stored when ``fit`` returns.

    Parameters
    ----------
    timeout : float, optional
        The longest to wait, in seconds; as long as it takes by default.

    Returns
    -------
    bool
        Whether all was done in time.
    """
    finish_orphans()
    return writer.flush(timeout)
