"""A fit, from its event to its run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from skledger._guard import contain, failure_text, say, thread
from skledger._writer import Job, writer
from skledger.capture.dataset import DataBefore, before_fit, shape_of
from skledger.capture.params import params_as_text
from skledger.ledger import drawing
from skledger.ledger.place import Place, describe_model, place_for
from skledger.ledger.records import (
    PLOTS_FILE,
    Records,
    error_records,
    numbers_file,
    warning_records,
)
from skledger.tracking.model_uris import DIGESTS_TAG
from skledger.tracking.runs import status_after

if TYPE_CHECKING:
    from skledger.autologging import Config
    from skledger.hooks.events import FitCall

__all__ = ["FitLedger", "FitNote"]

#: Says what of a fit is not booked, and why.
INCOMPLETE_TAG = "skledger.incomplete"

_hinted: set[str] = set()


@dataclass(slots=True)
class FitNote:
    """What was noted before a fit."""

    place: Place
    records: Records
    data: DataBefore = field(default_factory=lambda: DataBefore(None, None))

    def end(self, ledger: FitLedger, call: FitCall) -> None:
        """Book the fit."""
        ledger.book(call, self)


class FitLedger:
    """Listens to the hooks and books every fit.

    Parameters
    ----------
    config : Config
        What `autolog` was asked for.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    # -- before the fit -------------------------------------------------------------------------

    def fit_started(self, call: FitCall) -> Noted:
        """Note the params and the data before training can change them."""
        from skledger.ledger import streams

        if call.method == "partial_fit":
            return streams.step_of(self, call)
        streams.finish(call.estimator)
        return self.note(call)

    def note(self, call: FitCall) -> FitNote:
        """Return the note of a fit that begins now."""
        cls = type(call.estimator)
        records = Records()
        records.set_tags(
            {
                "estimator_name": cls.__name__,
                "estimator_class": f"{cls.__module__}.{cls.__qualname__}",
            }
        )
        raw: Mapping[str, Any] = {}
        with contain(f"the params of {cls.__name__}"):
            raw = call.estimator.get_params(deep=True)
            records.add_params(params_as_text(raw))
        place = place_for(
            cls.__name__,
            call.started,
            exclusive=self.config.exclusive,
            extra_tags=self.config.extra_tags,
        )
        note = FitNote(place, records)
        with contain("the training data as it was before the fit"):
            note.data = before_fit(call.estimator, raw, call.X, call.y)
        place.fit_began(records.tags, records.params)
        return note

    # -- after the fit --------------------------------------------------------------------------

    def fit_ended(self, call: FitCall, note: Noted) -> None:
        """Measure, store the model, and write the run; pictures are left to the writer."""
        try:
            note.end(self, call)
        except BaseException:
            note.place.abandon()
            raise

    def book(self, call: FitCall, note: FitNote) -> None:
        """Book a fit that ended."""
        end_time = call.started + round(call.seconds * 1000)
        note.place.name_model()
        try:
            self.collect(call, note)
            if call.error is None and self.config.log_models:
                self.save_model(call.estimator, note)
        except BaseException:
            # The user interrupts us, not the training: that one is done, and is booked as it is.
            note.records.set_tags({INCOMPLETE_TAG: "interrupted while it was being measured"})
            raise
        finally:
            self.write_files(note)
            self.write(note, status_after(call.error), end_time)
        if call.error is None:
            self.draw_later(call.estimator, note)

    def collect(self, call: FitCall, note: FitNote, *, pictures: bool = True) -> None:
        """Fill the records with what the call tells: numbers, warnings, the error."""
        records = note.records
        records.metrics["fit_seconds"] = call.seconds
        with contain("the shape of the data"):
            for name, count in zip(("n_samples", "n_features"), shape_of(call.X), strict=True):
                if count is not None:
                    records.metrics[name] = count
        with contain("the warnings of the fit"):
            warning_records(records, call.warned)
        if call.error is not None:
            with contain("the error of the fit"):
                error_records(records, call.error)
            return
        if note.data.X is None or not self._is_measurable(note):
            return
        with contain(f"the training metrics of {type(call.estimator).__name__}"):
            from skledger.capture.metrics import evaluate

            evaluation = evaluate(
                call.estimator,
                note.data.X,
                note.data.y,
                call.sample_weight,
                pos_label=self.config.pos_label,
                pictures=pictures,
            )
            records.metrics.update(evaluation.metrics)
            records.pictures = evaluation.pictures

    def _is_measurable(self, note: FitNote) -> bool:
        with contain("the training metrics (a look at the data)"):
            if note.data.is_unchanged():
                return True
            why = "no training metrics: the fit changed its data, which was too large to copy"
            note.records.set_tags({INCOMPLETE_TAG: why})
        return False

    def save_model(self, estimator: Any, note: FitNote) -> None:
        """Store the fitted model in a folder of its own; the run links to it when it is booked."""
        with contain(f"the model of {type(estimator).__name__}"):
            from skledger.models.folder import save_sklearn_model

            place, name = note.place, note.place.name_model()
            model_id, location = place.new_model()
            saved = save_sklearn_model(
                estimator,
                location,
                model_id=model_id,
                run_id=place.info.run_id,
                artifact_path=name,
                serialization_format=self.config.model_format,
            )
            tags = {DIGESTS_TAG: json.dumps(saved.digests)}
            note.records.model = describe_model(place, model_id, location, name, note.records, tags)
            note.records.model_bytes = saved.size_bytes
            _hint_local_modules(saved.local_modules)

    def write_files(self, note: FitNote) -> None:
        """Write the artifacts that must not be lost: texts, and the numbers behind pictures."""
        records = note.records
        if records.pictures:
            with contain("the numbers behind the pictures"):
                records.files[PLOTS_FILE] = numbers_file(records.pictures)
        note.place.put_files(records.files)

    def write(self, note: FitNote, status: str, end_time: int, step: int = 0) -> None:
        """Write the records in one transaction; without it the stored model is nobody's."""
        if thread.failures:
            note.records.set_tags({INCOMPLETE_TAG: failure_text(thread.failures)})
        try:
            note.place.book(note.records, status, end_time, step)
        except BaseException:
            if note.records.model is not None:
                note.place.remove_folder(note.records.model.artifact_location)
            raise

    def draw_later(self, estimator: Any, note: FitNote) -> None:
        """Leave the pictures and the diagram to the writer; it holds no data of the user's."""
        skeleton = None
        if note.records.model is None:
            with contain("the diagram of the estimator"):
                from sklearn.base import clone

                skeleton = clone(estimator)
        drawn = drawing.Drawing(
            place=note.place,
            pictures=note.records.pictures,
            model=note.records.model,
            model_bytes=note.records.model_bytes,
            skeleton=skeleton,
        )
        writer.submit(Job(f"the pictures of {type(estimator).__name__}", drawn.draw))


class Noted(Protocol):
    """A note that knows how to end: a fit of its own, or a step of a stream."""

    @property
    def place(self) -> Place:
        """Where it is booked."""
        ...

    def end(self, ledger: FitLedger, call: FitCall) -> None:
        """Book what the call brought."""
        ...


def _hint_local_modules(modules: tuple[str, ...]) -> None:
    """Say once that a model needs code that is not in any package."""
    fresh = [name for name in modules if name not in _hinted]
    if fresh:
        _hinted.update(fresh)
        say(
            logging.INFO,
            "skledger: the model needs your own module%s %s to load; keep %s importable",
            "s" if len(fresh) > 1 else "",
            ", ".join(fresh),
            "them" if len(fresh) > 1 else "it",
        )
