"""Under which names a run books what is measured of its models.

The keys are MLflow's, in the order of the calls: ``accuracy_score_X_test``, then
``accuracy_score-2_X_test``; another data set of the same name in the same run is ``X_test-2``. Data
that nobody named are all ``unknown_dataset``.
"""

from __future__ import annotations

import json
import re
from collections import ChainMap, OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace

from skledger.capture.sources import UNKNOWN_DATASET
from skledger.ledger.bookings import Booking, Pending, RunPlace
from skledger.ledger.data_inputs import MAX_NAME_LENGTH
from skledger.ledger.records import storable
from skledger.tracking.entities import DatasetInput

__all__ = ["INFO_FILE", "RunLog", "RunLogs", "numbered"]

INFO_FILE = "metric_info.json"
#: Runs whose counts are kept; of others they are read again.
MANY_RUNS = 1000


def numbered(name: str, number: int) -> str:
    """Return a name with its number, which the first one has not."""
    return f"{name}-{number}" if number > 1 else name


@dataclass(slots=True)
class RunLog:
    """What was measured in one run, for the names of what comes.

    A write is prepared on a `draft`, and counts once it has been stored.

    Parameters
    ----------
    calls : mapping
        How often a metric was called, by name and step.
    labels : mapping
        What data sets are called in this run, by name and number.
    counts : mapping
        How many there are of a name.
    inputs : mapping
        The inputs that were written, as the keys: label and digest.
    info : mapping
        Each key with its call.
    found : mapping
        What the checks found, as the keys.
    shown : mapping
        Pictures that were made, as the keys: model, label and group.
    """

    calls: ChainMap[tuple[str, int], int] = field(default_factory=ChainMap)
    labels: ChainMap[tuple[str, int], str] = field(default_factory=ChainMap)
    counts: ChainMap[str, int] = field(default_factory=ChainMap)
    inputs: ChainMap[tuple[str, str], bool] = field(default_factory=ChainMap)
    info: ChainMap[str, str] = field(default_factory=ChainMap)
    found: ChainMap[str, bool] = field(default_factory=ChainMap)
    shown: ChainMap[tuple[str, str, str], bool] = field(default_factory=ChainMap)

    def draft(self) -> RunLog:
        """Return what starts as this and changes by itself."""
        return RunLog(**{each.name: getattr(self, each.name).new_child() for each in fields(self)})

    def commit(self, draft: RunLog) -> None:
        """Take over what a draft of this has noted."""
        for each in fields(self):
            getattr(self, each.name).update(getattr(draft, each.name).maps[0])

    def go_on_from(self, info: dict[str, str]) -> None:
        """Take what another process has noted."""
        for key, text in info.items():
            name = str(text).partition("(")[0].replace(".", "_")
            number = re.match(rf"{re.escape(name)}(?:-(\d+))?_", key)
            if number is not None:
                held = self.calls.get((name, 0), 0)
                self.calls[name, 0] = max(held, int(number[1] or 1))
        self.info.update(info)

    def number(self, name: str, step: int) -> int:
        """Count one more call; return which it is."""
        self.calls[name, step] = self.calls.get((name, step), 0) + 1
        return self.calls[name, step]

    def label(self, pending: Pending) -> str:
        """Return what the data of a call are called in this run."""
        name, key = pending.dataset, pending.data_key
        if key is None:
            return name
        label = self.labels.get((name, key))
        if label is None:
            if name == UNKNOWN_DATASET:
                return name
            self.counts[name] = self.counts.get(name, 0) + 1
            label = self.labels[name, key] = numbered(name, self.counts[name])
        return label

    def new_input(self, given: DatasetInput, label: str) -> DatasetInput | None:
        """Return a data set as an input under its label; None for one that is there already."""
        seen = label, given.dataset.digest
        if seen in self.inputs:
            return None
        self.inputs[seen] = True
        name = storable(label, MAX_NAME_LENGTH)
        return replace(given, dataset=replace(given.dataset, name=name))


class RunLogs:
    """The logs of the runs that were measured lately."""

    def __init__(self) -> None:
        self._logs: OrderedDict[str, RunLog] = OrderedDict()

    def of(self, booking: Booking, place: RunPlace) -> RunLog:
        """Return the log of a run, continued from what others have noted."""
        log = self._logs.get(booking.run_id)
        if log is None:
            log = self._logs[booking.run_id] = RunLog()
            if not booking.is_fresh:
                # Whatever cannot be read costs no more than a name that comes a second time.
                with suppress(Exception):
                    artifacts = place.artifacts
                    if INFO_FILE in artifacts.list():
                        with artifacts.open(INFO_FILE) as stream:
                            log.go_on_from(json.load(stream))
            while len(self._logs) > MANY_RUNS:
                self._logs.popitem(last=False)
        self._logs.move_to_end(booking.run_id)
        return log
