"""What one kind of database needs of its own; the rest of `SqlStore` is the same for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine

__all__ = ["Backend"]


class Backend(ABC):
    """How a kind of database is opened, and where it differs from the others.

    Attributes
    ----------
    uri : str
        The URI, absolute and without a password: it names the store, in messages too.
    artifact_root : str
        The folder or URI under which each experiment has its artifacts.
    can_move : bool
        Whether the database may be moved with its artifacts beside it, so that their paths are
        to be looked for there.
    attempts : int
        How often a write is tried when another one was in its way.
    advice : mapping
        What to do about an error, by a part of the driver's text.
    """

    can_move: bool = False
    attempts: int = 1
    advice: Mapping[str, str] = MappingProxyType({})

    def __init__(self, uri: str, artifact_root: str) -> None:
        self.uri = uri
        self.artifact_root = artifact_root

    @abstractmethod
    def create_engine(self) -> Engine:
        """Return a new engine; called again after a fork.

        Transactions that write have the execution option ``skledger_writes``.
        """

    @abstractmethod
    def like(
        self, column: ColumnElement[Any], pattern: str, same_case: bool
    ) -> ColumnElement[bool]:
        """Return the comparison of a column with a pattern, with or without regard to case."""

    def is_stale(self, engine: Engine) -> bool:
        """Tell whether an engine has lost its database, so that another one is to be made."""
        return False

    def is_collision(self, error: BaseException) -> bool:
        """Tell whether a driver's error means that two writers were in each other's way."""
        return False

    @contextmanager
    def making_schema(self, connection: Connection) -> Iterator[None]:
        """Let one process at a time make the schema; by default a writer's lock does."""
        yield
