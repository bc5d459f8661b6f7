"""What a tracking server asks of a database beyond the contract of a store.

MLflow's API tells when each metric was measured, changes models that belong to no run, and links
models that a run used. Other stores answer the same questions by the methods that all have, or
refuse; see `skledger.server.api.beyond`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from skledger.errors import NotFoundError, SkledgerError
from skledger.stores import tables
from skledger.stores.checks import check_changes, check_max_results, parse_experiment_id
from skledger.stores.paging import read_last, read_token, write_token
from skledger.stores.relocation import Relocation
from skledger.stores.sql_best import find_following, find_runs
from skledger.stores.sql_conditions import Like
from skledger.stores.sql_engine import Database
from skledger.stores.sql_models import add_models
from skledger.stores.sql_pages import load_infos, load_runs
from skledger.stores.sql_reading import load_metric_page, load_thinned_history
from skledger.stores.sql_rows import Rows, send
from skledger.tracking.entities import (
    LoggedModel,
    Metric,
    ModelChange,
    PagedList,
    Run,
    RunChange,
    RunInfo,
    ViewType,
)
from skledger.tracking.filters import parse_filter, parse_order_by

__all__ = ["ServingPart"]

#: Those that a run made, and those that it used, as MLflow keeps them.
_KINDS = {"output": ("RUN_OUTPUT", "MODEL_OUTPUT"), "input": ("RUN_INPUT", "MODEL_INPUT")}


class ServingPart:
    """The methods of a store in a database that a tracking server needs."""

    uri: str
    _database: Database
    _like: Like
    _now: Relocation

    def _try(
        self,
        write: Callable[[], None],
        explain: Callable[[IntegrityError], SkledgerError | None],
    ) -> None:
        raise NotImplementedError

    def run_info(self, run_id: str) -> RunInfo:
        """Return what a run is, without what it holds."""
        with self._database.reading() as connection:
            found = load_infos(connection, [run_id])
        if not found:
            raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
        uri = self._now.path(found[0].artifact_uri)
        return found[0] if uri is found[0].artifact_uri else replace(found[0], artifact_uri=uri)

    def run_with_metrics(self, run_id: str) -> tuple[Run, dict[str, Metric]]:
        """Return a run, and the last value of each metric with its step and time."""
        latest: dict[str, dict[str, Metric]] = {}
        with self._database.reading() as connection:
            infos = load_infos(connection, [run_id])
            if not infos:
                raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
            run = load_runs(connection, infos, latest)[0]
        return self._now.run(run), latest.get(run_id, {})

    def page_of_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
        latest: dict[str, dict[str, Metric]] | None = None,
    ) -> PagedList[Run]:
        """Do as `search_runs`; `latest` receives each run's metrics with their steps and times."""
        limit, offset = check_max_results(max_results), read_token(page_token)
        orderings = parse_order_by(order_by, "run")
        last = None if orderings else read_last(page_token)
        search = (
            [parse_experiment_id(each) for each in experiment_ids],
            view_type,
            parse_filter(filter_string, "run"),
            orderings,
            self._like,
        )
        with self._database.reading() as connection:
            if last is None:
                found = find_runs(connection, search, limit + 1, offset)
            else:
                found = find_following(connection, search, limit + 1, last)
            infos = load_infos(connection, found[:limit])
            runs = load_runs(connection, infos, latest)
        token = None
        if len(found) > limit:
            start = infos[-1].start_time if infos else None
            last = (start, infos[-1].run_id) if start and not orderings else None
            token = write_token(offset + limit, last)
        return PagedList([self._now.run(run) for run in runs], token)

    def metric_page(self, run_id: str, key: str, max_results: int, start: int = 0) -> list[Metric]:
        """Return some of the values of a metric, in the order of step and time."""
        with self._database.reading() as connection:
            return load_metric_page(connection, run_id, key, max_results, start)

    def thinned_history(self, run_id: str, key: str, most: int) -> tuple[int, list[Metric]]:
        """Return how many values a metric has, and at most so many that show its curve."""
        with self._database.reading() as connection:
            return load_thinned_history(connection, run_id, key, most)

    def write_models(
        self,
        experiment_id: str,
        *,
        models: Sequence[LoggedModel] = (),
        changes: Sequence[ModelChange] = (),
        deleted: Sequence[str] = (),
    ) -> None:
        """Make, change and remove models that belong to no run, in one transaction.

        Parameters
        ----------
        experiment_id : str
            Their experiment.
        models : sequence of LoggedModel
            To make.
        changes : sequence of ModelChange
            To change; metrics belong to a run, so there are none in them.
        deleted : sequence of str
            To remove.
        """
        # The checks know changes of runs only.
        check_changes([RunChange("-", models=tuple(models), model_changes=tuple(changes))])
        number = parse_experiment_id(experiment_id)
        change = RunChange(
            "", models=tuple(models), model_changes=tuple(changes), deleted_models=tuple(deleted)
        )

        def write() -> None:
            rows = Rows()
            with self._database.writing() as connection:
                add_models(connection, rows, {"": number}, [change])
                rows.pop("input", None)
                rows["model"] = [(*row[:-1], row[-1] or None) for row in rows["model"]]
                send(connection, rows)

        self._try(write, lambda _error: _no_experiment(experiment_id, self.uri))

    def link_models(self, run_id: str, model_ids: Mapping[str, int], kind: str = "output") -> None:
        """Link models from a run.

        Parameters
        ----------
        run_id : str
            The run; `NotFoundError` when there is none.
        model_ids : mapping of str to int
            The models, and at which step of the run they were made.
        kind : {"output", "input"}
            Whether the run made or used them.
        """
        source, target = _KINDS[kind]
        table: Any = tables.inputs
        links = table.c.source_type == source, table.c.source_id == run_id

        def write() -> None:
            with self._database.writing() as connection:
                if not load_infos(connection, [run_id]):
                    raise NotFoundError(f"there is no run {run_id!r} in {self.uri}")
                query = select(table.c.destination_id, table.c.step).where(*links)
                known = {row[0]: row[1] for row in connection.execute(query)}
                for model_id, step in model_ids.items():
                    if model_id not in known:
                        values = (uuid.uuid4().hex, source, run_id, target, model_id, step)
                        connection.execute(insert(table).values(values))
                    elif known[model_id] != step:
                        here = table.c.destination_id == model_id
                        connection.execute(table.update().where(*links, here).values(step=step))

        self._try(write, lambda _error: None)

    def used_models(self, run_ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the identifiers of the models that runs used."""
        table: Any = tables.inputs.c
        query = select(table.source_id, table.destination_id).where(
            table.source_type == _KINDS["input"][0], table.source_id.in_(run_ids)
        )
        found: dict[str, list[str]] = {}
        with self._database.reading() as connection:
            for run_id, model_id in connection.execute(query):
                found.setdefault(run_id, []).append(model_id)
        return found


def _no_experiment(experiment_id: str, uri: str) -> SkledgerError:
    return NotFoundError(f"there is no experiment {experiment_id!r} in {uri}: create it first")
