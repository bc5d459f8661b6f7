"""What a write makes of a run: gathered in memory, checked, and then prepared as files."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from skledger.errors import AlreadyExistsError, NotFoundError, ParamConflictError
from skledger.stores.files_entries import param_in, prepare_entries
from skledger.stores.files_layout import Layout
from skledger.stores.files_medium import META, read_meta
from skledger.stores.files_records import (
    Names,
    dataset_file,
    dataset_id,
    input_file,
    input_id,
    lines_of,
    model_files,
    output_file,
    run_meta,
    status_number,
)
from skledger.stores.files_steps import Steps
from skledger.stores.files_yaml import dump
from skledger.stores.model_changes import changed
from skledger.tracking.entities import (
    Dataset,
    LifecycleStage,
    LoggedModel,
    Metric,
    ModelChange,
    RunChange,
    RunInfo,
    RunStatus,
)

__all__ = ["Draft", "set_stage"]

_FOLDERS = ("metrics", "params", "tags")


class Draft:
    """A run as it will be.

    Parameters
    ----------
    folder : str
        Its folder.
    info : RunInfo, optional
        What it is, when it is new.

    Raises
    ------
    NotFoundError
        When it is not new, and not there any more.
    """

    def __init__(self, folder: str, info: RunInfo | None) -> None:
        self.folder = folder
        self.experiment, _, self.run_id = folder.rpartition("/")
        self.is_new = info is not None
        found = run_meta(info) if info is not None else read_meta(folder)
        if found is None:
            raise NotFoundError(f"there is no run {self.run_id!r} any more: it has been removed")
        if info is not None and info.lifecycle_stage == LifecycleStage.DELETED:
            found["deleted_time"] = _now()
        self.meta: dict[str, object] = found
        self._changed = self.is_new
        self.models: dict[str, LoggedModel] = {}
        self._params: dict[str, str] = {}
        self._tags: dict[str, str | None] = {}
        self._metrics: list[Metric] = []
        self._inputs: dict[str, dict[str, str]] = {}
        self._datasets: dict[str, Dataset] = {}
        self._outputs: dict[str, bool] = {}

    @property
    def marker(self) -> str:
        """The file that tells that the run is RUNNING, quicker than by asking every run."""
        return f"{self.experiment}/.skledger/running/{self.run_id}"

    @property
    def runs_on(self) -> bool:
        """Whether the run is RUNNING."""
        return self.meta.get("status") == status_number(RunStatus.RUNNING)

    def apply(self, change: RunChange) -> None:
        """Take up a change; `ParamConflictError` when it changes a param."""
        self._apply_fields(change)
        self._tags.update(dict.fromkeys(change.deleted_tags))
        self._tags.update({tag.key: tag.value for tag in change.tags})
        if change.run_name is not None:
            self._tags["mlflow.runName"] = change.run_name
        for param in change.params:
            old = self._param(param.key)
            if old is None:
                self._params[param.key] = param.value
            elif old != param.value:
                raise ParamConflictError(
                    f"param {param.key!r} of run {change.run_id} is {old!r} and cannot become "
                    f"{param.value!r}: a param never changes; book it under another key or in "
                    "another run"
                )
        self._metrics += change.metrics
        for item in change.inputs:
            number = dataset_id(item.dataset)
            self._datasets.setdefault(number, item.dataset)
            tags = self._inputs.setdefault(number, {})
            tags.update({tag.key: tag.value for tag in item.tags})
        for model_id in change.deleted_models:
            self.models.pop(model_id, None)
            self._outputs[model_id] = False
        for model in change.models:
            if model.model_id in self.models:
                raise AlreadyExistsError(f"there is a logged model {model.model_id!r} already")
            self.models[model.model_id] = model
            self._outputs[model.model_id] = True

    def change_model(self, change: ModelChange) -> None:
        """Take up a change of a model that this write makes."""
        model = self.models[change.model_id]
        self.models[change.model_id] = changed(model, change, model.last_updated_timestamp)

    def _apply_fields(self, change: RunChange) -> None:
        given: dict[str, object] = {
            "status": None if change.status is None else status_number(change.status),
            "end_time": change.end_time,
            "run_name": change.run_name,
            "lifecycle_stage": change.lifecycle_stage,
        }
        new = {key: value for key, value in given.items() if value is not None}
        if all(self.meta.get(key) == value for key, value in new.items()):
            return
        self._changed = True
        self.meta.update(new)
        if change.lifecycle_stage is not None:
            set_stage(self.meta, change.lifecycle_stage)

    def _param(self, key: str) -> str | None:
        """Return the value that a param has, here or in the folder."""
        if key in self._params or self.is_new:
            return self._params.get(key)
        return param_in(self.folder, key)

    # Preparing files

    def prepare(self, steps: Steps, layout: Layout) -> None:
        """Prepare the files, in the order in which they may be seen."""
        if self.runs_on and self._changed:
            steps.put(self.marker, b"", new=True)
        for number, dataset in self._datasets.items():
            described = f"{self.experiment}/datasets/{number}/{META}"
            if not os.path.exists(described):  # noqa: PTH110
                steps.put(described, dataset_file(dataset), new=True)
        experiment_id = self.experiment.rpartition("/")[2]
        for model_id, model in self.models.items():
            files = model_files(model, experiment_id, self.run_id)
            make_folder(steps, f"{self.experiment}/models/{model_id}", files, ())
        if self.is_new:
            make_folder(steps, self.folder, *self._new_files())
        else:
            self._prepare_changes(steps)
        for model_id, made in self._outputs.items():
            if not made:
                self._prepare_removal(steps, layout.model(model_id), model_id)

    def _new_files(self) -> tuple[dict[str, bytes], tuple[str, ...]]:
        """Return the files of a new run, and the folders that they are in."""
        params, tags, metrics = Names("params"), Names("tags"), Names("metrics")
        files = {META: dump(self.meta)}
        files |= {params.name(key): text.encode() for key, text in self._params.items()}
        for key, text in self._tags.items():
            if text is not None:
                files[tags.name(key)] = text.encode()
        files |= {metrics.name(key): data for key, data in lines_of(self._metrics).items()}
        folders: tuple[str, ...] = ()
        for number, notes in self._inputs.items():
            name = f"inputs/{input_id(number, self.run_id)}"
            folders += (name,)
            files[f"{name}/{META}"] = input_file(number, notes)
        for model_id, made in self._outputs.items():
            if made:
                folders += (f"outputs/{model_id}",)
                files[f"outputs/{model_id}/{META}"] = output_file(model_id)
        return files, folders

    def _prepare_changes(self, steps: Steps) -> None:
        lines = lines_of(self._metrics)
        prepare_entries(steps, self.folder, lines, self._params, self._tags)
        for number, notes in self._inputs.items():
            described = f"{self.folder}/inputs/{input_id(number, self.run_id)}"
            old = (read_meta(described) or {}).get("tags")
            every = {**old, **notes} if isinstance(old, Mapping) else notes
            steps.put(f"{described}/{META}", input_file(number, every))
        for model_id, made in self._outputs.items():
            if made:
                steps.put(f"{self.folder}/outputs/{model_id}/{META}", output_file(model_id))
        if self._changed:
            steps.put(f"{self.folder}/{META}", dump(self.meta))

    def _prepare_removal(self, steps: Steps, model: str | None, model_id: str) -> None:
        """Prepare that a logged model goes, and its link; its artifacts are left to the caller."""
        link = f"{self.folder}/outputs/{model_id}"
        if not self.is_new and os.path.isdir(link):  # noqa: PTH112
            steps.set_aside(link)
        if model is not None:
            # Without its description it is no model any more, so that goes first.
            for name in (META, *_FOLDERS):
                if os.path.exists(f"{model}/{name}"):  # noqa: PTH110
                    steps.set_aside(f"{model}/{name}")


def set_stage(meta: dict[str, object], stage: str, when: int | None = None) -> None:
    """Mark a run as deleted, now unless it was before, or as active."""
    meta["lifecycle_stage"] = stage
    if stage == LifecycleStage.ACTIVE:
        meta.pop("deleted_time", None)
    else:
        meta.setdefault("deleted_time", _now() if when is None else when)


def make_folder(
    steps: Steps, folder: str, files: dict[str, bytes], folders: tuple[str, ...]
) -> None:
    """Prepare the folder of a new run or model, which artifacts may have made already."""
    parents = dict.fromkeys(each.partition("/")[0] for each in folders)
    # MLflow takes for a run what has these four, empty or not.
    every = (*_FOLDERS, "artifacts", *parents, *folders)
    steps.make(folder, files, every, merge=os.path.isdir(folder))  # noqa: PTH112


def _now() -> int:
    return time.time_ns() // 1_000_000
