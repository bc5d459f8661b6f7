"""Experiments that are known by name only: the server says their identifier when it is asked."""

from __future__ import annotations

from skledger.tracking.entities import DEFAULT_EXPERIMENT_ID

__all__ = ["DEFAULT_NAME", "experiment_name", "placeholder"]

DEFAULT_NAME = "Default"
_PREFIX = "name:"


def placeholder(name: str | None) -> str:
    """Return what stands for the identifier of an experiment; the default one's is known."""
    if name is None or name == DEFAULT_NAME:
        return DEFAULT_EXPERIMENT_ID
    return f"{_PREFIX}{name}"


def experiment_name(experiment_id: str) -> str | None:
    """Return the name that an identifier stands for, or None when it is the server's own."""
    if experiment_id.startswith(_PREFIX):
        return experiment_id.removeprefix(_PREFIX)
    return None
