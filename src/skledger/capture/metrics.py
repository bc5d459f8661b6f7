"""Training metrics and the numbers behind training pictures, from one pass over the data.

``evaluate`` calls the fitted estimator's ``predict`` once and its ``predict_proba`` once, and
computes everything from what they give. Where a budget says so, a few rows are predicted before,
and a sample of the rows is all that is looked at. The metrics are those scikit-learn's functions
give; where scikit-learn cannot compute one (a class is missing, say), it is left out.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger._guard import contain
from skledger.capture import pictures as behind
from skledger.capture.budget import Budget, rows_of
from skledger.capture.curves import Ranking, one_vs_one_area, rank, roc_area
from skledger.capture.known_answers import score_of
from skledger.capture.metrics_classifier import (
    class_metrics,
    log_loss,
    multilabel_metrics,
    one_column_per_class,
)
from skledger.capture.metrics_labels import (
    Labels,
    class_order,
    column_codes,
    is_indicator,
    read_labels,
    target_array,
)
from skledger.capture.metrics_regressor import as_columns, regression_metrics
from skledger.capture.metrics_score import (
    call,
    predicts_the_likeliest,
    same_random_state,
    score_metric,
    score_takes_weight,
)
from skledger.capture.pictures_features import feature_pictures

__all__ = ["Evaluation", "evaluate"]

Floats = NDArray[np.float64]

#: The metric by which the mixins of scikit-learn score, by kind of estimator.
_SCORED_BY = {"classifier": "accuracy_score", "regressor": "r2_score"}


@dataclass(slots=True)
class Evaluation:
    """What one pass over the training data yields.

    Attributes
    ----------
    metrics : dict of str to float
        Values by full name, such as ``training_accuracy_score``.
    pictures : dict of str to dict
        The numbers behind each picture by its name; all of it can be written as JSON. The
        forms are described in :mod:`skledger.capture.pictures`.
    predicted : object
        What ``predict`` returned for the data, or would have; None when it was not asked.
    sampled_rows : int or None
        How many rows were looked at, when it was not all of them.
    price : tuple of (int, float) or None
        For how many rows predictions were asked for, and how many seconds that took.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)
    predicted: Any = None
    sampled_rows: int | None = None
    price: tuple[int, float] | None = None


@dataclass(slots=True)
class _Job:
    """One evaluation under way."""

    estimator: Any
    X: Any
    y: Any
    weight: Floats | None
    prefix: str
    pictures: bool
    result: Evaluation = field(default_factory=Evaluation)
    # Whether our own computing failed although there were predictions: then the estimator's
    # score may still work.
    failed: bool = False
    # What the estimator has answered so far, by method.
    answers: dict[str, Any] = field(default_factory=dict)

    def book(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self.result.metrics[self.prefix + name] = value

    def picture(self, numbers: dict[str, dict[str, Any]]) -> None:
        for name, value in numbers.items():
            self.result.pictures[self.prefix + name] = value


def evaluate(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    pos_label: Any = None,
    prefix: str = "training_",
    score_accepts_weight: bool | None = None,
    pictures: bool = True,
    budget: Budget | None = None,
) -> Evaluation:
    """Evaluate a fitted estimator on the data it was trained on.

    Nothing is raised: each part that fails is left out and costs one log line.

    Parameters
    ----------
    estimator : estimator
        Fitted; pipelines and searches too.
    X : array-like of shape (n_samples, n_features)
        Training data, as it was before training.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
        Targets. Without targets there is nothing to compute.
    sample_weight : array-like of shape (n_samples,), optional
        The weights ``fit`` was given.
    pos_label : object, optional
        When given, precision, recall and F1 are those of this class of a binary problem.
    prefix : str, default="training_"
        Put before every metric's and every evaluation picture's name.
    score_accepts_weight : bool, optional
        Whether to pass the weights to ``score``; by default when both ``fit`` and ``score``
        have a parameter ``sample_weight``.
    pictures : bool, default=True
        Whether to give the numbers behind pictures, too.
    budget : Budget, optional
        What the predictions may cost; without one all rows are predicted.

    Returns
    -------
    Evaluation
        Metrics and pictures.
    """
    job = _Job(estimator, X, y, None, prefix, pictures)
    if y is None or getattr(estimator, "refit", True) is False:
        # A search that is not refitted has no model to measure.
        return job.result
    # NumPy's floating point warnings of what we compute are nobody's business.
    with np.errstate(all="ignore"), same_random_state(estimator):
        _evaluate(job, sample_weight, pos_label, score_accepts_weight, budget)
        if pictures:
            with contain("the features' importances"):
                job.result.pictures.update(feature_pictures(estimator))
    return job.result


def _evaluate(
    job: _Job, sample_weight: Any, pos_label: Any, accepts: bool | None, budget: Budget | None
) -> None:
    """Book the metrics of any estimator, and the pictures of its predictions."""
    kind = _kind(job.estimator)
    if budget is not None:
        with contain("the cost of the training metrics"):
            few = budget.sample(estimator=job.estimator, kind=kind, X=job.X, y=job.y)
            if few is not None:
                job.X, job.y, rows = few
                job.result.sampled_rows = len(rows)
                if np.ndim(sample_weight):
                    sample_weight = rows_of(np.asarray(sample_weight), rows)
    if kind in _SCORED_BY:
        y_true = None
        with contain("the training metrics"):
            y_true = target_array(job.y)
            if sample_weight is not None:
                job.weight = _weights(sample_weight, y_true.shape[0])
        if y_true is not None and (sample_weight is None or job.weight is not None):
            predicted = _predict(job, one_target=kind == "classifier" and y_true.ndim == 1)
            if kind == "classifier":
                _classifier(job, y_true, predicted, pos_label)
            else:
                _regressor(job, y_true, predicted)
            job.failed = job.failed and predicted is not None
    with contain(f"the metric {job.prefix}score"):
        _score(job, kind, sample_weight, accepts)


def _kind(estimator: Any) -> str:
    """Tell classifiers and regressors from the rest, by scikit-learn's tags."""
    from sklearn.base import is_classifier, is_regressor

    # Estimators of old third-party packages have no tags, and scikit-learn raises on them.
    with suppress(Exception):
        if is_classifier(estimator):
            return "classifier"
        return "regressor" if is_regressor(estimator) else "other"
    return str(getattr(estimator, "_estimator_type", "other"))


def _weights(sample_weight: Any, n_samples: int) -> Floats:
    """Give the sample weights as one float for each row."""
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.ndim == 0:
        weight = np.full(n_samples, float(weight))
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight has shape {weight.shape}, but ({n_samples},) was expected: "
            "one weight for each row of the target"
        )
    if not np.isfinite(weight).all() or not weight.any():
        raise ValueError("sample_weight must be finite numbers, and not all of them 0")
    return weight


def _predict(job: _Job, *, one_target: bool) -> Any:
    """Call ``predict``, the one time it is called."""
    predicted = None
    if hasattr(job.estimator, "predict"):
        with contain("the metrics of the training predictions"):
            start = time.perf_counter()
            if one_target and predicts_the_likeliest(job.estimator):
                probabilities = call(job.estimator.predict_proba, job.X)
                job.answers["predict_proba"] = probabilities
                classes = np.asarray(job.estimator.classes_)
                given = classes.take(np.argmax(probabilities, axis=1))
            else:
                given = call(job.estimator.predict, job.X)
            seconds = time.perf_counter() - start
            job.result.predicted = job.answers["predict"] = given
            predicted = target_array(given)
            job.result.price = predicted.shape[0], seconds
    return predicted


def _regressor(job: _Job, y_true: Any, predicted: Any) -> None:
    if predicted is None:
        return
    with contain("the training metrics of a regressor") as guard:
        y_true, y_pred = as_columns(y_true), as_columns(predicted)
        job.book(regression_metrics(y_true, y_pred, job.weight))
        if job.pictures:
            job.picture(behind.regression_pictures(y_true, y_pred, _caption(job)))
    job.failed = guard.failed


def _classifier(job: _Job, y_true: Any, predicted: Any, pos_label: Any) -> None:
    labels = classes = None
    with contain("the training metrics of a classifier") as guard:
        if y_true.ndim == 2:
            if predicted is not None and is_indicator(y_true) and is_indicator(predicted):
                metrics = multilabel_metrics(y_true, predicted, job.weight)
                if pos_label is not None:
                    # There is no single positive class among several labels.
                    metrics = _only_accuracy(metrics)
                job.book(metrics)
            return
        with suppress(Exception):
            classes = job.estimator.classes_
        labels = read_labels(y_true, predicted, classes)
        if labels is not None and predicted is not None:
            _of_classes(job, labels, pos_label)
    job.failed = guard.failed
    if labels is not None:
        _probabilistic(job, labels, classes)


def _of_classes(job: _Job, labels: Labels, pos_label: Any) -> None:
    """Book what the predicted labels give."""
    if pos_label is not None:
        with contain(f"precision, recall and F1 of pos_label={pos_label!r}") as guard:
            job.book(class_metrics(labels, job.weight, pos_label))
        if guard.failed:
            job.book(_only_accuracy(class_metrics(labels, job.weight)))
    else:
        job.book(class_metrics(labels, job.weight))
    if job.pictures:
        with contain("the training confusion matrix"):
            job.picture(behind.confusion_picture(labels, job.weight, _caption(job)))


def _only_accuracy(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name == "accuracy_score"}


def _probabilistic(job: _Job, labels: Labels, classes: Any) -> None:
    """Book what the predicted probabilities give: log loss, ROC AUC and the curves."""
    with contain("the metrics of the training probabilities"):
        if not hasattr(job.estimator, "predict_proba"):
            return
        given = job.answers.get("predict_proba")
        if given is None:
            given = job.answers["predict_proba"] = call(job.estimator.predict_proba, job.X)
        probabilities, columns = _columns(given, classes, len(labels.true))
        if probabilities is None:
            return
        codes = one_column_per_class(labels, probabilities.shape[1])
        rankings: list[Ranking] = []
        area: float | None = None
        if codes is not None:
            columns = labels.classes[labels.true_counts > 0]
            loss = log_loss(probabilities, codes, job.weight)
            if loss is not None:
                job.book({"log_loss": loss})
            keep = job.pictures and probabilities.size <= behind.MAX_CELLS
            area, rankings = _roc_auc(probabilities, codes, job.weight, keep)
            if area is not None:
                job.book({"roc_auc": area})
        elif columns is not None:
            codes = column_codes(labels, columns)
        if job.pictures and codes is not None and columns is not None:
            with contain("the training curves"):
                job.picture(
                    behind.curve_pictures(
                        probabilities,
                        codes,
                        columns,
                        weight=job.weight,
                        rankings=rankings,
                        area=area,
                        caption=_caption(job),
                    )
                )


def _columns(given: Any, classes: Any, n_samples: int) -> tuple[Any, Any]:
    """Give probabilities with a column per class, ascending, and the classes of the columns."""
    if isinstance(given, list | tuple):
        return None, None
    probabilities = np.asarray(given)
    if probabilities.dtype.kind != "f":
        probabilities = probabilities.astype(np.float64)
    if probabilities.ndim == 1:
        probabilities = probabilities[:, np.newaxis]
    if probabilities.ndim != 2 or len(probabilities) != n_samples:
        raise ValueError(
            f"predict_proba() gave shape {probabilities.shape} for {n_samples} rows; expected "
            "one row for each and one column for each class"
        )
    if probabilities.shape[1] == 1:
        probabilities = np.hstack((1 - probabilities, probabilities))
    if not isinstance(classes, np.ndarray) or classes.shape != (probabilities.shape[1],):
        return probabilities, None
    order = class_order(classes)
    return (probabilities, classes) if order is None else (probabilities[:, order], classes[order])


def _roc_auc(
    probabilities: NDArray[np.floating], codes: NDArray[np.intp], weight: Floats | None, keep: bool
) -> tuple[float | None, list[Ranking]]:
    """Compute ROC AUC, and the rankings it took if the pictures will want them."""
    if not np.isfinite(probabilities).all():
        return None, []
    if probabilities.shape[1] == 2:
        ranking = rank(np.ascontiguousarray(probabilities[:, 1]), codes == 1, weight)
        return roc_area(ranking), [ranking] if keep else []
    # scikit-learn takes no weights one against one, and only rows that sum to 1.
    if weight is not None or not np.allclose(1, probabilities.sum(axis=1)):
        return None, []
    return one_vs_one_area(probabilities, codes, keep)


def _score(job: _Job, kind: str, sample_weight: Any, accepts: bool | None) -> None:
    """Book ``estimator.score``, from the metric that it is where that is known."""
    if not hasattr(job.estimator, "score") or _is_of_many_metrics(job.estimator):
        return
    passed = False
    if sample_weight is not None:
        passed = score_takes_weight(job.estimator) if accepts is None else accepts
    known = score_metric(job.estimator, passed) if sample_weight is None or passed else None
    if known is not None and known == _SCORED_BY.get(kind):
        value = job.result.metrics.get(job.prefix + known)
        if value is not None:
            job.book({"score": value})
        if value is not None or not job.failed:
            # Where the metric cannot be computed, the same computation inside cannot either.
            return
    weights = {"sample_weight": sample_weight} if passed else {}
    job.book({"score": score_of(job.estimator, job.X, job.y, weights, job.answers)})


def _is_of_many_metrics(estimator: Any) -> bool:
    """Tell a search with several scorers of which none decided: its ``score`` has none to use."""
    return bool(getattr(estimator, "multimetric_", False)) and callable(estimator.refit)


def _caption(job: _Job) -> str:
    """Give the words that pictures' titles begin with: those of the prefix."""
    return "cross-validated" if job.prefix == "cv_" else job.prefix.replace("_", " ").strip()
