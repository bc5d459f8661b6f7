"""Keys of a filter or an order that no run has, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skledger.cli._finding import all_experiments
from skledger.tracking.entities import Experiment
from skledger.tracking.filters import Comparison, Ordering
from skledger.tracking.frames import find_runs

__all__ = ["unknown_keys"]

#: How many runs are asked for the names they use, and how many names are told.
_ASKED, _TOLD = 1000, 8


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
    from skledger.tracking.suggestions import KINDS, keys_in_use

    ids = [each.experiment_id for each in experiments]
    known: dict[str, list[str]] | None = None
    for kind, key in dict.fromkeys((each.kind, each.key) for each in keys):
        if kind not in KINDS or find_runs(ids, _has(kind, key), max_results=1):
            continue
        if known is None:
            known = keys_in_use(find_runs(ids, max_results=_ASKED))
        yield f"No run{_where(experiments)} has a {kind} {key!r}{_meant(kind, key, known)}"


def _has(kind: str, key: str) -> str:
    quoted = key.replace('"', '""')
    return f'{kind}s."{quoted}" IS NOT NULL'


def _where(experiments: Sequence[Experiment]) -> str:
    if len(experiments) == len(all_experiments()):
        return ""
    return f" of {', '.join(repr(each.name) for each in experiments)}"


def _meant(kind: str, key: str, known: dict[str, list[str]]) -> str:
    from skledger.tracking.suggestions import kind_with, similar, told

    other = kind_with(key, known)
    if other:
        return f"; did you mean the {other}, {other}s.{key}?"
    close, within = similar(key, known[kind])
    if close:
        return f"; did you mean {close!r}?"
    if within:
        return f"; did you mean {' or '.join(f'{kind}s.{each}' for each in within)}?"
    return told(known[kind], _TOLD)
