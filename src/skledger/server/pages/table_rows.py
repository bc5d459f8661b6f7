"""The rows of a run table: a page of runs, with the children of those that are open."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from skledger.server.pages.run_children import children_of
from skledger.server.pages.table_query import PARENT_TAG, TableQuery
from skledger.tracking.entities import Run, RunStatus
from skledger.tracking.filters import Comparison, format_filter
from skledger.tracking.searches import CANDIDATE_TAG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skledger.stores.base import Store

__all__ = ["Children", "Row", "Rows", "collect"]

#: How many children of one parent are shown in place; all of them are on the parent's page.
_MOST_CHILDREN = 200
#: How deep runs are opened in runs.
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Children:
    """How many children a run has, and how many of them run."""

    count: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Parameters
    ----------
    run : Run
    depth : int
        0 for the first level.
    children : Children
    open : bool
        Whether its children follow.
    left_out : int
        How many of them do not.
    best : bool
        Whether it is the best of a search's candidates.
    """

    run: Run
    depth: int = 0
    children: Children = field(default_factory=Children)
    open: bool = False
    left_out: int = 0
    best: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of rows.

    Parameters
    ----------
    rows : list of Row
    token : str or None
        Of the next page.
    """

    rows: list[Row]
    token: str | None = None

    @property
    def runs(self) -> list[Run]:
        """The runs of the rows."""
        return [each.run for each in self.rows]

    @property
    def tree(self) -> bool:
        """Whether any of them has runs below it."""
        return any(each.children.count for each in self.rows)

    @property
    def running(self) -> bool:
        """Whether anything on the page goes on."""
        return any(
            each.run.info.status == RunStatus.RUNNING or each.children.running for each in self.rows
        )


def collect(store: Store, query: TableQuery) -> Rows:
    """Return the rows that a table shows."""
    runs = store.search_runs(
        query.ids,
        query.search(),
        query.view_type,
        query.size,
        query.orderings,
        query.page_token or None,
    )
    if not query.nested:
        return Rows([Row(run) for run in runs], runs.token)
    rows: list[Row] = []
    _add(store, query, runs, 0, rows)
    return Rows(rows, runs.token)


def _add(store: Store, query: TableQuery, runs: list[Run], depth: int, rows: list[Row]) -> None:
    counts = _children(store, query, [run.info.run_id for run in runs])
    for run in runs:
        children = counts.get(run.info.run_id, Children())
        opened = bool(children.count) and run.info.run_id in query.open and depth < _DEEPEST
        row = Row(run, depth, children, opened)
        rows.append(row)
        if opened:
            below, best = _below(store, query, run)
            rows[-1] = replace(row, left_out=max(0, children.count - len(below)))
            first = len(rows)
            _add(store, query, below, depth + 1, rows)
            rows[first:] = [
                replace(each, best=True) if each.run.info.run_id == best else each
                for each in rows[first:]
            ]


def _below(store: Store, query: TableQuery, parent: Run) -> tuple[list[Run], str]:
    """Return the children of a run, those of a search best first unless sorted; and the best."""
    best = parent.data.tags.get("skledger.best_run", "")
    if not query.order_by and query.view == "active":
        listed = children_of(store, parent, _MOST_CHILDREN)
        runs = [each.run for each in listed.rows]
        if any(CANDIDATE_TAG in each.data.tags for each in runs):
            return runs, best
    below = store.search_runs(
        query.ids,
        format_filter([Comparison("tag", PARENT_TAG, "=", parent.info.run_id)]),
        query.view_type,
        _MOST_CHILDREN,
        query.orderings,
    )
    return below, best


def _children(store: Store, query: TableQuery, run_ids: Iterable[str]) -> dict[str, Children]:
    """Return how many children runs have; those without are left out."""
    parents = tuple(run_ids)
    if not parents:
        return {}
    counted = store.count_runs(
        query.ids,
        format_filter([Comparison("tag", PARENT_TAG, "IN", parents)]),
        query.view_type,
        tag=PARENT_TAG,
    )
    found: dict[str, Children] = {}
    for (parent, status), count in counted.items():
        if parent is None:
            continue
        before = found.get(parent, Children())
        running = count if status == RunStatus.RUNNING else 0
        found[parent] = Children(before.count + count, before.running + running)
    return found
