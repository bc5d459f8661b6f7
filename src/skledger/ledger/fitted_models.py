"""The model of a fit: in the format that was asked for, with a signature and an example."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger._guard import contain, log_failures, muted, say, thread
from skledger.errors import ModelError, ModelTooLargeError
from skledger.ledger.place import describe_model
from skledger.tracking.entities import LoggedModel
from skledger.tracking.model_uris import DIGESTS_TAG

if TYPE_CHECKING:
    from skledger.autologging import Config
    from skledger.ledger.notes import FitNote
    from skledger.models.example import Example
    from skledger.models.folder import SavedModel

__all__ = ["example_before", "say_too_large", "store_model"]

#: Rows of an example, as in MLflow.
EXAMPLE_ROWS = 5
#: Values of the training data that a signature is inferred from.
SIGNATURE_CELLS = 50_000

_said: set[str] = set()


def example_before(X: Any) -> Example | None:
    """Return the first rows of the training data as an example, as they are now.

    Parameters
    ----------
    X : array-like, DataFrame, sparse matrix or list
        What was passed to ``fit``, before the fit.
    """
    with contain("the input example"):
        from skledger.models.example import example_of

        rows = _rows(X, slice(EXAMPLE_ROWS))
        return None if rows is None else example_of(rows.copy() if hasattr(rows, "copy") else rows)
    return None


def store_model(estimator: Any, note: FitNote, config: Config, name: str) -> LoggedModel:
    """Write a fitted model into a folder of its own; the run links to it when it is booked.

    Raises
    ------
    ModelTooLargeError
        When it is larger than was allowed.
    ModelError
        When it cannot be stored.
    """
    from skledger.models.compressing import max_model_size
    from skledger.models.folder import save_sklearn_model
    from skledger.tracking.logged_models import hint_of, put_model_folder

    place, name = note.place, note.place.name_model(name)
    model_id, location = place.new_model()
    most = max_model_size() if config.max_model_size is None else config.max_model_size
    save = partial(
        save_sklearn_model,
        estimator,
        model_id=model_id,
        run_id=place.info.run_id,
        artifact_path=name,
        max_size=most,
        signature=_signature(estimator, note) if config.log_model_signatures else None,
        example=note.example,
    )
    saved = put_model_folder(location, _saver(estimator, save, config.serialization_format))
    hint_of(saved)
    tags = {DIGESTS_TAG: json.dumps(saved.digests)}
    return describe_model(place, model_id, location, name, note.records, tags)


def say_too_large(estimator: Any, error: ModelTooLargeError) -> None:
    """Make a model that was left out part of what the fit's one line and its tag say."""
    name = type(estimator).__name__
    text = f"the model of {name}, which is too large: {error.message}"
    if thread.failures is None:
        log_failures([text])
    else:
        thread.failures.append(text)


def _saver(
    estimator: Any, save: Callable[..., SavedModel], wanted: str
) -> Callable[[Path], SavedModel]:
    """Return what writes the folder; what skops cannot write is pickled, and a line says so."""
    if wanted != "skops":
        return partial(save, serialization_format=wanted)

    def saved(path: Path) -> SavedModel:
        from skledger.models.loading import pickles_are_allowed

        try:
            return save(path, serialization_format="skops")
        except ModelTooLargeError:
            raise
        except ModelError as error:
            if not pickles_are_allowed():
                raise
            name = type(estimator).__name__
            if name not in _said:
                _said.add(name)
                say(
                    logging.WARNING,
                    "skledger: models of %s are stored with cloudpickle, because skops does not "
                    "take them: %s",
                    name,
                    error.message,
                )
            return save(path, serialization_format="cloudpickle")

    return saved


def _signature(estimator: Any, note: FitNote) -> Mapping[str, str | None] | None:
    """Infer what the model takes and gives, from what was seen of it anyway."""
    if note.data.X is None or not hasattr(estimator, "predict"):
        return note.signature
    with contain("the signature of the model"), muted():
        from skledger.models.infer import schema_of
        from skledger.models.signature import ModelSignature

        seen = _seen(note.data.X)
        if seen is None:
            return None
        predicted = note.predicted
        if predicted is None:
            predicted = _predicted(estimator, _rows(note.data.X, slice(EXAMPLE_ROWS)))
        outputs = None if predicted is None else schema_of(predicted)
        note.signature = ModelSignature(schema_of(seen), outputs).to_dict()
    return note.signature


def _predicted(estimator: Any, rows: Any) -> Any:
    from skledger.capture.metrics_score import same_random_state

    try:
        with same_random_state(estimator):
            return estimator.predict(rows)
    except Exception:  # noqa: BLE001 - such a model has no predictions for new rows
        return None


def _seen(X: Any) -> Any:
    """Return what a signature is inferred from."""
    import numpy as np

    from skledger.models.signature import as_array

    seen = as_array(_rows(X, _spread(X)))
    # Texts and other single values stay an array: as a column of a frame, which is what a
    # signature of columns makes of them, no vectorizer would take them.
    if isinstance(seen, list) and seen and isinstance(seen[0], str):
        return np.asarray(seen)
    return seen.to_numpy() if getattr(seen, "ndim", 2) == 1 and hasattr(seen, "iloc") else seen


def _spread(X: Any) -> slice:
    """Return which rows to look at: all of small data, some of all parts of large data."""
    shape = getattr(X, "shape", None)
    if not shape or not hasattr(X, "iloc"):
        return slice(None)  # the types of an array are known without a look at its values
    cells = shape[0] * (shape[1] if len(shape) > 1 else 1)
    return slice(None, None, max(1, -(-cells // SIGNATURE_CELLS)))


def _rows(X: Any, which: slice) -> Any:
    """Return some rows of data; None when it has no order."""
    if which == slice(None):
        return X
    if hasattr(X, "iloc"):
        return X.iloc[which]
    if hasattr(X, "tocsr"):
        return X.tocsr()[which]
    try:
        return X[which]
    except (TypeError, KeyError, IndexError, ValueError):
        return None
