"""The estimator's own methods, called for the record: undisturbed, and no more than needed."""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

__all__ = ["call", "final_model", "same_random_state", "score_metric", "score_takes_weight"]

_DUMMY = "sklearn.dummy"

#: Methods of scikit-learn's that only hand on to their mixin.
_CALLS_THE_MIXIN = {
    "KNeighborsClassifier.score": "accuracy_score",
    "RadiusNeighborsClassifier.score": "accuracy_score",
    "DummyClassifier.score": "accuracy_score",
    "DummyRegressor.score": "r2_score",
}


def call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a method of the user's estimator without its warnings, which nobody asked for.

    ``warnings.catch_warnings`` changes state of the whole process, and two threads inside it
    can leave each other's filters behind for good. So filters are touched in the main thread
    only, or where Python keeps them per context (3.14, free-threaded by default). In other
    threads a warning of ``predict`` may be shown; NumPy's floating point warnings, by far the
    most frequent, are suppressed everywhere, as that state is kept per context.

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
    alone = threading.current_thread() is threading.main_thread()
    with np.errstate(all="ignore"):
        if not (alone or getattr(sys.flags, "context_aware_warnings", False)):
            return method(*args, **kwargs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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
    pipeline = _loaded("sklearn.pipeline", "Pipeline")
    if pipeline is not None and function is _method(pipeline, "score"):
        return estimator.steps[-1][1]
    search = _loaded("sklearn.model_selection._search", "BaseSearchCV")
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


def _loaded(module: str, name: str) -> Any:
    """Give a class if its module is imported; if not, no estimator can be one."""
    return getattr(sys.modules.get(module), name, None)


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
    source = None
    with suppress(Exception):
        model, _ = final_model(estimator)
        module = type(model).__module__
        if not module.startswith("sklearn.") or module == _DUMMY:
            source = _random_source(model)
    if source is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = source.get_state(legacy=False)
    try:
        yield
    finally:
        with suppress(Exception):
            source.set_state(before)


def _random_source(model: Any) -> Any:
    """Find the generator that ``check_random_state`` gives for the model's ``random_state``."""
    state = getattr(model, "random_state", 0)
    if state is None or state is np.random:
        return np.random
    return state if isinstance(state, np.random.RandomState) else None
