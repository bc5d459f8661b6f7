"""The models of a run: what they take and give, how to load and to register them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, NotFoundError, SkledgerError
from skledger.server.pages.rendering import state_of
from skledger.server.pages.run_data import Column, type_text
from skledger.server.pages.users_text import cut, encodable, read_json, read_yaml, told
from skledger.tracking.entities import ModelChange, RunChange, RunTag
from skledger.tracking.registry_entities import (
    ModelVersionChange,
    NewModelVersion,
    RegisteredModelChange,
)
from skledger.tracking.searches import number_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from skledger.server.artifact_access import ServedArtifacts
    from skledger.stores.base import Store
    from skledger.tracking.entities import LoggedModel, Run
    from skledger.tracking.registry_entities import ModelVersion

__all__ = [
    "ModelView",
    "file_name",
    "loading_uri",
    "model_of_version",
    "models_of",
    "register",
    "registered_names",
]

_VERSIONS_TAG = "mlflow.modelVersions"
_HISTORY_TAG = "mlflow.log-model.history"
_DESCRIPTOR = "MLmodel"
_LARGEST = 4 << 20
#: How many folders of models are shown; MLflow notes each one that a run logs.
_MOST = 50
_FLAVOURS = {"sklearn": "scikit-learn", "python_function": "Python function"}


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model as a page shows it.

    Parameters
    ----------
    name, uri, location : str
        What it is called in its run, what loads it, and where its folder is.
    model_id : str
        Its identifier; empty for a folder among the files of its run.
    place : str
        The address of its files on the pages, below ``/artifacts``.
    """

    name: str
    uri: str
    location: str
    model_id: str = ""
    path: str = ""
    created: int | None = None
    size: int | None = None
    kind: str = ""
    format: str = ""
    inputs: Sequence[Column] = field(default_factory=list)
    outputs: Sequence[Column] = field(default_factory=list)
    params: Sequence[Column] = field(default_factory=list)
    versions: Sequence[ModelVersion] = field(default_factory=list)
    snippet: str = ""
    missing: str = ""


def models_of(request: Request, run: Run) -> list[ModelView]:
    """Return the models that a run made, in the order in which it made them."""
    state = state_of(request)
    found = state.store.search_logged_models(run.info.run_id)
    tracking_uri = loading_uri(request)
    if not found and _HISTORY_TAG not in run.data.tags:
        return []
    versions = _versions(state.store, run)
    views = [_logged(each, state.artifacts, versions, tracking_uri) for each in found]
    if not views:
        views = [
            _folder(path, run, state.artifacts, versions, tracking_uri)
            for path in _folders_in(run.data.tags[_HISTORY_TAG])
        ]
    return views


def model_of_version(request: Request, version: ModelVersion, uri: str) -> ModelView:
    """Return the model that is a version of a registered model.

    Parameters
    ----------
    request : Request
        The request.
    version : ModelVersion
        The version.
    uri : str
        The URI that loads it, by its number or by an alias.
    """
    state = state_of(request)
    try:
        location = state.store.get_model_version_download_uri(version.name, version.version)
        described, missing = _described(state.artifacts, location, "")
    except SkledgerError as error:  # a version may tell of a model that is nowhere
        location, described, missing = "", {}, error.message
    told = _told(described, uri, loading_uri(request))
    return ModelView(version.name, uri, location, missing=missing, **told)


def loading_uri(request: Request) -> str:
    """Return what a program sets to load from here: the store, or this server."""
    state = state_of(request)
    uri = state.store.uri
    local = uri.startswith(("sqlite:", "file:", "/"))
    if state.settings.artifacts_destination is None and local:
        return uri
    return str(request.base_url).rstrip("/")


def _versions(store: Store, run: Run) -> list[ModelVersion]:
    quoted = run.info.run_id.replace("'", "''")
    try:
        return list(store.search_model_versions(f"run_id = '{quoted}'", max_results=200))
    except SkledgerError:  # a store without a registry
        return []


def _logged(
    model: LoggedModel, artifacts: ServedArtifacts, versions: list[ModelVersion], tracking_uri: str
) -> ModelView:
    described, missing = _described(artifacts, model.artifact_location, "")
    mine = [each for each in versions if each.source in (model.model_uri, model.artifact_location)]
    return ModelView(
        model.name,
        model.model_uri,
        model.artifact_location,
        model.model_id,
        created=model.creation_timestamp,
        versions=mine,
        missing=missing,
        **_told(described, model.model_uri, tracking_uri),
    )


def _folder(
    path: str,
    run: Run,
    artifacts: ServedArtifacts,
    versions: list[ModelVersion],
    tracking_uri: str,
) -> ModelView:
    """Return a model that is a folder among the files of its run, as MLflow 2 has them."""
    uri = f"runs:/{run.info.run_id}/{path}"
    place = f"{run.info.artifact_uri.rstrip('/')}/{path}"
    described, missing = _described(artifacts, run.info.artifact_uri, path)
    mine = [each for each in versions if each.source in (uri, place)]
    return ModelView(
        path,
        uri,
        place,
        path=path,
        versions=mine,
        missing=missing,
        **_told(described, uri, tracking_uri),
    )


def _folders_in(history: str) -> list[str]:
    entries = read_json(history)
    if not isinstance(entries, list):
        return []
    paths = [each.get("artifact_path") for each in entries if isinstance(each, dict)]
    known = dict.fromkeys(encodable(path) for path in paths if isinstance(path, str) and path)
    return list(known)[:_MOST]


def _described(artifacts: ServedArtifacts, uri: str, path: str) -> tuple[Mapping[str, Any], str]:
    """Return what ``MLmodel`` says, and why nothing is known where it says nothing."""
    name = f"{path}/{_DESCRIPTOR}" if path else _DESCRIPTOR
    try:
        described = read_yaml(artifacts.read(uri, name, _LARGEST))
    except NotFoundError:
        return {}, "Its files are not there (any more)."
    except SkledgerError:
        described = None
    if not isinstance(described, dict):
        return {}, "Its description, MLmodel, cannot be read."
    return described, ""


def _told(described: Mapping[str, Any], uri: str, tracking_uri: str) -> dict[str, Any]:
    flavors = described.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    names = [name for name in flavors if name != "python_function"] or list(flavors)
    own = flavors.get(names[0]) if names else None
    signature = described.get("signature")
    signature = signature if isinstance(signature, dict) else {}
    size = described.get("model_size_bytes")
    form = _text(own.get("serialization_format")) if isinstance(own, dict) else ""
    return {
        "kind": cut(", ".join(_FLAVOURS.get(name, name) for name in names), 200),
        "format": form,
        "size": number_of(size) or None if isinstance(size, str) else None,
        "inputs": _part(signature.get("inputs")),
        "outputs": _part(signature.get("outputs")),
        "params": _part(signature.get("params")),
        "snippet": _snippet(
            "sklearn" if "sklearn" in flavors or not flavors else "pyfunc", uri, tracking_uri, form
        ),
    }


def _snippet(module: str, uri: str, tracking_uri: str, form: str) -> str:
    lines = [
        *(["# pip install 'skledger[skops]'"] if form == "skops" else []),
        "import skledger",
        "",
        f"skledger.set_tracking_uri({json.dumps(tracking_uri, ensure_ascii=False)})",
        f"model = skledger.{module}.load_model({json.dumps(uri, ensure_ascii=False)})",
        "model.predict(X)",
    ]
    return "\n".join(lines)


def _text(value: Any) -> str:
    return cut(value, 100) if isinstance(value, str) and value != "null" else ""


def _part(text: Any) -> list[Column]:
    if isinstance(text, str):
        text = read_json(text)
    found = []
    for each in text if isinstance(text, list) else []:
        if isinstance(each, dict):
            name = each.get("name")
            kind = type_text(each)
            if "default" in each:
                kind += " = " + told(each["default"], 100)
            required = each.get("required", True) not in (False, "false")
            found.append(Column("" if name is None else told(name, 300), kind, required))
    return found


def registered_names(store: Store) -> list[str]:
    """Return the names that a form proposes."""
    try:
        return [each.name for each in store.search_registered_models(max_results=200)]
    except SkledgerError:
        return []


def register(request: Request, run: Run, which: str, name: str) -> ModelVersion:
    """Make a version of a registered model, which is made when it is new.

    Parameters
    ----------
    request : Request
        The request.
    run : Run
        The run that made the model.
    which : str
        The identifier of the model, or the folder among the run's files.
    name : str
        Under which name.
    """
    store = state_of(request).store
    if not name:
        raise InvalidParameterError("a model is registered under a name; give it one.")
    models = store.search_logged_models(run.info.run_id)
    model = next((each for each in models if each.model_id == which), None)
    if model is not None:
        new = NewModelVersion(model.model_uri, model.artifact_location, run.info.run_id)
    elif which in _folders_in(run.data.tags.get(_HISTORY_TAG, "[]")):
        place = f"{run.info.artifact_uri.rstrip('/')}/{which}"
        new = NewModelVersion(f"runs:/{run.info.run_id}/{which}", place, run.info.run_id)
    else:
        raise NotFoundError(f"The run {run.info.run_id} has no model {which!r} to register.")
    made = store.write_registry(
        RegisteredModelChange(name, create=True, exist_ok=True),
        ModelVersionChange(name, create=new),
    )[0]
    if model is not None:
        _note(store, run, model, made)
    return made


def _note(store: Store, run: Run, model: LoggedModel, made: ModelVersion) -> None:
    """Say at the logged model which versions it is, for MLflow's pages."""
    held = read_json(model.tags.get(_VERSIONS_TAG))
    held = held if isinstance(held, list) else []
    listed = json.dumps([*held, {"name": made.name, "version": int(made.version)}])
    change = ModelChange(model.model_id, tags=(RunTag(_VERSIONS_TAG, listed),))
    store.write(RunChange(run.info.run_id, model_changes=(change,)))


def file_name(name: str) -> str:
    """Return a name as that of a file: letters of any language, digits, and few signs."""
    plain = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name))
    return plain.strip("-.")[:80] or "run"
