"""Logging a model: its folder, and its record in the run."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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
from skledger.tracking.runs import current_run_id, get_run
from skledger.tracking.session import get_store

if TYPE_CHECKING:
    from skledger.models.folder import SavedModel
    from skledger.models.info import ModelInfo

__all__ = [
    "check_model_name",
    "get_model_info",
    "log_model_folder",
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
        Its name in the registry, which is not there yet.
    """
    check_model_name(name)
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
        _link_in_run(info, name, saved.path)
    remember_model(model.model_id)
    _hint(saved.local_modules)
    if registered_model_name is not None:
        say(
            logging.WARNING,
            "skledger: there is no registry of models yet, so %r was not registered as %r; it is "
            "logged, and models:/%s loads it.",
            name,
            registered_model_name,
            model.model_id,
        )
    return _info(saved, model)


def check_model_name(name: object) -> None:
    """Refuse what cannot be the name of a model."""
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not isinstance(name, str) or not parts or "/" in parts or ".." in parts or "\0" in name:
        raise InvalidParameterError(
            f"the name of a model is a text such as 'model' or 'forests/small', not {name!r}."
        )


def _texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (values or {}).items()}


def _link_in_run(info: RunInfo, name: str, folder: Path) -> None:
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


def _hint(local_modules: Sequence[str]) -> None:
    """Say once that a model needs code that is in no package."""
    fresh = [name for name in local_modules if name not in _hinted]
    if fresh:
        _hinted.update(fresh)
        say(
            logging.WARNING,
            "skledger: the model needs your own modules %s, which must be importable where it is "
            "loaded; code_paths=[...] stores them with it.",
            ", ".join(fresh),
        )


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
