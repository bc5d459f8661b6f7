"""Identifiers of new runs and models: those that the client has given them already, where it has.

skledger books before a server has answered, so a script knows its runs and models by identifiers of
its own, and says them in tags. Here they are what the server calls them, too: what the script has
printed can be opened.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from skledger.errors import AlreadyExistsError
from skledger.server.state import ServerState
from skledger.stores.rest_aliases import MODEL_TAG, RUN_TAG
from skledger.tracking.names import new_model_id, new_run_id

__all__ = ["create_model_as", "create_run_as"]

T = TypeVar("T")

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")


def create_run_as(
    state: ServerState, root: str, tags: Mapping[str, str], create: Callable[[str], T]
) -> T:
    """Create a run, and return it.

    Parameters
    ----------
    state : ServerState
        What is served.
    root : str
        Where the experiment has its files.
    tags : mapping of str to str
        Those of the run.
    create : callable
        Creates it under an identifier; `AlreadyExistsError` when that is taken.
    """
    wished = tags.get(RUN_TAG, "")
    return _create(state, root, wished if _RUN_ID.fullmatch(wished) else "", new_run_id, create)


def create_model_as(
    state: ServerState, root: str, tags: Mapping[str, str], create: Callable[[str], T]
) -> T:
    """Create a logged model, as `create_run_as` does with a run."""
    wished = tags.get(MODEL_TAG, "")
    return _create(state, root, wished if _MODEL_ID.fullmatch(wished) else "", new_model_id, create)


def _create(
    state: ServerState, root: str, wished: str, new: Callable[[], str], create: Callable[[str], T]
) -> T:
    # In a folder that some client has named, chance keeps anybody from naming files that are
    # there already.
    if wished and state.artifacts.is_own(root):
        with contextlib.suppress(AlreadyExistsError):
            return create(wished)
    return create(new())
