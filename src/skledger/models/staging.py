"""A folder that appears at its place complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from skledger.errors import ModelError

__all__ = ["staged"]


@contextmanager
def staged(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a new folder beside the target; on success rename it, otherwise remove it.

    Parameters
    ----------
    target : Path
        Where it belongs, absolute. Parents are made as needed; an empty folder is taken over.
    overwrite : bool
        Replace what stands there.

    Raises
    ------
    ModelError
        There is something already, or the disk refuses.
    """
    _check_free(target, overwrite=overwrite)
    staging = target.with_name(f".{target.name[:100]}.{uuid4().hex}.tmp")
    made: list[Path] = []
    try:
        _make_folders(staging, made)
        yield staging
        _move_into_place(staging, target, overwrite=overwrite)
    except BaseException as error:
        _remove(staging, made)
        if isinstance(error, OSError):
            raise ModelError(
                f"the model cannot be written to {str(target)!r}: {error}. "
                "Check the free space and the permissions there, or pass another path."
            ) from error
        raise


def _check_free(target: Path, *, overwrite: bool) -> None:
    if overwrite:
        return
    try:
        with os.scandir(target) as entries:
            taken = next(entries, None) is not None
    except FileNotFoundError:
        return
    except NotADirectoryError:
        taken = True
    if taken:
        raise ModelError(
            f"there is something at {str(target)!r} already; expected a free path or an empty "
            "folder. Pass another path, or overwrite=True to replace it."
        )


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and its missing parents; `made` collects the parents, outermost last."""
    try:
        folder.mkdir()
    except FileNotFoundError:
        missing = []
        for parent in folder.parents:
            if parent.exists():
                break
            missing.append(parent)
        made.extend(missing)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()


def _move_into_place(staging: Path, target: Path, *, overwrite: bool) -> None:
    try:
        # Takes over a folder that is empty, in one step; Windows wants it gone first.
        if os.name == "nt":
            with suppress(FileNotFoundError):
                target.rmdir()
        staging.rename(target)
    except OSError:
        if not overwrite:
            raise
        old = staging.with_suffix(".old")
        target.rename(old)
        try:
            staging.rename(target)
        except OSError:
            old.rename(target)
            raise
        _remove(old, [])


def _remove(path: Path, parents: list[Path]) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
    for parent in parents:
        # A parent that somebody else has put something into stays.
        with suppress(OSError):
            parent.rmdir()
