"""Files over the API: those of runs, models and versions, and what clients send and fetch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from skledger.errors import InvalidParameterError
from skledger.server.api import beyond, encoding
from skledger.server.api import decoding as fields
from skledger.server.api.decoding import required
from skledger.server.api.dispatch import Args, Endpoint
from skledger.server.api.errors import ApiError, error_of
from skledger.server.api.jsons import dumps
from skledger.server.api.streaming import FileResponse
from skledger.server.artifact_access import PROXIED
from skledger.server.artifact_files import ServedFile, Upload
from skledger.server.state import ServerState

__all__ = ["ENDPOINTS", "routes"]

Answer = Callable[[Request, ServerState], Awaitable[Response]]

#: Pieces are gathered up to this size before a thread writes them.
_GATHERED = 1 << 20


# What is answered by JSON


def list_files(state: ServerState, args: Args) -> dict[str, Any]:
    """Tell the files in a folder of a run."""
    root = beyond.run_info(state.store, args["run_id"]).artifact_uri
    files = [encoding.file(each, each.path) for each in state.artifacts.list(root, args["path"])]
    return {"root_uri": root, **encoding.listed("files", files)}


def presigned(state: ServerState, args: Args) -> dict[str, Any]:
    """Refuse: files go through this server."""
    raise _not_here("URLs that lead to a store directly are not given out")


ENDPOINTS = (
    Endpoint(
        "GET",
        "artifacts/list",
        list_files,
        (required(fields.text("run_id", also="run_uuid")), fields.text("path", "")),
        "Tell the files in a folder of a run",
    ),
    Endpoint("POST", "artifacts/presigned-upload-url", presigned, (), "Not supported"),
    Endpoint("POST", "artifacts/presigned-download-url", presigned, (), "Not supported"),
)


# What is no JSON


def answered(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler of Starlette that tells errors in MLflow's form."""

    @wraps(answer)
    async def handle(request: Request) -> Response:
        try:
            return await answer(request, request.app.state.skledger)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 - told to the client, and logged
            status, told = error_of(error, request.app.state.skledger)
            return Response(dumps(told), status, media_type="application/json")

    return handle


async def list_proxied(request: Request, state: ServerState) -> Response:
    """Tell the files in a folder of what clients sent."""
    path = request.query_params.get("path", "")
    found = await anyio.to_thread.run_sync(state.artifacts.list, PROXIED, path)
    files = [encoding.file(each, each.path.rpartition("/")[2]) for each in found]
    return _json(encoding.listed("files", files))


async def download(request: Request, state: ServerState) -> Response:
    """Send a file."""
    path = request.path_params["path"]
    return await _file(request, state, PROXIED, path)


async def upload(request: Request, state: ServerState) -> Response:
    """Take a file: it is written while it comes, and there when it is whole."""
    _check_writable(state)
    length = request.headers.get("content-length", "")
    path = request.path_params["path"]
    taken: Upload = await anyio.to_thread.run_sync(state.artifacts.receive, PROXIED, path)
    try:
        size = await _take(request, taken)
        if length.isdigit() and int(length) != size:
            raise InvalidParameterError(
                f"{size} bytes of {path!r} came where {length} were announced: send it again"
            )
        await anyio.to_thread.run_sync(taken.commit)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(taken.abort)
    return Response(b"", 200)


async def delete(request: Request, state: ServerState) -> Response:
    """Remove a file or a folder."""
    _check_writable(state)
    path = request.path_params["path"]
    await anyio.to_thread.run_sync(state.artifacts.delete, PROXIED, path)
    return _json({})


async def in_parts(request: Request, state: ServerState) -> Response:
    """Refuse: a file comes in one piece, however large."""
    # The words by which MLflow's clients know that they have to send, or fetch, the file whole.
    what = "download" if request.method == "GET" else "upload"
    raise _not_here(f"Multipart {what} is not supported for the current artifact repository")


async def of_run(request: Request, state: ServerState) -> Response:
    """Send a file of a run."""
    run_id = request.query_params.get("run_id") or request.query_params.get("run_uuid") or ""
    info = await anyio.to_thread.run_sync(beyond.run_info, state.store, run_id)
    return await _file(request, state, info.artifact_uri, request.query_params.get("path", ""))


async def of_version(request: Request, state: ServerState) -> Response:
    """Send a file of a version of a registered model."""
    query = request.query_params
    root = await anyio.to_thread.run_sync(
        state.store.get_model_version_download_uri, query.get("name", ""), query.get("version", "")
    )
    return await _file(request, state, root, query.get("path", ""))


async def of_model(request: Request, state: ServerState) -> Response:
    """Send a file of a logged model."""
    model_id = request.path_params["model_id"]
    model = await anyio.to_thread.run_sync(state.store.get_logged_model, model_id)
    path = request.query_params.get("artifact_file_path", "")
    return await _file(request, state, model.artifact_location, path)


async def _file(request: Request, state: ServerState, root: str, path: str) -> Response:
    if not path:
        raise InvalidParameterError("name the file: the path is empty")
    file: ServedFile = await anyio.to_thread.run_sync(state.artifacts.open, root, path)
    return FileResponse(file)


async def _take(request: Request, taken: Upload) -> int:
    """Write what comes; a slow client keeps no thread waiting."""
    gathered: list[bytes] = []
    size = whole = 0
    async for chunk in request.stream():
        gathered.append(chunk)
        size += len(chunk)
        whole += len(chunk)
        if size >= _GATHERED:
            await anyio.to_thread.run_sync(taken.write, b"".join(gathered))
            gathered, size = [], 0
    if size:
        await anyio.to_thread.run_sync(taken.write, b"".join(gathered))
    return whole


def _check_writable(state: ServerState) -> None:
    if state.artifacts.destination is None:
        raise _not_here("files are not taken: the server has no --artifacts-destination")


def _not_here(what: str) -> ApiError:
    return ApiError(
        "NOT_IMPLEMENTED",
        f"{what}; send a file by PUT, and fetch it by GET, at "
        "/api/2.0/mlflow-artifacts/artifacts/<path>",
    )


def _json(told: Any) -> Response:
    return Response(dumps(told), media_type="application/json")


def routes() -> list[BaseRoute]:
    """Return the routes of files."""
    made: list[BaseRoute] = []
    for base in ("/api/2.0", "/ajax-api/2.0"):
        files = f"{base}/mlflow-artifacts"
        one = f"{files}/artifacts/{{path:path}}"
        made += [
            Route(f"{files}/artifacts", answered(list_proxied), methods=["GET"]),
            Route(one, answered(download), methods=["GET"]),
            Route(one, answered(upload), methods=["PUT"]),
            Route(one, answered(delete), methods=["DELETE"]),
            *(
                Route(f"{files}/mpu/{what}/{{path:path}}", answered(in_parts), methods=["POST"])
                for what in ("create", "complete", "abort")
            ),
            Route(f"{files}/presigned/{{path:path}}", answered(in_parts), methods=["GET"]),
            Route(
                f"{base}/mlflow/logged-models/{{model_id}}/artifacts/files",
                answered(of_model),
                methods=["GET"],
            ),
        ]
    made += [
        Route("/get-artifact", answered(of_run), methods=["GET"]),
        Route("/model-versions/get-artifact", answered(of_version), methods=["GET"]),
    ]
    return made
