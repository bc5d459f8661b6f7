"""What is measured of a model once it is fitted: metrics, curves, pictures, first checks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from skledger._guard import contain, say
from skledger.capture.checks import NAMES, TAG_PREFIX, Finding, after_fit
from skledger.capture.iterations import counts, iterations
from skledger.ledger.records import storable_key
from skledger.tracking.entities import Metric

if TYPE_CHECKING:
    from skledger.autologging import Config
    from skledger.hooks.events import FitCall
    from skledger.ledger.notes import FitNote

__all__ = ["ROWS_TAG", "measure", "tell", "wanted_checks"]

#: How many rows the training metrics are of, when it was not all.
ROWS_TAG = "skledger.training_rows"


def measure(
    config: Config, call: FitCall, note: FitNote, *, with_data: bool, pictures: bool
) -> None:
    """Fill the records of a fit with what its model says.

    Parameters
    ----------
    config : Config
        What `autolog` was asked for.
    call : FitCall
        The fit, which has succeeded.
    note : FitNote
        What was noted before it.
    with_data : bool
        Whether there is training data, as it was before the fit.
    pictures : bool
        Whether there shall be pictures; steps of a stream have none, nor checks.
    """
    name = type(call.estimator).__name__
    predicts = with_data and config.training_metrics is not False
    if predicts:
        with contain(f"the training metrics of {name}"):
            _evaluate(config, call, note, pictures)
    elif pictures:
        with contain("the features' importances"):
            from skledger.capture.pictures_features import feature_pictures

            note.records.pictures.update(feature_pictures(call.estimator))
    with contain(f"the iterations of {name}"):
        _book_iterations(call, note, with_data=predicts and pictures)
    names = wanted_checks(config.checks)
    if with_data and pictures and names:
        with contain(f"the checks of {name}"):
            data, metrics = note.data, note.records.metrics
            found = after_fit(call.estimator, data.X, data.y, note.predicted, metrics, names)
            if found:
                note.records.set_tags(tell(found, note.place.info.run_name))


def _evaluate(config: Config, call: FitCall, note: FitNote, pictures: bool) -> None:
    from skledger.capture.budget import Budget
    from skledger.capture.metrics import evaluate

    mode = config.training_metrics
    budget = Budget(call.seconds, mode if isinstance(mode, str) else "auto")
    evaluation = evaluate(
        call.estimator,
        note.data.X,
        note.data.y,
        call.sample_weight,
        pos_label=config.pos_label,
        pictures=pictures,
        budget=budget,
    )
    note.predicted, note.price = evaluation.predicted, evaluation.price
    records = note.records
    records.metrics.update(evaluation.metrics)
    records.pictures.update(evaluation.pictures)
    if evaluation.sampled_rows is None:
        return
    records.set_tags({ROWS_TAG: evaluation.sampled_rows})
    if budget.mode == "auto":
        say(
            logging.WARNING,
            "skledger: the training metrics of %s are of %d random rows, because to predict all "
            'would take more than %.3g s; autolog(training_metrics="full") takes all the same',
            type(call.estimator).__name__,
            evaluation.sampled_rows,
            budget.seconds,
        )


def _book_iterations(call: FitCall, note: FitNote, *, with_data: bool) -> None:
    records, data = note.records, note.data
    records.metrics.update(counts(call.estimator))
    ended = call.started + round(call.seconds * 1000)
    X = data.X if with_data else None
    found = iterations(call.estimator, X, data.y, call.seconds, note.points)
    records.steps += [Metric(storable_key(key), value, ended, step) for key, value, step in found]


def wanted_checks(given: bool | Iterable[str]) -> Sequence[str]:
    """Return the names of the checks that ``autolog(checks=...)`` asks for."""
    if isinstance(given, bool):
        return NAMES if given else ()
    return tuple(given)


def tell(found: Iterable[Finding], about: str) -> dict[str, Any]:
    """Write a log line for each finding; return the tags that say the same.

    Parameters
    ----------
    found : iterable of Finding
        What the checks found, and was not told of this run before.
    about : str
        The name of the run.
    """
    tags: dict[str, Any] = {}
    for each in found:
        say(logging.WARNING, "skledger: %s: %s (check %r)", about, each.text, each.name)
        tags[f"{TAG_PREFIX}{each.name}"] = each.text
    return tags
