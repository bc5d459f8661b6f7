"""ROC and precision-recall curves from one sort of the scores.

A curve is kept as a :class:`Ranking`: the weight of negatives and positives seen so far while
the threshold falls. Areas are computed from all of its points; pictures keep at most 200.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_POINTS",
    "Ranking",
    "average_precision",
    "macro_average",
    "one_vs_one_area",
    "pr_line",
    "rank",
    "roc_area",
    "roc_line",
    "thin",
]

Floats = NDArray[np.float64]

#: The most points a curve keeps.
MAX_POINTS = 200


@dataclass(slots=True)
class Ranking:
    """What lies at or above each distinct score, scores falling.

    Attributes
    ----------
    fps, tps : ndarray of shape (n_thresholds,)
        Weight of the negatives and of the positives with at least that score. Without sample
        weights these are whole numbers, and thereby exact.
    """

    fps: Floats
    tps: Floats

    @property
    def defined(self) -> bool:
        """Whether both positives and negatives occur, without which no curve exists."""
        return bool(len(self.tps) and self.tps[-1] > 0 and self.fps[-1] > 0)


def rank(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], weight: Floats | None = None
) -> Ranking:
    """Sort by score and accumulate negatives and positives.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Finite scores, greater meaning more likely positive.
    positive : ndarray of shape (n_samples,)
        Which rows are positive.
    weight : ndarray of shape (n_samples,), optional
        Sample weights; rows of weight zero do not count.

    Returns
    -------
    Ranking
        With one entry for each distinct score.
    """
    if weight is not None:
        counts = weight != 0
        if not counts.all():
            scores, positive, weight = scores[counts], positive[counts], weight[counts]
    order, ends = _falling(scores)
    hits = positive[order]
    if weight is None:
        tps = np.cumsum(hits)[ends].astype(np.float64)
        return Ranking(ends + 1.0 - tps, tps)
    weight = weight[order]
    tps = np.cumsum(np.where(hits, weight, 0.0))[ends]
    fps = np.cumsum(np.where(hits, 0.0, weight))[ends]
    return Ranking(fps, tps)


def roc_area(ranking: Ranking) -> float | None:
    """Area under the ROC curve by trapezoids; None where it is not defined.

    With negative weights the false positive rate may fall, and then no area is defined either.
    """
    if not ranking.defined:
        return None
    fps, tps = ranking.fps, ranking.tps
    steps = fps[1:] - fps[:-1]
    if fps[0] < 0 or (steps < 0).any():
        return None
    twice = fps[0] * tps[0] + float(np.dot(steps, tps[1:] + tps[:-1]))
    return float(twice / (2.0 * tps[-1] * fps[-1]))


def average_precision(ranking: Ranking) -> float:
    """Area under the precision-recall curve: precision summed over the steps of recall."""
    precision = _precision(ranking)
    tps = ranking.tps
    summed = tps[0] * precision[0] + float(np.dot(tps[1:] - tps[:-1], precision[1:]))
    return max(0.0, float(summed / tps[-1]))


def one_vs_one_area(
    probabilities: NDArray[np.floating], codes: NDArray[np.intp], keep: bool
) -> tuple[float, list[Ranking]]:
    """Multiclass ROC AUC: one class against one, weighted by how frequent the pair is.

    For each column, each row's number of members of that column's class that score higher
    (ties count half) is summed by the rows' classes: all pairs' rank statistics at once (Hand
    and Till, 2001), so K sorts do the work of K(K - 1).

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        One column for each class.
    codes : ndarray of shape (n_samples,)
        True classes as columns; each class occurs.
    keep : bool
        Whether to give the one-against-rest rankings too, which the same sorts yield.

    Returns
    -------
    area : float
        The average over all pairs of classes.
    rankings : list of Ranking
        One for each class, empty unless ``keep``.
    """
    n_classes = probabilities.shape[1]
    counts = np.bincount(codes, minlength=n_classes).astype(np.float64)
    by_class = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts[:-1]).astype(np.intp))
    rankings: list[Ranking] = []
    total = 0.0
    for column, members in enumerate(by_class):
        scores = np.ascontiguousarray(probabilities[:, column])
        if keep:
            above, ranking = _ranked(scores, codes == column)
            rankings.append(ranking)
        else:
            above = _above(scores, np.sort(scores[members]))
        wins = np.bincount(codes, weights=above, minlength=n_classes)
        pairs = wins * (counts + counts[column]) / (counts * counts[column])
        pairs[column] = 0.0
        total += float(pairs.sum())
    # Each pair is counted twice above, halved here; the weights sum to (K - 1) n.
    return total / 2.0 / ((n_classes - 1) * float(counts.sum())), rankings


def roc_line(ranking: Ranking) -> tuple[Floats, Floats]:
    """False and true positive rates, ascending from (0, 0) to (1, 1)."""
    fpr = np.concatenate(([0.0], ranking.fps / ranking.fps[-1]))
    return fpr, np.concatenate(([0.0], ranking.tps / ranking.tps[-1]))


def pr_line(ranking: Ranking) -> tuple[Floats, Floats]:
    """Recall, ascending from 0, and precision.

    A precision holds from the previous recall up to its own (steps before the point).
    """
    recall = np.concatenate(([0.0], ranking.tps / ranking.tps[-1]))
    return recall, np.concatenate(([1.0], _precision(ranking)))


def macro_average(
    lines: Sequence[tuple[Floats, Floats]], *, stepped: bool
) -> tuple[Floats, Floats]:
    """Average curves vertically, every class counting the same.

    Parameters
    ----------
    lines : sequence of tuple of ndarray
        The classes' curves, all of them defined.
    stepped : bool
        Whether a value holds up to its place from the previous one (precision-recall curves);
        otherwise points are joined by straight lines (ROC curves).

    Returns
    -------
    x, y : ndarray of shape (n_points,)
        Some 400 points at most.
    """
    corners = [x if len(x) <= 50 else x[thin(x, y, 50, stepped=stepped)] for x, y in lines]
    places = np.sort(np.concatenate(corners))
    # Quantiles of where the curves have their corners: as fine a grid as the classes need.
    if len(places) > 2 * MAX_POINTS:
        picks = np.linspace(0, len(places) - 1, 2 * MAX_POINTS).astype(np.intp)
        places = places[picks]
    grid = np.unique(places)
    total = np.zeros_like(grid)
    for x, y in lines:
        total += y[np.searchsorted(x, grid)] if stepped else np.interp(grid, x, y)
    mean = total / len(lines)
    if not stepped:
        # At 0 the interpolation gives the upper end of a rise that begins at the origin.
        grid, mean = np.concatenate(([0.0], grid)), np.concatenate(([0.0], mean))
    return grid, mean


def thin(
    x: Floats, y: Floats, limit: int = MAX_POINTS, *, stepped: bool = False
) -> NDArray[np.intp]:
    """Choose points that keep a curve's shape.

    Points on a straight line between their neighbours go first. If too many remain, half of
    them are spaced evenly along the curve and half along x, so that neither steep nor flat
    parts are lost.

    Parameters
    ----------
    x, y : ndarray of shape (n_points,)
        The curve, x ascending.
    limit : int
        The most points to keep.
    stepped : bool
        Whether the curve is drawn in steps, not in straight lines: then every point of a
        slope is an edge.

    Returns
    -------
    ndarray of shape (n_kept,)
        Positions, ascending, with the first and the last point.
    """
    dx, dy = x[1:] - x[:-1], y[1:] - y[:-1]
    if stepped:
        bends = ((dx[:-1] != 0) | (dx[1:] != 0)) & ((dy[:-1] != 0) | (dy[1:] != 0))
    else:
        bends = np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1]) > 1e-15 * np.abs(dx[:-1] * dy[1:])
    kept = np.concatenate(([0], np.flatnonzero(bends) + 1, [len(x) - 1]))
    if len(kept) <= limit:
        return kept
    xs, ys = x[kept], y[kept]
    way = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(xs)) + np.abs(np.diff(ys)))))
    half = limit // 2
    along = np.searchsorted(way, np.linspace(0.0, way[-1], half))
    across = np.searchsorted(xs, np.linspace(xs[0], xs[-1], limit - half - 1))
    picked = np.concatenate(([0], along[1:], across[:-1], [len(kept) - 1]))
    chosen: NDArray[np.intp] = kept[np.unique(np.minimum(picked, len(kept) - 1))]
    return chosen


def _above(scores: NDArray[np.floating], members: NDArray[np.floating]) -> Floats:
    """For each row how many of a class's scores, given ascending, are higher; ties are half."""
    below = np.searchsorted(members, scores) + np.searchsorted(members, scores, "right")
    return len(members) - below / 2.0


def _ranked(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> tuple[Floats, Ranking]:
    """Give the same from a sort of all rows, and the ranking, which pictures want too."""
    order, ends = _falling(scores)
    tps = np.cumsum(positive[order])[ends].astype(np.float64)
    # Rows of one score share the middle between the positives above and those included.
    middle = (tps + np.concatenate(([0.0], tps[:-1]))) / 2.0
    if len(ends) != len(order):
        middle = np.repeat(middle, np.diff(ends, prepend=-1))
    above = np.empty_like(middle)
    above[order] = middle
    return above, Ranking(ends + 1.0 - tps, tps)


def _falling(scores: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order by falling score, and where each run of equal scores ends."""
    # A stable sort finds the runs that predicted probabilities are full of.
    order = np.argsort(scores, kind="stable")[::-1]
    falling = scores[order]
    ends = np.flatnonzero(falling[1:] != falling[:-1])
    return order, np.append(ends, len(order) - 1)


def _precision(ranking: Ranking) -> Floats:
    seen = ranking.tps + ranking.fps
    return np.divide(ranking.tps, seen, out=np.zeros_like(seen), where=seen != 0)
