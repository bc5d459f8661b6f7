"""The client: everything that a store holds, by identifiers, without an active run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skledger.tracking.client_artifacts import ArtifactsPart
from skledger.tracking.client_experiments import ExperimentsPart
from skledger.tracking.client_models import LoggedModelsPart
from skledger.tracking.client_registered_models import RegisteredModelsPart
from skledger.tracking.client_runs import RunsPart
from skledger.tracking.client_versions import ModelVersionsPart
from skledger.tracking.removed import RemovedPart, missing_method
from skledger.tracking.session import checked_uri, chosen_registry_uri, get_tracking_uri

__all__ = ["MlflowClient", "TrackingClient"]


class TrackingClient(
    ExperimentsPart,
    RunsPart,
    ArtifactsPart,
    LoggedModelsPart,
    RegisteredModelsPart,
    ModelVersionsPart,
    RemovedPart,
):
    """Reads and writes experiments, runs, artifacts and models at one tracking URI.

    The functions of `skledger` work on the active run; the methods of a client name what they
    work on. `MlflowClient` is the same class.

    Parameters
    ----------
    tracking_uri : str or Path, optional
        Where; by default the tracking URI that is in use now.
    registry_uri : str or Path, optional
        Where registered models are; by default where `skledger.set_registry_uri` or the
        environment says, else at this client's tracking URI.

    Attributes
    ----------
    tracking_uri : str
        Where this client reads and writes.

    Examples
    --------
    >>> client = TrackingClient("memory:")
    >>> experiment_id = client.create_experiment("iris", tags={"team": "blue"})
    >>> run = client.create_run(experiment_id, run_name="first")
    >>> client.log_metric(run.info.run_id, "accuracy", 0.98)
    >>> client.set_terminated(run.info.run_id)
    >>> client.get_run(run.info.run_id).data.metrics
    {'accuracy': 0.98}
    """

    def __init__(
        self, tracking_uri: str | Path | None = None, registry_uri: str | Path | None = None
    ) -> None:
        self.tracking_uri = checked_uri(tracking_uri or "") or get_tracking_uri()
        self._registry_uri = (
            checked_uri(registry_uri or "") or chosen_registry_uri() or self.tracking_uri
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tracking_uri!r})"

    def __getattr__(self, name: str) -> Any:
        raise missing_method(name)


MlflowClient = TrackingClient
