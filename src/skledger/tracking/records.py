"""The fluent ``log_*`` functions: params, metrics and tags of the active run."""

from __future__ import annotations

import numbers
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from skledger.errors import InvalidParameterError
from skledger.tracking.active_models import get_active_model_id
from skledger.tracking.entities import (
    MAX_PARAM_LENGTH,
    MAX_TAG_LENGTH,
    DatasetInput,
    Metric,
    ModelChange,
    Param,
    RunChange,
    RunTag,
)
from skledger.tracking.metric import measured_on
from skledger.tracking.names import now_ms
from skledger.tracking.runs import NAME_TAG, current_run_id
from skledger.tracking.session import get_store

__all__ = [
    "RunOperations",
    "booked",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "metric_of",
    "name_in",
    "of_model",
    "param_of",
    "set_tag",
    "set_tags",
    "shorten",
    "tags_of",
]

#: What MLflow takes as the key of a param, a metric or a tag; its servers refuse any other.
_KEY = re.compile(r"[/\w.\- :]+")


class RunOperations:
    """What a call with ``synchronous=False`` returns: all of it was booked when it returned."""

    def wait(self) -> None:
        """Return at once."""


def booked(synchronous: bool | None) -> RunOperations | None:
    """Return what there is to wait for, where somebody wants to wait."""
    return RunOperations() if synchronous is False else None


def shorten(value: str, limit: int) -> str:
    """Cut a text to `limit` characters; a cut one ends in ``...`` so that it shows."""
    return value if len(value) <= limit else value[: limit - 3] + "..."


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Book one param of the active run; without an active run, one is started.

    Parameters
    ----------
    key : str
        Up to 250 characters.
    value : object
        Booked as ``str(value)``; over 6,000 characters it is cut and ends in ``...``.
    synchronous : bool, optional
        Taken for compatibility; the write is done when the call returns.

    Returns
    -------
    object
        `value`, unchanged.

    Raises
    ------
    ParamConflictError
        When the run has this param with another value.
    """
    return log_params({key: value}, synchronous) or value


def log_params(
    params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Book params, all or none; see `log_param`."""
    change = tuple(param_of(key, value) for key, value in _entries("params", params))
    get_store().write(RunChange(run_id or current_run_id(), params=change))
    return booked(synchronous)


def _entries(what: str, given: Any) -> list[tuple[str, Any]]:
    if not isinstance(given, Mapping):
        raise InvalidParameterError(
            f"{what} must be a mapping such as {{'C': 1.0}}, got {type(given).__name__}: "
            f"{given!r:.80}"
        )
    return list(given.items())


def param_of(key: str, value: Any) -> Param:
    """Return a param as it is booked."""
    return Param(_key("param", key), shorten(str(value), MAX_PARAM_LENGTH))


def tags_of(tags: Mapping[str, Any] | None) -> tuple[RunTag, ...]:
    """Return tags of a run; every value becomes its ``str``, and a long one is cut visibly."""
    return tuple(
        RunTag(_key("tag", key), shorten(str(value), MAX_TAG_LENGTH))
        for key, value in _entries("tags", tags or {})
    )


def name_in(tags: tuple[RunTag, ...]) -> str | None:
    """Return the name that tags give a run: ``mlflow.runName`` is its name."""
    return next((tag.value for tag in tags if tag.key == NAME_TAG and tag.value), None)


def _key(what: str, key: Any) -> str:
    """Return a key that every store takes, those of MLflow's servers and folders included."""
    text = str(key)
    if not _KEY.fullmatch(text):
        raise InvalidParameterError(
            f"the key of a {what} may hold letters, digits and any of '_-. :/', got {text!r}"
        )
    if posixpath.normpath(text) != text or text.startswith(("/", "..")) or text == ".":
        raise InvalidParameterError(
            f"the key of a {what} may be the path of a file, and {text!r} would be another one "
            f"({posixpath.normpath(text)!r}) or lead out of its folder"
        )
    return text


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Book one number of the active run; without an active run, one is started.

    Parameters
    ----------
    key : str
        Up to 250 characters.
    value : float
        Any real number, or a text that is one; NaN and the infinities are kept.
    step : int, optional
        The step it belongs to; 0 by default.
    synchronous : bool, optional
        Taken for compatibility; the write is done when the call returns.
    timestamp : int, optional
        Its time in ms since the epoch; now by default.
    run_id : str, optional
        Another run than the active one.
    model_id : str, optional
        A logged model that the number is booked of, too; by default the active one, if any: see
        `set_active_model`.
    dataset : Dataset, optional
        The data that it was measured on: noted with the number of the model, and booked as an input
        of the run.

    Raises
    ------
    InvalidParameterError
        When `value` is not a number.
    """
    return log_metrics({key: value}, step, synchronous, run_id, timestamp, model_id, dataset)


def log_metrics(
    metrics: Mapping[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Book numbers of one step, all or none; see `log_metric`."""
    time = now_ms() if timestamp is None else timestamp
    change = tuple(metric_of(key, value, step, time) for key, value in _entries("metrics", metrics))
    run_id = run_id or current_run_id()
    model_id = model_id or get_active_model_id()
    inputs = _input(dataset)
    data = (inputs[0].dataset.name, inputs[0].dataset.digest) if inputs else (None, None)
    changes = of_model(model_id, change, *data)
    get_store().write(RunChange(run_id, metrics=change, model_changes=changes, inputs=inputs))
    return booked(synchronous)


def _input(dataset: Any) -> tuple[DatasetInput, ...]:
    """Return what a run books of the data that metrics were measured on."""
    if dataset is None:
        return ()
    from skledger.tracking.datasets import input_of

    return (input_of(dataset, None, None),)


def of_model(
    model_id: str | None,
    metrics: tuple[Metric, ...],
    dataset_name: str | None = None,
    dataset_digest: str | None = None,
) -> tuple[ModelChange, ...]:
    """Return what books metrics of a logged model, besides of their run; nothing without one.

    Parameters
    ----------
    model_id : str or None
        The model.
    metrics : tuple of Metric
        As they are booked of the run.
    dataset_name, dataset_digest : str, optional
        The data they were measured on.

    Raises
    ------
    InvalidParameterError
        When one of these is given without the other.
    """
    name, digest = dataset_name or None, dataset_digest or None
    if (name is None) != (digest is None):
        raise InvalidParameterError(
            "dataset_name and dataset_digest go together: give both, or none of them; got "
            f"{dataset_name!r} and {dataset_digest!r}."
        )
    if model_id is None:
        return ()
    return (ModelChange(model_id, metrics=measured_on(metrics, name, digest)),)


def metric_of(key: str, value: Any, step: Any = None, timestamp: Any = None) -> Metric:
    """Return a metric as it is booked; `InvalidParameterError` for what is no number."""
    return Metric(
        _key("metric", key),
        _number(key, value),
        now_ms() if timestamp is None else _whole(key, "timestamp", timestamp),
        0 if step is None else _whole(key, "step", step),
    )


def _whole(key: str, what: str, given: Any) -> int:
    try:
        return int(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidParameterError(
            f"The {what} of the metric {key!r} must be a whole number, got {given!r}."
        ) from error


def _number(key: str, value: Any) -> float:
    try:
        if isinstance(value, numbers.Real):
            return float(value)
        if getattr(value, "ndim", None) == 0 or getattr(value, "size", None) == 1:
            return float(value.item())  # numpy scalars and one-element arrays
        # MLflow takes a text that is a number, too.
        return _not_a_number(key, value) if isinstance(value, bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        return _not_a_number(key, value)


def _not_a_number(key: str, value: Any) -> float:
    raise InvalidParameterError(
        f"The metric {key!r} was given {value!r} of type {type(value).__name__}; "
        "a metric is one real number. Book a text with set_tag or log_text, an array with log_dict."
    )


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set one tag of the active run (``str(value)``, up to 8,000 characters), or change it.

    The tag ``mlflow.runName`` is the name of the run.
    """
    return set_tags({key: value}, synchronous)


def set_tags(
    tags: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Set tags, all or none; see `set_tag`."""
    change = tags_of(tags)
    run_id = run_id or current_run_id()
    get_store().write(RunChange(run_id, tags=change, run_name=name_in(change)))
    return booked(synchronous)
