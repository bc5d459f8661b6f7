"""Models behind their signatures, under MLflow's module name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from skledger.autologging import classes_changed
from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    from skledger.models.pyfunc_model import PyFuncModel

__all__ = ["PyFuncModel", "load_model"]


def __getattr__(name: str) -> Any:
    if name != "PyFuncModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from skledger.models.pyfunc_model import PyFuncModel

    globals()[name] = PyFuncModel
    return PyFuncModel


def load_model(
    model_uri: str,
    suppress_warnings: bool = False,
    dst_path: str | os.PathLike[str] | None = None,
    model_config: Any = None,
    *,
    verify: bool = True,
    trusted: Iterable[str] = (),
) -> PyFuncModel:
    """Load a model whose `predict` looks at the signature first.

    Parameters
    ----------
    model_uri : str
        ``runs:/<run id>/model``, ``models:/m-<id>``, the path of a model folder, or the URI of a
        folder among artifacts.
    suppress_warnings : bool, default=False
        Taken for compatibility.
    dst_path : path-like, optional
        Copy the model folder there and load it from there.
    model_config : None
        scikit-learn models have none.
    verify : bool, default=True
        Load only what was booked; see `skledger.sklearn.load_model`.
    trusted : iterable of str
        Types that a file of the format skops may have; see `skledger.sklearn.load_model`.

    Returns
    -------
    PyFuncModel
        Its `predict` takes what the signature asks for, and its `get_raw_model` returns the
        estimator.

    Raises
    ------
    ModelIntegrityError
        When a file is not the one that was booked, or none was booked.
    NotFoundError
        When there is no such run or model.
    ModelError
        When the model cannot be loaded here, or has no method that predicts.
    """
    from skledger.models.pyfunc_model import load_pyfunc_model
    from skledger.tracking.model_uris import locate

    if model_config:
        raise InvalidParameterError(
            f"a scikit-learn model takes no model_config; it was given {model_config!r}."
        )
    found = locate(model_uri, verify=verify).copied_to(dst_path)
    try:
        return load_pyfunc_model(
            found.folder, digests=found.digests, refusal=found.refusal, trusted=trusted
        )
    finally:
        classes_changed()
