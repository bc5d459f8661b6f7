"""Fits that were booked, and what waits to be written of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType

from skledger.capture.budget import Allowance
from skledger.capture.held_out import Held
from skledger.capture.measured import Outcome
from skledger.capture.sources import UNKNOWN_DATASET
from skledger.ledger.data_inputs import MAX_NAME_LENGTH
from skledger.ledger.place import Place
from skledger.ledger.records import storable
from skledger.tracking.entities import Dataset, DatasetInput, RunInfo

__all__ = ["Booking", "Pending", "RunPlace"]


class RunPlace(Place):
    """A run, open or ended, to which something is added."""

    def __init__(self, info: RunInfo, store: Any) -> None:
        self.info = info
        self.suffix = ""
        self.ordinal = 0
        self.store = store


@dataclass(slots=True, eq=False)
class Booking:
    """A fit that was booked, for what is measured of its model later.

    Parameters
    ----------
    run_id : str
        Its run.
    store : Store
        Where that is.
    info : RunInfo or None
        The run; None when it has to be asked for.
    suffix : str
        What the files of this fit end in.
    link : weakref.ref or None
        The model; None for a run without one.
    model_id : str, optional
        The logged model.
    training : mapping
        The training metrics.
    train_key : int, optional
        The number of the training data.
    train_name : str, optional
        What they are called.
    train_data : Dataset, optional
        The training data as an input of the run.
    allowance : Allowance
        The time for predictions that only pictures need.
    started : int
        When it began.
    is_fresh : bool
        Whether nobody else has written to the run.
    pictures : bool
        Whether pictures of held-out data are wanted.
    step : int
        Of a model that learns in steps, the last.
    serial : int
        Tells the fits of this process apart.
    kind, classes : object
        What is known of the model, once somebody asked.
    shown, looked : set
        Data sets whose pictures are there, and the metrics for which they were looked at.
    inputs : dict
        The digests of data sets that are described, by number and name; None where none is known.
    plots : dict
        The numbers behind the pictures of each data set.
    """

    run_id: str
    store: Any
    info: RunInfo | None
    suffix: str
    link: ReferenceType[Any] | None
    model_id: str | None = None
    training: Any = field(default_factory=dict)
    train_key: int | None = None
    train_name: str | None = None
    train_data: Dataset | None = None
    allowance: Allowance = field(default_factory=Allowance)
    started: int = 0
    is_fresh: bool = False
    pictures: bool = True
    step: int = 0
    serial: int = field(default_factory=itertools.count(1).__next__)
    kind: str | None = None
    classes: Any = None
    shown: set[tuple[int | None, str]] = field(default_factory=set)
    looked: set[tuple[int | None, str]] = field(default_factory=set)
    inputs: dict[tuple[int, str], str | None] = field(default_factory=dict)
    plots: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Pending:
    """One call of a metric or a score that waits to be written.

    Parameters
    ----------
    booking : Booking
        The fit it is about.
    metric : str
        The first part of its key.
    dataset : str
        The name of the data.
    data_key : int or None
        Their number.
    call : str
        The call as text.
    how : str
        How the model was found.
    outcome : Outcome
        What was returned.
    timestamp : int
        When, in ms since the epoch.
    step : int
        The step of the model.
    held : Held, optional
        Copies of what the call was given.
    group : str, optional
        Which pictures of the data are wanted: ``labels`` or ``scores``.
    checks : sequence of str
        The checks that are wanted.
    training : mapping
        The training metrics that it may be compared with.
    report : dict, optional
        Of a report as text, the arguments to make it with once more.
    data_input : DatasetInput, optional
        The data, where they are an input that the run does not have.
    """

    booking: Booking
    metric: str
    dataset: str
    data_key: int | None
    call: str
    how: str
    outcome: Outcome
    timestamp: int
    step: int = 0
    held: Held | None = None
    group: str | None = None
    checks: Sequence[str] = ()
    training: Any = field(default_factory=dict)
    report: dict[str, Any] | None = None
    data_input: DatasetInput | None = None

    @property
    def is_of_training_data(self) -> bool:
        """Whether the model is asked about what it was fitted on, under the name of that."""
        names = (self.booking.train_name, UNKNOWN_DATASET)
        known = self.data_key is not None and self.data_key == self.booking.train_key
        return known and self.dataset in names

    def measured_on(self, label: str) -> tuple[str | None, str | None]:
        """Return the name and the digest of the data, or None twice where they are not described.

        Parameters
        ----------
        label : str
            What the data are called in the run.
        """
        if self.data_key is None:
            return None, None
        trained = self.booking.train_data
        if trained is not None and self.is_of_training_data:
            return trained.name, trained.digest
        digest = self.booking.inputs.get((self.data_key, self.dataset))
        return (None, None) if digest is None else (storable(label, MAX_NAME_LENGTH), digest)
