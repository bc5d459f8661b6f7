"""What a registry holds, under MLflow's module name."""

from skledger.entities.model_registry.model_version_status import ModelVersionStatus
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelTag,
)

__all__ = [
    "ModelVersion",
    "ModelVersionStatus",
    "ModelVersionTag",
    "RegisteredModel",
    "RegisteredModelAlias",
    "RegisteredModelTag",
]
