"""Registering models: as a version of a name, by what names the model."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skledger._guard import contain, say
from skledger.errors import InvalidParameterError, NotFoundError, StoreUnavailableError
from skledger.models.uris import ModelUri, parse_model_uri
from skledger.tracking.entities import LoggedModel, ModelChange, RunChange, RunTag, as_tags
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionChange,
    NewModelVersion,
    RegisteredModelChange,
    RegistryChange,
)
from skledger.tracking.registry_versions import find_version, registry
from skledger.tracking.session import get_store, store_to_read

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = ["check_registered_name", "placed", "register", "register_logged", "register_soon"]

#: The tag of a logged model by which MLflow's pages lead to its versions.
_VERSIONS_TAG = "mlflow.modelVersions"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a model URI names: a source, where its files are, its run and its logged model."""

    source: str
    location: str | None = None
    run_id: str | None = None
    model: LoggedModel | None = None


def check_registered_name(name: str) -> None:
    """Refuse what cannot be the name of a registered model, before a model is logged for it."""
    from skledger.stores.registry_checks import check_registry_changes

    check_registry_changes([RegisteredModelChange(name, create=True)])


def register(
    model_uri: str,
    name: str,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> ModelVersion:
    """Make a version of a registered model, which is made when it is new.

    Parameters
    ----------
    model_uri : str
        ``runs:/<run id>/<name>``, ``models:/m-<id>``, ``models:/<name>/<version>``, a path or the
        URI of a folder among artifacts.
    name : str
        The registered model.
    tags : mapping, optional
        Of the version; every value becomes its ``str``.
    description : str, optional
        Of the version.
    tracking_uri, registry_uri : str, optional
        Where the model is, and where it is registered; by default those in use.

    Raises
    ------
    NotFoundError
        When there is no such model.
    """
    if not isinstance(tags, Mapping | None):
        raise InvalidParameterError(f"the tags of a version are a dictionary, not {tags!r}.")
    found = _find(parse_model_uri(model_uri), tracking_uri, registry_uri)
    new = NewModelVersion(found.source, found.location, found.run_id)
    made = _write(registry(registry_uri), name, new, tags, description)
    if found.model is not None:
        _note(found.model, made, tracking_uri)
    return made


def register_logged(model: LoggedModel, name: str) -> ModelVersion | None:
    """Register a model that was just logged; None when the server is away and it waits."""
    store = registry()
    new = NewModelVersion(model.model_uri, model.artifact_location, model.source_run_id)
    try:
        made = _write(store, name, new, None, None)
    except StoreUnavailableError as error:
        if not hasattr(store, "queue_registration"):
            raise
        register_soon(model, name)
        say(
            logging.WARNING,
            "skledger: %r will be registered as %r when the server answers: %s",
            model.name,
            name,
            error,
        )
        return None
    _note(model, made, None)
    return made


def register_soon(model: LoggedModel, name: str) -> None:
    """Register a model that was just logged, without waiting for a server."""
    store = registry()
    queue = getattr(store, "queue_registration", None)
    if queue is not None:
        queue(name, model.model_uri, model.source_run_id)
        return
    new = NewModelVersion(model.model_uri, model.artifact_location, model.source_run_id)
    _write(store, name, new, None, None)


def placed(new: NewModelVersion, tracking_uri: str, registry_uri: str) -> NewModelVersion:
    """Return a version with the place of its files, and its run, as far as its source tells."""
    parsed = parse_model_uri(new.source)
    if parsed.kind not in ("logged_model", "run", "registered"):
        return new
    try:
        found = _find(parsed, tracking_uri, registry_uri)
    except NotFoundError:
        if parsed.kind == "run":  # as MLflow: its files may come later
            return replace(new, run_id=new.run_id or parsed.run_id)
        raise
    return replace(new, location=found.location, run_id=new.run_id or found.run_id)


def _find(parsed: ModelUri, tracking_uri: str | None, registry_uri: str | None) -> _Found:
    store = store_to_read(tracking_uri)
    if parsed.model_id is not None:
        return _logged(store.get_logged_model(parsed.model_id))
    if parsed.run_id is not None and parsed.artifact_path is not None:
        return _of_run(parsed.run_id, parsed.artifact_path, store)
    if parsed.kind == "registered":
        versions = registry(registry_uri)
        found = find_version(parsed, versions)
        location = versions.get_model_version_download_uri(found.name, found.version)
        return _Found(f"models:/{found.name}/{found.version}", location, found.run_id)
    if parsed.path is None:
        return _Found(parsed.uri, parsed.uri)
    folder = parsed.path.absolute()
    if not (folder / "MLmodel").is_file():
        raise NotFoundError(
            f"there is no model in {str(folder)!r} to register: expected a folder with a file "
            "'MLmodel', or a URI such as 'runs:/<run id>/model'."
        )
    return _Found(str(folder), str(folder))


def _logged(model: LoggedModel) -> _Found:
    return _Found(model.model_uri, model.artifact_location, model.source_run_id, model)


def _of_run(run_id: str, path: str, store: Store) -> _Found:
    """Return what a run logged under a name: a model of its own, or a folder of its artifacts."""
    from skledger.stores.artifacts import artifact_store

    models = store.search_logged_models(run_id, path)
    if models:
        return _logged(models[-1])
    root = store.get_run(run_id).info.artifact_uri
    if "MLmodel" not in [each.rpartition("/")[2] for each in artifact_store(root).list(path)]:
        raise NotFoundError(f"The run {run_id} has no model {path!r} to register.")
    place = f"{root.rstrip('/')}/{path}"
    return _Found(place, place, run_id)


def _write(
    store: Store,
    name: str,
    new: NewModelVersion,
    tags: Mapping[str, Any] | None,
    description: str | None,
) -> ModelVersion:
    booked = as_tags({str(key): value for key, value in (tags or {}).items()})
    changes: tuple[RegistryChange, ...] = (
        RegisteredModelChange(name, create=True, exist_ok=True),
        ModelVersionChange(name, create=new, tags=booked, description=description),
    )
    return store.write_registry(*changes)[0]


def _note(model: LoggedModel, made: ModelVersion, tracking_uri: str | None) -> None:
    """Say at the logged model which versions it is, for MLflow's pages; nothing depends on it."""
    with contain("the versions of a model at the model itself"):
        store = get_store(tracking_uri)
        booked = store.get_logged_model(model.model_id)
        if booked.source_run_id is None:
            return
        held = json.loads(booked.tags.get(_VERSIONS_TAG) or "[]")
        told = json.dumps([*held, {"name": made.name, "version": int(made.version)}])
        change = ModelChange(booked.model_id, tags=(RunTag(_VERSIONS_TAG, told),))
        store.write(RunChange(booked.source_run_id, model_changes=(change,)))
