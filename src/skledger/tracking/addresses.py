"""Addresses: what may be shown and stored of them, and which are places on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["local_path_of", "without_credentials"]

_AUTHORITY = r"(?s)([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)"
#: Where the user is part of the address, and known to everybody: ``ssh://git@host/path``.
_NAMED_USER = ("ssh", "git+ssh", "ssh+git", "sftp")


def without_credentials(address: str) -> str:
    """Return an address without user, password and token.

    Parameters
    ----------
    address : str
        A tracking URI, or where a git repository is: a URL, ``user@host:path`` or a path.

    Returns
    -------
    str
        The same for what has no host, such as ``sqlite:///file.db``. Of what has one, nothing
        before an ``@`` (but the user of ssh) and nothing from a ``?`` or ``#`` on.
    """
    match = re.fullmatch(_AUTHORITY, address)
    if match is None or not match[2]:
        return address
    scheme, authority, rest = match.groups()
    if not _is_host(authority) and "@" in rest:
        # A password with an unescaped slash: what stands before its end is all of it.
        hidden, _, rest = rest.rpartition("@")
        authority += f"{hidden}@"
        host, mark, rest = re.split(r"([/?#]|$)", rest, maxsplit=1)
        authority, rest = authority + host, mark + rest
    user, at, host = authority.rpartition("@")
    name = user.partition(":")[0]
    kept = f"{name}{at}" if scheme.lower() in _NAMED_USER and name.isidentifier() else ""
    return f"{scheme}://{kept}{host}{re.split('[?#]', rest, maxsplit=1)[0]}"


def _is_host(authority: str) -> bool:
    """Whether it ends in a host, with a port or without."""
    if "@" in authority:
        return True
    port = re.sub(r"^\[[^]]*\]", "", authority).partition(":")[2]
    return not port or port.isdigit()


def local_path_of(uri: str) -> Path | None:
    """Return the file or folder that a tracking URI names; None when it names none."""
    if uri.startswith("sqlite:"):
        return Path(uri.partition(":")[2].removeprefix("///"))
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return None if ":" in uri else Path(uri)
