"""A store on a tracking server, over MLflow's REST API. Every call waits for the server."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from skledger.errors import NotFoundError
from skledger.stores import artifacts
from skledger.stores.checks import (
    check_changes,
    check_max_results,
    check_text,
    check_view_type,
    parse_experiment_id,
)
from skledger.stores.rest_aliases import Aliases, all_experiments
from skledger.stores.rest_api import shared_api
from skledger.stores.rest_experiments import ExperimentsPart, search_page
from skledger.stores.rest_json import (
    VIEWS,
    as_ordering,
    read_metric,
    read_model,
    read_run,
    with_plain_times,
)
from skledger.stores.rest_models import model_path
from skledger.stores.rest_registry import RegistryPart
from skledger.stores.rest_searching import search_runs
from skledger.stores.rest_signs import last_signs
from skledger.stores.rest_writing import history, write_changes
from skledger.tracking.entities import (
    LoggedModel,
    Metric,
    PagedList,
    Run,
    RunChange,
    RunStatus,
    ViewType,
)
from skledger.tracking.filters import parse_order_by

__all__ = ["RestStore"]

#: What is counted or listed for good is fetched in pages of this length.
_SMALL_PAGE = 1000


class RestStore(ExperimentsPart, RegistryPart):
    """Records on a tracking server. See `skledger.stores.base.Store` for what its methods do.

    The server chooses the identifiers of experiments, runs and models. Those that a caller chose
    for what it wrote go on being understood, in this process and in others, as arguments, in
    filters and in the tags that name another run; results have the server's.

    What a `Store` does and the server cannot: a write over several requests is not undone when
    one of them fails (repeat it with ``retry=True``), nothing can be written to a deleted run
    (`NotFoundError`), and the metrics of a model are metrics of its run as well.

    Parameters
    ----------
    uri : str
        ``http(s)://[user:password@]host[:port][/prefix]``; see `skledger.stores.rest_api.Api`.

    Attributes
    ----------
    uri : str
        The address, without user and password.

    Raises
    ------
    InvalidParameterError
        When it is no address of a server; nothing is sent yet.
    """

    def __init__(self, uri: str) -> None:
        self._api = shared_api(uri)
        self.uri = self._api.uri
        self._aliases = Aliases(self._api)
        self._gone: set[str] = set()
        artifacts.current_server = self.uri

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def close(self) -> None:
        """Close the connections; the store opens them again when it is used."""
        self._api.close()

    # Runs

    def write(self, *changes: RunChange, retry: bool = False) -> None:
        """Write the changes.

        Parameters
        ----------
        *changes : RunChange
            What to write.
        retry : bool, default=False
            Whether they may have been written before, wholly or in part: then nothing is added
            twice.
        """
        check_changes(changes)
        write_changes(self._api, self._aliases, changes, retry=retry)

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds."""
        told = self._api.get("runs/get", run_id=self._aliases.run(run_id))
        return self._without_gone_models(read_run(told["run"]))

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """Return the runs of the experiments that match, the newest first unless ordered."""
        check_view_type(view_type)
        body = {
            "experiment_ids": [str(parse_experiment_id(each)) for each in experiment_ids],
            "run_view_type": VIEWS[view_type],
            "order_by": list(order_by or ()),
        }
        asked, limit = self._aliases.in_filter(filter_string), check_max_results(max_results)
        return search_runs(self._api, body, asked, limit, page_token)

    def count_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        tag: str = "",
    ) -> dict[tuple[str | None, str], int]:
        """Return how many runs match, by the value of a tag (None without it) and by status.

        The server has no such question: it is asked for all of them, by pages.
        """
        counts: Counter[tuple[str | None, str]] = Counter()
        token: str | None = None
        while True:
            page = self.search_runs(
                experiment_ids, filter_string, view_type, _SMALL_PAGE, page_token=token
            )
            counts.update((run.data.tags.get(tag), run.info.status) for run in page)
            token = page.token
            if token is None:
                return dict(counts)

    def running_runs(
        self, tag: str | None = None, max_results: int = 1000, after: str = ""
    ) -> list[Run]:
        """Return runs that are RUNNING, in the order of their identifiers.

        Only those that have the tag, when one is named. `after` is the last identifier of the page
        before. Deleted ones are left out: the server lets nobody end them.
        """
        limit = check_max_results(max_results)
        where = f"attributes.status = '{RunStatus.RUNNING}'"
        if tag is not None:
            check_text("the key of a tag", tag, 250, empty=False)
            where += f" and tags.`{tag}` LIKE '%'"
        experiments = all_experiments(self._api)
        found: list[Run] = []
        token: str | None = None
        while len(found) < limit:
            page = self.search_runs(
                experiments, where, ViewType.ACTIVE_ONLY, _SMALL_PAGE, ["run_id"], token
            )
            found += [run for run in page if run.info.run_id > after]
            token = page.token
            if token is None:
                break
        return found[:limit]

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs, or their children, last started, ended or got the value of a metric.

        In ms; values from the future do not count, and runs that nobody knows are left out.
        """
        theirs = {each: self._aliases.or_itself(each) for each in run_ids}
        signs = last_signs(self._api, list(theirs.values()), time.time_ns() // 1_000_000)
        return {ours: signs[their] for ours, their in theirs.items() if their in signs}

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every value of a metric, in the order of step and time."""
        found = [read_metric(each) for each in history(self._api, self._aliases.run(run_id), key)]
        return sorted(found, key=_place)

    # Logged models

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        found = self._api.get(model_path(self._aliases.model(model_id)))
        return read_model(found["model"])

    def search_logged_models(self, run_id: str, name: str | None = None) -> list[LoggedModel]:
        """Return the models a run made, in the order they were made; `name` selects."""
        server_id = self._aliases.run(run_id)
        body = {
            "experiment_ids": [self._aliases.experiment_of(run_id)],
            "filter": f"source_run_id = '{server_id}'",
            "order_by": [{"field_name": "creation_timestamp", "ascending": True}],
        }
        found = [read_model(each) for each in self._all_models(body)]
        return [model for model in found if name is None or model.name == name]

    def search_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        max_results: int = 1000,
        order_by: Sequence[str | Mapping[str, object]] | None = None,
        page_token: str | None = None,
        datasets: Sequence[tuple[str, str]] = (),
    ) -> PagedList[LoggedModel]:
        """Return the logged models of the experiments that match, the newest first unless ordered.

        `datasets` are names and digests (or "") of the data sets on which metrics count.
        """
        body = {
            "experiment_ids": [str(parse_experiment_id(each)) for each in experiment_ids],
            "filter": with_plain_times(self._aliases.in_filter(filter_string), "logged_model"),
            "order_by": [as_ordering(each) for each in parse_order_by(order_by, "logged_model")],
            "datasets": [
                {"dataset_name": name, **({"dataset_digest": digest} if digest else {})}
                for name, digest in datasets
            ],
        }
        limit = check_max_results(max_results)
        found = search_page(self._api, "models", body, limit, page_token, "logged-models/search")
        return PagedList([read_model(each) for each in found], found.token)

    # Identifiers

    def server_run_id(self, run_id: str) -> str:
        """Return what the server calls a run; `NotFoundError` when it has none like that."""
        return self._aliases.run(run_id)

    def server_model_id(self, model_id: str) -> str:
        """Return what the server calls a logged model; `NotFoundError` when there is none."""
        return self._aliases.model(model_id)

    # The inside

    def _all_models(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self._api.post("logged-models/search", {**body, "page_token": token})
            found += page.get("models", ())
            token = page.get("next_page_token", "")
            if not token:
                return found

    def _without_gone_models(self, run: Run) -> Run:
        """Leave out links to models that were deleted, which the server keeps.

        Asked for only where a model may have taken the place of another.
        """
        outputs = run.outputs.model_outputs
        asked = [each.model_id for each in outputs if each.model_id not in self._gone]
        if len(outputs) > 1 and asked:
            listed = ", ".join(f"'{each}'" for each in asked)
            body = {
                "experiment_ids": [run.info.experiment_id],
                "filter": f"model_id IN ({listed})",
            }
            there = {each["info"]["model_id"] for each in self._all_models(body)}
            self._gone.update(each for each in asked if each not in there and self._is_gone(each))
        outputs[:] = [each for each in outputs if each.model_id not in self._gone]
        return run

    def _is_gone(self, model_id: str) -> bool:
        try:
            self._api.get(model_path(model_id))
        except NotFoundError:
            return True
        return False


def _place(metric: Metric) -> tuple[int, int, float]:
    """Return what a history is ordered by: step, time, and value, where NaN counts as 0."""
    value = metric.value
    return metric.step, metric.timestamp, 0.0 if math.isnan(value) else value
