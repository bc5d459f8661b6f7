"""The user's frame: what the objects of a call are called there.

The frame is the first above us that belongs neither to scikit-learn nor to what else stands between
it and the user. Names come from that frame alone, by identity: its local variables first, then its
globals. A name that begins with an underscore is no name (``_`` and ``_5`` of IPython are results).
Of several names for one object it is the one that the call is written with.
"""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from inspect import CO_OPTIMIZED
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from skledger.capture.named_data import given_name

__all__ = ["is_from_inspection", "names_of", "user_frame", "user_name"]

#: Packages that call us on the user's behalf. Threads and pools hold what they were given.
BETWEEN = frozenset(
    {
        "sklearn",
        "skledger",
        "joblib",
        "pandas",
        "numpy",
        "scipy",
        "wrapt",
        "functools",
        "contextlib",
        "warnings",
        "threading",
        "concurrent",
        "multiprocessing",
        "asyncio",
        "importlib",
    }
)
#: scikit-learn's own experiments on a model: their data are permuted, their scores nobody's.
INSPECTION = "sklearn.inspection"
#: How many names are remembered by where they were found.
MANY_HINTS = 1000

# Where an object was found the last time this call gave it: looked at first, never trusted.
_hints: dict[tuple[CodeType, int, str], str] = {}


def user_frame(frame: FrameType | None) -> FrameType | None:
    """Return the first frame of the user's, from `frame` up; None when there is none."""
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if type(name) is not str or name.partition(".")[0] not in BETWEEN:
            return frame
        frame = frame.f_back
    return None


def is_from_inspection(frame: FrameType | None, until: FrameType | None) -> bool:
    """Tell whether ``sklearn.inspection`` stands between two frames."""
    while frame is not None and frame is not until:
        if str(frame.f_globals.get("__name__")).startswith(INSPECTION):
            return True
        frame = frame.f_back
    return False


def user_name(obj: object) -> str | None:
    """Return what the user calls an object: by `name_data`, or the variable that holds it.

    Parameters
    ----------
    obj : object
        Data that a call of the user's was given; the call is under way in this thread.

    Returns
    -------
    str or None
        None when no variable of the calling frame holds the very object.
    """
    return name_of(obj, user_frame(sys._getframe(1)))


def name_of(obj: object, frame: FrameType | None) -> str | None:
    """Return what the user calls an object, as `names_of` does; every prediction asks this."""
    if frame is not None and not frame.f_code.co_flags & CO_OPTIMIZED:
        # In a script or a notebook: the variable that it was the last time, at little cost.
        hint = _hints.get((frame.f_code, frame.f_lasti, ""))
        if hint is not None and frame.f_locals.get(hint) is obj:
            return given_name(obj) or hint
    return names_of({"": obj}, frame).get("")


def names_of(objects: Mapping[str, object], frame: FrameType | None) -> dict[str, str]:
    """Return what the user calls some objects.

    Parameters
    ----------
    objects : mapping
        Objects by any keys, such as the names of parameters.
    frame : frame or None
        The user's frame.

    Returns
    -------
    dict
        Names by the same keys; what has none is left out.
    """
    found: dict[str, str] = {}
    missing: dict[str, object] = {}
    for key, each in objects.items():
        if type(each) in _VALUES:
            continue
        name = given_name(each)
        if name is None:
            missing[key] = each
        else:
            found[key] = name
    if missing and frame is not None:
        _look_up(missing, frame, found)
    return found


#: What is a value, whatever it is called: Python has one ``True``, one ``0``, one ``"macro"``.
_VALUES = frozenset({type(None), bool, int, float, complex, str, bytes})


def _look_up(missing: dict[str, object], frame: FrameType, found: dict[str, str]) -> None:
    """Add the names that the variables of a frame give to objects."""
    code, held = frame.f_code, frame.f_locals
    try:
        if _found_again(frame, held, missing, found):
            return
        _look_among(held, missing, frame, found)
        if missing and held is not frame.f_globals:
            _look_among(frame.f_globals, missing, frame, found)
    finally:
        # Before Python 3.13 the variables of a function come as a copy, which stays with the frame
        # and would keep alive what the function deletes later. Nobody else has it when there are
        # three references: the frame's, ours, and that of the question.
        if code.co_flags & CO_OPTIMIZED and type(held) is dict and sys.getrefcount(held) <= 3:
            held.clear()


def _found_again(
    frame: FrameType, held: Mapping[str, Any], missing: dict[str, object], found: dict[str, str]
) -> bool:
    """Look first at the variables that held the objects the last time; tell whether all do."""
    code, place = frame.f_code, frame.f_lasti
    for key, each in list(missing.items()):
        hint = _hints.get((code, place, key))
        if hint is not None and held.get(hint, frame.f_globals.get(hint)) is each:
            found[key] = hint
            del missing[key]
    return not missing


def _look_among(
    variables: Mapping[str, Any],
    missing: dict[str, object],
    frame: FrameType,
    found: dict[str, str],
) -> None:
    """Find objects among variables; what is found is missing no more."""
    wanted = {id(each) for each in missing.values()}
    names: dict[int, list[str]] = {}
    # A list first: other threads may add variables meanwhile.
    for name, value in list(variables.items()):
        if id(value) in wanted and not name.startswith("_"):
            names.setdefault(id(value), []).append(name)
    for key, each in list(missing.items()):
        given = names.get(id(each))
        if given is None:
            continue
        name = given[0] if len(given) == 1 else _written(frame, given)
        if variables.get(name) is each:
            found[key] = name
            del missing[key]
            if len(_hints) > MANY_HINTS:
                _hints.clear()
            _hints[frame.f_code, frame.f_lasti, key] = name


def _written(frame: FrameType, names: list[str]) -> str:
    """Return the name that a call is written with; the first one where that cannot be read."""
    with suppress(Exception):  # such as a file that has been changed since
        positions = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
        first, last = positions[0] or 0, positions[1] or 0
        lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)[first - 1 : last]
        # Columns are those of the text in UTF-8.
        text = [line.encode() for line in lines]
        text[-1] = text[-1][: positions[3]]
        text[0] = text[0][positions[2] or 0 :]
        words = re.findall(r"\w+", b"".join(text).decode())
        there = [name for name in names if name in words]
        if len(there) == 1:
            return there[0]
    return names[0]
