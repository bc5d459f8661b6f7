"""The table of a search's candidates: found by words, sorted by any of its columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skledger.errors import InvalidParameterError
from skledger.tracking.searches import rung_of

if TYPE_CHECKING:
    from skledger.server.pages.search_reading import Search
    from skledger.tracking.entities import Run

__all__ = ["Asked", "Column", "columns_of", "shown"]

#: In how many candidates scores on the training data are looked for.
_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Column:
    """A column that candidates can be sorted by.

    Parameters
    ----------
    kind, key : str
        What it shows: ``params``, ``scores``, ``train`` with the name of a param or scorer, or a
        kind of its own without one.
    title : str
        Its heading.
    read : callable
        Returns a candidate's value.
    num : bool
        Whether its values stand to the right.
    """

    kind: str
    key: str
    title: str
    read: Callable[[Run], object]
    num: bool = True

    @property
    def name(self) -> str:
        """What addresses call it."""
        return f"{self.kind}.{self.key}" if self.key else self.kind


@dataclass(frozen=True, slots=True)
class Asked:
    """How the table is wanted.

    Parameters
    ----------
    find : str
        Words that a candidate has in its name, params or status.
    sort : str
        The name of a column; empty for the best first.
    descending : bool
        From the highest to the lowest.
    """

    find: str = ""
    sort: str = ""
    descending: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """Return what an address asks for."""
        return cls(query.get("find", "").strip(), query.get("sort", ""), bool(query.get("desc")))

    @property
    def plain(self) -> bool:
        """Whether all candidates are wanted, the best first."""
        return not (self.find or self.sort)

    def query(self, **changed: str) -> dict[str, str]:
        """Return it as a part of an address, with some of it changed."""
        mine = {"find": self.find, "sort": self.sort, "desc": "1" if self.descending else ""}
        return {key: value for key, value in {**mine, **changed}.items() if value}


def columns_of(search: Search) -> list[Column]:
    """Return the columns of a search's table, after the rank."""

    def param(key: str) -> Callable[[Run], object]:
        return lambda run: run.data.params.get(key)

    def metric(key: str) -> Callable[[Run], object]:
        return lambda run: run.data.metrics.get(key)

    found = [Column("candidate", "", "Candidate", lambda run: run.info.run_name, num=False)]
    found += [Column("params", key, key, param(key), num=False) for key in search.params]
    if search.halving:
        found.append(Column("rung", "", "rung", rung_of))
        if "n_resources" not in search.params:
            found.append(Column("n_resources", "", "n_resources", param("n_resources")))
    for name in search.scorers or ["score"]:
        found.append(Column("scores", name, name, lambda run, name=name: search.score(run, name)))  # type: ignore[misc]
    looked_at = search.candidates[:_LOOKED_AT]
    for name in search.scorers:
        key = f"mean_train_{name}"
        if any(key in each.data.metrics for each in looked_at):
            found.append(Column("train", name, f"train {name}", metric(key)))
    found.append(Column("fit_time", "", "Fit time", metric("mean_fit_time")))
    found.append(Column("status", "", "Status", lambda run: run.info.status, num=False))
    return found


def shown(search: Search, asked: Asked) -> list[Run]:
    """Return the candidates that are asked for, in the order that is."""
    words = asked.find.lower().split()
    runs = [run for run in search.candidates if _has(run, search.params, words)]
    if not asked.sort:
        return runs
    by_name = {each.name: each for each in columns_of(search)}
    column = by_name.get(asked.sort)
    if column is None:
        raise InvalidParameterError(
            f"sort={asked.sort!r} is no column of this table; it has {', '.join(by_name)}"
        )
    return _sorted(runs, [column.read(run) for run in runs], asked.descending)


def _has(run: Run, params: Sequence[str], words: Sequence[str]) -> bool:
    if not words:
        return True
    told = [f"{key}={run.data.params.get(key, '')}" for key in params]
    text = " ".join((run.info.run_name, run.info.status, *told)).lower()
    return all(word in text for word in words)


def _sorted(runs: Sequence[Run], values: Sequence[object], descending: bool) -> list[Run]:
    """Return runs by their values, numbers as numbers; those without one come last."""
    numbers = {run.info.run_id: _number(value) for run, value in zip(runs, values, strict=True)}
    texts = {run.info.run_id: str(value) for run, value in zip(runs, values, strict=True)}
    held = [run for run, value in zip(runs, values, strict=True) if not _is_none(value)]
    rest = [run for run, value in zip(runs, values, strict=True) if _is_none(value)]

    def place(run: Run) -> tuple[bool, float, str]:
        number = numbers[run.info.run_id]
        return number is None, number or 0.0, "" if number is not None else texts[run.info.run_id]

    return [*sorted(held, key=place, reverse=descending), *rest]


def _is_none(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return None if math.isnan(number) else number
