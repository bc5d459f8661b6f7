"""scikit-learn models, under MLflow's module name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from skledger.autologging import autolog, classes_changed, model_loaded
from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    from skledger.models.folder import SavedModel
    from skledger.models.info import ModelInfo
    from skledger.models.signature import ModelSignature

__all__ = [
    "SERIALIZATION_FORMAT_CLOUDPICKLE",
    "SERIALIZATION_FORMAT_JOBLIB",
    "SERIALIZATION_FORMAT_PICKLE",
    "SERIALIZATION_FORMAT_SKOPS",
    "autolog",
    "load_model",
    "log_model",
    "save_model",
]

SERIALIZATION_FORMAT_CLOUDPICKLE = "cloudpickle"
SERIALIZATION_FORMAT_PICKLE = "pickle"
SERIALIZATION_FORMAT_SKOPS = "skops"
SERIALIZATION_FORMAT_JOBLIB = "joblib"

_AnyPath: TypeAlias = str | os.PathLike[str]


def log_model(
    sk_model: Any,
    artifact_path: str | None = None,
    conda_env: Mapping[str, Any] | _AnyPath | None = None,
    code_paths: Sequence[_AnyPath] | None = None,
    serialization_format: str | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | bool | None = None,
    input_example: Any = None,
    await_registration_for: int | None = None,
    pip_requirements: Iterable[str] | str | None = None,
    extra_pip_requirements: Iterable[str] | str | None = None,
    pyfunc_predict_fn: str = "predict",
    metadata: Mapping[str, Any] | None = None,
    extra_files: None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    step: int = 0,
    model_id: None = None,
    name: str | None = None,
    skops_trusted_types: Sequence[str] | None = None,
    *,
    compression: str | None = None,
) -> ModelInfo:
    """Store a fitted estimator in the active run; without one, a run is started.

    Parameters
    ----------
    sk_model : BaseEstimator
        The estimator, or anything else that can be pickled.
    artifact_path : str, optional
        The older word for `name`.
    conda_env : mapping or path, optional
        A conda environment, instead of what the model is found to need.
    code_paths : list of path-like, optional
        Modules and packages of your own to store with the model; they are importable when it is
        loaded. Python files that the model needs are found and stored besides; an empty list
        leaves them out.
    serialization_format : {"cloudpickle", "pickle", "skops", "joblib"}, default="cloudpickle"
        How it is stored. All but skops run code when they are loaded, so they are loaded only when
        they are the bytes that were booked, or on your word. skops is data. From joblib, arrays
        can be mapped instead of read. MLflow does not read joblib.
    registered_model_name : str, optional
        Register it under this name, as `register_model` does. While the server of the registry is
        away, it waits for it, as records do.
    signature : ModelSignature or False, optional
        What the model takes and gives, such as `infer_signature` returns. By default it is
        inferred from `input_example`, if there is one; False leaves it out.
    input_example : DataFrame, array, sparse matrix, dict or list, optional
        An example of what the model takes, stored with it.
    await_registration_for : int, optional
        Taken for compatibility.
    pip_requirements, extra_pip_requirements : list of str or path, optional
        What the model needs, instead of or besides what is found.
    pyfunc_predict_fn : str, default="predict"
        The method that a loaded `PyFuncModel` calls, such as ``predict_proba``.
    metadata : mapping, optional
        Notes for ``MLmodel``.
    extra_files, model_id : None
        Not here: see the error.
    params, tags : mapping, optional
        Booked of the model.
    model_type : str, optional
        What kind of model it is.
    step : int, default=0
        Taken for compatibility: the link between a run and its model has no step.
    name : str, default="model"
        Its name in the run: ``runs:/<run id>/<name>`` loads it.
    skops_trusted_types : sequence of str, optional
        Taken for compatibility: a file's word for what is to be trusted in it is worth nothing,
        so whoever loads it says so, by ``trusted=``.
    compression : {"zlib", "zstd"}, optional
        Store it compressed. `mlflow.sklearn` does not read it then, and `mlflow.pyfunc` does where
        skledger is installed.

    Returns
    -------
    ModelInfo
        With `model_uri`, which loads it, `run_id`, `model_id` and `signature`.

    Raises
    ------
    InvalidParameterError
        When an argument cannot be.
    ModelError
        When the estimator cannot be stored.
    """
    from skledger.tracking.logged_models import log_model_folder, one_name

    _refuse_what_is_not_here(extra_files=extra_files, model_id=model_id)
    save = _saver(
        sk_model,
        conda_env=conda_env,
        code_paths=code_paths,
        serialization_format=serialization_format,
        signature=signature,
        input_example=input_example,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        pyfunc_predict_fn=pyfunc_predict_fn,
        metadata=metadata,
        compression=compression,
    )
    return log_model_folder(
        save,
        one_name(name, artifact_path),
        params=params,
        tags=tags,
        model_type=model_type,
        registered_model_name=registered_model_name,
    )


def save_model(
    sk_model: Any,
    path: _AnyPath,
    conda_env: Mapping[str, Any] | _AnyPath | None = None,
    code_paths: Sequence[_AnyPath] | None = None,
    serialization_format: str | None = None,
    signature: ModelSignature | bool | None = None,
    input_example: Any = None,
    pip_requirements: Iterable[str] | str | None = None,
    extra_pip_requirements: Iterable[str] | str | None = None,
    pyfunc_predict_fn: str = "predict",
    metadata: Mapping[str, Any] | None = None,
    extra_files: None = None,
    skops_trusted_types: Sequence[str] | None = None,
    mlflow_model: None = None,
    *,
    compression: str | None = None,
    overwrite: bool = False,
) -> None:
    """Store a fitted estimator as a folder of its own, which no run knows of.

    Parameters
    ----------
    sk_model : BaseEstimator
        The estimator, or anything else that can be pickled.
    path : path-like
        The folder: a new one, or an empty one.
    conda_env, code_paths, serialization_format, signature, input_example, pip_requirements, \
extra_pip_requirements, pyfunc_predict_fn, metadata, extra_files, skops_trusted_types, compression
        As in `log_model`.
    mlflow_model : None
        Not here: see the error.
    overwrite : bool, default=False
        Replace a model folder that is there.

    Raises
    ------
    ModelError
        When the estimator cannot be stored, or there is something at `path`.
    """
    _refuse_what_is_not_here(extra_files=extra_files, mlflow_model=mlflow_model)
    save = _saver(
        sk_model,
        conda_env=conda_env,
        code_paths=code_paths,
        serialization_format=serialization_format,
        signature=signature,
        input_example=input_example,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        pyfunc_predict_fn=pyfunc_predict_fn,
        metadata=metadata,
        compression=compression,
    )
    save(path, artifact_path=None, overwrite=overwrite)


#: Arguments of MLflow's, and what to do without them.
_NOT_HERE = {
    "extra_files": "log_artifact stores files with the run, code_paths modules with the model",
    "model_id": "each call logs a model of its own; tags and params of one that is there are "
    "changed by set_logged_model_tags and log_model_params",
    "mlflow_model": "metadata= is written to MLmodel",
}


def _refuse_what_is_not_here(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise InvalidParameterError(f"{name} is not taken here: {_NOT_HERE[name]}.")


def _saver(
    sk_model: Any,
    *,
    conda_env: Any,
    code_paths: Any,
    serialization_format: str | None,
    signature: Any,
    input_example: Any,
    pip_requirements: Any,
    extra_pip_requirements: Any,
    pyfunc_predict_fn: str,
    metadata: Mapping[str, Any] | None,
    compression: str | None,
) -> partial[SavedModel]:
    """Look at the arguments of `log_model`; return what writes the folder."""
    from skledger.models.asking import check_model
    from skledger.models.compressing import max_model_size
    from skledger.models.environment import environment_of
    from skledger.models.example import example_of
    from skledger.models.folder import save_sklearn_model
    from skledger.models.signature import signature_for

    if pyfunc_predict_fn != "predict" and not hasattr(sk_model, pyfunc_predict_fn):
        raise InvalidParameterError(
            f"{type(sk_model).__name__} has no method {pyfunc_predict_fn!r}; pyfunc_predict_fn "
            "names the method that predicts."
        )
    check_model(sk_model)
    example = None if input_example is None else example_of(input_example)
    found = signature_for(sk_model, signature, example, pyfunc_predict_fn)
    return partial(
        save_sklearn_model,
        sk_model,
        serialization_format=serialization_format,
        compression=compression,
        max_size=max_model_size(),
        signature=None if found is None else found.to_dict(),
        metadata=metadata,
        predict_fn=pyfunc_predict_fn,
        code_paths=code_paths,
        environment=environment_of(conda_env, pip_requirements, extra_pip_requirements),
        example=example,
    )


def load_model(
    model_uri: _AnyPath,
    dst_path: _AnyPath | None = None,
    *,
    verify: bool = True,
    trusted: Iterable[str | type] = (),
    allow_pickle: bool = True,
    mmap_mode: str | None = None,
) -> Any:
    """Load a fitted estimator.

    Parameters
    ----------
    model_uri : str or path-like
        ``runs:/<run id>/model``, ``models:/m-<id>``, the path of a model folder, or the URI of a
        folder among artifacts.
    dst_path : path-like, optional
        Copy the model folder there and load it from there.
    verify : bool, default=True
        Load only what was booked: each file's SHA-256 must be the one that was booked with the
        run, and it is checked before anything is unpickled. A path that you give yourself is
        taken at your word. With False, so is everything: unpickling runs code that the file
        names, so do that only for files that you trust.
    trusted : iterable of str or type
        A model in the format skops is data: it runs no code, and needs no digest. It may name the
        types of scikit-learn that were reviewed; others, such as your own classes, must be named
        here: ``["my_steps.Clip"]``. What the file says of trust means nothing.
    allow_pickle : bool, default=True
        With False, what runs code when it is read is refused, whoever booked it: only skops
        loads. ``SKLEDGER_ALLOW_PICKLE=0`` in the environment says the same for every call.
    mmap_mode : {"r", "c"}, optional
        Map the arrays of a model in the format joblib into memory instead of reading them; "r"
        makes them read-only.

    Returns
    -------
    BaseEstimator
        The same estimator; its predictions are equal to the bit.

    Raises
    ------
    ModelIntegrityError
        When a file is not the one that was booked, or none was booked.
    NotFoundError
        When there is no such run or model.
    ModelError
        When the model cannot be loaded here, such as for want of a package.
    """
    from skledger.models.loading import load_described_model
    from skledger.models.uris import parse_model_uri
    from skledger.tracking.model_uris import locate

    found = locate(model_uri, verify=verify).copied_to(dst_path)
    try:
        estimator, described = load_described_model(
            found.folder,
            digests=found.digests,
            refusal=found.refusal,
            trusted=trusted,
            allow_pickle=allow_pickle,
            mmap_mode=mmap_mode,
        )
    finally:
        classes_changed()
    if parse_model_uri(model_uri).kind in ("run", "logged_model", "registered"):
        model_loaded(estimator, described)
    return estimator


def _load_pyfunc(path: str) -> Any:
    """Load a model for `mlflow.pyfunc`, which asks for it when MLflow cannot read its format."""
    from skledger.models.pyfunc_model import load_pyfunc_model

    folder = os.path.dirname(path) if os.path.isfile(path) else path  # noqa: PTH113, PTH120
    # MLflow knows no digests; who asks it for a model has given their word.
    return load_pyfunc_model(folder, digests=None).for_mlflow()
