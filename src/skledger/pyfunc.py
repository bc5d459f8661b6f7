"""Models behind their signatures, and models of your own making, under MLflow's module name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from skledger._lazy import lazily
from skledger.autologging import classes_changed

if TYPE_CHECKING:
    from skledger.models.info import ModelInfo
    from skledger.models.pyfunc_model import PyFuncModel
    from skledger.models.python_model import PythonModel, PythonModelContext
    from skledger.models.signature import ModelSignature

__all__ = [
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "load_model",
    "log_model",
    "save_model",
]

_AnyPath: TypeAlias = str | os.PathLike[str]

__getattr__ = lazily(
    __name__,
    {
        "PyFuncModel": "skledger.models.pyfunc_model",
        "PythonModel": "skledger.models.python_model",
        "PythonModelContext": "skledger.models.python_model",
        # What the pickle of a plain function names.
        "_FunctionPythonModel": "skledger.models.python_model",
    },
    hints="skledger.tracking.removed",
)


def log_model(
    artifact_path: str | None = None,
    loader_module: None = None,
    data_path: None = None,
    code_paths: Sequence[_AnyPath] | None = None,
    infer_code_paths: bool = False,
    conda_env: Mapping[str, Any] | _AnyPath | None = None,
    python_model: PythonModel | Callable[..., Any] | None = None,
    artifacts: Mapping[str, _AnyPath] | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | bool | None = None,
    input_example: Any = None,
    await_registration_for: int | None = None,
    pip_requirements: Iterable[str] | str | None = None,
    extra_pip_requirements: Iterable[str] | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | _AnyPath | None = None,
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    **foreign: Any,
) -> ModelInfo:
    """Store a model of your own making in the active run; without one, a run is started.

    Parameters
    ----------
    artifact_path : str, optional
        The older word for `name`.
    loader_module, data_path : None
        Of MLflow's older way; the error says what to do.
    code_paths : list of path-like, optional
        Modules and packages of your own to store with the model. Python files that it needs are
        found and stored besides; an empty list leaves them out.
    infer_code_paths : bool, default=False
        Taken for compatibility: what the model needs is found anyway.
    conda_env : mapping or path, optional
        A conda environment, instead of what the model is found to need.
    python_model : PythonModel or callable
        An instance of your class of `PythonModel`, or a function of the data (and of ``params``).
    artifacts : mapping of str to path or URI, optional
        Files and folders to copy into the model's folder. `load_context` finds their paths in
        ``context.artifacts``. ``runs:/...``, ``models:/...`` and other URIs are fetched.
    registered_model_name : str, optional
        Register it under this name.
    signature : ModelSignature or False, optional
        What the model takes and gives. By default it is inferred from `input_example`, by the
        model as it was stored; False leaves it out.
    input_example : DataFrame, array, dict, list or tuple of one and params, optional
        An example of what the model takes, stored with it.
    await_registration_for : int, optional
        Taken for compatibility.
    pip_requirements, extra_pip_requirements : list of str or path, optional
        What the model needs, instead of or besides what is found.
    metadata : mapping, optional
        Notes for ``MLmodel``.
    model_config : mapping or path of a YAML file, optional
        Settings for ``context.model_config``; `load_model` can change them.
    name : str, default="model"
        Its name in the run: ``runs:/<run id>/<name>`` loads it.
    params, tags : mapping, optional
        Booked of the model.
    model_type : str, optional
        What kind of model it is.
    **foreign
        MLflow's arguments for other frameworks and services; the error says what to do instead.

    Returns
    -------
    ModelInfo
        With `model_uri`, which loads it, `run_id`, `model_id` and `signature`.

    Raises
    ------
    InvalidParameterError
        When an argument cannot be.
    ModelError
        When the model cannot be stored.
    """
    from skledger.tracking.logged_models import log_model_folder, one_name
    from skledger.tracking.python_models import python_model_saver, refuse_foreign

    foreign = {"loader_module": loader_module, "data_path": data_path, **foreign}
    refuse_foreign("skledger.pyfunc.log_model", foreign)
    save = python_model_saver(
        python_model,
        artifacts=artifacts,
        model_config=model_config,
        code_paths=code_paths,
        conda_env=conda_env,
        signature=signature,
        input_example=input_example,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        metadata=metadata,
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
    path: _AnyPath,
    loader_module: None = None,
    data_path: None = None,
    code_paths: Sequence[_AnyPath] | None = None,
    infer_code_paths: bool = False,
    conda_env: Mapping[str, Any] | _AnyPath | None = None,
    mlflow_model: None = None,
    python_model: PythonModel | Callable[..., Any] | None = None,
    artifacts: Mapping[str, _AnyPath] | None = None,
    signature: ModelSignature | bool | None = None,
    input_example: Any = None,
    pip_requirements: Iterable[str] | str | None = None,
    extra_pip_requirements: Iterable[str] | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | _AnyPath | None = None,
    **foreign: Any,
) -> None:
    """Store a model of your own making as a folder, which no run knows of.

    Parameters
    ----------
    path : path-like
        The folder: a new one, or an empty one.
    loader_module, data_path, mlflow_model : None
        Of MLflow's older ways; the error says what to do.
    code_paths, infer_code_paths, conda_env, python_model, artifacts, signature, input_example, \
pip_requirements, extra_pip_requirements, metadata, model_config, **foreign
        As in `log_model`.

    Raises
    ------
    ModelError
        When the model cannot be stored, or there is something at `path`.
    """
    from skledger.tracking.python_models import python_model_saver, refuse_foreign

    older = {
        "loader_module": loader_module,
        "data_path": data_path,
        "mlflow_model": mlflow_model,
    }
    refuse_foreign("skledger.pyfunc.save_model", {**older, **foreign})
    save = python_model_saver(
        python_model,
        artifacts=artifacts,
        model_config=model_config,
        code_paths=code_paths,
        conda_env=conda_env,
        signature=signature,
        input_example=input_example,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        metadata=metadata,
    )
    save(path, artifact_path=None)


def load_model(
    model_uri: str,
    suppress_warnings: bool = False,
    dst_path: _AnyPath | None = None,
    model_config: Mapping[str, Any] | _AnyPath | None = None,
    *,
    verify: bool = True,
    trusted: Iterable[str | type] = (),
    allow_pickle: bool = True,
    mmap_mode: str | None = None,
) -> PyFuncModel:
    """Load a model whose `predict` looks at the signature first.

    Parameters
    ----------
    model_uri : str
        ``runs:/<run id>/model``, ``models:/m-<id>``, the path of a model folder, or the URI of a
        folder among artifacts.
    suppress_warnings : bool, default=False
        Taken for compatibility.
    dst_path : path-like, optional
        Copy the model folder there and load it from there.
    model_config : mapping or path of a YAML file, optional
        Settings of a `PythonModel`, instead of those that it was stored with; scikit-learn models
        have none.
    verify : bool, default=True
        Load only what was booked; see `skledger.sklearn.load_model`.
    trusted : iterable of str or type
        Types that a file of the format skops may have; see `skledger.sklearn.load_model`.
    allow_pickle : bool, default=True
        With False, only what runs no code is loaded; see there. A `PythonModel` is refused then.
    mmap_mode : {"r", "c"}, optional
        Map the arrays of a model in the format joblib; see there.

    Returns
    -------
    PyFuncModel
        Its `predict` takes what the signature asks for. `get_raw_model` returns the estimator,
        `unwrap_python_model` your own `PythonModel`.

    Raises
    ------
    ModelIntegrityError
        When a file is not the one that was booked, or none was booked.
    NotFoundError
        When there is no such run or model.
    ModelError
        When the model cannot be loaded here, or has no method that predicts.
    """
    from skledger.models.pyfunc_model import load_pyfunc_model
    from skledger.tracking.model_uris import locate
    from skledger.tracking.python_models import config_of

    found = locate(model_uri, verify=verify).copied_to(dst_path)
    try:
        return load_pyfunc_model(
            found.folder,
            digests=found.digests,
            refusal=found.refusal,
            trusted=trusted,
            allow_pickle=allow_pickle,
            mmap_mode=mmap_mode,
            model_config=config_of(model_config),
        )
    finally:
        classes_changed()
