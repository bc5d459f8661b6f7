"""Models, under MLflow's module name: the model folder, signatures, and the URIs of models.

The names below are imported when they are first used; importing this package imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skledger._lazy import lazily

if TYPE_CHECKING:
    from skledger.models.folder import SavedModel, save_sklearn_model
    from skledger.models.info import ModelInfo
    from skledger.models.loading import load_sklearn_model
    from skledger.models.model import Model
    from skledger.models.signature import ModelSignature, infer_signature
    from skledger.models.uris import ModelUri, parse_model_uri
    from skledger.tracking.logged_models import get_model_info
    from skledger.tracking.model_signatures import set_signature

__all__ = [
    "Model",
    "ModelInfo",
    "ModelSignature",
    "ModelUri",
    "SavedModel",
    "get_model_info",
    "infer_signature",
    "load_sklearn_model",
    "parse_model_uri",
    "save_sklearn_model",
    "set_signature",
]

__getattr__ = lazily(
    __name__,
    {
        "Model": "skledger.models.model",
        "ModelInfo": "skledger.models.info",
        "ModelSignature": "skledger.models.signature",
        "ModelUri": "skledger.models.uris",
        "SavedModel": "skledger.models.folder",
        # MLflow has them here; they ask the store.
        "get_model_info": "skledger.tracking.logged_models",
        "infer_signature": "skledger.models.signature",
        "load_sklearn_model": "skledger.models.loading",
        "parse_model_uri": "skledger.models.uris",
        "save_sklearn_model": "skledger.models.folder",
        "set_signature": "skledger.tracking.model_signatures",
    },
    ("model", "signature"),
    hints="skledger.tracking.removed",
)


def __dir__() -> list[str]:
    return sorted(__all__)
