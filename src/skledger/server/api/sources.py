"""Which places the versions of registered models may be said to come from."""

from __future__ import annotations

import re
from urllib.parse import unquote

from skledger.errors import InvalidParameterError
from skledger.models.uris import parse_model_uri
from skledger.server.state import ServerState

__all__ = ["check_source"]

#: How often a text may have been encoded.
_ENCODED = 4
_SEPARATORS = re.compile(r"[/\\]")


def check_source(state: ServerState, source: str, run_id: str | None) -> None:
    """Refuse a source of a version that would send whoever loads it somewhere else.

    It is handed to other clients, which fetch from there what they then load.

    Parameters
    ----------
    state : ServerState
        Knows which files are those of runs and models.
    source : str
        A run's model, a logged model, another version, a folder of a run or of a model that the
        store knows, or one of an object store.
    run_id : str or None
        The run that was sent with it.

    Raises
    ------
    InvalidParameterError
        When it is anything else.
    """
    plain = source
    for _ in range(_ENCODED):
        if "\0" in plain or ".." in _SEPARATORS.split(plain):
            raise _refused(source, "it goes up, or has a NUL")
        again = unquote(plain)
        if again == plain:
            break
        plain = again
    else:
        raise _refused(source, "it is encoded too often")
    try:
        parsed = parse_model_uri(source)
    except InvalidParameterError as error:
        raise _refused(source, error.message) from error
    if parsed.run_id is not None and run_id and parsed.run_id != run_id:
        raise _refused(source, f"it is of another run than run_id={run_id!r}")
    if parsed.kind in ("path", "artifact"):
        state.artifacts.check_source(source)


def _refused(source: str, why: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"Invalid model version source: {source!r:.200}: {why}; expected models:/..., runs:/..., "
        "or a folder among the files of a run or a model of this server"
    )
