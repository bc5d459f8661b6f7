"""The exceptions skledger raises, in one tree.

::

    SkledgerError                 anything skledger raises on purpose
    ├── InvalidParameterError     an argument, key, value or filter that cannot be (ValueError)
    │   └── ParamConflictError    a param that is already booked with another value
    ├── NotFoundError             no such experiment, run, model or artifact (LookupError)
    ├── AlreadyExistsError        the name is taken
    ├── StoreError                the store cannot be opened, read or written
    └── ModelError                a model cannot be saved or loaded
        └── ModelIntegrityError   a model file is not the one that was booked

None of them ever leaves a user's ``fit``: there they become one log line.
"""

from __future__ import annotations

__all__ = [
    "AlreadyExistsError",
    "InvalidParameterError",
    "ModelError",
    "ModelIntegrityError",
    "NotFoundError",
    "ParamConflictError",
    "SkledgerError",
    "StoreError",
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


class AlreadyExistsError(SkledgerError):
    """The name is taken."""

    error_code = "RESOURCE_ALREADY_EXISTS"


class StoreError(SkledgerError):
    """The store cannot be opened, read or written."""

    error_code = "TEMPORARILY_UNAVAILABLE"


class ModelError(SkledgerError):
    """A model cannot be saved or loaded."""

    error_code = "INVALID_STATE"


class ModelIntegrityError(ModelError):
    """A model file is not the one that was booked."""
