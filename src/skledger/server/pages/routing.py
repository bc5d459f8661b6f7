"""Routes of pages and forms: handlers are plain functions, in threads of their own."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    SkledgerError,
    StoreError,
    StoreUnavailableError,
)
from skledger.server.pages.rendering import render, state_of
from skledger.server.places import without_places

if TYPE_CHECKING:
    from starlette.responses import Response

__all__ = ["Form", "error_page", "form", "in_place", "page"]

_log = logging.getLogger("skledger.server")
_STATUS: tuple[tuple[type[SkledgerError], int, str], ...] = (
    (NotFoundError, 404, "Not found"),
    (AlreadyExistsError, 409, "The name is taken"),
    (InvalidParameterError, 400, "That cannot be"),
    (StoreUnavailableError, 503, "The store does not answer"),
    (StoreError, 503, "The store cannot do that now"),
)


class Form(Mapping[str, str]):
    """The fields of a form; a field that came several times is its last value here."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._last = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return [value for key, value in self._pairs if key == name]

    def text(self, name: str) -> str:
        """Return a field without spaces around it and with Unix line ends; "" without it."""
        return self._last.get(name, "").replace("\r\n", "\n").strip()


def page(path: str, handler: Callable[[Request], Response]) -> Route:
    """Return the route of a page; what the store refuses becomes a page that says so.

    So does a failure of our own, which is logged in one line.
    """

    def answer(request: Request) -> Response:
        return _answered(request, lambda: handler(request))

    return Route(path, answer, methods=["GET"], name=f"page:{path}")


def form(path: str, handler: Callable[[Request, Form], Response]) -> Route:
    """Return the route that takes a form's fields; who may send one is decided before it."""

    async def answer(request: Request) -> Response:
        return await run_in_threadpool(_take, request, handler, await request.body())

    return Route(path, answer, methods=["POST"], name=f"form:{path}")


def _answered(request: Request, handler: Callable[[], Response]) -> Response:
    try:
        return handler()
    except SkledgerError as error:
        return error_page(request, error)
    except Exception as error:  # noqa: BLE001 - a page must not break off, whatever it shows
        place = traceback.extract_tb(error.__traceback__)[-1]
        _log.error(
            "%s %r failed: %s: %.300r (%s:%s)",
            request.method,
            request.url.path,
            type(error).__name__,
            str(error),
            place.filename,
            place.lineno,
        )
        _log.debug("where it failed", exc_info=error)
        return error_page(
            request, _FailureError("the server failed at this page; its log says why.")
        )


class _FailureError(SkledgerError):
    """A failure of our own, which is logged already."""


def _take(request: Request, handler: Callable[[Request, Form], Response], body: bytes) -> Response:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10_000)
    except ValueError:
        return error_page(
            request, InvalidParameterError("the body is not a form; send it URL-encoded"), 400
        )
    answer = _answered(request, lambda: handler(request, Form(pairs)))
    if in_place(request) and answer.status_code == 303:
        return JSONResponse({"location": answer.headers["location"]})
    return answer


def in_place(request: Request) -> bool:
    """Whether a script sends a form, which tells itself what was refused."""
    return request.headers.get("accept") == "application/json"


def error_page(request: Request, error: SkledgerError, status: int | None = None) -> Response:
    """Return the page that tells what went wrong."""
    known = next((each for each in _STATUS if isinstance(error, each[0])), None)
    code, title = known[1:] if known else (500, "Something went wrong")
    if code >= 500 and not isinstance(error, _FailureError):
        _log.error("%s %s: %s", request.method, request.url.path, error.message)
        _log.debug("where it failed", exc_info=error)
    message = without_places(state_of(request), error.message)
    if in_place(request):
        return JSONResponse({"message": message}, status or code)
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    return render(
        request,
        "error.html",
        status_code=status or code,
        heading=title,
        message=message,
        back=_back(request),
        ways=_ways(path),
        section_of_error="models" if path.startswith("/models") else "experiments",
    )


def _ways(path: str) -> list[tuple[str, str]]:
    """Return where to go on from below a path that leads nowhere: texts and addresses."""
    family, _, rest = path.strip("/").partition("/")
    name, _, below = rest.partition("/")
    if family == "artifacts":  # /artifacts/run/<run>/...
        family, name = "runs" if name == "run" else "", below.partition("/")[0]
    if family == "models":
        above = [("The model", f"/models/{quote(name, safe='')}")] if below else []
        return [*above, ("All models", "/models")]
    found = [("All experiments", "/")]
    if family == "runs" and below:
        found.insert(0, ("The run", f"/runs/{quote(name, safe='')}"))
    return found


def _back(request: Request) -> str | None:
    """Return where a form was sent from, when that is a page of this server."""
    came = urlsplit(request.headers.get("referer", ""))
    if request.method != "POST" or came.netloc != request.url.netloc:
        return None
    return came.path + (f"?{came.query}" if came.query else "")
