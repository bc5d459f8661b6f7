"""Who is asking, and whether he may change anything."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import logging
import os
import re
import secrets
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.to_thread

from skledger.errors import SkledgerError
from skledger.server.security.asking import ASKING
from skledger.server.security.refusing import header_of, refuse
from skledger.server.security.users import (
    TOKEN_PREFIX,
    User,
    UserFile,
    check_password,
    token_digest,
)

if TYPE_CHECKING:
    from skledger.server.process.job import ASGIApp, Receive, Scope, Send
    from skledger.server.settings import ServerSettings

__all__ = ["Access", "changes_nothing"]

#: Asked with POST, for the length of what they are told, and yet they only read.
_READING = re.compile(
    r"/(?:ajax-)?api/[23]\.0/mlflow/(?:[a-z-]+/)*"
    r"(?:search|search-[a-z-]+|get|get-[a-z-]+|list|list-[a-z-]+)"
)
_log = logging.getLogger("skledger.server")
_CHALLENGE = (b"www-authenticate", b'Basic realm="skledger", charset="UTF-8"')
#: Between two looks at the file of users, in seconds.
_LOOK = 1.0
#: Passwords that are known to be right are remembered, as a hash with a key of this process.
_REMEMBERED = 1000
#: Passwords that wait for being checked, of one address and of all; more are turned away.
_WAITING_OF_ONE, _WAITING = 16, 512


def changes_nothing(scope: Scope) -> bool:
    """Tell whether a request only reads."""
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return True
    return scope["method"] == "POST" and _READING.fullmatch(scope["path"]) is not None


class _Given(NamedTuple):
    """What a request says about who asks."""

    name: str | None
    secret: str


class _BusyError(Exception):
    """Too many passwords wait for being checked."""


class Access:
    """Lets those ask who are known, and those change things who may.

    Parameters
    ----------
    app : ASGI application
        What answers; it finds the name of the user in `ASKING`, and whether he may only read as
        ``scope["skledger.read_only"]``.
    settings : ServerSettings
        Its `auth_file` and `read_only`.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._read_only = settings.read_only
        self._known = Known(settings.auth_file) if settings.auth_file else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        read_only = self._read_only
        if self._known is not None and scope["path"] != "/health":
            try:
                found = await self._known.find(
                    header_of(scope, b"authorization"), _neighbourhood(scope)
                )
            except _BusyError:
                again = (b"retry-after", b"1")
                await refuse(scope, send, 503, "too many passwords wait for being checked", again)
                return
            except SkledgerError as error:
                await refuse(scope, send, 503, error.message)
                return
            if found is None:
                _note(scope)
                given = header_of(scope, b"authorization") is not None
                await refuse(scope, send, 401, _WRONG if given else _UNKNOWN, _CHALLENGE)
                return
            name, user = found
            ASKING.set(name)
            read_only = read_only or user.read_only
        scope["skledger.read_only"] = read_only
        if read_only and not changes_nothing(scope):
            whose = "this server" if self._read_only else f"user {ASKING.get()!r}"
            await refuse(scope, send, 403, f"{whose} may only read, so nothing was changed.")
            return
        await self._app(scope, receive, send)


_WRONG = "this server does not know that name with that password, or that token."
_UNKNOWN = (
    "this server asks who you are: give a name and password, or a token. Programs find them in "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or in MLFLOW_TRACKING_TOKEN."
)


def _neighbourhood(scope: Scope) -> str:
    """Return the address of a client; of IPv6 the part that a network has, not its machines."""
    address = str((scope.get("client") or ("",))[0])
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.ipv4_mapped:
        return address
    return str(ipaddress.IPv6Network((int(found), 64), strict=False))


def _note(scope: Scope) -> None:
    """Write down who was refused, as far as he has said who he is."""
    given = _given(header_of(scope, b"authorization"))
    if given is not None:
        client = (scope.get("client") or ("?",))[0]
        _log.warning("refused: user %r from %s", given.name or "(token)", client)


class Known:
    """The users of a file, looked at again when it has changed.

    Parameters
    ----------
    path : str
        The file.
    """

    def __init__(self, path: str) -> None:
        self._file = UserFile(path)
        self._stamp: tuple[int, int, int] | None = None
        self._looked = float("-inf")
        self._users: dict[str, User] = {}
        self._tokens: dict[str, tuple[str, User]] = {}
        self._key = secrets.token_bytes(32)
        #: By user and password, under the key: the hash that they were found to fit.
        self._right: dict[bytes, str] = {}
        # One at a time: it is the memory and the time of the machine that guessing must not take.
        self._one: anyio.CapacityLimiter | None = None
        self._waiting: Counter[str] = Counter()
        self._look()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        try:
            found = os.stat(self._file.path)  # noqa: PTH116
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            stamp = None
        if stamp is None or stamp != self._stamp:
            self._users = {}  # nobody, while the file cannot be read
            self._tokens = {}
            self._stamp = None
            self._users = self._file.read()
            self._tokens = {
                token.digest: (name, replace(user, read_only=user.read_only or token.read_only))
                for name, user in self._users.items()
                for token in user.tokens
            }
            self._stamp = stamp
        self._looked = now

    async def find(self, header: str | None, address: str = "") -> tuple[str, User] | None:
        """Return who is meant by a header ``Authorization``; None when that is nobody.

        Parameters
        ----------
        header : str or None
            What was sent.
        address : str
            From where: passwords from one address do not keep others waiting for long.

        Returns
        -------
        tuple of (str, User), or None
            The name and what may be done this way: a token can be for reading alone.

        Raises
        ------
        SkledgerError
            The file of users cannot be read.
        """
        self._look()
        given = _given(header)
        if given is None:
            return None
        if given.secret.startswith(TOKEN_PREFIX):
            # Looked up by its hash: how long that takes tells nothing about other tokens.
            found = self._tokens.get(token_digest(given.secret))
            if found is not None and given.name in (None, "", found[0]):
                return found
        if not given.name:
            return None
        user = self._users.get(given.name)
        if await self._is_right(given, user.password if user else "", address):
            assert user is not None
            return given.name, user
        return None

    async def _is_right(self, given: _Given, hashed: str, address: str) -> bool:
        pair = f"{given.name}\0{given.secret}".encode()
        mark = hmac.digest(self._key, pair, "sha256")
        if hashed and self._right.get(mark) == hashed:
            return True
        some = hashed or next((each.password for each in self._users.values() if each.password), "")
        if not some:
            return False
        if self._waiting[address] >= _WAITING_OF_ONE or self._waiting.total() >= _WAITING:
            raise _BusyError
        if self._one is None:
            self._one = anyio.CapacityLimiter(1)
        self._waiting[address] += 1
        try:
            # For a name that nobody has it takes as long, so that names cannot be found out.
            fits = await anyio.to_thread.run_sync(
                check_password, some, given.secret, limiter=self._one
            )
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
        if not fits or not hashed:
            return False
        if len(self._right) >= _REMEMBERED:
            self._right.clear()
        self._right[mark] = hashed
        return True


def _given(header: str | None) -> _Given | None:
    kind, _, rest = (header or "").strip().partition(" ")
    rest = rest.strip()
    if kind.lower() == "bearer" and rest:
        return _Given(None, rest)
    if kind.lower() != "basic":
        return None
    try:
        text = base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, secret = text.partition(":")
    return _Given(name, secret) if colon else None
