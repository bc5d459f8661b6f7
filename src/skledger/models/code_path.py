"""The modules that come with a model, made importable for it.

Those that were booked are copied to a folder of this process first, from the very bytes that were
verified. What Python or others leave beside the originals, such as byte code, is not run then, and
what Python writes beside the copies spoils nothing.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from skledger._guard import say
from skledger.models.verified import ModelFolder

__all__ = ["importable"]

#: By what is in them: two models with the same modules share a copy.
_copies: dict[str, Path] = {}


@contextmanager
def importable(folder: ModelFolder, name: str | None) -> Iterator[None]:
    """Make the modules of a model importable.

    They stay so, for a model may import as late as in ``predict``.

    Parameters
    ----------
    folder : ModelFolder
        The model folder.
    name : str or None
        The folder in it that has the modules.

    Raises
    ------
    ModelError
        A link in there leads out of the folder.
    ModelIntegrityError
        A file is not the one that was booked, or was not booked.
    """
    if not name:
        yield
        return
    path = folder.locate(name)
    contents = dict(_contents(folder, path))
    if folder.digests is not None:
        path = _copy(contents)
    _say_of_others(contents)
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
    # No byte code is written among files that belong to the model.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _contents(folder: ModelFolder, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files by their place below the folder of code."""
    for file in sorted(path.rglob("*")):
        place = file.relative_to(folder.real_root).as_posix()
        folder.locate(place)  # a link out of the model folder is refused
        if file.suffix == ".pyc" and file.parent.name == "__pycache__":
            continue
        if file.is_file():
            yield file.relative_to(path).as_posix(), folder.read(place)


def _copy(contents: Mapping[str, bytes]) -> Path:
    digest = hashlib.sha256()
    for place, content in contents.items():
        digest.update(f"{place}\0{len(content)}\0".encode() + content)
    key = digest.hexdigest()
    if key not in _copies or not _copies[key].is_dir():
        target = Path(mkdtemp(prefix="skledger-code-"))
        atexit.register(_remove, target, os.getpid())
        for place, content in contents.items():
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            (target / place).write_bytes(content)
        _copies[key] = target
    return _copies[key]


def _remove(path: Path, process: int) -> None:
    # A child that was forked ends without taking it from its parent.
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)


def _say_of_others(contents: Mapping[str, bytes]) -> None:
    """Say when a module of the model's is imported already from elsewhere: that one is used."""
    for place, content in contents.items():
        name = place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or not place.endswith(".py") or not Path(file).is_file():
            continue
        if Path(file).read_bytes() != content:
            say(
                logging.WARNING,
                "skledger: the model brings its own %s, and another is imported already, from %s; "
                "that one is used.",
                name,
                file,
            )
            return
