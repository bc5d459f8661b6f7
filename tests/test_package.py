"""The package: what it exports, what importing it costs, and who may import whom."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import skledger

SOURCE = Path(skledger.__file__).parent

PUBLIC = [
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


def test_the_public_names_are_these():
    """A name is added or taken away on purpose, here and in the changelog."""
    assert skledger.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(skledger, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = skledger.nonsense


def test_public_functions_are_documented():
    """Every public name has a docstring."""
    for name in PUBLIC:
        if name != "__version__":
            assert (getattr(skledger, name).__doc__ or "").strip(), name


HEAVY = ("sklearn", "pandas", "matplotlib", "sqlalchemy", "numpy", "scipy", "yaml", "cloudpickle")


def test_importing_and_enabling_is_light(run_python):
    """`import skledger; skledger.autolog()` imports nothing heavy, and enables all the same."""
    run_python(
        f"""
        import sys
        import skledger
        skledger.autolog()
        loaded = [name for name in {HEAVY!r} if name in sys.modules]
        assert not loaded, loaded
        from sklearn.linear_model import Ridge
        Ridge().fit([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0])
        assert len(skledger.search_runs()) == 1
        assert "matplotlib.pyplot" not in sys.modules
        """
    )


#: What a room may import of ours, besides itself.
ALLOWED = {
    "errors": (),
    "_guard": (),
    "_lazy": (),
    "_exit": ("_guard",),
    "_sigterm": ("_guard",),
    "_writer": ("_exit", "_guard"),
    "tracking.entities": (
        "tracking.entity",
        "tracking.html",
        "tracking.metric",
        "tracking.printing",
        "tracking.states",
    ),
    "tracking.registry_entities": ("tracking.entities",),
    "tracking.states": (),
    "tracking.filters": ("errors", "tracking.filters"),
    "capture": ("_guard", "errors", "tracking.entities"),
    "types": ("_lazy", "errors"),
    "stores": (
        "_exit",
        "_guard",
        "errors",
        "tracking.entities",
        "tracking.filters",
        "tracking.registry_entities",
    ),
    "models": ("_guard", "_lazy", "errors", "stores", "tracking.entities", "types"),
    "tracking": ("_exit", "_guard", "_lazy", "errors", "stores", "models"),
    "hooks": ("_guard", "errors", "capture", "tracking"),
    "ledger": (
        "_exit",
        "_guard",
        "_sigterm",
        "_writer",
        "errors",
        "capture",
        "models",
        "stores",
        "tracking",
    ),
    "autologging": (
        "_guard",
        "capture.checks",
        "errors",
        "hooks",
        "ledger.fits",
        "models.compressing",
        "stores.opening",
        "tracking",
    ),
    # MLflow's module names.
    "artifacts": ("tracking",),
    "client": ("tracking",),
    "data": ("_lazy", "tracking"),
    "entities": ("tracking.entities", "tracking.registry_entities"),
    "exceptions": ("errors",),
    "utils": ("_lazy",),
    "sklearn": ("autologging", "errors", "models", "tracking"),
    "pyfunc": ("_lazy", "autologging", "errors", "models", "tracking", "types"),
    "server": ("__init__", "_guard", "errors", "models", "stores", "tracking", "types"),
    "server.process": ("_guard", "errors", "server.process"),
    "server.scoring": ("__init__", "_guard", "errors", "models", "server.scoring", "types"),
    "server.security": ("errors", "server.process", "server.security", "server.settings"),
    "cli": ("__init__", "_guard", "errors", "ledger", "models", "server", "stores", "tracking"),
    "__main__": ("__init__", "cli"),
}


def room_of(module):
    """Return the longest key of ALLOWED that a module belongs to."""
    rooms = [room for room in ALLOWED if module == room or module.startswith(room + ".")]
    return max(rooms, key=len, default=None)


def imports_of(path):
    """Yield the modules of ours that a file imports, type checking included or not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skledger"):
            base = node.module.removeprefix("skledger").lstrip(".")
            for name in node.names:
                whole = f"{base}.{name.name}".lstrip(".")
                folder = SOURCE / whole.replace(".", "/")
                is_module = folder.is_dir() or folder.with_suffix(".py").exists()
                yield whole if is_module else (base or "__init__")
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "skledger":
                    yield name.name.removeprefix("skledger").lstrip(".") or "__init__"


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_each_room_imports_only_what_it_may(path):
    """The walls of docs/architecture.md stand."""
    module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    if module == "__init__":
        return
    room = room_of(module)
    assert room is not None, f"{module} belongs to no room; name it in docs/architecture.md"
    own = room.partition(".")[0]
    for imported in imports_of(path):
        allowed = ALLOWED[room]
        fits = any(imported == each or imported.startswith(each + ".") for each in allowed)
        at_home = imported.partition(".")[0] == own and "." not in room
        assert fits or at_home or imported == room, f"{module} must not import {imported}"


def third_party(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def test_libraries_stay_in_their_rooms():
    """wrapt belongs to the hooks, SQLAlchemy and the absence of scikit-learn to the stores."""
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0]
        used = set(third_party(path))
        assert "mlflow" not in used, path
        assert "wrapt" not in used or room == "hooks", path
        assert "sqlalchemy" not in used or room == "stores", path
        assert "matplotlib" not in used or room == "capture", path
        assert "uvicorn" not in used or room == "server", path
        if room in ("stores", "tracking"):
            assert "sklearn" not in used, path


def test_docs_know_every_room():
    """docs/architecture.md names each room of the package."""
    text = (SOURCE.parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in SOURCE.iterdir():
        if path.name not in ("__pycache__", "py.typed", "__init__.py"):
            assert re.search(rf"\b{re.escape(path.stem)}\b", text), path.name


def test_submodules_are_there_without_an_import(run_python):
    """As MLflow's: ``import skledger as mlflow; mlflow.models.signature.infer_signature``."""
    run_python(
        """
        import skledger as mlflow

        mlflow.models.signature.infer_signature
        mlflow.models.model.Model
        mlflow.types.schema.ColSpec
        mlflow.data.pandas_dataset.PandasDataset
        mlflow.data.numpy_dataset.NumpyDataset
        mlflow.utils.mlflow_tags.MLFLOW_USER
        mlflow.utils.file_utils
        mlflow.tracking.client.MlflowClient
        mlflow.tracking.fluent
        try:
            mlflow.models.nothing
        except AttributeError as error:
            assert "nothing" in str(error) and error.name == "nothing"
        """
    )
