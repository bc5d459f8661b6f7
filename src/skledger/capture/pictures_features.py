"""Which features a model goes by: importances and coefficients, the largest of them.

``bars``
    ``names`` and ``values`` of at most 30 features, largest absolute value first,
    ``n_features`` in all and ``left_out``, those not shown.
``heatmap``
    Coefficients of several classes or outputs: ``rows``, ``columns`` (at most 30 features),
    ``values`` and ``left_out`` (features). Of more than 100 rows those with the largest
    coefficients, and ``rows_left_out``.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger._guard import contain
from skledger.capture.metrics_score import call, final_model
from skledger.capture.pictures import label_text, short

__all__ = ["feature_pictures"]

Floats = NDArray[np.float64]

_MAX_FEATURES = 30
_MAX_ROWS = 100


def feature_pictures(estimator: Any) -> dict[str, dict[str, Any]]:
    """Give ``feature_importances`` and ``coefficients`` of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted; of a pipeline the last step counts, of a search the best estimator.

    Returns
    -------
    dict
        Numbers by picture name; without those the model does not have.
    """
    model, pipeline = final_model(estimator)
    pictures: dict[str, dict[str, Any]] = {}
    with contain("the feature importances"):
        importances = _importances(model)
        if importances is not None and importances.ndim == 1 and importances.size:
            pictures["feature_importances"] = _bars(
                "Feature importances", importances, model, pipeline
            )
    with contain("the coefficients"):
        picture = _coefficients(model, pipeline)
        if picture is not None:
            pictures["coefficients"] = picture
    return pictures


def _importances(model: Any) -> Floats | None:
    forest = getattr(sys.modules.get("sklearn.ensemble._forest"), "BaseForest", None)
    own = getattr(type(model), "feature_importances_", None)
    if forest is not None and own is not None and own is forest.feature_importances_:
        # The property starts joblib's threads for microseconds of work on each tree: 5 ms
        # for 100 trees instead of 0.3 ms. The mean over trees is the same.
        with suppress(Exception):
            trees = [tree.tree_ for tree in model.estimators_]
            grown = [one.compute_feature_importances() for one in trees if one.node_count > 1]
            mean = np.mean(grown, axis=0)
            return np.asarray(mean / mean.sum(), dtype=np.float64)
    found = call(getattr, model, "feature_importances_", None)
    return None if found is None else np.asarray(found, dtype=np.float64)


def _coefficients(model: Any, pipeline: Any) -> dict[str, Any] | None:
    found = call(getattr, model, "coef_", None)
    if found is None or isinstance(found, list | tuple):
        return None
    values: Any = found if hasattr(found, "tocsr") else np.asarray(found)
    if values.ndim not in (1, 2) or not all(values.shape) or values.dtype.kind not in "biuf":
        return None
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if values.ndim == 1 or values.shape[0] == 1:
        row = values.toarray() if hasattr(values, "tocsr") else values
        return _bars("Coefficients", np.asarray(row, np.float64).ravel(), model, pipeline)
    return _heatmap(values, model, pipeline)


def _bars(title: str, values: Floats, model: Any, pipeline: Any) -> dict[str, Any]:
    chosen = _largest(np.abs(values), _MAX_FEATURES)
    return {
        "kind": "bars",
        "title": title,
        "names": _names(model, pipeline, chosen, len(values)),
        "values": short(values[chosen]),
        "n_features": len(values),
        "left_out": len(values) - len(chosen),
    }


def _heatmap(values: Any, model: Any, pipeline: Any) -> dict[str, Any]:
    """Give the coefficients of several rows, dense only where they are shown."""
    n_rows, n_features = values.shape
    columns = _largest(_extent(values, 0), _MAX_FEATURES)
    shown = values[:, columns]
    dense = np.asarray(shown.toarray() if hasattr(shown, "tocsr") else shown, dtype=np.float64)
    rows = np.sort(_largest(np.abs(dense).max(axis=1), _MAX_ROWS))
    names = _row_names(model, n_rows)
    picture: dict[str, Any] = {
        "kind": "heatmap",
        "title": "Coefficients",
        "rows": [names[row] for row in rows.tolist()],
        "columns": _names(model, pipeline, columns, n_features),
        "values": short(dense[rows]),
        "left_out": n_features - len(columns),
    }
    if n_rows > len(rows):
        picture["rows_left_out"] = n_rows - len(rows)
    return picture


def _extent(values: Any, axis: int) -> Floats:
    """Largest absolute value along an axis, without a copy of a matrix that may be huge."""
    high, low = values.max(axis=axis), values.min(axis=axis)
    if hasattr(high, "toarray"):
        high, low = high.toarray().ravel(), low.toarray().ravel()
    extent: Floats = np.maximum(high, -low).astype(np.float64)
    return extent


def _largest(sizes: Floats, most: int) -> NDArray[np.intp]:
    """Positions of the largest values, largest first; NaN counts as the smallest."""
    sizes = np.where(np.isnan(sizes), -1.0, sizes)
    if len(sizes) > most:
        chosen = np.argpartition(sizes, len(sizes) - most)[-most:]
        # Among equals the order of the features, not that of the partition.
        chosen.sort()
    else:
        chosen = np.arange(len(sizes))
    return chosen[np.argsort(-sizes[chosen], kind="stable")]


def _row_names(model: Any, n_rows: int) -> list[str]:
    """Name the rows of coefficients: classes, pairs of classes, or outputs."""
    with suppress(Exception):
        classes = [label_text(name) for name in model.classes_]
        # libsvm separates each pair of classes; for three classes there are as many pairs.
        pairwise = hasattr(model, "n_support_") and hasattr(model, "dual_coef_")
        if pairwise and n_rows == len(classes) * (len(classes) - 1) // 2:
            return [f"{one} vs. {other}" for one, other in combinations(classes, 2)]
        if not pairwise and n_rows == len(classes):
            return classes
    return [f"output {row + 1}" for row in range(n_rows)]


def _names(model: Any, pipeline: Any, chosen: NDArray[np.intp], n_features: int) -> list[str]:
    """Name the chosen features, as ``x<position>`` where nothing better is known."""
    names = getattr(model, "feature_names_in_", None)
    if pipeline is not None and (names is None or len(names) != n_features):
        vocabulary = _vocabulary(pipeline)
        if vocabulary is not None and len(vocabulary) == n_features:
            return _words(vocabulary, chosen)
        # Transformers may not know their names, and say so with an exception.
        with suppress(Exception):
            names = call(pipeline[:-1].get_feature_names_out)
    if names is None or len(names) != n_features:
        return [f"x{one}" for one in chosen.tolist()]
    return [label_text(names[one]) for one in chosen.tolist()]


def _vocabulary(pipeline: Any) -> dict[str, Any] | None:
    """Give the words of a text vectorizer that feeds the model directly.

    A list of all feature names takes sorting the whole vocabulary, which is slower by far
    than looking up the few that are shown.
    """
    steps = [step for _, step in pipeline.steps[:-1] if not isinstance(step, str | None)]
    while len(steps) > 1 and type(steps[-1]).__name__ == "TfidfTransformer":
        steps.pop()
    found = getattr(steps[-1], "vocabulary_", None) if steps else None
    return found if isinstance(found, dict) else None


def _words(vocabulary: dict[str, Any], chosen: NDArray[np.intp]) -> list[str]:
    wanted = set(chosen.tolist())
    found = {place: word for word, place in vocabulary.items() if place in wanted}
    return [label_text(found.get(one, f"x{one}")) for one in chosen.tolist()]
