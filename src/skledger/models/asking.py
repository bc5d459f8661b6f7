"""What a model can be asked for, and in which form it takes the data."""

from __future__ import annotations

import logging
from typing import Any

from skledger._guard import say
from skledger.errors import InvalidParameterError, ModelError
from skledger.models.verified import shown
from skledger.types.data_types import DataType

__all__ = ["BY_PARAM", "METHODS", "as_texts", "check_model", "method_named", "methods_of"]

#: What a model can be asked for; nothing that changes it.
METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
)
#: The param that names one of them.
BY_PARAM = "predict_method"


def check_model(model: Any) -> None:
    """Look at what is to be stored as a model.

    Raises
    ------
    InvalidParameterError
        It is a class, which was never fitted.
    """
    if isinstance(model, type):
        raise InvalidParameterError(
            f"{model.__name__} is a class; pass an estimator that was fitted, such as "
            f"{model.__name__}().fit(X, y)."
        )
    if not any(hasattr(model, each) for each in ("get_params", "predict", "transform")):
        say(
            logging.WARNING,
            "skledger: a %s is stored as a model, though it is no estimator",
            type(model).__name__,
        )


def methods_of(estimator: Any) -> tuple[str, ...]:
    """Return what an estimator can be asked for."""
    return tuple(name for name in METHODS if callable(getattr(estimator, name, None)))


def method_named(estimator: Any, name: object) -> str:
    """Return the method that ``MLmodel`` names; one that is none, or is not public, is refused."""
    name = name or "predict"
    is_public = isinstance(name, str) and name.isidentifier() and not name.startswith("_")
    if not is_public or not callable(getattr(estimator, str(name), None)):
        raise ModelError(
            f"MLmodel says predict_fn: {shown(name)}, which is no method of this "
            f"{type(estimator).__name__}. Save the model again."
        )
    return str(name)


def as_texts(estimator: Any, data: Any) -> Any:
    """Return a single column of texts as the series that a model of texts was trained with.

    A vectorizer goes through whatever it is given: of a data frame it would take the names of the
    columns for documents. It is known by what it lacks, the number of features that it was
    trained with, which every estimator has that takes tables.
    """
    if not hasattr(estimator, "get_params"):  # a model of the user's own: it gets what it is told
        return data
    if getattr(data, "ndim", 0) != 2 or data.shape[1] != 1 or hasattr(estimator, "n_features_in_"):
        return data
    if not hasattr(data, "columns") or not hasattr(data, "dtypes"):
        return data
    from skledger.models.infer import column_kind

    column = data.iloc[:, 0]
    return column if column_kind(column) is DataType.string else data
