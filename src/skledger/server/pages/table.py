"""The run table of one or several experiments: sorted, filtered, nested, live."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.server.pages import table_csv
from skledger.server.pages.rendering import render, see_other, state_of
from skledger.server.pages.routing import page
from skledger.server.pages.table_columns import RUN_NAME, Column, all_columns, cell, chosen
from skledger.server.pages.table_query import RUN_ID, SIZES, TableQuery, sort_clause
from skledger.server.pages.table_rows import Rows, collect
from skledger.server.pages.table_unknown import unknown_keys
from skledger.server.pages.table_usual import left_out
from skledger.server.places import is_hidden
from skledger.stores.paging import read_token, write_token
from skledger.tracking.entities import Experiment, Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from skledger.stores.base import Store
    from skledger.tracking.filters import Ordering

__all__ = ["routes"]

#: Tags that are not the viewer's own words.
_INTERNAL = ("mlflow.", "skledger.")
#: How often, in seconds, the rows are asked for again.
_OFTEN, _SELDOM = 2, 10


def _show(request: Request) -> Response:
    query = TableQuery.of(request)
    if not query.ids:
        return see_other(request, "/")
    experiments = _experiments(request, query)
    store = state_of(request).store
    asked, query, refusal = query, *_what_can_be(query)
    try:
        rows = collect(store, query)
    except InvalidParameterError as error:  # the page's token, which only stores can read
        if not query.page_token:
            raise
        query, refusal = replace(query, page_token=""), error.message
        rows = collect(store, query)
    sorted_by = query.sorted_by()
    runs = rows.runs
    usual = None if query.columns else _newest(store, query, rows)
    columns = chosen(query.columns, runs, not query.one, sorted_by, usual, _below(rows))
    names = {each.experiment_id: each.name for each in experiments}
    offered = {each.key: each for each in [*columns, *all_columns(runs, not query.one)]}
    return render(
        request,
        "table.html",
        **_page(query, rows),
        query=query,
        filter_text=asked.filter,
        news=_news(request),
        unknown=unknown_keys(store, query),
        experiment=experiments[0] if query.one else None,
        experiments=experiments,
        hidden=is_hidden(state_of(request), experiments[0].artifact_location),
        own_tags=_own_tags(experiments[0]),
        note=experiments[0].tags.get("mlflow.note.content", ""),
        rows=rows,
        columns=columns,
        offered=_groups(offered.values(), [each.key for each in columns]),
        chosen_keys={each.key for each in columns},
        name_header=_header(query, sorted_by, RUN_NAME, False),
        sortings=[_header(query, sorted_by, each.order, each.num) for each in columns],
        names=names,
        cell=cell,
        refusal=refusal,
        sorted_text=_told(sorted_by),
        more=""
        if usual is None
        else left_out([each.key for each in columns], [*usual, *_below(rows)]),
        sizes=SIZES,
        column_groups=_column_groups(columns),
        group_starts=_group_starts(columns),
        live_attributes=Markup(' data-live="{}" data-every="{}"').format(
            _live(query, columns), _OFTEN if rows.running else _SELDOM
        ),
        address=str(request.base_url).rstrip("/"),
    )


def _what_can_be(query: TableQuery) -> tuple[TableQuery, str]:
    """Return what can be shown of what is asked for, and what is wrong with the rest."""
    refusals = []
    try:
        query.conditions()
    except InvalidParameterError as error:
        refusals.append(error.message)
        query = replace(query, filter="")
    try:
        query.sorted_by()
    except InvalidParameterError as error:
        refusals.append(error.message)
        query = replace(query, order_by="")
    return query, "\n".join(refusals)


def _news(request: Request) -> tuple[str, str, list[str]] | None:
    """Return what was just done to how many runs, and which; none of it has to be true."""
    asked = request.query_params
    for word in ("deleted", "restored"):
        count = asked.get(f"{word}_count", "")
        if count.isascii() and count.isdigit() and len(count) < 7:
            runs = [each for each in asked.get(word, "").split(",") if RUN_ID.fullmatch(each)]
            return word, f"{count} {'run' if count == '1' else 'runs'} {word}.", runs
    return None


def _newest(store: Store, query: TableQuery, rows: Rows) -> list[Run]:
    """Return the runs that decide on the columns: the same however the table is sorted."""
    if not query.order_by and not query.page_token:
        return [each.run for each in rows.rows if each.depth == 0]
    return store.search_runs(query.ids, query.search(), query.view_type, SIZES[0])


def _more(columns: Sequence[Column], usual: Sequence[Run] | None, rows: Rows) -> str:
    if usual is None:
        return ""
    return left_out([each.key for each in columns], [*usual, *_below(rows)])


def _below(rows: Rows) -> list[Run]:
    return [each.run for each in rows.rows if each.depth]


def _experiments(request: Request, query: TableQuery) -> list[Experiment]:
    store = state_of(request).store
    found = []
    for each in query.ids:
        try:
            found.append(store.get_experiment(each))
        except (NotFoundError, InvalidParameterError) as error:
            raise NotFoundError(
                f"there is no experiment with the ID {each!r}. Look for it by its name in the list."
            ) from error
    return found


def _own_tags(experiment: Experiment) -> dict[str, str]:
    return {k: v for k, v in sorted(experiment.tags.items()) if not k.startswith(_INTERNAL)}


def _told(order: Ordering | None) -> str:
    """Return what a table says of its order, where the column alone does not tell."""
    if order is None or order.kind != "param":
        return ""
    return f"Sorted by {order.key}: numbers by their value, then other texts, then runs without it."


def _groups(columns: Any, shown: Sequence[str]) -> list[tuple[str, list[Column]]]:
    """Return columns to choose from: those shown first, as they stand, so that they stay so."""
    places = {key: place for place, key in enumerate(shown)}
    words = {"run": "Run", "metrics": "Metrics", "params": "Params", "tags": "Tags"}
    groups: dict[str, list[Column]] = {}
    for each in columns:
        groups.setdefault(each.group, []).append(each)
    return [
        (
            text,
            sorted(
                groups[group],
                key=lambda each: (places.get(each.key, len(places)), each.label.lower()),
            ),
        )
        for group, text in words.items()
        if group in groups
    ]


def _column_groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Return what stands above the columns: words, and over how many of them."""
    words = {"metrics": "Metrics", "params": "Params", "tags": "Tags"}
    return [
        (words.get(group, ""), len(list(each)))
        for group, each in groupby(columns, lambda each: each.group)
    ]


def _group_starts(columns: Sequence[Column]) -> set[int]:
    """Return the places at which a group begins that has words above it."""
    groups = [each.group for each in columns]
    return {
        place
        for place, group in enumerate(groups)
        if group != "run" and groups[place - 1 : place] != [group]
    }


def _header(
    query: TableQuery, sorted_by: Ordering | None, order: tuple[str, str], num: bool
) -> dict[str, str | None]:
    """Return how a column is sorted, and the address that sorts by it: other way, then not."""
    now = None
    # Big numbers and late times first, other things from the start of the alphabet.
    best_first = num or order[1] in ("start_time", "end_time")
    following = sort_clause(*order, ascending=not best_first)
    if sorted_by is not None and (sorted_by.kind, sorted_by.key) == order:
        now = "ascending" if sorted_by.ascending else "descending"
        other = sorted_by.ascending == best_first
        following = "" if other else sort_clause(*order, ascending=best_first)
    elif sorted_by is None and not query.order_by and order[1] == "start_time":
        now, following = "descending", sort_clause(*order, ascending=True)
    return {"order": now, "href": query.url(order_by=following, page_token="")}


def _page(query: TableQuery, rows: Rows) -> dict[str, Any]:
    """Return where in the list the page is; other servers' tokens do not tell."""
    first = sum(1 for each in rows.rows if each.depth == 0)
    try:
        offset = read_token(query.page_token)
    except InvalidParameterError:
        offset = -1
    previous = None
    if offset > 0:
        before = offset - query.size
        previous = query.url(page_token=write_token(before) if before > 0 else "")
    elif offset < 0:
        previous = query.url(page_token="")
    return {
        "from_row": offset + 1 if offset >= 0 else None,
        "to_row": offset + first,
        "previous": previous,
        "next": query.url(page_token=rows.token) if rows.token else None,
        "known_offset": offset >= 0,
    }


def _live(query: TableQuery, columns: Sequence[Column]) -> str:
    address = query.url("/rows", columns=tuple(each.key for each in columns))
    return address if query.columns else f"{address}&usual=1"


def _are_usual(store: Store, query: TableQuery, rows: Rows) -> bool:
    """Whether a table that is open has the columns that it would have if it were opened now."""
    asked = replace(query, columns=())
    newest = _newest(store, asked, rows)
    usual = chosen((), rows.runs, not query.one, query.sorted_by(), newest, _below(rows))
    return tuple(each.key for each in usual) == query.columns


def _rows(request: Request) -> Response:
    """Return only the rows, for tables that are open; the same ones again cost nothing."""
    query = TableQuery.of(request)
    experiments = _experiments(request, query)
    rows = collect(state_of(request).store, query)
    columns = chosen(query.columns, rows.runs, not query.one, None)
    answer = render(
        request,
        "table_rows.html",
        query=query,
        rows=rows,
        columns=columns,
        group_starts=_group_starts(columns),
        names={each.experiment_id: each.name for each in experiments},
        cell=cell,
    )
    headers = {"X-Live-Every": str(_OFTEN if rows.running else _SELDOM)}
    store = state_of(request).store
    if request.query_params.get("usual") and not _are_usual(store, query, rows):
        headers["X-Live-Outdated"] = "columns"
    return _unless_known(request, answer, headers)


def _unless_known(request: Request, answer: HTMLResponse, more: Mapping[str, str]) -> Response:
    etag = f'"{blake2b(bytes(answer.body), digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", **more}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


def _count(request: Request) -> Response:
    """Return how many runs there are; asked for after the first page is shown."""
    query = TableQuery.of(request)
    store = state_of(request).store
    count = sum(store.count_runs(query.ids, query.search(), query.view_type).values())
    text = f"of {count:,} {'run' if count == 1 else 'runs'}"
    if query.nested and not query.filter:
        # The list of experiments counts these, too.
        below = sum(store.count_runs(query.ids, "", query.view_type).values()) - count
        text += f", {below:,} below {'it' if count == 1 else 'them'}" if below > 0 else ""
    return HTMLResponse(f"<span>{text}</span>", headers={"Cache-Control": "private, no-cache"})


def _total(request: Request) -> Response:
    """Return how many runs, those below others too, would be deleted with an experiment."""
    store = state_of(request).store
    count = sum(store.count_runs([request.path_params["experiment_id"]]).values())
    return PlainTextResponse(f"{count:,} {'run' if count == 1 else 'runs'}")


def _csv(request: Request) -> Response:
    query = TableQuery.of(request)
    names = {each.experiment_id: each.name for each in _experiments(request, query)}
    query.conditions(), query.sorted_by()
    return table_csv.answer(state_of(request).store, query, names)


def routes() -> list[BaseRoute]:
    """Return the routes of run tables."""
    return [
        page("/experiments", _show),
        page("/experiments/rows", _rows),
        page("/experiments/count", _count),
        page("/experiments/runs.csv", _csv),
        page("/experiments/{experiment_id}", _show),
        page("/experiments/{experiment_id}/rows", _rows),
        page("/experiments/{experiment_id}/count", _count),
        page("/experiments/{experiment_id}/total", _total),
        page("/experiments/{experiment_id}/runs.csv", _csv),
    ]
