"""The records of a run, side by side: what one side lacks, and whether both are the same."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

from skledger.stores.base import Store
from skledger.tracking.copying_places import is_server
from skledger.tracking.entities import (
    DatasetInput,
    LoggedModel,
    Metric,
    Run,
    RunChange,
    as_params,
    as_tags,
)

__all__ = ["Records", "differences", "lacking", "model_differences", "read_records", "without"]

_LARGEST = sys.float_info.max
_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Records:
    """What a run holds, without its files and models.

    Parameters
    ----------
    params, tags : dict of str to str
        By key.
    metrics : tuple of Metric
        Every value that was logged.
    inputs : tuple of DatasetInput
        The data sets.
    """

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    inputs: tuple[DatasetInput, ...] = ()

    def __len__(self) -> int:
        return len(self.params) + len(self.tags) + len(self.metrics) + len(self.inputs)


def read_records(store: Store, run: Run) -> Records:
    """Return what a run holds, with the whole history of its metrics."""
    return Records(
        dict(run.data.params),
        dict(run.data.tags),
        tuple(chain.from_iterable(_histories(store, run))),
        tuple(run.inputs.dataset_inputs),
    )


def _histories(store: Store, run: Run) -> list[list[Metric]]:
    ask = partial(store.get_metric_history, run.info.run_id)
    if len(run.data.metrics) < 2 or not is_server(store.uri):
        return list(map(ask, run.data.metrics))
    # A server is asked for each key, and answers several questions at a time.
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return list(pool.map(ask, run.data.metrics))


def without(records: Records, keys: Iterable[str]) -> Records:
    """Return the records without some tags."""
    left = set(keys)
    return replace(records, tags={k: v for k, v in records.tags.items() if k not in left})


def lacking(wanted: Records, held: Records) -> RunChange | None:
    """Return what has to be added so that a run holds what is wanted; None when nothing has.

    Its `run_id` is still to be filled in.
    """
    metrics = {_of_metric(each) for each in held.metrics}
    inputs = {_of_input(each) for each in held.inputs}
    params = {k: v for k, v in wanted.params.items() if held.params.get(k) != v}
    tags = {k: v for k, v in wanted.tags.items() if held.tags.get(k) != v}
    change = RunChange(
        "",
        params=as_params(params),
        tags=as_tags(tags),
        metrics=tuple(each for each in wanted.metrics if _of_metric(each) not in metrics),
        inputs=tuple(each for each in wanted.inputs if _of_input(each) not in inputs),
    )
    return change if change != RunChange("") else None


def differences(wanted: Records, found: Records) -> list[str]:
    """Compare what a run should hold with what it holds, by count and by SHA-256.

    Tags of which nothing is wanted may stand beside.

    Parameters
    ----------
    wanted, found : Records
        The two sides.

    Returns
    -------
    list of str
        A sentence for each part that is not the same.
    """
    tags = {key: value for key, value in found.tags.items() if key in wanted.tags}
    # A store may note values of a run's models among those of the run.
    asked = {_of_metric(each) for each in wanted.metrics}
    metrics = [each for each in found.metrics if _of_metric(each) in asked]
    return [
        *_compare("params", wanted.params.items(), found.params.items()),
        *_compare("tags", wanted.tags.items(), tags.items()),
        *_compare("values of metrics", map(_of_metric, wanted.metrics), map(_of_metric, metrics)),
        *_compare("data sets", map(_of_input, wanted.inputs), map(_of_input, found.inputs)),
    ]


def model_differences(wanted: LoggedModel, found: LoggedModel) -> list[str]:
    """Compare a logged model with its copy, as `differences` does for runs; without the times."""
    tags = {key: value for key, value in found.tags.items() if key in wanted.tags}
    facts = ("name", "status", "model_type")
    return [
        *_compare(
            "facts",
            ((name, getattr(wanted, name)) for name in facts),
            ((name, getattr(found, name)) for name in facts),
        ),
        *_compare("params", wanted.params.items(), found.params.items()),
        *_compare("tags", wanted.tags.items(), tags.items()),
        *_compare("metrics", _last_values(wanted), _last_values(found)),
    ]


def _last_values(model: LoggedModel) -> Iterable[Any]:
    """Return the metrics of a model, of which a store keeps one for each key, step and time."""
    held = {(each.key, each.step, each.timestamp): each for each in model.metrics}
    return (
        (*_of_metric(each), each.dataset_name or "", each.dataset_digest or "")
        for each in held.values()
    )


def _of_metric(metric: Metric) -> tuple[str, int, int, str]:
    """Return a value of a metric in a form that is equal for what is the same.

    SQL has no infinity; the largest number stands for it.
    """
    value = float(metric.value)
    if math.isnan(value):
        text = "nan"
    elif abs(value) >= _LARGEST:
        text = "inf" if value > 0 else "-inf"
    else:
        text = repr(value + 0.0)
    return metric.key, metric.step, metric.timestamp, text


def _of_input(item: DatasetInput) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    # The rest of the description belongs to the experiment, which has one for each digest.
    tags = tuple(sorted((tag.key, tag.value) for tag in item.tags))
    return item.dataset.name, item.dataset.digest, tags


def _compare(what: str, wanted: Iterable[Any], found: Iterable[Any]) -> Iterable[str]:
    one, other = set(wanted), set(found)
    if len(one) == len(other) and _digest(one) == _digest(other):
        return
    example: Any = next(iter(sorted(one ^ other)))
    yield f"{what}: {len(other):,} of {len(one):,} are there or differ, such as {example!r:.200}"


def _digest(values: Iterable[Any]) -> str:
    return hashlib.sha256(json.dumps(sorted(values)).encode()).hexdigest()
