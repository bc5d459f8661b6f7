"""What is booked: experiments, runs and what belongs to them, as frozen values.

The names and fields are MLflow's. Times are milliseconds since the epoch, identifiers of runs
are 32 hexadecimal digits, identifiers of models are ``m-`` and 32 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: The longest key of a param, metric or tag, in characters (MLflow's limit).
MAX_KEY_LENGTH = 250
#: The longest value of a param, in characters (MLflow's limit).
MAX_PARAM_LENGTH = 6000
#: The longest value of a tag, in characters (MLflow's limit).
MAX_TAG_LENGTH = 8000
#: The identifier of the experiment that every store has.
DEFAULT_EXPERIMENT_ID = "0"


class RunStatus:
    """The states of a run, as text."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    ALL = (RUNNING, SCHEDULED, FINISHED, FAILED, KILLED)

    @staticmethod
    def is_terminated(status: str) -> bool:
        """Whether a run in this state has ended."""
        return status in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


class LifecycleStage:
    """Whether a run or an experiment is shown or deleted."""

    ACTIVE = "active"
    DELETED = "deleted"


class ViewType:
    """Which lifecycle stages a search returns."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3


class _Entity:
    """Field access as MLflow's entities offer it: ``dict(entity)`` and ``to_dictionary``."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for each in fields(self):  # type: ignore[arg-type]
            yield each.name, getattr(self, each.name)

    def to_dictionary(self) -> dict[str, Any]:
        """Return the fields as plain, nested dictionaries."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True, slots=True)
class Metric(_Entity):
    """One number, at one step, at one time."""

    key: str
    value: float
    timestamp: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class Param(_Entity):
    """One setting of a run; it never changes."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RunTag(_Entity):
    """One note on a run; it may change."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Experiment(_Entity):
    """A named group of runs."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str = LifecycleStage.ACTIVE
    tags: dict[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None


@dataclass(frozen=True, slots=True)
class RunInfo(_Entity):
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
        """The old name of `run_id`."""
        return self.run_id


@dataclass(frozen=True, slots=True)
class RunData(_Entity):
    """What a run holds: the last value of each metric, the params and the tags."""

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset(_Entity):
    """A description of data that a run used; the data itself is not stored."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetInput(_Entity):
    """A data set and how a run used it (tag ``mlflow.data.context``: train, eval)."""

    dataset: Dataset
    tags: tuple[RunTag, ...] = ()


@dataclass(frozen=True, slots=True)
class RunInputs(_Entity):
    """The data sets of a run."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LoggedModelOutput(_Entity):
    """A model that a run made, by its identifier."""

    model_id: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class RunOutputs(_Entity):
    """The models of a run."""

    model_outputs: list[LoggedModelOutput] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Run(_Entity):
    """A run: what it is, what it holds, what it used and what it made."""

    info: RunInfo
    data: RunData
    inputs: RunInputs = field(default_factory=RunInputs)
    outputs: RunOutputs = field(default_factory=RunOutputs)


@dataclass(frozen=True, slots=True)
class LoggedModel(_Entity):
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

    @property
    def model_uri(self) -> str:
        """The URI that loads this model."""
        return f"models:/{self.model_id}"


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


def as_params(values: Mapping[str, object]) -> tuple[Param, ...]:
    """Return a mapping as params; every value becomes its ``str``."""
    return tuple(Param(key, str(value)) for key, value in values.items())


def as_tags(values: Mapping[str, object]) -> tuple[RunTag, ...]:
    """Return a mapping as tags; every value becomes its ``str``."""
    return tuple(RunTag(key, str(value)) for key, value in values.items())
