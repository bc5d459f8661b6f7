"""How a tracking server was started; plain values, so that a worker process can be told them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

__all__ = ["ServerSettings"]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a tracking server was started.

    Parameters
    ----------
    store_uri : str
        The tracking URI that is served.
    artifacts_destination : str or None
        Where the files go that clients upload; their URIs start with ``mlflow-artifacts:/``. None
        when clients reach the files by themselves, as pages on one's own machine do.
    artifact_root : str or None
        Where the files of new experiments are to be. By default ``mlflow-artifacts:/`` when there
        is a destination for uploads, else the store decides.
    address : str
        Of the server, such as ``http://127.0.0.1:5000``.
    host : str
        Where it listens.
    hosts : tuple of str
        Further names under which it may be asked.
    auth_file : str or None
        The file of users who may ask; None when everybody may.
    read_only : bool
        Whether changes are refused.
    max_body : int
        The largest body of a request that is no upload of a file, in bytes.
    max_upload : int
        The largest file that may be uploaded, in bytes; 0 is without limit.
    body_seconds : float
        The longest that a body may take to come; of an upload, the longest pause in it.
    """

    store_uri: str
    artifacts_destination: str | None = None
    artifact_root: str | None = None
    address: str = "http://127.0.0.1:5000"
    host: str = "127.0.0.1"
    hosts: tuple[str, ...] = field(default=())
    auth_file: str | None = None
    read_only: bool = False
    max_body: int = 32 * 1024 * 1024
    max_upload: int = 0
    body_seconds: float = 60.0

    @classmethod
    def from_told(cls, told: dict[str, Any]) -> Self:
        """Return the settings that another process has told in JSON."""
        return cls(**{**told, "hosts": tuple(told["hosts"])})
