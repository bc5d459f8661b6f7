"""Where this process books: the tracking URI, its store and the experiment in use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from skledger._exit import at_exit
from skledger.errors import InvalidParameterError, NotFoundError
from skledger.tracking.entities import (
    DEFAULT_EXPERIMENT_ID,
    Experiment,
    LifecycleStage,
)

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = [
    "create_experiment",
    "experiment_in_use",
    "get_experiment",
    "get_experiment_by_name",
    "get_store",
    "get_tracking_uri",
    "set_experiment",
    "set_tracking_uri",
]

DEFAULT_DATABASE = "skledger.db"


class _Session:
    """The settings of the process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.uri: str | None = None
        self.default_uri: str | None = None
        self.stores: dict[str, Store] = {}
        # The experiment that was set, by store: identifiers mean nothing in another store.
        self.experiments: dict[str, Experiment] = {}
        self.fallback: dict[str, Experiment] = {}


_session = _Session()


def _renew_lock() -> None:
    # A thread that held it does not exist in a forked child.
    _session.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def set_tracking_uri(uri: str | Path) -> None:
    """Choose where runs are booked from now on.

    Parameters
    ----------
    uri : str or Path
        ``sqlite:///file.db`` (relative to the current folder, or absolute with four slashes) or
        ``memory:``. An empty string goes back to the environment and the default.

    Raises
    ------
    InvalidParameterError
        When the form of the URI is not known.
    """
    if not isinstance(uri, str | Path):
        raise InvalidParameterError(
            f"The tracking URI is a str such as 'sqlite:///skledger.db', not {uri!r}."
        )
    if str(uri):
        from skledger.stores.opening import check_uri

        check_uri(str(uri))
    _session.uri = _absolute(str(uri)) or None


def _absolute(uri: str) -> str:
    """Return a URI that means the same when the current folder changes."""
    path = uri.removeprefix("sqlite:///")
    if path == uri or not path or Path(path).is_absolute():
        return uri
    return f"sqlite:///{Path.cwd() / path}"


def get_tracking_uri() -> str:
    """Return where runs are booked.

    The URI that was set; else ``SKLEDGER_TRACKING_URI``; else ``MLFLOW_TRACKING_URI``; else
    ``sqlite:///skledger.db`` in the folder that was current when it was first used.
    """
    if _session.uri:
        return _session.uri
    for variable in ("SKLEDGER_TRACKING_URI", "MLFLOW_TRACKING_URI"):
        value = os.environ.get(variable)
        if value:
            return value
    with _session.lock:
        if _session.default_uri is None:
            _session.default_uri = f"sqlite:///{Path.cwd() / DEFAULT_DATABASE}"
        return _session.default_uri


def get_store(*, end_dead_runs: bool = True) -> Store:
    """Return the store of the tracking URI, opened at its first use.

    Parameters
    ----------
    end_dead_runs : bool, default=True
        When it is opened now, end the runs in it whose process is gone.
    """
    uri = get_tracking_uri()
    store = _session.stores.get(uri)
    if store is None:
        with _session.lock:
            store = _session.stores.get(uri)
            if store is None:
                from skledger.stores.opening import open_store

                store = _session.stores[uri] = open_store(uri)
                if end_dead_runs:
                    from skledger.tracking.dead_runs import end_at_opening

                    end_at_opening(store)
    return store


#: Called before anything is read on the user's behalf: work that waits is written first.
before_reading: list[Callable[[], None]] = []


def store_to_read() -> Store:
    """Return the store of the tracking URI, with everything in it that is known by now."""
    for catch_up in before_reading:
        catch_up()
    return get_store()


def create_experiment(
    name: str, artifact_location: str | None = None, tags: dict[str, str] | None = None
) -> str:
    """Create an experiment.

    Parameters
    ----------
    name : str
        A name no other experiment has, deleted ones included.
    artifact_location : str, optional
        Folder for the artifacts of its runs; by default one beside the database.
    tags : dict, optional
        Tags of the experiment.

    Returns
    -------
    str
        The identifier of the new experiment.

    Raises
    ------
    AlreadyExistsError
        When the name is taken.
    """
    return get_store().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """Return an experiment by its identifier; `NotFoundError` when there is none."""
    return get_store().get_experiment(str(experiment_id))


def get_experiment_by_name(name: str) -> Experiment | None:
    """Return an experiment by its name, or None."""
    return get_store().get_experiment_by_name(name)


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None
) -> Experiment:
    """Make an experiment the one that new runs belong to; a name that is new is created.

    Parameters
    ----------
    experiment_name, experiment_id : str, optional
        Exactly one of the two.

    Returns
    -------
    Experiment
        The experiment now in use.

    Raises
    ------
    InvalidParameterError
        When both or neither are given, or the experiment is deleted.
    NotFoundError
        When there is no experiment of that identifier.
    """
    if (experiment_name is None) == (experiment_id is None):
        raise InvalidParameterError(
            "set_experiment takes either an experiment_name or an experiment_id; "
            f"it was given name={experiment_name!r} and id={experiment_id!r}."
        )
    store = get_store()
    if experiment_id is not None:
        experiment = store.get_experiment(str(experiment_id))
    else:
        experiment = _named(store, str(experiment_name))
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise InvalidParameterError(
            f"The experiment {experiment.name!r} is deleted; choose another name, or restore it."
        )
    _session.experiments[store.uri] = experiment
    return experiment


def _named(store: Store, name: str) -> Experiment:
    """Return the experiment of a name, made if it is new; two processes may do so at once."""
    from skledger.errors import AlreadyExistsError

    experiment = store.get_experiment_by_name(name)
    if experiment is None:
        try:
            return store.get_experiment(store.create_experiment(name))
        except AlreadyExistsError:
            experiment = store.get_experiment_by_name(name)
    if experiment is None:
        raise NotFoundError(f"The experiment {name!r} vanished while it was being created.")
    return experiment


def experiment_in_use() -> Experiment:
    """Return the experiment that new runs belong to.

    The one that was set; else the one of ``SKLEDGER_EXPERIMENT_NAME``,
    ``MLFLOW_EXPERIMENT_NAME`` (created when new) or ``MLFLOW_EXPERIMENT_ID``; else ``Default``.
    """
    store = get_store()
    chosen = _session.experiments.get(store.uri)
    if chosen is not None:
        return chosen
    for variable in ("SKLEDGER_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_NAME"):
        if name := os.environ.get(variable):
            return set_experiment(name)
    if experiment_id := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return set_experiment(experiment_id=experiment_id)
    default = _session.fallback.get(store.uri)
    if default is None:
        default = _session.fallback[store.uri] = store.get_experiment(DEFAULT_EXPERIMENT_ID)
    return default


def renew_experiment_in_use() -> Experiment:
    """Find or create the experiment in use again by its name; its database was removed."""
    store = get_store()
    chosen = _session.experiments.pop(store.uri, None)
    _session.fallback.pop(store.uri, None)
    return experiment_in_use() if chosen is None else set_experiment(chosen.name)


def close_stores() -> None:
    """Close the stores, so that each database is one whole file; they open again when used."""
    for store in list(_session.stores.values()):
        store.close()


# Some libraries end the process in a way that leaves connections open.
at_exit("stores", close_stores)


def reset() -> None:
    """Forget every setting and close the stores; for tests."""
    global _session
    close_stores()
    _session = _Session()
