"""Data sets as inputs of runs: what a fit was trained on, and what it was asked about later.

All of it is found before training, so it tells of data as they were, and belongs to a run from its
first write on. What is remembered afterwards are digests: no data are kept alive.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from skledger._guard import contain
from skledger.capture.data_profile import DataProfile, profile_of
from skledger.capture.data_sample import MOST_COLUMNS, Sample
from skledger.ledger.records import storable
from skledger.tracking.context import default_tags
from skledger.tracking.datasets import CONTEXT_TAG
from skledger.tracking.entities import Dataset, DatasetInput, RunTag

if TYPE_CHECKING:
    from skledger.hooks.events import FitCall

__all__ = ["eval_input", "train_input"]

UNKNOWN = "unknown_dataset"
#: The longest name of a data set, in characters (MLflow's limit).
MAX_NAME_LENGTH = 500
#: Runs whose training data are known, in this process.
MANY_RUNS = 1000
_TRAIN = RunTag(CONTEXT_TAG, "train")
_EVAL = RunTag(CONTEXT_TAG, "eval")
#: Says that the data are the first of many, of an estimator that learns in steps.
_FIRST_BATCH = RunTag("skledger.batch", "0")

#: Schemas of frames that are kept: a loop of fits has one.
MANY_SCHEMAS = 64
_known_columns: dict[tuple[bytes, bytes], str] = {}
# By run: digests of what it was trained on, with and without targets.
_trained_on: OrderedDict[str, set[str]] = OrderedDict()
_lock = threading.Lock()


def train_input(call: FitCall, run_id: str) -> DatasetInput | None:
    """Return what a run books of its training data.

    Parameters
    ----------
    call : FitCall
        The fit that is about to begin.
    run_id : str
        Its run.

    Returns
    -------
    DatasetInput or None
        None without data, and for data of a type that nobody looks into.
    """
    if call.X is None:
        return None
    with contain("the description of the training data"):
        found = profile_of(call.X, call.y)
        if found is None:
            return None
        with _lock:
            known = _trained_on.setdefault(run_id, set())
            known.update((found.digest, found.features_digest))
            if len(_trained_on) > MANY_RUNS:
                _trained_on.popitem(last=False)
        tags = (_TRAIN, _FIRST_BATCH) if call.method == "partial_fit" else (_TRAIN,)
        return DatasetInput(_entity(found, call.data_name), tags)
    return None


def eval_input(X: Any, y: Any, name: str | None, run_id: str | None = None) -> DatasetInput | None:
    """Return what a run books of data that its model was asked about.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The data.
    y : array-like of shape (n_samples,), optional
        The truth, where it is known.
    name : str or None
        What the user calls the data; None is ``unknown_dataset``.
    run_id : str, optional
        The run of the fit.

    Returns
    -------
    DatasetInput or None
        None for data that the run was trained on (they are an input already), and for data of a
        type that nobody looks into.
    """
    found = profile_of(X, y)
    if found is None:
        return None
    if run_id is not None:
        with _lock:
            if found.digest in _trained_on.get(run_id, ()):
                return None
    return DatasetInput(_entity(found, name), (_EVAL,))


def _entity(found: DataProfile, name: str | None) -> Dataset:
    return Dataset(
        name=storable(name or UNKNOWN, MAX_NAME_LENGTH),
        digest=found.digest,
        source_type="code",
        source=_source(tuple(default_tags(brief=True).items())),
        schema=_schema(found),
        profile=json.dumps(found.profile),
    )


@functools.lru_cache(maxsize=8)
def _source(tags: tuple[tuple[str, str], ...]) -> str:
    """Return the code that runs, as MLflow describes it: by the tags of its runs."""
    return json.dumps({"tags": dict(tags)})


def _schema(found: DataProfile) -> str | None:
    """Return MLflow's schema of a data set: the columns of a frame, or two tensors."""
    if found.features.kind == "frame":
        if found.features.shape[1] > MOST_COLUMNS or found.features.frame is None:
            return None
        return _columns(found.features)
    parts = {"features": found.features, "targets": found.targets}
    return _tensors(tuple((name, _tensor(part)) for name, part in parts.items()))


def _columns(part: Sample) -> str:
    """Return the schema of a frame; when numbers are all it holds, names and types say it all."""
    plain = part.nbytes is not None and not part.missing and part.rows > 0
    key = (part.values[0], part.values[1]) if plain else None
    schema = None if key is None else _known_columns.get(key)
    if schema is None:
        from skledger.models.infer import schema_of

        schema = json.dumps({"mlflow_colspec": schema_of(part.frame).to_dict()})
        if key is not None:
            if len(_known_columns) >= MANY_SCHEMAS:
                _known_columns.clear()
            _known_columns[key] = schema
    return schema


def _tensor(part: Sample | None) -> tuple[str, tuple[int, ...]] | None:
    return None if part is None else (part.dtype, part.shape[1:])


@functools.lru_cache(maxsize=64)
def _tensors(parts: tuple[tuple[str, tuple[str, tuple[int, ...]] | None], ...]) -> str:
    texts: dict[str, str | None] = {}
    for name, part in parts:
        texts[name] = None
        if part is not None:
            dtype, lengths = part
            spec = {"dtype": dtype, "shape": [-1, *lengths]}
            texts[name] = json.dumps([{"type": "tensor", "tensor-spec": spec}])
    return json.dumps({"mlflow_tensorspec": texts})


def _renew_lock() -> None:
    # A thread that held it does not exist in a forked child.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
