"""Child runs: one for each candidate of a search, or each fold of a cross-validation.

They are written while the work goes on, in batches, by the background writer: a child appears,
RUNNING, when its first fold has come, and is FINISHED when its last has. What has come is only
queued by whoever brings it, so neither a worker nor the search waits for the store.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skledger._guard import contain
from skledger._writer import writer
from skledger.capture.candidates import Summary, read_fold, summarise
from skledger.capture.results import Results
from skledger.ledger.place import Place
from skledger.ledger.progress import Progress
from skledger.ledger.records import error_tags, text_of_error
from skledger.ledger.units import Ending, Ranks, Scribe, Unit, Units, rank_metrics
from skledger.tracking.entities import DatasetInput, RunChange, RunInfo, RunStatus
from skledger.tracking.names import now_ms

__all__ = ["Children"]

#: What has come is written so much later, in s; later still when writing is slow or much comes,
#: so that it takes at most a fifth of the time.
INTERVAL, LONGEST = 0.2, 2.0
SHARE = 0.2
#: Children that one transaction writes.
BATCH = 100


class Children:
    """Books the children of one run; the listener for the tasks of its call.

    Parameters
    ----------
    parent : Place
        The run they belong to.
    units : Units
        Which tasks make a child.
    tags : mapping of str to str
        Tags for each of them.
    progress : Progress
        Is told how far it is.
    keep : int, optional
        Write only so many, the best, when all is over; by default all, as they come.
    inputs : tuple of DatasetInput, default=()
        The data they share.
    """

    def __init__(
        self,
        parent: Place,
        units: Units,
        tags: Mapping[str, str],
        progress: Progress,
        keep: int | None = None,
        inputs: tuple[DatasetInput, ...] = (),
    ) -> None:
        self._parent = parent
        self._units = units
        self._progress = progress
        self._keep = keep
        self._scribe = Scribe(parent, units, tags, inputs)
        self._arrived: deque[tuple[Any, ...]] = deque()
        self._open: dict[int, Unit] = {}  # not over, or not written
        self._fresh: set[int] = set()  # of those, the ones with something new
        self._runs: dict[int, RunInfo] = {}  # those that are written
        self._scores: dict[int, dict[str, float]] = {}  # mean test scores, by number
        # What children had that may have to be found in a table later.
        self._told: dict[int, tuple[tuple[float, ...], Mapping[str, str]]] = {}
        self._best: tuple[int, float] | None = None  # its rung, its score
        #: When the last of them ended, in s since the epoch.
        self.last_end = 0.0
        self._cut_off: set[int] = set()  # those that the end of the search ended
        self._done = 0
        self._failed = 0
        self._alarm: object = None
        self._is_over = False  # what comes now, of a thread that is left behind, is nobody's
        self._interval = INTERVAL
        self._lock = threading.RLock()

    # -- what comes, from any thread ------------------------------------------------------------

    wants_estimators = False

    def task_done(self, task: Any, result: Any, started: float | None, ended: float) -> None:
        """Queue what a task returned."""
        place = self._units.place_of(task)
        if place is not None:
            told = result if isinstance(result, Mapping) else {}
            self._queue(*place, task, told, started, ended)

    def tasks_failed(self, tasks: Sequence[Any], error: BaseException) -> None:
        """Queue that one of some tasks raised; which one is known when there is only one."""
        for task in tasks if len(tasks) == 1 else ():
            place = self._units.place_of(task)
            if place is not None:
                self._queue(*place, task, error, None, 0.0)

    def round_ended(self, round_: object, count: int) -> None:
        """Queue that a call of ``joblib.Parallel`` has sent `count` tasks and all are done."""
        number = self._units.number_of(round_)
        if number is not None:
            self._queue(number, count, None, None, None, 0.0)

    def _queue(self, *what: Any) -> None:
        if self._is_over:
            return
        self._arrived.append(what)
        if self._alarm is None:
            self._alarm = writer.alarm(self._interval, self._flush_late)

    def _flush_late(self) -> None:
        start = time.monotonic()
        with contain("the candidates so far"):
            self.flush()
        taken = time.monotonic() - start
        self._interval = min(max(INTERVAL, taken / SHARE), LONGEST)

    # -- what is written ------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what has come."""
        with self._lock:
            self._alarm = None
            if self._is_over:
                return
            self._take_arrived()
            fresh = [self._open[number] for number in sorted(self._fresh & self._open.keys())]
            summaries = self._summaries(fresh)
            if self._keep is None:
                self._write(fresh, summaries, {})
            self._fresh.clear()
            self._tell()

    def end(self, ending: Ending | None, results: Results | None = None) -> None:
        """Write what is left: nothing that comes later counts. If it fails, try again.

        Parameters
        ----------
        ending : Ending or None
            What becomes of a child whose folds have not all come.
        results : Results, optional
            The table that children are rows of.
        """
        with self._lock:
            self._is_over = True
            writer.cancel(self._alarm)
            self._take_arrived()
            units = [self._open[number] for number in sorted(self._open)]
            for unit in units:
                if not unit.is_over:
                    self._cut_off.add(unit.number)
                    unit.ending = ending
                    if ending is None:
                        unit.expected = len(unit.folds)
            summaries = self._summaries(units)
            rows = self._rows(results)
            ranks = self._ranks(results, rows)
            earlier = self._runs.keys() - self._open.keys()
            self._write(self._chosen(units, ranks), summaries, ranks)
            self._open.clear()
            self._fresh.clear()
            self._send_ranks(earlier, ranks)
            self._renumber(rows)

    def run_for(self, task: Any) -> RunInfo | None:
        """Return the run of the child that a task belongs to, written if it was not."""
        place = None if self._keep is not None else self._units.place_of(task)
        if place is None:
            return None
        with self._lock:
            self._take_arrived()
            unit = self._open.get(place[0])
            if unit is None:
                if place[0] in self._runs:
                    return self._runs[place[0]]
                unit = self._open[place[0]] = self._units.new(place[0], task)
            if unit.written is None:
                self._write([unit], self._summaries([unit]), {})
            return unit.info

    def add(self, unit: Unit) -> None:
        """Take a child that nobody told of while it was made."""
        with self._lock:
            self._open[unit.number] = unit

    def count(self) -> int:
        """Return how many children there are so far."""
        with self._lock:
            self._take_arrived()
            return len(self._open.keys() | self._runs.keys())

    def run_id(self, number: int) -> str | None:
        """Return the run of a child, once it is written."""
        info = self._runs.get(number)
        return None if info is None else info.run_id

    def close(self, error: BaseException | None = None) -> None:
        """Take the bar away; its last line tells of all."""
        with self._lock:
            self._tell()
        self._progress.close(error)

    def _tell(self) -> None:
        best = None if self._best is None else self._best[1]
        self._progress.update(self._done, self._units.total(), best, self._failed)

    # -- how ------------------------------------------------------------------------------------

    def _take_arrived(self) -> None:
        """Put what has come into its children."""
        while self._arrived:
            number, split, task, result, started, ended = self._arrived.popleft()
            unit = self._open.get(number)
            if unit is None:
                if task is None or number in self._runs:
                    continue
                unit = self._open[number] = self._units.new(number, task)
            if result is None:
                unit.expected = split
            elif isinstance(result, BaseException):
                tags = error_tags(type(result).__qualname__, text_of_error(result))
                killed = isinstance(result, KeyboardInterrupt)
                unit.ending = Ending(RunStatus.KILLED if killed else RunStatus.FAILED, tags)
            else:
                with contain("a fold"):
                    unit.folds.append(read_fold(split, result, started, ended))
            self._fresh.add(number)

    def _chosen(self, units: list[Unit], ranks: Ranks) -> list[Unit]:
        """Return the children to write at the end: all, or the best."""
        if self._keep is None:
            return units
        first = self._deciding("rank_test_", ranks) if ranks else {}
        whole = [unit for unit in units if unit.has_all_folds]
        best = sorted(whole, key=lambda unit: first.get(unit.number, math.inf))[: self._keep]
        return sorted(best, key=lambda unit: unit.number)

    def _write(self, units: list[Unit], summaries: Mapping[int, Summary], ranks: Ranks) -> None:
        """Write children; those that are over are let go."""
        for at in range(0, len(units), BATCH):
            batch = units[at : at + BATCH]
            self._parent.announce()
            self._parent.store.write(
                *(self._scribe.change(unit, summaries.get(unit.number), ranks) for unit in batch)
            )
            for unit in batch:
                assert unit.info is not None
                unit.written = len(unit.folds)
                self._runs[unit.number] = unit.info
                if unit.is_over:
                    del self._open[unit.number]

    def _summaries(self, units: Iterable[Unit]) -> dict[int, Summary]:
        """Return, and note, what those come to that are over; without all folds, nothing."""
        over = [unit for unit in units if unit.is_over]
        folds = [
            sorted(unit.folds, key=lambda fold: fold.index) if unit.has_all_folds else []
            for unit in over
        ]
        found = summarise(folds)
        for unit, summary in zip(over, found, strict=True):
            if unit.number not in self._scores:
                self._note(unit, summary)
        return {unit.number: summary for unit, summary in zip(over, found, strict=True)}

    def _note(self, unit: Unit, summary: Summary) -> None:
        scores = {k: v for k, v in summary.metrics.items() if k.startswith("mean_test_")}
        self._scores[unit.number] = scores
        self.last_end = max(self.last_end, unit.ended())
        if not self._units.is_numbered:
            self._told[unit.number] = _first_scores(unit), unit.params
        if unit.number in self._cut_off:
            return
        self._done += 1
        if not scores or summary.error is not None:
            self._failed += 1
        else:
            score = unit.rung, self._deciding("mean_test_", scores)
            self._best = score if self._best is None else max(self._best, score)

    def _deciding(self, prefix: str, found: Mapping[str, Any]) -> Any:
        """Return what is found under the scorer that decides, or under the first."""
        return found.get(f"{prefix}{self._units.scorer}", next(iter(found.values())))

    # -- their places in the table of results ---------------------------------------------------

    def _rows(self, results: Results | None) -> dict[int, int]:
        """Return the row of each child whose number is another."""
        if results is None:
            return {}
        if self._units.is_numbered:
            return _rows_of_last(len(self._scores), len(results.params or ()))
        numbers = sorted(self._told)
        found = results.rows_of(
            [self._told[number][0] for number in numbers],
            [self._told[number][1] for number in numbers],
        )
        return {numbers[at]: row for at, row in found.items()}

    def _ranks(self, results: Results | None, rows: Mapping[int, int]) -> Ranks:
        """Return the ranks by name and child: those of the table, else by mean score."""
        if not self._units.is_ranked:
            return {}
        if results is not None and (columns := results.ranks()):
            return {
                key: {
                    number: column[rows.get(number, number)]
                    for number in self._scores
                    if rows.get(number, number) < len(column)
                }
                for key, column in columns.items()
            }
        ranks = {}
        for key in dict.fromkeys(key for each in self._scores.values() for key in each):
            scores = {n: each.get(key, -math.inf) for n, each in self._scores.items()}
            places: dict[float, int] = {}
            for place, score in enumerate(sorted(scores.values(), reverse=True), start=1):
                places.setdefault(score, place)
            name = key.replace("mean_", "rank_", 1)
            ranks[name] = {number: float(places[score]) for number, score in scores.items()}
        return ranks

    def _send_ranks(self, numbers: Iterable[int], ranks: Ranks) -> None:
        """Give children that are written already their ranks."""
        now = now_ms()
        self._send(
            RunChange(self._runs[number].run_id, metrics=tuple(rank_metrics(number, ranks, now)))
            for number in sorted(numbers)
            if any(number in column for column in ranks.values())
        )

    def _renumber(self, rows: Mapping[int, int]) -> None:
        """Give each child the number of its row."""
        moved = {number: row for number, row in rows.items() if number != row}
        self._send(
            self._scribe.renumbering(self._runs[number].run_id, row)
            for number, row in moved.items()
            if number in self._runs
        )
        self._runs = {rows.get(n, n): info for n, info in self._runs.items()}

    def _send(self, changes: Iterable[RunChange]) -> None:
        listed = list(changes)
        for at in range(0, len(listed), BATCH):
            self._parent.store.write(*listed[at : at + BATCH])


def _rows_of_last(count: int, rows: int) -> dict[int, int]:
    """Return the rows of children that are more than the rows.

    The search was fitted twice in one call, and its table is that of the last fit; the children of
    the first come after the rows.
    """
    if not 0 < rows < count:
        return {}
    first = count - rows
    return {number: (number - first) % count for number in range(count)}


def _first_scores(unit: Unit) -> tuple[float, ...]:
    """Return the test score of each fold, by the first scorer."""
    folds = sorted(unit.folds, key=lambda fold: fold.index)
    return tuple(next(iter(fold.scores.values()), math.nan) for fold in folds)
