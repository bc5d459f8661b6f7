"""The states of what is booked, as text, with MLflow's names and numbers."""

from __future__ import annotations

__all__ = ["LifecycleStage", "LoggedModelStatus", "RunStatus", "SourceType", "ViewType"]


class RunStatus:
    """The states of a run, as text."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    #: In the order in which MLflow numbers them, from 1.
    ALL = (RUNNING, SCHEDULED, FINISHED, FAILED, KILLED)

    @staticmethod
    def all_status() -> list[str]:
        """Return every state."""
        return list(RunStatus.ALL)

    @staticmethod
    def from_string(status: str) -> str:
        """Return a state by its name; ValueError when there is none of that name."""
        if status in RunStatus.ALL:
            return status
        raise ValueError(f"a status is one of {', '.join(RunStatus.ALL)}, not {status!r}")

    @staticmethod
    def to_string(status: str | int) -> str:
        """Return the name of a state, which may be given as MLflow's number of it."""
        if isinstance(status, int) and 1 <= status <= len(RunStatus.ALL):
            return RunStatus.ALL[status - 1]
        return RunStatus.from_string(str(status))

    @staticmethod
    def is_terminated(status: str) -> bool:
        """Whether a run in this state has ended."""
        return status in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


class LifecycleStage:
    """Whether a run or an experiment is shown or deleted."""

    ACTIVE = "active"
    DELETED = "deleted"


class ViewType:
    """Which lifecycle stages a search returns."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3

    @staticmethod
    def from_string(view: str) -> int:
        """Return a view by its name, such as ``active_only``; ValueError when there is none."""
        found = _VIEWS.get(str(view).lower())
        if found is None:
            raise ValueError(f"a view is one of {', '.join(_VIEWS)}, not {view!r}")
        return found

    @staticmethod
    def to_string(view: int) -> str:
        """Return the name of a view."""
        for name, number in _VIEWS.items():
            if number == view:
                return name
        raise ValueError(f"a view is one of {sorted(_VIEWS.values())}, not {view!r}")


_VIEWS = {
    "active_only": ViewType.ACTIVE_ONLY,
    "deleted_only": ViewType.DELETED_ONLY,
    "all": ViewType.ALL,
}


class SourceType:
    """What a run was started from, as text; the tag ``mlflow.source.type``."""

    NOTEBOOK = "NOTEBOOK"
    JOB = "JOB"
    PROJECT = "PROJECT"
    LOCAL = "LOCAL"
    UNKNOWN = "UNKNOWN"


class LoggedModelStatus:
    """The states of a logged model, as text."""

    UNSPECIFIED = "UNSPECIFIED"
    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"
