"""The numbers behind the pictures of a search: which params matter, and where the best lie.

The forms, by ``"kind"``:

``score_by_value``
    One param: ``x`` and ``y`` of the candidates (at most 1000), ``best`` with ``x``, ``y`` and
    ``std`` of the best candidate at each value. Where a param has more than 30 numbers, the best
    in each of ``ranges`` of them. The x are numbers, on a logarithmic axis if ``log``; or places
    in ``labels``. ``n`` candidates have a score, ``failed`` have none, ``skipped`` have a value
    that is not shown.
``score_heatmap``
    Two params: ``rows`` and ``columns`` with their names ``row_name`` and ``column_name``, and
    ``values``, the best score of each cell; ``failed`` are the cells (row, column) where every
    candidate failed. ``params`` is the number of params that vary, and ``left_out`` that of the
    values not shown.
``parallel_coordinates``
    ``columns``, the last of them the score: ``name``, ``values`` (with ``log``), or places in
    ``labels``. One value for each candidate, the worst first; ``left_out`` are not shown.

All have a ``title`` and say in ``metric`` what the score is. ``chosen`` is the place of the
candidate that the search chose: among ``x`` and ``y``, among the cells (row, column), among the
values of the columns; it is missing where that candidate is not shown. ``mark`` says what it is:
"best", "chosen" where others score higher, or nothing if it failed.

Where candidates were scored on different amounts of data, as in a halving search, those that were
given more count as better. ``resources`` are the amounts, ascending; ``rungs`` says which of them
each candidate was given (of a heat map: each cell's).

Numbers have six significant digits; what is not finite is None.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.pictures import label_text, short
from skledger.capture.search_values import Column, axis_of, column_of

__all__ = ["search_pictures"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Picture = dict[str, Any]

_MAX_PARAMS = 8
_MAX_MARKS = 1000
_MAX_VALUES = 40  # of one param, on an axis
_MAX_STEPS = 30  # different numbers, of which each has a best candidate of its own
_RANGES = 20
_FILLED = 0.5  # a heat map with fewer of its cells filled is made coarser
_LONGEST_NAME = 100


@dataclass(slots=True)
class _Candidates:
    """The mean scores of all candidates, their deviations, and which of them are shown.

    The greater its rank, the better a candidate; NaN if it failed.
    """

    scores: Floats
    errors: Floats
    scored: NDArray[np.bool_]
    ranks: Floats
    shown: Places
    metric: str
    chosen: int | None
    rungs: Places | None
    resources: list[Any]

    def marked(self, places: Places) -> Picture:
        """Say where among these candidates the chosen one is, and what each was given."""
        said: Picture = {"mark": ""}
        if self.chosen is not None:
            highest = bool(self.ranks[self.chosen] == np.nanmax(self.ranks))
            said["mark"] = "best" if highest else "chosen"
            at = np.flatnonzero(places == self.chosen).tolist()
            said |= {"chosen": at[0]} if at else {}
        if self.rungs is not None:
            said |= {"rungs": self.rungs[places].tolist(), "resources": self.resources}
        return said


def search_pictures(
    params: Sequence[Mapping[str, Any]],
    scores: Any,
    errors: Any = None,
    *,
    metric: str = "score",
    chosen: int | None = None,
    resources: Any = None,
) -> dict[str, Picture]:
    """Give the pictures of a search.

    Parameters
    ----------
    params : sequence of mapping
        What each candidate set; not all need set the same.
    scores : array-like of shape (n_candidates,)
        Mean test scores, greater being better; NaN for candidates that failed.
    errors : array-like of shape (n_candidates,), optional
        Standard deviations of the scores over the folds.
    metric : str
        What the score is, in a word.
    chosen : int, optional
        Which candidate the search chose; without it, the first of the best.
    resources : array-like of shape (n_candidates,), optional
        How much each was given, where that differs: the ``n_resources`` of a halving search.

    Returns
    -------
    dict
        ``cv_score_by_<param>`` of the (at most 8) params with the largest effect, that one first;
        ``cv_score_heatmap`` of the two with the largest; ``parallel_coordinates``. Params with
        one value only do not count; without others, or without any score, it is empty.
    """
    told = _told(len(params), scores, errors, metric, chosen, resources)
    if not told.scored.any():
        return {}
    # Huge and tiny numbers are expected; numpy's warnings about them would reach the user.
    with np.errstate(all="ignore"):
        return _pictures(params, told)


def _pictures(params: Sequence[Mapping[str, Any]], told: _Candidates) -> dict[str, Picture]:
    columns = [column for column in _columns(params, told.ranks) if column.n_values > 1]
    effects = [_effect(column, told.ranks) for column in columns]
    # A stable sort: among equals the order of the user's grid.
    order = sorted(range(len(columns)), key=lambda one: -effects[one])
    columns = [columns[one] for one in order]
    brief = _brief_names(columns)
    pictures: dict[str, Picture] = {}
    for column in columns[:_MAX_PARAMS]:
        picture = _score_by(column, brief[column.name], told)
        if picture["n"]:
            pictures[_file_name("cv_score_by_", column.name, pictures)] = picture
    heatmap = _heatmap(columns, brief, told)
    if heatmap is not None:
        pictures["cv_score_heatmap"] = heatmap
    if columns:
        pictures["parallel_coordinates"] = _parallel(columns, told)
    return pictures


def _told(
    n: int, scores: Any, errors: Any, metric: str, chosen: int | None, resources: Any
) -> _Candidates:
    values, deviations, given = (_filled(n, each) for each in (scores, errors, resources))
    scored = np.isfinite(values)
    amounts, rungs = np.unique(given, return_inverse=True)
    differ = len(amounts) > 1 and bool(np.isfinite(amounts).all())
    ranks = _ranks(values, rungs if differ else np.zeros(n, dtype=np.intp))
    if not scored.any() or (chosen is not None and not (0 <= chosen < n and scored[chosen])):
        chosen = None
    elif chosen is None:
        chosen = int(np.nanargmax(ranks))
    return _Candidates(
        values,
        deviations,
        scored,
        ranks,
        _shown(ranks, chosen),
        label_text(metric),
        chosen,
        rungs if differ else None,
        short(amounts) if differ else [],
    )


def _filled(n: int, given: Any) -> Floats:
    values = np.full(n, np.nan)
    if given is not None:
        known = np.asarray(given, dtype=np.float64).ravel()[:n]
        values[: len(known)] = known
    return values


def _shown(ranks: Floats, chosen: int | None) -> Places:
    """Return at most 1000 candidates, worst first: half the best, half evenly from the rest.

    The chosen one is among them.
    """
    order = np.argsort(np.nan_to_num(ranks), kind="stable")
    if len(order) <= _MAX_MARKS:
        return order
    rest = len(order) - _MAX_MARKS // 2
    places = np.linspace(0, rest - 1, _MAX_MARKS - _MAX_MARKS // 2).astype(np.intp)
    at = int(np.flatnonzero(order == chosen)[0]) if chosen is not None else rest
    if at < rest:
        places[np.searchsorted(places, at)] = at
    return np.concatenate([order[places], order[rest:]])


def _brief_names(columns: Sequence[Column]) -> dict[str, str]:
    """Return the names of the params for titles: without the way there if that is clear."""
    ends = {column.name: column.name.rpartition("__")[2] for column in columns}
    times = Counter(ends.values())
    return {
        name: label_text(end if end and times[end] == 1 else name) for name, end in ends.items()
    }


def _columns(params: Sequence[Mapping[str, Any]], ranks: Floats) -> list[Column]:
    """Return the values of each param over the candidates that set it."""
    every = np.arange(len(params))
    grids = dict.fromkeys(map(tuple, params))
    common = set.intersection(*map(set, grids)) if grids else set()
    names = dict.fromkeys(name for grid in grids for name in grid)
    columns = []
    for name in names:
        if name in common:
            values, places = [one[name] for one in params], every
        else:
            holding = [place for place, one in enumerate(params) if name in one]
            values, places = [params[place][name] for place in holding], np.array(holding)
        # A value that cannot be looked at costs its param, and no other.
        with suppress(Exception):
            columns.append(_trimmed(column_of(str(name), values, places), ranks))
    return columns


def _trimmed(column: Column, ranks: Floats) -> Column:
    """Return a column of categories with the 40 that score best."""
    if column.numeric or column.n_values <= _MAX_VALUES:
        return column
    best = np.full(column.n_values, -np.inf)
    np.fmax.at(best, column.codes, ranks[column.places])
    return column.only(np.sort(np.argsort(-best, kind="stable")[:_MAX_VALUES]))


def _ranks(scores: Floats, rungs: Places) -> Floats:
    """Rank the scores from 1, those of higher rungs above; ties share the mean; NaN stays."""
    ranks = np.full(len(scores), np.nan)
    scored = np.isfinite(scores)
    # Complex numbers are ordered by their real parts, then by the others.
    both = rungs[scored] + 1j * scores[scored] if rungs.any() else scores[scored]
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks[scored] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def _effect(column: Column, ranks: Floats) -> float:
    """Return how much of the ranks of the scores a param explains.

    That is (H - k + 1) / (n - k), with H of Kruskal and Wallis for k values and n candidates
    (Tomczak and Tomczak, 2014). Ranks, because a single candidate that diverged would outweigh
    everything else; corrected for k, because with a value of its own for each candidate any
    param explains all.
    """
    here = ranks[column.places]
    scored = np.isfinite(here)
    here, groups = here[scored], column.codes[scored]
    n = len(here)
    if column.numeric:
        most = max(2, min(10, n // 3))
        groups = groups if column.n_values <= most else groups * most // column.n_values
    counts = np.bincount(groups)
    sums = np.bincount(groups, weights=here)[counts > 0]
    counts = counts[counts > 0]
    total = float(here.var()) * n if n else 0.0
    if len(counts) < 2 or n == len(counts) or total == 0:
        return 0.0
    between = float((sums**2 / counts).sum()) - float(here.sum()) ** 2 / n
    h = (n - 1) * between / total
    return (h - len(counts) + 1) / (n - len(counts))


def _file_name(prefix: str, name: str, taken: Mapping[str, Any]) -> str:
    """Return a name for the picture that is one for a file as well, on any file system."""
    plain = prefix + re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:_LONGEST_NAME]
    lower = {other.lower() for other in taken}
    # "C" and "c" are one file on some file systems.
    free = (f"{plain}-{number}" if number > 1 else plain for number in range(1, len(taken) + 2))
    return next(one for one in free if one.lower() not in lower)


def _score_by(column: Column, brief: str, told: _Candidates) -> Picture:
    scored = told.scored[column.places]
    places, codes = column.places[scored], column.codes[scored]
    x = column.values[scored] if column.numeric else codes.astype(np.float64)
    ranged = column.numeric and column.n_values > _MAX_STEPS
    best = _best_by(x, ranged, places, told)
    shown = np.isin(places, told.shown) if len(told.shown) < len(told.scores) else slice(None)
    picture = {
        "kind": "score_by_value",
        "title": f"Mean test {told.metric} by {brief}",
        "metric": told.metric,
        "param": label_text(column.name),
        "x": short(x[shown]),
        "y": short(told.scores[places][shown]),
        "best": {
            "x": short(x[best]),
            "y": short(told.scores[places][best]),
            "std": short(told.errors[places][best]),
        },
        "n": len(places),
        "failed": len(scored) - len(places),
        "skipped": column.skipped,
        **told.marked(places[shown]),
    }
    if ranged:
        picture["ranges"] = len(best)
    return picture | ({"log": column.log} if column.numeric else {"labels": column.labels})


def _best_by(x: Floats, ranged: bool, places: Places, told: _Candidates) -> Places:
    """Return the positions of the best at each value: of the last rung, if there are rungs."""
    last = np.arange(len(places))
    if told.rungs is not None:
        last = np.flatnonzero(told.rungs[places] == told.rungs.max())
    groups = np.unique(x[last], return_inverse=True)[1]
    if ranged:
        groups = _quantiles(x[last], min(_RANGES, max(5, len(last) // 5)))
    return last[_best(groups, told.ranks[places[last]])]


def _quantiles(x: Floats, most: int) -> Places:
    """Put numbers into at most so many ranges with equally many of them."""
    order = np.argsort(x, kind="stable")
    groups = np.empty(len(x), dtype=np.intp)
    groups[order] = np.arange(len(x)) * most // max(1, len(x))
    return groups


def _best(groups: Places, ranks: Floats) -> Places:
    """Return the position of the first of the best of each group, groups ascending."""
    order = np.lexsort((-np.arange(len(ranks)), np.nan_to_num(ranks), groups))
    return order[np.flatnonzero(np.diff(groups[order], append=-1))]


def _heatmap(columns: list[Column], brief: Mapping[str, str], told: _Candidates) -> Picture | None:
    """Give the best score over two params: the first two by effect that vary together."""
    for one, other in combinations(columns[:_MAX_PARAMS], 2):
        together, first, second = np.intersect1d(
            one.places, other.places, assume_unique=True, return_indices=True
        )
        scored = told.scored[together]
        across, up = one.codes[first[scored]], other.codes[second[scored]]
        if scored.any() and np.ptp(across) and np.ptp(up):
            if one.n_values < other.n_values:
                one, other, first, second = other, one, second, first  # noqa: PLW2901
            names = f"{brief[one.name]} and {brief[other.name]}"
            title = f"Best mean test {told.metric} by {names}"
            head = {"kind": "score_heatmap", "title": title, "params": len(columns)}
            return head | _field((one, first), (other, second), told, together)
    return None


def _field(
    across: tuple[Column, Places], up: tuple[Column, Places], told: _Candidates, together: Places
) -> Picture:
    """Give the heat map of two columns, each with its positions of the candidates `together`."""
    sides = [np.unique(column.codes[at]) for column, at in (across, up)]
    cells_met = len(np.unique(across[0].codes[across[1]] * up[0].n_values + up[0].codes[up[1]]))
    sparse = cells_met < _FILLED * len(sides[0]) * len(sides[1])
    most = int(np.clip(np.sqrt(len(together)), 4, _RANGES)) if sparse else _MAX_VALUES
    x, columns = axis_of(*across, most)
    y, rows = axis_of(*up, most)
    if up[0].numeric:  # numbers rise upwards, and the first row is on top
        y, rows = len(rows) - 1 - y, rows[::-1]
    cells = y * len(columns) + x
    best = _best(cells, told.ranks[together])
    places, filled = together[best], cells[best]
    scores = np.full(len(rows) * len(columns), np.nan)
    scores[filled] = told.scores[places]
    shape = len(rows), len(columns)
    failed = np.argwhere(
        np.isin(np.arange(scores.size), filled[~told.scored[places]]).reshape(shape)
    )
    picture = {
        "metric": told.metric,
        "column_name": label_text(across[0].name),
        "row_name": label_text(up[0].name),
        "columns": columns,
        "rows": rows,
        "values": short(scores.reshape(shape)),
        "failed": failed.tolist(),
        "left_out": across[0].skipped + up[0].skipped,
        **told.marked(together),
    }
    if "chosen" in picture:
        picture["chosen"] = [int(one) for one in divmod(cells[picture["chosen"]], len(columns))]
    if told.rungs is not None:
        rungs = np.full(scores.size, np.nan)
        rungs[filled] = np.where(told.scored[places], told.rungs[places], np.nan)
        picture["rungs"] = short(rungs.reshape(shape))
    return picture


def _parallel(columns: list[Column], told: _Candidates) -> Picture:
    axes: list[Picture] = []
    for column in columns[:_MAX_PARAMS]:
        values = np.full(len(told.scores), np.nan)
        values[column.places] = column.values if column.numeric else column.codes
        axis: Picture = {"name": label_text(column.name), "values": short(values[told.shown])}
        axes.append(axis | ({"log": column.log} if column.numeric else {"labels": column.labels}))
    name = f"mean test {told.metric}"
    axes.append({"name": told.metric, "values": short(told.scores[told.shown])})
    picture = {
        "kind": "parallel_coordinates",
        "title": f"Candidates by {name}",
        "metric": told.metric,
        "columns": axes,
        "n": len(told.scores),
        "left_out": len(told.scores) - len(told.shown),
        **told.marked(told.shown),
    }
    if len(columns) > _MAX_PARAMS:
        picture["params_left_out"] = len(columns) - _MAX_PARAMS
    return picture
