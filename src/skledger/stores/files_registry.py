"""Registered models in files, as MLflow has them.

::

    <root>/models/<name>/
      meta.yaml                  a registered model is what has this file
      tags/<key>
      aliases/<alias>            the number of the version that it stands for
      version-<number>/
        meta.yaml                what the version is; a deleted one keeps its number
        tags/<key>

What MLflow writes with a number, or leaves out, is read as well. Whoever writes holds one lock for
all registered models of the store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from skledger.stores.files_layout import Layout
from skledger.stores.files_locks import locked
from skledger.stores.files_medium import META, list_folders, read_meta
from skledger.stores.files_reading import KeyFiles, find_file, read_text, unless_damaged
from skledger.stores.files_records import Names
from skledger.stores.files_steps import Steps
from skledger.stores.files_yaml import dump
from skledger.stores.registry_checks import DELETED_STAGE
from skledger.stores.registry_draft import ModelRecord, RegistryDraft, VersionRecord
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionStage,
    ModelVersionStatus,
    RegisteredModel,
    RegistryChange,
)

__all__ = ["FileRegistry"]

_VERSION = re.compile(r"version-(\d{1,9})", re.ASCII)


class FileRegistry:
    """The registered models of a store in a folder.

    Parameters
    ----------
    layout : Layout
        Where things are.
    uri : str
        The store, for messages.
    """

    def __init__(self, layout: Layout, uri: str) -> None:
        self._layout = layout
        self._uri = uri
        self._folder = f"{layout.root}/models"

    def load(self, name: str) -> ModelRecord | None:
        """Return a registered model, whose versions are read when they are asked for."""
        if not isinstance(name, str) or "/" in name or "\0" in name or name in ("", ".", ".."):
            return None
        folder = f"{self._folder}/{name}"
        meta = read_meta(folder)
        if meta is None:
            return None
        aliases = KeyFiles(f"{folder}/aliases", read_text).load()
        model = RegisteredModel(
            str(meta.get("name", name)),
            _whole(meta, "creation_timestamp") or 0,
            _whole(meta, "last_updated_timestamp"),
            _text(meta, "description"),
            tags=dict(KeyFiles(f"{folder}/tags", read_text).load()),
            aliases={alias: text.strip() for alias, text in aliases.items()},
        )
        return ModelRecord(model, _Versions(folder, name))

    def all(self) -> list[ModelRecord]:
        """Return all registered models; what is damaged is passed over."""
        names = (name for name in sorted(list_folders(self._folder)) if name[0] != ".")
        found = (unless_damaged(self.load, name) for name in names)
        return [each for each in found if each is not None]

    def write(self, changes: tuple[RegistryChange, ...]) -> list[ModelVersion]:
        """Make changes, all of them or none; return the versions that they make."""
        with locked([f"{self._layout.root}/.skledger.models.lock"]):
            loaded: dict[str, ModelRecord | None] = {}

            def load(name: str) -> ModelRecord | None:
                loaded[name] = self.load(name)
                return self.load(name)

            draft = RegistryDraft(self._uri, load)
            made = draft.apply(changes)
            self._commit(draft, loaded)
        return made

    def _commit(self, draft: RegistryDraft, loaded: Mapping[str, ModelRecord | None]) -> None:
        steps = Steps(self._host())
        renamed = draft.renamed
        try:
            for name, record in draft.models.items():
                was = renamed.get(name, name)
                before, folder = loaded.get(was), f"{self._folder}/{was}"
                if record is None:
                    if before is not None and name not in renamed.values():
                        steps.set_aside(folder)
                elif before is None:
                    self._make(steps, f"{self._folder}/{name}", record)
                else:
                    _change(steps, folder, before, record)
            for new, old in renamed.items():
                if loaded.get(old) is not None:
                    steps.rename(f"{self._folder}/{old}", f"{self._folder}/{new}")
            steps.commit()
        finally:
            steps.discard()

    def _host(self) -> str:
        """Return the folder in which files are prepared: in this one, readers would see them."""
        return next(iter(self._layout.experiments()), f"{self._layout.root}/.trash")

    def _make(self, steps: Steps, folder: str, record: ModelRecord) -> None:
        os.makedirs(self._folder, exist_ok=True)  # noqa: PTH103
        tags, aliases = Names("tags"), Names("aliases")
        files = {META: dump(_model_meta(record.model))}
        files |= {tags.name(key): text.encode() for key, text in record.model.tags.items()}
        files |= {aliases.name(key): text.encode() for key, text in record.model.aliases.items()}
        folders = ["tags", "aliases"]
        for number, each in record.versions.items():
            below = f"version-{number}"
            folders += [below, f"{below}/tags"]
            files |= {f"{below}/{path}": data for path, data in _version_files(each).items()}
        steps.make(folder, files, folders, merge=os.path.isdir(folder))  # noqa: PTH112


class _Versions(MutableMapping[int, VersionRecord]):
    """The versions of a registered model; each is read when it is asked for."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder, self._name = folder, name
        matches = (_VERSION.fullmatch(each) for each in list_folders(folder))
        self._numbers = dict.fromkeys(sorted(int(each[1]) for each in matches if each is not None))
        #: Those that were read, or set.
        self.known: dict[int, VersionRecord] = {}

    def __getitem__(self, number: int) -> VersionRecord:
        if number not in self._numbers:
            raise KeyError(number)
        if number not in self.known:
            self.known[number] = self._read(number)
        return self.known[number]

    def __setitem__(self, number: int, record: VersionRecord) -> None:
        self._numbers[number] = None
        self.known[number] = record

    def __delitem__(self, number: int) -> None:
        raise NotImplementedError  # a number is never free again

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._numbers))

    def __len__(self) -> int:
        return len(self._numbers)

    def _read(self, number: int) -> VersionRecord:
        folder = f"{self._folder}/version-{number}"
        meta = unless_damaged(read_meta, folder)
        if meta is None:  # not whole yet, or damaged: only its number counts
            return VersionRecord(
                ModelVersion(self._name, str(number), 0, current_stage=DELETED_STAGE)
            )
        version = ModelVersion(
            self._name,
            str(number),
            _whole(meta, "creation_timestamp") or 0,
            _whole(meta, "last_updated_timestamp"),
            description=_text(meta, "description"),
            user_id=_text(meta, "user_id"),
            current_stage=_text(meta, "current_stage") or ModelVersionStage.NONE,
            source=_text(meta, "source"),
            run_id=_text(meta, "run_id"),
            status=_text(meta, "status") or ModelVersionStatus.READY,
            status_message=_text(meta, "status_message"),
            tags=dict(KeyFiles(f"{folder}/tags", read_text).load()),
            run_link=_text(meta, "run_link"),
        )
        return VersionRecord(version, _text(meta, "storage_location"))


def _change(steps: Steps, folder: str, before: ModelRecord, after: ModelRecord) -> None:
    """Prepare what differs between two states of a registered model."""
    old, new = before.model, after.model
    wanted = _model_meta(new)
    if wanted != _model_meta(old):
        steps.put(f"{folder}/{META}", dump((read_meta(folder) or {}) | wanted))
    _change_files(steps, f"{folder}/tags", old.tags, new.tags)
    _change_files(steps, f"{folder}/aliases", old.aliases, new.aliases)
    versions = after.versions
    touched = versions.known if isinstance(versions, _Versions) else dict(versions)
    for number, record in touched.items():
        place = f"{folder}/version-{number}"
        if number not in before.versions:
            steps.make(place, _version_files(record), ["tags"], merge=False)
            continue
        was = before.versions[number]
        if was == record:
            continue
        meta = _version_meta(record)
        steps.put(f"{place}/{META}", dump((read_meta(place) or {}) | meta))
        _change_files(steps, f"{place}/tags", was.version.tags, record.version.tags)


def _change_files(
    steps: Steps, folder: str, before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    for key in before:
        path, exists = find_file(folder, key)
        if key not in after and exists:
            steps.remove(path, folder)
    for key, text in after.items():
        if before.get(key) != text:
            path, exists = find_file(folder, key)
            steps.put(path, text.encode(), new=not exists)


def _version_files(record: VersionRecord) -> dict[str, bytes]:
    names = Names("tags")
    tags = {names.name(key): text.encode() for key, text in record.version.tags.items()}
    return {META: dump(_version_meta(record)), **tags}


def _model_meta(model: RegisteredModel) -> dict[str, Any]:
    return {
        "creation_timestamp": model.creation_timestamp,
        "description": model.description,
        "last_updated_timestamp": model.last_updated_timestamp,
        "name": model.name,
    }


def _version_meta(record: VersionRecord) -> dict[str, Any]:
    version = record.version
    return {
        "creation_timestamp": version.creation_timestamp,
        "current_stage": version.current_stage,
        "description": version.description,
        "last_updated_timestamp": version.last_updated_timestamp,
        "model_id": version.model_id,
        "name": version.name,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "source": version.source,
        "status": version.status,
        "status_message": version.status_message,
        "storage_location": record.location,
        "user_id": version.user_id,
        "version": int(version.version),
    }


def _whole(meta: Mapping[str, object], key: str) -> int | None:
    value = meta.get(key)
    return value if isinstance(value, int) else None


def _text(meta: Mapping[str, object], key: str) -> str | None:
    value = meta.get(key)
    return None if value in (None, "") else str(value)
