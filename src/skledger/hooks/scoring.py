"""``score`` of every estimator and the functions of ``sklearn.metrics``: what was measured.

Only outermost calls count: a metric inside a ``score``, a fit or another metric is part of it.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

import wrapt

from skledger._guard import contain, muted, say
from skledger.hooks import classes
from skledger.hooks.callers import is_from_inspection, names_of, user_frame
from skledger.hooks.cells import FunctionPatches
from skledger.hooks.events import Listener, Measured, parameter_names
from skledger.hooks.frames_importlib_bootstrap import around_question
from skledger.hooks.patching import PatchSet
from skledger.hooks.predicting import is_outermost, source_of

__all__ = ["MODULE", "NO_METRICS", "patch", "unpatch"]

MODULE = "sklearn.metrics"
#: What of it measures nothing: distances, and what makes scorers.
NO_METRICS = ("sklearn.metrics.pairwise", "sklearn.metrics._scorer")
#: Metrics whose result is made for another metric, ``auc``.
CURVES = ("roc_curve", "precision_recall_curve", "det_curve")

_functions = FunctionPatches()
_methods = PatchSet()
_listener: Listener | None = None
_waiting = False
_said = False


def patch(listener: Listener) -> None:
    """Tell `listener` what is measured from now on; scikit-learn is waited for."""
    global _listener, _waiting
    _listener = listener
    classes.watch(_patch_class)
    if MODULE in sys.modules:
        _patch_functions(sys.modules[MODULE])
    elif not _waiting:
        _waiting = True
        wrapt.register_post_import_hook(_when_imported, MODULE)


def unpatch() -> None:
    """Give every class and every function back what was its own."""
    global _listener
    _listener = None
    classes.unwatch(_patch_class)
    _methods.unwrap()
    _functions.unwrap()


def _when_imported(module: Any) -> None:
    global _waiting
    _waiting = False
    if _listener is not None:
        with contain("any metric (scikit-learn could not be hooked)"):
            _patch_functions(module)


def _patch_class(cls: type) -> None:
    for owner in cls.__mro__[:-1]:
        if "score" in vars(owner):
            with contain(f"{owner.__name__}.score"):
                _methods.wrap(owner, "score", _wrap_score, is_outermost)


def _patch_functions(module: Any) -> None:
    if _functions:
        return
    for name in getattr(module, "__all__", ()):
        function = vars(module).get(name)
        home = getattr(function, "__module__", "")
        if isinstance(function, type) or not callable(function) or home in NO_METRICS:
            continue
        with contain(f"{name} (it could not be hooked)"):
            told = functools.partial(_metric_returned, name)
            wrapper = functools.partial(around_question, told)
            owners = (module, sys.modules.get(home))
            _functions.wrap(function, wrapper, is_outermost, owners)


def _score_returned(
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    value: Any,
) -> None:
    """Tell of a ``score``."""
    listener = _listener
    if listener is None:
        return
    with contain(f"the score of {type(instance).__name__}"), muted():
        fit = listener.fit_of(instance)
        if fit is None and not _has_active_run():
            return
        frame = user_frame(sys._getframe(1))
        if is_from_inspection(sys._getframe(1), frame):
            return
        given = dict(zip(parameter_names(wrapped), args, strict=False))
        given.update(kwargs)
        names = names_of(given, frame)
        X = given.get("X", args[0] if args else None)
        source = None
        if fit is not None:
            source = source_of(instance, fit, "score", X, names.get("X"))
        how = "active run" if source is None else "score"
        listener.measured(Measured("score", instance, given, names, value, source, how, X))


def _metric_returned(
    name: str,
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    value: Any,
) -> None:
    """Tell of a metric: of one that measures a prediction, or that is measured inside a run."""
    from skledger.capture import provenance

    listener = _listener
    if listener is None:
        return
    with contain(f"what {name} gave"), muted():
        given = dict(zip(_names_of_function(wrapped), args, strict=False))
        given.update(kwargs)
        source, how = provenance.find(given)
        if source is None:
            if not _has_active_run():
                if how == provenance.AMBIGUOUS:
                    _say_once(name)
                return
            how = "active run" if how == provenance.NONE else how
        frame = user_frame(sys._getframe(1))
        if is_from_inspection(sys._getframe(1), frame):
            return
        if source is not None and name in CURVES:
            for each in value:
                provenance.link(each, source)
        names = names_of(given, frame)
        listener.measured(Measured(name, None, given, names, value, source, how))


def _say_once(name: str) -> None:
    """Say that a metric is booked nowhere; who compares models on equal data meets that often."""
    global _said
    if not _said:
        _said = True
        say(
            logging.WARNING,
            f"skledger: {name} is booked nowhere: what it was given may come from several models "
            "that predict the same. Give it what predict returned itself, or measure in a run that "
            "skledger.start_run() opens. This is said once.",
        )


def _names_of_function(function: Any) -> tuple[str, ...]:
    """Return the names of the positional parameters of a function."""
    code = getattr(function, "__code__", None)
    return () if code is None else code.co_varnames[: code.co_argcount]


def _has_active_run() -> bool:
    """Tell whether the user has started a run that goes on; nobody has before it is imported."""
    runs = sys.modules.get("skledger.tracking.runs")
    return runs is not None and runs.active_run() is not None


_wrap_score = functools.partial(around_question, _score_returned)
