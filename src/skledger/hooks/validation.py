"""The functions of ``sklearn.model_selection`` that cross-validate, hooked in a cell (`cells`)."""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import Callable
from typing import Any

import wrapt

from skledger._guard import contain, muted, switch, thread
from skledger.hooks.callers import user_name
from skledger.hooks.cells import FunctionPatches
from skledger.hooks.events import FitCall, Listener
from skledger.hooks.frames_importlib_bootstrap import around_call

__all__ = ["FUNCTIONS", "patch", "unpatch"]

#: What is listened to, when called outside of any fit.
FUNCTIONS = (
    "cross_validate",
    "cross_val_score",
    "cross_val_predict",
    "learning_curve",
    "validation_curve",
    "permutation_test_score",
)
MODULE = "sklearn.model_selection._validation"

_functions = FunctionPatches()
_listener: Listener | None = None
_waiting = False


def patch(listener: Listener) -> None:
    """Start telling `listener` about cross-validations; scikit-learn is waited for."""
    global _listener, _waiting
    _listener = listener
    if MODULE in sys.modules:
        _patch_all(sys.modules[MODULE])
    elif not _waiting:
        _waiting = True
        wrapt.register_post_import_hook(_when_imported, MODULE)


def unpatch() -> None:
    """Give every function back."""
    global _listener
    _listener = None
    _functions.unwrap()


def _when_imported(module: Any) -> None:
    global _waiting
    _waiting = False
    if _listener is not None:
        with contain("any cross-validation (scikit-learn could not be hooked)"):
            _patch_all(module)


def _patch_all(module: Any) -> None:
    if _functions:
        return
    for name in FUNCTIONS:
        with contain(f"{name} (it could not be hooked)"):
            wrapper = functools.partial(around_call, name, _Notes())
            owners = (module, sys.modules.get("sklearn.model_selection"))
            _functions.wrap(vars(module).get(name), wrapper, _is_outermost, owners)


def _is_outermost() -> bool:
    return switch.enabled and not thread.depth


class _Notes:
    """What stands around a cross-validation; see `around_call`."""

    def counts(self, instance: Any) -> bool:
        """Take every call: there is no instance."""
        return True

    def before(
        self,
        method: str,
        wrapped: Callable[..., Any],
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> FitCall | None:
        """Tell the listener that a cross-validation begins."""
        listener = _listener
        with contain(f"a call of {method}"), muted():
            if listener is None:
                return None
            try:
                bound = inspect.signature(wrapped).bind(*args, **kwargs)
            except TypeError:  # the original will say so
                return None
            bound.apply_defaults()
            given = bound.arguments
            estimator = given.get("estimator")
            if not hasattr(estimator, "get_params"):  # nor can it be cloned
                return None
            call = FitCall(
                estimator=estimator,
                method=method,
                X=given.get("X"),
                y=given.get("y"),
                sample_weight=None,
                started=time.time_ns() // 1_000_000,
                listener=listener,
                arguments=given,
                data_name=user_name(given.get("X")),
            )
            call.note = listener.validation_started(call)
            return None if call.note is None else call
        return None

    def after(self, call: FitCall) -> None:
        """Tell the listener of the beginning that it has ended."""
        with contain(f"the {call.method} of {type(call.estimator).__name__}"), muted():
            call.listener.validation_ended(call, call.note)
        # A traceback must not keep the user's frames alive, nor a circle the data and results.
        call.error = call.result = call.X = call.y = call.note = call.tasks = None
        call.arguments = {}
