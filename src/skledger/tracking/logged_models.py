"""Logging a model: its folder, and its record in the run."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from skledger._guard import say
from skledger.errors import InvalidParameterError
from skledger.stores.artifacts import artifact_store, local_folder
from skledger.tracking.active_models import remember_model
from skledger.tracking.context import default_tags
from skledger.tracking.entities import LoggedModel, RunChange, RunInfo
from skledger.tracking.model_uris import DIGESTS_TAG, locate
from skledger.tracking.names import new_model_place, now_ms
from skledger.tracking.registering import check_registered_name, register_logged
from skledger.tracking.runs import current_run_id, get_run
from skledger.tracking.session import get_store

if TYPE_CHECKING:
    from skledger.models.folder import SavedModel
    from skledger.models.info import ModelInfo

__all__ = [
    "check_model_name",
    "get_model_info",
    "hint_of",
    "link_in_run",
    "log_model_folder",
    "one_name",
    "put_model_folder",
]


def put_model_folder(location: str, save: Callable[[Path], SavedModel]) -> SavedModel:
    """Write a model's folder at an artifact location, here or far away.

    Parameters
    ----------
    location : str
        Where its files belong.
    save : callable
        Writes the folder; called with its path.
    """
    if location.startswith("file:") or os.path.isabs(location):  # noqa: PTH117 - hot
        return save(local_folder(location))
    with TemporaryDirectory(prefix="skledger-") as temporary:
        saved = save(Path(temporary, "model"))
        artifact_store(location).put_folder("", saved.path)
        return saved


def log_model_folder(
    save: Callable[..., SavedModel],
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    registered_model_name: str | None = None,
) -> ModelInfo:
    """Write a model's folder and book it in the active run; without one, a run is started.

    Parameters
    ----------
    save : callable
        Writes the folder: called with its path, and by name with `model_id`, `run_id` and
        `artifact_path`.
    name : str
        The model's name in the run. The same name again is another model, and the one that
        ``runs:/<run id>/<name>`` means from then on.
    params, tags : mapping, optional
        Booked of the model.
    model_type : str, optional
        What kind of model it is.
    registered_model_name : str, optional
        Register it under this name. While the server of the registry is away, it waits.
    """
    check_model_name(name)
    if registered_model_name is not None:
        check_registered_name(registered_model_name)
    info = get_run(current_run_id()).info
    model_id, location = new_model_place(info)
    told = {"model_id": model_id, "run_id": info.run_id, "artifact_path": name}
    now = now_ms()

    def book(saved: SavedModel) -> LoggedModel:
        model = LoggedModel(
            model_id=model_id,
            experiment_id=info.experiment_id,
            name=name,
            artifact_location=location,
            creation_timestamp=now,
            last_updated_timestamp=now,
            source_run_id=info.run_id,
            model_type=model_type or "",
            tags={
                **default_tags(brief=True),
                **_texts(tags),
                DIGESTS_TAG: json.dumps(saved.digests),
            },
            params=_texts(params),
        )
        get_store().write(RunChange(info.run_id, models=(model,)))
        return model

    if location.startswith("mlflow-artifacts:"):
        # A server decides for itself where the files of a model belong, when it books the model.
        with TemporaryDirectory(prefix="skledger-") as temporary:
            saved = save(Path(temporary, "model"), **told)
            book(saved)
            model = get_store().get_logged_model(model_id)
            artifact_store(model.artifact_location).put_folder("", saved.path)
    else:
        saved = put_model_folder(location, partial(save, **told))
        try:
            model = book(saved)
        except BaseException:  # no record points to it
            shutil.rmtree(saved.path.parent, ignore_errors=True)
            raise
        link_in_run(info, name, saved.path)
    remember_model(model.model_id)
    hint_of(saved)
    if registered_model_name is None:
        return _info(saved, model)
    version = register_logged(model, registered_model_name)
    number = None if version is None else int(version.version)
    return replace(_info(saved, model), registered_model_version=number)


def check_model_name(name: object) -> None:
    """Refuse what cannot be the name of a model."""
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not isinstance(name, str) or not parts or "/" in parts or ".." in parts or "\0" in name:
        raise InvalidParameterError(
            f"the name of a model is a text such as 'model' or 'forests/small', not {name!r}."
        )


def one_name(name: str | None, artifact_path: str | None) -> str:
    """Return the name of a model, which MLflow 2 called `artifact_path`."""
    if name is not None and artifact_path is not None and name != artifact_path:
        raise InvalidParameterError(
            f"name is {name!r} and artifact_path is {artifact_path!r}; they are two words for the "
            "same, so pass one."
        )
    given = artifact_path if name is None else name
    return "model" if given is None else given


def _texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (values or {}).items()}


def link_in_run(info: RunInfo, name: str, folder: Path) -> None:
    """In MLflow's folders, show the model where MLflow 2 put it: among the artifacts of its run.

    Scripts and people name it by that path. Its files there are further names of the same files
    (MLflow refuses symbolic links), so they take no room. The path means the model that was logged
    last under the name.
    """
    artifacts = local_folder(info.artifact_uri)
    if not (artifacts.parent / "meta.yaml").is_file():
        return
    place = artifacts / name
    fresh, old = (place.with_name(f".{uuid4().hex}.{ending}") for ending in ("tmp", "old.tmp"))
    # A file system without such links has only the other path, which `load_model` finds.
    with suppress(OSError):
        try:
            shutil.copytree(folder, fresh, copy_function=os.link)
            if (place / "MLmodel").is_file():
                place.rename(old)
            fresh.rename(place)
        finally:
            for left in (fresh, old):
                shutil.rmtree(left, ignore_errors=True)


_hinted: set[str] = set()


def hint_of(saved: SavedModel, level: int = logging.WARNING) -> None:
    """Say once what a model that was stored will need where it is loaded."""
    for reason in saved.left_out:
        _say_once(level, reason, "skledger: %s; code_paths=[...] stores what you name.", reason)
    if missing := ", ".join(saved.local_modules):
        _say_once(
            level,
            missing,
            "skledger: the model needs your own modules %s, which must be importable where it is "
            "loaded; code_paths=[...] stores them with it.",
            missing,
        )
    if unknown := list(saved.unknown_types):
        _say_once(
            level,
            str(unknown),
            "skledger: the model has types that nobody has reviewed; whoever loads it must say "
            "load_model(..., trusted=%s)",
            unknown,
        )


def _say_once(level: int, key: str, message: str, *args: object) -> None:
    if key not in _hinted:
        _hinted.add(key)
        say(level, message, *args)


def _info(saved: SavedModel, booked: LoggedModel) -> ModelInfo:
    from skledger.models.info import info_of
    from skledger.models.model import Model

    model = Model.from_dict(saved.descriptor.to_dict())
    return info_of(booked.model_uri, model, booked)


def get_model_info(model_uri: str) -> ModelInfo:
    """Return what is known of a model; nothing of it is run.

    Parameters
    ----------
    model_uri : str
        ``runs:/<run id>/<name>``, ``models:/m-<id>``, the path of a model folder, or the URI of a
        folder among artifacts.

    Raises
    ------
    NotFoundError
        When there is no such run or model.
    ModelIntegrityError
        When its ``MLmodel`` is not the one that was booked.
    """
    from skledger.models.info import info_of
    from skledger.models.model import Model
    from skledger.models.verified import ModelFolder

    found = locate(model_uri)
    model = Model.from_dict(ModelFolder(found.folder, found.digests).described())
    return info_of(str(model_uri), model, found.booked)
