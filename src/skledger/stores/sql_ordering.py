"""What searches are sorted by beside what is in a column: numbers in texts, and counts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Float, case, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from skledger.stores import tables
from skledger.stores.sql_conditions import EXPERIMENT_COLUMNS, RUN_COLUMNS
from skledger.tracking.entities import LifecycleStage

__all__ = ["by_number", "experiment_order_column", "run_order_column"]

#: A number as JSON writes it, with as many digits in its exponent as every database can take.
_NUMBER = r"^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]{1,3})?$"


class _number_in(FunctionElement[float]):  # noqa: N801 - it is used as a function
    """The number that a text is; NULL when it is none."""

    inherit_cache = True
    type = Float()


@compiles(_number_in)
def _of_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    # Texts of some length and with other characters are never looked at as JSON. Each step is
    # taken only where those before hold.
    return (
        f"CASE WHEN {text} GLOB '*[^-+.0-9eE]*' OR NOT json_valid({text}) THEN NULL "
        f"ELSE CAST({text} AS REAL) END"
    )


@compiles(_number_in, "postgresql")
def _of_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    # Not to double precision: what is beyond its range would be an error.
    return f"CASE WHEN {text} ~ '{_NUMBER}' THEN CAST({text} AS NUMERIC) END"


@compiles(_number_in, "mysql")
@compiles(_number_in, "mariadb")
def _of_mysql(element: Any, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    return f"CASE WHEN {text} REGEXP '{_NUMBER}' THEN {text} + 0e0 END"


def by_number(text: ColumnElement[Any], ascending: bool) -> list[ColumnElement[Any]]:
    """Return what sorts texts: numbers by their value, then other texts, then what is missing.

    Numbers come before texts in both directions.
    """
    number = _number_in(text)
    group = case((number.is_not(None), 0), (text.is_not(None), 1), else_=2)
    keys: list[ColumnElement[Any]] = [number, text]
    return [group, *(keys if ascending else [each.desc() for each in keys])]


def run_order_column(key: str) -> ColumnElement[Any]:
    """Return what runs are sorted by under the name of an attribute."""
    runs = tables.runs.c
    if key == "duration":
        return runs.end_time - runs.start_time
    if key == "experiment_name":
        experiments = tables.experiments.alias()
        named = select(experiments.c.name).where(experiments.c.experiment_id == runs.experiment_id)
        return named.scalar_subquery()
    if key == "dataset_name":
        link, dataset = tables.inputs.alias(), tables.datasets.alias()
        first = select(func.min(dataset.c.name)).where(
            link.c.destination_type == "RUN",
            link.c.destination_id == runs.run_uuid,
            link.c.source_type == "DATASET",
            dataset.c.dataset_uuid == link.c.source_id,
        )
        return first.scalar_subquery()
    return RUN_COLUMNS[key]


def experiment_order_column(key: str) -> ColumnElement[Any]:
    """Return what experiments are sorted by under the name of an attribute."""
    if key not in ("runs", "last_run"):
        return EXPERIMENT_COLUMNS[key]
    runs = tables.runs.alias().c
    asked = func.count() if key == "runs" else func.max(runs.start_time)
    counted = select(asked).where(
        runs.experiment_id == tables.experiments.c.experiment_id,
        runs.lifecycle_stage == LifecycleStage.ACTIVE,
    )
    return counted.scalar_subquery()
