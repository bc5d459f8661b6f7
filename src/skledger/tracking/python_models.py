"""Models of the user's own making: the arguments of `log_model`, and where artifacts come from."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, MissingFileError, NotFoundError
from skledger.tracking.addresses import without_credentials
from skledger.tracking.artifacts import download_artifacts
from skledger.tracking.model_uris import locate

if TYPE_CHECKING:
    from skledger.models.folder import SavedModel
    from skledger.models.python_model_folder import Artifact
    from skledger.models.signature import ModelSignature

__all__ = ["config_of", "python_model_saver", "refuse_foreign"]

_AnyPath = str | os.PathLike[str]

_LOADERS = (
    "log a PythonModel that opens the file in load_context: "
    "log_model(python_model=..., artifacts={'data': path})"
)
_ENVIRONMENTS = "say what the model needs with pip_requirements or extra_pip_requirements"
#: Arguments of MLflow's that are other frameworks' business: the value that says nothing, and what
#: to do instead.
_FOREIGN: dict[str, tuple[Any, str]] = {
    "loader_module": (None, _LOADERS),
    "data_path": (None, _LOADERS),
    "mlflow_model": (None, "pass metadata, signature and input_example"),
    "streamable": (False, "predictions come all at once, from predict"),
    "resources": (None, "it declares services of Databricks; note them in metadata"),
    "auth_policy": (None, "it is for services of Databricks; note it in metadata"),
    "uv_project_path": (None, _ENVIRONMENTS),
    "uv_groups": (None, _ENVIRONMENTS),
    "uv_extras": (None, _ENVIRONMENTS),
    "prompts": (None, "prompts are for language models; store texts with artifacts"),
    "step": (0, "note it in params, such as params={'step': 3}"),
    "model_id": (None, "each call logs a new model; ModelInfo.model_id tells which"),
}
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def refuse_foreign(function: str, given: Mapping[str, Any]) -> None:
    """Refuse arguments that mean nothing here, and say what to do instead.

    Parameters
    ----------
    function : str
        Who was called.
    given : mapping
        The arguments by name; those that say nothing pass.

    Raises
    ------
    InvalidParameterError
        One of them says something.
    TypeError
        MLflow has no argument of that name, either.
    """
    for name, value in given.items():
        if name not in _FOREIGN:
            raise TypeError(f"{function}() has no argument {name!r}")
        nothing, advice = _FOREIGN[name]
        if value is not None and value != nothing:
            raise InvalidParameterError(
                f"{function} was given {name}={value!r}, which means nothing in this library for "
                f"scikit-learn. Leave it out; {advice}."
            )


def python_model_saver(
    python_model: Any,
    *,
    artifacts: Mapping[str, _AnyPath] | None,
    model_config: Mapping[str, Any] | _AnyPath | None,
    code_paths: Sequence[_AnyPath] | None,
    conda_env: Mapping[str, Any] | _AnyPath | None,
    signature: ModelSignature | bool | None,
    input_example: Any,
    pip_requirements: Iterable[str] | str | None,
    extra_pip_requirements: Iterable[str] | str | None,
    metadata: Mapping[str, Any] | None,
) -> partial[SavedModel]:
    """Look at the arguments of `log_model`; return what writes the folder.

    Raises
    ------
    InvalidParameterError
        An argument cannot be.
    NotFoundError
        There is no such artifact.
    """
    from skledger.models.compressing import max_model_size
    from skledger.models.environment import environment_of
    from skledger.models.example import example_of
    from skledger.models.python_model_folder import save_python_model
    from skledger.models.signature import ModelSignature

    if not (signature is None or signature is False or isinstance(signature, ModelSignature)):
        raise InvalidParameterError(
            f"the signature of a model is a ModelSignature or False, not {signature!r}. "
            "infer_signature makes one from data."
        )
    return partial(
        save_python_model,
        _python_model_of(python_model),
        artifacts=_artifacts_of(artifacts),
        model_config=config_of(model_config),
        code_paths=code_paths,
        environment=environment_of(conda_env, pip_requirements, extra_pip_requirements),
        signature=signature,
        example=None if input_example is None else example_of(input_example),
        metadata=metadata,
        max_size=max_model_size(),
    )


def _python_model_of(given: Any) -> Any:
    """Return the `PythonModel` to store; a plain function becomes one."""
    from skledger.models.python_model import FunctionModel, PythonModel

    if given is None:
        raise InvalidParameterError(
            "python_model is missing: pass an instance of your class of "
            "skledger.pyfunc.PythonModel, or a function of the data."
        )
    if isinstance(given, str | os.PathLike):
        raise InvalidParameterError(
            f"python_model is the path {os.fspath(given)!r}; models are stored as objects here. "
            "Pass an instance of the class in that file; its module is stored with it."
        )
    if isinstance(given, type):
        raise InvalidParameterError(
            f"python_model is the class {given.__name__}; pass an instance: {given.__name__}()."
        )
    if isinstance(given, PythonModel) or _is_of_mlflow(given):
        _check_method(given, PythonModel)
        return given
    if isinstance(given, FunctionType | partial) or inspect.isroutine(given):
        _check_function(given)
        return FunctionModel(given)
    name = type(given).__name__
    advice = (
        "Log it with skledger.sklearn.log_model (pyfunc_predict_fn='predict_proba' has it return "
        "probabilities), or hold it in an instance of your class of skledger.pyfunc.PythonModel."
        if hasattr(given, "predict")
        else "Pass an instance of your class of skledger.pyfunc.PythonModel, or a function."
    )
    raise InvalidParameterError(f"python_model is a {name}, which is no PythonModel. {advice}")


def _is_of_mlflow(given: Any) -> bool:
    names = {f"{each.__module__}.{each.__qualname__}" for each in type(given).__mro__}
    for kind in ("ChatModel", "ChatAgent", "ResponsesAgent"):
        if f"mlflow.pyfunc.model.{kind}" in names:
            raise InvalidParameterError(
                f"python_model is MLflow's {kind}, which is for language models. Log it with "
                "mlflow.pyfunc.log_model and the same tracking URI."
            )
    return "mlflow.pyfunc.model.PythonModel" in names


def _check_method(given: Any, base: type) -> None:
    if getattr(type(given), "predict", None) is getattr(base, "predict", None):
        raise InvalidParameterError(
            f"{type(given).__name__} has no method predict(self, context, model_input, "
            "params=None), which is what a loaded model calls."
        )


def _check_function(function: Any) -> None:
    try:
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    required = [
        each.name
        for each in arguments
        if each.name != "params"
        and each.default is each.empty
        and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if len(required) > 1 or not arguments:
        raise InvalidParameterError(
            f"python_model is a function of {', '.join(required) or 'nothing'}; expected one of "
            "the data alone, and of params if it likes."
        )


def config_of(given: Mapping[str, Any] | _AnyPath | None) -> dict[str, Any] | None:
    """Return the settings of a model: a dictionary, or a YAML file of one.

    Raises
    ------
    InvalidParameterError
        They are something else.
    """
    if given is None:
        return None
    found: Any = given
    if isinstance(given, str | os.PathLike):
        import yaml

        try:
            found = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
        except OSError as error:
            raise MissingFileError(
                f"model_config names the file {os.fspath(given)!r}, which cannot be read: {error}."
            ) from error
        except yaml.YAMLError as error:
            raise InvalidParameterError(
                f"the model_config in {os.fspath(given)!r} is not YAML: {error}."
            ) from error
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise InvalidParameterError(
            f"model_config is a dictionary with texts for keys, not {found!r}."
        )
    return dict(found)


# -- artifacts -------------------------------------------------------------------------------------


def _artifacts_of(given: Mapping[str, _AnyPath] | None) -> dict[str, Artifact]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidParameterError(
            f"artifacts is a dictionary of names and paths, not {given!r}; such as "
            "{'weights': 'weights.npz'}."
        )
    from skledger.models.python_model_folder import Artifact

    found = {}
    for name, uri in given.items():
        if not isinstance(name, str) or not name or not isinstance(uri, str | os.PathLike):
            raise InvalidParameterError(
                f"the artifact {name!r} is {uri!r}; expected a text and a path or URI."
            )
        text = os.fspath(uri)
        found[name] = Artifact(without_credentials(text), _source_of(name, text))
    return found


def _source_of(name: str, uri: str) -> Path:
    """Return where an artifact is on this machine, once it is here."""
    if uri.startswith("hf:"):
        raise InvalidParameterError(
            f"the artifact {name!r} is {uri!r}; download it first, and pass the path."
        )
    path = Path(uri)
    # A name with a colon may be a file, and one letter before it is a drive of Windows.
    if path.exists() or _URI.match(uri) is None:
        if not path.exists():
            raise MissingFileError(f"the artifact {name!r} is {uri!r}, where there is nothing.")
        return path
    return _model_at(uri) or Path(download_artifacts(uri))


def _model_at(uri: str) -> Path | None:
    """Return the folder of a model that was logged here; its files are those that were booked."""
    from skledger.models.verified import ModelFolder

    if not uri.startswith(("runs:", "models:")):
        return None
    try:
        found = locate(uri)
    except (NotFoundError, InvalidParameterError):
        return None  # a file in a run or in a model
    ModelFolder(found.folder, found.digests).verify_others(set())
    return found.folder
