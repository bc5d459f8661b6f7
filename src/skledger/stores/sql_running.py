"""What is under way: runs that are RUNNING, and when something was last heard of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, Select, bindparam, func, select

from skledger.stores import tables
from skledger.stores.sql_rows import in_chunks
from skledger.tracking.entities import RunStatus

__all__ = ["find_running", "load_last_signs"]

_PARENT_TAG = "mlflow.parentRunId"

_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_runs, _tags, _latest = tables.runs.c, tables.tags.c, tables.latest_metrics.c

_RUNNING = (
    select(_runs.run_uuid)
    .where(_runs.status == RunStatus.RUNNING, _runs.run_uuid > bindparam("after"))
    .order_by(_runs.run_uuid)
)
_TIMES = select(_runs.run_uuid, _runs.start_time, _runs.end_time, _runs.status).where(
    _runs.run_uuid.in_(_IDS)
)
# A time yet to come is somebody's mistake of units, no sign of life.
_METRICS = (
    select(_latest.run_uuid, func.max(_latest.timestamp))
    .where(_latest.run_uuid.in_(_IDS), _latest.timestamp <= bindparam("now"))
    .group_by(_latest.run_uuid)
)
_PARENTS = select(_tags.run_uuid, _tags.value).where(_tags.key == _PARENT_TAG)


def find_running(connection: Connection, tag: str | None, limit: int, after: str) -> Sequence[str]:
    """Return the first identifiers behind `after` of runs that are RUNNING, in order."""
    if tag is None:
        found: Any = connection.execute(_RUNNING, {"after": after})
    else:
        query = _running_with_tag(connection.dialect)
        found = connection.exec_driver_sql(query, (tag, after, RunStatus.RUNNING))
    # Not by LIMIT: databases write it in different ways.
    rows = found.fetchmany(limit)
    found.close()
    return [row[0] for row in rows]


@cache
def _running_with_tag(dialect: Dialect) -> str:
    """Return the query that each opening of a store begins with.

    It is text because compiling it takes ten times as long as running it. The primary key of the
    tags leads straight to the few rows of one key, however many runs there are.
    """
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    key = dialect.identifier_preparer.quote("key")
    return (
        "SELECT tags.run_uuid FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid "
        f"WHERE tags.{key} = {mark} AND tags.run_uuid > {mark} AND runs.status = {mark} "
        "ORDER BY tags.run_uuid"
    )


def load_last_signs(connection: Connection, run_ids: Sequence[str]) -> dict[str, int]:
    """Return when something was last booked of runs, in ms; see `Store.last_signs`."""
    signs = _signs(connection, run_ids, ended=False)
    if signs:
        # One walk through the parents of all runs: asking for those wanted, some at a time, would
        # walk as far each time.
        rows = connection.execute(_PARENTS)
        children = {child: parent for child, parent in rows if parent in signs}
        for child, sign in _signs(connection, list(children), ended=True).items():
            parent = children[child]
            signs[parent] = max(signs[parent], sign)
    return signs


def _signs(connection: Connection, run_ids: Sequence[str], *, ended: bool) -> dict[str, int]:
    """Return when each run started, or last got a value; or `ended`, which then says it all."""
    signs: dict[str, int] = {}
    now = time.time_ns() // 1_000_000
    for chunk in in_chunks(run_ids):
        open_ones = []
        for run_id, start, end, status in _rows(connection, _TIMES, chunk):
            signs[run_id] = max(start or 0, 0)
            if ended and end is not None:
                signs[run_id] = end
            if not ended or status == RunStatus.RUNNING:
                open_ones.append(run_id)
        for run_id, moment in _rows(connection, _METRICS, open_ones, now=now):
            signs[run_id] = max(signs[run_id], moment)
    return signs


def _rows(
    connection: Connection, query: Select[Any], ids: Sequence[str], **values: int
) -> Sequence[Any]:
    return connection.execute(query, {"ids": ids, **values}).fetchall()
