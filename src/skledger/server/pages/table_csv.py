"""Run tables as CSV: every run that matches, a page at a time."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from skledger.server.pages.formatting import csv_time
from skledger.server.pages.table_columns import column, plain
from skledger.server.pages.table_query import TableQuery

if TYPE_CHECKING:
    from starlette.responses import Response

    from skledger.stores.base import Store
    from skledger.tracking.entities import Run

__all__ = ["answer", "csv_answer", "lines"]

_PAGE = 1000
_FIRST = ("run_id", "run_name", "status", "start_time", "end_time", "user", "experiment")
_TIMES = ("start_time", "end_time")
#: How much is kept in memory while the keys of all runs are gathered; the rest goes to a file.
_IN_MEMORY = 16 * 1024 * 1024
#: Below this, floats that are whole numbers are written as such.
_WHOLE = 2**53
#: What a text begins with that spreadsheets take for a formula, and numbers that begin so.
_COMPUTED = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-](inf|nan)", re.ASCII | re.IGNORECASE)


def lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Return rows as CSV, a few hundred lines in a piece."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for index, row in enumerate(rows):
        writer.writerow([_field(value) for value in row])
        if index % 200 == 199:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _field(value: object) -> object:
    """Return a value as it stands in a file: text that spreadsheets would compute begins with '."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    if not isinstance(value, str) or not value.startswith(_COMPUTED) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def csv_answer(name: str, rows: Iterable[Sequence[object]]) -> Response:
    """Return rows as a file to download; `name` is without its ending, of ASCII."""
    pieces = lines(rows)
    # The first piece here, where what fails still becomes a page that says so.
    first = next(pieces)
    return StreamingResponse(
        # Half a letter, as JSON may have, has no bytes.
        (piece.encode(errors="replace") for piece in chain((first,), pieces)),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "private, no-cache",
        },
    )


def answer(store: Store, query: TableQuery, experiments: dict[str, str]) -> Response:
    """Return the runs of a table: with the columns chosen, or with everything they have."""
    runs = _all_runs(store, query)
    if query.columns:
        known = [each for each in query.columns if column(each) is not None]
        rows = _with_columns(runs, known, experiments)
    else:
        rows = _with_everything(runs, experiments)
    return csv_answer(f"runs-{'-'.join(query.ids)[:60]}", rows)


def _all_runs(store: Store, query: TableQuery) -> Iterator[Run]:
    token: str | None = None
    search = query.search()
    while True:
        found = store.search_runs(query.ids, search, query.view_type, _PAGE, query.orderings, token)
        yield from found
        token = found.token
        if not token:
            return


def _with_columns(
    runs: Iterable[Run], keys: Sequence[str], experiments: dict[str, str]
) -> Iterator[list[object]]:
    yield ["run_id", "run_name", *keys]
    for run in runs:
        values = [_value(run, key, experiments) for key in keys]
        yield [run.info.run_id, run.info.run_name, *values]


def _with_everything(runs: Iterable[Run], experiments: dict[str, str]) -> Iterator[list[object]]:
    """Return all that runs hold; which columns there are is known when the last one was read."""
    keys: dict[str, dict[str, None]] = {"params": {}, "metrics": {}, "tags": {}}
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8") as kept:
        for run in runs:
            record: dict[str, Any] = {
                "first": [_value(run, key, experiments) for key in _FIRST],
                "params": run.data.params,
                "metrics": run.data.metrics,
                "tags": {k: v for k, v in run.data.tags.items() if k != "mlflow.runName"},
            }
            for group, seen in keys.items():
                seen.update(dict.fromkeys(record[group]))
            kept.write(json.dumps(record) + "\n")
        kept.seek(0)
        columns = [(group, key) for group in keys for key in sorted(keys[group])]
        yield [*_FIRST, *(f"{group}.{key}" for group, key in columns)]
        for line in kept:
            record = json.loads(line)
            yield [*record["first"], *(record[group].get(key) for group, key in columns)]


def _value(run: Run, key: str, experiments: dict[str, str]) -> object:
    if key == "run_name":
        return run.info.run_name
    value = plain(run, key, experiments)
    if key in _TIMES and isinstance(value, int):
        return csv_time(value)
    return value
