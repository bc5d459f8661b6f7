"""``partial_fit``: the calls of one estimator are the steps of one run.

The run stays RUNNING until the estimator is fitted anew, is collected, or the process exits. Its
metrics are written at every call. Its model is written at the first call and then again whenever
that takes at most a tenth of the time, so that a killed process leaves a recent one.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from skledger._exit import at_exit
from skledger._guard import contain, thread
from skledger._writer import writer
from skledger.capture.dataset import DataBefore, before_fit
from skledger.ledger import after_fit
from skledger.tracking.entities import LoggedModel, RunStatus
from skledger.tracking.runs import status_after
from skledger.tracking.session import before_reading

if TYPE_CHECKING:
    from skledger.capture.warned import RaisedWarning
    from skledger.hooks.events import FitCall
    from skledger.ledger.fits import FitLedger
    from skledger.ledger.notes import FitNote
    from skledger.ledger.place import Place

__all__ = ["finish", "finish_all", "finish_orphans", "step_of"]

#: The model is written again when that took at most this share of the time since.
SAVE_SHARE = 0.1

#: Warnings of earlier steps that are kept.
KEPT_WARNINGS = 1000

_streams: dict[int, Stream] = {}
_lock = threading.RLock()


class Stream:
    """The run of an estimator that learns in steps."""

    def __init__(self, ledger: FitLedger, call: FitCall, note: FitNote) -> None:
        self.ledger = ledger
        self.note = note
        note.points = {}
        self.step = 0
        self.last_end = call.started
        self.key = id(call.estimator)
        self.alive = weakref.ref(call.estimator, self._collected)
        # The estimator itself must be free to go; its state stays, so that the last step's
        # model can still be written when it has gone.
        self.cls: type = type(call.estimator)
        self.state: dict[str, Any] | None = getattr(call.estimator, "__dict__", None)
        self._unsaved = False
        self._saved_at = 0.0
        self._save_cost = 0.0
        self._model: LoggedModel | None = None
        self._params = note.records.params
        self._warned: list[RaisedWarning] = []
        self._lock = threading.RLock()

    @property
    def place(self) -> Place:
        """Where the stream is booked."""
        return self.note.place

    def end(self, ledger: FitLedger, call: FitCall) -> None:
        """Book one call of ``partial_fit``."""
        with self._lock:
            records, note = self.note.records, self.note
            records.metrics, records.model, records.files = {}, None, {}
            records.steps = []
            del self._warned[:-KEPT_WARNINGS]
            self._warned += call.warned
            call.warned[:] = self._warned
            ledger.collect(call, note, pictures=False)
            self.last_end = call.started + round(call.seconds * 1000)
            failed = call.error is not None
            if not failed and ledger.config.log_models:
                self._unsaved = True
                if self._may_save():
                    self._save(call.estimator)
            note.place.name_model()
            ledger.write_files(note)
            self._book(status_after(call.error) if failed else RunStatus.RUNNING)
            with contain(f"the link from {self.cls.__name__} to its run"):
                if failed:
                    after_fit.forget(call.estimator)
                else:
                    after_fit.link_step(call, note, self.step)
            self.step += 1
            note.data = DataBefore(None, None)  # the user's batch is free to go
            if failed:
                _forget(self.key)

    def forget(self) -> None:
        """Keep all: the next call is the next step."""

    def _may_save(self) -> bool:
        return time.monotonic() - self._saved_at >= self._save_cost / SAVE_SHARE

    def _save(self, estimator: Any) -> None:
        start = time.monotonic()
        self.note.records.params = self._params
        self.note.save_model_of(self.ledger, estimator)
        self._saved_at = time.monotonic()
        self._save_cost = self._saved_at - start
        self._unsaved = False

    def _book(self, status: str) -> None:
        """Write the step; a newer model takes the place of the older one in the same write."""
        records, old = self.note.records, self._model
        records.replaced_models = ()
        if records.model is not None:
            self._model = records.model
            records.replaced_models = () if old is None else (old.model_id,)
        self.ledger.write(self.note, status, self.last_end, self.step)
        records.params, records.tags, records.inputs = {}, {}, ()
        if old is not None and records.replaced_models:
            self.note.place.remove_folder(old.artifact_location)

    def save_if_behind(self, estimator: Any) -> None:
        """Write the model of the last step, if it has not been."""
        with self._lock, contain(f"the model of {self.cls.__name__}"):
            if self._unsaved and not thread.depth:
                records = self.note.records
                records.metrics, records.files, records.model = {}, {}, None
                records.steps = []
                self._save(estimator)
                self._book(RunStatus.RUNNING)

    def finish(self, estimator: Any) -> None:
        """Write the model as it is now and end the run."""
        with self._lock, contain(f"the end of the run of {self.cls.__name__}"):
            records = self.note.records
            records.metrics, records.files, records.model = {}, {}, None
            records.steps = []
            if estimator is None and self.state is not None:
                estimator = object.__new__(self.cls)
                estimator.__dict__ = self.state
            if self._unsaved and estimator is not None:
                self._save(estimator)
            self.step = max(self.step - 1, 0)
            self._book(RunStatus.FINISHED)
            self.state = None
            records.model = self._model
            self.ledger.register(self.note)
            if self._model is not None and estimator is not None:
                self.ledger.draw_later(estimator, self.note)

    def _collected(self, reference: weakref.ref[Any]) -> None:
        # Called by the collector, at any place in any thread: leave the work to the writer.
        _streams.pop(self.key, None)
        _orphans.append(self)
        writer.alarm(0.0, finish_orphans)


_orphans: list[Stream] = []


def step_of(ledger: FitLedger, call: FitCall) -> Stream:
    """Return the stream that a call of ``partial_fit`` belongs to, begun if it is the first."""
    stream = _streams.get(id(call.estimator))
    if stream is not None and stream.alive() is call.estimator:
        with contain("the training data as it was before the fit"):
            stream.note.data = before_fit(call.estimator, {}, call.X, call.y)
        return stream
    with _lock:
        stream = Stream(ledger, call, ledger.note(call))
        _streams[stream.key] = stream
    return stream


def _forget(key: int) -> None:
    _streams.pop(key, None)


def finish(estimator: Any) -> None:
    """End the stream of an estimator that is being fitted anew, if it has one."""
    stream = _streams.get(id(estimator))
    if stream is not None and stream.alive() is estimator:
        _forget(stream.key)
        stream.finish(estimator)


def finish_orphans() -> None:
    """End the streams whose estimator has been collected."""
    with _lock:  # who comes second waits until the first has written
        while _orphans:
            _orphans.pop().finish(None)


def catch_up() -> None:
    """Before something is read: end what has been collected, store the models of last steps."""
    finish_orphans()
    for stream in list(_streams.values()):
        estimator = stream.alive()
        if estimator is not None:
            stream.save_if_behind(estimator)


def _renew_locks() -> None:
    # Threads that held them do not exist in a forked child; nor does the child end the streams
    # of its parent.
    global _lock
    _lock = threading.RLock()
    _streams.clear()
    _orphans.clear()


before_reading.append(catch_up)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def finish_all() -> None:
    """End every stream, at exit."""
    finish_orphans()
    for stream in list(_streams.values()):
        _forget(stream.key)
        stream.finish(stream.alive())


at_exit("streams", finish_all)
