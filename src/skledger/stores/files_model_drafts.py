"""What a write makes of a logged model that is there: gathered, checked, prepared as files."""

from __future__ import annotations

import time

from skledger.stores.checks import MODEL_STATUS
from skledger.stores.files_entries import param_in, prepare_entries
from skledger.stores.files_medium import META, read_meta
from skledger.stores.files_records import lines_of
from skledger.stores.files_steps import Steps
from skledger.stores.files_yaml import dump
from skledger.stores.model_changes import conflict, no_model
from skledger.tracking.entities import LifecycleStage, ModelChange

__all__ = ["ModelDraft"]


class ModelDraft:
    """A model as it will be.

    Parameters
    ----------
    folder : str
        Its folder.

    Raises
    ------
    NotFoundError
        When it is not there any more, or deleted by MLflow, which leaves the folder.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._model_id = folder.rpartition("/")[2]
        meta = read_meta(folder)
        if meta is None or meta.get("lifecycle_stage") == LifecycleStage.DELETED:
            raise no_model(self._model_id)
        self._meta = meta
        self._params: dict[str, str] = {}
        self._tags: dict[str, str | None] = {}
        self._lines: dict[str, bytes] = {}

    def apply(self, change: ModelChange, run_id: str) -> None:
        """Take up a change that a run brings; `ParamConflictError` when it changes a param."""
        if change.status is not None:
            self._meta["status"] = MODEL_STATUS[change.status]
        for param in change.params:
            key, value = param.key, param.value
            old = self._params.get(key)
            if old is None:
                old = param_in(self._folder, key)
            if old is None:
                self._params[key] = value
            elif old != value:
                raise conflict(self._model_id, key, old, value)
        self._tags.update(dict.fromkeys(change.deleted_tags))
        self._tags.update({tag.key: tag.value for tag in change.tags})
        for key, data in lines_of(change.metrics, run_id).items():
            self._lines[key] = self._lines.get(key, b"") + data

    def prepare(self, steps: Steps) -> None:
        """Prepare the files."""
        prepare_entries(steps, self._folder, self._lines, self._params, self._tags)
        self._meta["last_updated_timestamp"] = time.time_ns() // 1_000_000
        steps.put(f"{self._folder}/{META}", dump(self._meta))
