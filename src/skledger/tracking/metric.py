"""One number that was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from skledger.tracking.entity import Entity

__all__ = ["Metric", "measured_on"]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Metric(Entity):
    """One number, at one step, at one time.

    Parameters
    ----------
    key : str
        Its name.
    value : float
        The number; NaN and the infinities are numbers here.
    timestamp : int
        When it was measured, in ms since the epoch.
    step : int, default=0
        The step it belongs to.
    model_id : str, optional
        Of a logged model's metric, the model. It says where the number was read, and is no part of
        what makes two numbers equal; so is `run_id`.
    dataset_name, dataset_digest : str, optional
        Of a logged model's metric, the data that it was measured on: both or none.
    run_id : str, optional
        Of a logged model's metric, the run in which it was measured.
    """

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str | None = field(default=None, compare=False)
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = field(default=None, compare=False)

    def __init__(
        self,
        key: str,
        value: float,
        timestamp: int,
        step: int = 0,
        model_id: str | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        run_id: str | None = None,
    ) -> None:
        # What is generated for a frozen class takes twice as long, and a search makes thousands.
        _put_key(self, key)
        _put_value(self, value)
        _put_timestamp(self, timestamp)
        _put_step(self, step)
        _put_model_id(self, model_id)
        _put_dataset_name(self, dataset_name)
        _put_dataset_digest(self, dataset_digest)
        _put_run_id(self, run_id)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self if value is not None)
        return f"Metric({told})"


def _slot(name: str) -> Any:
    return Metric.__dict__[name].__set__


_put_key, _put_value, _put_timestamp, _put_step = map(_slot, ("key", "value", "timestamp", "step"))
_put_model_id, _put_run_id = _slot("model_id"), _slot("run_id")
_put_dataset_name, _put_dataset_digest = _slot("dataset_name"), _slot("dataset_digest")


def measured_on(
    metrics: Iterable[Metric], name: str | None, digest: str | None
) -> tuple[Metric, ...]:
    """Return metrics as they are when they were measured on a data set; as they are without one."""
    if name is None:
        return tuple(metrics)
    return tuple(replace(each, dataset_name=name, dataset_digest=digest) for each in metrics)
