"""What must be installed to load a pickle, read from its bytes.

Nothing is executed and no process is started: the names of modules stand in the pickle as
text, and the installed distributions know which files are theirs.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["Requirements", "distribution_of", "named_modules", "requirements_of"]

# One character of a dotted name in UTF-8. Spelled out so that the opcode MEMOIZE (0x94), which
# may also be the second byte of a character, is never taken for one.
_CHARACTER = (
    rb"(?:[\w.]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
)
# SHORT_BINUNICODE (0x8c), one byte of length, the text, MEMOIZE: how the C pickler writes a
# string that it sees for the first time (protocols 4 and 5).
_STRING = rb"\x8c.(" + _CHARACTER + rb"++)(?=\x94)"
# The pickler may begin a new frame (FRAME, 8 bytes of length) between any two values.
_FRAME = rb"(?:\x95.{8})?"
# A class or function by name is the string of its module, the string of its qualified name (or
# BINGET, LONG_BINGET when that text was written before), then STACK_GLOBAL (0x93). The string
# "__main__" counts wherever it stands, for what is defined there must not be missed.
_GLOBAL = (
    rb"\x8c.(__main__(?=\x94)|"
    + _CHARACTER
    + rb"++(?=\x94"
    + _FRAME
    + rb"(?:\x8c."
    + _CHARACTER
    + rb"++\x94|h.|j.{4})"
    + _FRAME
    + rb"\x93))"
)
_any_string = re.compile(_STRING, re.DOTALL)
_any_global = re.compile(_GLOBAL, re.DOTALL)

#: The longest stretch of a pickle that one name can take: two strings and what is between.
LONGEST_NAME = 2 * (255 + 3) + 2 * 9 + 1

# Modules whose distribution has another name; a guess that saves reading all of them.
_DISTRIBUTION_NAMES = {
    "PIL": "pillow",
    "attr": "attrs",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "imblearn": "imbalanced-learn",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skopt": "scikit-optimize",
    "yaml": "PyYAML",
}
# scikit-learn reads its own attributes back, and the bytes of an array mean the same only under
# versions of numpy and scipy that belong together: these are pinned whatever the pickle names.
_ALWAYS = ("sklearn", "numpy", "scipy")


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a pickle needs.

    Parameters
    ----------
    lines : tuple of str
        One ``name==version`` per installed distribution, sorted, as in ``requirements.txt``.
    local_modules : tuple of str
        Top-level modules that no installed distribution holds: the user's own files, which
        must be importable where the model is loaded.
    """

    lines: tuple[str, ...]
    local_modules: tuple[str, ...]


def named_modules(pickled: bytes | bytearray | memoryview, *, by_value: bool = False) -> set[str]:
    """Return the imported modules that a pickle of protocol 4 or 5 names.

    Parameters
    ----------
    pickled : bytes-like
        What a C pickler wrote, or a part of it.
    by_value : bool, default False
        Whether cloudpickle stored functions or classes by value. Their imports are plain text
        among other text then, so every text that is the name of an imported module counts:
        rather one module too many than one missing.

    Returns
    -------
    set of str
        Full dotted names, such as ``sklearn.svm._classes``.
    """
    found = set((_any_string if by_value else _any_global).findall(pickled))
    names = {str(name, "utf-8", "replace") for name in found}
    if by_value:
        names.discard("__main__")
    return names & sys.modules.keys()


@lru_cache(maxsize=256)
def requirements_of(modules: frozenset[str], serialization_format: str) -> Requirements:
    """Return what must be installed for these modules, in the versions of this process.

    Parameters
    ----------
    modules : frozenset of str
        Dotted names of imported modules.
    serialization_format : str
        ``"cloudpickle"`` adds cloudpickle, for MLflow loads such a model with it; so do skops and
        joblib with their own.
    """
    always = _ALWAYS if serialization_format == "pickle" else (*_ALWAYS, serialization_format)
    lines = {line for line in map(_pinned, always) if line is not None}
    local = set()
    for name in modules:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in always:
            continue
        if top == "skledger":
            # A model of ours, such as a `PythonModel`: our package, not a module of the user's.
            lines.update(filter(None, (_pinned(top),)))
            continue
        # A namespace package belongs to nobody; the modules in it do.
        requirement = distribution_of(top if _file_of(top) else name)
        if requirement is None:
            local.add(top)
        else:
            lines.add(requirement)
    return Requirements(tuple(sorted(lines, key=str.lower)), tuple(sorted(local)))


def _pinned(top: str) -> str | None:
    """Return the requirement for a module that is always needed, however it was installed."""
    found = distribution_of(top)
    if found is not None:
        return found
    # An editable install: the module stands outside of what the distribution lists.
    name = _DISTRIBUTION_NAMES.get(top, top)
    try:
        return f"{name}=={_public(importlib.metadata.version(name))}"
    except importlib.metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=1024)
def distribution_of(module: str) -> str | None:
    """Return ``name==version`` of the installed distribution that holds a module.

    Parameters
    ----------
    module : str
        A top-level module, or a module in a namespace package.

    Returns
    -------
    str or None
        None when no installed distribution lists the module's file: a script, a module on the
        user's path, an editable install.
    """
    file = _file_of(module)
    if file is None:
        return None
    root, relative = _root_and_relative(module, file)
    guess = _DISTRIBUTION_NAMES.get(module, module.partition(".")[0])
    # Only the folder that the module was imported from is looked at: reading what every
    # distribution on the path says about itself takes a tenth of a second and more.
    here = [str(root)]
    for distribution in itertools.chain(
        importlib.metadata.distributions(name=guess, path=here),
        importlib.metadata.distributions(path=here),
    ):
        if _holds(distribution, root, relative):
            return _requirement_line(distribution)
    return None


def _file_of(module: str) -> str | None:
    """Return the file of a module without importing it; None for a namespace package."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        return getattr(loaded, "__file__", None)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None and spec.has_location else None


def _root_and_relative(module: str, file: str) -> tuple[Path, str]:
    """Return the folder of the path entry that a module came from, and its file in there."""
    path = Path(file)
    levels = module.count(".") + (path.stem == "__init__")
    root = path.parents[levels] if levels < len(path.parents) else path.parent
    return root, path.relative_to(root).as_posix()


def _holds(distribution: importlib.metadata.Distribution, root: Path, relative: str) -> bool:
    """Whether a distribution lists this file among those it installed."""
    record = distribution.read_text("RECORD")
    if record is not None:
        return f"\n{relative}," in f"\n{record}"
    # Packages of Linux distributions list top-level names only. Beside the sources, the same
    # files describe an editable install, which is the user's own code.
    if root.name not in ("site-packages", "dist-packages"):
        return False
    top = relative.partition("/")[0].partition(".")[0]
    return top in (distribution.read_text("top_level.txt") or "").split()


def _requirement_line(distribution: importlib.metadata.Distribution) -> str:
    # The headers are searched as text: parsing a long description as e-mail takes milliseconds.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    name = re.search(r"^Name:\s*(\S+)", text, re.MULTILINE)
    version = re.search(r"^Version:\s*(\S+)", text, re.MULTILINE)
    if name is None or version is None:
        metadata: Any = distribution.metadata
        return f"{metadata['Name']}=={_public(distribution.version)}"
    return f"{name[1]}=={_public(version[1])}"


def _public(version: str) -> str:
    """Return a version without its local label: ``2.1.0+cu121`` is on no package index."""
    return version.partition("+")[0]
