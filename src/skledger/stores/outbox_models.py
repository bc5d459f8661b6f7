"""The logged models of an outbox: those it made, as they are by now, and those of its server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from skledger.stores.checks import check_max_results
from skledger.stores.matching import matches_on, sort
from skledger.stores.model_changes import changed, signed, together
from skledger.stores.outbox_experiments import ExperimentsPart
from skledger.stores.outbox_identifiers import Identifiers
from skledger.stores.outbox_local import LocalRuns
from skledger.stores.outbox_merging import merge
from skledger.stores.rest_aliases import MODEL_TAG
from skledger.tracking.entities import LoggedModel, PagedList, RunChange
from skledger.tracking.filters import parse_filter, parse_order_by

__all__ = ["ModelsPart"]


class ModelsPart(ExperimentsPart):
    """The methods of an outbox that are about logged models."""

    _runs: LocalRuns
    _ids: Identifiers

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        ours = self._ids.of(model_id)
        found = self._model_here(ours)
        if found is not None:
            return self._ids.model(found, is_here=True)
        told = self._ask(lambda remote: remote.get_logged_model(model_id))
        return self._ids.model(self._with_changes(told, ours, waiting=True))

    def search_logged_models(self, run_id: str, name: str | None = None) -> list[LoggedModel]:
        """Return the models a run made, in the order they were made; `name` selects."""
        own_id = self._ids.of(run_id)
        replay = self._runs.replay(own_id)
        found = self._models_here(own_id)
        ours = {model.model_id for model in found}
        if replay is None or replay.is_snapshot:
            told = self._ask(lambda remote: remote.search_logged_models(run_id, name))
            found += [
                self._with_changes(each, waiting=True)
                for each in told
                if each.tags.get(MODEL_TAG) not in ours
            ]
        found.sort(key=lambda model: model.creation_timestamp)
        found = [model for model in found if name is None or model.name == name]
        return self._ids.models(found, ours)

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

        Models that the server has are found, and shown, as it has them; what waits to change them
        shows in `get_logged_model`. `datasets` are names and digests (or "") of the data sets on
        which metrics count.
        """
        limit, orderings = check_max_results(max_results), parse_order_by(order_by, "logged_model")
        conditions = parse_filter(filter_string, "logged_model")
        theirs = self._their_experiments(experiment_ids)
        wanted = self._runs.same_experiments(experiment_ids)
        every = [each for run_id in self._queue.runs_here() for each in self._models_here(run_id)]
        here = {each.model_id for each in every}
        ours = [
            each
            for each in every
            if each.experiment_id in wanted and matches_on(each, conditions, datasets)
        ]

        def fetch(token: str | None) -> PagedList[LoggedModel]:
            if not theirs:
                return PagedList()
            return self._ask(
                lambda remote: remote.search_models(
                    theirs, filter_string, limit, order_by, token, datasets
                )
            )

        def is_here(model: LoggedModel) -> bool:
            return model.tags.get(MODEL_TAG) in here or model.model_id in here

        def in_order(models: list[LoggedModel]) -> list[LoggedModel]:
            newest = sorted(models, key=lambda each: (-each.creation_timestamp, each.model_id))
            return sort(newest, orderings)

        page = merge(ours, is_here if here else None, fetch, limit, in_order, page_token)
        return PagedList(self._ids.models(page, here), page.token)

    def _refuse_conflicts(self, changes: Sequence[RunChange]) -> None:
        """Raise `ParamConflictError` when a change gives a param of a model here another value."""
        made = {model.model_id: model for change in changes for model in change.models}
        for each in together(each for change in changes for each in change.model_changes):
            model = made.get(each.model_id)
            if model is None and each.params:
                model = self._model_here(each.model_id)
            if model is not None:
                changed(model, each, 0)

    def _model_here(self, model_id: str) -> LoggedModel | None:
        """Return a model whose files are here, as it is by now."""
        run_id = self._queue.run_of_model(model_id)
        models = [] if run_id is None else self._models_here(run_id)
        return next((each for each in models if each.model_id == model_id), None)

    def _models_here(self, run_id: str) -> list[LoggedModel]:
        """Return the models of a run whose files are here, as they are by now."""
        replay = self._runs.replay(run_id)
        if replay is not None:
            made = list(replay.models.values())
        else:
            waiting = self._runs.waiting(run_id)
            gone = {each for change in waiting for each in change.deleted_models}
            models = (model for change in waiting for model in change.models)
            made = [replace(each) for each in models if each.model_id not in gone]
        return [self._with_changes(each) for each in made]

    def _with_changes(
        self, model: LoggedModel, asked: str = "", *, waiting: bool = False
    ) -> LoggedModel:
        """Return a model with the changes that are here; the first value of a param stays."""
        names = {asked or model.model_id, model.model_id, model.tags.get(MODEL_TAG, model.model_id)}
        for change, made in self._queue.changes_of_model(names, waiting=waiting):
            model = changed(model, change, made, strict=False)
        return signed(model)
