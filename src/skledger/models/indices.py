"""The indices in a model that was made from data: none may lead out of its arrays.

scikit-learn follows the indices of its trees without looking where they lead, since it made them
itself. In a file that somebody else made they may lead anywhere: the process dies, or reads memory
that it should not. So they are looked at when a model comes from the format skops, where a model is
nothing but data. A pickle needs no such look: whoever makes one has other means.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from skledger.errors import ModelError

__all__ = ["check_indices"]

_OPAQUE = (type, ModuleType, FunctionType, BuiltinFunctionType, str, bytes, int, float)


class _Astray(Exception):  # noqa: N818 - a signal, caught in this module
    """An index leads out of its array."""


def check_indices(model: Any, where: str) -> None:
    """Look at the indices in the trees, neighbours and splines of a model.

    Parameters
    ----------
    model : object
        What was made from a file.
    where : str
        The file, for the message.

    Raises
    ------
    ModelError
        When one leads out of its array.
    """
    for part in _parts(model):
        check = _CHECKS.get(f"{type(part).__module__}.{type(part).__name__}", _estimator)
        try:
            check(part)
        except _Astray as error:
            raise ModelError(
                f"{where} was tampered with: in a {type(part).__name__}, {error}. scikit-learn "
                "would read memory that is not the model's. Do not load it."
            ) from error


def _parts(model: Any) -> Iterator[Any]:
    """Yield everything that a model is made of."""
    import numpy as np

    seen: set[int] = set()
    waiting = [model]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, _OPAQUE):
            continue
        seen.add(id(each))
        if isinstance(each, np.ndarray):
            # The collector does not look into arrays of objects.
            waiting.extend(each.ravel().tolist() if each.dtype == object else ())
            continue
        yield each
        waiting.extend(gc.get_referents(each))


def _demand(condition: Any, what: str) -> None:
    if not condition:
        raise _Astray(what)


def _children(left: Any, right: Any, is_leaf: Any, count: int) -> None:
    """Look at the children of a tree: each comes after its parent, so that a walk ends."""
    import numpy as np

    own = np.arange(count)
    for side in (left, right):
        inside = is_leaf | ((side > own) & (side < count))
        _demand(inside.all(), "a node has a child that is not there")


def _tree(tree: Any) -> None:
    inner = tree.children_left != -1
    features = tree.feature[inner]
    _children(tree.children_left, tree.children_right, ~inner, tree.node_count)
    _demand(tree.node_count > 0, "it has no node")
    _demand(((features >= 0) & (features < tree.n_features)).all(), "a node has no such feature")


def _predictor(predictor: Any) -> None:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    _demand(len(nodes) > 0, "it has no node")
    _children(nodes["left"].astype("int64"), nodes["right"].astype("int64"), leaf, len(nodes))
    _demand((nodes["feature_idx"][~leaf] >= 0).all(), "a node has no such feature")
    by_category = ~leaf & nodes["is_categorical"].astype(bool)
    sets = min(len(predictor.binned_left_cat_bitsets), len(predictor.raw_left_cat_bitsets))
    _demand((nodes["bitset_idx"][by_category] < sets).all(), "a node has no such set of categories")


def _neighbours(tree: Any) -> None:
    import numpy as np

    data, indices, nodes, bounds = (np.asarray(each) for each in tree.get_arrays())
    samples, features = data.shape
    state = tree.__getstate__()
    levels = [each for each in state if isinstance(each, int) and not isinstance(each, bool)]
    _demand(len(nodes) > 0 and len(nodes) in levels, "the number of its nodes is another")
    _demand(bounds.shape[1] == len(nodes), "its nodes have other bounds")
    _demand(bounds.shape[2] == features, "its bounds have other features")
    _demand(indices.shape == (samples,), "its samples are others")
    _demand(((indices >= 0) & (indices < samples)).all(), "a sample is not there")
    start, end = nodes["idx_start"], nodes["idx_end"]
    _demand(((start >= 0) & (end <= samples) & (start <= end)).all(), "a node has no such samples")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    _demand((2 * inner + 2 < len(nodes)).all(), "a node has a child that is not there")
    weights = state[-1]
    _demand(weights is None or np.shape(weights) == (samples,), "its samples have other weights")
    for each in state:
        if type(each).__module__ == "sklearn.metrics._dist_metrics":
            _distance(each, features)


def _distance(distance: Any, features: int) -> None:
    """The weights of a distance are one for each feature."""
    _, vector, matrix = distance.__getstate__()
    name = type(distance).__name__
    if name.startswith("SEuclidean"):
        _demand(vector.shape == (features,), "its distance is of other features")
    if name.startswith("Mahalanobis"):
        _demand(matrix.shape == (features, features), "its distance is of other features")
    for part in (vector, matrix):
        # An empty or single value stands for none.
        if getattr(part, "ndim", 0) and part.size > 1:
            _demand(set(part.shape) == {features}, "its distance is of other features")


def _spline(spline: Any) -> None:
    knots: tuple[int, ...] = getattr(spline.t, "shape", ())
    degree = spline.k
    _demand(isinstance(degree, int) and degree >= 0 and len(knots) == 1, "it has no knots")
    enough = 0 < knots[0] - degree - 1 <= len(spline.c)
    _demand(enough, "it has more knots than coefficients")


def _estimator(estimator: Any) -> None:
    """An estimator takes at least as many features as the trees in it look at."""
    attributes = getattr(estimator, "__dict__", None)
    if not isinstance(attributes, dict):
        return
    features = attributes.get("n_features_in_")
    needed = [*_features_of(attributes.get("tree_"))]
    for held in ("estimators_", "_predictors"):
        for each in _flat(attributes.get(held)):
            tree = getattr(each, "__dict__", {}).get("tree_", each)
            needed.extend(_features_of(tree))
    if needed and isinstance(features, int):
        _demand(max(needed) <= features, "a tree looks at more features than there are")


def _flat(held: Any) -> Iterator[Any]:
    if hasattr(held, "tolist"):
        held = held.tolist()
    if isinstance(held, list | tuple):
        for each in held:
            yield from _flat(each)
    elif held is not None:
        yield held


def _features_of(tree: Any) -> Iterator[int]:
    if type(tree).__name__ == "Tree":
        yield int(tree.n_features)
    elif type(tree).__name__ == "TreePredictor":
        inner = tree.nodes["is_leaf"] == 0
        if inner.any():
            yield int(tree.nodes["feature_idx"][inner].max()) + 1


_NEIGHBOURS = {
    f"sklearn.neighbors._{module}.{name}{width}": _neighbours
    for module, name in (("kd_tree", "KDTree"), ("ball_tree", "BallTree"))
    for width in ("", "32", "64")
}
_CHECKS: dict[str, Callable[[Any], None]] = {
    "sklearn.tree._tree.Tree": _tree,
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _predictor,
    "scipy.interpolate._bsplines.BSpline": _spline,
    **_NEIGHBOURS,
}
