"""What is done with the runs that were picked in a table: compare, delete, restore."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from skledger.errors import InvalidParameterError
from skledger.server.pages.rendering import see_other, state_of
from skledger.server.pages.routing import Form, form, page
from skledger.server.pages.table_query import PARENT_TAG
from skledger.tracking.entities import LifecycleStage, RunChange, ViewType
from skledger.tracking.filters import Comparison, format_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from skledger.stores.base import Store

__all__ = ["routes", "with_children"]

#: How many runs are changed in one transaction, and how many a form may name.
_BATCH, _MOST = 500, 5000
#: Of how many picked runs the address may tell, so that what was done can be undone.
_MOST_TOLD = 50


def _compare(request: Request) -> Response:
    picked = dict.fromkeys(request.query_params.getlist("run"))
    return see_other(request, f"/compare?runs={','.join(picked)}")


def _delete(request: Request, fields: Form) -> Response:
    return _change(request, fields, LifecycleStage.DELETED, ViewType.ACTIVE_ONLY)


def _restore(request: Request, fields: Form) -> Response:
    return _change(request, fields, LifecycleStage.ACTIVE, ViewType.DELETED_ONLY)


def _change(request: Request, fields: Form, stage: str, view: int) -> Response:
    picked = list(dict.fromkeys(fields.all("run")))
    if not picked:
        raise InvalidParameterError("no run was picked; tick the boxes before their names first")
    if len(picked) > _MOST:
        raise InvalidParameterError(f"{len(picked)} runs are too many at once; pick up to {_MOST}")
    store = state_of(request).store
    run_ids = with_children(store, picked, view)
    # Children first: when one batch fails, no parent is away while its children stay.
    run_ids.reverse()
    for start in range(0, len(run_ids), _BATCH):
        batch = run_ids[start : start + _BATCH]
        store.write(*(RunChange(each, lifecycle_stage=stage) for each in batch))
    word = "deleted" if stage == LifecycleStage.DELETED else "restored"
    return see_other(request, _with_news(_back(fields), word, picked))


def _with_news(back: str, word: str, picked: Sequence[str]) -> str:
    """Return an address that tells what was done; with the runs, where they are few enough."""
    if back == "/":  # the list of experiments, which tells nothing of runs
        return back
    news = {f"{word}_count": len(picked)}
    told = urlencode(news | {word: ",".join(picked)} if len(picked) <= _MOST_TOLD else news)
    return f"{back}{'&' if '?' in back else '?'}{told}"


def _back(fields: Form) -> str:
    """Return the table to come back to; no address of elsewhere."""
    path = fields.text("back")
    safe = path.startswith("/experiments") and "\\" not in path and path.isprintable()
    return path if safe else "/"


def with_children(store: Store, run_ids: Sequence[str], view: int) -> list[str]:
    """Return runs and all runs below them, parents first.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    found = {each: store.get_run(each).info.experiment_id for each in run_ids}
    level = list(found.items())
    while level:
        below: dict[str, str] = {}
        for experiment_id in dict.fromkeys(experiment for _, experiment in level):
            parents = [run for run, experiment in level if experiment == experiment_id]
            for child in _children(store, experiment_id, parents, view):
                if child not in found:
                    below[child] = experiment_id
        found.update(below)
        level = list(below.items())
    return list(found)


def _children(store: Store, experiment_id: str, parents: list[str], view: int) -> list[str]:
    found: list[str] = []
    for start in range(0, len(parents), _BATCH):
        wanted = tuple(parents[start : start + _BATCH])
        search = format_filter([Comparison("tag", PARENT_TAG, "IN", wanted)])
        token: str | None = None
        while True:
            runs = store.search_runs([experiment_id], search, view, 1000, None, token)
            found += [run.info.run_id for run in runs]
            token = runs.token
            if not token:
                break
    return found


def routes() -> list[BaseRoute]:
    """Return the routes of what is done with picked runs."""
    return [
        page("/experiments/selected/compare", _compare),
        form("/experiments/selected/delete", _delete),
        form("/experiments/selected/restore", _restore),
    ]
