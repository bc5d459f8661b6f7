"""What the pages of the registry show beside what a registry holds: runs and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skledger.errors import InvalidParameterError, NotFoundError, SkledgerError
from skledger.server.pages.choosing import preferred_metrics
from skledger.server.pages.searching import asked_for
from skledger.tracking.entities import Metric, Run
from skledger.tracking.filters import format_filter

if TYPE_CHECKING:
    from skledger.stores.base import Store
    from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

__all__ = ["VersionRow", "filter_of", "metric_columns", "stages_in_use", "version_rows"]

#: How many metrics stand beside versions when none are chosen.
_METRICS = 3


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version with the run that made it.

    Parameters
    ----------
    version : ModelVersion
        The version.
    run : Run or None
        Its run; None when it has none, or this store does not know it.
    metrics : dict of str to float
        Of the logged model and of its run.
    measured_on : dict of str to str
        The data sets of the logged model's metrics, where they are known.
    """

    version: ModelVersion
    run: Run | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    measured_on: dict[str, str] = field(default_factory=dict)


def filter_of(text: str) -> str:
    """Return what is typed into the search field as a filter: a name, or a filter already."""
    return format_filter(asked_for(text, "registered_model"), "registered_model")


def version_rows(store: Store, versions: Sequence[ModelVersion]) -> list[VersionRow]:
    """Return versions with their runs; each run is read once."""
    runs: dict[str, Run | None] = {}
    found = []
    for version in versions:
        run_id = version.run_id
        if run_id and run_id not in runs:
            runs[run_id] = _run(store, run_id)
        run = runs.get(run_id) if run_id else None
        metrics = dict(run.data.metrics) if run else {}
        of_model = _of_model(store, version.model_id)
        metrics |= {each.key: each.value for each in of_model}
        data = {each.key: each.dataset_name for each in of_model if each.dataset_name}
        found.append(VersionRow(version, run, metrics, data))
    return found


def _run(store: Store, run_id: str) -> Run | None:
    try:
        return store.get_run(run_id)
    except (NotFoundError, InvalidParameterError):
        return None  # of another store, or gone for good


def _of_model(store: Store, model_id: str | None) -> Sequence[Metric]:
    if model_id is None:
        return ()
    try:
        return store.get_logged_model(model_id).metrics
    except SkledgerError:
        return ()


def metric_columns(
    rows: Sequence[VersionRow], chosen: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the metrics that are shown beside versions, and all there are.

    Those that are `chosen`, else those of held-out data that most have.
    """
    counts: dict[str, int] = {}
    for row in rows:
        for key in row.metrics:
            counts[key] = counts.get(key, 0) + 1
    every = preferred_metrics(counts)
    wanted = [each for each in chosen if each in counts]
    if wanted or not rows:
        return wanted, every
    most = max(counts.values(), default=0)
    common = [key for key in every if counts[key] * 2 >= most]
    return common[:_METRICS], every


def stages_in_use(models: Sequence[RegisteredModel]) -> bool:
    """Return whether any model has a version in a stage: else nobody needs to see them."""
    return any(
        version.current_stage not in ("None", "")
        for each in models
        for version in each.latest_versions
    )
