"""The user's own modules, stored with a model that needs them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from skledger.errors import InvalidParameterError, NotFoundError

__all__ = ["CODE_FOLDER", "copy_code"]

#: Where they go in the model folder; it is put on Python's path when the model is loaded.
CODE_FOLDER = "code"


def copy_code(code_paths: Iterable[str | os.PathLike[str]], folder: Path) -> dict[str, str]:
    """Copy modules and packages into a model folder.

    Parameters
    ----------
    code_paths : iterable of path-like
        Files, and folders with what is in them; byte code is left out.
    folder : Path
        The model folder.

    Returns
    -------
    dict of str to str
        SHA-256, in hexadecimal, of every file by its name in the model folder.

    Raises
    ------
    NotFoundError
        When there is nothing at a path.
    InvalidParameterError
        When two have one name, or the model would be stored inside of what is copied.
    """
    if isinstance(code_paths, str | os.PathLike):
        raise InvalidParameterError(
            f"code_paths is a list of paths, not {os.fspath(code_paths)!r}; write "
            f"[{os.fspath(code_paths)!r}]."
        )
    target = folder / CODE_FOLDER
    target.mkdir()
    for each in code_paths:
        _copy(Path(each), target)
    return {
        file.relative_to(folder).as_posix(): _digest(file)
        for file in sorted(target.rglob("*"))
        if file.is_file()
    }


def _copy(given: Path, target: Path) -> None:
    source = given.resolve()
    if not source.exists():
        raise NotFoundError(f"code_paths names {str(given)!r}, where there is nothing.")
    if target.resolve().is_relative_to(source):
        raise InvalidParameterError(
            f"code_paths names {str(given)!r}, and the model is stored inside of that; name the "
            "modules and packages in it."
        )
    to = target / source.name
    if to.exists():
        raise InvalidParameterError(f"code_paths names two things called {source.name!r}.")
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".git"))
    else:
        shutil.copyfile(source, to)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
