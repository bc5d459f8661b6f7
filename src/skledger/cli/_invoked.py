"""How to call what runs now once more: a virtual environment need not be on the PATH."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

__all__ = ["python_command", "skledger_command"]

_BY_MODULE = "python -m skledger"


def skledger_command(folder: Path | None = None) -> str:
    """Return what to write for ``skledger``, in the way it was called this time.

    Parameters
    ----------
    folder : Path, optional
        Where it will be written; by default the current folder.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().info_name == _BY_MODULE:
        return f"{python_command(folder)} -m skledger"
    program = Path(sys.argv[0])
    # Anything else called `main` itself, such as a test.
    if program.stem != "skledger" or _on_path("skledger", program):
        return "skledger"
    return _path(program, folder)


def python_command(folder: Path | None = None) -> str:
    """Return what to write for the Python that runs this, in a folder."""
    program = Path(sys.executable)
    for name in ("python", "python3"):
        # Names in one folder are the same Python; links are not followed, since those of
        # several virtual environments lead to one place.
        if _on_path(name, program.with_name(name)):
            return name
    return _path(program, folder)


def _on_path(name: str, program: Path) -> bool:
    """Tell whether a shell finds that program under its bare name."""
    found = shutil.which(name)
    return found is not None and _plain(Path(found)) == _plain(program)


def _plain(path: Path) -> str:
    absolute = os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - a link is not followed
    return absolute.removesuffix(".exe")


def _path(program: Path, folder: Path | None) -> str:
    """Return a program's path: relative when it is near, since that is short."""
    here = Path.cwd()
    folder = here if folder is None else folder.absolute()
    program = Path(os.path.abspath(program))  # noqa: PTH100 - a link is not followed
    # Through a linked folder, ".." leads elsewhere.
    near = not folder.is_symlink() and any(map(program.is_relative_to, (here, folder.parent)))
    text = os.path.relpath(program, folder) if near else str(program)
    if os.sep not in text:
        text = f".{os.sep}{text}"
    return f'"{text}"' if " " in text else text
