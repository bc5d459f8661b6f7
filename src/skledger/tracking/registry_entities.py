"""What a registry holds: registered models, their versions, and how one write changes them.

The names and fields are MLflow's. A version is a number, and a text in the entities, as MLflow's
servers give it; every function that takes one takes both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from skledger.tracking.entities import Entity, RunTag, _Printed

__all__ = [
    "MAX_ALIAS_LENGTH",
    "MAX_REGISTERED_NAME_LENGTH",
    "ModelVersion",
    "ModelVersionChange",
    "ModelVersionStage",
    "ModelVersionStatus",
    "ModelVersionTag",
    "NewModelVersion",
    "RegisteredModel",
    "RegisteredModelAlias",
    "RegisteredModelChange",
    "RegisteredModelTag",
    "RegistryChange",
    "logged_model_in",
]

#: The longest name of a registered model, and the longest alias, in characters (MLflow's limits).
MAX_REGISTERED_NAME_LENGTH = 256
MAX_ALIAS_LENGTH = 255

_LOGGED = "models:/m-"


class ModelVersionStatus:
    """The states of a version, as text."""

    PENDING_REGISTRATION = "PENDING_REGISTRATION"
    FAILED_REGISTRATION = "FAILED_REGISTRATION"
    READY = "READY"

    #: In the order in which MLflow numbers them, from 1.
    ALL = (PENDING_REGISTRATION, FAILED_REGISTRATION, READY)

    @staticmethod
    def from_string(status: str) -> str:
        """Return a state by its name; ValueError when there is none of that name."""
        if status in ModelVersionStatus.ALL:
            return status
        raise ValueError(f"a status is one of {', '.join(ModelVersionStatus.ALL)}, not {status!r}")

    @staticmethod
    def to_string(status: str | int) -> str:
        """Return the name of a state, which may be given as MLflow's number of it."""
        if isinstance(status, int) and 1 <= status <= len(ModelVersionStatus.ALL):
            return ModelVersionStatus.ALL[status - 1]
        return ModelVersionStatus.from_string(str(status))


class ModelVersionStage:
    """The stages of a version, as text: MLflow's older way to say what a version is for."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"

    ALL = (NONE, STAGING, PRODUCTION, ARCHIVED)
    #: Those whose earlier versions may be archived when another one takes their place.
    ACTIVE = (STAGING, PRODUCTION)


@dataclass(frozen=True, slots=True)
class RegisteredModelAlias(Entity):
    """A name for one version of a registered model; it may move to another."""

    alias: str
    version: str


@dataclass(frozen=True, slots=True)
class RegisteredModelTag(Entity):
    """One note on a registered model; it may change."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ModelVersionTag(Entity):
    """One note on a version; it may change."""

    key: str
    value: str


@dataclass(frozen=True, repr=False)
class ModelVersion(_Printed):
    """A version of a registered model: a logged model, or a folder, under a number."""

    name: str
    version: str
    creation_timestamp: int
    last_updated_timestamp: int | None = None
    description: str | None = None
    user_id: str | None = None
    current_stage: str = ModelVersionStage.NONE
    source: str | None = None
    run_id: str | None = None
    status: str = ModelVersionStatus.READY
    status_message: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    run_link: str | None = None
    aliases: list[str] = field(default_factory=list)

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    @property
    def model_id(self) -> str | None:
        """The logged model that it is, when its source names one."""
        return logged_model_in(self.source)


@dataclass(frozen=True, repr=False)
class RegisteredModel(_Printed):
    """A name under which versions of a model are found."""

    name: str
    creation_timestamp: int
    last_updated_timestamp: int | None = None
    description: str | None = None
    #: The last version of each stage.
    latest_versions: list[ModelVersion] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    #: The version, as text, of each alias.
    aliases: dict[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.name)


def logged_model_in(source: str | None) -> str | None:
    """Return the identifier of the logged model that ``models:/m-<id>`` names, or None."""
    if source is None or not source.startswith(_LOGGED):
        return None
    identifier = source[len("models:/") :].strip("/")
    return None if "/" in identifier else identifier


@dataclass(frozen=True, slots=True)
class NewModelVersion:
    """A version that a write makes; the store gives it its number.

    Parameters
    ----------
    source : str
        What it is: ``models:/m-<id>``, ``runs:/<run id>/<path>``, a path or a URI.
    location : str, optional
        Where its files are, when `source` does not say it.
    run_id, run_link, user_id : str, optional
        The run that made it, where that is shown, and who registers it.
    creation_timestamp : int, optional
        When it was made, in ms since the epoch; by default now.
    """

    source: str
    location: str | None = None
    run_id: str | None = None
    run_link: str | None = None
    user_id: str | None = None
    creation_timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class RegisteredModelChange:
    """What one write changes of a registered model.

    Parameters
    ----------
    name : str
        The model; `NotFoundError` when there is none and none is created.
    create : bool, default=False
        Create it first.
    exist_ok : bool, default=False
        With `create`: one that is there is as good, and keeps its tags and description.
    new_name : str, optional
        What it is called from then on, with its versions, aliases and tags.
    description : str, optional
        None leaves it; an empty text removes it.
    tags : sequence
        What to set.
    deleted_tags : sequence of str
        Keys of tags to remove before `tags` are set.
    aliases : sequence of RegisteredModelAlias
        What to set; one that stands for another version moves.
    deleted_aliases : sequence of str
        What to remove before `aliases` are set.
    delete : bool, default=False
        Remove the model with everything that belongs to it.
    """

    name: str
    create: bool = False
    exist_ok: bool = False
    new_name: str | None = None
    description: str | None = None
    tags: tuple[RunTag, ...] = ()
    deleted_tags: tuple[str, ...] = ()
    aliases: tuple[RegisteredModelAlias, ...] = ()
    deleted_aliases: tuple[str, ...] = ()
    delete: bool = False


@dataclass(frozen=True, slots=True)
class ModelVersionChange:
    """What one write changes of a version.

    Parameters
    ----------
    name : str
        Its registered model.
    version : str
        Its number; empty for one that is created.
    create : NewModelVersion, optional
        Create it first.
    description : str, optional
        None leaves it; an empty text removes it.
    stage : str, optional
        One of `ModelVersionStage`; None leaves it.
    archive_existing : bool, default=False
        With `stage`: archive all others that are in it.
    tags : sequence
        What to set.
    deleted_tags : sequence of str
        Keys of tags to remove before `tags` are set.
    delete : bool, default=False
        Remove the version, with the aliases that stand for it. Its number is not given again.
    """

    name: str
    version: str = ""
    create: NewModelVersion | None = None
    description: str | None = None
    stage: str | None = None
    archive_existing: bool = False
    tags: tuple[RunTag, ...] = ()
    deleted_tags: tuple[str, ...] = ()
    delete: bool = False


RegistryChange: TypeAlias = RegisteredModelChange | ModelVersionChange
