"""Runs of the fluent API: start, end, and the one that is active.

Each thread has its own stack of active runs, so two threads never write to each other's run.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from skledger._exit import at_exit
from skledger._guard import contain, thread
from skledger.errors import InvalidParameterError, SkledgerError
from skledger.tracking.context import default_tags, process_identity, user_name, when_known
from skledger.tracking.entities import (
    LifecycleStage,
    Run,
    RunChange,
    RunInfo,
    RunStatus,
    as_tags,
)
from skledger.tracking.names import new_run_id, now_ms, random_name
from skledger.tracking.session import (
    experiment_in_use,
    experiment_to_book,
    get_store,
    store_to_read,
)

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = [
    "ActiveRun",
    "active_run",
    "end_run",
    "get_run",
    "last_active_run",
    "start_run",
]

PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"
NOTE_TAG = "mlflow.note.content"
#: Which process works on a run, written while it is RUNNING.
PROCESS_TAG = "skledger.process"
#: Why a run ended otherwise than well.
ERROR_TAGS = ("skledger.error.type", "skledger.error.message", "skledger.error.traceback")
#: What may not be true any more when a run ends: who works on it, and why it seemed to have ended.
STALE_TAGS = (PROCESS_TAG, *ERROR_TAGS)
#: The reasons of those who are thought dead: their process is gone, or nothing is heard of them.
JUDGEMENTS = PROCESS_DIED, STALE = "ProcessDied", "Stale"


class ActiveRun(Run):
    """A run that ends with its ``with`` block: FINISHED, FAILED or KILLED."""

    __slots__ = ()

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _end(self.info.run_id, status_after(error))


class _Stack(threading.local):
    """The active runs of a thread, and the last one it worked on."""

    def __init__(self) -> None:
        self.runs: list[ActiveRun] = []
        # Which process made each run active: a forked child may write to the run it was born
        # in, but only the parent ends it.
        self.process: dict[str, int] = {}
        self.last: str | None = None


_stack = _Stack()
_last_of_process: str | None = None


def status_after(error: BaseException | None) -> str:
    """Return the state of a run that ended with `error`; an interrupt has killed it."""
    if error is None:
        return RunStatus.FINISHED
    return RunStatus.KILLED if isinstance(error, KeyboardInterrupt) else RunStatus.FAILED


def new_run_info(
    run_name: str,
    *,
    started: int | None = None,
    experiment_id: str | None = None,
    store: Store | None = None,
) -> RunInfo:
    """Describe a run that is about to be created, RUNNING, in the experiment in use.

    Parameters
    ----------
    run_name : str
        Its name.
    started : int, optional
        Its start in ms since the epoch; now by default.
    experiment_id : str, optional
        Another experiment.
    store : Store, optional
        The store that has that experiment; by default the one in use.
    """
    if experiment_id is None:
        experiment = experiment_in_use()
    else:
        experiment = experiment_to_book(store or get_store(), str(experiment_id))
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise InvalidParameterError(
            f"The experiment {experiment.name!r} is deleted and takes no runs."
        )
    run_id = new_run_id()
    return RunInfo(
        run_id=run_id,
        experiment_id=experiment.experiment_id,
        run_name=run_name,
        user_id=user_name(),
        status=RunStatus.RUNNING,
        start_time=now_ms() if started is None else started,
        end_time=None,
        lifecycle_stage=LifecycleStage.ACTIVE,
        artifact_uri=f"{experiment.artifact_location.rstrip('/')}/{run_id}/artifacts",
    )


def child_run_info(parent: RunInfo, run_name: str, started: int) -> RunInfo:
    """Describe a run that is about to be created beside its parent, RUNNING.

    Parameters
    ----------
    parent : RunInfo
        Gives the experiment, the user and the place of the artifacts.
    run_name : str
        Its name.
    started : int
        Its start in ms since the epoch.
    """
    run_id = new_run_id()
    root = parent.artifact_uri.removesuffix(f"/{parent.run_id}/artifacts")
    return RunInfo(
        run_id=run_id,
        experiment_id=parent.experiment_id,
        run_name=run_name,
        user_id=parent.user_id,
        status=RunStatus.RUNNING,
        start_time=started,
        end_time=None,
        lifecycle_stage=LifecycleStage.ACTIVE,
        artifact_uri=f"{root}/{run_id}/artifacts",
    )


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
) -> ActiveRun:
    """Start a run, or take up one by its identifier, and make it the active one.

    Parameters
    ----------
    run_id : str, optional
        Take up this run instead of making a new one.
    experiment_id : str, optional
        The experiment of a new run; by default the one in use.
    run_name : str, optional
        The name of a new run; by default one is made up.
    nested : bool, default=False
        Make the new run a child of the active one. Without it, starting a run while another is
        active is an error.
    parent_run_id : str, optional
        Make the new run a child of this one.
    tags : mapping, optional
        Tags to set on the run.
    description : str, optional
        A note, in Markdown; the tag ``mlflow.note.content``.
    log_system_metrics : bool, optional
        Taken for compatibility.

    Returns
    -------
    ActiveRun
        The run; in a ``with`` statement it ends with the block.

    Raises
    ------
    SkledgerError
        When another run is active and `nested` is False.
    NotFoundError
        When there is no run of that identifier.
    """
    if _stack.runs and not nested and parent_run_id is None:
        current = _stack.runs[-1].info
        raise SkledgerError(
            f"The run {current.run_name!r} ({current.run_id}) is already active in this thread. "
            "End it with end_run() or a `with` block, or start this one with nested=True."
        )
    if run_id is None and not _stack.runs:
        # As with MLflow, it is for the first run: the next one is a run of its own.
        run_id = os.environ.pop("MLFLOW_RUN_ID", None) or None
    extra = {str(key): str(value) for key, value in (tags or {}).items()}
    if description is not None:
        extra[NOTE_TAG] = description
    if run_id is not None:
        run = _take_up(run_id, run_name, extra)
    else:
        if parent_run_id is None and nested:
            parent_run_id = _stack.runs[-1].info.run_id if _stack.runs else _id_of_fit()
        if parent_run_id is not None:
            get_store().get_run(parent_run_id)
            extra.setdefault(PARENT_TAG, parent_run_id)
        run = _create(run_name or extra.get(NAME_TAG) or random_name(), experiment_id, extra)
    _stack.runs.append(run)
    _stack.process[run.info.run_id] = os.getpid()
    remember(run.info.run_id)
    return run


def _create(run_name: str, experiment_id: str | None, tags: dict[str, str]) -> ActiveRun:
    info = new_run_info(run_name, experiment_id=experiment_id)
    all_tags = {
        **default_tags(),
        **tags,
        NAME_TAG: run_name,
        PROCESS_TAG: process_identity(),
    }
    store = get_store()
    store.write(RunChange(info.run_id, create=info, tags=as_tags(all_tags)))
    complete_later(store, info.run_id, all_tags)
    return _active(store.get_run(info.run_id))


def complete_later(store: Store, run_id: str, tags: Mapping[str, str]) -> None:
    """Have what is not known of a run yet, and takes git to find out, added to its tags."""
    when_known(tags, lambda late: store.write(RunChange(run_id, tags=as_tags(late))))


def _take_up(run_id: str, run_name: str | None, tags: dict[str, str]) -> ActiveRun:
    store = get_store()
    run = store.get_run(run_id)
    info = run.info
    if info.lifecycle_stage == LifecycleStage.DELETED:
        raise InvalidParameterError(f"The run {run_id} is deleted; restore it before use.")
    tags = {**tags, PROCESS_TAG: process_identity()}
    store.write(
        RunChange(
            run_id,
            status=RunStatus.RUNNING,
            run_name=run_name,
            tags=as_tags(tags),
            # It was thought dead; an error of a fit in it stays true.
            deleted_tags=ERROR_TAGS if run.data.tags.get(ERROR_TAGS[0]) in JUDGEMENTS else (),
        )
    )
    return _active(store.get_run(run_id))


def _active(run: Run) -> ActiveRun:
    return ActiveRun(run.info, run.data, run.inputs, run.outputs)


def end_run(status: str = RunStatus.FINISHED) -> None:
    """End the active run of this thread, if there is one.

    Parameters
    ----------
    status : str, default="FINISHED"
        Its final state: FINISHED, FAILED or KILLED.
    """
    if not isinstance(status, str) or status not in RunStatus.ALL:
        raise InvalidParameterError(
            f"The status of a run is one of {', '.join(RunStatus.ALL)}, not {status!r}."
        )
    if _stack.runs:
        _end(_stack.runs[-1].info.run_id, status)


def _end(run_id: str, status: str) -> None:
    """End a run and take it off the stack, with the children that were left open above it."""
    ended = [run for run in _stack.runs if run.info.run_id == run_id]
    if ended:
        at = _stack.runs.index(ended[-1])
        ended = _stack.runs[at:]
        del _stack.runs[at:]
        for run in ended:
            _stack.process.pop(run.info.run_id, None)
        remember(run_id)
    elif is_known_elsewhere(run_id):
        return
    now = now_ms()
    ids = [run.info.run_id for run in ended] or [run_id]
    get_store().write(
        *(
            RunChange(
                each,
                status=status,
                end_time=now,
                deleted_tags=(PROCESS_TAG,),
            )
            for each in reversed(ids)
        )
    )


def is_known_elsewhere(run_id: str) -> bool:
    """Tell whether a run has ended already, by `end_run` inside its own ``with`` block."""
    return RunStatus.is_terminated(get_store().get_run(run_id).info.status)


def active_run() -> ActiveRun | None:
    """Return the active run of this thread, or None; its data is as it was at the start."""
    return _stack.runs[-1] if _stack.runs else None


def remember(run_id: str) -> None:
    """Make a run the one that `last_active_run` returns."""
    global _last_of_process
    _stack.last = _last_of_process = run_id


def last_active_run() -> Run | None:
    """Return the run this thread worked on last (else the process did), as it is now.

    Runs that autologging booked count.
    """
    run_id = _stack.runs[-1].info.run_id if _stack.runs else (_stack.last or _last_of_process)
    return None if run_id is None else get_run(run_id)


def get_run(run_id: str) -> Run:
    """Return a run with its params, the last value of each metric, and its tags.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    return store_to_read().get_run(run_id)


def current_run_id() -> str:
    """Return the active run's identifier; without one, start a run as MLflow does.

    What the user's own code logs inside a fit, such as in a scorer, goes to the run of the fit.
    """
    if _stack.runs:
        return _stack.runs[-1].info.run_id
    return _id_of_fit() or start_run().info.run_id


def _id_of_fit() -> str | None:
    """Return the run of the fit that is under way, which can be seen from now on."""
    if thread.place is None:
        return None
    thread.place.announce()
    run_id: str = thread.place.info.run_id
    return run_id


def _end_what_is_open() -> None:
    """At exit, end the runs this thread left open; FAILED when an exception ended the script."""
    error = getattr(sys, "last_value", None)
    while _stack.runs and _stack.process.get(_stack.runs[-1].info.run_id) == os.getpid():
        run = _stack.runs[-1]
        with contain(f"the end of the run {run.info.run_name!r}") as attempt:
            _end(run.info.run_id, status_after(error))
        if attempt.failed:
            _stack.runs.clear()


at_exit("runs", _end_what_is_open)


def reset() -> None:
    """Forget the runs of this thread; for tests."""
    global _last_of_process
    _stack.runs.clear()
    _stack.last = _last_of_process = None
