"""Loading a model folder: first verified, then unpickled from the very bytes verified."""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from skledger.errors import ModelError, ModelIntegrityError, NotFoundError

__all__ = ["load_sklearn_model"]

_DESCRIPTOR = "MLmodel"
_FORMATS = ("cloudpickle", "pickle")


def load_sklearn_model(path: str | os.PathLike[str], *, digests: Mapping[str, str] | None) -> Any:
    """Load the estimator of a model folder, ours or MLflow's.

    Unpickling runs code that the file chooses. Whoever calls this decides which files may:
    those whose digests were booked when the model was saved, or, with ``digests=None``, any.

    Parameters
    ----------
    path : path-like
        The model folder.
    digests : mapping of str to str, or None
        SHA-256 in hexadecimal by name of file in the folder, as `SavedModel.digests`. All of
        them are verified before anything is unpickled. None verifies nothing.

    Returns
    -------
    estimator
        What was saved.

    Raises
    ------
    NotFoundError
        There is no model folder at `path`.
    ModelIntegrityError
        A file is not the one that was booked, is missing, or was never booked.
    ModelError
        The folder holds no scikit-learn model that can be loaded here.

    Warns
    -----
    UserWarning
        The model was saved under another minor version of scikit-learn or Python.
    """
    folder = _Folder(Path(path), digests)
    flavors = folder.flavors()
    sklearn_flavor = _sklearn_flavor(folder, flavors)
    name = _relative(folder, sklearn_flavor.get("pickled_model"))
    content = folder.read(name)
    folder.verify_others({_DESCRIPTOR, name})
    _warn_of_versions(folder, flavors)
    with _code_path(folder, sklearn_flavor.get("code")):
        return _unpickle(folder, name, content)


class _Folder:
    """A model folder, and what is known of its files."""

    def __init__(self, root: Path, digests: Mapping[str, str] | None) -> None:
        self.root = root
        self.digests = digests
        if not root.is_dir():
            raise NotFoundError(
                f"there is no model folder at {str(root)!r}; expected a folder with a file "
                f"{_DESCRIPTOR!r}. Check the path, or save the model again."
            )
        self._real_root = root.resolve()

    def __str__(self) -> str:
        return repr(str(self.root))

    def locate(self, name: str) -> Path:
        """Return the path of a file in the folder; one that leads out of it is refused."""
        path = self._real_root / name
        if not path.resolve().is_relative_to(self._real_root):
            raise ModelError(
                f"the model folder {self} names the file {name!r}, which lies outside of it; "
                "expected a file in the folder. Do not load this model unless you know why."
            )
        return path

    def read(self, name: str, *, booked_only: bool = True) -> bytes:
        """Return a file's bytes after comparing them with the booked digest."""
        expected = None
        if self.digests is not None:
            expected = self.digests.get(name)
            if expected is None and booked_only:
                raise ModelIntegrityError(
                    f"{name!r} in the model folder {self} was not booked with the model; "
                    f"booked are {sorted(self.digests)}. {_WHAT_TO_DO}"
                )
        try:
            content = self.locate(name).read_bytes()
        except FileNotFoundError as error:
            raise self._missing(name, expected) from error
        except OSError as error:
            raise ModelError(
                f"{name!r} in the model folder {self} cannot be read: {error}."
            ) from error
        if expected is not None:
            self._compare(name, expected, hashlib.sha256(content).hexdigest())
        return content

    def verify_others(self, verified: set[str]) -> None:
        """Compare every booked file but those that were read already."""
        for name, expected in (self.digests or {}).items():
            if name in verified:
                continue
            try:
                with self.locate(name).open("rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
            except FileNotFoundError as error:
                raise self._missing(name, expected) from error
            self._compare(name, expected, found)

    def flavors(self) -> dict[str, Any]:
        """Return the flavours that ``MLmodel`` lists."""
        import yaml

        text = self.read(_DESCRIPTOR)
        try:
            # The C loader reads the same and is ten times as fast; not every build has it.
            described = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise ModelError(
                f"{_DESCRIPTOR!r} in the model folder {self} is not YAML: {error}. "
                "Restore the file, or save the model again."
            ) from error
        flavors = described.get("flavors") if isinstance(described, dict) else None
        if not isinstance(flavors, dict):
            raise ModelError(
                f"{_DESCRIPTOR!r} in the model folder {self} lists no flavors; expected a "
                "model that skledger or MLflow saved."
            )
        return flavors

    def _compare(self, name: str, expected: str, found: str) -> None:
        if found != expected.lower():
            raise ModelIntegrityError(
                f"{name!r} in the model folder {self} is not the file that was booked: expected "
                f"SHA-256 {expected}, found {found}. It changed after the model was saved. "
                f"{_WHAT_TO_DO}"
            )

    def _missing(self, name: str, expected: str | None) -> ModelError:
        if expected is None:
            return ModelError(
                f"{name!r} is missing in the model folder {self}. "
                "Restore the file, or save the model again."
            )
        return ModelIntegrityError(
            f"{name!r} is missing in the model folder {self}; a file with SHA-256 {expected} was "
            "booked there. Restore the file, or save the model again."
        )


_WHAT_TO_DO = (
    "Restore the file or save the model again; only if you know who changed it and trust them, "
    "load it with verify=False."
)


def _sklearn_flavor(folder: _Folder, flavors: dict[str, Any]) -> dict[str, Any]:
    flavor = flavors.get("sklearn")
    if not isinstance(flavor, dict):
        raise ModelError(
            f"the model folder {folder} holds no scikit-learn model: its flavors are "
            f"{sorted(map(str, flavors))}, expected 'sklearn' among them. Load it with the "
            "library that saved it."
        )
    # MLflow wrote no format as long as there was only one.
    found = flavor.get("serialization_format", "pickle")
    if found not in _FORMATS:
        raise ModelError(
            f"the model in {folder} is in the format {found!r}; expected 'cloudpickle' or "
            "'pickle'. Load it with mlflow.sklearn.load_model, or save it again in one of these."
        )
    return flavor


def _relative(folder: _Folder, name: object) -> str:
    """Return a file name out of ``MLmodel`` in the form that digests are booked under."""
    if not isinstance(name, str) or not name:
        raise ModelError(
            f"{_DESCRIPTOR!r} in the model folder {folder} names no file for its scikit-learn "
            f"model: pickled_model is {name!r}. Restore the file, or save the model again."
        )
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise ModelError(
            f"{_DESCRIPTOR!r} in the model folder {folder} names {name!r}, which lies outside of "
            "the folder; expected a file in it. Do not load this model unless you know why."
        )
    return path.as_posix()


def _warn_of_versions(folder: _Folder, flavors: dict[str, Any]) -> None:
    import sklearn

    here = {"scikit-learn": str(sklearn.__version__), "Python": platform.python_version()}
    saved = {
        "scikit-learn": flavors["sklearn"].get("sklearn_version"),
        "Python": _python_of(folder, flavors),
    }
    differing = [
        f"{what} {then} (here {here[what]})"
        for what, then in saved.items()
        if then is not None and _minor(str(then)) != _minor(here[what])
    ]
    if differing:
        warnings.warn(
            f"the model in {folder} was saved with {' and '.join(differing)}. It may fail or "
            "predict differently; requirements.txt in the folder lists what it was made with.",
            UserWarning,
            stacklevel=3,
        )


def _python_of(folder: _Folder, flavors: dict[str, Any]) -> str | None:
    python_function = flavors.get("python_function")
    if isinstance(python_function, dict):
        return python_function.get("python_version")
    # A transformer has no such flavour; the environment's file says it too.
    try:
        text = folder.read("python_env.yaml", booked_only=False)
    except ModelIntegrityError:
        raise
    except ModelError:
        return None
    match = re.search(rb"^python:\s*[\"']?([\w.]+)", text, re.MULTILINE)
    return None if match is None else match[1].decode()


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


@contextmanager
def _code_path(folder: _Folder, code: object) -> Iterator[None]:
    """Make the modules importable that MLflow stored beside the pickle, if any."""
    if not code:
        yield
        return
    name = _relative(folder, code)
    path = folder.locate(name)
    if folder.digests is not None:
        for file in sorted(path.rglob("*")):
            if file.is_file():
                folder.read(file.relative_to(folder.locate(".")).as_posix())
    # They stay importable, for a model may import as late as in predict.
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
    # No byte code is written among files that are all booked.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _unpickle(folder: _Folder, name: str, content: bytes) -> Any:
    try:
        return pickle.loads(content)
    except MemoryError:
        raise
    except ImportError as error:
        missing = f"the module {error.name!r}" if error.name else str(error)
        raise ModelError(
            f"the model in {folder} needs {missing}, which cannot be imported here ({error}). "
            f"{_installation(folder)}"
        ) from error
    except AttributeError as error:
        raise ModelError(
            f"the model in {folder} needs a class or function that is not there: {error}. It was "
            "renamed, or its module has another version here, or it was defined in a script "
            f"that pickle refers to by name. {_installation(folder)}"
        ) from error
    except Exception as error:
        raise ModelError(
            f"{name!r} in the model folder {folder} cannot be unpickled: "
            f"{type(error).__name__}: {error}. {_installation(folder)}"
        ) from error


def _installation(folder: _Folder) -> str:
    try:
        text = folder.read("requirements.txt", booked_only=False)
    except ModelError:
        return "Install the versions it was saved with; the folder has no requirements.txt."
    lines = ", ".join(text.decode("utf-8", "replace").split("\n")).strip(", ")
    return f"Install what it was saved with (requirements.txt): {lines}."
