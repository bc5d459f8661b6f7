"""Giving a signature to a model that was stored without one, or with another."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger._guard import contain
from skledger.errors import InvalidParameterError, StoreError
from skledger.models.uris import ModelUri, parse_model_uri
from skledger.models.verified import DESCRIPTOR, DIGESTS_FILE, ModelFolder
from skledger.stores.artifacts import ArtifactStore, artifact_store, local_folder
from skledger.stores.outbox_place import base_folder
from skledger.tracking.client import TrackingClient
from skledger.tracking.logged_models import link_in_run
from skledger.tracking.model_uris import DIGESTS_TAG, LocatedModel, locate
from skledger.tracking.runs import get_run
from skledger.tracking.session import flush_stores

if TYPE_CHECKING:
    from skledger.models.signature import ModelSignature
    from skledger.tracking.entities import LoggedModel, RunInfo

__all__ = ["set_signature"]

#: How long a model that is on its way to a server is waited for, in seconds.
_LONGEST = 60.0


def set_signature(model_uri: str | os.PathLike[str], signature: ModelSignature) -> None:
    """Give a model that is stored already a signature, instead of the one it has.

    Its ``MLmodel`` is written anew, wholly or not at all, and the new digest is booked. In the
    moment between the two the model does not load; when booking fails, the old file comes back.

    Parameters
    ----------
    model_uri : str or path-like
        ``runs:/<run id>/<name>``, ``models:/m-<id>``, the path of a model folder, or the URI of a
        folder among artifacts. Versions of a registered model are named by the model that they
        are.
    signature : ModelSignature
        What `infer_signature` returns.

    Raises
    ------
    InvalidParameterError
        The signature is none, or the URI names a version.
    NotFoundError
        There is no such run or model.
    ModelIntegrityError
        Its ``MLmodel`` is not the one that was booked.
    StoreError
        It waits for a server that does not answer.
    """
    from skledger.models.signature import ModelSignature

    if not isinstance(signature, ModelSignature):
        raise InvalidParameterError(
            f"the signature of a model is a ModelSignature, not {signature!r}. infer_signature "
            "makes one from data."
        )
    parsed = parse_model_uri(model_uri)
    if parsed.kind == "registered":
        raise InvalidParameterError(
            f"{parsed.uri!r} names a version of a registered model, which stays as it is. Set the "
            "signature of the model that it is, models:/m-<id> (get_model_info(uri).model_id), or "
            "log and register the model again with one."
        )
    found = _where_it_belongs(parsed)
    folder = ModelFolder(found.folder, found.digests)
    described = {**folder.described(), "signature": signature.to_dict()}
    old = folder.read(DESCRIPTOR)
    new = _written(described)
    if found.digests is None or found.booked is None:
        artifacts, prefix = _place(parsed, found)
        artifacts.put_bytes(f"{prefix}{DESCRIPTOR}", new)
        return
    _replace(found, folder, {DESCRIPTOR: old}, {DESCRIPTOR: new})


def _where_it_belongs(parsed: ModelUri) -> LocatedModel:
    """Find a model; one that is on its way to a server is waited for, as it cannot be changed."""
    if parsed.path is None:
        flush_stores(_LONGEST)
    found = locate(parsed.path or parsed.uri)
    location = None if found.booked is None else Path(found.booked.artifact_location)
    if location is not None and location.is_relative_to(base_folder()):
        raise StoreError(
            f"the model {parsed.uri!r} waits for its server, which has not taken all of it yet. "
            "Set its signature when skledger.flush() or `skledger sync` says that it has."
        )
    return found


def _written(described: dict[str, Any]) -> bytes:
    import yaml

    return yaml.safe_dump(described, allow_unicode=True, sort_keys=False, encoding="utf-8")


def _place(parsed: ModelUri, found: LocatedModel) -> tuple[ArtifactStore, str]:
    """Return where the files of a model are whose digests nobody booked."""
    if found.booked is not None:
        return artifact_store(found.booked.artifact_location), ""
    if parsed.kind == "run" and parsed.run_id is not None:
        uri = get_run(parsed.run_id).info.artifact_uri
        return artifact_store(uri), f"{parsed.artifact_path}/"
    if parsed.kind == "artifact":
        return artifact_store(parsed.uri), ""
    return artifact_store(str(Path(found.folder).absolute())), ""


def _replace(
    found: LocatedModel, folder: ModelFolder, old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    """Write files of a booked model and book them; when that fails, they are as they were."""
    model, booked = found.booked, found.digests
    if model is None or booked is None:
        return
    digests = {**(folder.digests or {}), **_digests(new)}
    if DIGESTS_FILE in booked:  # one digest that stands for all
        digests.pop(DIGESTS_FILE)
        old = {**old, DIGESTS_FILE: folder.read(DIGESTS_FILE)}
        new = {**new, DIGESTS_FILE: json.dumps(digests).encode()}
        digests = _digests({DIGESTS_FILE: new[DIGESTS_FILE]})
    artifacts = artifact_store(model.artifact_location)
    linked = _links(model, folder)
    try:
        for name, content in new.items():
            artifacts.put_bytes(name, content)
        TrackingClient().set_logged_model_tags(model.model_id, {DIGESTS_TAG: json.dumps(digests)})
    except BaseException:
        with contain("putting back what the model was"):
            for name, content in old.items():
                artifacts.put_bytes(name, content)
        raise
    if linked is not None:
        link_in_run(linked, model.name, folder.root)


def _links(model: LoggedModel, folder: ModelFolder) -> RunInfo | None:
    """Return the run that shows the files of a model among its artifacts, if one does."""
    if not model.source_run_id:
        return None
    info = get_run(model.source_run_id).info
    if not (info.artifact_uri.startswith("file:") or Path(info.artifact_uri).is_absolute()):
        return None
    shown = local_folder(info.artifact_uri) / model.name / DESCRIPTOR
    return info if shown.is_file() and shown.samefile(folder.root / DESCRIPTOR) else None


def _digests(contents: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(each).hexdigest() for name, each in contents.items()}
