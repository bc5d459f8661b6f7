"""scikit-learn models, under MLflow's module name."""

from __future__ import annotations

from typing import Any

from skledger.autologging import autolog, classes_changed

__all__ = ["autolog", "load_model"]


def load_model(model_uri: str, *, verify: bool = True) -> Any:
    """Load a fitted estimator.

    Parameters
    ----------
    model_uri : str
        ``runs:/<run id>/model``, ``models:/m-<id>``, or the path of a model folder.
    verify : bool, default=True
        Load only what was booked: each file's SHA-256 must be the one that was booked with the
        run, and it is checked before anything is unpickled. A path that you give yourself is
        taken at your word. With False, so is everything: unpickling runs code that the file
        names, so do that only for files that you trust.

    Returns
    -------
    BaseEstimator
        The same estimator; its predictions are equal to the bit.

    Raises
    ------
    ModelIntegrityError
        When a file is not the one that was booked, or none was booked.
    NotFoundError
        When there is no such run or model.
    ModelError
        When the model cannot be loaded here, such as for want of a package.
    """
    from skledger.models.loading import load_sklearn_model
    from skledger.tracking.model_uris import locate

    found = locate(model_uri, verify=verify)
    try:
        return load_sklearn_model(found.folder, digests=found.digests)
    finally:
        classes_changed()
