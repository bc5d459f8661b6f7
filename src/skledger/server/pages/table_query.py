"""What a run table is asked for, as it stands in its address."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from skledger.errors import InvalidParameterError
from skledger.server.pages.rendering import url
from skledger.server.pages.searching import asked_for
from skledger.tracking.entities import ViewType
from skledger.tracking.filters import (
    Comparison,
    Ordering,
    format_filter,
    format_order_by,
    parse_order_by,
)

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["PARENT_TAG", "RUN_ID", "SIZES", "VIEWS", "TableQuery", "sort_clause"]

PARENT_TAG = "mlflow.parentRunId"
VIEWS = {
    "active": ViewType.ACTIVE_ONLY,
    "deleted": ViewType.DELETED_ONLY,
    "all": ViewType.ALL,
}
#: How many runs a page may have.
SIZES = (50, 100, 200)
#: How many experiments one table may be of, and how many parents may be open in it.
_MOST_EXPERIMENTS, _MOST_OPEN = 100, 20
#: What an identifier of a run looks like.
RUN_ID = re.compile(r"[0-9a-zA-Z_-]{1,64}")


def sort_clause(kind: str, key: str, ascending: bool) -> str:
    """Return the clause that sorts by a key, such as ``metrics.r2 DESC``."""
    if re.fullmatch(r"[A-Za-z_][\w.]*", key):
        word = key if kind == "attribute" else f"{kind}s.{key}"
    else:
        word = format_order_by([Ordering(kind, key)])[0].rpartition(" ")[0]
    return f"{word} {'ASC' if ascending else 'DESC'}"


@dataclass(frozen=True, slots=True)
class TableQuery:
    """Which runs a table shows, and how; each field is a part of the address.

    Parameters
    ----------
    ids : tuple of str
        The experiments.
    one : bool
        Whether it is the page of one experiment, which has its identifier in the path.
    filter : str
        In the search grammar, or words to look for in the names of runs.
    order_by : str
        A clause such as ``metrics.score DESC``; empty is the newest first.
    columns : tuple of str
        Keys of columns, such as ``params.alpha``; empty is those that differ.
    view : {"active", "deleted", "all"}
    show : {"", "parents", "all"}
        Whether children stand below their parents or among all runs; empty is below their
        parents unless runs are filtered.
    open : tuple of str
        Identifiers of the parents whose children are shown.
    page_token : str
        Of the page, from the one before.
    size : int
        How many runs a page has.
    """

    ids: tuple[str, ...]
    one: bool = True
    filter: str = ""
    order_by: str = ""
    columns: tuple[str, ...] = ()
    view: str = "active"
    show: str = ""
    open: tuple[str, ...] = ()
    page_token: str = ""
    size: int = SIZES[0]

    @classmethod
    def of(cls, request: Request) -> TableQuery:
        """Read a request; what cannot be is as if it were not there, but for the experiments."""
        asked = request.query_params
        path_id = request.path_params.get("experiment_id")
        if path_id is not None:
            ids: tuple[str, ...] = (path_id,)
        else:
            named = ",".join(asked.getlist("ids")).split(",")
            ids = tuple(dict.fromkeys(filter(None, named)))
        if len(ids) > _MOST_EXPERIMENTS:
            raise InvalidParameterError(
                f"{len(ids)} experiments are too many for one table; choose up to "
                f"{_MOST_EXPERIMENTS}"
            )
        view, size = asked.get("view", ""), asked.get("size", "")
        show = asked.get("show", "")
        return cls(
            ids=ids,
            one=path_id is not None,
            filter=asked.get("filter", "").strip(),
            order_by=asked.get("order_by", "").strip(),
            columns=tuple(dict.fromkeys(filter(None, asked.getlist("columns")))),
            view=view if view in VIEWS else "active",
            show=show if show in ("parents", "all") else "",
            open=tuple(each for each in asked.getlist("open") if RUN_ID.fullmatch(each))[
                :_MOST_OPEN
            ],
            page_token=asked.get("page_token", ""),
            size=int(size) if size in map(str, SIZES) else SIZES[0],
        )

    @property
    def path(self) -> str:
        """The path of the table."""
        return f"/experiments/{quote(self.ids[0], safe='')}" if self.one else "/experiments"

    def parameters(self, **changes: object) -> dict[str, object]:
        """Return what stands in the address; what is as usual does not."""
        changed = replace(self, **changes) if changes else self  # type: ignore[arg-type]
        usual = TableQuery(())
        found: dict[str, object] = {}
        if not self.one:
            found["ids"] = ",".join(changed.ids)
        for each in fields(changed)[2:]:
            value = getattr(changed, each.name)
            if value != getattr(usual, each.name):
                found[each.name] = value
        return found

    def url(self, tail: str = "", **changes: object) -> str:
        """Return the address of this table with some fields changed; `tail` as ``/rows``."""
        return url(self.path + tail, self.parameters(**changes))

    def hidden(self, *without: str) -> list[tuple[str, object]]:
        """Return the fields that a form in the page sends along, but for those it asks for."""
        pairs: list[tuple[str, object]] = []
        for key, value in self.parameters().items():
            if key not in without:
                pairs += [(key, each) for each in (value if isinstance(value, tuple) else (value,))]
        return pairs

    def here(self) -> str:
        """Return the address within the application, to come back to after a form."""
        return url(self.path, self.parameters())

    @property
    def nested(self) -> bool:
        """Whether children stand below their parents."""
        return self.show == "parents" or (self.show == "" and not self.filter)

    @property
    def view_type(self) -> int:
        """The view as stores know it."""
        return VIEWS[self.view]

    @property
    def orderings(self) -> list[str]:
        """The order as stores take it: params that are numbers by their value."""
        order = self.sorted_by()
        if order is None:
            return []
        return format_order_by([replace(order, by_number=order.kind == "param")])

    def conditions(self) -> list[Comparison]:
        """Return what the filter says; words without an operator are looked for in names.

        Raises
        ------
        InvalidParameterError
            When it is no filter; the message says where and why.
        """
        return asked_for(self.filter)

    def search(self) -> str:
        """Return the filter for the rows of the first level, as stores take it."""
        conditions = self.conditions()
        if self.nested:
            conditions.append(Comparison("tag", PARENT_TAG, "IS NULL"))
        return format_filter(conditions)

    def sorted_by(self) -> Ordering | None:
        """Return the order, or None without one.

        Raises
        ------
        InvalidParameterError
            When it is no order.
        """
        read = parse_order_by([self.order_by] if self.order_by else [])
        return read[0] if read else None
