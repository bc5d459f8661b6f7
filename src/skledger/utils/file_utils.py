"""A temporary folder, under MLflow's module name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["TempDir"]


class TempDir:
    """A temporary folder that goes with its ``with`` block.

    Parameters
    ----------
    chdr : bool, default=False
        Make it the current folder inside the block.
    remove_on_exit : bool, default=True
        Remove it at the end of the block.
    """

    def __init__(self, chdr: bool = False, remove_on_exit: bool = True) -> None:
        self._changes_folder = chdr
        self._removes = remove_on_exit
        self._before: str | None = None
        self._path: Path | None = None

    def __enter__(self) -> TempDir:
        self._path = Path(tempfile.mkdtemp(prefix="skledger-")).resolve()
        if self._changes_folder:
            self._before = os.getcwd()  # noqa: PTH109
            os.chdir(self._path)
        return self

    def __exit__(self, *exception: object) -> None:
        import shutil

        if self._before is not None:
            os.chdir(self._before)
        if self._removes and self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)

    def path(self, *path: str) -> str:
        """Return the path of the folder, or of something in it."""
        if self._path is None:
            raise RuntimeError("TempDir has a path only inside its with block")
        return str(self._path.joinpath(*path))
