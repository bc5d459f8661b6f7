"""What is noted when a model is measured.

A score or a metric is read at once, for nothing of the user's may be kept: numbers are taken, and
arrays that pictures need are copied. All else is left to the background writer, see
`skledger.ledger.measured`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from skledger._guard import contain, thread
from skledger.capture.held_out import Held, is_score
from skledger.capture.measured import REPORT, Outcome, call_text, copied, read_value
from skledger.capture.named_data import key_of
from skledger.capture.sources import TRUTHS, UNKNOWN_DATASET, Source, n_rows_of
from skledger.ledger import after_fit, measured
from skledger.ledger.bookings import Booking, Pending
from skledger.tracking import runs
from skledger.tracking.names import now_ms
from skledger.tracking.session import get_store

if TYPE_CHECKING:
    from skledger.autologging import Config
    from skledger.hooks.events import Measured

__all__ = ["take"]

#: Metrics whose documents and pictures need what the call was given.
LOOKED_INTO = frozenset({"confusion_matrix", REPORT})
NOBODYS = ("active run", "ambiguous")
#: How predictions are found of which pictures and checks say how good the model is.
WHOLE = frozenset({"identity", "view", "memory", "values", "score"})
#: What is asked for more than labels.
SCORES = frozenset({"predict_proba", "predict_log_proba", "decision_function"})
#: Arguments that do not change what a metric means.
COMPARED = frozenset({"y_true", "y_pred", "y_score", "y_prob", "y_proba"})
#: Data sets of one fit that are described, and metrics on them that are looked at closer.
MANY_DATA, MANY_LOOKS = 20, 1000


def take(config: Config, event: Measured) -> None:
    """Read what a metric or a score gave, and queue it.

    Parameters
    ----------
    config : Config
        What `autolog` was asked for.
    event : Measured
        The call. Nothing of it is kept.
    """
    booking = _booking_of(event)
    if booking is None:
        return
    outcome = read_value(event.function, event.value)
    if outcome is None:
        return
    source, estimator = event.source, event.estimator
    cls = None if estimator is None else type(estimator).__name__
    dataset, data_key = _data_of(event)
    pending = Pending(
        booking=booking,
        metric=event.function if cls is None else f"{cls}_{event.function}",
        dataset=dataset,
        data_key=data_key,
        call=call_text(event.function, cls, event.arguments, event.names),
        how=_how(event),
        outcome=outcome,
        timestamp=now_ms(),
        step=booking.step if source is None else source.step,
    )
    with contain(f"the pictures of {pending.metric}"):
        _look_closer(config, event, pending, outcome)
    if source is not None and config.log_datasets:
        with contain("the description of the data"):
            _describe_data(event, pending, source)
    measured.submit(pending)


def _booking_of(event: Measured) -> Booking | None:
    """Return where a call is booked: with the model's fit, else in the active run, else nowhere."""
    if event.source is None:
        return _active_run() if event.how in NOBODYS else None
    return after_fit.booking_of(event.source, event.estimator)


def _active_run() -> Booking | None:
    """Return the user's run, for what is no model's."""
    active = runs.active_run()
    if active is None:
        return None
    return Booking(active.info.run_id, get_store(), active.info, "", None, pictures=False)


def _data_of(event: Measured) -> tuple[str, int | None]:
    """Return the name and the number of the data that something was measured on."""
    source, names = event.source, event.names
    if event.estimator is None and "X" in event.arguments:
        # A metric of data, such as a silhouette: those that it was given, not those of the fit.
        return names.get("X", UNKNOWN_DATASET), key_of(event.arguments["X"])
    if source is not None:
        return source.dataset, source.data_key
    if event.estimator is not None and names.get("X"):
        return names["X"], key_of(event.rows)
    return UNKNOWN_DATASET, None


def _how(event: Measured) -> str:
    """Return how the model was found, and of how many of the rows it predicted this is."""
    n_rows = _n_measured(event.arguments)
    whole = None if event.source is None else event.source.n_samples
    if event.estimator is not None or None in (n_rows, whole) or n_rows == whole:
        return event.how
    return f"{event.how}, {n_rows} of {whole} rows"


def _n_measured(given: Mapping[str, Any]) -> int | None:
    """Return how many rows a metric was given."""
    truth = next((given[name] for name in TRUTHS if given.get(name) is not None), None)
    return None if truth is None else n_rows_of(truth)


def _look_closer(config: Config, event: Measured, pending: Pending, outcome: Outcome) -> None:
    """Copy what pictures and checks need; mostly, nothing."""
    booking, source, arguments = pending.booking, event.source, event.arguments
    looks_into = outcome.document is not None and (
        event.function in LOOKED_INTO or ("average" in arguments and arguments["average"] is None)
    )
    is_first = source is not None and _is_first(pending, source, event.how)
    if not (is_first or looks_into):
        return
    if event.estimator is not None:
        given = {"y_true": arguments.get("y"), "sample_weight": arguments.get("sample_weight")}
    else:
        given = dict(arguments)
    n_rows = _n_measured(given)
    # A part of a data set is not what its name says.
    is_first = is_first and n_rows is not None and source.n_samples in (n_rows, None)  # type: ignore[union-attr]
    if not (is_first or looks_into):
        return
    _describe(booking, event.estimator or (source and source.estimator()))
    if is_first:
        _look_at_data(config, event, pending, given)
    pending.held = Held(
        event.function,
        copied(given),
        booking.kind,
        booking.classes,
        given.get("pos_label"),
        n_rows or 0,
    )
    if event.function == REPORT and isinstance(outcome.document, str):
        pending.report = _report_arguments(given)


def _is_first(pending: Pending, source: Source, how: str) -> bool:
    """Tell whether a call shows how good a model is on other data, as none did before."""
    booking = pending.booking
    return (
        (pending.data_key, pending.metric) not in booking.looked
        and len(booking.looked) < MANY_LOOKS
        and booking.link is not None
        and pending.dataset != UNKNOWN_DATASET
        and pending.data_key == source.data_key != booking.train_key
        # What was decided by a threshold, or is of an earlier step, is that of another model.
        and how in WHOLE
        and source.step == booking.step
    )


def _look_at_data(config: Config, event: Measured, pending: Pending, given: dict[str, Any]) -> None:
    """Decide which pictures and checks of a data set are wanted."""
    from skledger.ledger.measuring import wanted_checks

    booking, source = pending.booking, event.source
    scores = is_score(event.function)
    if not scores and source is not None and source.method in SCORES and event.how != "values":
        return  # no labels that the model predicts
    booking.looked.add((pending.data_key, pending.metric))
    pending.checks = wanted_checks(config.checks)
    if _is_comparable(event, booking):
        pending.training = booking.training
    group = "scores" if scores else "labels"
    if booking.pictures and (pending.data_key, group) not in booking.shown:
        pending.group = group
        if event.estimator is not None:
            given["y_pred"] = _predicted(booking, event.estimator, event.rows)


def _is_comparable(event: Measured, booking: Booking) -> bool:
    """Tell whether a metric is computed as that of the training data was."""
    if any(
        value is not None and name not in COMPARED
        for name, value in event.arguments.items()
        if event.estimator is None
    ):
        return False
    if event.how in ("identity", "score", "values"):
        return True
    # One column of two is what the score of two classes is computed from.
    classes = booking.classes
    return is_score(event.function) and classes is not None and len(classes) == 2


def _describe_data(event: Measured, pending: Pending, source: Source) -> None:
    """Describe the data that a model was asked about, once, while they are there."""
    booking, key, name = pending.booking, pending.data_key, pending.dataset
    if key is None or (key, name) in booking.inputs or len(booking.inputs) >= MANY_DATA:
        return
    if pending.is_of_training_data:
        return
    if event.estimator is not None:
        X = event.rows
    elif key == source.data_key:
        X = source.data and source.data()
    else:
        X = event.arguments.get("X")
    if X is None:
        return
    from skledger.ledger.data_inputs import eval_input

    booking.inputs[key, name] = None
    given = event.arguments
    y = given.get("y") if event.estimator is not None else given.get("y_true")
    if _length(y) != _length(X):
        y = None
    # Training data under another name are told once more, under that.
    known_in = source.run_id if key != booking.train_key else None
    found = pending.data_input = eval_input(X, y, name, known_in)
    if found is not None:
        booking.inputs[key, name] = found.dataset.digest


def _length(value: Any) -> int | None:
    found = n_rows_of(value)
    return found if found is not None or not hasattr(value, "__len__") else len(value)


def _report_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a report that are neither arrays nor about its text."""
    found: dict[str, Any] = {}
    if arguments.get("target_names") is not None:
        found["target_names"] = [str(each) for each in arguments["target_names"]]
    if "zero_division" in arguments:
        found["zero_division"] = arguments["zero_division"]
    return found


def _describe(booking: Booking, estimator: Any) -> None:
    """Note once what kind of model it is, while it is there."""
    if booking.kind is not None or estimator is None:
        return
    from sklearn.base import is_classifier, is_regressor

    booking.kind = "other"
    if not after_fit.is_current(booking, estimator):
        return  # fitted anew: its classes may be others
    # Estimators of old third-party packages have no tags, and scikit-learn raises on them.
    with suppress(Exception):
        if is_classifier(estimator):
            # A metric of one of several outputs tells nothing of the others.
            several = isinstance(estimator.classes_, list) or getattr(
                estimator, "multilabel_", False
            )
            booking.kind = "other" if several else "classifier"
        elif is_regressor(estimator):
            booking.kind = "regressor"
    with suppress(Exception):
        classes = estimator.classes_
        if isinstance(classes, np.ndarray) and classes.ndim == 1:
            booking.classes = classes.copy()


def _predicted(booking: Booking, estimator: Any, X: Any) -> Any:
    """Return the predictions behind a score, where they may be asked for a second time."""
    from skledger.capture.metrics_score import same_random_state

    if booking.kind not in ("classifier", "regressor") or not hasattr(estimator, "predict"):
        return None
    thread.depth += 1  # no prediction of the user's
    try:
        with same_random_state(estimator):
            return booking.allowance.predict(estimator, X)
    finally:
        thread.depth -= 1
