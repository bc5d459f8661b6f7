"""The model folder: saving, loading, requirements and the URIs that name a model.

The names below are imported when they are first used; importing this package imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skledger.models.folder import SavedModel, save_sklearn_model
    from skledger.models.loading import load_sklearn_model
    from skledger.models.uris import ModelUri, parse_model_uri

__all__ = [
    "ModelUri",
    "SavedModel",
    "load_sklearn_model",
    "parse_model_uri",
    "save_sklearn_model",
]

_HOMES = {
    "ModelUri": "uris",
    "SavedModel": "folder",
    "load_sklearn_model": "loading",
    "parse_model_uri": "uris",
    "save_sklearn_model": "folder",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
