"""Reading from an outbox and from its server as if they were one."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from skledger.errors import StoreUnavailableError
from skledger.stores.checks import check_max_results
from skledger.stores.outbox_asking import Silence, within
from skledger.stores.outbox_courier import Courier, waits
from skledger.stores.outbox_experiments import SHORT_PATIENCE
from skledger.stores.outbox_forwarder import Remote
from skledger.stores.outbox_local import in_order
from skledger.stores.outbox_memory import Memory
from skledger.stores.outbox_merging import merge
from skledger.stores.outbox_models import ModelsPart
from skledger.stores.outbox_replay import Replay
from skledger.stores.outbox_runs import RunsHere
from skledger.stores.rest_aliases import RUN_TAG
from skledger.tracking.entities import Metric, PagedList, Run, ViewType
from skledger.tracking.filters import parse_order_by

__all__ = ["ReadingPart"]

T = TypeVar("T")

#: The longest that a question to the server may take, in seconds.
PATIENCE = 5.0
#: Runs of the server that are remembered as they were read, in case they are taken up.
REMEMBERED = 16
#: Runs of the server that are remembered to be there.
KNOWN = 10_000


class ReadingPart(ModelsPart):
    """The methods of an outbox that read."""

    uri: str
    _courier: Courier
    _memory: Memory
    _silence: Silence
    _seen: OrderedDict[str, Run]
    _known: OrderedDict[str, None]
    _lock: threading.Lock

    def _server(self) -> Remote:
        raise NotImplementedError

    def _admit(self, run_id: str) -> str:
        raise NotImplementedError

    def get_run(self, run_id: str) -> Run:
        """Return a run with everything it holds.

        While the server does not answer, a run that was booked here is what it was when it was
        sent.
        """
        ours = self._ids.of(run_id)
        run = self._runs.get(ours)
        if run is not None:
            return self._ids.runs([run], [ours])[0]
        run = self._from_server(run_id, ours)
        with self._lock:
            self._seen[ours] = run
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return self._ids.run(self._runs.over(run, ours))

    def _from_server(self, run_id: str, ours: str) -> Run:
        """Return a run that the server has, or had."""
        seconds = SHORT_PATIENCE if self._memory.has_run(ours) else None
        try:
            run = self._ask(lambda remote: remote.get_run(run_id), seconds)
        except StoreUnavailableError:
            kept = self._memory.run(ours)
            if kept is None:
                raise
            place = RunsHere(self._queue.database).place(ours)
            if place is not None:
                kept = replace(kept, info=replace(kept.info, artifact_uri=place))
            return self._runs.told(kept)
        self._know([run])
        return run

    def _know(self, runs: Sequence[Run]) -> None:
        """Remember that the server has runs."""
        with self._lock:
            for run in runs:
                self._known[run.info.run_id] = None
            while len(self._known) > KNOWN:
                self._known.popitem(last=False)

    def place_to_write(self, run_id: str) -> str:
        """Return where files of a run are to be written: to the server, or here to be sent.

        Raises
        ------
        NotFoundError
            When there is no such run.
        StoreUnavailableError
            When nobody has heard of it, and the server does not answer.
        """
        ours = self._ids.of(run_id)
        run = self._runs.get(ours)
        if run is not None:
            return run.info.artifact_uri
        is_known = ours in self._known or run_id in self._known or self._memory.has_run(ours)
        try:
            seconds = SHORT_PATIENCE if is_known else None
            run = self._ask(lambda remote: remote.get_run(run_id), seconds)
        except StoreUnavailableError:
            if not is_known:
                raise
            return self._admit(ours)
        self._know([run])
        return run.info.artifact_uri

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
        limit, orderings = check_max_results(max_results), parse_order_by(order_by, "run")
        theirs = self._their_experiments(experiment_ids)
        here = set(self._queue.runs_here())
        ours = self._runs.search(experiment_ids, filter_string, view_type) if here else []

        def fetch(token: str | None) -> PagedList[Run]:
            if not theirs:
                return PagedList()
            page = self._ask(
                lambda remote: remote.search_runs(
                    theirs, filter_string, view_type, limit, order_by, token
                )
            )
            self._know(page)
            return page

        def is_here(run: Run) -> bool:
            return run.data.tags.get(RUN_TAG) in here or run.info.run_id in here

        order = partial(
            in_order, orderings=orderings, beside=lambda at, _: self.get_experiment(at).name
        )
        page = merge(ours, is_here if here else None, fetch, limit, order, page_token)
        return PagedList(self._ids.runs(page, here), page.token)

    def count_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        view_type: int = ViewType.ACTIVE_ONLY,
        tag: str = "",
    ) -> dict[tuple[str | None, str], int]:
        """Return how many runs match, by the value of a tag (None without it) and by status."""
        if not self._queue.runs_here():
            theirs = self._their_experiments(experiment_ids)
            told = self._ask(
                lambda remote: remote.count_runs(theirs, filter_string, view_type, tag)
            )
            return self._ids.counts(told, tag)
        counts: Counter[tuple[str | None, str]] = Counter()
        token: str | None = None
        while True:
            page = self.search_runs(experiment_ids, filter_string, view_type, page_token=token)
            counts.update((run.data.tags.get(tag), run.info.status) for run in page)
            token = page.token
            if token is None:
                return dict(counts)

    def running_runs(
        self, tag: str | None = None, max_results: int = 1000, after: str = ""
    ) -> list[Run]:
        """Return runs that are RUNNING, deleted ones included, in the order of their identifiers.

        Only those that have the tag, when one is named. `after` is the last identifier of the page
        before.
        """
        ours = self._runs.running(tag, max_results, after)
        here = set(self._queue.runs_here())

        def page(remote: Remote) -> list[Run]:
            if not self._ids.has_any:
                return remote.running_runs(tag, max_results, after)
            # Those that are called otherwise here have another place among the rest.
            found = remote.running_runs(tag, max_results)
            last = found
            while len(last) == max_results:
                last = remote.running_runs(tag, max_results, last[-1].info.run_id)
                found = [*found, *last]
            return found

        theirs = self._ids.runs(
            [
                run
                for run in self._ask(page)
                if run.data.tags.get(RUN_TAG) not in here and run.info.run_id not in here
            ]
        )
        theirs = [run for run in theirs if run.info.run_id > after]
        both = sorted((*self._ids.runs(ours, here), *theirs), key=lambda run: run.info.run_id)
        return both[:max_results]

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs, or their children, last started, ended or got the value of a metric.

        In ms; values from the future do not count, and runs that nobody knows are left out.
        """
        signs = self._runs.last_signs(run_ids)
        others = [each for each in run_ids if each not in signs]
        if others:
            signs |= self._ask(lambda remote: remote.last_signs(others))
        return signs

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every value of a metric, in the order of step and time."""
        ours = self._ids.of(run_id)
        replay = self._runs.replay(ours)
        if replay is not None and not replay.is_snapshot:
            return replay.history(key)
        waiting = self._runs.waiting(ours) if replay is None else []
        told = self._ask(lambda remote: remote.get_metric_history(run_id, key))
        if replay is None and not waiting:
            return told
        if replay is None:
            replay = Replay(self.get_run(run_id))
            for change in waiting:
                replay.apply(change)
        return replay.history(key, told)

    def _ask(self, call: Callable[[Remote], T], seconds: float | None = None) -> T:
        """Ask the server, for a few seconds at most; not when it was found silent just now."""
        seconds = PATIENCE if seconds is None else min(seconds, PATIENCE)
        began = time.monotonic()
        try:
            self._silence.check(seconds)
            try:
                answer = within(seconds, lambda: call(self._server()), self.uri)
            except StoreUnavailableError as error:
                self._silence.note(error, began, seconds)
                raise
        except StoreUnavailableError as error:
            count = self._queue.count_left()
            if not count:
                raise
            self._courier.told_waiting = count
            raise StoreUnavailableError(
                f"{error}; {waits(count)} here to be sent", error.retry_after, error.status
            ) from error
        self._silence.end()
        self._courier.retry_soon()
        return answer
