"""The store in a database: MLflow's tables, through SQLAlchemy."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import IntegrityError

from skledger.errors import AlreadyExistsError, NotFoundError, StoreError
from skledger.stores import tables
from skledger.stores.checks import (
    check_changes,
    check_experiment_name,
    check_max_results,
    check_tags,
    parse_experiment_id,
)
from skledger.stores.migrations import create_schema, has_schema
from skledger.stores.paging import read_token, write_token
from skledger.stores.relocation import Relocation
from skledger.stores.sql_engine import Database
from skledger.stores.sql_reading import (
    INFO_COLUMNS,
    find_models_of_run,
    load_metric_history,
    load_models,
    load_runs,
    run_info,
)
from skledger.stores.sql_running import find_running, load_last_signs
from skledger.stores.sql_searching import Like, select_counts, select_experiments, select_runs
from skledger.stores.sql_writing import in_chunks, write_changes
from skledger.tracking.entities import (
    Experiment,
    LifecycleStage,
    LoggedModel,
    Metric,
    PagedList,
    Run,
    RunChange,
    ViewType,
)
from skledger.tracking.filters import parse_filter, parse_order_by

__all__ = ["SqlStore", "open_sqlite"]


_SOME_RUNS = select(*INFO_COLUMNS).order_by(tables.runs.c.run_uuid)


def open_sqlite(path: str | os.PathLike[str], artifact_root: str | None = None) -> SqlStore:
    """Open a SQLite file, creating it and its folder when they are missing.

    Parameters
    ----------
    path : path-like
        The database file.
    artifact_root : str, optional
        Where artifacts go; by default the folder ``<name>-artifacts`` beside the file.
    """
    from skledger.stores import sqlite

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
    root = artifact_root or str(file.with_name(f"{file.stem}-artifacts"))
    source = sqlite.SqliteFile(file)
    return SqlStore(f"sqlite:///{file}", root, source.create_engine, sqlite.like, source.is_stale)


class SqlStore:
    """A store in a database. See `skledger.stores.base.Store` for what its methods do.

    Parameters
    ----------
    uri : str
        The URI, absolute.
    artifact_root : str
        The folder or URI under which each experiment has its artifacts.
    make_engine : callable
        Returns a new SQLAlchemy engine; called again after a fork.
    like : callable
        How this database compares with a pattern.
    is_stale : callable, optional
        Tells whether an engine has lost its database; see `Database`.

    Attributes
    ----------
    uri, artifact_root : str
        As above.
    """

    def __init__(
        self,
        uri: str,
        artifact_root: str,
        make_engine: Callable[[], Engine],
        like: Like,
        is_stale: Callable[[Engine], bool] | None = None,
    ) -> None:
        self.uri = uri
        self.artifact_root = artifact_root
        self._like = like
        self._now = Relocation(artifact_root)
        self._database = Database(uri, make_engine, self._prepare, is_stale)
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
        table = tables.experiments
        now = time.time_ns() // 1_000_000
        row = {
            "name": name,
            "lifecycle_stage": LifecycleStage.ACTIVE,
            "creation_time": now,
            "last_update_time": now,
        }
        try:
            with self._database.writing() as connection:
                made = connection.execute(table.insert().values(row)).inserted_primary_key
                experiment_id = made[0] if made else None
                location = artifact_location or self._artifact_location(experiment_id)
                connection.execute(
                    table.update()
                    .where(table.c.experiment_id == experiment_id)
                    .values(artifact_location=_absolute(location))
                )
                if tags:
                    notes = [
                        {"experiment_id": experiment_id, "key": key, "value": value}
                        for key, value in tags.items()
                    ]
                    connection.execute(tables.experiment_tags.insert(), notes)
        except IntegrityError as error:
            raise AlreadyExistsError(
                f"there is an experiment named {name!r} already (it may be deleted): "
                "choose another name or use that one"
            ) from error
        return str(experiment_id)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return the experiment, deleted or not."""
        number = parse_experiment_id(experiment_id)
        found = self._experiments(tables.experiments.c.experiment_id == number)
        if not found:
            raise NotFoundError(f"there is no experiment {experiment_id!r} in {self.uri}")
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
        try:
            with self._database.writing() as connection:
                write_changes(connection, changes)
        except IntegrityError as error:
            raise self._explain(changes, error) from error

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds."""
        query = select(*INFO_COLUMNS).where(tables.runs.c.run_uuid == run_id)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
            if row is None:
                raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
            return self._now.run(load_runs(connection, [run_info(row)])[0])

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
        limit, offset = check_max_results(max_results), read_token(page_token)
        query = select_runs(
            [parse_experiment_id(each) for each in experiment_ids],
            view_type,
            parse_filter(filter_string, "run"),
            parse_order_by(order_by, "run"),
            self._like,
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(limit + 1).offset(offset)).fetchall()
            runs = load_runs(connection, [run_info(row) for row in rows[:limit]])
        runs = [self._now.run(run) for run in runs]
        return PagedList(runs, write_token(offset + limit) if len(rows) > limit else None)

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
            rows = [
                row
                for chunk in in_chunks(found)
                for row in connection.execute(_SOME_RUNS.where(tables.runs.c.run_uuid.in_(chunk)))
            ]
            runs = load_runs(connection, [run_info(row) for row in rows])
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

    # The inside

    def _prepare(self, engine: Engine) -> None:
        with engine.begin() as connection:
            if has_schema(connection, self.uri):
                return
        # Whoever comes second waits for the writer's lock and then finds the schema made.
        with engine.execution_options(skledger_writes=True).begin() as connection:
            if not has_schema(connection, self.uri):
                create_schema(connection, self._artifact_location)

    def _artifact_location(self, experiment_id: object) -> str:
        return f"{self.artifact_root.rstrip('/')}/{experiment_id}"

    def _experiments(self, condition: Any) -> list[Experiment]:
        query = select_experiments(ViewType.ALL, (), (), self._like).where(condition)
        with self._database.reading() as connection:
            return self._with_tags(connection, connection.execute(query).fetchall())

    def _with_tags(self, connection: Connection, rows: Sequence[Any]) -> list[Experiment]:
        return [self._now.experiment(each) for each in _with_tags(connection, rows)]

    def _require_run(self, connection: Connection, run_id: str) -> None:
        runs = tables.runs.c
        if connection.scalar(select(runs.run_uuid).where(runs.run_uuid == run_id)) is None:
            raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")

    def _explain(self, changes: Sequence[RunChange], error: IntegrityError) -> Exception:
        """Return what a refused write means; looked up only now, as it hardly ever happens."""
        created = {each.run_id: each.create for each in changes if each.create is not None}
        models = [model.model_id for each in changes for model in each.models]
        runs, experiments = tables.runs.c.run_uuid, tables.experiments.c.experiment_id
        with self._database.reading() as connection:
            for chunk in in_chunks(list(created)):
                for run_id in connection.scalars(select(runs).where(runs.in_(chunk))):
                    return AlreadyExistsError(f"there is a run {run_id!r} already: use another id")
            wanted = {int(info.experiment_id) for info in created.values()}
            missing = wanted - set(connection.scalars(select(experiments)))
            if missing:
                return NotFoundError(
                    f"there is no experiment {str(min(missing))!r} in {self.uri}: create it first"
                )
            found = load_models(connection, models)
            if found:
                return AlreadyExistsError(f"there is a logged model {found[0].model_id!r} already")
        return StoreError(f"{self.uri} refused the write: {error.orig}")


def _with_tags(connection: Connection, rows: Sequence[Any]) -> list[Experiment]:
    found = {
        row[0]: Experiment(
            experiment_id=str(row[0]),
            name=row[1],
            artifact_location=row[2] or "",
            lifecycle_stage=row[3],
            creation_time=row[4],
            last_update_time=row[5],
        )
        for row in rows
    }
    table = tables.experiment_tags.c
    query = select(table.experiment_id, table.key, table.value)
    for chunk in in_chunks(list(found)):
        for number, key, value in connection.execute(query.where(table.experiment_id.in_(chunk))):
            found[number].tags[key] = value or ""
    return list(found.values())


def _absolute(location: str) -> str:
    """Return a plain path as an absolute one; a URI stays as it is."""
    if "://" in location or location.startswith("file:"):
        return location
    return os.path.abspath(location)  # noqa: PTH100 - a link is not followed
