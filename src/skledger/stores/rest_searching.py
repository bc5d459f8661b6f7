"""Searching the runs of a tracking server by all of our grammar, of which the server knows a part.

Conditions that the server does not know are looked at here: it is asked for what the others leave,
page by page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from skledger.errors import InvalidParameterError
from skledger.stores.matching import matches
from skledger.stores.rest_api import Api
from skledger.stores.rest_experiments import search_page
from skledger.stores.rest_json import read_run
from skledger.tracking.entities import PagedList, Run
from skledger.tracking.filters import Comparison, format_filter, parse_filter

__all__ = ["search_runs"]

_ORDERED = frozenset(("=", "!=", "<", "<=", ">", ">="))
_TEXTS = frozenset(("=", "!=", "LIKE", "ILIKE"))
_NULLS = frozenset(("IS NULL", "IS NOT NULL"))
#: What MLflow's servers compare, by kind.
_THEIRS = {
    "metric": _ORDERED,
    "param": _TEXTS | _NULLS,
    "tag": _TEXTS | _NULLS,
    "attribute": _ORDERED | _TEXTS | {"IN", "NOT IN"},
    "dataset": _TEXTS | {"IN", "NOT IN"},
}
#: How many runs are asked for at once, when they are looked at here.
_PAGE = 1000
#: Between how many runs of the server's page were looked at, and the token of that page.
_MARK = "~"


def search_runs(
    api: Api, body: Mapping[str, Any], filter_string: str, limit: int, token: str | None
) -> PagedList[Run]:
    """Return one page of the runs that match.

    Parameters
    ----------
    api : Api
        The server.
    body : mapping
        The question, but for the filter.
    filter_string : str
        The filter, with the server's identifiers.
    limit : int
        The length of the page.
    token : str or None
        Where it begins.
    """
    conditions = parse_filter(filter_string, "run")
    ours = [each for each in conditions if not _is_theirs(each)]
    if not ours:
        found = search_page(
            api, "runs", {**body, "filter": format_filter(conditions)}, limit, token
        )
        return PagedList([read_run(each) for each in found], found.token)
    theirs = format_filter(each for each in conditions if each not in ours)
    return _looked_at(api, {**body, "filter": theirs}, ours, limit, token)


def _looked_at(
    api: Api,
    body: Mapping[str, Any],
    conditions: Sequence[Comparison],
    limit: int,
    token: str | None,
) -> PagedList[Run]:
    """Return a page of the runs for which conditions hold, of those that the server finds."""
    seen, start = _read_token(token)
    found: list[Run] = []
    while True:
        page = search_page(api, "runs", body, _PAGE, start)
        for at, told in enumerate(page):
            run = read_run(told) if at >= seen else None
            if run is not None and matches(run, conditions):
                if len(found) == limit:
                    return PagedList(found, f"{at}{_MARK}{start or ''}")
                found.append(run)
        seen, start = 0, page.token
        if start is None:
            return PagedList(found)


def _read_token(token: str | None) -> tuple[int, str | None]:
    if not token:
        return 0, None
    at, mark, start = token.partition(_MARK)
    if not mark or not (at.isascii() and at.isdigit()):
        raise InvalidParameterError(
            f"{token!r} is not a page token of this search: pass the `token` of the page before, "
            "unchanged"
        )
    return int(at), start or None


def _is_theirs(each: Comparison) -> bool:
    if (each.kind, each.key) == ("attribute", "duration"):
        return False
    if each.operator not in _THEIRS[each.kind]:
        return False
    if isinstance(each.value, float) and not math.isfinite(each.value):
        return False
    # MLflow knows no doubled quotes, and backticks end a key for it.
    texts = each.value if isinstance(each.value, tuple) else (each.value,)
    is_quoted = any(isinstance(text, str) and "'" in text and '"' in text for text in texts)
    return not is_quoted and not ("`" in each.key and '"' in each.key)
