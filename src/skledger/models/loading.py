"""Loading a model folder: first verified, then made from the very bytes verified."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from skledger.errors import InvalidParameterError, ModelError
from skledger.models.code_path import importable
from skledger.models.formats import FORMATS, Form, form_named
from skledger.models.reading import read_model
from skledger.models.verified import DESCRIPTOR, ModelFolder, relative_name, shown
from skledger.models.versions import warn_of_versions

__all__ = ["PICKLE_VARIABLE", "load_described_model", "load_sklearn_model", "pickles_are_allowed"]

#: ``0`` refuses every model that runs code when it is read.
PICKLE_VARIABLE = "SKLEDGER_ALLOW_PICKLE"

_NO = ("0", "false", "no", "off")
_YES = ("", "1", "true", "yes", "on")
_MAPPED = ("r", "c")


def pickles_are_allowed(asked: bool = True) -> bool:
    """Tell whether models that run code may be read: who asks and the environment must agree.

    Raises
    ------
    InvalidParameterError
        When the variable is neither yes nor no.
    """
    text = os.environ.get(PICKLE_VARIABLE, "").strip().lower()
    if text not in (*_NO, *_YES):
        # A policy that was misspelt must not be none.
        raise InvalidParameterError(f"{PICKLE_VARIABLE} is {text!r}; expected 0 or 1.")
    return bool(asked) and text not in _NO


def load_sklearn_model(
    path: str | os.PathLike[str],
    *,
    digests: Mapping[str, str] | None,
    refusal: str | None = None,
    trusted: Iterable[str | type] = (),
    allow_pickle: bool = True,
    mmap_mode: str | None = None,
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
    trusted : iterable of str or type
        Types that may be made from a file of the format skops, besides those that were reviewed.
    allow_pickle : bool, default True
        With False, or ``SKLEDGER_ALLOW_PICKLE=0``, whatever would run code that comes with the
        model is refused, verified or not.
    mmap_mode : {"r", "c"}, optional
        Map the arrays of a model in the format joblib instead of reading them.

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
        The model was saved under another minor version of scikit-learn, numpy or Python.
    """
    return load_described_model(
        path,
        digests=digests,
        refusal=refusal,
        trusted=trusted,
        allow_pickle=allow_pickle,
        mmap_mode=mmap_mode,
    )[0]


def load_described_model(
    path: str | os.PathLike[str],
    *,
    digests: Mapping[str, str] | None,
    refusal: str | None = None,
    trusted: Iterable[str | type] = (),
    allow_pickle: bool = True,
    mmap_mode: str | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Load an estimator and what ``MLmodel`` says about it; see `load_sklearn_model`."""
    folder = ModelFolder(Path(path), digests, refusal)
    described = folder.described()
    flavors = described["flavors"]
    flavor, form = _sklearn_flavor(folder, flavors)
    name = relative_name(folder, flavor.get("pickled_model"))
    code = flavor.get("code") or _python_function(flavors).get("code")
    _check_mapping(folder, form, mmap_mode)
    if not pickles_are_allowed(allow_pickle):
        _refuse_code(folder, form, code)
    if form.runs_code or code:
        folder.refuse_code()
    content = None if mmap_mode else folder.read_large(name)
    folder.verify_others({DESCRIPTOR} if content is None else {DESCRIPTOR, name})
    warn_of_versions(folder, flavors)
    with importable(folder, code and relative_name(folder, code)):
        if content is None:
            return read_model(folder, name, form, mmap_mode=mmap_mode), described
        size = flavor.get("uncompressed_size_bytes")
        return read_model(folder, name, form, content, trusted, size), described


def _check_mapping(folder: ModelFolder, form: Form, mmap_mode: str | None) -> None:
    if mmap_mode is None:
        return
    if mmap_mode not in _MAPPED:
        raise InvalidParameterError(
            f"mmap_mode is {mmap_mode!r}; expected 'r', 'c' (changes stay in memory) or None."
        )
    if form != Form("joblib"):
        raise InvalidParameterError(
            f"mmap_mode={mmap_mode!r} maps the arrays of a model in the format 'joblib', and the "
            f"one in {folder} is in {form.name!r}. Load it without, or save it with "
            "serialization_format='joblib'."
        )


def _refuse_code(folder: ModelFolder, form: Form, code: object) -> None:
    why = f"allow_pickle=False or {PICKLE_VARIABLE}=0 says that nothing of it may run"
    if form.runs_code:
        raise ModelError(
            f"the model in {folder} is in the format {form.name!r}, which runs code when it is "
            f"read; {why}. Nothing was read. Have it saved with serialization_format='skops'."
        )
    if code:
        raise ModelError(
            f"the model in {folder} brings modules of its author's, which run when they are "
            f"imported; {why}. Have it saved without (code_paths=[]), and make them importable."
        )


def _python_function(flavors: dict[str, Any]) -> dict[str, Any]:
    flavor = flavors.get("python_function")
    return flavor if isinstance(flavor, dict) else {}


def _sklearn_flavor(folder: ModelFolder, flavors: dict[str, Any]) -> tuple[dict[str, Any], Form]:
    flavor = flavors.get("sklearn")
    if not isinstance(flavor, dict):
        advice = "Load it with the library that saved it."
        if _python_function(flavors).get("loader_module") == "mlflow.pyfunc.model":
            advice = "It is a PythonModel: load it with skledger.pyfunc.load_model."
        raise ModelError(
            f"the model folder {folder} holds no scikit-learn model: its flavors are "
            f"{sorted(map(str, flavors))}, expected 'sklearn' among them. {advice}"
        )
    # MLflow wrote no format as long as there was only one.
    found = flavor.get("serialization_format", "pickle")
    form = form_named(found)
    if form is None:
        raise ModelError(
            f"the model in {folder} is in the format {shown(found)}; expected one of "
            f"{', '.join(FORMATS)}. Load it with mlflow.sklearn.load_model, or save it again in "
            "one of these."
        )
    return flavor, form
