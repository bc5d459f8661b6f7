"""What one fit brings to its run, before it is known under which names it is booked."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skledger.capture import warned as warned_capture
from skledger.tracking.entities import (
    MAX_PARAM_LENGTH,
    MAX_TAG_LENGTH,
    LoggedModel,
    Metric,
    Param,
)
from skledger.tracking.records import shorten

__all__ = ["Records", "error_records", "numbers_file", "warning_records"]

#: What runs scripts and cells; the user's own code starts below.
_LAUNCHERS = ("IPython.", "ipykernel.", "runpy", "skledger.cli", "skledger.__main__", "_pytest.")
_HOOKS = str(Path(__file__).parent.parent / "hooks")

#: The file with the numbers behind the pictures of a fit.
PLOTS_FILE = "training_plots.json"


@dataclass(slots=True)
class Records:
    """Everything about one fit.

    Parameters
    ----------
    params, metrics, tags : dict
        By their plain names.
    files : dict of str to bytes
        Artifacts, by their plain names.
    pictures : dict
        The numbers behind each picture, by its name.
    model : LoggedModel or None
        The model, already on disk.
    model_bytes : int
        Its size.
    replaced_models : tuple of str
        Earlier models that it takes the place of.
    """

    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)
    model: LoggedModel | None = None
    model_bytes: int = 0
    replaced_models: tuple[str, ...] = ()

    def add_params(self, params: Mapping[str, str]) -> None:
        """Take the params; what is too long for a store is cut there and kept whole in a file."""
        long = {k: v for k, v in params.items() if len(v) > MAX_PARAM_LENGTH}
        if long:
            self.files["params_in_full.json"] = json.dumps(long, indent=2).encode()
        self.params = {k: shorten(v, MAX_PARAM_LENGTH) for k, v in params.items()}

    def metric_records(self, timestamp: int, step: int = 0) -> tuple[Metric, ...]:
        """Return the metrics as entities."""
        return tuple(Metric(k, v, timestamp, step) for k, v in self.metrics.items())

    def param_records(self) -> tuple[Param, ...]:
        """Return the params as entities."""
        return tuple(Param(k, v) for k, v in self.params.items())


def numbers_file(pictures: Mapping[str, dict[str, Any]]) -> bytes:
    """Return the content of `PLOTS_FILE`."""
    return json.dumps(pictures, separators=(",", ":")).encode()


def warning_records(records: Records, warned: Sequence[warned_capture.RaisedWarning]) -> None:
    """Book the warnings of a fit: a tag to filter by, a file with each of them whole."""
    if warned:
        summary = warned_capture.summarise(warned)
        records.tags["skledger.warnings"] = shorten(summary, MAX_TAG_LENGTH)
        records.files["warnings.txt"] = warned_capture.to_text(warned).encode()


def error_records(records: Records, error: BaseException) -> None:
    """Book why a fit failed: type, message and traceback, without the frames of our hooks."""
    formatted = traceback.TracebackException.from_exception(error)
    _drop_our_frames(formatted)
    _add_callers(formatted, error)
    text = "".join(formatted.format())
    records.tags["skledger.error.type"] = type(error).__qualname__
    records.tags["skledger.error.message"] = shorten(str(error), MAX_TAG_LENGTH)
    # The end of a traceback says most.
    short = text if len(text) <= MAX_TAG_LENGTH else "..." + text[3 - MAX_TAG_LENGTH :]
    records.tags["skledger.error.traceback"] = short
    records.files["traceback.txt"] = text.encode(errors="backslashreplace")


def _add_callers(formatted: traceback.TracebackException, error: BaseException) -> None:
    """Put the frames that led to the fit in front: while it is booked they have not unwound."""
    if error.__traceback__ is None:
        return
    frames = []
    for frame, line in traceback.walk_stack(error.__traceback__.tb_frame.f_back):
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(_LAUNCHERS):
            break
        if not name.startswith("skledger.hooks."):
            frames.append((frame, line))
    callers = traceback.StackSummary.extract(iter(frames[::-1]))
    formatted.stack = traceback.StackSummary.from_list([*callers, *formatted.stack])


def _drop_our_frames(error: traceback.TracebackException) -> None:
    """Leave the frames of the hooks out: they say nothing about the user's code."""
    own = [frame for frame in error.stack if _HOOKS not in frame.filename]
    error.stack = traceback.StackSummary.from_list(own)
    for linked in (error.__cause__, error.__context__):
        if linked is not None:
            _drop_our_frames(linked)
