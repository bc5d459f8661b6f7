"""Who runs what: user, script, git commit and process, found without starting anything."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from pathlib import Path

from skledger.tracking.processes import identity_of

__all__ = ["default_tags", "process_identity", "user_name"]


@functools.cache
def user_name() -> str:
    """Return the login name, or ``unknown`` where the system has none."""
    try:
        return getpass.getuser()
    except Exception:  # noqa: BLE001 - containers without a passwd entry raise various types
        return "unknown"


def default_tags() -> dict[str, str]:
    """Return MLflow's tags about where a run comes from.

    Returns
    -------
    dict
        ``mlflow.user``, ``mlflow.source.name``, ``mlflow.source.type`` (``LOCAL`` or
        ``NOTEBOOK``) and, inside a git repository, ``mlflow.source.git.commit``.
    """
    name, kind = _source(sys.argv[0] if sys.argv else "")
    tags = {
        "mlflow.user": user_name(),
        "mlflow.source.name": name,
        "mlflow.source.type": kind,
    }
    try:
        folder = Path(name).resolve().parent if kind == "LOCAL" else Path.cwd()
        commit = _git_commit(str(folder))
    except (OSError, ValueError):  # the current folder may be gone
        commit = None
    if commit:
        tags["mlflow.source.git.commit"] = commit
    return tags


@functools.lru_cache(maxsize=8)
def _source(argument: str) -> tuple[str, str]:
    """Return the name and the type of what is running."""
    if "ipykernel" in sys.modules:
        main = vars(sys.modules.get("__main__", sys))
        name = os.environ.get("JPY_SESSION_NAME") or main.get("__vsc_ipynb_file__") or "notebook"
        return str(name), "NOTEBOOK"
    # Bytes that are no text in this locale are escaped: a store keeps text.
    name = argument.encode("utf-8", "backslashreplace").decode()
    return name or "<interactive>", "LOCAL"


@functools.lru_cache(maxsize=8)
def _git_commit(folder: str) -> str | None:
    """Return the commit that is checked out around a folder; reads git's files, runs no git."""
    try:
        for parent in (Path(folder), *Path(folder).parents):
            marker = parent / ".git"
            if marker.exists():
                return _head_of(_git_directory(marker))
    except OSError:
        pass
    return None


def _git_directory(marker: Path) -> Path:
    """Follow the file that stands for ``.git`` in worktrees and submodules."""
    if marker.is_dir():
        return marker
    target = marker.read_text(encoding="utf-8").partition("gitdir:")[2].strip()
    return (marker.parent / target).resolve()


def _head_of(git: Path) -> str | None:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head
    reference = head.partition(":")[2].strip()
    common = git
    if (git / "commondir").exists():
        common = (git / (git / "commondir").read_text(encoding="utf-8").strip()).resolve()
    for place in (git, common):
        if (place / reference).exists():
            return (place / reference).read_text(encoding="utf-8").strip()
    packed = common / "packed-refs"
    if packed.exists():
        for line in packed.read_text(encoding="utf-8").splitlines():
            commit, _, name = line.partition(" ")
            if name == reference:
                return commit
    return None


def process_identity() -> str:
    """Return ``host/pid/start`` of this process, to tell later whether it is still alive.

    See `skledger.tracking.processes.identity_of` for its parts.
    """
    return _process_identity(os.getpid())


@functools.lru_cache(maxsize=4)
def _process_identity(pid: int) -> str:
    # A forked child has another number; what was found for the parent is not its own.
    return identity_of(pid)
