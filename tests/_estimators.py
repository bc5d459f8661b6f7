"""Every estimator with data it can be fitted on, and a way to compare two fits to the bit."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import re
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

TEXTS = ["the cat sat", "on the mat", "a dog", "sat on the dog", "cat and mat"] * 4
DICTS = [{"a": 1.0, "b": float(n % 3)} for n in range(20)]
N_SAMPLES, N_FEATURES = 48, 5

#: Parts of a fitted estimator that a clock decides.
TIMED = re.compile(r"time|duration|seconds")


def _matrix() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.RandomState(7)
    classes = np.arange(N_SAMPLES) % 3
    X = rng.normal(size=(N_SAMPLES, N_FEATURES)) + classes[:, None] * [3, 0, -3, 0, 1]
    return X, classes, X @ [1.0, 2.0, 0.0, -1.0, 0.5] + rng.normal(size=N_SAMPLES)


def _special_data() -> dict[str, tuple[Any, ...]]:
    X, classes, numbers = _matrix()
    labels = np.column_stack([classes > 0, classes > 1]).astype(int)
    targets = np.column_stack([numbers, -numbers])
    half_known = np.where(np.arange(N_SAMPLES) % 4 == 1, -1, classes)
    return {
        "CountVectorizer": (TEXTS,),
        "TfidfVectorizer": (TEXTS,),
        "HashingVectorizer": (TEXTS,),
        "DictVectorizer": (DICTS,),
        "FeatureHasher": (DICTS,),
        "LabelEncoder": (classes,),
        "LabelBinarizer": (classes,),
        "MultiLabelBinarizer": ([("a", "b"), ("b",), ()] * 5,),
        "PatchExtractor": (np.arange(2 * 20 * 20 * 3, dtype=float).reshape(2, 20, 20, 3),),
        "IsotonicRegression": (X[:, 0], numbers),
        "ClassifierChain": (X, labels),
        "MultiOutputClassifier": (X, labels),
        "RegressorChain": (X, targets),
        "MultiOutputRegressor": (X, targets),
        "SelfTrainingClassifier": (X, half_known),
        "LabelPropagation": (X, half_known),
        "LabelSpreading": (X, half_known),
        "SparseCoder": (X[:, :3],),
    }


def data_for(estimator: Any) -> tuple[Any, ...]:
    """Return the positional arguments that a fit of `estimator` takes."""
    from sklearn.base import is_regressor
    from sklearn.utils.estimator_checks import (
        _enforce_estimator_tags_X,
        _enforce_estimator_tags_y,
    )

    special = _special_data().get(type(estimator).__name__)
    if special is not None:
        return copy.deepcopy(special)
    X, classes, numbers = _matrix()
    y = numbers if is_regressor(estimator) else classes
    return _enforce_estimator_tags_X(estimator, X), _enforce_estimator_tags_y(estimator, y)


def options_for(estimator: Any, method: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """Return the keyword arguments that a method of `estimator` cannot do without."""
    from sklearn.base import is_classifier

    if method == "partial_fit" and is_classifier(estimator):
        labels = args[1]
        classes = np.unique(labels)
        return {"classes": [classes] * labels.shape[1] if labels.ndim > 1 else classes}
    return {}


def sklearn_estimators() -> list[tuple[str, Any]]:
    """Return every estimator of scikit-learn that can be built, with a name for each."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LinearRegression
    from sklearn.utils._test_common.instance_generator import _tested_estimators

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = list(_tested_estimators())
    for estimator in built:
        if type(estimator).__name__ == "TSNE":
            estimator.set_params(max_iter=250)  # the least it takes
    X, _, numbers = _matrix()
    built.append(FrozenEstimator(LinearRegression().fit(X, numbers)))
    return named(built)


def named(estimators: list[Any]) -> list[tuple[str, Any]]:
    """Give each estimator the name of its class, and a number where there are several."""
    counts: dict[str, int] = {}
    result = []
    for estimator in estimators:
        name = type(estimator).__name__
        counts[name] = counts.get(name, 0) + 1
        result.append((f"{name}-{counts[name]}" if counts[name] > 1 else name, estimator))
    return result


# -- one call and all that can be seen of it --------------------------------------------------


@dataclass
class Outcome:
    """What a user can see of one call of a training method."""

    estimator: Any
    args: tuple[Any, ...]
    result: Any = None
    returned_self: bool = False
    error: BaseException | None = None
    warned: list[tuple[Any, ...]] = field(default_factory=list)
    printed: str = ""
    random_state: Any = None

    def visible(self) -> dict[str, Any]:
        """Return everything that must be the same with and without us."""
        return {
            "result": "self" if self.returned_self else self.result,
            "error": None if self.error is None else (type(self.error), str(self.error)),
            "error_args": None if self.error is None else self.error.args,
            "cause": type(getattr(self.error, "__cause__", None)),
            "warned": self.warned,
            "printed": self.printed,
            "random_state": self.random_state,
            "estimator": self.estimator,
            "args": self.args,
        }


def call(
    template: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
) -> Outcome:
    """Call a method of a fresh copy of `template` on fresh copies of the data."""
    estimator = copy.deepcopy(template)
    args, kwargs = copy.deepcopy(args), copy.deepcopy(kwargs or {})
    outcome = Outcome(estimator, args)
    np.random.seed(11)
    random.seed(11)
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            outcome.result = getattr(estimator, method)(*args, **kwargs)
        except Exception as error:
            outcome.error = error
    outcome.returned_self = outcome.result is estimator
    outcome.random_state = (np.random.get_state(), random.getstate())
    outcome.printed = re.sub(r"\d+\.\d+e?[-+\d]*|\d+(ms|s)", "#", printed.getvalue())
    outcome.warned = [
        (each.category, str(each.message), each.filename, each.lineno)
        for each in caught
        if each.category is not ResourceWarning  # the collector's, of whatever was left before
    ]
    return outcome


QUESTIONS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "transform",
    "score_samples",
)


def answers(estimator: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    """Return what a fitted estimator says about its data, by method."""
    said: dict[str, Any] = {}
    for name in QUESTIONS:
        if hasattr(estimator, name):
            np.random.seed(5)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    said[name] = getattr(estimator, name)(copy.deepcopy(args[0]))
                except Exception as error:
                    said[name] = (type(error), str(error))
    return said


# -- comparing --------------------------------------------------------------------------------


def differences(a: Any, b: Any) -> set[str]:
    """Return the places where two objects are not equal to the bit."""
    found: set[str] = set()
    _compare(a, b, "", found, {})
    return found


def _compare(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    if a is b or (id(a), id(b)) in seen:
        return
    seen[id(a), id(b)] = (a, b)  # kept alive, so that an id is not used twice
    if type(a) is not type(b):
        found.add(f"{path}: {type(a).__name__} is not {type(b).__name__}")
        return
    for kinds, compare in _COMPARISONS:
        if isinstance(a, kinds):
            compare(a, b, path, found, seen)
            return
    _compare_objects(a, b, path, found, seen)


def _equal(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    if repr(a) != repr(b):
        found.add(path)


def _compare_dicts(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    if list(map(str, a)) != list(map(str, b)):
        found.add(f"{path}: keys {list(a)} are not {list(b)}")
        return
    for (key, left), right in zip(a.items(), b.values(), strict=True):
        _compare(left, right, f"{path}.{key}", found, seen)


def _compare_lists(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    if len(a) != len(b):
        found.add(f"{path}: length {len(a)} is not {len(b)}: {a!r:.200} {b!r:.200}")
        return
    for number, (left, right) in enumerate(zip(a, b, strict=True)):
        _compare(left, right, f"{path}[{number}]", found, seen)


def _compare_arrays(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    if a.dtype != b.dtype or a.shape != b.shape:
        found.add(f"{path}: {a.dtype}{a.shape} is not {b.dtype}{b.shape}")
    elif a.dtype.hasobject:
        _compare(a.tolist(), b.tolist(), path, found, seen)
    elif a.tobytes() != b.tobytes():
        found.add(path)


def _compare_sparse(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    left, right = a.tocoo(), b.tocoo()
    for name in ("row", "col", "data"):
        _compare(getattr(left, name), getattr(right, name), f"{path}.{name}", found, seen)
    _equal(a.shape, b.shape, f"{path}.shape", found, seen)


def _compare_random(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    _compare(a.get_state(), b.get_state(), path, found, seen)


def _compare_methods(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    _equal(a.__name__, b.__name__, path, found, seen)
    _compare(a.__self__, b.__self__, f"{path}.__self__", found, seen)


def _compare_functions(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    _equal((a.__module__, a.__qualname__), (b.__module__, b.__qualname__), path, found, seen)


def _compare_objects(a: Any, b: Any, path: str, found: set[str], seen: dict[Any, Any]) -> None:
    if hasattr(a, "equals"):  # pandas
        if not a.equals(b):
            found.add(path)
    elif hasattr(a, "__dict__"):
        _compare_dicts(vars(a), vars(b), path, found, seen)
    else:
        try:
            left, right = a.__reduce_ex__(4), b.__reduce_ex__(4)
        except TypeError:  # a lock, an iterator: nothing to see inside
            return
        _compare(left, right, f"{path}<{type(a).__name__}>", found, seen)


_COMPARISONS: tuple[tuple[Any, Callable[..., None]], ...] = (
    ((str, bytes, int, float, complex, bool, type(None), range, type, np.generic), _equal),
    (
        (set, frozenset),
        lambda a, b, *rest: _equal(sorted(map(repr, a)), sorted(map(repr, b)), *rest),
    ),
    (dict, _compare_dicts),
    ((list, tuple), _compare_lists),
    (np.ndarray, _compare_arrays),
    (sparse.spmatrix, _compare_sparse),
    (sparse.sparray, _compare_sparse),
    (np.random.RandomState, _compare_random),
    ((types.MethodType, types.BuiltinMethodType), _compare_methods),
    (types.FunctionType, _compare_functions),
)


def untimed(places: set[str]) -> set[str]:
    """Return the differences that are not a matter of the clock."""
    return {each for each in places if not TIMED.search(each)}
