"""Loading a model folder: first verified, then unpickled from the very bytes verified."""

from __future__ import annotations

import os
import pickle
import platform
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from skledger.errors import ModelError, ModelIntegrityError
from skledger.models.code_path import importable
from skledger.models.verified import DESCRIPTOR, ModelFolder, relative_name

__all__ = ["load_described_model", "load_sklearn_model"]

_FORMATS = ("cloudpickle", "pickle", "skops")


def load_sklearn_model(
    path: str | os.PathLike[str],
    *,
    digests: Mapping[str, str] | None,
    refusal: str | None = None,
    trusted: Iterable[str] = (),
) -> Any:
    """Load the estimator of a model folder, ours or MLflow's.

    Unpickling runs code that the file chooses. Whoever calls this decides which files may:
    those whose digests were booked when the model was saved, or, with ``digests=None``, any.

    Parameters
    ----------
    path : path-like
        The model folder.
    digests : mapping of str to str, or None
        SHA-256 in hexadecimal by name of file in the folder, as `SavedModel.digests`. All of
        them are verified before anything is unpickled. None verifies nothing.
    refusal : str, optional
        Without digests, load only what runs no code (the format skops); this text is the error
        for anything else.
    trusted : iterable of str
        Names of types that may be made from a file of the format skops, besides those that
        skops knows to be harmless.

    Returns
    -------
    estimator
        What was saved.

    Raises
    ------
    NotFoundError
        There is no model folder at `path`.
    ModelIntegrityError
        A file is not the one that was booked, is missing, or was never booked.
    ModelError
        The folder holds no scikit-learn model that can be loaded here.

    Warns
    -----
    UserWarning
        The model was saved under another minor version of scikit-learn or Python.
    """
    return load_described_model(path, digests=digests, refusal=refusal, trusted=trusted)[0]


def load_described_model(
    path: str | os.PathLike[str],
    *,
    digests: Mapping[str, str] | None,
    refusal: str | None = None,
    trusted: Iterable[str] = (),
) -> tuple[Any, dict[str, Any]]:
    """Load an estimator and what ``MLmodel`` says about it; see `load_sklearn_model`."""
    folder = ModelFolder(Path(path), digests, refusal)
    described = folder.described()
    flavors = described["flavors"]
    sklearn_flavor = _sklearn_flavor(folder, flavors)
    name = relative_name(folder, sklearn_flavor.get("pickled_model"))
    code = sklearn_flavor.get("code") or _python_function(flavors).get("code")
    # MLflow wrote no format as long as there was only one.
    is_pickle = sklearn_flavor.get("serialization_format", "pickle") != "skops"
    if is_pickle or code:
        folder.refuse_code()
    content = folder.read(name)
    folder.verify_others({DESCRIPTOR, name})
    _warn_of_versions(folder, flavors)
    with importable(folder, code and relative_name(folder, code)):
        if is_pickle:
            return _unpickle(folder, name, content), described
        return _from_skops(folder, name, content, trusted), described


def _python_function(flavors: dict[str, Any]) -> dict[str, Any]:
    flavor = flavors.get("python_function")
    return flavor if isinstance(flavor, dict) else {}


def _sklearn_flavor(folder: ModelFolder, flavors: dict[str, Any]) -> dict[str, Any]:
    flavor = flavors.get("sklearn")
    if not isinstance(flavor, dict):
        raise ModelError(
            f"the model folder {folder} holds no scikit-learn model: its flavors are "
            f"{sorted(map(str, flavors))}, expected 'sklearn' among them. Load it with the "
            "library that saved it."
        )
    found = flavor.get("serialization_format", "pickle")
    if found not in _FORMATS:
        raise ModelError(
            f"the model in {folder} is in the format {found!r}; expected one of "
            f"{', '.join(_FORMATS)}. Load it with mlflow.sklearn.load_model, or save it again in "
            "one of these."
        )
    return flavor


def _warn_of_versions(folder: ModelFolder, flavors: dict[str, Any]) -> None:
    import sklearn

    here = {"scikit-learn": str(sklearn.__version__), "Python": platform.python_version()}
    saved = {
        "scikit-learn": flavors["sklearn"].get("sklearn_version"),
        "Python": _python_of(folder, flavors),
    }
    differing = [
        f"{what} {then} (here {here[what]})"
        for what, then in saved.items()
        if then is not None and _minor(str(then)) != _minor(here[what])
    ]
    if differing:
        warnings.warn(
            f"the model in {folder} was saved with {' and '.join(differing)}. It may fail or "
            "predict differently; requirements.txt in the folder lists what it was made with.",
            UserWarning,
            stacklevel=3,
        )


def _python_of(folder: ModelFolder, flavors: dict[str, Any]) -> str | None:
    if version := _python_function(flavors).get("python_version"):
        return str(version)
    # A transformer has no such flavour; the environment's file says it too.
    try:
        text = folder.read("python_env.yaml", booked_only=False)
    except ModelIntegrityError:
        raise
    except ModelError:
        return None
    match = re.search(rb"^python:\s*[\"']?([\w.]+)", text, re.MULTILINE)
    return None if match is None else match[1].decode()


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


def _unpickle(folder: ModelFolder, name: str, content: bytes) -> Any:
    try:
        return pickle.loads(content)
    except MemoryError:
        raise
    except ImportError as error:
        missing = f"the module {error.name!r}" if error.name else str(error)
        raise ModelError(
            f"the model in {folder} needs {missing}, which cannot be imported here ({error}). "
            f"{_installation(folder)}"
        ) from error
    except AttributeError as error:
        raise ModelError(
            f"the model in {folder} needs a class or function that is not there: {error}. It was "
            "renamed, or its module has another version here, or it was defined in a script "
            f"that pickle refers to by name. {_installation(folder)}"
        ) from error
    except Exception as error:
        raise ModelError(
            f"{name!r} in the model folder {folder} cannot be unpickled: "
            f"{type(error).__name__}: {error}. {_installation(folder)}"
        ) from error


def _from_skops(folder: ModelFolder, name: str, content: bytes, trusted: Iterable[str]) -> Any:
    """Make a model from a file that holds data only, of types that are known or trusted."""
    try:
        import skops.io  # type: ignore[import-untyped]
    except ImportError as error:
        raise ModelError(
            f"the model in {folder} is in the format skops, which is not installed here: "
            "pip install skops"
        ) from error
    given = list(trusted)
    try:
        unknown = [each for each in skops.io.get_untrusted_types(data=content) if each not in given]
        if not unknown:
            return skops.io.loads(content, trusted=given)
    except MemoryError:
        raise
    except Exception as error:
        raise ModelError(
            f"{name!r} in the model folder {folder} cannot be read by skops: "
            f"{type(error).__name__}: {error}. {_installation(folder)}"
        ) from error
    raise ModelError(
        f"the model in {folder} has types that skops does not know to be harmless: {unknown}. If "
        f"you trust who saved it, load it with trusted={given + unknown!r}."
    )


def _installation(folder: ModelFolder) -> str:
    try:
        text = folder.read("requirements.txt", booked_only=False)
    except ModelError:
        return "Install the versions it was saved with; the folder has no requirements.txt."
    lines = ", ".join(text.decode("utf-8", "replace").split("\n")).strip(", ")
    return f"Install what it was saved with (requirements.txt): {lines}."
