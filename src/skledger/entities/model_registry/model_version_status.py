"""The states of a version, under MLflow's module name."""

from skledger.tracking.registry_entities import ModelVersionStatus

__all__ = ["ModelVersionStatus"]
