"""What a fitted search says of itself: its best, its table of results, the rank of each candidate.

scikit-learn's searches have ``cv_results_``, a table with a row for each candidate. Others have it
in part, in other forms, with more rows than were evaluated, or not at all; whatever is missing here
is None or empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from skledger.capture.candidates import Fold

__all__ = ["PastCandidate", "Results", "read_results"]


@dataclass(frozen=True, slots=True)
class PastCandidate:
    """A candidate as a finished search tells of it."""

    number: int
    params: Mapping[str, Any]
    folds: list[Fold]


@dataclass(slots=True)
class Results:
    """What a finished search tells.

    Parameters
    ----------
    table : mapping or None
        ``cv_results_``.
    params : sequence of mapping, or None
        What each row of the table set.
    best_params : mapping
        The best params.
    best_score : float or None
        The mean score of the best.
    best_index : int or None
        The row of the best.
    scorer : str
        The metric that decided, as in the names of columns: ``score``, or a scorer's name.
    """

    table: Mapping[str, Any] | None
    params: Sequence[Mapping[str, Any]] | None
    best_params: Mapping[str, Any]
    best_score: float | None
    best_index: int | None
    scorer: str

    def column(self, name: str) -> list[float] | None:
        """Return a column of numbers."""
        values = None if self.table is None else self.table.get(name)
        if values is None:
            return None
        return [float(value) for value in values]

    def ranks(self) -> dict[str, list[float]]:
        """Return the columns of ranks."""
        names = [] if self.table is None else [n for n in self.table if n.startswith("rank_test_")]
        # Some third parties rank their rows without knowing the scorers' names.
        return {name: self.column(name) or [] for name in sorted(names, key=self._first_scorer)}

    def _first_scorer(self, name: str) -> bool:
        return name != f"rank_test_{self.scorer}"

    def last_rows(self) -> list[int]:
        """Return the rows to compare: of a halving search the last of each candidate."""
        params = self.params or ()
        if self.column("iter") is None:
            return list(range(len(params)))
        return sorted({str(each): row for row, each in enumerate(params)}.values())

    def splits(self) -> list[tuple[float, ...]]:
        """Return the scores of each row, split by split."""
        columns: list[list[float]] = []
        while True:
            found = self.column(f"split{len(columns)}_test_{self.scorer}")
            if found is None:
                return list(zip(*columns, strict=True))
            columns.append(found)

    def rows_of(
        self, scores: Sequence[Sequence[float]], params: Sequence[Mapping[str, str]]
    ) -> dict[int, int]:
        """Return the row of each candidate that was seen, found by its scores and its params.

        Parameters
        ----------
        scores : sequence of sequence of float
            The test scores of each candidate, split by split.
        params : sequence of mapping of str to str
            What it set, as text.
        """
        free: dict[tuple[float, ...], list[int]] = {}
        for row, splits in enumerate(self.splits()):
            free.setdefault(_comparable(splits), []).append(row)
        found: dict[int, int] = {}
        for number, of_child in enumerate(scores):
            same = free.get(_comparable(of_child), [])
            fitting = [row for row in same if self._sets(row, params[number])]
            if fitting:
                same.remove(fitting[0])
                found[number] = fitting[0]
        return found

    def _sets(self, row: int, texts: Mapping[str, str]) -> bool:
        if self.params is None or row >= len(self.params):
            return True
        return all(
            texts.get(key, str(value)) == str(value) for key, value in self.params[row].items()
        )

    def past_candidates(self, started: float) -> list[PastCandidate]:
        """Return the candidates as the table tells of them, one after the other since `started`."""
        rows = self.splits()
        if self.params is None or len(rows) != len(self.params):
            return []
        fit_times = self.column("mean_fit_time") or [0.0] * len(rows)
        score_times = self.column("mean_score_time") or [0.0] * len(rows)
        found = []
        for number, splits in enumerate(rows):
            folds = []
            for index, score in enumerate(splits):
                ended = started + fit_times[number] + score_times[number]
                key = f"test_{self.scorer}"
                folds.append(
                    Fold(
                        index,
                        {key: score},
                        fit_times[number],
                        score_times[number],
                        None,
                        started,
                        ended,
                    )
                )
                started = ended
            found.append(PastCandidate(number, self.params[number], folds))
        return found


def _comparable(splits: Sequence[float]) -> tuple[float, ...]:
    return tuple(math.inf if math.isnan(score) else score for score in splits)


def read_results(search: Any) -> Results:
    """Read what a fitted search tells of itself."""
    table = _get(search, "cv_results_")
    table = table if isinstance(table, Mapping) else None
    params = None if table is None else table.get("params")
    trials = _get(search, "trials_")
    if params is None and trials is not None and table is not None:
        params = [trial.params for trial in trials]
    refit = _get(search, "refit")
    score = _get(search, "best_score_")
    index = _get(search, "best_index_")
    scorer = "score"
    if table is not None and "mean_test_score" not in table:
        names = [name.removeprefix("mean_test_") for name in table if name.startswith("mean_test_")]
        scorer = refit if refit in names else next(iter(names), "score")
    return Results(
        table=table,
        params=params,
        best_params=_get(search, "best_params_") or {},
        best_score=None if score is None or math.isnan(score) else float(score),
        best_index=None if index is None else int(index),
        scorer=scorer,
    )


def _get(search: Any, name: str) -> Any:
    """Return an attribute; with some third parties it is a property that raises various types."""
    with suppress(Exception):
        return getattr(search, name, None)
    return None
