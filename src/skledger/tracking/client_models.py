"""The client's logged models: make them, find them, change them, delete them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.tracking.client_base import ClientPart
from skledger.tracking.entities import (
    LoggedModel,
    LoggedModelOutput,
    LoggedModelStatus,
    ModelChange,
    PagedList,
    RunChange,
    as_params,
    as_tags,
)
from skledger.tracking.names import now_ms, random_name

__all__ = ["LoggedModelsPart"]


class LoggedModelsPart(ClientPart):
    """Methods on logged models."""

    def create_logged_model(
        self,
        experiment_id: str | None,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """Book a model that is PENDING until `finalize_logged_model`.

        Parameters
        ----------
        experiment_id : str or None
            The experiment of its run; None is as good.
        name : str, optional
            Its name; by default one is made up.
        source_run_id : str
            The run that makes it.
        tags, params : mapping, optional
            Booked of the model; every value becomes its ``str``.
        model_type : str, optional
            What kind of model it is.

        Raises
        ------
        InvalidParameterError
            Without a `source_run_id`: a model belongs to a run.
        """
        return self._create_model(
            experiment_id,
            name,
            source_run_id,
            tags,
            params,
            model_type,
            LoggedModelStatus.PENDING,
        )

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model; `NotFoundError` when there is none."""
        return self._reading().get_logged_model(model_id)

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None = None,
        datasets: Sequence[Mapping[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: Sequence[Mapping[str, Any] | str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[LoggedModel]:
        """Find logged models, one page of them.

        Parameters
        ----------
        experiment_ids : sequence of str
            The experiments to search.
        filter_string : str, optional
            Such as ``"metrics.accuracy > 0.9 and params.C = '1.0'"``.
        datasets : sequence of dict, optional
            Such as ``[{"dataset_name": "train", "dataset_digest": "f480a807"}]``: compare the
            metrics on these data sets.
        max_results : int, default=100
            The length of a page.
        order_by : sequence of dict or str, optional
            Such as ``[{"field_name": "metrics.accuracy", "ascending": False}]``; by default the
            newest first.
        page_token : str, optional
            The `token` of the page before.

        Returns
        -------
        PagedList of LoggedModel
            Its `token` is None on the last page.
        """
        if isinstance(experiment_ids, str):
            raise InvalidParameterError(
                f"experiment_ids must be a list of identifiers: write [{experiment_ids!r}]"
            )
        on = [
            (str(each["dataset_name"]), str(each.get("dataset_digest") or ""))
            for each in datasets or ()
        ]
        return self._reading().search_models(
            [str(each) for each in experiment_ids],
            filter_string or "",
            100 if max_results is None else max_results,
            order_by,
            page_token,
            on,
        )

    def finalize_logged_model(self, model_id: str, status: str) -> LoggedModel:
        """Say that a model is READY, or FAILED; return it as it is then.

        Parameters
        ----------
        model_id : str
            The model.
        status : str
            One of `LoggedModelStatus`.
        """
        self._change_model(model_id, status=str(getattr(status, "value", status)))
        return self._reading().get_logged_model(model_id)

    def log_model_params(self, model_id: str, params: Mapping[str, Any]) -> None:
        """Book params of a model; `ParamConflictError` when it has one with another value."""
        booked = {str(key): value for key, value in params.items()}
        self._change_model(model_id, params=as_params(booked))

    def set_logged_model_tags(self, model_id: str, tags: Mapping[str, Any]) -> None:
        """Set tags of a model, or change them; every value becomes its ``str``."""
        booked = {str(key): value for key, value in tags.items()}
        self._change_model(model_id, tags=as_tags(booked))

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Remove a tag of a model; `NotFoundError` when it has none of that key."""
        if key not in self.get_logged_model(model_id).tags:
            raise NotFoundError(f"The logged model {model_id} has no tag {key!r}.")
        self._change_model(model_id, deleted_tags=(key,))

    def log_outputs(self, run_id: str, models: Sequence[LoggedModelOutput]) -> None:
        """Link logged models from the run that made them, which is done when they are made.

        Parameters
        ----------
        run_id : str
            The run.
        models : sequence of LoggedModelOutput
            The models. Their step is not booked.

        Raises
        ------
        InvalidParameterError
            When another run made one of them: a model is linked from the one that made it.
        """
        run = self._reading().get_run(run_id)
        linked = {each.model_id for each in run.outputs.model_outputs}
        for each in models:
            made = self.get_logged_model(each.model_id)
            if made.source_run_id not in (run_id, run.info.run_id) and made.model_id not in linked:
                raise InvalidParameterError(
                    f"The model {each.model_id} was made by the run {made.source_run_id}; only "
                    f"that run links it. To note it with the run {run_id}, book a metric with "
                    "log_metric(..., model_id=...), or set a tag with its identifier."
                )

    def delete_logged_model(self, model_id: str) -> None:
        """Remove a logged model from the records; its files stay."""
        run_id = self._run_of(model_id)
        self._store().write(RunChange(run_id, deleted_models=(model_id,)))

    def _create_model(
        self,
        experiment_id: str | None,
        name: str | None,
        source_run_id: str | None,
        tags: Mapping[str, Any] | None,
        params: Mapping[str, Any] | None,
        model_type: str | None,
        status: str,
        describe: Callable[[LoggedModel], bytes] | None = None,
    ) -> LoggedModel:
        """Book a model, with what describes it as the only file, if anything does."""
        from skledger.tracking.logged_models import check_model_name
        from skledger.tracking.names import new_model_place

        if source_run_id is None:
            raise InvalidParameterError(
                "A logged model belongs to a run: give its source_run_id, or start a run first."
            )
        name = random_name() if name is None else name
        check_model_name(name)
        info = self._reading().get_run(source_run_id).info
        if experiment_id is not None and str(experiment_id) != info.experiment_id:
            raise InvalidParameterError(
                f"The run {source_run_id} is of the experiment {info.experiment_id}, and so is a "
                f"model that it makes; the experiment {experiment_id} was given."
            )
        model_id, location = new_model_place(info)
        now = now_ms()
        model = LoggedModel(
            model_id=model_id,
            experiment_id=info.experiment_id,
            name=name,
            artifact_location=location,
            creation_timestamp=now,
            last_updated_timestamp=now,
            source_run_id=info.run_id,
            status=status,
            model_type=model_type or "",
            tags={str(key): str(value) for key, value in (tags or {}).items()},
            params={str(key): str(value) for key, value in (params or {}).items()},
        )
        return self._put(model, describe)

    def _put(
        self, model: LoggedModel, describe: Callable[[LoggedModel], bytes] | None
    ) -> LoggedModel:
        from skledger.stores.artifacts import artifact_store

        change = RunChange(str(model.source_run_id), models=(model,))
        # A server decides for itself where the files of a model belong, when it books the model.
        later = model.artifact_location.startswith("mlflow-artifacts:")
        if describe is not None and not later:
            artifact_store(model.artifact_location).put_bytes("MLmodel", describe(model))
        self._store().write(change)
        made = self._reading().get_logged_model(model.model_id)
        if describe is not None and later:
            artifact_store(made.artifact_location).put_bytes("MLmodel", describe(made))
        return made

    def _change_model(self, model_id: str, **fields: Any) -> None:
        change = ModelChange(model_id, **fields)
        self._store().write(RunChange(self._run_of(model_id), model_changes=(change,)))

    def _run_of(self, model_id: str) -> str:
        """Return the run that made a model, in whose name it is changed."""
        model = self._reading().get_logged_model(model_id)
        if model.source_run_id is None:
            raise InvalidParameterError(
                f"The logged model {model_id} belongs to no run, and is only read here; change it "
                "with MLflow."
            )
        return model.source_run_id
