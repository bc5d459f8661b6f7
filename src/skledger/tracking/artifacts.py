"""Artifacts: where they are, what is there, and bringing them here."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from skledger.errors import InvalidParameterError, MissingFileError
from skledger.tracking.artifact_files import read_bytes
from skledger.tracking.entities import FileInfo, PagedList
from skledger.tracking.session import get_tracking_uri, store_to_read

if TYPE_CHECKING:
    from skledger.stores.artifacts import ArtifactStore

__all__ = [
    "artifacts_of_model",
    "artifacts_of_run",
    "artifacts_to_write",
    "download",
    "download_artifacts",
    "files_in",
    "list_artifacts",
    "load_dict",
    "load_image",
    "load_text",
    "local_path",
    "place_in_run",
    "put_path",
]

_LOGGED_MODEL = re.compile(r"m-[0-9a-f]{32}")


def artifacts_of_run(run_id: str, tracking_uri: str | None = None) -> ArtifactStore:
    """Return the files of a run."""
    return _opened(store_to_read(tracking_uri).get_run(run_id).info.artifact_uri, tracking_uri)


def artifacts_to_write(run_id: str, tracking_uri: str | None = None) -> ArtifactStore:
    """Return where files of a run are written to: here first, when its server does not answer."""
    place = getattr(store_to_read(tracking_uri), "place_to_write", None)
    if place is None:
        return artifacts_of_run(run_id, tracking_uri)
    return _opened(place(run_id), tracking_uri)


def artifacts_of_model(model_id: str, tracking_uri: str | None = None) -> ArtifactStore:
    """Return the files of a logged model."""
    model = store_to_read(tracking_uri).get_logged_model(model_id)
    return _opened(model.artifact_location, tracking_uri)


def _opened(uri: str, tracking_uri: str | None) -> ArtifactStore:
    from skledger.stores.artifacts import artifact_store

    served = tracking_uri is not None and tracking_uri.startswith(("http:", "https:"))
    return artifact_store(uri, tracking_uri if served else None)


def put_path(
    artifacts: ArtifactStore, local_path: str | os.PathLike[str], artifact_path: str | None
) -> None:
    """Copy a file or a folder, under its own name, into a folder of the artifacts."""
    source = Path(local_path)
    if not source.exists():
        raise MissingFileError(f"There is no file or folder {str(local_path)!r} to log.")
    name = source.name or source.resolve().name
    target = f"{artifact_path.rstrip('/')}/{name}" if artifact_path else name
    if source.is_dir():
        artifacts.put_folder(target, source)
    else:
        artifacts.put_file(target, source)


def files_in(artifacts: ArtifactStore, path: str | None = None) -> list[FileInfo]:
    """Return the files and folders of a folder, sorted; none when it is no folder."""
    return PagedList(artifacts.list_infos(path or ""))


def download(
    artifacts: ArtifactStore, path: str = "", dst_path: str | os.PathLike[str] | None = None
) -> str:
    """Return the local path of a copy of a file or folder, in the folder `dst_path`.

    Without one it is a temporary folder, which goes with the process: whoever tidies up behind
    himself shall not remove the artifact.
    """
    here = artifacts.local_path(path)
    if dst_path is None:
        from skledger.stores.artifacts import LocalArtifacts
        from skledger.stores.temporary import folder_of_process

        if not isinstance(artifacts, LocalArtifacts):
            return here
        dst_path = tempfile.mkdtemp(dir=folder_of_process().path)
    folder = Path(dst_path).absolute()
    target = folder / Path(here).name if path else folder
    if Path(here).is_dir():
        shutil.copytree(here, target, dirs_exist_ok=True)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here, target)
    return str(target)


class Place(NamedTuple):
    """An artifact: whose files it is among, and its path there."""

    artifacts: ArtifactStore
    path: str


def place_in_run(
    run_id: str, artifact_path: str | None = None, tracking_uri: str | None = None
) -> Place:
    """Return the place of an artifact that a run is said to have.

    A path that is not among its artifacts may name a model it logged, or a file in that: models
    have folders of their own since MLflow 3, and scripts go on naming them by their run.
    """
    store, path = store_to_read(tracking_uri), (artifact_path or "").strip("/")
    run = store.get_run(run_id)
    artifacts = _opened(run.info.artifact_uri, tracking_uri)
    if path and run.outputs.model_outputs:
        folder = path.rpartition("/")[0]
        if path not in artifacts.list(folder):
            for model in reversed(store.search_logged_models(run_id)):
                if f"{path}/".startswith(f"{model.name}/"):
                    files = _opened(model.artifact_location, tracking_uri)
                    return Place(files, path[len(model.name) + 1 :])
    return Place(artifacts, path)


def _place_of(
    artifact_uri: str | None,
    run_id: str | None,
    artifact_path: str | None,
    tracking_uri: str | None,
    registry_uri: str | None = None,
) -> Place:
    if (artifact_uri is None) == (run_id is None):
        raise InvalidParameterError(
            "An artifact is named either by artifact_uri or by run_id and artifact_path; got "
            f"artifact_uri={artifact_uri!r} and run_id={run_id!r}."
        )
    if run_id is not None:
        return place_in_run(run_id, artifact_path, tracking_uri)
    if artifact_path is not None:
        raise InvalidParameterError(
            f"artifact_path={artifact_path!r} goes with run_id; add it to artifact_uri instead."
        )
    return _place_of_uri(str(artifact_uri), tracking_uri, registry_uri)


def _place_of_version(uri: str, tracking_uri: str | None, registry_uri: str | None) -> Place:
    from skledger.tracking import registry_versions

    store = registry_versions.registry(registry_uri)
    name, path = registry_versions.split_uri(uri)
    version = registry_versions.version_of(name, store)
    model = registry_versions.logged_model_of(version, store, store_to_read(tracking_uri))
    if model is not None:
        return Place(_opened(model.artifact_location, tracking_uri), path)
    source = version.source or ""
    if source.startswith("runs:/"):
        found = _place_of_uri(source, tracking_uri)
        return Place(found.artifacts, f"{found.path}/{path}".strip("/"))
    location = store.get_model_version_download_uri(version.name, version.version)
    return Place(_opened(location, tracking_uri), path)


def _place_of_uri(uri: str, tracking_uri: str | None, registry_uri: str | None = None) -> Place:
    scheme, colon, rest = uri.partition(":")
    if colon and scheme in ("runs", "models"):
        name, _, path = rest.strip("/").partition("/")
        if scheme == "runs":
            return place_in_run(name, path, tracking_uri)
        if _LOGGED_MODEL.fullmatch(name):
            return Place(artifacts_of_model(name, tracking_uri), path)
        return _place_of_version(uri, tracking_uri, registry_uri)
    if not colon or len(scheme) == 1:
        uri = str(Path(uri).absolute())
    # Its own last part is the path: what a URI of a file or of a folder have in common.
    root, _, path = uri.rstrip("/").rpartition("/")
    if not root or root.endswith((":", ":/")):
        return Place(_opened(uri, tracking_uri), "")
    return Place(_opened(root, tracking_uri), _unquoted(uri, path))


def _unquoted(uri: str, path: str) -> str:
    from urllib.parse import unquote

    return unquote(path) if uri.startswith("file:") else path


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    dst_path: str | os.PathLike[str] | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> str:
    """Bring an artifact to this machine.

    Parameters
    ----------
    artifact_uri : str, optional
        ``runs:/<run id>/<path>``, ``models:/m-<id>``, ``models:/<name>/<version>`` or
        ``models:/<name>@<alias>`` (and a path in it), a path or a URI. Either this or `run_id`.
    run_id : str, optional
        A run.
    artifact_path : str, optional
        A file or folder among the artifacts of that run; by default all of them.
    dst_path : path-like, optional
        The folder to copy it to, which is made when it is missing; by default a temporary one,
        which goes with the process.
    tracking_uri : str, optional
        Where the run is; by default the tracking URI in use.
    registry_uri : str, optional
        Where registered models are; by default as for `skledger.get_registry_uri`.

    Returns
    -------
    str
        The path of the copy.

    Raises
    ------
    NotFoundError
        When there is no such run or artifact.
    """
    uri = tracking_uri or get_tracking_uri()
    place = _place_of(artifact_uri, run_id, artifact_path, uri, registry_uri)
    return download(place.artifacts, place.path, dst_path)


def list_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    tracking_uri: str | None = None,
) -> list[FileInfo]:
    """Return the files and folders in a folder of artifacts; see `download_artifacts`.

    Returns
    -------
    list of FileInfo
        Sorted by their paths, which are relative to the root of the run or the model, or of what
        `artifact_uri` names; the sizes are in bytes. None when it is no folder.
    """
    uri = tracking_uri or get_tracking_uri()
    if artifact_uri is not None and run_id is None and not _is_symbolic(artifact_uri):
        return files_in(_opened(_absolute(artifact_uri), uri))
    place = _place_of(artifact_uri, run_id, artifact_path, uri)
    return files_in(place.artifacts, place.path)


def _is_symbolic(uri: str) -> bool:
    return uri.startswith(("runs:/", "models:/"))


def local_path(uri: str) -> str:
    """Return the absolute path of a file or folder of this machine, by its path or ``file:`` URI.

    `NotFoundError` when there is none.
    """
    parent, _, name = _absolute(uri).rpartition("/")
    return _opened(parent or "/", None).local_path(unquote(name) if ":" in uri else name)


def _absolute(uri: str) -> str:
    return uri if ":" in uri else str(Path(uri).absolute())


def _content(artifact_uri: str) -> bytes:
    place = _place_of_uri(str(artifact_uri), get_tracking_uri())
    return read_bytes(place.artifacts, place.path)


def load_text(artifact_uri: str) -> str:
    """Return a text that is an artifact, in UTF-8; see `download_artifacts` for its URI."""
    try:
        return _content(artifact_uri).decode()
    except UnicodeDecodeError as error:
        raise InvalidParameterError(
            f"The artifact {artifact_uri!r} is no text: {error}."
        ) from error


def load_dict(artifact_uri: str) -> Any:
    """Return what an artifact in JSON holds, or in YAML; see `download_artifacts` for its URI."""
    text = load_text(artifact_uri)
    try:
        if str(artifact_uri).endswith((".yml", ".yaml")):
            import yaml

            return yaml.safe_load(text)
        import json

        return json.loads(text)
    except Exception as error:
        raise InvalidParameterError(
            f"The artifact {artifact_uri!r} is neither JSON nor YAML: {error}"
        ) from error


def load_image(artifact_uri: str) -> Any:
    """Return an image that is an artifact as ``PIL.Image.Image``; this takes Pillow."""
    import io

    from PIL import Image

    return Image.open(io.BytesIO(_content(artifact_uri)))
