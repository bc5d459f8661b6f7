"""The functions of ``sklearn.model_selection`` that cross-validate.

People import them before or after ``autolog()``, so replacing an attribute of a module is not
enough. scikit-learn's ``validate_params`` makes each of them a wrapper that keeps the function it
wraps in a cell of its closure. We put ours into that cell: whoever holds the wrapper, calls us.
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

import wrapt

from skledger._guard import contain, muted, switch, thread
from skledger.hooks.events import FitCall, Listener
from skledger.hooks.frames_importlib_bootstrap import around_call
from skledger.hooks.patching import Patch, PatchSet

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

_patches = PatchSet()
_cells: list[tuple[CellType, Patch]] = []
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
    while _cells:
        cell, patch = _cells.pop()
        # What somebody else has put there since stays; ours below it is passive.
        if cell.cell_contents is patch:
            cell.cell_contents = patch.__wrapped__
    _patches.unwrap()


def _when_imported(module: Any) -> None:
    global _waiting
    _waiting = False
    if _listener is not None:
        with contain("any cross-validation (scikit-learn could not be hooked)"):
            _patch_all(module)


def _patch_all(module: Any) -> None:
    if _cells:
        return
    for name in FUNCTIONS:
        function = vars(module).get(name)
        with contain(f"{name} (it could not be hooked)"):
            cell = _cell_of(function)
            wrapper = functools.partial(around_call, name, _Notes())
            if cell is None:  # another scikit-learn: those who import it from now on
                for owner in (module, sys.modules.get("sklearn.model_selection")):
                    if owner is not None and name in vars(owner):
                        _patches.wrap(owner, name, wrapper, _is_outermost)
                continue
            cell.cell_contents = Patch(cell.cell_contents, wrapper, _is_outermost)
            _cells.append((cell, cell.cell_contents))


def _cell_of(function: Any) -> CellType | None:
    """Return the cell in which a decorated function keeps what it decorates."""
    original = getattr(function, "__wrapped__", None)
    if not isinstance(function, FunctionType) or original is None:
        return None
    for cell in function.__closure__ or ():
        if cell.cell_contents is original:
            return cell
    return None


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
