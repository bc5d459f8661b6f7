"""The fluent functions on logged models: make, find, change and remove them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.tracking.active_models import get_active_model_id, remember_model
from skledger.tracking.client import TrackingClient
from skledger.tracking.context import default_tags
from skledger.tracking.entities import LoggedModel, LoggedModelStatus, PagedList
from skledger.tracking.runs import active_run
from skledger.tracking.session import experiment_in_use

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "create_external_model",
    "delete_logged_model",
    "delete_logged_model_tag",
    "finalize_logged_model",
    "get_logged_model",
    "initialize_logged_model",
    "log_model_params",
    "newest_model",
    "search_logged_models",
    "set_logged_model_tags",
]

#: By this tag MLflow knows a model whose files are elsewhere.
EXTERNAL_TAG = "mlflow.model.isExternal"

_MODEL_COLUMNS = (
    "model_id",
    "name",
    "experiment_id",
    "source_run_id",
    "status",
    "model_type",
    "artifact_location",
    "creation_timestamp",
    "last_updated_timestamp",
    "params",
    "tags",
    "metrics",
)


def initialize_logged_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """Book a model that is PENDING until `finalize_logged_model`.

    Parameters
    ----------
    name : str, optional
        Its name; by default one is made up.
    source_run_id : str, optional
        The run that makes it; by default the active one.
    tags, params : mapping, optional
        Booked of the model; every value becomes its ``str``.
    model_type : str, optional
        What kind of model it is.
    experiment_id : str, optional
        The experiment of its run.

    Raises
    ------
    InvalidParameterError
        When no run is named and none is active: a model belongs to a run.
    """
    run_id, booked = _origin(source_run_id, tags)
    model = TrackingClient().create_logged_model(
        experiment_id, name, run_id, booked, params, model_type
    )
    remember_model(model.model_id)
    return model


def create_external_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """Book a model whose files are not kept here; it is READY at once.

    It takes params, tags and metrics as any other; the parameters are those of
    `initialize_logged_model`.
    """
    run_id, booked = _origin(source_run_id, tags)
    booked[EXTERNAL_TAG] = "true"
    model = TrackingClient()._create_model(
        experiment_id,
        name,
        run_id,
        booked,
        params,
        model_type,
        LoggedModelStatus.READY,
        _descriptor,
    )
    remember_model(model.model_id)
    return model


def _origin(
    run_id: str | None, tags: Mapping[str, Any] | None
) -> tuple[str | None, dict[str, Any]]:
    """Return the run that makes a model, and its tags with those that tell where it comes from."""
    run = active_run() if run_id is None else None
    return run_id if run is None else run.info.run_id, {**default_tags(brief=True), **(tags or {})}


def _descriptor(model: LoggedModel) -> bytes:
    """Return the ``MLmodel`` of a model without files, by which a registry takes it for one."""
    told = {
        "artifact_path": model.artifact_location,
        "flavors": {},
        "metadata": {EXTERNAL_TAG: True},
        "model_id": model.model_id,
        "model_uuid": model.model_id,
        "run_id": model.source_run_id,
    }
    return json.dumps(told, indent=2).encode()  # which is YAML as well


def finalize_logged_model(model_id: str, status: str) -> LoggedModel:
    """Say that a model is READY, or FAILED; return it as it is then."""
    return TrackingClient().finalize_logged_model(model_id, status)


def log_model_params(params: Mapping[str, Any], model_id: str | None = None) -> None:
    """Book params of a model, by default of the active one; see `set_active_model`.

    Raises
    ------
    InvalidParameterError
        When no model is named and none is active.
    ParamConflictError
        When the model has one of them with another value.
    """
    wanted = model_id or get_active_model_id()
    if wanted is None:
        raise InvalidParameterError(
            "log_model_params needs a model: give its model_id, or call set_active_model first."
        )
    TrackingClient().log_model_params(wanted, params)


def set_logged_model_tags(model_id: str, tags: Mapping[str, Any]) -> None:
    """Set tags of a model, or change them; every value becomes its ``str``."""
    TrackingClient().set_logged_model_tags(model_id, tags)


def delete_logged_model_tag(model_id: str, key: str) -> None:
    """Remove a tag of a model; `NotFoundError` when it has none of that key."""
    TrackingClient().delete_logged_model_tag(model_id, key)


def delete_logged_model(model_id: str) -> None:
    """Remove a model from the records; its files stay."""
    TrackingClient().delete_logged_model(model_id)


def newest_model(name: str) -> LoggedModel | None:
    """Return the newest model of a name in the experiment in use, or None."""
    found = TrackingClient().search_logged_models(
        [experiment_in_use().experiment_id], _named(name), max_results=1
    )
    return found[0] if found else None


def _named(name: str) -> str:
    quote = '"' if "'" in name else "'"
    if quote in name:
        raise InvalidParameterError(f"A model is not found by a name with both quotes: {name!r}.")
    return f"name = {quote}{name}{quote}"


def get_logged_model(model_id: str) -> LoggedModel:
    """Return a logged model; `NotFoundError` when there is none."""
    return TrackingClient().get_logged_model(model_id)


def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, Any]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any] | str] | None = None,
    output_format: str = "pandas",
) -> pd.DataFrame | list[LoggedModel]:
    """Find logged models.

    Parameters
    ----------
    experiment_ids : sequence of str, optional
        The experiments to search; by default the one in use.
    filter_string : str, optional
        Such as ``"metrics.accuracy > 0.9 and params.C = '1.0'"``.
    datasets : sequence of dict, optional
        Such as ``[{"dataset_name": "train"}]``: compare the metrics on these data sets.
    max_results : int, optional
        How many at the most; by default all.
    order_by : sequence of dict or str, optional
        Such as ``[{"field_name": "metrics.accuracy", "ascending": False}]``.
    output_format : {"pandas", "list"}, default="pandas"
        A table, or a list of `LoggedModel`.
    """
    if output_format not in ("pandas", "list"):
        raise InvalidParameterError(f"output_format is 'pandas' or 'list', not {output_format!r}.")
    ids = [experiment_in_use().experiment_id] if experiment_ids is None else experiment_ids
    found = _all_models(ids, filter_string, datasets, max_results, order_by)
    if output_format == "list":
        return found
    import pandas as pd

    rows = [
        {**{name: getattr(each, name) for name in _MODEL_COLUMNS}, "metrics": list(each.metrics)}
        for each in found
    ]
    return pd.DataFrame(rows, columns=list(_MODEL_COLUMNS))


def _all_models(
    experiment_ids: Sequence[str],
    filter_string: str | None,
    datasets: Sequence[Mapping[str, Any]] | None,
    max_results: int | None,
    order_by: Sequence[Mapping[str, Any] | str] | None,
) -> list[LoggedModel]:
    """Return the logged models of all pages up to `max_results`."""
    client = TrackingClient()
    found: PagedList[LoggedModel] = PagedList()
    token: str | None = None
    while max_results is None or len(found) < max_results:
        rest = 1000 if max_results is None else min(1000, max_results - len(found))
        page = client.search_logged_models(
            experiment_ids, filter_string, datasets, rest, order_by, token
        )
        found.extend(page)
        token = page.token
        if token is None:
            break
    return found
