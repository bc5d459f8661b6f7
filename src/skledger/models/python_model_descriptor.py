"""What ``MLmodel`` says about a model of the user's own making."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from skledger.errors import ModelError
from skledger.models.descriptor import WRITTEN_FOR, now_in_utc

__all__ = ["LOADER", "MODEL_FILE", "PythonDescriptor", "is_python_model"]

#: The module of MLflow's that loads it.
LOADER = "mlflow.pyfunc.model"
#: The pickle.
MODEL_FILE = "python_model.pkl"


@dataclass(frozen=True, slots=True)
class PythonDescriptor:
    """What ``MLmodel`` says about a model of the user's own making.

    Parameters
    ----------
    cloudpickle_version : str
        What wrote the pickle.
    size_bytes : int
        Size of the pickle and of the artifacts.
    artifacts : mapping of str to mapping
        The ``path`` of each artifact in the folder, and the ``uri`` that it came from.
    config : mapping, optional
        The settings of the model.
    artifact_path, model_id, run_id : str, optional
        Where the model belongs.
    signature : mapping, optional
        ``inputs``, ``outputs`` and ``params``, each a JSON text or None.
    metadata : mapping, optional
        The caller's own notes.
    code : str, optional
        The folder that holds the user's modules.
    example : mapping, optional
        What is said about the example that is stored with the model.
    model_uuid : str
        An identifier of what was written.
    created : str
        The time, in UTC.
    """

    cloudpickle_version: str
    size_bytes: int
    artifacts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    artifact_path: str | None = None
    model_id: str | None = None
    run_id: str | None = None
    signature: Mapping[str, str | None] | None = None
    metadata: Mapping[str, Any] | None = None
    code: str | None = None
    example: Mapping[str, str] | None = None
    model_uuid: str = field(default_factory=lambda: uuid4().hex)
    created: str = field(default_factory=now_in_utc)

    def flavors(self) -> dict[str, Any]:
        """Return the one way in which the model can be loaded."""
        flavor: dict[str, Any] = {
            "cloudpickle_version": self.cloudpickle_version,
            "code": self.code,
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": LOADER,
            "python_model": MODEL_FILE,
            "python_version": platform.python_version(),
            "streamable": False,
        }
        if self.artifacts:
            flavor["artifacts"] = {name: dict(each) for name, each in self.artifacts.items()}
        if self.config:
            flavor["config"] = dict(self.config)
        return {"python_function": flavor}

    def to_dict(self) -> dict[str, Any]:
        """Return what ``MLmodel`` says."""
        optional = {
            "artifact_path": self.artifact_path,
            "run_id": self.run_id,
            "metadata": None if self.metadata is None else dict(self.metadata),
            "saved_input_example_info": None if self.example is None else dict(self.example),
            "signature": None if self.signature is None else dict(self.signature),
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
        import yaml

        try:
            return yaml.safe_dump(self.to_dict(), allow_unicode=True, sort_keys=True)
        except (yaml.YAMLError, TypeError) as error:  # keys that cannot be sorted
            raise ModelError(
                f"the model's metadata or model_config cannot be written as YAML: {error}. Pass a "
                "dictionary of texts, numbers, booleans, None, lists and dictionaries, with texts "
                "for keys."
            ) from error


def is_python_model(described: Mapping[str, Any]) -> bool:
    """Tell whether ``MLmodel`` describes a model of the user's own making, ours or MLflow's."""
    flavor = described["flavors"].get("python_function")
    return isinstance(flavor, Mapping) and flavor.get("loader_module") == LOADER
