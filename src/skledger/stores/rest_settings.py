"""How a tracking server is reached: its address, who asks, and whom to trust."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    import ssl

__all__ = ["Login", "Settings", "read_address", "read_settings", "who_asks"]

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks: a user with a password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.username!r}, ...)"


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What the environment says about tracking servers."""

    login: Login | None
    token: str
    insecure: bool
    server_certificate: str
    client_certificate: str

    def trust(self) -> ssl.SSLContext | bool:
        """Return whom to trust: the usual authorities, those of a file or folder, or anyone.

        Raises
        ------
        InvalidParameterError
            When a certificate cannot be read.
        """
        if not (self.insecure or self.server_certificate or self.client_certificate):
            return True
        import ssl

        try:
            context = self._authorities()
            if self.client_certificate:
                context.load_cert_chain(self.client_certificate)
        except (OSError, ssl.SSLError) as error:
            raise InvalidParameterError(
                "cannot read the certificates that SKLEDGER_TRACKING_SERVER_CERT_PATH "
                f"({self.server_certificate!r}) and SKLEDGER_TRACKING_CLIENT_CERT_PATH "
                f"({self.client_certificate!r}) name: {error}; expected PEM files (for the "
                "client: certificate and key in one)"
            ) from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _authorities(self) -> ssl.SSLContext:
        if self.server_certificate and not self.insecure:
            import ssl

            if os.path.isdir(self.server_certificate):  # noqa: PTH112
                return ssl.create_default_context(capath=self.server_certificate)
            return ssl.create_default_context(cafile=self.server_certificate)
        import httpx

        return httpx.create_ssl_context()


def read_settings() -> Settings:
    """Return what the environment says now; ``SKLEDGER_...`` goes before ``MLFLOW_...``.

    Raises
    ------
    InvalidParameterError
        When a variable has a value that it cannot have.
    """
    username, password = _setting("TRACKING_USERNAME"), _setting("TRACKING_PASSWORD")
    return Settings(
        Login(username, password) if username and password else None,
        _setting("TRACKING_TOKEN"),
        _switch("TRACKING_INSECURE_TLS"),
        _setting("TRACKING_SERVER_CERT_PATH"),
        _setting("TRACKING_CLIENT_CERT_PATH"),
    )


def who_asks(uri: str) -> tuple[str, str]:
    """Return as whom a server is asked: a user's name, or a token; two empty texts are nobody.

    Parameters
    ----------
    uri : str
        The address of the server, which may name a user.
    """
    username, password = _setting("TRACKING_USERNAME"), _setting("TRACKING_PASSWORD")
    if not (username and password):
        try:
            username = unquote(urlsplit(uri).username or "")
        except ValueError:
            username = ""
    return (username, "") if username else ("", _setting("TRACKING_TOKEN"))


def read_address(uri: str) -> tuple[str, Login | None]:
    """Return the address of a server without a slash at its end, and the user it names.

    Parameters
    ----------
    uri : str
        ``http(s)://[user:password@]host[:port][/prefix]``.

    Raises
    ------
    InvalidParameterError
        When it is something else; the message holds no password.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidParameterError(f"the address of a tracking server: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise InvalidParameterError(
            f"{parts.scheme}://{host}{parts.path!r} is no address of a tracking server: expected "
            "http://host:5000 or https://host/prefix, without '?' and '#'"
        )
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    address = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
    login = (
        Login(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    )
    return address, login


def _setting(name: str) -> str:
    return os.environ.get(f"SKLEDGER_{name}") or os.environ.get(f"MLFLOW_{name}") or ""


def _switch(name: str) -> bool:
    value = _setting(name).strip().lower()
    if value not in (*_TRUE, *_FALSE):
        raise InvalidParameterError(
            f"SKLEDGER_{name} (or MLFLOW_{name}) is true or false, not {value!r}"
        )
    return value in _TRUE
