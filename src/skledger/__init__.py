"""Autologging for scikit-learn: one line books every fit as a run that loads again.

::

    import skledger

    skledger.autolog()

Importing this package imports next to nothing; each name below is loaded when it is first used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from skledger._lazy import lazily

__version__ = "0.1.0"

#: Where each public name lives.
_HOMES = {
    "ActiveModel": "tracking.active_models",
    "ActiveRun": "tracking.runs",
    "MlflowClient": "tracking.client",
    "MlflowException": "exceptions",
    "RunCallback": "ledger.callbacks",
    "SkledgerError": "errors",
    "TrackingClient": "tracking.client",
    "active_run": "tracking.runs",
    "autolog": "autologging",
    "clear_active_model": "tracking.active_models",
    "create_experiment": "tracking.session",
    "create_external_model": "tracking.fluent_models",
    "delete_experiment": "tracking.fluent",
    "delete_experiment_tag": "tracking.fluent",
    "delete_logged_model": "tracking.fluent_models",
    "delete_logged_model_tag": "tracking.fluent_models",
    "delete_run": "tracking.fluent",
    "delete_tag": "tracking.fluent",
    "disable_system_metrics_logging": "tracking.fluent",
    "enable_system_metrics_logging": "tracking.fluent",
    "end_run": "tracking.runs",
    "finalize_logged_model": "tracking.fluent_models",
    "flush": "ledger.flushing",
    "flush_artifact_async_logging": "tracking.fluent",
    "flush_async_logging": "tracking.fluent",
    "get_active_model_id": "tracking.active_models",
    "get_artifact_uri": "tracking.files",
    "get_experiment": "tracking.session",
    "get_experiment_by_name": "tracking.session",
    "get_logged_model": "tracking.fluent_models",
    "get_parent_run": "tracking.fluent",
    "get_registry_uri": "tracking.session",
    "get_run": "tracking.runs",
    "get_tracking_uri": "tracking.session",
    "initialize_logged_model": "tracking.fluent_models",
    "is_tracking_uri_set": "tracking.session",
    "last_active_run": "tracking.runs",
    "last_logged_model": "tracking.active_models",
    "list_experiments": "tracking.removed",
    "list_run_infos": "tracking.removed",
    "load_table": "tracking.files",
    "log_artifact": "tracking.files",
    "log_artifacts": "tracking.files",
    "log_dict": "tracking.files",
    "log_figure": "tracking.files",
    "log_image": "tracking.files",
    "log_input": "tracking.fluent",
    "log_inputs": "tracking.fluent",
    "log_metric": "tracking.records",
    "log_metrics": "tracking.records",
    "log_model_params": "tracking.fluent_models",
    "log_outputs": "tracking.fluent",
    "log_param": "tracking.records",
    "log_params": "tracking.records",
    "log_stream": "tracking.files",
    "log_table": "tracking.files",
    "log_text": "tracking.files",
    "name_data": "capture.named_data",
    "register_model": "tracking.fluent_registry",
    "rename_experiment": "tracking.fluent",
    "restore_experiment": "tracking.fluent",
    "restore_run": "tracking.fluent",
    "search_experiments": "tracking.fluent",
    "search_logged_models": "tracking.fluent_models",
    "search_model_versions": "tracking.fluent_registry",
    "search_registered_models": "tracking.fluent_registry",
    "search_runs": "tracking.frames",
    "set_active_model": "tracking.active_models",
    "set_experiment": "tracking.session",
    "set_experiment_tag": "tracking.fluent",
    "set_experiment_tags": "tracking.fluent",
    "set_logged_model_tags": "tracking.fluent_models",
    "set_model_version_tag": "tracking.fluent_registry",
    "set_registry_uri": "tracking.session",
    "set_system_metrics_node_id": "tracking.fluent",
    "set_system_metrics_samples_before_logging": "tracking.fluent",
    "set_system_metrics_sampling_interval": "tracking.fluent",
    "set_tag": "tracking.records",
    "set_tags": "tracking.records",
    "set_tracking_uri": "tracking.session",
    "start_run": "tracking.runs",
}
#: Modules, most of them under the names that MLflow has them.
_MODULES = (
    "artifacts",
    "client",
    "data",
    "entities",
    "errors",
    "exceptions",
    "models",
    "pyfunc",
    "sklearn",
    "tracking",
    "types",
    "utils",
)

__all__ = [
    "ActiveModel",
    "ActiveRun",
    "MlflowClient",
    "MlflowException",
    "RunCallback",
    "SkledgerError",
    "TrackingClient",
    "__version__",
    "active_run",
    "artifacts",
    "autolog",
    "clear_active_model",
    "client",
    "create_experiment",
    "create_external_model",
    "data",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_logged_model",
    "delete_logged_model_tag",
    "delete_run",
    "delete_tag",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "end_run",
    "entities",
    "errors",
    "exceptions",
    "finalize_logged_model",
    "flush",
    "flush_artifact_async_logging",
    "flush_async_logging",
    "get_active_model_id",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_logged_model",
    "get_parent_run",
    "get_registry_uri",
    "get_run",
    "get_tracking_uri",
    "initialize_logged_model",
    "is_tracking_uri_set",
    "last_active_run",
    "last_logged_model",
    "load_table",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_inputs",
    "log_metric",
    "log_metrics",
    "log_model_params",
    "log_outputs",
    "log_param",
    "log_params",
    "log_stream",
    "log_table",
    "log_text",
    "models",
    "name_data",
    "pyfunc",
    "register_model",
    "rename_experiment",
    "restore_experiment",
    "restore_run",
    "search_experiments",
    "search_logged_models",
    "search_model_versions",
    "search_registered_models",
    "search_runs",
    "set_active_model",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_logged_model_tags",
    "set_model_version_tag",
    "set_registry_uri",
    "set_system_metrics_node_id",
    "set_system_metrics_samples_before_logging",
    "set_system_metrics_sampling_interval",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "sklearn",
    "start_run",
    "tracking",
    "types",
    "utils",
]

if TYPE_CHECKING:
    from skledger import (
        artifacts,
        client,
        data,
        entities,
        errors,
        exceptions,
        models,
        pyfunc,
        sklearn,
        tracking,
        types,
        utils,
    )
    from skledger.autologging import (
        autolog,
    )
    from skledger.capture.named_data import (
        name_data,
    )
    from skledger.errors import (
        SkledgerError,
    )
    from skledger.exceptions import (
        MlflowException,
    )
    from skledger.ledger.callbacks import (
        RunCallback,
    )
    from skledger.ledger.flushing import (
        flush,
    )
    from skledger.tracking.active_models import (
        ActiveModel,
        clear_active_model,
        get_active_model_id,
        last_logged_model,
        set_active_model,
    )
    from skledger.tracking.client import (
        MlflowClient,
        TrackingClient,
    )
    from skledger.tracking.files import (
        get_artifact_uri,
        load_table,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_image,
        log_stream,
        log_table,
        log_text,
    )
    from skledger.tracking.fluent import (
        delete_experiment,
        delete_experiment_tag,
        delete_run,
        delete_tag,
        disable_system_metrics_logging,
        enable_system_metrics_logging,
        flush_artifact_async_logging,
        flush_async_logging,
        get_parent_run,
        log_input,
        log_inputs,
        log_outputs,
        rename_experiment,
        restore_experiment,
        restore_run,
        search_experiments,
        set_experiment_tag,
        set_experiment_tags,
        set_system_metrics_node_id,
        set_system_metrics_samples_before_logging,
        set_system_metrics_sampling_interval,
    )
    from skledger.tracking.fluent_models import (
        create_external_model,
        delete_logged_model,
        delete_logged_model_tag,
        finalize_logged_model,
        get_logged_model,
        initialize_logged_model,
        log_model_params,
        search_logged_models,
        set_logged_model_tags,
    )
    from skledger.tracking.fluent_registry import (
        register_model,
        search_model_versions,
        search_registered_models,
        set_model_version_tag,
    )
    from skledger.tracking.frames import (
        search_runs,
    )
    from skledger.tracking.records import (
        log_metric,
        log_metrics,
        log_param,
        log_params,
        set_tag,
        set_tags,
    )
    from skledger.tracking.removed import (
        list_experiments as list_experiments,
    )
    from skledger.tracking.removed import (
        list_run_infos as list_run_infos,
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
        get_registry_uri,
        get_tracking_uri,
        is_tracking_uri_set,
        set_experiment,
        set_registry_uri,
        set_tracking_uri,
    )


_get = lazily(__name__, {name: f"skledger.{home}" for name, home in _HOMES.items()}, _MODULES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES and name not in _MODULES:
        from skledger.tracking.removed import missing_name

        raise missing_name(name)
    return _get(name)


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))


class _OtherFlavours:
    """Says what to do where ``import skledger.xgboost`` is asked for; asked after all others."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> None:
        """Raise ModuleNotFoundError for MLflow's modules for other frameworks; find nothing."""
        package, _, name = fullname.partition(".")
        if package == __name__ and "." not in name:
            from skledger.tracking.removed import FLAVOURS, why_no_flavour

            if name in FLAVOURS:
                raise ModuleNotFoundError(f"no module {fullname!r}: {why_no_flavour(name)}")


if not any(type(each).__name__ == "_OtherFlavours" for each in sys.meta_path):
    sys.meta_path.append(_OtherFlavours())
