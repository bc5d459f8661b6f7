"""Reading what the folders of experiments, runs and models hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from skledger.errors import StoreError
from skledger.stores.checks import MODEL_STATUS_NAMES
from skledger.stores.files_layout import Layout, experiment_of
from skledger.stores.files_medium import (
    META,
    list_files,
    list_folders,
    read,
    read_if_there,
    read_meta,
    say_once,
)
from skledger.stores.files_names import key_of, other_name, usual_name
from skledger.stores.files_numbers import latest_value, model_values_in
from skledger.stores.files_places import Places
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    LifecycleStage,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)

__all__ = ["KeyFiles", "Reader", "find_file", "read_number", "read_text", "unless_damaged"]

T = TypeVar("T")


class KeyFiles(Mapping[str, T], Generic[T]):
    """The files of a folder by their keys; each is read when it is asked for.

    Parameters
    ----------
    folder : str
        The folder.
    read_value : callable
        Returns the value in a file, given its path and its key; None when it has none yet.
    """

    __slots__ = ("_all", "_folder", "_read")

    def __init__(self, folder: str, read_value: Callable[[str, str], T | None]) -> None:
        self._folder = folder
        self._read = read_value
        self._all: dict[str, T] | None = None

    def load(self) -> dict[str, T]:
        """Return everything in the folder."""
        if self._all is None:
            found = {}
            for name, path in sorted(list_files(self._folder)):
                key = key_of(name)
                try:
                    value = self._read(path, key)
                except FileNotFoundError:
                    continue  # removed since
                if value is not None:
                    found[key] = value
            self._all = found
        return self._all

    def __getitem__(self, key: str) -> T:
        if self._all is not None:
            return self._all[key]
        for name in (usual_name(key), other_name(key)):
            try:
                value = self._read(f"{self._folder}/{name}", key)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            if value is not None:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.load())

    def __len__(self) -> int:
        return len(self.load())


def find_file(folder: str, key: str) -> tuple[str, bool]:
    """Return the path of the file of a key in a folder, and whether it is there."""
    path = f"{folder}/{usual_name(key)}"
    try:
        if stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return path, True
        taken = True
    except FileNotFoundError:
        taken = False
    except NotADirectoryError:
        taken = True
    other = f"{folder}/{other_name(key)}"
    if os.path.isfile(other):  # noqa: PTH113
        return other, True
    return (other if taken else path), False


def read_text(path: str, key: str = "") -> str:
    """Return a param or a tag; what is no UTF-8 is shown as far as it can be."""
    return read(path).decode("utf-8", "replace")


def read_number(path: str, key: str) -> float | None:
    """Return the latest value of a metric."""
    latest = latest_value(path, key)
    return None if latest is None else latest.value


def unless_damaged(look: Callable[[str], T | None], folder: str) -> T | None:
    """Return what a folder holds; None, with one line in the log, when it cannot be read as such.

    One damaged folder must not hide a thousand good ones.
    """
    try:
        return look(folder)
    except StoreError as error:
        say_once(f"{error.message} It is passed over.")
        return None


class Reader:
    """Turns folders into entities. What is not whole is None, what is damaged a `StoreError`.

    Parameters
    ----------
    layout : Layout
        Where things are.
    """

    def __init__(self, layout: Layout) -> None:
        self._places = Places(layout.root)
        self._datasets: dict[str, Dataset] = {}

    def experiment(self, folder: str) -> Experiment | None:
        """Return the experiment in a folder."""
        meta = read_meta(folder)
        if meta is None:
            return None
        number = os.path.basename(folder)  # noqa: PTH119
        with _FieldsOf(folder):
            location = _text(meta.get("artifact_location")) or folder
            return Experiment(
                number,
                _text(meta["name"]),
                self._places.now(location, f"/{number}", os.path.dirname(folder)),  # noqa: PTH120
                _stage(meta),
                KeyFiles(f"{folder}/tags", read_text).load(),
                _whole(meta.get("creation_time")),
                _whole(meta.get("last_update_time")),
            )

    def info(self, folder: str) -> RunInfo | None:
        """Return what the run in a folder is."""
        meta = read_meta(folder)
        if meta is None:
            return None
        experiment, _, run_id = folder.rpartition("/")
        parent, _, number = experiment.rpartition("/")
        with _FieldsOf(folder):
            status = meta["status"]
            suffix = f"/{number}/{run_id}/artifacts"
            return RunInfo(
                run_id,
                number,
                _text(meta.get("run_name")) or _name_tag(folder),
                _text(meta.get("user_id")),
                RunStatus.ALL[status - 1] if isinstance(status, int) else _text(status),
                _whole(meta.get("start_time")) or 0,
                _whole(meta.get("end_time")),
                _stage(meta),
                self._places.now(_text(meta.get("artifact_uri")) or f".{suffix}", suffix, parent),
            )

    def lazily(self, info: RunInfo, folder: str, *, inputs: bool = False) -> Run:
        """Return a run whose metrics, params and tags are read when they are looked at."""
        return Run(
            info,
            RunData(
                cast("dict[str, float]", KeyFiles(f"{folder}/metrics", read_number)),
                cast("dict[str, str]", KeyFiles(f"{folder}/params", read_text)),
                cast("dict[str, str]", KeyFiles(f"{folder}/tags", read_text)),
            ),
            RunInputs(self._inputs(folder) if inputs else []),
        )

    def whole(self, info: RunInfo, folder: str) -> Run:
        """Return a run with everything it holds."""
        return Run(
            info,
            RunData(
                KeyFiles(f"{folder}/metrics", read_number).load(),
                KeyFiles(f"{folder}/params", read_text).load(),
                KeyFiles(f"{folder}/tags", read_text).load(),
            ),
            RunInputs(self._inputs(folder)),
            RunOutputs(self.outputs(folder)),
        )

    def _inputs(self, folder: str) -> list[DatasetInput]:
        found = []
        for _, meta in _metas_in(f"{folder}/inputs"):
            if meta.get("source_type") != "DATASET":
                continue
            described = f"{experiment_of(folder)}/datasets/{meta.get('source_id')}"
            dataset = unless_damaged(self._dataset, described)
            tags = meta.get("tags")
            if dataset is not None:
                pairs = tags.items() if isinstance(tags, dict) else ()
                notes = tuple(RunTag(str(key), str(value)) for key, value in pairs)
                found.append(DatasetInput(dataset, notes))
        return found

    def _dataset(self, folder: str) -> Dataset | None:
        known = self._datasets.get(folder)
        if known is None:
            meta = read_meta(folder)
            if meta is None:
                return None
            with _FieldsOf(folder):
                schema, profile = meta.get("schema"), meta.get("profile")
                known = Dataset(
                    _text(meta["name"]),
                    _text(meta["digest"]),
                    _text(meta.get("source_type")),
                    _text(meta.get("source")),
                    None if schema is None else str(schema),
                    None if profile is None else str(profile),
                )
            if len(self._datasets) > 1000:
                self._datasets.clear()
            self._datasets[folder] = known  # it never changes: its name is made of its digest
        return known

    def outputs(self, folder: str) -> list[LoggedModelOutput]:
        """Return the models of the run in a folder."""
        return [
            LoggedModelOutput(name, _whole(meta.get("step")) or 0)
            for name, meta in _metas_in(f"{folder}/outputs")
        ]

    def model(self, folder: str) -> LoggedModel | None:
        """Return the logged model in a folder, unless it is deleted."""
        meta = read_meta(folder)
        if meta is None or _stage(meta) == LifecycleStage.DELETED:
            return None
        parent, _, number = experiment_of(folder).rpartition("/")
        model_id = os.path.basename(folder)  # noqa: PTH119
        suffix = f"/{number}/models/{model_id}/artifacts"
        with _FieldsOf(folder):
            created = _whole(meta["creation_timestamp"]) or 0
            source = meta.get("source_run_id")
            return LoggedModel(
                model_id=model_id,
                experiment_id=number,
                name=_text(meta["name"]),
                artifact_location=self._places.now(
                    _text(meta.get("artifact_location")) or f".{suffix}", suffix, parent
                ),
                creation_timestamp=created,
                last_updated_timestamp=_whole(meta.get("last_updated_timestamp")) or created,
                source_run_id=None if source is None else str(source),
                status=MODEL_STATUS_NAMES.get(cast("int", meta.get("status")), "UNSPECIFIED"),
                model_type=_text(meta.get("model_type")),
                tags=KeyFiles(f"{folder}/tags", read_text).load(),
                params=KeyFiles(f"{folder}/params", read_text).load(),
                metrics=self._model_metrics(folder),
            )

    def models_naming(self, experiment: str, run_id: str) -> list[str]:
        """Return the folders of the models of an experiment that name a run as their source."""
        folders = [f"{experiment}/models/{each}" for each in list_folders(f"{experiment}/models")]
        named = ((folder, unless_damaged(read_meta, folder)) for folder in folders)
        return [folder for folder, meta in named if meta and meta.get("source_run_id") == run_id]

    @staticmethod
    def _model_metrics(folder: str) -> tuple[Metric, ...]:
        found: dict[object, Metric] = {}
        model_id = folder.rpartition("/")[2]
        for name, path in sorted(list_files(f"{folder}/metrics")):
            content = read_if_there(path) or b""
            for each in model_values_in(content, key_of(name), path, model_id):
                # What was sent twice is there once; NaN equals itself only as text.
                data = (each.dataset_name, each.dataset_digest)
                found[each.key, each.timestamp, each.step, repr(each.value), data] = each
        return tuple(found.values())


class _FieldsOf:
    """Turn a field that is missing, or is not what it should be, into a `StoreError`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if isinstance(error, KeyError | ValueError | IndexError | TypeError):
            raise StoreError(
                f"{self._folder}/{META} is damaged: {type(error).__name__}: {error}; restore it "
                "from a copy, or remove its folder if it is lost."
            ) from error


def _metas_in(folder: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the descriptions of the folders in a folder, the oldest first."""
    found = []
    for name in list_folders(folder):
        meta = unless_damaged(read_meta, f"{folder}/{name}")
        if meta is not None:
            found.append((name, meta))
    if len(found) > 1:
        found.sort(key=lambda each: (_age(f"{folder}/{each[0]}/{META}"), each[0]))
    return found


def _age(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0


def _name_tag(folder: str) -> str:
    data = read_if_there(f"{folder}/tags/mlflow.runName")
    return "" if data is None else data.decode("utf-8", "replace")


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _whole(value: object) -> int | None:
    return None if value is None else int(cast("int", value))


def _stage(meta: Mapping[str, object]) -> str:
    return LifecycleStage.DELETED if meta.get("lifecycle_stage") == "deleted" else "active"
