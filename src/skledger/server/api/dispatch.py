"""From a request to the function that answers it, and back: one look-up, one thread, one answer.

The event loop only reads the body and sends the answer; everything that computes or asks the store
happens in a thread. The functions know nothing of HTTP: they are given the state of the server and
the fields of the request, and return the JSON of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from skledger.errors import InvalidParameterError
from skledger.server.api.decoding import Field
from skledger.server.api.errors import ApiError, error_of
from skledger.server.api.jsons import dumps, loads
from skledger.server.state import ServerState

__all__ = ["ApiRoute", "Args", "Endpoint", "path_of", "state_of"]

Args = Mapping[str, Any]
Handler = Callable[[ServerState, Args], Mapping[str, Any]]

#: Where the API is; the second is what MLflow's own pages ask.
PREFIXES = tuple(
    f"/{base}/{version}/mlflow/" for base in ("api", "ajax-api") for version in ("2.0", "3.0")
)
_JSON = (b"content-type", b"application/json")
#: SQLite has one writer at a time. Threads that wait in its own way sleep for longer and longer;
#: here each one's turn comes as soon as the one before is done.
_one_writer: RunVar[anyio.CapacityLimiter] = RunVar("skledger_one_writer")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing that can be asked.

    Parameters
    ----------
    method : str
        Of HTTP.
    path : str
        Below the prefix; a part in braces is a field.
    handle : callable
        Given the state of the server and the fields, returns the answer.
    fields : tuple of Field
        What the request says.
    summary : str
        What it does, in a few words.
    writes : bool
        Whether it changes something.
    """

    method: str
    path: str
    handle: Handler
    fields: tuple[Field, ...] = ()
    summary: str = ""
    writes: bool = False

    def read(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields in what was sent."""
        return {each.name: each.of(sent) for each in self.fields}


@dataclass(slots=True)
class _Request:
    """What came, as it came."""

    endpoint: Endpoint
    path_fields: Mapping[str, str]
    query: bytes
    body: bytes = b""

    def answer(self, state: ServerState) -> tuple[int, bytes]:
        """Return the status and the body of the answer; called in a thread."""
        try:
            told = self.endpoint.handle(state, self.endpoint.read(self._sent()))
            return 200, dumps(told)
        except Exception as error:  # noqa: BLE001 - told to the client, and logged
            status, told = error_of(error, state)
            return status, dumps(told)

    def _sent(self) -> Mapping[str, Any]:
        sent = loads(self.body)
        if self.query:
            sent = {**self._queried(), **sent}
        return {**sent, **self.path_fields} if self.path_fields else sent

    def _queried(self) -> dict[str, Any]:
        try:
            given = parse_qs(self.query.decode("latin-1"), keep_blank_values=True)
        except ValueError as error:
            raise InvalidParameterError(
                f"the query of the request cannot be read: {error}"
            ) from error
        many = {each.name for each in self.endpoint.fields if each.is_list}
        return {name: values if name in many else values[-1] for name, values in given.items()}


class ApiRoute(BaseRoute):
    """All that can be asked by JSON, as one route.

    Parameters
    ----------
    endpoints : iterable of Endpoint
        What can be asked.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._plain: dict[str, dict[str, Endpoint]] = {}
        self._with_fields: list[tuple[tuple[str, ...], Endpoint]] = []
        for each in endpoints:
            if "{" in each.path:
                self._with_fields.append((tuple(each.path.split("/")), each))
            else:
                self._plain.setdefault(each.path, {})[each.method] = each

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take every path below the prefixes, also one that nobody knows."""
        if scope["type"] == "http" and path_of(scope).startswith(PREFIXES):
            return Match.FULL, {}
        return Match.NONE, {}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raise: nothing here has a name."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        state = state_of(scope)
        try:
            request = self._find(scope)
            _check_body_type(scope)
            body = await _read_body(receive)
            if body is None:
                return  # the client has gone
            request.body = body
        except Exception as error:  # noqa: BLE001 - told to the client, and logged
            status, told = error_of(error, state)
            await _send(send, status, dumps(told))
            return
        limiter = _limiter(state) if request.endpoint.writes else None
        status, answer = await anyio.to_thread.run_sync(request.answer, state, limiter=limiter)
        await _send(send, status, answer)

    def _find(self, scope: Scope) -> _Request:
        path, method = path_of(scope), scope["method"]
        below = path.split("/", 4)[4]
        found: Mapping[str, Endpoint] = self._plain.get(below, {})
        fields: Mapping[str, str] = {}
        if not found:
            found, fields = self._find_with_fields(scope)
        if method not in found:
            if found:
                raise ApiError(
                    "BAD_REQUEST", f"{path} is asked by {' or '.join(found)}, not by {method}", 405
                )
            raise ApiError(
                "ENDPOINT_NOT_FOUND",
                f"{path} is not known to this server, which knows what /api/openapi.json tells",
            )
        return _Request(found[method], fields, scope["query_string"])

    def _find_with_fields(self, scope: Scope) -> tuple[Mapping[str, Endpoint], Mapping[str, str]]:
        raw = scope.get("raw_path") or scope["path"].encode()
        # As it was sent: a slash within a part is no border between two.
        parts = [
            _unquoted(each) for each in raw.split(b"?")[0].rsplit(b"/mlflow/", 1)[-1].split(b"/")
        ]
        found: dict[str, Endpoint] = {}
        fields: dict[str, str] = {}
        for pattern, endpoint in self._with_fields:
            if len(pattern) == len(parts) and all(
                wanted[:1] == "{" or wanted == part
                for wanted, part in zip(pattern, parts, strict=True)
            ):
                found[endpoint.method] = endpoint
                named = zip(pattern, parts, strict=True)
                fields = {name[1:-1]: part for name, part in named if name[:1] == "{"}
        return found, fields


def path_of(scope: Scope) -> str:
    """Return the path of a request, below where the application is mounted."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path.removeprefix(root) if root else path


def state_of(scope: Scope) -> ServerState:
    """Return the state of the server."""
    state: ServerState = scope["app"].state.skledger
    return state


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body of a request, None when the client goes away; how long it may be is checked.

    See `skledger.server.security.bodies`.
    """
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _check_body_type(scope: Scope) -> None:
    """Refuse what a page of another site can send without asking: a form."""
    kind = _header(scope, b"content-type").split(b";")[0].strip().lower()
    if kind and kind != b"application/json":
        raise ApiError(
            "INVALID_PARAMETER_VALUE",
            f"Bad Request. Content-Type must be application/json, got {kind.decode('latin-1')!r}",
        )


def _header(scope: Scope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def _unquoted(part: bytes) -> str:
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError as error:
        raise InvalidParameterError(
            f"the path of the request is no UTF-8: {part[:60]!r}"
        ) from error


def _limiter(state: ServerState) -> anyio.CapacityLimiter | None:
    if not state.store.uri.startswith("sqlite:"):
        return None
    try:
        return _one_writer.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(1)
        _one_writer.set(limiter)
        return limiter


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
