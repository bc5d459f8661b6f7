"""Our context into the threads of joblib and of executors.

A meta-estimator with ``n_jobs=2`` on the threading backend fits its parts in other threads, where
nothing tells that an outer fit is under way: each part would become a run of its own. So while a
fit is being booked, what runs *in threads* carries the depth with it. What goes to other
processes is left as it is: nothing of ours is pickled, and no patch is there. Some send through
pickles what comes back to threads of this process (dask with ``processes=False``); there, a task of
scikit-learn's is known by its function.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import wrapt

from skledger._guard import contain, switch, thread
from skledger.hooks import classes
from skledger.hooks.frames_importlib_bootstrap import call_parallel, call_submit, call_task
from skledger.hooks.patching import PatchSet

__all__ = ["patch", "unpatch"]

_patches = PatchSet()
_wanted = False
_waiting = False


def patch() -> None:
    """Carry the depth into threads from now on; joblib is waited for, not imported."""
    global _wanted, _waiting
    from concurrent.futures import ThreadPoolExecutor

    _wanted = True
    _patches.wrap(ThreadPoolExecutor, "submit", call_submit, _is_inside)
    if "joblib.parallel" in sys.modules:
        _when_imported(sys.modules["joblib.parallel"])
    elif not _waiting:
        _waiting = True
        wrapt.register_post_import_hook(_when_imported, "joblib.parallel")


def unpatch() -> None:
    """Give joblib its own method back."""
    global _wanted
    _wanted = False
    _patches.unwrap()


def _when_imported(module: Any) -> None:
    global _waiting
    _waiting = False
    if _wanted:
        around = functools.partial(call_parallel, classes.visit_again)
        _patches.wrap(module.Parallel, "__call__", around, _concerns_us)
        wrapt.register_post_import_hook(_when_sklearn_imported, "sklearn.utils.parallel")


def _when_sklearn_imported(module: Any) -> None:
    function = getattr(module, "_FuncWrapper", None)
    if _wanted and function is not None:
        with contain("tasks in threads (scikit-learn could not be hooked)"):
            _patches.wrap(function, "__call__", call_task, _is_outside)


def _is_outside() -> bool:
    """Tell whether this thread is outside of any fit."""
    return switch.enabled and not thread.depth


def _concerns_us() -> bool:
    """Tell whether a call sends parts of a fit, or may bring classes of the user's back."""
    return switch.enabled and (thread.depth > 0 or classes.has_by_value())


def _is_inside() -> bool:
    """Tell whether this thread is inside an outermost fit."""
    return switch.enabled and thread.depth > 0
