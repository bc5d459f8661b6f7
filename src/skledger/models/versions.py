"""The versions that a model was saved with, beside those that are installed here."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skledger.errors import ModelError, ModelIntegrityError
from skledger.models.verified import ModelFolder

__all__ = [
    "VersionDifference",
    "compare_versions",
    "differences_of",
    "pip_command",
    "warn_of_versions",
]

_PINNED = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*={2,3}\s*([^\s;#,]+)\s*(?:[;#].*)?"
)
_PYTHON = re.compile(r"^python:\s*[\"']?([\w.]+)", re.MULTILINE)
#: Between minor versions of these, what is stored may mean something else.
_WEIGHTY = ("scikit-learn", "Python", "numpy")


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """A package that has another version here than when the model was saved.

    Parameters
    ----------
    name : str
        The package, as pip knows it, or ``"Python"``.
    booked : str
        The version that the model was saved with.
    here : str or None
        The version of this environment; None when it is not installed.
    """

    name: str
    booked: str
    here: str | None

    def __str__(self) -> str:
        return f"{self.name} {self.booked} (here {self.here or 'not installed'})"


def compare_versions(folder: str | os.PathLike[str]) -> list[VersionDifference]:
    """Compare what a model was saved with to what is installed here; nothing of it is run.

    Parameters
    ----------
    folder : path-like
        A model folder, ours or MLflow's.

    Returns
    -------
    list of VersionDifference
        scikit-learn and Python first, then what ``requirements.txt`` pins, by name. Empty when
        everything is the same.

    Raises
    ------
    NotFoundError
        There is no such folder.
    ModelError
        Its ``MLmodel`` cannot be read.
    """
    opened = ModelFolder(Path(folder), None)
    return differences_of(opened, opened.described()["flavors"])


def differences_of(
    folder: ModelFolder, flavors: Mapping[str, Any], *, only_weighty: bool = False
) -> list[VersionDifference]:
    """Compare the versions of a model folder that is open already; see `compare_versions`.

    Parameters
    ----------
    folder : ModelFolder
        The folder; what is read of it is compared with its digest first.
    flavors : mapping
        The flavours that its ``MLmodel`` lists.
    only_weighty : bool, default False
        Only those that may change what the model does.

    Returns
    -------
    list of VersionDifference
        As `compare_versions` returns them.
    """
    booked = dict(_booked(folder, flavors))
    if only_weighty:  # asking for the others takes longer than loading a small model
        booked = {name: booked[name] for name in _WEIGHTY if name in booked}
    found = ((name, version, _installed(name)) for name, version in booked.items())
    differences = [
        VersionDifference(name, version, here)
        for name, version, here in found
        if here is None or _public(version) != _public(here)
    ]
    return [each for each in differences if not only_weighty or _is_weighty(each)]


def _is_weighty(difference: VersionDifference) -> bool:
    """Tell whether a difference may change what a model does: another minor version."""
    return difference.here is None or _minor(difference.booked) != _minor(difference.here)


def warn_of_versions(folder: ModelFolder, flavors: Mapping[str, Any]) -> None:
    """Warn, once for all of them, of versions under which the model may be another.

    Warns
    -----
    UserWarning
        With both versions of each package and the command that installs those of the model.
    """
    found = differences_of(folder, flavors, only_weighty=True)
    if not found:
        return
    *most, last = map(str, found)
    listed = f"{', '.join(most)} and {last}" if most else last
    command = pip_command(found)
    advice = f"To have what it was saved with: {command}." if command else ""
    warnings.warn(
        f"the model in {folder} was saved with {listed}. It may fail or predict differently. "
        f"{advice}".rstrip(),
        UserWarning,
        stacklevel=_level_of_caller(),
    )


def _level_of_caller() -> int:
    """Return the level of the first frame that is not ours, as `warn_of_versions` counts."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("skledger."):
        level, frame = level + 1, frame.f_back
    return level


def pip_command(differences: Iterable[VersionDifference]) -> str:
    """Return the command that installs what the model was saved with; empty without any."""
    wanted = [f"{each.name}=={each.booked}" for each in differences if each.name != "Python"]
    return f"pip install {' '.join(wanted)}" if wanted else ""


def _booked(folder: ModelFolder, flavors: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each package with its version, the most important first."""
    pinned = dict(_pinned(_text(folder, "requirements.txt")))
    sklearn = _flavor(flavors, "sklearn").get("sklearn_version") or pinned.get("scikit-learn")
    if sklearn is not None:
        yield "scikit-learn", str(sklearn)
    python = _python(folder, flavors)
    if python is not None:
        yield "Python", python
    for name in sorted(pinned.keys() - {"scikit-learn"}):
        yield name, pinned[name]


def _flavor(flavors: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    flavor = flavors.get(name)
    return flavor if isinstance(flavor, Mapping) else {}


def _python(folder: ModelFolder, flavors: Mapping[str, Any]) -> str | None:
    if version := _flavor(flavors, "python_function").get("python_version"):
        return str(version)
    # A transformer has no such flavour; the environment's file says it too.
    match = _PYTHON.search(_text(folder, "python_env.yaml"))
    return None if match is None else match[1]


def _text(folder: ModelFolder, name: str) -> str:
    """Return a file's text; of one that is not there, nothing."""
    try:
        return folder.read(name, booked_only=False).decode("utf-8", "replace")
    except ModelIntegrityError:
        raise
    except ModelError:
        return ""


def _pinned(requirements: str) -> Iterator[tuple[str, str]]:
    for line in requirements.splitlines():
        match = _PINNED.fullmatch(line)
        if match is not None:
            yield re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]


def _installed(name: str) -> str | None:
    if name == "Python":
        return platform.python_version()
    # What is imported counts; somebody may have installed another since.
    imported = sys.modules.get({"scikit-learn": "sklearn"}.get(name, name))
    if name in _WEIGHTY and imported is not None:
        return str(imported.__version__)
    try:
        return importlib.metadata.version(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None


def _public(version: str) -> str:
    """Return a version without its local label: ``2.1.0+cu121`` is the same code as ``2.1.0``."""
    return version.partition("+")[0]


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
