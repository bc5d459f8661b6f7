"""What one fit brings to its run, before it is known under which names it is booked."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skledger.capture import warned as warned_capture
from skledger.tracking.entities import (
    MAX_KEY_LENGTH,
    MAX_PARAM_LENGTH,
    MAX_TAG_LENGTH,
    DatasetInput,
    LoggedModel,
    Metric,
    Param,
)
from skledger.tracking.records import shorten

__all__ = [
    "Records",
    "error_records",
    "error_tags",
    "numbers_file",
    "storable",
    "storable_key",
    "text_of_error",
    "warning_records",
]

#: What runs scripts and cells; the user's own code starts below.
_LAUNCHERS = ("IPython.", "ipykernel.", "runpy", "_pytest.")
_HOME = Path(__file__).parent.parent
_OWN_LAUNCHERS = (str(_HOME / "__main__.py"), str(_HOME / "cli"))
_HOOKS = str(_HOME / "hooks")

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
    replaced_models : tuple of str
        Earlier models that it takes the place of.
    best_model : LoggedModel or None
        Of a search, the refitted best estimator alone, already on disk.
    steps : list of Metric
        Metrics that have a history, such as the score of each fold.
    inputs : tuple of DatasetInput
        The data it was made with.
    status : str or None
        The status the run ends with, when the exception of the call does not say it.
    """

    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)
    model: LoggedModel | None = None
    replaced_models: tuple[str, ...] = ()
    best_model: LoggedModel | None = None
    steps: list[Metric] = field(default_factory=list)
    inputs: tuple[DatasetInput, ...] = ()
    status: str | None = None
    _cut: dict[str, str] = field(default_factory=dict)

    @property
    def models(self) -> tuple[LoggedModel, ...]:
        """All models of the fit."""
        return tuple(each for each in (self.model, self.best_model) if each is not None)

    def models_at(self, timestamp: int, step: int = 0) -> tuple[LoggedModel, ...]:
        """Return the models, measured when the run was, each made later than the one before.

        A tracking server books what is measured of a model with its run, too: at another time it
        would be there a second time. And a store knows the order of models by when they were made,
        which may be within a millisecond.
        """
        found: list[LoggedModel] = []
        for model in self.models:
            made = model.creation_timestamp
            if found:
                made = max(made, found[-1].creation_timestamp + 1)
            # Not by `replace`, which takes several times as long.
            metrics = [
                Metric(m.key, m.value, timestamp, step, None, m.dataset_name, m.dataset_digest)
                for m in model.metrics
            ]
            found.append(replace(model, creation_timestamp=made, metrics=tuple(metrics)))
        return tuple(found)

    def model_metrics(self, timestamp: int) -> tuple[Metric, ...]:
        """Return the metrics of a model that was made with the data."""
        data = self.inputs[0].dataset if self.inputs else None
        on = (None, None) if data is None else (data.name, data.digest)
        return tuple(
            Metric(storable_key(k), v, timestamp, 0, None, *on) for k, v in self.metrics.items()
        )

    def add_params(self, params: Mapping[str, str]) -> None:
        """Take the params; what is too long for a store is cut there and kept whole in a file."""
        short = {storable_key(k): storable(v, MAX_PARAM_LENGTH) for k, v in params.items()}
        self.params.update(short)
        self._cut.update({k: v for k, v in params.items() if short.get(k) != v})
        if self._cut:
            self.files["params_in_full.json"] = json.dumps(self._cut, indent=2).encode()

    def metric_records(self, timestamp: int, step: int = 0) -> tuple[Metric, ...]:
        """Return the metrics as entities, those with a history with all of it."""
        now = [Metric(storable_key(k), v, timestamp, step) for k, v in self.metrics.items()]
        return (*now, *self.steps)

    def param_records(self) -> tuple[Param, ...]:
        """Return the params as entities."""
        return tuple(Param(k, v) for k, v in self.params.items())

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags, in a form that every store takes."""
        for key, value in tags.items():
            self.tags[storable_key(str(key))] = storable(str(value), MAX_TAG_LENGTH)


def storable(text: str, limit: int) -> str:
    """Return a text that every store takes: cut to `limit` characters, lone surrogates escaped."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    return shorten(text, limit)


def storable_key(key: str) -> str:
    """Return a key that every store takes; of a long one the end is replaced by its digest."""
    if len(key) <= MAX_KEY_LENGTH and key.isascii():
        return key
    digest = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    key = storable(key, len(key) * 6)
    # Room for what `place` puts behind the names of later fits.
    return key if len(key) <= MAX_KEY_LENGTH else f"{key[: MAX_KEY_LENGTH - 20]}~{digest}"


def numbers_file(pictures: Mapping[str, dict[str, Any]]) -> bytes:
    """Return the content of `PLOTS_FILE`."""
    return json.dumps(pictures, separators=(",", ":")).encode()


def warning_records(records: Records, warned: Sequence[warned_capture.RaisedWarning]) -> None:
    """Book the warnings of a fit: a tag to filter by, a file with each of them whole."""
    if warned:
        summary = warned_capture.summarise(warned)
        records.set_tags({"skledger.warnings": summary})
        text = warned_capture.to_text(warned)
        records.files["warnings.txt"] = text.encode(errors="backslashreplace")


def error_records(records: Records, error: BaseException) -> None:
    """Book why a fit failed: type, message and traceback, without the frames of our hooks."""
    formatted = traceback.TracebackException.from_exception(error)
    _drop_our_frames(formatted)
    _add_callers(formatted, error)
    text = "".join(formatted.format())
    records.set_tags(error_tags(type(error).__qualname__, text_of_error(error), text))
    records.files["traceback.txt"] = text.encode(errors="backslashreplace")


def error_tags(kind: str, message: str, text: str = "") -> dict[str, str]:
    """Return the tags of a failure; of a long traceback the end, which says most."""
    tags = {"skledger.error.type": kind, "skledger.error.message": message}
    if text:
        cut = len(text) > MAX_TAG_LENGTH
        tags["skledger.error.traceback"] = "..." + text[3 - MAX_TAG_LENGTH :] if cut else text
    return tags


def text_of_error(error: BaseException) -> str:
    """Return the message of an exception."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a user's exception may have a broken __str__
        return "(it has no text)"


def _add_callers(formatted: traceback.TracebackException, error: BaseException) -> None:
    """Put the frames that led to the fit in front: while it is booked they have not unwound."""
    if error.__traceback__ is None:
        return
    frames = []
    for frame, line in traceback.walk_stack(error.__traceback__.tb_frame.f_back):
        file = frame.f_code.co_filename
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(_LAUNCHERS) or file.startswith(_OWN_LAUNCHERS):
            break
        if _HOOKS not in file:
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
