"""The parameters of an estimator, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skledger._guard import contain

__all__ = ["params_as_text"]

#: Items of an array that are written out; so many fill what a store takes of a value.
MAX_ITEMS = 6000


def params_as_text(params: Mapping[str, Any]) -> dict[str, str]:
    """Return ``str(value)`` of every parameter, whole.

    Parameters
    ----------
    params : mapping
        What ``get_params`` returned.

    Returns
    -------
    dict of str to str
        One that cannot be turned into text is left out, at the cost of a log line.
    """
    texts: dict[str, str] = {}
    for key, value in params.items():
        kind = type(value)
        if kind is str:
            texts[key] = value
        elif value is None or kind is bool or kind is int or kind is float:
            texts[key] = repr(value)
        else:
            with contain(f"the param {key!r}"):
                texts[key] = _whole(value)
    return texts


def _whole(value: Any) -> str:
    """Return ``str(value)``, of an array all its items.

    The text of an estimator stays as scikit-learn abbreviates it: its parts have params of their
    own, and those are whole.
    """
    text = str(value)
    if "..." in text and type(value).__module__ == "numpy":
        import numpy as np

        return str(np.array2string(value, threshold=MAX_ITEMS))
    return text
