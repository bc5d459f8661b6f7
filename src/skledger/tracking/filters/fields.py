"""What can be asked of which entity: its kinds of keys, its attributes and their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["DATASET_KEYS", "GRAMMARS", "KINDS", "Grammar"]

#: The words before the dot.
KINDS = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run", "experiment", "model"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
DATASET_KEYS = ("name", "digest", "context")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What can be asked of one entity.

    Parameters
    ----------
    noun : str
        What messages call it, with its article.
    filtered, sorted : tuple of str
        The kinds of keys that filters, and orders, may name.
    attributes : mapping
        The names of its attributes in lower case, to the canonical ones.
    examples : tuple of str
        A filter and a clause of an order, for messages.
    numbers : frozenset of str
        Attributes that are numbers.
    identifiers : frozenset of str
        Attributes that stand for a number but are written as text; no pattern fits them.
    columns : mapping
        How tables call what the grammar names otherwise, for messages.
    orders : tuple of str
        Attributes that only orders may name: what a store works out, rather than holds.
    tags : mapping
        Words that are written like attributes, to the tags that they stand for.
    """

    noun: str
    filtered: tuple[str, ...]
    sorted: tuple[str, ...]
    attributes: Mapping[str, str]
    examples: tuple[str, str]
    numbers: frozenset[str] = frozenset()
    identifiers: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    orders: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_TIMES = {
    **dict.fromkeys(
        ("creation_timestamp", "creation_time", "creation_timestamp_ms"), "creation_timestamp"
    ),
    **dict.fromkeys(
        ("last_updated_timestamp", "last_updated_timestamp_ms", "timestamp"),
        "last_updated_timestamp",
    ),
}
_TIME_NAMES = frozenset(_TIMES.values())

GRAMMARS = {
    "run": Grammar(
        "a run",
        ("metric", "param", "tag", "attribute", "dataset"),
        ("metric", "param", "tag", "attribute"),
        {
            **_same("run_id", "run_name", "status", "start_time", "end_time", "user_id"),
            "artifact_uri": "artifact_uri",
            "duration": "duration",
            "run name": "run_name",
            "created": "start_time",
        },
        ("metrics.accuracy > 0.9 and params.C = '1'", "start_time DESC"),
        numbers=frozenset({"start_time", "end_time", "duration"}),
        columns={
            "name": "run_name",
            "run": "run_id",
            "when": "start_time",
        },
        orders=("dataset_name", "experiment_name"),
        tags={"estimator": "estimator_name"},
    ),
    "experiment": Grammar(
        "an experiment",
        ("tag", "attribute"),
        ("attribute",),
        _same("experiment_id", "name", "creation_time", "last_update_time"),
        ("name LIKE 'iris%' and tags.team = 'a'", "creation_time DESC"),
        numbers=frozenset({"creation_time", "last_update_time"}),
        identifiers=frozenset({"experiment_id"}),
        columns={"created": "creation_time", "experiment": "name", "id": "experiment_id"},
        orders=("runs", "last_run"),
    ),
    "logged_model": Grammar(
        "a logged model",
        ("metric", "param", "tag", "attribute"),
        ("metric", "attribute"),
        {
            **_same("model_id", "name", "model_type", "status", "source_run_id"),
            **_same("experiment_id", "artifact_location"),
            **_TIMES,
        },
        ("metrics.accuracy > 0.9 and name = 'model'", "metrics.accuracy DESC"),
        numbers=_TIME_NAMES,
        identifiers=frozenset({"experiment_id"}),
        columns={"run_id": "source_run_id", "created": "creation_timestamp"},
    ),
    "registered_model": Grammar(
        "a registered model",
        ("tag", "attribute"),
        ("attribute",),
        {"name": "name", **_TIMES},
        ("name LIKE 'iris%' and tags.team = 'a'", "last_updated_timestamp DESC"),
        numbers=_TIME_NAMES,
    ),
    "model_version": Grammar(
        "a model version",
        ("tag", "attribute"),
        ("attribute",),
        {
            **_same("name", "version_number", "run_id", "source_path"),
            "version": "version_number",
            "source": "source_path",
            **_TIMES,
        },
        ("name = 'iris' and version_number > 1", "version_number DESC"),
        numbers=_TIME_NAMES | {"version_number"},
    ),
}
