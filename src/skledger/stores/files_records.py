"""What is written about runs, models and data sets: the content of their files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import md5

from skledger.stores.checks import MODEL_STATUS
from skledger.stores.files_names import other_name, usual_name
from skledger.stores.files_numbers import line_of
from skledger.stores.files_yaml import dump
from skledger.tracking.entities import (
    Dataset,
    LifecycleStage,
    LoggedModel,
    Metric,
    RunInfo,
    RunStatus,
)

__all__ = [
    "Names",
    "dataset_file",
    "dataset_id",
    "input_file",
    "input_id",
    "lines_of",
    "model_files",
    "output_file",
    "run_meta",
    "status_number",
]


class Names:
    """Names for the files of keys, such that none is a folder for another.

    Parameters
    ----------
    below : str
        The folder of the files.
    """

    def __init__(self, below: str) -> None:
        self._below = below
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def name(self, key: str) -> str:
        """Return the relative path of a new file."""
        name = usual_name(key)
        folders = set(_folders_of(name))
        if name in self._folders or folders & self._files:
            name = other_name(key)
            folders = set(_folders_of(name))
        self._files.add(name)
        self._folders |= folders
        return f"{self._below}/{name}"


def _folders_of(name: str) -> list[str]:
    if "/" not in name:
        return []
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def status_number(status: str) -> int:
    """Return the number that MLflow has for the state of a run."""
    return RunStatus.ALL.index(status) + 1


def run_meta(info: RunInfo) -> dict[str, object]:
    """Return the description of a run, with what MLflow expects there and does not use."""
    meta: dict[str, object] = {
        "artifact_uri": info.artifact_uri,
        "end_time": info.end_time,
        "entry_point_name": "",
        "experiment_id": info.experiment_id,
        "lifecycle_stage": info.lifecycle_stage,
        "run_id": info.run_id,
        "run_name": info.run_name,
        "run_uuid": info.run_id,
        "source_name": "",
        "source_type": 4,
        "source_version": "",
        "start_time": info.start_time,
        "status": status_number(info.status),
        "tags": [],
        "user_id": info.user_id,
    }
    return meta


def lines_of(metrics: Iterable[Metric], run_id: str | None = None) -> dict[str, bytes]:
    """Return the lines of metrics by their keys."""
    lines: dict[str, list[str]] = {}
    for metric in metrics:
        lines.setdefault(metric.key, []).append(line_of(metric, run_id))
    return {key: "".join(each).encode() for key, each in lines.items()}


def dataset_id(dataset: Dataset) -> str:
    """Return the identifier that MLflow gives a data set: its name and digest, hashed."""
    return _hashed(dataset.name + dataset.digest)


def input_id(dataset: str, run_id: str) -> str:
    """Return the identifier that MLflow gives the use of a data set by a run."""
    return _hashed(dataset + run_id)


def _hashed(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def dataset_file(dataset: Dataset) -> bytes:
    """Return the description of a data set."""
    return dump(
        {
            "digest": dataset.digest,
            "name": dataset.name,
            "profile": dataset.profile,
            "schema": dataset.schema,
            "source": dataset.source,
            "source_type": dataset.source_type,
        }
    )


def input_file(dataset: str, tags: Mapping[str, str]) -> bytes:
    """Return the description of the use of a data set by a run."""
    return dump(
        {
            "destination_id": dataset,  # as MLflow has it; the run is the folder this is in
            "destination_type": "RUN",
            "source_id": dataset,
            "source_type": "DATASET",
            "tags": dict(tags),
        }
    )


def output_file(model_id: str) -> bytes:
    """Return the description of a model that a run made."""
    return dump(
        {
            "destination_id": model_id,
            "destination_type": "MODEL_OUTPUT",
            "source_id": model_id,
            "source_type": "RUN_OUTPUT",
            "step": 0,
            "tags": {},
        }
    )


def model_files(model: LoggedModel, experiment_id: str, run_id: str) -> dict[str, bytes]:
    """Return the files of a logged model by their relative paths."""
    source = model.source_run_id or run_id
    meta = {
        "artifact_location": model.artifact_location,
        "creation_timestamp": model.creation_timestamp,
        "experiment_id": experiment_id,
        "last_updated_timestamp": model.last_updated_timestamp,
        "lifecycle_stage": LifecycleStage.ACTIVE,
        "model_id": model.model_id,
        "model_type": model.model_type or None,
        "name": model.name,
        "source_run_id": source,
        "status": MODEL_STATUS[model.status],
        "status_message": None,
    }
    files = {"meta.yaml": dump(meta)}
    for below, values in (
        ("params", {key: value.encode() for key, value in model.params.items()}),
        ("tags", {key: value.encode() for key, value in model.tags.items()}),
        ("metrics", lines_of(model.metrics, source)),
    ):
        names = Names(below)
        files |= {names.name(key): data for key, data in values.items()}
    return files
