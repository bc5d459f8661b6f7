"""The schema: creating it, and recognising what can be worked on.

A new database is created at the oldest revision that has logged models. MLflow migrates it by
itself when it opens it, and what it makes of it is worked on as it is, like any revision whose
tables still take the columns of `tables`. Nothing here migrates anything.
"""

from __future__ import annotations

import time

from sqlalchemy import Column, Connection, Integer, MetaData, Table, inspect, select, text

from skledger.errors import StoreError
from skledger.stores import tables
from skledger.stores.experiments import DEFAULT_EXPERIMENT_NAME
from skledger.tracking.entities import DEFAULT_EXPERIMENT_ID, LifecycleStage

__all__ = ["create_schema", "has_schema"]

#: Revisions known to fit without a look at their tables: the one created here, and the head of
#: MLflow 3.17.2.
_KNOWN = frozenset({tables.REVISION, "dc11669786a5"})

#: It is there while the tables are being made.
_in_the_making = Table("skledger_schema_in_the_making", MetaData(), Column("nothing", Integer))

#: The tables that are read and written.
_USED = (
    tables.experiments,
    tables.experiment_tags,
    tables.runs,
    tables.params,
    tables.metrics,
    tables.latest_metrics,
    tables.tags,
    tables.datasets,
    tables.inputs,
    tables.input_tags,
    tables.logged_models,
    tables.logged_model_metrics,
    tables.logged_model_params,
    tables.logged_model_tags,
    tables.registered_models,
    tables.registered_model_tags,
    tables.registered_model_aliases,
    tables.model_versions,
    tables.model_version_tags,
)


def has_schema(connection: Connection, uri: str) -> bool:
    """Whether the database has a schema that can be worked on; False when it is empty.

    Raises
    ------
    StoreError
        When it holds something else, or a revision whose tables do not fit.
    """
    names = set(inspect(connection).get_table_names())
    if _in_the_making.name in names:
        return False
    if "alembic_version" not in names:
        if "runs" in names or "experiments" in names:
            raise StoreError(
                f"{uri} has tables named like MLflow's but no revision: expected a database of "
                f"MLflow or an empty one; if it is an old MLflow's, run `mlflow db upgrade {uri}`"
            )
        if names and connection.dialect.name == "sqlite":
            # A server's database may be shared; a file with other tables is somebody's own.
            raise StoreError(
                f"{uri} is another program's database (tables: {', '.join(sorted(names)[:5])}); "
                "name a new file or one that skledger or MLflow has made"
            )
        return False
    revision = connection.execute(select(tables.alembic_version.c.version_num)).scalar()
    if revision not in _KNOWN:
        _check_tables(connection, uri, revision, names)
    return True


def create_schema(connection: Connection, artifact_location: str) -> None:
    """Create the tables, their revision and the default experiment.

    Inside one transaction; where that does not take tables back, a table tells until the end that
    there is more to come, and whoever finds it goes on.

    Parameters
    ----------
    connection : Connection
        In a transaction that nobody else makes the schema beside.
    artifact_location : str
        Where the default experiment has its artifacts.
    """
    keeps_tables = connection.dialect.name in ("mysql", "mariadb")
    if keeps_tables:
        if inspect(connection).has_table(_in_the_making.name):
            tables.metadata.drop_all(connection)  # what somebody who was killed has left
        else:
            _in_the_making.create(connection)
    tables.metadata.create_all(connection, checkfirst=False)
    if keeps_tables:
        # As MLflow has them: text without a length ends at 64 KiB there.
        for column in ("dataset_schema", "dataset_profile"):
            connection.execute(text(f"ALTER TABLE datasets MODIFY {column} MEDIUMTEXT"))
    _insert_first_rows(connection, artifact_location)
    if keeps_tables:
        _in_the_making.drop(connection)


def _insert_first_rows(connection: Connection, artifact_location: str) -> None:
    connection.execute(tables.alembic_version.insert().values(version_num=tables.REVISION))
    now = time.time_ns() // 1_000_000
    connection.execute(
        tables.experiments.insert().values(
            experiment_id=int(DEFAULT_EXPERIMENT_ID),
            name=DEFAULT_EXPERIMENT_NAME,
            artifact_location=artifact_location,
            lifecycle_stage=LifecycleStage.ACTIVE,
            creation_time=now,
            last_update_time=now,
        )
    )


def _check_tables(connection: Connection, uri: str, revision: str | None, names: set[str]) -> None:
    """Refuse a revision that lacks a column, or wants one that is not written."""
    inspector = inspect(connection)
    for table in _USED:
        columns = inspector.get_columns(table.name) if table.name in names else []
        missing = set(table.columns.keys()) - {column["name"] for column in columns}
        if missing:
            raise StoreError(
                f"{uri} is at revision {revision!r} of MLflow's schema, which lacks "
                f"{table.name}.{min(missing)}: expected {tables.REVISION!r} or later; "
                f"run `mlflow db upgrade {uri}` once (after a backup) to bring it there"
            )
        for column in columns:
            required = not column["nullable"] and column.get("default") is None
            if required and column["name"] not in table.columns:
                raise StoreError(
                    f"{uri} is at revision {revision!r} of MLflow's schema, which wants "
                    f"{table.name}.{column['name']}: it is newer than this skledger knows; "
                    "upgrade skledger"
                )
