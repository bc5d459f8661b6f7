"""What a registry holds, and what changes of it come to: for stores without a query language."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from skledger.stores.matching import matches, sort
from skledger.stores.registry_checks import (
    DELETED_STAGE,
    PROMPT_TAG,
    no_registered_model,
    no_version,
    parse_version,
    stage_of,
    taken_model_name,
    touches,
)
from skledger.tracking.filters import Comparison, Ordering
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionChange,
    ModelVersionStage,
    NewModelVersion,
    RegisteredModel,
    RegisteredModelChange,
    RegistryChange,
)

__all__ = [
    "ModelRecord",
    "RegistryDraft",
    "VersionRecord",
    "latest_of",
    "models_in_order",
    "versions_in_order",
]

T = TypeVar("T", RegisteredModel, ModelVersion)


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version, without its aliases, and where its files are."""

    version: ModelVersion
    location: str | None = None

    @property
    def is_deleted(self) -> bool:
        """Whether only its number is left."""
        return self.version.current_stage == DELETED_STAGE


@dataclass(slots=True)
class ModelRecord:
    """A registered model and its versions, deleted ones included.

    Parameters
    ----------
    model : RegisteredModel
        Itself, without the latest versions.
    versions : mapping of int to VersionRecord
        By their numbers.
    """

    model: RegisteredModel
    versions: MutableMapping[int, VersionRecord] = field(default_factory=dict)

    def whole(self) -> RegisteredModel:
        """Return the model as readers see it."""
        latest = latest_of(self.all(), ModelVersionStage.ALL)
        model = self.model
        return replace(
            model, latest_versions=latest, tags=dict(model.tags), aliases=dict(model.aliases)
        )

    def all(self) -> list[ModelVersion]:
        """Return the versions as readers see them."""
        return [self.shown(each) for each in list(self.versions.values()) if not each.is_deleted]

    def find(self, number: int) -> VersionRecord | None:
        """Return a version that is not deleted."""
        found = self.versions.get(number)
        return None if found is None or found.is_deleted else found

    def shown(self, record: VersionRecord) -> ModelVersion:
        """Return a version as readers see it: with the aliases that stand for it."""
        version = record.version
        names = [name for name, each in self.model.aliases.items() if each == version.version]
        return replace(version, tags=dict(version.tags), aliases=sorted(names))


class RegistryDraft:
    """Changes of registered models that are not written yet.

    Parameters
    ----------
    uri : str
        The store, for messages.
    load : callable
        Returns a registered model by its name, in a copy that may change; None when there is none.
    """

    def __init__(self, uri: str, load: Callable[[str], ModelRecord | None]) -> None:
        self._uri = uri
        self._load = load
        #: What was touched, by its name; None for what is not there any more.
        self.models: dict[str, ModelRecord | None] = {}
        #: What renamed models were called before.
        self.renamed: dict[str, str] = {}

    def apply(self, changes: Iterable[RegistryChange]) -> list[ModelVersion]:
        """Take up changes, in order; return the versions that they make.

        Raises
        ------
        AlreadyExistsError, NotFoundError
            After which the draft is worth nothing.
        """
        now = time.time_ns() // 1_000_000
        made: list[tuple[str, int]] = []
        for change in changes:
            if isinstance(change, RegisteredModelChange):
                self._change_model(change, now)
            else:
                number = self._change_version(change, now)
                if change.create is not None:
                    made.append((change.name, number))
        records = [(self._get(name), number) for name, number in made]
        return [record.shown(record.versions[number]) for record, number in records]

    def _find(self, name: str) -> ModelRecord | None:
        if name not in self.models:
            self.models[name] = self._load(name)
        return self.models[name]

    def _get(self, name: str) -> ModelRecord:
        found = self._find(name)
        if found is None:
            raise no_registered_model(name, self._uri)
        return found

    def _change_model(self, change: RegisteredModelChange, now: int) -> None:
        record = self._find(change.name)
        if change.create and record is not None:
            if change.exist_ok:
                return
            raise taken_model_name(change.name)
        if change.create:
            record = ModelRecord(RegisteredModel(change.name, now))
            self.models[change.name] = record
        record = self._get(change.name)
        if change.delete:
            self.models[change.name] = None
            return
        for alias in change.aliases:
            self._version(record, parse_version(change.name, alias.version))
        model = record.model
        tags, aliases = _changed(model.tags, change), dict(model.aliases)
        for name in change.deleted_aliases:
            aliases.pop(name, None)
        aliases |= {each.alias: str(int(each.version)) for each in change.aliases}
        described = model.description if change.description is None else change.description
        record.model = replace(
            model,
            tags=tags,
            aliases=aliases,
            description=described or None,
            last_updated_timestamp=now if touches(change) else model.last_updated_timestamp,
        )
        if change.new_name not in (None, change.name):
            self._rename(record, change.name, str(change.new_name), now)

    def _rename(self, record: ModelRecord, old: str, new: str, now: int) -> None:
        if self._find(new) is not None:
            raise taken_model_name(new)
        record.model = replace(record.model, name=new)
        for number, each in list(record.versions.items()):
            version = replace(each.version, name=new, last_updated_timestamp=now)
            record.versions[number] = replace(each, version=version)
        self.models[old], self.models[new] = None, record
        self.renamed[new] = self.renamed.pop(old, old)

    def _version(self, record: ModelRecord, number: int) -> VersionRecord:
        found = record.find(number)
        if found is None:
            raise no_version(record.model.name, number, self._uri)
        return found

    def _change_version(self, change: ModelVersionChange, now: int) -> int:
        record = self._get(change.name)
        if change.create is not None:
            number = max(record.versions, default=0) + 1
            record.versions[number] = _new_version(change.name, number, change.create, now)
        else:
            number = parse_version(change.name, change.version)
        found = self._version(record, number)
        if change.delete:
            _delete(record, number, now)
            return number
        version = found.version
        described = version.description if change.description is None else change.description
        stage = version.current_stage if change.stage is None else stage_of(change.stage)
        if change.archive_existing:
            _archive(record, stage, now)
        changed = replace(
            version,
            tags=_changed(version.tags, change),
            description=described or None,
            current_stage=stage,
            last_updated_timestamp=now if touches(change) else version.last_updated_timestamp,
        )
        record.versions[number] = replace(found, version=changed)
        if touches(change):
            record.model = replace(record.model, last_updated_timestamp=now)
        return number


def _new_version(name: str, number: int, new: NewModelVersion, now: int) -> VersionRecord:
    version = ModelVersion(
        name,
        str(number),
        now if new.creation_timestamp is None else new.creation_timestamp,
        now,
        user_id=new.user_id,
        source=new.source,
        run_id=new.run_id,
        run_link=new.run_link,
    )
    return VersionRecord(version, new.location or new.source)


def _changed(tags: dict[str, str], change: RegistryChange) -> dict[str, str]:
    kept = {key: value for key, value in tags.items() if key not in change.deleted_tags}
    return kept | {tag.key: tag.value for tag in change.tags}


def _archive(record: ModelRecord, stage: str, now: int) -> None:
    for number, each in list(record.versions.items()):
        if each.version.current_stage == stage:
            version = replace(
                each.version, current_stage=ModelVersionStage.ARCHIVED, last_updated_timestamp=now
            )
            record.versions[number] = replace(each, version=version)


def _delete(record: ModelRecord, number: int, now: int) -> None:
    # Only the number stays, so that it is not given again.
    version = record.versions[number].version
    record.versions[number] = VersionRecord(
        ModelVersion(
            version.name, version.version, version.creation_timestamp, now,
            current_stage=DELETED_STAGE,
        )
    )  # fmt: skip
    aliases = {name: each for name, each in record.model.aliases.items() if each != str(number)}
    record.model = replace(record.model, aliases=aliases, last_updated_timestamp=now)


def latest_of(versions: Iterable[ModelVersion], stages: Sequence[str]) -> list[ModelVersion]:
    """Return the last version of each stage, in the order of their numbers."""
    found: dict[str, ModelVersion] = {}
    for each in sorted(versions, key=lambda version: int(version.version)):
        found[each.current_stage] = each
    return sorted(
        (each for stage, each in found.items() if stage in stages),
        key=lambda version: int(version.version),
    )


def models_in_order(
    models: Iterable[RegisteredModel],
    conditions: Sequence[Comparison],
    orderings: Sequence[Ordering],
    *,
    prompts: bool,
) -> list[RegisteredModel]:
    """Return the registered models that match, by their names unless ordered otherwise.

    Parameters
    ----------
    models, conditions, orderings
        What there is, and what is asked for.
    prompts : bool
        Whether MLflow's prompts count.
    """
    found = sorted(_asked(models, conditions, prompts), key=lambda model: model.name)
    return sort(found, orderings)


def versions_in_order(
    versions: Iterable[ModelVersion],
    conditions: Sequence[Comparison],
    orderings: Sequence[Ordering],
    *,
    prompts: bool,
) -> list[ModelVersion]:
    """Return the versions that match, those that changed last first unless ordered otherwise."""
    found = list(_asked(versions, conditions, prompts))
    found.sort(key=lambda version: int(version.version), reverse=True)
    found.sort(key=lambda version: version.name)
    if not orderings:
        found.sort(key=lambda version: -(version.last_updated_timestamp or 0))
    return sort(found, orderings)


def _asked(items: Iterable[T], conditions: Sequence[Comparison], prompts: bool) -> Iterator[T]:
    for each in items:
        is_prompt: Any = each.tags.get(PROMPT_TAG) == "true"
        if (prompts or not is_prompt) and matches(each, conditions):
            yield each
