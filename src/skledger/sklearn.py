"""scikit-learn models, under MLflow's module name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from skledger.autologging import autolog, classes_changed
from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    from skledger.models.folder import SavedModel
    from skledger.models.info import ModelInfo
    from skledger.models.signature import ModelSignature

__all__ = [
    "SERIALIZATION_FORMAT_CLOUDPICKLE",
    "SERIALIZATION_FORMAT_PICKLE",
    "autolog",
    "load_model",
    "log_model",
    "save_model",
]

SERIALIZATION_FORMAT_CLOUDPICKLE = "cloudpickle"
SERIALIZATION_FORMAT_PICKLE = "pickle"

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
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    name: str | None = None,
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
        loaded.
    serialization_format : {"cloudpickle", "pickle"}, default="cloudpickle"
        How it is stored. Both run code when they are loaded, so they are loaded only when they
        are the bytes that were booked, or on your word.
    registered_model_name : str, optional
        Its name in the registry. There is none yet: a line says so, and the model is logged.
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
    params, tags : mapping, optional
        Booked of the model.
    model_type : str, optional
        What kind of model it is.
    name : str, default="model"
        Its name in the run: ``runs:/<run id>/<name>`` loads it.

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
    from skledger.tracking.logged_models import log_model_folder

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
    )
    return log_model_folder(
        save,
        _one_name(name, artifact_path),
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
) -> None:
    """Store a fitted estimator as a folder of its own, which no run knows of.

    Parameters
    ----------
    sk_model : BaseEstimator
        The estimator, or anything else that can be pickled.
    path : path-like
        The folder: a new one, or an empty one.
    conda_env, code_paths, serialization_format, signature, input_example, pip_requirements, \
extra_pip_requirements, pyfunc_predict_fn, metadata
        As in `log_model`.

    Raises
    ------
    ModelError
        When the estimator cannot be stored, or there is something at `path`.
    """
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
    )
    save(path, artifact_path=None)


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
) -> partial[SavedModel]:
    """Look at the arguments of `log_model`; return what writes the folder."""
    from skledger.models.environment import environment_of
    from skledger.models.example import example_of
    from skledger.models.folder import save_sklearn_model
    from skledger.models.signature import signature_for

    if pyfunc_predict_fn != "predict" and not hasattr(sk_model, pyfunc_predict_fn):
        raise InvalidParameterError(
            f"{type(sk_model).__name__} has no method {pyfunc_predict_fn!r}; pyfunc_predict_fn "
            "names the method that predicts."
        )
    example = None if input_example is None else example_of(input_example)
    found = signature_for(sk_model, signature, example, pyfunc_predict_fn)
    return partial(
        save_sklearn_model,
        sk_model,
        serialization_format=serialization_format or SERIALIZATION_FORMAT_CLOUDPICKLE,
        signature=None if found is None else found.to_dict(),
        metadata=metadata,
        predict_fn=pyfunc_predict_fn,
        code_paths=code_paths,
        environment=environment_of(conda_env, pip_requirements, extra_pip_requirements),
        example=example,
    )


def _one_name(name: str | None, artifact_path: str | None) -> str:
    if name is not None and artifact_path is not None and name != artifact_path:
        raise InvalidParameterError(
            f"name is {name!r} and artifact_path is {artifact_path!r}; they are two words for the "
            "same, so pass one."
        )
    given = artifact_path if name is None else name
    return "model" if given is None else given


def load_model(
    model_uri: str,
    dst_path: _AnyPath | None = None,
    *,
    verify: bool = True,
    trusted: Iterable[str] = (),
) -> Any:
    """Load a fitted estimator.

    Parameters
    ----------
    model_uri : str
        ``runs:/<run id>/model``, ``models:/m-<id>``, the path of a model folder, or the URI of a
        folder among artifacts.
    dst_path : path-like, optional
        Copy the model folder there and load it from there.
    verify : bool, default=True
        Load only what was booked: each file's SHA-256 must be the one that was booked with the
        run, and it is checked before anything is unpickled. A path that you give yourself is
        taken at your word. With False, so is everything: unpickling runs code that the file
        names, so do that only for files that you trust.
    trusted : iterable of str
        A model of another tool in the format skops runs no code, so it needs no digest. Types in
        it that skops does not know to be harmless must be named here, such as
        ``["sklearn.tree._tree.Tree"]``.

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
    from skledger.models.loading import load_sklearn_model
    from skledger.tracking.model_uris import locate

    found = locate(model_uri, verify=verify).copied_to(dst_path)
    try:
        return load_sklearn_model(
            found.folder, digests=found.digests, refusal=found.refusal, trusted=trusted
        )
    finally:
        classes_changed()
