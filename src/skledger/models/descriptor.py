"""The text files of a model folder, in the form that MLflow reads.

The YAML is written here: its shape is simple, and a YAML library takes longer to import than a
model takes to save.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from skledger.errors import InvalidParameterError, ModelError

__all__ = ["WRITTEN_FOR", "Descriptor", "environment_files", "now_in_utc", "quoted"]

#: The version of MLflow whose folder this is; MLflow shows it and warns of nothing by it.
WRITTEN_FOR = "3.17.2"

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


def now_in_utc() -> str:
    """Return the time as `MLmodel` has it."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.isoformat(sep=" ", timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What ``MLmodel`` says about a scikit-learn model.

    Parameters
    ----------
    model_file : str
        Name of the pickle in the folder.
    serialization_format : str
        How it is written, such as ``"cloudpickle"`` or ``"cloudpickle+zstd"``.
    predict_fn : str or None
        The method that a ``python_function`` calls; None for an estimator that has none.
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
    code : str, optional
        The folder that holds the user's modules.
    example : mapping, optional
        What ``MLmodel`` says about the example that is stored with the model.
    loader_module : str, default "mlflow.sklearn"
        The module that loads a ``python_function``.
    uncompressed_bytes : int, optional
        Size of a compressed model.
    trusted : tuple of str
        Types that MLflow is to trust in the format skops. We trust nothing that a file says.
    model_uuid : str
        An identifier of what was written; by default the model's or a new one.
    created : str
        The time, in UTC.
    """

    model_file: str
    serialization_format: str
    predict_fn: str | None
    sklearn_version: str
    size_bytes: int
    artifact_path: str | None = None
    model_id: str | None = None
    run_id: str | None = None
    signature: Mapping[str, str | None] | None = None
    metadata: Mapping[str, Any] | None = None
    code: str | None = None
    example: Mapping[str, str] | None = None
    loader_module: str = "mlflow.sklearn"
    uncompressed_bytes: int | None = None
    trusted: tuple[str, ...] = ()
    model_uuid: str = field(default_factory=lambda: uuid4().hex)
    created: str = field(default_factory=now_in_utc)

    def flavors(self) -> dict[str, Any]:
        """Return the ways in which the model can be loaded."""
        sklearn: dict[str, Any] = {
            "code": self.code,
            "pickled_model": self.model_file,
            "serialization_format": self.serialization_format,
            "sklearn_version": self.sklearn_version,
        }
        if self.trusted:
            sklearn["skops_trusted_types"] = list(self.trusted)
        if self.uncompressed_bytes is not None:
            sklearn["uncompressed_size_bytes"] = self.uncompressed_bytes
        if self.predict_fn is None:
            return {"sklearn": sklearn}
        python_function = {
            **({} if self.code is None else {"code": self.code}),
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": self.loader_module,
            "model_path": self.model_file,
            "predict_fn": self.predict_fn,
            "python_version": platform.python_version(),
        }
        return {"python_function": python_function, "sklearn": sklearn}

    def to_dict(self) -> dict[str, Any]:
        """Return what ``MLmodel`` says."""
        optional = {
            "artifact_path": self.artifact_path,
            "run_id": self.run_id,
            "metadata": self.metadata,
            "saved_input_example_info": self.example,
            "signature": self.signature,
        }
        return {
            "flavors": self.flavors(),
            "mlflow_version": WRITTEN_FOR,
            "model_id": self.model_id,
            "model_size_bytes": self.size_bytes,
            "model_uuid": self.model_uuid,
            "utc_time_created": self.created,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def to_yaml(self) -> str:
        """Return the text of ``MLmodel``."""
        described = self.to_dict()
        metadata = _metadata(described.pop("metadata", None))
        return metadata + "".join(_lines(described, ""))


def _lines(described: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Yield a dictionary of dictionaries, lists, texts and numbers as YAML."""
    for name, value in sorted(described.items()):
        if isinstance(value, Mapping):
            yield f"{indent}{name}:\n"
            yield from _lines(value, f"{indent}  ")
        elif isinstance(value, list):
            yield f"{indent}{name}:\n"
            yield from (f"{indent}- {quoted(each)}\n" for each in value)
        else:
            text = str(value) if isinstance(value, int) else _optional(value)
            yield f"{indent}{name}: {text}\n"


def _metadata(metadata: Mapping[str, Any] | None) -> str:
    if metadata is None:
        return ""
    if not isinstance(metadata, Mapping):
        raise InvalidParameterError(f"the metadata of a model is a dictionary, not {metadata!r}.")
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
