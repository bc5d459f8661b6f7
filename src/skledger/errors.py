"""The exceptions skledger raises, in one tree.

::

    SkledgerError                 anything skledger raises on purpose
    ├── InvalidParameterError     an argument, key, value or filter that cannot be (ValueError)
    │   └── ParamConflictError    a param that is already booked with another value
    ├── NotFoundError             no such experiment, run, model or artifact (LookupError)
    │   └── MissingFileError      no such file on this machine (FileNotFoundError)
    ├── AlreadyExistsError        the name is taken
    ├── StoreError                the store cannot be opened, read or written
    │   ├── StoreDeniedError      the server does not let this user, or nobody, do that
    │   └── StoreUnavailableError the server does not answer now; it may later
    └── ModelError                a model cannot be saved or loaded
        ├── ModelIntegrityError   a model file is not the one that was booked
        └── ModelTooLargeError    a model is larger than it may be

None of them ever leaves a user's ``fit``: there they become one log line.
"""

from __future__ import annotations

__all__ = [
    "AlreadyExistsError",
    "InvalidParameterError",
    "MissingFileError",
    "ModelError",
    "ModelIntegrityError",
    "ModelTooLargeError",
    "NotFoundError",
    "ParamConflictError",
    "SkledgerError",
    "StoreDeniedError",
    "StoreError",
    "StoreUnavailableError",
]


class SkledgerError(Exception):
    """Anything skledger raises on purpose.

    Attributes
    ----------
    error_code : str
        The code MLflow's REST API uses for this kind of error.
    """

    error_code = "INTERNAL_ERROR"

    @property
    def message(self) -> str:
        """What was given, what was expected, and what to do."""
        return str(self.args[0]) if self.args else ""


class InvalidParameterError(SkledgerError, ValueError):
    """An argument, a key, a value or a filter that cannot be taken."""

    error_code = "INVALID_PARAMETER_VALUE"


class ParamConflictError(InvalidParameterError):
    """A param of this run is already booked with another value."""


class NotFoundError(SkledgerError, LookupError):
    """There is no such experiment, run, model or artifact."""

    error_code = "RESOURCE_DOES_NOT_EXIST"


class MissingFileError(NotFoundError, FileNotFoundError):
    """There is no such file or folder on this machine."""


class AlreadyExistsError(SkledgerError):
    """The name is taken."""

    error_code = "RESOURCE_ALREADY_EXISTS"


class StoreError(SkledgerError):
    """The store cannot be opened, read or written."""

    error_code = "TEMPORARILY_UNAVAILABLE"


class StoreDeniedError(StoreError):
    """The server does not do that for who asks.

    Parameters
    ----------
    message : str
        What happened.
    status : int
        The HTTP status of its answer: 401 when it does not know who asks, 403 when it does.
    """

    error_code = "PERMISSION_DENIED"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class StoreUnavailableError(StoreError):
    """The server cannot be reached or has no time now: the same may succeed later.

    Parameters
    ----------
    message : str
        What happened.
    retry_after : float, optional
        The seconds that the server asked to wait; None when it said nothing.
    status : int, optional
        The HTTP status of its answer; None when there was no answer.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status


class ModelError(SkledgerError):
    """A model cannot be saved or loaded."""

    error_code = "INVALID_STATE"


class ModelIntegrityError(ModelError):
    """A model file is not the one that was booked."""


class ModelTooLargeError(ModelError):
    """A model is larger than it may be.

    Parameters
    ----------
    found : int
        Its bytes, as far as they were counted.
    limit : int
        The most that it may have.
    """

    def __init__(self, found: int, limit: int) -> None:
        super().__init__(
            f"the model has {found:,} bytes or more; it may have {limit:,} (max_model_size, or the "
            "variable SKLEDGER_MAX_MODEL_SIZE). Raise that, or store a smaller model."
        )
        self.found = found
        self.limit = limit
