"""What a fitted search says of itself: its best, its table of results, the rank of each candidate.

scikit-learn's searches have ``cv_results_``, a table with a row for each candidate. Others have it
in part, in other forms, with more rows than were evaluated, or not at all; whatever is missing here
is None or empty.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from skledger.capture.candidates import Fold, Summary, searched_by

__all__ = ["PastCandidate", "Results", "has_candidates", "read_results"]

#: A column of scores: of one split, or of the only one there is.
_SCORES = re.compile(r"(?:split(\d+)_)?((?:test|train)_.+)")
#: The columns that say on which rung of a halving search a candidate was.
_RUNG = ("iter", "n_resources")


@dataclass(frozen=True, slots=True)
class PastCandidate:
    """A candidate as a finished search tells of it.

    Parameters
    ----------
    number : int
        Its row.
    params : mapping
        What it set.
    rung : mapping of str to str
        Of a halving search ``iter`` and ``n_resources``.
    folds : list of Fold
        Its splits with their scores, and what they come to. When the table tells of no split,
        one without scores.
    """

    number: int
    params: Mapping[str, Any]
    rung: Mapping[str, str]
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
        """Return a column of numbers; the only score of each row is its mean score."""
        values = None if self.table is None else self.table.get(name)
        if values is None and name.startswith("mean_test_") and self.table is not None:
            values = self.table.get(name.removeprefix("mean_"))
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

    def past_candidates(self, started: float, ended: float = math.inf) -> list[PastCandidate]:
        """Return the candidates as the table tells of them, one after the other since `started`.

        Of a split without a score it is not known why it has none: the reason is not in the table.
        Where a number stands in for the scores of fits that failed (``error_score=0``), the table
        does not even tell that they did, and the candidate counts as one that went well.

        Parameters
        ----------
        started, ended : float
            When the search was under way, in s since the epoch. Candidates that took longer
            together were trained at the same time, and are dated as if each had taken less.
        """
        if not self.tells_scores():
            return []
        splits, summaries = self._splits_told(), self._summaries()
        seconds, rungs = self._seconds(), self._rungs()
        count = max(len(splits), 1)
        taken = count * sum(seconds)
        share = min(1.0, (ended - started) / taken) if taken > 0 else 0.0
        found = []
        for number, params in enumerate(self.params or ()):
            told = [{key: column[number] for key, column in split.items()} for split in splits]
            summary = _summary({key: column[number] for key, column in summaries.items()}, told)
            folds = []
            for index in range(count):
                over = min(started + share * seconds[number], ended)
                scores = told[index] if told else {}
                folds.append(Fold(index, scores, None, None, None, started, over, summary))
                started = over
            rung = {key: str(column[number]) for key, column in rungs.items()}
            found.append(PastCandidate(number, params, rung, folds))
        return found

    def tells_scores(self) -> bool:
        """Tell whether the table says of each candidate how well it did."""
        summaries = self._summaries()
        return bool(self._splits_told()) or any(key.startswith("mean_test_") for key in summaries)

    def _numbers(self, name: str) -> list[float] | None:
        """Return a column of numbers that has a row for each candidate, or None."""
        with suppress(TypeError, ValueError):
            values = self.column(name)
            if values is not None and self.params is not None and len(values) == len(self.params):
                return values
        return None

    def _splits_told(self) -> list[dict[str, list[float]]]:
        """Return the columns of scores of each split, by the names of the scores."""
        splits: dict[int, dict[str, list[float]]] = {}
        alone: dict[str, list[float]] = {}
        # As it was when each was fitted: the scores of the tests come first.
        for name in sorted(self.table or (), key=lambda name: "train_" in name):
            matched = _SCORES.fullmatch(name)
            values = None if matched is None else self._numbers(name)
            if matched is None or values is None:
                continue
            index, key = matched.groups()
            (alone if index is None else splits.setdefault(int(index), {}))[key] = values
        if not splits:
            return [alone] if alone else []
        return [splits.get(index, {}) for index in range(max(splits) + 1)]

    def _summaries(self) -> dict[str, list[float]]:
        """Return the columns of means and standard deviations: of scores, and of times in s."""
        names = [name for name in self.table or () if name.startswith(("mean_", "std_"))]
        only = [name for name in self.table or () if name.startswith("test_")]
        names += [f"mean_{name}" for name in only if f"mean_{name}" not in names]
        columns = {name: self._numbers(name) for name in names}
        return {name: values for name, values in columns.items() if values is not None}

    def _seconds(self) -> list[float]:
        """Return how long a fold of each candidate took, as far as the table tells."""
        known = [self._numbers(f"mean_{name}_time") for name in ("fit", "score")]
        columns = [column for column in known if column is not None]
        return [
            sum(time for column in columns if (time := column[row]) > 0)
            for row in range(len(self.params or ()))
        ]

    def _rungs(self) -> dict[str, Any]:
        """Return the columns that say on which rung of a halving search each candidate was."""
        if self.table is None or any(self._numbers(name) is None for name in _RUNG):
            return {}
        return {name: self.table[name] for name in _RUNG}


def _summary(told: Mapping[str, float], folds: Sequence[Mapping[str, float]]) -> Summary:
    """Return what the folds of one candidate come to, by its row of the table."""
    summary = Summary({key: value for key, value in told.items() if not math.isnan(value)})
    for key in told.keys() - summary.metrics.keys():
        summary.metrics.pop(key.replace("mean_", "std_", 1), None)
    summary.error = _failure(told, folds)
    return summary


def _failure(told: Mapping[str, float], folds: Sequence[Mapping[str, float]]) -> str | None:
    """Return why a candidate counts as failed, as far as a table tells."""
    tests = [
        [score for key, score in scores.items() if key.startswith("test_")] for scores in folds
    ]
    lacking = sum(all(map(math.isnan, scores)) for scores in tests if scores)
    nameless = [key for key, v in told.items() if key.startswith("mean_test_") and math.isnan(v)]
    if lacking or (nameless and not any(tests)):
        some = f"{lacking} of {len(tests)}" if lacking else "some"
        return (
            f"unknown: the fits of {some} folds failed, or their scoring (the score is NaN); "
            "the reason stayed in the worker"
        )
    if nameless:
        return f"ValueError: {nameless[0].removeprefix('mean_')} is not a number"
    return None


def _comparable(splits: Sequence[float]) -> tuple[float, ...]:
    return tuple(math.inf if math.isnan(score) else score for score in splits)


def read_results(search: Any) -> Results:
    """Read what a fitted search tells of itself."""
    table = _get(search, "cv_results_")
    table = table if isinstance(table, Mapping) else None
    params = None if table is None else _listed(table.get("params"))
    trials = _get(search, "trials_")
    if params is None and trials is not None and table is not None:
        params = [trial.params for trial in trials]
    refit = _get(search, "refit")
    score = _get(search, "best_score_")
    index = _get(search, "best_index_")
    return Results(
        table=table,
        params=params,
        best_params=_get(search, "best_params_") or {},
        best_score=None if score is None or math.isnan(score) else float(score),
        best_index=None if index is None else int(index),
        scorer=_scorer(table or {}, refit),
    )


def _listed(params: Any) -> list[Any] | None:
    """Return what each row set; some third parties have an array of it."""
    with suppress(TypeError):
        return list(params)
    return None


def _scorer(table: Mapping[str, Any], refit: Any) -> str:
    """Return the scorer that decided: ``score`` where there is only one."""
    for prefix in ("mean_test_", "test_"):
        names = [name.removeprefix(prefix) for name in table if name.startswith(prefix)]
        if names:
            return next((name for name in ("score", refit) if name in names), names[0])
    return "score"


def has_candidates(estimator: Any) -> bool:
    """Tell whether a fitted estimator shows that it has searched: by a table of candidates.

    Its ``cv_results_`` says what each row set (``params``) and how well that did. That of a
    recursive feature elimination has scores, but no params.
    """
    # Not what the object says of another that it holds.
    if "cv_results_" not in getattr(estimator, "__dict__", ()) and not hasattr(
        type(estimator), "cv_results_"
    ):
        return False
    table = _get(estimator, "cv_results_")
    if not isinstance(table, Mapping) or "params" not in table or searched_by(estimator) is None:
        return False
    results = read_results(estimator)
    params = results.params or ()
    told = len(params) > 0 and all(isinstance(each, Mapping) for each in params)
    return told and results.tells_scores()


def _get(search: Any, name: str) -> Any:
    """Return an attribute; with some third parties it is a property that raises various types."""
    with suppress(Exception):
        return getattr(search, name, None)
    return None
