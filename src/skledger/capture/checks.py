"""Cheap first checks of a fit and of its scores: what a colleague would say at a first look.

Each looks at what is there anyway (predictions, a few hundred rows, a score) and says a sentence
or nothing. docs/checks.md explains them.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.metrics_labels import target_array

__all__ = ["NAMES", "TAG_PREFIX", "Finding", "after_fit", "after_metric"]

CONSTANT_PREDICTION = "constant_prediction"
TARGET_IN_FEATURES = "target_in_features"
TRAIN_BETTER_THAN_TEST = "train_better_than_test"
MISSING_CLASS = "missing_class"
#: Every check, by the name that switches it.
NAMES = (CONSTANT_PREDICTION, TARGET_IN_FEATURES, TRAIN_BETTER_THAN_TEST, MISSING_CLASS)
#: What stands before a check's name in its tag.
TAG_PREFIX = "skledger.check."

#: On fewer rows, one prediction for all or a column equal to the target is no wonder.
FEWEST_ROWS = 10
#: Rows of a first look; only what it finds is looked at whole.
SAMPLED_ROWS = 64
#: A prime; multiples of it fall all over the rows.
_SCATTER = 2_654_435_761
#: Values of a first look, at most, whatever the number of columns.
SAMPLED_VALUES = 200_000
#: How much lower than in training a score is that is far worse, and by which factor the rest
#: (to a perfect score) is larger.
SCORE_GAP, REST_RATIO = 0.1, 2.0
#: Rows among which nearly every class of a usual problem occurs.
FIRST_ROWS = 2000

_SCORES = {
    "score": "score",
    "accuracy_score": "accuracy_score",
    "r2_score": "r2_score",
    "roc_auc_score": "roc_auc",
}
#: To which power an error is a share of the spread of the targets.
_ERRORS = {"mean_squared_error": 1, "root_mean_squared_error": 2, "mean_absolute_error": 1}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has to say.

    Parameters
    ----------
    name : str
        The check, one of `NAMES`; its tag is ``skledger.check.<name>``.
    text : str
        One sentence.
    """

    name: str
    text: str


def after_fit(
    estimator: Any,
    X: Any,
    y: Any,
    predicted: Any,
    metrics: Mapping[str, float],
    names: Container[str] = NAMES,
) -> list[Finding]:
    """Check a fit for a constant prediction, and for its target among its features.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like of shape (n_samples, n_features)
        Training data.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
        Targets.
    predicted : array-like or None
        What the estimator predicts for `X`, or for a sample of its rows.
    metrics : mapping of str to float
        The training metrics.
    names : container of str
        The checks that are wanted.

    Returns
    -------
    list of Finding
        Mostly empty.
    """
    found: list[Finding] = []
    if y is None:
        return found
    targets = target_array(y)
    if not _is_looked_at(targets) or _is_constant(targets):
        return found
    if CONSTANT_PREDICTION in names and predicted is not None:
        found += _constant_prediction(estimator, predicted)
    if TARGET_IN_FEATURES in names and targets.ndim == 1:
        found += _target_in_features(X, targets, is_class="training_accuracy_score" in metrics)
    return found


def after_metric(
    function: str,
    value: Any,
    training: Mapping[str, float],
    y_true: Any,
    classes: Any,
    names: Container[str] = NAMES,
    about: str = "this data",
    *,
    of_one_class: bool = False,
) -> list[Finding]:
    """Check a score on other data, whether it is far worse there, and whether a class is missing.

    Parameters
    ----------
    function : str
        A function of scikit-learn's metrics, such as ``accuracy_score``, or ``score``.
    value : float
        What it gave; anything else than a number is not compared.
    training : mapping of str to float
        The metrics of the fit, by their full names (``training_score``); empty when this one was
        computed in another way.
    y_true : array-like of shape (n_samples,) or None
        The targets it was computed from.
    classes : array-like of shape (n_classes,) or None
        The classes that the estimator knows.
    names : container of str
        The checks that are wanted.
    about : str
        What the data are called.
    of_one_class : bool, default=False
        Whether a single column of probabilities of more than two classes was measured: then the
        targets only say which rows are of that class.

    Returns
    -------
    list of Finding
        Mostly empty.
    """
    found: list[Finding] = []
    if TRAIN_BETTER_THAN_TEST in names and _is_number(value):
        found += _train_better(function, float(value), training, y_true, about)
    knows = y_true is not None and isinstance(classes, np.ndarray) and not of_one_class
    if MISSING_CLASS in names and knows:
        found += _missing_class(y_true, classes, about)
    return found


def _is_looked_at(values: Any) -> bool:
    """Tell whether there are values enough to say something; sparse ones are left alone."""
    return isinstance(values, np.ndarray) and values.ndim > 0 and len(values) >= FEWEST_ROWS


# -- a constant prediction ------------------------------------------------------------------------


def _constant_prediction(estimator: Any, predicted: Any) -> list[Finding]:
    if type(estimator).__module__ == "sklearn.dummy":  # they are meant to
        return []
    given = target_array(predicted)
    if not _is_looked_at(given) or not _is_constant(given):
        return []
    text = (
        f"the model predicts {_shown(given[0])} for each of {len(given)} training rows, although "
        "their targets differ: it has learned nothing from the features"
    )
    return [Finding(CONSTANT_PREDICTION, text)]


def _is_constant(values: NDArray[Any]) -> bool:
    """Tell whether all rows are the same; most differ at the first look."""
    few = values[: 4 * SAMPLED_ROWS : SAMPLED_ROWS]
    return bool(np.all(few == few[0])) and bool(np.all(values == values[0]))


# -- the target among the features ----------------------------------------------------------------


def _target_in_features(X: Any, y: NDArray[Any], *, is_class: bool) -> list[Finding]:
    shape = getattr(X, "shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] != len(y) or not shape[1]:
        return []
    rows = _few_rows(len(y), shape[1])
    if rows is None:
        return []
    look = y[rows]
    if _is_constant(look):  # a rare class: a constant column would equal it on these rows
        return []
    if hasattr(X, "tocsr"):
        suspects = _equal_sparse_columns(X, rows, look)
    else:
        suspects = _equal_columns(_rows_of(X, rows), look, is_class=is_class)
    for column in suspects:
        values = _column(X, column)
        if values is not None and _says_the_same(values, y, is_class=is_class):
            text = (
                f"the feature {_feature_name(X, column)} tells the target of all {len(y)} training "
                "rows exactly: is it known when the model is used?"
            )
            return [Finding(TARGET_IN_FEATURES, text)]
    return []


def _few_rows(n_rows: int, n_columns: int) -> NDArray[np.intp] | None:
    """Return rows to look at first, spread over all; None of data too wide to be looked at."""
    count = min(SAMPLED_ROWS, n_rows, SAMPLED_VALUES // n_columns)
    if count < FEWEST_ROWS:
        return None
    # Not evenly spaced: data may be ordered in periods.
    return np.unique(np.arange(count) * _SCATTER % n_rows)


def _rows_of(X: Any, rows: NDArray[np.intp]) -> NDArray[Any]:
    return np.asarray(X.iloc[rows] if hasattr(X, "iloc") else X[rows])


def _equal_columns(few: NDArray[Any], look: NDArray[Any], *, is_class: bool) -> list[int]:
    """Return the columns that may say what the target says."""
    if few.ndim != 2 or len(few) != len(look):
        return []
    if is_class:
        # In rows of one class it has one value: compare each row with the first of its class.
        labels = look.tolist()
        rows: dict[Any, int] = {}
        firsts = [rows.setdefault(label, row) for row, label in enumerate(labels)]
        first = list(rows.values())
        same = np.all(few == few[firsts], axis=0)
        columns = np.flatnonzero(same)
        # ... and another value in each class.
        n_classes = len(first)
        return [int(c) for c in columns if len(set(few[first, c].tolist())) == n_classes]
    if few.dtype.kind not in "biufO" or look.dtype.kind not in "biufO":
        return []
    return [int(c) for c in np.flatnonzero(np.all(few == look[:, np.newaxis], axis=0))]


def _equal_sparse_columns(X: Any, rows: NDArray[np.intp], look: NDArray[Any]) -> list[int]:
    """Return the columns of a sparse matrix that equal a numeric target, without densifying."""
    if getattr(X, "format", "") != "csr" or look.dtype.kind not in "biuf":
        return []
    few = X[rows]
    counts = np.diff(few.indptr)
    targets = np.repeat(look, counts)
    agrees = (few.data == targets) & (targets != 0)
    n_columns = X.shape[1]
    hits = np.bincount(few.indices[agrees], minlength=n_columns)
    misses = np.bincount(few.indices[~agrees & (few.data != 0)], minlength=n_columns)
    wanted = np.count_nonzero(look)
    return [int(c) for c in np.flatnonzero((hits == wanted) & (misses == 0))] if wanted else []


def _column(X: Any, column: int) -> NDArray[Any] | None:
    if hasattr(X, "indptr"):
        return np.asarray(X[:, [column]].toarray()).ravel()
    values = np.asarray(X.iloc[:, column] if hasattr(X, "iloc") else X[:, column])
    return values if values.ndim == 1 else None


def _says_the_same(values: NDArray[Any], y: NDArray[Any], *, is_class: bool) -> bool:
    if not is_class:
        return bool(np.all(values == y))
    pairs = set(zip(values.tolist(), y.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _feature_name(X: Any, column: int) -> str:
    names = getattr(X, "columns", None)
    return f"number {column}" if names is None else _shown(names[column])


# -- training and test ----------------------------------------------------------------------------


def _train_better(
    function: str, value: float, training: Mapping[str, float], y_true: Any, about: str
) -> list[Finding]:
    known = training.get(f"training_{_SCORES.get(function, function)}")
    if known is None or not _is_number(known) or not math.isfinite(value):
        return []
    if function in _SCORES:
        # Worse than by chance are the probabilities of the other class.
        is_upside_down = function == "roc_auc_score" and value < 0.5
        worse = _is_far_worse(float(known), value) and not is_upside_down
    elif function in _ERRORS:
        scale = _spread(y_true, function)
        worse = scale is not None and _is_far_worse(
            *(1 - each ** _ERRORS[function] / scale for each in (float(known), value))
        )
    elif function == "log_loss":
        worse = value > REST_RATIO * known and value - known > 2 * SCORE_GAP
    else:
        return []
    if not worse:
        return []
    text = (
        f"{function} is {value:.4g} on {about}, {known:.4g} on the training data: the model may "
        f"have learned its training data by heart, or {about} differs from it"
    )
    return [Finding(TRAIN_BETTER_THAN_TEST, text)]


def _is_far_worse(train: float, test: float) -> bool:
    """Compare two scores that are at most 1."""
    if train > 1 or test > 1 or train <= 0:
        return False
    return train - test > SCORE_GAP and 1 - test > REST_RATIO * (1 - train)


def _spread(y_true: Any, function: str) -> float | None:
    """Return the error that a constant prediction would make, to which others are compared."""
    if y_true is None:
        return None
    targets = target_array(y_true)
    if not _is_looked_at(targets) or targets.ndim != 1 or targets.dtype.kind not in "biuf":
        return None
    if function == "mean_absolute_error":
        scale = float(np.mean(np.abs(targets - np.median(targets))))
    else:
        scale = float(np.var(targets))
    return scale if scale > 0 and math.isfinite(scale) else None


# -- a class that is missing ----------------------------------------------------------------------


def _missing_class(y_true: Any, classes: NDArray[Any], about: str) -> list[Finding]:
    targets = target_array(y_true)
    if targets.dtype.kind == "b" != classes.dtype.kind:  # whether rows are of some class
        return []
    n_classes = len(classes)
    if not _is_looked_at(targets) or targets.ndim != 1 or classes.ndim != 1 or n_classes < 2:
        return []
    if len(targets) < 2 * n_classes:  # too few rows to expect each class
        return []
    seen = _distinct(targets[:FIRST_ROWS])
    missing = [each for each in classes.tolist() if each not in seen]
    if missing and len(targets) > FIRST_ROWS:
        seen = _distinct(targets)
        missing = [each for each in missing if each not in seen]
    if not missing or len(missing) == n_classes:  # these are not the labels of the estimator
        return []
    which = _listed(missing)
    text = (
        f"{len(missing)} of {n_classes} classes {'is' if len(missing) == 1 else 'are'} missing in "
        f"the {len(targets)} rows of {about}: {which}; nothing is known of how well "
        f"{'it is' if len(missing) == 1 else 'they are'} recognised"
    )
    return [Finding(MISSING_CLASS, text)]


def _distinct(labels: NDArray[Any]) -> set[Any]:
    return set((np.unique(labels) if labels.dtype.kind in "biuf" else labels).tolist())


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(_shown(each) for each in values[:5])
    return f"{shown}, ..." if len(values) > 5 else shown


def _shown(value: Any) -> str:
    """Return a value as a short text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
