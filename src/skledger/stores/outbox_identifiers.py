"""What this process calls runs and models that the server has under identifiers of its own.

An identifier that was handed out here is what its run, or its model, is called until the process
ends, also when it was forwarded meanwhile and is read from the server. Whoever has kept it, in a
variable or in a table, goes on finding it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from skledger.stores.outbox_memory import Memory
from skledger.stores.rest_aliases import MODEL_TAG, REFERENCES, RUN_TAG
from skledger.tracking.entities import LoggedModel, LoggedModelOutput, Run, RunChange

__all__ = ["Identifiers"]


class Identifiers:
    """The identifiers that this process has handed out.

    Parameters
    ----------
    memory : Memory
        Knows what the server calls what was booked here, by any process.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._given: set[str] = set()
        self._ours: dict[str, str] = {}  # by what the server calls them
        self._strange: set[str] = set()  # runs that somebody wrote to, and that are not ours

    @property
    def has_any(self) -> bool:
        """Whether this process has handed out any."""
        return bool(self._given)

    def give_new(self, change: RunChange) -> None:
        """Note that somebody knows what a change creates; called before ``fit`` returns."""
        if change.create is not None:
            self._given.add(change.run_id)
        for model in change.models:
            self._given.add(model.model_id)

    def canonical(self, change: RunChange) -> RunChange:
        """Return a change of a run, named by the server's identifier or not, under ours.

        Called before ``fit`` returns: nothing is looked up for a run that was created here.
        """
        run_id = change.run_id
        if change.create is not None or run_id in self._given or run_id in self._strange:
            return change
        ours = self.of(run_id)
        if ours == run_id:
            self._strange.add(run_id)
            return change
        return replace(change, run_id=ours)

    def of(self, identifier: str) -> str:
        """Return what this process calls a run or a model that somebody names."""
        if not self._given or identifier in self._given:
            return identifier
        self._look_up([identifier])
        return self._told(identifier)

    def run(self, run: Run) -> Run:
        """Return a run as it is called here; see `runs`."""
        return self.runs([run])[0]

    def runs(self, runs: Sequence[Run], here: Iterable[str] = ()) -> list[Run]:
        """Return runs as they are called here, as well as the runs and models they refer to.

        Parameters
        ----------
        runs : sequence of Run
            From the server, or from here.
        here : iterable of str
            Those that are read from here: they are handed out as they are.
        """
        self._given.update({run.info.run_id for run in runs}.intersection(here))
        if not self._given:
            return list(runs)
        for run in runs:
            self._learn(run.info.run_id, run.data.tags.get(RUN_TAG))
        self._look_up(each for run in runs for each in _referred(run))
        return [self._run_told(run) for run in runs]

    def model(self, model: LoggedModel, *, is_here: bool = False) -> LoggedModel:
        """Return a model as it is called here; see `models`."""
        return self.models([model], [model.model_id] if is_here else ())[0]

    def models(self, models: Sequence[LoggedModel], here: Iterable[str] = ()) -> list[LoggedModel]:
        """Return models as they are called here, as well as the runs that made them.

        Parameters
        ----------
        models : sequence of LoggedModel
            From the server, or from here.
        here : iterable of str
            Those that are read from here.
        """
        self._given.update({model.model_id for model in models}.intersection(here))
        if not self._given:
            return list(models)
        for model in models:
            self._learn(model.model_id, model.tags.get(MODEL_TAG))
        self._look_up(each.source_run_id for each in models if each.source_run_id)
        return [self._model_told(model) for model in models]

    def counts(
        self, counts: Mapping[tuple[str | None, str], int], tag: str
    ) -> dict[tuple[str | None, str], int]:
        """Return how many runs there are by the value of a tag, which may name runs."""
        if tag not in REFERENCES or not self._given:
            return dict(counts)
        self._look_up(value for value, _ in counts if value)
        return {
            (value and self._told(value), status): count
            for (value, status), count in counts.items()
        }

    # The inside

    def _learn(self, theirs: str, ours: str | None) -> None:
        if ours and ours != theirs:
            self._ours[theirs] = ours

    def _look_up(self, identifiers: Iterable[str]) -> None:
        """Learn what was booked here under identifiers that may be the server's."""
        given, ours = self._given, self._ours
        unknown = {each for each in identifiers if each not in given and each not in ours}
        if unknown:
            self._ours.update(self._memory.our_names(sorted(unknown)))

    def _told(self, identifier: str) -> str:
        ours = self._ours.get(identifier)
        return ours if ours is not None and ours in self._given else identifier

    def _run_told(self, run: Run) -> Run:
        changed: dict[str, Any] = {}
        run_id = self._told(run.info.run_id)
        if run_id != run.info.run_id:
            changed["info"] = replace(run.info, run_id=run_id)
        tags = {key: run.data.tags[key] for key in REFERENCES if key in run.data.tags}
        told = {key: self._told(value) for key, value in tags.items()}
        if told != tags:
            changed["data"] = replace(run.data, tags={**run.data.tags, **told})
        made = run.outputs.model_outputs
        outputs = [LoggedModelOutput(self._told(each.model_id), each.step) for each in made]
        if outputs != made:
            changed["outputs"] = replace(run.outputs, model_outputs=outputs)
        return replace(run, **changed) if changed else run

    def _model_told(self, model: LoggedModel) -> LoggedModel:
        model_id, source = self._told(model.model_id), model.source_run_id
        run_id = source and self._told(source)
        if (model_id, run_id) == (model.model_id, source):
            return model
        metrics = tuple(
            replace(each, model_id=model_id, run_id=each.run_id and self._told(each.run_id))
            for each in model.metrics
        )
        return replace(model, model_id=model_id, source_run_id=run_id, metrics=metrics)


def _referred(run: Run) -> Iterator[str]:
    """Yield the identifiers in a run, its own among them."""
    yield run.info.run_id
    for key in REFERENCES:
        if key in run.data.tags:
            yield run.data.tags[key]
    for each in run.outputs.model_outputs:
        yield each.model_id
