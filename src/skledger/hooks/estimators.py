"""``fit`` and its kin, of every ``BaseEstimator``, whenever its class is born (`classes`)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from skledger._guard import contain, muted, switch, thread
from skledger.hooks import classes
from skledger.hooks.callers import user_name
from skledger.hooks.events import FitCall, Listener, bind_data
from skledger.hooks.frames_importlib_bootstrap import around_call
from skledger.hooks.patching import PatchSet

__all__ = ["METHODS", "only_prepares", "patch", "unpatch"]

#: The methods that train an estimator.
METHODS = ("fit", "fit_transform", "fit_predict", "partial_fit")

#: Methods that only prepare data: what they fit on the way (imbalanced-learn's ``SMOTE`` its
#: neighbours) is as little a run of its own as what a ``fit`` fits.
PREPARING_METHODS = ("fit_resample",)

#: Estimators of these modules only prepare data; fitted alone they make no run (as in MLflow).
PREPARING_MODULES = (
    "sklearn.preprocessing",
    "sklearn.impute",
    "sklearn.feature_extraction",
    "sklearn.feature_selection",
    "sklearn.compose._column_transformer",
)

_patches = PatchSet()
_listener: Listener | None = None
_prepares: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def patch(listener: Listener) -> None:
    """Start telling `listener` about fits; scikit-learn is waited for, not imported.

    Calling it again only changes the listener, and meets classes that were born unseen.
    """
    global _listener
    _listener = listener
    classes.watch(_patch_class)


def unpatch() -> None:
    """Give every class its own methods back."""
    global _listener
    _listener = None
    classes.unwatch(_patch_class)
    _patches.unwrap()
    _prepares.clear()


def _patch_class(cls: type) -> None:
    """Wrap the training methods that a class, or a mixin it is made of, writes itself."""
    for owner in cls.__mro__[:-1]:
        enabled = _is_outermost_or_nested if _is_search(owner) else _is_outermost
        for name, wrapper in _WRAPPERS.items():
            if name in vars(owner):
                with contain(f"{owner.__name__}.{name}"):
                    _patches.wrap(owner, name, wrapper, enabled)


def _is_search(cls: type) -> bool:
    """Tell whether a class is one of scikit-learn's searches, or derived from one."""
    name = "sklearn.model_selection._search", "BaseSearchCV"
    return any((each.__module__, each.__name__) == name for each in cls.__mro__)


def _is_outermost() -> bool:
    """Tell whether a call that begins now is one to listen to."""
    return switch.enabled and not thread.depth


def _is_outermost_or_nested() -> bool:
    """Tell the same of a search, which counts inside a cross-validation or a pipeline, too."""
    return switch.enabled and (not thread.depth or thread.nest is not None)


class _Notes:
    """What stands around a fit; see `around_call`."""

    def counts(self, instance: Any) -> bool:
        """Tell an estimator from another object that shares a mixin with one."""
        from sklearn.base import BaseEstimator

        return isinstance(instance, BaseEstimator)

    def before(
        self,
        method: str,
        wrapped: Callable[..., Any],
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> FitCall | None:
        """Tell the listener that a fit begins."""
        listener = _listener
        with contain("a fit"), muted():
            if listener is None or method in PREPARING_METHODS or only_prepares(type(instance)):
                return None
            X, y, weight = bind_data(wrapped, args, kwargs)
            call = FitCall(
                estimator=instance,
                method=method,
                X=X,
                y=y,
                sample_weight=weight,
                started=time.time_ns() // 1_000_000,
                listener=listener,
                outer=thread.nest,
                data_name=None if X is None else user_name(X),
            )
            call.note = listener.fit_started(call)
            return None if call.note is None else call
        return None

    def after(self, call: FitCall) -> None:
        """Tell the listener of the beginning that the fit has ended."""
        with contain(f"the fit of {type(call.estimator).__name__}"), muted():
            call.listener.fit_ended(call, call.note)
        call.error = None  # a traceback must not keep the user's frames alive


#: By the name a method is called by; the function behind it may have another, or none.
_WRAPPERS = {
    name: functools.partial(around_call, name, _Notes()) for name in (*METHODS, *PREPARING_METHODS)
}


def only_prepares(cls: type) -> bool:
    """Tell whether a class only prepares data, by the scikit-learn class that it fits like."""
    answer = _prepares.get(cls)
    if answer is None:
        answer = _prepares[cls] = _fits_like_a_preparer(cls)
    return answer


def _fits_like_a_preparer(cls: type) -> bool:
    for each in cls.__mro__:
        ours = each.__module__.startswith("sklearn.")
        if not ours and "predict" in vars(each):
            return False
        if ours and "fit" in vars(each):
            return each.__module__.startswith(PREPARING_MODULES)
    return False
