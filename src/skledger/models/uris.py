"""The URIs that name a model."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from skledger.errors import InvalidParameterError

__all__ = ["ModelUri", "parse_model_uri"]

_FORMS = (
    "'runs:/<run_id>/<path>', 'models:/m-<32 hex digits>', 'models:/<name>', "
    "'models:/<name>/<version>', 'models:/<name>@<alias>', a local path, a file: URI or the URI of "
    "a folder among artifacts, such as 's3://<bucket>/<path>'"
)
_model_id = re.compile(r"m-[0-9a-f]{32}")
_scheme = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


@dataclass(frozen=True, slots=True)
class ModelUri:
    """A model URI, taken apart.

    Parameters
    ----------
    kind : {"run", "logged_model", "registered", "path", "artifact"}
        Which of the fields below are set; for an artifact, none.
    uri : str
        What was parsed.
    run_id, artifact_path : str, optional
        Of ``runs:/``: the run, and the model's place among its artifacts.
    model_id : str, optional
        Of ``models:/m-...``.
    name : str, optional
        Of ``models:/<name>``: a registered model. Without any of the next three its latest
        version is meant.
    version : int, optional
        Of ``models:/<name>/<version>``.
    alias : str, optional
        Of ``models:/<name>@<alias>``.
    stage : str, optional
        Of ``models:/<name>/<stage>``, such as ``Production``: MLflow's older way of naming a
        version.
    path : Path, optional
        A folder of this machine.
    """

    kind: Literal["run", "logged_model", "registered", "path", "artifact"]
    uri: str
    run_id: str | None = None
    artifact_path: str | None = None
    model_id: str | None = None
    name: str | None = None
    version: int | None = None
    alias: str | None = None
    stage: str | None = None
    path: Path | None = None


def parse_model_uri(uri: str | os.PathLike[str]) -> ModelUri:
    """Take a model URI apart.

    Parameters
    ----------
    uri : str or path-like
        ``runs:/<run_id>/<path>``, ``models:/m-<32 hex digits>``, ``models:/<name>``,
        ``models:/<name>/<version>``, ``models:/<name>/latest``, ``models:/<name>@<alias>``, a
        local path, a ``file:`` URI, or the URI of a folder among artifacts, such as
        ``s3://<bucket>/<path>`` or ``mlflow-artifacts:/<path>``.

    Returns
    -------
    ModelUri
        Its parts; whether there is such a model is not looked at.

    Raises
    ------
    InvalidParameterError
        It has none of these forms.
    """
    if not isinstance(uri, str | os.PathLike):
        hint = "; its model_uri is one" if hasattr(uri, "model_uri") else ""
        raise InvalidParameterError(
            f"a model URI is a text such as 'runs:/<run id>/model', not a "
            f"{type(uri).__name__}{hint}."
        )
    text = os.fspath(uri)
    if not text.strip():
        raise _refused(text, "it is empty")
    match = _scheme.match(text)
    # One letter before the colon is a drive of Windows.
    scheme = match[1].lower() if match is not None else None
    if scheme is None or isinstance(uri, os.PathLike):
        return ModelUri("path", text, path=Path(text))
    if scheme == "file":
        return _file(text)
    if scheme in ("run", "model"):
        raise _refused(text, f"did you mean {scheme}s:{text.partition(':')[2]}?")
    if scheme not in ("runs", "models"):
        return _artifact(text)
    body = text.partition(":")[2]
    if not body.startswith("/") or body.startswith("//"):
        raise _refused(text, f"exactly one slash must follow '{scheme}:'")
    return _run(text, body[1:]) if scheme == "runs" else _model(text, body[1:])


def _refused(uri: str, why: str) -> InvalidParameterError:
    return InvalidParameterError(f"model URI {uri!r}: {why}; expected {_FORMS}.")


def _file(uri: str) -> ModelUri:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise _refused(uri, f"the host {parts.netloc!r} is not this machine")
    path = unquote(parts.path)
    if os.name == "nt" and re.match(r"/[A-Za-z]:", path):
        path = path[1:]
    if not path:
        raise _refused(uri, "it names no path")
    return ModelUri("path", uri, path=Path(path))


def _artifact(uri: str) -> ModelUri:
    parts = urlsplit(uri)
    if not parts.path.strip("/"):
        raise _refused(uri, f"the scheme {parts.scheme!r} names no model without a path")
    if ".." in PurePosixPath(parts.path).parts:
        raise _refused(uri, "its path leaves the place that it names")
    return ModelUri("artifact", uri)


def _run(uri: str, body: str) -> ModelUri:
    run_id, _, rest = body.partition("/")
    artifact_path = rest.strip("/")
    if not run_id or not artifact_path:
        raise _refused(uri, "the run or the path in it is missing")
    if ".." in PurePosixPath(artifact_path).parts:
        raise _refused(uri, "its path leaves the run")
    return ModelUri("run", uri, run_id=run_id, artifact_path=artifact_path)


def _model(uri: str, body: str) -> ModelUri:
    name, slash, version = body.rstrip("/").partition("/")
    if "@" in name and not slash:
        name, _, alias = name.rpartition("@")
        if name and alias:
            return ModelUri("registered", uri, name=name, alias=alias)
        raise _refused(uri, "the name or the alias is missing")
    if not name or "/" in version:
        raise _refused(uri, "it has too few or too many parts")
    if not version:
        if _model_id.fullmatch(name):
            return ModelUri("logged_model", uri, model_id=name)
        return ModelUri("registered", uri, name=name)
    if version.isdecimal():
        return ModelUri("registered", uri, name=name, version=int(version))
    if version.lower() == "latest":
        return ModelUri("registered", uri, name=name)
    return ModelUri("registered", uri, name=name, stage=version)
