"""The estimator's own methods, called for the record: undisturbed, and no more than needed."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from skledger._guard import muted

__all__ = [
    "call",
    "final_model",
    "loaded",
    "predicts_the_likeliest",
    "same_random_state",
    "score_metric",
    "score_takes_weight",
]

_DUMMY = "sklearn.dummy"

#: Methods of scikit-learn's that only hand on to their mixin.
_CALLS_THE_MIXIN = {
    "KNeighborsClassifier.score": "accuracy_score",
    "RadiusNeighborsClassifier.score": "accuracy_score",
    "DummyClassifier.score": "accuracy_score",
    "DummyRegressor.score": "r2_score",
}


#: Methods of scikit-learn's that take the class with the greatest of ``predict_proba``.
_PREDICTS_THE_LIKELIEST = ("sklearn.ensemble._forest.ForestClassifier.predict",)


def call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a method of the user's estimator without its warnings, which nobody asked for.

    Warnings are dropped by the hook of the warnings module (`skledger._guard.muted`), without a
    change to Python's filters; NumPy's floating point state is kept per context.

    Parameters
    ----------
    method : callable
        A bound method of the estimator.
    *args, **kwargs
        Passed on.

    Returns
    -------
    object
        What the method gives.
    """
    with np.errstate(all="ignore"), muted():
        return method(*args, **kwargs)


def final_model(estimator: Any) -> tuple[Any, Any]:
    """Find the estimator that predicts, inside searches and pipelines.

    Returns
    -------
    model : estimator
        The last step of the innermost pipeline.
    pipeline : estimator or None
        The pipeline whose last step that is.
    """
    pipeline = None
    for _ in range(16):
        inner = getattr(estimator, "best_estimator_", None)
        if inner is not None:
            estimator = inner
            continue
        steps = getattr(estimator, "steps", None)
        if not (isinstance(steps, list) and steps and hasattr(estimator, "named_steps")):
            break
        pipeline, estimator = estimator, steps[-1][1]
    return estimator, pipeline


def score_metric(estimator: Any, weighted: bool) -> str | None:
    """Name the metric that ``estimator.score`` would compute again, if it is a known one.

    Parameters
    ----------
    estimator : estimator
        Any; pipelines and searches without ``scoring`` are looked into.
    weighted : bool
        Whether sample weights take part. Pipelines and searches hand them on by rules of
        their own, so only an estimator's own method is known then.

    Returns
    -------
    str or None
        ``"accuracy_score"`` or ``"r2_score"`` for scikit-learn's own mixins, also when some
        library wrapped the method; None when the class computes something of its own.
    """
    from sklearn.base import ClassifierMixin, RegressorMixin

    mixins = (ClassifierMixin, "accuracy_score"), (RegressorMixin, "r2_score")
    while estimator is not None:
        overridden = "score" in getattr(estimator, "__dict__", {})
        function = None if overridden else _method(type(estimator), "score")
        if function is None:
            return None
        for mixin, metric in mixins:
            if function is _method(mixin, "score"):
                return metric
        if getattr(function, "__module__", "") in ("sklearn.neighbors._classification", _DUMMY):
            return _CALLS_THE_MIXIN.get(function.__qualname__)
        estimator = None if weighted else _scorer(estimator, function)
    return None


def _scorer(estimator: Any, function: Any) -> Any:
    """Give the inner estimator to which a pipeline or a search leaves scoring, if it does."""
    pipeline = loaded("sklearn.pipeline", "Pipeline")
    if pipeline is not None and function is _method(pipeline, "score"):
        return estimator.steps[-1][1]
    search = loaded("sklearn.model_selection._search", "BaseSearchCV")
    if search is not None and function is _method(search, "score") and estimator.scoring is None:
        return getattr(estimator, "best_estimator_", None)
    return None


def score_takes_weight(estimator: Any) -> bool:
    """Tell whether both ``fit`` and ``score`` have a parameter ``sample_weight``."""
    for name in ("fit", "score"):
        try:
            parameters = inspect.signature(getattr(estimator, name)).parameters
        except (AttributeError, TypeError, ValueError):
            return False
        if "sample_weight" not in parameters:
            return False
    return True


def loaded(module: str, name: str) -> Any:
    """Give a class if its module is imported; if not, no estimator can be one."""
    return getattr(sys.modules.get(module), name, None)


def predicts_the_likeliest(estimator: Any) -> bool:
    """Tell whether ``predict`` calls ``predict_proba`` and takes the class with the greatest.

    That is so for forests, whose trees would all be walked a second time.
    """
    model, _ = final_model(estimator)
    if "predict" in getattr(model, "__dict__", {}):
        return False
    function = _method(type(model), "predict")
    place = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    return place in _PREDICTS_THE_LIKELIEST


def _method(cls: type, name: str) -> Any:
    """Give the plain function behind a class's method, below all wrappers that say so."""
    for owner in cls.__mro__:
        if name in vars(owner):
            found = vars(owner)[name]
            break
    else:
        return None
    for _ in range(32):
        inner = getattr(found, "__wrapped__", None)
        if inner is None:
            break
        found = inner
    return getattr(found, "__func__", found)


@contextmanager
def same_random_state(estimator: Any) -> Iterator[None]:
    """Put back the legacy random state that the estimator's methods may draw from.

    scikit-learn's estimators draw only while they are trained, ``DummyClassifier`` excepted,
    so the state is not even read for them. Nor is it in threads, where putting it back could
    repeat what another thread has drawn.
    """
    sources: list[Any] = []
    if threading.current_thread() is threading.main_thread():
        with suppress(Exception):
            sources = _random_sources(final_model(estimator)[0])
    before = [source.get_state(legacy=False) for source in sources]
    try:
        yield
    finally:
        for source, state in zip(sources, before, strict=True):
            with suppress(Exception):
                source.set_state(state)


def _random_sources(model: Any) -> list[Any]:
    """Find the generators that a model, or a model inside of it, may draw from."""
    parts = [model]
    if hasattr(model, "estimators") or hasattr(model, "estimator"):
        # As they were given, and as they were cloned to be fitted.
        inside = [*model.get_params(deep=True).values(), getattr(model, "estimator_", None)]
        fitted = getattr(model, "estimators_", None)
        inside += fitted if isinstance(fitted, list) else []
        parts += [part for part in inside if hasattr(part, "predict")]
    sources: list[Any] = []
    for part in parts:
        module = type(part).__module__
        if not module.startswith("sklearn.") or module == _DUMMY:
            source = _random_source(part)
            if source is not None and not any(source is each for each in sources):
                sources.append(source)
    return sources


def _random_source(model: Any) -> Any:
    """Find the generator that ``check_random_state`` gives for the model's ``random_state``."""
    state = getattr(model, "random_state", 0)
    if state is None or state is np.random:
        return np.random
    return state if isinstance(state, np.random.RandomState) else None
