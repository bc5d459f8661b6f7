"""Which metrics people look at first, and whether more of one is better."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from skledger.server.pages.formatting import number_text

__all__ = [
    "best_of",
    "brief",
    "higher_is_better",
    "is_number",
    "metric_places",
    "preferred_metrics",
]

#: What is counted or timed, rather than how good a model is.
_ASIDE = re.compile(
    r"^(n_samples|n_features|n_iter|best_iteration|rank_test_.*|std_.*|fit_seconds|system/.*"
    r"|((mean|std)_)?(fit|score)_time)(-\d+)?$"
)
_HELD_OUT = re.compile(
    r"(^|_)(x_)?(test|val|valid|validation|holdout|held_out|eval|cv|oob)(_|$|\d)"
)
#: Curves of a fit. Most are losses, but which of them are depends on the estimator: the
#: `train_score` of one is a loss, that of another is the loss below zero, and so for out-of-bag
#: and validation scores. Nobody can tell from the name which values are good.
_CURVE = re.compile(
    r"(train_score|(validation|oob)_scores?|oob_improvement|scores|loglike|lower_bounds?"
    r"|loss_curve|estimator_errors|staged_score|error)(-\d+)?$"
)
#: Those whose name does tell that they are losses.
_LOSS_CURVE = re.compile(r"(loss_curve|estimator_errors|error)(-\d+)?$")
_TRAINING = re.compile(r"^(training_|train_|mean_train_|iteration_train)")
_LESS = re.compile(
    r"loss|error|(^|_)(rmse|mse|mae|mape|brier|deviance|perplexity|hinge|time|seconds|duration"
    r"|latency|rank)(_|$|-)"
)
_MORE = re.compile(
    r"score|accuracy|precision|recall|jaccard|kappa|silhouette|matthews|likelihood"
    r"|(^|_)(f1|fbeta|auc|roc|r2|map|ndcg|mcc)(_|$|-)"
)
_ANY_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?|-?inf|nan", re.I | re.ASCII)
_NUMBER = re.compile(r"-?\d+\.\d+(e[+-]?\d+)?")
#: Numbers of up to so many characters are shown as they are.
_LONG = 9
#: Scores of one fold, or of one part of an estimator.
_OF_FOLD = re.compile(r"split\d+_")
#: The out-of-bag score of forests is a score, that of boosting a loss.
_UNSURE = re.compile(r"oob_")
_NEGATED = re.compile(r"(^|_)neg_")


def preferred_metrics(keys: Iterable[str]) -> list[str]:
    """Return metrics in the order in which they tell: of held-out data first, counts last."""
    places = metric_places(keys)
    return sorted(places, key=lambda key: (places[key], key))


def metric_places(keys: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return how late metrics come where people look: first those of data not seen in the fit.

    After them others, then those of the training data, then curves and the last fold of what has
    a mean, of which a number tells little, and counts and times.
    """
    every = list(keys)
    # The scores of the folds, and their mean beside them.
    folds = {key.removeprefix("mean_") for key in every if key.startswith("mean_")}

    def place(key: str) -> tuple[int, int]:
        low = key.lower()
        if _ASIDE.match(low):
            found = 4
        elif key in folds or _CURVE.match(low) or _OF_FOLD.match(low):
            found = 3
        elif _TRAINING.match(low):
            found = 2
        else:
            found = 0 if _HELD_OUT.search(low) else 1
        return found, 0 if _MORE.search(low) or _LESS.search(low) else 1

    return {key: place(key) for key in every}


def higher_is_better(key: str) -> bool | None:
    """Return whether more of a metric is better, as its name tells; None when it does not."""
    low = key.lower()
    if _NEGATED.search(low):
        return True
    if re.match(r"(n_samples|n_features|n_iter|std_|best_iteration)", low):
        return None
    if _CURVE.match(low) and low != "staged_score":
        return False if _LOSS_CURVE.match(low) else None
    if _UNSURE.match(low):
        return None
    if _LESS.search(low):
        return False
    return True if _MORE.search(low) else None


def is_number(text: str) -> bool:
    """Whether a param's value is a number."""
    return bool(_ANY_NUMBER.fullmatch(text))


def brief(text: str) -> str:
    """Return a param's value for reading: a long number with the digits that count."""
    if len(text) <= _LONG or not _NUMBER.fullmatch(text):
        return text
    return number_text(float(text))


def best_of(key: str, values: Sequence[float | None]) -> set[int]:
    """Return the places of the best values; none when all are alike or nobody can tell."""
    known = [each for each in values if each is not None and not math.isnan(each)]
    more = higher_is_better(key)
    if more is None or len(set(known)) < 2:
        return set()
    best = max(known) if more else min(known)
    return {place for place, each in enumerate(values) if each == best}
