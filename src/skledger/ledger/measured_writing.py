"""One write of what was measured of the models of one run.

First comes what the store takes: numbers, inputs and tags, all or nothing. Only when it has taken
them do the files follow, and only then do the names count as given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from skledger._guard import contain
from skledger._writer import Job, writer
from skledger.capture.full_report import full_report
from skledger.capture.held_out import Held, data_pictures, is_score, picture_of_value
from skledger.capture.measured import Outcome, as_json, report_metrics
from skledger.errors import NotFoundError
from skledger.ledger import drawing
from skledger.ledger.bookings import Booking, Pending, RunPlace
from skledger.ledger.measured_names import INFO_FILE, RunLog, numbered
from skledger.ledger.records import numbers_file, storable, storable_key
from skledger.tracking.entities import (
    MAX_TAG_LENGTH,
    DatasetInput,
    Metric,
    ModelChange,
    RunChange,
    RunTag,
)
from skledger.tracking.metric import measured_on

__all__ = ["Write"]

#: What is more than one number.
FOLDER = "measured"
#: Pictures of one metric in a run that are drawn; the numbers of further ones are kept.
DRAWN = 20
#: Data sets of one fit that have pictures.
SHOWN = 20
#: How a prediction was found, where nothing need be said of it.
CERTAIN = ("identity", "score")


@dataclass(slots=True)
class Write:
    """What one write adds to one run.

    Parameters
    ----------
    calls : list of Pending
        What was measured, in its order.
    place : RunPlace
        The run.
    log : RunLog
        What was measured in it before.
    """

    calls: list[Pending]
    place: RunPlace
    log: RunLog
    _labels: list[str] = field(default_factory=list)
    _metrics: list[Metric] = field(default_factory=list)
    _of_models: dict[str, list[Metric]] = field(default_factory=dict)
    _inputs: list[DatasetInput] = field(default_factory=list)
    _findings: list[Any] = field(default_factory=list)
    _files: dict[str, bytes] = field(default_factory=dict)
    _pictures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def store(self) -> None:
        """Write numbers, inputs and tags; the log changes when they are stored.

        Raises
        ------
        StoreError
            When the store cannot be written now; nothing has changed.
        NotFoundError
            When the run is gone.
        """
        draft = self.log.draft()
        for each in self.calls:
            self._labels.append(draft.label(each))
            with contain(f"what {each.metric} gave"):
                self._add(each, self._labels[-1], draft)
        change = self._change()
        try:
            self.place.store.write(change)
        except NotFoundError:
            if not change.model_changes:
                raise
            # The model has been replaced by that of a later step, or was deleted.
            self.place.store.write(self._change(with_models=False))
        self.log.commit(draft)
        for each in self.calls:
            each.booking.is_fresh = False  # whoever forgets this log reads its file

    def put_files(self) -> None:
        """Write the files of what was stored, and have the pictures drawn."""
        for each, label in zip(self.calls, self._labels, strict=True):
            if each.outcome.document is not None:
                with contain(f"what {each.metric} returned"):
                    self._add_document(each, label)
            if each.group is not None:
                with contain(f"the pictures of {label}"):
                    self._add_pictures(each, label)
        if self._findings:
            from skledger.ledger.measuring import tell

            tell(self._findings, self.place.info.run_name)
        if self._metrics:
            info = json.dumps(dict(sorted(self.log.info.items())), indent=2)
            self._files[INFO_FILE] = info.encode()
        self.place.put_files(self._files)
        if self._pictures:
            drawn = drawing.Drawing(self.place, self._pictures, None)
            writer.submit(Job("the pictures of what was measured", drawn.draw))

    # -- what the store takes -------------------------------------------------------------------

    def _change(self, *, with_models: bool = True) -> RunChange:
        from skledger.capture.checks import TAG_PREFIX

        models = self._of_models.items() if with_models else ()
        tags = {f"{TAG_PREFIX}{each.name}": str(each.text) for each in self._findings}
        return RunChange(
            self.place.info.run_id,
            metrics=tuple(self._metrics),
            inputs=tuple(self._inputs),
            tags=tuple(RunTag(k, storable(v, MAX_TAG_LENGTH)) for k, v in tags.items()),
            model_changes=tuple(ModelChange(k, metrics=tuple(v)) for k, v in models),
        )

    def _add(self, pending: Pending, label: str, log: RunLog) -> None:
        """Add the numbers of one call."""
        if pending.report is not None and pending.held is not None:
            with contain("the averages of a classification report"):
                # In place: another attempt need not do it again.
                pending.outcome = _in_full(pending.outcome, pending.held, pending.report)
            pending.report = None
        for part, value in pending.outcome.metrics.items():
            name = f"{pending.metric}{part}"
            number = log.number(name, pending.step)
            key = storable_key(f"{numbered(name, number)}_{label}")
            metric = Metric(key, value, pending.timestamp, pending.step)
            self._metrics.append(metric)
            if pending.booking.model_id is not None:
                self._of_models.setdefault(pending.booking.model_id, []).extend(
                    measured_on([metric], *pending.measured_on(label))
                )
            log.info[key] = _told(pending)
        if pending.data_input is not None:
            found = log.new_input(pending.data_input, label)
            if found is not None:
                self._inputs.append(found)
        if pending.checks:
            with contain(f"the checks of {pending.metric}"):
                self._check(pending, label, log)

    def _check(self, pending: Pending, label: str, log: RunLog) -> None:
        """Have a first look at a score on other data."""
        from skledger.capture.checks import after_metric

        held, booking = pending.held, pending.booking
        if held is None:
            return
        scores, classes = held.prediction, booking.classes
        is_column = is_score(held.function) and scores is not None and scores.ndim == 1
        found = after_metric(
            held.function,
            pending.outcome.metrics.get(""),
            pending.training,
            held.truth,
            classes,
            pending.checks,
            label,
            of_one_class=is_column and classes is not None and len(classes) > 2,
        )
        for each in found:
            if each.name not in log.found:
                log.found[each.name] = True
                self._findings.append(each)

    # -- files ----------------------------------------------------------------------------------

    def _add_document(self, pending: Pending, label: str) -> None:
        # Counted apart: MLflow's numbers are those of numbers.
        number = self.log.number(f"{FOLDER}/{pending.metric}", pending.step)
        key = f"{numbered(pending.metric, number)}_{label}"
        outcome = pending.outcome
        document: dict[str, Any] = {"call": pending.call, "how": pending.how}
        if pending.booking.suffix:
            document["model"] = _model_name(pending.booking)
        document["value"] = outcome.document
        if pending.held is not None or outcome.curve:
            held = pending.held or Held(pending.metric, {}, None)
            title = f"{pending.metric.replace('_', ' ')}: {label}"
            picture = picture_of_value(held, outcome.document, outcome.curve, title)
            if picture is not None:
                picture["title"] = _title(picture, held, pending.booking)
                document["picture"] = picture
                if number <= DRAWN:
                    self._pictures[f"{FOLDER}/{key}"] = picture
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        self._files[f"{FOLDER}/{key}.json"] = text.encode()

    def _add_pictures(self, pending: Pending, label: str) -> None:
        """Add the pictures of a data set, once."""
        booking, held = pending.booking, pending.held
        seen = booking.suffix, label, pending.group or ""
        if seen in self.log.shown:
            booking.shown.add((pending.data_key, pending.group or ""))
        if held is None or seen in self.log.shown:
            return
        if label not in booking.plots and len(booking.plots) >= SHOWN:
            # Nobody need copy anything for them any more.
            booking.pictures = False
            return
        found = data_pictures(held, label)
        if not found:
            return
        self.log.shown[seen] = True
        booking.shown.add((pending.data_key, pending.group or ""))
        for picture in found.values():
            picture["title"] = _title(_as_it_is(picture, label), held, booking)
        plots = booking.plots.setdefault(label, {})
        named = {f"{label}_{name}": picture for name, picture in found.items()}
        plots.update(named)
        self._files[f"{label}_plots{booking.suffix}.json"] = numbers_file(plots)
        for name, picture in named.items():
            self._pictures[f"{name}{booking.suffix}"] = picture


def _told(pending: Pending) -> str:
    """Return a call as text, with a remark on the prediction and the model where one is due."""
    remarks = [] if pending.how in CERTAIN else [pending.how]
    if pending.booking.suffix:
        remarks.append(_model_name(pending.booking))
    return f"{pending.call}  # {', '.join(remarks)}" if remarks else pending.call


def _model_name(booking: Booking) -> str:
    return f"model{booking.suffix}"


def _as_it_is(picture: dict[str, Any], label: str) -> dict[str, Any]:
    """Return a picture whose title begins with the very label; titles begin with a capital."""
    title, capital = str(picture["title"]), label[:1].upper() + label[1:]
    return picture | {"title": label + title.removeprefix(capital)}


def _title(picture: dict[str, Any], held: Held, booking: Booking) -> str:
    """Return a title that says what else is particular about a picture."""
    title = str(picture["title"])
    if picture["kind"] == "confusion_matrix" and held.weight is not None:
        title += ", weighted"
    return f"{title} (model {booking.suffix[1:]})" if booking.suffix else title


def _in_full(outcome: Outcome, held: Held, arguments: dict[str, Any]) -> Outcome:
    """Return a report with all digits; as text it has two of them."""
    given: dict[str, Any] = {k: v for k, v in held.arrays.items() if k != "target_names"}
    report = full_report(**given, **arguments)
    return Outcome(report_metrics(report), {"text": outcome.document, **as_json(report)})
