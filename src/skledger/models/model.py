"""What ``MLmodel`` says about a model, as an object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.errors import ModelError
from skledger.models.uris import parse_model_uri
from skledger.models.verified import DESCRIPTOR, ModelFolder, shown

if TYPE_CHECKING:
    from skledger.models.signature import ModelSignature
    from skledger.types.schema import ParamSchema, Schema

__all__ = ["Model"]


@dataclass
class Model:
    """What ``MLmodel`` says about a model, ours or MLflow's.

    Parameters
    ----------
    flavors : mapping
        The ways in which it can be loaded.
    artifact_path, run_id, model_id, model_uuid : str, optional
        Where it belongs, and its identifiers.
    utc_time_created, mlflow_version : str, optional
        When and for which version it was written.
    model_size_bytes : int, optional
        Its size.
    metadata : mapping, optional
        Notes of its author.
    saved_input_example_info : mapping, optional
        What is said about the example that is stored with it.
    signature_dict : mapping, optional
        Its signature as it is written.
    """

    flavors: Mapping[str, Any]
    artifact_path: str | None = None
    run_id: str | None = None
    model_id: str | None = None
    model_uuid: str | None = None
    utc_time_created: str | None = None
    mlflow_version: str | None = None
    model_size_bytes: int | None = None
    metadata: Mapping[str, Any] | None = None
    saved_input_example_info: Mapping[str, Any] | None = None
    signature_dict: Mapping[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Model:
        """Return the model that the content of an ``MLmodel`` describes."""
        names = {name for name in cls.__dataclass_fields__ if name != "signature_dict"}
        told = {name: value for name, value in described.items() if name in names}
        for name in ("metadata", "saved_input_example_info", "signature"):
            if not isinstance(described.get(name), Mapping | None):
                raise ModelError(
                    f"{DESCRIPTOR!r} says {name}: {shown(described[name])}; expected a "
                    "mapping. Restore the file, or save the model again."
                )
        return cls(**told, signature_dict=described.get("signature"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read the ``MLmodel`` of a model; nothing of the model is run.

        Parameters
        ----------
        path : path-like or str
            A model folder, its ``MLmodel``, or the URI of a model such as ``models:/m-<id>``.

        Raises
        ------
        NotFoundError
            There is no such folder or model.
        ModelIntegrityError
            It is not the one that was booked.
        ModelError
            It cannot be read.
        """
        parsed = parse_model_uri(path)
        if parsed.path is None:
            # The tracking room, which is built on this one, knows where models are.
            found = import_module("skledger.tracking.model_uris").locate(path)
            return cls.from_dict(ModelFolder(found.folder, found.digests).described())
        folder = parsed.path
        if folder.name == DESCRIPTOR and folder.is_file():
            folder = folder.parent
        return cls.from_dict(ModelFolder(folder, None).described())

    @cached_property
    def signature(self) -> ModelSignature | None:
        """What the model takes and gives, or None."""
        from skledger.models.signature import ModelSignature

        if not self.signature_dict or not any(self.signature_dict.values()):
            return None
        return ModelSignature.from_dict(self.signature_dict)

    def get_input_schema(self) -> Schema | None:
        """Return what the model takes."""
        return None if self.signature is None else self.signature.inputs

    def get_output_schema(self) -> Schema | None:
        """Return what the model gives."""
        return None if self.signature is None else self.signature.outputs

    def get_params_schema(self) -> ParamSchema | None:
        """Return what may be passed along with the data."""
        return None if self.signature is None else self.signature.params

    def load_input_example(self, path: str | os.PathLike[str]) -> Any:
        """Return the example stored in the model folder at `path`; None when there is none."""
        if not self.saved_input_example_info:
            return None
        from skledger.models.example import load_example

        folder = ModelFolder(Path(path), None)
        return load_example(folder, self.saved_input_example_info, self.get_input_schema())
