"""The fluent ``log_*`` functions: params, metrics, tags and artifacts of the active run."""

from __future__ import annotations

import io
import json
import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.tracking.entities import (
    MAX_PARAM_LENGTH,
    MAX_TAG_LENGTH,
    Metric,
    Param,
    RunChange,
    RunTag,
)
from skledger.tracking.names import now_ms
from skledger.tracking.runs import current_run_id, get_run
from skledger.tracking.session import get_store

if TYPE_CHECKING:
    from skledger.stores.artifacts import ArtifactStore

__all__ = [
    "get_artifact_uri",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_text",
    "set_tag",
    "set_tags",
    "shorten",
]


def shorten(value: str, limit: int) -> str:
    """Cut a text to `limit` characters; a cut one ends in ``...`` so that it shows."""
    return value if len(value) <= limit else value[: limit - 3] + "..."


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Book one param of the active run; without an active run, one is started.

    Parameters
    ----------
    key : str
        Up to 250 characters.
    value : object
        Booked as ``str(value)``; over 6,000 characters it is cut and ends in ``...``.
    synchronous : bool, optional
        Taken for compatibility; the write is done when the call returns.

    Returns
    -------
    object
        `value`, unchanged.

    Raises
    ------
    ParamConflictError
        When the run has this param with another value.
    """
    log_params({key: value})
    return value


def log_params(
    params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> None:
    """Book params, all or none; see `log_param`."""
    change = tuple(
        Param(key, shorten(str(value), MAX_PARAM_LENGTH)) for key, value in params.items()
    )
    get_store().write(RunChange(run_id or current_run_id(), params=change))


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
) -> None:
    """Book one number of the active run; without an active run, one is started.

    Parameters
    ----------
    key : str
        Up to 250 characters.
    value : float
        Any real number; NaN and the infinities are kept.
    step : int, optional
        The step it belongs to; 0 by default.
    synchronous : bool, optional
        Taken for compatibility; the write is done when the call returns.
    timestamp : int, optional
        Its time in ms since the epoch; now by default.
    run_id : str, optional
        Another run than the active one.

    Raises
    ------
    InvalidParameterError
        When `value` is not a number.
    """
    log_metrics({key: value}, step=step, timestamp=timestamp, run_id=run_id)


def log_metrics(
    metrics: Mapping[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
) -> None:
    """Book numbers of one step, all or none; see `log_metric`."""
    at, time = int(step or 0), now_ms() if timestamp is None else int(timestamp)
    change = tuple(Metric(key, _number(key, value), time, at) for key, value in metrics.items())
    get_store().write(RunChange(run_id or current_run_id(), metrics=change))


def _number(key: str, value: Any) -> float:
    if isinstance(value, numbers.Real):
        return float(value)
    try:
        if getattr(value, "ndim", None) == 0 or getattr(value, "size", None) == 1:
            return float(value.item())  # numpy scalars and one-element arrays
        return float(value) if not isinstance(value, str | bytes) else _not_a_number(key, value)
    except (TypeError, ValueError):
        return _not_a_number(key, value)


def _not_a_number(key: str, value: Any) -> float:
    raise InvalidParameterError(
        f"The metric {key!r} was given {value!r} of type {type(value).__name__}; "
        "a metric is one real number. Book a text with set_tag or log_text, an array with log_dict."
    )


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> None:
    """Set one tag of the active run (``str(value)``, up to 8,000 characters), or change it."""
    set_tags({key: value})


def set_tags(
    tags: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> None:
    """Set tags, all or none; see `set_tag`."""
    change = tuple(RunTag(key, shorten(str(value), MAX_TAG_LENGTH)) for key, value in tags.items())
    get_store().write(RunChange(run_id or current_run_id(), tags=change))


def artifacts_of(run_id: str) -> ArtifactStore:
    """Return the artifact store of a run."""
    from skledger.stores.artifacts import artifact_store

    return artifact_store(get_run(run_id).info.artifact_uri)


def log_artifact(
    local_path: str | Path, artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Copy a file or a folder to the artifacts of the active run.

    Parameters
    ----------
    local_path : str or Path
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
    source = Path(local_path)
    if not source.exists():
        raise NotFoundError(f"There is no file or folder {str(local_path)!r} to log.")
    target = f"{artifact_path.rstrip('/')}/{source.name}" if artifact_path else source.name
    store = artifacts_of(run_id or current_run_id())
    if source.is_dir():
        store.put_folder(target, source)
    else:
        store.put_file(target, source)


def log_artifacts(
    local_dir: str | Path, artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Copy what is in a folder to the artifacts of the active run; see `log_artifact`."""
    source = Path(local_dir)
    if not source.is_dir():
        raise NotFoundError(f"There is no folder {str(local_dir)!r} to log.")
    artifacts_of(run_id or current_run_id()).put_folder(artifact_path or "", source)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Write a text as an artifact, in UTF-8; `artifact_file` is its path, such as ``a/note.md``."""
    artifacts_of(run_id or current_run_id()).put_bytes(artifact_file, text.encode())


def log_dict(dictionary: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Write a dictionary or list as an artifact: YAML for ``.yml`` and ``.yaml``, else JSON."""
    if artifact_file.endswith((".yml", ".yaml")):
        import yaml

        text = yaml.safe_dump(dictionary, sort_keys=False, allow_unicode=True)
    else:
        text = json.dumps(dictionary, indent=2, default=str)
    log_text(text, artifact_file, run_id)


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
    options = dict(save_kwargs or {})
    if hasattr(figure, "savefig"):
        buffer = io.BytesIO()
        ending = Path(artifact_file).suffix.lstrip(".")
        figure.savefig(buffer, **{"format": ending or None, **options})
        content = buffer.getvalue()
    elif hasattr(figure, "write_html") and artifact_file.endswith(".html"):
        content = figure.to_html(include_plotlyjs=True, **options).encode()
    elif hasattr(figure, "to_image"):
        content = figure.to_image(format=Path(artifact_file).suffix.lstrip("."), **options)
    else:
        raise InvalidParameterError(
            f"log_figure takes a figure of matplotlib or plotly, not {type(figure).__name__}."
        )
    artifacts_of(run_id or current_run_id()).put_bytes(artifact_file, content)


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Return where the active run's artifacts are, or where one of them is."""
    root = get_run(current_run_id()).info.artifact_uri
    return f"{root}/{artifact_path.lstrip('/')}" if artifact_path else root
