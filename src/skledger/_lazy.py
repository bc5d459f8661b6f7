"""Packages whose names are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(
    package: str,
    homes: Mapping[str, str] | None = None,
    modules: Collection[str] = (),
    hints: str | None = None,
) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Parameters
    ----------
    package : str
        Its name.
    homes : mapping, optional
        Where each of its names lives: a module, by its full name.
    modules : collection of str, optional
        Its submodules that are there as attributes without having been imported, as MLflow's are.

    hints : str, optional
        A module whose ``missing_in(package, name)`` returns the error for any other name.

    Returns
    -------
    callable
        It raises AttributeError for any other name.
    """
    homes = homes or {}

    def get(name: str) -> Any:
        if name in homes:
            value = getattr(import_module(homes[name]), name)
        elif name in modules:
            value = import_module(f"{package}.{name}")
        elif hints is not None and not name.startswith("__"):
            raise import_module(hints).missing_in(package, name)
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
        vars(sys.modules[package])[name] = value
        return value

    return get
