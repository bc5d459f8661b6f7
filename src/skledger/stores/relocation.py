"""A store that was moved: its records name the folder where the artifacts were."""

from __future__ import annotations

import os
from dataclasses import replace

from skledger.tracking.entities import Experiment, LoggedModel, Run

__all__ = ["Relocation"]


class Relocation:
    """Finds artifacts again after a database and the folder beside it were moved together.

    A path that leads through a folder named like this store's artifact root, where no such folder
    is any more, is taken to mean the same place below the root.

    Parameters
    ----------
    root : str
        Where the artifacts of this store are now.
    """

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")
        self._marker = f"/{os.path.basename(self._root)}/"  # noqa: PTH119
        self._gone: dict[str, bool] = {}

    def path(self, location: str) -> str:
        """Return where an artifact location is now."""
        if location.startswith(self._root):
            return location
        before, marker, rest = location.rpartition(self._marker)
        if not marker or not before.startswith("/"):
            return location
        if before not in self._gone:
            self._gone[before] = not os.path.isdir(before + marker)  # noqa: PTH112
        return f"{self._root}/{rest}" if self._gone[before] else location

    def run(self, run: Run) -> Run:
        """Return a run with its artifacts where they are now."""
        uri = self.path(run.info.artifact_uri)
        if uri is run.info.artifact_uri:
            return run
        return replace(run, info=replace(run.info, artifact_uri=uri))

    def model(self, model: LoggedModel) -> LoggedModel:
        """Return a logged model with its folder where it is now."""
        location = self.path(model.artifact_location)
        if location is model.artifact_location:
            return model
        return replace(model, artifact_location=location)

    def experiment(self, experiment: Experiment) -> Experiment:
        """Return an experiment with its artifacts where they are now."""
        location = self.path(experiment.artifact_location)
        if location is experiment.artifact_location:
            return experiment
        return replace(experiment, artifact_location=location)
