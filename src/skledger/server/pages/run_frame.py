"""What every page about a run shows around its own: where the run belongs, its state, its tabs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skledger.errors import NotFoundError
from skledger.server.pages.rendering import state_of
from skledger.tracking.entities import LifecycleStage, RunStatus, ViewType
from skledger.tracking.searches import CANDIDATE_TAG, MEAN

if TYPE_CHECKING:
    from starlette.requests import Request

    from skledger.stores.base import Store
    from skledger.tracking.entities import Run

__all__ = ["child_filter", "frame", "name_of", "run_of"]

_PARENT_TAG = "mlflow.parentRunId"


def run_of(request: Request) -> Run:
    """Return the run that the address names; `NotFoundError` when there is none."""
    return state_of(request).store.get_run(request.path_params["run_id"])


def name_of(run: Run) -> str:
    """Return what to call a run: its name, or the start of its identifier."""
    return run.info.run_name.strip() or run.info.run_id[:8]


def child_filter(run_id: str) -> str:
    """Return the filter that finds the children of a run."""
    quoted = run_id.replace("'", "''")
    return f"tags.`{_PARENT_TAG}` = '{quoted}'"


def _children_count(store: Store, run: Run) -> Mapping[str, int]:
    """Return how many children a run has, by status."""
    found = store.count_runs(
        [run.info.experiment_id], child_filter(run.info.run_id), ViewType.ACTIVE_ONLY
    )
    counts: dict[str, int] = {}
    for (_, status), count in found.items():
        counts[status] = counts.get(status, 0) + count
    return counts


def _is_search(run: Run, candidate: Run | None) -> bool:
    """Whether a run is a search: it knows its best candidate, or has one as a child."""
    if "skledger.best_run" in run.data.tags:
        return True
    if candidate is None:
        return False
    # Searches that MLflow logged mark no candidate, but each has a mean score.
    scored = any(key.startswith(MEAN) for key in candidate.data.metrics)
    return scored or CANDIDATE_TAG in candidate.data.tags


def frame(request: Request, run: Run, tab: str) -> dict[str, Any]:
    """Return what the template ``run_base.html`` needs.

    Parameters
    ----------
    request : Request
        The request.
    run : Run
        The run.
    tab : str
        Which of the tabs is open: ``overview``, ``metrics``, ``artifacts`` or ``children``.
    """
    store = state_of(request).store
    counts = _children_count(store, run)
    children = sum(counts.values())
    child = None
    if children and "skledger.best_run" not in run.data.tags:
        child = next(
            iter(
                store.search_runs(
                    [run.info.experiment_id], child_filter(run.info.run_id), max_results=1
                )
            ),
            None,
        )
    return {
        "run": run,
        "name": name_of(run),
        "tab": tab,
        "experiment": _experiment_name(store, run.info.experiment_id),
        "parent": _parent(store, run),
        "children_count": children,
        "children_states": counts,
        "search": children > 0 and _is_search(run, child),
        "running": run.info.status in (RunStatus.RUNNING, RunStatus.SCHEDULED),
        "deleted": run.info.lifecycle_stage == LifecycleStage.DELETED,
    }


def _experiment_name(store: Store, experiment_id: str) -> str:
    try:
        return store.get_experiment(experiment_id).name
    except NotFoundError:
        return experiment_id


def _parent(store: Store, run: Run) -> tuple[str, str] | None:
    """Return the identifier and the name of the run's parent."""
    parent_id = run.data.tags.get(_PARENT_TAG)
    if not parent_id:
        return None
    try:
        return parent_id, name_of(store.get_run(parent_id))
    except NotFoundError:
        return None
