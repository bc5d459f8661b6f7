"""What a cross-validation tells of one estimator: its params, its folds, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from skledger._guard import contain
from skledger.capture.params import params_as_text

__all__ = [
    "Fold",
    "ParamTexts",
    "Score",
    "Summary",
    "is_pipeline",
    "is_search",
    "leaf_params",
    "read_fold",
    "searched_by",
    "summarise",
]

#: One value of one metric, where it is a number.
Score = tuple[str, float]

_GRIDS = ("param_", "search_space", "space", "parameters")


def is_search(estimator: Any) -> bool:
    """Tell whether an estimator searches for params of another, before it does.

    scikit-learn's searches and what is derived from them do. Of others, what takes an estimator, a
    cross-validation and something to search in. What else does shows in its results: see
    `skledger.capture.results.has_candidates`.
    """
    name = "sklearn.model_selection._search", "BaseSearchCV"
    if any((each.__module__, each.__name__) == name for each in type(estimator).__mro__):
        return True
    if type(estimator).__module__.startswith("sklearn."):
        return False
    names = estimator.get_params(deep=False).keys()
    return {"estimator", "cv"} <= names and any(each.startswith(_GRIDS) for each in names)


def searched_by(search: Any) -> Any:
    """Return the estimator whose params a search tries; None when it has none.

    It is ``estimator``, or the only other param that can be fitted.
    """
    estimator = getattr(search, "estimator", None)
    if estimator is None:
        params = search.get_params(deep=False).values()
        fitting = [each for each in params if hasattr(each, "fit") and hasattr(each, "get_params")]
        estimator = fitting[0] if len(fitting) == 1 else None
    return estimator


def is_pipeline(estimator: Any) -> bool:
    """Tell whether an estimator is a pipeline, in which a search may be a step."""
    return any(each.__name__ == "Pipeline" for each in type(estimator).__mro__)


@dataclass(frozen=True, slots=True)
class Fold:
    """What one split brought.

    Parameters
    ----------
    index : int
        Which split, from 0.
    scores : dict of str to float
        ``test_score`` or ``test_<scorer>``, the same with ``train_`` when asked for; NaN included.
    fit_time, score_time : float or None
        In s.
    error : str or None
        The traceback, when training failed; the scores are then not the estimator's.
    started : float or None
        In s since the epoch.
    ended : float
        In s since the epoch.
    summary : Summary or None
        What all folds of its estimator come to, where that is known from a table.
    """

    index: int
    scores: dict[str, float]
    fit_time: float | None
    score_time: float | None
    error: str | None
    started: float | None
    ended: float
    summary: Summary | None = None

    def known_scores(self) -> list[Score]:
        """Return the scores that the estimator got: none when it failed, never NaN."""
        if self.error is not None:
            return []
        return [(key, value) for key, value in self.scores.items() if not math.isnan(value)]


def read_fold(index: int, result: Mapping[str, Any], started: float | None, ended: float) -> Fold:
    """Read what scikit-learn's ``_fit_and_score`` returns."""
    scores: dict[str, float] = {}
    for part in ("test", "train"):
        found = result.get(f"{part}_scores")
        if isinstance(found, Mapping):
            scores.update({_key(part, name): float(value) for name, value in found.items()})
        elif found is not None:
            scores[_key(part, "score")] = float(found)
    fit_time, score_time = result.get("fit_time"), result.get("score_time")
    if started is None and fit_time is not None:
        started = ended - fit_time - (score_time or 0.0)
    return Fold(index, scores, fit_time, score_time, result.get("fit_error"), started, ended)


@cache
def _key(part: str, name: str) -> str:
    # One object for all folds: who checks a key knows the next at sight.
    return f"{part}_{name}"


@dataclass(slots=True)
class Summary:
    """What the folds of one estimator come to.

    Parameters
    ----------
    metrics : dict of str to float
        Means and standard deviations, named as in ``cv_results_``; never NaN.
    error : str or None
        Why it counts as failed: the first traceback, or that its score is not a number.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None


def summarise(estimators: Sequence[Sequence[Fold]]) -> list[Summary]:
    """Return the means and standard deviations over the folds of each estimator.

    The same numbers as in ``cv_results_``: means over the folds, and standard deviations with the
    number of folds as divisor. Folds that are known from a table bring with them what it tells.

    Parameters
    ----------
    estimators : sequence of sequences of Fold
        The folds of each estimator; all are summarised at once, which is much faster.
    """
    summaries = [Summary() for _ in estimators]
    groups: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for at, folds in enumerate(estimators):
        if folds and folds[0].summary is not None:
            summaries[at] = folds[0].summary
        elif folds:
            groups.setdefault((len(folds), _columns(folds)), []).append(at)
    for (_, columns), members in groups.items():
        for column in columns:
            _summarise_column(column, members, estimators, summaries)
    for folds, summary in zip(estimators, summaries, strict=True):
        failed = next((fold.error for fold in folds if fold.error is not None), None)
        if failed is not None:
            summary.error = failed
    return summaries


def _columns(folds: Sequence[Fold]) -> tuple[str, ...]:
    """Return the names that every fold has; a failed one may lack those of several scorers."""
    shared = [key for key in folds[0].scores if all(key in fold.scores for fold in folds)]
    times = [
        name
        for name in ("fit_time", "score_time")
        if all(getattr(fold, name) is not None for fold in folds)
    ]
    return (*times, *shared)


def _summarise_column(
    column: str,
    members: Sequence[int],
    estimators: Sequence[Sequence[Fold]],
    summaries: Sequence[Summary],
) -> None:
    import numpy as np

    is_time = column in ("fit_time", "score_time")
    values = np.array(
        [
            [getattr(fold, column) if is_time else fold.scores[column] for fold in estimators[at]]
            for at in members
        ],
        dtype=np.float64,
    )
    with np.errstate(all="ignore"):
        means = np.average(values, axis=1)
        deviations = np.sqrt(np.average((values - means[:, np.newaxis]) ** 2, axis=1))
    mean_key, std_key = _key("mean", column), _key("std", column)
    for at, mean, deviation in zip(members, means.tolist(), deviations.tolist(), strict=True):
        if math.isnan(mean):
            if column.startswith("test_"):
                summaries[at].error = f"ValueError: {column} is not a number"
            continue
        summaries[at].metrics[mean_key] = mean
        if not math.isnan(deviation):
            summaries[at].metrics[std_key] = deviation


def leaf_params(estimator: Any) -> dict[str, Any]:
    """Return the params that hold no estimator: those of a pipeline's steps, not the steps."""
    return {
        key: value
        for key, value in estimator.get_params(deep=True).items()
        if not _holds_estimator(value)
    }


def _holds_estimator(value: Any) -> bool:
    if hasattr(value, "get_params"):
        return True
    return isinstance(value, list | tuple) and any(
        hasattr(part, "get_params")
        for item in value
        for part in (item if isinstance(item, tuple) else (item,))
    )


class ParamTexts:
    """The params of an estimator with the values of a candidate, as text.

    The text of an estimator is slow to make, so what holds estimators is left out unless it was
    searched; the params of the parts say the same.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator that is searched.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._base: dict[str, str] = {}
        with contain(f"the params of {type(estimator).__name__}"):
            self._base = params_as_text(leaf_params(estimator))

    def of(
        self, params: Mapping[str, Any], rung: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the params of one candidate.

        Parameters
        ----------
        params : mapping
            What it sets.
        rung : mapping of str to str, optional
            What stands beside them: of a halving search ``iter`` and ``n_resources``. Where the
            estimator has a param of such a name, ``halving_<name>``.
        """
        own, base = params_as_text(params), self._base
        if any(_holds_estimator(value) for value in params.values()):
            with contain("the params of a candidate"):
                base = params_as_text(leaf_params(self._with(params)))
        texts = {**base, **own}
        if not rung:
            return texts
        return {**texts, **{k if k not in texts else f"halving_{k}": v for k, v in rung.items()}}

    def of_estimator(self, estimator: Any) -> dict[str, str]:
        """Return the params of a candidate that has them set already."""
        return params_as_text(leaf_params(estimator))

    def differing(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Return those that are not what the searched estimator has."""
        return {key: text for key, text in texts.items() if self._base.get(key) != text}

    def _with(self, params: Mapping[str, Any]) -> Any:
        from sklearn.base import clone

        return clone(self._estimator).set_params(**clone(dict(params), safe=False))
