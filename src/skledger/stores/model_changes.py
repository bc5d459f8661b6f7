"""What a change of a logged model comes to, the same in every store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from skledger.errors import NotFoundError, ParamConflictError
from skledger.tracking.entities import LoggedModel, Metric, ModelChange, Param

__all__ = ["changed", "conflict", "halves", "no_model", "signed", "size", "together"]

#: The fields that hold several values.
_MANY = ("params", "metrics", "deleted_tags", "tags")


def no_model(model_id: str) -> NotFoundError:
    """Return the error for a change of a model that is not there."""
    return NotFoundError(
        f"there is no logged model {model_id!r}: create it first, or check its identifier"
    )


def conflict(model_id: str, key: str, old: str, value: str) -> ParamConflictError:
    """Return the error for a param that is booked with another value."""
    return ParamConflictError(
        f"param {key!r} of model {model_id} is {old!r} and cannot become {value!r}: a param never "
        "changes; book it under another key or of another model"
    )


def changed(
    model: LoggedModel,
    change: ModelChange,
    now: int,
    *,
    strict: bool = True,
    run_id: str | None = None,
) -> LoggedModel:
    """Return a model with a change.

    Parameters
    ----------
    model : LoggedModel
        The model before.
    change : ModelChange
        What to change.
    now : int
        The time of the change, in ms since the epoch.
    strict : bool, default=True
        Refuse a param that has another value; otherwise the first value stays.
    run_id : str, optional
        The run that brings it.

    Raises
    ------
    ParamConflictError
        As above.
    """
    params = dict(model.params)
    for param in change.params:
        old = params.setdefault(param.key, param.value)
        if strict and old != param.value:
            raise conflict(model.model_id, param.key, old, param.value)
    tags = {key: value for key, value in model.tags.items() if key not in change.deleted_tags}
    tags.update({tag.key: tag.value for tag in change.tags})
    metrics = {_place(each): each for each in model.metrics}
    for each in change.metrics:
        metrics[_place(each)] = replace(each, value=float(each.value), run_id=run_id or each.run_id)
    return replace(
        model,
        status=change.status or model.status,
        last_updated_timestamp=now,
        params=params,
        tags=tags,
        metrics=tuple(metrics.values()),
    )


def signed(model: LoggedModel) -> LoggedModel:
    """Return a model whose metrics tell whose they are, and of which run: its own by default."""
    told = tuple(
        replace(each, model_id=model.model_id, run_id=each.run_id or model.source_run_id)
        for each in model.metrics
    )
    return replace(model, metrics=told) if told else model


def together(changes: Iterable[ModelChange]) -> tuple[ModelChange, ...]:
    """Return one change for each model, in the order in which the models are first named.

    Raises
    ------
    ParamConflictError
        When they give a param of a model two values.
    """
    found: dict[str, ModelChange] = {}
    for change in changes:
        first = found.get(change.model_id)
        found[change.model_id] = change if first is None else _merged(first, change)
    for change in found.values():
        _check_params(change)
    return tuple(found.values())


def size(changes: Iterable[ModelChange]) -> int:
    """Return how many values changes hold."""
    return sum(len(getattr(each, name)) for each in changes for name in _MANY)


def halves(change: ModelChange) -> tuple[ModelChange, ModelChange] | None:
    """Return a change in two, or None when it is a single value."""
    held = [name for name in _MANY if getattr(change, name)]
    if not held:
        return None
    name, values = held[0], getattr(change, held[0])
    if len(held) > 1 or change.status is not None:
        # A status says that the model is whole, so it stays with what comes last.
        nothing: dict[str, Any] = {name: ()}
        first = replace(ModelChange(change.model_id), **{name: values})
        return first, replace(change, **nothing)
    if len(values) < 2:
        return None
    middle = len(values) // 2
    first = replace(change, **{name: values[:middle]})
    return first, replace(change, **{name: values[middle:]})


def _merged(first: ModelChange, second: ModelChange) -> ModelChange:
    deleted = set(second.deleted_tags)
    tags = {each.key: each for each in first.tags if each.key not in deleted}
    tags.update({each.key: each for each in second.tags})
    return ModelChange(
        first.model_id,
        second.status or first.status,
        (*first.metrics, *second.metrics),
        (*first.params, *second.params),
        tuple(tags.values()),
        tuple(dict.fromkeys((*first.deleted_tags, *second.deleted_tags))),
    )


def _check_params(change: ModelChange) -> None:
    held: dict[str, Param] = {}
    for param in change.params:
        old = held.setdefault(param.key, param)
        if old.value != param.value:
            raise conflict(change.model_id, param.key, old.value, param.value)


def _place(metric: Metric) -> tuple[str, int, int]:
    return metric.key, metric.timestamp, metric.step
