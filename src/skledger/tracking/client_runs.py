"""The client's runs: make, find, change, end, delete, restore, and what is logged to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.stores.model_changes import together
from skledger.tracking.client_base import ClientPart, ids_of
from skledger.tracking.context import USER_TAG
from skledger.tracking.entities import (
    DatasetInput,
    LifecycleStage,
    LoggedModelInput,
    Metric,
    PagedList,
    Param,
    Run,
    RunChange,
    RunStatus,
    RunTag,
    ViewType,
)
from skledger.tracking.names import now_ms, random_name
from skledger.tracking.records import (
    RunOperations,
    booked,
    metric_of,
    name_in,
    of_model,
    param_of,
    tags_of,
)
from skledger.tracking.runs import NAME_TAG, PARENT_TAG, PROCESS_TAG, new_run_info

__all__ = ["RunsPart"]


class RunsPart(ClientPart):
    """Methods on runs."""

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Create a run that is RUNNING until `set_terminated`; it becomes nobody's active run.

        Parameters
        ----------
        experiment_id : str
            Its experiment.
        start_time : int, optional
            In ms since the epoch; now by default.
        tags : mapping, optional
            Its tags.
        run_name : str, optional
            Its name; by default the tag ``mlflow.runName``, else one is made up.
        """
        change = {each.key: each.value for each in tags_of(tags)}
        named = change.get(NAME_TAG)
        if run_name and named and run_name != named:
            raise InvalidParameterError(
                f"A run has one name: run_name is {run_name!r} and the tag {NAME_TAG!r} {named!r}."
            )
        name = change[NAME_TAG] = run_name or named or random_name()
        store = self._store()
        info = new_run_info(name, started=start_time, experiment_id=str(experiment_id), store=store)
        if USER_TAG in change:
            info = replace(info, user_id=change[USER_TAG])
        store.write(RunChange(info.run_id, create=info, tags=tags_of(change)))
        return store.get_run(info.run_id)

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds; `NotFoundError` when there is none."""
        return self._reading().get_run(run_id)

    def get_parent_run(self, run_id: str) -> Run | None:
        """Return the run that a run is a child of, or None."""
        parent = self.get_run(run_id).data.tags.get(PARENT_TAG)
        return None if parent is None else self.get_run(parent)

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """Find runs, one page of them.

        Parameters
        ----------
        experiment_ids : sequence of str
            The experiments to search.
        filter_string : str, default=""
            Such as ``"metrics.accuracy > 0.9 and params.C = '1.0'"``.
        run_view_type : int
            One of `ViewType`.
        max_results : int, default=1000
            The length of a page.
        order_by : sequence of str, optional
            Such as ``["metrics.accuracy DESC"]``; by default the newest first.
        page_token : str, optional
            The `token` of the page before.

        Returns
        -------
        PagedList of Run
            Its `token` is None on the last page.
        """
        return self._reading().search_runs(
            ids_of(experiment_ids), filter_string, run_view_type, max_results, order_by, page_token
        )

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change the state or the name of a run, or both."""
        self._change(run_id, status=status, run_name=name)

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        """End a run.

        Parameters
        ----------
        run_id : str
            The run.
        status : str, default="FINISHED"
            Its final state: FINISHED, FAILED or KILLED.
        end_time : int, optional
            In ms since the epoch; now by default.
        """
        self._change(
            run_id,
            status=status or RunStatus.FINISHED,
            end_time=now_ms() if end_time is None else int(end_time),
            deleted_tags=(PROCESS_TAG,),
        )

    def delete_run(self, run_id: str) -> None:
        """Delete a run; `restore_run` brings it back."""
        self._store().write(RunChange(run_id, lifecycle_stage=LifecycleStage.DELETED))

    def restore_run(self, run_id: str) -> None:
        """Bring a deleted run back."""
        self._store().write(RunChange(run_id, lifecycle_stage=LifecycleStage.ACTIVE))

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: float,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> RunOperations | None:
        """Book one number of a run.

        Parameters
        ----------
        run_id, key, value : str, str, float
            The run, the name and the number; NaN and the infinities are kept.
        timestamp : int, optional
            In ms since the epoch; now by default.
        step : int, optional
            0 by default.
        synchronous : bool, optional
            Taken for compatibility; the write is done when the call returns.
        dataset_name, dataset_digest : str, optional
            The data that it was measured on, noted with the number of the model: both or none.
        model_id : str, optional
            A logged model that the number is booked of, too.
        """
        metric = metric_of(key, value, step, timestamp)
        measured = of_model(model_id, (metric,), dataset_name, dataset_digest)
        self._change(run_id, metrics=(metric,), model_changes=measured)
        return booked(synchronous)

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Book one param of a run; `ParamConflictError` when it has another value already."""
        self._change(run_id, params=(param_of(key, value),))
        return booked(synchronous) or value

    def set_tag(
        self, run_id: str, key: str, value: Any, synchronous: bool | None = None
    ) -> RunOperations | None:
        """Set one tag of a run (``str(value)``, up to 8,000 characters), or change it.

        The tag ``mlflow.runName`` is the name of the run.
        """
        tags = tags_of({key: value})
        self._change(run_id, tags=tags, run_name=name_in(tags))
        return booked(synchronous)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag of a run; `NotFoundError` when it has none of that key."""
        if key not in self.get_run(run_id).data.tags:
            raise NotFoundError(f"The run {run_id} has no tag {key!r}.")
        self._change(run_id, deleted_tags=(key,))

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Book metrics, params and tags of a run in one write: all of them or none.

        A metric that names a model is booked of that, too.
        """
        change = tags_of({each.key: each.value for each in tags})
        numbers = tuple(metric_of(m.key, m.value, m.step, m.timestamp) for m in metrics)
        measured = (
            of_model(each.model_id or None, (number,), each.dataset_name, each.dataset_digest)
            for each, number in zip(metrics, numbers, strict=True)
        )
        self._change(
            run_id,
            metrics=numbers,
            model_changes=together(chain.from_iterable(measured)),
            params=tuple(param_of(each.key, each.value) for each in params),
            tags=change,
            run_name=name_in(change),
        )
        return booked(synchronous)

    def log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput] | None = None,
        models: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        """Book the data sets that a run used."""
        if models:
            raise InvalidParameterError(
                "Models that a run used are not booked; set a tag with the model's identifier."
            )
        self._change(run_id, inputs=tuple(datasets or ()))

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every value of a metric, in the order of step and time."""
        return PagedList(self._reading().get_metric_history(run_id, key))

    def _change(self, run_id: str, **fields: Any) -> None:
        self._store().write(RunChange(run_id, **fields))
