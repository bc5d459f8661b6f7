"""The text files of a model folder, in the form that MLflow reads.

The YAML is written from templates: its shape never changes, and a YAML library takes longer to
import than a model takes to save.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from skledger.errors import ModelError

__all__ = ["Descriptor", "environment_files", "quoted"]

#: The version of MLflow whose folder this is; MLflow shows it and warns of nothing by it.
MLFLOW_VERSION = "3.17.2"

# Characters that JSON leaves as they are and YAML does not take, or takes for a line break.
_unprintable = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")
_surrogate = re.compile("[\\ud800-\\udfff]")
_encode = json.JSONEncoder(ensure_ascii=False).encode


def quoted(text: str) -> str:
    r"""Return a text as a double-quoted YAML scalar that reads back as the same text.

    Half of a surrogate pair, which no UTF-8 file can hold, becomes U+FFFD.
    """
    plain = _encode(_surrogate.sub("\ufffd", text))
    return _unprintable.sub(lambda match: f"\\u{ord(match[0]):04x}", plain)


def _optional(text: str | None) -> str:
    return "null" if text is None else quoted(text)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What ``MLmodel`` says about a scikit-learn model.

    Parameters
    ----------
    model_file : str
        Name of the pickle in the folder.
    serialization_format : str
        ``"cloudpickle"`` or ``"pickle"``.
    predicts : bool
        Whether the estimator has ``predict``, and so can be loaded as a ``python_function``.
    sklearn_version : str
        The version that the model was pickled with.
    size_bytes : int
        Size of the pickle.
    artifact_path, model_id, run_id : str, optional
        Where the model belongs.
    signature : mapping, optional
        ``inputs``, ``outputs`` and ``params``, each a JSON text or None.
    metadata : mapping, optional
        The caller's own notes.
    """

    model_file: str
    serialization_format: str
    predicts: bool
    sklearn_version: str
    size_bytes: int
    artifact_path: str | None = None
    model_id: str | None = None
    run_id: str | None = None
    signature: Mapping[str, str | None] | None = None
    metadata: Mapping[str, Any] | None = None

    def to_yaml(self) -> str:
        """Return the text of ``MLmodel``."""
        now = datetime.now(UTC).replace(tzinfo=None)
        created = now.isoformat(sep=" ", timespec="microseconds")
        artifact_path = (
            "" if self.artifact_path is None else f"artifact_path: {quoted(self.artifact_path)}\n"
        )
        run_id = "" if self.run_id is None else f"run_id: {quoted(self.run_id)}\n"
        return (
            f"{artifact_path}flavors:\n"
            f"{self._python_function()}"
            "  sklearn:\n"
            "    code: null\n"
            f"    pickled_model: {quoted(self.model_file)}\n"
            f"    serialization_format: {quoted(self.serialization_format)}\n"
            f"    sklearn_version: {quoted(self.sklearn_version)}\n"
            f"{_metadata(self.metadata)}"
            f"mlflow_version: {MLFLOW_VERSION}\n"
            f"model_id: {_optional(self.model_id)}\n"
            f"model_size_bytes: {self.size_bytes}\n"
            f"model_uuid: {quoted(uuid4().hex)}\n"
            f"{run_id}{self._signature()}"
            f"utc_time_created: '{created}'\n"
        )

    def _python_function(self) -> str:
        if not self.predicts:
            return ""
        return (
            "  python_function:\n"
            "    env:\n"
            "      conda: conda.yaml\n"
            "      virtualenv: python_env.yaml\n"
            "    loader_module: mlflow.sklearn\n"
            f"    model_path: {quoted(self.model_file)}\n"
            "    predict_fn: predict\n"
            f"    python_version: {quoted(platform.python_version())}\n"
        )

    def _signature(self) -> str:
        if self.signature is None:
            return ""
        parts = (
            f"  {part}: {_optional(self.signature.get(part))}\n"
            for part in ("inputs", "outputs", "params")
        )
        return "signature:\n" + "".join(parts)


def _metadata(metadata: Mapping[str, Any] | None) -> str:
    if metadata is None:
        return ""
    # Any depth and any scalar: a library's work. Rare, so the import is paid by who asks.
    import yaml

    try:
        return yaml.safe_dump({"metadata": dict(metadata)}, allow_unicode=True, sort_keys=False)
    except yaml.YAMLError as error:
        raise ModelError(
            f"the model's metadata cannot be written as YAML: {error}. Pass a dictionary of "
            "texts, numbers, booleans, None, lists and dictionaries."
        ) from error


@lru_cache(maxsize=64)
def environment_files(requirements: tuple[str, ...]) -> Mapping[str, bytes]:
    """Return ``requirements.txt``, ``python_env.yaml`` and ``conda.yaml`` by name.

    ``requirements.txt`` lists what the model needs. The other two are read by MLflow alone when
    it builds an environment to serve the model in, so they ask for mlflow as well.
    """
    python = platform.python_version()
    conda = "".join(f"  - {quoted(line)}\n" for line in ("mlflow", *requirements))
    return {
        "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
        "python_env.yaml": (
            f"python: {quoted(python)}\n"
            "build_dependencies:\n- pip\n- setuptools\n- wheel\n"
            "dependencies:\n- -r requirements.txt\n- mlflow\n"
        ).encode(),
        "conda.yaml": (
            "channels:\n- conda-forge\n"
            f"dependencies:\n- python={python}\n- pip\n- pip:\n{conda}"
            "name: mlflow-env\n"
        ).encode(),
    }
