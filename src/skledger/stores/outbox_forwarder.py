"""Sending what waits in an outbox to its server, so that the server has it exactly once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from skledger._guard import report
from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    SkledgerError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores.base import Store
from skledger.stores.outbox_codec import NewExperiment, encode_change
from skledger.stores.outbox_groups import (
    Group,
    grouped,
    halves,
    names_in,
    pieces,
    settled,
    strides,
)
from skledger.stores.outbox_memory import Memory
from skledger.stores.outbox_names import experiment_name
from skledger.stores.outbox_queue import EXPERIMENT, REGISTRATION, Entry, Queue
from skledger.stores.outbox_registry import Registration
from skledger.stores.outbox_uploads import Uploads
from skledger.tracking.entities import LifecycleStage, RunChange
from skledger.tracking.registry_entities import ModelVersion, RegistryChange

__all__ = ["Forwarder", "Remote"]

#: Entries that are read from the queue at a time.
WINDOW = 500
#: What the server refuses for good; anything else may succeed later.
FOR_GOOD = (InvalidParameterError, NotFoundError, AlreadyExistsError)
#: For how long the identifier of an experiment is taken for granted, in seconds.
FRESH = 30.0
#: A part that is answered so often that the server failed on it, while nothing else of its change
#: gets through either, is set aside if the server is well otherwise: so many questions show it.
MOST_TRIES, QUESTIONS = 40, 5
#: As often, when the server says that it cannot do it at all.
FEW_TRIES = 3
#: The answer of a server that failed on what it was asked. Others, such as that it is busy, and no
#: answer at all, say nothing about what was asked: that is never set aside.
FAILED = 500
#: The answer of a server that knows who asks, and does not let them do that.
FORBIDDEN = 403
_UNREADABLE = "it is damaged, or was booked by a newer version of skledger, which can send it"


class Remote(Store, Protocol):
    """The store of a server, where what is written twice is there once."""

    def write(self, *changes: RunChange, retry: bool = False) -> None:
        """Write changes; with `retry`, look first for what the server has of them."""
        ...

    def write_registry(self, *changes: RegistryChange, retry: bool = False) -> list[ModelVersion]:
        """Write changes of registered models, likewise."""
        ...

    def server_run_id(self, run_id: str) -> str:
        """Return what the server calls a run."""
        ...

    def server_model_id(self, model_id: str) -> str:
        """Return what the server calls a logged model."""
        ...


class Forwarder:
    """Sends the entries in order, then the files; the caller holds the lock of the outbox.

    Parameters
    ----------
    queue : Queue
        What waits.
    uploads : Uploads
        Sends the files.
    remote : callable
        Returns the store of the server.
    """

    def __init__(self, queue: Queue, uploads: Uploads, remote: Callable[[], Remote]) -> None:
        self._queue = queue
        self._uploads = uploads
        self._remote = remote
        self._memory = Memory(queue.database)
        self._groups: deque[Group] = deque()
        self._reported: set[str] = set()
        self._experiments: dict[str, tuple[str, float]] = {}
        #: Counts what the server has taken: as long as this grows, trying again makes sense.
        self.progress = 0
        #: What was refused for good since it was last looked at.
        self.refusals: list[str] = []

    def send(self, pause: Callable[[], bool]) -> bool:
        """Send everything that waits now.

        Parameters
        ----------
        pause : callable
            Called before each part; may take its time, and returns False when it is time to stop.

        Returns
        -------
        bool
            Whether there was nothing left to send.

        Raises
        ------
        SkledgerError
            When the server cannot be reached, or something could not be sent for a mistake of
            ours; what was sent by then is noted.
        """
        if self._groups and not self._is_as_left(self._groups[0]):
            self._groups.clear()  # another process has sent since
        mistake: Exception | None = None
        held: set[str] = set()  # what waits for the next version of this program
        after = max((each.seq for group in self._groups for each in group.entries), default=0)
        while True:
            if not self._groups:
                window = self._queue.left(WINDOW, after)
                after = window[-1].seq if window else after
                self._groups.extend(grouped(window))
            if not self._groups:
                break
            if not pause():
                return False
            group = self._groups[0]
            if not held.isdisjoint(group.needs()):
                held |= group.makes()
            elif (error := self._try(group)) is not None:
                mistake = mistake or error
                held |= group.makes()
            self._groups.popleft()
        for sent in self._uploads.send_files(self.refusals):
            self.progress += sent
            if not pause():
                return False
        if mistake is not None:
            raise StoreError(
                "something cannot be sent for a mistake of skledger "
                f"({type(mistake).__name__}: {mistake}): it waits for a version that can"
            ) from mistake
        return True

    def forget(self) -> None:
        """Forget what was being sent; the queue knows."""
        self._groups.clear()

    def _is_as_left(self, group: Group) -> bool:
        tries = [each.tries + group.attempts for each in group.entries]
        return self._queue.tries_of(group.entries) == tries

    # One group

    def _try(self, group: Group) -> Exception | None:
        """Send a group; return the error when it is ours, not one that the server told."""
        try:
            self._send(group)
        except SkledgerError:
            raise
        except Exception as error:  # noqa: BLE001 - others shall not wait for it
            text = f"{group.entries[0].seq} {error!r}"
            if text not in self._reported:
                self._reported.add(text)
                report("what waits to be sent", error)
            return error
        return None

    def _send(self, group: Group) -> None:
        retry = group.is_retry
        self._queue.mark_tried(group.entries)
        group.attempts += 1
        if group.change is None and group.entries[0].kind == REGISTRATION:
            self._send_registration(group, retry)
        elif group.change is None:
            self._send_experiment(group)
        else:
            self._send_change(group, settled(group.change), retry)
        self._queue.mark_sent(group.entries)
        self.progress += 1

    def _send_experiment(self, group: Group) -> None:
        entry = group.entries[0]
        wanted = _experiment_in(entry)
        if wanted is None:
            self._set_aside(entry, entry.body, StoreError(_UNREADABLE))
            return
        try:
            experiment_id = self._remote().create_experiment(
                wanted.name, wanted.artifact_location, wanted.tags
            )
            self._queue.learn_experiments({wanted.name: experiment_id})
        except AlreadyExistsError:
            pass  # ours, when the answer was lost; else somebody was faster, which is as good
        except FOR_GOOD as error:
            self._set_aside(entry, entry.body, error)
        except StoreDeniedError as error:
            if not self._is_forbidden(error):
                raise
            self._set_aside(entry, entry.body, error)

    def _send_registration(self, group: Group, retry: bool) -> None:
        entry = group.entries[0]
        wanted = Registration.decode(entry.body)
        try:
            self._remote().write_registry(*wanted.changes(), retry=retry)
        except FOR_GOOD as error:
            self._set_aside(entry, entry.body, error)
        except StoreError as error:
            is_passing = isinstance(error, StoreUnavailableError)
            if not self._is_forbidden(error):
                if group.tries < (MOST_TRIES if is_passing else FEW_TRIES):
                    raise
                self._remote().search_experiments(max_results=1)  # is it this, or everything?
            self._set_aside(entry, entry.body, error)

    def _send_change(self, group: Group, change: RunChange, retry: bool) -> None:
        """Send a change in large parts; should that fail, in small ones from then on."""
        if change.create is None and self._uploads.runs.is_refused(change.run_id):
            error = NotFoundError("the server refused to create the run")
            self._set_aside(group.entries[0], encode_change(change), error)
            return
        try:
            change = self._for_server(change)
            for name, part in pieces(change) if retry else strides(change):
                if name not in group.done:
                    self._send_part(group, part, retry)
                    group.done.update(names_in(name, change))
                    self._get_through(group, 1)
            if change.create is not None:
                self._uploads.runs.accept(change.run_id)
        except FOR_GOOD as error:
            if not retry:
                # Which part of it is refused, and what of it the server has taken, is found out.
                self._send_change(group, change, retry=True)
            else:
                creates = change.create is not None and "create" not in group.done
                self._set_aside(group.entries[0], encode_change(change), error, creates=creates)

    def _send_part(self, group: Group, part: RunChange, retry: bool) -> None:
        """Send a part; of one that is refused, everything that is not."""
        try:
            self._put(group, part, retry)
        except FOR_GOOD as error:
            # Without its run, all of it is lost; a run without a tag, or a model, is not.
            is_missing = isinstance(error, NotFoundError)
            if not retry or (is_missing and not (part.models or part.model_changes)):
                raise
            if is_missing and part.model_changes:
                self._set_aside(group.entries[0], encode_change(part), error)
                return
            if part.create is not None:
                if not part.tags:
                    raise
                self._send_part(group, replace(part, tags=()), retry)
                self._send_part(group, RunChange(part.run_id, tags=part.tags), retry)
                return
            parts = halves(part)
            if parts is None:
                self._set_aside(group.entries[0], encode_change(part), error)
            for each in parts or ():
                self._send_part(group, each, retry)
        except StoreError as error:
            if not self._is_hopeless(group, error):
                raise
            if part.create is not None:  # all of the run is set aside with it
                raise InvalidParameterError(str(error)) from error
            self._set_aside(group.entries[0], encode_change(part), error)

    def _is_hopeless(self, group: Group, error: StoreError) -> bool:
        """Whether a part will never be taken, though the server is well."""
        if self._is_forbidden(error):
            return True
        is_passing = isinstance(error, StoreUnavailableError)
        if isinstance(error, StoreUnavailableError) and error.status != FAILED:
            return False
        if group.tries < (MOST_TRIES if is_passing else FEW_TRIES):
            return False
        for _ in range(QUESTIONS):  # does it fail on this, or on anything now and then?
            self._remote().search_experiments(max_results=1)
        return True

    def _is_forbidden(self, error: StoreError) -> bool:
        """Whether the server answers who asks, but does not let them do that: no use to go on."""
        if not isinstance(error, StoreDeniedError) or error.status != FORBIDDEN:
            return False
        self._remote().search_experiments(max_results=1)
        return True

    def _get_through(self, group: Group, count: int) -> None:
        """Note that the server has taken some of a group."""
        self.progress += count
        if count and group.tries > 1:
            self._queue.mark_getting_through(group.entries)
            group.restart()

    def _put(self, group: Group, part: RunChange, retry: bool) -> None:
        remote = self._remote()
        if not part.models:
            remote.write(part, retry=retry)
            if part.create is not None:
                self._memory.learn_names({remote.server_run_id(part.run_id): part.run_id})
            return
        before = len(group.done)
        try:
            self._uploads.send_model(remote, part, retry, group.done)
        finally:
            self._get_through(group, len(group.done) - before)  # each file counts
        ours = part.models[0].model_id
        self._memory.learn_names({remote.server_model_id(ours): ours})

    def _set_aside(
        self, entry: Entry, body: str, error: Exception, *, creates: bool = False
    ) -> None:
        text = str(error) or type(error).__name__
        self._queue.refuse(entry, body, text, creates=creates)
        self.refusals.append(text)

    # What is ours becomes what is the server's

    def _for_server(self, change: RunChange) -> RunChange:
        """Return a change with the identifier that the server has for its experiment."""
        name = None if change.create is None else experiment_name(change.create.experiment_id)
        if change.create is None or name is None:
            return change
        experiment_id = self._experiment(name)
        return replace(
            change,
            create=replace(change.create, experiment_id=experiment_id),
            models=tuple(replace(each, experiment_id=experiment_id) for each in change.models),
        )

    def _experiment(self, name: str) -> str:
        """Return the identifier of an experiment, made when it is new."""
        known = self._experiments.get(name)
        if known is not None and time.monotonic() - known[1] < FRESH:
            return known[0]
        remote = self._remote()
        found = remote.get_experiment_by_name(name)
        if found is None:
            try:
                experiment_id = remote.create_experiment(name)
            except AlreadyExistsError:
                return self._experiment(name)
            except StoreDeniedError as error:
                if not self._is_forbidden(error):
                    raise
                raise InvalidParameterError(str(error)) from error
        elif found.lifecycle_stage == LifecycleStage.DELETED:
            raise InvalidParameterError(
                f"the experiment {name!r} is deleted on the server and takes no runs; restore it, "
                "then run `skledger sync --retry-refused`"
            )
        else:
            experiment_id = found.experiment_id
        self._experiments[name] = experiment_id, time.monotonic()
        self._queue.learn_experiments({name: experiment_id})
        return experiment_id


def _experiment_in(entry: Entry) -> NewExperiment | None:
    """Return the experiment that an entry asks for; None when it is something else."""
    try:
        return NewExperiment.decode(entry.body) if entry.kind == EXPERIMENT else None
    except (ValueError, TypeError):
        return None
