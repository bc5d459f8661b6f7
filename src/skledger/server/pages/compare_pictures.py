"""The pictures of several runs, those of one name side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skledger.errors import SkledgerError
from skledger.tracking.entities import Run

if TYPE_CHECKING:
    from skledger.server.artifact_access import ServedArtifacts

__all__ = ["pictures"]

_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp")
#: How many folders of a run are looked into, and how many pictures of it are shown.
_FOLDERS, _PICTURES = 20, 100


def pictures(artifacts: ServedArtifacts, runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return each picture's path with the runs that have it, in the order of `runs`.

    Those that most runs have come first. Models' folders are left out.
    """
    held: dict[str, list[Run]] = {}
    for run in runs:
        for path in _of_run(artifacts, run.info.artifact_uri):
            held.setdefault(path, []).append(run)
    return {path: held[path] for path in sorted(held, key=lambda path: (-len(held[path]), path))}


def _of_run(artifacts: ServedArtifacts, uri: str) -> list[str]:
    found: list[str] = []
    folders, looked = [""], 0
    while folders and looked < _FOLDERS and len(found) < _PICTURES:
        looked += 1
        try:
            infos = artifacts.list(uri, folders.pop(0))
        except SkledgerError:
            continue  # files that are gone or out of reach are none that could be compared
        if any(each.path.rpartition("/")[2] == "MLmodel" for each in infos):
            continue
        folders += [each.path for each in infos if each.is_dir]
        found += [
            each.path for each in infos if not each.is_dir and each.path.lower().endswith(_ENDINGS)
        ]
    return found[:_PICTURES]
