"""Finding runs without changing anything: looking never creates a database or an experiment."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import click

from skledger.cli._invoked import skledger_command
from skledger.cli._printing import cell, clock
from skledger.errors import InvalidParameterError, NotFoundError, StoreError
from skledger.tracking.addresses import local_path_of
from skledger.tracking.entities import Experiment, Run, ViewType
from skledger.tracking.frames import find_runs
from skledger.tracking.session import get_store, get_tracking_uri

__all__ = [
    "ID_LENGTH",
    "MISSING",
    "PARENT_TAG",
    "all_experiments",
    "chosen_experiments",
    "find_run",
    "require_database",
    "require_place",
    "why_empty",
]

#: How much of a run's identifier is shown.
ID_LENGTH = 8
PARENT_TAG = "mlflow.parentRunId"
#: The identifier that a run was booked under before a server gave it another.
_OUR_ID = "skledger.run_id"
#: The reference to the run that was started last.
LAST = "last"
MISSING = "Book your first run with `import skledger; skledger.autolog()`, or try `skledger demo`."

_AMBIGUOUS_SHOWN = 10
_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?:///([^?]+)")


def why_empty(uri: str | None = None) -> str | None:
    """Say why nothing can be booked where the tracking URI points; None when something may be.

    A store creates its file and its tables, or its folder, when it is opened; looking shall not.

    Parameters
    ----------
    uri : str, optional
        Another URI than the one in use.
    """
    uri = uri or get_tracking_uri()
    match = _SQLITE.match(uri)
    if match is None:
        folder = local_path_of(uri)
        is_missing = folder is not None and not folder.exists()
        return f"There is no folder {folder}." if is_missing else None
    path = Path(match[1]).absolute()
    if not path.exists():
        return f"There is no database {path}."
    names = _table_names(path)
    if names is None or names & {"alembic_version", "runs", "experiments"}:
        return None
    if names:
        raise StoreError(
            f"{path} is the database of another program: it has a table {min(names)!r} and none "
            "of skledger's or MLflow's; name another file"
        )
    if path.stat().st_size and not _has_log(path):
        return (
            f"The database {path} is empty (if it was copied from elsewhere, copy its -wal file "
            "along, or run any skledger command on the original first)."
        )
    return f"The database {path} is empty."


def _has_log(path: Path) -> bool:
    """Tell whether a write-ahead log, in which the newest records may be, lies beside it."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _table_names(path: Path) -> set[str] | None:
    """Return the tables of a database; None when it cannot be read, which the store explains."""
    # Even a reader would put files beside the database if it may expect a writer.
    mode = "mode=ro" if _has_log(path) else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)) as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'table'"
            return {name for (name,) in connection.execute(query)}
    except sqlite3.Error:
        return None


def require_database() -> None:
    """Raise `NotFoundError` when the tracking URI names a file that is missing or empty."""
    why = why_empty()
    if why is not None:
        raise NotFoundError(f"{why} {MISSING} --uri names another one.")


def require_place() -> None:
    """Raise `NotFoundError` when the tracking URI names a file or a folder that is not there."""
    path = local_path_of(get_tracking_uri())
    match = _SQLITE.match(get_tracking_uri())
    path = Path(match[1]).absolute() if match else path
    if path is not None and not path.exists():
        require_database()


def all_experiments(view_type: int = ViewType.ACTIVE_ONLY) -> list[Experiment]:
    """Return every experiment of the store."""
    found: list[Experiment] = []
    token: str | None = None
    while True:
        page = get_store().search_experiments(view_type, page_token=token)
        found += page
        token = page.token
        if token is None:
            return found


def chosen_experiments(name: str | None, everywhere: bool) -> list[Experiment]:
    """Return the experiments to look at.

    Those of `name`; without one, of ``SKLEDGER_EXPERIMENT_NAME`` or ``MLFLOW_EXPERIMENT_NAME``;
    without those, or `everywhere`, all.
    """
    if name is not None and everywhere:
        raise click.UsageError("Give --experiment or --all, not both.")
    if name is None and not everywhere:
        variables = ("SKLEDGER_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_NAME")
        name = next((os.environ[each] for each in variables if os.environ.get(each)), None)
    every = all_experiments()
    if name is None:
        return every
    named = [each for each in every if each.name == name]
    if not named:
        known = ", ".join(sorted(repr(each.name) for each in every))
        raise NotFoundError(f"There is no experiment named {name!r}; there are: {known}.")
    return named


def find_run(reference: str) -> Run:
    """Return the run that a user means.

    Parameters
    ----------
    reference : str
        An identifier or the beginning of one, the name of a run, or ``last``.

    Raises
    ------
    NotFoundError
        When no run fits.
    InvalidParameterError
        When several do.
    """
    require_database()
    if re.fullmatch(r"[0-9a-f]{32}", reference):
        return get_store().get_run(reference)
    if reference == LAST:
        found = _search(f"tags.`{PARENT_TAG}` IS NULL", 1, ViewType.ACTIVE_ONLY)
        if not found:
            raise NotFoundError(f"There are no runs in {get_tracking_uri()} yet. {MISSING}")
        return _whole(found[0])
    found = _search(f"run_name = {_quoted(reference)}", _AMBIGUOUS_SHOWN + 1)
    if not found and re.fullmatch(r"[0-9a-fA-F]+", reference):
        beginning = f"LIKE '{reference.lower()}%'"
        found = _search(f"run_id {beginning}", _AMBIGUOUS_SHOWN + 1)
        # What a server has renamed is known, and named, by the beginning that it had at first.
        found = found or _search(f"tags.`{_OUR_ID}` {beginning}", _AMBIGUOUS_SHOWN + 1)
    if not found:
        raise NotFoundError(
            f"There is no run {reference!r} in {get_tracking_uri()}: expected an identifier, the "
            "beginning of one, the name of a run, or `last`. `skledger runs` lists them."
        )
    if len(found) > 1:
        raise InvalidParameterError(_ambiguous(reference, found))
    return _whole(found[0])


def _search(filter_string: str, limit: int, view_type: int = ViewType.ALL) -> list[Run]:
    ids = [each.experiment_id for each in all_experiments(view_type)]
    return find_runs(ids, filter_string, view_type, limit)


def _whole(run: Run) -> Run:
    """Return the run with its data sets and models, which a search may leave out."""
    return get_store().get_run(run.info.run_id)


def _ambiguous(reference: str, found: list[Run]) -> str:
    """Say that several runs have a name, or begin with an identifier; list them."""
    is_name = found[0].info.run_name == reference
    shown = []
    for run in found[:_AMBIGUOUS_SHOWN]:
        behind = _of_parent(run) if is_name else f"  {run.info.run_name}"
        shown.append(f"  {run.info.run_id}  {clock(run.info.start_time)}{cell(behind).plain}")
    several = "\n".join(shown)
    if not is_name:
        more = "\n  ..." if len(found) > _AMBIGUOUS_SHOWN else ""
        return f"More than one run begins with {reference!r}; give more of it:\n{several}{more}"
    many = f"{len(found)}"
    if len(found) > _AMBIGUOUS_SHOWN:
        many = f"More than {_AMBIGUOUS_SHOWN}"
        condition = f'"run_name = {_quoted(reference)}"'
        if re.search(r'["$`\\!]', reference):
            condition = shlex.quote(condition[1:-1])
        several += f"\n  ...; all: {skledger_command()} runs --children --filter {condition}"
    return f"{many} runs are named {reference!r}; give the identifier of one:\n{several}"


def _of_parent(run: Run) -> str:
    """Return which run a run is a child of."""
    run_id = run.data.tags.get(PARENT_TAG)
    if run_id is None:
        return ""
    try:
        return f"  of {get_store().get_run(run_id).info.run_name}"
    except NotFoundError:
        return f"  of {run_id}"


def _quoted(text: str) -> str:
    """Return a text as a filter has it."""
    return "'" + text.replace("'", "''") + "'"
