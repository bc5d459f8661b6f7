"""What is booked as text: a line each inside lists, a block alone, a table for a list.

Experiments and runs are here, registered models in `skledger.tracking.printing_registry`, logged
models in `skledger.tracking.printing_models`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import Any

__all__ = [
    "MAX_IN_LINE",
    "NOTE_TAG",
    "columns_of",
    "duration",
    "facts_of",
    "in_a_block",
    "in_a_line",
    "list_of",
    "moment",
    "number",
    "one_line",
    "own_tags",
    "shown_tags",
    "some",
    "telling_first",
    "title_of",
]

NOTE_TAG = "mlflow.note.content"
#: Rows of a table, metrics of a line and values of a block that are shown.
MAX_ROWS = 20
MAX_IN_LINE = 3
MAX_IN_BLOCK = 8
_WIDTH = 40

# What moves the cursor or recolours a terminal must not come out of a run's name.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(value: object, width: int = _WIDTH) -> str:
    """Return a value as text without line breaks and control characters, cut to a width."""
    text = _CONTROL.sub(" ", str(value))
    return text if len(text) <= width else f"{text[: width - 1]}…"


def number(value: float) -> str:
    """Return a metric in a few digits; NaN and the infinities by name."""
    return str(int(value)) if value == value // 1 and abs(value) < 1e9 else f"{value:.4g}"


def moment(milliseconds: int | None) -> str:
    """Return a time in ms since the epoch as local date and time."""
    if milliseconds is None:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds // 1000).isoformat(" ")
    except (ValueError, OverflowError, OSError):  # a store may hold any number
        return str(milliseconds)


def duration(info: Any) -> str:
    """Return how long a run took; nothing while it runs."""
    if info.start_time is None or info.end_time is None or info.end_time < info.start_time:
        return ""
    seconds = (info.end_time - info.start_time) / 1000
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def some(values: Mapping[str, Any], most: int) -> str:
    """Return the first of some values, and how many more there are."""
    shown = [
        f"{one_line(key)}={number(value) if isinstance(value, float) else one_line(value)}"
        for key, value in list(values.items())[:most]
    ]
    if len(values) > most:
        shown.append(f"… {len(values) - most} more")
    return ", ".join(shown)


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that people set."""
    return {k: v for k, v in tags.items() if not k.startswith(("mlflow.", "skledger."))}


def _elsewhere(entity: object) -> ModuleType | None:
    """Return what prints a model, logged or registered; None for what is printed here."""
    from skledger.tracking import printing_models, printing_registry

    if printing_models.is_logged_model(entity):
        return printing_models
    return printing_registry if printing_registry.is_of_registry(entity) else None


def is_run(entity: object) -> bool:
    """Whether an entity is a run."""
    return hasattr(entity, "info") and hasattr(entity, "data")


def title_of(entity: Any) -> str:
    """Return what an entity is, with its name."""
    if is_run(entity):
        return f"Run {one_line(entity.info.run_name)!r}"
    if (other := _elsewhere(entity)) is not None:
        return str(other.title(entity))
    return f"Experiment {one_line(entity.name)!r}"


def in_a_line(entity: Any) -> str:
    """Return an entity in one line."""
    if (other := _elsewhere(entity)) is not None:
        return str(other.in_one_line(entity))
    if not is_run(entity):
        tags = some(own_tags(entity.tags), MAX_IN_LINE)
        deleted = "" if entity.lifecycle_stage == "active" else ", deleted"
        rest = f", {tags}" if tags else ""
        return f"<{title_of(entity)} experiment_id={entity.experiment_id!r}{deleted}{rest}>"
    info = entity.info
    parts = [f"{info.status} run_id={info.run_id!r} experiment_id={info.experiment_id!r}"]
    if info.lifecycle_stage != "active":
        parts.append(info.lifecycle_stage)
    if entity.data.metrics:
        parts.append(some(telling_first(entity.data.metrics), MAX_IN_LINE))
    if entity.data.params:
        parts.append(f"{len(entity.data.params)} params")
    return f"<{title_of(entity)} {', '.join(parts)}>"


def facts_of(entity: Any) -> list[tuple[str, str]]:
    """Return what a block says of an entity: labels and texts, none empty."""
    facts = _facts_of_run(entity) if is_run(entity) else _facts_of_experiment(entity)
    if (other := _elsewhere(entity)) is not None:
        facts = other.facts(entity)
    return [(label, text) for label, text in facts if text]


def _facts_of_experiment(experiment: Any) -> Iterable[tuple[str, str]]:
    yield "experiment_id", experiment.experiment_id
    yield "lifecycle_stage", experiment.lifecycle_stage
    yield "created", moment(experiment.creation_time)
    yield "artifacts", _CONTROL.sub(" ", str(experiment.artifact_location))
    yield from shown_tags(experiment.tags)


def _facts_of_run(run: Any) -> Iterable[tuple[str, str]]:
    info, data = run.info, run.data
    took = duration(info)
    yield "run_id", info.run_id
    yield "experiment_id", info.experiment_id
    yield "status", info.status + ("" if info.lifecycle_stage == "active" else ", deleted")
    yield "started", moment(info.start_time) + (f", took {took}" if took else "")
    yield _counted("metrics", data.metrics), some(telling_first(data.metrics), MAX_IN_BLOCK)
    yield _counted("params", data.params), some(data.params, MAX_IN_BLOCK)
    yield from shown_tags(data.tags)
    names = [one_line(each.dataset.name) for each in run.inputs.dataset_inputs]
    yield "data sets", ", ".join(names)
    yield "models", ", ".join(each.model_id for each in run.outputs.model_outputs)
    yield "artifacts", _CONTROL.sub(" ", str(info.artifact_uri))


def shown_tags(tags: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Yield the lines of a block about tags."""
    own = own_tags(tags)
    yield _counted("tags", own), some(own, MAX_IN_BLOCK)
    yield "note", one_line(tags.get(NOTE_TAG, ""), 2 * _WIDTH)


def _counted(label: str, values: Mapping[str, Any]) -> str:
    return f"{label} ({len(values)})"


def in_a_block(entity: Any) -> str:
    """Return an entity as a few aligned lines."""
    facts = facts_of(entity)
    width = max(len(label) for label, _ in facts)
    return "\n".join([title_of(entity), *(f"  {label:<{width}}  {text}" for label, text in facts)])


def columns_of(entities: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the rows of a table of entities of one kind."""
    if (other := _elsewhere(entities[0])) is not None:
        heads, rows = other.columns(entities)
        return heads, rows
    if not is_run(entities[0]):
        return ["id", "name", "stage", "created", "tags"], [
            [
                each.experiment_id,
                one_line(each.name),
                each.lifecycle_stage,
                moment(each.creation_time),
                some(own_tags(each.tags), MAX_IN_LINE),
            ]
            for each in entities
        ]
    counted = Counter(key for run in entities for key in run.data.metrics)
    keys = sorted(counted, key=lambda key: (_is_a_count(key), -counted[key]))[:MAX_IN_LINE]
    return ["name", "status", "started", "took", *(one_line(key, 24) for key in keys), "run_id"], [
        [
            one_line(run.info.run_name),
            run.info.status,
            moment(run.info.start_time),
            duration(run.info),
            *(number(run.data.metrics[key]) if key in run.data.metrics else "" for key in keys),
            run.info.run_id,
        ]
        for run in entities
    ]


def _is_a_count(key: str) -> bool:
    """Whether a metric tells how much and how long, which is shown after how good."""
    return key in ("fit_seconds", "n_samples", "n_features") or key.endswith("_time")


def telling_first(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics with those first that tell how good, not how much."""
    return dict(sorted(metrics.items(), key=lambda item: _is_a_count(item[0])))


def are_printed(entities: Sequence[object]) -> bool:
    """Whether a list holds only entities of one kind that prints as a table."""
    from skledger.tracking.entities import Experiment, LoggedModel, Run
    from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

    kinds = (Run, Experiment, LoggedModel, RegisteredModel, ModelVersion)
    return bool(entities) and any(
        all(isinstance(each, kind) for each in entities) for kind in kinds
    )


def rest_of(entities: Sequence[Any], token: str | None) -> str:
    """Return how much of a list its table does not show."""
    hidden = len(entities) - MAX_ROWS
    parts = [f"{hidden} more here"] if hidden > 0 else []
    if token is not None:
        parts.append("more on the next page")
    return f"… {', '.join(parts)}" if parts else ""


def list_of(entities: Sequence[Any]) -> str:
    """Return a list of entities of one kind as an aligned table; any other list as it prints."""
    if not are_printed(entities):
        return list.__repr__(list(entities))
    heads, rows = columns_of(entities[:MAX_ROWS])
    table = [heads, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    rest = rest_of(entities, getattr(entities, "token", None))
    return "\n".join([*lines, rest] if rest else lines)
