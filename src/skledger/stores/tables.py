"""The tables, as they are at revision ``bda7b8c39065`` of MLflow's schema.

Later revisions add columns with defaults to these tables and many tables beside them; every
statement here names its columns, so it holds there too. ``value`` of ``experiment_tags`` is the
one column that only grew.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

__all__ = ["REVISION", "metadata"]

#: The revision that a new database is created at: the first one with logged models.
REVISION = "bda7b8c39065"

metadata = MetaData()


def _text(name: str, length: int, *, required: bool = False) -> Column[str]:
    return Column(name, String(length), nullable=not required)


def _time(name: str, *, required: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=not required)


def _key() -> Column[str]:
    return _text("key", 250, required=True)


def _of_run() -> Column[str]:
    return Column("run_uuid", String(32), ForeignKey("runs.run_uuid"), nullable=False)


def _of_experiment(constraint: str | None = None, ondelete: str | None = None) -> Column[int]:
    return Column(
        "experiment_id",
        Integer,
        ForeignKey("experiments.experiment_id", name=constraint, ondelete=ondelete),
        nullable=False,
    )


def _of_model(constraint: str) -> Column[str]:
    link = ForeignKey("logged_models.model_id", name=constraint, ondelete="CASCADE")
    return Column("model_id", String(36), link, nullable=False)


def _stage(constraint: str) -> CheckConstraint:
    return CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name=constraint)


def _zero_or_one() -> CheckConstraint:
    # Where there is a true boolean type, it is compared with no number.
    check = CheckConstraint("is_nan IN (0, 1)")
    return check.ddl_if(callable_=lambda *_, dialect, **__: dialect.name != "postgresql")


alembic_version = Table(
    "alembic_version",
    metadata,
    _text("version_num", 32, required=True),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

experiments = Table(
    "experiments",
    metadata,
    Column("experiment_id", Integer, nullable=False),
    _text("name", 256, required=True),
    _text("artifact_location", 256),
    _text("lifecycle_stage", 32),
    _time("creation_time"),
    _time("last_update_time"),
    PrimaryKeyConstraint("experiment_id", name="experiment_pk"),
    _stage("experiments_lifecycle_stage"),
    UniqueConstraint("name"),
)

experiment_tags = Table(
    "experiment_tags",
    metadata,
    _key(),
    _text("value", 5000),
    _of_experiment(),
    PrimaryKeyConstraint("key", "experiment_id", name="experiment_tag_pk"),
)

runs = Table(
    "runs",
    metadata,
    _text("run_uuid", 32, required=True),
    _text("name", 250),
    _text("source_type", 20),
    _text("source_name", 500),
    _text("entry_point_name", 50),
    _text("user_id", 256),
    _text("status", 9),
    _time("start_time"),
    _time("end_time"),
    _text("source_version", 50),
    _text("lifecycle_stage", 20),
    _text("artifact_uri", 200),
    Column("experiment_id", Integer, ForeignKey("experiments.experiment_id")),
    _time("deleted_time"),
    PrimaryKeyConstraint("run_uuid", name="run_pk"),
    CheckConstraint(
        "source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')", name="source_type"
    ),
    _stage("runs_lifecycle_stage"),
    CheckConstraint("status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED')"),
    # Ours: the order of searches. It makes a write slower by two parts in a hundred.
    Index(
        "skledger_runs_by_start",
        "experiment_id",
        "lifecycle_stage",
        text("start_time DESC"),
        "run_uuid",
    ),
)

params = Table(
    "params",
    metadata,
    _key(),
    _text("value", 8000, required=True),
    _of_run(),
    PrimaryKeyConstraint("key", "run_uuid", name="param_pk"),
    Index("index_params_run_uuid", "run_uuid"),
)

tags = Table(
    "tags",
    metadata,
    _key(),
    _text("value", 8000),
    _of_run(),
    PrimaryKeyConstraint("key", "run_uuid", name="tag_pk"),
    Index("index_tags_run_uuid", "run_uuid"),
    # Ours: from a parent to its children. Other databases have no such index, or no room in it.
    Index(
        "skledger_tags_by_parent",
        "value",
        "run_uuid",
        sqlite_where=text("key = 'mlflow.parentRunId'"),
    ).ddl_if(dialect="sqlite"),
)

metrics = Table(
    "metrics",
    metadata,
    _key(),
    Column("value", Float(53), nullable=False),
    _time("timestamp", required=True),
    _of_run(),
    Column("step", BigInteger, nullable=False, server_default="0"),
    Column("is_nan", Boolean, nullable=False, server_default="0"),
    PrimaryKeyConstraint(
        "key", "timestamp", "step", "run_uuid", "value", "is_nan", name="metric_pk"
    ),
    _zero_or_one(),
    Index("index_metrics_run_uuid", "run_uuid"),
)

latest_metrics = Table(
    "latest_metrics",
    metadata,
    _key(),
    Column("value", Float(53), nullable=False),
    _time("timestamp"),
    Column("step", BigInteger, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    _of_run(),
    PrimaryKeyConstraint("key", "run_uuid", name="latest_metric_pk"),
    _zero_or_one(),
    Index("index_latest_metrics_run_uuid", "run_uuid"),
)

datasets = Table(
    "datasets",
    metadata,
    _text("dataset_uuid", 36, required=True),
    _of_experiment("fk_datasets_experiment_id_experiments", "CASCADE"),
    _text("name", 500, required=True),
    _text("digest", 36, required=True),
    _text("dataset_source_type", 36, required=True),
    Column("dataset_source", Text, nullable=False),
    Column("dataset_schema", Text),
    Column("dataset_profile", Text),
    PrimaryKeyConstraint("experiment_id", "name", "digest", name="dataset_pk"),
    Index("index_datasets_dataset_uuid", "dataset_uuid"),
    Index(
        "index_datasets_experiment_id_dataset_source_type", "experiment_id", "dataset_source_type"
    ),
)

inputs = Table(
    "inputs",
    metadata,
    _text("input_uuid", 36, required=True),
    _text("source_type", 36, required=True),
    _text("source_id", 36, required=True),
    _text("destination_type", 36, required=True),
    _text("destination_id", 36, required=True),
    Column("step", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint(
        "source_type", "source_id", "destination_type", "destination_id", name="inputs_pk"
    ),
    Index(
        "index_inputs_destination_type_destination_id_source_type",
        "destination_type",
        "destination_id",
        "source_type",
    ),
    Index("index_inputs_input_uuid", "input_uuid"),
)

input_tags = Table(
    "input_tags",
    metadata,
    _text("input_uuid", 36, required=True),
    _text("name", 255, required=True),
    _text("value", 500, required=True),
    PrimaryKeyConstraint("input_uuid", "name", name="input_tags_pk"),
)

logged_models = Table(
    "logged_models",
    metadata,
    _text("model_id", 36, required=True),
    _of_experiment("fk_logged_models_experiment_id", "CASCADE"),
    _text("name", 500, required=True),
    _text("artifact_location", 1000, required=True),
    _time("creation_timestamp_ms", required=True),
    _time("last_updated_timestamp_ms", required=True),
    Column("status", Integer, nullable=False),
    _text("lifecycle_stage", 32),
    _text("model_type", 500),
    _text("source_run_id", 32),
    _text("status_message", 1000),
    PrimaryKeyConstraint("model_id", name="logged_models_pk"),
    _stage("logged_models_lifecycle_stage_check"),
)

logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    _of_model("fk_logged_model_metrics_model_id"),
    _text("metric_name", 500, required=True),
    _time("metric_timestamp_ms", required=True),
    Column("metric_step", BigInteger, nullable=False),
    Column("metric_value", Float(53)),
    _of_experiment("fk_logged_model_metrics_experiment_id"),
    Column(
        "run_id",
        String(32),
        ForeignKey("runs.run_uuid", name="fk_logged_model_metrics_run_id", ondelete="CASCADE"),
        nullable=False,
    ),
    _text("dataset_uuid", 36),
    _text("dataset_name", 500),
    _text("dataset_digest", 36),
    PrimaryKeyConstraint(
        "model_id",
        "metric_name",
        "metric_timestamp_ms",
        "metric_step",
        "run_id",
        name="logged_model_metrics_pk",
    ),
    Index("index_logged_model_metrics_model_id", "model_id"),
)

logged_model_params = Table(
    "logged_model_params",
    metadata,
    _of_model("fk_logged_model_params_model_id"),
    _of_experiment("fk_logged_model_params_experiment_id"),
    _text("param_key", 255, required=True),
    Column("param_value", Text, nullable=False),
    PrimaryKeyConstraint("model_id", "param_key", name="logged_model_params_pk"),
)

logged_model_tags = Table(
    "logged_model_tags",
    metadata,
    _of_model("fk_logged_model_tags_model_id"),
    _of_experiment("fk_logged_model_tags_experiment_id"),
    _text("tag_key", 255, required=True),
    Column("tag_value", Text, nullable=False),
    PrimaryKeyConstraint("model_id", "tag_key", name="logged_model_tags_pk"),
)

registered_models = Table(
    "registered_models",
    metadata,
    _text("name", 256, required=True),
    _time("creation_time"),
    _time("last_updated_time"),
    _text("description", 5000),
    PrimaryKeyConstraint("name", name="registered_model_pk"),
    UniqueConstraint("name"),
)

registered_model_tags = Table(
    "registered_model_tags",
    metadata,
    _key(),
    _text("value", 5000),
    Column(
        "name",
        String(256),
        ForeignKey("registered_models.name", onupdate="CASCADE"),
        nullable=False,
    ),
    PrimaryKeyConstraint("key", "name", name="registered_model_tag_pk"),
)

registered_model_aliases = Table(
    "registered_model_aliases",
    metadata,
    _text("alias", 256, required=True),
    Column("version", Integer, nullable=False),
    Column(
        "name",
        String(256),
        ForeignKey(
            "registered_models.name",
            name="registered_model_alias_name_fkey",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        nullable=False,
    ),
    PrimaryKeyConstraint("name", "alias", name="registered_model_alias_pk"),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column(
        "name",
        String(256),
        ForeignKey("registered_models.name", onupdate="CASCADE"),
        nullable=False,
    ),
    Column("version", Integer, nullable=False, autoincrement=False),
    _time("creation_time"),
    _time("last_updated_time"),
    _text("description", 5000),
    _text("user_id", 256),
    _text("current_stage", 20),
    _text("source", 500),
    _text("run_id", 32),
    _text("status", 20),
    _text("status_message", 500),
    _text("run_link", 500),
    _text("storage_location", 500),
    PrimaryKeyConstraint("name", "version", name="model_version_pk"),
)

model_version_tags = Table(
    "model_version_tags",
    metadata,
    _key(),
    Column("value", Text),
    _text("name", 256, required=True),
    Column("version", Integer, nullable=False, autoincrement=False),
    PrimaryKeyConstraint("key", "name", "version", name="model_version_tag_pk"),
    ForeignKeyConstraint(
        ["name", "version"], ["model_versions.name", "model_versions.version"], onupdate="CASCADE"
    ),
)

# The trace tables stay empty; MLflow's migration expects them.
_trace_info = Table(
    "trace_info",
    metadata,
    _text("request_id", 50, required=True),
    _of_experiment("fk_trace_info_experiment_id"),
    _time("timestamp_ms", required=True),
    _time("execution_time_ms"),
    _text("status", 50, required=True),
    PrimaryKeyConstraint("request_id", name="trace_info_pk"),
    Index("index_trace_info_experiment_id_timestamp_ms", "experiment_id", "timestamp_ms"),
)


def _trace_notes(name: str, primary_key: str) -> Table:
    link = ForeignKey("trace_info.request_id", name=f"fk_{name}_request_id", ondelete="CASCADE")
    return Table(
        name,
        metadata,
        _key(),
        _text("value", 8000),
        Column("request_id", String(50), link, nullable=False),
        PrimaryKeyConstraint("key", "request_id", name=primary_key),
        Index(f"index_{name}_request_id", "request_id"),
    )


_trace_notes("trace_tags", "trace_tag_pk")
_trace_notes("trace_request_metadata", "trace_request_metadata_pk")
