"""Saving an estimator as a model folder that MLflow loads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from skledger.errors import InvalidParameterError, ModelError
from skledger.models.code import CODE_FOLDER, copy_code
from skledger.models.descriptor import Descriptor, environment_files
from skledger.models.pickling import Pickled, pickle_into
from skledger.models.requirements import requirements_of
from skledger.models.verified import DIGESTS_FILE
from skledger.tracking.entities import MAX_TAG_LENGTH

if TYPE_CHECKING:
    from skledger.models.environment import Environment
    from skledger.models.example import Example

__all__ = ["SavedModel", "save_sklearn_model"]

_MODEL_FILE = "model.pkl"
_FORMATS = ("cloudpickle", "pickle")


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model folder that was written.

    Parameters
    ----------
    path : Path
        The folder.
    digests : dict of str to str
        SHA-256, in hexadecimal, of every file by its name in the folder. When they are too many
        for a tag, that of the file `DIGESTS_FILE` only, which has all others.
    size_bytes : int
        Size of the whole folder.
    local_modules : tuple of str
        Modules of the user that the model needs and the folder does not hold.
    descriptor : Descriptor
        What its ``MLmodel`` says.
    """

    path: Path
    digests: dict[str, str]
    size_bytes: int
    local_modules: tuple[str, ...]
    descriptor: Descriptor


def save_sklearn_model(
    estimator: object,
    path: str | os.PathLike[str],
    *,
    model_id: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = "model",
    serialization_format: str = "cloudpickle",
    signature: Mapping[str, str | None] | None = None,
    metadata: Mapping[str, Any] | None = None,
    predict_fn: str = "predict",
    code_paths: Sequence[str | os.PathLike[str]] | None = None,
    environment: Environment | None = None,
    example: Example | None = None,
    overwrite: bool = False,
) -> SavedModel:
    """Write an estimator as a folder in MLflow's form.

    The folder appears at `path` complete or not at all.

    Parameters
    ----------
    estimator : object
        A fitted estimator, or anything else that can be pickled.
    path : path-like
        The folder to make. Parents are made as needed; an empty folder is taken over.
    model_id, run_id, artifact_path : str, optional
        Where the model belongs; written into ``MLmodel``.
    serialization_format : {"cloudpickle", "pickle"}, default "cloudpickle"
        cloudpickle stores lambdas and what is defined in a script or notebook along with the
        model, pickle refers to them by name.
    signature : mapping, optional
        ``inputs``, ``outputs`` and ``params``, each a JSON text or None.
    metadata : mapping, optional
        Notes of the caller, of any depth, in values that YAML can hold.
    predict_fn : str, default "predict"
        The method that the model is called by as a ``python_function``.
    code_paths : sequence of path-like, optional
        Modules and packages of the user to store with the model.
    environment : Environment, optional
        What the caller says of the environment; by default it is found in the pickle.
    example : Example, optional
        An example of what the model takes.
    overwrite : bool, default False
        Replace what stands at `path`.

    Returns
    -------
    SavedModel
        The folder with the digest of every file in it.

    Raises
    ------
    InvalidParameterError
        The format is not known.
    ModelError
        The estimator cannot be pickled, `path` is taken, or the disk refuses.
    """
    _check_format(serialization_format)
    target = Path(path).absolute()
    with _staged(target, overwrite=overwrite) as folder:
        pickled = _write_pickle(folder / _MODEL_FILE, estimator, serialization_format)
        digests = {_MODEL_FILE: pickled.digest}
        if code_paths:
            digests.update(copy_code(code_paths, folder))
        needs = requirements_of(pickled.modules, serialization_format)
        descriptor = Descriptor(
            model_file=_MODEL_FILE,
            serialization_format=serialization_format,
            predict_fn=predict_fn if hasattr(estimator, predict_fn) else None,
            sklearn_version=_sklearn_version(),
            size_bytes=pickled.size_bytes,
            artifact_path=artifact_path,
            model_id=model_id,
            run_id=run_id,
            signature=signature,
            metadata=metadata,
            code=CODE_FOLDER if code_paths else None,
            example=None if example is None else example.info,
        )
        texts = {
            "MLmodel": descriptor.to_yaml().encode(),
            **(environment_files if environment is None else environment.files)(needs.lines),
            **({} if example is None else example.files),
        }
        _write_texts(folder, texts, digests)
        names = tuple(digests)
        if len(everything := json.dumps(digests)) > MAX_TAG_LENGTH:
            digests = {}
            _write_texts(folder, {DIGESTS_FILE: everything.encode()}, digests)
        size = sum(map(len, texts.values())) + _size_of(folder, {*names, *digests} - texts.keys())
    stored = {Path(name).parts[1].removesuffix(".py") for name in names if "/" in name}
    local = tuple(name for name in needs.local_modules if name not in stored)
    return SavedModel(target, digests, size, local, descriptor)


def _write_texts(folder: Path, texts: Mapping[str, bytes], digests: dict[str, str]) -> None:
    for name, content in texts.items():
        with (folder / name).open("xb", buffering=0) as stream:
            stream.write(content)
        digests[name] = hashlib.sha256(content).hexdigest()


def _size_of(folder: Path, names: Iterable[str]) -> int:
    return sum((folder / name).stat().st_size for name in names)


def _check_format(serialization_format: str) -> None:
    if serialization_format in _FORMATS:
        return
    if serialization_format == "skops":
        raise ModelError(
            "models are not saved in the format 'skops' yet. "
            "Use serialization_format='cloudpickle' or 'pickle'."
        )
    raise InvalidParameterError(
        f"serialization_format is {serialization_format!r}; expected 'cloudpickle' or 'pickle'."
    )


def _sklearn_version() -> str:
    import sklearn

    return str(sklearn.__version__)


def _write_pickle(file: Path, estimator: object, serialization_format: str) -> Pickled:
    with file.open("xb") as stream:
        try:
            return pickle_into(stream, estimator, serialization_format)
        except OSError:
            raise
        except Exception as error:
            advice = (
                "use serialization_format='cloudpickle', which stores lambdas and local classes"
                if serialization_format == "pickle"
                else "leave out of the estimator what cannot be stored (locks, open files, "
                "connections), or give its class a __getstate__ that does"
            )
            raise ModelError(
                f"{type(estimator).__name__} cannot be pickled with {serialization_format}: "
                f"{type(error).__name__}: {error}. To save it, {advice}."
            ) from error


@contextmanager
def _staged(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a new folder beside the target; on success rename it, otherwise remove it."""
    _check_free(target, overwrite=overwrite)
    staging = target.with_name(f".{target.name[:100]}.{uuid4().hex}.tmp")
    made: list[Path] = []
    try:
        _make_folders(staging, made)
        yield staging
        _move_into_place(staging, target, overwrite=overwrite)
    except BaseException as error:
        _remove(staging, made)
        if isinstance(error, OSError):
            raise ModelError(
                f"the model cannot be written to {str(target)!r}: {error}. "
                "Check the free space and the permissions there, or pass another path."
            ) from error
        raise


def _check_free(target: Path, *, overwrite: bool) -> None:
    if overwrite:
        return
    try:
        with os.scandir(target) as entries:
            taken = next(entries, None) is not None
    except FileNotFoundError:
        return
    except NotADirectoryError:
        taken = True
    if taken:
        raise ModelError(
            f"there is something at {str(target)!r} already; expected a free path or an empty "
            "folder. Pass another path, or overwrite=True to replace it."
        )


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and its missing parents; `made` collects the parents, outermost last."""
    try:
        folder.mkdir()
    except FileNotFoundError:
        missing = []
        for parent in folder.parents:
            if parent.exists():
                break
            missing.append(parent)
        made.extend(missing)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()


def _move_into_place(staging: Path, target: Path, *, overwrite: bool) -> None:
    try:
        # Takes over a folder that is empty, in one step; Windows wants it gone first.
        if os.name == "nt":
            with suppress(FileNotFoundError):
                target.rmdir()
        staging.rename(target)
    except OSError:
        if not overwrite:
            raise
        old = staging.with_suffix(".old")
        target.rename(old)
        try:
            staging.rename(target)
        except OSError:
            old.rename(target)
            raise
        _remove(old, [])


def _remove(path: Path, parents: list[Path]) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
    for parent in parents:
        # A parent that somebody else has put something into stays.
        with suppress(OSError):
            parent.rmdir()
