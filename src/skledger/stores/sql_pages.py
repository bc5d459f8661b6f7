"""Reading a page of runs with everything they hold: by few statements, and rows as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Select, literal_column, select
from sqlalchemy.exc import DBAPIError

from skledger.stores import tables
from skledger.stores.sql_numbers import decode_number
from skledger.stores.sql_reading import INFO_COLUMNS, run_info
from skledger.stores.sql_rows import in_chunks
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    LoggedModelOutput,
    Metric,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunTag,
)

__all__ = ["load_infos", "load_runs"]

_GREATEST = sys.float_info.max
#: Stands for the identifiers until it is known how many there are.
_MARKER = "(<identifiers>)"


def load_infos(connection: Connection, run_ids: Sequence[str]) -> list[RunInfo]:
    """Return what the runs are, in the order given; those that nobody knows are left out."""
    found = {row[0]: row for row in _rows(connection, _INFOS, run_ids)}
    return [run_info(found[run_id]) for run_id in run_ids if run_id in found]


def load_runs(
    connection: Connection,
    infos: Sequence[RunInfo],
    latest: dict[str, dict[str, Metric]] | None = None,
) -> list[Run]:
    """Return the runs with everything they hold, in the order given.

    Parameters
    ----------
    connection : Connection
        Where to read.
    infos : sequence of RunInfo
        The runs.
    latest : dict, optional
        Receives the metrics of each run, with their steps and times.
    """
    runs = [Run(info, RunData(), RunInputs(), RunOutputs()) for info in infos]
    ids = [info.run_id for info in infos]
    params = {run_id: run.data.params for run_id, run in zip(ids, runs, strict=True)}
    for run_id, key, text in _rows(connection, _PARAMS, ids):
        params[run_id][key] = text
    metrics = {run_id: run.data.metrics for run_id, run in zip(ids, runs, strict=True)}
    if latest is None:
        for run_id, key, value, is_nan in _rows(connection, _LATEST, ids):
            plain = not is_nan and -_GREATEST < value < _GREATEST
            metrics[run_id][key] = value if plain else decode_number(value, is_nan)
    else:
        _load_metrics(connection, metrics, latest)
    tags = {run_id: run.data.tags for run_id, run in zip(ids, runs, strict=True)}
    for run_id, key, text in _rows(connection, _TAGS, ids):
        tags[run_id][key] = text or ""
    _load_inputs(connection, {run_id: run.inputs for run_id, run in zip(ids, runs, strict=True)})
    outputs = {run_id: run.outputs for run_id, run in zip(ids, runs, strict=True)}
    for run_id, model_id, step in _rows(connection, _OUTPUTS, ids):
        outputs[run_id].model_outputs.append(LoggedModelOutput(model_id, step))
    return runs


def _load_metrics(
    connection: Connection,
    values: dict[str, dict[str, float]],
    latest: dict[str, dict[str, Metric]],
) -> None:
    latest.update((run_id, {}) for run_id in values)
    for run_id, key, value, is_nan, timestamp, step in _rows(connection, _LATEST_AT, list(values)):
        plain = not is_nan and -_GREATEST < value < _GREATEST
        number = value if plain else decode_number(value, is_nan)
        values[run_id][key] = number
        latest[run_id][key] = Metric(key, number, timestamp or 0, step)


def _load_inputs(connection: Connection, inputs: dict[str, RunInputs]) -> None:
    """Add the data sets, each of which is read once: many runs share a few, and they are long."""
    ids = list(inputs)
    links = list(_rows(connection, _INPUTS, ids))
    if not links:
        return
    named = list(dict.fromkeys(dataset_id for _, _, dataset_id in links))
    datasets = {row[0]: Dataset(*row[1:]) for row in _rows(connection, _DATASETS, named)}
    tags: dict[str, list[RunTag]] = {}
    for input_id, key, text in _rows(connection, _INPUT_TAGS, ids):
        tags.setdefault(input_id, []).append(RunTag(key, text))
    for run_id, input_id, dataset_id in links:
        if dataset_id in datasets:
            item = DatasetInput(datasets[dataset_id], tuple(tags.get(input_id, ())))
            inputs[run_id].dataset_inputs.append(item)


def _rows(connection: Connection, query: Select[Any], ids: Sequence[str]) -> Iterable[Any]:
    """Yield the rows of some identifiers, as the driver has them.

    SQLAlchemy's own rows take several times as long as reading them from the disk.
    """
    dialect = connection.dialect
    head, tail, mark = _text(query, dialect)
    for chunk in in_chunks(ids):
        statement = f"{head}({', '.join([mark] * len(chunk))}){tail}"
        result = connection.exec_driver_sql(statement, tuple(chunk))
        cursor: Any = result.cursor
        driver_error = dialect.loaded_dbapi.Error
        try:
            rows = cursor.fetchall()
        except driver_error as error:
            # As SQLAlchemy would, had it fetched.
            raise DBAPIError.instance(
                statement, None, error, driver_error, dialect=dialect
            ) from error
        finally:
            result.close()
        yield from rows


@cache
def _text(query: Select[Any], dialect: Dialect) -> tuple[str, str, str]:
    """Return a query as text, before and behind the identifiers, and what stands for one."""
    head, _, tail = str(query.compile(dialect=dialect)).partition(_MARKER)
    return head, tail, "?" if dialect.paramstyle == "qmark" else "%s"


def _in_ids(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return column.op("IN", is_comparison=True)(literal_column(_MARKER))


_params, _tags, _latest = tables.params.c, tables.tags.c, tables.latest_metrics.c
_datasets, _inputs, _input_tags = tables.datasets.c, tables.inputs.c, tables.input_tags.c

_INFOS = select(*INFO_COLUMNS).where(_in_ids(tables.runs.c.run_uuid))
_PARAMS = select(_params.run_uuid, _params.key, _params.value).where(_in_ids(_params.run_uuid))
_TAGS = select(_tags.run_uuid, _tags.key, _tags.value).where(_in_ids(_tags.run_uuid))
_LATEST = select(_latest.run_uuid, _latest.key, _latest.value, _latest.is_nan).where(
    _in_ids(_latest.run_uuid)
)
_LATEST_AT = select(
    _latest.run_uuid,
    _latest.key,
    _latest.value,
    _latest.is_nan,
    _latest.timestamp,
    _latest.step,
).where(_in_ids(_latest.run_uuid))
# Written out, so that the identifiers are all that is bound.
_FROM_RUN = _inputs.destination_type == literal_column("'RUN'")
_DATASET = _inputs.source_type == literal_column("'DATASET'")
_RUN_OUTPUT = _inputs.source_type == literal_column("'RUN_OUTPUT'")
_MODEL_OUTPUT = _inputs.destination_type == literal_column("'MODEL_OUTPUT'")
_INPUTS = select(_inputs.destination_id, _inputs.input_uuid, _inputs.source_id).where(
    _FROM_RUN, _DATASET, _in_ids(_inputs.destination_id)
)
_INPUT_TAGS = (
    select(_input_tags.input_uuid, _input_tags.name, _input_tags.value)
    .join_from(tables.inputs, tables.input_tags, _inputs.input_uuid == _input_tags.input_uuid)
    .where(_FROM_RUN, _DATASET, _in_ids(_inputs.destination_id))
)
_DATASETS = select(
    _datasets.dataset_uuid,
    _datasets.name,
    _datasets.digest,
    _datasets.dataset_source_type,
    _datasets.dataset_source,
    _datasets.dataset_schema,
    _datasets.dataset_profile,
).where(_in_ids(_datasets.dataset_uuid))
_OUTPUTS = select(_inputs.source_id, _inputs.destination_id, _inputs.step).where(
    _RUN_OUTPUT, _MODEL_OUTPUT, _in_ids(_inputs.source_id)
)
