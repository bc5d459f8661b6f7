"""Runs side by side, as a table: a line for each fact, a column for each run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from skledger.server.pages.choosing import (
    best_of,
    brief,
    higher_is_better,
    preferred_metrics,
)
from skledger.server.pages.formatting import duration_text, number_text
from skledger.tracking.entities import Run

__all__ = ["Cell", "Line", "Section", "by_metric", "csv_rows", "sections"]

_NAME_TAG = "mlflow.runName"
#: Facts that are tags, and what they are called here.
_FACTS = {
    "estimator_class": "estimator",
    "mlflow.user": "user",
    "mlflow.source.name": "source",
    "mlflow.source.git.commit": "git commit",
    "mlflow.source.git.branch": "git branch",
    "skledger.python": "Python",
    "skledger.sklearn": "scikit-learn",
}
#: Tags that say nothing that could be compared.
_SILENT = frozenset(
    {
        _NAME_TAG,
        "mlflow.source.type",
        "mlflow.autologging",
        "mlflow.log-model.history",
        "mlflow.parentRunId",
        "mlflow.note.content",
        "estimator_name",
        "skledger.process",
        "skledger.best_run",
        "skledger.error.traceback",
        "skledger.model_digests",
    }
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of one run.

    Parameters
    ----------
    text : str
        As it is shown; empty when the run has none.
    differs : bool
        Whether it is another one than that of the first run.
    best : bool
        Whether no run has a better one.
    delta : str
        Of a metric, how far it is from that of the first run.
    value : object
        As it is booked.
    """

    text: str
    differs: bool = False
    best: bool = False
    delta: str = ""
    value: object = None


@dataclass(frozen=True, slots=True)
class Line:
    """One fact about each run."""

    key: str
    cells: list[Cell]

    @property
    def differs(self) -> bool:
        """Whether runs differ in it."""
        return any(each.differs for each in self.cells)


@dataclass(frozen=True, slots=True)
class Section:
    """Facts of one kind."""

    name: str
    lines: list[Line]
    numbers: bool = False

    @property
    def differing(self) -> int:
        """In how many facts runs differ."""
        return sum(each.differs for each in self.lines)


def sections(runs: Sequence[Run]) -> list[Section]:
    """Return all that runs say, in the order in which people look at it."""
    found = [
        Section("Metrics", _metrics(runs), numbers=True),
        Section("Params", _params(runs)),
        Section("Data sets", _datasets(runs)),
        Section("About", _about(runs)),
        Section("Tags", _tags(runs)),
    ]
    return [each for each in found if each.lines]


def _line(key: str, texts: Sequence[str | None]) -> Line:
    first = texts[0]
    return Line(key, [Cell(brief(each or ""), differs=each != first, value=each) for each in texts])


def _metrics(runs: Sequence[Run]) -> list[Line]:
    keys = preferred_metrics({key for run in runs for key in run.data.metrics})
    return [_metric(key, [run.data.metrics.get(key) for run in runs]) for key in keys]


def _metric(key: str, values: Sequence[float | None]) -> Line:
    best, first = best_of(key, values), values[0]
    cells = []
    for place, value in enumerate(values):
        text = "" if value is None else number_text(value)
        differs = repr(value) != repr(first)  # NaN is NaN here
        delta = ""
        if differs and value is not None and first is not None and math.isfinite(value - first):
            delta = ("+" if value > first else "") + number_text(float(f"{value - first:.2g}"))
        cells.append(Cell(text, differs, place in best, delta, value))
    return Line(key, cells)


def _params(runs: Sequence[Run]) -> list[Line]:
    keys = sorted({key for run in runs for key in run.data.params})
    lines = [_line(key, [run.data.params.get(key) for run in runs]) for key in keys]
    # What differs is what people came for.
    return sorted(lines, key=lambda line: not line.differs)


def _tags(runs: Sequence[Run]) -> list[Line]:
    aside = _SILENT | _FACTS.keys()
    keys = sorted({key for run in runs for key in run.data.tags} - aside)
    return [_line(key, [run.data.tags.get(key) for run in runs]) for key in keys]


def _datasets(runs: Sequence[Run]) -> list[Line]:
    held: dict[str, list[str | None]] = {}
    for place, run in enumerate(runs):
        for each in run.inputs.dataset_inputs:
            use = next((tag.value for tag in each.tags if tag.key == "mlflow.data.context"), "used")
            texts = held.setdefault(use, [None] * len(runs))
            told = f"{each.dataset.name} ({each.dataset.digest})"
            texts[place] = f"{texts[place]}, {told}" if texts[place] else told
    return [_line(use, texts) for use, texts in held.items()]


def _about(runs: Sequence[Run]) -> list[Line]:
    facts: list[tuple[str, Callable[[Run], str | None]]] = [
        ("status", lambda run: run.info.status.lower()),
        ("duration", _duration),
    ]
    lines = [_line(name, [read(run) for run in runs]) for name, read in facts]
    for tag, name in _FACTS.items():
        texts = [run.data.tags.get(tag) for run in runs]
        if any(texts):
            lines.append(_line(name, [each and each[:200] for each in texts]))
    return lines


def _duration(run: Run) -> str | None:
    end = run.info.end_time
    return None if end is None else duration_text(end - run.info.start_time)


def by_metric(runs: Sequence[Run], key: str) -> list[Run]:
    """Return runs by a metric, the best first; the worst first where they stand so already."""
    values = [run.data.metrics.get(key) for run in runs]
    pairs = zip(runs, values, strict=True)
    known = [(run, value) for run, value in pairs if value is not None and not math.isnan(value)]
    falls = higher_is_better(key) is not False
    held = [run for run, _ in sorted(known, key=lambda pair: pair[1], reverse=falls)]
    rest = [run for run in runs if run not in held]
    if [*held, *rest] == list(runs):
        held = [run for run, _ in sorted(known, key=lambda pair: pair[1], reverse=not falls)]
    return [*held, *rest]


def csv_rows(runs: Sequence[Run]) -> Iterator[list[object]]:
    """Return the table for a file: kind, name, then each run's value."""
    yield ["kind", "name", *(run.info.run_name for run in runs)]
    yield ["", "run_id", *(run.info.run_id for run in runs)]
    yield ["", "start_time", *(run.info.start_time for run in runs)]
    for section in sections(runs):
        for line in section.lines:
            yield [section.name.lower(), line.key, *(cell.value for cell in line.cells)]
