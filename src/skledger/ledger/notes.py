"""What is noted of a call while it goes on, and what kinds of calls add to its booking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from skledger.capture.candidates import is_pipeline
from skledger.capture.dataset import DataBefore
from skledger.ledger import after_fit
from skledger.ledger.place import Place
from skledger.ledger.records import Records
from skledger.tracking.entities import RunInfo

if TYPE_CHECKING:
    from skledger.hooks.events import FitCall
    from skledger.ledger.fits import FitLedger
    from skledger.ledger.units import Ending
    from skledger.models.example import Example

__all__ = ["FitNote", "Noted"]


@dataclass(slots=True)
class FitNote:
    """What was noted before a fit.

    Parameters
    ----------
    place : Place
        Where it is booked.
    records : Records
        What is known of it so far.
    data : DataBefore
        The training data as it was.
    is_part : bool
        Whether the fit is part of another call, whose run is its parent: the model it makes is
        held by the other's, or by nobody.
    example : Example or None
        The first rows of the training data as they were.
    predicted : object
        What the model predicted for its training data, when that was asked for the metrics.
    price : tuple of (int, float) or None
        Of how many rows that was, and how many seconds it took.
    signature : mapping or None
        What the last model takes and gives; a stream has no data any more when it ends.
    points : dict of str to int or None
        How many points of each curve over iterations are booked, where training goes on.
    step : int
        Which fit of the run it is, from 0; more than one where ``warm_start`` goes on with them.
    """

    place: Place
    records: Records
    data: DataBefore = field(default_factory=lambda: DataBefore(None, None))
    is_part: bool = False
    example: Example | None = None
    predicted: Any = None
    price: tuple[int, float] | None = None
    signature: Mapping[str, str | None] | None = None
    points: dict[str, int] | None = None
    step: int = 0

    def begin(self, ledger: FitLedger, call: FitCall) -> None:
        """Prepare to listen to what happens inside the call."""
        if is_pipeline(call.estimator):
            call.nest = self

    def run_for(self, task: Any) -> RunInfo | None:
        """Return the run that a search inside this call belongs to, written if it was not."""
        self.place.announce()
        return self.place.info

    def finish(self, ledger: FitLedger, call: FitCall) -> None:
        """Fill the records with what this kind of call brings besides a fit."""

    def save_models(self, ledger: FitLedger, call: FitCall) -> None:
        """Store what was fitted."""
        self.save_model_of(ledger, call.estimator)

    def save_model_of(self, ledger: FitLedger, estimator: Any) -> None:
        """Store the model of the fit."""
        self.records.model = ledger.save_model(estimator, self)

    def link(self, call: FitCall) -> None:
        """Have what is measured later find the run: it is booked."""
        after_fit.link(call, self)

    def last_end(self) -> float:
        """Return when the last part of the call ended, in s since the epoch."""
        return 0.0

    def end_early(self, ending: Ending) -> None:
        """Book what there is: the process is about to go."""

    def forget(self) -> None:
        """Let go of what was held while the call went on; it has been booked."""

    def end(self, ledger: FitLedger, call: FitCall) -> None:
        """Book the fit."""
        ledger.book(call, self)


class Noted(Protocol):
    """A note that knows how to end: a call of its own, or a step of a stream."""

    @property
    def place(self) -> Place:
        """Where it is booked."""
        ...

    def end(self, ledger: FitLedger, call: FitCall) -> None:
        """Book what the call brought."""
        ...

    def forget(self) -> None:
        """Let go of what was held while the call went on."""
        ...
