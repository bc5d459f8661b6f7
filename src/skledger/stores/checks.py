"""What every store refuses, and how numbers that SQL lacks are written.

The checks run before `fit` returns: they only measure what they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.tracking.entities import (
    MAX_KEY_LENGTH,
    MAX_PARAM_LENGTH,
    MAX_TAG_LENGTH,
    Dataset,
    LifecycleStage,
    LoggedModel,
    Metric,
    ModelChange,
    RunChange,
    RunStatus,
    ViewType,
)

__all__ = [
    "MODEL_STATUS",
    "MODEL_STATUS_NAMES",
    "check_changes",
    "check_experiment_change",
    "check_experiment_name",
    "check_max_results",
    "check_tags",
    "check_text",
    "check_view_type",
    "parse_experiment_id",
]

#: The states of a logged model as MLflow numbers them.
MODEL_STATUS = {"UNSPECIFIED": 0, "PENDING": 1, "READY": 2, "FAILED": 3}
MODEL_STATUS_NAMES = {number: name for name, number in MODEL_STATUS.items()}

_INT64 = 2**63
_STAGES = {
    ViewType.ACTIVE_ONLY: (LifecycleStage.ACTIVE,),
    ViewType.DELETED_ONLY: (LifecycleStage.DELETED,),
    ViewType.ALL: (LifecycleStage.ACTIVE, LifecycleStage.DELETED),
}
_MAX_NAME_LENGTH = 250
_MAX_EXPERIMENT_NAME_LENGTH = 256
_MAX_EXPERIMENT_TAG_LENGTH = 5000


def check_text(what: str, text: object, limit: int, *, empty: bool = True) -> None:
    """Refuse what is no text, is too long, or cannot be written as UTF-8.

    Parameters
    ----------
    what : str
        The subject of the message, such as ``the value of param 'C'``.
    text : object
        What was given.
    limit : int
        The greatest length, in characters.
    empty : bool
        Whether the empty text is taken.
    """
    if not isinstance(text, str):
        _refuse(f"{what} must be text, got {type(text).__name__}: {text!r:.80}")
    if len(text) > limit:
        _refuse(
            f"{what} has {len(text)} characters, {limit} is the limit: shorten it "
            f"(it starts with {text[:40]!r})"
        )
    if not text and not empty:
        _refuse(f"{what} is empty")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            _refuse(f"{what} holds a lone surrogate at {error.start}, which is not text: {text!a}")


def check_changes(changes: Sequence[RunChange]) -> None:
    """Refuse changes that no store can take, naming the key and the limit.

    Raises
    ------
    InvalidParameterError
        Before anything is written.
    """
    # A thousand candidates of a search share most of their tags, params and names of metrics.
    # The changes keep them alive, so each is known by its identity.
    known: set[object] = set()
    for change in changes:
        _check_change(change, known)


def _check_change(change: RunChange, known: set[object]) -> None:
    _check_fields(change)
    for metric in change.metrics:
        key = metric.key
        if key not in known:
            _check_key("metric", key)
            known.add(key)
        _check_number("metric", key, metric.value, metric.timestamp, metric.step)
    for param in change.params:
        if id(param) not in known:
            _check_key("param", param.key)
            if _unusual(param.value, MAX_PARAM_LENGTH):
                check_text(f"the value of param {param.key!r}", param.value, MAX_PARAM_LENGTH)
            known.add(id(param))
    for tag in change.tags:
        if id(tag) not in known:
            _check_key("tag", tag.key)
            if _unusual(tag.value, MAX_TAG_LENGTH):
                check_text(f"the value of tag {tag.key!r}", tag.value, MAX_TAG_LENGTH)
            known.add(id(tag))
    for item in change.inputs:
        _check_dataset(item.dataset)
        for tag in item.tags:
            check_text("the key of a data set's tag", tag.key, 255, empty=False)
            check_text(f"the value of data set tag {tag.key!r}", tag.value, 500)
    for model in change.models:
        _check_model(model)
    for each in change.model_changes:
        _check_model_change(each)


def check_experiment_name(name: object) -> None:
    """Refuse an experiment name that cannot be stored."""
    check_text("the name of an experiment", name, _MAX_EXPERIMENT_NAME_LENGTH, empty=False)


def check_experiment_change(
    name: object, lifecycle_stage: object, tags: Mapping[str, str] | None
) -> None:
    """Refuse a change of an experiment that cannot be stored; None changes nothing."""
    if name is not None:
        check_experiment_name(name)
    if lifecycle_stage not in (None, "active", "deleted"):
        _refuse(f"lifecycle_stage must be 'active' or 'deleted', got {lifecycle_stage!r}")
    check_tags(tags or {})


def check_max_results(max_results: object) -> int:
    """Return the page length, a whole number of at least 1."""
    if isinstance(max_results, bool) or not isinstance(max_results, int) or max_results < 1:
        _refuse(f"max_results must be a whole number of at least 1, got {max_results!r}")
    return max_results


def _refuse(message: str) -> NoReturn:
    raise InvalidParameterError(message)


def _unusual(text: object, limit: int) -> bool:
    """Whether a text deserves the slow look."""
    return type(text) is not str or len(text) > limit or not text.isascii()


def _check_key(what: str, key: object) -> None:
    if _unusual(key, MAX_KEY_LENGTH) or not key:
        check_text(f"the key of a {what}", key, MAX_KEY_LENGTH, empty=False)


def _check_number(what: str, key: str, value: object, timestamp: int, step: int) -> None:
    if type(value) is not float:
        try:
            float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError) as error:
            _refuse(f"{what} {key!r} must be a real number, got {value!r:.80} ({error})")
    for name, number in (("timestamp", timestamp), ("step", step)):
        if not isinstance(number, int) or not -_INT64 <= number < _INT64:
            _refuse(f"the {name} of {what} {key!r} must be a whole number of 64 bits: {number!r}")


def _check_fields(change: RunChange) -> None:
    create = change.create
    check_text("the identifier of a run", change.run_id, 32, empty=False)
    if create is not None:
        if create.run_id != change.run_id:
            _refuse(f"a change of run {change.run_id!r} creates run {create.run_id!r}")
        check_text("the name of a run", create.run_name, _MAX_NAME_LENGTH)
        check_text("the user of a run", create.user_id, 256)
        _check_status(create.status)
        parse_experiment_id(create.experiment_id)
    if change.run_name is not None:
        check_text("the name of a run", change.run_name, _MAX_NAME_LENGTH)
    if change.status is not None:
        _check_status(change.status)
    if change.lifecycle_stage not in (None, "active", "deleted"):
        _refuse(f"lifecycle_stage must be 'active' or 'deleted', got {change.lifecycle_stage!r}")


def _check_status(status: str) -> None:
    if status not in RunStatus.ALL:
        _refuse(f"the status of a run must be one of {', '.join(RunStatus.ALL)}, got {status!r}")


def _check_dataset(dataset: Dataset) -> None:
    check_text("the name of a data set", dataset.name, 500, empty=False)
    check_text(f"the digest of data set {dataset.name!r}", dataset.digest, 36, empty=False)
    check_text(f"the source type of data set {dataset.name!r}", dataset.source_type, 36)


def _check_model(model: LoggedModel) -> None:
    check_text("the identifier of a model", model.model_id, 36, empty=False)
    check_text("the name of a model", model.name, 500, empty=False)
    _check_model_status(model.status)
    _check_model_entries(model.params.items(), model.tags.items(), model.metrics)


def _check_model_change(change: ModelChange) -> None:
    check_text("the identifier of a model", change.model_id, 36, empty=False)
    if change.status is not None:
        _check_model_status(change.status)
    params = [(each.key, each.value) for each in change.params]
    tags = [(each.key, each.value) for each in change.tags]
    _check_model_entries(params, tags, change.metrics)


def _check_model_status(status: str) -> None:
    if status not in MODEL_STATUS:
        _refuse(f"the status of a model must be one of {list(MODEL_STATUS)}, got {status!r}")


def _check_model_entries(
    params: Iterable[tuple[str, str]], tags: Iterable[tuple[str, str]], metrics: Iterable[Metric]
) -> None:
    for what, pairs in (("param", params), ("tag", tags)):
        for key, value in pairs:
            _check_key(f"model's {what}", key)
            if _unusual(value, _INT64):
                check_text(f"the value of model {what} {key!r}", value, _INT64)
    for metric in metrics:
        _check_key("model's metric", metric.key)
        _check_number("metric", metric.key, metric.value, metric.timestamp, metric.step)
        if metric.dataset_name is not None or metric.dataset_digest is not None:
            _check_data_of(metric)


def _check_data_of(metric: Metric) -> None:
    name, digest = metric.dataset_name, metric.dataset_digest
    if not name or not digest:
        _refuse(
            f"metric {metric.key!r} was measured on a data set with a dataset_name and a "
            f"dataset_digest, or on none that is told; got {name!r} and {digest!r}"
        )
    check_text(f"the data set of metric {metric.key!r}", name, 500)
    check_text(f"the digest of the data set of metric {metric.key!r}", digest, 36)


def check_view_type(view_type: int) -> tuple[str, ...]:
    """Return the lifecycle stages that a view shows."""
    if view_type not in _STAGES:
        _refuse(f"view_type must be ViewType.ACTIVE_ONLY, DELETED_ONLY or ALL, got {view_type!r}")
    return _STAGES[view_type]


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse an experiment's tag that cannot be stored."""
    for key, value in tags.items():
        check_text("the key of a tag", key, MAX_KEY_LENGTH, empty=False)
        check_text(f"the value of tag {key!r}", value, _MAX_EXPERIMENT_TAG_LENGTH)


def parse_experiment_id(experiment_id: object) -> int:
    """Return an experiment's identifier as the number it is."""
    text = str(experiment_id)
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise NotFoundError(
            f"there is no experiment {experiment_id!r}: an identifier is a whole number such as "
            "'0'; a name goes to get_experiment_by_name"
        )
    return int(text)
