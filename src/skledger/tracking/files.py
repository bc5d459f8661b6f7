"""The fluent functions for artifacts: log files, texts, figures and tables of the active run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from skledger.tracking.runs import current_run_id, get_run
from skledger.tracking.session import experiment_in_use

if TYPE_CHECKING:
    import pandas as pd

    from skledger.tracking.client import TrackingClient

__all__ = [
    "get_artifact_uri",
    "load_table",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_stream",
    "log_table",
    "log_text",
]


def _client() -> TrackingClient:
    from skledger.tracking.client import TrackingClient

    return TrackingClient()


def log_artifact(
    local_path: str | os.PathLike[str],
    artifact_path: str | None = None,
    run_id: str | None = None,
) -> None:
    """Copy a file or a folder to the artifacts of the active run.

    Parameters
    ----------
    local_path : path-like
        The file or folder.
    artifact_path : str, optional
        The folder among the artifacts to put it in.
    run_id : str, optional
        Another run than the active one.

    Raises
    ------
    NotFoundError
        When there is nothing at `local_path`.
    """
    _client().log_artifact(run_id or current_run_id(), local_path, artifact_path)


def log_artifacts(
    local_dir: str | os.PathLike[str],
    artifact_path: str | None = None,
    run_id: str | None = None,
) -> None:
    """Copy what is in a folder to the artifacts of the active run; see `log_artifact`."""
    _client().log_artifacts(run_id or current_run_id(), local_dir, artifact_path)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Write a text as an artifact, in UTF-8; `artifact_file` is its path, such as ``a/note.md``."""
    _client().log_text(run_id or current_run_id(), text, artifact_file)


def log_dict(dictionary: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Write a dictionary or list as an artifact: YAML for ``.yml`` and ``.yaml``, else JSON."""
    _client().log_dict(run_id or current_run_id(), dictionary, artifact_file)


def log_figure(
    figure: Any,
    artifact_file: str,
    *,
    save_kwargs: Mapping[str, Any] | None = None,
    run_id: str | None = None,
) -> None:
    """Write a figure as an artifact.

    Parameters
    ----------
    figure : matplotlib.figure.Figure or plotly.graph_objects.Figure
        The figure; it stays as it is, open or closed.
    artifact_file : str
        Its path among the artifacts; the ending gives the format (``.html`` for plotly).
    save_kwargs : mapping, optional
        Passed on to the figure's own writer.
    run_id : str, optional
        Another run than the active one.
    """
    _client().log_figure(run_id or current_run_id(), figure, artifact_file, save_kwargs=save_kwargs)


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = False,
) -> None:
    """Write an image as an artifact of the active run.

    Parameters
    ----------
    image : PIL.Image.Image or array-like of shape (height, width[, channels])
        1, 3 or 4 channels of whole numbers from 0 to 255, or of fractions from 0 to 1.
    artifact_file : str, optional
        Its path, such as ``images/a.png``. Either this or `key`.
    key : str, optional
        The name of a series of images, one for each step.
    step : int, optional
        The step of that series; 0 by default.
    timestamp : int, optional
        Its time in ms since the epoch; now by default.
    synchronous : bool, optional
        Taken for compatibility; the write is done when the call returns.
    """
    _client().log_image(current_run_id(), image, artifact_file, key, step, timestamp)


def log_stream(stream: IO[bytes], artifact_file: str, run_id: str | None = None) -> None:
    """Write what a binary stream holds as an artifact of the active run."""
    _client().log_stream(run_id or current_run_id(), stream, artifact_file)


def log_table(
    data: pd.DataFrame | Mapping[str, Any], artifact_file: str, run_id: str | None = None
) -> None:
    """Write a table as an artifact, or add its rows to the table that is there.

    Parameters
    ----------
    data : pandas.DataFrame or dict
        Columns by name; single values make one row.
    artifact_file : str
        Its path, which ends in ``.json`` or ``.parquet``.
    run_id : str, optional
        Another run than the active one.
    """
    _client().log_table(run_id or current_run_id(), data, artifact_file)


def load_table(
    artifact_file: str,
    run_ids: Sequence[str] | None = None,
    extra_columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the rows of a table that runs of the experiment in use have logged.

    Parameters
    ----------
    artifact_file : str
        The path of the table.
    run_ids : sequence of str, optional
        Only of these runs.
    extra_columns : sequence of str, optional
        What to add of each run, by its column in `search_runs`, such as ``run_id``.

    Raises
    ------
    NotFoundError
        When no run has such a table.
    """
    experiment_id = experiment_in_use().experiment_id
    return _client().load_table(experiment_id, artifact_file, run_ids, extra_columns)


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Return where the active run's artifacts are, or where one of them is."""
    root = get_run(current_run_id()).info.artifact_uri
    return f"{root}/{artifact_path.lstrip('/')}" if artifact_path else root
