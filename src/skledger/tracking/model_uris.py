"""From the URI of a model to its folder and the digests that were booked with it."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from skledger.errors import NotFoundError, SkledgerError
from skledger.models.uris import ModelUri, parse_model_uri
from skledger.stores.artifacts import artifact_store, local_folder
from skledger.tracking.entities import LoggedModel
from skledger.tracking.registry_versions import find_version, logged_model_of, registry
from skledger.tracking.session import store_to_read

__all__ = ["DIGESTS_TAG", "LocatedModel", "locate"]

#: The tag of a logged model that holds the SHA-256 of each of its files, as JSON.
DIGESTS_TAG = "skledger.digests"

# Where MLflow 2 put the models of a run; since then they have folders of their own.
_IN_A_RUN = re.compile(r"(?:.*[/\\])?([0-9a-f]{32})[/\\]artifacts[/\\](.+)", re.DOTALL)
# Where a logged model has its folder, in whatever store.
_OF_A_MODEL = re.compile(r".*[/\\]models[/\\](m-[0-9a-f]{32})[/\\]artifacts[/\\]?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A model folder.

    Parameters
    ----------
    folder : Path
        The folder.
    digests : dict of str to str, or None
        What its files must hash to.
    refusal : str, optional
        Without digests: why no code in it may run; None when the caller vouches for it.
    booked : LoggedModel, optional
        What the store says of the model.
    """

    folder: Path
    digests: dict[str, str] | None
    refusal: str | None = None
    booked: LoggedModel | None = None

    def copied_to(self, path: str | os.PathLike[str] | None) -> LocatedModel:
        """Return the model in a copy of its folder; itself when there is no path to copy to."""
        if path is None:
            return self
        # A link stays one, so that it is looked at when the copy is read.
        shutil.copytree(self.folder, path, symlinks=True, dirs_exist_ok=True)
        return replace(self, folder=Path(path))


def locate(uri: str | os.PathLike[str], *, verify: bool = True) -> LocatedModel:
    """Find the folder of a model.

    Parameters
    ----------
    uri : str or path-like
        ``runs:/<run id>/<name>``, ``models:/m-<id>``, ``models:/<name>/<version>`` (or an alias,
        ``models:/<name>@<alias>``, or a stage), the path of a folder, or the URI of a folder
        among artifacts.
    verify : bool, default=True
        Demand digests for what comes from a store.
    """
    parsed = parse_model_uri(uri)
    if parsed.path is not None:
        return _at(parsed.path, parsed.uri, verify)
    if parsed.run_id is not None and parsed.artifact_path is not None:
        return _of_run(parsed.run_id, parsed.artifact_path, parsed.uri, verify)
    if parsed.model_id is not None:
        model = store_to_read().get_logged_model(parsed.model_id)
        return _verified(model, parsed.uri, verify)
    if parsed.kind == "artifact":
        booked = _booked_at(parsed.uri)
        if booked is not None:
            return _verified(booked, parsed.uri, verify)
        refusal = _refusal(parsed.uri) if verify else None
        return LocatedModel(local_folder(parsed.uri), None, refusal)
    return _of_version(parsed, verify)


def _of_version(parsed: ModelUri, verify: bool) -> LocatedModel:
    """Return the model that a version of a registered model is.

    What a registry says is no more than a name: only the digests that were booked with a model of
    our own vouch for its files.
    """
    store = registry()
    version = find_version(parsed, store)
    model = logged_model_of(version, store)
    if model is not None:
        return _verified(model, parsed.uri, verify)
    source = parse_model_uri(version.source or "")
    if source.run_id is not None and source.artifact_path is not None:
        return _of_run(source.run_id, source.artifact_path, parsed.uri, verify)
    location = store.get_model_version_download_uri(version.name, version.version)
    return LocatedModel(local_folder(location), None, _refusal(parsed.uri) if verify else None)


def _at(path: Path, uri: str, verify: bool) -> LocatedModel:
    """Return the model in a folder; one that a run would have had there is found by the run."""
    match = _IN_A_RUN.fullmatch(str(path))
    if match is not None and not path.exists():
        try:
            return _of_run(match[1], match[2].replace("\\", "/").rstrip("/"), uri, verify)
        except SkledgerError:
            pass  # then it is a path where there is nothing
    if verify:
        model = _booked_at(str(path.absolute()))
        if model is not None and DIGESTS_TAG in model.tags:
            return replace(_verified(model, uri, verify), folder=path)
    return LocatedModel(path, None)


def _booked_at(place: str) -> LoggedModel | None:
    """Return the model that the store in use has booked under the name of a place."""
    match = _OF_A_MODEL.fullmatch(place)
    if match is None:
        return None
    try:
        return store_to_read().get_logged_model(match[1])
    except SkledgerError:  # it is another store's, or nobody's
        return None


def _of_run(run_id: str, name: str, uri: str, verify: bool) -> LocatedModel:
    store = store_to_read()
    run = store.get_run(run_id)
    models = store.search_logged_models(run_id)
    named = [model for model in models if model.name == name]
    if named:
        return _verified(named[-1], uri, verify)
    try:
        folder = Path(artifact_store(run.info.artifact_uri).local_path(name))
    except NotFoundError:
        folder = None
    if folder is not None and (folder / "MLmodel").is_file():
        return LocatedModel(folder, None, _refusal(uri) if verify else None)
    names = ", ".join(sorted(repr(model.name) for model in models)) or "none"
    raise NotFoundError(f"The run {run_id} has no model {name!r}; its models: {names}.")


def _verified(model: LoggedModel, uri: str, verify: bool) -> LocatedModel:
    folder = local_folder(model.artifact_location)
    if not verify:
        return LocatedModel(folder, None, booked=model)
    booked = model.tags.get(DIGESTS_TAG)
    digests = None if booked is None else json.loads(booked)
    return LocatedModel(folder, digests, None if digests else _refusal(uri), model)


def _refusal(uri: str) -> str:
    return (
        f"No digest is booked for {uri!r} in the store in use, so its files cannot be verified; "
        "another tool has logged it, or it is another store's. Loading it runs the code that its "
        f"pickle names. If you trust who logged it, write load_model({uri!r}, verify=False)."
    )
