"""The experiment of a copy: made, or found under its name, at the destination."""

from __future__ import annotations

from typing import Any

from skledger.errors import AlreadyExistsError, InvalidParameterError
from skledger.stores.base import Store
from skledger.tracking.copying_marks import COPYING_TAG
from skledger.tracking.copying_places import is_server
from skledger.tracking.entities import Experiment, LifecycleStage
from skledger.tracking.names import now_ms

__all__ = ["ExperimentCopier"]

#: The tag of an experiment that is about to be deleted again; then comes the time, in ms.
_CLOSING = "closing "
#: An experiment that changed so much later was restored by somebody who wants to keep it, in ms.
_RESTORED_AFTER = 60_000


class ExperimentCopier:
    """Copies one experiment, and says where its runs go.

    A deleted one is deleted at the end only, since a deleted experiment takes no runs.

    Parameters
    ----------
    destination : Store
        Where it goes.
    experiment : Experiment
        As it is at the source.

    Attributes
    ----------
    is_new : bool
        Whether the destination had none of that name.
    deletes_runs : bool
        Whether the runs are deleted with their experiment at the end.
    """

    def __init__(self, destination: Store, experiment: Experiment) -> None:
        self._destination, self._experiment = destination, experiment
        self._found = destination.get_experiment_by_name(experiment.name)
        self.is_new = self._found is None
        was_deleted = experiment.lifecycle_stage == LifecycleStage.DELETED
        ours = self._found is None or _is_being_made(self._found)
        self.deletes_runs = was_deleted and (ours or self.is_deleted)

    @property
    def is_deleted(self) -> bool:
        """Whether it is deleted at the destination."""
        return self._found is not None and self._found.lifecycle_stage == LifecycleStage.DELETED

    def open(self) -> Experiment:
        """Return the experiment at the destination, made or taken up, ready for runs.

        Raises
        ------
        InvalidParameterError
            When it is deleted there, and not at the source.
        """
        if self._found is None:
            self._found = self._make()
        if self.is_deleted:
            if not self.deletes_runs:
                raise InvalidParameterError(
                    f"The experiment {self._experiment.name!r} is deleted at the destination, "
                    f"{self._destination.uri}: restore it there, or rename one of the two."
                )
            self._change(lifecycle_stage=LifecycleStage.ACTIVE, tags={COPYING_TAG: "deleted"})
        lacking = {k: v for k, v in self._experiment.tags.items() if k not in self._found.tags}
        lacking.pop(COPYING_TAG, None)
        if lacking:
            self._change(tags=lacking)
        return self._destination.get_experiment(self._found.experiment_id)

    def close(self) -> None:
        """Delete what was deleted at the source."""
        if not self.deletes_runs or self._found is None:
            return
        if is_server(self._destination.uri):
            # Two requests, and a deleted experiment gives no tag back: between the two it must
            # still be known as ours, to whoever goes on after this process was killed.
            self._change(tags={COPYING_TAG: f"{_CLOSING}{now_ms()}"})
            self._change(lifecycle_stage=LifecycleStage.DELETED)
        else:
            self._change(lifecycle_stage=LifecycleStage.DELETED, deleted_tags=(COPYING_TAG,))

    def _make(self) -> Experiment:
        tags = {k: v for k, v in self._experiment.tags.items() if k != COPYING_TAG}
        if self.deletes_runs:
            tags[COPYING_TAG] = "deleted"
        try:
            made = self._destination.create_experiment(self._experiment.name, tags=tags)
        except AlreadyExistsError:  # somebody else was faster
            found = self._destination.get_experiment_by_name(self._experiment.name)
            if found is None:
                raise
            return found
        return self._destination.get_experiment(made)

    def _change(self, **changes: Any) -> None:
        assert self._found is not None
        self._destination.update_experiment(self._found.experiment_id, **changes)


def _is_being_made(found: Experiment) -> bool:
    """Whether a copy that was begun made this experiment, and has not ended."""
    tag = found.tags.get(COPYING_TAG, "")
    if not tag.startswith(_CLOSING) or found.lifecycle_stage == LifecycleStage.DELETED:
        return bool(tag)
    since = int(tag.removeprefix(_CLOSING))
    return (found.last_update_time or 0) < since + _RESTORED_AFTER
