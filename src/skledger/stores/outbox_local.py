"""The runs that an outbox reads from itself, replayed as far as they were asked for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

from skledger.stores.checks import check_max_results, check_view_type
from skledger.stores.matching import Beside, matches, sort
from skledger.stores.outbox_codec import decode_change, decode_run
from skledger.stores.outbox_names import experiment_name
from skledger.stores.outbox_queue import CHANGE, SNAPSHOT, Entry, Queue
from skledger.stores.outbox_replay import Replay
from skledger.tracking.entities import Run, RunChange, RunStatus
from skledger.tracking.filters import Ordering, parse_filter

__all__ = ["LocalRuns", "LocalView", "in_order", "run_in"]

#: Runs that are kept replayed.
KEPT = 256
PARENT_TAG = "mlflow.parentRunId"


class LocalRuns:
    """Reads runs from the queue: those that the server does not wholly have, or that go on.

    Parameters
    ----------
    queue : Queue
        Where their changes are.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a child."""
        self._lock = threading.RLock()
        # How far each was replayed, by the place in the queue.
        self._replays: OrderedDict[str, tuple[Replay, int]] = OrderedDict()

    def replay(self, run_id: str) -> Replay | None:
        """Return a run as it is by now, or None when the server is to be asked for it."""
        with self._lock:
            known, after = self._replays.get(run_id, (None, 0))
            is_here, entries = self._queue.entries_of(run_id, after)
            if not is_here:
                self._replays.pop(run_id, None)
                return None
            if known is None or any(each.kind == SNAPSHOT for each in entries):
                if after:
                    entries = self._queue.entries_of(run_id)[1]
                known = _begin(entries)
                if known is None:
                    return None
            for each in entries:
                if each.kind == CHANGE:
                    known.apply(decode_change(each.body))
            last = entries[-1].seq if entries else after
            self._replays[run_id] = known, last
            self._replays.move_to_end(run_id)
            while len(self._replays) > KEPT:
                self._replays.popitem(last=False)
            return known

    def get(self, run_id: str) -> Run | None:
        """Return a run, or None when the server is to be asked for it."""
        replay = self.replay(run_id)
        return None if replay is None else self.told(replay.run())

    def over(self, run: Run, run_id: str) -> Run:
        """Return a run of the server with the changes that wait for it."""
        _, waiting = self._queue.entries_of(run_id)
        changes = [decode_change(each.body) for each in waiting if each.kind == CHANGE]
        if not changes:
            return run
        replay = Replay(run)
        for change in changes:
            replay.apply(change)
        return replay.run()

    def waiting(self, run_id: str) -> list[RunChange]:
        """Return the changes of a run that is not read from here, but that wait."""
        _, entries = self._queue.entries_of(run_id)
        return [decode_change(each.body) for each in entries if each.kind == CHANGE]

    def told(self, run: Run) -> Run:
        """Return a run with the identifier of its experiment, as soon as it is known."""
        name = experiment_name(run.info.experiment_id)
        known = None if name is None else self._queue.known_experiments().get(name)
        if known is None:
            return run
        return replace(run, info=replace(run.info, experiment_id=known))

    def search(
        self, experiment_ids: Sequence[str], filter_string: str, view_type: int
    ) -> list[Run]:
        """Return the runs of experiments that match, whatever their order."""
        conditions = parse_filter(filter_string, "run")
        stages = check_view_type(view_type)
        wanted = self.same_experiments(experiment_ids)
        found = (self.get(run_id) for run_id in self._queue.runs_here())
        return [
            run
            for run in found
            if run is not None
            and run.info.experiment_id in wanted
            and run.info.lifecycle_stage in stages
            and matches(run, conditions)
        ]

    def same_experiments(self, experiment_ids: Sequence[str]) -> set[str]:
        """Return identifiers of experiments with all that mean the same."""
        wanted = {str(each) for each in experiment_ids}
        for name, experiment_id in self._queue.known_experiments().items():
            if experiment_id in wanted or f"name:{name}" in wanted:
                wanted |= {experiment_id, f"name:{name}"}
        return wanted

    def running(self, tag: str | None, max_results: int, after: str) -> list[Run]:
        """Return the runs that are RUNNING, in the order of their identifiers."""
        limit = check_max_results(max_results)
        found: list[Run] = []
        for run_id in self._queue.runs_here(running=True):
            run = self.get(run_id) if run_id > after else None
            if run is None or run.info.status != RunStatus.RUNNING:
                continue
            if tag is None or tag in run.data.tags:
                found.append(run)
            if len(found) == limit:
                break
        return found

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs that are read from here, or their children, showed life, in ms."""
        now = time.time_ns() // 1_000_000
        here = self._queue.runs_here()
        replays = [(run_id, self.replay(run_id)) for run_id in here]
        signs = {
            run_id: replay.last_sign(now)
            for run_id, replay in replays
            if replay is not None and run_id in set(run_ids)
        }
        for _, replay in replays:
            parent = "" if replay is None else replay.tags.get(PARENT_TAG, "")
            if replay is not None and parent in signs:
                signs[parent] = max(signs[parent], replay.last_sign(now))
        return signs


class LocalView:
    """The runs of an outbox without those of its server: what can be told without asking anybody.

    It has what is needed to end the runs of processes that are gone.

    Parameters
    ----------
    runs : LocalRuns
        The runs.
    write : callable
        Appends changes to the queue.
    """

    def __init__(self, runs: LocalRuns, write: Callable[..., None]) -> None:
        self._runs = runs
        self._write = write

    def write(self, *changes: RunChange) -> None:
        """Append changes to the queue."""
        self._write(*changes)

    def running_runs(
        self, tag: str | None = None, max_results: int = 1000, after: str = ""
    ) -> list[Run]:
        """Return the runs of this outbox that are RUNNING, in the order of their identifiers."""
        return self._runs.running(tag, max_results, after)

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs of this outbox, or their children, showed life, in ms."""
        return self._runs.last_signs(run_ids)


def run_in(queue: Queue, run_id: str) -> Run | None:
    """Return a run that is read from here, replayed for this once; None when it is not."""
    is_here, entries = queue.entries_of(run_id)
    replay = _begin(entries) if is_here else None
    if replay is None:
        return None
    for each in entries:
        if each.kind == CHANGE:
            replay.apply(decode_change(each.body))
    return replay.run()


def in_order(
    runs: list[Run], orderings: Sequence[Ordering], beside: Beside | None = None
) -> list[Run]:
    """Return runs in the order that was asked for; the newest first where none was."""
    by_start = sorted(runs, key=lambda run: (-run.info.start_time, run.info.run_id))
    return sort(by_start, orderings, beside)


def _begin(entries: Sequence[Entry]) -> Replay | None:
    """Return the run that the first of its entries tells of."""
    for each in entries:
        if each.kind == SNAPSHOT:
            return Replay(decode_run(each.body), is_snapshot=True)
    for each in entries:
        change = decode_change(each.body)
        if change.create is not None:
            return Replay.of_new(change.create)
    return None
