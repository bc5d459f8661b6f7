"""What the runs of a search say: its candidates, their order, what was searched in."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from skledger.tracking.entities import Run, RunData

__all__ = [
    "CANDIDATE_TAG",
    "FITS_TAG",
    "FIT_TAG",
    "FOLD_TAG",
    "MEAN",
    "RUNG",
    "best_first",
    "candidate_count",
    "number_of",
    "part_of_fit",
    "rung_of",
    "scorers",
    "searched_params",
]

CANDIDATE_TAG = "skledger.candidate"
FOLD_TAG = "skledger.fold"
#: Which fit of the user's run a candidate is of.
FIT_TAG = "skledger.fit"
#: How many fits a run of the user's holds.
FITS_TAG = "skledger.fits"
#: What stands before the name of a scorer in the metric of a candidate's mean score.
MEAN = "mean_test_"

#: Arguments of the searches that say how many candidates there are.
_COUNTS = ("n_iter", "n_trials")
#: What a halving search gives its candidates.
RUNG = ("iter", "n_resources")
#: Params of searches that say what is searched in.
_GRIDS = ("param_", "search_space", "space", "parameters")


def scorers(parent: Run, children: Iterable[Run]) -> list[str]:
    """Return the names of the scorers of a search, the one that decides first.

    Parameters
    ----------
    parent : Run
        The search.
    children : iterable of Run
        Its candidates.
    """
    keys = {key for run in children for key in run.data.metrics if key.startswith(MEAN)}
    names = sorted(key.removeprefix(MEAN) for key in keys)
    deciding = parent.data.params.get("refit", "")
    return sorted(names, key=lambda name: name != deciding)


class _Place(NamedTuple):
    """What children are sorted by: the later rungs of a halving search first."""

    kind: int
    rung: int
    score: float
    number: int
    start: int


def best_first(children: Iterable[Run], parent: Run) -> list[Run]:
    """Return children in order: folds and runs of the user's as they came, candidates by score."""
    every = list(children)
    scorer = next(iter(scorers(parent, every)), "score")

    def place(run: Run) -> _Place:
        tags, start = run.data.tags, run.info.start_time
        if CANDIDATE_TAG not in tags:
            return _Place(0, 0, 0.0, number_of(tags.get(FOLD_TAG)), start)
        score = run.data.metrics.get(f"{MEAN}{scorer}", math.nan)
        last = math.inf if math.isnan(score) else -score
        return _Place(1, -(rung_of(run) or 0), last, number_of(tags[CANDIDATE_TAG]), start)

    return sorted(every, key=place)


def number_of(text: str | None) -> int:
    """Return the number a text holds, 0 when there is none."""
    # Of thousands of digits Python makes no number.
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def rung_of(run: Run) -> int | None:
    """Return the rung of a candidate of a halving search."""
    params = run.data.params
    return number_of(params["iter"]) if {"iter", "n_resources"} <= params.keys() else None


def searched_params(search: Run, candidates: Sequence[Run]) -> list[str]:
    """Return the params that a search varied.

    They are named in what it searched in, and by the best it found; where neither tells, those
    that differ.

    Parameters
    ----------
    search : Run
        The search, or the run of the user's that it was made in.
    candidates : sequence of Run
        Some of its candidates.
    """
    held = dict.fromkeys(key for run in candidates for key in run.data.params)
    given = search.data.params
    spaces = [value for key, value in given.items() if key.startswith(_GRIDS)]
    quoted = [key for value in spaces for key in re.findall(r"'([^'\\]+)'\s*:", value)]
    best = [key.removeprefix("best_") for key in given if key.startswith("best_")]
    named = [key for key in dict.fromkeys((*quoted, *best)) if key in held]
    values = {key: {run.data.params.get(key) for run in candidates} for key in held}
    if named:
        # Of a run with several fits, others may have been given them.
        varied = [key for key in named if len(values[key]) > 1]
        return (varied if FITS_TAG in search.data.tags else []) or named
    return [key for key in held if key not in RUNG and len(values[key]) > 1]


def candidate_count(params: Mapping[str, str]) -> int | None:
    """Return how many candidates a search has, from its params; None when they do not tell.

    Parameters
    ----------
    params : mapping of str to str
        The params of the search, as text.
    """
    if "factor" in params and "resource" in params:
        return None  # a halving search: it depends on the data
    for name in _COUNTS:
        if count := number_of(params.get(name)):
            return count
    return _grid_size(params.get("param_grid", ""))


def _grid_size(text: str) -> int | None:
    """Return how many combinations the text of a grid stands for, without evaluating it."""
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    grids = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
    size = 0
    for grid in grids:
        if not isinstance(grid, ast.Dict):
            return None
        product = 1
        for values in grid.values:
            # An array is written array([...]).
            listed = values.args[0] if isinstance(values, ast.Call) and values.args else values
            if not isinstance(listed, ast.List | ast.Tuple | ast.Set):
                return None
            if any(isinstance(each, ast.Constant) and each.value is ... for each in listed.elts):
                return None  # long arrays are not written out
            product *= len(listed.elts)
        size += product
    return size


def part_of_fit(run: Run, fit: int) -> Run:
    """Return a run of the user's as one of its fits booked it: by the plain names.

    A further fit has its number behind the names that were taken, the rest as the first has.
    """
    if fit < 2:
        return run
    ending = f"-{fit}"
    if f"fit_seconds{ending}" not in run.data.metrics:
        # It is not booked yet: what stands under the plain names is of other fits.
        return replace(run, data=RunData())

    def plain(held: Mapping[str, str]) -> dict[str, str]:
        own = {key.removesuffix(ending): v for key, v in held.items() if key.endswith(ending)}
        return {**held, **own}

    data = run.data
    return replace(run, data=replace(data, params=plain(data.params), tags=plain(data.tags)))
