"""Saving a model of the user's own making as a folder that MLflow loads."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, ModelError, ModelTooLargeError
from skledger.models.code import CODE_FOLDER
from skledger.models.contents import write_estimator, write_modules, write_texts
from skledger.models.descriptor import environment_files
from skledger.models.folder import SavedModel
from skledger.models.formats import Form
from skledger.models.python_model_descriptor import MODEL_FILE, PythonDescriptor
from skledger.models.requirements import requirements_of
from skledger.models.staging import staged

if TYPE_CHECKING:
    from skledger.models.environment import Environment
    from skledger.models.example import Example
    from skledger.models.signature import ModelSignature

__all__ = ["ARTIFACTS_FOLDER", "Artifact", "save_python_model"]

ARTIFACTS_FOLDER = "artifacts"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or folder to store with a model.

    Parameters
    ----------
    uri : str
        What the caller named; written into ``MLmodel``.
    source : Path
        Where it is on this machine.
    """

    uri: str
    source: Path


def save_python_model(
    python_model: Any,
    path: str | os.PathLike[str],
    *,
    artifacts: Mapping[str, Artifact] | None = None,
    model_config: Mapping[str, Any] | None = None,
    model_id: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = "model",
    signature: ModelSignature | bool | None = None,
    example: Example | None = None,
    metadata: Mapping[str, Any] | None = None,
    code_paths: Sequence[str | os.PathLike[str]] | None = None,
    environment: Environment | None = None,
    max_size: int | None = None,
) -> SavedModel:
    """Write a model of the user's own making as a folder in MLflow's form.

    The folder appears at `path` complete or not at all.

    Parameters
    ----------
    python_model : PythonModel
        An instance of the user's class.
    path : path-like
        The folder to make.
    artifacts : mapping of str to Artifact, optional
        What is copied into the folder.
    model_config : mapping, optional
        The settings that it finds in its context.
    model_id, run_id, artifact_path : str, optional
        Where the model belongs.
    signature : ModelSignature or False, optional
        By default it is inferred from the example.
    example : Example, optional
        An example of what the model takes.
    metadata : mapping, optional
        Notes of the caller.
    code_paths, environment
        As in `save_sklearn_model`.
    max_size : int, optional
        The most bytes that the pickle and the artifacts may have.

    Raises
    ------
    ModelTooLargeError
        They have more.
    ModelError
        The model cannot be pickled, `path` is taken, or the disk refuses.
    """
    from cloudpickle import __version__ as cloudpickle_version

    form = Form("cloudpickle")
    target = Path(path).absolute()
    with staged(target, overwrite=False) as folder:
        pickled = write_estimator(folder / MODEL_FILE, python_model, form, max_size)
        places, copied = _copy_artifacts(artifacts or {}, folder, pickled.size_bytes, max_size)
        needs = requirements_of(pickled.modules, form.name)
        code = write_modules(folder, code_paths, needs.local_modules, pickled.modules)
        if code.imports:
            needs = requirements_of(pickled.modules | code.imports, form.name)
        found = _signature(folder, places, model_config, signature, example)
        size = sum((folder / name).stat().st_size for name in (MODEL_FILE, *copied))
        descriptor = PythonDescriptor(
            cloudpickle_version=cloudpickle_version,
            size_bytes=size,
            artifacts=places,
            config=model_config,
            artifact_path=artifact_path,
            model_id=model_id,
            run_id=run_id,
            signature=None if found is None else found.to_dict(),
            metadata=metadata,
            code=CODE_FOLDER if code.digests else None,
            example=None if example is None else example.info,
        )
        texts = {
            "MLmodel": descriptor.to_yaml().encode(),
            **(environment_files if environment is None else environment.files)(needs.lines),
            **({} if example is None else example.files),
        }
        digests = {MODEL_FILE: pickled.digest, **copied, **code.digests}
        digests, size = write_texts(folder, texts, digests)
    return SavedModel(target, digests, size, code.missing, descriptor, code.left_out)


def _signature(
    folder: Path,
    places: Mapping[str, Mapping[str, str]],
    model_config: Mapping[str, Any] | None,
    given: ModelSignature | bool | None,
    example: Example | None,
) -> ModelSignature | None:
    """Return what the model is stored with; what is inferred comes from the stored model.

    The caller's own object is left alone: what its `load_context` opens is not to be pickled.
    """
    from skledger.models.python_model_loading import example_model
    from skledger.models.signature import signature_for

    def model() -> Any:
        paths = {name: str(folder / each["path"]) for name, each in places.items()}
        return example_model(folder / MODEL_FILE, paths, model_config)

    return signature_for(None, given, example, "predict", made=model)


# -- artifacts -------------------------------------------------------------------------------------


def _copy_artifacts(
    artifacts: Mapping[str, Artifact], folder: Path, taken: int, max_size: int | None
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Copy artifacts into a model folder; return their places, and the digests of the files."""
    if not artifacts:
        return {}, {}
    root = folder / ARTIFACTS_FOLDER
    root.mkdir()
    places: dict[str, dict[str, str]] = {}
    copied: dict[Path, str] = {}
    names: set[str] = set()
    for name, artifact in artifacts.items():
        source = artifact.source.resolve()
        if source not in copied:
            _check(name, source, root)
            if max_size is not None:
                taken += _size(source)
                if taken > max_size:
                    raise ModelTooLargeError(taken, max_size)
            copied[source] = _free(source.name or name, names)
            _copy(source, root / copied[source])
        path = f"{ARTIFACTS_FOLDER}/{copied[source]}"
        places[name] = {"path": path, "uri": artifact.uri}
    digests = {
        file.relative_to(folder).as_posix(): _digest(file)
        for file in sorted(root.rglob("*"))
        if file.is_file()
    }
    return places, digests


def _check(name: str, source: Path, root: Path) -> None:
    if root.resolve().is_relative_to(source):
        raise InvalidParameterError(
            f"the artifact {name!r} is {str(source)!r}, and the model is stored inside of that; "
            "name the files and folders in it."
        )
    for each in (source, *source.rglob("*")):
        # Neither a pipe nor a device, which may have no end; and no link to nothing.
        if not (each.is_file() or each.is_dir()):
            raise InvalidParameterError(
                f"the artifact {name!r} has {str(each)!r}, which is neither a file nor a folder."
            )


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no other artifact has, on file systems that know no capitals either."""
    if name.casefold() not in taken:
        taken.add(name.casefold())
        return name
    number = 2
    while str(number) in taken:
        number += 1
    taken.add(str(number))
    return f"{number}/{name}"


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, to)
        else:
            shutil.copyfile(source, to)
    except shutil.Error as error:
        raise ModelError(f"the artifact {str(source)!r} cannot be copied: {error}.") from error


def _size(source: Path) -> int:
    files = (source,) if source.is_file() else (p for p in source.rglob("*") if p.is_file())
    return sum(each.stat().st_size for each in files)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
