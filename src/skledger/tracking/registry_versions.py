"""From what names a version of a registered model to its record, its model and its files."""

from __future__ import annotations

import difflib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.models.uris import ModelUri, parse_model_uri
from skledger.tracking.entities import LoggedModel
from skledger.tracking.registry_entities import ModelVersion
from skledger.tracking.session import get_registry_uri, get_store, store_to_read

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = ["find_version", "logged_model_of", "registry", "split_uri", "version_of"]

#: Where the files of a logged model are, in every store.
_MODEL_FOLDER = re.compile(r".*/(m-[0-9a-f]{32})/artifacts/?", re.DOTALL)
#: How much of what there is an error tells.
_TOLD_NAMES, _TOLD_VERSIONS = 1000, 20
#: Copies of copies that are followed to their source.
_DEPTH = 20


def registry(uri: str | None = None) -> Store:
    """Return the store of registered models: by default the one that is in use."""
    return get_store(uri or get_registry_uri())


def version_of(uri: str, store: Store | None = None) -> ModelVersion:
    """Return the version that ``models:/<name>/<version>`` names, or an alias or a stage there.

    Raises
    ------
    InvalidParameterError
        When the URI names no registered model.
    NotFoundError
        When there is no such version.
    """
    parsed = parse_model_uri(uri)
    if parsed.kind != "registered":
        raise InvalidParameterError(
            f"{uri!r} names no version of a registered model: expected models:/<name>/<version>, "
            "models:/<name>@<alias> or models:/<name>/<stage>"
        )
    return find_version(parsed, store or registry())


def find_version(parsed: ModelUri, store: Store) -> ModelVersion:
    """Return the version that a model URI means; without version, alias and stage the last.

    Raises
    ------
    NotFoundError
        When there is none; the text says what there is.
    """
    try:
        return _found(parsed, store)
    except NotFoundError as error:
        raise _with_what_there_is(error, parsed, store) from error


def _with_what_there_is(error: NotFoundError, parsed: ModelUri, store: Store) -> NotFoundError:
    name = str(parsed.name)
    try:
        held = store.get_registered_model(name)
    except NotFoundError:
        names = [each.name for each in store.search_registered_models(None, _TOLD_NAMES)]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return NotFoundError(f"there is no registered model {name!r} in {store.uri}{hint}")
    found = store.search_model_versions(
        f"name = '{name}'" if "'" not in name else f'name = "{name}"', _TOLD_VERSIONS
    )
    if not found:
        return NotFoundError(f"the registered model {name!r} in {store.uri} has no versions yet")
    versions = ", ".join(sorted((each.version for each in found), key=int))
    aliases = ", ".join(sorted(held.aliases)) or "none"
    text = error.message.partition("; ")[0]
    return NotFoundError(f"{text}. Its versions: {versions}; its aliases: {aliases}.")


def _found(parsed: ModelUri, store: Store) -> ModelVersion:
    name = str(parsed.name)
    if parsed.version is not None:
        return store.get_model_version(name, parsed.version)
    if parsed.alias is not None:
        return store.get_model_version_by_alias(name, parsed.alias)
    if parsed.stage is not None:
        found = store.get_latest_versions(name, [parsed.stage])
        if not found:
            raise NotFoundError(f"the registered model {name!r} has no version in {parsed.stage}")
        return found[-1]
    return store.get_model_version_by_alias(name, "latest")


def logged_model_of(
    version: ModelVersion, store: Store, models: Store | None = None, depth: int = 0
) -> LoggedModel | None:
    """Return the logged model that a version is, if it is one that can be found.

    Parameters
    ----------
    version : ModelVersion
        A version.
    store : Store
        The registry that it is from.
    models : Store, optional
        Where logged models are; by default the store in use.
    """
    models = store_to_read() if models is None else models
    location = store.get_model_version_download_uri(version.name, version.version)
    in_folder = _MODEL_FOLDER.fullmatch(location)
    for model_id in (version.model_id, None if in_folder is None else in_folder[1]):
        if model_id is not None:
            try:
                return models.get_logged_model(model_id)
            except NotFoundError:
                continue
    source = version.source or ""
    if source.startswith("runs:/"):
        return _of_run(source, models)
    # A copy that does not say where its files are: that of which it is one does.
    if source.startswith("models:/") and location.startswith("models:/") and depth < _DEPTH:
        parsed = parse_model_uri(source)
        if parsed.kind == "registered":
            return logged_model_of(find_version(parsed, store), store, models, depth + 1)
    return None


def _of_run(source: str, store: Store) -> LoggedModel | None:
    parsed = parse_model_uri(source)
    try:
        models = store.search_logged_models(str(parsed.run_id), parsed.artifact_path)
    except NotFoundError:
        return None
    return models[-1] if models else None


def split_uri(uri: str) -> tuple[str, str]:
    """Return the URI of a version, and the path in it: ``models:/iris/1`` and ``MLmodel``."""
    name, _, rest = uri.removeprefix("models:").strip("/").partition("/")
    if ".." in PurePosixPath(rest).parts:
        raise InvalidParameterError(f"the path in {uri!r} leaves the model")
    if "@" in name:
        return f"models:/{name}", rest
    version, _, path = rest.partition("/")
    return f"models:/{name}/{version}" if version else f"models:/{name}", path
