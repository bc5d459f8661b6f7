"""The statements that write, as text, once per dialect."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from sqlalchemy import Dialect, Table

from skledger.stores import tables

__all__ = ["statements"]


@cache
def statements(dialect: Dialect) -> dict[str, str]:
    """Return the statements by name, in the order in which they may be sent.

    They are text because building and compiling them costs more than running them. Each takes
    its values by position, in the order of the columns named here.
    """
    text = _Writer(dialect)
    return {
        # What goes,
        "unlink model": text.delete(
            tables.inputs, "destination_id", also="destination_type = 'MODEL_OUTPUT'"
        ),
        "delete model metrics": text.delete(tables.logged_model_metrics, "model_id"),
        "delete model params": text.delete(tables.logged_model_params, "model_id"),
        "delete model tags": text.delete(tables.logged_model_tags, "model_id"),
        "delete model": text.delete(tables.logged_models, "model_id"),
        "delete model tag": text.delete(tables.logged_model_tags, "model_id", "tag_key"),
        "delete model metric": text.delete(
            tables.logged_model_metrics,
            "model_id",
            "metric_name",
            "metric_timestamp_ms",
            "metric_step",
            "run_id",
        ),
        "delete tag": text.delete(tables.tags, "run_uuid", "key"),
        "delete metric": text.delete(
            tables.metrics, "run_uuid", "key", "value", "timestamp", "step", "is_nan"
        ),
        "delete latest": text.delete(tables.latest_metrics, "run_uuid", "key"),
        "delete input tag": text.delete(tables.input_tags, "input_uuid", "name"),
        # what changes,
        "update run": text.update(
            tables.runs, "run_uuid", "status", "end_time", "name", keep_when_null=True
        ),
        "stage run": text.update(tables.runs, "run_uuid", "lifecycle_stage", "deleted_time"),
        "update model": text.update(
            tables.logged_models,
            "model_id",
            "status",
            "last_updated_timestamp_ms",
            keep_when_null=True,
        ),
        # what comes: first what others refer to.
        "run": text.insert(
            tables.runs,
            "run_uuid name user_id status start_time end_time lifecycle_stage artifact_uri "
            "experiment_id deleted_time",
            source_type="UNKNOWN",
            source_name="",
            source_version="",
            entry_point_name="",
        ),
        "param": text.insert(tables.params, "run_uuid key value"),
        "tag": text.insert(tables.tags, "run_uuid key value"),
        "metric": text.insert(tables.metrics, "run_uuid key value timestamp step is_nan"),
        "latest": text.insert(tables.latest_metrics, "run_uuid key value timestamp step is_nan"),
        "dataset": text.insert(
            tables.datasets,
            "dataset_uuid experiment_id name digest dataset_source_type dataset_source "
            "dataset_schema dataset_profile",
        ),
        "input": text.insert(
            tables.inputs,
            "input_uuid source_type source_id destination_type destination_id",
        ),
        "input tag": text.insert(tables.input_tags, "input_uuid name value"),
        "model": text.insert(
            tables.logged_models,
            "model_id experiment_id name artifact_location creation_timestamp_ms "
            "last_updated_timestamp_ms status lifecycle_stage model_type source_run_id",
        ),
        "model param": text.insert(
            tables.logged_model_params, "model_id experiment_id param_key param_value"
        ),
        "model tag": text.insert(
            tables.logged_model_tags, "model_id experiment_id tag_key tag_value"
        ),
        "model metric": text.insert(
            tables.logged_model_metrics,
            "model_id metric_name metric_timestamp_ms metric_step metric_value experiment_id "
            "run_id dataset_name dataset_digest",
        ),
        # What is looked up on the way.
        "find dataset": text.find(
            tables.datasets, "dataset_uuid", "experiment_id", "name", "digest"
        ),
        "find link": text.find(
            tables.inputs,
            "input_uuid",
            "source_type",
            "source_id",
            "destination_type",
            "destination_id",
        ),
    }


class _Writer:
    """Puts statements together, with the quotes and the place holders of a dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._quote: Callable[[str], str] = dialect.identifier_preparer.quote
        self._mark = "?" if dialect.paramstyle == "qmark" else "%s"

    def _names(self, table: Table, *columns: str) -> list[str]:
        return [self._quote(table.c[name].name) for name in columns]

    def _equals(self, table: Table, *columns: str) -> str:
        return " AND ".join(f"{name} = {self._mark}" for name in self._names(table, *columns))

    def insert(self, table: Table, columns: str, **constants: str) -> str:
        names = columns.split()
        into = ", ".join(self._names(table, *names, *constants))
        values = ", ".join([self._mark] * len(names) + [f"'{text}'" for text in constants.values()])
        return f"INSERT INTO {self._quote(table.name)} ({into}) VALUES ({values})"

    def delete(self, table: Table, *columns: str, also: str = "") -> str:
        where = self._equals(table, *columns) + (f" AND {also}" if also else "")
        return f"DELETE FROM {self._quote(table.name)} WHERE {where}"

    def update(self, table: Table, key: str, *columns: str, keep_when_null: bool = False) -> str:
        value = "COALESCE({mark}, {name})" if keep_when_null else "{mark}"
        settings = ", ".join(
            f"{name} = {value.format(mark=self._mark, name=name)}"
            for name in self._names(table, *columns)
        )
        where = self._equals(table, key)
        return f"UPDATE {self._quote(table.name)} SET {settings} WHERE {where}"

    def find(self, table: Table, wanted: str, *columns: str) -> str:
        where = self._equals(table, *columns)
        return f"SELECT {self._quote(wanted)} FROM {self._quote(table.name)} WHERE {where}"
