"""What was measured after a fit: queued at once, written by the background writer.

Whoever calls a metric waits for neither a lock nor a store. What a store does not take now waits
and is tried again, in its order; it is given up after `GIVE_UP` seconds, beyond `MOST_WAITING`
calls, and at the end of the process.

An alarm of the writer rings soon after something was queued. It is due at a known time, so that
one which never rings is missed, and it forgets that time before it looks at the queue: whoever
queues something later sets another.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from skledger._exit import at_exit
from skledger._guard import contain, muted, report, say, thread
from skledger._writer import writer
from skledger.errors import StoreError
from skledger.ledger.bookings import Pending, RunPlace
from skledger.ledger.measured_names import INFO_FILE, RunLogs
from skledger.ledger.measured_writing import Write
from skledger.tracking.session import before_reading

__all__ = ["INFO_FILE", "flush", "submit"]

#: What has come is written so much later, in s; later still when writing is slow, so that it takes
#: at most a fifth of the time.
INTERVAL, LONGEST = 0.2, 2.0
SHARE = 0.2
#: An alarm that has not rung so long after its time, in s, will not.
MISSED = 2.0
#: How long a call may wait for a store that cannot be written, in s, and how many may.
GIVE_UP = 600.0
MOST_WAITING = 10_000
#: Bytes of arrays that may wait with them, for pictures; the numbers of further calls go on alone.
MOST_HELD = 256 * 2**20
#: The longest that who reads waits for another thread's write, in s.
PATIENCE = 60.0


@dataclass(slots=True)
class _Lost:
    """What was given up and not yet told."""

    calls: int = 0
    runs: set[str] = field(default_factory=set)
    error: StoreError | None = None


class _Book:
    """The queue, what waits, and the state of the runs."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.arrived: deque[Pending] = deque()
        # By run: each call with the time from which on it waits.
        self.waiting: OrderedDict[str, deque[tuple[float, Pending]]] = OrderedDict()
        self.logs = RunLogs()
        self.lost = _Lost()
        self.due = -1.0
        self.interval = INTERVAL
        self.is_writing = False
        self.lock = threading.RLock()


_book = _Book()


def submit(pending: Pending) -> None:
    """Queue what was measured."""
    # Queued first, then looked: an alarm that rings in between finds it.
    _book.arrived.append(pending)
    if time.monotonic() >= _book.due:
        _set_alarm()


def _set_alarm(seconds: float | None = None) -> None:
    seconds = _book.interval if seconds is None else seconds
    # Noted first: it may ring before this function returns. Two threads may both come here, and
    # the second alarm finds nothing.
    _book.due = time.monotonic() + seconds + MISSED
    writer.alarm(seconds, _ring)


def _ring() -> None:
    """Write what has come, unless another thread does; that one may have looked already."""
    _book.due = -1.0
    lock = _book.lock
    if not lock.acquire(blocking=False):
        _set_alarm()
        return
    try:
        start = time.monotonic()
        _write_all()
        taken = time.monotonic() - start
        _book.interval = min(max(INTERVAL, taken / SHARE), LONGEST)
    finally:
        lock.release()


def flush() -> None:
    """Write what has come; what another thread writes just now is waited for."""
    _flush()


def _flush(*, is_end: bool = False) -> None:
    lock = _book.lock
    # Not for ever: whoever holds the lock might wait for something that this thread holds.
    if lock.acquire(timeout=PATIENCE):
        try:
            _write_all(is_end=is_end)
        finally:
            lock.release()


def _end() -> None:
    """Write what has come, at the end of the process; there is no other time."""
    _flush(is_end=True)


def _write_all(*, is_end: bool = False) -> None:
    """Write what has come and what waits; the lock is held."""
    if _book.is_writing or not (_book.arrived or _book.waiting):
        return  # what is being written reads, or nothing has come
    _book.is_writing = True
    # What is computed here is no metric of the user's.
    thread.depth += 1
    try:
        with contain("what was measured"), muted():
            now = time.monotonic()
            while _book.arrived:
                pending = _book.arrived.popleft()
                calls = _book.waiting.setdefault(pending.booking.run_id, deque())
                calls.append((now, pending))
            error = _try_runs()
            if error is not None:
                _give_up(error, all_of_it=is_end)
            if error is None or is_end:
                _tell_lost()
    finally:
        thread.depth -= 1
        _book.is_writing = False
        if _book.waiting and time.monotonic() >= _book.due:
            _set_alarm(LONGEST)


def _try_runs() -> StoreError | None:
    """Write each run; return why some could not be written now."""
    failure: StoreError | None = None
    failed: set[int] = set()
    for run_id, waiting in list(_book.waiting.items()):
        calls = [pending for _, pending in waiting]
        store = id(calls[0].booking.store)
        if store in failed:
            continue  # it has just been waited for
        with contain(f"what was measured in the run {run_id}"):
            try:
                written = _store(calls)
            except StoreError as error:
                say(logging.DEBUG, "skledger: metrics of the run %s wait: %s", run_id, error)
                failure = error
                failed.add(store)
                continue
            except Exception:
                del _book.waiting[run_id]
                raise
            del _book.waiting[run_id]
            written.put_files()
    return failure


def _store(calls: list[Pending]) -> Write:
    """Store the calls of one run."""
    first = calls[0].booking
    if first.info is None:
        first.info = first.store.get_run(first.run_id).info
    place = RunPlace(first.info, first.store)
    written = Write(calls, place, _book.logs.of(first, place))
    written.store()
    return written


def _give_up(error: StoreError, *, all_of_it: bool) -> None:
    """Let go of what has waited too long, and of the oldest when there is too much."""
    now, lost = time.monotonic(), _book.lost
    excess = sum(map(len, _book.waiting.values())) - MOST_WAITING
    for run_id, waiting in list(_book.waiting.items()):
        while waiting and (all_of_it or excess > 0 or now - waiting[0][0] > GIVE_UP):
            waiting.popleft()
            excess -= 1
            lost.calls += 1
            lost.runs.add(run_id)
            lost.error = error
        if not waiting:
            del _book.waiting[run_id]
    if not _book.waiting:
        _tell_lost()
    room = MOST_HELD
    for waiting in _book.waiting.values():
        for _, pending in waiting:
            if pending.held is not None:
                room -= sum(each.nbytes for each in pending.held.arrays.values())
                if room < 0:
                    pending.held = pending.group = pending.report = None


def _tell_lost() -> None:
    """Say in one line what was given up."""
    lost, _book.lost = _book.lost, _Lost()
    if lost.error is not None:
        calls = f"{lost.calls} call{'s' if lost.calls > 1 else ''} of metrics and scores"
        more = f" and {len(lost.runs) - 1} more" if len(lost.runs) > 1 else ""
        report(f"{calls}, in the run {min(lost.runs)}{more}", lost.error)


before_reading.append(flush)
at_exit("measured", _end)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    # What waits in the parent is the parent's; a thread may have held the lock.
    os.register_at_fork(after_in_child=_book.reset)
