"""What is known of a model that was logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skledger.models.model import Model
    from skledger.models.signature import ModelSignature
    from skledger.tracking.entities import LoggedModel, Metric

__all__ = ["ModelInfo", "info_of"]


@dataclass(frozen=True, repr=False)
class ModelInfo:
    """What is known of a model that was logged.

    Parameters
    ----------
    model_uri : str
        What loads it.
    name : str or None
        Its name in its run.
    run_id : str or None
        The run that made it.
    model_id : str or None
        Its identifier.
    model_uuid : str or None
        The identifier of its folder.
    artifact_path : str or None
        Its place among the artifacts of its run, which is its name.
    flavors : mapping
        The ways in which it can be loaded.
    signature : ModelSignature or None
        What it takes and gives.
    saved_input_example_info : mapping or None
        What is known of the example that is stored with it.
    utc_time_created, mlflow_version : str or None
        When and for which version of MLflow it was written.
    metadata : mapping or None
        Notes of its author.
    params, tags : dict
        What is booked of it.
    metrics : sequence of Metric
        The numbers that are booked of it.
    creation_timestamp : int or None
        When it was booked, in ms since the epoch.
    registered_model_version : int or None
        Its version in the registry.
    """

    model_uri: str
    name: str | None
    run_id: str | None
    model_id: str | None
    model_uuid: str | None
    artifact_path: str | None
    flavors: Mapping[str, Any]
    signature: ModelSignature | None = None
    saved_input_example_info: Mapping[str, Any] | None = None
    utc_time_created: str | None = None
    mlflow_version: str | None = None
    metadata: Mapping[str, Any] | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    creation_timestamp: int | None = None
    registered_model_version: int | None = None

    def __repr__(self) -> str:
        lines = [self._told("model_uri", "name"), self._told("run_id", "registered_model_version")]
        if self.signature is not None:
            parts = (self.signature.inputs, self.signature.outputs, self.signature.params)
            named = zip(("inputs", "outputs", "params"), parts, strict=True)
            lines += [f"{name}: {_short(part)}" for name, part in named if part is not None]
        return "ModelInfo(" + ",\n  ".join(filter(None, lines)) + ")"

    def _told(self, *names: str) -> str:
        values = {name: getattr(self, name) for name in names}
        return ", ".join(f"{name}={each!r}" for name, each in values.items() if each is not None)

    @property
    def signature_dict(self) -> dict[str, Any] | None:
        """The signature as it is written."""
        return None if self.signature is None else self.signature.to_dict()


def _short(part: Any) -> str:
    """Return a part of a signature on one line, however many columns it has."""
    text, most = " ".join(repr(part).split()), 70
    if len(text) <= most:
        return text
    return f"{text[:most].rpartition(', ')[0] or text[:most]}, ...] ({len(part)} in all)"


def info_of(uri: str, model: Model, booked: LoggedModel | None) -> ModelInfo:
    """Return what is known of a model.

    Parameters
    ----------
    uri : str
        What loads it.
    model : Model
        What its ``MLmodel`` says.
    booked : LoggedModel or None
        What the store says.
    """
    told: dict[str, Any] = {}
    if booked is not None:
        told = {
            "params": booked.params,
            "tags": booked.tags,
            "metrics": booked.metrics,
            "creation_timestamp": booked.creation_timestamp,
        }
    name = model.artifact_path if booked is None else booked.name
    return ModelInfo(
        model_uri=uri,
        name=name,
        run_id=model.run_id if booked is None else booked.source_run_id,
        model_id=model.model_id if booked is None else booked.model_id,
        model_uuid=model.model_uuid,
        artifact_path=name,
        flavors=model.flavors,
        signature=model.signature,
        saved_input_example_info=model.saved_input_example_info,
        utc_time_created=model.utc_time_created,
        mlflow_version=model.mlflow_version,
        metadata=model.metadata,
        **told,
    )
