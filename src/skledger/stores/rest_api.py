"""Requests to a tracking server, each with an end in time and errors of ours.

Nothing here is imported by who books into a file; httpx comes with the first request.
"""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skledger.errors import InvalidParameterError, StoreError, StoreUnavailableError
from skledger.stores.rest_errors import error_of_answer, error_of_connection, read_json
from skledger.stores.rest_settings import Settings, read_address, read_settings

if TYPE_CHECKING:
    import httpx

__all__ = ["API", "ARTIFACTS", "Api", "shared_api"]

#: Where the requests of the tracking API and of the artifacts go, below the address.
API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"

_CONNECT = 2.0
_READ = 5.0
#: A write may make the server work: a thousand metrics into a busy database.
_WRITE = 60.0
#: A large file travels on from the server to where it stays before there is an answer.
_TRANSFER = 300.0
_ATTEMPTS = 3
_PAUSE = 0.1
#: Servers drop an idle connection after five seconds (uvicorn); we drop it before.
_IDLE = 4.0
_CHUNK = 1 << 20
_READS = (
    "runs/search",
    "experiments/search",
    "logged-models/search",
    "registered-models/get-latest-versions",
)


class Api:
    """One tracking server. Its methods may be called from any thread, and after a fork.

    Parameters
    ----------
    uri : str
        ``http(s)://[user:password@]host[:port][/prefix]``. Who asks and whom to trust is read
        from the environment at each request: ``SKLEDGER_TRACKING_USERNAME`` and
        ``..._PASSWORD``, ``..._TOKEN``, ``..._INSECURE_TLS``, ``..._SERVER_CERT_PATH``,
        ``..._CLIENT_CERT_PATH``, or the same with ``MLFLOW_``.
    read_timeout : float, default=5
        The longest time for a read, in seconds, with its repetitions.

    Attributes
    ----------
    uri : str
        The address, without user and password.

    Raises
    ------
    InvalidParameterError
        When it is no address of a server.
    """

    def __init__(self, uri: str, read_timeout: float = _READ) -> None:
        self.uri, self._login = read_address(uri)
        self._read_timeout = read_timeout
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._made_for: tuple[int, Settings] | None = None
        _apis.add(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask for something; repeated while there is time when the server is not well."""
        return self._read("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a JSON object; searches are repeated as `get` is, writes are sent once."""
        if path in _READS:
            return self._read("POST", path, body=body)
        return self._once("POST", path, _WRITE, body=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a change as a JSON object, once."""
        return self._once("PATCH", path, _WRITE, body=body)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask to remove something, once; what, may be a JSON object."""
        return self._once("DELETE", path, _WRITE, body=body)

    def list_files(self, url: str, path: str) -> list[dict[str, Any]]:
        """Return what is in a folder of artifacts, by the base of their URLs and its path."""
        return list(self._read("GET", url, query={"path": path}).get("files", ()))

    @contextmanager
    def download(self, url: str) -> Iterator[Iterator[bytes]]:
        """Yield the chunks of a file, as they come."""
        timeout = (_CONNECT, _TRANSFER)
        with self._answer("GET", url, timeout, follow_redirects=True) as answer:
            yield _chunks(answer, self.uri)

    def upload(self, url: str, source: IO[bytes], size: int) -> None:
        """Send a file without holding it in memory.

        Parameters
        ----------
        url : str
            Where to.
        source : binary file
            What to send, from where it stands.
        size : int
            How many bytes that are.
        """
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        content = _first_bytes(source, size)
        with self._answer("PUT", url, (_CONNECT, _TRANSFER), content=content, headers=headers) as _:
            pass

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            client, self._client, self._made_for = self._client, None, None
        if client is not None:
            client.close()

    # The inside

    def _read(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        end = time.monotonic() + self._read_timeout
        for attempt in range(_ATTEMPTS):
            try:
                left = max(end - time.monotonic(), 0.01)
                return self._once(method, path, left, query=query, body=body)
            except StoreUnavailableError as error:
                pause = _PAUSE * 2**attempt if error.retry_after is None else error.retry_after
                last = attempt == _ATTEMPTS - 1
                if last or time.monotonic() + pause >= end or not _may_pass(error):
                    raise
                time.sleep(pause)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _once(
        self,
        method: str,
        path: str,
        seconds: float,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        content = None
        headers = {}
        if body is not None:
            content = encode_body(body)
            headers["Content-Type"] = "application/json"
        url = path if path.startswith(("/", "http")) else API + path
        timeout = (min(_CONNECT, seconds), seconds)
        with self._answer(
            method, url, timeout, params=query or None, content=content, headers=headers
        ) as answer:
            end = time.monotonic() + seconds
            whole = b"".join(_chunks(answer, self.uri, end, seconds))
        return read_json(whole, f"{method} {path}", self.uri)

    @contextmanager
    def _answer(
        self,
        method: str,
        url: str,
        timeout: tuple[float, float],
        *,
        follow_redirects: bool = False,
        **request: Any,
    ) -> Iterator[httpx.Response]:
        """Yield an answer whose body is not read yet; one that is an error is raised."""
        import httpx

        connect, read = timeout
        client = self._connected()
        limits = httpx.Timeout(read, connect=connect, pool=_WRITE)
        full = url if url.startswith("http") else self.uri + url
        address = self.uri if full.startswith(self.uri) else _origin(full)
        shown = f"{method} {full.removeprefix(address).removeprefix(API)}"
        try:
            prepared = client.build_request(method, full, timeout=limits, **request)
            auth = httpx.USE_CLIENT_DEFAULT if self._is_known_host(full) else None
            answer = client.send(
                prepared, stream=True, follow_redirects=follow_redirects, auth=auth
            )
        except httpx.InvalidURL as error:
            raise InvalidParameterError(f"{full!r} is no address: {error}") from error
        except httpx.HTTPError as error:
            waited = connect if isinstance(error, httpx.ConnectTimeout) else read
            raise error_of_connection(error, address, waited) from error
        try:
            if answer.status_code >= 300:
                body = b"".join(_chunks(answer, address))
                raise error_of_answer(
                    answer.status_code,
                    answer.headers,
                    body,
                    shown,
                    address,
                    has_login="Authorization" in answer.request.headers,
                )
            yield answer
        finally:
            answer.close()

    def _is_known_host(self, url: str) -> bool:
        """Whether a URL is of this server: nobody else is told who asks.

        An artifact location is what some user of the server wrote.
        """
        ours, theirs = urlsplit(self.uri), urlsplit(url)
        return theirs.hostname == ours.hostname and theirs.scheme in (ours.scheme, "https")

    def _connected(self) -> httpx.Client:
        """Return the connections of this process, made anew when the settings have changed."""
        settings = read_settings()
        made_for = (os.getpid(), settings)
        client = self._client
        if client is None or self._made_for != made_for:
            with self._lock:
                if self._client is None or self._made_for != made_for:
                    # Threads may still use the old one, or a fork shares its connections with
                    # the parent: it goes with its last user, nobody closes it.
                    self._client, self._made_for = self._make_client(settings), made_for
                client = self._client
        return client

    def _make_client(self, settings: Settings) -> httpx.Client:
        import httpx

        login = settings.login or self._login
        auth: tuple[str, str] | Callable[[httpx.Request], httpx.Request] | None = None
        if login is not None:
            auth = (login.username, login.password)
        elif settings.token:
            auth = _bearer(settings.token)
        return httpx.Client(
            auth=auth,
            headers={"User-Agent": "skledger"},
            verify=settings.trust(),
            limits=httpx.Limits(keepalive_expiry=_IDLE),
        )


def encode_body(body: Mapping[str, Any]) -> bytes:
    """Return a request as JSON."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


_apis: weakref.WeakSet[Api] = weakref.WeakSet()
_shared: dict[str, Api] = {}


def shared_api(uri: str) -> Api:
    """Return the one `Api` of a server's address, so that all use the same connections."""
    address, login = read_address(uri)
    found = _shared.get(address)
    if found is None or (login is not None and login != found._login):
        found = _shared[address] = Api(uri)
    return found


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _bearer(token: str) -> Callable[[httpx.Request], httpx.Request]:
    def add(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return add


def _chunks(
    answer: httpx.Response, address: str, end: float | None = None, seconds: float = _TRANSFER
) -> Iterator[bytes]:
    """Yield the body of an answer; one that comes in drops has an end in time as well."""
    import httpx

    try:
        for chunk in answer.iter_bytes(_CHUNK if end is None else None):
            yield chunk
            if end is not None and time.monotonic() > end:
                raise StoreUnavailableError(f"{address} did not finish within {seconds:.3g} s")
    except httpx.DecodingError as error:
        raise StoreError(f"{address} sent what cannot be decoded: {error}") from error
    except httpx.HTTPError as error:
        raise error_of_connection(error, address, seconds) from error


def _first_bytes(source: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield as much as was promised, also of a file that grows meanwhile."""
    while size > 0 and (chunk := source.read(min(_CHUNK, size))):
        size -= len(chunk)
        yield chunk


def _may_pass(error: StoreUnavailableError) -> bool:
    """Whether it is worth asking again at once: not when nobody listens, or time ran out."""
    cause = type(error.__cause__).__name__
    return cause in ("NoneType", "ReadError", "WriteError", "RemoteProtocolError", "CloseError")


def _renew_locks() -> None:
    """Give the child of a fork locks that no thread of the parent holds."""
    for api in list(_apis):
        api._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
