"""What the processes of a server are told to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

__all__ = ["ASGIApp", "Job", "Message", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Job(Protocol):
    """What a server does, in words that can be sent to another process."""

    @property
    def workers(self) -> int:
        """How many processes do it."""
        ...

    @property
    def grace(self) -> float:
        """So long requests that are under way may take after the server was told to stop, in s."""
        ...

    @property
    def shared_size(self) -> int:
        """The bytes of a file that all workers write to; 0 is none."""
        ...

    def told(self) -> dict[str, Any]:
        """Return what `from_told` makes a job of, in types that JSON has."""
        ...

    @classmethod
    def from_told(cls, told: dict[str, Any]) -> Self:
        """Return the job that another process has told."""
        ...

    def application(self, worker: int, shared: int | None) -> AbstractContextManager[Any]:
        """Give what answers requests (an ASGI application), as long as requests are answered.

        Parameters
        ----------
        worker : int
            Which of the workers this is, from 0.
        shared : int or None
            The descriptor of the file that all workers write to.
        """
        ...
