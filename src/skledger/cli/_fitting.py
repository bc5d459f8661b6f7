"""Tables that fit the terminal: columns are left out, and texts cut, as little as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from skledger.cli._printing import console

__all__ = ["GAP", "Column", "fit_table", "fitted_table"]

#: Blanks between two columns.
GAP = 2
#: Columns that are as expendable as this go before any is cut short.
_ESSENTIAL = 8


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    title : str
        Its head.
    right : bool, default=False
        Whether its texts end at the same place.
    expendable : int, default=0
        Columns with a greater number go first when the terminal is too narrow; 0 stays.
    widths : tuple of int, optional
        The widest it gets on a terminal, what it keeps for other columns' sake, and the least it
        is cut to when nothing else can be left out. Without, it is never cut.
    """

    title: str
    right: bool = False
    expendable: int = 0
    widths: tuple[int, int, int] | None = None

    def bounds(self, natural: int) -> tuple[int, int, int]:
        """Return those widths for contents of that width."""
        if self.widths is None:
            return natural, natural, natural
        widest, kept, least = self.widths
        return min(natural, widest), min(natural, kept), min(natural, least)


def fitted_table(
    columns: Sequence[Column], lines: Sequence[Sequence[Text]], indent: int = 0
) -> Table:
    """Return a table; on a terminal that is narrow it has fewer columns, and texts are cut.

    Parameters
    ----------
    columns : sequence of Column
        Its columns.
    lines : sequence of sequences of Text
        Its lines, each with a text for every column.
    indent : int, default=0
        How far from the terminal's edge it will stand.
    """
    return fit_table(columns, lines, indent)[0]


def fit_table(
    columns: Sequence[Column], lines: Sequence[Sequence[Text]], indent: int = 0
) -> tuple[Table, list[str]]:
    """Return the same table, and the titles of the columns that had no room."""
    where = console()
    widths = _fitted(columns, lines, where.width - indent) if where.is_terminal else {}
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    shown = [place for place in range(len(columns)) if place in widths or not where.is_terminal]
    for place in shown:
        column = columns[place]
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=widths.get(place),
        )
    for line in lines:
        table.add_row(*(line[place] for place in shown))
    return table, [each.title for place, each in enumerate(columns) if place not in shown]


def _fitted(
    columns: Sequence[Column], lines: Sequence[Sequence[Text]], room: int
) -> dict[int, int]:
    """Return the widths of the columns that fit, by their places."""
    bounds = {
        place: column.bounds(max(cell_len(column.title), *(line[place].cell_len for line in lines)))
        for place, column in enumerate(columns)
    }

    def free(size: int) -> int:
        return room + GAP - sum(each[size] + GAP for each in bounds.values())

    # First what can be done without goes; then the rest is cut; then more of it goes.
    for least, size in ((_ESSENTIAL, 1), (1, 2)):
        going = [place for place in bounds if columns[place].expendable >= least]
        going.sort(key=lambda place: (columns[place].expendable, place))
        while going and free(size) < 0:
            del bounds[going.pop()]
    size = 1 if free(1) >= 0 else 2
    extra = max(0, free(size))
    fitted = {}
    # What room is left goes to the last columns first: the name's end says least.
    for place, each in reversed(bounds.items()):
        more = min(extra, each[0] - each[size])
        fitted[place] = each[size] + more
        extra -= more
    return fitted
