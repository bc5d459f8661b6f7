"""The client, under MLflow's module name."""

from skledger.tracking.client import MlflowClient, TrackingClient

__all__ = ["MlflowClient", "TrackingClient"]
