"""The data sets of a run, from what was booked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skledger.server.pages.users_text import cut, read_json, told

if TYPE_CHECKING:
    from skledger.tracking.entities import Dataset, DatasetInput, Run

__all__ = ["Column", "DataView", "data_sets", "type_text"]

_NAMES = {
    "n_rows": "Rows",
    "num_rows": "Rows",
    "n_features": "Features",
    "n_missing": "Missing values",
    "n_rows_sampled": "Rows looked at",
    "features_shape": "Shape of the features",
    "features_nbytes": "Size of the features",
    "features_nnz": "Values that are not zero",
    "targets_shape": "Shape of the targets",
    "num_elements": "Elements",
}
_LEFT_OUT = frozenset(
    ("class_counts", "class_counts_of_rows", "features_size", "targets_size", "targets_nbytes")
)
_MOST_CLASSES = 12
#: How deep a type is told, and in how many characters.
_DEEPEST, _TYPE = 8, 300


@dataclass(frozen=True, slots=True)
class Column:
    """A column or tensor of a schema."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class DataView:
    """A data set as a page shows it."""

    name: str
    digest: str
    context: str
    facts: Sequence[tuple[str, object]] = field(default_factory=list)
    classes: Sequence[tuple[str, int, float]] = field(default_factory=list)
    more_classes: int = 0
    columns: Sequence[Column] = field(default_factory=list)
    has_tensors: bool = False
    source_type: str = ""
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def data_sets(run: Run) -> list[DataView]:
    """Return the data sets that a run used, those of training first."""
    views = [_view(each) for each in run.inputs.dataset_inputs]
    order = {"train": 0, "training": 0, "eval": 2, "test": 2}
    return sorted(views, key=lambda each: order.get(each.context, 1))


def _view(given: DatasetInput) -> DataView:
    data = given.dataset
    tags = {each.key: each.value for each in given.tags}
    context = tags.pop("mlflow.data.context", "")
    profile, schema = read_json(data.profile), read_json(data.schema)
    classes, more = _classes(profile)
    return DataView(
        data.name,
        data.digest,
        context,
        _facts(profile),
        classes,
        more,
        _columns(schema),
        isinstance(schema, dict) and "mlflow_tensorspec" in schema,
        data.source_type,
        _source(data),
        tags,
    )


def _facts(profile: Any) -> list[tuple[str, object]]:
    if not isinstance(profile, dict):
        return [("Profile", _fact(profile))] if profile is not None else []
    found: dict[str, object] = {}
    profile = _with_sample(profile)
    rows = profile.get("n_rows", profile.get("num_rows"))
    for key, value in profile.items():
        told = (
            key in _LEFT_OUT
            or (key == "targets_shape" and value == [rows])
            or (key == "features_shape" and "n_rows" in profile)
            or (key == "num_elements" and "n_features" in profile)
        )
        if not told:
            found[_NAMES.get(key, str(key))] = _fact(value)
    first = [name for name in dict.fromkeys(_NAMES.values()) if name in found]
    return [(name, found[name]) for name in (*first, *(n for n in found if n not in first))]


def _fact(value: Any) -> object:
    return value if isinstance(value, int | float) else told(value, 1000)


def _with_sample(profile: dict[str, Any]) -> dict[str, Any]:
    """Return a profile that tells of what was counted in some of the rows in how many."""
    looked_at = profile.get("n_rows_sampled")
    if looked_at is None or "n_missing" not in profile:
        return profile
    told = {key: value for key, value in profile.items() if key != "n_rows_sampled"}
    return {**told, "n_missing": f"{profile['n_missing']} in the {looked_at} rows looked at"}


def _classes(profile: Any) -> tuple[list[tuple[str, int, float]], int]:
    counts = profile.get("class_counts") if isinstance(profile, dict) else None
    if not isinstance(counts, dict):
        return [], 0
    usable = {str(k): v for k, v in counts.items() if isinstance(v, int) and v >= 0}
    whole = sum(usable.values()) or 1
    shown = [(key, value, value / whole) for key, value in usable.items()]
    return shown[:_MOST_CLASSES], len(shown[_MOST_CLASSES:])


def _columns(schema: Any) -> list[Column]:
    if isinstance(schema, dict) and isinstance(schema.get("mlflow_colspec"), list):
        return [_column(each) for each in schema["mlflow_colspec"]]
    if isinstance(schema, dict) and isinstance(schema.get("mlflow_tensorspec"), dict):
        found = []
        for part, given in schema["mlflow_tensorspec"].items():
            specs = read_json(given) if isinstance(given, str) else given
            for each in specs if isinstance(specs, list) else []:
                column = _column(each)
                found.append(Column(column.name or part, column.type, column.required))
        return found
    return []


def _column(spec: Any) -> Column:
    if not isinstance(spec, dict):
        return Column("", told(spec, _TYPE))
    name = spec.get("name")
    called = "" if name is None else told(name, 300)
    return Column(called, type_text(spec), bool(spec.get("required", True)))


def type_text(spec: Any) -> str:
    """Return a type of MLflow's schemas in a few words: ``double``, ``int64 (any, 4)``."""
    return cut(_type(spec, _DEEPEST), _TYPE)


def _type(spec: Any, depth: int) -> str:
    if depth == 0 or not isinstance(spec, dict):
        return told(spec, _TYPE) if depth else "…"
    kind = told(spec.get("type", ""), _TYPE)
    if kind == "tensor" and isinstance(spec.get("tensor-spec"), dict):
        tensor = spec["tensor-spec"]
        shape = tensor.get("shape")
        known = shape[:_MOST_CLASSES] if isinstance(shape, list) else []
        sizes = ", ".join("any" if n in (-1, "-1") else told(n, 30) for n in known)
        return f"{told(tensor.get('dtype', ''), 30)} ({sizes})"
    if kind == "array":
        return f"[{_type(spec.get('items'), depth - 1)}]"
    if kind == "object" and isinstance(spec.get("properties"), dict):
        inner = ", ".join(f"{k}: {_type(v, depth - 1)}" for k, v in spec["properties"].items())
        return "{" + inner + "}"
    if kind == "map":
        return "{text: " + _type(spec.get("values"), depth - 1) + "}"
    return kind


def _source(data: Dataset) -> str:
    """Return where data came from: an address, or nothing where it is the code of the run."""
    source = read_json(data.source)
    if not isinstance(source, dict):
        return data.source or ""
    for key in ("uri", "url", "path", "table_name", "repo_id"):
        if isinstance(source.get(key), str):
            return str(source[key])
    if data.source_type == "code":
        return ""
    return data.source
