"""A run's own records, put in the order in which people ask for them."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skledger.server.pages.users_text import read_address
from skledger.tracking.dead_runs import unended
from skledger.tracking.entities import RunStatus

if TYPE_CHECKING:
    from skledger.stores.base import Store
    from skledger.tracking.entities import Metric, Run

__all__ = [
    "NOTE_TAG",
    "Fact",
    "MetricGroup",
    "MetricRow",
    "Notice",
    "facts",
    "group_of",
    "histories",
    "is_fitted",
    "metric_groups",
    "notices",
    "own_tags",
    "sparkline",
    "system_tags",
]

NOTE_TAG = "mlflow.note.content"
_CHECK = "skledger.check."
#: What is shown elsewhere on the page.
_TOLD = frozenset(
    (
        NOTE_TAG,
        "mlflow.runName",
        "mlflow.parentRunId",
        "mlflow.user",
        "mlflow.source.name",
        "mlflow.source.type",
        "mlflow.source.git.commit",
        "mlflow.source.git.branch",
        "mlflow.source.git.repoURL",
        "mlflow.source.git.dirty",
        "skledger.python",
        "skledger.sklearn",
        "skledger.numpy",
        "skledger.warnings",
        "skledger.incomplete",
        "skledger.error.type",
        "skledger.error.message",
        "skledger.error.traceback",
        "estimator_name",
        "estimator_class",
    )
)
_FIT = re.compile(
    r"(fit_seconds|n_samples|n_features|n_iter|best_iteration|(mean|std)_(fit|score)_time)(-\d+)?"
)
_SPARK = (96, 22)
_SPARK_POINTS = 80


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a colleague would point at first."""

    kind: str
    title: str
    text: str = ""
    trace: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about where a run comes from."""

    label: str
    text: str
    link: str = ""
    copy: str = ""
    badge: str = ""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric: its last value, and how it came there."""

    key: str
    value: float
    points: int = 1
    line: str = ""
    first_step: int = 0
    last_step: int = 0


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """Metrics that belong together."""

    title: str
    rows: Sequence[MetricRow] = field(default_factory=list)


def notices(run: Run) -> list[Notice]:
    """Return what went wrong in a run, and what looks wrong about it."""
    tags, found = run.data.tags, []
    if told := unended(run):
        found.append(Notice("warn", *told))
    error = tags.get("skledger.error.type")
    if error:
        found.append(_error(run, error))
    for key in sorted(tags):
        if key.startswith(_CHECK):
            name = key.removeprefix(_CHECK).replace("_", " ")
            found.append(Notice("warn", f"Check: {name}", _sentence(tags[key])))
    if tags.get("skledger.warnings"):
        text = tags["skledger.warnings"]
        kinds = len(text.splitlines())
        title = "1 warning" if kinds == 1 else f"{kinds} kinds of warnings"
        found.append(Notice("warn", title, text, link="warnings.txt"))
    if tags.get("skledger.incomplete"):
        found.append(Notice("warn", "The record is not complete", tags["skledger.incomplete"]))
    return found


def _sentence(text: str) -> str:
    """Return a text that begins with a capital, unless its first word is a name."""
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return text[:1].upper() + text[1:] if first.rstrip(",:").isalpha() else text


def _error(run: Run, error: str) -> Notice:
    tags = run.data.tags
    message = tags.get("skledger.error.message", "")
    trace = tags.get("skledger.error.traceback", "")
    killed = run.info.status == "KILLED"
    titles = {
        "ProcessDied": "The process ended without ending the run",
        "Stale": "Ended because nothing was heard of it any more",
    }
    link = "traceback.txt" if trace else ""
    if message and trace.rstrip().endswith(message.rstrip()):
        message = message.splitlines()[0]  # the traceback below ends in the rest
    return Notice(
        "warn" if killed else "bad", titles.get(error, error), message, trace.rstrip(), link
    )


def facts(run: Run) -> list[Fact]:
    """Return where a run comes from: person, program, commit, versions, place of its files."""
    tags = run.data.tags
    user = tags.get("mlflow.user") or run.info.user_id
    found = [Fact("User", user)] if user else []
    if tags.get("mlflow.source.name"):
        kind = tags.get("mlflow.source.type", "")
        shown = kind.lower() if kind not in ("", "LOCAL") else ""
        found.append(Fact("Source", tags["mlflow.source.name"], badge=shown))
    found += _git(tags)
    if tags.get("estimator_class"):
        found.append(Fact("Estimator", tags["estimator_class"]))
    versions = [
        f"{name} {tags[key]}"
        for name, key in (
            ("Python", "skledger.python"),
            ("scikit-learn", "skledger.sklearn"),
            ("NumPy", "skledger.numpy"),
        )
        if tags.get(key)
    ]
    if versions:
        found.append(Fact("Environment", ", ".join(versions)))
    found.append(Fact("Run ID", run.info.run_id, copy=run.info.run_id))
    found.append(Fact("Artifacts", run.info.artifact_uri, copy=run.info.artifact_uri))
    return found


def _git(tags: Mapping[str, str]) -> list[Fact]:
    commit = tags.get("mlflow.source.git.commit", "")
    if not commit:
        return []
    dirty = "changed since" if tags.get("mlflow.source.git.dirty", "").lower() == "true" else ""
    link = _commit_page(tags.get("mlflow.source.git.repoURL", ""), commit)
    found = [Fact("Commit", commit[:12], link, commit, dirty)]
    if tags.get("mlflow.source.git.branch"):
        found.append(Fact("Branch", tags["mlflow.source.git.branch"]))
    return found


def _commit_page(repository: str, commit: str) -> str:
    """Return where a commit can be looked at, for the forges that have the same address."""
    ssh = re.fullmatch(r"(?:ssh://)?git@([\w.-]+)[:/](.+)", repository)
    if ssh:
        repository = f"https://{ssh[1]}/{ssh[2]}"
    parts = read_address(repository)
    if parts is None or parts.scheme != "https" or not parts.hostname:
        return ""
    if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        return ""
    if not any(forge in parts.hostname for forge in ("github", "gitlab", "gitea", "codeberg")):
        return ""
    path = parts.path.removesuffix("/").removesuffix(".git")
    between = "/-/commit/" if "gitlab" in parts.hostname else "/commit/"
    return f"https://{parts.hostname}{path}{between}{commit}"


def own_tags(run: Run) -> dict[str, str]:
    """Return the tags that people and programs of theirs have set."""
    return {key: value for key, value in sorted(run.data.tags.items()) if not _ours(key)}


def system_tags(run: Run) -> dict[str, str]:
    """Return the tags of the machinery that the page shows nowhere else."""
    return {
        key: value
        for key, value in sorted(run.data.tags.items())
        if _ours(key) and key not in _TOLD and not key.startswith(_CHECK)
    }


def _ours(key: str) -> bool:
    return key.startswith(("mlflow.", "skledger.")) or key in _TOLD


def histories(
    store: Store, run_id: str, keys: Iterable[str], seconds: float
) -> dict[str, list[Metric]]:
    """Return the values of metrics over their steps, of as many as the time allows."""
    end = time.monotonic() + seconds
    found: dict[str, list[Metric]] = {}
    for key in keys:
        if time.monotonic() > end:
            break
        found[key] = store.get_metric_history(run_id, key)
    return found


def metric_groups(run: Run, known: Mapping[str, Sequence[Metric]]) -> list[MetricGroup]:
    """Return the metrics of a run in groups: measured, of the training data, of the fit itself.

    Parameters
    ----------
    run : Run
        The run.
    known : mapping of str to sequence of Metric
        Histories, as far as they were read.
    """
    groups: dict[str, list[MetricRow]] = {"": [], "Training data": [], "The fit": []}
    fitted = is_fitted(run.data.metrics)
    for key in sorted(run.data.metrics, key=str.lower):
        title = group_of(key, fitted)
        groups[title].append(_row(key, run.data.metrics[key], known.get(key, ())))
    # What was timed of a fit that failed is not how long such a fit takes.
    until = ", until it failed" if run.info.status == RunStatus.FAILED else ""
    return [
        MetricGroup(f"{title}{until}" if title == "The fit" else title, rows)
        for title, rows in groups.items()
        if rows
    ]


def is_fitted(keys: Iterable[str]) -> bool:
    """Whether metrics are those of a fit, so that their names tell what each is about."""
    return any(key.startswith(("training_", "fit_seconds")) for key in keys)


def group_of(key: str, fitted: bool) -> str:
    """Return the title of the group that a metric stands in; "" for what was measured."""
    if fitted and _FIT.fullmatch(key):
        return "The fit"
    return "Training data" if fitted and key.startswith("training_") else ""


def _row(key: str, value: float, history: Sequence[Metric]) -> MetricRow:
    if len(history) < 2:
        return MetricRow(key, value)
    line = sparkline([each.value for each in history])
    return MetricRow(key, value, len(history), line, history[0].step, history[-1].step)


def sparkline(values: Sequence[float]) -> str:
    """Return the points of an SVG polyline for a small picture of a curve; "" without any."""
    every = max(1, math.ceil(len(values) / _SPARK_POINTS))
    picked = [(index, values[index]) for index in range(0, len(values), every)]
    picked.append((len(values) - 1, values[-1]))
    finite = [(index, value) for index, value in picked if math.isfinite(value)]
    if len({index for index, _ in finite}) < 2:
        return ""
    low, high = min(v for _, v in finite), max(v for _, v in finite)
    width, height = _SPARK[0] - 4, _SPARK[1] - 4
    span = (high - low) or 1.0
    if not math.isfinite(span):
        return ""
    last = len(values) - 1
    return " ".join(
        f"{2 + width * index / last:.1f},"
        f"{2 + (height * (1 - (value - low) / span) if high > low else height / 2):.1f}"
        for index, value in finite
    )
