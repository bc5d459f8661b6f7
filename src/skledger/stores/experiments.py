"""What stores of every kind say about experiments."""

from __future__ import annotations

import os
import re
from typing import Protocol

from skledger.errors import AlreadyExistsError, InvalidParameterError, NotFoundError
from skledger.tracking.entities import (
    DEFAULT_EXPERIMENT_ID,
    Experiment,
    LifecycleStage,
)

__all__ = [
    "DEFAULT_EXPERIMENT_NAME",
    "absolute_location",
    "find_or_create",
    "no_experiment",
    "refuse_rename_of_deleted",
    "taken_name",
]

DEFAULT_EXPERIMENT_NAME = "Default"

#: A drive of Windows is none.
_URI = re.compile(r"file:|[A-Za-z][A-Za-z0-9+.-]+:/")


class _Experiments(Protocol):
    """The part of a store that is needed here."""

    def create_experiment(self, name: str) -> str: ...
    def get_experiment(self, experiment_id: str) -> Experiment: ...
    def get_experiment_by_name(self, name: str) -> Experiment | None: ...


def find_or_create(store: _Experiments, name: str | None) -> Experiment:
    """Return the experiment of a name, made when it is new; several processes may ask at once.

    Parameters
    ----------
    store : Store
        Where.
    name : str, optional
        By default the experiment ``0``; where somebody removed that one for good, ``Default``.

    Raises
    ------
    NotFoundError
        When somebody takes it away in between.
    """
    if name is None:
        try:
            return store.get_experiment(DEFAULT_EXPERIMENT_ID)
        except NotFoundError:
            name = DEFAULT_EXPERIMENT_NAME
    found = store.get_experiment_by_name(name)
    if found is None:
        try:
            return store.get_experiment(store.create_experiment(name))
        except AlreadyExistsError:
            found = store.get_experiment_by_name(name)
    if found is None:
        raise NotFoundError(
            f"the experiment {name!r} vanished while it was being created: try again"
        )
    return found


def absolute_location(location: str) -> str:
    """Return a plain path as an absolute one; a URI stays as it is."""
    if _URI.match(location):
        return location
    return os.path.abspath(location)  # noqa: PTH100 - a link is not followed


def no_experiment(experiment_id: object, uri: str) -> NotFoundError:
    """Return the error that there is no experiment of an identifier."""
    return NotFoundError(f"there is no experiment {str(experiment_id)!r} in {uri}")


def taken_name(name: str) -> AlreadyExistsError:
    """Return the error that an experiment has the name already."""
    return AlreadyExistsError(
        f"there is an experiment named {name!r} already (it may be deleted): "
        "choose another name or use that one"
    )


def refuse_rename_of_deleted(
    experiment_id: str, stage: str, name: str | None, new_stage: str | None
) -> None:
    """Refuse a new name for an experiment that is deleted and stays so."""
    if name is not None and stage == LifecycleStage.DELETED and new_stage != LifecycleStage.ACTIVE:
        raise InvalidParameterError(
            f"experiment {experiment_id} is deleted and cannot be named {name!r}: restore it first"
        )
