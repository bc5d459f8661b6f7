"""What an answer of a tracking server means, as an exception of ours."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    ParamConflictError,
    SkledgerError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
)

__all__ = ["error_of_answer", "error_of_connection", "read_json"]

#: Codes that say the same whatever the status: MLflow sends some of them with status 500.
_BY_CODE: dict[str, type[SkledgerError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFoundError,
    "RESOURCE_ALREADY_EXISTS": AlreadyExistsError,
    "INVALID_PARAMETER_VALUE": InvalidParameterError,
    "INVALID_STATE": InvalidParameterError,
    "BAD_REQUEST": InvalidParameterError,
    "MALFORMED_REQUEST": InvalidParameterError,
}
#: A broken uniqueness as SQLite, PostgreSQL, MySQL and SQL Server say it.
_TAKEN = re.compile(r"UNIQUE constraint|duplicate key|Duplicate entry", re.IGNORECASE)
_PARAM_CHANGES = "Changing param values is not allowed"
_RUN_IS_DELETED = re.compile(r"The run \S+ must be in the 'active' state")
_LONGEST_MESSAGE = 600
#: A server may ask for any pause; a day is already more than anybody waits.
_LONGEST_PAUSE = 86400.0
_TIMEOUT_STATUS = 408


def error_of_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    request: str,
    address: str,
    *,
    has_login: bool = False,
) -> SkledgerError:
    """Return the exception that an answer stands for.

    Parameters
    ----------
    status : int
        The HTTP status, 300 or more.
    headers : Mapping
        The headers, whose keys are found whatever their case.
    body : bytes
        The body; MLflow's errors are JSON with ``error_code`` and ``message``.
    request : str
        What was asked, such as ``POST runs/create``.
    address : str
        The address of the server.
    has_login : bool, default=False
        Whether it was told who asks.
    """
    code, message = _told(body)
    said = f"{address} answered {request} with {status}" + (f": {message}" if message else "")
    if status in (401, 403):
        return StoreDeniedError(_denied(status, said, has_login=has_login), status)
    if 300 <= status < 400:
        where = headers.get("location", "another address")
        return StoreError(f"{said}; it redirects to {where}: set that as the tracking URI")
    if code in _BY_CODE:
        return _with_code(code, message, said)
    return _without_code(status, headers, said)


def _with_code(code: str, message: str, said: str) -> SkledgerError:
    if _PARAM_CHANGES in message:
        return ParamConflictError(
            f"{message} A param never changes; book it under another key or in another run"
        )
    if _RUN_IS_DELETED.search(message):
        return NotFoundError(f"{message} It is deleted: restore it first")
    if _TAKEN.search(message):
        return AlreadyExistsError(f"it is there already: {message}")
    return _BY_CODE[code](message or said)


def error_of_connection(error: Exception, address: str, seconds: float) -> StoreError:
    """Return the exception for a request that got no answer."""
    said = str(error) or type(error).__name__
    if "WRONG_VERSION_NUMBER" in said.upper() or "record layer" in said:
        return StoreUnavailableError(
            f"no secure connection to {address}: it answers, but not as https does; does the "
            "server speak http?"
        )
    if "CERTIFICATE" in said.upper() or "SSL" in said.upper():
        return StoreUnavailableError(
            f"no secure connection to {address}: {said}; name the file with its authority's "
            "certificate in SKLEDGER_TRACKING_SERVER_CERT_PATH, or set "
            "SKLEDGER_TRACKING_INSECURE_TLS=true to trust any"
        )
    if "timeout" in type(error).__name__.lower():
        return StoreUnavailableError(f"{address} did not answer within {seconds:.3g} s")
    return StoreUnavailableError(
        f"no connection to {address} ({said}); check the address, and that the server runs"
    )


def read_json(body: bytes, request: str, address: str) -> dict[str, Any]:
    """Return the answer, which is a JSON object; `StoreError` when it is something else."""
    try:
        found = json.loads(body) if body.strip() else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StoreError(
            f"{address} answered {request} with something that is no JSON object "
            f"({body[:60]!r}); is it the address of an MLflow tracking server?"
        )
    return found


def _told(body: bytes) -> tuple[str, str]:
    """Return the code and the message of an error; no code when the body is not MLflow's."""
    try:
        found = json.loads(body)
        return str(found["error_code"]), str(found.get("message", ""))[:_LONGEST_MESSAGE]
    except (ValueError, KeyError, TypeError, AttributeError):
        text = body[:_LONGEST_MESSAGE].decode(errors="replace").strip()
        return "", "" if text.startswith("<") else text


def _without_code(status: int, headers: Mapping[str, str], said: str) -> SkledgerError:
    if status in (404, 405, 501):
        return StoreError(
            f"{said}; the server does not know this request: check the address, and that it is "
            "an MLflow server of version 3 or later"
        )
    if status >= 500 or status in (429, _TIMEOUT_STATUS):
        return StoreUnavailableError(said, _pause(headers.get("retry-after", "")), status)
    if status == 413:
        return InvalidParameterError(f"{said}: that is too large for the server, or its proxy")
    return InvalidParameterError(said)


def _denied(status: int, said: str, *, has_login: bool) -> str:
    said = said.rstrip(". ")
    names = "SKLEDGER_TRACKING_USERNAME and SKLEDGER_TRACKING_PASSWORD, or SKLEDGER_TRACKING_TOKEN"
    if status == 403:
        return f"{said}; ask for the permission, or set another user or token: {names}"
    if "_TRACKING_" in said:  # the server names them itself
        return said
    if has_login:
        return f"{said}; check {names} (MLFLOW_TRACKING_... does as well)"
    return (
        f"{said}; the server wants to know who asks: set {names} (MLFLOW_TRACKING_... does as well)"
    )


def _pause(text: str) -> float | None:
    """Return the seconds of a ``Retry-After`` header, which is a number or a date."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_PAUSE)
