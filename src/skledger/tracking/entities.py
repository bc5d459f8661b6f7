"""What is booked: experiments, runs and what belongs to them, as frozen values.

The names and fields are MLflow's. Times are milliseconds since the epoch, identifiers of runs
are 32 hexadecimal digits, identifiers of models are ``m-`` and 32 hexadecimal digits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from skledger.tracking.entity import Entity
from skledger.tracking.metric import Metric
from skledger.tracking.states import (
    LifecycleStage,
    LoggedModelStatus,
    RunStatus,
    SourceType,
    ViewType,
)

__all__ = [
    "DEFAULT_EXPERIMENT_ID",
    "MAX_KEY_LENGTH",
    "MAX_PARAM_LENGTH",
    "MAX_TAG_LENGTH",
    "Dataset",
    "DatasetInput",
    "Entity",
    "Experiment",
    "ExperimentTag",
    "FileInfo",
    "InputTag",
    "LifecycleStage",
    "LoggedModel",
    "LoggedModelInput",
    "LoggedModelOutput",
    "LoggedModelStatus",
    "Metric",
    "ModelChange",
    "PagedList",
    "Param",
    "Run",
    "RunChange",
    "RunData",
    "RunInfo",
    "RunInputs",
    "RunOutputs",
    "RunStatus",
    "RunTag",
    "SourceType",
    "ViewType",
    "as_params",
    "as_tags",
]

T = TypeVar("T")

#: The longest key of a param, metric or tag, in characters (MLflow's limit).
MAX_KEY_LENGTH = 250
#: The longest value of a param, in characters (MLflow's limit).
MAX_PARAM_LENGTH = 6000
#: The longest value of a tag, in characters (MLflow's limit).
MAX_TAG_LENGTH = 8000
#: The identifier of the experiment that every store has.
DEFAULT_EXPERIMENT_ID = "0"


class _Printed(Entity):
    """What prints in a few readable words, and as a table in notebooks."""

    def __repr__(self) -> str:
        from skledger.tracking.printing import in_a_line

        return in_a_line(self)

    def __str__(self) -> str:
        from skledger.tracking.printing import in_a_block

        return in_a_block(self)

    def _repr_html_(self) -> str:
        from skledger.tracking.html import as_html

        return as_html(self)


@dataclass(frozen=True, slots=True)
class Param(Entity):
    """One setting of a run; it never changes."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RunTag(Entity):
    """One note on a run; it may change."""

    key: str
    value: str


#: MLflow's name for the tags of a data set's use.
InputTag = RunTag


@dataclass(frozen=True, slots=True)
class ExperimentTag(Entity):
    """One note on an experiment; it may change."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class FileInfo(Entity):
    """A file or a folder among the artifacts; the size is in bytes, None of a folder."""

    path: str
    is_dir: bool
    file_size: int | None = None


@dataclass(frozen=True, repr=False)
class Experiment(_Printed):
    """A named group of runs."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str = LifecycleStage.ACTIVE
    tags: dict[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None

    def __hash__(self) -> int:
        return hash(self.experiment_id)


@dataclass(frozen=True)
class RunInfo(Entity):
    """What a run is: where it belongs, its state and its times (ms since the epoch)."""

    run_id: str
    experiment_id: str
    run_name: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str

    @property
    def run_uuid(self) -> str:
        """The old name of `run_id`, which MLflow has removed."""
        warnings.warn(
            "MLflow has removed `run_uuid`; it is `run_id` now.", FutureWarning, stacklevel=2
        )
        return self.run_id


@dataclass(frozen=True)
class RunData(Entity):
    """What a run holds: the last value of each metric, the params and the tags."""

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset(Entity):
    """A description of data that a run used; the data itself is not stored."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetInput(Entity):
    """A data set and how a run used it (tag ``mlflow.data.context``: train, eval)."""

    dataset: Dataset
    tags: tuple[RunTag, ...] = ()


@dataclass(frozen=True, slots=True)
class RunInputs(Entity):
    """The data sets of a run."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LoggedModelInput(Entity):
    """A model that a run used, by its identifier."""

    model_id: str


@dataclass(frozen=True, slots=True)
class LoggedModelOutput(Entity):
    """A model that a run made, by its identifier."""

    model_id: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class RunOutputs(Entity):
    """The models of a run."""

    model_outputs: list[LoggedModelOutput] = field(default_factory=list)


@dataclass(frozen=True, repr=False)
class Run(_Printed):
    """A run: what it is, what it holds, what it used and what it made."""

    info: RunInfo
    data: RunData
    inputs: RunInputs = field(default_factory=RunInputs)
    outputs: RunOutputs = field(default_factory=RunOutputs)

    def __hash__(self) -> int:
        return hash(self.info.run_id)


@dataclass(frozen=True, repr=False)
class LoggedModel(_Printed):
    """A model with a life of its own: where its folder is and which run made it."""

    model_id: str
    experiment_id: str
    name: str
    artifact_location: str
    creation_timestamp: int
    last_updated_timestamp: int
    source_run_id: str | None = None
    status: str = "READY"
    model_type: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()

    def __hash__(self) -> int:
        return hash(self.model_id)

    @property
    def model_uri(self) -> str:
        """The URI that loads this model."""
        return f"models:/{self.model_id}"


@dataclass(frozen=True, slots=True)
class ModelChange:
    """What one write changes of a logged model that exists, whichever run made it.

    Parameters
    ----------
    model_id : str
        The model; `NotFoundError` when there is none.
    status : str, optional
        One of `LoggedModelStatus`; None leaves it.
    metrics, params, tags : sequence
        What to add. An exact repeat of a metric counts once, a param that is booked with another
        value is a `ParamConflictError`, a tag is overwritten.
    deleted_tags : sequence of str
        Keys of tags to remove before `tags` are set.
    """

    model_id: str
    status: str | None = None
    metrics: tuple[Metric, ...] = ()
    params: tuple[Param, ...] = ()
    tags: tuple[RunTag, ...] = ()
    deleted_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunChange:
    """Everything that one write adds to one run; a store takes all of it or nothing.

    Parameters
    ----------
    run_id : str
        The run to write to.
    create : RunInfo, optional
        Create the run first, as described. Without it the run must exist.
    status, end_time, run_name, lifecycle_stage : optional
        Fields of the run to set; None leaves them.
    metrics, params, tags : sequence
        What to add. A param that is booked with another value is a `ParamConflictError`;
        a tag is overwritten.
    deleted_tags : sequence of str
        Keys of tags to remove before `tags` are set.
    inputs : sequence of DatasetInput
        Data sets that the run used.
    models : sequence of LoggedModel
        Models the run made: each is created and linked from the run's outputs.
    deleted_models : sequence of str
        Identifiers of logged models to remove, with their link.
    model_changes : sequence of ModelChange
        Changes of logged models, after all that the write makes and removes; also of models that
        other runs made. A metric that was measured in this run belongs into `metrics`, too.
    """

    run_id: str
    create: RunInfo | None = None
    status: str | None = None
    end_time: int | None = None
    run_name: str | None = None
    lifecycle_stage: str | None = None
    metrics: tuple[Metric, ...] = ()
    params: tuple[Param, ...] = ()
    tags: tuple[RunTag, ...] = ()
    deleted_tags: tuple[str, ...] = ()
    inputs: tuple[DatasetInput, ...] = ()
    models: tuple[LoggedModel, ...] = ()
    deleted_models: tuple[str, ...] = ()
    model_changes: tuple[ModelChange, ...] = ()


class PagedList(list[T], Generic[T]):
    """A list that knows the token of the page after it.

    Attributes
    ----------
    token : str or None
        Pass it as `page_token` for the next page; None on the last one.
    """

    def __init__(self, items: Iterable[T] = (), token: str | None = None) -> None:
        super().__init__(items)
        self.token = token

    def __repr__(self) -> str:
        from skledger.tracking.printing import list_of

        return list_of(self)

    def _repr_html_(self) -> str | None:
        from skledger.tracking.html import list_as_html

        return list_as_html(self)


def as_params(values: Mapping[str, object]) -> tuple[Param, ...]:
    """Return a mapping as params; every value becomes its ``str``."""
    return tuple(Param(key, str(value)) for key, value in values.items())


def as_tags(values: Mapping[str, object]) -> tuple[RunTag, ...]:
    """Return a mapping as tags; every value becomes its ``str``."""
    return tuple(RunTag(key, str(value)) for key, value in values.items())
