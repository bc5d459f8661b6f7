"""The experiments of a server, and those that wait to be made there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from skledger.errors import (
    InvalidParameterError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores.checks import check_experiment_name, check_tags
from skledger.stores.outbox_codec import NewExperiment
from skledger.stores.outbox_forwarder import Remote
from skledger.stores.outbox_names import DEFAULT_NAME, experiment_name, placeholder
from skledger.stores.outbox_queue import Queue
from skledger.stores.outbox_spool import Spool
from skledger.tracking.entities import (
    DEFAULT_EXPERIMENT_ID,
    Experiment,
    LifecycleStage,
    PagedList,
    ViewType,
)

__all__ = ["ExperimentsPart"]

T = TypeVar("T")

#: The longest that a question to the server may take to which there is another answer, in seconds.
SHORT_PATIENCE = 2.0
#: How long what waits may take to be sent before an experiment changes, in seconds.
SETTLING = 5.0


class ExperimentsPart:
    """The methods of an outbox that are about experiments.

    An experiment that is known by its name only has a placeholder for its identifier:
    ``name:<its name>``. It is looked up, or made, when something of it is forwarded.
    """

    _queue: Queue
    _spool: Spool
    #: The experiments that the server has told this process of, by its identifiers.
    _experiments: dict[str, Experiment]

    def _ask(self, call: Callable[[Remote], T], seconds: float | None = None) -> T:
        raise NotImplementedError

    def _wake(self) -> None:
        raise NotImplementedError

    def _settle(self, seconds: float) -> None:
        raise NotImplementedError

    def experiment_for_runs(self, name: str | None) -> Experiment:
        """Return the experiment that new runs go to; nobody is asked.

        Parameters
        ----------
        name : str or None
            Its name; it is made on the server when it is new. None is the default one.
        """
        if name is not None:
            check_experiment_name(name)
        return self._stand_in(placeholder(name), name or DEFAULT_NAME)

    def choose_experiment(
        self, name: str | None = None, experiment_id: str | None = None
    ) -> Experiment:
        """Return the experiment that somebody chooses, made when its name is new.

        The server is asked, but not for long: while it does not answer, an identifier that it told
        once is taken, and what has a name is made when it is back.

        Parameters
        ----------
        name, experiment_id : str, optional
            One of the two.

        Raises
        ------
        NotFoundError
            When there is no experiment of that identifier.
        StoreUnavailableError
            When nobody has heard of that identifier, and the server does not answer.
        """
        if experiment_id is not None:
            name = experiment_name(experiment_id)
        if name is None:
            return self._chosen_by_id(str(experiment_id))
        check_experiment_name(name)
        try:
            found = self._ask(lambda remote: remote.experiment_for_runs(name), SHORT_PATIENCE)
        except StoreError:
            known = [each for each in list(self._experiments.values()) if each.name == name]
            if known:
                return known[0]
            if name != DEFAULT_NAME and name not in self._waiting_names():
                self._queue.append_experiment(NewExperiment(name, None, {}))
                self._wake()
            return self.experiment_for_runs(name)
        return self._learn(found)

    def _chosen_by_id(self, experiment_id: str) -> Experiment:
        try:
            return self.get_experiment(experiment_id, SHORT_PATIENCE)
        except StoreUnavailableError:
            known = self._known_experiment(experiment_id)
            if known is None:
                raise
            return known

    def experiment_to_book(self, experiment_id: str) -> Experiment:
        """Return the experiment that a new run names; the server is not asked for one it told.

        Raises
        ------
        NotFoundError
            When there is none.
        StoreUnavailableError
            When nobody has heard of it, and the server does not answer.
        """
        name = experiment_name(experiment_id)
        if name is not None:
            return self.experiment_for_runs(name)
        known = self._experiments.get(experiment_id)
        if known is None and experiment_id == DEFAULT_EXPERIMENT_ID:
            return self.experiment_for_runs(None)
        if known is None or known.lifecycle_stage == LifecycleStage.DELETED:
            return self._chosen_by_id(experiment_id)
        return self._stand_in(experiment_id, known.name)

    def _known_experiment(self, experiment_id: str) -> Experiment | None:
        """Return what is known of an experiment, from this process or another, or None."""
        known = self._experiments.get(experiment_id)
        if known is None and experiment_id == DEFAULT_EXPERIMENT_ID:
            return self.experiment_for_runs(None)
        if known is not None:
            return known
        for name, each in self._queue.known_experiments().items():
            if each == experiment_id:
                return self._stand_in(experiment_id, name)
        return None

    def _stand_in(self, experiment_id: str, name: str) -> Experiment:
        # Artifacts of new runs go to the spool first, wherever the server keeps them.
        return Experiment(experiment_id, name, str(self._spool.root))

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an experiment and return its identifier; `AlreadyExistsError` when taken.

        While the server does not answer, it is left to the forwarder, and the identifier is one
        that stands for its name.
        """
        check_experiment_name(name)
        check_tags(tags or {})
        try:
            made = self._ask(lambda remote: remote.create_experiment(name, artifact_location, tags))
        except StoreUnavailableError:
            self._queue.append_experiment(NewExperiment(name, artifact_location, dict(tags or {})))
            self._wake()
            return placeholder(name)
        self._learn(self._stand_in(made, name))
        return made

    def get_experiment(self, experiment_id: str, seconds: float | None = None) -> Experiment:
        """Return the experiment, deleted or not; of one known by name, what is known.

        Parameters
        ----------
        experiment_id : str
            Its identifier, or what stands for it.
        seconds : float, optional
            The longest to wait for the server.
        """
        name = experiment_name(experiment_id)
        if name is None:
            return self._learn(
                self._ask(lambda remote: remote.get_experiment(experiment_id), seconds)
            )
        try:
            found = self.get_experiment_by_name(name)
        except StoreUnavailableError:
            found = None
        return found or self.experiment_for_runs(name)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of that name, deleted or not, or None."""
        check_experiment_name(name)
        try:
            found = self._ask(lambda remote: remote.get_experiment_by_name(name))
        except StoreUnavailableError:
            if name not in self._waiting_names():
                raise
            found = None
        if found is not None:
            self._learn(found)
        elif name in self._waiting_names():
            return self.experiment_for_runs(name)
        return found

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return experiments, the newest first unless ordered.

        Those that the server does not have yet come last, when there is no filter.
        """
        found = self._ask(
            lambda remote: remote.search_experiments(
                view_type, max_results, filter_string, order_by, page_token
            )
        )
        self._learn_all(found)
        if found.token is None and not filter_string and view_type != ViewType.DELETED_ONLY:
            known = self._queue.known_experiments()
            new = [name for name in self._waiting_names() if name not in known]
            found.extend(self.experiment_for_runs(name) for name in new)
        return found

    def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        lifecycle_stage: str | None = None,
        tags: Mapping[str, str] | None = None,
        deleted_tags: Sequence[str] = (),
    ) -> None:
        """Rename, delete, restore or tag an experiment; the server must answer.

        What waits is sent first, as far as a few seconds allow: it was booked before, and a deleted
        experiment takes no more. What an experiment is called, or whether it is there, may change
        with it, too.
        """
        is_by_name = experiment_name(experiment_id) is not None
        if is_by_name or name is not None or lifecycle_stage == LifecycleStage.DELETED:
            self._settle(SETTLING)
        theirs = self._their_experiment(experiment_id)
        self._ask(
            lambda remote: remote.update_experiment(
                theirs,
                name=name,
                lifecycle_stage=lifecycle_stage,
                tags=tags,
                deleted_tags=deleted_tags,
            )
        )
        self._experiments.pop(theirs, None)
        if name is not None:
            self._learn_names({name: theirs})

    def _their_experiment(self, experiment_id: str) -> str:
        """Return what the server calls an experiment that may be known by its name."""
        name = experiment_name(experiment_id)
        if name is None:
            return experiment_id
        found = self._ask(lambda remote: remote.get_experiment_by_name(name))
        if found is None:
            raise NotFoundError(
                f"the experiment {name!r} is not on the server yet: it waits to be sent; "
                "`skledger sync` sends it"
            )
        return self._learn(found).experiment_id

    def _their_experiments(self, experiment_ids: Sequence[str]) -> list[str]:
        """Return the experiments that the server has, by its identifiers."""
        theirs = []
        for each in experiment_ids:
            if not isinstance(each, str):
                raise InvalidParameterError(f"an experiment_id is text, got {each!r}")
            try:
                theirs.append(self._their_experiment(each))
            except NotFoundError:
                pass
        return list(dict.fromkeys(theirs))

    def _learn(self, found: Experiment) -> Experiment:
        """Remember an experiment that the server told of."""
        self._learn_all([found])
        return found

    def _learn_all(self, found: Sequence[Experiment]) -> None:
        known = self._experiments
        self._learn_names(
            {
                each.name: each.experiment_id
                for each in found
                if each.experiment_id not in known or known[each.experiment_id].name != each.name
            }
        )
        known.update((each.experiment_id, each) for each in found)

    def _learn_names(self, names: Mapping[str, str]) -> None:
        """Remember what experiments are called, for other processes, if there is an outbox."""
        if names and self._queue.database.is_there():
            known = self._queue.known_experiments()
            self._queue.learn_experiments(
                {
                    name: experiment_id
                    for name, experiment_id in names.items()
                    if name != DEFAULT_NAME and known.get(name) != experiment_id
                }
            )

    def _waiting_names(self) -> list[str]:
        """Return the names of the experiments that something waits for."""
        names = [each.name for each in self._queue.waiting_experiments()]
        return list(dict.fromkeys((*names, *self._queue.names_of_runs())))
