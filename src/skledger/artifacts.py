"""Artifacts by their URIs, under MLflow's module name: list, download, load."""

from skledger.tracking.artifacts import (
    download_artifacts,
    list_artifacts,
    load_dict,
    load_image,
    load_text,
)

__all__ = ["download_artifacts", "list_artifacts", "load_dict", "load_image", "load_text"]
