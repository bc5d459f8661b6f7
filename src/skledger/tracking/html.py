"""What is booked as HTML for notebooks: plain tables, no scripts, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from skledger.tracking.printing import (
    MAX_ROWS,
    are_printed,
    columns_of,
    facts_of,
    is_run,
    number,
    one_line,
    rest_of,
    title_of,
)

__all__ = ["as_html", "list_as_html"]

#: Values of one kind that a table holds; the rest is counted.
MAX_VALUES = 50
_CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0;border:0"
_TABLE = "border-collapse:collapse;margin:4px 0 8px 0;font-size:90%"


def as_html(entity: Any) -> str:
    """Return an entity as a small table; metrics and params fold away below a run."""
    facts = [
        (label, text)
        for label, text in facts_of(entity)
        if not label.startswith(("metrics", "params"))
    ]
    parts = [f"<b>{escape(title_of(entity))}</b>", _table(facts)]
    if is_run(entity):
        metrics = {key: number(value) for key, value in entity.data.metrics.items()}
        parts.append(_folded("metrics", metrics, opened=True))
        parts.append(_folded("params", entity.data.params, opened=False))
    return f"<div>{''.join(parts)}</div>"


def _folded(label: str, values: Mapping[str, str], *, opened: bool) -> str:
    if not values:
        return ""
    rows = [(one_line(k, 80), one_line(v, 200)) for k, v in list(values.items())[:MAX_VALUES]]
    if len(values) > MAX_VALUES:
        rows.append((f"… {len(values) - MAX_VALUES} more", ""))
    attribute = " open" if opened else ""
    head = f"<summary>{label} ({len(values)})</summary>"
    return f"<details{attribute}>{head}{_table(rows)}</details>"


def list_as_html(entities: Sequence[Any]) -> str | None:
    """Return a list of entities of one kind as a table; None of any other list."""
    if not are_printed(entities):
        return None
    heads, rows = columns_of(entities[:MAX_ROWS])
    rest = rest_of(entities, getattr(entities, "token", None))
    return f"<div>{_table(rows, heads)}{f'<div>{escape(rest)}</div>' if rest else ''}</div>"


def _table(rows: Iterable[Sequence[str]], heads: Sequence[str] = ()) -> str:
    # A list is read by its columns, which are for a line each; a note may be long.
    style = f"{_TABLE};white-space:nowrap" if heads else _TABLE
    lines = [f'<table style="{style}">']
    if heads:
        lines.append(_row("th", heads))
    lines.extend(_row("td", row) for row in rows)
    return "".join([*lines, "</table>"])


def _row(tag: str, cells: Sequence[str]) -> str:
    content = "".join(f'<{tag} style="{_CELL}">{escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{content}</tr>"
