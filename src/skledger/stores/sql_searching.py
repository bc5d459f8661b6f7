"""Searches as SQL: which rows, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, case, func, null, select

from skledger.stores import tables
from skledger.stores.checks import check_view_type
from skledger.stores.sql_conditions import (
    MODEL_COLUMNS,
    NAN_OF_MODEL,
    Like,
    experiment_condition,
    leads_to_runs,
    model_condition,
    on_datasets,
    run_condition,
)
from skledger.stores.sql_ordering import by_number, experiment_order_column, run_order_column
from skledger.tracking.entities import LifecycleStage
from skledger.tracking.filters import Comparison, Ordering

__all__ = ["Like", "select_counts", "select_experiments", "select_models", "select_runs"]


def select_runs(
    experiment_ids: Sequence[int],
    view_type: int,
    conditions: Sequence[Comparison],
    orderings: Sequence[Ordering],
    like: Like,
    among: bool = False,
) -> Select[Any]:
    """Return the query for the identifiers of the runs that match, in order, without limits.

    Only identifiers, because an index has them: what else is in the row is read for those runs
    that a page shows. With `among`, only the runs bound to ``"among"`` are looked at.
    """
    runs = tables.runs
    experiment_id: ColumnElement[Any] = runs.c.experiment_id
    if among or any(leads_to_runs(each) for each in conditions):
        # Adding nothing keeps planners off the experiment's index, through which they would walk
        # past all its runs.
        experiment_id = experiment_id + 0
    source: FromClause = runs
    order: list[ColumnElement[Any]] = []
    for ordering in orderings:
        source, keys = _run_order(source, ordering)
        order += keys
    return (
        select(runs.c.run_uuid)
        .select_from(source)
        .where(
            experiment_id.in_(experiment_ids),
            runs.c.lifecycle_stage.in_(check_view_type(view_type)),
            *((runs.c.run_uuid.in_(bindparam("among", expanding=True)),) if among else ()),
            # SQLite tries them in this order: first those that few runs meet.
            *(run_condition(each, like) for each in sorted(conditions, key=_is_vague)),
        )
        .order_by(*order, runs.c.start_time.desc(), runs.c.run_uuid.asc())
    )


def select_counts(
    experiment_ids: Sequence[int],
    view_type: int,
    conditions: Sequence[Comparison],
    tag: str,
    like: Like,
) -> Select[Any]:
    """Return the query that counts the runs that match, by the value of a tag and by status."""
    runs, noted = tables.runs, tables.tags.alias()
    query = select_runs(experiment_ids, view_type, conditions, (), like).order_by(None)
    status, count = runs.c.status, func.count()
    if not tag:  # no run has it, and looking for it at each takes most of the time
        return query.with_only_columns(null(), status, count).group_by(status)
    here = and_(noted.c.run_uuid == runs.c.run_uuid, noted.c.key == tag)
    return (
        query.with_only_columns(noted.c.value, status, count)
        .select_from(runs.outerjoin(noted, here))
        .group_by(noted.c.value, status)
    )


def select_experiments(
    view_type: int,
    conditions: Sequence[Comparison],
    orderings: Sequence[Ordering],
    like: Like,
) -> Select[Any]:
    """Return the query for the experiments that match, in order, without limits."""
    table = tables.experiments.c
    query = select(
        table.experiment_id,
        table.name,
        table.artifact_location,
        table.lifecycle_stage,
        table.creation_time,
        table.last_update_time,
    ).where(
        table.lifecycle_stage.in_(check_view_type(view_type)),
        *(experiment_condition(each, like) for each in conditions),
    )
    # The order that MLflow gives to those of one millisecond, too.
    if not orderings:
        return query.order_by(
            *_experiment_order(Ordering("attribute", "creation_time", False)), table.experiment_id
        )
    order = [key for each in orderings for key in _experiment_order(each)]
    return query.order_by(*order, table.experiment_id.desc())


def select_models(
    experiment_ids: Sequence[int],
    conditions: Sequence[Comparison],
    orderings: Sequence[Ordering],
    like: Like,
    datasets: Sequence[tuple[str, str]] = (),
) -> Select[Any]:
    """Return the query for the identifiers of the logged models that match, in order.

    Parameters
    ----------
    experiment_ids, conditions, orderings, like
        As for `select_runs`.
    datasets : sequence of (str, str)
        Names and digests (or ""): conditions on metrics count only values on these data sets;
        without such a condition, a model must have some metric on one of them.
    """
    models = tables.logged_models.c
    query = select(models.model_id).where(
        models.experiment_id.in_(experiment_ids),
        models.lifecycle_stage != LifecycleStage.DELETED,
        *(model_condition(each, like, datasets) for each in conditions),
    )
    if datasets and not any(each.kind == "metric" for each in conditions):
        metric = tables.logged_model_metrics.alias()
        measured = select(metric.c.model_id).where(on_datasets(metric, datasets))
        query = query.where(models.model_id.in_(measured))
    order = [key for each in orderings for key in _model_order(each)]
    return query.order_by(*order, models.creation_timestamp_ms.desc(), models.model_id.asc())


def _is_vague(each: Comparison) -> bool:
    return each.operator not in ("=", "IN")


def _run_order(
    source: FromClause, ordering: Ordering
) -> tuple[FromClause, list[ColumnElement[Any]]]:
    """Return what to join for an order, and what to order by."""
    if ordering.kind == "attribute":
        return source, _last_when_null(run_order_column(ordering.key), ordering.ascending)
    table = {
        "metric": tables.latest_metrics,
        "param": tables.params,
        "tag": tables.tags,
    }[ordering.kind].alias()
    joined = source.outerjoin(
        table,
        and_(table.c.run_uuid == tables.runs.c.run_uuid, table.c.key == ordering.key),
    )
    value = table.c.value
    if ordering.by_number:
        return joined, by_number(value, ordering.ascending)
    if ordering.kind != "metric":
        return joined, _last_when_null(value, ordering.ascending)
    # Numbers, then NaN, then what has no value, in both directions.
    group = case((value.is_(None), 2), (table.c.is_nan.is_(True), 1), else_=0)
    return joined, [group, value if ordering.ascending else value.desc()]


def _experiment_order(ordering: Ordering) -> list[ColumnElement[Any]]:
    """Return what to order by: an experiment that old databases have no time of is the oldest."""
    column = experiment_order_column(ordering.key)
    known = case((column.is_(None), 0), else_=1)
    return [known, column] if ordering.ascending else [known.desc(), column.desc()]


def _model_order(ordering: Ordering) -> list[ColumnElement[Any]]:
    if ordering.kind == "attribute":
        return _last_when_null(MODEL_COLUMNS[ordering.key], ordering.ascending)
    metric = tables.logged_model_metrics.alias()
    here = [
        metric.c.model_id == tables.logged_models.c.model_id,
        metric.c.metric_name == ordering.key,
    ]
    if ordering.dataset_name:
        here.append(metric.c.dataset_name == ordering.dataset_name)
    if ordering.dataset_digest:
        here.append(metric.c.dataset_digest == ordering.dataset_digest)
    latest = (
        select(metric.c.metric_value)
        .where(*here)
        .order_by(
            metric.c.metric_timestamp_ms.desc(), metric.c.metric_step.desc(), metric.c.run_id.asc()
        )
        .limit(1)
    )
    value = latest.scalar_subquery()
    group = case((value.is_(None), 2), (value == NAN_OF_MODEL, 1), else_=0)
    return [group, value.asc() if ordering.ascending else value.desc()]


def _last_when_null(column: ColumnElement[Any], ascending: bool) -> list[ColumnElement[Any]]:
    missing = case((column.is_(None), 1), else_=0)
    return [missing, column.asc() if ascending else column.desc()]
