"""Saving an estimator as a model folder that MLflow loads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.models.code import CODE_FOLDER
from skledger.models.contents import write_estimator, write_modules, write_texts
from skledger.models.descriptor import Descriptor, environment_files
from skledger.models.formats import form_of
from skledger.models.requirements import requirements_of
from skledger.models.staging import staged

if TYPE_CHECKING:
    from skledger.models.environment import Environment
    from skledger.models.example import Example
    from skledger.models.python_model_descriptor import PythonDescriptor

__all__ = ["SavedModel", "save_sklearn_model"]


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
    descriptor : Descriptor or PythonDescriptor
        What its ``MLmodel`` says.
    left_out : tuple of str
        Why some of them are not in it: one reason each.
    unknown_types : tuple of str
        Of the format skops: types that load only on the caller's word (``trusted=``).
    """

    path: Path
    digests: dict[str, str]
    size_bytes: int
    local_modules: tuple[str, ...]
    descriptor: Descriptor | PythonDescriptor
    left_out: tuple[str, ...] = ()
    unknown_types: tuple[str, ...] = ()


def save_sklearn_model(
    estimator: object,
    path: str | os.PathLike[str],
    *,
    model_id: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = "model",
    serialization_format: str | None = "cloudpickle",
    compression: str | None = None,
    signature: Mapping[str, str | None] | None = None,
    metadata: Mapping[str, Any] | None = None,
    predict_fn: str = "predict",
    code_paths: Sequence[str | os.PathLike[str]] | None = None,
    environment: Environment | None = None,
    example: Example | None = None,
    max_size: int | None = None,
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
    serialization_format : {"cloudpickle", "pickle", "skops", "joblib"}, default "cloudpickle"
        cloudpickle stores lambdas and what is defined in a script or notebook along with the
        model, the others refer to them by name. skops is data, which runs no code when it is
        read; arrays in a file of joblib can be mapped instead of read.
    compression : {"zlib", "zstd"}, optional
        Put around it. MLflow does not read such a model by itself.
    signature : mapping, optional
        ``inputs``, ``outputs`` and ``params``, each a JSON text or None.
    metadata : mapping, optional
        Notes of the caller, of any depth, in values that YAML can hold.
    predict_fn : str, default "predict"
        The method that the model is called by as a ``python_function``.
    code_paths : sequence of path-like, optional
        Modules and packages of the user to store with the model. Those that the model needs are
        found and stored besides; an empty list leaves them out.
    environment : Environment, optional
        What the caller says of the environment; by default it is found in the pickle.
    example : Example, optional
        An example of what the model takes.
    max_size : int, optional
        The most bytes that the model may have, before compression.
    overwrite : bool, default False
        Replace what stands at `path`.

    Returns
    -------
    SavedModel
        The folder with the digest of every file in it.

    Raises
    ------
    InvalidParameterError
        The format or the compression is not known.
    ModelTooLargeError
        It has more than `max_size` bytes.
    ModelError
        The estimator cannot be pickled, `path` is taken, or the disk refuses.
    """
    form = form_of(serialization_format, compression)
    target = Path(path).absolute()
    with staged(target, overwrite=overwrite) as folder:
        pickled = write_estimator(folder / form.file_name, estimator, form, max_size)
        needs = requirements_of(pickled.modules, form.serialization_format)
        code = write_modules(folder, code_paths, needs.local_modules, pickled.modules)
        if code.imports:
            every = pickled.modules | code.imports
            needs = requirements_of(every, form.serialization_format)
        descriptor = Descriptor(
            model_file=form.file_name,
            serialization_format=form.name,
            predict_fn=predict_fn if hasattr(estimator, predict_fn) else None,
            sklearn_version=_sklearn_version(),
            size_bytes=pickled.size_bytes,
            artifact_path=artifact_path,
            model_id=model_id,
            run_id=run_id,
            signature=signature,
            metadata=metadata,
            code=CODE_FOLDER if code.digests else None,
            example=None if example is None else example.info,
            loader_module="mlflow.sklearn" if form.is_read_by_mlflow else "skledger.sklearn",
            uncompressed_bytes=pickled.uncompressed_bytes if form.compression else None,
            trusted=pickled.trusted,
        )
        texts = {
            "MLmodel": descriptor.to_yaml().encode(),
            **(environment_files if environment is None else environment.files)(needs.lines),
            **({} if example is None else example.files),
        }
        digests = {form.file_name: pickled.digest, **code.digests}
        digests, size = write_texts(folder, texts, digests)
    unknown = _unknown_types(pickled.trusted)
    return SavedModel(target, digests, size, code.missing, descriptor, code.left_out, unknown)


def _unknown_types(untrusted: tuple[str, ...]) -> tuple[str, ...]:
    if not untrusted:
        return ()
    from skledger.models.skops_format import reviewed_types

    return tuple(name for name in untrusted if name not in reviewed_types())


def _sklearn_version() -> str:
    import sklearn

    return str(sklearn.__version__)
