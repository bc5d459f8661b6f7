"""What every model folder holds: the pickle, the user's modules, and small files of text."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skledger.errors import ModelError
from skledger.models.code import copy_code
from skledger.models.formats import Form
from skledger.models.local_code import Found, needed_code, write_code
from skledger.models.pickling import Pickled, write_model
from skledger.models.verified import DIGESTS_FILE
from skledger.tracking.entities import MAX_TAG_LENGTH

__all__ = ["StoredModules", "write_estimator", "write_modules", "write_texts"]

_DONE = {"skops": "written by", "joblib": "written by"}


@dataclass(frozen=True, slots=True)
class StoredModules:
    """The modules of the user that were stored, and those that were not.

    Parameters
    ----------
    digests : dict of str to str
        SHA-256 of every file by its name in the model folder.
    missing : tuple of str
        Modules that are needed and are not there.
    left_out : tuple of str
        Why, one reason each.
    imports : frozenset of str
        What the stored modules import of others.
    """

    digests: dict[str, str]
    missing: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    imports: frozenset[str] = frozenset()


def write_modules(
    folder: Path,
    code_paths: Sequence[str | os.PathLike[str]] | None,
    local_modules: tuple[str, ...],
    modules: frozenset[str],
) -> StoredModules:
    """Store the modules of the user that a model needs, and those that the caller names.

    Parameters
    ----------
    folder : Path
        The model folder.
    code_paths : sequence of path-like, optional
        What the caller names; an empty list stores nothing.
    local_modules : tuple of str
        Top-level modules that no installed distribution holds.
    modules : frozenset of str
        All modules that the model names.
    """
    digests = copy_code(code_paths, folder) if code_paths else {}
    found = Found()
    if local_modules and (code_paths is None or len(code_paths)):
        found = needed_code(local_modules, modules)
        digests |= write_code(found, folder, _tops(digests))
    stored = _tops(digests)
    missing = tuple(name for name in local_modules if name not in stored)
    return StoredModules(digests, missing, found.left_out, found.imports)


def _tops(digests: Iterable[str]) -> set[str]:
    """Return the top-level modules among the files of a code folder."""
    return {Path(name).parts[1].removesuffix(".py") for name in digests}


def write_texts(
    folder: Path, texts: Mapping[str, bytes], digests: dict[str, str]
) -> tuple[dict[str, str], int]:
    """Write the small files; return the digests to book, and the size of the whole folder."""
    _write_each(folder, texts, digests)
    names = tuple(digests)
    if len(everything := json.dumps(digests)) > MAX_TAG_LENGTH:
        digests = {}
        _write_each(folder, {DIGESTS_FILE: everything.encode()}, digests)
    size = sum(map(len, texts.values())) + _size_of(folder, {*names, *digests} - texts.keys())
    return digests, size


def _write_each(folder: Path, texts: Mapping[str, bytes], digests: dict[str, str]) -> None:
    for name, content in texts.items():
        with (folder / name).open("xb", buffering=0) as stream:
            stream.write(content)
        digests[name] = hashlib.sha256(content).hexdigest()


def _size_of(folder: Path, names: Iterable[str]) -> int:
    return sum((folder / name).stat().st_size for name in names)


def write_estimator(file: Path, estimator: object, form: Form, max_size: int | None) -> Pickled:
    """Write a model's own file.

    Parameters
    ----------
    file : Path
        Where to; there is no such file yet.
    estimator : object
        The model.
    form : Form
        How.
    max_size : int, optional
        The most bytes that it may have, before compression.

    Raises
    ------
    ModelTooLargeError
        It has more.
    ModelError
        It cannot be stored in this form.
    """
    name = form.serialization_format
    with file.open("xb") as stream:
        try:
            return write_model(stream, estimator, form, limit=max_size)
        except (OSError, ModelError):
            raise
        except Exception as error:
            advice = (
                "leave out of the estimator what cannot be stored (locks, open files, "
                "connections), or give its class a __getstate__ that does"
                if name == "cloudpickle"
                else "use serialization_format='cloudpickle', which stores lambdas and local "
                "classes"
            )
            raise ModelError(
                f"{type(estimator).__name__} cannot be {_DONE.get(name, 'pickled with')} {name}: "
                f"{type(error).__name__}: {error}. To save it, {advice}."
            ) from error
