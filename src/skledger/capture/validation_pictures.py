"""The numbers behind the pictures of cross-validation and of scikit-learn's curves.

The forms, by ``"kind"``:

``learning_curve``, ``validation_curve``
    ``x`` ascending, on a logarithmic axis if ``log``, or places in ``labels``; ``train`` and
    ``test``, each with ``mean`` and ``std`` over the ``folds``. A validation curve has its
    ``param``. At most 200 values; ``left_out`` are not shown.
``permutation_test``
    ``score``, ``pvalue``, and the ``histogram`` (``edges`` and ``counts``) of the scores with
    permuted targets; ``n`` of them.
``cv_scores``
    ``metrics`` (at most 12; ``left_out`` are not shown), each with ``name``, ``scores`` by fold
    (at most 500), their ``mean`` and ``std``, and ``n``, the number of folds.

All have a ``title``; the first three say in ``metric`` what the score is. Numbers have six
significant digits; what is not finite is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.pictures import label_text, short
from skledger.capture.search_values import column_of, labels_of

__all__ = [
    "folds_picture",
    "learning_curve_picture",
    "permutation_picture",
    "validation_curve_picture",
]

Floats = NDArray[np.float64]
Picture = dict[str, Any]

_MAX_TICKS = 200
_MAX_LABELS = 40
_MAX_FOLDS = 500
_MAX_METRICS = 12
_MAX_BINS = 50


def learning_curve_picture(
    train_sizes: Any, train_scores: Any, test_scores: Any, metric: str = "score"
) -> dict[str, Picture]:
    """Give the scores by the number of training rows.

    Parameters
    ----------
    train_sizes : array-like of shape (n_ticks,)
        Numbers of training rows.
    train_scores, test_scores : array-like of shape (n_ticks, n_folds)
        As `learning_curve` returns them; NaN where a fit failed.
    metric : str
        What the score is, in a word.

    Returns
    -------
    dict
        ``learning_curve``.
    """
    picture = _curve(list(train_sizes), train_scores, test_scores)
    metric = label_text(metric)
    head = {"kind": "learning_curve", "title": f"Learning curve: {metric}", "metric": metric}
    return {"learning_curve": head | picture}


def validation_curve_picture(
    param_name: str,
    values: Sequence[Any],
    train_scores: Any,
    test_scores: Any,
    metric: str = "score",
) -> dict[str, Picture]:
    """Give the scores by the values of a param.

    Parameters
    ----------
    param_name : str
        The param.
    values : sequence of length n_ticks
        Its values: numbers, or anything else.
    train_scores, test_scores : array-like of shape (n_ticks, n_folds)
        As `validation_curve` returns them; NaN where a fit failed.
    metric : str
        What the score is, in a word.

    Returns
    -------
    dict
        ``validation_curve``.
    """
    picture = _curve(list(values), train_scores, test_scores)
    param, metric = label_text(param_name), label_text(metric)
    title = f"Validation curve: {metric} by {param}"
    head = {"kind": "validation_curve", "title": title, "metric": metric, "param": param}
    return {"validation_curve": head | picture}


def permutation_picture(
    score: float, permutation_scores: Any, pvalue: float, metric: str = "score"
) -> dict[str, Picture]:
    """Give the score beside those of permuted targets.

    Parameters
    ----------
    score : float
        With the true targets.
    permutation_scores : array-like of shape (n_permutations,)
        With permuted ones.
    pvalue : float
        As `permutation_test_score` returns it.
    metric : str
        What the score is, in a word.

    Returns
    -------
    dict
        ``permutation_test``.
    """
    scores = np.asarray(permutation_scores, dtype=np.float64).ravel()
    edges, counts = _histogram(scores[np.isfinite(scores)])
    metric = label_text(metric)
    picture = {
        "kind": "permutation_test",
        "title": f"Permutation test: {metric}",
        "metric": metric,
        "score": _one(score),
        "pvalue": _one(pvalue),
        "histogram": {"edges": edges, "counts": counts},
        "n": len(scores),
    }
    return {"permutation_test": picture}


def folds_picture(scores_by_metric: Mapping[str, Any]) -> dict[str, Picture]:
    """Give the score of each fold.

    Parameters
    ----------
    scores_by_metric : mapping of str to array-like of shape (n_splits,)
        Scores of the folds by metric; NaN where a fit failed.

    Returns
    -------
    dict
        ``cv_scores``; empty without metrics.
    """
    if not scores_by_metric:
        return {}
    shown = list(scores_by_metric.items())[:_MAX_METRICS]
    picture: Picture = {
        "kind": "cv_scores",
        "title": "Scores by fold",
        "metrics": [_folds(name, scores) for name, scores in shown],
        "left_out": len(scores_by_metric) - len(shown),
    }
    return {"cv_scores": picture}


def _folds(name: str, scores: Any) -> Picture:
    values = np.asarray(scores, dtype=np.float64).ravel()
    mean, std = _mean_std(values[np.newaxis])
    places = _evenly(len(values), _MAX_FOLDS)
    return {
        "name": label_text(name),
        "folds": places.tolist(),
        "scores": short(values[places]),
        "mean": short(mean)[0],
        "std": short(std)[0],
        "n": len(values),
    }


def _curve(ticks: list[Any], train_scores: Any, test_scores: Any) -> Picture:
    """Give both curves with their ticks, ascending if they are numbers."""
    train, test = _by_tick(train_scores), _by_tick(test_scores)
    n = min(len(ticks), len(train), len(test))
    column = column_of("", ticks[:n])
    if column.numeric and column.skipped == 0:
        order = np.argsort(column.values, kind="stable")
        shown = order[_evenly(n, _MAX_TICKS)]
        x: Picture = {"x": short(column.values[shown]), "log": column.log}
    else:
        # In the order they were given, each at its own place, whatever its text.
        shown = _evenly(n, _MAX_LABELS)
        labels = labels_of([ticks[one] for one in shown.tolist()])
        x = {"x": list(range(len(shown))), "labels": labels}
    curves = {"train": _band(train[shown]), "test": _band(test[shown])}
    return {**x, **curves, "folds": int(test.shape[1]), "left_out": n - len(shown)}


def _by_tick(scores: Any) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    return values.reshape(len(values), math.prod(values.shape[1:]))


def _band(scores: Floats) -> Picture:
    mean, std = _mean_std(scores)
    return {"mean": short(mean), "std": short(std)}


def _mean_std(scores: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation along the last axis, of the finite scores."""
    finite = np.isfinite(scores)
    with np.errstate(all="ignore"):
        counts = finite.sum(axis=-1)
        mean = np.where(finite, scores, 0.0).sum(axis=-1) / counts
        apart = np.where(finite, scores - mean[..., np.newaxis], 0.0)
        return mean, np.sqrt((apart**2).sum(axis=-1) / counts)


def _evenly(n: int, most: int) -> NDArray[np.intp]:
    """Return at most so many places out of n, evenly, with the first and the last."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.intp)


def _one(value: Any) -> float | None:
    number: float | None = short(np.array([value], dtype=np.float64))[0]
    return number


def _histogram(scores: Floats) -> tuple[list[Any], list[int]]:
    """Count scores in bins of equal width."""
    if not len(scores):
        return [], []
    n_bins = int(min(_MAX_BINS, max(5, np.sqrt(len(scores)) * 1.5)))
    low, high = float(scores.min()), float(scores.max())
    with np.errstate(all="ignore"):
        width = high / n_bins - low / n_bins
        # Spread too small to be divided: one bin around all of them.
        if not width > 1e-12 * max(abs(low), abs(high)):
            half = 1e-3 * abs(low) or 0.5
            return short(np.array([low - half, high + half])), [len(scores)]
        # Divided before they are subtracted, which for huge scores may give infinity.
        bins = np.minimum((scores / width - low / width).astype(np.intp), n_bins - 1)
        edges = low + width * np.arange(n_bins + 1)
    return short(edges), np.bincount(bins, minlength=n_bins).tolist()
