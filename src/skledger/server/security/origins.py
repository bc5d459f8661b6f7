"""From which pages a browser may ask: other sites are refused, whatever name they use.

A page of another site can make a browser on this machine send requests here. Where its name leads
to this address (DNS rebinding) the browser takes it for the same origin, so names are compared with
those this server is known by. Else the browser says where a request comes from, by ``Origin`` and
``Sec-Fetch-Site``; programs that are no browsers send neither and are let through.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, NamedTuple

from skledger.server.process.listening import is_loopback
from skledger.server.security.refusing import header_of, headers_of, is_api, refuse

if TYPE_CHECKING:
    from skledger.server.process.job import ASGIApp, Receive, Scope, Send
    from skledger.server.settings import ServerSettings

__all__ = ["HostName", "Hosts", "Origins", "parse_host"]

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.-])?)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_READING = ("GET", "HEAD")


class HostName(NamedTuple):
    """What a ``Host`` header says.

    Parameters
    ----------
    name : str
        In lower case, without the brackets of an address.
    port : int or None
        None when it is not said.
    """

    name: str
    port: int | None


def parse_host(text: str) -> HostName | None:
    """Return the host of a header; None when it is none."""
    match = _HOST.fullmatch(text.strip().lower())
    if match is None:
        return None
    name = match[1].strip("[]").removesuffix(".")
    port = int(match[2]) if match[2] else None
    return HostName(name, port) if port is None or port < 65536 else None


class Hosts:
    """The names under which a server may be asked.

    Those of this machine for itself are always among them. A server that others reach is also known
    by any address in numbers, which cannot be led elsewhere, and by the name of its machine.

    Parameters
    ----------
    host : str
        Where it listens.
    further : tuple of str
        Names that were allowed; ``*.example.org`` is every name below, ``*`` every name at all.
    """

    def __init__(self, host: str, further: tuple[str, ...] = ()) -> None:
        self._further = tuple(each.lower().removesuffix(".") for each in further)
        self._names = {"localhost"}
        self._is_open = not is_loopback(host)
        if not self._is_open or _is_name(host):
            self._names.add(host.lower())
        if self._is_open:
            machine = socket.gethostname().lower()
            self._names |= {machine, machine.partition(".")[0]}

    def allow(self, name: str) -> bool:
        """Tell whether the server may be asked under a name."""
        if name in self._names or any(_fits(name, each) for each in self._further):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or (self._is_open and not address.is_unspecified)

    def __str__(self) -> str:
        """Return the names, for a message."""
        names = ["127.0.0.1", "[::1]", *sorted(self._names - {"127.0.0.1", "::1"}), *self._further]
        return ", ".join(names + (["any address in numbers"] if self._is_open else []))


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return parse_host(host) is not None
    return False


def _fits(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return pattern in ("*", name)


class Origins:
    """Refuses what comes from the pages of other sites, and names that are not this server's."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._hosts = Hosts(settings.host, settings.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        named = headers_of(scope, b"host")
        host = parse_host(named[0]) if len(named) == 1 else None
        if host is None:
            message = (
                f"the request has the Host headers {named!r}; expected one, such as localhost:5000."
            )
            await refuse(scope, send, 400, message)
        elif not self._hosts.allow(host.name):
            await refuse(scope, send, 403, self._foreign_host(host.name))
        elif (why := _foreign(scope, host)) is not None:
            await refuse(scope, send, 403, why)
        else:
            await self._app(scope, receive, send)

    def _foreign_host(self, name: str) -> str:
        return (
            f"this server was asked as {name!r}, which is none of its names ({self._hosts}), so a "
            "page of another site may be asking. If the name is yours, start the server with "
            f"--allowed-hosts {name}"
        )


def _foreign(scope: Scope, host: HostName) -> str | None:
    """Tell why a request comes from another site; None when it does not."""
    origin = header_of(scope, b"origin")
    if origin is not None and not _same(origin, host):
        return (
            f"the request comes from a page of {origin}, and only pages of this server "
            f"({_shown(host)}) may ask it. Behind a proxy, let it pass on the Host header."
        )
    site = header_of(scope, b"sec-fetch-site")
    if site in (None, "same-origin", "none"):
        return None
    # A link that somebody follows to a page is welcome, wherever it stands.
    is_link = (
        scope["method"] in _READING
        and header_of(scope, b"sec-fetch-mode") == "navigate"
        and header_of(scope, b"sec-fetch-dest") == "document"
        and not is_api(scope["path"])
    )
    if is_link:
        return None
    return f"the browser sent this for a page of another site ({site}); open the page itself."


def _same(origin: str, host: HostName) -> bool:
    """Tell whether an origin is the host that was asked.

    The scheme is not compared: behind a proxy that speaks TLS only the browser knows it.
    """
    scheme, _, rest = origin.strip().lower().partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    there = parse_host(rest)
    if default is None or there is None:
        return False
    port = None if there.port == default else there.port
    own = None if host.port == default else host.port
    return (there.name, port) == (host.name, own)


def _shown(host: HostName) -> str:
    name = f"[{host.name}]" if ":" in host.name else host.name
    return name if host.port is None else f"{name}:{host.port}"
