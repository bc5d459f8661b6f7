"""Runs that say RUNNING though nobody works on them any more.

A process that is killed cannot end its runs. Whoever opens the store next does it: the process is
named by a tag of the run, and whether it lives can be asked on its own machine. Of other machines
nothing is known but how long they have been silent, and that is judged only on the user's word.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from skledger._guard import contain, say
from skledger.errors import NotFoundError, StoreError
from skledger.stores.outbox_waiting import waiting_runs
from skledger.tracking.entities import Run, RunChange, RunStatus, as_tags
from skledger.tracking.names import now_ms
from skledger.tracking.processes import process_lives, process_text
from skledger.tracking.runs import PARENT_TAG, PROCESS_DIED, PROCESS_TAG, STALE

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = [
    "PROCESS_DIED",
    "STALE",
    "DeadRun",
    "Unended",
    "end_at_opening",
    "end_runs",
    "find_dead_runs",
    "find_stale_runs",
    "unended",
]

#: What the outbox calls a run that came through one.
_OUTBOX_TAG = "skledger.run_id"
#: Runs that are read, and ended, at a time.
_PAGE = 500


class DeadRun(NamedTuple):
    """A run to end, or that was ended.

    Parameters
    ----------
    run : Run
        The run as it was.
    last_sign : int
        When something was last booked of it, in ms: its end, as far as anybody knows.
    reason : str
        ``ProcessDied`` or ``Stale``.
    message : str
        A sentence that tells more.
    """

    run: Run
    last_sign: int
    reason: str
    message: str


def end_at_opening(store: Store) -> None:
    """End the runs whose process is gone; never a failure for the user.

    A database that is read-only or locked is left as it is: whoever can write to it later does it.
    """
    # Of a store on a server, what is known without asking it: opening waits for no network.
    store = getattr(store, "local", store)
    with contain("the end of runs whose process is gone"):
        try:
            dead = find_dead_runs(store)
            end_runs(store, dead)
        except (StoreError, NotFoundError) as error:
            say(logging.DEBUG, "skledger: runs whose process is gone were not ended: %s", error)
            return
        if dead:
            say(logging.INFO, "skledger: ended %d run(s) whose process is gone", len(dead))


def find_dead_runs(store: Store) -> list[DeadRun]:
    """Return the runs that are RUNNING in a process of this machine which is gone.

    Those of which something still waits in an outbox of this machine are none of them: their end
    may be what waits.

    Parameters
    ----------
    store : Store
        Where to look.
    """
    dead: list[Run] = []
    for page, after in _pages(store, PROCESS_TAG):
        gone = {tag for tag in set(map(_process, page)) if process_lives(tag) is False}
        if gone:
            # It may have ended its runs, and itself, since the page was read. Now that it is gone
            # it changes nothing any more: look again.
            last = page[-1].info.run_id
            again = store.running_runs(PROCESS_TAG, _PAGE, after)
            dead += [run for run in again if _process(run) in gone and run.info.run_id <= last]
    dead = _without_those_on_their_way(store, dead)
    signs = _last_signs(store, dead)
    return [
        DeadRun(run, signs[run.info.run_id], PROCESS_DIED, _death_of(run))
        for run in dead
        if run.info.run_id in signs
    ]


def _without_those_on_their_way(store: Store, dead: list[Run]) -> list[Run]:
    """Leave out the runs of which something waits to be sent to the server of this store."""
    # An outbox itself ends what waits in it.
    is_place = not getattr(store, "uri", "http").startswith("http")
    if not (is_place and any(_OUTBOX_TAG in run.data.tags for run in dead)):
        return dead
    waiting = waiting_runs()
    ids = {run.info.run_id: {run.info.run_id, run.data.tags.get(_OUTBOX_TAG, "")} for run in dead}
    return [run for run in dead if not ids[run.info.run_id] & waiting]


def find_stale_runs(store: Store, silent_ms: int) -> list[DeadRun]:
    """Return the runs that are RUNNING, but of which nothing has been heard for long.

    Runs of a process on this machine are none of them: whether it lives is known.

    Parameters
    ----------
    store : Store
        Where to look.
    silent_ms : int
        For how long, in ms.
    """
    running = [run for page, _ in _pages(store, None) for run in page]
    lives = {tag: process_lives(tag) for tag in set(map(_process, running))}
    now = now_ms()
    alive = {run.info.run_id: now for run in running if lives[_process(run)]}
    signs = _last_signs(store, running, alive)
    return [
        DeadRun(run, sign, STALE, _silence_of(_process(run), sign))
        for run in running
        if lives[_process(run)] is None
        and (sign := signs.get(run.info.run_id, now)) <= now - silent_ms
    ]


def end_runs(store: Store, dead: Sequence[DeadRun]) -> None:
    """Write that runs have ended: KILLED, when they gave their last sign of life.

    Should one of them turn out to be alive after all, it heals by itself: whatever it books next
    is taken as ever, and with its own end its status and end time are those it writes.

    Parameters
    ----------
    store : Store
        Where they are.
    dead : sequence of DeadRun
        What `find_dead_runs` or `find_stale_runs` returned.
    """
    for at in range(0, len(dead), _PAGE):
        store.write(*map(_end_of, dead[at : at + _PAGE]))


def _end_of(dead: DeadRun) -> RunChange:
    return RunChange(
        dead.run.info.run_id,
        status=RunStatus.KILLED,
        end_time=dead.last_sign,
        tags=as_tags({"skledger.error.type": dead.reason, "skledger.error.message": dead.message}),
        deleted_tags=(PROCESS_TAG,),
    )


def _pages(store: Store, tag: str | None) -> Iterator[tuple[list[Run], str]]:
    """Yield the runs that are RUNNING, by pages, each with what it came after."""
    after = ""
    while page := store.running_runs(tag, _PAGE, after):
        yield page, after
        if len(page) < _PAGE:
            return
        after = page[-1].info.run_id


def _process(run: Run) -> str:
    return run.data.tags.get(PROCESS_TAG, "")


def _last_signs(
    store: Store, runs: Sequence[Run], alive: dict[str, int] | None = None
) -> dict[str, int]:
    """Return the last sign of life of each run; what a descendant shows, its parents show too."""
    signs = store.last_signs([run.info.run_id for run in runs]) if runs else {}
    signs |= alive or {}
    parents = {run.info.run_id: run.data.tags.get(PARENT_TAG, "") for run in runs}
    for run_id, sign in list(signs.items()):
        for ancestor in _ancestors(run_id, parents):
            # Tags may make runs each other's parents; what is no later than known ends the way.
            if signs.get(ancestor, sign) >= sign:
                break
            signs[ancestor] = sign
    return signs


def _ancestors(run_id: str, parents: dict[str, str]) -> Iterable[str]:
    while run_id := parents.get(run_id, ""):
        yield run_id


def _death_of(run: Run) -> str:
    died = (
        f"The {process_text(_process(run))} ended without ending this run: it was killed, it "
        "crashed, or the machine went down."
    )
    if _OUTBOX_TAG in run.data.tags:
        died += " Or its end waits in an outbox of that machine: `skledger sync` sends it."
    return died


class Unended(NamedTuple):
    """What to say of a run that is RUNNING although its process is gone."""

    title: str
    text: str


def unended(run: Run) -> Unended | None:
    """Return what to say of a run that is RUNNING although its process is gone; else None.

    Parameters
    ----------
    run : Run
        The run.
    """
    process = _process(run)
    if run.info.status != RunStatus.RUNNING or process_lives(process) is not False:
        return None
    if _OUTBOX_TAG in run.data.tags:
        return Unended(
            "Not all of it has arrived",
            f"The {process_text(process)} has ended. What it booked while the server was away may "
            "wait on its machine: it is sent by the next process there that uses this server, or "
            "by `skledger sync`.",
        )
    return Unended(
        "Its process is gone",
        f"The {process_text(process)} has ended without ending this run. Whatever opens the store "
        "and may write to it ends the run, such as `skledger gc`.",
    )


def _silence_of(process: str, sign: int) -> str:
    since = datetime.fromtimestamp(sign / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    whose = (
        f"Whether {process_text(process)} still lives cannot be told from here"
        if process
        else "It does not name its process"
    )
    return f"Nothing has been booked of this run since {since}. {whose}."
