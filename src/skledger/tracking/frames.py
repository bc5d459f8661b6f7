"""Runs as a table."""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from skledger._guard import say
from skledger.errors import InvalidParameterError
from skledger.tracking.entities import PagedList, Run, ViewType
from skledger.tracking.session import experiment_in_use, get_store, store_to_read

if TYPE_CHECKING:
    import pandas as pd

    from skledger.stores.base import Store

__all__ = ["all_runs", "find_runs", "search_runs", "to_frame"]

_PAGE = 5000
_INFO_COLUMNS = ("run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time")


def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    output_format: str = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
) -> pd.DataFrame | list[Run]:
    """Find runs.

    Parameters
    ----------
    experiment_ids, experiment_names : sequence of str, optional
        The experiments to search, by identifier or by name; by default the one in use.
    filter_string : str, default=""
        Such as ``"metrics.training_score > 0.9 and params.C = '1.0'"``.
    run_view_type : int
        One of `ViewType`: active runs, deleted ones, or all.
    max_results : int, default=100_000
        How many at the most.
    order_by : sequence of str, optional
        Such as ``["metrics.training_score DESC"]``; by default the newest first.
    output_format : {"pandas", "list"}, default="pandas"
        A table, or a list of `Run`.
    search_all_experiments : bool, default=False
        Search every active experiment when none is named.

    Returns
    -------
    pandas.DataFrame or list of Run
        One row a run, with the columns ``run_id``, ``experiment_id``, ``status``,
        ``artifact_uri``, ``start_time``, ``end_time`` (UTC) and one each for every
        ``metrics.*``, ``params.*`` and ``tags.*``; what a run does not have is NaN or None.

    Raises
    ------
    InvalidParameterError
        When an argument is something else, or the filter cannot be read; the message points at
        the place.
    NotFoundError
        When there is no experiment of a name.
    """
    if output_format not in ("pandas", "list"):
        raise InvalidParameterError(f"output_format is 'pandas' or 'list', not {output_format!r}.")
    ids = _listed("experiment_ids", "identifiers", experiment_ids)
    names = _listed("experiment_names", "names", experiment_names)
    clauses = _listed("order_by", "clauses", order_by)
    most = _count(max_results)
    store_to_read()
    ids = _experiments(ids, names, search_all_experiments)
    runs = find_runs(ids, filter_string, run_view_type, most, clauses)
    return to_frame(runs) if output_format == "pandas" else runs


def _listed(name: str, what: str, given: Any) -> list[Any]:
    """Return the values of a list; a text would be taken for one of single letters."""
    if given is None:
        return []
    if isinstance(given, str | bytes):
        raise InvalidParameterError(
            f"{name} must be a list of {what}, got the text {given!r}: write [{given!r}]"
        )
    if not isinstance(given, Iterable):
        raise InvalidParameterError(f"{name} must be a list of {what}, got {given!r}")
    return list(given)


def _count(max_results: Any) -> int:
    """Return how many runs are wanted; whole numbers of NumPy are as good."""
    if not isinstance(max_results, bool):
        with suppress(TypeError):
            most = operator.index(max_results)
            if most >= 0:
                return most
    raise InvalidParameterError(
        f"max_results must be a whole number, 0 or more, got {max_results!r}; "
        "leave it out to get up to 100,000 runs"
    )


def _experiments(ids: Sequence[Any], names: Sequence[Any], everywhere: bool) -> list[str]:
    if ids and names:
        raise InvalidParameterError("Give experiment_ids or experiment_names, not both.")
    store = get_store()
    if names:
        found = [(name, store.get_experiment_by_name(name)) for name in names]
        for name, experiment in found:
            # No error, as with MLflow: scripts look for earlier runs on their first day, too.
            if experiment is None:
                say(logging.WARNING, "skledger: there is no experiment named %r yet.", name)
        return [experiment.experiment_id for _, experiment in found if experiment is not None]
    if ids:
        return [str(each) for each in ids]
    if everywhere:
        return [each.experiment_id for each in store.search_experiments(ViewType.ACTIVE_ONLY)]
    return [experiment_in_use().experiment_id]


def find_runs(
    experiment_ids: Sequence[str],
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
) -> list[Run]:
    """Return the runs of all pages up to `max_results`."""
    return all_runs(
        get_store(), experiment_ids, filter_string, run_view_type, max_results, order_by
    )


def all_runs(
    store: Store,
    experiment_ids: Sequence[str],
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
) -> list[Run]:
    """Return the runs that a store has, of all pages up to `max_results`."""
    runs: PagedList[Run] = PagedList()
    token: str | None = None
    while len(runs) < max_results:
        page: PagedList[Run] = store.search_runs(
            experiment_ids,
            filter_string,
            run_view_type,
            min(_PAGE, max_results - len(runs)),
            order_by,
            token,
        )
        runs.extend(page)
        token = page.token
        if token is None:
            break
    return runs


def to_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Return runs as a DataFrame with MLflow's columns."""
    import pandas as pd

    columns: dict[str, Any] = {
        name: [getattr(r.info, name) for r in runs] for name in _INFO_COLUMNS
    }
    for name in ("start_time", "end_time"):
        columns[name] = pd.to_datetime(
            pd.Series(columns[name], dtype="Float64"), unit="ms", utc=True
        )
    for kind, missing in (("metrics", float("nan")), ("params", None), ("tags", None)):
        held = [getattr(run.data, kind) for run in runs]
        for key in dict.fromkeys(key for each in held for key in each):
            columns[f"{kind}.{key}"] = [each.get(key, missing) for each in held]
    return pd.DataFrame(columns)
