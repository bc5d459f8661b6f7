"""What git knows of a folder: read from its files, so that nothing is started for it.

Only whether files were changed takes git itself, and that is asked in the background.
The formats are those of ``gitrepository-layout(5)`` and ``git-config(1)``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from skledger.tracking.addresses import without_credentials

__all__ = ["Checkout", "Status", "ask_git", "find_checkout"]

# Compiled when they are first used: whoever calls autolog() waits for this module.
_COMMIT = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"
_SECTION = r'\[\s*([\w.-]+)\s*(?:"((?:[^"\\]|\\.)*)")?\s*\]'
_BRANCHES = "refs/heads/"
#: A reference may name another one; git follows five.
_MOST_STEPS = 5
#: Variables that name another repository, in programs that a hook of git's has started.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
#: How long git may take to compare the files with the commit, in s.
_PATIENCE = 20.0


class Checkout(NamedTuple):
    """A folder under git.

    Parameters
    ----------
    root : str
        The folder that was checked out.
    commit : str or None
        What HEAD is, in hexadecimal; None before the first commit, and when git keeps its
        references in a way that is not read here.
    branch : str or None
        The branch it is on; None when it is on none.
    remote : str or None
        The address of the repository it is pushed to, without credentials.
    """

    root: str
    commit: str | None
    branch: str | None
    remote: str | None


class Status(NamedTuple):
    """What git itself says.

    Parameters
    ----------
    commit, branch : str or None
        As of a `Checkout`.
    dirty : bool
        Whether files differ from the commit, or the program itself is not among them.
    """

    commit: str | None
    branch: str | None
    dirty: bool


def find_checkout(folder: Path) -> Checkout | None:
    """Return what a folder, or one around it, is a checkout of.

    Parameters
    ----------
    folder : Path
        Absolute.

    Returns
    -------
    Checkout or None
        None where there is no git, or what it has left there cannot be read.
    """
    try:
        for parent in (folder, *folder.parents):
            git = _git_directory(parent / ".git")
            if git is not None:
                return _read(parent, git)
    except (OSError, ValueError):
        pass
    return None


def _git_directory(marker: Path) -> Path | None:
    """Return git's directory; in worktrees and submodules a file tells where it is."""
    git = marker
    if marker.is_file():
        target = _text(marker).partition("gitdir:")[2].strip()
        git = marker.parent / target
    return git if (git / "HEAD").is_file() else None


def _read(root: Path, git: Path) -> Checkout:
    common = git
    if (git / "commondir").is_file():
        common = git / _text(git / "commondir").strip()
    reference, commit = _resolve(git, common)
    branch = None
    if reference is not None and reference.startswith(_BRANCHES):
        branch = reference.removeprefix(_BRANCHES)
    if branch == ".invalid":  # what HEAD says where references are in a table
        branch = None
    return Checkout(str(root), commit, branch, _remote(common / "config", branch))


def _resolve(git: Path, common: Path) -> tuple[str | None, str | None]:
    """Return the reference that HEAD is, if it is one, and the commit."""
    text = _text(git / "HEAD").strip()
    first = None
    for _ in range(_MOST_STEPS):
        if not text.startswith("ref:"):
            break
        reference = text.partition(":")[2].strip()
        first = first or reference
        text = _loose(git, reference) or _loose(common, reference) or _packed(common, reference)
    return first, text if re.fullmatch(_COMMIT, text) else None


def _loose(directory: Path, reference: str) -> str:
    try:
        return _text(directory / reference).strip()
    except OSError:
        return ""


def _packed(common: Path, reference: str) -> str:
    """Return the commit of a reference that ``git gc`` has packed."""
    try:
        lines = f"{_text(common / 'packed-refs')}\n"
    except OSError:
        return ""
    # One search: there may be as many lines as the repository ever had branches and tags.
    end = lines.find(f" {reference}\n")
    return "" if end < 0 else lines[lines.rfind("\n", 0, end) + 1 : end]


def _remote(config: Path, branch: str | None) -> str | None:
    """Return the address of the remote that a branch belongs to, ``origin``, or the only one."""
    try:
        lines = _text(config).splitlines()
    except OSError:
        return None
    urls: dict[str, str] = {}
    chosen = "origin"
    section: tuple[str, str] = ("", "")
    for line in map(str.strip, lines):
        match = re.match(_SECTION, line)
        if match is not None:
            section = match[1].lower(), re.sub(r"\\(.)", r"\1", match[2] or "")
            continue
        key, _, value = line.partition("=")
        key = key.strip().lower()
        if section[0] == "remote" and key == "url":
            urls.setdefault(section[1], _value(value))
        elif section == ("branch", branch) and key == "remote":
            chosen = _value(value)
    url = urls.get(chosen) or urls.get("origin") or next(iter(urls.values()), None)
    return None if url is None else without_credentials(url)


def _value(text: str) -> str:
    """Return a value of git's configuration without quotes and comment."""
    text = text.strip()
    if text.startswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:].partition('"')[0])
    return re.split(r"\s[#;]", text, maxsplit=1)[0].strip()


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def ask_git(root: str, program: str | None = None) -> Status | None:
    """Ask git how the files of a checkout differ from its commit. Takes from 5 ms to seconds.

    Nothing in the checkout is changed or locked for it.

    Parameters
    ----------
    root : str
        The folder that was checked out.
    program : str, optional
        A file that must be part of the commit, or the checkout is dirty. Other files that git
        does not know do not count.

    Returns
    -------
    Status or None
        None when there is no git, or it does not answer.
    """
    told = _run(root, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if told is None:
        return None
    heads = dict(line[2:].split(" ", 1) for line in told if line.startswith("# branch."))
    commit, branch = heads.get("branch.oid", ""), heads.get("branch.head", "(detached)")
    dirty = any(not line.startswith("#") for line in told)
    if not dirty and program is not None and Path(program).is_relative_to(root):
        dirty = _run(root, "ls-files", "--", program) == []
    return Status(
        commit if re.fullmatch(_COMMIT, commit) else None,
        None if branch == "(detached)" else branch,
        dirty,
    )


def _run(root: str, *arguments: str) -> list[str] | None:
    """Return the lines that git writes; None when it fails."""
    import subprocess

    # A checkout may name a program that watches its files; it is not started for this.
    command = ["git", "-C", root, "-c", "core.fsmonitor=false", "--no-optional-locks", *arguments]
    environment = {k: v for k, v in os.environ.items() if k not in _MISLEADING}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if done.returncode != 0:
        return None
    return done.stdout.decode(errors="replace").splitlines()
