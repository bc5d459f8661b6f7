"""What was measured after a fit, written by the background writer.

The keys are given here, in the order of the calls, so that whoever calls a metric waits for neither
a lock nor a store: ``accuracy_score_X_test``, then ``accuracy_score-2_X_test``; another data set of
the same name in the same run is ``X_test-2``. Of a run that this process has not made, they go on
from its ``metric_info.json``.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter, OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from skledger._exit import at_exit
from skledger._guard import contain, muted, thread
from skledger._writer import Job, writer
from skledger.capture.held_out import Held, data_pictures, picture_of_value
from skledger.capture.measured import Outcome, as_json, report_metrics
from skledger.errors import NotFoundError
from skledger.ledger import drawing
from skledger.ledger.bookings import Booking, Pending, RunPlace
from skledger.ledger.records import numbers_file, storable, storable_key
from skledger.tracking.entities import (
    MAX_TAG_LENGTH,
    DatasetInput,
    Metric,
    ModelChange,
    RunChange,
    RunTag,
)
from skledger.tracking.session import before_reading

__all__ = ["INFO_FILE", "flush", "submit"]

INFO_FILE = "metric_info.json"
#: What is more than one number.
FOLDER = "measured"
#: What has come is written so much later, in s; later still when writing is slow, so that it takes
#: at most a fifth of the time.
INTERVAL, LONGEST = 0.2, 2.0
SHARE = 0.2
#: Pictures of one metric in a run that are drawn; the numbers of further ones are kept.
DRAWN = 20
#: Runs whose counts are kept; of others they are read again.
MANY_RUNS = 1000
#: How a prediction was found, where nothing need be said of it.
CERTAIN = ("identity", "score")


class _RunLog:
    """What was measured in one run, for the names of what comes."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, int]] = Counter()
        self.data: dict[str, list[int]] = {}
        self.info: dict[str, str] = {}
        self.found: set[str] = set()
        self.inputs: set[tuple[str, str]] = set()

    def go_on_from(self, info: dict[str, str]) -> None:
        """Take what another process has noted."""
        for key, text in info.items():
            name = str(text).partition("(")[0].replace(".", "_")
            number = re.match(rf"{re.escape(name)}(?:-(\d+))?_", key)
            if number is not None:
                held = self.calls[name, 0]
                self.calls[name, 0] = max(held, int(number[1] or 1))
        self.info.update(info)

    def label(self, name: str, data_key: int | None) -> str:
        """Return the name of a data set in this run."""
        if data_key is None:
            return name
        known = self.data.setdefault(name, [])
        if data_key not in known:
            known.append(data_key)
        return _numbered(name, known.index(data_key) + 1)

    def number(self, name: str, step: int) -> int:
        """Count one more call; return which it is."""
        self.calls[name, step] += 1
        return self.calls[name, step]


def _numbered(name: str, number: int) -> str:
    return f"{name}-{number}" if number > 1 else name


@dataclass(slots=True)
class _Written:
    """What one write adds to one run."""

    place: RunPlace
    metrics: list[Metric] = field(default_factory=list)
    of_models: dict[str, list[Metric]] = field(default_factory=dict)
    inputs: list[DatasetInput] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def change(self, *, with_models: bool = True) -> RunChange:
        models = self.of_models.items() if with_models else ()
        return RunChange(
            self.place.info.run_id,
            metrics=tuple(self.metrics),
            inputs=tuple(self.inputs),
            tags=tuple(RunTag(k, storable(v, MAX_TAG_LENGTH)) for k, v in self.tags.items()),
            model_changes=tuple(ModelChange(k, metrics=tuple(v)) for k, v in models),
        )


class _Book:
    """The queue, and the state of the runs."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.arrived: deque[Pending] = deque()
        self.logs: OrderedDict[str, _RunLog] = OrderedDict()
        self.alarm: object = None
        self.interval = INTERVAL
        self.lock = threading.RLock()


_book = _Book()


def submit(pending: Pending) -> None:
    """Queue what was measured."""
    _book.arrived.append(pending)
    if _book.alarm is None:
        _book.alarm = writer.alarm(_book.interval, _flush_late)


def _flush_late() -> None:
    start = time.monotonic()
    flush()
    taken = time.monotonic() - start
    _book.interval = min(max(INTERVAL, taken / SHARE), LONGEST)


def flush() -> None:
    """Write what has come."""
    if not _book.arrived:
        return
    with _book.lock, contain("what was measured"), muted():
        _book.alarm = None
        by_run: dict[str, list[Pending]] = {}
        while _book.arrived:
            pending = _book.arrived.popleft()
            by_run.setdefault(pending.booking.run_id, []).append(pending)
        # What is computed here is no metric of the user's.
        thread.depth += 1
        try:
            for calls in by_run.values():
                with contain(f"what was measured in the run {calls[0].booking.run_id}"):
                    _write(calls)
        finally:
            thread.depth -= 1


def _write(calls: list[Pending]) -> None:
    """Write the calls of one run."""
    first = calls[0].booking
    if first.info is None:
        first.info = first.store.get_run(first.run_id).info
    written = _Written(RunPlace(first.info, first.store))
    log = _log_of(first, written.place)
    for each in calls:
        _add(each, log, written)
    _store(written)
    if written.metrics:
        info = json.dumps(dict(sorted(log.info.items())), indent=2)
        written.files[INFO_FILE] = info.encode()
    written.place.put_files(written.files)
    if written.pictures:
        drawn = drawing.Drawing(written.place, written.pictures, None)
        writer.submit(Job("the pictures of what was measured", drawn.draw))


def _store(written: _Written) -> None:
    change = written.change()
    try:
        written.place.store.write(change)
    except NotFoundError:
        if not change.model_changes:
            raise
        # The model has been replaced by that of a later step, or was deleted.
        written.place.store.write(written.change(with_models=False))


def _log_of(booking: Booking, place: RunPlace) -> _RunLog:
    log = _book.logs.get(booking.run_id)
    if log is None:
        log = _book.logs[booking.run_id] = _RunLog()
        if not booking.is_fresh:
            # Whatever cannot be read costs no more than a name that comes a second time.
            with suppress(Exception):
                artifacts = place.artifacts
                if INFO_FILE in artifacts.list():
                    with artifacts.open(INFO_FILE) as stream:
                        log.go_on_from(json.load(stream))
        while len(_book.logs) > MANY_RUNS:
            _book.logs.popitem(last=False)
    _book.logs.move_to_end(booking.run_id)
    return log


def _add(pending: Pending, log: _RunLog, written: _Written) -> None:
    """Add what one call gave."""
    label = log.label(pending.dataset, pending.data_key)
    outcome = pending.outcome
    if pending.report is not None and pending.held is not None:
        with contain("the averages of a classification report"):
            outcome = _report_in_full(pending)
    for part, value in outcome.metrics.items():
        name = f"{pending.metric}{part}"
        number = log.number(name, pending.step)
        key = storable_key(f"{_numbered(name, number)}_{label}")
        metric = Metric(key, value, pending.timestamp, pending.step)
        written.metrics.append(metric)
        if pending.booking.model_id is not None:
            written.of_models.setdefault(pending.booking.model_id, []).append(metric)
        log.info[key] = _told(pending)
    if outcome.document is not None:
        # Counted apart: MLflow's numbers are those of numbers.
        number = log.number(f"{FOLDER}/{pending.metric}", pending.step)
        with contain(f"what {pending.metric} returned"):
            key = f"{_numbered(pending.metric, number)}_{label}"
            _add_document(pending, outcome, key, written, drawn=number <= DRAWN)
    if pending.data_input is not None:
        data = pending.data_input.dataset
        if (data.name, data.digest) not in log.inputs:
            log.inputs.add((data.name, data.digest))
            written.inputs.append(pending.data_input)
    if pending.group is not None:
        with contain(f"the pictures of {label}"):
            _add_pictures(pending, label, written)
    if pending.checks:
        with contain(f"the checks of {pending.metric}"):
            _check(pending, log, written)


def _told(pending: Pending) -> str:
    return pending.call if pending.how in CERTAIN else f"{pending.call}  # {pending.how}"


def _add_document(
    pending: Pending, outcome: Outcome, key: str, written: _Written, *, drawn: bool
) -> None:
    document: dict[str, Any] = {"call": pending.call, "how": pending.how, "value": outcome.document}
    if pending.held is not None or outcome.curve:
        held = pending.held or Held(pending.metric, {}, None)
        title = f"{pending.metric.replace('_', ' ')}: {pending.dataset}"
        picture = picture_of_value(held, outcome.document, outcome.curve, title)
        if picture is not None:
            document["picture"] = picture
            if drawn:
                written.pictures[f"{FOLDER}/{key}"] = picture
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    written.files[f"{FOLDER}/{key}.json"] = text.encode()


def _report_in_full(pending: Pending) -> Outcome:
    """Return a report with all digits; as text it has two of them."""
    from sklearn.metrics import classification_report

    assert pending.held is not None
    arrays = dict(pending.held.arrays)
    arrays.pop("target_names", None)
    report = classification_report(**arrays, **(pending.report or {}), output_dict=True)
    document = {"text": pending.outcome.document, **as_json(report)}
    return Outcome(report_metrics(report), document)


def _add_pictures(pending: Pending, label: str, written: _Written) -> None:
    """Add the pictures of a data set, once."""
    booking, held = pending.booking, pending.held
    seen = (pending.data_key, pending.group or "")
    if held is None or seen in booking.shown:
        return
    found = data_pictures(held, label.replace("_", " "))
    if not found:
        return
    booking.shown.add(seen)
    plots = booking.plots.setdefault(label, {})
    named = {f"{label}_{name}": picture for name, picture in found.items()}
    plots.update(named)
    written.files[f"{label}_plots{booking.suffix}.json"] = numbers_file(plots)
    for name, picture in named.items():
        written.pictures[f"{name}{booking.suffix}"] = picture


def _check(pending: Pending, log: _RunLog, written: _Written) -> None:
    """Have a first look at a score on other data."""
    from skledger.capture.checks import after_metric
    from skledger.ledger.measuring import tell

    held, booking = pending.held, pending.booking
    if held is None:
        return
    found = after_metric(
        held.function,
        pending.outcome.metrics.get(""),
        booking.training,
        held.truth,
        booking.classes,
        pending.checks,
    )
    new = [each for each in found if each.name not in log.found]
    log.found.update(each.name for each in new)
    name = written.place.info.run_name
    written.tags.update({k: str(v) for k, v in tell(new, name).items()})


before_reading.append(flush)
at_exit("measured", flush)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    # What waits in the parent is the parent's; a thread may have held the lock.
    os.register_at_fork(after_in_child=_book.reset)
