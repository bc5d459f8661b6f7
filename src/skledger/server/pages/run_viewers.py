"""How a file is shown: as a picture, a table, JSON, Markdown, text or a page of its own.

Files are read up to a size, and only as bytes, text, CSV or JSON: nothing is ever unpickled.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from skledger.server.pages.run_files import PICTURES

if TYPE_CHECKING:
    from skledger.server.pages.run_files import Entry, Place

__all__ = ["Node", "Table", "View", "view_of"]

_HTML = frozenset((".html", ".htm", ".xhtml"))
_TABLES = frozenset((".csv", ".tsv"))
_MARKDOWN = frozenset((".md", ".markdown"))
#: What browsers and we cannot show, whatever the first bytes look like.
_BINARY = frozenset(
    (".pkl", ".pickle", ".joblib", ".skops", ".npy", ".npz", ".parquet", ".zip", ".gz", ".pdf")
)
_TEXT_BYTES = 512 * 1024
_JSON_BYTES = 4 << 20
_TABLE_BYTES = 64 << 20
_ROWS, _COLUMNS, _CELL = 200, 200, 2000
_NODES, _CHILDREN = 3000, 100


@dataclass(frozen=True, slots=True)
class Table:
    """Some rows of a table."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    start: int = 0
    more: bool = False
    hidden_columns: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A value of JSON: a plain one, or one that holds others."""

    key: str
    kind: str
    text: str
    children: Sequence[Node] = field(default_factory=list)
    more: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a file."""

    kind: str
    text: str = ""
    table: Table | None = None
    node: Node | None = None
    cut: bool = False
    why: str = ""
    #: Other ways in which it can be shown.
    others: Sequence[str] = ()


def view_of(place: Place, entry: Entry, wanted: str = "", start: int = 0) -> View:
    """Return how a file is shown.

    Parameters
    ----------
    place : Place
        Where it is.
    entry : Entry
        The file.
    wanted : str
        ``source`` shows the text of what is shown otherwise.
    start : int
        The first row of a table.
    """
    if entry.size == 0:
        return View("empty")
    found = _shown(place, entry, start) if wanted != "source" else None
    if found is not None:
        return found
    return View("binary") if entry.ending in _BINARY else _text(place, entry)


def _shown(place: Place, entry: Entry, start: int) -> View | None:
    """Return how a file is shown that is more than its text; None when it is no more."""
    ending, size, found = entry.ending, entry.size or 0, None
    source = ("source",)
    if ending in PICTURES:
        found = View("picture", others=source if ending == ".svg" else ())
    elif ending in _HTML:
        found = View("html", others=source)
    elif ending in _TABLES:
        found = _csv_view(place, entry, start)
    elif ending == ".json" and size <= _JSON_BYTES:
        found = _json_view(place, entry, start)
    elif ending in _MARKDOWN and size <= _TEXT_BYTES:
        text = _text(place, entry)
        found = View("markdown", text.text, others=source) if text.kind == "text" else None
    if found is not None and found.kind in ("table", "json"):
        found = replace(found, others=source)
    return found


def _text(place: Place, entry: Entry) -> View:
    with place.open(entry.path) as file:
        head = file.read(_TEXT_BYTES)
        cut = file.size > len(head)
    text = _decoded(head, cut)
    return View("binary") if text is None else View("text", text, cut=cut)


def _decoded(head: bytes, cut: bool) -> str | None:
    """Return bytes as text, None when they are none."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "replace")
    if b"\0" in head[:8192]:
        return None
    try:
        # The end may be in the middle of a letter.
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head, final=not cut)
    except UnicodeDecodeError:
        odd = sum(byte < 9 or 13 < byte < 32 for byte in head[:8192])
        return head.decode("latin-1") if odd * 50 < len(head[:8192]) else None


def _lines(place: Place, path: str) -> Iterator[str]:
    """Yield the lines of a text file, each with its end, up to a size."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    rest, taken = "", 0
    with place.open(path) as file:
        while chunk := file.read(1 << 18):
            taken += len(chunk)
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            yield from (f"{line}\n" for line in lines)
            if taken >= _TABLE_BYTES or len(rest) > _TEXT_BYTES:
                return
    if rest:
        yield rest


def _csv_view(place: Place, entry: Entry, start: int) -> View | None:
    """Return rows of a CSV file; None when it is none."""
    lines = _lines(place, entry.path)
    first = next(lines, "")
    if "\0" in first:
        return View("binary")
    separator = "\t" if entry.ending == ".tsv" else max(",;\t", key=first.count)

    def every() -> Iterator[str]:
        yield first
        yield from lines

    reader = csv.reader(every(), delimiter=separator)
    rows: list[list[str]] = []
    more = False
    try:
        columns = next(reader, [])
        for number, row in enumerate(reader):
            if number < start:
                continue
            if len(rows) == _ROWS:
                more = True
                break
            rows.append(row)
    except csv.Error:
        return None
    return View("table", table=_table(columns, rows, start, more))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], start: int, more: bool) -> Table:
    width = max([len(columns), *(len(row) for row in rows)])
    shown = min(width, _COLUMNS)
    names = [*columns, *([""] * (width - len(columns)))][:shown]
    cells = [
        [(row[index] if index < len(row) else "")[:_CELL] for index in range(shown)] for row in rows
    ]
    numeric = [
        bool(cells) and all(_is_number(row[index]) for row in cells) for index in range(shown)
    ]
    return Table(names, cells, numeric, start, more, width - shown)


def _is_number(text: str) -> bool:
    if text == "":
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _json_view(place: Place, entry: Entry, start: int) -> View | None:
    with place.open(entry.path) as file:
        head = file.read(_JSON_BYTES + 1)
    try:
        value = json.loads(head)
    except (ValueError, RecursionError):
        return None
    if _is_table(value):
        every = value["data"]
        rows = [[_cell(each) for each in row] for row in every[start : start + _ROWS]]
        more = len(every) > start + _ROWS
        return View("table", table=_table([str(c) for c in value["columns"]], rows, start, more))
    try:
        return View("json", node=_node("", value, [_NODES], 0))
    except RecursionError:
        return None


def _is_table(value: Any) -> bool:
    """Whether JSON is a table as ``log_table`` writes them."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("columns"), list)
        and isinstance(value.get("data"), list)
        and bool(value["data"])
        and all(isinstance(row, list) for row in value["data"])
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _node(key: str, value: Any, left: list[int], depth: int) -> Node:
    """Return a value with those below it, as long as there are nodes `left`."""
    left[0] -= 1
    if isinstance(value, (dict, list)) and value and depth < 40:
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
        if isinstance(value, list) and _is_flat(value):
            return Node(key, "flat", json.dumps(value, ensure_ascii=False))
        children: list[Node] = []
        for name, each in pairs[:_CHILDREN]:
            if left[0] <= 0:
                break
            children.append(_node(str(name), each, left, depth + 1))
        what = f"{len(pairs)} {'keys' if isinstance(value, dict) else 'items'}"
        if len(pairs) == 1:
            what = what[:-1]
        kind = "object" if isinstance(value, dict) else "array"
        return Node(key, kind, what, children, len(pairs) - len(children))
    kind = "string" if isinstance(value, str) else "value"
    return Node(key, kind, json.dumps(value, ensure_ascii=False)[:5000])


def _is_flat(value: list[Any]) -> bool:
    """Whether a list is short and plain enough for one line."""
    if len(value) > 20 or any(isinstance(each, (dict, list)) for each in value):
        return False
    return sum(len(str(each)) for each in value) < 120
