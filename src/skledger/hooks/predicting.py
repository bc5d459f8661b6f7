"""``predict`` and its kin, of every estimator: whose prediction an array is.

Only outermost calls count: what a pipeline asks of its steps, or a ``score`` of the model, is its
own business. A prediction is remembered, never kept; what it was asked about is known by the name
that the calling frame has for it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from threading import get_ident
from typing import Any
from weakref import ref

from skledger._guard import contain, switch, thread
from skledger.capture.named_data import key_of
from skledger.capture.sources import UNKNOWN_DATASET, Fit, Source, n_rows_of
from skledger.hooks import classes
from skledger.hooks.callers import name_of, user_frame
from skledger.hooks.estimators import only_prepares
from skledger.hooks.events import Listener
from skledger.hooks.frames_importlib_bootstrap import around_question
from skledger.hooks.patching import PatchSet

__all__ = ["METHODS", "is_outermost", "patch", "source_of", "unpatch"]

#: What a fitted estimator is asked by.
METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
)

_patches = PatchSet()
_listener: Listener | None = None


def patch(listener: Listener) -> None:
    """Remember predictions from now on; scikit-learn is waited for, not imported."""
    global _listener
    _listener = listener
    classes.watch(_patch_class)


def unpatch() -> None:
    """Give every class its own methods back, and forget."""
    global _listener
    _listener = None
    classes.unwatch(_patch_class)
    _patches.unwrap()
    provenance = sys.modules.get("skledger.capture.provenance")
    if provenance is not None:
        provenance.forget_all()


def is_outermost() -> bool:
    """Tell whether a question that begins now is the user's own, and nobody else's part."""
    return switch.enabled and not (thread.depth or thread.asking or thread.muted)


def is_heard() -> bool:
    """Tell likewise of a prediction; in a score that we compute, known answers are handed out."""
    if not switch.enabled:
        return False
    if not (thread.depth or thread.asking or thread.muted):
        return True
    return get_ident() in switch.answers if switch.answers else False


def source_of(estimator: Any, fit: Fit, method: str, X: Any, dataset: str | None) -> Source:
    """Return where the answer of an estimator came from."""
    try:
        data = ref(X)
    except TypeError:  # a list
        data = None
    return Source(
        fit.run_id,
        ref(estimator),
        type(estimator).__name__,
        method,
        dataset or UNKNOWN_DATASET,
        key_of(X),
        data,
        n_rows_of(X),
        fit.serial,
        fit.step,
    )


def _patch_class(cls: type) -> None:
    # It needs NumPy, which is there now; `autolog()` alone imports neither.
    import skledger.capture.provenance  # noqa: F401

    for owner in cls.__mro__[:-1]:
        held = vars(owner)
        for name, wrapper in _WRAPPERS.items():
            # What only prepares data has no run, and transforms all the time.
            if name in held and not (name == "transform" and only_prepares(owner)):
                with contain(f"{owner.__name__}.{name}"):
                    _patches.wrap(owner, name, wrapper, is_heard)


def _answered(
    method: str,
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    answer: Any,
) -> None:
    """Remember what an estimator has answered."""
    listener, provenance = _listener, sys.modules["skledger.capture.provenance"]
    if listener is None:
        return
    with contain("whose prediction this is"):
        fit = listener.fit_of(instance)
        if fit is None:
            if method != "transform" and provenance.has_any():
                provenance.remember(answer, None)
            return
        X = args[0] if args else next(iter(kwargs.values()), None)
        if answer is X:
            return  # the user's own data
        name = name_of(X, user_frame(sys._getframe(2)))
        source = source_of(instance, fit, method, X, name)
        provenance.remember(answer, source, values=method != "transform")


_WRAPPERS = {
    name: functools.partial(around_question, functools.partial(_answered, name)) for name in METHODS
}
