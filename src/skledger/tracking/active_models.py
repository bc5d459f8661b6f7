"""The logged model that a thread works on, and the last one that it logged."""

from __future__ import annotations

import os
import threading
from types import TracebackType

from skledger.errors import InvalidParameterError
from skledger.tracking.entities import LoggedModel
from skledger.tracking.session import get_store

__all__ = [
    "ActiveModel",
    "clear_active_model",
    "get_active_model_id",
    "last_logged_model",
    "remember_model",
    "set_active_model",
]

_VARIABLES = ("SKLEDGER_ACTIVE_MODEL_ID", "MLFLOW_ACTIVE_MODEL_ID")


class _Thread(threading.local):
    """What a thread has chosen: nothing yet, nothing any more (an empty text), or a model."""

    active: str | None = None
    #: The last model, and the store that it is in: identifiers mean nothing in another one.
    last: tuple[str, str] | None = None


_thread = _Thread()


class ActiveModel(LoggedModel):
    """A logged model that is active until its ``with`` block ends."""

    def __enter__(self) -> ActiveModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _thread.active = self.__dict__.get("_before")


def set_active_model(*, name: str | None = None, model_id: str | None = None) -> ActiveModel:
    """Make a logged model the one of which this thread's metrics are booked, too.

    Parameters
    ----------
    name : str, optional
        The newest model of this name in the experiment in use; without one, a model whose files
        are elsewhere is made for the active run.
    model_id : str, optional
        Its identifier.

    Returns
    -------
    ActiveModel
        At the end of its ``with`` block, what was active before is so again.

    Raises
    ------
    InvalidParameterError
        When neither is given, when the model has another name, or when a model is to be made
        and no run is active.
    NotFoundError
        When there is no model of that identifier.
    """
    from skledger.tracking.fluent_models import create_external_model, newest_model

    if model_id is not None:
        model = get_store().get_logged_model(model_id)
        if name is not None and model.name != name:
            raise InvalidParameterError(
                f"The model {model_id} has the name {model.name!r}, not {name!r}; give one of the "
                "two only."
            )
    elif name is not None:
        model = newest_model(name) or create_external_model(name)
    else:
        raise InvalidParameterError("set_active_model takes a name or a model_id; give one.")
    active = ActiveModel(**dict(model))
    object.__setattr__(active, "_before", _thread.active)
    _thread.active = active.model_id
    return active


def get_active_model_id() -> str | None:
    """Return the identifier of the active model of this thread, or None.

    The one that was set; else ``SKLEDGER_ACTIVE_MODEL_ID`` or ``MLFLOW_ACTIVE_MODEL_ID``.
    """
    if _thread.active is not None:
        return _thread.active or None
    return next((value for each in _VARIABLES if (value := os.environ.get(each))), None)


def clear_active_model() -> None:
    """Have no active model in this thread, whatever the environment says."""
    _thread.active = ""


def remember_model(model_id: str) -> None:
    """Take note of a model that this thread has logged."""
    _thread.last = (get_store().uri, model_id)


def last_logged_model() -> LoggedModel | None:
    """Return the model that this thread logged last, or None."""
    store = get_store()
    if _thread.last is None or _thread.last[0] != store.uri:
        return None
    return store.get_logged_model(_thread.last[1])
