"""From the URI of a model to its folder and the digests that were booked with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from skledger.errors import ModelIntegrityError, NotFoundError
from skledger.models.uris import parse_model_uri
from skledger.stores.artifacts import local_folder
from skledger.tracking.entities import LoggedModel
from skledger.tracking.session import store_to_read

__all__ = ["DIGESTS_TAG", "LocatedModel", "locate"]

#: The tag of a logged model that holds the SHA-256 of each of its files, as JSON.
DIGESTS_TAG = "skledger.digests"


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A model folder, and what its files must hash to (None: the caller vouches for them)."""

    folder: Path
    digests: dict[str, str] | None


def locate(uri: str, *, verify: bool = True) -> LocatedModel:
    """Find the folder of a model.

    Parameters
    ----------
    uri : str
        ``runs:/<run id>/<name>``, ``models:/m-<id>`` or the path of a folder.
    verify : bool, default=True
        Demand digests for what comes from a store.
    """
    parsed = parse_model_uri(uri)
    if parsed.path is not None:
        return LocatedModel(parsed.path, None)
    if parsed.run_id is not None and parsed.artifact_path is not None:
        return _of_run(parsed.run_id, parsed.artifact_path, uri, verify)
    if parsed.model_id is not None:
        return _verified(store_to_read().get_logged_model(parsed.model_id), uri, verify)
    raise NotFoundError(f"There is no model registry in this store, so {uri!r} cannot be found.")


def _of_run(run_id: str, name: str, uri: str, verify: bool) -> LocatedModel:
    store = store_to_read()
    run = store.get_run(run_id)
    models = store.search_logged_models(run_id)
    named = [model for model in models if model.name == name]
    if named:
        return _verified(named[-1], uri, verify)
    folder = local_folder(run.info.artifact_uri) / name
    if (folder / "MLmodel").is_file():
        return LocatedModel(folder, _demand(None, uri, verify))
    names = ", ".join(sorted(repr(model.name) for model in models)) or "none"
    raise NotFoundError(f"The run {run_id} has no model {name!r}; its models: {names}.")


def _verified(model: LoggedModel, uri: str, verify: bool) -> LocatedModel:
    booked = model.tags.get(DIGESTS_TAG)
    digests = None if booked is None else json.loads(booked)
    return LocatedModel(local_folder(model.artifact_location), _demand(digests, uri, verify))


def _demand(digests: dict[str, str] | None, uri: str, verify: bool) -> dict[str, str] | None:
    if not verify:
        return None
    if digests is None:
        raise ModelIntegrityError(
            f"No digest was booked for {uri!r}, so its files cannot be verified; it was logged by "
            "another tool. Loading it runs code that its pickle names. If you trust it, pass "
            "verify=False."
        )
    return digests
