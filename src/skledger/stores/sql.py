"""The store in a database: MLflow's tables, through SQLAlchemy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import IntegrityError

from skledger.errors import NotFoundError, SkledgerError, StoreError
from skledger.stores import tables
from skledger.stores.checks import (
    check_changes,
    check_experiment_change,
    check_experiment_name,
    check_max_results,
    check_tags,
    parse_experiment_id,
)
from skledger.stores.experiments import find_or_create, no_experiment, taken_name
from skledger.stores.migrations import create_schema, has_schema
from skledger.stores.paging import read_token, write_token
from skledger.stores.relocation import Relocation
from skledger.stores.sql_backend import Backend
from skledger.stores.sql_engine import Database
from skledger.stores.sql_experiments import (
    change_experiment,
    insert_experiment,
    location_below,
    with_tags,
)
from skledger.stores.sql_pages import load_infos, load_runs
from skledger.stores.sql_reading import (
    find_models_of_run,
    load_metric_history,
    load_models,
)
from skledger.stores.sql_refusals import explain_refusal, trying
from skledger.stores.sql_registry import RegistryPart
from skledger.stores.sql_running import find_running, load_last_signs
from skledger.stores.sql_searching import (
    select_counts,
    select_experiments,
    select_models,
)
from skledger.stores.sql_serving import ServingPart
from skledger.stores.sql_writing import write_changes
from skledger.tracking.entities import (
    DEFAULT_EXPERIMENT_ID,
    Experiment,
    LoggedModel,
    Metric,
    PagedList,
    Run,
    RunChange,
    ViewType,
)
from skledger.tracking.filters import parse_filter, parse_order_by

__all__ = ["SqlStore", "open_sqlite"]


def open_sqlite(path: str | os.PathLike[str], artifact_root: str | None = None) -> SqlStore:
    """Open a SQLite file, creating it and its folder when they are missing.

    Parameters
    ----------
    path : path-like
        The database file.
    artifact_root : str, optional
        Where artifacts go; by default the folder ``<name>-artifacts`` beside the file.
    """
    from skledger.stores.sqlite import SqliteFile

    # Not `resolve`: a link stays the name under which the user knows the place.
    file = Path(os.path.abspath(path))  # noqa: PTH100
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise StoreError(
            f"cannot open the database {str(file)!a}: the path holds bytes that are no text in "
            "UTF-8, so no record can name it; use a folder of another name, or name another "
            "tracking URI"
        ) from error
    return SqlStore(SqliteFile(file, artifact_root))


class SqlStore(RegistryPart, ServingPart):
    """A store in a database. See `skledger.stores.base.Store` for what its methods do.

    Parameters
    ----------
    backend : Backend
        The kind of database, and where it is.

    Attributes
    ----------
    uri : str
        The URI, absolute and without a password.
    artifact_root : str
        The folder or URI under which each experiment has its artifacts.
    """

    def __init__(self, backend: Backend) -> None:
        self.uri = backend.uri
        self.artifact_root = backend.artifact_root
        self._backend = backend
        self._like = backend.like
        self._now = Relocation(self.artifact_root if backend.can_move else "")
        self._database = Database(backend, self._prepare)
        with self._database.reading():
            pass  # what is wrong with the database shows now, not at the first write

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def close(self) -> None:
        """Release connections; the store opens them again when it is used."""
        self._database.close()

    # Experiments

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an experiment and return its identifier; `AlreadyExistsError` when taken."""
        check_experiment_name(name)
        check_tags(tags or {})
        made: list[str] = []

        def write() -> None:
            with self._database.writing() as connection:
                made.append(
                    insert_experiment(
                        connection, name, artifact_location, tags or {}, self.artifact_root
                    )
                )

        self._try(write, lambda _error: taken_name(name))
        return made[-1]

    def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        lifecycle_stage: str | None = None,
        tags: Mapping[str, str] | None = None,
        deleted_tags: Sequence[str] = (),
    ) -> None:
        """Rename, delete or restore an experiment, set and remove tags: all of it or nothing."""
        check_experiment_change(name, lifecycle_stage, tags)
        number = parse_experiment_id(experiment_id)

        def write() -> None:
            with self._database.writing() as connection:
                change_experiment(
                    connection,
                    self.uri,
                    number,
                    name=name,
                    lifecycle_stage=lifecycle_stage,
                    tags=tags or {},
                    deleted_tags=deleted_tags,
                )

        self._try(write, lambda _error: taken_name(name) if name is not None else None)

    def experiment_for_runs(self, name: str | None) -> Experiment:
        """Return the experiment that new runs go to, made when it is new."""
        return find_or_create(self, name)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return the experiment, deleted or not."""
        number = parse_experiment_id(experiment_id)
        found = self._experiments(tables.experiments.c.experiment_id == number)
        if not found:
            raise no_experiment(experiment_id, self.uri)
        return found[0]

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, deleted or not, or None."""
        check_experiment_name(name)
        found = self._experiments(tables.experiments.c.name == name)
        return found[0] if found else None

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return experiments, the newest first unless ordered."""
        limit, offset = check_max_results(max_results), read_token(page_token)
        conditions = parse_filter(filter_string, "experiment")
        orderings = parse_order_by(order_by, "experiment")
        query = select_experiments(view_type, conditions, orderings, self._like)
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(limit + 1).offset(offset)).fetchall()
            found = self._with_tags(connection, rows[:limit])
        return PagedList(found, write_token(offset + limit) if len(rows) > limit else None)

    # Runs

    def write(self, *changes: RunChange) -> None:
        """Write all the changes in one transaction, or nothing."""
        check_changes(changes)

        def write() -> None:
            with self._database.writing() as connection:
                write_changes(connection, changes)

        def explain(_error: IntegrityError) -> SkledgerError | None:
            with self._database.reading() as connection:
                return explain_refusal(connection, self.uri, changes)

        self._try(write, explain)

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds."""
        with self._database.reading() as connection:
            infos = load_infos(connection, [run_id])
            if not infos:
                raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
            return self._now.run(load_runs(connection, infos)[0])

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """Return the runs of the experiments that match, the newest first unless ordered."""
        return self.page_of_runs(
            experiment_ids, filter_string, view_type, max_results, order_by, page_token
        )

    def count_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        tag: str = "",
    ) -> dict[tuple[str | None, str], int]:
        """Return how many runs match, by the value of a tag (None without it) and by status."""
        query = select_counts(
            [parse_experiment_id(each) for each in experiment_ids],
            view_type,
            parse_filter(filter_string, "run"),
            tag,
            self._like,
        )
        with self._database.reading() as connection:
            return {(value, status): many for value, status, many in connection.execute(query)}

    def running_runs(
        self, tag: str | None = None, max_results: int = 1000, after: str = ""
    ) -> list[Run]:
        """Return runs that are RUNNING, deleted ones included, in the order of their identifiers.

        Only those that have the tag, when one is named. `after` is the last identifier of the page
        before.
        """
        limit = check_max_results(max_results)
        with self._database.reading() as connection:
            found = find_running(connection, tag, limit, after)
            runs = load_runs(connection, load_infos(connection, found))
        return [self._now.run(run) for run in runs]

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs, or their children, last started, ended or got the value of a metric.

        In ms; values from the future do not count, and runs that nobody knows are left out.
        """
        with self._database.reading() as connection:
            return load_last_signs(connection, run_ids)

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every value of a metric, in the order of step and time."""
        with self._database.reading() as connection:
            found = load_metric_history(connection, run_id, key)
            if not found:
                self._require_run(connection, run_id)
            return found

    # Logged models

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        with self._database.reading() as connection:
            found = load_models(connection, [model_id])
        if not found:
            raise NotFoundError(f"there is no logged model {model_id!r} in {self.uri}")
        return self._now.model(found[0])

    def search_logged_models(self, run_id: str, name: str | None = None) -> list[LoggedModel]:
        """Return the models a run made, in the order they were made; `name` selects."""
        with self._database.reading() as connection:
            found = load_models(connection, find_models_of_run(connection, run_id))
        return [self._now.model(each) for each in found if name is None or each.name == name]

    def search_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        max_results: int = 1000,
        order_by: Sequence[str | Mapping[str, object]] | None = None,
        page_token: str | None = None,
        datasets: Sequence[tuple[str, str]] = (),
    ) -> PagedList[LoggedModel]:
        """Return the logged models of the experiments that match, the newest first unless ordered.

        `datasets` are names and digests (or "") of the data sets on which metrics count.
        """
        limit, offset = check_max_results(max_results), read_token(page_token)
        query = select_models(
            [parse_experiment_id(each) for each in experiment_ids],
            parse_filter(filter_string, "logged_model"),
            parse_order_by(order_by, "logged_model"),
            self._like,
            datasets,
        )
        with self._database.reading() as connection:
            ids = connection.scalars(query.limit(limit + 1).offset(offset)).all()
            models = {each.model_id: each for each in load_models(connection, ids[:limit])}
        found = [self._now.model(models[each]) for each in ids[:limit]]
        return PagedList(found, write_token(offset + limit) if len(ids) > limit else None)

    # The inside

    def _prepare(self, engine: Engine) -> None:
        with engine.begin() as connection:
            if has_schema(connection, self.uri):
                return
        # Whoever comes second waits for the first one and then finds the schema made.
        with (
            engine.execution_options(skledger_writes=True).begin() as connection,
            self._backend.making_schema(connection),
        ):
            if not has_schema(connection, self.uri):
                location = location_below(self.artifact_root, DEFAULT_EXPERIMENT_ID)
                create_schema(connection, location)

    def _try(
        self,
        write: Callable[[], None],
        explain: Callable[[IntegrityError], SkledgerError | None],
    ) -> None:
        otherwise = partial(self._database.translate, writes=True)
        trying(self._backend.attempts, write, explain, otherwise)

    def _experiments(self, condition: Any) -> list[Experiment]:
        query = select_experiments(ViewType.ALL, (), (), self._like).where(condition)
        with self._database.reading() as connection:
            return self._with_tags(connection, connection.execute(query).fetchall())

    def _with_tags(self, connection: Connection, rows: Sequence[Any]) -> list[Experiment]:
        return [self._now.experiment(each) for each in with_tags(connection, rows)]

    def _require_run(self, connection: Connection, run_id: str) -> None:
        runs = tables.runs.c
        if connection.scalar(select(runs.run_uuid).where(runs.run_uuid == run_id)) is None:
            raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
