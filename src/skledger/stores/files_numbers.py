"""The files of metrics: a line for each value."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, unquote

from skledger.stores.files_medium import read, say_once
from skledger.tracking.entities import Metric

__all__ = ["history", "latest_value", "line_of", "model_values_in", "place", "values_in"]

#: What a field of a line cannot hold, and what stands for it.
_CODED = re.compile(r"\s|%(?=[0-9A-Fa-f]{2})")
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
#: Up to this many bytes a file is read anew each time.
_SHORT = 8192

#: Of long files: the file, how far it was read, and the latest value up to there.
_known: dict[str, tuple[int, int, Metric | None]] = {}


def line_of(metric: Metric, run_id: str | None = None) -> str:
    """Return the line of a value; of a model's with the run and the data it was measured on."""
    line = f"{metric.timestamp} {float(metric.value)!r} {metric.step}"
    if run_id is not None:
        line += f" {run_id}"
        if metric.dataset_name is not None and metric.dataset_digest is not None:
            line += f" {_word(metric.dataset_name)} {_word(metric.dataset_digest)}"
    return line + "\n"


def place(metric: Metric) -> tuple[int, int, float]:
    """Return what MLflow goes by: step, time, and value, where NaN counts as 0."""
    value = metric.value
    return metric.step, metric.timestamp, 0.0 if math.isnan(value) else value


def values_in(data: bytes, key: str, path: str) -> Iterator[Metric]:
    """Yield the values in the content of a file.

    A line without its end is being written and does not count yet.
    """
    for metric, _ in _values(data, key, path):
        yield metric


def model_values_in(data: bytes, key: str, path: str, model_id: str) -> Iterator[Metric]:
    """Yield the values of a model's metric: with their runs, and the data they were measured on."""
    for metric, fields in _values(data, key, path):
        told = [each.decode("utf-8", "replace") for each in fields[3:]]
        run_id = told[0] if told else None
        # MLflow writes a name as it is, and spaces are between the fields, too.
        name, digest = (" ".join(told[1:-1]), told[-1]) if len(told) > 2 else (None, None)
        yield replace(
            metric,
            model_id=model_id,
            run_id=run_id,
            dataset_name=name and unquote(name),
            dataset_digest=digest and unquote(digest),
        )


def _values(data: bytes, key: str, path: str) -> Iterator[tuple[Metric, list[bytes]]]:
    """Yield the values in the content of a file, and all the fields of their lines."""
    lines = data.split(b"\n")
    lines.pop()
    for line in lines:
        fields = line.split()
        try:
            step = int(fields[2]) if len(fields) > 2 else 0
            yield Metric(key, float(fields[1]), int(fields[0]), step), fields
        except (IndexError, ValueError):
            say_once(f"{path} has a line that is no value of a metric, which is left out: {line!r}")


def _word(text: str) -> str:
    """Return a text as a field of a line: MLflow reads no model with a space in it.

    What would be taken for such a text is written like one as well.
    """
    return _CODED.sub(lambda found: quote(found[0], safe=""), text)


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
