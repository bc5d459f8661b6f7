"""Where things are in MLflow's directory layout.

::

    <root>/
      .trash/<experiment_id>/...            deleted experiments
      <experiment_id>/
        meta.yaml                           an experiment is what has this file
        tags/<key>
        datasets/<dataset_id>/meta.yaml
        models/<model_id>/                  logged models
          meta.yaml  params/<key>  tags/<key>  metrics/<key>  artifacts/
        <run_id>/
          meta.yaml                         a run is what has this file
          params/<key>  tags/<key>  metrics/<key>  artifacts/
          inputs/<input_id>/meta.yaml       the data sets of the run
          outputs/<model_id>/meta.yaml      the models of the run
        .skledger/                          our own; MLflow passes over it
          staging/                          files that are not whole yet
          locks/                            who writes to which run
          running/<run_id>                  runs that were RUNNING when they were last written

The layout was found by reading what MLflow 3.17.2 writes. A file that holds a param or a tag is
its text and nothing else; one that holds a metric has a line ``timestamp value step`` for each
value, in a model ``timestamp value step run_id``.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from skledger.stores.files_medium import META, list_folders

__all__ = ["Layout", "experiment_of", "is_identifier", "make_own_folder", "staging"]

#: What an experiment's folder holds besides runs.
_OTHERS = frozenset({"tags", "datasets", "models", "traces"})
_identifier = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)


def is_identifier(text: str) -> bool:
    """Whether a text can be the identifier of a run or a model, and so the name of its folder."""
    return _identifier.fullmatch(text) is not None and text not in _OTHERS


def staging(experiment: str) -> str:
    """Return the folder for files that are not whole yet; the same file system as the runs."""
    return f"{experiment}/.skledger/staging"


def make_own_folder(path: str) -> None:
    """Make a folder of ours in an experiment's, which is never made by this.

    It may have been removed or deleted a moment ago, and must not come back as an empty one.
    """
    for each in (os.path.dirname(path), path):  # noqa: PTH120
        with suppress(FileExistsError):
            os.mkdir(each)  # noqa: PTH102


class Layout:
    """Finds the folders of experiments, runs and models.

    Parameters
    ----------
    root : str
        The absolute path of the store.

    Attributes
    ----------
    root, trash : str
        The folder of experiments, and the one of deleted experiments.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.trash = f"{root}/.trash"
        # Only a hint: whether the run still is there is asked each time.
        self._seen: dict[str, str] = {}

    def experiments(self) -> list[str]:
        """Return the folders of all experiments, deleted ones last."""
        return [
            f"{parent}/{name}"
            for parent in (self.root, self.trash)
            for name in list_folders(parent)
            if name.isascii() and name.isdecimal()
        ]

    def experiment(self, experiment_id: str) -> str | None:
        """Return the folder of an experiment, deleted or not."""
        for parent in (self.root, self.trash):
            folder = f"{parent}/{experiment_id}"
            if os.path.exists(f"{folder}/{META}"):  # noqa: PTH110
                return folder
        return None

    def run(self, run_id: str) -> str | None:
        """Return the folder of a run."""
        return self._find(run_id, "") if is_identifier(run_id) else None

    def model(self, model_id: str) -> str | None:
        """Return the folder of a logged model."""
        return self._find(model_id, "models/") if is_identifier(model_id) else None

    def runs(self, experiment: str) -> list[str]:
        """Return the names of what may be runs in an experiment's folder."""
        return [name for name in list_folders(experiment) if is_identifier(name)]

    def remember(self, name: str, experiment: str) -> None:
        """Note in which experiment's folder a run or model was seen."""
        if len(self._seen) > 20_000:
            self._seen.clear()
        self._seen[name] = experiment

    def _find(self, name: str, below: str) -> str | None:
        hint = self._seen.get(name)
        if hint is not None:
            folder = f"{hint}/{below}{name}"
            if os.path.exists(f"{folder}/{META}"):  # noqa: PTH110
                return folder
        for experiment in self.experiments():
            folder = f"{experiment}/{below}{name}"
            if os.path.exists(f"{folder}/{META}"):  # noqa: PTH110
                self.remember(name, experiment)
                return folder
        return None


def experiment_of(folder: str) -> str:
    """Return the folder of the experiment that a run's or a model's folder is in."""
    parent = os.path.dirname(folder)  # noqa: PTH120
    return os.path.dirname(parent) if parent.endswith("/models") else parent  # noqa: PTH120
