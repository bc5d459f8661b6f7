"""Finding a page of runs, without sorting all of them when only the best by a metric are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Select, and_, func, not_, select

from skledger.stores import tables
from skledger.stores.checks import check_view_type
from skledger.stores.sql_conditions import Like, leads_to_runs
from skledger.stores.sql_rows import CHUNK
from skledger.stores.sql_searching import select_runs
from skledger.tracking.filters import Comparison, Ordering

__all__ = ["RunSearch", "find_following", "find_runs"]

#: The arguments of `select_runs`.
RunSearch = tuple[Sequence[int], int, Sequence[Comparison], Sequence[Ordering], Like]

#: How many of the best values are looked at for each run that is wanted; more where a filter
#: stands between.
_LOOKED_AT, _LOOKED_AT_FILTERED = 2, 32
#: They are at most one in so many of all runs; else sorting all costs no more.
_SHARE = 16
#: How much more often a metric may be held than there are runs to choose from: the values of
#: other experiments stand in the way.
_FOREIGN = 2


def find_runs(connection: Connection, search: RunSearch, limit: int, offset: int) -> Sequence[str]:
    """Return the identifiers of a page of runs, in order.

    In SQLite, the best by a metric are sought among the runs with the best values: the values of
    one metric lie together, while going from each run to its value takes several times as long.
    Where that finds too few, all runs are sorted. Servers join large tables by other means, and
    gain nothing by this.
    """
    wanted = limit + offset
    found: list[str] = []
    query = None
    lite = connection.dialect.name == "sqlite"
    for among in _best(connection, search, wanted) if lite else ():
        if query is None:
            query = select_runs(*search, among=True)
        # Each run here has a better value than those that follow.
        found += connection.scalars(query, {"among": among})
        if len(found) >= wanted:
            return found[offset:wanted]
    return connection.scalars(select_runs(*search).limit(limit).offset(offset)).all()


def find_following(
    connection: Connection, search: RunSearch, limit: int, last: tuple[int, str]
) -> Sequence[str]:
    """Return the identifiers of the runs that follow one of which start and identifier are given.

    For a search in the order of its own, the newest first.
    """
    runs, query = tables.runs.c, select_runs(*search)
    start, run_id = last
    # By `and`, so that an index leads there.
    behind = query.where(
        runs.start_time <= start, not_(and_(runs.start_time == start, runs.run_uuid <= run_id))
    )
    found = list(connection.scalars(behind.limit(limit)))
    if len(found) < limit and connection.dialect.name != "postgresql":  # there, they come first
        timeless = query.where(runs.start_time.is_(None))
        found += connection.scalars(timeless.limit(limit - len(found)))
    return found


def _best(connection: Connection, search: RunSearch, wanted: int) -> Iterator[list[str]]:
    """Yield the runs with the best values of a metric, some at a time; none if it is not worth it.

    Runs with the same value come together, and no others may have it.
    """
    experiment_ids, view_type, conditions, orderings, _ = search
    if not orderings or orderings[0].kind != "metric" or any(map(leads_to_runs, conditions)):
        return
    runs, metric, order = tables.runs.c, tables.latest_metrics.c, orderings[0]
    there = select(runs.run_uuid).where(
        runs.experiment_id.in_(experiment_ids),
        runs.lifecycle_stage.in_(check_view_type(view_type)),
    )
    many = _count(connection, there)
    most = min(wanted * (_LOOKED_AT_FILTERED if conditions else _LOOKED_AT), many // _SHARE)
    if most < wanted * _LOOKED_AT:
        return
    held = select(metric.run_uuid).where(metric.key == order.key).limit(_FOREIGN * many + 1)
    if _count(connection, held) > _FOREIGN * many:
        return
    best = (
        select(metric.value, metric.run_uuid)
        .where(metric.key == order.key, metric.is_nan.is_(False))
        .order_by(metric.value if order.ascending else metric.value.desc())
        .limit(most)
    )
    yield from _in_groups(connection.execute(best).all())


def _in_groups(rows: Sequence[Any]) -> Iterator[list[str]]:
    """Yield the runs of rows (value, run) without those of the last value, which others may have.

    Runs of one value are not parted; where they are too many, the rest is left out.
    """
    together: list[str] = []
    for value, same in groupby(rows, key=lambda row: row[0]):
        group = [run_id for _, run_id in same]
        if value == rows[-1][0] or len(group) > CHUNK:
            break
        if len(together) + len(group) > CHUNK:
            yield together
            together = []
        together += group
    if together:
        yield together


def _count(connection: Connection, query: Select[Any]) -> int:
    return connection.scalar(select(func.count()).select_from(query.subquery())) or 0
