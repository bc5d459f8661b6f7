"""The files of a run and of its models: where they are, and under which addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from skledger.errors import NotFoundError, SkledgerError
from skledger.server.pages.rendering import state_of, url

if TYPE_CHECKING:
    from starlette.requests import Request

    from skledger.server.artifact_access import ServedArtifacts
    from skledger.server.artifact_files import ServedFile
    from skledger.tracking.entities import FileInfo, LoggedModel, Run

__all__ = ["PICTURES", "Entry", "Place", "ending_of", "run_url_path", "undrawn"]

#: Endings of pictures that browsers show.
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".avif", ".ico"))

#: Files with the numbers behind pictures, and how much of one is read to tell which were drawn.
_NUMBERS = re.compile(r".+_plots(-\d+)?\.json")
_MOST_NUMBERS = 8 << 20


def ending_of(path: str) -> str:
    """Return the ending of a file's name, in small letters, with its dot; "" without one."""
    name = path.rpartition("/")[2]
    return f".{name.rpartition('.')[2].lower()}" if "." in name[1:] else ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder."""

    place: Place
    path: str
    is_dir: bool
    size: int | None

    @property
    def name(self) -> str:
        """Its name in its folder; of a root what that is called."""
        return self.path.rpartition("/")[2] or self.place.title

    @property
    def ending(self) -> str:
        """The ending of its name; "" of a folder."""
        return "" if self.is_dir else ending_of(self.path)

    @property
    def href(self) -> str:
        """The address of the page that shows it."""
        return self.place.page(self.path)

    @property
    def raw(self) -> str:
        """The address of the file itself."""
        return self.place.raw(self.path)


@dataclass(frozen=True, slots=True)
class Place:
    """A root of files: that of a run, or that of a model that a run made.

    Parameters
    ----------
    artifacts : ServedArtifacts
        Reads them.
    location : str
        The root's URI.
    run_id : str
        The run.
    model_id : str
        The model; empty for the files of the run itself.
    title : str
        What the root is called.
    """

    artifacts: ServedArtifacts
    location: str
    run_id: str
    model_id: str = ""
    title: str = "All files"

    @classmethod
    def of_run(cls, request: Request, run: Run) -> Self:
        """Return the files of a run."""
        return cls(state_of(request).artifacts, run.info.artifact_uri, run.info.run_id)

    @classmethod
    def of_model(cls, request: Request, run: Run, model: LoggedModel) -> Self:
        """Return the files of a model."""
        return cls(
            state_of(request).artifacts,
            model.artifact_location,
            run.info.run_id,
            model.model_id,
            model.name,
        )

    def list(self, path: str) -> list[Entry]:
        """Return what is in a folder, folders first."""
        found = [self._entry(each) for each in self.artifacts.list(self.location, path)]
        return sorted(found, key=lambda each: (not each.is_dir, each.name.lower(), each.name))

    def _entry(self, info: FileInfo) -> Entry:
        return Entry(self, info.path, info.is_dir, info.file_size)

    def find(self, path: str) -> Entry:
        """Return a file or a folder; `NotFoundError` when there is none."""
        above, _, name = path.rpartition("/")
        if not name:
            return Entry(self, "", True, None)
        for info in self.artifacts.list(self.location, above):
            if info.path == path:
                return self._entry(info)
        raise NotFoundError(f"there is no file {path!r} among the artifacts of this run.")

    def open(self, path: str) -> ServedFile:
        """Open a file for reading."""
        return self.artifacts.open(self.location, path)

    def page(self, path: str = "", **query: object) -> str:
        """Return the address of the page that shows a file or a folder."""
        return url(
            run_url_path(self.run_id, "/artifacts"),
            {"model": self.model_id, "path": path, **query},
        )

    def raw(self, path: str) -> str:
        """Return the address of a file itself."""
        owner = f"model/{self.model_id}" if self.model_id else f"run/{quote(self.run_id, safe='')}"
        return url(f"/artifacts/{owner}/{quote(path, errors='replace')}")

    def zip(self, path: str = "") -> str:
        """Return the address of a folder as an archive."""
        return url(
            run_url_path(self.run_id, "/artifacts.zip"), {"model": self.model_id, "path": path}
        )


def run_url_path(run_id: str, tail: str) -> str:
    """Return the path of a run's page below the root of the application."""
    return f"/runs/{quote(run_id, safe='')}{tail}"


def undrawn(entries: Sequence[Entry]) -> list[str]:
    """Return the names of pictures of which there are only numbers.

    Parameters
    ----------
    entries : sequence of Entry
        The files in a folder.
    """
    present = {each.path for each in entries}
    missing: list[str] = []
    for entry in entries:
        found = None if entry.is_dir else _NUMBERS.fullmatch(entry.name)
        if found is None or (entry.size or 0) > _MOST_NUMBERS:
            continue
        try:
            with entry.place.open(entry.path) as file:
                numbers = json.loads(file.read(_MOST_NUMBERS))
        except (SkledgerError, ValueError):
            continue  # one of somebody's own may have such a name
        for name, picture in numbers.items() if isinstance(numbers, dict) else ():
            path = f"{name}{found[1] or ''}.png"
            if isinstance(picture, dict) and "kind" in picture and path not in present:
                missing.append(path)
    return missing
