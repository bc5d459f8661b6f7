"""How far a search or a cross-validation is that is still running."""

from __future__ import annotations

import re

from skledger.cli._below import Search
from skledger.cli._folds import fold_keys
from skledger.cli._portrait import Portrait
from skledger.cli._printing import duration_text, number_text
from skledger.cli._process import process_gone
from skledger.cli._ranking import total
from skledger.tracking.entities import RunStatus
from skledger.tracking.names import now_ms
from skledger.tracking.searches import candidate_count, scorers

__all__ = ["progress_text"]

_DEFAULT_FOLDS = 5


def progress_text(portrait: Portrait) -> str:
    """Return how far a run is; empty when it has ended, or nothing is known."""
    run = portrait.run
    if run.info.status != RunStatus.RUNNING or process_gone(run):
        return ""
    elapsed = now_ms() - run.info.start_time
    if portrait.below is not None and portrait.below.searches:
        # Of several in a run of the user's, the last one is going on.
        return _of_search(portrait.below.searches[-1], elapsed)
    keys = fold_keys(portrait)
    function = run.data.tags.get("skledger.function")
    if not keys or function is None:
        return f"for {duration_text(elapsed)}"
    done = max(portrait.steps[key] for key in keys)
    cv = run.data.params.get(f"{function}__cv") or run.data.params.get("cv", "")
    return _join(_of(done, _fold_count(cv), "folds"), elapsed, done, _fold_count(cv))


def _of_search(search: Search, elapsed: int) -> str:
    going = search.counts.get(RunStatus.RUNNING, 0)
    done = total(search.counts) - going
    # What a run of the user's was given may be of something else.
    wanted = candidate_count(search.run.data.params)
    expected = wanted if wanted is not None and wanted >= done + going else None
    told = _of(done, expected, "candidates")
    if going:
        told += f", {going:,} running"
    scorer = next(iter(scorers(search.run, search.candidates)), None)
    if scorer is not None:
        best = search.candidates[0].data.metrics.get(f"mean_test_{scorer}")
        if best is not None:
            told += f", best {scorer} {number_text(best)}"
    return _join(told, elapsed, done, expected)


def _of(done: int, expected: int | None, what: str) -> str:
    return f"{done:,} {what}" if expected is None else f"{done:,} of {expected:,} {what}"


def _join(told: str, elapsed: int, done: int, expected: int | None) -> str:
    """Return how far it is, since when, and how much longer it will take if it goes on so."""
    told += f", for {duration_text(elapsed)}"
    if expected and 0 < done < expected:
        left = elapsed * (expected - done) / done
        # A guess has no tenths of seconds.
        told += f", about {duration_text(round(left)) if left > 60_000 else f'{left / 1000:.0f} s'}"
        told += " to go"
    return told


def _fold_count(cv: str) -> int | None:
    """Return how many folds a ``cv`` stands for."""
    if cv.isdecimal():
        return int(cv)
    if cv == "None":
        return _DEFAULT_FOLDS
    found = re.fullmatch(
        r"(\d+) splits|(?:Stratified|Group|StratifiedGroup)?(?:KFold|ShuffleSplit)"
        r"\(.*n_splits=(\d+).*\)",
        cv,
        re.DOTALL,
    )
    return int(found[1] or found[2]) if found else None
