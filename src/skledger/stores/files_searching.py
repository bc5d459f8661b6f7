"""Looking through many runs: of each only what is asked for is read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from skledger.stores.checks import check_view_type, parse_experiment_id
from skledger.stores.files_layout import Layout, is_identifier
from skledger.stores.files_medium import list_files, list_folders, read_if_there
from skledger.stores.files_numbers import latest_value
from skledger.stores.files_reading import KeyFiles, Reader, find_file, unless_damaged
from skledger.stores.matching import matches
from skledger.tracking.entities import LoggedModel, Run, RunInfo, RunStatus
from skledger.tracking.filters import parse_filter

__all__ = ["Searcher"]

_PARENT_TAG = "mlflow.parentRunId"


class Searcher:
    """Finds runs and models.

    Parameters
    ----------
    layout : Layout
        Where things are.
    reader : Reader
        Reads them.
    """

    def __init__(self, layout: Layout, reader: Reader) -> None:
        self._layout = layout
        self._reader = reader

    def matching(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        view_type: int,
        of_data: bool = False,
    ) -> list[Run]:
        """Return the runs that match; what they hold is read when it is looked at.

        The data sets only where conditions, or `of_data`, ask for them.
        """
        conditions = parse_filter(filter_string, "run")
        of_data = of_data or any(each.kind == "dataset" for each in conditions)
        stages = check_view_type(view_type)
        found = []
        for experiment in self._experiments(experiment_ids):
            for name in self._layout.runs(experiment):
                folder = f"{experiment}/{name}"
                info = unless_damaged(self._reader.info, folder)
                if info is not None and info.lifecycle_stage in stages:
                    run = self._reader.lazily(info, folder, inputs=of_data)
                    if matches(run, conditions):
                        found.append(run)
        return found

    def whole(self, run: Run) -> Run:
        """Return a run that was found with everything it holds."""
        experiment = self._layout.experiment(run.info.experiment_id) or ""
        return self._reader.whole(run.info, f"{experiment}/{run.info.run_id}")

    def models(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """Yield the logged models of experiments."""
        for experiment in self._experiments(experiment_ids):
            for name in list_folders(f"{experiment}/models"):
                model = unless_damaged(self._reader.model, f"{experiment}/models/{name}")
                if model is not None:
                    yield model

    def running(self, tag: str | None, limit: int, after: str) -> list[Run]:
        """Return runs that are RUNNING; see `Store.running_runs`."""
        found: list[Run] = []
        for run_id, folder in sorted(self._perhaps_running(tag, after)):
            info = unless_damaged(self._reader.info, folder)
            if info is None or info.status != RunStatus.RUNNING:
                continue
            if tag is None or find_file(f"{folder}/tags", tag)[1]:
                self._layout.remember(run_id, folder.rpartition("/")[0])
                found.append(self._reader.whole(info, folder))
                if len(found) == limit:
                    break
        return found

    def _perhaps_running(self, tag: str | None, after: str) -> Iterator[tuple[str, str]]:
        for experiment in self._layout.experiments():
            if tag is not None and tag.startswith("skledger."):
                marks = list_files(f"{experiment}/.skledger/running")
                names = [name for name, _ in marks if is_identifier(name)]
            else:
                names = self._layout.runs(experiment)
            yield from ((name, f"{experiment}/{name}") for name in names if name > after)

    def last_signs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return when runs gave their last signs of life; see `Store.last_signs`."""
        now = time.time_ns() // 1_000_000
        signs: dict[str, int] = {}
        for run_id in run_ids:
            folder = self._layout.run(run_id)
            info = None if folder is None else unless_damaged(self._reader.info, folder)
            if folder is not None and info is not None:
                signs[run_id] = _last_sign(info, folder, now)
        if signs:
            for folder, parent in self._children():
                info = unless_damaged(self._reader.info, folder) if parent in signs else None
                if info is not None:
                    sign = _last_sign_of_child(info, folder, now)
                    signs[parent] = max(signs[parent], sign)
        return signs

    def _children(self) -> Iterator[tuple[str, str]]:
        """Yield the folders of all child runs, with the identifiers of their parents."""
        for experiment in self._layout.experiments():
            for name in self._layout.runs(experiment):
                parent = read_if_there(f"{experiment}/{name}/tags/{_PARENT_TAG}")
                if parent is not None:
                    yield f"{experiment}/{name}", parent.decode("utf-8", "replace")

    def _experiments(self, experiment_ids: Sequence[str]) -> Iterator[str]:
        """Yield the folders of the experiments that there are, each once."""
        for number in dict.fromkeys(str(parse_experiment_id(each)) for each in experiment_ids):
            folder = self._layout.experiment(number)
            if folder is not None:
                yield folder


def _last_sign(info: RunInfo, folder: str, now: int) -> int:
    """Return when a run started or got the value of a metric, whichever is later."""
    latest = KeyFiles(f"{folder}/metrics", latest_value).load().values()
    times = [metric.timestamp for metric in latest if metric.timestamp <= now]
    return max(info.start_time, *times, 0)


def _last_sign_of_child(info: RunInfo, folder: str, now: int) -> int:
    """Return the end of a run that has ended; else what is the last that was booked of it."""
    end = info.end_time or info.start_time
    return max(end, _last_sign(info, folder, now)) if info.status == RunStatus.RUNNING else end
