"""What a filter or an order names that no run has, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from skledger.tracking.entities import RunStatus, ViewType
from skledger.tracking.filters import Comparison, Ordering, format_filter
from skledger.tracking.suggestions import KINDS, keys_in_use, kind_with, similar, told

if TYPE_CHECKING:
    from skledger.server.pages.table_query import TableQuery
    from skledger.stores.base import Store
    from skledger.tracking.entities import Run

__all__ = ["unknown_keys"]

#: How many of the newest runs are looked at for the keys there are, and how many are told.
_ASKED, _TOLD = 200, 6


def unknown_keys(store: Store, query: TableQuery) -> list[str]:
    """Return a sentence for each key, and each status, that no run has.

    Parameters
    ----------
    store : Store
        Where the runs are.
    query : TableQuery
        What is asked for; its filter and order can be read.
    """
    asked: list[Comparison | Ordering] = [*query.conditions()]
    order = query.sorted_by()
    if order is not None:
        asked.append(order)
    return [*_statuses(query.conditions()), *_keys(store, query, asked)]


def _statuses(conditions: Sequence[Comparison]) -> Iterator[str]:
    for each in conditions:
        if (each.kind, each.key, each.operator) != ("attribute", "status", "="):
            continue
        if each.value not in RunStatus.ALL:
            known = ", ".join(RunStatus.ALL)
            yield f"No run has the status {each.value!r}: it is one of {known}."


def _keys(store: Store, query: TableQuery, asked: Sequence[Comparison | Ordering]) -> Iterator[str]:
    newest: list[Run] | None = None
    for kind, key in dict.fromkeys((each.kind, each.key) for each in asked):
        if kind not in KINDS:
            continue
        if newest is None:
            newest = store.search_runs(query.ids, "", ViewType.ALL, _ASKED)
        if any(key in getattr(run.data, f"{kind}s") for run in newest):
            continue
        has = format_filter([Comparison(kind, key, "IS NOT NULL")])
        if not store.search_runs(query.ids, has, ViewType.ALL, 1):
            yield f"No run here has the {kind} {key!r}{_meant(kind, key, newest)}"


def _meant(kind: str, key: str, runs: Sequence[Run]) -> str:
    known = keys_in_use(runs)
    other = kind_with(key, known)
    close, within = similar(key, known[kind])
    if other:
        return f"; did you mean {other}s.{key}?"
    if close or within:
        names = [close] if close else within
        return f"; did you mean {' or '.join(f'{kind}s.{each}' for each in names)}?"
    return told(known[kind], _TOLD)
