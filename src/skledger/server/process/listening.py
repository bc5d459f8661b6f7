"""Where requests come in: a socket, its address, and whether others can reach it."""

from __future__ import annotations

import errno
import ipaddress
import socket

from skledger.errors import StoreError

__all__ = ["BACKLOG", "address_of", "is_loopback", "listen"]

#: Connections that wait to be accepted.
BACKLOG = 1024


_NAMES = "Name an address of this machine with -h: 127.0.0.1, or 0.0.0.0 for all of them."
_OTHER = "Another program may be there; choose another port with -p."
#: What to do, by what is wrong.
_ADVICE = {
    errno.EADDRNOTAVAIL: f"That is no address of this machine. {_NAMES}",
    errno.EACCES: "Ports below 1024 are for administrators; choose another with -p.",
}


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any free one.

    Raises
    ------
    StoreError
        The port is taken, or there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, where = found[0]
        # asyncio sends small answers at once only where the protocol is named.
        listening = socket.socket(family, kind, protocol)
        # What a server left behind that has ended does not keep the port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(where)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except UnicodeError as error:
        raise StoreError(f"{host!r} is no name of a host. {_NAMES}") from error
    except socket.gaierror as error:
        raise StoreError(
            f"there is no host {host!r} ({error.strerror or error}). {_NAMES}"
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot listen on {host!r}, port {port}: {error.strerror or error}. "
            + _ADVICE.get(error.errno or 0, _OTHER)
        ) from error
    listening.setblocking(False)
    return listening


def address_of(host: str, port: int) -> str:
    """Return the address under which a browser on this machine finds what listens there."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "localhost", "": "127.0.0.1"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens on a host."""
    if not host:
        return False
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False  # to listen there fails by itself
    places = [str(each[4][0]).partition("%")[0] for each in found]
    return all(ipaddress.ip_address(each).is_loopback for each in places)
