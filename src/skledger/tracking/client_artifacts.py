"""The client's artifacts: log, list, download; the same for tables and images."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, MissingFileError, NotFoundError
from skledger.tracking.artifact_files import (
    add_to_table,
    dict_bytes,
    figure_bytes,
    image_bytes,
    read_table,
)
from skledger.tracking.artifacts import (
    artifacts_of_model,
    artifacts_of_run,
    artifacts_to_write,
    download,
    files_in,
    place_in_run,
    put_path,
)
from skledger.tracking.client_base import ClientPart
from skledger.tracking.entities import FileInfo, Run, RunChange, RunTag
from skledger.tracking.names import now_ms

if TYPE_CHECKING:
    import pandas as pd

    from skledger.stores.artifacts import ArtifactStore

__all__ = ["ArtifactsPart"]

#: MLflow's tags that say a run has tables, and images with steps.
TABLES_TAG = "mlflow.loggedArtifacts"
IMAGES_TAG = "mlflow.loggedImages"
_IMAGE_KEY = re.compile(r"[\w\-. /]+", re.ASCII)


class ArtifactsPart(ClientPart):
    """Methods on artifacts."""

    def log_artifact(
        self, run_id: str, local_path: str | os.PathLike[str], artifact_path: str | None = None
    ) -> None:
        """Copy a file or a folder to the artifacts of a run, into the folder `artifact_path`."""
        put_path(self._to_write(run_id), local_path, artifact_path)

    def log_artifacts(
        self, run_id: str, local_dir: str | os.PathLike[str], artifact_path: str | None = None
    ) -> None:
        """Copy what is in a folder to the artifacts of a run."""
        if not os.path.isdir(local_dir):  # noqa: PTH112
            raise MissingFileError(f"There is no folder {os.fspath(local_dir)!r} to log.")
        self._to_write(run_id).put_folder(artifact_path or "", local_dir)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Write a text as an artifact, in UTF-8; `artifact_file` is its path."""
        if not isinstance(text, str):
            raise InvalidParameterError(
                f"log_text takes a text, not {type(text).__name__}; str(...) makes one of most "
                "things, and log_dict takes dictionaries and lists."
            )
        self._to_write(run_id).put_bytes(artifact_file, text.encode())

    def log_dict(self, run_id: str, dictionary: Any, artifact_file: str) -> None:
        """Write a dictionary or list: YAML for ``.yml`` and ``.yaml``, else JSON."""
        self._to_write(run_id).put_bytes(artifact_file, dict_bytes(dictionary, artifact_file))

    def log_figure(
        self,
        run_id: str,
        figure: Any,
        artifact_file: str,
        *,
        save_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a figure of matplotlib or plotly; the ending of the path gives the format."""
        content = figure_bytes(figure, artifact_file, save_kwargs or {})
        self._to_write(run_id).put_bytes(artifact_file, content)

    def log_stream(self, run_id: str, stream: IO[bytes], artifact_file: str) -> None:
        """Write what a binary stream holds as an artifact."""
        self._to_write(run_id).put_bytes(artifact_file, stream.read())

    def log_image(
        self,
        run_id: str,
        image: Any,
        artifact_file: str | None = None,
        key: str | None = None,
        step: int | None = None,
        timestamp: int | None = None,
        synchronous: bool | None = None,
    ) -> None:
        """Write an image as an artifact.

        Parameters
        ----------
        run_id : str
            The run.
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
            Taken for compatibility.
        """
        if (artifact_file is None) == (key is None):
            raise InvalidParameterError(
                "log_image takes either an artifact_file or a key; it was given "
                f"artifact_file={artifact_file!r} and key={key!r}."
            )
        if key is not None:
            self._log_step(run_id, image, key, step, now_ms() if timestamp is None else timestamp)
            return
        if step is not None or timestamp is not None:
            raise InvalidParameterError("step and timestamp go with key, not artifact_file.")
        path = str(artifact_file)
        self._to_write(run_id).put_bytes(path, image_bytes(image, path))

    def _log_step(
        self, run_id: str, image: Any, key: str, step: int | None, timestamp: int
    ) -> None:
        """Write the image of a step, whole and small, under the names that MLflow shows."""
        if not isinstance(key, str) or not _IMAGE_KEY.fullmatch(key):
            raise InvalidParameterError(
                f"The key of an image has letters, digits, spaces and _-./ only, not {key!r}."
            )
        steps = f"step+{int(step or 0)}+timestamp+{int(timestamp)}"
        name = f"images/{key.replace('/', '~')}+{steps}+{uuid.uuid4()}"
        artifacts = self._to_write(run_id)
        artifacts.put_bytes(f"{name}.png", image_bytes(image, "a.png"))
        artifacts.put_bytes(f"{name}+compressed.webp", image_bytes(image, "a.webp"))
        self._store().write(RunChange(run_id, tags=(RunTag(IMAGES_TAG, "True"),)))

    def log_table(self, run_id: str, data: Any, artifact_file: str) -> None:
        """Write a table as an artifact, or add its rows to the table that is there.

        Parameters
        ----------
        run_id : str
            The run.
        data : pandas.DataFrame or dict
            Columns by name; single values make one row.
        artifact_file : str
            Its path, which ends in ``.json`` or ``.parquet``.
        """
        run = self._reading().get_run(run_id)
        add_to_table(self._artifacts(run_id), data, artifact_file)
        tables = _tables_of(run)
        if artifact_file not in tables:
            listed = [{"path": path, "type": "table"} for path in (*tables, artifact_file)]
            tag = RunTag(TABLES_TAG, json.dumps(listed))
            self._store().write(RunChange(run_id, tags=(tag,)))

    def load_table(
        self,
        experiment_id: str,
        artifact_file: str,
        run_ids: Sequence[str] | None = None,
        extra_columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return the rows of a table that runs of an experiment have logged.

        Parameters
        ----------
        experiment_id : str
            The experiment.
        artifact_file : str
            The path of the table.
        run_ids : sequence of str, optional
            Only of these runs.
        extra_columns : sequence of str, optional
            What to add of each run, by its column in `search_runs`, such as ``run_id``.
        """
        import pandas as pd

        from skledger.tracking.frames import all_runs, to_frame

        runs = [
            run
            for run in all_runs(self._reading(), [str(experiment_id)])
            if (run_ids is None or run.info.run_id in run_ids) and artifact_file in _tables_of(run)
        ]
        if not runs:
            raise NotFoundError(
                f"No run of the experiment {experiment_id} that was asked for has a table "
                f"{artifact_file!r}."
            )
        rows = to_frame(runs)
        tables = []
        for at, run in enumerate(runs):
            table = read_table(self._artifacts(run.info.run_id), artifact_file)
            for name in extra_columns or ():
                if name not in rows:
                    known = ", ".join(map(str, rows))
                    raise InvalidParameterError(
                        f"There is no column {name!r} of runs; there are {known}."
                    )
                table[name] = rows[name].iloc[at]
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Return the files and folders in a folder of a run's artifacts, sorted."""
        return files_in(*place_in_run(run_id, path, self.tracking_uri))

    def download_artifacts(
        self, run_id: str, path: str, dst_path: str | os.PathLike[str] | None = None
    ) -> str:
        """Return the local path of a run's artifact; see `skledger.artifacts`."""
        return download(*place_in_run(run_id, path, self.tracking_uri), dst_path)

    def list_logged_model_artifacts(self, model_id: str, path: str | None = None) -> list[FileInfo]:
        """Return the files and folders in a folder of a logged model, sorted."""
        artifacts = artifacts_of_model(model_id, self.tracking_uri)
        return files_in(artifacts, (path or "").strip("/"))

    def _artifacts(self, run_id: str) -> ArtifactStore:
        return artifacts_of_run(run_id, self.tracking_uri)

    def _to_write(self, run_id: str) -> ArtifactStore:
        return artifacts_to_write(run_id, self.tracking_uri)


def _tables_of(run: Run) -> list[str]:
    """Return the paths of the tables that a run has logged."""
    try:
        listed = json.loads(run.data.tags.get(TABLES_TAG, "[]"))
    except ValueError:
        return []
    entries = listed if isinstance(listed, list) else []
    return [str(each["path"]) for each in entries if isinstance(each, dict) and "path" in each]
