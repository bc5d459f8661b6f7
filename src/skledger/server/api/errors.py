"""Errors in MLflow's form: a code, a sentence, and the HTTP status that goes with the code."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from skledger.errors import (
    ModelError,
    ParamConflictError,
    SkledgerError,
)
from skledger.server.places import without_places

if TYPE_CHECKING:
    from skledger.server.state import ServerState

__all__ = ["ApiError", "error_of", "status_of"]

_log = logging.getLogger("skledger.server")

#: The HTTP status of each code, as MLflow's servers answer.
_STATUS = {
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_ALREADY_EXISTS": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "INVALID_STATE": 500,
    "PERMISSION_DENIED": 403,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
    "INTERNAL_ERROR": 500,
}
#: The classes that MLflow's clients know besides the codes.
_CLASSES = {"RESOURCE_DOES_NOT_EXIST": "RESOURCE_NOT_FOUND"}
_SQLSTATE = "KAM00"


class ApiError(SkledgerError):
    """A refusal with a code of MLflow's, and a status when it is not that of the code.

    Parameters
    ----------
    code : str
        Such as ``"PERMISSION_DENIED"``.
    message : str
        What was given, what was expected, and what to do.
    status : int, optional
        The HTTP status.
    """

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.error_code = code
        self.status = status


def status_of(code: str) -> int:
    """Return the HTTP status of a code."""
    return _STATUS.get(code, 500)


def error_of(error: BaseException, state: ServerState) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of the answer to a request that failed.

    Users of a team's server are not told where its files are.

    Parameters
    ----------
    error : BaseException
        Why it failed.
    state : ServerState
        What it was to be answered from.
    """
    status, told = _told(error)
    return status, {**told, "message": without_places(state, told["message"])}


def _told(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Return the same with the message as it was raised.

    What was not foreseen is logged with its traceback, and told without it.
    """
    if isinstance(error, UnicodeError):
        message = "the request holds characters that are no text"
        return 400, _body("INVALID_PARAMETER_VALUE", message)
    if isinstance(error, SkledgerError):
        code, message = error.error_code, error.message
        status = error.status if isinstance(error, ApiError) else None
        if isinstance(error, ModelError):
            code = "INVALID_PARAMETER_VALUE"
        if isinstance(error, ParamConflictError):
            # The words by which clients know it.
            message = f"Changing param values is not allowed. {message}"
        return status or status_of(code), _body(code, message)
    _log.error("A request failed", exc_info=error)
    return 500, _body(
        "INTERNAL_ERROR",
        f"the server failed with {type(error).__name__}; its log tells more",
    )


def _body(code: str, message: str) -> dict[str, Any]:
    return {
        "error_code": code,
        "message": message,
        "sqlstate": _SQLSTATE,
        "error_class": _CLASSES.get(code, code),
    }
