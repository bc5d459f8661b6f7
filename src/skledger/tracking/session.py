"""Where this process books: the tracking URI, its store and the experiment in use."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from skledger._exit import at_exit
from skledger.errors import InvalidParameterError
from skledger.tracking.entities import Experiment, LifecycleStage

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = [
    "chosen_registry_uri",
    "create_experiment",
    "experiment_in_use",
    "get_experiment",
    "get_experiment_by_name",
    "get_registry_uri",
    "get_store",
    "get_tracking_uri",
    "is_tracking_uri_set",
    "set_experiment",
    "set_registry_uri",
    "set_tracking_uri",
    "store_to_read",
]

DEFAULT_DATABASE = "skledger.db"
_VARIABLES = ("SKLEDGER_TRACKING_URI", "MLFLOW_TRACKING_URI")
_REGISTRY_VARIABLES = ("SKLEDGER_REGISTRY_URI", "MLFLOW_REGISTRY_URI")
#: A drive of Windows is no scheme: ``C:\\runs``.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(.+)", re.DOTALL)


class _Session:
    """The settings of the process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.uri: str | None = None
        self.registry_uri: str | None = None
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


def set_tracking_uri(uri: str | Path | None) -> None:
    """Choose where runs are booked from now on.

    Parameters
    ----------
    uri : str or Path or None
        ``sqlite:///file.db`` (relative to the current folder, or absolute with four slashes),
        the path of a folder, ``postgresql://...``, ``mysql://...``, the address of a tracking
        server (``http://...``) or ``memory:``. None or an empty string goes back to the
        environment and the default.

    Raises
    ------
    InvalidParameterError
        When the form of the URI is not known.
    """
    _session.uri = None if uri is None else checked_uri(uri)


def checked_uri(uri: str | Path) -> str | None:
    """Return a tracking URI that means the same in every folder; None for an empty one."""
    if not isinstance(uri, str | Path):
        raise InvalidParameterError(
            f"A tracking or registry URI is a str such as 'sqlite:///skledger.db', not {uri!r}."
        )
    text = str(uri)
    if not text:
        return None
    from skledger.stores.opening import check_uri

    check_uri(text)
    return _absolute(text)


def _absolute(uri: str) -> str:
    """Return a URI that means the same when the current folder changes."""
    if database := _SQLITE.fullmatch(uri):
        return f"{database[1]}{Path.cwd() / database[2]}"
    if not _SCHEME.match(uri):
        return str(Path.cwd() / uri)
    path = uri.removeprefix("file:")
    if path == uri or path.startswith("/"):
        return uri
    return (Path.cwd() / unquote(path)).as_uri()


def is_tracking_uri_set() -> bool:
    """Tell whether a tracking URI was set, here or in the environment."""
    return bool(_session.uri or any(os.environ.get(each) for each in _VARIABLES))


def get_tracking_uri() -> str:
    """Return where runs are booked.

    The URI that was set; else ``SKLEDGER_TRACKING_URI``; else ``MLFLOW_TRACKING_URI``; else
    ``sqlite:///skledger.db`` in the folder that was current when it was first used.
    """
    if _session.uri:
        return _session.uri
    for variable in _VARIABLES:
        value = os.environ.get(variable)
        if value:
            return value
    with _session.lock:
        if _session.default_uri is None:
            _session.default_uri = f"sqlite:///{Path.cwd() / DEFAULT_DATABASE}"
        return _session.default_uri


def set_registry_uri(uri: str | Path) -> None:
    """Choose where registered models are kept; an empty string means: where runs are booked."""
    _session.registry_uri = checked_uri(uri)


def get_registry_uri() -> str:
    """Return where registered models are kept.

    The URI that was set; else ``SKLEDGER_REGISTRY_URI``; else ``MLFLOW_REGISTRY_URI``; else where
    runs are booked.
    """
    return chosen_registry_uri() or get_tracking_uri()


def chosen_registry_uri() -> str | None:
    """Return where registered models are kept when that was chosen, here or in the environment."""
    if _session.registry_uri:
        return _session.registry_uri
    found = (os.environ.get(each) for each in _REGISTRY_VARIABLES)
    return next((value for value in found if value), None)


def get_store(uri: str | None = None, *, end_dead_runs: bool = True) -> Store:
    """Return the store of the tracking URI, opened at its first use.

    Parameters
    ----------
    uri : str, optional
        Another tracking URI than the one in use.
    end_dead_runs : bool, default=True
        When it is opened now, end the runs in it whose process is gone.
    """
    uri = uri or get_tracking_uri()
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


def store_to_read(uri: str | None = None) -> Store:
    """Return the store of a tracking URI, with everything in it that is known by now."""
    for catch_up in before_reading:
        catch_up()
    return get_store(uri)


def create_experiment(
    name: str, artifact_location: str | Path | None = None, tags: Mapping[str, Any] | None = None
) -> str:
    """Create an experiment.

    Parameters
    ----------
    name : str
        A name no other experiment has, deleted ones included.
    artifact_location : str, optional
        Where the artifacts of its runs go: a folder or a URI; by default the store's own place.
    tags : mapping, optional
        Tags of the experiment; every value becomes its ``str``.

    Returns
    -------
    str
        The identifier of the new experiment.

    Raises
    ------
    AlreadyExistsError
        When the name is taken.
    """
    location = None if artifact_location is None else str(artifact_location)
    booked = {str(key): str(value) for key, value in (tags or {}).items()}
    return get_store().create_experiment(name, location, booked)


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
    if experiment_name is not None and not isinstance(experiment_name, str):
        raise InvalidParameterError(
            f"The name of an experiment is a text, not {experiment_name!r}; an identifier goes to "
            "set_experiment(experiment_id=...)."
        )
    store = get_store()
    # A server is asked for a while, and what it told before is taken while it does not answer.
    choose = getattr(store, "choose_experiment", None)
    if choose is not None:
        wanted = None if experiment_id is None else str(experiment_id)
        experiment = _placed(store, choose(experiment_name, wanted))
    elif experiment_id is not None:
        experiment = store.get_experiment(str(experiment_id))
    else:
        experiment = store.experiment_for_runs(experiment_name)
    return _use(store, experiment)


def _use(store: Store, experiment: Experiment) -> Experiment:
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise InvalidParameterError(
            f"The experiment {experiment.name!r} is deleted; choose another name, or restore it."
        )
    _session.experiments[store.uri] = experiment
    return experiment


def _placed(store: Store, experiment: Experiment) -> Experiment:
    """Return an experiment whose new files go where the store wants them first, if anywhere."""
    folder = getattr(store, "spool_folder", None)
    return experiment if folder is None else replace(experiment, artifact_location=folder)


def experiment_to_book(store: Store, experiment_id: str) -> Experiment:
    """Return the experiment that a new run names; a server is not asked for one it has told of."""
    found: Experiment = getattr(store, "experiment_to_book", store.get_experiment)(experiment_id)
    return _placed(store, found)


def _set_unseen(store: Store, experiment_id: str) -> Experiment:
    """Make an experiment the one in use; a server is not asked for it, for a fit is waiting."""
    if getattr(store, "spool_folder", None) is None:
        return set_experiment(experiment_id=experiment_id)
    unseen = Experiment(experiment_id, f"experiment {experiment_id}", "")
    _session.experiments[store.uri] = _placed(store, unseen)
    return _session.experiments[store.uri]


def experiment_changed(store: Store, experiment_id: str) -> None:
    """Take note that an experiment was renamed, deleted, restored or tagged."""
    chosen = _session.experiments.get(store.uri)
    if chosen is not None:
        changed = store.get_experiment(experiment_id)
        # Of a server that was not asked yet, only the name is known.
        if experiment_id == chosen.experiment_id or changed.name == chosen.name:
            _session.experiments[store.uri] = _placed(store, changed)
    _session.fallback.pop(store.uri, None)


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
            return _use(store, store.experiment_for_runs(name))
    if experiment_id := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return _set_unseen(store, experiment_id)
    default = _session.fallback.get(store.uri)
    if default is None:
        default = _session.fallback[store.uri] = store.experiment_for_runs(None)
    return default


def renew_experiment_in_use() -> Experiment:
    """Find or create the experiment in use again by its name; its database was removed."""
    store = get_store()
    chosen = _session.experiments.pop(store.uri, None)
    _session.fallback.pop(store.uri, None)
    if chosen is None:
        return experiment_in_use()
    return _use(store, store.experiment_for_runs(chosen.name))


def flush_stores(timeout: float | None = None) -> bool:
    """Wait until the servers have what waits for them; tell whether they have everything.

    Parameters
    ----------
    timeout : float, optional
        The longest to wait, in seconds; otherwise as long as they answer.
    """
    end = None if timeout is None else time.monotonic() + timeout
    is_done = True
    # Nobody else has an outbox, and its module is not imported for them.
    outbox = sys.modules.get("skledger.stores.outbox")
    for store in list(_session.stores.values()):
        if outbox is not None and isinstance(store, outbox.OutboxStore):
            rest = None if end is None else max(0.0, end - time.monotonic())
            # What was refused does not wait, and is not there either.
            is_done = store.flush(rest) and store.left().is_nothing and is_done
    return is_done


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
