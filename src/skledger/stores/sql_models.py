"""Writing logged models: those that are new, those that change, and those that go."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import BindParameter, Connection, bindparam, select

from skledger.stores import tables
from skledger.stores.checks import MODEL_STATUS
from skledger.stores.model_changes import conflict, no_model
from skledger.stores.sql_numbers import encode_model_number
from skledger.stores.sql_rows import Row, Rows, in_chunks
from skledger.tracking.entities import (
    LifecycleStage,
    LoggedModel,
    Metric,
    ModelChange,
    RunChange,
)

__all__ = ["add_models"]

_SOME_MODELS: BindParameter[str] = bindparam("models", expanding=True)
_models, _params = tables.logged_models.c, tables.logged_model_params.c
# On databases with many writers the row's lock keeps two changes of a model apart.
_FIND_MODELS = (
    select(_models.model_id, _models.experiment_id)
    .where(_models.model_id.in_(_SOME_MODELS), _models.lifecycle_stage != LifecycleStage.DELETED)
    .with_for_update()
)
_FIND_PARAMS = select(_params.model_id, _params.param_key, _params.param_value).where(
    _params.model_id.in_(_SOME_MODELS)
)


@dataclass(slots=True)
class _ModelBatch:
    """What a write makes of one model."""

    model_id: str
    experiment_id: int
    status: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    #: Params that are in the database.
    held: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str | None] = field(default_factory=dict)
    metrics: dict[Row, Row] = field(default_factory=dict)

    def apply(self, change: ModelChange, run_id: str, experiment_id: int) -> None:
        """Take up a change that a run brings; `ParamConflictError` when it changes a param."""
        self.status = change.status or self.status
        for param in change.params:
            key, value = param.key, param.value
            old = self.held.get(key)
            if old is None:
                old = self.params.setdefault(key, value)
            if old != value:
                raise conflict(self.model_id, key, old, value)
        self.tags.update(dict.fromkeys(change.deleted_tags))
        self.tags.update({tag.key: tag.value for tag in change.tags})
        self.measure(change.metrics, run_id, experiment_id)

    def measure(self, metrics: Sequence[Metric], run_id: str, experiment_id: int) -> None:
        """Take up metrics that were measured in a run."""
        for each in metrics:
            place = (self.model_id, each.key, each.timestamp, each.step)
            value = encode_model_number(each.value)
            # MLflow leaves `dataset_uuid` empty, too.
            data = (each.dataset_name, each.dataset_digest)
            self.metrics[*place, run_id] = (*place, value, experiment_id, run_id, *data)


def add_models(
    connection: Connection,
    rows: Rows,
    experiments: Mapping[str, int],
    changes: Sequence[RunChange],
) -> None:
    """Append the rows of the models that changes make, change and remove.

    Parameters
    ----------
    connection : Connection
        Where to look up the models that exist.
    rows : Rows
        What is sent later.
    experiments : mapping of str to int
        The experiments of the runs.
    changes : sequence of RunChange
        The changes.

    Raises
    ------
    NotFoundError, ParamConflictError
        After which the caller rolls back.
    """
    made: dict[str, tuple[RunChange, LoggedModel]] = {}
    gone: set[str] = set()
    for change in changes:
        for model_id in change.deleted_models:
            made.pop(model_id, None)
            gone.add(model_id)
            _rows_of_deleted(rows, model_id)
        made.update({model.model_id: (change, model) for model in change.models})
    new = {
        model_id: _batch_of_new(model, change.run_id, experiments[change.run_id])
        for model_id, (change, model) in made.items()
    }
    wanted = {each.model_id for change in changes for each in change.model_changes}
    known = _look_up(connection, sorted(wanted - new.keys() - gone))
    for change in changes:
        for each in change.model_changes:
            batch = new.get(each.model_id) or known.get(each.model_id)
            if batch is None:
                raise no_model(each.model_id)
            batch.apply(each, change.run_id, experiments[change.run_id])
    for model_id, (change, model) in made.items():
        _rows_of_new(rows, new[model_id], model, change.run_id)
    for batch in known.values():
        _rows_of_known(rows, batch)


def _batch_of_new(model: LoggedModel, run_id: str, experiment_id: int) -> _ModelBatch:
    batch = _ModelBatch(
        model.model_id, experiment_id, model.status, dict(model.params), tags={**model.tags}
    )
    batch.measure(model.metrics, run_id, experiment_id)
    return batch


def _look_up(connection: Connection, model_ids: Sequence[str]) -> dict[str, _ModelBatch]:
    """Find what exists of models: their experiments and params."""
    found: dict[str, _ModelBatch] = {}
    for chunk in in_chunks(model_ids):
        for model_id, experiment_id in connection.execute(_FIND_MODELS, {"models": chunk}):
            found[model_id] = _ModelBatch(model_id, experiment_id)
        for model_id, key, value in connection.execute(_FIND_PARAMS, {"models": chunk}):
            if model_id in found:
                found[model_id].held[key] = value
    return found


def _rows_of_new(rows: Rows, batch: _ModelBatch, model: LoggedModel, run_id: str) -> None:
    model_id = model.model_id
    rows["model"].append(
        (
            model_id,
            batch.experiment_id,
            model.name,
            model.artifact_location,
            model.creation_timestamp,
            model.last_updated_timestamp,
            MODEL_STATUS[batch.status or model.status],
            LifecycleStage.ACTIVE,
            model.model_type or None,
            model.source_run_id or run_id,
        )
    )
    _rows_of_content(rows, batch)
    rows["input"].append((uuid.uuid4().hex, "RUN_OUTPUT", run_id, "MODEL_OUTPUT", model_id))


def _rows_of_known(rows: Rows, batch: _ModelBatch) -> None:
    status = None if batch.status is None else MODEL_STATUS[batch.status]
    rows["update model"].append((status, time.time_ns() // 1_000_000, batch.model_id))
    rows["delete model tag"].extend([(batch.model_id, key) for key in batch.tags])
    rows["delete model metric"].extend(batch.metrics)
    _rows_of_content(rows, batch)


def _rows_of_content(rows: Rows, batch: _ModelBatch) -> None:
    place = (batch.model_id, batch.experiment_id)
    rows["model param"].extend([(*place, key, value) for key, value in batch.params.items()])
    rows["model tag"].extend(
        [(*place, key, value) for key, value in batch.tags.items() if value is not None]
    )
    rows["model metric"].extend(batch.metrics.values())


def _rows_of_deleted(rows: Rows, model_id: str) -> None:
    rows["unlink model"].append((model_id,))
    for each in ("metrics", "params", "tags"):
        rows[f"delete model {each}"].append((model_id,))
    rows["delete model"].append((model_id,))
