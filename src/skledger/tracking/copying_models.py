"""Copying the logged models of a run: their records, their files, and the digests of these."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from skledger.errors import NotFoundError, SkledgerError
from skledger.stores.base import Store
from skledger.tracking.copying_files import DESCRIPTOR, FileCopier, rewritten
from skledger.tracking.copying_marks import COPIED_TAG, OWN_TAGS, mark_of
from skledger.tracking.copying_places import is_server, open_files
from skledger.tracking.copying_records import model_differences
from skledger.tracking.entities import LoggedModel, Metric, ModelChange, RunChange, RunTag
from skledger.tracking.model_uris import DIGESTS_TAG
from skledger.tracking.names import new_model_id

__all__ = ["ModelCopier"]


class ModelCopier:
    """Copies the logged models of one run to its copy.

    Parameters
    ----------
    source, destination : Store
        The two stores.
    ids : dict
        What runs and models are called at the destination; those of the models are added.
    metrics : sequence of Metric
        Those of the run.
    copied : callable
        Called with the size of each file that has arrived, in bytes.
    """

    def __init__(
        self,
        source: Store,
        destination: Store,
        ids: dict[str, str],
        metrics: Sequence[Metric],
        copied: Callable[[int], None],
    ) -> None:
        self._source, self._destination = source, destination
        self._ids, self._copied = ids, copied
        self._linked: set[str] = set()
        self._times: dict[tuple[str, int, str], int] = {}
        if is_server(destination.uri):
            self._times = {_value_of(each): each.timestamp for each in metrics}
        self.notes: list[str] = []
        self.refused: list[str] = []

    def run(self, run_id: str, copy_id: str, root: str) -> int:
        """Copy the models.

        Parameters
        ----------
        run_id, copy_id : str
            The run at the source and at the destination.
        root : str
            The artifact location of the experiment at the destination.

        Returns
        -------
        int
            How many models the run has.
        """
        models = self._source.search_logged_models(run_id)
        if models:
            there = {
                each.tags.get(COPIED_TAG): each
                for each in self._destination.search_logged_models(copy_id)
            }
            outputs = self._destination.get_run(copy_id).outputs.model_outputs
            self._linked = {each.model_id for each in outputs}
            for model in models:
                made = there.get(mark_of(self._source, model.model_id))
                self._copy(model, made, copy_id, root)
        return len(models)

    def _copy(self, model: LoggedModel, made: LoggedModel | None, copy_id: str, root: str) -> None:
        resumed = made is not None
        if made is not None:
            self._ids[model.model_id] = made.model_id
            wanted = _without_digests(self._wanted(model, copy_id))
            is_linked = made.model_id in self._linked
            if not is_linked or model_differences(wanted, _without_digests(made)):
                # It was left half written; a record that is new is whole or not there.
                self._destination.write(RunChange(copy_id, deleted_models=(made.model_id,)))
                made = None
        if made is None:
            made = self._create(model, copy_id, root)
        copier = FileCopier(
            open_files(self._source, model.artifact_location),
            open_files(self._destination, made.artifact_location),
            self._changed_ids(),
            resumed=resumed,
            copied=self._copied,
        )
        copier.run()
        self.notes += copier.notes
        self.refused += copier.refused
        self._note_lost(model, copier)
        self._check(model, made, copy_id)

    def _changed_ids(self) -> dict[str, str]:
        return {old: new for old, new in self._ids.items() if old != new}

    def _create(self, model: LoggedModel, copy_id: str, root: str) -> LoggedModel:
        model_id = model.model_id
        if _find(self._destination, model_id) is not None:
            model_id = new_model_id()
        self._ids[model.model_id] = model_id
        new = replace(
            self._wanted(model, copy_id),
            model_id=model_id,
            experiment_id=self._destination.get_run(copy_id).info.experiment_id,
            artifact_location=f"{root.rstrip('/')}/models/{model_id}/artifacts",
        )
        self._destination.write(RunChange(copy_id, models=(new,)))
        made = self._destination.get_logged_model(model_id)
        # A server chooses the identifier itself.
        self._ids[model.model_id] = made.model_id
        return made

    def _wanted(self, model: LoggedModel, copy_id: str) -> LoggedModel:
        """Return what the copy should be, by the identifiers that are known."""
        tags = {key: value for key, value in model.tags.items() if key not in OWN_TAGS}
        tags[COPIED_TAG] = mark_of(self._source, model.model_id)
        if DIGESTS_TAG in tags and self._changed_ids():
            tags[DIGESTS_TAG] = self._digests(model)
        own = self._ids.get(model.source_run_id or "", copy_id)
        return replace(model, tags=tags, source_run_id=own, metrics=self._metrics(model))

    def _metrics(self, model: LoggedModel) -> tuple[Metric, ...]:
        """Return the metrics of a model.

        A server books them with the run as well: a value that the run has is given the time that
        it has there, or the run had it twice. Where the run has NaN, the 0 of its model is what
        MLflow made of it.
        """
        found = []
        for each in model.metrics:
            metric = each
            if metric.value == 0 and _value_of(metric) not in self._times:
                not_a_number = replace(metric, value=math.nan)
                if _value_of(not_a_number) in self._times:
                    metric = not_a_number
            time = self._times.get(_value_of(metric), metric.timestamp)
            found.append(replace(metric, timestamp=time, model_id=None, run_id=None))
        return tuple(found)

    def _digests(self, model: LoggedModel) -> str:
        """Return the digests of the files of the copy, whose description names other things."""
        told = model.tags[DIGESTS_TAG]
        booked = json.loads(told)
        try:
            with open_files(self._source, model.artifact_location).open(DESCRIPTOR) as stream:
                content = stream.read()
        except NotFoundError:
            return told
        # What is not the file that was booked stays so: nobody shall trust it because of a copy.
        if booked.get(DESCRIPTOR) != hashlib.sha256(content).hexdigest():
            return told
        content = rewritten(content, self._changed_ids())
        return json.dumps({**booked, DESCRIPTOR: hashlib.sha256(content).hexdigest()})

    def _note_lost(self, model: LoggedModel, copier: FileCopier) -> None:
        gone = sorted(set(json.loads(model.tags.get(DIGESTS_TAG) or "{}")) - set(copier.before))
        if gone:
            self.notes.append(
                f"model {model.name!r} ({model.model_id}): {', '.join(gone)} not found in "
                f"{model.artifact_location}"
            )

    def _check(self, model: LoggedModel, made: LoggedModel, copy_id: str) -> None:
        """Book the digests that were not known before, and compare the copy with the model."""
        wanted = self._wanted(model, copy_id)
        digests = wanted.tags.get(DIGESTS_TAG)
        if digests is not None and made.tags.get(DIGESTS_TAG) != digests:
            change = ModelChange(made.model_id, tags=(RunTag(DIGESTS_TAG, digests),))
            self._destination.write(RunChange(copy_id, model_changes=(change,)))
        wrong = model_differences(wanted, self._destination.get_logged_model(made.model_id))
        if wrong:
            raise SkledgerError(
                f"The model {model.name!r} ({model.model_id}) did not arrive as it was sent: "
                f"{'; '.join(wrong)}. Copy again; if it stays so, check the destination."
            )


def _value_of(metric: Metric) -> tuple[str, int, str]:
    return metric.key, metric.step, repr(metric.value)


def _without_digests(model: LoggedModel) -> LoggedModel:
    tags = {key: value for key, value in model.tags.items() if key != DIGESTS_TAG}
    return replace(model, tags=tags)


def _find(store: Store, model_id: str) -> LoggedModel | None:
    try:
        return store.get_logged_model(model_id)
    except NotFoundError:
        return None
