"""Loading a model of the user's own making: first verified, then made from those very bytes."""

from __future__ import annotations

import inspect
import io
import logging
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from skledger._guard import say
from skledger.errors import InvalidParameterError, ModelError, ModelIntegrityError
from skledger.models.code_path import importable
from skledger.models.loading import (
    PICKLE_VARIABLE,
    load_described_model,
    pickles_are_allowed,
)
from skledger.models.python_model import (
    FunctionModel,
    LoadedPythonModel,
    PythonModel,
    PythonModelContext,
)
from skledger.models.python_model_descriptor import is_python_model
from skledger.models.reading import made_from
from skledger.models.verified import DESCRIPTOR, ModelFolder, relative_name
from skledger.models.versions import warn_of_versions

__all__ = ["example_model", "load_any_model"]


def load_any_model(
    path: str | os.PathLike[str],
    *,
    digests: Mapping[str, str] | None,
    refusal: str | None = None,
    trusted: Iterable[str | type] = (),
    allow_pickle: bool = True,
    mmap_mode: str | None = None,
    model_config: Mapping[str, Any] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Load whatever predicts; see `load_sklearn_model` for what the arguments promise.

    Parameters
    ----------
    path, digests, refusal, trusted, allow_pickle, mmap_mode
        As there.
    model_config : mapping, optional
        Settings of a `PythonModel`, instead of those that it was stored with.

    Returns
    -------
    model : estimator or LoadedPythonModel
        What was saved.
    described : dict
        What ``MLmodel`` says.

    Raises
    ------
    ModelIntegrityError
        A file is not the one that was booked, is missing, or was never booked.
    ModelError
        It cannot be loaded here.
    """
    folder = ModelFolder(Path(path), digests, refusal)
    described = folder.described()
    if is_python_model(described):
        if mmap_mode is not None:
            raise InvalidParameterError(
                f"mmap_mode={mmap_mode!r} maps the arrays of a scikit-learn model in the format "
                f"'joblib', and {folder} holds a PythonModel. Load it without."
            )
        return _load(folder, described, allow_pickle, model_config), described
    if model_config:
        raise InvalidParameterError(
            f"a scikit-learn model takes no model_config; it was given {model_config!r}."
        )
    return load_described_model(
        path,
        digests=digests,
        refusal=refusal,
        trusted=trusted,
        allow_pickle=allow_pickle,
        mmap_mode=mmap_mode,
    )


def _load(
    folder: ModelFolder,
    described: dict[str, Any],
    allow_pickle: bool,
    model_config: Mapping[str, Any] | None,
) -> LoadedPythonModel:
    flavor = described["flavors"]["python_function"]
    name = _file_name(folder, flavor)
    if not pickles_are_allowed(allow_pickle):
        raise ModelError(
            f"the model in {folder} is a PythonModel, which runs code when it is read; "
            f"allow_pickle=False or {PICKLE_VARIABLE}=0 says that nothing of it may run. Nothing "
            "was read. A scikit-learn model saved with serialization_format='skops' loads."
        )
    folder.refuse_code()
    content = folder.read(name)
    folder.verify_others({DESCRIPTOR, name})
    context = PythonModelContext(
        _artifacts(folder, flavor), _config(flavor.get("config"), model_config)
    )
    warn_of_versions(folder, described["flavors"])
    code = flavor.get("code")
    with importable(folder, code and relative_name(folder, code)):
        where = f"{name!r} in the model folder {folder}"
        python_model = made_from(folder, where, lambda: _unpickled(content))
        return _opened(python_model, context, str(folder))


def _file_name(folder: ModelFolder, flavor: Mapping[str, Any]) -> str:
    if "model_code_path" in flavor or flavor.get("python_model_compression"):
        how = "as a script" if "model_code_path" in flavor else "compressed"
        raise ModelError(
            f"the model in {folder} was stored {how}, which skledger does not read. Load it with "
            "mlflow.pyfunc.load_model, or log the object itself."
        )
    name = flavor.get("python_model")
    if not isinstance(name, str) or not name:
        raise ModelError(
            f"{DESCRIPTOR!r} in the model folder {folder} names no file for its model: "
            f"python_model is {name!r}. Restore the file, or save the model again."
        )
    return relative_name(folder, name)


def _artifacts(folder: ModelFolder, flavor: Mapping[str, Any]) -> dict[str, str]:
    """Return where the artifacts are; each is in the folder, and each file of it was booked."""
    found = flavor.get("artifacts") or {}
    if not isinstance(found, Mapping):
        raise ModelError(
            f"{DESCRIPTOR!r} in the model folder {folder} has artifacts of {found!r}; expected "
            "names with their paths. Restore the file, or save the model again."
        )
    paths = {}
    for name, told in found.items():
        written = told.get("path") if isinstance(told, Mapping) else None
        if not isinstance(written, str) or not written:
            raise ModelError(
                f"{DESCRIPTOR!r} in the model folder {folder} names no path for the artifact "
                f"{name!r}. Restore the file, or save the model again."
            )
        place = relative_name(folder, written)
        path = folder.locate(place)
        for each in (path, *sorted(path.rglob("*"))) if path.is_dir() else (path,):
            _check_artifact(folder, each)
        paths[str(name)] = str(path)
    return paths


def _check_artifact(folder: ModelFolder, path: Path) -> None:
    place = path.relative_to(folder.real_root).as_posix()
    folder.locate(place)  # a link out of the model folder is refused
    if path.is_dir() and not (path.is_symlink() and folder.digests is not None):
        return
    if not path.is_file() and not path.is_symlink():
        raise ModelError(
            f"{place!r}, an artifact in the model folder {folder}, is missing or no file. Restore "
            "it, or save the model again."
        )
    if folder.digests is not None and place not in folder.digests:
        raise ModelIntegrityError(
            f"{place!r} in the model folder {folder} was not booked with the model, which would "
            "find it among its artifacts. Remove the file; only if you know who put it there and "
            "trust them, load the model with verify=False."
        )


def _config(stored: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings; as with MLflow, only those that were stored can be changed."""
    known = dict(stored) if isinstance(stored, Mapping) else {}
    unknown = sorted(set(given or {}) - set(known), key=str)
    if unknown:
        say(
            logging.WARNING,
            "skledger: the model was stored without the settings %s, so they are left out; it has "
            "%s. log_model(model_config=...) stores them.",
            unknown,
            sorted(known, key=str) or "none",
        )
    return {**known, **{key: each for key, each in (given or {}).items() if key in known}}


def _opened(python_model: Any, context: PythonModelContext, where: str) -> LoadedPythonModel:
    if not callable(getattr(python_model, "predict", None)):
        raise ModelError(
            f"the model in {where} is a {type(python_model).__name__} without a method predict."
        )
    load_context = getattr(python_model, "load_context", None)
    if callable(load_context):
        try:
            load_context(context=context)
        except TypeError:
            if "context" in inspect.signature(load_context).parameters:
                raise
            load_context(context)
    return LoadedPythonModel(python_model, context)


def example_model(
    file: Path, artifacts: Mapping[str, str], model_config: Mapping[str, Any] | None
) -> LoadedPythonModel:
    """Return a copy of a model that was pickled just now, to see what it says to an example."""
    context = PythonModelContext(artifacts, model_config)
    return _opened(_unpickled(file.read_bytes()), context, repr(str(file)))


# -- pickles that name MLflow ----------------------------------------------------------------------


class _Unread:
    """What MLflow keeps with a model for its own use, such as a second copy of the signature."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Unread:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    @property
    def input(self) -> None:
        """No hint."""


_OURS = {
    "PythonModel": PythonModel,
    "PythonModelContext": PythonModelContext,
    "_FunctionPythonModel": FunctionModel,
}
_OURS_FOR = ("mlflow.pyfunc", "mlflow.pyfunc.model")
_ITS_OWN = ("mlflow.types", "mlflow.models.signature")


class _Unpickler(pickle.Unpickler):
    """Without MLflow, its base classes are ours."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except ImportError:
            if module in _OURS_FOR and name in _OURS:
                return _OURS[name]
            if module.startswith(_ITS_OWN):
                return _Unread
            raise


def _unpickled(content: bytes) -> Any:
    return _Unpickler(io.BytesIO(content)).load()
