"""What somebody probably meant by a metric, param or tag that no run has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from skledger.tracking.entities import Run

__all__ = ["KINDS", "keys_in_use", "kind_with", "similar", "told"]

KINDS = ("metric", "param", "tag")
#: How many keys are named of those that have the word in them.
_MEANT = 3


def keys_in_use(runs: Iterable[Run]) -> dict[str, list[str]]:
    """Return the keys of runs by their kind, in the order of the runs."""
    runs = list(runs)
    return {
        kind: list(dict.fromkeys(key for run in runs for key in getattr(run.data, f"{kind}s")))
        for kind in KINDS
    }


def kind_with(key: str, known: Mapping[str, Sequence[str]]) -> str | None:
    """Return the first kind that has the key."""
    return next((kind for kind in KINDS if key in known[kind]), None)


def similar(key: str, known: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the key that is written almost so, and else those that have the word in them."""
    folded = {each.casefold(): each for each in reversed(known)}
    close = difflib.get_close_matches(key.casefold(), folded, n=1)
    if close:
        return folded[close[0]], []
    # As in `accuracy` for `accuracy_score_X_test`.
    return None, [each for each in known if key.casefold() in each.casefold()][:_MEANT]


def told(known: Sequence[str], most: int) -> str:
    """Return the end of a sentence that tells the first keys there are, without our own."""
    own = [each for each in known if not each.startswith(("mlflow.", "skledger."))]
    more = f" and {len(own) - most} more" if len(own) > most else ""
    return f"; there are {', '.join(own[:most])}{more}." if own else "."
