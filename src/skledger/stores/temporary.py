"""A temporary folder that outlives what is still written while the process ends."""

from __future__ import annotations

import atexit
import os
import shutil
import weakref
from contextlib import suppress
from tempfile import mkdtemp

__all__ = ["TemporaryFolder", "folder_of_process"]


class TemporaryFolder:
    """A folder that is removed when it is said, or with the object.

    `tempfile.TemporaryDirectory` goes when the process begins to end, when pictures are still
    drawn into it. A process that was forked off leaves the folder to the one that made it.

    Attributes
    ----------
    path : str
        The folder.
    """

    def __init__(self) -> None:
        self.path = mkdtemp(prefix="skledger-")
        self._owner = os.getpid()
        weakref.finalize(self, _remove, self.path, self._owner).atexit = False
        _folders.add(self)

    def remove(self) -> None:
        """Remove the folder and what is in it; whoever writes to it later makes it anew."""
        _remove(self.path, self._owner)

    def remove_empty(self) -> None:
        """Remove the folder if there is nothing in it."""
        if os.getpid() == self._owner:
            with suppress(OSError):
                os.rmdir(self.path)  # noqa: PTH106


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)


_folders: weakref.WeakSet[TemporaryFolder] = weakref.WeakSet()


@atexit.register
def _remove_empty() -> None:
    """See to the folders of stores that nobody closes."""
    for folder in list(_folders):
        folder.remove_empty()


_folder: TemporaryFolder | None = None


def folder_of_process() -> TemporaryFolder:
    """Return the folder for local copies, which goes with the process."""
    global _folder
    if _folder is None:
        _folder = TemporaryFolder()
        atexit.register(_folder.remove)
    return _folder
