"""Autologging for scikit-learn: one line books every fit as a run that loads again.

::

    import skledger

    skledger.autolog()

Importing this package imports next to nothing; each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: Where each public name lives.
_HOMES = {
    "ActiveRun": "tracking.runs",
    "SkledgerError": "errors",
    "active_run": "tracking.runs",
    "autolog": "autologging",
    "create_experiment": "tracking.session",
    "end_run": "tracking.runs",
    "flush": "ledger.flushing",
    "get_artifact_uri": "tracking.records",
    "get_experiment": "tracking.session",
    "get_experiment_by_name": "tracking.session",
    "get_run": "tracking.runs",
    "get_tracking_uri": "tracking.session",
    "last_active_run": "tracking.runs",
    "log_artifact": "tracking.records",
    "log_artifacts": "tracking.records",
    "log_dict": "tracking.records",
    "log_figure": "tracking.records",
    "log_metric": "tracking.records",
    "log_metrics": "tracking.records",
    "log_param": "tracking.records",
    "log_params": "tracking.records",
    "log_text": "tracking.records",
    "search_runs": "tracking.frames",
    "set_experiment": "tracking.session",
    "set_tag": "tracking.records",
    "set_tags": "tracking.records",
    "set_tracking_uri": "tracking.session",
    "start_run": "tracking.runs",
}
_MODULES = ("entities", "errors", "sklearn")

__all__ = [
    "ActiveRun",
    "SkledgerError",
    "__version__",
    "active_run",
    "autolog",
    "create_experiment",
    "end_run",
    "entities",
    "errors",
    "flush",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_run",
    "get_tracking_uri",
    "last_active_run",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_text",
    "search_runs",
    "set_experiment",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "sklearn",
    "start_run",
]

if TYPE_CHECKING:
    from skledger import errors, sklearn
    from skledger.autologging import autolog
    from skledger.errors import SkledgerError
    from skledger.ledger.flushing import flush
    from skledger.tracking import entities
    from skledger.tracking.frames import search_runs
    from skledger.tracking.records import (
        get_artifact_uri,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_text,
        set_tag,
        set_tags,
    )
    from skledger.tracking.runs import (
        ActiveRun,
        active_run,
        end_run,
        get_run,
        last_active_run,
        start_run,
    )
    from skledger.tracking.session import (
        create_experiment,
        get_experiment,
        get_experiment_by_name,
        get_tracking_uri,
        set_experiment,
        set_tracking_uri,
    )


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is not None:
        value = getattr(import_module(f"skledger.{home}"), name)
    elif name == "entities":
        value = import_module("skledger.tracking.entities")
    elif name in _MODULES:
        value = import_module(f"skledger.{name}")
    else:
        raise AttributeError(f"module 'skledger' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
