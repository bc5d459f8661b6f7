"""What every registry refuses, and in which words."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

from skledger.errors import AlreadyExistsError, InvalidParameterError, NotFoundError
from skledger.stores.checks import check_text
from skledger.tracking.entities import MAX_KEY_LENGTH
from skledger.tracking.filters import Comparison
from skledger.tracking.registry_entities import (
    MAX_ALIAS_LENGTH,
    MAX_REGISTERED_NAME_LENGTH,
    ModelVersionChange,
    ModelVersionStage,
    RegisteredModelChange,
    RegistryChange,
)

__all__ = [
    "DELETED_STAGE",
    "LATEST",
    "PROMPT_TAG",
    "check_registry_changes",
    "check_stages",
    "no_alias",
    "no_registered_model",
    "no_version",
    "parse_version",
    "stage_of",
    "taken_model_name",
    "touches",
    "without_prompts",
]

#: The stage of a version that was deleted, whose number is not given again.
DELETED_STAGE = "Deleted_Internal"
#: The alias that every registered model has.
LATEST = "latest"
#: MLflow keeps its prompts among the registered models; they are none.
PROMPT_TAG = "mlflow.prompt.is_prompt"

_MAX_DESCRIPTION, _MAX_MODEL_TAG, _MAX_VERSION_TAG = 5000, 5000, 60_000
_MAX_SOURCE = 500
_ALIAS = re.compile(r"[\w\-]+", re.ASCII)
_RESERVED = re.compile(r"[vV]\d+|latest", re.ASCII | re.IGNORECASE)
_STAGES = {stage.lower(): stage for stage in ModelVersionStage.ALL}


def check_registry_changes(changes: Sequence[RegistryChange]) -> None:
    """Refuse changes that no registry can take, before anything is written.

    Raises
    ------
    InvalidParameterError
        With what was given, and what can be.
    """
    for change in changes:
        if isinstance(change, RegisteredModelChange):
            _check_model(change)
        else:
            _check_version(change)
        if change.description is not None:
            check_text("a description", change.description, _MAX_DESCRIPTION)


def _check_model(change: RegisteredModelChange) -> None:
    if change.create:
        _check_name(change.name)
    if change.new_name is not None:
        _check_name(change.new_name)
    _check_tags(change, _MAX_MODEL_TAG)
    for each in change.aliases:
        check_text("an alias", each.alias, MAX_ALIAS_LENGTH, empty=False)
        if not _ALIAS.fullmatch(each.alias):
            raise InvalidParameterError(
                f"an alias has letters, digits, '_' and '-' only, got {each.alias!r}"
            )
        if _RESERVED.fullmatch(each.alias):
            raise InvalidParameterError(
                f"the alias {each.alias!r} is taken: 'latest' and 'v' with a number mean versions"
            )
        parse_version(change.name, each.version)


def _check_version(change: ModelVersionChange) -> None:
    new = change.create
    if new is None:
        parse_version(change.name, change.version)
    else:
        check_text("the source of a version", new.source, _MAX_SOURCE, empty=False)
        check_text("the location of a version", new.location or "", _MAX_SOURCE)
        check_text("the link of a version", new.run_link or "", _MAX_SOURCE)
        check_text("the run of a version", new.run_id or "", 32)
        check_text("the user of a version", new.user_id or "", 256)
    _check_tags(change, _MAX_VERSION_TAG)
    if change.stage is not None:
        stage = stage_of(change.stage)
        if change.archive_existing and stage not in ModelVersionStage.ACTIVE:
            raise InvalidParameterError(
                f"archive_existing_versions goes with {' and '.join(ModelVersionStage.ACTIVE)}, "
                f"not with the stage {stage!r}"
            )


def _check_tags(change: RegistryChange, limit: int) -> None:
    for tag in change.tags:
        check_text("the key of a tag", tag.key, MAX_KEY_LENGTH, empty=False)
        check_text(f"the value of tag {tag.key!r}", tag.value, limit)


def _check_name(name: object) -> None:
    check_text("the name of a registered model", name, MAX_REGISTERED_NAME_LENGTH, empty=False)
    text = str(name)
    if "/" in text or ":" in text or "\0" in text:
        raise InvalidParameterError(
            f"the name of a registered model has no '/' and no ':', got {text!r}"
        )
    if not text.strip():
        raise InvalidParameterError(
            f"the name of a registered model has more than spaces, got {text!r}"
        )
    if posixpath.normpath(text) != text or text in (".", ".."):
        raise InvalidParameterError(
            f"the name of a registered model may be that of a folder, which {text!r} cannot be"
        )


def parse_version(name: str, version: object) -> int:
    """Return the number of a version, which may be given as text.

    Raises
    ------
    InvalidParameterError
        When it is no whole number.
    """
    text = str(version)
    if isinstance(version, bool) or not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidParameterError(
            f"a version of {name!r} is a whole number such as 1, got {version!r}; an alias goes to "
            "get_model_version_by_alias"
        )
    return int(text)


def stage_of(stage: object) -> str:
    """Return a stage as it is written; case does not matter.

    Raises
    ------
    InvalidParameterError
        When there is none of that name.
    """
    found = _STAGES.get(str(stage).lower())
    if found is None:
        raise InvalidParameterError(
            f"a stage is one of {', '.join(ModelVersionStage.ALL)}, got {stage!r}"
        )
    return found


def check_stages(stages: Iterable[str] | None) -> tuple[str, ...]:
    """Return the stages that are asked for; all when none are named."""
    if isinstance(stages, str):
        raise InvalidParameterError(f"stages is a list of texts: write [{stages!r}]")
    return tuple(stage_of(each) for each in stages or ModelVersionStage.ALL)


def without_prompts(conditions: Sequence[Comparison]) -> tuple[list[Comparison], bool]:
    """Return conditions for a search, and whether MLflow's prompts are asked for.

    A condition that only says that they are not, as MLflow's client writes it, is left out: what
    is no prompt has no such tag.
    """
    asked = [each for each in conditions if each.kind == "tag" and each.key == PROMPT_TAG]
    prompts = any(each.operator == "=" and each.value == "true" for each in asked)
    return [each for each in conditions if prompts or each not in asked], prompts


def touches(change: RegistryChange) -> bool:
    """Whether a change counts as an update; tags and aliases do not, as in MLflow."""
    if change.delete or change.description is not None or change.create:
        return True
    if isinstance(change, RegisteredModelChange):
        return change.new_name is not None
    return change.stage is not None


def no_registered_model(name: str, uri: str) -> NotFoundError:
    """Return the error for a registered model that is not there."""
    return NotFoundError(
        f"there is no registered model {name!r} in {uri}; check its name, or create it with "
        "create_registered_model or register_model"
    )


def no_version(name: str, version: object, uri: str) -> NotFoundError:
    """Return the error for a version that is not there."""
    return NotFoundError(f"there is no version {version} of a registered model {name!r} in {uri}")


def no_alias(name: str, alias: str, uri: str) -> NotFoundError:
    """Return the error for an alias that is not there."""
    return NotFoundError(
        f"the registered model {name!r} in {uri} has no alias {alias!r}; "
        "set_registered_model_alias sets it"
    )


def taken_model_name(name: str) -> AlreadyExistsError:
    """Return the error for a name that another registered model has."""
    return AlreadyExistsError(f"there is a registered model {name!r} already: choose another name")
