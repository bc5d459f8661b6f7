"""A fit, from its event to its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skledger._guard import contain, failure_text, thread
from skledger._writer import Job, writer
from skledger.capture.candidates import is_search
from skledger.capture.dataset import DataBefore, before_fit, shape_of
from skledger.capture.likeness import likeness
from skledger.capture.params import params_as_text
from skledger.capture.results import has_candidates
from skledger.errors import ModelTooLargeError
from skledger.ledger import after_fit, drawing, measured, taking, warm
from skledger.ledger.data_inputs import train_input
from skledger.ledger.notes import FitNote, Noted
from skledger.ledger.place import place_for
from skledger.ledger.records import (
    PLOTS_FILE,
    Records,
    error_records,
    error_tags,
    numbers_file,
    warning_records,
)
from skledger.ledger.units import Ending
from skledger.tracking.active_models import remember_model
from skledger.tracking.entities import LoggedModel, RunInfo, RunStatus
from skledger.tracking.runs import status_after

if TYPE_CHECKING:
    from skledger.autologging import Config
    from skledger.capture.sources import Fit
    from skledger.hooks.events import FitCall, Measured

__all__ = ["FitLedger"]

#: Says what of a fit is not booked, and why.
INCOMPLETE_TAG = "skledger.incomplete"


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

    def fit_started(self, call: FitCall) -> Noted | None:
        """Note the params and the data before training can change them."""
        from skledger.ledger import streams

        if call.method == "partial_fit":
            return streams.step_of(self, call)
        streams.finish(call.estimator)
        if call.outer is not None:
            outer, task = call.outer
            parent = outer.run_for(task)
            return None if parent is None else self.note(call, parent)
        return self.note(call)

    def note(self, call: FitCall, parent: RunInfo | None = None) -> FitNote:
        """Return the note of a fit that begins now.

        Parameters
        ----------
        call : FitCall
            The fit.
        parent : RunInfo, optional
            The run of the call that it is part of.
        """
        cls = type(call.estimator)
        kind, raw = FitNote, {}
        records = _described(call)
        with contain(f"the params of {cls.__name__}"):
            if is_search(call.estimator):
                from skledger.ledger.searches import SearchNote

                kind = SearchNote
            raw = call.estimator.get_params(deep=True)
            own = raw if kind is FitNote else call.estimator.get_params(deep=False)
            records.add_params(params_as_text(own))
        data = DataBefore(None, None)
        with contain("the training data as it was before the fit"):
            data = before_fit(call.estimator, raw, call.X, call.y)
        note = self._note(kind, cls.__name__, call, records, parent)
        note.data = data
        if self.config.log_input_examples and self.config.log_models:
            from skledger.ledger.fitted_models import example_before

            note.example = example_before(call.X)
        return note

    def _note(
        self,
        kind: type[FitNote],
        name: str,
        call: FitCall,
        records: Records,
        parent: RunInfo | None = None,
    ) -> FitNote:
        """Decide where a call is booked, and begin to listen to what happens inside it."""
        earlier, place = None, None
        if parent is None and getattr(call.estimator, "warm_start", False) is True:
            earlier, place = warm.continuation(call.estimator, self.config.exclusive)
        if place is None:
            place = place_for(
                name,
                call.started,
                exclusive=self.config.exclusive,
                extra_tags=self.config.extra_tags,
                parent=parent,
            )
        call.place = place
        if self.config.log_datasets:
            data = train_input(call, place.info.run_id)
            records.inputs = () if data is None else (data,)
        note = kind(place, records, is_part=parent is not None)
        if earlier is not None:
            warm.go_on(note, earlier)
        with contain(f"what happens inside {name}"):
            note.begin(self, call)
        # What we did until here is no part of the run's duration.
        call.started = place.begin(records)
        return note

    def book_death(self, note: FitNote) -> None:
        """Book a call that does not end: the process was asked to."""
        with contain("what was under way"):
            reason = "the process was asked to end (SIGTERM)"
            ending = Ending(RunStatus.KILLED, error_tags("Terminated", reason))
            note.end_early(ending)
            note.records.set_tags(ending.tags)
            note.place.book_death(note.records, ending.status)
        measured.flush()

    def validation_started(self, call: FitCall) -> FitNote | None:
        """Note a cross-validation that begins now, unless nobody wants to hear of it."""
        from skledger.ledger.validations import ValidationNote, params_of

        if self.config.log_cross_validation is False:
            return None
        records = _described(call)
        records.set_tags({"skledger.function": call.method})
        with contain(f"the params of {call.method}"):
            records.add_params(params_of(call))
        name = f"{type(call.estimator).__name__}-{call.method}"
        return self._note(ValidationNote, name, call, records)

    def validation_ended(self, call: FitCall, note: FitNote) -> None:
        """Write what the cross-validation brought."""
        self.fit_ended(call, note)

    # -- what is measured later -----------------------------------------------------------------

    def fit_of(self, estimator: Any) -> Fit | None:
        """Return what an estimator's fit is booked as."""
        return after_fit.fit_of(estimator)

    def measured(self, event: Measured) -> None:
        """Book what a metric or a score gave."""
        if self.config.log_post_training_metrics:
            taking.take(self.config, event)

    def loaded(self, estimator: Any, described: Mapping[str, Any]) -> None:
        """Link a model that was loaded with its run."""
        after_fit.link_loaded(estimator, described)

    # -- after the fit --------------------------------------------------------------------------

    def fit_ended(self, call: FitCall, note: Noted) -> None:
        """Measure, store the model, and write the run; pictures are left to the writer."""
        try:
            note = self._as_what_it_was(call, note)
            note.end(self, call)
        except BaseException:
            note.place.abandon()
            raise
        finally:
            note.forget()

    def _as_what_it_was(self, call: FitCall, note: Noted) -> Noted:
        """Return the note of a search, when the fit shows only now that it was one."""
        if type(note) is FitNote and call.error is None:
            with contain(f"the candidates of {type(call.estimator).__name__}"):
                if has_candidates(call.estimator):
                    from skledger.ledger.past_searches import as_search

                    return as_search(self, call, note)
        return note

    def book(self, call: FitCall, note: FitNote) -> None:
        """Book a fit that ended."""
        end_time = call.started + round(call.seconds * 1000)
        note.place.name_model()
        try:
            note.finish(self, call)
            # Clocks are read to the millisecond; a part must not end after the whole.
            end_time = max(end_time, round(note.last_end() * 1000))
            self.collect(call, note)
            if call.error is None and self.config.log_models:
                note.save_models(self, call)
        except BaseException:
            # The user interrupts us, not the training: that one is done, and is booked as it is.
            note.records.set_tags({INCOMPLETE_TAG: "interrupted while it was being measured"})
            raise
        finally:
            self.write_files(note)
            self.write(note, note.records.status or status_after(call.error), end_time, note.step)
        if call.error is not None:
            after_fit.forget(call.estimator)
        else:
            with contain(f"the link from {type(call.estimator).__name__} to its run"):
                note.link(call)
            warm_started = getattr(call.estimator, "warm_start", False) is True
            if warm_started and call.method == "fit" and not note.is_part:
                warm.remember(call.estimator, note)
            self.register(note)
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
        with contain(f"what {type(call.estimator).__name__} says of itself"):
            from skledger.ledger.measuring import measure

            with_data = note.data.X is not None and self._is_measurable(note)
            measure(self.config, call, note, with_data=with_data, pictures=pictures)

    def _is_measurable(self, note: FitNote) -> bool:
        with contain("the training metrics (a look at the data)"):
            if note.data.is_unchanged():
                return True
            why = "no training metrics: the fit changed its data, which was too large to copy"
            note.records.set_tags({INCOMPLETE_TAG: why})
        return False

    def save_model(self, estimator: Any, note: FitNote, name: str = "model") -> LoggedModel | None:
        """Store a fitted model in a folder of its own; the run links to it when it is booked.

        Returns
        -------
        LoggedModel or None
            None when it could not be stored.
        """
        with contain(f"the model of {type(estimator).__name__}"):
            from skledger.ledger.fitted_models import say_too_large, store_model

            try:
                return store_model(estimator, note, self.config, name)
            except ModelTooLargeError as error:
                say_too_large(estimator, error)
        return None

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
            for model in note.records.models:
                note.place.remove_folder(model.artifact_location)
            raise
        if note.records.model is not None:
            remember_model(note.records.model.model_id)

    def register(self, note: FitNote) -> None:
        """Register the model of a fit that is no part of another, when that was asked for."""
        name, model = self.config.registered_model_name, note.records.model
        if name is None or model is None or note.is_part:
            return
        with contain(f"the registration of the model as {name!r}"):
            from skledger.tracking.registering import register_soon

            register_soon(model, name)

    def draw_later(self, estimator: Any, note: FitNote) -> None:
        """Leave the pictures and the diagram to the writer; it holds no data of the user's."""
        shown = None
        if not note.is_part:
            with contain("the diagram of the estimator"):
                shown = likeness(estimator)
        drawn = drawing.Drawing(note.place, note.records.pictures, shown)
        writer.submit(Job(f"the pictures of {type(estimator).__name__}", drawn.draw))


def _described(call: FitCall) -> Records:
    """Return records that say which estimator it is about."""
    cls = type(call.estimator)
    records = Records()
    records.set_tags(
        {
            "estimator_name": cls.__name__,
            "estimator_class": f"{cls.__module__}.{cls.__qualname__}",
        }
    )
    return records
