"""A model folder whose files are compared with their digests before anybody uses them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from skledger.errors import ModelError, ModelIntegrityError, NotFoundError

__all__ = ["DESCRIPTOR", "DIGESTS_FILE", "ModelFolder", "relative_name", "shown"]

DESCRIPTOR = "MLmodel"
#: Holds the digests of a folder of many files, so that one digest stands for all of them.
DIGESTS_FILE = "digests.json"

_WHAT_TO_DO = (
    "Restore the file or save the model again; only if you know who changed it and trust them, "
    "load it with verify=False."
)


class ModelFolder:
    """A model folder, and what is known of its files.

    Parameters
    ----------
    root : Path
        The folder.
    digests : mapping of str to str, or None
        SHA-256 in hexadecimal by name of file. None: nothing is known.
    refusal : str, optional
        Without digests: why no code in the folder may run. None: the caller vouches for it.
    """

    def __init__(
        self, root: Path, digests: Mapping[str, str] | None, refusal: str | None = None
    ) -> None:
        self.root = root
        self.digests = digests
        self.refusal = None if digests is not None else refusal
        if not root.is_dir():
            raise NotFoundError(
                f"there is no model folder at {str(root)!r}; expected a folder with a file "
                f"{DESCRIPTOR!r}. Check the path, or save the model again."
            )
        self.real_root = root.resolve()
        if digests is not None and set(digests) == {DIGESTS_FILE}:
            self.digests = {**json.loads(self.read(DIGESTS_FILE)), **digests}

    def __str__(self) -> str:
        return repr(str(self.root))

    def locate(self, name: str) -> Path:
        """Return the path of a file in the folder; one that leads out of it is refused."""
        path = self.real_root / name
        try:
            inside = path.resolve().is_relative_to(self.real_root)
        except (OSError, RuntimeError, ValueError):  # links in a circle, and no name of a file
            inside = False
        if not inside:
            raise ModelError(
                f"the model folder {self} names the file {name!r}, which lies outside of it; "
                "expected a file in the folder. Do not load this model unless you know why."
            )
        return path

    def read(self, name: str, *, booked_only: bool = True) -> bytes:
        """Return a file's bytes after comparing them with the booked digest."""
        return bytes(self.read_large(name, booked_only=booked_only))

    def read_large(self, name: str, *, booked_only: bool = True) -> bytes | memoryview:
        """Do as `read` for a file that may be large: its bytes are not copied."""
        from skledger.models.hashing import read_and_hash

        expected = None
        if self.digests is not None:
            expected = self.digests.get(name)
            if expected is None and booked_only:
                raise ModelIntegrityError(
                    f"{name!r} in the model folder {self} was not booked with the model; "
                    f"booked are {sorted(self.digests)}. {_WHAT_TO_DO}"
                )
        path = self.locate(name)
        try:
            # Neither a pipe nor a device, which may have no end.
            if path.exists() and not path.is_file():
                raise IsADirectoryError("it is no file")
            content, found = read_and_hash(path)
        except FileNotFoundError as error:
            raise self._missing(name, expected) from error
        except OSError as error:
            raise ModelError(
                f"{name!r} in the model folder {self} cannot be read: {error}."
            ) from error
        if expected is not None:
            self._compare(name, expected, found)
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

    def described(self) -> dict[str, Any]:
        """Return what ``MLmodel`` says."""
        import yaml

        text = self.read(DESCRIPTOR)
        try:
            # The C loader reads the same and is ten times as fast; not every build has it.
            described = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise ModelError(
                f"{DESCRIPTOR!r} in the model folder {self} is not YAML: {error}. "
                "Restore the file, or save the model again."
            ) from error
        if not isinstance(described, dict) or not isinstance(described.get("flavors"), dict):
            raise ModelError(
                f"{DESCRIPTOR!r} in the model folder {self} lists no flavors; expected a "
                "model that skledger or MLflow saved."
            )
        return described

    def refuse_code(self) -> None:
        """Raise unless somebody stands up for the code that the folder would run."""
        if self.refusal is not None:
            raise ModelIntegrityError(self.refusal)

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


def shown(value: object) -> str:
    """Return what a description says, for a message: short, however much it would unfold to."""
    if isinstance(value, str | int | float | None):
        return f"{value!r:.100}"
    return f"a {type(value).__name__}"


def relative_name(folder: ModelFolder, name: object) -> str:
    """Return a file name out of ``MLmodel`` in the form that digests are booked under."""
    if not isinstance(name, str) or not name:
        raise ModelError(
            f"{DESCRIPTOR!r} in the model folder {folder} names no file for its scikit-learn "
            f"model: pickled_model is {shown(name)}. Restore the file, or save the model "
            "again."
        )
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise ModelError(
            f"{DESCRIPTOR!r} in the model folder {folder} names {name!r}, which lies outside of "
            "the folder; expected a file in it. Do not load this model unless you know why."
        )
    return path.as_posix()
