"""Which run a fitted model belongs to.

A model that was fitted here, or loaded from a run, is known by identity until it is gone.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

from skledger.capture import provenance
from skledger.capture.budget import Allowance
from skledger.capture.named_data import key_of
from skledger.capture.sources import UNKNOWN_DATASET, Fit, Source, n_rows_of
from skledger.capture.weakly import WeakById
from skledger.ledger.bookings import Booking
from skledger.tracking.session import get_store

if TYPE_CHECKING:
    from skledger.hooks.events import FitCall
    from skledger.ledger.notes import FitNote

__all__ = [
    "booking_of",
    "fit_of",
    "forget",
    "is_current",
    "link",
    "link_loaded",
    "link_predictions",
    "link_step",
]

#: Fits that are remembered when their models are gone, for predictions that are still there.
MANY_FITS = 256
#: What fits leave besides a model: predictions for the training data.
LEFT = ("labels_", "oob_prediction_", "oob_decision_function_")
_live: WeakById[Booking] = WeakById()
_recent: deque[Booking] = deque(maxlen=MANY_FITS)


def fit_of(estimator: Any) -> Fit | None:
    """Return what an estimator's fit is booked as, None where it is not."""
    known = _live.get(estimator)
    return None if known is None else Fit(known.run_id, known.serial, known.step)


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
        known = _live.get(part)
        # A search that is the last step of a pipeline has a run of its own.
        if known is None or known.started < call.started:
            _enter(part, booking)
        left += _left_by(part)
    if left:
        _remember(call, booking, "labels_", left)


def link_step(call: FitCall, note: FitNote, step: int) -> None:
    """Link a model that learns in steps with its run, after one of them."""
    booking = _live.get(call.estimator)
    if booking is None or booking.run_id != note.place.info.run_id:
        booking = _booking(call, note)
        booking.pictures = False
        _enter(call.estimator, booking)
    # The training metrics are those of the last batch, which says little of other data.
    booking.step, booking.training = step, {}
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
    _live.discard(estimator)


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
        train_name=call.data_name,
        train_data=records.inputs[0].dataset if records.inputs else None,
        allowance=Allowance(call.seconds, note.price),
        started=call.started,
        is_fresh=not place.ordinal,
        step=note.step,
    )


def _enter(estimator: Any, booking: Booking) -> None:
    with suppress(TypeError):
        _live.put(estimator, booking)
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
                known = _live.get(step)
                if known is not None and known.started < started:
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
    source = Source(
        run_id=booking.run_id,
        estimator=ref(call.estimator),
        estimator_class=type(call.estimator).__name__,
        method=method,
        dataset=call.data_name or UNKNOWN_DATASET,
        data_key=key_of(call.X),
        data=data,
        n_samples=n_rows_of(call.X),
        serial=booking.serial,
        step=booking.step,
    )
    for array in {id(each): each for each in arrays}.values():
        provenance.remember(array, source)


# -- whose it is ----------------------------------------------------------------------------------


def booking_of(source: Source, estimator: Any | None) -> Booking:
    """Return where a model's prediction or score is booked: with the fit that it is of.

    Parameters
    ----------
    source : Source
        The prediction.
    estimator : BaseEstimator or None
        The model of a score.
    """
    estimator = source.estimator() if estimator is None else estimator
    known = None if estimator is None else _live.get(estimator)
    if known is not None and known.serial == source.serial:
        return known
    # The model is gone, or was fitted anew since it predicted.
    for each in reversed(_recent):
        if each.serial == source.serial:
            return each
    return Booking(source.run_id, get_store(), None, "", None, pictures=False)


def is_current(booking: Booking, estimator: Any) -> bool:
    """Tell whether a fit is the last one of its estimator that is known."""
    known = _live.get(estimator)
    return known is None or known is booking


def _after_fork() -> None:
    # A child books its own fits: two processes must not count the same run's calls.
    _live.clear()
    _recent.clear()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
