"""Where a prediction came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType

__all__ = ["UNKNOWN_DATASET", "Source"]

#: The name of data that no variable of the user's names.
UNKNOWN_DATASET = "unknown_dataset"


@dataclass(frozen=True, slots=True)
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
    """

    run_id: str
    estimator: ReferenceType[Any]
    estimator_class: str
    method: str
    dataset: str
    data_key: int
    data: ReferenceType[Any] | None
    n_samples: int | None
