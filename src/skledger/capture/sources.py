"""Where a prediction came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import ReferenceType

__all__ = ["TRUTHS", "UNKNOWN_DATASET", "Fit", "Source", "n_rows_of"]

#: The name of data that no variable of the user's names.
UNKNOWN_DATASET = "unknown_dataset"
#: Arguments of metrics that predictions are compared with.
TRUTHS = ("y_true", "labels_true")


def n_rows_of(data: Any) -> int | None:
    """Return how many rows data have, where they say so."""
    shape = getattr(data, "shape", None)
    if shape:
        return shape[0]  # type: ignore[no-any-return]
    return len(data) if isinstance(data, list | tuple) else None


class Fit(NamedTuple):
    """What a fitted estimator is known by.

    Parameters
    ----------
    run_id : str
        The run that its fit is booked in.
    serial : int
        Tells the fits of this process apart, also those of one object.
    step : int
        Of a model that learns in steps, the last.
    """

    run_id: str
    serial: int = 0
    step: int = 0


# Not frozen: each prediction makes one, and that would take three times as long.
@dataclass(slots=True)
class Source:
    """Where a prediction came from: a run, its estimator, and the data it was asked about.

    Parameters
    ----------
    run_id : str
        The run of the fit: its own, or the user's that was active then.
    estimator : weakref.ref
        The fitted estimator; it may be gone.
    estimator_class : str
        The name of its class.
    method : str
        What it was asked by, such as ``predict``; also ``labels_`` or ``cross_val_predict``.
    dataset : str
        The name of the data as the user has it, else `UNKNOWN_DATASET`.
    data_key : int
        Tells data sets of one name apart: a running number of the live object.
    data : weakref.ref or None
        The data themselves, where they can be referenced weakly.
    n_samples : int or None
        How many rows they have.
    serial : int
        Which fit of this process the estimator was at, see `Fit`.
    step : int
        At which step.
    """

    run_id: str
    estimator: ReferenceType[Any]
    estimator_class: str
    method: str
    dataset: str
    data_key: int
    data: ReferenceType[Any] | None
    n_samples: int | None
    serial: int = 0
    step: int = 0
