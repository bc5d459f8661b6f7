"""``warm_start``: what an estimator learns in several fits are the steps of one run.

The first fit ends its run as any does. When the same estimator is fitted again and goes on from
where it was, its metrics become the next step there; files and models are numbered (``model-2``),
and a param that was changed meanwhile is charted as a metric.
"""

from __future__ import annotations

import json
import os
import weakref
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from skledger._guard import contain
from skledger.capture.iterations import curves
from skledger.ledger.place import OwnRun, Place, UserRun
from skledger.ledger.records import Records
from skledger.tracking import runs
from skledger.tracking.entities import Metric
from skledger.tracking.names import now_ms
from skledger.tracking.session import experiment_in_use, get_store

if TYPE_CHECKING:
    from skledger.ledger.notes import FitNote

__all__ = ["ContinuedRun", "Fitted", "continuation", "go_on", "remember"]

#: The params that were changed between the fits, with their last values.
CHANGED_TAG = "skledger.changed_params"


@dataclass(slots=True)
class Fitted:
    """A fit that may be gone on with.

    Parameters
    ----------
    estimator : weakref
        What was fitted.
    place : Place
        Where that was booked.
    step : int
        Which fit of the run it was, from 0.
    params : dict
        All params of the run, and the last values of those that were changed.
    changed : dict
        The changed ones alone.
    points : dict of str to int
        How many points of each curve are booked.
    """

    estimator: weakref.ref[Any]
    place: Place
    step: int
    params: dict[str, str]
    changed: dict[str, str] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)


_fits: dict[int, Fitted] = {}


class ContinuedRun(OwnRun):
    """The run of an earlier fit, which takes the next one as a step.

    Parameters
    ----------
    earlier : Fitted
        The earlier fit.
    """

    def __init__(self, earlier: Fitted) -> None:
        # The very run: its identity, its tags, and the lock of those who write to it.
        self.__dict__.update(earlier.place.__dict__)
        self.suffix = f"-{earlier.step + 2}"
        self._earlier = earlier

    def begin(self, records: Records) -> int:
        """Leave the run as it is: it can be seen already."""
        return now_ms()

    def book(self, records: Records, status: str, end_time: int, step: int = 0) -> None:
        """Write the records; params that differ from the run's become metrics."""
        earlier, params = self._earlier, records.params
        steps = list(records.steps)
        for key, text in params.items():
            old = earlier.params.get(key, text)
            if old != text and key not in earlier.changed:
                steps += _point(key, old, end_time, max(step - 1, 0))
            if old != text:
                earlier.changed[key] = text
        for key, text in earlier.changed.items():
            steps += _point(key, text, end_time, step)
        new = {key: text for key, text in params.items() if key not in earlier.params}
        earlier.params.update(params)
        if earlier.changed:
            records.set_tags({CHANGED_TAG: json.dumps(earlier.changed)})
        super().book(replace(records, params=new, steps=steps), status, end_time, step)


def _point(key: str, text: str, timestamp: int, step: int) -> list[Metric]:
    """Return a param as a point of a curve, if it is a number."""
    try:
        return [Metric(key, float(text), timestamp, step)]
    except ValueError:
        return []


def continuation(estimator: Any, exclusive: bool) -> tuple[Fitted | None, Place | None]:
    """Return the earlier fit that an estimator goes on with, and the place for what comes.

    Parameters
    ----------
    estimator : BaseEstimator
        About to be fitted, with ``warm_start``.
    exclusive : bool
        Whether the user's active run is left alone.

    Returns
    -------
    earlier : Fitted or None
        None when it begins anew.
    place : Place or None
        None in a run of the user's, too, which numbers its fits itself.
    """
    found = _fits.get(id(estimator))
    if found is None or found.estimator() is not estimator:
        return None, None
    if found.place.store is not get_store():
        return None, None
    active = None if exclusive else runs.active_run()
    if active is not None:
        return (found if active.info.run_id == found.place.info.run_id else None), None
    same = experiment_in_use().experiment_id == found.place.info.experiment_id
    if isinstance(found.place, OwnRun) and same:
        return found, ContinuedRun(found)
    return None, None


def go_on(note: FitNote, earlier: Fitted) -> None:
    """Make a fit the next step of an earlier one."""
    note.step, note.points = earlier.step + 1, earlier.points
    if isinstance(note.place, UserRun) and isinstance(earlier.place, UserRun):
        note.place.take_metric_names(earlier.place)


def remember(estimator: Any, note: FitNote) -> None:
    """Keep in mind where an estimator's fit was booked, as long as it lives."""
    key = id(estimator)
    with contain(f"what {type(estimator).__name__} may go on with"):
        earlier = _fits.get(key) if note.step else None
        reference = weakref.ref(estimator, partial(_gone, key))
        fitted = Fitted(reference, note.place, note.step, dict(note.records.params))
        if earlier is not None:
            fitted.params, fitted.changed = earlier.params, earlier.changed
        fitted.points = {} if note.points is None else note.points
        if note.points is None:
            curves(estimator, fitted.points)
        _fits[key] = fitted


def _gone(key: int, reference: weakref.ref[Any]) -> None:
    found = _fits.get(key)
    if found is not None and found.estimator is reference:
        _fits.pop(key, None)


if hasattr(os, "register_at_fork"):
    # The run belongs to the parent.
    os.register_at_fork(after_in_child=_fits.clear)
