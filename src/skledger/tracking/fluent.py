"""The fluent functions on experiments and runs as a whole, their inputs and outputs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from skledger._guard import say
from skledger.errors import InvalidParameterError
from skledger.tracking.client import TrackingClient
from skledger.tracking.entities import (
    Experiment,
    LoggedModelInput,
    LoggedModelOutput,
    PagedList,
    Run,
    RunChange,
    ViewType,
)
from skledger.tracking.runs import current_run_id
from skledger.tracking.session import experiment_in_use, get_store

__all__ = [
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "flush_artifact_async_logging",
    "flush_async_logging",
    "get_parent_run",
    "log_input",
    "log_inputs",
    "log_outputs",
    "rename_experiment",
    "restore_experiment",
    "restore_run",
    "search_experiments",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_system_metrics_node_id",
    "set_system_metrics_samples_before_logging",
    "set_system_metrics_sampling_interval",
]


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[Experiment]:
    """Find experiments.

    Parameters
    ----------
    view_type : int
        One of `ViewType`: active experiments, deleted ones, or all.
    max_results : int, optional
        How many at the most; by default all.
    filter_string : str, optional
        Such as ``"name LIKE 'iris%' and tags.team = 'blue'"``.
    order_by : sequence of str, optional
        Such as ``["name ASC"]``; by default the newest first.
    """
    client = TrackingClient()
    found: PagedList[Experiment] = PagedList()
    token: str | None = None
    while max_results is None or len(found) < max_results:
        rest = 1000 if max_results is None else min(1000, max_results - len(found))
        page = client.search_experiments(view_type, rest, filter_string, order_by, token)
        found.extend(page)
        token = page.token
        if token is None:
            break
    return found


def rename_experiment(experiment_id: str, new_name: str) -> None:
    """Give an experiment another name, which no other has."""
    TrackingClient().rename_experiment(experiment_id, new_name)


def delete_experiment(experiment_id: str) -> None:
    """Delete an experiment and its runs; `restore_experiment` brings them back."""
    TrackingClient().delete_experiment(experiment_id)


def restore_experiment(experiment_id: str) -> None:
    """Bring a deleted experiment back, with the runs that were deleted with it."""
    TrackingClient().restore_experiment(experiment_id)


def set_experiment_tag(key: str, value: Any) -> None:
    """Set one tag of the experiment in use, or change it; its value becomes ``str(value)``."""
    set_experiment_tags({key: value})


def set_experiment_tags(tags: Mapping[str, Any]) -> None:
    """Set tags of the experiment in use, all or none."""
    TrackingClient().set_experiment_tags(experiment_in_use().experiment_id, tags)


def delete_experiment_tag(key: str) -> None:
    """Remove a tag of the experiment in use; `NotFoundError` when it has none of that key."""
    TrackingClient().delete_experiment_tag(experiment_in_use().experiment_id, key)


def delete_run(run_id: str) -> None:
    """Delete a run; `restore_run` brings it back."""
    TrackingClient().delete_run(run_id)


def restore_run(run_id: str) -> None:
    """Bring a deleted run back."""
    TrackingClient().restore_run(run_id)


def get_parent_run(run_id: str) -> Run | None:
    """Return the run that a run is a child of, or None."""
    return TrackingClient().get_parent_run(run_id)


def delete_tag(key: str) -> None:
    """Remove a tag of the active run; `NotFoundError` when it has none of that key."""
    TrackingClient().delete_tag(current_run_id(), key)


def log_input(
    dataset: Any = None,
    context: str | None = None,
    tags: Mapping[str, Any] | None = None,
    model: LoggedModelInput | None = None,
) -> None:
    """Book a data set that the active run uses; the data itself is not stored.

    Parameters
    ----------
    dataset : Dataset
        Such as ``skledger.data.from_pandas(df, source="train.csv", name="train")``.
    context : str, optional
        What it is used for, such as ``training``.
    tags : mapping, optional
        Tags of this use.
    model : LoggedModelInput, optional
        Not taken: a model that a run uses is not booked.
    """
    if model is not None:
        raise InvalidParameterError(
            "A model that a run uses is not booked; set a tag with its identifier."
        )
    if dataset is not None:
        log_inputs([dataset], [context], [tags])


def log_inputs(
    datasets: Sequence[Any] | None = None,
    contexts: Sequence[str | None] | None = None,
    tags_list: Sequence[Mapping[str, Any] | None] | None = None,
    models: Sequence[LoggedModelInput | None] | None = None,
) -> None:
    """Book data sets that the active run uses, in one write; see `log_input`.

    Parameters
    ----------
    datasets : sequence of Dataset
        The data sets.
    contexts, tags_list : sequence, optional
        As many as there are data sets.
    models : sequence, optional
        Not taken.
    """
    from skledger.tracking.datasets import as_list, input_of

    if any(each is not None for each in models or ()):
        raise InvalidParameterError(
            "Models that a run uses are not booked; set a tag with their identifiers."
        )
    given = list(datasets or ())
    rows = zip(
        given,
        as_list("contexts", contexts, len(given)),
        as_list("tags_list", tags_list, len(given)),
        strict=True,
    )
    inputs = tuple(input_of(*row) for row in rows)
    if inputs:
        get_store().write(RunChange(current_run_id(), inputs=inputs))


def log_outputs(models: Sequence[LoggedModelOutput] | None = None) -> None:
    """Link logged models from the active run, which must have made them: see the client's method.

    Parameters
    ----------
    models : sequence of LoggedModelOutput, optional
        The models.
    """
    TrackingClient().log_outputs(current_run_id(), models or ())


def flush_async_logging() -> None:
    """Do nothing: what is logged is written when the call returns. See `skledger.flush`."""


def flush_artifact_async_logging() -> None:
    """Do nothing: what is logged is written when the call returns. See `skledger.flush`."""


def enable_system_metrics_logging() -> None:
    """Do nothing: the use of processor and memory is not booked."""
    _not_booked()


def disable_system_metrics_logging() -> None:
    """Do nothing: the use of processor and memory is not booked."""
    _not_booked()


def set_system_metrics_sampling_interval(interval: float | None) -> None:
    """Do nothing: the use of processor and memory is not booked."""
    _not_booked()


def set_system_metrics_samples_before_logging(samples: int | None) -> None:
    """Do nothing: the use of processor and memory is not booked."""
    _not_booked()


def set_system_metrics_node_id(node_id: str | None) -> None:
    """Do nothing: the use of processor and memory is not booked."""
    _not_booked()


def _not_booked() -> None:
    say(logging.DEBUG, "skledger: system metrics are not booked; the call does nothing")
