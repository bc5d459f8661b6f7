"""Keys of a filter or an order that no run has, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skledger.cli._finding import all_experiments
from skledger.tracking.entities import Experiment, Run
from skledger.tracking.filters import Comparison, Ordering
from skledger.tracking.frames import find_runs

__all__ = ["unknown_keys"]

_KINDS = ("metric", "param", "tag")
#: How many runs are asked for the names they use, how many names are told, and how
#: many of those that have the word in them.
_ASKED, _TOLD, _MEANT = 1000, 8, 3


def unknown_keys(
    experiments: Sequence[Experiment], keys: Sequence[Comparison | Ordering]
) -> Iterator[str]:
    """Yield a sentence for each metric, param or tag that no run has.

    Parameters
    ----------
    experiments : sequence of Experiment
        Where the runs are.
    keys : sequence of Comparison or Ordering
        What was asked for.
    """
    ids = [each.experiment_id for each in experiments]
    known: dict[str, list[str]] | None = None
    for kind, key in dict.fromkeys((each.kind, each.key) for each in keys):
        if kind not in _KINDS or find_runs(ids, _has(kind, key), max_results=1):
            continue
        if known is None:
            known = _known(find_runs(ids, max_results=_ASKED))
        yield f"No run{_where(experiments)} has a {kind} {key!r}{_meant(kind, key, known)}"


def _has(kind: str, key: str) -> str:
    quoted = key.replace('"', '""')
    return f'{kind}s."{quoted}" IS NOT NULL'


def _where(experiments: Sequence[Experiment]) -> str:
    if len(experiments) == len(all_experiments()):
        return ""
    return f" of {', '.join(repr(each.name) for each in experiments)}"


def _known(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return the keys in use, those of the newest runs first."""
    return {
        kind: list(dict.fromkeys(key for run in runs for key in getattr(run.data, f"{kind}s")))
        for kind in _KINDS
    }


def _meant(kind: str, key: str, known: dict[str, list[str]]) -> str:
    import difflib

    for other in _KINDS:
        if key in known[other]:
            return f"; did you mean the {other}, {other}s.{key}?"
    folded = {each.casefold(): each for each in reversed(known[kind])}
    close = difflib.get_close_matches(key.casefold(), folded, n=1)
    if close:
        return f"; did you mean {folded[close[0]]!r}?"
    # As in `accuracy` for `accuracy_score_X_test`.
    within = [each for each in known[kind] if key.casefold() in each.casefold()]
    if within:
        return f"; did you mean {' or '.join(f'{kind}s.{each}' for each in within[:_MEANT])}?"
    own = [each for each in known[kind] if not each.startswith(("mlflow.", "skledger."))]
    if not own:
        return "."
    more = f" and {len(own) - _TOLD} more" if len(own) > _TOLD else ""
    return f"; there are {', '.join(own[:_TOLD])}{more}."
