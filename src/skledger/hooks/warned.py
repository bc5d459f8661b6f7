"""The warnings of a fit, noted on their way to the user.

Python shows a warning from one place only once, so a loop of fits that all fail to converge warns
at the first. We listen in two places: where a warning is shown (this sees those raised from C and
by ``from warnings import warn``), and at ``warnings.warn``, to note the repeated ones that are
shown no more. What the user's filters ignore is not noted, and what the user sees is unchanged.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

import wrapt

from skledger._guard import contain, switch, thread
from skledger.capture.warned import RaisedWarning
from skledger.hooks.frames_importlib_bootstrap import is_own_frame
from skledger.hooks.patching import PatchSet

__all__ = ["patch", "unpatch"]

_patches = PatchSet()


def patch() -> None:
    """Note the warnings of fits from now on."""
    if hasattr(warnings, "_showwarnmsg"):  # private, but what both C and Python code call
        _patches.wrap(warnings, "_showwarnmsg", _wrap_show, _is_noting)
    if _wraps_without_a_frame():
        _patches.wrap(warnings, "warn", _wrap_warn, _is_noting)


def _wraps_without_a_frame() -> bool:
    """Tell whether wrapt is its C extension; its Python fallback adds frames of its own."""
    return "_wrappers" in wrapt.FunctionWrapper.__module__


def unpatch() -> None:
    """Give the warnings module its own functions back."""
    _patches.unwrap()


def _is_noting() -> bool:
    """Tell whether this thread is inside a fit that is being booked, or in work of ours."""
    return thread.muted or (switch.enabled and thread.warned is not None)


def _wrap_show(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if thread.muted:
        return None
    warned = thread.warned
    if warned is not None and args:
        with contain("a warning"):
            shown = args[0]
            warned.append(
                RaisedWarning(
                    shown.category.__name__, str(shown.message), shown.filename, shown.lineno
                )
            )
    return wrapped(*args, **kwargs)


def _wrap_warn(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if thread.muted:
        return None
    args, kwargs = _past_our_frame(args, kwargs, sys._getframe(1))
    warned = thread.warned
    noted = len(warned or ())
    result = wrapped(*args, **kwargs)
    if warned is not None and len(warned) == noted:
        with contain("a warning"):
            _note_repeated(warned, args, kwargs)
    return result


def _past_our_frame(
    args: tuple[Any, ...], kwargs: dict[str, Any], caller: FrameType
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with a stack level that also climbs the wrapper of ``warn``.

    The wrappers of ``fit`` need no counting: ``warn`` steps over them (`is_own_frame`).
    """
    level = args[2] if len(args) > 2 else kwargs.get("stacklevel", 1)
    if not isinstance(level, int):
        return args, kwargs
    prefixes = tuple(kwargs.get("skip_file_prefixes") or ())
    level = max(level, 2 if prefixes else 1)
    # With prefixes ``warn`` steps over the frames of those files by itself, the caller's too.
    level += int(not (prefixes and caller.f_code.co_filename.startswith(prefixes)))
    if len(args) > 2:
        return (*args[:2], level, *args[3:]), kwargs
    return args, {**kwargs, "stacklevel": level}


def _note_repeated(warned: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Note a warning that was raised but not shown, unless a filter ignores it."""
    message = args[0] if args else kwargs.get("message")
    category = args[1] if len(args) > 1 else kwargs.get("category")
    if isinstance(message, Warning):
        category = type(message)
    category = category or UserWarning
    level = args[2] if len(args) > 2 else kwargs.get("stacklevel", 1)
    frame = _climb(sys._getframe(1), level, tuple(kwargs.get("skip_file_prefixes") or ()))
    text, module = str(message), frame.f_globals.get("__name__", "<unknown>")
    if _action(text, category, module, frame.f_lineno) != "ignore":
        warned.append(
            RaisedWarning(category.__name__, text, frame.f_code.co_filename, frame.f_lineno)
        )


def _climb(frame: FrameType, level: int, prefixes: tuple[str, ...]) -> FrameType:
    """Return the frame that ``warn`` points to, called from `frame` with a stack level."""
    for _ in range(level - 1):
        above = frame.f_back
        while above is not None and (
            is_own_frame(above.f_code)
            or (prefixes and above.f_code.co_filename.startswith(prefixes))
        ):
            above = above.f_back
        if above is None:
            break
        frame = above
    return frame


def _action(text: str, category: type[Warning], module: str, lineno: int) -> str:
    """Return what the user's filters do with a warning, as ``warnings.warn`` decides it."""
    for action, message, kind, where, line in warnings.filters:
        if (
            (message is None or _matches(message, text))
            and issubclass(category, kind)
            and (where is None or _matches(where, module))
            and line in (0, lineno)
        ):
            return str(action)
    return str(getattr(warnings, "defaultaction", "default"))


def _matches(pattern: Any, text: str) -> bool:
    """Match a filter's pattern; Python keeps some as text and some as compiled patterns."""
    if isinstance(pattern, str):
        return pattern == text
    return pattern.match(text) is not None
