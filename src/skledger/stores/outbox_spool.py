"""The files of an outbox: written where runs and models say they are, until the server has them.

::

    files/<run_id>/artifacts/...
    files/models/<model_id>/artifacts/...
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Spool", "SpooledFile"]

MODELS = "models"
#: Files and folders that are still being made.
_IN_THE_MAKING = re.compile(r"\.[0-9a-f]{32}\.tmp\Z")
#: Ages in seconds: of an empty folder nobody is about to write into, and of what nobody owns.
EMPTY_AGE, ORPHAN_AGE = 60.0, 24 * 3600.0


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """A file that is there.

    Parameters
    ----------
    path : str
        Its path among the artifacts, with ``/``.
    source : str
        Where it is.
    stamp : str
        Tells it from another that takes its name.
    size : int
        Its length in bytes.
    """

    path: str
    source: str
    stamp: str
    size: int


class Spool:
    """The files that wait.

    Parameters
    ----------
    root : Path
        Their folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def run_folder(self, run_id: str) -> str:
        """Return where the artifacts of a run are."""
        return f"{self.root}/{run_id}/artifacts"

    def model_folder(self, model_id: str) -> str:
        """Return where the artifacts of a model are."""
        return f"{self.root}/{MODELS}/{model_id}/artifacts"

    def runs(self) -> list[str]:
        """Return the runs that have a folder."""
        return [name for name in _names(str(self.root)) if name != MODELS]

    def files(self, folder: str) -> Iterator[SpooledFile]:
        """Yield the files in a folder that are complete."""
        yield from _walk(folder, "")

    def take_away(self, file: SpooledFile) -> bool:
        """Remove a file, unless another has taken its name; tell whether it is gone."""
        aside = f"{file.source}.{os.urandom(16).hex()}.tmp"
        try:
            os.rename(file.source, aside)  # noqa: PTH104
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if _stamp(os.stat(aside)) == file.stamp:  # noqa: PTH116
            os.unlink(aside)  # noqa: PTH108
            return True
        # It was replaced since it was read. A third may be there by now, which is newer.
        with suppress(OSError):
            os.link(aside, file.source)
        os.unlink(aside)  # noqa: PTH108
        return False

    def remove_model(self, model_id: str) -> None:
        """Remove the folder of a model."""
        shutil.rmtree(self.root / MODELS / model_id, ignore_errors=True)

    def models(self) -> list[str]:
        """Return the models that have a folder."""
        return _names(str(self.root / MODELS))

    def age(self, *parts: str) -> float:
        """Return for how long nothing was made or renamed in a folder, in seconds."""
        try:
            return time.time() - self.root.joinpath(*parts).stat().st_mtime
        except OSError:
            return 0.0

    def remove_run(self, run_id: str) -> None:
        """Remove the folder of a run with everything in it."""
        shutil.rmtree(self.root / run_id, ignore_errors=True)

    def prune(self) -> None:
        """Remove the folders that are empty and that nobody is about to write into."""
        self._prune(self.root, EMPTY_AGE)

    def prune_run(self, run_id: str) -> None:
        """Remove the folder of a run, if there is no file in it."""
        self._prune(self.root / run_id, 0.0)
        with suppress(OSError):
            (self.root / run_id).rmdir()

    @staticmethod
    def _prune(root: Path, age: float) -> None:
        now = time.time()
        for folder, _, names in os.walk(root, topdown=False):
            for name in names:
                if _IN_THE_MAKING.search(name):
                    with suppress(OSError):
                        file = Path(folder, name)
                        if now - file.stat().st_mtime > ORPHAN_AGE:  # of a process that was killed
                            file.unlink()
            if folder == str(root):
                continue
            with suppress(OSError):
                if now - os.stat(folder).st_mtime >= age:  # noqa: PTH116
                    os.rmdir(folder)  # noqa: PTH106


def _names(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return sorted(each.name for each in found if each.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}"


def _walk(folder: str, below: str) -> Iterator[SpooledFile]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda each: each.name)
    except OSError:
        return
    for each in entries:
        if _IN_THE_MAKING.search(each.name):
            continue
        path = f"{below}{each.name}"
        if each.is_dir(follow_symlinks=False):
            yield from _walk(each.path, f"{path}/")
            continue
        try:
            known = os.stat(each.path)  # noqa: PTH116
        except OSError:
            continue
        yield SpooledFile(path, each.path, _stamp(known), known.st_size)
