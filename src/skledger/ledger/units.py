"""One child run: what is known of a candidate or a fold, and what is written of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from skledger.capture.candidates import Fold, Summary
from skledger.ledger.place import Place, tags_of_own_runs
from skledger.ledger.records import error_tags, storable, storable_key
from skledger.tracking import runs
from skledger.tracking.context import process_identity
from skledger.tracking.entities import (
    MAX_PARAM_LENGTH,
    DatasetInput,
    Metric,
    Param,
    RunChange,
    RunInfo,
    RunStatus,
    as_tags,
)

__all__ = ["Ending", "Ranks", "Scribe", "Unit", "Units", "failure_of", "rank_metrics"]

#: The rank of each child, by the name of the metric and the number of the child.
Ranks = Mapping[str, Mapping[int, float]]
#: Params that are kept to be used again.
MANY_PARAMS = 1000
#: What stands in a traceback between an exception and the one it led to.
CHAINS = (
    "\nThe above exception was the direct cause of the following exception:\n",
    "\nDuring handling of the above exception, another exception occurred:\n",
)
#: Which fit of the user's run a child belongs to: there may be several searches in one.
FIT_TAG = "skledger.fit"
#: Says that the times of a child are reckoned.
TIMES_TAG = "skledger.times"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a child ended otherwise than well.

    Parameters
    ----------
    status : str
        FAILED or KILLED.
    tags : mapping of str to str
        The reason.
    """

    status: str
    tags: Mapping[str, str]


@dataclass(slots=True)
class Unit:
    """One child.

    Parameters
    ----------
    number : int
        Its place among the children, from 0.
    params : mapping of str to str
        Its params.
    expected : int or None
        How many folds make it whole; None while that is not known.
    folds : list of Fold
        What has come.
    ending : Ending or None
        Set when nothing more will come.
    info : RunInfo or None
        Its run, once that is known.
    written : int
        Folds that are in the store; None before its run is.
    is_past : bool
        Whether it is known from a table only: its times are then reckoned from durations.
    rung : int
        Of a halving search: scores of a higher one are of more data, and count before others.
    """

    number: int
    params: Mapping[str, str]
    expected: int | None
    folds: list[Fold] = field(default_factory=list)
    ending: Ending | None = None
    info: RunInfo | None = None
    written: int | None = None
    is_past: bool = False
    rung: int = 0

    @property
    def has_all_folds(self) -> bool:
        """Whether its last fold has come."""
        return len(self.folds) == self.expected

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.has_all_folds or self.ending is not None

    def started(self) -> float:
        """Return when its first fold began, in s since the epoch."""
        known = [fold.started for fold in self.folds if fold.started is not None]
        return min(known) if known else self.ended()

    def ended(self) -> float:
        """Return when its last fold ended."""
        return max((fold.ended for fold in self.folds), default=time.time())


class Units(Protocol):
    """Tells which tasks make a child."""

    #: The estimator that is trained in all of them.
    estimator: Any
    #: What stands before the number in the name of a child.
    prefix: str
    #: The tag that holds the number.
    tag: str
    #: Whether the numbers are final; otherwise they are the order in which the children came.
    is_numbered: bool
    #: Whether one is better than another.
    is_ranked: bool
    #: The scorer that decides which, when it is not the first.
    scorer: str | None

    def place_of(self, task: Any) -> tuple[int, int] | None:
        """Return the number of the child and of the fold; None for a task to leave alone.

        Called by whoever brings the result, while the call that sent it goes on.
        """
        ...

    def new(self, number: int, task: Any) -> Unit:
        """Return the child of a number nobody has asked for yet."""
        ...

    def number_of(self, round_: object) -> int | None:
        """Return the number of the child that all tasks of a round belong to, if it is one."""
        ...

    def total(self) -> int | None:
        """Return how many children there will be, where that is known."""
        ...


class Scribe:
    """Writes down what is new of a child.

    Parameters
    ----------
    parent : Place
        The run the children belong to.
    units : Units
        What they are.
    tags : mapping of str to str
        Tags for each of them, besides those that every run has.
    inputs : tuple of DatasetInput, default=()
        The data they share: described once, for all of them.
    """

    def __init__(
        self,
        parent: Place,
        units: Units,
        tags: Mapping[str, str],
        inputs: tuple[DatasetInput, ...] = (),
    ) -> None:
        self._parent = parent
        self._inputs = inputs
        self._units = units
        cls = type(units.estimator)
        self._name = f"{cls.__name__}-{units.prefix}"
        every = tags_of_own_runs(tags, parent.info.run_id)
        every["estimator_name"] = cls.__name__
        every["estimator_class"] = f"{cls.__module__}.{cls.__qualname__}"
        self._tags = as_tags(every)
        self._params: dict[tuple[str, str], Param] = {}

    def change(self, unit: Unit, summary: Summary | None, ranks: Ranks) -> RunChange:
        """Return what is to be written: all of a new child, else what is new.

        Parameters
        ----------
        unit : Unit
            The child.
        summary : Summary or None
            What its folds come to, when it is over.
        ranks : mapping of str to mapping of int to float
            The rank of each child, where it is known.
        """
        metrics = [
            Metric(storable_key(key), value, _ms(fold.ended), fold.index)
            for fold in unit.folds[unit.written or 0 :]
            for key, value in fold.known_scores()
        ]
        ending, end_time = None, None
        if summary is not None:
            end_time = _ms(unit.ended())
            ending = unit.ending or failure_of(summary)
            metrics += [
                Metric(storable_key(key), value, end_time) for key, value in summary.metrics.items()
            ]
            metrics += rank_metrics(unit.number, ranks, end_time)
        if summary is None:
            status = RunStatus.RUNNING
        else:
            status = RunStatus.FINISHED if ending is None else ending.status
        reason = {} if ending is None else ending.tags
        if unit.info is not None and unit.written is not None:
            return RunChange(
                unit.info.run_id,
                status=status,
                end_time=end_time,
                metrics=tuple(metrics),
                tags=as_tags(reason),
                deleted_tags=() if end_time is None else runs.STALE_TAGS,
            )
        return self._creation(unit, status, end_time, tuple(metrics), reason)

    def renumbering(self, run_id: str, number: int) -> RunChange:
        """Return what gives a child another number."""
        return RunChange(
            run_id,
            run_name=f"{self._name}{number}",
            tags=as_tags({self._units.tag: str(number)}),
        )

    def _creation(
        self,
        unit: Unit,
        status: str,
        end_time: int | None,
        metrics: tuple[Metric, ...],
        reason: Mapping[str, str],
    ) -> RunChange:
        if unit.info is None:
            name = f"{self._name}{unit.number}"
            unit.info = runs.child_run_info(self._parent.info, name, _ms(unit.started()))
        own = {
            **reason,
            runs.NAME_TAG: unit.info.run_name,
            self._units.tag: str(unit.number),
        }
        if self._parent.ordinal:
            own[FIT_TAG] = str(self._parent.ordinal)
        if unit.is_past:
            own[TIMES_TAG] = "from durations"
        if end_time is None:
            own[runs.PROCESS_TAG] = process_identity()
        return RunChange(
            unit.info.run_id,
            create=replace(unit.info, status=status, end_time=end_time),
            metrics=metrics,
            params=tuple(self._param(item) for item in unit.params.items()),
            tags=(*self._tags, *as_tags(own)),
            inputs=self._inputs,
        )

    def _param(self, item: tuple[str, str]) -> Param:
        """Return a param as it is stored; most are the same in all children, and made once."""
        param = self._params.get(item)
        if param is None:
            if len(self._params) > MANY_PARAMS:
                self._params.clear()
            key, text = item
            param = Param(storable_key(key), storable(text, MAX_PARAM_LENGTH))
            self._params[item] = param
        return param


def rank_metrics(number: int, ranks: Ranks, timestamp: int) -> list[Metric]:
    """Return the ranks of a child as metrics."""
    return [
        Metric(storable_key(key), column[number], timestamp)
        for key, column in ranks.items()
        if number in column
    ]


def failure_of(summary: Summary) -> Ending | None:
    """Return the ending of a child whose folds have failed, from the traceback of one."""
    if summary.error is None:
        return None
    kind, _, message = _raised(summary.error).partition(":")
    # By the name that other failures are booked under: without its module.
    kind = kind.strip().rpartition(".")[2]
    return Ending(RunStatus.FAILED, error_tags(kind, message.strip(), summary.error))


def _raised(traceback: str) -> str:
    """Return the type and the message, which may have several lines, from a traceback's text."""
    for chain in CHAINS:
        traceback = traceback.rpartition(chain)[2]
    lines = traceback.strip().splitlines()
    # After its first line a traceback is indented, down to what was raised.
    first = next((at for at, line in enumerate(lines) if at and line[:1].strip()), len(lines) - 1)
    return "\n".join(lines[first if lines[0].startswith("Traceback ") else 0 :])


def _ms(seconds: float) -> int:
    return round(1000 * seconds)
