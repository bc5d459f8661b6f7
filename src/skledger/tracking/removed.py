"""Names that scripts for MLflow use and that are not here: what works all the same, what does not.

What MLflow has removed and tutorials still use works and warns; any other of its names says what
took its place, and those of other frameworks say that this is a library for scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from skledger.tracking.client_base import ClientPart, ids_of
from skledger.tracking.entities import Experiment, PagedList, RunInfo, ViewType
from skledger.tracking.registry_entities import RegisteredModel

__all__ = [
    "FLAVOURS",
    "RemovedPart",
    "list_experiments",
    "list_run_infos",
    "missing_in",
    "missing_method",
    "missing_name",
    "why_no_flavour",
]

#: MLflow's modules for other frameworks.
FLAVOURS = frozenset(
    "anthropic catboost diviner fastai gemini genai gluon h2o johnsnowlabs keras langchain "
    "lightgbm litellm llama_index mleap mistral onnx openai paddle pmdarima prophet promptflow "
    "pyspark pytorch sentence_transformers shap spacy spark statsmodels tensorflow transformers "
    "xgboost".split()
)
#: Those whose estimators have scikit-learn's methods.
_LIKE_SKLEARN = {
    "catboost": "CatBoostClassifier",
    "keras": "scikeras.wrappers.KerasClassifier",
    "lightgbm": "LGBMClassifier",
    "pytorch": "skorch.NeuralNetClassifier",
    "tensorflow": "scikeras.wrappers.KerasClassifier",
    "xgboost": "XGBClassifier",
}

_NAMES = {
    "Image": "log_image, which takes arrays and PIL's images",
    "delete_tags": "delete_tag, once for each key",
    "doctor": "skledger.__version__ and skledger.get_tracking_uri()",
    "evaluate": "log_metrics with the functions of sklearn.metrics",
    "get_experiment_id": "active_run().info.experiment_id, or get_experiment_by_name(name)",
    "get_experiment_by_id": "get_experiment",
    "get_service": "skledger.tracking.MlflowClient",
    "list_artifacts": "skledger.artifacts.list_artifacts",
    "list_registered_models": "search_registered_models",
    "delete_registered_model": "skledger.MlflowClient().delete_registered_model",
    "get_registered_model": "skledger.MlflowClient().get_registered_model",
    "log_metrics_batch": "log_metrics",
    "projects": "python -m skledger train.py; projects are not part of this library",
    "run": "python -m skledger train.py; projects are not part of this library",
    "log_model": "skledger.sklearn.log_model",
    "load_model": "skledger.sklearn.load_model",
    "save_model": "skledger.sklearn.save_model",
    "set_registered_model_alias": "skledger.MlflowClient().set_registered_model_alias",
    "set_experiment_id": "set_experiment(experiment_id=...)",
    "start_span": "log_metric or log_dict; traces are not part of this library",
    "trace": "log_metric or log_dict; traces are not part of this library",
}
_EVALUATION = "the functions of sklearn.metrics with skledger.log_metrics"
_LANGUAGE = "MLflow itself with the same tracking URI; this is a library for scikit-learn"
_NEEDED = "the file requirements.txt in the model's folder (artifacts.download_artifacts)"
_ENVIRONMENT = "log_model(pip_requirements=...) or log_model(extra_pip_requirements=...)"
_SERVING = "skledger models predict, which takes what a server takes"
_PREDICT = "skledger.pyfunc.load_model(uri).predict, or skledger models predict"
#: Those of MLflow's `pyfunc` and `models`.
_IN_MODULES = {
    "pyfunc": {
        "spark_udf": "load_model(uri).predict on the parts of a data frame, such as in "
        "mapInPandas; Spark is not part of this library",
        **dict.fromkeys(
            ("ChatModel", "ChatAgent", "ChatAgentRequest", "ResponsesAgent", "ChatMessage"),
            _LANGUAGE,
        ),
        **dict.fromkeys(("ChatParams", "ChatCompletionResponse"), _LANGUAGE),
        "add_to_model": "log_model or save_model, which write the whole folder",
        "build_model_env": _NEEDED,
        "get_default_conda_env": "log_model, which writes conda.yaml",
        "get_default_pip_requirements": "log_model, which finds what the model needs",
        "get_model_dependencies": _NEEDED,
        "load_pyfunc": "load_model",
        "model": "PythonModel and PythonModelContext of skledger.pyfunc",
        "set_prediction_context": "params of predict",
        "FLAVOR_NAME": "the text 'python_function'",
    },
    "models": {
        **dict.fromkeys(
            (
                "EvaluationArtifact",
                "EvaluationMetric",
                "EvaluationResult",
                "MetricThreshold",
                "evaluate",
                "list_evaluators",
                "make_metric",
            ),
            _EVALUATION,
        ),
        **dict.fromkeys(
            ("validate_serving_input", "convert_input_example_to_serving_input"), _SERVING
        ),
        "predict": _PREDICT,
        "build_docker": "skledger models serve in an image of yours",
        "infer_pip_requirements": "log_model, which finds what the model needs",
        "update_model_requirements": _ENVIRONMENT,
        "add_libraries_to_model": _ENVIRONMENT,
        "validate_schema": "skledger.pyfunc.load_model(uri).predict, which looks at the signature",
        "set_model": "skledger.pyfunc.log_model(python_model=...) with the object",
        "set_retriever_schema": _LANGUAGE,
        "Resource": "log_model(metadata=...)",
        "ResourceType": "log_model(metadata=...)",
        "ModelConfig": "skledger.pyfunc.log_model(model_config=...) and context.model_config",
        "FlavorBackend": "skledger models serve and skledger models predict",
    },
}
_METHODS = {
    "delete_registered_model_tags": "delete_registered_model_tag",
    "get_model_version_details": "get_model_version",
    "get_registered_model_details": "get_registered_model",
    "get_run_info": "get_run(run_id).info",
    "list_runs": "search_runs",
    "log_metrics": "log_batch, or skledger.log_metrics(metrics, run_id=...)",
    "log_params": "log_batch, or skledger.log_params(params, run_id=...)",
    "set_tags": "log_batch, or skledger.set_tags(tags, run_id=...)",
}


class RemovedPart(ClientPart):
    """Methods that MLflow's client has no more."""

    def list_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return experiments; the old name of `search_experiments`."""
        _warn("list_experiments", "search_experiments")
        most = 1000 if max_results is None else max_results
        return self._reading().search_experiments(view_type, most, page_token=page_token)

    def list_registered_models(
        self, max_results: int = 100, page_token: str | None = None
    ) -> PagedList[RegisteredModel]:
        """Return registered models; the old name of `search_registered_models`."""
        _warn("list_registered_models", "search_registered_models")
        return self._registry().search_registered_models(None, max_results, None, page_token)

    def list_run_infos(
        self,
        experiment_id: str,
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RunInfo]:
        """Return the `info` of the runs of an experiment; `search_runs` returns the runs."""
        _warn("list_run_infos", "search_runs")
        runs = self._reading().search_runs(
            ids_of(experiment_id), "", run_view_type, max_results, order_by, page_token
        )
        return PagedList((run.info for run in runs), runs.token)


def list_experiments(
    view_type: int = ViewType.ACTIVE_ONLY, max_results: int | None = None
) -> list[Experiment]:
    """Return experiments; the old name of `search_experiments`, which MLflow has removed."""
    from skledger.tracking.fluent import search_experiments

    _warn("list_experiments", "search_experiments")
    return search_experiments(view_type, max_results)


def list_run_infos(
    experiment_id: str,
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
) -> list[RunInfo]:
    """Return the `info` of an experiment's runs; MLflow has removed it for `search_runs`."""
    from skledger.tracking.frames import all_runs
    from skledger.tracking.session import store_to_read

    _warn("list_run_infos", "search_runs")
    runs = all_runs(
        store_to_read(), ids_of(experiment_id), "", run_view_type, max_results, order_by
    )
    return PagedList(run.info for run in runs)


def _warn(name: str, successor: str) -> None:
    warnings.warn(f"MLflow has removed `{name}`; use `{successor}`.", FutureWarning, stacklevel=3)


def missing_method(name: str) -> AttributeError:
    """Return the error for a method that the client does not have."""
    text = f"the client has no method {name!r}"
    successor = _METHODS.get(name)
    return AttributeError(f"{text}; use {successor}" if successor else text, name=name)


def missing_name(name: str) -> AttributeError:
    """Return the error for a name that `skledger` does not have."""
    text = f"module 'skledger' has no attribute {name!r}"
    if name in FLAVOURS:
        text = f"{text}: {why_no_flavour(name)}"
    elif name in _NAMES:
        text = f"{text}; use {_NAMES[name]}"
    return AttributeError(text, name=name)


def missing_in(module: str, name: str) -> AttributeError:
    """Return the error for a name that a module of ours does not have, such as `pyfunc`."""
    text = f"module {module!r} has no attribute {name!r}"
    successor = _IN_MODULES.get(module.rpartition(".")[2], {}).get(name)
    return AttributeError(f"{text}; use {successor}" if successor else text, name=name)


def why_no_flavour(name: str) -> str:
    """Return what to do without MLflow's module for another framework."""
    text = f"this is a library for scikit-learn, without MLflow's {name!r}. "
    like = _LIKE_SKLEARN.get(name)
    if like is not None:
        return (
            f"{text}Estimators with scikit-learn's methods, such as {like}, are booked by "
            "skledger.autolog() and logged by skledger.sklearn.log_model; for anything else use "
            "log_artifact, or MLflow itself with the same tracking URI."
        )
    return (
        f"{text}Log what you have with log_metric, log_dict and log_artifact, or use MLflow "
        "itself with the same tracking URI."
    )
