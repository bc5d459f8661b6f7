"""The files of a run: a tree, what is in a file, the file itself, and folders as archives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skledger.errors import InvalidParameterError, NotFoundError, SkledgerError
from skledger.server.api.streaming import FileResponse, StreamResponse
from skledger.server.artifact_archives import Part, zipped
from skledger.server.pages.rendering import render, state_of
from skledger.server.pages.routing import page
from skledger.server.pages.run_files import PICTURES, Entry, Place, ending_of
from skledger.server.pages.run_frame import frame, name_of, run_of
from skledger.server.pages.run_models import file_name
from skledger.server.pages.run_viewers import view_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from skledger.tracking.entities import Run

__all__ = ["routes"]

#: How many entries of a folder are shown.
_MOST = 500
#: What names of folders cannot have, on one system or another.
_NO_NAME = re.compile(r'[\x00-\x1f/\\:*?"<>|]+')
_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
    ".ico": "image/x-icon",
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".xhtml": "text/html; charset=utf-8",
}
#: A page or a drawing of somebody: an origin of its own, nothing from anywhere, no scripts.
_ALONE = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "frame-ancestors 'self'"
)
#: With scripts, on request: still an origin of its own, and nothing from anywhere.
_ALONE_WITH_SCRIPTS = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: "
    "blob:; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; worker-src blob:; "
    "frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree, with those below it when it is open."""

    entry: Entry
    label: str
    icon: str
    current: bool = False
    open: bool = False
    below: Sequence[Branch] = field(default_factory=list)
    more: int = 0


def _show(request: Request) -> Response:
    run = run_of(request)
    places = _places(request, run)
    place = _chosen(request, places)
    path = request.query_params.get("path", "").strip("/")
    base = frame(request, run, "artifacts")
    problem, status = "", 200
    tree: list[Branch] = []
    try:
        tree = _tree(places, place, path)
        entry = place.find(path)
    except SkledgerError as error:
        # The rest of the run is worth a page.
        entry, problem = Entry(place, "", True, None), error.message
        if path:
            status = 404 if isinstance(error, NotFoundError) else 400
    values = _folder(places, entry) if entry.is_dir and not problem else {}
    view = None
    if not entry.is_dir:
        view = view_of(place, entry, request.query_params.get("show", ""), _start(request))
    beside = _beside(entry) if view is not None and view.kind == "picture" else {}
    return render(
        request,
        "run_artifacts.html",
        status_code=status,
        **{
            "tree": tree,
            "place": place,
            "entry": entry,
            "view": view,
            "entries": [],
            "pictures": [],
            "more": 0,
            "empty": not tree,
            "problem": problem,
            "with_scripts": request.query_params.get("show") == "scripts",
            "showing": request.query_params.get("show", ""),
            "previous": None,
            "next": None,
            **values,
            **beside,
            **base,
        },
    )


def _start(request: Request) -> int:
    text = request.query_params.get("start", "0")
    if not (text.isascii() and text.isdigit()):
        raise InvalidParameterError(f"start={text!r}: expected the number of a row, from 0")
    return int(text[:9])


def _places(request: Request, run: Run) -> list[Place]:
    """Return where files are: those of the run, then those of each model it made."""
    models = state_of(request).store.search_logged_models(run.info.run_id)
    return [
        Place.of_run(request, run),
        *(Place.of_model(request, run, each) for each in models),
    ]


def _chosen(request: Request, places: Sequence[Place]) -> Place:
    model_id = request.query_params.get("model", "")
    for place in places:
        if place.model_id == model_id:
            return place
    raise NotFoundError(f"this run has no model {model_id!r}.")


def _folder(places: Sequence[Place], entry: Entry) -> dict[str, object]:
    entries = entry.place.list(entry.path)
    if not entry.path and entry.place is places[0]:
        entries = [*(Entry(each, "", True, None) for each in places[1:]), *entries]
    shown = entries[:_MOST]
    return {
        "entries": shown,
        "more": len(entries) - len(shown),
        "pictures": [each for each in shown if each.ending in PICTURES],
    }


def _beside(entry: Entry) -> dict[str, object]:
    """Return the pictures before and after a picture in its folder."""
    every = [e for e in entry.place.list(entry.path.rpartition("/")[0]) if e.ending in PICTURES]
    at = next((n for n, each in enumerate(every) if each.path == entry.path), 0)
    return {
        "previous": every[at - 1] if at else None,
        "next": every[at + 1] if at + 1 < len(every) else None,
    }


def _tree(places: Sequence[Place], place: Place, path: str) -> list[Branch]:
    """Return the tree: open are the folders on the way to what is shown."""
    own, *models = places
    found = [_model_branch(each, place, path) for each in models]
    return [*found, *_branches(own, "", path if place is own else None)[0]]


def _model_branch(model: Place, place: Place, path: str) -> Branch:
    entry = Entry(model, "", True, None)
    if model is not place:
        return Branch(entry, model.title, "model")
    below, more = _branches(model, "", path)
    return Branch(entry, model.title, "model", not path, True, below, more)


def _branches(place: Place, folder: str, path: str | None) -> tuple[list[Branch], int]:
    """Return what is in a folder; `path` is what is shown, None when that is elsewhere."""
    entries = place.list(folder)
    found = []
    for entry in entries[:_MOST]:
        current = path == entry.path
        is_open = entry.is_dir and path is not None and f"{path}/".startswith(f"{entry.path}/")
        below, more = _branches(place, entry.path, path) if is_open else ([], 0)
        icon = "folder" if entry.is_dir else "file"
        found.append(Branch(entry, entry.name, icon, current, is_open, below, more))
    return found, len(entries) - len(found)


def _raw_of_run(request: Request) -> Response:
    run = state_of(request).store.get_run(request.path_params["run_id"])
    return _raw(request, run.info.artifact_uri)


def _raw_of_model(request: Request) -> Response:
    model = state_of(request).store.get_logged_model(request.path_params["model_id"])
    return _raw(request, model.artifact_location)


def _raw(request: Request, location: str) -> Response:
    """Answer a file: to be saved, unless it is a picture or a page, which get no rights at all."""
    path = request.path_params["path"]
    file = state_of(request).artifacts.open(location, path)
    response = FileResponse(file)
    response.headers["cache-control"] = "private, no-cache"
    kind = _TYPES.get(ending_of(path))
    if kind and not request.query_params.get("download"):
        response.headers["content-type"] = kind
        # The name stays: it is proposed when the file is saved.
        disposition = response.headers["content-disposition"]
        response.headers["content-disposition"] = disposition.replace("attachment", "inline", 1)
        # In the frame of the page only: alone in a tab, what runs there would pass for the server.
        is_framed = request.headers.get("sec-fetch-dest") in ("iframe", "frame")
        asked = is_framed and request.query_params.get("scripts")
        with_scripts = asked and kind.startswith("text/html")
        response.headers["content-security-policy"] = (
            _ALONE_WITH_SCRIPTS if with_scripts else _ALONE
        )
        response.headers["referrer-policy"] = "no-referrer"
    return response


def _zip(request: Request) -> Response:
    run = run_of(request)
    places = _places(request, run)
    place = _chosen(request, places)
    path = request.query_params.get("path", "").strip("/")
    names = [name_of(run), place.title if place.model_id else "", path.rpartition("/")[2]]
    name = file_name("-".join(filter(None, names)))
    parts = [Part(place.location, path)]
    if not path and not place.model_id:
        parts = [*_model_parts(places), *parts]
    return StreamResponse(zipped(place.artifacts, parts), f"{name}.zip", "application/zip")


def _model_parts(places: Sequence[Place]) -> list[Part]:
    """Return the models of a run, each in the folder whose name it has on the page."""
    own, *models = places
    taken = {each.name for each in own.list("")} if models else set()
    parts = []
    for model in models:
        # What other clients book may have any name; none leads out of the folder it is saved in.
        folder = _NO_NAME.sub("-", model.title).strip("-. ") or "model"
        if folder in taken:  # of another model, or among the run's own files
            folder = f"{folder}-{model.model_id}"
        taken.add(folder)
        parts.append(Part(model.location, "", folder))
    return parts


def routes() -> list[BaseRoute]:
    """Return the routes of artifacts."""
    return [
        page("/runs/{run_id}/artifacts", _show),
        page("/runs/{run_id}/artifacts.zip", _zip),
        page("/artifacts/run/{run_id}/{path:path}", _raw_of_run),
        page("/artifacts/model/{model_id}/{path:path}", _raw_of_model),
    ]
