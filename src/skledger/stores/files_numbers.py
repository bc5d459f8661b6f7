"""The files of metrics: a line for each value."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

from skledger.stores.files_medium import read, say_once
from skledger.tracking.entities import Metric

__all__ = ["history", "latest_value", "line_of", "place", "values_in"]

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
#: Up to this many bytes a file is read anew each time.
_SHORT = 8192

#: Of long files: the file, how far it was read, and the latest value up to there.
_known: dict[str, tuple[int, int, Metric | None]] = {}


def line_of(metric: Metric, run_id: str | None = None) -> str:
    """Return the line of a value; of a model's value with the run it was measured in."""
    owner = "" if run_id is None else f" {run_id}"
    return f"{metric.timestamp} {float(metric.value)!r} {metric.step}{owner}\n"


def place(metric: Metric) -> tuple[int, int, float]:
    """Return what MLflow goes by: step, time, and value, where NaN counts as 0."""
    value = metric.value
    return metric.step, metric.timestamp, 0.0 if math.isnan(value) else value


def values_in(data: bytes, key: str, path: str) -> Iterator[Metric]:
    """Yield the values in the content of a file.

    A line without its end is being written and does not count yet.
    """
    lines = data.split(b"\n")
    lines.pop()
    for line in lines:
        fields = line.split()
        try:
            step = int(fields[2]) if len(fields) > 2 else 0
            yield Metric(key, float(fields[1]), int(fields[0]), step)
        except (IndexError, ValueError):
            say_once(f"{path} has a line that is no value of a metric, which is left out: {line!r}")


def history(path: str, key: str) -> list[Metric]:
    """Return the values in a file in the order of step and time, each of them once."""
    found = sorted(values_in(read(path), key, path), key=place)
    known: set[tuple[int, int, float, bool]] = set()
    values = []
    for metric in found:
        identity = (*place(metric), math.isnan(metric.value))
        if identity not in known:
            known.add(identity)
            values.append(metric)
    return values


def latest_value(path: str, key: str) -> Metric | None:
    """Return the value with the last step and time; None when there is none yet.

    Files of metrics only grow, so of a long one only what is new is read.
    """
    descriptor = os.open(path, _READ)
    try:
        data = os.read(descriptor, _SHORT)
        if len(data) < _SHORT:
            return _latest(None, data, key, path)
        number = os.fstat(descriptor).st_ino
        known, start, best = _known.get(path, (0, 0, None))
        os.lseek(descriptor, max(start - 1, 0), os.SEEK_SET)
        if known != number or start < 1 or os.read(descriptor, 1) != b"\n":
            start, best = 0, None
            os.lseek(descriptor, 0, os.SEEK_SET)
        data = b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
    finally:
        os.close(descriptor)
    best = _latest(best, data, key, path)
    if len(_known) > 20_000:
        _known.clear()
    _known[path] = (number, start + data.rfind(b"\n") + 1, best)
    return best


def _latest(best: Metric | None, data: bytes, key: str, path: str) -> Metric | None:
    for metric in values_in(data, key, path):
        if best is None or place(metric) > place(best):
            best = metric
    return best
