"""Which run a fitted model belongs to, and what is noted of it when it is measured.

A model that was fitted here, or loaded from a run, is known by identity until it is gone. A score
or a metric is read at once, for nothing of the user's may be kept: numbers are taken, arrays that
pictures need are copied. All else is left to the background writer (`skledger.ledger.measured`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np

from skledger._guard import contain, thread
from skledger.capture import provenance
from skledger.capture.held_out import Held, is_score
from skledger.capture.measured import REPORT, Outcome, call_text, copied, read_value
from skledger.capture.named_data import key_of
from skledger.capture.sources import UNKNOWN_DATASET, Source
from skledger.ledger import measured
from skledger.ledger.bookings import Booking, Pending
from skledger.tracking import runs
from skledger.tracking.names import now_ms
from skledger.tracking.session import get_store

if TYPE_CHECKING:
    from skledger.autologging import Config
    from skledger.hooks.events import FitCall, Measured
    from skledger.ledger.notes import FitNote

__all__ = [
    "forget",
    "link",
    "link_loaded",
    "link_predictions",
    "link_step",
    "may_predict",
    "run_of",
    "take",
]

#: Fits that are remembered when their models are gone, for predictions that are still there.
MANY_FITS = 256
#: What fits leave besides a model: predictions for the training data.
LEFT = ("labels_", "oob_prediction_", "oob_decision_function_")
#: Metrics whose documents and pictures need what the call was given.
LOOKED_INTO = frozenset({"confusion_matrix", REPORT})
NOBODYS = ("active run", "ambiguous")

_live: dict[int, tuple[ReferenceType[Any], Booking]] = {}
_recent: deque[Booking] = deque(maxlen=MANY_FITS)


def run_of(estimator: Any) -> str | None:
    """Return the run that an estimator's fit is booked in, None where there is none."""
    known = _live.get(id(estimator))
    return known[1].run_id if known is not None and known[0]() is estimator else None


# -- what is fitted -------------------------------------------------------------------------------


def link(call: FitCall, note: FitNote) -> None:
    """Link a model, and what its fit left of predictions, with the run of the fit.

    Parameters
    ----------
    call : FitCall
        The fit, which has succeeded and is booked.
    note : FitNote
        What was noted of it.
    """
    booking = _booking(call, note)
    _enter(call.estimator, booking)
    left = [call.result] if call.method == "fit_predict" else []
    left += _left_by(call.estimator)
    for part in _parts(call.estimator, call.started):
        known = _live.get(id(part))
        # A search that is the last step of a pipeline has a run of its own.
        if known is None or known[0]() is not part or known[1].started < call.started:
            _enter(part, booking)
        left += _left_by(part)
    if left:
        _remember(call, booking, "labels_", left)


def link_step(call: FitCall, note: FitNote, step: int) -> None:
    """Link a model that learns in steps with its run, after one of them."""
    known = _live.get(id(call.estimator))
    run_id = note.place.info.run_id
    if known is not None and known[0]() is call.estimator and known[1].run_id == run_id:
        booking = known[1]
    else:
        booking = _booking(call, note)
        booking.pictures = False
        _enter(call.estimator, booking)
    booking.step, booking.training = step, dict(note.records.metrics)
    if note.records.model is not None:
        booking.model_id = note.records.model.model_id


def link_predictions(call: FitCall, note: FitNote) -> None:
    """Link what ``cross_val_predict`` returned with its run; it leaves no fitted model."""
    booking = _booking(call, note)
    _recent.append(booking)
    _remember(call, booking, call.method, [call.result])


def link_loaded(estimator: Any, described: Mapping[str, Any]) -> None:
    """Link a model that was loaded with the run it says it is of.

    Parameters
    ----------
    estimator : BaseEstimator
        The model.
    described : mapping
        Its ``MLmodel``.
    """
    run_id = described.get("run_id")
    if not isinstance(run_id, str) or not run_id:
        return
    try:
        reference = ref(estimator)
    except TypeError:
        return
    name = str(described.get("artifact_path") or "").rpartition("/")[2]
    number = name.rpartition("-")[2]
    suffix = f"-{number}" if name.startswith("model-") and number.isdigit() else ""
    model_id = described.get("model_id")
    booking = Booking(run_id, get_store(), None, suffix, reference, model_id=model_id)
    _enter(estimator, booking)
    for part in _parts(estimator, 0):
        _enter(part, booking)


def forget(estimator: Any) -> None:
    """Let go of a model whose last fit failed: what it is now, no run knows."""
    _live.pop(id(estimator), None)


def _booking(call: FitCall, note: FitNote) -> Booking:
    place, records = note.place, note.records
    return Booking(
        place.info.run_id,
        place.store,
        place.info,
        place.suffix,
        ref(call.estimator),
        model_id=None if records.model is None else records.model.model_id,
        training=records.metrics,
        train_key=None if call.X is None else key_of(call.X),
        seconds=call.seconds,
        started=call.started,
        is_fresh=not place.ordinal,
        step=note.step,
    )


def _enter(estimator: Any, booking: Booking) -> None:
    place = id(estimator)

    def gone(link: ReferenceType[Any]) -> None:
        # Without a lock: this runs wherever Python collects. Another may live there by now.
        found = _live.get(place)
        if found is not None and found[0] is link:
            _live.pop(place, None)

    with suppress(TypeError):
        _live[place] = ref(estimator, gone), booking
    if not _recent or _recent[-1] is not booking:
        _recent.append(booking)


def _parts(estimator: Any, started: int) -> Iterator[Any]:
    """Yield what predicts inside searches and pipelines; steps before it are no models."""
    for _ in range(16):
        inner = getattr(estimator, "best_estimator_", None)
        if inner is None:
            steps = getattr(estimator, "steps", None)
            if not (isinstance(steps, list) and steps and hasattr(estimator, "named_steps")):
                return
            for _name, step in steps[:-1]:
                known = _live.get(id(step))
                if known is not None and known[1].started < started:
                    forget(step)  # fitted anew, as a part
            inner = steps[-1][1]
        if inner is None or isinstance(inner, str):
            return
        yield inner
        estimator = inner


def _left_by(estimator: Any) -> list[Any]:
    held = getattr(estimator, "__dict__", {})
    return [held[name] for name in LEFT if held.get(name) is not None]


def _remember(call: FitCall, booking: Booking, method: str, arrays: list[Any]) -> None:
    try:
        data = ref(call.X)
    except TypeError:
        data = None
    shape = getattr(call.X, "shape", None)
    n_samples = shape[0] if shape else len(call.X) if hasattr(call.X, "__len__") else None
    source = Source(
        run_id=booking.run_id,
        estimator=ref(call.estimator),
        estimator_class=type(call.estimator).__name__,
        method=method,
        dataset=call.data_name or UNKNOWN_DATASET,
        data_key=key_of(call.X),
        data=data,
        n_samples=n_samples,
    )
    for array in {id(each): each for each in arrays}.values():
        provenance.remember(array, source)


# -- what is measured -----------------------------------------------------------------------------


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
    is_method = estimator is not None
    cls = type(estimator).__name__ if is_method else None
    dataset, data_key = UNKNOWN_DATASET, None
    if source is not None:
        dataset, data_key = source.dataset, source.data_key
    elif is_method and event.names.get("X"):
        dataset, data_key = event.names["X"], key_of(event.rows)
    pending = Pending(
        booking=booking,
        metric=f"{cls}_{event.function}" if is_method else event.function,
        dataset=dataset,
        data_key=data_key,
        call=call_text(event.function, cls, event.arguments, event.names),
        how=event.how,
        outcome=outcome,
        timestamp=now_ms(),
        step=booking.step,
    )
    with contain(f"the pictures of {pending.metric}"):
        _look_closer(config, event, pending, outcome)
    if source is not None and config.log_datasets and data_key != booking.train_key:
        with contain("the description of the data"):
            _describe_data(event, pending, source)
    measured.submit(pending)


def _booking_of(event: Measured) -> Booking | None:
    """Return where a call is booked: with the model's fit, else in the active run, else nowhere."""
    source = event.source
    if source is None:
        return _active_run() if event.how in NOBODYS else None
    estimator = source.estimator() if event.estimator is None else event.estimator
    known = None if estimator is None else _live.get(id(estimator))
    if known is not None and known[0]() is estimator and known[1].run_id == source.run_id:
        return known[1]
    return _earlier(source)


def _active_run() -> Booking | None:
    """Return the user's run, for what is no model's."""
    active = runs.active_run()
    if active is None:
        return None
    return Booking(active.info.run_id, get_store(), active.info, "", None, pictures=False)


def _earlier(source: Source) -> Booking:
    """Return the fit of a model that is gone, or was fitted anew since it predicted."""
    of_run = [each for each in reversed(_recent) if each.run_id == source.run_id]
    for each in of_run:
        if each.link is source.estimator:  # of one object there is one plain weak reference
            return each
    if len(of_run) == 1:
        return of_run[0]
    if of_run:  # several models, and nobody knows which
        one = of_run[0]
        return Booking(one.run_id, one.store, one.info, "", None, pictures=False)
    return Booking(source.run_id, get_store(), None, "", None, pictures=False)


def _look_closer(config: Config, event: Measured, pending: Pending, outcome: Outcome) -> None:
    """Copy what pictures and checks need; mostly, nothing."""
    booking, source, arguments = pending.booking, event.source, event.arguments
    looks_into = outcome.document is not None and (
        event.function in LOOKED_INTO or ("average" in arguments and arguments["average"] is None)
    )
    seen = (pending.data_key, pending.metric)
    is_first = (
        seen not in booking.looked
        and source is not None
        and booking.link is not None
        and source.dataset != UNKNOWN_DATASET
        and source.data_key != booking.train_key
    )
    if not (is_first or looks_into):
        return
    if event.estimator is not None:
        given = {"y_true": arguments.get("y"), "sample_weight": arguments.get("sample_weight")}
    else:
        given = dict(arguments)
    n_rows = _length(given.get("y_true", given.get("labels_true")))
    # A part of a data set is not what its name says.
    is_whole = source is not None and source.n_samples in (n_rows, None)
    is_first = is_first and n_rows is not None and is_whole
    if not (is_first or looks_into):
        return
    _describe(booking, event.estimator or (source and source.estimator()))
    if is_first:
        booking.looked.add(seen)
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


def _look_at_data(config: Config, event: Measured, pending: Pending, given: dict[str, Any]) -> None:
    """Decide which pictures and checks of a data set are wanted."""
    from skledger.ledger.measuring import wanted_checks

    booking = pending.booking
    pending.checks = wanted_checks(config.checks)
    group = "scores" if is_score(event.function) else "labels"
    if booking.pictures and (pending.data_key, group) not in booking.shown:
        pending.group = group
        if event.estimator is not None:
            given["y_pred"] = _predicted(booking, event.estimator, event.rows)


def _describe_data(event: Measured, pending: Pending, source: Source) -> None:
    """Describe the data that a model was asked about, once, while they are there."""
    seen = pending.booking.inputs
    if source.data_key in seen:
        return
    X = event.rows if event.estimator is not None else source.data and source.data()
    if X is None:
        return
    from skledger.ledger.data_inputs import eval_input

    seen.add(source.data_key)
    given = event.arguments
    y = given.get("y") if event.estimator is not None else given.get("y_true")
    if _length(y) != _length(X):
        y = None
    pending.data_input = eval_input(X, y, source.dataset, source.run_id)


def _length(value: Any) -> int | None:
    shape = getattr(value, "shape", None)
    if shape:
        return int(shape[0])
    return len(value) if hasattr(value, "__len__") and not isinstance(value, str) else None


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
    # Estimators of old third-party packages have no tags, and scikit-learn raises on them.
    with suppress(Exception):
        if is_classifier(estimator):
            booking.kind = "classifier"
        elif is_regressor(estimator):
            booking.kind = "regressor"
    with suppress(Exception):
        classes = estimator.classes_
        if isinstance(classes, np.ndarray) and classes.ndim == 1:
            booking.classes = classes.copy()


def _predicted(booking: Booking, estimator: Any, X: Any) -> Any:
    """Return the predictions behind a score, where they may be asked for a second time."""
    from skledger.capture.metrics_score import call, same_random_state

    if booking.kind not in ("classifier", "regressor") or not hasattr(estimator, "predict"):
        return None
    thread.depth += 1  # no prediction of the user's
    try:
        with same_random_state(estimator):
            if may_predict(estimator, X, booking.seconds):
                return call(estimator.predict, X)
    finally:
        thread.depth -= 1
    return None


def may_predict(estimator: Any, X: Any, fit_seconds: float = 0.0) -> bool:
    """Tell whether an estimator may be asked for predictions once more, just for pictures."""
    from skledger.capture import budget

    return budget.may_predict(estimator, X, fit_seconds)


def _after_fork() -> None:
    # A child books its own fits: two processes must not count the same run's calls.
    _live.clear()
    _recent.clear()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
